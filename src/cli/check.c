#include "cli/check.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "sys/sandbox.h"

enum { INPUT_MAX = 512 * 1024 * 1024 };

struct kind {
	const char *name;
	const char *args;
	check_function *run;
};

static const struct kind kinds[] = {
        {"mime", "", check_mime},
        {"charset", "NAME", check_charset},
        {"bounce", "", check_bounce},
        {NULL, NULL, NULL},
};

static const struct kind *find_kind(const char *name)
{
	const struct kind *k;

	for (k = kinds; k->name && strcmp(k->name, name) != 0; k++)
		;
	return k->name ? k : NULL;
}

static enum result read_stdin(struct buf *in, struct why *why)
{
	enum { STEP = 256 * 1024 };
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf_room(in, STEP), STEP)) > 0) {
		buf_added(in, (size_t)n);
		if (buf_len(in) > INPUT_MAX)
			return why_set(why, TOO_BIG, "more than %d octets on stdin", INPUT_MAX);
	}
	return n == 0 ? OK : why_set(why, FAILED, "cannot read stdin");
}

static enum result judge(const struct kind *k, struct check *check, struct buf *out,
                         struct why *why)
{
	struct sandbox_report report;
	struct buf in = {0};
	enum result r = sandbox_enter(&(struct sandbox){0}, &report, why);

	if (r == OK)
		r = read_stdin(&in, why);
	check->in = buf_bytes(&in);
	if (r == OK)
		r = k->run(check, out, why);
	buf_done(&in);
	return r;
}

int cli_check(struct cli *c)
{
	const struct kind *k = find_kind(c->args[0]);
	struct check check = {.args = c->args + 1, .arg_count = c->arg_count - 1};
	struct buf out = {0};
	struct why why = {0};
	enum result r;

	if (!k)
		return cli_say_usage(c->command,
		                     "no such KIND; there are mime, charset and bounce");
	if (check.arg_count != (*k->args ? 1 : 0))
		return cli_say_usage(c->command,
		                     *k->args ? "that KIND takes a NAME" : "that is too much");
	r = judge(k, &check, &out, &why);
	if (r == OK)
		fwrite(buf_bytes(&out).ptr, 1, buf_len(&out), stdout);
	buf_done(&out);
	return r == OK ? CLI_DONE : cli_fail(&why);
}
