/* Canonical forms: the examples of RFC 6376, 3.4.5, what they leave open, and that no split of a body matters. */
#include "../test.h"

#include "base/encode.h"
#include "verify/canon.h"

/* ---- fields ---- */

static const struct {
	enum canon_kind kind;
	const char *in, *out;
} fields[] = {
        {CANON_RELAXED, "A: X\r\n", "a:X\r\n"},
        {CANON_RELAXED, "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
        {CANON_SIMPLE, "B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  \r\n"},
        {CANON_RELAXED, "SubJect:\r\n", "subject:\r\n"},
        {CANON_RELAXED, "X: \r\n \r\n\t a\r\n", "x:a\r\n"},
        {CANON_RELAXED, "X:a:b : c\r\n", "x:a:b : c\r\n"},
        {CANON_RELAXED, "X:a", "x:a\r\n"},
        {CANON_SIMPLE, "X:a", "X:a\r\n"},
        {CANON_RELAXED, "X: a\n b\n", "x:a b\r\n"},
};

static void test_fields(void **state)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct buf out = {0};

		canon_field(fields[i].kind, bytes_of_text(fields[i].in), &out);
		assert_bytes(buf_bytes(&out), bytes_of_text(fields[i].out));
		buf_done(&out);
	}
}

/* ---- bodies ---- */

static const struct {
	enum canon_kind kind;
	const char *in, *out; /* what must be hashed */
} bodies[] = {
        {CANON_RELAXED, " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"},
        {CANON_SIMPLE, " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n"},
        {CANON_RELAXED, "", ""},
        {CANON_SIMPLE, "", "\r\n"},
        {CANON_RELAXED, "\r\n\r\n", ""},
        {CANON_SIMPLE, "\r\n\r\n", "\r\n"},
        {CANON_RELAXED, " \t\r\n \r\n", ""},
        {CANON_SIMPLE, " \r\n\r\n", " \r\n"},
        {CANON_RELAXED, "a", "a\r\n"},
        {CANON_SIMPLE, "a", "a\r\n"},
        {CANON_RELAXED, "a  ", "a\r\n"},
        {CANON_SIMPLE, "a  ", "a  \r\n"},
        {CANON_RELAXED, "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"},
        {CANON_RELAXED, "a\r\n  \r\n b  c\r\n", "a\r\n\r\n b c\r\n"},
        {CANON_RELAXED, "a\rb \r\n", "a\rb\r\n"},
        {CANON_RELAXED, "a \r b\r\n", "a \r b\r\n"},
        {CANON_RELAXED, "a\r\r\n", "a\r\r\n"},
        {CANON_RELAXED, "a\nb\n", "a\nb\n\r\n"},
        {CANON_SIMPLE, "a\r", "a\r\r\n"},
        {CANON_RELAXED, "a\r\n\r", "a\r\n\r\r\n"},
};

static void hash_in_pieces(enum canon_kind kind, struct bytes in, size_t piece,
                           uint8_t ret[DIGEST_SHA256])
{
	struct canon_body *b = canon_body_new(kind);

	for (; in.len > 0; in = bytes_skip(in, piece))
		canon_body_add(b, bytes_first(in, piece));
	canon_body_finish(&b, ret);
	assert_null(b);
}

static void test_bodies(void **state)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		uint8_t want[DIGEST_SHA256], got[DIGEST_SHA256];

		digest_sha256(bytes_of_text(bodies[i].out), want);
		for (size_t piece = 1; piece < 12; piece++) {
			hash_in_pieces(bodies[i].kind, bytes_of_text(bodies[i].in), piece, got);
			if (memcmp(got, want, sizeof(got)) != 0)
				print_error("body %zu, pieces of %zu\n", i, piece);
			assert_memory_equal(got, want, sizeof(got));
		}
	}
}

/* The hashes of an empty body as RFC 6376, 3.4.3 and 3.4.4 print them. */
static void test_empty_hashes(void **state)
{
	static const char *const known[] = {
	        [CANON_SIMPLE] = "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=",
	        [CANON_RELAXED] = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
	};

	for (enum canon_kind kind = CANON_SIMPLE; kind <= CANON_RELAXED; kind++) {
		uint8_t got[DIGEST_SHA256];
		struct buf text = {0};

		hash_in_pieces(kind, (struct bytes){0}, 1, got);
		encode_base64(&text, bytes_of(got, sizeof(got)));
		assert_bytes(buf_bytes(&text), bytes_of_text(known[kind]));
		buf_done(&text);
	}
}

/* More than its own buffer, and lines kept back across it. */
static void test_big(void **state)
{
	struct buf in = {0}, out = {0};
	uint8_t want[DIGEST_SHA256], got[DIGEST_SHA256];

	for (int i = 0; i < 5000; i++) {
		buf_printf(&in, "line  %d \t\r\n%s", i, i % 7 ? "" : "  \r\n\r\n");
		buf_printf(&out, "line %d\r\n%s", i, i % 7 ? "" : "\r\n\r\n");
	}
	buf_append_text(&in, "\r\n\r\n");
	digest_sha256(buf_bytes(&out), want);
	for (size_t piece = 1; piece < 20000; piece = piece * 3 + 1) {
		hash_in_pieces(CANON_RELAXED, buf_bytes(&in), piece, got);
		assert_memory_equal(got, want, sizeof(got));
	}
	buf_done(&in);
	buf_done(&out);
}

static void test_given_up(void **state)
{
	struct canon_body *b = canon_body_new(CANON_SIMPLE);

	canon_body_add(b, BYTES("a\r"));
	canon_body_free(&b);
	canon_body_free(&b);
	assert_null(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_fields),       cmocka_unit_test(test_bodies),
	        cmocka_unit_test(test_empty_hashes), cmocka_unit_test(test_big),
	        cmocka_unit_test(test_given_up),
	};

	return TEST_MAIN(tests);
}
