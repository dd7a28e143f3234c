/* A mail's envelope: what this host can be asked, MAIL and RCPT with their parameters, and the outcome of each recipient. */
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "config/config.h"
#include "smtp/client_session.h"

/* ---- a mail comes ---- */

void client_mail_reset(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;
	struct arena arena = tx->arena;
	struct buf chunk = tx->chunk;

	arena_reset(&arena);
	buf_clear(&chunk);
	*tx = (struct smtp_transaction){.arena = arena, .chunk = chunk};
}

static struct smtp_client_rcpt keep_recipient(struct arena *arena,
                                              const struct smtp_client_recipient *r)
{
	struct smtp_client_rcpt kept = {.r = *r, .use = true};

	kept.r.address = arena_copy(arena, r->address);
	kept.r.orcpt = arena_copy(arena, r->orcpt);
	return kept;
}

void client_mail_give(struct smtp_client *c, const struct smtp_client_mail *m)
{
	struct smtp_transaction *tx = &c->tx;

	client_mail_reset(c);
	tx->given = true;
	tx->mail = *m;
	tx->mail.sender = arena_copy(&tx->arena, m->sender);
	tx->mail.envid = arena_copy(&tx->arena, m->envid);
	tx->mail.recipients = NULL;
	tx->rcpts = arena_get(&tx->arena, m->count * sizeof(*tx->rcpts) + 1);
	tx->results = arena_get(&tx->arena, m->count * sizeof(*tx->results) + 1);
	for (size_t i = 0; i < m->count; i++) {
		tx->rcpts[i] = keep_recipient(&tx->arena, &m->recipients[i]);
		tx->results[i].entry = m->recipients[i].entry;
	}
	tx->total = m->size;
}

/* ---- outcomes ---- */

static void decide_one(struct smtp_client *c, size_t i, enum smtp_outcome outcome,
                       struct smtp_reply reply)
{
	c->tx.rcpts[i].decided = true;
	c->tx.results[i].outcome = outcome;
	c->tx.results[i].reply = reply;
}

void client_decide(struct smtp_client *c, bool accepted_only, enum smtp_outcome outcome,
                   struct smtp_reply reply)
{
	for (size_t i = 0; i < c->tx.mail.count; i++)
		if (!c->tx.rcpts[i].decided && (!accepted_only || c->tx.rcpts[i].accepted))
			decide_one(c, i, outcome, reply);
}

enum smtp_outcome client_outcome(uint16_t code)
{
	return code / 100 == 2 ? SMTP_SENT : code / 100 == 4 ? SMTP_DEFERRED : SMTP_FAILED;
}

void client_mail_finish(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;

	if (tx->done)
		return;
	client_decide(c, false, SMTP_UNTRIED,
	              client_words(client_stage(c), "4.5.3", &tx->arena,
	                           "%.*s takes no more recipients with one mail",
	                           BYTES_ARG(client_host_name(c))));
	tx->done = true;
	tx->content = CONTENT_NONE;
	c->host.mails += tx->begun;
	c->result_waits = true;
}

/* ---- what this host cannot do ---- */

static bool offers(const struct smtp_client *c, enum smtp_extension e)
{
	return c->host.extensions & e;
}

/* The mail cannot go through this host: all its recipients fail, nothing is said to it. */
static bool cannot(struct smtp_client *c, const char *enhanced, const char *format, ...)
        PRINTF(3, 4);

static bool cannot(struct smtp_client *c, const char *enhanced, const char *format, ...)
{
	char what[200];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	client_decide(c, false, SMTP_FAILED,
	              client_words(SMTP_STAGE_MAIL, enhanced, &c->tx.arena, "%.*s %s",
	                           BYTES_ARG(client_host_name(c)), what));
	return false;
}

/* RFC 8689, 4.2.1 */
static bool tls_suffices(struct smtp_client *c)
{
	if (!c->tx.mail.requiretls)
		return true;
	if (!c->host.tls)
		return cannot(c, "5.7.10", "has no TLS, which the mail requires (REQUIRETLS)");
	if (!offers(c, SMTP_EXT_REQUIRETLS))
		return cannot(c, "5.7.30", "does not support REQUIRETLS, which the mail requires");
	return true;
}

static bool size_fits(struct smtp_client *c)
{
	if (!offers(c, SMTP_EXT_SIZE) || c->host.size_max == 0 ||
	    c->tx.mail.size <= c->host.size_max)
		return true;
	return cannot(c, "5.3.4", "takes mails of at most %llu octets; this one has %llu",
	              (unsigned long long)c->host.size_max, (unsigned long long)c->tx.mail.size);
}

/* RFC 3030, 3: binary content cannot go by DATA. */
static bool body_fits(struct smtp_client *c)
{
	if (!(c->tx.mail.body & 2))
		return true;
	if (!offers(c, SMTP_EXT_CHUNKING) || !offers(c, SMTP_EXT_BINARYMIME))
		return cannot(c, "5.6.3", "does not take binary mail (BINARYMIME)");
	c->tx.bdat = true;
	return true;
}

/* RFC 2852, 4.1: what may not come late may not go to a host that does not mind the time. */
static bool time_suffices(struct smtp_client *c)
{
	const struct smtp_client_mail *m = &c->tx.mail;

	if (m->deliver_by == 0 || (m->by_mode & 3) != 1)
		return true;
	if (m->deliver_by <= c->now)
		return cannot(c, "5.4.7",
		              "was not reached before the time that the mail was good for");
	if (!offers(c, SMTP_EXT_DELIVERBY))
		return cannot(c, "5.3.3", "does not support DELIVERBY, which the mail requires");
	return true;
}

/* ---- addresses ---- */

/* Nothing that could end the path or the line. */
static bool is_safe(struct bytes address)
{
	bool quoted = false;

	for (size_t i = 0; i < address.len; i++) {
		unsigned char ch = (unsigned char)address.ptr[i];

		if (ch < ' ' || ch == 0x7f || (!quoted && (ch == ' ' || ch == '<' || ch == '>')))
			return false;
		if (quoted && ch == '\\' && i + 1 < address.len && address.ptr[i + 1] >= ' ')
			i++;
		else if (ch == '"')
			quoted = !quoted;
	}
	return !quoted && address.len <= LIMIT_ADDRESS;
}

/* Without SMTPUTF8 a domain still has its A-labels. */
static struct bytes as_ascii(struct smtp_client *c, struct bytes address)
{
	size_t at = bytes_find_last(address, '@');
	struct bytes domain;

	if (text_is_ascii(address) || offers(c, SMTP_EXT_SMTPUTF8) || at == BYTES_NONE ||
	    config_domain_canonical(bytes_skip(address, at + 1), &c->tx.arena, &domain) != OK)
		return address;
	return arena_printf(&c->tx.arena, "%.*s%.*s", BYTES_ARG(bytes_first(address, at + 1)),
	                    BYTES_ARG(domain));
}

static bool sender_fits(struct smtp_client *c)
{
	struct smtp_client_mail *m = &c->tx.mail;
	bool utf8 = offers(c, SMTP_EXT_SMTPUTF8);

	m->sender = as_ascii(c, m->sender);
	if (!is_safe(m->sender))
		return cannot(c, "5.1.7", "cannot be told a sender's address that is malformed");
	if (!utf8 && !text_is_ascii(m->sender))
		return cannot(c, "5.6.7",
		              "does not take a sender with non-ASCII characters (SMTPUTF8)");
	if (!utf8 && m->body & 4 && m->utf8_header)
		return cannot(c, "5.6.7",
		              "does not take a header with non-ASCII characters (SMTPUTF8)");
	c->tx.smtputf8 = (m->body & 4 && m->utf8_header) || !text_is_ascii(m->sender);
	return true;
}

static void recipient_fits(struct smtp_client *c, size_t i)
{
	struct smtp_client_rcpt *r = &c->tx.rcpts[i];
	struct bytes host = client_host_name(c);

	r->r.address = as_ascii(c, r->r.address);
	if (r->r.address.len == 0 || !is_safe(r->r.address))
		decide_one(c, i, SMTP_FAILED,
		           client_words(SMTP_STAGE_RCPT, "5.1.3", &c->tx.arena,
		                        "the address is malformed"));
	else if (!text_is_ascii(r->r.address) && !offers(c, SMTP_EXT_SMTPUTF8))
		decide_one(
		        c, i, SMTP_FAILED,
		        client_words(
		                SMTP_STAGE_RCPT, "5.6.7", &c->tx.arena,
		                "%.*s does not take addresses with non-ASCII characters (SMTPUTF8)",
		                BYTES_ARG(host)));
	else if (!text_is_ascii(r->r.address))
		c->tx.smtputf8 = true;
}

/* RFC 9422, 4.2 */
static void choose_recipients(struct smtp_client *c)
{
	size_t used = 0;

	for (size_t i = 0; i < c->tx.mail.count; i++) {
		struct smtp_client_rcpt *r = &c->tx.rcpts[i];

		recipient_fits(c, i);
		r->use = !r->decided &&
		         (c->host.recipients_max == 0 || used < c->host.recipients_max);
		used += r->use;
	}
	if (used == 0)
		client_mail_finish(c);
}

/* ---- commands ---- */

/* RFC 3461, 4 */
static void put_xtext(struct buf *out, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char ch = (unsigned char)text.ptr[i];

		if (ch < 33 || ch > 126 || ch == '+' || ch == '=')
			buf_printf(out, "+%02X", ch);
		else
			buf_append_char(out, (char)ch);
	}
}

static void put_body(const struct smtp_client *c, struct buf *out)
{
	const struct smtp_client_mail *m = &c->tx.mail;

	if (c->tx.bdat)
		buf_append_text(out, " BODY=BINARYMIME");
	else if ((m->eight_bit || m->body & 1) && offers(c, SMTP_EXT_8BITMIME))
		buf_append_text(out, " BODY=8BITMIME");
	if (c->tx.smtputf8)
		buf_append_text(out, " SMTPUTF8");
}

static void put_dsn(const struct smtp_client *c, struct buf *out)
{
	const struct smtp_client_mail *m = &c->tx.mail;

	if (!offers(c, SMTP_EXT_DSN))
		return;
	if (m->ret)
		buf_append_text(out, m->ret == 1 ? " RET=FULL" : " RET=HDRS");
	if (m->envid.len) {
		buf_append_text(out, " ENVID=");
		put_xtext(out, m->envid);
	}
}

/* RFC 2852, 4: seconds that are left; negative ones may only be told, not returned. */
static void put_time(const struct smtp_client *c, struct buf *out)
{
	const struct smtp_client_mail *m = &c->tx.mail;
	long long left = (long long)(m->deliver_by - c->now) / 1000;

	if (m->deliver_by == 0 || (m->by_mode & 3) == 0 || !offers(c, SMTP_EXT_DELIVERBY))
		return;
	if (left > 999999999 || left < -999999999)
		left = left > 0 ? 999999999 : -999999999;
	if ((m->by_mode & 3) == 1 && left == 0)
		left = 1;
	buf_printf(out, " BY=%lld;%s%s", left, (m->by_mode & 3) == 1 ? "R" : "N",
	           m->by_mode & 4 ? "T" : "");
}

static void say_mail(struct smtp_client *c)
{
	const struct smtp_client_mail *m = &c->tx.mail;
	struct buf *out = &c->output;

	if (c->needs_reset)
		client_command(c, EXPECT_RSET, "RSET");
	c->needs_reset = true;
	buf_printf(out, "MAIL FROM:<%.*s>", BYTES_ARG(m->sender));
	if (offers(c, SMTP_EXT_SIZE))
		buf_printf(out, " SIZE=%llu", (unsigned long long)m->size);
	put_body(c, out);
	put_dsn(c, out);
	if (m->requiretls)
		buf_append_text(out, " REQUIRETLS");
	if (m->priority && offers(c, SMTP_EXT_MT_PRIORITY))
		buf_printf(out, " MT-PRIORITY=%d", m->priority);
	put_time(c, out);
	client_command(c, EXPECT_MAIL, "%s", "");
	c->tx.mail_sent = true;
}

static void put_notify(uint8_t notify, struct buf *out)
{
	static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
	const char *before = " NOTIFY=";

	if (notify & 1)
		notify = 1;
	for (int i = 0; i < 4; i++) {
		if (!(notify & 1 << i))
			continue;
		buf_printf(out, "%s%s", before, words[i]);
		before = ",";
	}
}

/* "rfc822;xtext": the type as it is. */
static void put_orcpt(struct bytes orcpt, struct buf *out)
{
	size_t semicolon = bytes_find_char(orcpt, ';');

	if (semicolon == BYTES_NONE || !is_safe(bytes_first(orcpt, semicolon)))
		return;
	buf_printf(out, " ORCPT=%.*s;", (int)semicolon, orcpt.ptr);
	put_xtext(out, bytes_skip(orcpt, semicolon + 1));
}

static void say_rcpt(struct smtp_client *c, const struct smtp_client_recipient *r)
{
	buf_printf(&c->output, "RCPT TO:<%.*s>", BYTES_ARG(r->address));
	if (offers(c, SMTP_EXT_DSN)) {
		put_notify(r->notify, &c->output);
		put_orcpt(r->orcpt, &c->output);
	}
	client_command(c, EXPECT_RCPT, "%s", "");
}

/* ---- what comes next ---- */

static bool begin(struct smtp_client *c)
{
	if (tls_suffices(c) && size_fits(c) && body_fits(c) && time_suffices(c) && sender_fits(c)) {
		choose_recipients(c);
		c->tx.begun = !c->tx.done;
	} else {
		client_mail_finish(c);
	}
	c->dialogue_until = c->now + SMTP_CLIENT_PATIENCE * c->options.reply_ms;
	return c->tx.begun;
}

/* The next recipient of this transaction that was not sent; count: none. */
static size_t next_rcpt(const struct smtp_transaction *tx, size_t at)
{
	while (at < tx->mail.count && !tx->rcpts[at].use)
		at++;
	return at;
}

/* All RCPTs were said: DATA, or without anybody for it nothing. */
static void push_data(struct smtp_client *c, bool parallel)
{
	struct smtp_transaction *tx = &c->tx;
	bool idle = client_expecting(c) == EXPECT_NOTHING;

	if (tx->data_sent || tx->content != CONTENT_NONE)
		return;
	if (idle && tx->accepted == 0) {
		client_mail_finish(c);
	} else if (tx->bdat) {
		if (idle)
			client_content_open(c);
	} else if (idle || parallel) {
		tx->data_sent = true;
		client_command(c, EXPECT_DATA, "DATA");
	}
}

/* One step; false: nothing can be said now. */
static bool push_one(struct smtp_client *c, bool parallel)
{
	struct smtp_transaction *tx = &c->tx;
	bool idle = client_expecting(c) == EXPECT_NOTHING;
	size_t next;

	if (!idle && (!parallel || buf_len(&c->output) > ENGINE_OUTPUT_HIGH))
		return false;
	if (!tx->mail_sent) {
		say_mail(c);
		return true;
	}
	if (tx->mail_refused) {
		if (idle && tx->content == CONTENT_NONE)
			client_mail_finish(c);
		return false;
	}
	next = next_rcpt(tx, tx->sent);
	if (next == tx->mail.count) {
		push_data(c, parallel);
		return false;
	}
	tx->sent = next + 1;
	say_rcpt(c, &tx->rcpts[next].r);
	return true;
}

void client_mail_push(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;
	bool parallel = offers(c, SMTP_EXT_PIPELINING);

	if (c->phase != CLIENT_READY || !tx->given || tx->done || (!tx->begun && !begin(c)))
		return;
	while (c->phase == CLIENT_READY && !tx->done && push_one(c, parallel))
		;
	client_content_move(c);
}

/* ---- replies ---- */

void client_reset_reply(struct smtp_client *c)
{
	if (c->reader.code / 100 == 2)
		return;
	if (c->reader.code >= 400)
		client_refused(c, SMTP_FAILURE_REFUSED, SMTP_STAGE_IDLE);
	else
		client_nonsense(c, "it answers RSET with 3xx");
}

void client_mail_reply(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;

	if (c->reader.code / 100 == 2)
		return;
	if (c->reader.code < 400) {
		client_nonsense(c, "it answers MAIL with 3xx");
		return;
	}
	tx->mail_refused = true;
	client_decide(c, false, client_outcome(c->reader.code),
	              client_reply(c, SMTP_STAGE_MAIL, &tx->arena));
}

/* RFC 5321, 4.5.3.1.10: 552 for too many recipients was 452's older form. */
static enum smtp_outcome rcpt_outcome(struct smtp_client *c, const struct smtp_reply *r)
{
	if (r->code == 552 && c->tx.accepted > 0 &&
	    (bytes_equal(r->enhanced, BYTES("5.5.3")) || bytes_equal(r->enhanced, BYTES("5.0.0"))))
		return SMTP_DEFERRED;
	return client_outcome(r->code);
}

void client_rcpt_reply(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;
	size_t i = next_rcpt(tx, tx->answered);
	struct smtp_reply reply;

	tx->answered = i + 1;
	if (tx->mail_refused)
		return;
	if (c->reader.code / 100 == 2) {
		tx->rcpts[i].accepted = true;
		tx->accepted++;
		return;
	}
	if (c->reader.code < 400) {
		client_nonsense(c, "it answers RCPT with 3xx");
		return;
	}
	reply = client_reply(c, SMTP_STAGE_RCPT, &tx->arena);
	decide_one(c, i, rcpt_outcome(c, &reply), reply);
}

void client_data_reply(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;

	if (c->reader.code / 100 == 3) {
		/* Everybody was refused, and still it waits for content (RFC 2920, 3.1). */
		tx->empty = tx->accepted == 0 || tx->mail_refused;
		if (tx->empty) {
			tx->content = CONTENT_ENDING;
			buf_append_text(&c->output, ".\r\n");
			client_expect(c, EXPECT_END);
		} else {
			client_content_open(c);
		}
	} else if (c->reader.code >= 400) {
		client_decide(c, true, client_outcome(c->reader.code),
		              client_reply(c, SMTP_STAGE_DATA, &tx->arena));
		client_mail_finish(c);
	} else {
		client_nonsense(c, "it answers DATA with 2xx");
	}
}

void client_end_reply(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;
	struct smtp_reply reply = client_reply(c, SMTP_STAGE_END, &tx->arena);
	bool early = buf_len(&c->output) > 0 && !tx->empty;

	/* What it took cannot be what was not sent yet. */
	if (reply.code < 400 && (early || reply.code / 100 != 2)) {
		client_nonsense(c,
		                "it answers the mail's end with something else, or before it came");
		return;
	}
	c->needs_reset = false;
	client_decide(c, true, client_outcome(reply.code), reply);
	client_mail_finish(c);
	if (early)
		client_refused(c, SMTP_FAILURE_REFUSED, SMTP_STAGE_END);
}
