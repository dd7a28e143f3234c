/* The SMTP client where a conversation in test/talk/smtp_client cannot say it: content against our own server's reader of it,
 * memory, slow hosts, hosts that talk out of turn. */
#include "../test.h"

#include "base/buf.h"
#include "base/limits.h"
#include "smtp/client.h"
#include "smtp/client_reply.h"
#include "smtp/client_stuffing.h"
#include "smtp/data.h"

static const time_ms start = 1795000000000;

static unsigned seed;

static unsigned some(unsigned below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % below;
}

/* ---- content ---- */

static struct buf stuffed(struct bytes in, bool whole)
{
	struct smtp_stuffing s = {0};
	struct buf out = {0};

	while (in.len) {
		size_t n = whole ? in.len : 1 + some((unsigned)(in.len < 5 ? in.len : 5));

		if (n > in.len)
			n = in.len;
		smtp_stuffing_add(&s, bytes_first(in, n), &out);
		in = bytes_skip(in, n);
	}
	smtp_stuffing_end(&s, &out);
	return out;
}

/* What should arrive: lone CR and LF are spaces, the last line ends. */
static struct buf wanted(struct bytes in)
{
	struct buf out = {0};
	bool line_end = in.len == 0;

	for (size_t i = 0; i < in.len; i++) {
		bool pair = in.ptr[i] == '\r' && i + 1 < in.len && in.ptr[i + 1] == '\n';

		line_end = pair && i + 2 == in.len;
		if (pair)
			buf_append(&out, BYTES("\r\n"));
		else
			buf_append_char(&out,
			                in.ptr[i] == '\r' || in.ptr[i] == '\n' ? ' ' : in.ptr[i]);
		i += pair;
	}
	if (!line_end)
		buf_append(&out, BYTES("\r\n"));
	return out;
}

/* What our server makes of it: its end is at the last octet and nowhere else. */
static void check_received(struct bytes sent, struct bytes want)
{
	struct smtp_data d = {0};
	struct buf got = {0};
	bool end = false;

	while (sent.len && !end) {
		struct bytes run;
		size_t n = smtp_data_next(&d, sent, &run, &end);

		buf_append(&got, run);
		sent = bytes_skip(sent, n);
	}
	assert_true(end);
	assert_false(d.bare);
	assert_int_equal(sent.len, 0);
	assert_bytes(buf_bytes(&got), want);
	buf_done(&got);
}

static void check_content(struct bytes in)
{
	struct buf whole = stuffed(in, true), pieces = stuffed(in, false), want = wanted(in);

	assert_bytes(buf_bytes(&pieces), buf_bytes(&whole));
	check_received(buf_bytes(&whole), buf_bytes(&want));
	buf_done(&whole);
	buf_done(&pieces);
	buf_done(&want);
}

/* All texts of up to 7 octets over the four that matter. */
static void test_every_short_content(void **state)
{
	char text[7];

	for (unsigned len = 0; len <= 7; len++) {
		for (unsigned n = 0; n < 1u << 2 * len; n++) {
			for (unsigned i = 0; i < len; i++)
				text[i] = "\r\n.x"[n >> 2 * i & 3];
			check_content(bytes_of(text, len));
		}
	}
}

static void test_long_content(void **state)
{
	static char text[300000];

	for (seed = 0; seed < 20; seed++) {
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = "\r\n\r\n.abcdefgh\x80\xff"[some(16)];
		check_content(bytes_of(text, sizeof(text)));
	}
	/* Many of one kind are no quadratic work. */
	memset(text, '\r', sizeof(text));
	check_content(bytes_of(text, sizeof(text)));
	memset(text, '\n', sizeof(text));
	check_content(bytes_of(text, sizeof(text)));
	memset(text, '.', sizeof(text));
	check_content(bytes_of(text, sizeof(text)));
}

/* ---- replies ---- */

static void test_reply_splits(void **state)
{
	struct bytes all = BYTES("250-a\r\n250-b\n250 2.0.0 c\r\n354\r\n");

	for (seed = 0; seed < 50; seed++) {
		struct smtp_reader r = {0};
		struct arena arena = {0};
		struct bytes in = all;
		unsigned count = 0;

		while (in.len) {
			size_t n = 1 + some((unsigned)in.len);
			struct bytes piece = bytes_first(in, n);
			enum smtp_reader_state s;
			size_t taken = smtp_reader_feed(&r, piece, &s);

			in = bytes_skip(in, taken);
			if (s != SMTP_READER_WHOLE)
				continue;
			assert_bytes(smtp_reader_text(&r, &arena),
			             count ? BYTES("354") : BYTES("250 a b c"));
			assert_bytes(smtp_reader_enhanced(&r, &arena),
			             count ? BYTES("3.0.0") : BYTES("2.0.0"));
			smtp_reader_clear(&r);
			count++;
		}
		assert_int_equal(count, 2);
		smtp_reader_done(&r);
		arena_done(&arena);
	}
}

/* Cut where a character begins, never inside one. */
static void test_clean_cuts_characters(void **state)
{
	struct arena arena = {0};

	assert_bytes(smtp_clean(BYTES("a日本"), 4, &arena), BYTES("a日"));
	assert_bytes(smtp_clean(BYTES("a日本"), 6, &arena), BYTES("a日"));
	assert_bytes(smtp_clean(BYTES("a日本"), 7, &arena), BYTES("a日本"));
	assert_bytes(smtp_clean(BYTES(""), 7, &arena), BYTES(""));
	arena_done(&arena);
}

/* ---- an engine in hand ---- */

static const struct smtp_client_recipient rcpt = {.entry = 5, .address = BYTES("mai@far.test")};

static struct engine *open_client(enum smtp_client_tls tls, uint64_t size)
{
	struct smtp_client_options o = {.helo = BYTES("mail.example.test"),
	                                .tls = tls,
	                                .greeting_ms = 1000,
	                                .reply_ms = 1000,
	                                .data_ms = 1000};
	struct smtp_client_mail m = {.recipients = &rcpt, .count = 1, .size = size};
	struct engine *e = smtp_client_new(&o, start);

	assert_true(smtp_client_ready(e));
	smtp_client_send(e, &m);
	assert_false(smtp_client_ready(e));
	return e;
}

static void say(struct engine *e, const char *text)
{
	struct bytes in = bytes_of_text(text);

	assert_int_equal(e->ops->feed(e, in), in.len);
}

static void drop_output(struct engine *e)
{
	buf_clear(e->ops->output(e));
}

static void to_content(struct engine *e)
{
	say(e, "220 mx\r\n");
	drop_output(e);
	say(e, "250 mx\r\n");
	drop_output(e);
	say(e, "250 OK\r\n");
	drop_output(e);
	say(e, "250 OK\r\n");
	drop_output(e);
	say(e, "354 OK\r\n");
}

static bool give_chunk(struct engine *e, uint64_t total)
{
	static const char zeros[LIMIT_READ];
	struct answer a;
	struct ask ask;

	if (!e->ops->ask(e, &ask))
		return false;
	assert_int_equal(ask.kind, ASK_QUEUE_READ);
	a = answer_to(&ask, OK, (struct bytes){0});
	a.queue_read.chunk = bytes_of(zeros, ask.queue_read.len);
	a.queue_read.total = total;
	e->ops->answer(e, &a);
	return true;
}

/* A host that takes nothing: the mail stays where it is. */
static void test_back_pressure(void **state)
{
	enum { TOTAL = 50 * 1024 * 1024 };
	struct engine *e = open_client(SMTP_TLS_NEVER, TOTAL);
	struct smtp_client_result r;
	unsigned chunks = 0;
	uint64_t sent = 0;

	to_content(e);
	while (give_chunk(e, TOTAL))
		chunks++;
	assert_true(chunks >= 1 && chunks <= 3);
	assert_true(buf_len(e->ops->output(e)) <= ENGINE_OUTPUT_HIGH);
	/* It takes some: that much is read again. */
	while (sent < TOTAL + 5) {
		struct buf *out = e->ops->output(e);
		size_t n = buf_len(out) < 10000 ? buf_len(out) : 10000;

		assert_true(n > 0);
		buf_consume(out, n);
		sent += n;
		while (give_chunk(e, TOTAL))
			;
		assert_true(buf_len(out) <= ENGINE_OUTPUT_HIGH);
	}
	assert_int_equal(buf_len(e->ops->output(e)), 0);
	assert_false(smtp_client_result(e, &r));
	say(e, "250 OK\r\n");
	assert_true(smtp_client_result(e, &r));
	assert_int_equal(r.recipients[0].outcome, SMTP_SENT);
	assert_int_equal(r.recipients[0].entry, 5);
	assert_false(smtp_client_result(e, &r));
	e->ops->free(&e);
	assert_null(e);
}

/* It takes no octet for data_ms: that is a timeout in DATA, and nothing arrived. */
static void test_stalled_content(void **state)
{
	struct engine *e = open_client(SMTP_TLS_NEVER, 100000);
	struct smtp_client_result r;

	to_content(e);
	while (give_chunk(e, 100000))
		;
	assert_true(e->ops->deadline(e) == start + 1000);
	buf_consume(e->ops->output(e), 1000);
	e->ops->tick(e, start + 999);
	assert_true(e->ops->deadline(e) == start + 1999);
	e->ops->tick(e, start + 1999);
	assert_true(smtp_client_result(e, &r));
	assert_int_equal(r.failure, SMTP_FAILURE_TIMEOUT);
	assert_int_equal(r.stage, SMTP_STAGE_DATA);
	assert_int_equal(r.recipients[0].outcome, SMTP_UNTRIED);
	assert_true(e->ops->finished(e));
	assert_int_equal(buf_len(e->ops->output(e)), 0);
	e->ops->free(&e);
}

/* An octet a second is progress, and still ends: SMTP_CLIENT_SLOWEST octets a second are the least. */
static void test_dripping_content(void **state)
{
	enum { TOTAL = 100 * SMTP_CLIENT_SLOWEST };
	struct engine *e = open_client(SMTP_TLS_NEVER, TOTAL);
	struct smtp_client_result r;
	unsigned seconds = 0;

	to_content(e);
	while (give_chunk(e, TOTAL))
		;
	while (!smtp_client_result(e, &r)) {
		buf_consume(e->ops->output(e), 1);
		e->ops->tick(e, start + 900 * (time_ms)++seconds);
	}
	assert_int_equal(r.failure, SMTP_FAILURE_TIMEOUT);
	assert_true(seconds >= 100 && seconds <= 115);
	e->ops->free(&e);
}

/* 250 before the final dot has left is no 250 for it. */
static void test_answer_before_the_end(void **state)
{
	struct engine *e = open_client(SMTP_TLS_NEVER, 10);
	struct smtp_client_result r;

	to_content(e);
	assert_true(give_chunk(e, 10));
	assert_true(buf_len(e->ops->output(e)) > 0);
	say(e, "250 OK\r\n");
	assert_true(smtp_client_result(e, &r));
	assert_int_equal(r.recipients[0].outcome, SMTP_UNKNOWN);
	assert_int_equal(r.failure, SMTP_FAILURE_PROTOCOL);
	assert_false(smtp_client_ready(e));
	e->ops->free(&e);
}

/* Octets behind the reply to STARTTLS are left where they are: they are no TLS, and the host hangs up. */
static void test_plaintext_after_starttls(void **state)
{
	struct engine *e = open_client(SMTP_TLS_MAY, 10);
	struct bytes in = BYTES("220 go\r\n250 injected\r\n");
	struct smtp_client_result r;
	struct smtp_client_host host;
	struct answer a;
	struct ask ask;

	say(e, "220 mx\r\n");
	say(e, "250-mx\r\n250 STARTTLS\r\n");
	assert_int_equal(e->ops->feed(e, in), 8);
	assert_true(e->ops->ask(e, &ask));
	assert_int_equal(ask.kind, ASK_TLS_START);
	assert_int_equal(e->ops->feed(e, bytes_skip(in, 8)), 0);
	/* What a host then says to the engine. */
	a = answer_to(&ask, INVALID, BYTES("plaintext after STARTTLS"));
	e->ops->answer(e, &a);
	assert_true(smtp_client_result(e, &r));
	assert_int_equal(r.failure, SMTP_FAILURE_TLS);
	smtp_client_host(e, &host);
	assert_false(host.tls);
	e->ops->free(&e);
}

/* Answers to asks of a mail that is over change nothing. */
static void test_late_answers(void **state)
{
	struct engine *e = open_client(SMTP_TLS_NEVER, 20);
	struct smtp_client_result r;
	struct answer a;
	struct ask ask, again;

	say(e, "220 mx\r\n");
	say(e, "250-mx\r\n250 PIPELINING\r\n");
	assert_true(e->ops->ask(e, &ask));
	say(e, "550 no\r\n503 no\r\n503 no\r\n");
	assert_true(smtp_client_result(e, &r));
	assert_true(smtp_client_ready(e));
	drop_output(e);
	smtp_client_send(e, &(struct smtp_client_mail){.recipients = &rcpt, .count = 1, .size = 4});
	assert_true(e->ops->ask(e, &again));
	assert_int_not_equal(again.number, ask.number);
	a = answer_to(&ask, OK, (struct bytes){0});
	a.queue_read.chunk = BYTES("of another mail");
	a.queue_read.total = 15;
	e->ops->answer(e, &a);
	say(e, "250 OK\r\n250 OK\r\n250 OK\r\n354 OK\r\n");
	drop_output(e);
	a = answer_to(&again, OK, (struct bytes){0});
	a.queue_read.chunk = BYTES("this");
	a.queue_read.total = 4;
	e->ops->answer(e, &a);
	assert_bytes(buf_bytes(e->ops->output(e)), BYTES("this\r\n.\r\n"));
	e->ops->free(&e);
}

/* Given to a connection that has just died: it says so, nothing more. */
static void test_sent_too_late(void **state)
{
	struct smtp_client_options o = {
	        .helo = BYTES("a"), .greeting_ms = 1000, .reply_ms = 1000, .data_ms = 1000};
	struct engine *e = smtp_client_new(&o, start);
	struct smtp_client_mail m = {.recipients = &rcpt, .count = 1, .size = 4};
	struct smtp_client_result r;

	e->ops->eof(e);
	assert_false(smtp_client_ready(e));
	assert_true(smtp_client_result(e, &r));
	assert_int_equal(r.count, 0);
	assert_int_equal(r.failure, SMTP_FAILURE_CLOSED);
	smtp_client_send(e, &m);
	assert_true(smtp_client_result(e, &r));
	assert_int_equal(r.count, 1);
	assert_int_equal(r.recipients[0].outcome, SMTP_UNTRIED);
	assert_int_equal(r.failure, SMTP_FAILURE_CLOSED);
	e->ops->free(&e);
}

/* A thousand recipients: the envelope goes out no faster than it is taken. */
static void test_many_recipients(void **state)
{
	enum { COUNT = 1000 };
	static struct smtp_client_recipient all[COUNT];
	static char address[300];
	struct smtp_client_options o = {
	        .helo = BYTES("a"), .greeting_ms = 1000, .reply_ms = 1000, .data_ms = 1000};
	struct engine *e = smtp_client_new(&o, start);
	struct smtp_client_result r;
	size_t biggest = 0, lines = 0;

	memset(address, 'a', sizeof(address));
	memcpy(address + 290, "@far.test", 9);
	for (size_t i = 0; i < COUNT; i++)
		all[i] = (struct smtp_client_recipient){.entry = i,
		                                        .address = bytes_of(address, 299)};
	say(e, "220 mx\r\n");
	say(e, "250-mx\r\n250 PIPELINING\r\n");
	drop_output(e);
	smtp_client_send(e,
	                 &(struct smtp_client_mail){.recipients = all, .count = COUNT, .size = 4});
	while (!smtp_client_result(e, &r)) {
		struct bytes out = buf_bytes(e->ops->output(e));
		size_t n = 0;

		biggest = out.len > biggest ? out.len : biggest;
		for (size_t i = 0; i < out.len; i++)
			n += out.ptr[i] == '\n';
		assert_true(n > 0);
		drop_output(e);
		while (n--)
			say(e, lines++ == 0         ? "250 OK\r\n"
			       : lines == COUNT + 2 ? "503 no\r\n"
			                            : "550 no\r\n");
	}
	assert_true(biggest < 2 * ENGINE_OUTPUT_HIGH);
	assert_int_equal(r.count, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(r.recipients[i].entry, i);
		assert_int_equal(r.recipients[i].outcome, SMTP_FAILED);
	}
	e->ops->free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_every_short_content),
	        cmocka_unit_test(test_long_content),
	        cmocka_unit_test(test_reply_splits),
	        cmocka_unit_test(test_clean_cuts_characters),
	        cmocka_unit_test(test_back_pressure),
	        cmocka_unit_test(test_stalled_content),
	        cmocka_unit_test(test_dripping_content),
	        cmocka_unit_test(test_answer_before_the_end),
	        cmocka_unit_test(test_plaintext_after_starttls),
	        cmocka_unit_test(test_late_answers),
	        cmocka_unit_test(test_sent_too_late),
	        cmocka_unit_test(test_many_recipients),
	};

	return TEST_MAIN(tests);
}
