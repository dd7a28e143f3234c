/* Summaries: what a mail encodes to is at most LIMIT_SUMMARY, does not depend on the split, and
 * decodes; any octets may be given to the decoder, and what it takes encodes again to a form
 * that decodes. */
#include <stdlib.h>

#include "mail/summary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void build(struct bytes mail, size_t step, struct buf *out)
{
	struct summary_builder *b = summary_builder_new();

	for (; mail.len > 0; mail = bytes_skip(mail, step))
		summary_builder_feed(b, bytes_first(mail, step));
	summary_builder_finish(b, out);
	summary_builder_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	struct buf one = {0}, two = {0};
	struct arena arena = {0};
	struct summary s;

	build(in, 3, &one);
	build(in, 1000, &two);
	check(buf_len(&one) <= LIMIT_SUMMARY);
	check(bytes_equal(buf_bytes(&one), buf_bytes(&two)));
	check(summary_decode(buf_bytes(&one), &arena, &s) == OK);
	check(s.size == size && s.root->envelope);
	buf_clear(&two);
	summary_base_subject(s.root->envelope->subject, &two, NULL);
	if (summary_decode(in, &arena, &s) == OK) {
		buf_clear(&two);
		summary_encode(&s, &two);
		check(buf_len(&two) <= LIMIT_SUMMARY);
		check(summary_decode(buf_bytes(&two), &arena, &s) == OK);
	}
	buf_done(&one);
	buf_done(&two);
	arena_done(&arena);
	return 0;
}
