/* Digests of refused mail: what they say, in which order things are asked, and that a mail is never sent twice. */
#include "test.h"

#include "base/encode.h"
#include "base/memory.h"
#include "carrying/digest.h"
#include "mail/summary.h"
#include "mail/words.h"

static struct config *config(void)
{
	struct config_source source = {BYTES("hikyaku.conf"),
	                               BYTES("hostname mx.example.test\ndomain example.test\n")};
	struct config *c;
	struct why why = {{0}};

	assert_int_equal(config_parse(&source, 1, &c, &why), OK);
	return c;
}

static void put_row(struct buf *rows, const char *id, const char *from, const char *header)
{
	struct summary_builder *b = summary_builder_new();
	struct buf summary = {0};

	summary_builder_feed(b, bytes_of_text(header));
	summary_builder_finish(b, &summary);
	summary_builder_free(&b);
	buf_u64(rows, 1700000000000);
	buf_block(rows, bytes_of_text(id));
	buf_block(rows, BYTES("envelope@remote.test"));
	buf_block(rows, bytes_of_text(from));
	buf_block(rows, BYTES("list.zen dmarc"));
	buf_block(rows, buf_bytes(&summary));
	buf_done(&summary);
}

static struct answer answer(struct buf *rows, bool japanese)
{
	struct answer a = {.kind = ASK_DIGEST, .result = OK};

	buf_clear(rows);
	put_row(rows, "k0a1b2c3", "ayako@remote.test",
	        "Subject: =?ISO-2022-JP?B?GyRCJDMkcyRLJEEkTxsoQg==?=\r\n\r\n");
	put_row(rows, "00000007", "", "Subject: a \xe2\x80\xae\x1b[2J b\r\n\r\n");
	a.digest = (struct answer_digest){.rcpt = BYTES("ken@example.test"),
	                                  .japanese = japanese,
	                                  .until = 1700006400000,
	                                  .count = 5,
	                                  .rows = buf_bytes(rows)};
	return a;
}

static bool has(struct buf *text, const char *what)
{
	return bytes_find(buf_bytes(text), bytes_of_text(what)) != BYTES_NONE;
}

/* The header as it is; the subject and the body decoded. */
static void read_mail(struct bytes mail, struct buf *subject, struct buf *body)
{
	size_t end = bytes_find(mail, BYTES("\r\n\r\n"));
	struct bytes rest = bytes_skip(mail, end + 4), line, header = bytes_first(mail, end);
	size_t at = bytes_find(header, BYTES("Subject: "));
	struct buf base64 = {0};

	assert_true(end != BYTES_NONE && at != BYTES_NONE);
	header = bytes_skip(header, at + 9);
	words_decode(bytes_first(header, bytes_find(header, BYTES("\r\nMessage-ID"))), subject);
	while (bytes_cut(&rest, '\n', &line)) {
		assert_true(line.len <= 78);
		buf_append(&base64, bytes_trim(line));
	}
	assert_int_equal(decode_base64(buf_bytes(&base64), body), OK);
	buf_done(&base64);
}

static void test_text(void **state)
{
	struct config *c = config();
	struct buf rows = {0}, mail = {0}, subject = {0}, body = {0};
	struct answer a;

	(void)state;
	for (int japanese = 0; japanese < 2; japanese++) {
		buf_clear(&mail);
		buf_clear(&subject);
		buf_clear(&body);
		a = answer(&rows, japanese);
		digest_mail(c, &a.digest, 1700006500000, &mail);
		read_mail(buf_bytes(&mail), &subject, &body);
		assert_true(
		        has(&mail, "From: postmaster@example.test\r\nTo: ken@example.test\r\n"));
		assert_true(has(&mail, "Auto-Submitted: auto-generated\r\n"));
		assert_true(has(&body, "こんにちは"));
		assert_true(has(&body, "k0a1b2c3") && has(&body, "ayako@remote.test"));
		assert_true(has(&body, "envelope@remote.test") && has(&body, "list.zen dmarc"));
		/* Neither the escape nor the mark that turns text around. */
		assert_false(has(&body, "\x1b") || has(&body, "\xe2\x80\xae"));
		assert_true(has(&body, japanese ? "ほかに 3 通" : "There are 3 more"));
		assert_true(has(&subject, japanese ? "お断りしたメール"
		                                   : "5 mails to you refused (2023-11-14)"));
	}
	buf_done(&rows);
	buf_done(&mail);
	buf_done(&subject);
	buf_done(&body);
	config_free(&c);
}

/* Answers everything with OK until it asks this kind; its key, where it is a COMMIT. */
static bool reach(struct digesting *d, enum ask_kind kind, struct ask *ret, char key[16])
{
	for (int i = 0; i < 20 && digesting_ask(d, ret); i++) {
		struct answer a = {.kind = ret->kind, .number = ret->number, .result = OK};

		if (ret->kind == ASK_COMMIT && key)
			memcpy(key, ret->commit.key.ptr, 16);
		if (ret->kind == kind)
			return true;
		digesting_answer(d, &a);
	}
	return false;
}

static void test_way(void **state)
{
	struct config *c = config();
	struct buf rows = {0};
	char key[2][16];

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		struct digesting *d = digesting_new(c, 1700006500000 + turn * 5000);
		struct answer a = answer(&rows, false);
		struct ask ask;

		assert_true(digesting_ask(d, &ask) && ask.kind == ASK_DIGEST &&
		            ask.digest.after.len == 0);
		digesting_answer(d, &a);
		assert_true(reach(d, ASK_DIGEST_DONE, &ask, key[turn]));
		assert_true(bytes_equal(ask.digest_done.rcpt, BYTES("ken@example.test")));
		assert_int_equal(ask.digest_done.until, 1700006400000);
		digesting_answer(d, &(struct answer){.kind = ASK_DIGEST_DONE, .result = OK});
		/* The next one: there is none. */
		assert_true(digesting_ask(d, &ask) && ask.kind == ASK_DIGEST);
		assert_true(bytes_equal(ask.digest.after, BYTES("ken@example.test")));
		digesting_answer(d, &(struct answer){.kind = ASK_DIGEST, .result = NOT_FOUND});
		assert_true(digesting_finished(d));
		assert_int_equal(digesting_sent(d), 1);
		digesting_free(&d);
	}
	assert_memory_equal(key[0], key[1], 16);
	buf_done(&rows);
	config_free(&c);
}

/* What the store did not take is not called done. */
static void test_refused(void **state)
{
	struct config *c = config();
	struct digesting *d = digesting_new(c, 1700006500000);
	struct buf rows = {0};
	struct answer a = answer(&rows, true);
	struct ask ask;

	(void)state;
	assert_true(digesting_ask(d, &ask));
	digesting_answer(d, &a);
	assert_true(reach(d, ASK_COMMIT, &ask, NULL));
	digesting_answer(d, &(struct answer){.kind = ASK_COMMIT, .result = DISK_FULL});
	assert_true(digesting_ask(d, &ask) && ask.kind == ASK_DIGEST);
	assert_int_equal(digesting_sent(d), 0);
	digesting_free(&d);
	buf_done(&rows);
	config_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_text),
	        cmocka_unit_test(test_way),
	        cmocka_unit_test(test_refused),
	};

	return TEST_MAIN(tests);
}
