/* Authentication-Results in our name never reaches a mailbox, however it is written or cut; all else passes octet by octet. */
#include "../test.h"

#include "smtp/strip.h"

#define HOST "mx.example.test"

/* At every way to cut it in two, and octet by octet. */
static void stripped(const char *in, const char *want)
{
	struct bytes all = bytes_of_text(in);

	for (size_t cut = 0; cut <= all.len + 1; cut++) {
		struct smtp_strip s = {0};
		struct buf out = {0};

		if (cut > all.len) {
			for (size_t i = 0; i < all.len; i++)
				smtp_strip_feed(&s, bytes_of(all.ptr + i, 1), BYTES(HOST), &out);
		} else {
			smtp_strip_feed(&s, bytes_first(all, cut), BYTES(HOST), &out);
			smtp_strip_feed(&s, bytes_skip(all, cut), BYTES(HOST), &out);
		}
		smtp_strip_end(&s, BYTES(HOST), &out);
		assert_int_equal(buf_len(&out), strlen(want));
		assert_memory_equal(buf_bytes(&out).ptr, want, strlen(want));
		smtp_strip_done(&s);
		buf_done(&out);
	}
}

static void ours_go(void **state)
{
	(void)state;
	stripped("Authentication-Results: " HOST "; spf=pass\r\nFrom: a@b.test\r\n\r\nx\r\n",
	         "From: a@b.test\r\n\r\nx\r\n");
	stripped("From: a@b.test\r\nauthentication-RESULTS :\r\n\t" HOST
	         ";\r\n dkim=pass\r\nTo: c\r\n\r\n",
	         "From: a@b.test\r\nTo: c\r\n\r\n");
	stripped("Authentication-Results: MX.example.TEST 1; none\r\n", "");
	stripped("Authentication-Results: " HOST "; spf=pass\r\n\r\nbody", "\r\nbody");
	/* Programs read on over what is no field. */
	stripped("no field at all\r\nAuthentication-Results: " HOST "; none\r\nTo: a\r\n\r\n",
	         "no field at all\r\nTo: a\r\n\r\n");
	stripped("From: a\r\n: x\r\nAuthentication-Results: " HOST "; none\r\n\r\n",
	         "From: a\r\n: x\r\n\r\n");
	stripped("\tx\r\nAuthentication-Results: (c) \"" HOST "\"; none\r\n\r\n", "\tx\r\n\r\n");
}

static void verdicts_go(void **state)
{
	(void)state;
	stripped("X-Hikyaku-Verdict: accept\r\n\tall is well\r\nx-hikyaku-judgement : 1\r\nTo: "
	         "a\r\n\r\n"
	         "X-Hikyaku-Verdict: y\r\n",
	         "To: a\r\n\r\nX-Hikyaku-Verdict: y\r\n");
}

static void others_stay(void **state)
{
	static const char *const same[] = {
	        "Authentication-Results: mx.other.test; spf=pass\r\n\tsmtp.mailfrom=x\r\nFrom: "
	        "a\r\n\r\nx\r\n",
	        "From: a\r\n\r\nAuthentication-Results: " HOST "; spf=pass\r\n",
	        "X-Authentication-Results: " HOST "; spf=pass\r\n\r\n",
	        "Subject: a\r\n Authentication-Results: " HOST "; spf=pass\r\n\r\n",
	        "",
	        "\r\n",
	        "Subject",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		stripped(same[i], same[i]);
}

/* A name as long as a line is no way around, nor is a field that does not end. */
static void long_ones(void **state)
{
	struct smtp_strip s = {0};
	struct buf in = {0}, out = {0};

	(void)state;
	buf_append_text(&in, "Authentication-Results");
	for (int i = 0; i < 600; i++)
		buf_append_char(&in, ' ');
	buf_append_text(&in, ": " HOST "; spf=pass\r\nTo: a\r\n\r\n");
	smtp_strip_feed(&s, buf_bytes(&in), BYTES(HOST), &out);
	smtp_strip_end(&s, BYTES(HOST), &out);
	assert_int_equal(buf_len(&out), strlen("To: a\r\n\r\n"));
	smtp_strip_done(&s);
	buf_clear(&in);
	buf_clear(&out);
	s = (struct smtp_strip){0};
	buf_append_text(&in, "Authentication-Results: x\r\n");
	while (buf_len(&in) < SMTP_STRIP_FIELD + 100)
		buf_append_text(&in, " more and more of it, " HOST "; spf=pass\r\n");
	buf_append_text(&in, "To: a\r\n\r\n");
	smtp_strip_feed(&s, buf_bytes(&in), BYTES(HOST), &out);
	smtp_strip_end(&s, BYTES(HOST), &out);
	assert_int_equal(buf_len(&out), strlen("To: a\r\n\r\n"));
	smtp_strip_done(&s);
	buf_done(&in);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ours_go),
	        cmocka_unit_test(verdicts_go),
	        cmocka_unit_test(others_stay),
	        cmocka_unit_test(long_ones),
	};

	return TEST_MAIN(tests);
}
