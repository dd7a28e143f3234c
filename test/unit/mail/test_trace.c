#include "../test.h"

#include "base/limits.h"
#include "base/text.h"
#include "mail/body.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/mime.h"
#include "mail/trace.h"

static struct arena arena;

static int forget(void **state)
{
	arena_done(&arena);
	return 0;
}

static struct bytes traced(const struct trace *t)
{
	struct buf out = {0};

	trace_make(t, &out);
	struct bytes copy = arena_copy(&arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

static struct ip client(const char *text)
{
	struct ip ip;
	assert_int_equal(ip_parse(bytes_of_text(text), &ip), OK);
	return ip;
}

static void a_trace_says_all(void **state)
{
	struct ip ip = client("192.0.2.1");
	struct trace t = {
	        .return_path = true,
	        .sender = BYTES("a@b.test"),
	        .helo = BYTES("client.test"),
	        .client_name = BYTES("host.client.test"),
	        .client = &ip,
	        .hostname = BYTES("mx.example.test"),
	        .esmtp = true,
	        .tls = true,
	        .tls_version = BYTES("TLSv1.3 with cipher TLS_AES_256_GCM_SHA384"),
	        .id = BYTES("4x7"),
	        .rcpt = BYTES("ken@example.test"),
	        .now = 1795392000000,
	        .zone_minutes = 540,
	};

	assert_bytes(traced(&t),
	             BYTES("Return-Path: <a@b.test>\r\n"
	                   "Received: from client.test (host.client.test [192.0.2.1])\r\n"
	                   "\tby mx.example.test with ESMTPS id 4x7\r\n"
	                   "\t(TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
	                   "\tfor <ken@example.test>;\r\n"
	                   "\tMon, 23 Nov 2026 09:00:00 +0900\r\n"));
}

static void protocols_have_their_words(void **state)
{
	static const struct {
		bool esmtp, tls, auth, utf8;
		const char *word;
	} cases[] = {
	        {false, false, false, false, " with SMTP\r\n"},
	        {true, false, false, false, " with ESMTP\r\n"},
	        {true, true, false, false, " with ESMTPS\r\n"},
	        {true, true, true, false, " with ESMTPSA\r\n"},
	        {true, false, true, false, " with ESMTPA\r\n"},
	        {true, true, true, true, " with UTF8SMTPSA\r\n"},
	};
	struct ip ip = client("2001:db8::1");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trace t = {.client = &ip,
		                  .hostname = BYTES("mx"),
		                  .esmtp = cases[i].esmtp,
		                  .tls = cases[i].tls,
		                  .auth = cases[i].auth,
		                  .utf8 = cases[i].utf8,
		                  .rcpt = BYTES("x@y")};
		struct bytes got = traced(&t);
		assert_true(bytes_find(got, bytes_of_text(cases[i].word)) != BYTES_NONE);
		assert_true(bytes_find(got, BYTES("from unknown (unknown [IPv6:2001:db8::1])")) !=
		            BYTES_NONE);
	}
}

static void strangers_cannot_forge_a_line(void **state)
{
	struct ip ip = client("192.0.2.1");
	char huge[5000];
	memset(huge, 'x', sizeof(huge));
	struct bytes evils[] = {
	        BYTES("a\r\nSubject: x"),     BYTES("a) (b"), BYTES("a\0b"), BYTES("\xff\xfe"),
	        bytes_of(huge, sizeof(huge)), BYTES("a; Mon")};

	for (size_t i = 0; i < sizeof(evils) / sizeof(evils[0]); i++) {
		struct bytes e = evils[i];
		struct trace t = {.return_path = true,
		                  .sender = e,
		                  .helo = e,
		                  .client_name = e,
		                  .client = &ip,
		                  .hostname = e,
		                  .tls_version = e,
		                  .id = e,
		                  .rcpt = e,
		                  .utf8 = true};
		struct bytes got = traced(&t), rest = got;
		struct header_field f;
		size_t fields = 0;
		assert_true(got.len <= LIMIT_TRACE);
		assert_true(text_is_utf8(got));
		while (header_next(&rest, &f))
			fields++;
		assert_int_equal(fields, 2);
		assert_int_equal(rest.len, 0);
	}
}

static void loops_are_seen(void **state)
{
	struct bytes header = BYTES("Received: a\r\nreceived: b\r\n\tc\r\nDelivered-To: "
	                            "ken@Example.test\r\nDelivered-To: <x@y>\r\n\r\n"
	                            "Received: body\r\n");

	assert_int_equal(trace_hops(header), 2);
	assert_true(trace_delivered_to(header, BYTES("KEN@example.test")));
	assert_true(trace_delivered_to(header, BYTES("x@y")));
	assert_false(trace_delivered_to(header, BYTES("en@example.test")));
}

/* ---- bounces ---- */

static struct bytes bounce(const struct dsn *d, struct bytes original)
{
	struct buf out = {0};

	dsn_begin(d, &out);
	buf_append(&out, original);
	dsn_end(d, &out);
	struct bytes copy = arena_copy(&arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

static struct bytes text_of(struct bytes mail, const struct mime_part *part)
{
	struct body_decoder d = body_decoder_of(part->encoding);
	struct buf out = {0};

	body_decode(
	        &d,
	        bytes_first(bytes_skip(mail, part->body_start), part->body_end - part->body_start),
	        &out);
	body_decode_end(&d, &out);
	struct bytes copy = arena_copy(&arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

static bool has(struct bytes text, const char *what)
{
	return bytes_find(text, bytes_of_text(what)) != BYTES_NONE;
}

static const struct dsn_recipient recipients[] = {
        {.action = DSN_FAILED,
         .address = {"ken@example.test", sizeof("ken@example.test") - 1},
         .orcpt = {"rfc822;ken+x@example.test", sizeof("rfc822;ken+x@example.test") - 1},
         .status = {"5.1.1", sizeof("5.1.1") - 1},
         .diagnostic = {"no such account", sizeof("no such account") - 1}},
        {.action = DSN_FAILED,
         .address = {"mori@elsewhere.test", sizeof("mori@elsewhere.test") - 1},
         .status = {"5.2.2", sizeof("5.2.2") - 1},
         .remote_mta = {"mx.elsewhere.test", sizeof("mx.elsewhere.test") - 1},
         .diagnostic = {"552 5.2.2 full\r\nX-Forged: yes",
                        sizeof("552 5.2.2 full\r\nX-Forged: yes") - 1}},
};

static struct dsn a_bounce(void)
{
	return (struct dsn){
	        .hostname = BYTES("mx.example.test"),
	        .sender = BYTES("from@sender.test"),
	        .envid = BYTES("QQ314159"),
	        .id = BYTES("4x7"),
	        .subject = BYTES("=?UTF-8?B?5qOu?="),
	        .arrival = 1795392000000,
	        .now = 1795392060000,
	        .zone_minutes = 540,
	        .recipients = recipients,
	        .count = 2,
	};
}

static void a_bounce_is_a_report(void **state)
{
	struct dsn d = a_bounce();
	struct bytes original = BYTES("From: from@sender.test\r\nSubject: x\r\n");
	struct bytes mail = bounce(&d, original);
	const struct mime_part *root = mime_parse(mail, &arena, NULL);
	const struct mime_part *person = root->child, *status = person->next,
	                       *header = status->next;

	assert_bytes(root->subtype, BYTES("report"));
	assert_bytes(mime_param_find(root->params, BYTES("report-type")), BYTES("delivery-status"));
	assert_bytes(root->envelope->to->domain, BYTES("sender.test"));
	assert_true(has(mail, "\r\nAuto-Submitted: auto-replied\r\n"));
	assert_bytes(status->subtype, BYTES("delivery-status"));
	struct bytes fields = text_of(mail, status);
	assert_true(has(fields, "Reporting-MTA: dns; mx.example.test\r\n"));
	assert_true(has(fields, "Original-Envelope-Id: QQ314159\r\n"));
	assert_true(has(fields, "Original-Recipient: rfc822;ken+x@example.test\r\nFinal-Recipient: "
	                        "rfc822; ken@example.test\r\n"
	                        "Action: failed\r\nStatus: 5.1.1\r\n"));
	assert_true(has(fields, "Remote-MTA: dns; mx.elsewhere.test\r\nDiagnostic-Code: smtp; 552 "
	                        "5.2.2 full  X-Forged: yes"));
	assert_false(has(fields, "\nX-Forged"));
	assert_bytes(header->subtype, BYTES("rfc822-headers"));
	assert_true(bytes_starts(original, text_of(mail, header)));
	assert_null(header->next);
	assert_true(has(text_of(mail, person), "There is no such address. (5.1.1)"));
	assert_true(has(text_of(mail, person), "Subject of your mail: \xe6\xa3\xae"));
	assert_true(has(text_of(mail, person), "mx.elsewhere.test said: 552"));
}

static void a_full_bounce_holds_the_mail(void **state)
{
	struct dsn d = a_bounce();
	struct bytes original = BYTES("Subject: x\r\n\r\nbody\r\n--=_report_4x7\r\n");
	d.full = true;
	struct bytes mail = bounce(&d, original);
	const struct mime_part *root = mime_parse(mail, &arena, NULL),
	                       *message = root->child->next->next;

	assert_true(message->message);
	assert_bytes(text_of(mail, message), original);
	assert_bytes(message->child->envelope->subject, BYTES("x"));
}

static void a_japanese_bounce_has_both_languages(void **state)
{
	struct dsn d = a_bounce();
	d.japanese = true;
	struct bytes mail = bounce(&d, BYTES(""));
	const struct mime_part *root = mime_parse(mail, &arena, NULL);
	struct bytes text = text_of(mail, root->child);

	assert_true(has(text, "このアドレスは存在しません。"));
	assert_true(has(text, "There is no such address."));
	assert_true(text_is_ascii(mail));
	struct bytes rest = mail, line;
	while (bytes_cut(&rest, '\n', &line))
		assert_true(line.len <= 998);
}

static void a_utf8_bounce_is_global(void **state)
{
	struct dsn_recipient r = {.address = BYTES("\xe6\xa3\xae@example.test"),
	                          .status = BYTES("5.1.1")};
	struct dsn d = a_bounce();
	d.utf8 = true;
	d.recipients = &r;
	d.count = 1;
	struct bytes mail = bounce(&d, BYTES("x"));
	const struct mime_part *root = mime_parse(mail, &arena, NULL);

	assert_bytes(root->child->next->subtype, BYTES("global-delivery-status"));
	assert_true(has(mail, "Final-Recipient: utf-8; \xe6\xa3\xae@example.test"));
	assert_bytes(root->child->next->next->subtype, BYTES("global-headers"));
}

static void japanese_senders_are_known(void **state)
{
	assert_true(dsn_is_japanese(BYTES("Content-Type: text/plain; charset=ISO-2022-JP\r\n")));
	assert_true(dsn_is_japanese(BYTES("Content-Language: ja-JP\r\n")));
	assert_true(dsn_is_japanese(BYTES("Subject: =?UTF-8?B?44GT44KT44Gr44Gh44Gv?=\r\n")));
	assert_false(dsn_is_japanese(
	        BYTES("Subject: hello\r\nContent-Type: text/plain; charset=utf-8\r\n")));
}

static void automatic_mail_is_known(void **state)
{
	assert_true(dsn_is_automatic(BYTES(""), BYTES("")));
	assert_true(dsn_is_automatic(BYTES("Auto-Submitted: auto-generated\r\n"), BYTES("a@b")));
	assert_true(dsn_is_automatic(BYTES("Precedence: Bulk\r\n"), BYTES("a@b")));
	assert_true(dsn_is_automatic(BYTES("List-Id: <x>\r\n"), BYTES("a@b")));
	assert_false(dsn_is_automatic(BYTES("Auto-Submitted: no\r\nSubject: x\r\n"), BYTES("a@b")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(a_trace_says_all, forget),
	        cmocka_unit_test_teardown(protocols_have_their_words, forget),
	        cmocka_unit_test_teardown(strangers_cannot_forge_a_line, forget),
	        cmocka_unit_test_teardown(loops_are_seen, forget),
	        cmocka_unit_test_teardown(a_bounce_is_a_report, forget),
	        cmocka_unit_test_teardown(a_full_bounce_holds_the_mail, forget),
	        cmocka_unit_test_teardown(a_japanese_bounce_has_both_languages, forget),
	        cmocka_unit_test_teardown(a_utf8_bounce_is_global, forget),
	        cmocka_unit_test_teardown(japanese_senders_are_known, forget),
	        cmocka_unit_test_teardown(automatic_mail_is_known, forget),
	};
	return TEST_MAIN(tests);
}
