/* JSON lines as a table for people: a column for each key, in order of first appearance. Keys that end in _ms are moments,
 * told in local time. Heads are words of people's language. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/time.h"
#include "cli/cli.h"
#include "cli/pages.h"

enum { COLUMNS = 32, WIDTH_MAX = 60 };

struct word {
	const char *key, *japanese;
};

static const struct word words[] = {
        {"accounts", "アカウント"},
        {"address", "アドレス"},
        {"alias", "別名"},
        {"asked_hour", "件/時"},
        {"attempted_ms", "前回"},
        {"ban_drops", "締め出しで拒否"},
        {"banned_until_ms", "締め出し期限"},
        {"bans", "締め出し"},
        {"blind_ms", "途絶"},
        {"carry", "転送待ち"},
        {"channel", "経路"},
        {"check", "チェック"},
        {"count", "件数"},
        {"covered_percent", "有効%"},
        {"default", "既定値"},
        {"destination", "宛先ドメイン"},
        {"detail", "詳細"},
        {"disk_full", "ディスク満杯"},
        {"dns", "DNS"},
        {"dnssec", "DNSSEC"},
        {"domain", "ドメイン"},
        {"doubt", "疑わしい応答"},
        {"dropped", "拒否した接続"},
        {"due_ms", "次回"},
        {"end_ms", "終了"},
        {"envelope_from", "エンベロープ差出人"},
        {"event", "出来事"},
        {"expires_ms", "期限"},
        {"failed", "失敗"},
        {"false_hits_day", "誤判定/日"},
        {"generation", "設定の世代"},
        {"held", "保留"},
        {"held_by", "保留"},
        {"help", "説明"},
        {"hits_day", "判定/日"},
        {"id", "番号"},
        {"incident", "インシデント"},
        {"incidents", "インシデント"},
        {"jail", "監視対象"},
        {"key", "対象"},
        {"kind", "種類"},
        {"landlock", "Landlock"},
        {"last_match_ms", "最後の一致"},
        {"last_ms", "最終"},
        {"learn_damaged", "学習ファイルの破損"},
        {"learn_dropped", "学習の欠落"},
        {"learn_why", "学習できない理由"},
        {"learnt_junk", "迷惑メールとして学習"},
        {"learnt_other", "通常メールとして学習"},
        {"ledger_dropped", "台帳の欠落"},
        {"ledger_written", "台帳の記録"},
        {"lines", "行数"},
        {"log_octets", "ログのバイト数"},
        {"mail", "メール"},
        {"mailboxes", "メールボックス"},
        {"mails", "通数"},
        {"mails_day", "通/日"},
        {"mails_hour", "通/時"},
        {"matched", "一致"},
        {"messages", "通数"},
        {"missing_wall", "欠けている壁"},
        {"new_recipients_day", "新しい宛先/日"},
        {"oldest_ms", "最古"},
        {"option", "設定項目"},
        {"origin", "元の宛先"},
        {"policy", "方針"},
        {"provider", "事業者"},
        {"quarantined", "隔離"},
        {"queue_carry", "転送待ち"},
        {"queue_held", "保留"},
        {"queue_parked", "待避"},
        {"queue_ready", "配送待ち"},
        {"queued_ms", "受付"},
        {"quota", "上限"},
        {"reading", "読込中"},
        {"reason", "理由"},
        {"received_ms", "受信"},
        {"recipient", "宛先"},
        {"recipients_day", "宛先/日"},
        {"recipients_hour", "宛先/時"},
        {"rejected", "拒否"},
        {"remote", "相手ホスト"},
        {"reply", "応答"},
        {"reporter", "報告者"},
        {"restarts", "再起動"},
        {"role", "役割"},
        {"segments", "セグメント"},
        {"sender", "差出人"},
        {"since", "開始"},
        {"since_ms", "発生"},
        {"size", "大きさ"},
        {"space_octets", "空きバイト数"},
        {"spared", "見送り"},
        {"spool_octets", "受信中バイト数"},
        {"state", "状態"},
        {"status", "状態コード"},
        {"suspended", "停止"},
        {"suspicious", "失敗らしい行"},
        {"target", "送り先"},
        {"targets", "転送先"},
        {"task", "作業"},
        {"tested_ms", "試験"},
        {"title", "内容"},
        {"tries", "試行"},
        {"type", "型"},
        {"unknown_day", "不明な宛先/日"},
        {"until_ms", "解決"},
        {"used", "使用量"},
        {"value", "値"},
        {"way", "方法"},
};

static bool is_moment(const char *key)
{
	return bytes_ends(bytes_of_text(key), BYTES("_ms"));
}

/* The head of a column; out is room for it. */
static const char *head_of(const char *key, char out[64])
{
	size_t len = strlen(key) - (is_moment(key) ? 3 : 0);

	for (size_t i = 0; cli_japanese() && i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(words[i].key, key) == 0)
			return words[i].japanese;
	snprintf(out, 64, "%.*s", (int)(len < 63 ? len : 63), key);
	return out;
}

static char *moment_text(const json_t *value)
{
	time_t seconds = (time_t)(json_integer_value(value) / 1000);
	char text[32] = "-";
	struct tm local;

	if (seconds > 0 && localtime_r(&seconds, &local))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
	return strdup(text);
}

/* "age_ms" is no moment: 3d 4h, 12m 5s. */
static char *age_text(const json_t *value)
{
	static const struct {
		long long seconds;
		const char *unit;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
	long long seconds = json_integer_value(value) / 1000;
	char text[64];
	size_t i = 0;

	while (i < 3 && seconds < units[i].seconds)
		i++;
	snprintf(text, sizeof(text), "%lld%s", seconds / units[i].seconds, units[i].unit);
	if (i < 3 && seconds % units[i].seconds >= units[i + 1].seconds)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %lld%s",
		         seconds % units[i].seconds / units[i + 1].seconds, units[i + 1].unit);
	return strdup(text);
}

/* A value as text; the caller frees it. */
static char *text_of(const char *key, const json_t *value)
{
	if (strcmp(key, "age_ms") == 0)
		return age_text(value);
	if (is_moment(key) && json_is_integer(value))
		return moment_text(value);
	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (!value || json_is_null(value))
		return strdup("-");
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* Columns on the screen: UTF-8, wide characters count two. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if ((*p & 0xc0) != 0x80)
			width += *p >= 0xe3 && *p < 0xf0 ? 2 : 1;
	return width;
}

static void print_cell(const char *text, size_t width)
{
	size_t have = width_of(text);

	fputs(text, stdout);
	for (; have < width + 2; have++)
		putchar(' ');
}

static json_t *parse_rows(struct bytes rows)
{
	json_t *all = json_array();
	struct bytes line;

	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line);

		if (json_is_object(row))
			json_array_append_new(all, row);
		else
			json_decref(row);
	}
	return all;
}

/* The heads are the keys, in order of first appearance. */
static size_t collect_heads(json_t *all, const char *heads[COLUMNS])
{
	size_t count = 0, i;
	json_t *row, *value;
	const char *key;

	json_array_foreach(all, i, row)
	{
		json_object_foreach(row, key, value)
		{
			size_t n;

			for (n = 0; n < count && strcmp(heads[n], key) != 0; n++)
				;
			if (n == count && count < COLUMNS)
				heads[count++] = key;
		}
	}
	return count;
}

static size_t column_width(json_t *all, const char *head)
{
	char room[64];
	size_t width = width_of(head_of(head, room)), i;
	json_t *row;

	json_array_foreach(all, i, row)
	{
		char *text = text_of(head, json_object_get(row, head));

		if (width_of(text) > width)
			width = width_of(text);
		free(text);
	}
	return width < WIDTH_MAX ? width : WIDTH_MAX;
}

static void print_table(json_t *all)
{
	const char *heads[COLUMNS];
	char room[64];
	size_t widths[COLUMNS], count = collect_heads(all, heads), i, n;
	json_t *row;

	for (n = 0; n < count; n++) {
		widths[n] = column_width(all, heads[n]);
		print_cell(head_of(heads[n], room), n + 1 < count ? widths[n] : 0);
	}
	if (count > 0)
		putchar('\n');
	json_array_foreach(all, i, row)
	{
		for (n = 0; n < count; n++) {
			char *text = text_of(heads[n], json_object_get(row, heads[n]));

			print_cell(text, n + 1 < count ? widths[n] : 0);
			free(text);
		}
		putchar('\n');
	}
}

/* One object is a list of its members. */
static void print_object(json_t *object)
{
	char room[64];
	const char *key;
	json_t *value;
	size_t width = 20;

	json_object_foreach(object, key, value)
	{
		size_t head = width_of(head_of(key, room));

		width = head > width ? head : width;
	}
	json_object_foreach(object, key, value)
	{
		char *text = text_of(key, value);

		print_cell(head_of(key, room), width);
		puts(text);
		free(text);
	}
}

static bool is_listing(const struct cli *c)
{
	return c->command->verb && strcmp(c->command->verb, "list") == 0;
}

void cli_print_rows(const struct cli *c, struct bytes rows)
{
	json_t *all;

	if (c->json) {
		if (rows.len)
			fwrite(rows.ptr, 1, rows.len, stdout);
		return;
	}
	all = parse_rows(rows);
	if (json_array_size(all) == 1 && !is_listing(c) &&
	    json_object_size(json_array_get(all, 0)) > 6)
		print_object(json_array_get(all, 0));
	else
		print_table(all);
	json_decref(all);
}
