/* `hikyaku trace`: a mail's whole life, found by an address, a Message-ID, a queue id, an IP address, or the
 * text of a bounce on stdin. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/pages.h"

enum { QUESTION_MAX = 40 * 1024 };

static void read_stdin(struct buf *out)
{
	size_t n;

	while (buf_len(out) < QUESTION_MAX && (n = fread(buf_room(out, 4096), 1, 4096, stdin)) > 0)
		buf_added(out, n);
}

static void put_word(const char *word, struct buf *out)
{
	int64_t at;

	if (cli_moment_of(word, &at))
		buf_printf(out, " time=%lld", (long long)at);
	else
		buf_printf(out, " %s", word);
}

static void read_question(const struct cli *c, struct buf *out)
{
	if (c->arg_count == 1 && strcmp(c->args[0], "-") == 0)
		read_stdin(out);
	else
		for (size_t i = 0; i < c->arg_count; i++)
			put_word(c->args[i], out);
	if (buf_len(out) > QUESTION_MAX)
		buf_truncate(out, QUESTION_MAX);
}

/* ---- telling ---- */

struct telling {
	struct cli *c;
	char mail[24]; /* whose life is being told */
	size_t count;
};

static const char *text_of(const json_t *row, const char *key)
{
	const char *value = json_string_value(json_object_get(row, key));

	return value ? value : "";
}

static void print_words(const char *head, const char *value)
{
	if (*value)
		printf("  %s%s", head, value);
}

static void tell_event(const json_t *row)
{
	char when[CLI_MOMENT];
	int64_t at = json_integer_value(json_object_get(row, "time_ms"));

	printf("  %s.%03d  %-18s", cli_moment(at, when), (int)(at % 1000), text_of(row, "event"));
	print_words("from ", text_of(row, "sender"));
	print_words("to ", text_of(row, "recipient"));
	print_words("ip ", text_of(row, "ip"));
	print_words("message-id ", text_of(row, "message_id"));
	print_words("", text_of(row, "text"));
	putchar('\n');
}

static void tell_queue(const struct cli *c, const json_t *row)
{
	char when[CLI_MOMENT];
	bool japanese = cli_speaks_japanese(c);
	int64_t due = json_integer_value(json_object_get(row, "due_ms"));

	printf(japanese ? "現在: キューで待っています (%s): %s" : "now: in the queue (%s): %s",
	       text_of(row, "state"), text_of(row, "recipient"));
	if (due > 0)
		printf(japanese ? "、次の試行 %s" : ", next try %s", cli_moment(due, when));
	print_words("", text_of(row, "reason"));
	printf("\n       hikyaku -C %s queue why entry:%lld\n", c->directory,
	       json_integer_value(json_object_get(row, "entry")));
}

static void tell_now(const struct cli *c, const json_t *row)
{
	bool japanese = cli_speaks_japanese(c);
	const char *now = text_of(row, "now");

	fputs("  ", stdout);
	if (strcmp(now, "queue") == 0)
		tell_queue(c, row);
	else if (strcmp(now, "mailbox") == 0)
		printf(japanese ? "現在: %s のメールボックス %s にあります (UID %lld、%s)\n"
		                : "now: in %s's mailbox %s (UID %lld, %s)\n",
		       text_of(row, "account"), text_of(row, "mailbox"),
		       json_integer_value(json_object_get(row, "uid")),
		       json_is_true(json_object_get(row, "seen")) ? (japanese ? "既読" : "read")
		                                                  : (japanese ? "未読" : "unread"));
	else if (strcmp(now, "kept") == 0)
		puts(japanese ? "現在: キューにはありません。どこかのメールボックスにあります。"
		              : "now: not in the queue; some mailbox has it");
	else
		puts(japanese ? "現在: このサーバーには残っていません。"
		              : "now: this server has it no longer");
}

static void tell(struct telling *t, const json_t *row)
{
	const char *mail = text_of(row, "mail");

	if (strcmp(mail, t->mail) != 0) {
		printf("%s%s %s\n", t->count ? "\n" : "",
		       cli_speaks_japanese(t->c) ? "メール" : "Mail",
		       strcmp(mail, "-") == 0 ? (cli_speaks_japanese(t->c) ? "なし (接続の記録)"
		                                                           : "none (of sessions)")
		                              : mail);
		snprintf(t->mail, sizeof(t->mail), "%s", mail);
	}
	t->count++;
	if (json_object_get(row, "now"))
		tell_now(t->c, row);
	else
		tell_event(row);
}

static bool trace_page(void *context, struct bytes rows, bool more)
{
	struct telling *t = context;
	struct bytes line;

	if (t->c->json) {
		cli_print_rows(t->c, rows);
		return cli_option(t->c, "--all") != NULL;
	}
	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line);

		if (row)
			tell(t, row);
		json_decref(row);
	}
	if (!more || cli_option(t->c, "--all"))
		return true;
	puts(cli_speaks_japanese(t->c) ? "\nほかにもあります。--all ですべて表示します。"
	                               : "\nThere is more: --all shows it all.");
	return false;
}

int cli_trace(struct cli *c)
{
	struct telling t = {.c = c};
	struct buf question = {0};
	int status;

	read_question(c, &question);
	status = cli_admin_pages(
	        c, (struct ask_admin){.verb = ADMIN_TRACE, .subject = buf_bytes(&question)},
	        trace_page, &t);
	buf_done(&question);
	if (status == CLI_DONE && !c->json && t.count == 0) {
		puts(cli_speaks_japanese(c) ? "記録がありません。" : "Nothing is known of it.");
		status = CLI_FAILED;
	}
	return status;
}
