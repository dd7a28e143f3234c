#include "../test.h"

#include "base/limits.h"
#include "data.h"
#include "mail/summary.h"

static struct arena arena;

static int forget(void **state)
{
	arena_done(&arena);
	return 0;
}

static void encode_in_steps(struct bytes mail, size_t step, struct buf *out)
{
	struct summary_builder *b = summary_builder_new();

	for (size_t at = 0; at < mail.len; at += step)
		summary_builder_feed(b, bytes_first(bytes_skip(mail, at), step));
	summary_builder_finish(b, out);
	summary_builder_free(&b);
}

static void put_addresses(const struct address *a, struct buf *out)
{
	for (; a; a = a->next)
		buf_printf(out, "<%d %d %.*s|%.*s|%.*s|%.*s>", a->kind, a->bare, BYTES_ARG(a->name),
		           BYTES_ARG(a->route), BYTES_ARG(a->local), BYTES_ARG(a->domain));
}

static void put_params(const struct mime_param *p, struct buf *out)
{
	for (; p; p = p->next)
		buf_printf(out, ";%.*s=%.*s", BYTES_ARG(p->name), BYTES_ARG(p->value));
}

static void describe(const struct mime_part *part, struct buf *out)
{
	const struct mime_envelope *e = part->envelope;

	buf_printf(out, "\n(%.*s/%.*s %d%d%d %llu %llu %llu %u %u %d", BYTES_ARG(part->type),
	           BYTES_ARG(part->subtype), part->multipart, part->message, part->type_given,
	           (unsigned long long)part->header_start, (unsigned long long)part->body_start,
	           (unsigned long long)part->body_end, part->header_lines, part->body_lines,
	           part->encoding);
	put_params(part->params, out);
	buf_printf(out, "|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s", BYTES_ARG(part->encoding_text),
	           BYTES_ARG(part->id), BYTES_ARG(part->description), BYTES_ARG(part->md5),
	           BYTES_ARG(part->disposition), BYTES_ARG(part->language),
	           BYTES_ARG(part->location));
	put_params(part->disposition_params, out);
	if (e) {
		buf_printf(out, "|%.*s|%.*s|%.*s|%.*s|%.*s|", BYTES_ARG(e->date),
		           BYTES_ARG(e->subject), BYTES_ARG(e->in_reply_to),
		           BYTES_ARG(e->message_id), BYTES_ARG(e->references));
		const struct address *lists[] = {e->from, e->sender, e->reply_to,
		                                 e->to,   e->cc,     e->bcc};
		for (size_t i = 0; i < 6; i++)
			put_addresses(lists[i], out);
	}
	for (const struct mime_part *child = part->child; child; child = child->next) {
		assert_ptr_equal(child->parent, part);
		describe(child, out);
	}
	buf_append_char(out, ')');
}

static void check_round_trip(struct bytes mail)
{
	struct summary whole = summary_of(mail, &arena), got;
	struct buf encoded = {0}, want_text = {0}, got_text = {0};

	summary_encode(&whole, &encoded);
	assert_true(buf_len(&encoded) <= LIMIT_SUMMARY);
	assert_int_equal(summary_decode(buf_bytes(&encoded), &arena, &got), OK);
	assert_true(got.size == mail.len);
	assert_true(got.date == whole.date && got.date_valid == whole.date_valid &&
	            got.date_zone == whole.date_zone);
	assert_int_equal(got.received, whole.received);
	if (!got.partial) {
		describe(whole.root, &want_text);
		describe(got.root, &got_text);
		assert_bytes(buf_bytes(&got_text), buf_bytes(&want_text));
	}
	static const size_t steps[] = {1, 2, 3, 7, 64, 1000};
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		buf_clear(&got_text);
		encode_in_steps(mail, steps[i], &got_text);
		assert_bytes(buf_bytes(&got_text), buf_bytes(&encoded));
	}
	buf_done(&encoded);
	buf_done(&want_text);
	buf_done(&got_text);
}

static unsigned check_folder(const char *folder, const char *suffix)
{
	char **names = data_list(folder, suffix, &arena);
	unsigned count = 0;

	for (; names[count]; count++) {
		char *path = arena_text(&arena,
		                        arena_printf(&arena, "%s/%s", folder, names[count]));
		check_round_trip(data_read(path, &arena));
	}
	return count;
}

static void all_test_mails_come_back(void **state)
{
	unsigned count = check_folder("mime/mail-parser/rfc", ".eml") +
	                 check_folder("mime/mail-parser/legacy", ".eml") +
	                 check_folder("mime/mail-parser/malformed", ".eml") +
	                 check_folder("mime/mime4j", ".msg") +
	                 check_folder("charsets-ja/eml", ".eml");
	assert_int_equal(count, 84);
}

/* Fields that were put in front afterwards (a signature): the summary is the same as if they had been there. */
static void a_grown_header_is_no_other_mail(void **state)
{
	static const char *const mails[] = {
	        "",
	        "\r\n",
	        "Subject: x\r\n",
	        "Received: by a\r\nSubject: x\r\n\r\nbody\r\n",
	        "Content-Type: multipart/mixed; "
	        "boundary=b\r\n\r\npre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: "
	        "message/rfc822\r\n\r\nSubject: y\r\n\r\ntwo\r\n--b--\r\npost\r\n",
	};
	struct bytes fields = BYTES("DKIM-Signature: v=1;\r\n\tb=x\r\nX-More: y\r\n");

	for (size_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
		struct buf whole = {0}, got = {0}, want = {0};
		struct summary_builder *b = summary_builder_new();

		summary_builder_feed(b, bytes_of_text(mails[i]));
		summary_builder_finish_grown(b, fields, &got);
		summary_builder_free(&b);
		buf_append(&whole, fields);
		buf_append(&whole, bytes_of_text(mails[i]));
		encode_in_steps(buf_bytes(&whole), 5, &want);
		assert_bytes(buf_bytes(&got), buf_bytes(&want));
		buf_done(&whole);
		buf_done(&got);
		buf_done(&want);
	}
}

static void a_summary_tells_what_imap_needs(void **state)
{
	struct bytes mail = BYTES("Return-Path: <>\r\nReceived: by a; x\r\nReceived: by b; y\r\n"
	                          "Date: Mon, 23 Nov 2026 09:00:00 +0900\r\nFrom: =?UTF-8?B?5qOu?= "
	                          "<mori@example.test>\r\n"
	                          "To: G: a@b, c@d;, e@f\r\nSubject: Re: x\r\nMessage-ID: "
	                          "<1@x>\r\nIn-Reply-To: <0@x>\r\n"
	                          "References: <a@x> <0@x>\r\n\r\nbody\r\n");
	struct buf encoded = {0};
	struct summary s;

	encode_in_steps(mail, 10, &encoded);
	assert_int_equal(summary_decode(buf_bytes(&encoded), &arena, &s), OK);
	assert_int_equal(s.partial, 0);
	assert_int_equal(s.received, 2);
	assert_int_equal(s.date_zone, 540);
	assert_true(s.date == 1795392000000);
	const struct mime_envelope *e = s.root->envelope;
	assert_bytes(e->from->name, BYTES("=?UTF-8?B?5qOu?="));
	assert_int_equal(e->to->kind, ADDRESS_GROUP_START);
	assert_bytes(e->to->next->next->local, BYTES("c"));
	assert_int_equal(e->to->next->next->next->kind, ADDRESS_GROUP_END);
	assert_bytes(e->references, BYTES("<a@x> <0@x>"));
	assert_int_equal(s.root->body_lines, 1);
	buf_done(&encoded);
}

static void too_many_parts_leave_the_envelope(void **state)
{
	struct buf mail = {0}, encoded = {0};
	struct summary s;

	buf_append_text(&mail,
	                "Subject: many\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (int i = 0; i < 3000; i++)
		buf_append_text(&mail,
		                "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nx\r\n");
	encode_in_steps(buf_bytes(&mail), 1000, &encoded);
	assert_true(buf_len(&encoded) <= LIMIT_SUMMARY);
	assert_int_equal(summary_decode(buf_bytes(&encoded), &arena, &s), OK);
	assert_int_equal(s.partial, SUMMARY_NO_STRUCTURE);
	assert_true(s.root->multipart);
	assert_null(s.root->child);
	assert_bytes(s.root->envelope->subject, BYTES("many"));
	assert_true(s.size == buf_len(&mail));
	buf_done(&mail);
	buf_done(&encoded);
}

static void long_fields_are_cut(void **state)
{
	static const char *const names[] = {"From", "Sender", "Reply-To", "To", "Cc", "Bcc"};
	static const char *const texts[] = {"Subject",
	                                    "Message-ID",
	                                    "In-Reply-To",
	                                    "Date",
	                                    "Content-Description",
	                                    "Content-ID",
	                                    "Content-MD5",
	                                    "Content-Language",
	                                    "Content-Location",
	                                    "Content-Transfer-Encoding"};
	struct buf mail = {0}, encoded = {0};
	struct summary s;

	for (size_t n = 0; n < 6; n++) {
		buf_printf(&mail, "%s: x@y", names[n]);
		for (int i = 0; i < 1000; i++)
			buf_printf(&mail, ",\r\n user%d@example.test", i);
		buf_append_text(&mail, "\r\n");
	}
	for (size_t n = 0; n < sizeof(texts) / sizeof(texts[0]); n++) {
		buf_printf(&mail, "%s: ", texts[n]);
		for (int i = 0; i < 3000; i++)
			buf_append_char(&mail, 'x');
		buf_append_text(&mail, "\r\n");
	}
	buf_append_text(&mail, "References:");
	for (int i = 0; i < 1000; i++)
		buf_printf(&mail, " <%d@example.test>\r\n", i);
	buf_append_text(&mail, "Content-Type: text/plain");
	for (int i = 0; i < 200; i++)
		buf_printf(&mail, "; p%d=\"................................\"", i);
	buf_append_text(&mail, "\r\nContent-Disposition: attachment");
	for (int i = 0; i < 200; i++)
		buf_printf(&mail, "; p%d=\"................................\"", i);
	buf_append_text(&mail, "\r\n\r\nbody\r\n");
	encode_in_steps(buf_bytes(&mail), 777, &encoded);
	assert_true(buf_len(&encoded) <= LIMIT_SUMMARY);
	assert_int_equal(summary_decode(buf_bytes(&encoded), &arena, &s), OK);
	assert_int_equal(s.partial, SUMMARY_NO_STRUCTURE | SUMMARY_CUT);
	assert_bytes(s.root->envelope->to->next->local, BYTES("user0"));
	assert_true(bytes_starts(s.root->envelope->references, BYTES("<")));
	assert_true(bytes_ends(s.root->envelope->references, BYTES("<999@example.test>")));
	assert_true(s.size == buf_len(&mail));
	assert_int_equal(s.root->body_lines, 1);
	buf_done(&mail);
	buf_done(&encoded);
}

static void damage_is_refused(void **state)
{
	struct buf encoded = {0};
	struct summary s;

	encode_in_steps(BYTES("From: a@b\r\nContent-Type: multipart/mixed; "
	                      "boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"),
	                99, &encoded);
	struct bytes good = buf_bytes(&encoded);
	for (size_t len = 0; len < good.len; len++)
		assert_int_equal(summary_decode(bytes_first(good, len), &arena, &s), INVALID);
	char *bad = arena_text(&arena, good);
	for (size_t i = 0; i < good.len; i++) {
		for (int v = 0; v < 256; v++) { /* any result, no crash */
			bad[i] = (char)v;
			if (summary_decode(bytes_of(bad, good.len), &arena, &s) == OK)
				assert_non_null(s.root->envelope);
		}
		bad[i] = good.ptr[i];
	}
	buf_append_char(&encoded, 'x');
	assert_int_equal(summary_decode(buf_bytes(&encoded), &arena, &s), INVALID);
	buf_done(&encoded);
}

static void base_subjects(void **state)
{
	static const struct {
		const char *subject, *base;
		bool reply;
	} cases[] = {
	        {"hello", "hello", false},
	        {"Re: hello", "hello", true},
	        {"RE : re: Fwd:hello (fwd) ", "hello", true},
	        {"[list] Re: [list] hello", "hello", true},
	        {"[list]", "[list]", false},
	        {"[list] hello", "hello", false},
	        {"[a] [b]", "[b]", false},
	        {"re[2]: hello", "hello", true},
	        {"[fwd: hello]", "hello", true},
	        {"[Fwd: Re: hello] (fwd)", "hello", true},
	        {"=?UTF-8?B?UmU6IOajrg==?=", "\xe6\xa3\xae", true},
	        {"a\r\n  b", "a b", false},
	        {"Re:", "", true},
	        {"regards", "regards", false},
	        {"", "", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = {0};
		bool reply;
		summary_base_subject(bytes_of_text(cases[i].subject), &out, &reply);
		assert_bytes(buf_bytes(&out), bytes_of_text(cases[i].base));
		assert_int_equal(reply, cases[i].reply);
		buf_done(&out);
	}
}

static void ids_are_found(void **state)
{
	struct bytes rest = BYTES("<a@b> junk <<c@d> <> (x) <e"), id;

	assert_true(summary_next_id(&rest, &id));
	assert_bytes(id, BYTES("a@b"));
	assert_true(summary_next_id(&rest, &id));
	assert_bytes(id, BYTES("c@d"));
	assert_false(summary_next_id(&rest, &id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(all_test_mails_come_back, forget),
	        cmocka_unit_test_teardown(a_summary_tells_what_imap_needs, forget),
	        cmocka_unit_test_teardown(a_grown_header_is_no_other_mail, forget),
	        cmocka_unit_test_teardown(too_many_parts_leave_the_envelope, forget),
	        cmocka_unit_test_teardown(long_fields_are_cut, forget),
	        cmocka_unit_test_teardown(damage_is_refused, forget),
	        cmocka_unit_test_teardown(base_subjects, forget),
	        cmocka_unit_test_teardown(ids_are_found, forget),
	};
	return TEST_MAIN(tests);
}
