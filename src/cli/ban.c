/* `hikyaku ban`: who is kept out, why, and letting them in again. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/pages.h"
#include "policy/ban.h"

/* ---- list ---- */

static const char *const ban_keys[] = {"address", "reason",  "since_ms", "banned_until_ms",
                                       "bans",    "dropped", "detail"};

static bool ban_page(void *context, struct bytes rows, bool more)
{
	struct cli *c = context;

	(void)more;
	if (c->json)
		cli_print_rows(c, rows);
	else
		cli_print_some(c, rows, ban_keys, sizeof(ban_keys) / sizeof(*ban_keys));
	return true;
}

/* ---- for the kernel ---- */

struct nft {
	struct buf elements; /* struct element each */
};

struct element {
	struct ip_prefix what;
	uint64_t seconds;
};

static bool nft_page(void *context, struct bytes rows, bool more)
{
	struct nft *n = context;
	struct bytes line;

	(void)more;
	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line);
		json_int_t left = json_integer_value(json_object_get(row, "left_ms")) / 1000;
		struct element e = {.seconds = (uint64_t)left};

		if (left > 0 &&
		    ban_parse(bytes_of_text(json_string_value(json_object_get(row, "address"))),
		              &e.what) == OK)
			buf_append(&n->elements, bytes_of(&e, sizeof(e)));
		json_decref(row);
	}
	return true;
}

/* A set takes no two intervals that overlap: what lies in a wider one is left out. */
static bool is_covered(const struct element *list, const size_t *wide, size_t wide_count,
                       const struct element *e)
{
	for (size_t i = 0; i < wide_count; i++) {
		const struct ip_prefix *w = &list[wide[i]].what;

		if (w->bits < e->what.bits && ip_prefix_contains(w, &e->what.ip))
			return true;
	}
	return false;
}

static void print_elements(const struct element *list, size_t count)
{
	size_t *wide = memory_get((count + 1) * sizeof(*wide)), wide_count = 0;
	char text[BAN_TEXT];

	for (size_t i = 0; i < count; i++) {
		if (list[i].what.bits < ban_unit(&list[i].what.ip).bits)
			wide[wide_count++] = i;
	}
	for (size_t i = 0; i < count; i++) {
		if (is_covered(list, wide, wide_count, &list[i]))
			continue;
		ban_format(&list[i].what, text);
		printf("add element inet hikyaku banned%s { %s timeout %llus }\n",
		       ip_is_v4(&list[i].what.ip) ? "4" : "6", text,
		       (unsigned long long)list[i].seconds);
	}
	memory_free(wide);
}

/* The sets as `nft -f` reads them; the table is made anew. */
static int list_nft(struct cli *c, const struct ask_admin *ask)
{
	static const char table[] =
	        "table inet hikyaku\n"
	        "delete table inet hikyaku\n"
	        "table inet hikyaku {\n"
	        "	set banned4 { type ipv4_addr; flags interval,timeout; }\n"
	        "	set banned6 { type ipv6_addr; flags interval,timeout; }\n"
	        "	chain input {\n"
	        "		type filter hook input priority -10; policy accept;\n"
	        "		ip saddr @banned4 drop\n"
	        "		ip6 saddr @banned6 drop\n"
	        "	}\n"
	        "}\n";
	struct nft n = {0};
	int code = cli_admin_pages(c, *ask, nft_page, &n);
	struct bytes all = buf_bytes(&n.elements);

	if (code == CLI_DONE) {
		fputs(table, stdout);
		if (all.len)
			print_elements((const void *)all.ptr, all.len / sizeof(struct element));
	}
	buf_done(&n.elements);
	return code;
}

int cli_ban_list(struct cli *c)
{
	struct ask_admin ask = {.verb = ADMIN_BANS};

	if (cli_option(c, "--all"))
		ask.value = BYTES("all");
	return cli_option(c, "--nft") ? list_nft(c, &ask) : cli_admin_pages(c, ask, ban_page, c);
}

/* ---- one ask, its rows ---- */

static int run(struct cli *c, const struct ask_admin *admin, struct buf *rows)
{
	struct ask a = {.kind = ASK_ADMIN, .number = 1, .admin = *admin};
	struct client *client = NULL;
	struct answer answer;
	struct why why = {0};
	enum result r = client_open(c->directory, &client, &why);

	if (r == OK)
		r = client_ask(client, &a, &answer, &why);
	if (r == OK)
		buf_append(rows, answer.admin.rows);
	client_close(&client);
	return r == OK ? CLI_DONE : cli_fail(&why);
}

/* ---- why ---- */

static bool is_true(const json_t *row, const char *key)
{
	return json_is_true(json_object_get(row, key));
}

static const char *text_at(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static void say_verdict(const json_t *row, bool ja)
{
	const char *address = text_at(row, "address");

	if (is_true(row, "banned"))
		printf(ja ? "%s は締め出されています (%s)。\n"
		          : "%s is kept out (by the ban of %s).\n",
		       address, text_at(row, "by"));
	else
		printf(ja ? "%s は締め出されていません。\n" : "%s is not kept out.\n", address);
	if (is_true(row, "allowed"))
		puts(ja ? "除外リスト (ban.allow) にあるため、締め出されることはありません。"
		        : "It is in the allow list (ban.allow) and never will be.");
	if (is_true(row, "own_network"))
		puts(ja ? "このネットワークからは 30 "
		          "日以内に利用者が正しくログインしています。古いパスワードでは"
		          "締め出されません。"
		        : "One of our own people logged in from this network within 30 days: old "
		          "passwords "
		          "do not ban it.");
	if (is_true(row, "off"))
		puts(ja ? "締め出しは設定で無効になっています (ban.on)。"
		        : "Bans are switched off (ban.on).");
}

static void say_offences(const json_t *row)
{
	json_t *counts = json_object_get(row, "offences"), *n;
	const char *word, *comma = " ";

	json_object_foreach(counts, word, n)
	{
		printf("%s%s %lld", comma, word, (long long)json_integer_value(n));
		comma = ", ";
	}
	putchar('\n');
}

static void say_record(const json_t *row, bool ja)
{
	char when[CLI_MOMENT];
	json_int_t until = json_integer_value(json_object_get(row, "banned_until_ms"));

	printf("\n%s\n", text_at(row, "address"));
	if (until)
		printf(ja ? "  締め出し: %s まで (%lld 回目、理由 %s)\n"
		          : "  banned until %s (ban number %lld; %s)\n",
		       cli_moment(until, when),
		       (long long)json_integer_value(json_object_get(row, "bans")),
		       text_at(row, "reason"));
	if (*text_at(row, "detail"))
		printf("  %s\n", text_at(row, "detail"));
	printf(ja ? "  点数: %.2f / %lld\n" : "  points: %.2f of %lld\n",
	       json_number_value(json_object_get(row, "points")),
	       (long long)json_integer_value(json_object_get(row, "threshold")));
	printf(ja ? "  違反:" : "  offences:");
	say_offences(row);
	printf(ja ? "  拒否した接続: %lld\n" : "  connections dropped: %lld\n",
	       (long long)json_integer_value(json_object_get(row, "dropped")));
}

static void say_event(const json_t *row)
{
	char when[CLI_MOMENT];

	printf("  %s %s %s %s %s\n",
	       cli_moment(json_integer_value(json_object_get(row, "at_ms")), when),
	       text_at(row, "from"), text_at(row, "service"), text_at(row, "offence"),
	       text_at(row, "user"));
}

static void say_why(struct bytes rows, bool ja)
{
	struct bytes line;
	bool events = false;

	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line);

		if (json_object_get(row, "at_ms")) {
			if (!events)
				puts(ja ? "\n最近の出来事:" : "\nlately:");
			events = true;
			say_event(row);
		} else if (json_object_get(row, "allowed")) {
			say_verdict(row, ja);
		} else if (row) {
			say_record(row, ja);
		}
		json_decref(row);
	}
}

int cli_ban_why(struct cli *c)
{
	struct ask_admin ask = {.verb = ADMIN_BAN_WHY, .subject = bytes_of_text(c->args[0])};
	struct buf rows = {0};
	int code = run(c, &ask, &rows);

	if (code == CLI_DONE && c->json)
		cli_print_rows(c, buf_bytes(&rows));
	else if (code == CLI_DONE)
		say_why(buf_bytes(&rows), cli_speaks_japanese(c));
	buf_done(&rows);
	return code;
}

/* ---- lift, add ---- */

int cli_ban_lift(struct cli *c)
{
	bool all = strcmp(c->args[0], "all") == 0;
	struct ask_admin ask = {.verb = ADMIN_BAN_LIFT,
	                        .subject = all ? (struct bytes){0} : bytes_of_text(c->args[0])};
	struct buf rows = {0};
	int code = run(c, &ask, &rows);

	buf_done(&rows);
	return code;
}

/* "30m", "2h", "7d", "90" (seconds); 0: it is none of these. */
static uint64_t span_of(const char *text)
{
	static const struct {
		char unit;
		uint64_t ms;
	} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
	struct bytes b = bytes_of_text(text);
	uint64_t n, ms = 1000;

	for (size_t i = 0; b.len && i < sizeof(units) / sizeof(*units); i++) {
		if (b.ptr[b.len - 1] != units[i].unit)
			continue;
		ms = units[i].ms;
		b = bytes_first(b, b.len - 1);
		break;
	}
	return bytes_to_u64(b, 1000000, &n) == OK ? n * ms : 0;
}

int cli_ban_add(struct cli *c)
{
	struct ask_admin ask = {.verb = ADMIN_BAN_ADD, .subject = bytes_of_text(c->args[0])};
	const char *span = cli_option(c, "--for"), *why = cli_option(c, "--why");
	struct buf rows = {0};
	int code;

	if (span && (ask.number = span_of(span)) == 0)
		return cli_say_usage(c->command, "--for takes a time: 30m, 2h, 7d");
	if (why)
		ask.value = bytes_of_text(why);
	code = run(c, &ask, &rows);
	buf_done(&rows);
	return code;
}

/* ---- test ---- */

static void say_drill(const json_t *row, bool ja)
{
	if (is_true(row, "works"))
		printf(ja ? "締め出しは働いています: %s は %lld "
		            "個目のパスワードで締め出され、解除されました。\n"
		          : "Bans work: %s was kept out after %lld passwords, and let in again.\n",
		       text_at(row, "address"),
		       (long long)json_integer_value(
		               json_object_get(row, "passwords_until_banned")));
	else
		puts(ja ? "締め出しが働いていません。" : "Bans do not work.");
	printf(ja ? "失敗したログイン: %lld 件、数えられたもの: %lld 件 (起動以来)\n"
	          : "Failed logins seen by the fronts: %lld, counted by keeper: %lld (since the "
	            "start)\n",
	       (long long)json_integer_value(json_object_get(row, "failed_logins_seen")),
	       (long long)json_integer_value(json_object_get(row, "failed_logins_counted")));
}

static int drill(struct cli *c)
{
	struct ask_admin ask = {.verb = ADMIN_BAN_DRILL};
	struct buf rows = {0};
	int code = run(c, &ask, &rows);
	json_t *row;

	if (code == CLI_DONE) {
		row = cli_row(bytes_trim(buf_bytes(&rows)));
		if (c->json)
			cli_print_rows(c, buf_bytes(&rows));
		else
			say_drill(row, cli_speaks_japanese(c));
		code = is_true(row, "works") ? CLI_DONE : CLI_FAILED;
		json_decref(row);
	}
	buf_done(&rows);
	return code;
}

/* Without an address the drill; with one: would it be let in? Exit 1: it would not. */
int cli_ban_test(struct cli *c)
{
	struct ask_admin ask = {.verb = ADMIN_BAN_WHY};
	struct buf rows = {0};
	struct bytes rest, line = {0};
	json_t *row;
	int code;

	if (c->arg_count == 0)
		return drill(c);
	ask.subject = bytes_of_text(c->args[0]);
	code = run(c, &ask, &rows);
	rest = buf_bytes(&rows);
	if (code == CLI_DONE && bytes_cut(&rest, '\n', &line)) {
		row = cli_row(line);
		if (c->json)
			printf("%.*s\n", BYTES_ARG(line));
		else
			say_verdict(row, cli_speaks_japanese(c));
		code = is_true(row, "banned") ? CLI_FAILED : CLI_DONE;
		json_decref(row);
	}
	buf_done(&rows);
	return code;
}

/* ---- jails ---- */

static const char *const jail_keys[] = {"jail",       "since_ms", "last_ms",      "lines",
                                        "suspicious", "matched",  "last_match_ms"};

static bool jail_page(void *context, struct bytes rows, bool more)
{
	struct cli *c = context;

	(void)more;
	if (c->json)
		cli_print_rows(c, rows);
	else
		cli_print_some(c, rows, jail_keys, sizeof(jail_keys) / sizeof(*jail_keys));
	return true;
}

int cli_ban_jails(struct cli *c)
{
	return cli_admin_pages(c, (struct ask_admin){.verb = ADMIN_JAILS}, jail_page, c);
}
