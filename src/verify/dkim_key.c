/* Keys as domains publish them: TXT at SELECTOR._domainkey.DOMAIN (RFC 6376, 3.6). */
#include "base/encode.h"
#include "verify/dkim_inside.h"
#include "verify/tags.h"

enum { RECORDS = 8, T_TXT = 16 };

static void unusable(struct dkim_key *k, enum dkim_result result, const char *reason)
{
	k->result = result;
	k->reason = reason;
}

static struct bytes value(const struct tags *t, const char *name)
{
	const struct tag *tag = tags_find(t, name);

	return tag ? tag->value : (struct bytes){0};
}

static void read_public(const struct dkim_signature *s, struct bytes text, struct arena *arena,
                        struct dkim_key *k)
{
	struct bytes packed = dkim_packed(text, arena);
	struct buf der = {0};
	enum result r = INVALID;

	if (packed.len == 0)
		return unusable(k, DKIM_PERMERROR, "the key was revoked");
	if (decode_base64(packed, &der) == OK)
		r = s->scheme == PUBLIC_KEY_ED25519
		            ? public_key_parse_ed25519(buf_bytes(&der), &k->key, NULL)
		            : public_key_parse_rsa(buf_bytes(&der), &k->key, NULL);
	if (r != OK)
		unusable(k, DKIM_PERMERROR, "the key in the DNS cannot be used");
	buf_done(&der);
}

/* Whether the record lets this kind of signature be made with it. NULL: it does. */
static const char *objection(const struct dkim_signature *s, const struct tags *t)
{
	struct bytes type = value(t, "k"), services = value(t, "s"), hashes = value(t, "h");

	if (!bytes_equal(type.len ? type : BYTES("rsa"),
	                 s->scheme == PUBLIC_KEY_ED25519 ? BYTES("ed25519") : BYTES("rsa")))
		return "the key in the DNS is of another kind";
	if (tags_find(t, "s") && !tags_list_has(services, BYTES("*")) &&
	    !tags_list_has(services, BYTES("email")))
		return "the key is not for mail";
	if (tags_find(t, "h") &&
	    !tags_list_has(hashes,
	                   s->scheme == PUBLIC_KEY_RSA_SHA1 ? BYTES("sha1") : BYTES("sha256")))
		return "the key is not for this hash";
	return NULL;
}

static bool has_version(const struct tags *t)
{
	return !tags_find(t, "v") || (bytes_equal(t->items[0].name, BYTES("v")) &&
	                              bytes_equal(t->items[0].value, BYTES("DKIM1")));
}

/* False: it is no key record at all, and another one may be. */
static bool read_record(const struct dkim_signature *s, struct bytes rdata, struct arena *arena,
                        struct dkim_key *ret)
{
	struct bytes text;
	struct tags tags;
	const char *reason;

	*ret = (struct dkim_key){.result = DKIM_PERMERROR,
	                         .reason = "what the DNS has is no key record"};
	if (facts_text(rdata, arena, &text) != OK || tags_parse(text, &tags) != OK ||
	    !tags_find(&tags, "p") || !has_version(&tags))
		return false;
	*ret = (struct dkim_key){.result = DKIM_PASS, .reason = ""};
	ret->testing = tags_list_has(value(&tags, "t"), BYTES("y"));
	ret->strict = tags_list_has(value(&tags, "t"), BYTES("s"));
	reason = objection(s, &tags);
	if (reason)
		unusable(ret, DKIM_PERMERROR, reason);
	else
		read_public(s, value(&tags, "p"), arena, ret);
	return true;
}

const struct fact *dkim_key_find(const struct dkim_signature *s, struct facts *f,
                                 struct arena *arena, struct dkim_key *ret)
{
	const struct fact *x = facts_need(f, s->key_name, T_TXT);

	*ret = (struct dkim_key){.result = DKIM_PERMERROR, .reason = "the DNS has no such key"};
	if (!x)
		return NULL;
	if (x->status >= FACT_FAILED)
		unusable(ret, DKIM_TEMPERROR, "the DNS does not answer for the key");
	/* With several records the first that is a key counts (RFC 6376, 6.1.2). */
	for (size_t i = 0; i < x->count && i < RECORDS && x->status == FACT_FOUND; i++)
		if (read_record(s, x->records[i], arena, ret))
			break;
	return x;
}

void dkim_key_done(struct dkim_key *k)
{
	public_key_free(&k->key);
}
