#include "cli/check.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "sys/clock.h"
#include "sys/sandbox.h"

enum { INPUT_MAX = 512 * 1024 * 1024 };

struct kind {
	const char *name;
	const char *args;
	const char *options; /* words: "--dns= --explain"; = takes a value */
	bool reads;          /* stdin */
	check_function *run;
};

static const struct kind kinds[] = {
        {"mime", "", "", true, check_mime},
        {"charset", "NAME", "", true, check_charset},
        {"bounce", "", "", true, check_bounce},
        {"dkim", "", "--dns= --now= --old-rules --explain", true, check_dkim},
        {"arc", "", "--dns= --now= --old-rules --explain", true, check_arc},
        {"spf", "", "--dns= --ip= --helo= --from= --hostname= --now= --explain", false, check_spf},
        {"dmarc", "", "--dns= --spf-result= --spf-domain= --now= --explain", true, check_dmarc},
        {"ban", "[SERVICE]", "--filter= --mode= --prove --explain", true, check_ban},
        {"report", "", "", true, check_report},
        {NULL, NULL, NULL, false, NULL},
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

const char *check_option(const struct check *c, const char *name)
{
	for (size_t i = c->option_count; i > 0; i--)
		if (bytes_equal(c->options[i - 1].name, bytes_of_text(name)))
			return c->options[i - 1].value;
	return NULL;
}

/* 0: no such option; 1: a flag; 2: takes a value. */
static int option_kind(const struct kind *k, struct bytes name)
{
	struct bytes rest = bytes_of_text(k->options), item;

	while (bytes_cut(&rest, ' ', &item)) {
		bool value = bytes_ends(item, BYTES("="));

		if (bytes_equal(bytes_first(item, item.len - value), name))
			return value ? 2 : 1;
	}
	return 0;
}

/* --flag, --name value or --name=value. How many words that is, 0: not one of this kind's options. */
static size_t take_option(const struct kind *k, struct check *check, const char *const *words,
                          size_t left)
{
	struct bytes word = bytes_of_text(words[0]);
	size_t equals = bytes_find_char(word, '=');
	struct bytes name = bytes_first(word, equals == BYTES_NONE ? word.len : equals);
	int kind = option_kind(k, name);
	bool inside = equals != BYTES_NONE;

	if (kind == 0 || (kind == 1 && inside) || (kind == 2 && !inside && left < 2) ||
	    check->option_count == CHECK_OPTIONS)
		return 0;
	check->options[check->option_count++] = (struct check_option){
	        name, kind == 1 ? ""
	              : inside  ? words[0] + equals + 1
	                        : words[1]};
	return kind == 2 && !inside ? 2 : 1;
}

/* False: an option that this kind does not have, or one without its value. */
static bool take_words(const struct kind *k, struct cli *c, struct check *check)
{
	size_t kept = 1, taken = 1;

	for (size_t i = 1; i < c->arg_count; i += taken) {
		taken = 1;
		if (bytes_starts(bytes_of_text(c->args[i]), BYTES("--")))
			taken = take_option(k, check, c->args + i, c->arg_count - i);
		else
			c->args[kept++] = c->args[i];
		if (taken == 0)
			return false;
	}
	check->args = c->args + 1;
	check->arg_count = kept - 1;
	return true;
}

static enum result prepare(struct check *check, struct why *why)
{
	const char *now = check_option(check, "--now"), *dns = check_option(check, "--dns");
	const char *filter = check_option(check, "--filter");
	uint64_t seconds;

	check->now = clock_now();
	if (now && bytes_to_u64(bytes_of_text(now), UINT32_MAX, &seconds) != OK)
		return why_set(why, INVALID, "--now %.40s is not seconds since 1970", now);
	if (now)
		check->now = (time_ms)seconds * 1000;
	if (filter)
		return check_ban_files(check, filter, why);
	return dns ? check_dns_open(dns, &check->dns, why) : OK;
}

static enum result judge(const struct kind *k, struct check *check, struct buf *out,
                         struct why *why)
{
	struct sandbox_report report;
	struct buf in = {0};
	enum result r = prepare(check, why);

	if (r == OK)
		r = sandbox_enter(&(struct sandbox){0}, &report, why);
	if (r == OK && k->reads && !check_option(check, "--prove"))
		r = read_stdin(&in, why);
	check->in = buf_bytes(&in);
	if (r == OK)
		r = k->run(check, out, why);
	buf_done(&in);
	check_dns_close(&check->dns);
	arena_done(&check->arena);
	return r;
}

int cli_check(struct cli *c)
{
	const struct kind *k = find_kind(c->args[0]);
	struct check check = {0};
	struct buf out = {0};
	struct why why = {0};
	enum result r;

	if (!k)
		return cli_say_usage(c->command, "no such KIND; hikyaku check --help lists them");
	if (!take_words(k, c, &check))
		return cli_say_usage(c->command,
		                     *k->options
		                             ? arena_printf(&c->arena, "options of check %s: %s%c",
		                                            k->name, k->options, 0)
		                                       .ptr
		                             : "that KIND has no options");
	if (check.arg_count != (*k->args ? 1 : 0) &&
	    !(*k->args == '[' && check.arg_count == 0 && check_option(&check, "--filter")))
		return cli_say_usage(c->command,
		                     *k->args ? "that KIND takes a NAME" : "that is too much");
	r = judge(k, &check, &out, &why);
	if (r == OK)
		fwrite(buf_bytes(&out).ptr, 1, buf_len(&out), stdout);
	buf_done(&out);
	return r == OK ? CLI_DONE : cli_fail(&why);
}
