/* `hikyaku escrow`: what was refused after DATA and is kept, why it was refused, and delivering it after all. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/pages.h"
#include "mail/summary.h"
#include "mail/words.h"

enum { LIST_MOST = 1000, SUBJECT_MAX = 200 };

struct words {
	const char *english, *japanese;
};

static const char *say(const struct cli *c, struct words w)
{
	return cli_speaks_japanese(c) ? w.japanese : w.english;
}

/* ---- which ---- */

static bool put_moment(const struct cli *c, const char *option, const char *word, struct buf *out)
{
	const char *text = cli_option(c, option);
	int64_t at;

	if (!text)
		return true;
	if (!cli_moment_of(text, &at))
		return false;
	buf_printf(out, " %s=%lld", word, (long long)at);
	return true;
}

static void put_word(const struct cli *c, const char *option, const char *word, struct buf *out)
{
	const char *text = cli_option(c, option);

	if (text && *text)
		buf_printf(out, " %s=%s", word, text);
}

/* The nth ID, if there are any, and what the options say. False: a time that is none. */
static bool which(const struct cli *c, size_t nth, struct buf *out)
{
	if (nth < c->arg_count)
		buf_printf(out, " %s", c->args[nth]);
	put_word(c, "--check", "check", out);
	put_word(c, "--to", "to", out);
	put_word(c, "--from", "from", out);
	return put_moment(c, "--since", "since", out) && put_moment(c, "--until", "until", out);
}

static int no_time(const struct cli *c)
{
	return cli_say_usage(c->command,
	                     "a time is 30m, 2h, 3d (ago), 2026-11-24 or 2026-11-24T11:04");
}

/* ---- list ---- */

static json_t *subject_of(const json_t *row)
{
	const json_t *coded = json_object_get(row, "summary");
	struct buf summary = {0}, text = {0};
	struct arena arena = {0};
	json_t *ret = NULL;
	struct summary s;

	if (decode_base64(bytes_of(json_string_value(coded), json_string_length(coded)),
	                  &summary) == OK &&
	    summary_decode(buf_bytes(&summary), &arena, &s) == OK) {
		words_decode(s.root->envelope->subject, &text);
		ret = json_stringn(buf_len(&text) ? buf_bytes(&text).ptr : "",
		                   buf_len(&text) < SUBJECT_MAX ? buf_len(&text) : SUBJECT_MAX);
	}
	buf_done(&summary);
	buf_done(&text);
	arena_done(&arena);
	return ret ? ret : json_string("");
}

static json_t *joined(const json_t *list)
{
	struct buf out = {0};
	const json_t *one;
	json_t *ret;
	size_t i;

	json_array_foreach(list, i, one)
	{
		buf_printf(&out, "%s%s", i ? " " : "", json_string_value(one));
	}
	ret = json_stringn(buf_len(&out) ? buf_bytes(&out).ptr : "", buf_len(&out));
	buf_done(&out);
	return ret;
}

/* The row as it is told: a subject for the summary; for a table the recipients are one text. */
static void tell_row(const struct cli *c, json_t *row, struct buf *out)
{
	char *text;

	json_object_set_new(row, "subject", subject_of(row));
	json_object_del(row, "summary");
	if (!c->json)
		json_object_set_new(row, "recipients", joined(json_object_get(row, "recipients")));
	text = json_dumps(row, JSON_COMPACT | JSON_PRESERVE_ORDER);
	if (text) {
		buf_append_text(out, text);
		buf_append_char(out, '\n');
	}
	free(text);
}

struct listing {
	struct cli *c;
	size_t told;
};

static const char *const list_keys[] = {"mail",       "id",     "time_ms", "state",  "sender",
                                        "recipients", "checks", "score",   "subject"};

static bool list_page(void *context, struct bytes rows, bool more)
{
	struct listing *l = context;
	struct buf out = {0};
	struct bytes line;

	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = l->c->json ? json_loadb(line.ptr, line.len, 0, NULL) : cli_row(line);

		if (row)
			tell_row(l->c, row, &out);
		json_decref(row);
	}
	if (l->c->json)
		cli_print_rows(l->c, buf_bytes(&out));
	else
		l->told += cli_print_some(l->c, buf_bytes(&out), list_keys,
		                          sizeof(list_keys) / sizeof(*list_keys));
	buf_done(&out);
	if (!more || l->c->json || l->told < LIST_MOST || cli_option(l->c, "--all"))
		return true;
	puts(say(l->c, (struct words){
	                       "There are more: --since and --until part them.",
	                       "ほかにもあります。--since と --until で期間を指定してください。"}));
	return false;
}

static int list_one(struct listing *l, size_t nth)
{
	struct buf subject = {0};
	int status;

	if (!which(l->c, nth, &subject)) {
		buf_done(&subject);
		return no_time(l->c);
	}
	if (!cli_option(l->c, "--all"))
		buf_append_text(&subject, " state=kept");
	status = cli_admin_pages(
	        l->c, (struct ask_admin){.verb = ADMIN_ESCROW_LIST, .subject = buf_bytes(&subject)},
	        list_page, l);
	buf_done(&subject);
	return status;
}

int cli_escrow_list(struct cli *c)
{
	struct listing l = {c, 0};
	int status = list_one(&l, 0);

	for (size_t i = 1; status == CLI_DONE && i < c->arg_count; i++)
		status = list_one(&l, i);
	return status;
}

/* ---- show ---- */

static const char *text_of(const json_t *row, const char *key)
{
	const char *value = json_string_value(json_object_get(row, key));

	return value ? value : "";
}

static void line_text(const struct cli *c, struct words head, const json_t *row, const char *key)
{
	if (*text_of(row, key))
		printf("  %s: %s\n", say(c, head), text_of(row, key));
}

static void line_time(const struct cli *c, struct words head, const json_t *row, const char *key)
{
	char text[CLI_MOMENT];
	int64_t at = json_integer_value(json_object_get(row, key));

	if (at > 0)
		printf("  %s: %s\n", say(c, head), cli_moment(at, text));
}

static void line_list(const struct cli *c, struct words head, const json_t *row, const char *key)
{
	json_t *text = joined(json_object_get(row, key));

	if (json_string_length(text))
		printf("  %s: %s\n", say(c, head), json_string_value(text));
	json_decref(text);
}

static void tell_evidence(const struct cli *c, const json_t *row)
{
	const json_t *list = json_object_get(row, "evidence"), *one;
	size_t i;

	if (json_array_size(list))
		printf("  %s:\n", say(c, (struct words){"What the checks said", "検査の判定"}));
	json_array_foreach(list, i, one)
	{
		printf("    %-14s %-8s %7s  %s\n", text_of(one, "check"), text_of(one, "says"),
		       text_of(one, "points"), text_of(one, "text"));
	}
}

static void tell_mail(const struct cli *c, const json_t *row)
{
	const char *id = *text_of(row, "id") ? text_of(row, "id") : text_of(row, "mail");

	printf("%s <%s>\n", text_of(row, "mail"), text_of(row, "sender"));
	line_text(c, (struct words){"Id in the refusal", "拒否応答に示した番号"}, row, "id");
	line_time(c, (struct words){"Refused", "拒否した時刻"}, row, "time_ms");
	line_text(c, (struct words){"From", "差出人 (From)"}, row, "from");
	line_list(c, (struct words){"For", "宛先"}, row, "recipients");
	line_text(c, (struct words){"Client", "接続元"}, row, "ip");
	line_text(c, (struct words){"Its name", "接続元の名前 (検証済み)"}, row, "ptr");
	line_text(c, (struct words){"It greeted as", "名乗り (HELO)"}, row, "helo");
	line_text(c, (struct words){"Proved domain", "認証されたドメイン"}, row, "proved_domain");
	line_text(c, (struct words){"Message-ID", "Message-ID"}, row, "message_id");
	line_text(c, (struct words){"Score", "点数"}, row, "score");
	tell_evidence(c, row);
	line_list(c, (struct words){"Delivered after all to", "配達済みの宛先"}, row, "released");
	line_text(c, (struct words){"Released by", "配達させた者"}, row, "released_by");
	line_time(c, (struct words){"Kept until", "保管期限"}, row, "forgotten_ms");
	printf("  %s: hikyaku -C %s escrow show --mail %s\n",
	       say(c, (struct words){"Read it", "本文を読む"}), c->directory, id);
	if (json_integer_value(json_object_get(row, "released_ms")) == 0)
		printf("  %s: hikyaku -C %s escrow release %s\n",
		       say(c, (struct words){"Deliver it", "配達する"}), c->directory, id);
}

static bool show_page(void *context, struct bytes rows, bool more)
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
			tell_mail(c, row);
		json_decref(row);
	}
	return true;
}

/* The mail's octets as they came. */
static bool mail_page(void *context, struct bytes rows, bool more)
{
	json_t *row = json_loadb(rows.ptr, rows.len, 0, NULL);
	const json_t *chunk = json_object_get(row, "chunk");
	struct buf out = {0};
	bool fine;

	(void)context;
	(void)more;
	fine = decode_base64(bytes_of(json_string_value(chunk), json_string_length(chunk)), &out) ==
	               OK &&
	       fwrite(buf_bytes(&out).ptr, 1, buf_len(&out), stdout) == buf_len(&out);
	buf_done(&out);
	json_decref(row);
	return fine;
}

int cli_escrow_show(struct cli *c)
{
	bool mail = cli_option(c, "--mail") != NULL;

	return cli_admin_pages(
	        c,
	        (struct ask_admin){.verb = mail ? ADMIN_ESCROW_READ : ADMIN_ESCROW_SHOW,
	                           .subject = bytes_of_text(c->args[0])},
	        mail ? mail_page : show_page, c);
}

/* ---- release ---- */

struct releasing {
	struct cli *c;
	size_t mails;
	int64_t recipients;
};

static bool release_page(void *context, struct bytes rows, bool more)
{
	struct releasing *r = context;
	struct bytes line;

	(void)more;
	if (r->c->json)
		cli_print_rows(r->c, rows);
	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = json_loadb(line.ptr, line.len, 0, NULL);

		r->mails += row != NULL;
		r->recipients += json_integer_value(json_object_get(row, "recipients"));
		json_decref(row);
	}
	return true;
}

static int release_one(struct releasing *r, size_t nth)
{
	const char *to = cli_option(r->c, "--to");
	struct buf subject = {0};
	int status;

	if (!which(r->c, nth, &subject)) {
		buf_done(&subject);
		return no_time(r->c);
	}
	if (buf_len(&subject) == 0)
		return cli_say_usage(r->c->command, "say which: an ID, or all");
	buf_append_text(&subject, " state=kept");
	status = cli_admin_pages(r->c,
	                         (struct ask_admin){.verb = ADMIN_ESCROW_RELEASE,
	                                            .subject = buf_bytes(&subject),
	                                            .value = bytes_of_text(to ? to : "")},
	                         release_page, r);
	buf_done(&subject);
	return status;
}

int cli_escrow_release(struct cli *c)
{
	struct releasing r = {.c = c};
	int status = release_one(&r, 0);

	for (size_t i = 1; status == CLI_DONE && i < c->arg_count; i++)
		status = release_one(&r, i);
	if (status == CLI_DONE && !c->json)
		printf(say(c, (struct words){"%zu mails delivered after all, to %lld recipients\n",
		                             "%zu 通を宛先 %lld 件に配達しました\n"}),
		       r.mails, (long long)r.recipients);
	return status == CLI_DONE && r.mails == 0 ? CLI_FAILED : status;
}
