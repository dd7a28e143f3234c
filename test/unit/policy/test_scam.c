/* Conversation scam: the wave that was published, others of its kind in other words, and ordinary first letters. */
#include "judging_test.h"

#include "mail/words.h"
#include "policy/scam.h"

struct letter {
	const char *from, *to, *rcpt, *subject, *body;
};

static int judge(const struct letter *l, unsigned known)
{
	struct config *config = judging_config("");
	struct answer_history history = {.known = known};
	struct content_setting setting = {.config = config};
	struct arena arena = {0};
	struct evidence list[EVIDENCE_MAX];
	struct buf mail = {0}, rcpts = {0};
	struct content *c;
	size_t count;
	int points;

	buf_printf(&mail, "From: %s\r\nTo: %s\r\nSubject: ", l->from, l->to);
	words_encode(bytes_of_text(l->subject), 9, &mail);
	buf_printf(&mail,
	           "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n",
	           l->body);
	buf_block(&rcpts, bytes_of_text(l->rcpt));
	setting.rcpts = buf_bytes(&rcpts);
	c = content_of(buf_bytes(&mail), 1000);
	count = content_evidence(c, &setting, &history, &arena, list, EVIDENCE_MAX);
	points = points_of(list, count, "scam");
	content_free(&c);
	config_free(&config);
	buf_done(&mail);
	buf_done(&rcpts);
	arena_done(&arena);
	return points;
}

/* The wave: every stock phrase as subject, to an alias of several people, the group's name before the comma. */
static void the_wave_of_2016(void **state)
{
	struct arena arena = {0};
	struct bytes subjects = data_read("judging/scam-ja/subjects.txt", &arena);
	struct bytes mail = data_read("judging/scam-ja/mail1.txt", &arena), one;
	struct bytes body = bytes_skip(mail, bytes_find(mail, BYTES("\n\n")) + 2);
	unsigned count = 0;

	while (bytes_cut(&subjects, '\n', &one)) {
		struct letter l = {.from = "JEANINE CHAN <miraabfandresev@outlook.com>",
		                   .to = "kenkyu@example.test",
		                   .rcpt = "kenkyu@example.test",
		                   .body = arena_text(&arena, body)};
		const char *names[] = {"kenkyu", "Kenkyu", "kenkyu@example.test", "example"};

		one = bytes_trim(one);
		if (one.len == 0)
			continue;
		for (size_t i = 0; i < 4; i++) {
			l.subject = arena_text(&arena, arena_printf(&arena, "%s , %.*s", names[i],
			                                            BYTES_ARG(one)));
			if (judge(&l, 0) < 500)
				fail_msg("not seen: %s", l.subject);
			/* to one person the same letter is no scam of this kind; from somebody known neither */
			if (judge(&l, HISTORY_SEEN_ADDRESS) || judge(&l, HISTORY_WRITTEN_TO_BY_ANY))
				fail_msg("known, and yet: %s", l.subject);
		}
		count++;
	}
	assert_true(count >= 10);
	arena_done(&arena);
}

/* The pattern in words that the wave never had. */
static void other_words(void **state)
{
	static const struct letter scams[] = {
	        {"Bob <bob1@gmail.com>", "\"研究室\" <kenkyu@example.test>", "kenkyu@example.test",
	         "研究室、三通目のお手紙です",
	         "以前差し上げたメールに回答を頂いていません。至急ご返信ください。"},
	        {"Anna <anna@yahoo.co.jp>", "info@example.test", "info@example.test",
	         "info: 重ねてのご案内", "改めてご連絡いたします。お返事をお待ちしております。"},
	        {"Mark <mark@aol.com>", "sales@example.test", "sales@example.test",
	         "sales, my third message",
	         "I have not heard from you since my previous letter. Please reply urgently."},
	        {"L <l@mail.ru>", "Team <kenkyu@example.test>", "kenkyu@example.test",
	         "Team, second notice", "I am writing again. Kindly get back to me."},
	};

	for (size_t i = 0; i < sizeof(scams) / sizeof(*scams); i++) {
		if (judge(&scams[i], 0) < 500)
			fail_msg("not seen: %s (%d)", scams[i].subject, judge(&scams[i], 0));
	}
}

static void ordinary_first_letters(void **state)
{
	static const struct letter letters[] = {
	        {"山田 <yamada@gmail.com>", "info@example.test", "info@example.test",
	         "見学のお願い",
	         "はじめまして。大学の山田と申します。貴研究室の見学をお願いしたくご連絡いたしまし"
	         "た。ご返信いただけますと幸いです。"},
	        {"佐藤 <sato@gmail.com>", "kenkyu@example.test", "kenkyu@example.test",
	         "入学について", "来年の入学を希望しております。ご連絡をお待ちしております。"},
	        {"鈴木 <suzuki@company.test>", "info@example.test", "info@example.test",
	         "お見積りの件",
	         "先日はお電話でご案内いただきありがとうございました。お返事をお待ちしております"
	         "。"},
	        {"Jane <jane@gmail.com>", "sales@example.test", "sales@example.test",
	         "Question about prices",
	         "Hello, could you please send me your price list? I look forward to hear from you "
	         "soon."},
	        {"Tom <tom@gmail.com>", "info@example.test", "info@example.test",
	         "info: opening hours?", "Hi, when are you open? Please reply, thanks!"},
	        {"Club <club@gmail.com>", "ken@example.test", "ken@example.test", "ken, dinner",
	         "It was my last email address that did not work. Please write back to this one."},
	};

	for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++) {
		int points = judge(&letters[i], 0);

		if (points >= 400)
			fail_msg("%s: %d points", letters[i].subject, points);
	}
}

static void a_link_makes_it_something_else(void **state)
{
	struct letter l = {"Mark <mark@aol.com>", "sales@example.test", "sales@example.test",
	                   "sales, my third message",
	                   "I have not heard from you. Please reply. https://other.test/"};

	assert_int_equal(judge(&l, 0), 0);
}

static void groups_by_name(void **state)
{
	assert_true(scam_names_group(BYTES("sales, hello"), BYTES("sales@a.test"), BYTES("")));
	assert_true(
	        scam_names_group(BYTES("営業部 、こんにちは"), BYTES("x@a.test"), BYTES("営業部")));
	assert_true(scam_names_group(BYTES("sales+x: hello"), BYTES("sales+x@a.test"),
	                             BYTES("sales+x")));
	assert_false(scam_names_group(BYTES("sales hello"), BYTES("sales@a.test"), BYTES("")));
	assert_false(scam_names_group(BYTES("hello, sales"), BYTES("sales@a.test"), BYTES("")));
	assert_false(scam_names_group(BYTES(", hello"), BYTES("@"), BYTES("")));
	assert_true(scam_is_role(BYTES("Info")));
	assert_true(scam_is_role(BYTES("tokyo-all")));
	assert_false(scam_is_role(BYTES("ken")));
	assert_true(scam_is_free_mail(BYTES("outlook.com")));
	assert_false(scam_is_free_mail(BYTES("example.com")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_wave_of_2016),
	        cmocka_unit_test(other_words),
	        cmocka_unit_test(ordinary_first_letters),
	        cmocka_unit_test(a_link_makes_it_something_else),
	        cmocka_unit_test(groups_by_name),
	};

	return TEST_MAIN(tests);
}
