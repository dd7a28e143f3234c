/* Nothing that strangers send costs more than its length: every parser of mail/ is run on inputs
 * that are one piece repeated, and on twice as much; the basic blocks that run and the octets that
 * libc searches are counted (no time is measured).
 *
 * The sources of mail/ are compiled into this test with -fsanitize-coverage=trace-pc, which calls
 * __sanitizer_cov_trace_pc() once a basic block. */
#include "../test.h"

#include "mail/address.h"
#include "mail/body.h"
#include "mail/charset.h"
#include "mail/date.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/summary.h"
#include "mail/trace.h"
#include "mail/words.h"

static uint64_t work;

void __sanitizer_cov_trace_pc(void);
void *__real_memchr(const void *s, int c, size_t n);
void *__real_memrchr(const void *s, int c, size_t n);
void *__real_memmem(const void *h, size_t hn, const void *n, size_t nn);
void *__wrap_memchr(const void *s, int c, size_t n);
void *__wrap_memrchr(const void *s, int c, size_t n);
void *__wrap_memmem(const void *h, size_t hn, const void *n, size_t nn);

void __sanitizer_cov_trace_pc(void)
{
	work++;
}

static void count_search(const void *from, size_t n, const void *found)
{
	work += (found ? (size_t)((const char *)found - (const char *)from) : n) / 8;
}

void *__wrap_memchr(const void *s, int c, size_t n)
{
	void *found = __real_memchr(s, c, n);
	count_search(s, n, found);
	return found;
}

void *__wrap_memrchr(const void *s, int c, size_t n)
{
	void *found = __real_memrchr(s, c, n);
	work += (found ? (size_t)((const char *)s + n - (const char *)found) : n) / 8;
	return found;
}

void *__wrap_memmem(const void *h, size_t hn, const void *n, size_t nn)
{
	void *found = __real_memmem(h, hn, n, nn);
	count_search(h, hn, found);
	return found;
}

/* ---- what is run ---- */

typedef void run_function(struct bytes in, struct arena *arena, struct buf *out);

static void run_address(struct bytes in, struct arena *arena, struct buf *out)
{
	for (struct address *a = address_parse(in, arena); a; a = a->next)
		address_put(a, out);
}

static void run_words(struct bytes in, struct arena *arena, struct buf *out)
{
	words_decode(in, out);
}

static void run_params(struct bytes in, struct arena *arena, struct buf *out)
{
	struct bytes type, subtype;
	struct mime_param *params;

	mime_value_parse(in, arena, &type, &subtype, &params);
	words_param(params, BYTES("x"), out);
}

static void run_date(struct bytes in, struct arena *arena, struct buf *out)
{
	time_ms t;
	if (date_parse(in, &t, NULL) != OK)
		buf_append_char(out, '-');
}

static void run_mail(struct bytes in, struct arena *arena, struct buf *out)
{
	struct summary s = summary_of(in, arena);
	summary_encode(&s, out);
}

static void run_header(struct bytes in, struct arena *arena, struct buf *out)
{
	struct bytes rest = in;
	struct header_field f;

	header_len(in);
	while (header_next(&rest, &f))
		header_unfold(f.value, arena);
	trace_hops(in);
	trace_delivered_to(in, BYTES("a@b"));
	dsn_is_automatic(in, BYTES("a@b"));
	dsn_is_japanese(in);
}

static void run_subject(struct bytes in, struct arena *arena, struct buf *out)
{
	struct bytes rest = in, id;

	summary_base_subject(in, out, NULL);
	while (summary_next_id(&rest, &id))
		;
}

static void run_charset(struct bytes in, struct arena *arena, struct buf *out)
{
	assert_int_equal(charset_to_utf8(BYTES("iso-2022-jp"), in, out), OK);
	charset_guess(in);
}

static void run_body(struct bytes in, struct arena *arena, struct buf *out)
{
	for (int encoding = MIME_BASE64; encoding <= MIME_QUOTED; encoding++) {
		struct body_decoder d = body_decoder_of(encoding);
		body_decode(&d, in, out);
		body_decode_end(&d, out);
	}
}

static void run_encode(struct bytes in, struct arena *arena, struct buf *out)
{
	words_encode(in, 9, out);
}

static const struct {
	const char *name;
	run_function *run;
} runs[] = {
        {"address", run_address}, {"words", run_words},     {"params", run_params},
        {"date", run_date},       {"mail", run_mail},       {"header", run_header},
        {"subject", run_subject}, {"charset", run_charset}, {"body", run_body},
        {"encode", run_encode},
};

static const char *const heads[] = {"",
                                    "Content-Type: multipart/mixed; boundary=b\n\n",
                                    "To: ",
                                    "Subject: ",
                                    "a/b; x=",
                                    "References: ",
                                    "Content-Type: a/b"};

static const char *const pieces[] = {
        "a",
        " ",
        "\n",
        "\r\n",
        "\r\n ",
        "(",
        ")",
        "((",
        "\"",
        "\\",
        "\"\\",
        "<",
        ">",
        "<a@b>",
        "<<",
        "@",
        ",",
        ";",
        ":",
        "a:b;",
        "[",
        "]",
        "[]",
        "[a",
        "=?",
        "?=",
        "=?a?b?",
        "=?a?b?x",
        "=?utf-8?q?a?= ",
        "=?utf-8?b?YQ==?=",
        "=?x?q?\xff?= ",
        "=?a?x?",
        "\x1b$B",
        "\x1b$B4A",
        "\x1b$B4A\x1b(B",
        "\x1b(J\\",
        "\x1b",
        "\x0e",
        "\xff",
        "\xe3\x81\x82",
        "\x82\xa0",
        "\xa4\xa2",
        "--b\n",
        "--bb\n",
        "-\n",
        "--\n",
        "--b\nContent-Type: multipart/mixed; boundary=b\n\n",
        "Content-Type: message/rfc822\n\n",
        "To: a@b\n",
        "a: b\n",
        "Received: x\n",
        "re: ",
        "[a] ",
        "[fwd: ",
        "(fwd) ",
        "]",
        ";x*0=a",
        ";x*1*=%41",
        ";x=\"a",
        "; x",
        "1 ",
        "1:2",
        "1/2/3 ",
        "+0100 ",
        "Jan ",
        "=",
        "=4",
        "=\n",
        "%",
        "YQ==",
        "' ",
        "a b=c ",
        "multipart/",
        "|",
        "a@b c@d ",
};

static struct bytes repeated(const char *head, const char *piece, size_t times, struct arena *arena)
{
	size_t head_len = strlen(head), len = strlen(piece);
	char *out = arena_get(arena, head_len + len * times);

	memcpy(out, head, head_len);
	for (size_t i = 0; i < times; i++)
		memcpy(out + head_len + i * len, piece, len);
	return bytes_of(out, head_len + len * times);
}

static uint64_t cost(run_function *run, const char *head, const char *piece, size_t times,
                     size_t *ret_len)
{
	struct arena arena = {0};
	struct buf out = {0};
	struct bytes in = repeated(head, piece, times, &arena);

	work = 0;
	run(in, &arena, &out);
	*ret_len = in.len;
	buf_done(&out);
	arena_done(&arena);
	return work;
}

static void work_is_linear(void **state)
{
	enum { TIMES = 300, MOST_PER_OCTET = 400 };
	unsigned failures = 0;

	for (size_t r = 0; r < sizeof(runs) / sizeof(runs[0]); r++) {
		for (size_t h = 0; h < sizeof(heads) / sizeof(heads[0]); h++) {
			for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
				size_t len;
				uint64_t once = cost(runs[r].run, heads[h], pieces[p], TIMES, &len);
				uint64_t four = cost(runs[r].run, heads[h], pieces[p], 4 * TIMES,
				                     &len);
				if (four <= 5 * once + 20000 &&
				    four <= MOST_PER_OCTET * (uint64_t)len)
					continue;
				print_error("%s of %s%s...: %llu, four times as much %llu, an "
				            "octet %llu\n",
				            runs[r].name, heads[h], pieces[p],
				            (unsigned long long)once, (unsigned long long)four,
				            (unsigned long long)(four / len));
				failures++;
			}
		}
	}
	assert_int_equal(failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(work_is_linear)};
	return TEST_MAIN(tests);
}
