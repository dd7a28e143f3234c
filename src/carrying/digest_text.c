/* What a digest says. */
#include "base/encode.h"
#include "base/map.h"
#include "base/text.h"
#include "base/wire.h"
#include "carrying/digest.h"
#include "mail/summary.h"
#include "mail/words.h"

enum { SUBJECT_MAX = 200, LINE = 57 /* octets of a base64 line */ };

struct row {
	int64_t at;
	struct bytes id, sender, from, checks, summary;
};

static bool next_row(struct wire *w, struct row *r)
{
	if (wire_end(w))
		return false;
	r->at = (int64_t)wire_u64(w);
	r->id = wire_block(w);
	r->sender = wire_block(w);
	r->from = wire_block(w);
	r->checks = wire_block(w);
	r->summary = wire_block(w);
	return !w->bad;
}

/* What strangers wrote ends no line, turns no text around, and is UTF-8. */
static void clean(struct buf *out, struct bytes text)
{
	size_t start = buf_len(out);

	while (text.len && buf_len(out) - start < SUBJECT_MAX) {
		uint32_t code;
		int n = text_utf8_next(text, &code);
		size_t len = n > 0 ? (size_t)n : 1;
		bool good = n > 0 && code >= ' ' && !(code >= 0x7f && code < 0xa0) &&
		            !(code >= 0x202a && code <= 0x202e) &&
		            !(code >= 0x2066 && code <= 0x2069);

		if (good)
			buf_append(out, bytes_first(text, len));
		else
			buf_append_char(out, n > 0 && code < ' ' ? ' ' : '?');
		text = bytes_skip(text, len);
	}
}

static void subject_of(struct buf *out, struct bytes packed)
{
	struct arena arena = {0};
	struct buf text = {0};
	struct summary s;

	if (summary_decode(packed, &arena, &s) == OK)
		words_decode(s.root->envelope->subject, &text);
	clean(out, buf_bytes(&text));
	buf_done(&text);
	arena_done(&arena);
}

static void moment(struct buf *out, int64_t at)
{
	struct time_civil c = time_to_civil(at, 0);

	buf_printf(out, "%04d-%02d-%02d %02d:%02d UTC", c.year, c.month, c.day, c.hour, c.minute);
}

static void put_row(struct buf *out, const struct row *r, bool japanese)
{
	moment(out, r->at);
	buf_append_text(out, japanese ? "\r\n  差出人: " : "\r\n  From: ");
	clean(out, r->from.len ? r->from : r->sender);
	buf_append_text(out, japanese ? "\r\n  件名: " : "\r\n  Subject: ");
	subject_of(out, r->summary);
	buf_append_text(out, japanese ? "\r\n  理由: " : "\r\n  Because of: ");
	clean(out, r->checks);
	buf_printf(out, japanese ? "\r\n  番号: %.*s\r\n\r\n" : "\r\n  Id: %.*s\r\n\r\n",
	           BYTES_ARG(r->id));
}

static void put_body(struct buf *out, const struct answer_digest *a)
{
	struct wire w = wire_of(a->rows);
	struct row r;
	unsigned told = 0;

	buf_append_text(out, a->japanese
	                             ? "次のメールは、検査の結果お断りしました。差出人にはその旨を"
	                               "伝えてあります。\r\n"
	                               "メールの写しをしばらく保管しています。必要なメールがあれば"
	                               "、番号を添えて\r\n"
	                               "このメールに返信してください。管理者が配達します。\r\n\r\n"
	                             : "These mails to you were refused by our checks; their "
	                               "senders were told so.\r\n"
	                               "Copies are kept for a while. If you want one of them, "
	                               "answer this mail and\r\n"
	                               "quote its id: the postmaster can deliver it.\r\n\r\n");
	for (; next_row(&w, &r); told++)
		put_row(out, &r, a->japanese != 0);
	if (a->count > told)
		buf_printf(out,
		           a->japanese ? "ほかに %u 通あります。\r\n" : "There are %u more.\r\n",
		           a->count - told);
}

static void put_subject(struct buf *out, const struct answer_digest *a)
{
	struct time_civil c = time_to_civil(a->until - 1, 0);
	struct buf text = {0};

	if (a->japanese)
		buf_printf(&text, "お断りしたメールのお知らせ: %u 通 (%04d-%02d-%02d)", a->count,
		           c.year, c.month, c.day);
	else
		buf_printf(&text, "%u %s to you refused (%04d-%02d-%02d)", a->count,
		           a->count == 1 ? "mail" : "mails", c.year, c.month, c.day);
	buf_append_text(out, "Subject: ");
	words_encode(buf_bytes(&text), strlen("Subject: "), out);
	buf_append_text(out, "\r\n");
	buf_done(&text);
}

void digest_mail(const struct config *config, const struct answer_digest *a, time_ms now,
                 struct buf *out)
{
	struct bytes domain = config->domains.count ? config->domains.items[0] : config->hostname;
	struct bytes rest;
	struct buf body = {0};
	char date[TIME_TEXT];

	time_format_rfc5322(now, 0, date);
	buf_printf(out, "From: postmaster@%.*s\r\nTo: %.*s\r\nDate: %s\r\n", BYTES_ARG(domain),
	           BYTES_ARG(a->rcpt), date);
	put_subject(out, a);
	buf_printf(out,
	           "Message-ID: <digest.%llx.%llx@%.*s>\r\nAuto-Submitted: auto-generated\r\n"
	           "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	           "Content-Transfer-Encoding: base64\r\n\r\n",
	           (unsigned long long)a->until, (unsigned long long)map_hash(a->rcpt),
	           BYTES_ARG(domain));
	put_body(&body, a);
	for (rest = buf_bytes(&body); rest.len; rest = bytes_skip(rest, LINE)) {
		encode_base64(out, bytes_first(rest, LINE));
		buf_append_text(out, "\r\n");
	}
	buf_done(&body);
}
