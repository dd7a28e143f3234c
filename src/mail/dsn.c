#include "mail/dsn.h"

#include <assert.h>

#include "base/limits.h"
#include "base/text.h"
#include "mail/body.h"
#include "mail/header.h"
#include "mail/words.h"

enum { TEXT_MAX = 500, BOUNDARY_ID_MAX = 40 };

/* What a status says to a person; the longest prefix that fits counts (RFC 3463). */
static const struct {
	const char *status;
	const char *english;
	const char *japanese;
} reasons[] = {
        {"5.1.1", "There is no such address.", "このアドレスは存在しません。"},
        {"5.1.2", "There is no such domain, or it takes no mail.",
         "このドメインは存在しないか、メールを受け取りません。"},
        {"5.1.10", "This domain takes no mail.", "このドメインはメールを受け取りません。"},
        {"5.1", "The address is wrong.", "アドレスに誤りがあります。"},
        {"5.2.1", "This mailbox is switched off.", "このメールボックスは停止されています。"},
        {"5.2.2", "This mailbox is full.", "このメールボックスは容量がいっぱいです。"},
        {"5.2.3", "The mail is too big for this mailbox.",
         "メールの大きさがこのメールボックスの上限を超えています。"},
        {"5.3.4", "The mail is too big.", "メールの大きさが上限を超えています。"},
        {"5.4.6", "The mail goes round in a circle.", "メールの転送がループしています。"},
        {"5.4.7", "The other side could not be reached for too long.",
         "相手のサーバーに長時間接続できませんでした。"},
        {"4.4.7", "The other side could not be reached for too long.",
         "相手のサーバーに長時間接続できませんでした。"},
        {"5.6", "The other side does not take this kind of mail.",
         "相手のサーバーはこの形式のメールを受け取りません。"},
        {"5.7", "The other side refuses this mail by its rules.",
         "相手のサーバーの方針により拒否されました。"},
        {"2", "It was delivered.", "配信されました。"},
        {"4", "It could not be delivered so far.", "現在のところ配信できていません。"},
        {"", "It could not be delivered.", "配信できませんでした。"},
};

/* By enum dsn_action. */
static const struct {
	const char *name;
	const char *subject_english, *subject_japanese;
	const char *english, *japanese;
} actions[] = {
        {"failed", "Mail could not be delivered", "メールを配信できませんでした",
         "Your mail could not be delivered to the recipients below. It will not be tried again.",
         "次の宛先にメールを配信できませんでした。再送は行いません。"},
        {"delayed", "Mail is delayed", "メールの配信が遅れています",
         "Your mail could not be delivered to the recipients below so far. It is still being "
         "tried; you need not send it again.",
         "次の宛先へのメールの配信が遅れています。引き続き配信を試みますので、送り直す必要はありま"
         "せん。"},
        {"delivered", "Mail was delivered", "メールを配信しました",
         "Your mail was delivered to the recipients below.", "次の宛先にメールを配信しました。"},
        {"relayed", "Mail was passed on", "メールを転送しました",
         "Your mail was passed on to a mail system that sends no notice of delivery.",
         "次の宛先へのメールを、配信通知に対応していないサーバーに渡しました。"},
        {"expanded", "Mail was distributed", "メールを配布しました",
         "Your mail was passed on to several recipients.",
         "次の宛先へのメールを複数の受信者に配布しました。"},
};

/* On one line: control characters would be lines of their own. */
static void put_line_text(struct buf *out, struct bytes text)
{
	bool utf8 = text_is_utf8(text);

	for (size_t i = 0; i < text.len && i < TEXT_MAX; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (i + 4 >= TEXT_MAX && c >= 0xc0)
			break; /* no half character */
		if (c == '\r' || c == '\n')
			c = ' ';
		buf_append_char(out, c < ' ' || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : (char)c);
	}
}

static void put_boundary(const struct dsn *d, struct buf *out)
{
	buf_append_text(out, "=_report_");
	for (size_t i = 0; i < d->id.len && i < BOUNDARY_ID_MAX; i++) {
		if (text_is_alnum(d->id.ptr[i]))
			buf_append_char(out, d->id.ptr[i]);
	}
	buf_printf(out, "_%llx", (unsigned long long)d->now);
}

static void put_delimiter(const struct dsn *d, const char *end, struct buf *out)
{
	buf_append_text(out, "\r\n--");
	put_boundary(d, out);
	buf_printf(out, "%s\r\n", end);
}

static size_t action_of(const struct dsn *d)
{
	uint8_t action = d->recipients[0].action;
	return action <= DSN_EXPANDED ? action : DSN_FAILED;
}

/* ---- header ---- */

static void put_header(const struct dsn *d, struct buf *out)
{
	char date[TIME_TEXT];
	struct buf subject = {0};
	size_t action = action_of(d);

	time_format_rfc5322(d->now, d->zone_minutes, date);
	buf_append_text(out, "From: Mail Delivery System <");
	if (d->postmaster.len > 0)
		put_line_text(out, d->postmaster);
	else
		buf_printf(out, "MAILER-DAEMON@%.*s", BYTES_ARG(d->hostname));
	buf_append_text(out, ">\r\nTo: <");
	put_line_text(out, d->sender);
	buf_append_text(out, ">\r\nSubject: ");
	if (d->japanese)
		buf_printf(&subject, "%s / ", actions[action].subject_japanese);
	buf_append_text(&subject, actions[action].subject_english);
	words_encode(buf_bytes(&subject), 9, out);
	buf_printf(out, "\r\nDate: %s\r\nMessage-ID: <", date);
	put_boundary(d, out);
	buf_printf(out, "@%.*s>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n",
	           BYTES_ARG(d->hostname));
	buf_append_text(
	        out,
	        "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"");
	put_boundary(d, out);
	buf_append_text(out, "\"\r\n");
	buf_done(&subject);
}

/* ---- for a person ---- */

static const char *reason_for(struct bytes status, bool japanese)
{
	size_t best = sizeof(reasons) / sizeof(reasons[0]) - 1, best_len = 0;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		struct bytes prefix = bytes_of_text(reasons[i].status);
		bool whole = status.len == prefix.len ||
		             (status.len > prefix.len && status.ptr[prefix.len] == '.');
		if (prefix.len > best_len && whole && bytes_starts(status, prefix)) {
			best = i;
			best_len = prefix.len;
		}
	}
	return japanese ? reasons[best].japanese : reasons[best].english;
}

/* How long it will be tried, or that it was tried to the end. */
static void put_person_times(const struct dsn_recipient *r, int zone_minutes, bool japanese,
                             struct buf *out)
{
	char date[TIME_TEXT];

	if (r->action == DSN_DELAYED && r->will_retry_until > 0) {
		time_format_rfc5322(r->will_retry_until, zone_minutes, date);
		buf_printf(out,
		           japanese ? "    再送の期限: %s\r\n" : "    It is tried until %s.\r\n",
		           date);
	} else if (r->action == DSN_FAILED && bytes_starts(r->status, BYTES("4."))) {
		buf_append_text(
		        out,
		        japanese ? "    期限まで再送を繰り返しましたが、配信できませんでした。\r\n"
		                 : "    It was tried again until the time for it ran out.\r\n");
	}
}

static void put_person_recipient(const struct dsn_recipient *r, int zone_minutes, bool japanese,
                                 struct buf *out)
{
	const char *words = japanese ? r->japanese : r->english;

	buf_append_text(out, "\r\n  <");
	put_line_text(out, r->address);
	buf_printf(out, ">\r\n    %s (%.*s)\r\n", words ? words : reason_for(r->status, japanese),
	           BYTES_ARG(r->status));
	put_person_times(r, zone_minutes, japanese, out);
	if (r->diagnostic.len == 0)
		return;
	if (r->remote_mta.len > 0) {
		buf_append_text(out, japanese ? "    相手のサーバー " : "    ");
		put_line_text(out, r->remote_mta);
		buf_append_text(out, japanese ? " の応答: " : " said: ");
	} else {
		buf_append_text(out, japanese ? "    詳細: " : "    Details: ");
	}
	put_line_text(out, r->diagnostic);
	buf_append_text(out, "\r\n");
}

static void put_person_text(const struct dsn *d, bool japanese, struct buf *out)
{
	struct buf subject = {0};
	char date[TIME_TEXT];
	size_t action = action_of(d);

	time_format_rfc5322(d->arrival, d->zone_minutes, date);
	buf_printf(out,
	           japanese ? "%.*s のメールシステムからのお知らせです。\r\n\r\n"
	                    : "This is the mail system at %.*s.\r\n\r\n",
	           BYTES_ARG(d->hostname));
	buf_printf(out, "%s\r\n", japanese ? actions[action].japanese : actions[action].english);
	for (size_t i = 0; i < d->count; i++)
		put_person_recipient(&d->recipients[i], d->zone_minutes, japanese, out);
	words_decode(d->subject, &subject);
	if (buf_len(&subject) > 0) {
		buf_append_text(out, japanese ? "\r\n件名: " : "\r\nSubject of your mail: ");
		put_line_text(out, buf_bytes(&subject));
	}
	buf_printf(out, "\r\n%s%s\r\n", japanese ? "受付日時: " : "Taken in: ", date);
	buf_done(&subject);
}

static void put_person_part(const struct dsn *d, struct buf *out)
{
	struct buf text = {0};

	if (d->japanese) {
		put_person_text(d, true, &text);
		buf_append_text(&text, "\r\n----------------------------------------\r\n\r\n");
	}
	put_person_text(d, false, &text);
	put_delimiter(d, "", out);
	buf_append_text(out,
	                d->japanese ? "Content-Language: ja, en\r\n" : "Content-Language: en\r\n");
	if (text_is_ascii(buf_bytes(&text))) {
		buf_append_text(out, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
		buf_append(out, buf_bytes(&text));
	} else {
		buf_append_text(out, "Content-Type: text/plain; charset=utf-8\r\n"
		                     "Content-Transfer-Encoding: base64\r\n\r\n");
		body_encode_base64(buf_bytes(&text), out);
	}
	buf_done(&text);
}

/* ---- for programs (RFC 3464, 2.2 and 2.3) ---- */

static bool is_global(const struct dsn *d)
{
	bool ascii = true;

	for (size_t i = 0; i < d->count; i++)
		ascii = ascii && text_is_ascii(d->recipients[i].address);
	return d->utf8 || !ascii;
}

static void put_field(struct buf *out, const char *name, const char *type, struct bytes value)
{
	if (value.len == 0)
		return;
	buf_printf(out, "%s: %s", name, type);
	put_line_text(out, value);
	buf_append_text(out, "\r\n");
}

static void put_date(struct buf *out, const char *name, time_ms at, int zone_minutes)
{
	char date[TIME_TEXT];

	if (at == 0)
		return;
	time_format_rfc5322(at, zone_minutes, date);
	buf_printf(out, "%s: %s\r\n", name, date);
}

/* What a host said is its own; the rest, a connection that failed too, is ours (RFC 3464, 2.3.6). */
static bool is_reply(const struct dsn_recipient *r)
{
	return r->remote_mta.len > 0 && r->diagnostic.len >= 3 &&
	       text_is_digit(r->diagnostic.ptr[0]) && text_is_digit(r->diagnostic.ptr[1]) &&
	       text_is_digit(r->diagnostic.ptr[2]);
}

static void put_status_recipient(const struct dsn_recipient *r, int zone_minutes, struct buf *out)
{

	buf_append_text(out, "\r\n");
	put_field(out, "Original-Recipient", "", r->orcpt);
	put_field(out, "Final-Recipient", text_is_ascii(r->address) ? "rfc822; " : "utf-8; ",
	          r->address);
	put_field(out, "Action", "",
	          bytes_of_text(actions[r->action <= DSN_EXPANDED ? r->action : DSN_FAILED].name));
	put_field(out, "Status", "", r->status);
	put_field(out, "Remote-MTA", "dns; ", r->remote_mta);
	put_field(out, "Diagnostic-Code", is_reply(r) ? "smtp; " : "x-hikyaku; ", r->diagnostic);
	put_date(out, "Last-Attempt-Date", r->last_attempt, zone_minutes);
	if (r->action == DSN_DELAYED)
		put_date(out, "Will-Retry-Until", r->will_retry_until, zone_minutes);
}

static void put_status_part(const struct dsn *d, struct buf *out)
{
	char date[TIME_TEXT];

	put_delimiter(d, "", out);
	buf_printf(out, "Content-Type: message/%sdelivery-status\r\n",
	           is_global(d) ? "global-" : "");
	if (is_global(d))
		buf_append_text(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_append_text(out, "\r\n");
	put_field(out, "Reporting-MTA", "dns; ", d->hostname);
	put_field(out, "Original-Envelope-Id", "", d->envid);
	time_format_rfc5322(d->arrival, d->zone_minutes, date);
	buf_printf(out, "Arrival-Date: %s\r\n", date);
	for (size_t i = 0; i < d->count; i++)
		put_status_recipient(&d->recipients[i], d->zone_minutes, out);
}

void dsn_begin(const struct dsn *d, struct buf *out)
{
	assert(d->sender.len > 0 && d->count > 0);
	put_header(d, out);
	put_person_part(d, out);
	put_status_part(d, out);
	put_delimiter(d, "", out);
	if (d->full)
		buf_printf(out, "Content-Type: message/%s\r\n", d->utf8 ? "global" : "rfc822");
	else
		buf_printf(out, "Content-Type: %s\r\n",
		           d->utf8 ? "message/global-headers" : "text/rfc822-headers");
	buf_append_text(out, "Content-Transfer-Encoding: 8bit\r\n\r\n");
}

void dsn_end(const struct dsn *d, struct buf *out)
{
	put_delimiter(d, "--", out);
}

/* ---- what the original is ---- */

static bool has_kana(struct bytes text)
{
	uint32_t code;

	while (text.len > 0) {
		int len = text_utf8_next(text, &code);
		if (len > 0 && code >= 0x3041 && code <= 0x30ff)
			return true;
		text = bytes_skip(text, len > 0 ? (size_t)len : 1);
	}
	return false;
}

bool dsn_is_japanese(struct bytes header)
{
	static const char *const charsets[] = {"iso-2022-jp", "shift_jis", "euc-jp", "windows-31j",
	                                       "cp932"};
	struct header_field f;
	struct buf subject = {0};
	bool japanese = false;

	for (size_t i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++)
		japanese |= bytes_find_nocase(header, bytes_of_text(charsets[i])) != BYTES_NONE;
	if (!japanese && header_find(header, BYTES("Content-Language"), &f))
		japanese = bytes_starts_nocase(bytes_trim(f.value), BYTES("ja"));
	if (!japanese && header_find(header, BYTES("Subject"), &f)) {
		words_decode(bytes_first(f.value, LIMIT_HEADER_FIELD), &subject);
		japanese = has_kana(buf_bytes(&subject));
	}
	buf_done(&subject);
	return japanese;
}

bool dsn_is_automatic(struct bytes header, struct bytes sender)
{
	struct header_field f;

	if (sender.len == 0)
		return true;
	while (header_next(&header, &f)) {
		struct bytes value = bytes_trim(f.value);
		if (bytes_equal_nocase(f.name, BYTES("Auto-Submitted")) &&
		    !bytes_starts_nocase(value, BYTES("no")))
			return true;
		if (bytes_equal_nocase(f.name, BYTES("List-Id")) ||
		    bytes_equal_nocase(f.name, BYTES("List-Unsubscribe")))
			return true;
		if (bytes_equal_nocase(f.name, BYTES("Precedence")) &&
		    (bytes_equal_nocase(value, BYTES("bulk")) ||
		     bytes_equal_nocase(value, BYTES("list")) ||
		     bytes_equal_nocase(value, BYTES("junk"))))
			return true;
	}
	return false;
}
