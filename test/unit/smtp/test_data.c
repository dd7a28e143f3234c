#include "../test.h"

#include "base/buf.h"
#include "smtp/data.h"

struct play {
	struct buf content;
	size_t taken;
	bool end, bare;
};

/* Feeds pieces of a length, up to the end or what there is. */
static struct play play(struct bytes in, size_t piece)
{
	struct play p = {0};
	struct smtp_data d = {0};

	while (p.taken < in.len && !p.end) {
		struct bytes part = bytes_first(bytes_skip(in, p.taken), piece), run;

		while (part.len > 0 && !p.end) {
			size_t n = smtp_data_next(&d, part, &run, &p.end);

			assert_true(n > 0 && n <= part.len);
			assert_true(run.len <= n);
			buf_append(&p.content, run);
			part = bytes_skip(part, n);
			p.taken += n;
		}
	}
	p.bare = d.bare;
	return p;
}

struct expected {
	const char *in, *content; /* content NULL: bare; "-": it does not end */
	size_t left;
};

static const struct expected cases[] = {
        {".\r\nNOOP\r\n", "", 6},
        {"a\r\n.\r\n", "a\r\n", 0},
        {"..\r\n.\r\n", ".\r\n", 0},
        {".a\r\n..b\r\n.\r\n.\r\n", "a\r\n.b\r\n", 3},
        {"a.\r\n.\r\n", "a.\r\n", 0},
        {"\r\n\r\n.\r\n", "\r\n\r\n", 0},
        {"a\r\n. \r\n.\r\n", "a\r\n \r\n", 0},
        {"a\n.\r\n\r\n.\r\nx", NULL, 1},
        {"a\r.\r\r\n.\r\n", NULL, 0},
        {"\n\r\n.\r\n", NULL, 0},
        {".\n\r\n.\r\n", NULL, 0},
        {".\rx\r\n.\r\n", NULL, 0},
        {".\r\r\n.\r\n", NULL, 0},
        {"a\r\r\n.\r\n", NULL, 0},
        {"\r\n.\r", "-", 0},
        {"a\r\n", "-", 0},
};

static void check(const struct expected *e, size_t piece)
{
	struct bytes in = bytes_of_text(e->in);
	struct play p = play(in, piece);
	bool open = e->content && strcmp(e->content, "-") == 0;

	assert_int_equal(p.end, !open);
	assert_int_equal(p.bare, e->content == NULL);
	assert_int_equal(in.len - p.taken, e->left);
	if (e->content && !open)
		assert_bytes(buf_bytes(&p.content), bytes_of_text(e->content));
	buf_done(&p.content);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t piece = 1; piece < 12; piece++)
			check(&cases[i], piece);
}

/* The plain way to say the same: one octet at a time, by the grammar. */
static bool model(struct bytes in, struct buf *content, bool *ret_bare)
{
	*ret_bare = false;
	for (size_t i = 0; i < in.len; i++) {
		bool cr = in.ptr[i] == '\r' && !(i + 1 < in.len && in.ptr[i + 1] == '\n');

		cr = cr && i + 1 < in.len;
		if (cr || (in.ptr[i] == '\n' && (i == 0 || in.ptr[i - 1] != '\r')))
			*ret_bare = true;
		if (i >= 2 && in.ptr[i] == '\n' && in.ptr[i - 1] == '\r' && in.ptr[i - 2] == '.' &&
		    (i == 2 || (i >= 4 && in.ptr[i - 3] == '\n' && in.ptr[i - 4] == '\r'))) {
			struct bytes line, rest = bytes_first(in, i - 2);

			while (!*ret_bare && bytes_cut(&rest, '\n', &line)) {
				buf_append(content,
				           bytes_skip(line, bytes_starts(line, BYTES("."))));
				buf_append_char(content, '\n');
			}
			return true;
		}
	}
	return false;
}

/* All texts of up to eight octets over the four that matter. */
static void test_all_short(void **state)
{
	static const char alphabet[] = "\r\n.a";

	for (unsigned len = 1; len <= 8; len++) {
		for (unsigned n = 0; n < 1u << (2 * len); n++) {
			char text[8];
			struct buf want = {0};
			bool bare, end;
			struct play p;

			for (unsigned i = 0; i < len; i++)
				text[i] = alphabet[n >> (2 * i) & 3];
			end = model(bytes_of(text, len), &want, &bare);
			p = play(bytes_of(text, len), 1 + n % 4);
			assert_int_equal(p.end, end);
			if (end)
				assert_int_equal(p.bare, bare);
			if (end && !bare)
				assert_bytes(buf_bytes(&p.content), buf_bytes(&want));
			buf_done(&p.content);
			buf_done(&want);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cases),
	        cmocka_unit_test(test_all_short),
	};

	return TEST_MAIN(tests);
}
