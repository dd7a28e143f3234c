/* `hikyaku checks`: what looks at mail, whether each may refuse today, and why not. */
#include <jansson.h>
#include <stdio.h>

#include "cli/client.h"
#include "cli/pages.h"

static const char *const keys[] = {"check",     "state",          "asked_hour", "covered_percent",
                                   "hits_day",  "false_hits_day", "spared",     "blind_ms",
                                   "tested_ms", "doubt"};

static const char *text_of(const json_t *row, const char *key)
{
	const char *value = json_string_value(json_object_get(row, key));

	return value ? value : "";
}

static long long number_of(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

struct said {
	const char *word, *english, *japanese;
};

static const struct said states[] = {
        {"proven", "may refuse mail", "拒否できます"},
        {"unproven", "refuses nothing: its test entries were not right yet, or not asked lately",
         "拒否しません: 試験項目がまだ確認されていません"},
        {"blind", "checks nothing: its answers cannot be used",
         "何も検査していません: 使える応答がありません"},
        {"demoted", "refuses nothing for now", "現在は拒否しません"},
};

static const struct said causes[] = {
        {"known-senders", "it accused proved senders whom our people know",
         "利用者の知る、認証された差出人を不良と判定しました"},
        {"clean-mail", "it accused mail that nothing else speaks against",
         "ほかに問題のないメールを不良と判定しました"},
        {"rate", "it accused far more mail than it used to",
         "これまでよりはるかに多くのメールを不良と判定しました"},
        {"tests", "it listed what no list may list",
         "登録してはならない試験項目を登録していました"},
};

static const char *words_for(const struct said *list, size_t count, const char *word, bool ja)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].word, word) == 0)
			return ja ? list[i].japanese : list[i].english;
	return word;
}

static void tell_moment(const json_t *row, const char *key, const char *head)
{
	char text[CLI_MOMENT];

	if (number_of(row, key) > 0)
		printf("  %s%s\n", head, cli_moment(number_of(row, key), text));
}

static void tell_text(const json_t *row, const char *key, const char *head)
{
	if (*text_of(row, key))
		printf("  %s%s\n", head, text_of(row, key));
}

static void tell_check(const struct cli *c, const json_t *row)
{
	bool ja = cli_speaks_japanese(c);

	printf("%s: %s\n", text_of(row, "check"),
	       words_for(states, sizeof(states) / sizeof(*states), text_of(row, "state"), ja));
	if (*text_of(row, "cause"))
		printf("  %s%s\n", ja ? "理由: " : "because: ",
		       words_for(causes, sizeof(causes) / sizeof(*causes), text_of(row, "cause"),
		                 ja));
	tell_moment(row, "demoted_ms", ja ? "停止: " : "since: ");
	tell_moment(row, "returns_ms", ja ? "早くて復帰: " : "comes back at the earliest: ");
	tell_moment(row, "blind_ms", ja ? "検査が途絶えた時刻: " : "blind since: ");
	printf(ja ? "  直近 1 時間: %lld 通、うち %lld%% に使える応答\n"
	          : "  last hour: asked for %lld mails, a usable answer for %lld%%\n",
	       number_of(row, "asked_hour"), number_of(row, "covered_percent"));
	printf(ja ? "  24 時間の不良判定: %lld 通、うち既知の差出人 %lld 通\n"
	          : "  in 24 hours it spoke against %lld mails, %lld of them of known senders\n",
	       number_of(row, "hits_day"), number_of(row, "false_hits_day"));
	if (number_of(row, "spared") > 0)
		printf(ja ? "  起動以降、拒否させなかったメール: %lld 通\n"
		          : "  not refused though it wanted it, since the start: %lld mails\n",
		       number_of(row, "spared"));
	tell_text(row, "doubt", ja ? "最後の疑わしい応答: " : "last answer in doubt: ");
	tell_moment(row, "tested_ms", ja ? "試験: " : "tested: ");
	tell_text(row, "tests", ja ? "試験項目: " : "test entries: ");
}

static bool one_page(void *context, struct bytes rows, bool more)
{
	struct cli *c = context;
	struct bytes line;

	(void)more;
	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line);

		if (row)
			tell_check(c, row);
		json_decref(row);
	}
	return true;
}

static bool page(void *context, struct bytes rows, bool more)
{
	struct cli *c = context;

	if (c->json)
		cli_print_rows(c, rows);
	else if (c->arg_count > 0)
		return one_page(context, rows, more);
	else
		cli_print_some(c, rows, keys, sizeof(keys) / sizeof(*keys));
	return true;
}

int cli_checks(struct cli *c)
{
	struct ask_admin ask = {.verb = ADMIN_CHECKS};

	if (c->arg_count > 0)
		ask.subject = bytes_of_text(c->args[0]);
	return cli_admin_pages(c, ask, page, c);
}

int cli_checks_restore(struct cli *c)
{
	return cli_admin_pages(c,
	                       (struct ask_admin){.verb = ADMIN_CHECK_RESTORE,
	                                          .subject = bytes_of_text(c->args[0])},
	                       page, c);
}
