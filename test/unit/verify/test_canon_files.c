/* The 21 cases of test/data/dkim/canon: whole mails in canonical form, header and hash of the body. */
#include "../test.h"

#include "../mail/data.h"
#include "mail/header.h"
#include "verify/canon.h"

static const struct {
	const char *file, *why;
} differences[] = {
        {"24", "relaxed: blanks at the end of the last line, which has no line end, are kept "
               "there; RFC 6376, 3.4.4, "
               "has none at the end of any line, and lines of nothing at the end do not count"},
};

static bool is_different(enum canon_kind kind, const char *nth)
{
	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++)
		if (kind == CANON_RELAXED && strcmp(nth, differences[i].file) == 0)
			return true;
	return false;
}

static void one(enum canon_kind kind, const char *nth)
{
	struct arena arena = {0};
	char path[80];
	uint8_t got[DIGEST_SHA256], want[DIGEST_SHA256];
	struct buf header = {0};
	struct header_field f;
	struct bytes mail, rest, expected;
	struct canon_body *b = canon_body_new(kind);
	size_t len;

	snprintf(path, sizeof(path), "dkim/canon/email.%s", nth);
	mail = data_with_crlf(data_read(path, &arena), &arena);
	snprintf(path, sizeof(path), "dkim/canon/%s.expected.%s",
	         kind == CANON_RELAXED ? "relaxed" : "simple", nth);
	expected = data_read(path, &arena);
	len = header_len(mail);
	rest = bytes_first(mail, len);
	while (header_next(&rest, &f))
		canon_field(kind, f.whole, &header);
	buf_append_text(&header, "\r\n");
	assert_bytes(bytes_first(expected, buf_len(&header)), buf_bytes(&header));
	canon_body_add(b, bytes_skip(mail, len));
	canon_body_finish(&b, got);
	digest_sha256(bytes_skip(expected, buf_len(&header)), want);
	assert_int_equal(memcmp(got, want, sizeof(got)) != 0, is_different(kind, nth));
	buf_done(&header);
	arena_done(&arena);
}

static void test_all(void **state)
{
	struct arena arena = {0};
	char **names = data_list("dkim/canon", "", &arena);
	unsigned count = 0;

	for (size_t i = 0; names[i]; i++) {
		if (strncmp(names[i], "email.", 6) != 0)
			continue;
		one(CANON_SIMPLE, names[i] + 6);
		one(CANON_RELAXED, names[i] + 6);
		count++;
	}
	assert_int_equal(count, 21);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};

	return TEST_MAIN(tests);
}
