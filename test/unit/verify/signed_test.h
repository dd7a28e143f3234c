/* Mails signed for tests, with any tags: what nobody's signer would make. Keys are new each run. */
#ifndef SIGNED_TEST_H
#define SIGNED_TEST_H

#include "facts_test.h"

#include "base/encode.h"
#include "base/text.h"
#include "crypto/sign.h"
#include "mail/header.h"
#include "verify/canon.h"

struct test_key {
	struct private_key *key;
	unsigned scheme;
};

static inline struct test_key test_key_new(unsigned scheme)
{
	struct test_key k = {.scheme = scheme};
	struct buf pem = {0};
	unsigned found;

	private_key_make(scheme, &pem);
	assert_int_equal(private_key_parse_dkim(buf_bytes(&pem), &k.key, &found, NULL), OK);
	buf_done(&pem);
	return k;
}

/* A TXT record of any length, in strings of 255. */
static inline void fact_long_txt(struct facts *f, const char *name, struct bytes text)
{
	struct buf records = {0}, rdata = {0};

	do {
		struct bytes part = bytes_first(text, 255);

		buf_u8(&rdata, (uint8_t)part.len);
		buf_append(&rdata, part);
		text = bytes_skip(text, part.len);
	} while (text.len > 0);
	buf_block(&records, buf_bytes(&rdata));
	fact(f, name, T_TXT, FACT_FOUND, false, "", buf_bytes(&records));
	buf_done(&records);
	buf_done(&rdata);
}

/* tags: before p=, "v=DKIM1; k=rsa; " */
static inline void fact_key(struct facts *f, const char *name, const char *tags,
                            const struct test_key *k)
{
	struct buf public = {0}, text = {0};

	private_key_public(k->key, &public);
	buf_append_text(&text, tags);
	buf_append_text(&text, "p=");
	encode_base64(&text, buf_bytes(&public));
	fact_long_txt(f, name, buf_bytes(&text));
	buf_done(&public);
	buf_done(&text);
}

static inline void put_base64_hash(struct buf *out, const uint8_t hash[DIGEST_SHA256])
{
	encode_base64(out, bytes_of(hash, DIGEST_SHA256));
}

static inline void body_hash(enum canon_kind kind, struct bytes body, struct buf *out)
{
	struct canon_body *b = canon_body_new(kind);
	uint8_t hash[DIGEST_SHA256];

	canon_body_add(b, body);
	canon_body_finish(&b, hash);
	put_base64_hash(out, hash);
}

/* The nth field of a name from the bottom, from 0. */
static inline bool find_field(struct bytes header, struct bytes name, unsigned nth,
                              struct bytes *ret)
{
	struct bytes found[64];
	unsigned count = 0;
	struct header_field f;

	while (header_next(&header, &f))
		if (bytes_equal_nocase(f.name, name) && count < 64)
			found[count++] = f.whole;
	if (nth >= count)
		return false;
	*ret = found[count - 1 - nth];
	return true;
}

static inline void put_fields(enum canon_kind kind, struct bytes header, const char *names,
                              struct buf *out)
{
	struct bytes rest = bytes_of_text(names), name, seen, field;

	while (bytes_cut(&rest, ':', &name)) {
		unsigned nth = 0;
		struct bytes before = bytes_of(names, (size_t)(name.ptr - names));

		name = bytes_trim(name);
		while (bytes_cut(&before, ':', &seen))
			nth += bytes_equal_nocase(bytes_trim(seen), name);
		if (find_field(header, name, nth, &field))
			canon_field(kind, field, out);
	}
}

/* Signs `text` (canonical fields) and the field that begins as `field` says and lacks its b=; appends the whole to out. */
static inline void put_signed_field(const struct test_key *k, struct buf *text, const char *field,
                                    struct buf *out)
{
	uint8_t hash[DIGEST_SHA256];
	struct buf signature = {0};

	canon_field(CANON_RELAXED, bytes_of_text(field), text);
	buf_truncate(text, buf_len(text) - 2);
	digest_sha256(buf_bytes(text), hash);
	assert_int_equal(
	        private_key_sign(k->key, k->scheme, bytes_of(hash, sizeof(hash)), &signature), OK);
	buf_append_text(out, field);
	encode_base64(out, buf_bytes(&signature));
	buf_append_text(out, "\r\n");
	buf_done(&signature);
}

/* The mail with a DKIM-Signature of d=d.test on top. tags: what comes after c=relaxed/relaxed; NAMES go to h=. signed_body: what
 * bh= is over. */
static inline void sign_mail(const struct test_key *k, const char *tags, const char *names,
                             struct bytes signed_body, struct bytes mail, struct buf *out)
{
	struct bytes header = bytes_first(mail, header_len(mail));
	struct buf text = {0}, field = {0};

	buf_printf(&field, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed; %s h=%s; bh=",
	           k->scheme == PRIVATE_KEY_ED25519 ? "ed25519-sha256" : "rsa-sha256", tags, names);
	body_hash(CANON_RELAXED, signed_body, &field);
	buf_append_text(&field, "; b=");
	buf_append_char(&field, 0);
	put_fields(CANON_RELAXED, header, names, &text);
	put_signed_field(k, &text, buf_bytes(&field).ptr, out);
	buf_append(out, mail);
	buf_done(&text);
	buf_done(&field);
}

#endif
