/* `hikyaku alarms`: what waits for the operator's channels, a test of them, and a command in place of a channel. The
 * command is run here, by whoever started this, and not by the server: none of its processes may start a program. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/pages.h"
#include "sys/clock.h"
#include "watch/alarm.h"
#include "watch/incident.h"

enum { LOOK_S = 3, COMMAND_S = 60 };

/* ---- list, test ---- */

static const char *const list_keys[] = {"id",  "channel", "event", "incident",
                                        "key", "tries",   "failed"};

static bool list_page(void *context, struct bytes rows, bool more)
{
	struct cli *c = context;

	(void)more;
	if (c->json)
		cli_print_rows(c, rows);
	else
		cli_print_some(c, rows, list_keys, sizeof(list_keys) / sizeof(*list_keys));
	return true;
}

static struct bytes channel_of(const struct cli *c)
{
	return c->arg_count ? bytes_of_text(c->args[0]) : (struct bytes){0};
}

int cli_alarms_list(struct cli *c)
{
	return cli_admin_pages(c,
	                       (struct ask_admin){.verb = ADMIN_ALARMS, .subject = channel_of(c)},
	                       list_page, c);
}

static bool test_page(void *context, struct bytes rows, bool more)
{
	(void)more;
	cli_print_rows(context, rows);
	return true;
}

int cli_alarms_test(struct cli *c)
{
	return cli_admin_pages(
	        c, (struct ask_admin){.verb = ADMIN_ALARM_TEST, .subject = channel_of(c)},
	        test_page, c);
}

/* ---- run ---- */

static struct bytes text_at(const json_t *row, const char *key)
{
	const json_t *value = json_object_get(row, key);

	return bytes_of(json_string_value(value), json_string_length(value));
}

static int64_t number_at(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static struct alarm alarm_of(const struct cli *c, const json_t *row)
{
	return (struct alarm){.event = (enum alarm_event)number_at(row, "event_number"),
	                      .at = number_at(row, "at_ms"),
	                      .incident = (uint64_t)number_at(row, "incident"),
	                      .kind = (unsigned)number_at(row, "kind_number"),
	                      .key = text_at(row, "key"),
	                      .facts = text_at(row, "facts"),
	                      .since = number_at(row, "since_ms"),
	                      .last = number_at(row, "last_ms"),
	                      .until = number_at(row, "until_ms"),
	                      .count = (uint64_t)number_at(row, "count"),
	                      .relapses = (unsigned)number_at(row, "relapses"),
	                      .acked_by = text_at(row, "acknowledged_by"),
	                      .server = text_at(row, "server"),
	                      .japanese = cli_speaks_japanese(c)};
}

static void put_environment(const struct alarm *a, struct arena *arena)
{
	char number[24];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)a->incident);
	setenv("HIKYAKU_EVENT", alarm_event_name(a->event), 1);
	setenv("HIKYAKU_INCIDENT", number, 1);
	setenv("HIKYAKU_KIND", incident_kind_name(a->kind), 1);
	setenv("HIKYAKU_KEY", arena_text(arena, a->key), 1);
	setenv("HIKYAKU_TITLE", arena_text(arena, alarm_title(a, arena)), 1);
}

static void write_all(int fd, struct bytes body)
{
	while (body.len > 0) {
		ssize_t n = write(fd, body.ptr, body.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* it does not want to read it */
		body = bytes_skip(body, (size_t)n);
	}
}

/* The child: never returns. */
static void become_command(const struct cli *c, const struct alarm *a, struct arena *arena, int in)
{
	char *argv[CLI_ARGS + 1];

	signal(SIGPIPE, SIG_DFL);
	dup2(in, STDIN_FILENO);
	if (in != STDIN_FILENO)
		close(in);
	put_environment(a, arena);
	alarm(COMMAND_S); /* it ends what hangs */
	for (size_t i = 1; i < c->arg_count; i++)
		argv[i - 1] = arena_text(arena, bytes_of_text(c->args[i]));
	argv[c->arg_count - 1] = NULL;
	execvp(argv[0], argv);
	fprintf(stderr, "hikyaku: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Empty: it ended with 0. */
static struct bytes run_command(const struct cli *c, const struct alarm *a, struct arena *arena)
{
	struct buf body = {0};
	int pipes[2], status = 0;
	pid_t child;

	if (pipe(pipes) != 0)
		return BYTES("no pipe");
	alarm_json(a, arena, &body);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		close(pipes[1]);
		become_command(c, a, arena, pipes[0]);
	}
	close(pipes[0]);
	if (child > 0)
		write_all(pipes[1], buf_bytes(&body));
	close(pipes[1]);
	buf_done(&body);
	if (child < 0)
		return BYTES("no process");
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return (struct bytes){0};
	if (WIFEXITED(status))
		return arena_printf(arena, "%s ended with %d", c->args[1], WEXITSTATUS(status));
	return arena_printf(arena, "%s was ended by signal %d", c->args[1], WTERMSIG(status));
}

/* The first that is due, or NULL. Those behind one that failed wait with it. */
static json_t *first_due(struct bytes rows)
{
	struct bytes line = {0};
	json_t *row;

	if (!bytes_cut(&rows, '\n', &line))
		return NULL;
	row = json_loadb(line.ptr, line.len, 0, NULL);
	if (row && number_at(row, "due_ms") <= clock_now())
		return row;
	json_decref(row);
	return NULL;
}

/* NOT_FOUND: nothing is due. */
static enum result tell_one(struct cli *c, struct client *client, struct why *why)
{
	struct ask a = {.kind = ASK_ADMIN,
	                .number = 1,
	                .admin = {.verb = ADMIN_ALARMS, .subject = channel_of(c)}};
	struct arena arena = {0};
	struct answer answer;
	enum result r = client_ask(client, &a, &answer, why);
	json_t *row = r == OK ? first_due(answer.admin.rows) : NULL;
	struct alarm alarm;

	if (r != OK || !row)
		return r == OK ? NOT_FOUND : r;
	alarm = alarm_of(c, row);
	a.admin = (struct ask_admin){.verb = ADMIN_ALARM_DONE,
	                             .number = (uint64_t)number_at(row, "id"),
	                             .value = run_command(c, &alarm, &arena)};
	printf("%s%s%.*s\n", alarm_event_name(alarm.event), a.admin.value.len ? " failed: " : " ",
	       BYTES_ARG(a.admin.value.len ? a.admin.value : alarm_title(&alarm, &arena)));
	fflush(stdout);
	r = client_ask(client, &a, &answer, why);
	json_decref(row);
	arena_done(&arena);
	return r;
}

static enum result tell_all(struct cli *c, struct why *why)
{
	struct client *client;
	enum result r = client_open(c->directory, &client, why);

	if (r != OK)
		return r;
	while ((r = tell_one(c, client, why)) == OK)
		;
	client_close(&client);
	return r == NOT_FOUND ? OK : r;
}

/* A server that restarts is waited for. */
int cli_alarms_run(struct cli *c)
{
	bool once = cli_option(c, "--once") != NULL;
	struct why why = {0};
	enum result r;

	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		r = tell_all(c, &why);
		if (once)
			return r == OK ? CLI_DONE : cli_fail(&why);
		if (r != OK)
			fprintf(stderr, "hikyaku: %s; trying again\n", why.text);
		sleep(r == OK ? LOOK_S : 10 * LOOK_S);
	}
}
