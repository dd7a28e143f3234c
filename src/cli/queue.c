/* `hikyaku queue`: what waits, why, and what to do about it. WHICH is what store/queue_admin.c takes: a queue
 * id, entry:N, an address, @domain, incident:N, state:WORD. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "cli/client.h"
#include "cli/pages.h"
#include "policy/provider.h"

enum { LIST_MOST = 1000 };

static struct ask_admin ask_which(struct cli *c, enum admin_verb verb)
{
	return (struct ask_admin){.verb = (uint16_t)verb,
	                          .subject = c->arg_count ? bytes_of_text(c->args[0])
	                                                  : (struct bytes){0}};
}

/* ---- list ---- */

/* What people look for first; `queue show` has the rest. */
static const char *const list_keys[] = {"id",    "mail",   "state",     "queued_ms", "due_ms",
                                        "tries", "sender", "recipient", "reason"};

static bool list_page(void *context, struct bytes rows, bool more)
{
	struct cli *c = context;
	static size_t told;

	if (c->json) {
		cli_print_rows(c, rows);
		return true;
	}
	told += cli_print_some(c, rows, list_keys, sizeof(list_keys) / sizeof(*list_keys));
	if (!more || told < LIST_MOST || cli_option(c, "--all"))
		return true;
	printf(cli_speaks_japanese(c) ? "ほかにもあります。--all ですべて表示します。\n"
	                              : "There are more: --all lists them all.\n");
	return false;
}

int cli_queue_list(struct cli *c)
{
	return cli_admin_pages(c, ask_which(c, ADMIN_QUEUE_LIST), list_page, c);
}

static bool show_page(void *context, struct bytes rows, bool more)
{
	(void)more;
	cli_print_rows(context, rows);
	return true;
}

int cli_queue_show(struct cli *c)
{
	return cli_admin_pages(c, ask_which(c, ADMIN_QUEUE_SHOW), show_page, c);
}

static const char *const summary_keys[] = {"destination", "count",     "carry",
                                           "held",        "oldest_ms", "due_ms",
                                           "provider",    "incident",  "reply"};

static bool summary_page(void *context, struct bytes rows, bool more)
{
	struct cli *c = context;

	(void)more;
	if (c->json)
		cli_print_rows(c, rows);
	else
		cli_print_some(c, rows, summary_keys, sizeof(summary_keys) / sizeof(*summary_keys));
	return true;
}

int cli_queue_summary(struct cli *c)
{
	return cli_admin_pages(c, ask_which(c, ADMIN_QUEUE_SUMMARY), summary_page, c);
}

/* ---- why ---- */

struct words {
	const char *english, *japanese;
};

static const char *say(const struct cli *c, struct words w)
{
	return cli_speaks_japanese(c) ? w.japanese : w.english;
}

static const struct {
	const char *state;
	struct words words;
} states[] = {
        {"ready", {"waits for the sorter here", "この受信側での仕分けを待っています"}},
        {"sorting", {"is being sorted just now", "仕分け中です"}},
        {"carry", {"waits to be sent to another host", "ほかのホストへの送信を待っています"}},
        {"carrying", {"is being sent just now", "送信中です"}},
        {"held", {"is held", "保留されています"}},
        {"parked",
         {"waits because its account is suspended", "アカウントが停止中のため待っています"}},
};

static const char *state_words(const struct cli *c, const char *state)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		if (strcmp(states[i].state, state) == 0)
			return say(c, states[i].words);
	}
	return state;
}

static void line_text(const struct cli *c, struct words head, const json_t *row, const char *key)
{
	const char *value = json_string_value(json_object_get(row, key));

	if (value && *value)
		printf("  %s: %s\n", say(c, head), value);
}

static void line_time(const struct cli *c, struct words head, const json_t *row, const char *key)
{
	char text[CLI_MOMENT];
	int64_t at = json_integer_value(json_object_get(row, key));

	if (at > 0)
		printf("  %s: %s\n", say(c, head), cli_moment(at, text));
}

static void line_incident(const struct cli *c, const json_t *row)
{
	long long id = json_integer_value(json_object_get(row, "incident"));

	if (id)
		printf("  %s %lld: hikyaku -C %s incidents show %lld\n",
		       say(c, (struct words){"Held by incident", "インシデント"}), id, c->directory,
		       id);
}

/* "icloud" by the name that people know; where it is the destination itself, nothing. */
static void line_provider(const struct cli *c, const json_t *row)
{
	const char *key = json_string_value(json_object_get(row, "provider"));
	const char *destination = json_string_value(json_object_get(row, "destination"));
	const struct provider *p = key ? provider_find(bytes_of_text(key)) : NULL;

	if (key && *key && (!destination || strcmp(key, destination) != 0))
		printf("  %s: %s\n", say(c, (struct words){"Filtered by", "受信側の事業者"}),
		       p ? p->name : key);
}

/* When it goes back; what is held does not grow too old (store/queue_hold.c). */
static void line_end(const struct cli *c, const json_t *row, const char *state)
{
	if ((state && strcmp(state, "held") == 0) ||
	    json_integer_value(json_object_get(row, "incident")))
		printf("  %s\n", say(c, (struct words){"While it is held it does not go back.",
		                                       "保留中は差出人に返送されません。"}));
	else {
		line_time(c, (struct words){"Next try", "次の試行"}, row, "due_ms");
		line_time(c, (struct words){"Goes back to its sender", "差出人へ返送する時刻"}, row,
		          "expires_ms");
	}
}

/* Retrying moves nothing that an operator holds. */
static void line_command(const struct cli *c, const json_t *row, const char *state, const char *id)
{
	const char *reason = json_string_value(json_object_get(row, "reason"));
	bool by_hand = state && strcmp(state, "held") == 0 &&
	               (json_integer_value(json_object_get(row, "incident")) == 0 ||
	                (reason && strcmp(reason, "held by the operator") == 0));

	printf("  %s: hikyaku -C %s queue %s entry:%s\n",
	       say(c, by_hand ? (struct words){"Let it go on", "保留を解く"}
	                      : (struct words){"Try now", "今すぐ試す"}),
	       c->directory, by_hand ? "release" : "retry", id);
}

static void tell_why(const struct cli *c, const json_t *row)
{
	const char *state = json_string_value(json_object_get(row, "state"));
	const char *id = json_string_value(json_object_get(row, "id"));
	long long tries = json_integer_value(json_object_get(row, "tries"));
	const char *sender = json_string_value(json_object_get(row, "sender"));

	printf("%s <%s> -> <%s> %s\n", json_string_value(json_object_get(row, "mail")),
	       sender ? sender : "", json_string_value(json_object_get(row, "recipient")),
	       state_words(c, state ? state : "?"));
	line_text(c, (struct words){"Why", "理由"}, row, "reason");
	line_time(c, (struct words){"Came", "受付"}, row, "queued_ms");
	if (tries)
		printf("  %s: %lld\n", say(c, (struct words){"Tries", "試行回数"}), tries);
	line_time(c, (struct words){"Last try", "前回の試行"}, row, "attempted_ms");
	line_text(c, (struct words){"Host", "相手ホスト"}, row, "remote");
	line_text(c, (struct words){"It said", "その応答"}, row, "reply");
	line_text(c, (struct words){"Destination", "宛先ドメイン"}, row, "destination");
	line_provider(c, row);
	line_text(c, (struct words){"Its hosts said", "宛先ドメインのホストの応答"}, row,
	          "destination_reply");
	line_time(c, (struct words){"Its hosts are not asked before", "次に接続する時刻"}, row,
	          "destination_not_before_ms");
	line_end(c, row, state);
	line_incident(c, row);
	line_command(c, row, state, id ? id : "");
}

static bool why_page(void *context, struct bytes rows, bool more)
{
	struct cli *c = context;
	struct bytes line;

	(void)more;
	if (c->json) {
		cli_print_rows(c, rows);
		return true;
	}
	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line);

		if (row)
			tell_why(c, row);
		json_decref(row);
	}
	return true;
}

int cli_queue_why(struct cli *c)
{
	return cli_admin_pages(c, ask_which(c, ADMIN_QUEUE_WHY), why_page, c);
}

/* ---- what changes something ---- */

struct acting {
	struct cli *c;
	size_t count;
};

static bool act_page(void *context, struct bytes rows, bool more)
{
	struct acting *a = context;

	(void)more;
	if (a->c->json)
		cli_print_rows(a->c, rows);
	for (size_t i = 0; i < rows.len; i++)
		a->count += rows.ptr[i] == '\n';
	return true;
}

static int act(struct cli *c, enum admin_verb verb)
{
	struct ask_admin admin = ask_which(c, verb);
	struct acting a = {c, 0};
	int status;

	if (c->arg_count > 1)
		admin.value = bytes_of_text(c->args[1]);
	status = cli_admin_pages(c, admin, act_page, &a);
	if (status == CLI_DONE && !c->json)
		printf("%zu %s\n", a.count,
		       say(c, a.count == 1 ? (struct words){"queue entry", "件"}
		                           : (struct words){"queue entries", "件"}));
	return status;
}

int cli_queue_retry(struct cli *c)
{
	return act(c, ADMIN_QUEUE_RETRY);
}

int cli_queue_hold(struct cli *c)
{
	return act(c, ADMIN_QUEUE_HOLD);
}

int cli_queue_release(struct cli *c)
{
	return act(c, ADMIN_QUEUE_RELEASE);
}

int cli_queue_redirect(struct cli *c)
{
	return act(c, ADMIN_QUEUE_REDIRECT);
}

int cli_queue_remove(struct cli *c)
{
	return act(c, ADMIN_QUEUE_REMOVE);
}
