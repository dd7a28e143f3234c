/* `hikyaku incidents` and `hikyaku sending`: what is wrong, what it costs, what to do. The store keeps kind,
 * key and facts; the words are made here, in the reader's language. */
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/pages.h"
#include "watch/incident.h"

/* ---- words ---- */

struct spoken {
	const struct cli *c;
	struct bytes live; /* facts of this moment, looked up for whoever reads one incident */
	struct arena arena;
	struct incident_texts texts;
};

static struct bytes bytes_at(const json_t *row, const char *key)
{
	const json_t *value = json_object_get(row, key);

	return bytes_of(json_string_value(value), json_string_length(value));
}

static void speak(struct spoken *s, const json_t *row)
{
	long long id = json_integer_value(json_object_get(row, "id"));
	struct buf facts = {0};
	char number[24];

	snprintf(number, sizeof(number), "%lld", id);
	buf_append(&facts, bytes_at(row, "facts"));
	if (buf_len(&facts) && facts.ptr[facts.end - 1] != '\n')
		buf_append_char(&facts, '\n');
	buf_append(&facts, s->live);
	incident_fact_put(&facts, "number", bytes_of_text(number));
	incident_fact_put(&facts, "dir", bytes_of_text(s->c->directory));
	incident_texts((unsigned)json_integer_value(json_object_get(row, "kind_number")),
	               bytes_at(row, "key"), arena_copy(&s->arena, buf_bytes(&facts)),
	               cli_speaks_japanese(s->c), &s->arena, &s->texts);
	buf_done(&facts);
}

/* The row as programs get it: the store's, with the kind's word and the texts. */
static void add_words(const struct spoken *s, json_t *row)
{
	const struct {
		const char *key;
		struct bytes text;
	} words[] = {
	        {"title", s->texts.title},     {"cause", s->texts.cause},
	        {"cost", s->texts.cost},       {"what_to_do", s->texts.what_to_do},
	        {"request", s->texts.request}, {"link", s->texts.link},
	};
	unsigned kind = (unsigned)json_integer_value(json_object_get(row, "kind_number"));

	json_object_set_new(row, "kind", json_string(incident_kind_name(kind)));
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		json_object_set_new(row, words[i].key,
		                    json_stringn(words[i].text.ptr ? words[i].text.ptr : "",
		                                 words[i].text.len));
}

static void each_row(const struct cli *c, struct bytes live, struct bytes rows, struct buf *out)
{
	struct bytes line;

	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line);
		struct spoken s = {.c = c, .live = live};
		char *text;

		if (!row)
			continue;
		speak(&s, row);
		add_words(&s, row);
		text = json_dumps(row, JSON_COMPACT | JSON_PRESERVE_ORDER);
		buf_append_text(out, text ? text : "{}");
		buf_append_char(out, '\n');
		free(text);
		json_decref(row);
		arena_done(&s.arena);
	}
}

/* ---- list ---- */

static const char *const list_keys[] = {"id", "kind", "since_ms", "until_ms", "count", "title"};

struct listing {
	struct cli *c;
	size_t count;
};

static bool list_page(void *context, struct bytes rows, bool more)
{
	struct listing *l = context;
	struct buf out = {0};

	(void)more;
	each_row(l->c, (struct bytes){0}, rows, &out);
	if (l->c->json)
		cli_print_rows(l->c, buf_bytes(&out));
	else
		l->count += cli_print_some(l->c, buf_bytes(&out), list_keys,
		                           sizeof(list_keys) / sizeof(*list_keys));
	buf_done(&out);
	return true;
}

int cli_incidents(struct cli *c)
{
	struct ask_admin admin = {.verb = ADMIN_INCIDENTS};
	struct listing l = {c, 0};
	int status;

	if (cli_option(c, "--all"))
		admin.value = BYTES("all");
	status = cli_admin_pages(c, admin, list_page, &l);
	if (status == CLI_DONE && !c->json && l.count == 0)
		puts(cli_speaks_japanese(c) ? "未解決のインシデントはありません。"
		                            : "No open incidents.");
	return status;
}

/* ---- what an incident costs just now ---- */

enum { HELD_MOST = 10000, DOMAINS_MOST = 12 };

/* The row's facts are of when it was raised; how much waits, and for whom, is known to the queue. */
struct cost {
	struct arena arena;
	size_t held, domains;
	struct bytes domain[DOMAINS_MOST];
};

static void add_domain(struct cost *k, struct bytes name)
{
	for (size_t i = 0; i < k->domains; i++) {
		if (bytes_equal(k->domain[i], name))
			return;
	}
	if (name.len && k->domains < DOMAINS_MOST)
		k->domain[k->domains++] = arena_copy(&k->arena, name);
}

static bool cost_page(void *context, struct bytes rows, bool more)
{
	struct cost *k = context;
	struct bytes line;

	(void)more;
	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line);

		k->held += row != NULL;
		add_domain(k, row ? bytes_at(row, "destination") : (struct bytes){0});
		json_decref(row);
	}
	return k->held < HELD_MOST;
}

static void put_cost(const struct cost *k, struct buf *facts)
{
	struct buf domains = {0};
	char held[32];

	snprintf(held, sizeof(held), "%zu%s", k->held, k->held < HELD_MOST ? "" : "+");
	for (size_t i = 0; i < k->domains; i++) {
		buf_append_text(&domains, i ? ", " : "");
		buf_append(&domains, k->domain[i]);
	}
	if (k->domains == DOMAINS_MOST)
		buf_append_text(&domains, " ...");
	incident_fact_put(facts, "held", bytes_of_text(held));
	incident_fact_put(facts, "domains", buf_bytes(&domains));
	buf_done(&domains);
}

static int look_up_cost(struct cli *c, struct buf *facts)
{
	char which[40];
	struct cost k = {0};
	int status;

	snprintf(which, sizeof(which), "incident:%s", c->args[0]);
	status = cli_admin_pages(
	        c, (struct ask_admin){.verb = ADMIN_QUEUE_LIST, .subject = bytes_of_text(which)},
	        cost_page, &k);
	if (status == CLI_DONE && k.held > 0)
		put_cost(&k, facts);
	arena_done(&k.arena);
	return status;
}

/* ---- show ---- */

static void print_part(const char *head, struct bytes text)
{
	struct bytes line;

	if (text.len == 0)
		return;
	printf("\n%s\n", head);
	while (bytes_cut(&text, '\n', &line))
		printf("  %.*s\n", BYTES_ARG(line));
}

static void print_times(const struct cli *c, const json_t *row)
{
	bool japanese = cli_speaks_japanese(c);
	char since[CLI_MOMENT], last[CLI_MOMENT], until[CLI_MOMENT];
	int64_t over = json_integer_value(json_object_get(row, "until_ms"));
	int64_t acked = json_integer_value(json_object_get(row, "acknowledged_ms"));

	cli_moment(json_integer_value(json_object_get(row, "since_ms")), since);
	cli_moment(json_integer_value(json_object_get(row, "last_ms")), last);
	printf(japanese ? "発生 %s、最終 %s、%lld 件、再発 %lld 回\n"
	                : "since %s, last %s, count %lld, relapses %lld\n",
	       since, last, json_integer_value(json_object_get(row, "count")),
	       json_integer_value(json_object_get(row, "relapses")));
	if (over)
		printf(japanese ? "解決済み %s\n" : "over since %s\n", cli_moment(over, until));
	if (acked)
		printf(japanese ? "確認済み %s %s\n" : "acknowledged %s %s\n",
		       cli_moment(acked, until),
		       json_string_value(json_object_get(row, "acknowledged_by")));
}

static void print_incident(const struct cli *c, struct bytes live, const json_t *row)
{
	bool japanese = cli_speaks_japanese(c);
	struct spoken s = {.c = c, .live = live};

	speak(&s, row);
	printf("%lld: %.*s\n", json_integer_value(json_object_get(row, "id")),
	       BYTES_ARG(s.texts.title));
	print_times(c, row);
	print_part(japanese ? "原因" : "CAUSE", s.texts.cause);
	print_part(japanese ? "影響" : "COST", s.texts.cost);
	print_part(japanese ? "対処" : "WHAT TO DO", s.texts.what_to_do);
	print_part(japanese ? "問い合わせ先" : "WHERE TO ASK", s.texts.link);
	print_part(japanese ? "依頼文の例" : "A LETTER TO SEND", s.texts.request);
	arena_done(&s.arena);
}

struct showing {
	struct cli *c;
	struct buf live;
};

static bool show_page(void *context, struct bytes rows, bool more)
{
	struct showing *sh = context;
	struct cli *c = sh->c;
	struct buf out = {0};
	struct bytes line;

	(void)more;
	if (c->json) {
		each_row(c, buf_bytes(&sh->live), rows, &out);
		cli_print_rows(c, buf_bytes(&out));
		buf_done(&out);
		return true;
	}
	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line);

		if (row)
			print_incident(c, buf_bytes(&sh->live), row);
		json_decref(row);
	}
	return true;
}

/* False: said already. */
static bool read_number(const struct cli *c, uint64_t *ret)
{
	if (bytes_to_u64(bytes_of_text(c->args[0]), INT64_MAX, ret) == OK)
		return true;
	cli_say_usage(c->command, "an incident's number is a number");
	return false;
}

static int run_numbered(struct cli *c, enum admin_verb verb, struct bytes value)
{
	struct ask_admin admin = {.verb = (uint16_t)verb, .value = value};
	struct showing sh = {.c = c};
	int status = CLI_DONE;

	if (!read_number(c, &admin.number))
		return CLI_USAGE;
	if (verb == ADMIN_INCIDENT_SHOW)
		status = look_up_cost(c, &sh.live);
	if (status == CLI_DONE)
		status = cli_admin_pages(c, admin, show_page, &sh);
	buf_done(&sh.live);
	return status;
}

int cli_incidents_show(struct cli *c)
{
	return run_numbered(c, ADMIN_INCIDENT_SHOW, (struct bytes){0});
}

int cli_incidents_close(struct cli *c)
{
	return run_numbered(c, ADMIN_INCIDENT_CLOSE, (struct bytes){0});
}

int cli_incidents_ack(struct cli *c)
{
	const struct passwd *p = getpwuid(getuid());
	const char *by = cli_option(c, "--by");

	return run_numbered(c, ADMIN_INCIDENT_ACK,
	                    bytes_of_text(by && *by ? by
	                                  : p       ? p->pw_name
	                                            : "?"));
}

/* ---- sending ---- */

static json_t *used_of(const json_t *row, const char *used, const char *limit)
{
	long long most = json_integer_value(json_object_get(row, limit));
	char text[48];

	if (most)
		snprintf(text, sizeof(text), "%lld/%lld",
		         json_integer_value(json_object_get(row, used)), most);
	else
		snprintf(text, sizeof(text), "%lld",
		         json_integer_value(json_object_get(row, used)));
	return json_string(text);
}

/* "uid:33" with its name. */
static json_t *sender_of(const json_t *row)
{
	struct bytes sender = bytes_at(row, "sender");
	const struct passwd *p = NULL;
	char text[400];
	uint64_t uid;

	if (bytes_starts(sender, BYTES("uid:")) &&
	    bytes_to_u64(bytes_skip(sender, 4), UINT32_MAX, &uid) == OK)
		p = getpwuid((uid_t)uid);
	snprintf(text, sizeof(text), "%.*s%s%s%s", BYTES_ARG(sender), p ? " (" : "",
	         p ? p->pw_name : "", p ? ")" : "");
	return json_string(text);
}

static json_t *sending_row(const json_t *row)
{
	json_t *o = json_object();

	json_object_set_new(o, "sender", sender_of(row));
	json_object_set_new(o, "mails_hour", used_of(row, "messages_hour", "messages_hour_limit"));
	json_object_set_new(o, "mails_day", used_of(row, "messages_day", "messages_day_limit"));
	json_object_set_new(o, "recipients_hour",
	                    used_of(row, "recipients_hour", "recipients_hour_limit"));
	json_object_set_new(o, "recipients_day",
	                    used_of(row, "recipients_day", "recipients_day_limit"));
	json_object_set(o, "new_recipients_day", json_object_get(row, "new_recipients_day"));
	json_object_set(o, "unknown_day", json_object_get(row, "unknown_day"));
	json_object_set(o, "held_by", json_object_get(row, "held_by"));
	return o;
}

static const char *const sending_keys[] = {
        "sender",         "mails_hour",         "mails_day",   "recipients_hour",
        "recipients_day", "new_recipients_day", "unknown_day", "held_by"};

static bool sending_page(void *context, struct bytes rows, bool more)
{
	struct cli *c = context;
	struct buf out = {0};
	struct bytes line;

	(void)more;
	if (c->json) {
		cli_print_rows(c, rows);
		return true;
	}
	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line), *some;
		char *text;

		if (!row)
			continue;
		some = sending_row(row);
		text = json_dumps(some, JSON_COMPACT | JSON_PRESERVE_ORDER);
		buf_append_text(&out, text ? text : "{}");
		buf_append_char(&out, '\n');
		free(text);
		json_decref(some);
		json_decref(row);
	}
	cli_print_some(c, buf_bytes(&out), sending_keys,
	               sizeof(sending_keys) / sizeof(*sending_keys));
	buf_done(&out);
	return true;
}

int cli_sending(struct cli *c)
{
	return cli_admin_pages(c, (struct ask_admin){.verb = ADMIN_SENDING}, sending_page, c);
}
