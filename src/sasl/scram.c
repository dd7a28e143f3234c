#include "sasl/scram.h"

/* Takes "x=value" up to the next comma (or the end); the comma is dropped. */
static bool take(struct bytes *rest, char name, struct bytes *ret)
{
	struct bytes part;

	if (!bytes_cut(rest, ',', &part) || part.len < 2 || part.ptr[0] != name ||
	    part.ptr[1] != '=')
		return false;
	*ret = bytes_skip(part, 2);
	return true;
}

static bool is_nonce(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if (b.ptr[i] < 0x21 || b.ptr[i] > 0x7e)
			return false;
	return b.len > 0 && b.len <= SCRAM_NONCE_MAX;
}

static enum result read_binding(struct bytes flag, enum scram_binding *ret)
{
	if (bytes_equal(flag, BYTES("n")))
		*ret = SCRAM_BINDING_NONE;
	else if (bytes_equal(flag, BYTES("y")))
		*ret = SCRAM_BINDING_UNOFFERED;
	else if (bytes_equal(flag, BYTES("p=tls-exporter")))
		*ret = SCRAM_BINDING_EXPORTER;
	else if (bytes_equal(flag, BYTES("p=tls-server-end-point")))
		*ret = SCRAM_BINDING_ENDPOINT;
	else if (bytes_starts(flag, BYTES("p=")) && flag.len > 2)
		*ret = SCRAM_BINDING_STRANGE;
	else
		return INVALID;
	return OK;
}

/* Extensions after the known attributes: a letter, "=", at least one octet; "m=" is mandatory to
 * understand, so it is refused. */
static bool extensions_fine(struct bytes rest)
{
	struct bytes part;

	while (rest.len) {
		if (!bytes_cut(&rest, ',', &part) || part.len < 3 || part.ptr[1] != '=' ||
		    (part.ptr[0] | 32) < 'a' || (part.ptr[0] | 32) > 'z' || part.ptr[0] == 'm')
			return false;
	}
	return true;
}

enum result scram_first_parse(struct bytes in, struct scram_first *ret)
{
	struct scram_first f = {0};
	struct bytes rest = in, flag, authzid;

	if (in.len > SCRAM_MESSAGE_MAX || !bytes_cut(&rest, ',', &flag) ||
	    read_binding(flag, &f.binding) != OK || !bytes_cut(&rest, ',', &authzid))
		return INVALID;
	if (authzid.len && (authzid.len < 3 || !bytes_starts(authzid, BYTES("a="))))
		return INVALID;
	f.authzid = bytes_skip(authzid, 2);
	f.gs2 = bytes_first(in, in.len - rest.len);
	f.bare = rest;
	if (!take(&rest, 'n', &f.username) || !f.username.len || !take(&rest, 'r', &f.nonce) ||
	    !is_nonce(f.nonce) || !extensions_fine(rest) || bytes_ends(in, BYTES(",")))
		return INVALID;
	*ret = f;
	return OK;
}

enum result scram_final_parse(struct bytes in, struct scram_final *ret)
{
	struct scram_final f = {0};
	struct bytes rest = in;
	size_t comma = bytes_find_last(in, ',');

	if (in.len > SCRAM_MESSAGE_MAX || comma == BYTES_NONE)
		return INVALID;
	f.without_proof = bytes_first(in, comma);
	f.proof = bytes_skip(in, comma + 1);
	if (!bytes_starts(f.proof, BYTES("p=")))
		return INVALID;
	f.proof = bytes_skip(f.proof, 2);
	rest = f.without_proof;
	if (!take(&rest, 'c', &f.binding) || !take(&rest, 'r', &f.nonce) ||
	    !extensions_fine(rest) || bytes_ends(f.without_proof, BYTES(",")))
		return INVALID;
	*ret = f;
	return OK;
}

enum result scram_name_decode(struct bytes in, struct buf *out)
{
	while (in.len) {
		if (in.ptr[0] != '=') {
			buf_append_char(out, in.ptr[0]);
			in = bytes_skip(in, 1);
		} else if (bytes_starts(in, BYTES("=2C")) || bytes_starts(in, BYTES("=3D"))) {
			buf_append_char(out, in.ptr[1] == '2' ? ',' : '=');
			in = bytes_skip(in, 3);
		} else {
			return INVALID;
		}
	}
	return OK;
}
