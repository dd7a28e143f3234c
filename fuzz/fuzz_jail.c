/* Filters that somebody wrote, and lines that strangers had written into logs: judged in bounds and in bounded time. The
 * input is a filter, an octet 0 and lines; without that octet lines for our own filters. */
#include <stdlib.h>

#include "policy/jail.h"

enum { FILTERS = 17 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

struct given {
	struct bytes text;
};

static bool give(void *context, struct bytes name, struct bytes *ret)
{
	const struct given *g = context;

	if (!bytes_equal(name, BYTES("fuzz")))
		return jail_builtin(NULL, name, ret);
	*ret = g->text;
	return true;
}

static void judge(struct jail *j, struct bytes lines)
{
	struct bytes line;
	const struct jail_rule_count *rules;
	size_t count = jail_rules(j, &rules);
	unsigned most = 50;

	while (most-- > 0 && bytes_cut(&lines, '\n', &line)) {
		struct jail_verdict v;

		jail_judge(j, line, &v);
		check(v.rule <= count && (!v.match || (v.rule > 0 && v.host.len > 0)));
		check(v.match || v.host.len == 0);
		/* An address is one that the line has, or that an earlier line of its connection had. */
		check(v.host.len <= JAIL_LINE_MAX);
	}
}

/* Ours are made once. */
static struct jail *ours(unsigned nth)
{
	static struct jail *made[FILTERS];
	struct why why;

	if (!made[nth])
		check(jail_new(jail_builtin_name(nth), (struct bytes){0}, jail_builtin, NULL,
		               &made[nth], &why) == OK);
	jail_reset(made[nth]);
	return made[nth];
}

static void judge_given(struct bytes text, struct bytes lines)
{
	struct given g = {text};
	struct jail *j = NULL;
	enum result proved;
	struct why why;

	if (jail_new(BYTES("fuzz"), (struct bytes){0}, give, &g, &j, &why) != OK)
		return;
	proved = jail_prove(j, &why);
	check(proved == OK || proved == INVALID);
	judge(j, lines);
	jail_free(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	size_t zero = bytes_find_char(in, '\0');

	if (size == 0 || size > 4096)
		return 0;
	if (zero != BYTES_NONE)
		judge_given(bytes_first(in, zero), bytes_skip(in, zero + 1));
	else
		judge(ours(data[0] % FILTERS), bytes_skip(in, 1));
	return 0;
}
