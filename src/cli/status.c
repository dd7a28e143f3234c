/* `hikyaku status` and `hikyaku metrics`: how the server is, for people and for Prometheus. Exit 1 when an incident is
 * open, so that a script or a monitor needs nothing else. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/client.h"
#include "cli/pages.h"
#include "sys/clock.h"
#include "watch/incident.h"

enum { WIDTH = 79, INCIDENTS_SHOWN = 8 };

/* ---- what is known ---- */

struct state {
	struct arena arena;
	struct bytes master, roles, dns, figures, incidents, alarms, checks; /* JSON lines */
};

static enum result ask_rows(struct client *client, struct state *s, enum admin_verb verb,
                            struct bytes *ret, struct why *why)
{
	struct ask a = {.kind = ASK_ADMIN, .number = 1, .admin.verb = (uint16_t)verb};
	struct answer answer;
	struct buf rows = {0};
	enum result r;

	do {
		r = client_ask(client, &a, &answer, why);
		if (r != OK)
			break;
		buf_append(&rows, answer.admin.rows);
		a.admin.number = answer.admin.next;
	} while (answer.admin.next != 0);
	*ret = arena_copy(&s->arena, buf_bytes(&rows));
	buf_done(&rows);
	return r;
}

static enum result read_state(struct client *client, struct state *s, struct why *why)
{
	struct bytes text;
	struct buf dns = {0};
	enum result r = client_request(client, ROLE_MASTER_STATUS, &text, why);

	if (r != OK)
		return r;
	text = arena_copy(&s->arena, text);
	s->master = bytes_first(text, bytes_find_char(text, '\n') + 1);
	s->roles = bytes_skip(text, s->master.len);
	cli_put_dns_row(client, &dns);
	s->dns = arena_copy(&s->arena, buf_bytes(&dns));
	buf_done(&dns);
	r = ask_rows(client, s, ADMIN_STATUS, &s->figures, why);
	if (r == OK)
		r = ask_rows(client, s, ADMIN_INCIDENTS, &s->incidents, why);
	if (r == OK)
		r = ask_rows(client, s, ADMIN_ALARMS, &s->alarms, why);
	if (r == OK)
		r = ask_rows(client, s, ADMIN_CHECKS, &s->checks, why);
	return r;
}

static enum result open_state(struct cli *c, struct state *s, struct why *why)
{
	struct client *client;
	enum result r = client_open(c->directory, &client, why);

	if (r != OK)
		return r;
	r = read_state(client, s, why);
	client_close(&client);
	return r;
}

/* ---- rows ---- */

static struct bytes text_at(const json_t *row, const char *key)
{
	const json_t *value = json_object_get(row, key);

	return bytes_of(json_string_value(value), json_string_length(value));
}

static long long number_at(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static json_t *next_row(struct bytes *rows)
{
	struct bytes line;

	return bytes_cut(rows, '\n', &line) ? cli_row(line) : NULL;
}

static size_t count_rows(struct bytes rows)
{
	struct bytes line;
	size_t n = 0;

	while (bytes_cut(&rows, '\n', &line))
		n += line.len > 0;
	return n;
}

/* ---- for people: a screen of 80 columns ---- */

/* At most `columns` wide; characters above U+2E80 take two. Returns the octets that fit. */
static size_t fitting(struct bytes text, unsigned columns)
{
	unsigned used = 0;
	size_t i = 0;

	while (i < text.len) {
		unsigned char c = (unsigned char)text.ptr[i];
		unsigned len = c < 0x80   ? 1
		               : c < 0xe0 ? 2
		               : c < 0xf0 ? 3
		                          : 4,
		         wide = len > 2 ? 2 : 1;

		if (used + wide > columns || i + len > text.len)
			break;
		used += wide;
		i += len;
	}
	return i;
}

static void print_fitting(struct bytes text, unsigned columns)
{
	size_t fits = fitting(text, columns);

	if (fits < text.len)
		printf("%.*s...\n", (int)fitting(text, columns - 3), text.ptr);
	else
		printf("%.*s\n", BYTES_ARG(text));
}

static void format_age(char out[24], int64_t ms)
{
	long long minutes = ms / 60000;

	if (minutes >= 48 * 60)
		snprintf(out, 24, "%lld d", minutes / (24 * 60));
	else if (minutes >= 120)
		snprintf(out, 24, "%lld h", minutes / 60);
	else
		snprintf(out, 24, "%lld min", minutes > 0 ? minutes : 0);
}

static void print_incident(const struct cli *c, const json_t *row)
{
	struct arena arena = {0};
	struct incident_texts t;
	unsigned kind = (unsigned)number_at(row, "kind_number");
	struct bytes title;
	char age[24], head[64];

	incident_texts(kind, text_at(row, "key"), text_at(row, "facts"), cli_speaks_japanese(c),
	               &arena, &t);
	format_age(age, clock_now() - number_at(row, "since_ms"));
	snprintf(head, sizeof(head), "%6lld  %-11s %7s%s ", number_at(row, "id"),
	         incident_kind_name(kind), age, number_at(row, "acknowledged_ms") ? " *" : "  ");
	title = t.title;
	fputs(head, stdout);
	print_fitting(title, WIDTH - (unsigned)strlen(head));
	arena_done(&arena);
}

static void print_incidents(const struct cli *c, struct bytes rows)
{
	bool japanese = cli_speaks_japanese(c);
	size_t count = count_rows(rows), shown = 0;
	json_t *row;

	if (count == 0) {
		puts(japanese ? "未解決のインシデントはありません。" : "No open incidents.");
		return;
	}
	printf(japanese ? "未解決のインシデント %zu 件 (* 確認済み):\n"
	                : "%zu open incident%s (* acknowledged):\n",
	       count, count == 1 ? "" : "s");
	while (shown < INCIDENTS_SHOWN && (row = next_row(&rows))) {
		print_incident(c, row);
		json_decref(row);
		shown++;
	}
	if (count > shown)
		printf(japanese ? "        ほか %zu 件: hikyaku -C %s incidents\n"
		                : "        and %zu more: hikyaku -C %s incidents\n",
		       count - shown, c->directory);
	printf(japanese ? "詳細と対処: hikyaku -C %s incidents show 番号\n"
	                : "what to do: hikyaku -C %s incidents show NUMBER\n",
	       c->directory);
}

/* "keeper store ... ready; courier starting (3 restarts)" */
static void put_roles(struct bytes rows, struct buf *ready, struct buf *other, struct buf *walls)
{
	json_t *row;

	while ((row = next_row(&rows))) {
		struct bytes role = text_at(row, "role"), wall = text_at(row, "missing_wall");
		long long restarts = number_at(row, "restarts");
		bool good = bytes_equal(text_at(row, "state"), BYTES("ready"));

		if (good && restarts == 0)
			buf_printf(ready, " %.*s", BYTES_ARG(role));
		else
			buf_printf(other, " %.*s %.*s (%lld restarts);", BYTES_ARG(role),
			           BYTES_ARG(text_at(row, "state")), restarts);
		if (wall.len)
			buf_printf(walls, " %.*s lacks %.*s;", BYTES_ARG(role), BYTES_ARG(wall));
		json_decref(row);
	}
}

/* Heads: up to four characters that take two columns each. */
static const char *const heads[][2] = {
        {"trouble", "異常    "}, {"ready", "稼働中  "}, {"walls", "壁      "},
        {"dns", "DNS     "},     {"mail", "メール  "},  {"queue", "配送待ち"},
        {"disk", "ディスク"},    {"also", "その他  "},  {"alarms", "通知    "},
};

static void print_line(const struct cli *c, const char *head, struct bytes text)
{
	const char *japanese = NULL;

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		if (strcmp(heads[i][0], head) == 0)
			japanese = heads[i][1];
	if (japanese && cli_speaks_japanese(c))
		printf("%s ", japanese);
	else
		printf("%-8s ", head);
	print_fitting(bytes_trim(text), WIDTH - 9);
}

static void print_roles(const struct cli *c, const struct state *s)
{
	struct buf ready = {0}, other = {0}, walls = {0};

	put_roles(s->roles, &ready, &other, &walls);
	if (buf_len(&other))
		print_line(c, "trouble", buf_bytes(&other));
	print_line(c, "ready", buf_bytes(&ready));
	if (buf_len(&walls))
		print_line(c, "walls", buf_bytes(&walls));
	buf_done(&ready);
	buf_done(&other);
	buf_done(&walls);
}

static void put_size(struct buf *out, long long octets)
{
	static const char units[] = "kMGTP";
	double size = (double)octets / 1000;
	size_t unit = 0;

	while (size >= 1000 && units[unit + 1]) {
		size /= 1000;
		unit++;
	}
	buf_printf(out, "%.1f %cB", size, units[unit]);
}

/* What others add to the figures is shown without asking them. */
static void print_others(const struct cli *c, const json_t *row)
{
	static const char *const shown[] = {"accounts",   "mailboxes",    "queue_ready",
	                                    "queue_held", "queue_carry",  "queue_parked",
	                                    "segments",   "log_octets",   "space_octets",
	                                    "disk_full",  "spool_octets", "incidents"};
	struct buf line = {0};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)row, key, value)
	{
		size_t i = 0;

		while (i < sizeof(shown) / sizeof(*shown) && strcmp(shown[i], key) != 0)
			i++;
		if (i == sizeof(shown) / sizeof(*shown) && json_is_integer(value) &&
		    json_integer_value(value) != 0)
			buf_printf(&line, "%s%s %lld", buf_len(&line) ? ", " : "", key,
			           json_integer_value(value));
	}
	if (buf_len(&line))
		print_line(c, "also", buf_bytes(&line));
	buf_done(&line);
}

static void print_figures(const struct cli *c, const struct state *s)
{
	struct bytes rows = s->figures;
	json_t *row = next_row(&rows);
	struct buf line = {0};

	if (!row)
		return;
	buf_printf(&line,
	           cli_speaks_japanese(c) ? "アカウント %lld、メールボックス %lld"
	                                  : "%lld accounts, %lld mailboxes",
	           number_at(row, "accounts"), number_at(row, "mailboxes"));
	print_line(c, "mail", buf_bytes(&line));
	buf_clear(&line);
	buf_printf(&line,
	           cli_speaks_japanese(c) ? "仕分け %lld、転送 %lld、保留 %lld、宛先保留 %lld"
	                                  : "%lld to sort, %lld to carry, %lld held, %lld parked",
	           number_at(row, "queue_ready"), number_at(row, "queue_carry"),
	           number_at(row, "queue_held"), number_at(row, "queue_parked"));
	print_line(c, "queue", buf_bytes(&line));
	buf_clear(&line);
	buf_append_text(&line, cli_speaks_japanese(c) ? "ログ " : "log ");
	put_size(&line, number_at(row, "log_octets"));
	buf_append_text(&line, cli_speaks_japanese(c) ? "、空き " : ", free ");
	put_size(&line, number_at(row, "space_octets"));
	if (json_is_true(json_object_get(row, "disk_full")))
		buf_append_text(&line,
		                cli_speaks_japanese(c) ? "、ディスク満杯" : ": THE DISK IS FULL");
	print_line(c, "disk", buf_bytes(&line));
	print_others(c, row);
	buf_done(&line);
	json_decref(row);
}

static void print_dns(const struct cli *c, const struct state *s)
{
	struct bytes rows = s->dns;
	json_t *row = next_row(&rows);
	struct buf line = {0};

	if (!row)
		return;
	buf_printf(&line, "%.*s: %.*s", BYTES_ARG(text_at(row, "dns")),
	           BYTES_ARG(text_at(row, "reason")));
	print_line(c, "dns", buf_bytes(&line));
	buf_done(&line);
	json_decref(row);
}

static void print_alarms(const struct cli *c, const struct state *s)
{
	size_t waiting = count_rows(s->alarms);
	struct buf line = {0};

	if (waiting == 0)
		return;
	buf_printf(&line,
	           cli_speaks_japanese(c) ? "%zu 件が届いていません: hikyaku -C %s alarms list"
	                                  : "%zu wait for their channel: hikyaku -C %s alarms list",
	           waiting, c->directory);
	print_line(c, "alarms", buf_bytes(&line));
	buf_done(&line);
}

static void print_screen(const struct cli *c, const struct state *s)
{
	print_incidents(c, s->incidents);
	putchar('\n');
	print_roles(c, s);
	print_dns(c, s);
	print_figures(c, s);
	print_alarms(c, s);
}

int cli_status(struct cli *c)
{
	struct state s = {0};
	struct why why = {0};
	enum result r = open_state(c, &s, &why);
	int status = count_rows(s.incidents) ? CLI_FAILED : CLI_DONE;

	if (r != OK) {
		status = cli_fail(&why);
	} else if (c->json || cli_option(c, "--full")) {
		cli_print_rows(c, s.master);
		cli_print_rows(c, s.roles);
		cli_print_rows(c, s.dns);
		cli_print_rows(c, s.figures);
	} else {
		print_screen(c, &s);
	}
	arena_done(&s.arena);
	return status;
}

/* ---- for Prometheus: its text format ---- */

static void put_label(const char *name, struct bytes value, bool first)
{
	printf("%s%s=\"", first ? "" : ",", name);
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] == '\n')
			fputs("\\n", stdout);
		else if (value.ptr[i] == '"' || value.ptr[i] == '\\')
			printf("\\%c", value.ptr[i]);
		else
			putchar(value.ptr[i]);
	}
	putchar('"');
}

static void put_head(const char *name, const char *type, const char *help)
{
	printf("# HELP hikyaku_%s %s\n# TYPE hikyaku_%s %s\n", name, help, name, type);
}

static void put_roles_metrics(struct bytes rows)
{
	struct bytes again = rows;
	json_t *row;

	put_head("role_up", "gauge", "1: the process is ready.");
	while ((row = next_row(&rows))) {
		fputs("hikyaku_role_up{", stdout);
		put_label("role", text_at(row, "role"), true);
		printf("} %d\n", bytes_equal(text_at(row, "state"), BYTES("ready")));
		json_decref(row);
	}
	put_head("role_restarts_total", "counter", "How often the process was started again.");
	while ((row = next_row(&again))) {
		fputs("hikyaku_role_restarts_total{", stdout);
		put_label("role", text_at(row, "role"), true);
		printf("} %lld\n", number_at(row, "restarts"));
		json_decref(row);
	}
}

static bool is_counter(const char *key)
{
	static const char *const counters[] = {"ledger_written", "ledger_dropped", "learn_dropped",
	                                       "ban_drops"};

	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		if (strcmp(key, counters[i]) == 0)
			return true;
	return false;
}

static void put_figures_metrics(struct bytes rows)
{
	json_t *row = next_row(&rows), *value;
	const char *key;

	json_object_foreach(row, key, value)
	{
		const char *end = is_counter(key) ? "_total" : "";

		if (!json_is_integer(value) && !json_is_boolean(value))
			continue;
		printf("# TYPE hikyaku_%s%s %s\nhikyaku_%s%s %lld\n", key, end,
		       is_counter(key) ? "counter" : "gauge", key, end,
		       json_is_boolean(value) ? (long long)json_is_true(value)
		                              : json_integer_value(value));
	}
	json_decref(row);
}

static void put_incidents_metrics(struct bytes rows)
{
	json_t *row;

	put_head("incident_open", "gauge",
	         "1 for each open incident; `hikyaku incidents show` says what to do.");
	while ((row = next_row(&rows))) {
		char number[24];

		snprintf(number, sizeof(number), "%lld", number_at(row, "id"));
		fputs("hikyaku_incident_open{", stdout);
		put_label(
		        "kind",
		        bytes_of_text(incident_kind_name((unsigned)number_at(row, "kind_number"))),
		        true);
		put_label("key", text_at(row, "key"), false);
		put_label("number", bytes_of_text(number), false);
		put_label("acknowledged",
		          number_at(row, "acknowledged_ms") ? BYTES("yes") : BYTES("no"), false);
		puts("} 1");
		json_decref(row);
	}
}

/* A figure of each check. */
static void put_check_metric(struct bytes rows, const char *name, const char *key, const char *help)
{
	json_t *row;

	put_head(name, "gauge", help);
	while ((row = next_row(&rows))) {
		printf("hikyaku_%s{", name);
		put_label("check", text_at(row, "check"), true);
		put_label("state", text_at(row, "state"), false);
		printf("} %lld\n", number_at(row, key));
		json_decref(row);
	}
}

static void put_checks_metrics(struct bytes rows)
{
	put_check_metric(rows, "check_covered_percent", "covered_percent",
	                 "How much of the last hour's mail the check could look at.");
	put_check_metric(rows, "check_hits_day", "hits_day", "What it accused in the last day.");
	put_check_metric(rows, "check_false_hits_day", "false_hits_day",
	                 "Known senders among them.");
}

static void put_dns_metrics(struct bytes rows)
{
	json_t *row = next_row(&rows);

	put_head("dns_works", "gauge", "1: the root of the DNS answers.");
	printf("hikyaku_dns_works %d\n", bytes_equal(text_at(row, "dns"), BYTES("works")));
	json_decref(row);
}

int cli_metrics(struct cli *c)
{
	struct state s = {0};
	struct why why = {0};
	enum result r = open_state(c, &s, &why);

	put_head("up", "gauge", "1: the server runs and answers.");
	printf("hikyaku_up %d\n", r == OK);
	if (r == OK) {
		put_roles_metrics(s.roles);
		put_dns_metrics(s.dns);
		put_figures_metrics(s.figures);
		put_checks_metrics(s.checks);
		put_incidents_metrics(s.incidents);
		put_head("alarms_waiting", "gauge", "Alarms that their channel did not take yet.");
		printf("hikyaku_alarms_waiting %zu\n", count_rows(s.alarms));
	}
	arena_done(&s.arena);
	return r == OK ? CLI_DONE : cli_fail(&why);
}
