#include "verify/dkim_sign.h"

#include "base/encode.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/wire.h"
#include "mail/header.h"
#include "verify/canon.h"

/* What a reader or a program acts on (RFC 6376, 5.4.1), and what lists and filters look at. Not Received, Return-Path
 * and other traces; not fields that hosts on the way rewrite. `added`: a mailing list or a resender adds it, and is welcome to:
 * it is not named where it does not occur. */
static const struct {
	const char *name;
	bool added;
} names[] = {
        {"From", false},
        {"Reply-To", false},
        {"To", false},
        {"Cc", false},
        {"Subject", false},
        {"Date", false},
        {"Message-ID", false},
        {"In-Reply-To", false},
        {"References", false},
        {"MIME-Version", false},
        {"Content-Type", false},
        {"Content-Transfer-Encoding", false},
        {"Content-Disposition", false},
        {"Content-ID", false},
        {"Content-Language", false},
        {"Sender", true},
        {"List-Id", true},
        {"List-Post", true},
        {"List-Help", true},
        {"List-Owner", true},
        {"List-Subscribe", true},
        {"List-Unsubscribe", true},
        {"List-Unsubscribe-Post", true},
        {"List-Archive", true},
        {"Resent-From", true},
        {"Resent-To", true},
        {"Resent-Cc", true},
        {"Resent-Date", true},
        {"Resent-Message-ID", true},
};

enum {
	NAMES = sizeof(names) / sizeof(names[0]),
	LINE = 72,
	LIST = 700, /* octets of h=; from there on each name stands once */
	SIGNATURE_MAX = 1024
};

struct occurrences {
	unsigned count;
	struct bytes last[DKIM_REPEATS]; /* a ring of the lowest ones */
};

struct dkim_signer {
	struct canon_body *body;
	uint8_t body_hash[DIGEST_SHA256];
	struct buf canonical; /* the signed fields, as they are hashed */
	struct buf list;      /* h= */
	struct buf field;     /* "DKIM-Signature: ... b=" */
};

/* ---- keys ---- */

enum result dkim_signing_keys_parse(struct bytes packed, struct bytes domain,
                                    struct dkim_signing_keys *ret)
{
	struct wire w = wire_of(packed);
	struct dkim_signing_keys keys = {0};
	bool seen[2] = {false, false};

	while (!wire_end(&w)) {
		struct dkim_signing_key key = {.domain = domain, .selector = wire_block(&w)};
		uint8_t algorithm = wire_u8(&w), state = wire_u8(&w);

		wire_block(&w);
		wire_u64(&w);
		if (w.bad)
			return INVALID;
		if (state != DKIM_KEY_SIGNS || algorithm > DKIM_ED25519_SHA256 || seen[algorithm] ||
		    key.selector.len == 0 || key.selector.len > LIMIT_DOMAIN)
			continue;
		seen[algorithm] = true;
		key.algorithm = (enum dkim_algorithm)algorithm;
		keys.items[keys.count++] = key;
	}
	if (w.bad)
		return INVALID;
	*ret = keys;
	return OK;
}

/* ---- the header ---- */

static struct occurrences *find_all(struct bytes header)
{
	struct occurrences *all = memory_get(NAMES * sizeof(*all));
	struct header_field f;

	while (header_next(&header, &f)) {
		for (size_t i = 0; i < NAMES; i++) {
			if (!bytes_equal_nocase(f.name, bytes_of_text(names[i].name)))
				continue;
			all[i].last[all[i].count++ % DKIM_REPEATS] = f.whole;
			break;
		}
	}
	return all;
}

/* Named from the bottom up (RFC 6376, 5.4.2), and once more for one that is not there. */
static void sign_name(struct dkim_signer *s, size_t nth, const struct occurrences *o)
{
	unsigned times = o->count < DKIM_REPEATS ? o->count : DKIM_REPEATS;

	if (buf_len(&s->list) > LIST && times > 1)
		times = 1;
	for (unsigned i = 1; i <= times; i++)
		canon_field(CANON_RELAXED, o->last[(o->count - i) % DKIM_REPEATS], &s->canonical);
	if (times == o->count && (times == 0 ? !names[nth].added : buf_len(&s->list) <= LIST))
		times++;
	for (unsigned i = 0; i < times; i++)
		buf_printf(&s->list, "%s%s", buf_len(&s->list) > 0 ? ":" : "", names[nth].name);
}

struct dkim_signer *dkim_signer_new(struct bytes header)
{
	struct dkim_signer *s = NEW(struct dkim_signer);
	struct occurrences *all = find_all(header);

	for (size_t i = 0; i < NAMES; i++)
		sign_name(s, i, &all[i]);
	memory_free(all);
	s->body = canon_body_new(CANON_RELAXED);
	return s;
}

void dkim_signer_body(struct dkim_signer *s, struct bytes piece)
{
	canon_body_add(s->body, piece);
}

void dkim_signer_finish(struct dkim_signer *s)
{
	canon_body_finish(&s->body, s->body_hash);
}

/* ---- the signature ---- */

/* Appends words with `sep` between them, folded before the line gets too long. *at: octets in the current line. */
static void put_folded(struct buf *out, struct bytes list, char sep, size_t *at)
{
	struct bytes word;

	while (bytes_cut(&list, sep, &word)) {
		if (*at + word.len + 1 > LINE) {
			buf_append_text(out, "\r\n\t");
			*at = 8;
		}
		buf_append(out, word);
		*at += word.len + 1;
		if (list.len > 0)
			buf_append_char(out, sep);
	}
}

/* Base64 has no places to fold; white space in b= is ignored (RFC 6376, 3.5). */
static void put_signature(struct buf *out, struct bytes base64)
{
	size_t room = LINE - 10; /* after "\tb=" */

	while (base64.len > room) {
		buf_append(out, bytes_first(base64, room));
		buf_append_text(out, "\r\n\t");
		base64 = bytes_skip(base64, room);
		room = LINE - 8;
	}
	buf_append(out, base64);
}

void dkim_signer_begin(struct dkim_signer *s, const struct dkim_signing_key *key, time_ms now,
                       uint8_t ret_digest[DIGEST_SHA256])
{
	struct digest *d = digest_new();
	struct buf line = {0};
	size_t at = 10;

	buf_clear(&s->field);
	buf_printf(&s->field,
	           "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n\td=%.*s; "
	           "s=%.*s;\r\n\tt=%lld; bh=",
	           key->algorithm == DKIM_ED25519_SHA256 ? "ed25519-sha256" : "rsa-sha256",
	           BYTES_ARG(key->domain), BYTES_ARG(key->selector), (long long)(now / 1000));
	encode_base64(&s->field, bytes_of(s->body_hash, sizeof(s->body_hash)));
	buf_append_text(&s->field, ";\r\n\th=");
	put_folded(&s->field, buf_bytes(&s->list), ':', &at);
	buf_append_text(&s->field, ";\r\n\tb=");
	/* RFC 6376, 3.7: the field itself comes last, b= empty, without its line end. */
	canon_field(CANON_RELAXED, buf_bytes(&s->field), &line);
	buf_truncate(&line, buf_len(&line) - 2);
	digest_add(d, buf_bytes(&s->canonical));
	digest_add(d, buf_bytes(&line));
	digest_finish(&d, ret_digest);
	buf_done(&line);
}

enum result dkim_signer_put(struct dkim_signer *s, struct bytes signature, struct buf *out)
{
	struct buf base64 = {0};
	size_t before = buf_len(out);
	enum result r = OK;

	if (signature.len > SIGNATURE_MAX)
		return TOO_BIG;
	encode_base64(&base64, signature);
	buf_append(out, buf_bytes(&s->field));
	put_signature(out, buf_bytes(&base64));
	buf_append_text(out, "\r\n");
	buf_done(&base64);
	if (buf_len(out) - before > DKIM_FIELD) {
		buf_truncate(out, before);
		r = TOO_BIG;
	}
	return r;
}

void dkim_signer_free(struct dkim_signer **signer)
{
	struct dkim_signer *s = *signer;

	if (!s)
		return;
	canon_body_free(&s->body);
	buf_done(&s->canonical);
	buf_done(&s->list);
	buf_done(&s->field);
	memory_free(s);
	*signer = NULL;
}
