/* `hikyaku ban watch SERVICE`: another service's log on stdin, as it grows; whoever fails there is told to the server,
 * which bans him for all services. Reading the file or the journal, over rotations too, is left to what is made for
 * it: tail -F FILE | hikyaku -C DIR ban watch nginx-http-auth; journalctl -f -u ssh | hikyaku -C DIR ban watch sshd
 *
 * Nothing is watched with rules that were not proven. Once the connection to the server stands, the process locks
 * itself like mx: what strangers wrote into a log meets no files and no network. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/ip.h"
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "policy/jail.h"
#include "sys/clock.h"
#include "sys/sandbox.h"

enum {
	REPORT_MS = 1000,
	ALIVE_MS = 60 * 1000, /* without news */
	ADDRESSES_MOST = 1000,
	EXAMPLE_MAX = 300,
	CHUNK = 64 * 1024,
};

struct watching {
	struct client *client;
	struct jail *jail;
	const char *name;
	struct buf in, addresses; /* half a line; struct ip each */
	struct buf example;       /* a line that looks like a failure, and no rule matched */
	uint32_t lines, suspicious;
	time_ms said;
};

static enum result report(struct watching *w, struct why *why)
{
	struct ask a = {.kind = ASK_ADMIN, .number = 1};
	struct buf value = {0};
	struct answer answer;
	enum result r;

	buf_block(&value, buf_bytes(&w->example));
	buf_append(&value, buf_bytes(&w->addresses));
	a.admin.verb = ADMIN_BAN_JAIL;
	a.admin.subject = bytes_of_text(w->name);
	a.admin.value = buf_bytes(&value);
	a.admin.number = (uint64_t)w->lines << 32 | w->suspicious;
	r = client_ask(w->client, &a, &answer, why);
	buf_done(&value);
	buf_clear(&w->addresses);
	buf_clear(&w->example);
	w->lines = w->suspicious = 0;
	w->said = clock_now();
	return r;
}

static void take_line(struct watching *w, struct bytes line)
{
	struct jail_verdict v;
	struct ip ip;

	jail_judge(w->jail, line, &v);
	w->lines++;
	w->suspicious += v.suspicious || v.match;
	/* A name is whatever the owner of an address wants it to be: nobody is banned by it. */
	if (v.match && ip_parse(v.host, &ip) == OK)
		buf_append(&w->addresses, bytes_of(ip.octets, sizeof(ip.octets)));
	if (v.suspicious && !v.rule && buf_len(&w->example) == 0)
		buf_append(&w->example, bytes_first(line, EXAMPLE_MAX));
}

static enum result take_lines(struct watching *w, struct why *why)
{
	struct bytes rest = buf_bytes(&w->in);
	enum result r = OK;
	size_t end;

	while (r == OK && (end = bytes_find_char(rest, '\n')) != BYTES_NONE) {
		take_line(w, bytes_first(rest, end));
		rest = bytes_skip(rest, end + 1);
		if (buf_len(&w->addresses) >= ADDRESSES_MOST * sizeof(struct ip))
			r = report(w, why);
	}
	if (rest.len >= CHUNK) { /* no line is so long */
		take_line(w, rest);
		rest.len = 0;
	}
	buf_consume(&w->in, buf_len(&w->in) - rest.len);
	return r;
}

static bool is_due(const struct watching *w)
{
	time_ms age = clock_now() - w->said;

	return age >= ALIVE_MS || (age >= REPORT_MS && w->lines > 0);
}

static enum result watch(struct watching *w, struct why *why)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	enum result r = report(w, why); /* the jail is known from now on */
	ssize_t n = 1;

	while (r == OK && n > 0) {
		if (poll(&p, 1, REPORT_MS) > 0) {
			n = read(STDIN_FILENO, buf_room(&w->in, CHUNK), CHUNK);
			if (n > 0)
				buf_added(&w->in, (size_t)n);
			r = take_lines(w, why);
		}
		if (r == OK && is_due(w))
			r = report(w, why);
	}
	if (r == OK && buf_len(&w->in))
		take_line(w, buf_bytes(&w->in));
	return r == OK && w->lines ? report(w, why) : r;
}

/* The samples are for all rules, in the filter's own mode; what is watched with may be fewer. Ours are for every day where
 * nothing else is said. */
static enum result make_jail(struct watching *w, struct bytes name, struct bytes mode,
                             struct check *files, struct why *why)
{
	enum result r = jail_new(name, (struct bytes){0}, check_ban_find, files, &w->jail, why);

	if (r == OK)
		r = jail_prove(w->jail, why);
	if (r == OK && mode.len) {
		jail_free(&w->jail);
		r = jail_new(name, mode, check_ban_find, files, &w->jail, why);
	}
	return r;
}

static enum result begin(struct cli *c, struct watching *w, struct check *files, struct why *why)
{
	const char *filter = cli_option(c, "--filter"), *mode = cli_option(c, "--mode");
	struct bytes name = bytes_of_text(c->args[0]);
	struct sandbox_report report;
	enum result r = filter ? check_ban_files(files, filter, why) : OK;

	if (r == OK && filter)
		name = files->files[0].name;
	if (r == OK)
		r = make_jail(w, name,
		              bytes_of_text(mode     ? mode
		                            : filter ? ""
		                                     : "normal"),
		              files, why);
	if (r == OK)
		r = client_open(c->directory, &w->client, why);
	if (r == OK)
		r = sandbox_enter(&(struct sandbox){0}, &report, why);
	return r;
}

int cli_ban_watch(struct cli *c)
{
	struct watching w = {.name = c->args[0]};
	struct check files = {0};
	struct why why = {0};
	enum result r = begin(c, &w, &files, &why);

	if (r == OK)
		r = watch(&w, &why);
	jail_free(&w.jail);
	client_close(&w.client);
	buf_done(&w.in);
	buf_done(&w.addresses);
	buf_done(&w.example);
	arena_done(&files.arena);
	return r == OK ? CLI_DONE : cli_fail(&why);
}
