/* Mails of strangers as the content checks read them: any split gives the same tokens and hosts, what is kept is bounded, and
 * the evidence and the verdict made of it fit where they go. The first octet says how the rest is split; the last ones stand
 * for what HISTORY answers. */
#include <stdlib.h>

#include "base/text.h"
#include "mail/charset.h"
#include "policy/content.h"
#include "policy/tokens.h"
#include "policy/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct config *config;

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct config_source sources[] = {
	        {BYTES("hikyaku.conf"),
	         BYTES("hostname mx.example.test\ndomain example.test example.co.jp\n")},
	        {BYTES("virtual"), BYTES("all@example.test ken, mie\n")}};
	struct why why;

	check(charset_warm(&why) == OK);
	check(config_parse(sources, 2, &config, &why) == OK);
	return 0;
}

static struct content *read_in_pieces(struct bytes mail, size_t piece)
{
	struct content *c = content_new();

	while (mail.len) {
		content_feed(c, bytes_first(mail, piece));
		mail = bytes_skip(mail, piece);
	}
	content_end(c);
	return c;
}

static void check_seen(const struct content_seen *s)
{
	check(s->host_count <= CONTENT_HOSTS);
	check(s->tokens.len <= TOKENS_MAX * 8);
	check(s->received.len <= (size_t)CONTENT_RECEIVED * 16);
	check(text_is_utf8(s->subject) && text_is_utf8(s->from_name));
	for (size_t i = 0; i < s->host_count; i++)
		check(s->hosts[i].len > 0 && s->hosts[i].len <= LIMIT_DOMAIN);
	check((s->from.len == 0) == (s->from_domain.len == 0));
}

static void check_verdict(const struct evidence *list, size_t count, struct arena *arena)
{
	static const struct verdict_threshold t[] = {{500, 1200}, {0, 0}};
	struct verdict v;

	verdict_make(list, count, t, 2, arena, &v);
	check(v.why.len <= VERDICT_WHY && v.reason.len <= VERDICT_REASON + EVIDENCE_CHECK);
	check(text_is_ascii(v.why) || text_is_utf8(v.why));
	check(bytes_find_char(v.why, '\n') == BYTES_NONE &&
	      bytes_find_char(v.reason, '\r') == BYTES_NONE);
}

static void judge(const struct content *c, struct bytes tail)
{
	struct evidence list[EVIDENCE_MAX];
	struct arena arena = {0};
	struct buf rcpts = {0};
	struct answer_history history = {.known = tail.len ? (unsigned char)tail.ptr[0] : 0,
	                                 .reputations = tail,
	                                 .tokens = tail,
	                                 .bad_total = 50,
	                                 .good_total = 50};
	struct content_setting setting = {.config = config};
	size_t count;

	buf_block(&rcpts, BYTES("all@example.test"));
	buf_block(&rcpts, BYTES("info@example.test"));
	setting.rcpts = buf_bytes(&rcpts);
	count = content_evidence(c, &setting, &history, &arena, list, EVIDENCE_MAX);
	for (size_t i = 0; i < count; i++)
		check(abs(list[i].points) <= EVIDENCE_POINTS && list[i].text.len <= EVIDENCE_TEXT &&
		      list[i].check.len <= EVIDENCE_CHECK);
	check_verdict(list, count, &arena);
	check(content_evidence(c, &setting, NULL, &arena, list, 1) <= 1);
	buf_done(&rcpts);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes mail = bytes_of(data, size);
	struct content *whole, *pieces;

	if (size < 2)
		return 0;
	mail = bytes_skip(mail, 1);
	whole = read_in_pieces(mail, SIZE_MAX);
	pieces = read_in_pieces(mail, 1 + data[0] % 67);
	check_seen(content_seen(whole));
	check(bytes_equal(content_seen(whole)->tokens, content_seen(pieces)->tokens));
	check(content_seen(whole)->host_count == content_seen(pieces)->host_count);
	check(content_seen(whole)->links == content_seen(pieces)->links);
	judge(whole, bytes_skip(mail, mail.len > 64 ? mail.len - 64 : 0));
	content_free(&whole);
	content_free(&pieces);
	return 0;
}
