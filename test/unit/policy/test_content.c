/* What is read of a mail, and the evidence that needs no history. */
#include "judging_test.h"

#include "policy/tokens.h"

struct rig {
	struct config *config;
	struct arena arena;
	struct content *content;
	const struct content_seen *seen;
	struct evidence list[EVIDENCE_MAX];
	size_t count;
};

static struct rig judged(const char *mail, const char *conf, const struct answer_history *history)
{
	struct rig r = {.config = judging_config(conf)};
	struct content_setting setting = {.config = r.config};
	struct buf rcpts = {0};

	buf_block(&rcpts, BYTES("ken@example.test"));
	setting.rcpts = buf_bytes(&rcpts);
	r.content = content_of(bytes_of_text(mail), SIZE_MAX);
	r.seen = content_seen(r.content);
	r.count = content_evidence(r.content, &setting, history, &r.arena, r.list, EVIDENCE_MAX);
	buf_done(&rcpts);
	return r;
}

static void rig_done(struct rig *r)
{
	content_free(&r->content);
	config_free(&r->config);
	arena_done(&r->arena);
}

static void expect_points(const char *mail, const char *check, int points)
{
	struct rig r = judged(mail, "", NULL);

	if (points_of(r.list, r.count, check) != points) {
		for (size_t i = 0; i < r.count; i++)
			print_error("%.*s %d %.*s\n", BYTES_ARG(r.list[i].check), r.list[i].points,
			            BYTES_ARG(r.list[i].text));
		fail_msg("%s: want %d of\n%s", check, points, mail);
	}
	rig_done(&r);
}

#define HEAD "From: Ann <ann@other.test>\r\nTo: ken@example.test\r\nSubject: hello\r\n"
#define HTML HEAD "Content-Type: text/html; charset=utf-8\r\n\r\n"

static void fields_are_read(void **state)
{
	struct rig r = judged(
	        "Received: from [192.168.1.5] (p1.isp.test [203.0.113.9])\r\n"
	        "\tby relay.isp.test; Mon, 1 Jan 2024 00:00:00 +0900\r\n"
	        "Received: from localhost (localhost [127.0.0.1]) by x\r\n"
	        "From: =?UTF-8?B?5bGx55Sw?= <Yamada@B\303\274cher.TEST>\r\n"
	        "Reply-To: <y@free.test>\r\n"
	        "Message-ID: <1@b.test>\r\n"
	        "In-Reply-To: <a@example.test>\r\n"
	        "References: <z@x> <a@example.test>\r\n"
	        "Subject: =?ISO-2022-JP?B?GyRCJDMkcyRLJEEkTxsoQg==?=\r\n"
	        "\r\nhttps://WWW.Link.test:8080/a?b http://link.test./ see www.third.test/x)\r\n",
	        "", NULL);
	struct ip ip;

	assert_int_equal(r.seen->from_count, 1);
	assert_bytes(r.seen->from, BYTES("Yamada@xn--bcher-kva.test"));
	assert_bytes(r.seen->from_domain, BYTES("xn--bcher-kva.test"));
	assert_bytes(r.seen->from_name, BYTES("\345\261\261\347\224\260"));
	assert_bytes(r.seen->reply_to, BYTES("y@free.test"));
	assert_bytes(r.seen->message_id, BYTES("1@b.test"));
	assert_bytes(r.seen->subject,
	             BYTES("\343\201\223\343\202\223\343\201\253\343\201\241\343\201\257"));
	assert_int_equal(r.seen->replies_to.len, 3 * 4 + 14 + 14 + 3);
	assert_int_equal(r.seen->received.len, 16);
	memcpy(&ip, r.seen->received.ptr, 16);
	assert_true(ip_is_v4(&ip));
	assert_int_equal(ip.octets[12], 203);
	assert_int_equal(r.seen->host_count, 3);
	assert_bytes(r.seen->hosts[0], BYTES("www.link.test"));
	assert_bytes(r.seen->hosts[1], BYTES("link.test"));
	assert_bytes(r.seen->hosts[2], BYTES("www.third.test"));
	assert_int_equal(r.seen->links, 3);
	rig_done(&r);
}

/* Any split of a mail with parts, encodings, a mail in it and long lines gives the same. */
static void splits_change_nothing(void **state)
{
	static const char mail[] = HEAD
	        "Content-Type: multipart/mixed;\r\n boundary=\"b 1\"\r\n\r\nbefore\r\n"
	        "--b 1\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n\033$B8&5f\033(B "
	        "word\r\n"
	        "--b 1\r\nContent-Type: application/pdf; name=a.pdf\r\n"
	        "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
	        "--b 2\r\nnot seen http://unseen.test/\r\n"
	        "--b 1\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: "
	        "quoted-printable\r\n\r\n"
	        "<p>one<b>two</b><a href=3D\"https://h.test/\">h</a></p>\r\n"
	        "--b 1\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner text\r\n"
	        "--b 1--\r\nafter http://after.test/\r\n";
	struct content *whole = content_of(bytes_of_text(mail), SIZE_MAX);
	const struct content_seen *a = content_seen(whole);

	assert_int_equal(a->attachments, 1);
	assert_int_equal(a->host_count, 1);
	assert_bytes(a->hosts[0], BYTES("h.test"));
	for (size_t piece = 1; piece < 80; piece++) {
		struct content *c = content_of(bytes_of_text(mail), piece);
		const struct content_seen *b = content_seen(c);

		assert_bytes(b->tokens, a->tokens);
		assert_int_equal(b->attachments, 1);
		assert_int_equal(b->host_count, 1);
		content_free(&c);
	}
	content_free(&whole);
}

static bool has_token(const struct content_seen *seen, enum token_kind kind, struct bytes word)
{
	uint64_t want = token_of(kind, word);
	struct wire w = wire_of(seen->tokens);

	while (!wire_end(&w)) {
		if (wire_u64(&w) == want)
			return true;
	}
	return false;
}

/* What is not seen is not read, and what is cut apart by tags is one word. */
static void html_is_read_as_seen(void **state)
{
	struct rig r = judged(
	        HTML "<style>hid{den:1}</style><script>var secret</script>via<b>g</b>r<!-- x -->a "
	             "&#x65e5;&#26412; a&amp;b<div>left</div>right x&shy;y",
	        "", NULL);

	assert_true(has_token(r.seen, TOKEN_BODY, BYTES("viagra")));
	assert_true(has_token(r.seen, TOKEN_BODY, BYTES("\346\227\245\346\234\254")));
	assert_true(has_token(r.seen, TOKEN_BODY, BYTES("left")));
	assert_true(has_token(r.seen, TOKEN_BODY, BYTES("xy")));
	assert_false(has_token(r.seen, TOKEN_BODY, BYTES("secret")));
	assert_false(has_token(r.seen, TOKEN_BODY, BYTES("hid")));
	rig_done(&r);
}

/* A text that claims, in its body, to begin a picture is read on: the boundary was never named. */
static void a_false_part_hides_nothing(void **state)
{
	struct rig r = judged(
	        HEAD "Content-Type: text/plain\r\n\r\none\r\n--x\r\nContent-Type: image/png\r\n\r\n"
	             "hidden\r\n",
	        "", NULL);

	assert_true(has_token(r.seen, TOKEN_BODY, BYTES("hidden")));
	rig_done(&r);
}

static void what_is_kept_is_bounded(void **state)
{
	struct buf mail = {0};
	struct content *c;

	buf_append_text(&mail, HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (int i = 0; i < 40; i++) {
		buf_append_text(&mail,
		                i % 2 ? "--b\r\nContent-Type: image/png\r\n\r\n" : "--b\r\n\r\n");
		for (int k = 0; k < 3000; k++)
			buf_printf(&mail, "line%d of part%d and more and more\r\n", k, i);
	}
	buf_append_text(&mail, "--b\r\n\r\n");
	for (int k = 0; k < 1024 * 1024; k++)
		buf_append_char(&mail, 'x');
	c = content_of(buf_bytes(&mail), 4096);
	assert_int_equal(content_seen(c)->tokens.len, TOKENS_MAX * 8);
	assert_true(has_token(content_seen(c), TOKEN_BODY, BYTES("part0")));
	content_free(&c);
	buf_done(&mail);
}

static void links(void **state)
{
	expect_points(HTML "<a href=\"http://evil.test/\">http://www.bank.test/</a>", "content",
	              100);
	expect_points(HTML "<a href=\"http://click.bank.test/\">http://www.bank.test/</a>",
	              "content", 0);
	expect_points(HTML "<a href=\"http://evil.test/\">click here</a>", "content", 0);
	expect_points(HTML "<a href='http://evil.test/'>https://www.example.test</a>", "content",
	              400);
	expect_points(HTML "<a href=\"http://www.bank.test@evil.test/\">here</a>", "content", 150);
	expect_points(HTML "<A HREF=http://example.test/x>http://other.test</A>", "content", 0);
}

static void names(void **state)
{
	expect_points("From: \"ken@example.test\" <a@other.test>\r\n\r\nx", "name", 450);
	expect_points("From: \"service@bank.test\" <a@other.test>\r\n\r\nx", "name", 250);
	expect_points("From: \"service@mail.other.test\" <a@other.test>\r\n\r\nx", "name", 0);
	expect_points("From: Ken @ work <a@other.test>\r\n\r\nx", "name", 0);
}

static void froms(void **state)
{
	expect_points("Subject: x\r\n\r\nx", "content", 200);
	expect_points("From: undisclosed\r\n\r\nx", "content", 150);
	expect_points("From: a@b.test, c@d.test\r\n\r\nx", "content", 300);
}

static void lookalikes(void **state)
{
	expect_points("From: a@examp1e.test\r\n\r\nx", "lookalike", 600);
	expect_points("From: a@xn--xample-2of.test\r\n\r\nx", "lookalike", 600); /* Cyrillic */
	expect_points("From: a@exarnple.test\r\n\r\nx", "lookalike", 600);
	expect_points("From: a@exmaple.test\r\n\r\nx", "lookalike", 300);
	expect_points("From: a@examples.test\r\n\r\nx", "lookalike", 300);
	expect_points("From: a@example.test.evil.test\r\n\r\nx", "lookalike", 350);
	expect_points("From: a@example-login.test\r\n\r\nx", "lookalike", 350);
	expect_points("From: a@other.test\r\n\r\nx", "lookalike", 0);
	expect_points("From: a@sample.test\r\n\r\nx", "lookalike", 0);
	expect_points("From: a@mail.example.test\r\n\r\nx", "lookalike", 0);
}

static void expect_own(const char *conf, unsigned known, int points, enum judge_action wants)
{
	struct answer_history history = {.known = known};
	struct rig r = judged("From: ken@example.test\r\n\r\nx", conf, &history);
	enum judge_action got = JUDGE_ACCEPT;

	for (size_t i = 0; i < r.count; i++) {
		if (bytes_equal(r.list[i].check, BYTES("own-address")))
			got = r.list[i].wants;
	}
	assert_int_equal(points_of(r.list, r.count, "own-address"), points);
	assert_int_equal(got, wants);
	rig_done(&r);
}

static void own_addresses_from_outside(void **state)
{
	expect_own("", 0, 400, JUDGE_ACCEPT);
	expect_own("judge { own-domain refuse }\n", 0, 400, JUDGE_REFUSE);
	expect_own("judge { own-domain junk }\n", 0, 400, JUDGE_JUNK);
	expect_own("judge { own-domain off }\n", 0, 0, JUDGE_ACCEPT);
	/* the mother's client: never refused, whatever the option says */
	expect_own("judge { own-domain refuse }\n", HISTORY_OWN_LOGIN_NETWORK, 0, JUDGE_ACCEPT);
	expect_own("judge { own-domain refuse }\n", HISTORY_GOOD_NETWORK, 50, JUDGE_ACCEPT);
}

/* Without the store's memory the mother's client and a forger look alike: nobody is refused. */
static void nothing_known_is_doubt(void **state)
{
	struct rig r = judged("From: ken@example.test\r\n\r\nx", "judge { own-domain refuse }\n",
	                      NULL);

	assert_int_equal(points_of(r.list, r.count, "own-address"), 0);
	assert_int_equal(r.list[r.count - 1].says, EVIDENCE_DOUBT);
	assert_int_equal(r.list[r.count - 1].wants, JUDGE_DEFER);
	rig_done(&r);
}

/* Every sample is read to its end; what must be caught is, and nothing of the good reaches the Junk folder. */
static void samples(void **state)
{
	static const char *const folders[] = {"nice",
	                                      "spam",
	                                      "spam/dmarc",
	                                      "spam/decodeshorturl",
	                                      "spam/redirectors",
	                                      "spam/fromnamespoof"};
	struct answer_history history = {.known = 0};
	struct arena arena = {0};
	unsigned count = 0, caught = 0;

	for (size_t f = 0; f < sizeof(folders) / sizeof(*folders); f++) {
		char path[200];

		snprintf(path, sizeof(path), "judging/spamassassin/%s", folders[f]);
		for (char **name = data_list(path, "", &arena); *name; name++) {
			char file[300];
			struct rig r;
			struct bytes mail;
			int points;

			snprintf(file, sizeof(file), "%s/%s", path, *name);
			if (!data_exists(file))
				continue;
			mail = data_read(file, &arena);
			if (mail.len == 0) /* a folder */
				continue;
			r = judged(arena_text(&arena, mail), "", &history);
			points = points_of(r.list, r.count, NULL);
			if (f == 0 && points >= 500)
				fail_msg("%s: %d points", file, points);
			if (strncmp(*name, "gtube", 5) == 0 && points < 1200)
				fail_msg("%s: the test string is not seen", file);
			caught += f > 0 && points >= 500;
			count++;
			rig_done(&r);
		}
	}
	assert_true(count >= 45);
	assert_true(caught >= 2);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(fields_are_read),
	        cmocka_unit_test(splits_change_nothing),
	        cmocka_unit_test(html_is_read_as_seen),
	        cmocka_unit_test(a_false_part_hides_nothing),
	        cmocka_unit_test(what_is_kept_is_bounded),
	        cmocka_unit_test(links),
	        cmocka_unit_test(names),
	        cmocka_unit_test(froms),
	        cmocka_unit_test(lookalikes),
	        cmocka_unit_test(own_addresses_from_outside),
	        cmocka_unit_test(nothing_known_is_doubt),
	        cmocka_unit_test(samples),
	};

	return TEST_MAIN(tests);
}
