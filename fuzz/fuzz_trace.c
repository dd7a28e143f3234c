/* What people paste into trace, what mx says that the checks said, and what a digest tells of it: strangers' words in
 * the operator's and the users' hands. In bounds, on one line, without control characters. */
#include <stdlib.h>

#include "base/text.h"
#include "carrying/digest.h"
#include "mail/charset.h"
#include "store/escrow.h"
#include "store/trace_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct why why;

	(void)argc;
	(void)argv;
	check(charset_warm(&why) == OK);
	return 0;
}

static void scan(struct bytes in)
{
	struct trace_clue list[TRACE_CLUES];
	size_t count = trace_scan(in, list);
	char id[JUDGEMENT_ID + 1];
	uint64_t back;

	check(count <= TRACE_CLUES);
	for (size_t i = 0; i < count; i++) {
		check(list[i].text.len <= 1000);
		if (list[i].kind != TRACE_JUDGEMENT)
			continue;
		judgement_id(list[i].number, id);
		check(judgement_of_id(bytes_of_text(id), &back) && back == list[i].number);
	}
}

static void words(struct bytes in)
{
	struct judgement j = {.score = 31240, .known = 17, .evidence = in};
	struct arena arena = {0};
	struct bytes text = judgement_words(&arena, &j);
	bool bad;

	check(text.len < 1700 && text_is_utf8(text));
	for (size_t i = 0; i < text.len; i++)
		check((unsigned char)text.ptr[i] >= ' ' && text.ptr[i] != 0x7f);
	(void)judgement_mark(&j);
	check(senders_host(in, &bad).len <= in.len);
	arena_done(&arena);
}

static void digest(struct bytes in, bool japanese)
{
	struct answer_digest a = {.rcpt = BYTES("ken@example.test"),
	                          .japanese = japanese,
	                          .until = 1700000000000,
	                          .count = 3,
	                          .rows = in};
	struct config config = {.hostname = BYTES("mx.example.test")};
	struct buf mail = {0};

	digest_mail(&config, &a, 1700000000000, &mail);
	for (size_t i = 0; i < buf_len(&mail); i++)
		check((unsigned char)buf_bytes(&mail).ptr[i] < 0x80);
	buf_done(&mail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of((const char *)data, size);

	scan(in);
	words(in);
	digest(in, size & 1);
	return 0;
}
