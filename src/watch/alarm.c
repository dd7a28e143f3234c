#include "watch/alarm.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/text.h"
#include "mail/words.h"
#include "watch/incident.h"

static const struct {
	const char *name, *english, *japanese;
} events[ALARM_EVENTS] = {
        [0] = {"incident.unknown", "", ""},
        [ALARM_RAISED] = {"incident.raised", "", "発生"},
        [ALARM_AGAIN] = {"incident.again", " is back", "再発"},
        [ALARM_REPEATED] = {"incident.repeated", " is still open", "継続中"},
        [ALARM_ACKNOWLEDGED] = {"incident.acknowledged", " acknowledged", "確認済み"},
        [ALARM_CLOSED] = {"incident.closed", " is over", "解決"},
        [ALARM_TEST] = {"test", "", ""},
};

const char *alarm_event_name(unsigned event)
{
	return events[event < ALARM_EVENTS ? event : 0].name;
}

struct bytes alarm_id(const struct alarm *a, struct arena *arena)
{
	return arena_printf(arena, "hk_%llu_%u_%lld", (unsigned long long)a->incident,
	                    (unsigned)a->event, (long long)a->at);
}

/* ---- words ---- */

static void texts_of(const struct alarm *a, struct arena *arena, struct incident_texts *ret)
{
	struct buf facts = {0};
	char number[24];

	buf_append(&facts, a->facts);
	if (a->facts.len && a->facts.ptr[a->facts.len - 1] != '\n')
		buf_append_char(&facts, '\n');
	snprintf(number, sizeof(number), "%llu", (unsigned long long)a->incident);
	incident_fact_put(&facts, "number", bytes_of_text(number));
	incident_texts(a->kind, a->key, arena_copy(arena, buf_bytes(&facts)), a->japanese, arena,
	               ret);
	buf_done(&facts);
}

static struct bytes title_of(const struct alarm *a, const struct incident_texts *t,
                             struct arena *arena)
{
	unsigned event = a->event < ALARM_EVENTS ? a->event : 0;

	if (event == ALARM_TEST)
		return arena_printf(arena, "[%.*s] %s", BYTES_ARG(a->server),
		                    a->japanese ? "テスト通知" : "test alarm");
	if (a->japanese)
		return arena_printf(arena, "[%.*s] インシデント %llu %s: %.*s",
		                    BYTES_ARG(a->server), (unsigned long long)a->incident,
		                    events[event].japanese, BYTES_ARG(t->title));
	return arena_printf(arena, "[%.*s] incident %llu%s: %.*s", BYTES_ARG(a->server),
	                    (unsigned long long)a->incident, events[event].english,
	                    BYTES_ARG(t->title));
}

struct bytes alarm_title(const struct alarm *a, struct arena *arena)
{
	struct incident_texts t;

	texts_of(a, arena, &t);
	return title_of(a, &t, arena);
}

/* "2 d 3 h", "3 h 20 min", "20 min", "12 s" */
static struct bytes span(int64_t ms, bool japanese, struct arena *arena)
{
	long long s = ms > 0 ? ms / 1000 : 0, days = s / 86400, hours = s / 3600 % 24,
	          minutes = s / 60 % 60;

	if (days)
		return arena_printf(arena, japanese ? "%lld日%lld時間" : "%lld d %lld h", days,
		                    hours);
	if (hours)
		return arena_printf(arena, japanese ? "%lld時間%lld分" : "%lld h %lld min", hours,
		                    minutes);
	if (minutes)
		return arena_printf(arena, japanese ? "%lld分" : "%lld min", minutes);
	return arena_printf(arena, japanese ? "%lld秒" : "%lld s", s);
}

/* Of one that is over: how long, how much, how often. */
static struct bytes summary_of(const struct alarm *a, struct arena *arena)
{
	struct bytes lasted = span(a->until - a->since, a->japanese, arena), again = {0};

	if (a->event != ALARM_CLOSED || a->until == 0)
		return (struct bytes){0};
	if (a->relapses)
		again = arena_printf(arena, a->japanese ? "、再発 %u 回" : ", came back %u times",
		                     a->relapses);
	return arena_printf(arena,
	                    a->japanese ? "%.*s続きました (%llu 件%.*s)。"
	                                : "It lasted %.*s (counted %llu times%.*s).",
	                    BYTES_ARG(lasted), (unsigned long long)a->count, BYTES_ARG(again));
}

static void put_part(struct buf *out, struct bytes text)
{
	if (text.len == 0)
		return;
	buf_append_char(out, '\n');
	buf_append(out, text);
	buf_append_char(out, '\n');
}

void alarm_text(const struct alarm *a, struct arena *arena, struct buf *out)
{
	struct incident_texts t;

	texts_of(a, arena, &t);
	buf_append(out, title_of(a, &t, arena));
	buf_append_char(out, '\n');
	if (a->event == ALARM_TEST) {
		put_part(out, a->japanese ? BYTES("この経路は届いています。対応は不要です。")
		                          : BYTES("This channel works. There is nothing to do."));
		return;
	}
	put_part(out, summary_of(a, arena));
	if (a->event == ALARM_CLOSED)
		return;
	if (a->acked_by.len)
		put_part(out,
		         arena_printf(arena,
		                      a->japanese ? "確認した人: %.*s" : "Acknowledged by %.*s.",
		                      BYTES_ARG(a->acked_by)));
	put_part(out, t.cause);
	put_part(out, t.cost);
	put_part(out, t.what_to_do);
}

/* ---- JSON ---- */

/* What is not UTF-8 becomes U+FFFD, octet by octet. */
static void put_string(struct buf *out, struct bytes text)
{
	buf_append_char(out, '"');
	while (text.len > 0) {
		uint32_t code;
		int len = text_utf8_next(text, &code);

		if (len <= 0)
			buf_append_text(out, "\xef\xbf\xbd");
		else if (code == '"' || code == '\\')
			buf_printf(out, "\\%c", (char)code);
		else if (code < ' ' || code == 0x7f)
			buf_printf(out, "\\u%04x", code);
		else
			buf_append(out, bytes_first(text, (size_t)len));
		text = bytes_skip(text, len > 0 ? (size_t)len : 1);
	}
	buf_append_char(out, '"');
}

static void put_field(struct buf *out, const char *name, struct bytes value)
{
	buf_printf(out, ",\"%s\":", name);
	put_string(out, value);
}

static void put_time(struct buf *out, const char *name, time_ms at)
{
	char text[TIME_TEXT];

	if (at == 0) {
		buf_printf(out, ",\"%s\":null", name);
		return;
	}
	time_format_rfc3339(at, text);
	put_field(out, name, bytes_of_text(text));
}

static void put_facts(struct buf *out, struct bytes facts)
{
	struct bytes line;
	bool any = false;

	buf_append_text(out, ",\"facts\":{");
	while (bytes_cut(&facts, '\n', &line)) {
		size_t equals = bytes_find_char(line, '=');

		if (equals == BYTES_NONE)
			continue;
		if (any)
			buf_append_char(out, ',');
		any = true;
		put_string(out, bytes_first(line, equals));
		buf_append_char(out, ':');
		put_string(out, bytes_skip(line, equals + 1));
	}
	buf_append_char(out, '}');
}

static void put_incident(struct buf *out, const struct alarm *a, struct arena *arena)
{
	struct incident_texts t;

	texts_of(a, arena, &t);
	buf_printf(out, ",\"incident\":%llu,\"count\":%llu,\"relapses\":%u,\"open\":%s",
	           (unsigned long long)a->incident, (unsigned long long)a->count, a->relapses,
	           a->until ? "false" : "true");
	put_field(out, "kind", bytes_of_text(incident_kind_name(a->kind)));
	put_field(out, "key", a->key);
	put_field(out, "title", t.title);
	put_field(out, "cause", t.cause);
	put_field(out, "cost", t.cost);
	put_field(out, "what_to_do", t.what_to_do);
	put_field(out, "summary", summary_of(a, arena));
	put_time(out, "since", a->since);
	put_time(out, "last", a->last);
	put_time(out, "until", a->until);
	put_field(out, "acknowledged_by", a->acked_by);
	put_facts(out, a->facts);
}

void alarm_json(const struct alarm *a, struct arena *arena, struct buf *out)
{
	struct buf text = {0};

	buf_append_text(out, "{\"type\":");
	put_string(out, bytes_of_text(alarm_event_name(a->event)));
	put_time(out, "timestamp", a->at);
	alarm_text(a, arena, &text);
	put_field(out, "text", bytes_trim(buf_bytes(&text)));
	buf_done(&text);
	buf_append_text(out, ",\"data\":{\"server\":");
	put_string(out, a->server);
	if (a->event != ALARM_TEST)
		put_incident(out, a, arena);
	buf_append_text(out, "}}\n");
}

/* ---- a request ---- */

void alarm_signed(struct bytes id, int64_t seconds, struct bytes body, struct buf *out)
{
	buf_printf(out, "%.*s.%lld.", BYTES_ARG(id), (long long)seconds);
	buf_append(out, body);
}

void alarm_headers(struct bytes id, int64_t seconds, struct bytes signature, struct buf *out)
{
	buf_printf(out, "webhook-id: %.*s\nwebhook-timestamp: %lld\n", BYTES_ARG(id),
	           (long long)seconds);
	if (signature.len == 0)
		return;
	buf_append_text(out, "webhook-signature: v1,");
	encode_base64(out, signature);
	buf_append_char(out, '\n');
}

/* ---- a mail ---- */

static void put_base64_lines(struct buf *out, struct bytes text)
{
	enum { LINE = 57 };

	for (; text.len > 0; text = bytes_skip(text, LINE)) {
		encode_base64(out, bytes_first(text, LINE));
		buf_append_text(out, "\r\n");
	}
}

void alarm_mail(const struct alarm *a, struct bytes from, struct bytes to, time_ms now,
                struct arena *arena, struct buf *out)
{
	struct buf text = {0}, lines = {0};
	struct bytes rest, line;
	char date[TIME_TEXT];

	time_format_rfc5322(now, 0, date);
	buf_printf(out,
	           "From: %.*s\r\nTo: %.*s\r\nDate: %s\r\nMessage-ID: <%.*s@%.*s>\r\nSubject: ",
	           BYTES_ARG(from), BYTES_ARG(to), date, BYTES_ARG(alarm_id(a, arena)),
	           BYTES_ARG(a->server));
	words_encode(alarm_title(a, arena), 9, out);
	buf_append_text(out, "\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
	                     "Content-Type: text/plain; charset=utf-8\r\n"
	                     "Content-Transfer-Encoding: base64\r\n\r\n");
	alarm_text(a, arena, &text);
	rest = buf_bytes(&text);
	while (bytes_cut(&rest, '\n', &line)) {
		buf_append(&lines, line);
		buf_append_text(&lines, "\r\n");
	}
	put_base64_lines(out, buf_bytes(&lines));
	buf_done(&lines);
	buf_done(&text);
}

/* ---- tries ---- */

int64_t alarm_wait_ms(unsigned tries)
{
	static const int waits_s[] = {5, 15, 30, 60, 120, 300, 600, 900};
	unsigned most = sizeof(waits_s) / sizeof(*waits_s) - 1;

	return 1000LL * waits_s[tries > most ? most : tries];
}
