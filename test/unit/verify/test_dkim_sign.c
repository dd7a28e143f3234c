/* What stands in a signature field, what of the mail it covers, and which keys are used. That others verify it is
 * test/end/test_dkim_sign.py's to prove. */
#include "../test.h"

#include "base/encode.h"
#include "base/memory.h"
#include "verify/canon.h"
#include "verify/dkim_sign.h"

static const struct dkim_signing_key rsa = {{"example.test", 12}, {"s1", 2}, DKIM_RSA_SHA256};

static const char header[] = "Received: from a\r\n"
                             "From: Ken <ken@example.test>\r\n"
                             "To: a@far.test\r\n"
                             "Subject:  Hi \r\n"
                             "\tthere\r\n"
                             "subject: again\r\n"
                             "Date: Mon, 23 Nov 2026 18:00:00 +0900\r\n"
                             "\r\n";

static struct dkim_signer *signer_of(const char *text, const char *body)
{
	struct dkim_signer *s = dkim_signer_new(bytes_of_text(text));

	dkim_signer_body(s, bytes_of_text(body));
	dkim_signer_finish(s);
	return s;
}

static struct bytes value_of(struct bytes field, const char *tag, struct arena *arena)
{
	struct buf flat = {0};
	struct bytes rest, item, copy = {0};

	for (size_t i = 0; i < field.len; i++)
		if (field.ptr[i] != '\r' && field.ptr[i] != '\n' && field.ptr[i] != '\t' &&
		    field.ptr[i] != ' ')
			buf_append_char(&flat, field.ptr[i]);
	rest = bytes_skip(buf_bytes(&flat), sizeof("DKIM-Signature:") - 1);
	while (bytes_cut(&rest, ';', &item))
		if (bytes_starts(item, bytes_of_text(tag)) && item.ptr[strlen(tag)] == '=')
			copy = arena_copy(arena, bytes_skip(item, strlen(tag) + 1));
	buf_done(&flat);
	return copy;
}

static void test_field(void **state)
{
	struct dkim_signer *s = signer_of(header, "Hello\r\n");
	uint8_t digest[DIGEST_SHA256];
	struct buf out = {0};
	struct arena arena = {0};
	struct bytes field, line, h;
	char signature[256];

	memset(signature, 0xa5, sizeof(signature));
	dkim_signer_begin(s, &rsa, 1700000000999, digest);
	assert_int_equal(dkim_signer_put(s, bytes_of(signature, sizeof(signature)), &out), OK);
	field = buf_bytes(&out);
	assert_true(bytes_starts(field, BYTES("DKIM-Signature: v=1; ")));
	assert_true(bytes_ends(field, BYTES("\r\n")));
	assert_bytes(value_of(field, "a", &arena), BYTES("rsa-sha256"));
	assert_bytes(value_of(field, "c", &arena), BYTES("relaxed/relaxed"));
	assert_bytes(value_of(field, "d", &arena), BYTES("example.test"));
	assert_bytes(value_of(field, "s", &arena), BYTES("s1"));
	assert_bytes(value_of(field, "t", &arena), BYTES("1700000000"));
	assert_int_equal(value_of(field, "l", &arena).len, 0);
	assert_int_equal(value_of(field, "b", &arena).len, 344);
	/* Once more than there are: two Subjects are named three times, no Cc once, Received never. */
	h = value_of(field, "h", &arena);
	assert_true(bytes_starts(h, BYTES("From:From:")));
	assert_true(bytes_find(h, BYTES("Subject:Subject:Subject:Date:Date:")) != BYTES_NONE);
	assert_true(bytes_find(h, BYTES(":Cc:Subject")) != BYTES_NONE);
	assert_true(bytes_find(h, BYTES("Received")) == BYTES_NONE);
	/* A list may add its own fields. */
	assert_true(bytes_find(h, BYTES("List-Id")) == BYTES_NONE);
	assert_true(bytes_find(h, BYTES("Sender")) == BYTES_NONE);
	while (bytes_cut(&field, '\n', &line))
		assert_true(line.len <= 78);
	dkim_signer_free(&s);
	buf_done(&out);
	arena_done(&arena);
}

/* The digest is that of the signed fields, from the bottom up, and the field itself with an empty b=. */
static void test_digest(void **state)
{
	struct dkim_signer *s = signer_of(header, "Hello\r\n");
	uint8_t digest[DIGEST_SHA256], want[DIGEST_SHA256];
	struct buf out = {0}, hashed = {0};
	size_t b;

	dkim_signer_begin(s, &rsa, 1700000000999, digest);
	assert_int_equal(dkim_signer_put(s, BYTES("xyz"), &out), OK);
	buf_append_text(&hashed, "from:Ken <ken@example.test>\r\n"
	                         "to:a@far.test\r\n"
	                         "subject:again\r\n"
	                         "subject:Hi there\r\n"
	                         "date:Mon, 23 Nov 2026 18:00:00 +0900\r\n");
	b = bytes_find(buf_bytes(&out), BYTES("\tb="));
	canon_field(CANON_RELAXED, bytes_first(buf_bytes(&out), b + 3), &hashed);
	buf_truncate(&hashed, buf_len(&hashed) - 2);
	digest_sha256(buf_bytes(&hashed), want);
	assert_memory_equal(digest, want, sizeof(want));
	dkim_signer_free(&s);
	buf_done(&out);
	buf_done(&hashed);
}

/* A field that stands there a thousand times makes no signature field of a thousand names. */
static void test_repeats(void **state)
{
	struct buf many = {0}, out = {0};
	struct dkim_signer *s;
	uint8_t digest[DIGEST_SHA256];
	static char signature[512];
	static const char *const names[] = {"From",
	                                    "To",
	                                    "Cc",
	                                    "Subject",
	                                    "Date",
	                                    "References",
	                                    "List-Unsubscribe-Post",
	                                    "Content-Transfer-Encoding",
	                                    "List-Unsubscribe",
	                                    "Resent-Message-ID"};

	for (int i = 0; i < 1000; i++)
		for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
			buf_printf(&many, "%s: %d\r\n", names[n], i);
	buf_append_char(&many, '\0');
	s = signer_of(many.ptr, "");
	dkim_signer_begin(s, &rsa, 0, digest);
	assert_int_equal(dkim_signer_put(s, bytes_of(signature, sizeof(signature)), &out), OK);
	assert_true(buf_len(&out) <= DKIM_FIELD);
	buf_clear(&out);
	assert_int_equal(dkim_signer_put(s, bytes_of(many.ptr, 5000), &out), TOO_BIG);
	assert_int_equal(buf_len(&out), 0);
	dkim_signer_free(&s);
	buf_done(&many);
	buf_done(&out);
}

/* Nothing of a mail: an empty header is signed for what is not in it. */
static void test_empty(void **state)
{
	struct dkim_signer *s = signer_of("", "");
	uint8_t digest[DIGEST_SHA256];
	struct buf out = {0};

	dkim_signer_begin(s, &rsa, 0, digest);
	assert_int_equal(dkim_signer_put(s, BYTES("x"), &out), OK);
	assert_true(bytes_find(buf_bytes(&out),
	                       BYTES("bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;")) !=
	            BYTES_NONE);
	dkim_signer_free(&s);
	buf_done(&out);
}

/* ---- which keys ---- */

static void put_key(struct buf *out, const char *selector, uint8_t algorithm, uint8_t state)
{
	buf_block(out, bytes_of_text(selector));
	buf_u8(out, algorithm);
	buf_u8(out, state);
	buf_block(out, BYTES("v=DKIM1; k=rsa; p=AAAA"));
	buf_u64(out, 0);
}

static void test_keys(void **state)
{
	struct buf packed = {0};
	struct dkim_signing_keys keys;

	assert_int_equal(dkim_signing_keys_parse((struct bytes){0}, BYTES("a.test"), &keys), OK);
	assert_int_equal(keys.count, 0);
	put_key(&packed, "old", DKIM_RSA_SHA256, DKIM_KEY_OLD);
	put_key(&packed, "new", DKIM_RSA_SHA256, DKIM_KEY_NEW);
	put_key(&packed, "ed", DKIM_ED25519_SHA256, DKIM_KEY_SIGNS);
	put_key(&packed, "one", DKIM_RSA_SHA256, DKIM_KEY_SIGNS);
	put_key(&packed, "two", DKIM_RSA_SHA256, DKIM_KEY_SIGNS);
	put_key(&packed, "later", 9, DKIM_KEY_SIGNS);
	assert_int_equal(dkim_signing_keys_parse(buf_bytes(&packed), BYTES("a.test"), &keys), OK);
	assert_int_equal(keys.count, 2);
	assert_bytes(keys.items[0].selector, BYTES("ed"));
	assert_bytes(keys.items[1].selector, BYTES("one"));
	assert_bytes(keys.items[1].domain, BYTES("a.test"));
	buf_truncate(&packed, buf_len(&packed) - 1);
	assert_int_equal(dkim_signing_keys_parse(buf_bytes(&packed), BYTES("a.test"), &keys),
	                 INVALID);
	buf_done(&packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_field),   cmocka_unit_test(test_digest),
	        cmocka_unit_test(test_repeats), cmocka_unit_test(test_empty),
	        cmocka_unit_test(test_keys),
	};

	return TEST_MAIN(tests);
}
