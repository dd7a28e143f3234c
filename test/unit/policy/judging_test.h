/* Small helpers for the tests of content and verdict. */
#ifndef POLICY_JUDGING_TEST_H
#define POLICY_JUDGING_TEST_H

#include "../mail/data.h"
#include "../test.h"

#include "policy/content.h"
#include "policy/verdict.h"

static inline struct config *judging_config(const char *more)
{
	struct buf text = {0};
	struct config_source sources[2] = {
	        {BYTES("hikyaku.conf"), {0}},
	        {BYTES("virtual"), BYTES("kenkyu@example.test ken, mie\n")}};
	struct config *c = NULL;
	struct why why = {{0}};

	buf_append_text(&text, "hostname mx.example.test\ndomain example.test\n");
	buf_append_text(&text, more);
	sources[0].text = buf_bytes(&text);
	if (config_parse(sources, 2, &c, &why) != OK)
		fail_msg("refused: %s", why.text);
	buf_done(&text);
	return c;
}

static inline struct content *content_of(struct bytes mail, size_t piece)
{
	struct content *c = content_new();

	while (mail.len) {
		content_feed(c, bytes_first(mail, piece));
		mail = bytes_skip(mail, piece);
	}
	content_end(c);
	return c;
}

/* Points of one check, or 0; all of them for NULL. */
static inline int points_of(const struct evidence *list, size_t count, const char *check)
{
	int sum = 0;

	for (size_t i = 0; i < count; i++) {
		if (!check || bytes_equal(list[i].check, bytes_of_text(check)))
			sum += list[i].points;
	}
	return sum;
}

#endif
