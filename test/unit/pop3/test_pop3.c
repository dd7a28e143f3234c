/* The POP3 engine against a small world: what talks cannot show well (room for output, big mailboxes,
 * time, an answerer that dies). Conversations stand in test/talk/pop3. */
#include "../test.h"

#include "base/memory.h"
#include "pop3/server.h"

enum { BIG = 5000 };

/* A store with one mailbox. */
struct world {
	struct engine *e;
	time_ms now;
	unsigned mails;
	struct bytes mail; /* all of them are the same */
	enum result read_result, mark_result, expunge_result;
	int failures; /* how many times these results come; -1: always */
	unsigned marked, expunged, noted, asked;
	struct bytes last_note;
	char note[64];
	bool seen_set;
	struct buf out;
};

static struct pop3_options options;

static struct world world_new(bool tls)
{
	struct engine_peer peer = {.session = 7, .tls = tls};
	struct world w = {.now = 1000000,
	                  .mails = 3,
	                  .mail = BYTES("A: b\r\n\r\n.dot\r\nend\r\n"),
	                  .failures = -1};

	options = (struct pop3_options){.hostname = BYTES("mx.example.test"),
	                                .stls = true,
	                                .plaintext = CONFIG_PLAINTEXT_NEVER,
	                                .apop = true,
	                                .cram_md5 = true,
	                                .login_failures = 3,
	                                .errors_max = 5,
	                                .idle_ms = 600000,
	                                .login_ms = 180000};
	memset(peer.seed, 's', sizeof(peer.seed));
	w.e = pop3_server_new(&options, &peer, w.now);
	return w;
}

static unsigned ranges_size(struct bytes ranges)
{
	unsigned n = 0;

	for (; ranges.len >= 8; ranges = bytes_skip(ranges, 8)) {
		const unsigned char *p = (const unsigned char *)ranges.ptr;
		uint32_t first = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
		uint32_t last = (uint32_t)p[4] << 24 | p[5] << 16 | p[6] << 8 | p[7];

		assert_true(first && first <= last);
		n += last - first + 1;
	}
	return n;
}

static void rows(struct world *w, const struct ask *a, struct buf *out, uint32_t *ret_next)
{
	uint32_t uid = a->summaries.after + 1;

	for (; uid <= w->mails && buf_len(out) + 44 <= LIMIT_LIST; uid++) {
		buf_u32(out, uid);
		buf_u64(out, 1);
		buf_u64(out, 0);
		buf_u64(out, 0);
		buf_u32(out, (uint32_t)w->mail.len);
		buf_u64(out, uid);
		buf_block(out, (struct bytes){0});
	}
	*ret_next = uid > w->mails ? 0 : uid - 1;
}

static enum result failing(struct world *w, enum result r)
{
	if (r == OK || !w->failures)
		return OK;
	if (w->failures > 0)
		w->failures--;
	return r;
}

static void world_answer(struct world *w, const struct ask *a)
{
	struct answer b = {.kind = a->kind, .number = a->number};
	struct buf data = {0};

	w->asked++;
	switch (a->kind) {
	case ASK_NOTE:
		w->noted++;
		snprintf(w->note, sizeof(w->note), "%.*s", BYTES_ARG(a->note.event));
		break;
	case ASK_TLS_START: b.tls_start.exporter = BYTES("exporter"); break;
	case ASK_LOGIN:
		b.result = bytes_equal(a->login.password, BYTES("right word")) ? OK : DENIED;
		b.login.address = BYTES("ken@example.test");
		break;
	case ASK_STATUS:
		b.status.mailbox = 5;
		b.status.uidvalidity = 77;
		break;
	case ASK_SUMMARIES:
		rows(w, a, &data, &b.summaries.next);
		b.summaries.rows = buf_bytes(&data);
		break;
	case ASK_READ:
		b.result = failing(w, w->read_result);
		b.read.total = w->mail.len;
		b.read.chunk = bytes_first(bytes_skip(w->mail, a->read.offset), a->read.len);
		break;
	case ASK_FLAGS_SET:
		b.result = failing(w, w->mark_result);
		if (a->flags_set.flags == MAIL_SEEN)
			w->seen_set = true;
		else if (b.result == OK)
			w->marked += ranges_size(a->flags_set.set);
		break;
	case ASK_EXPUNGE:
		assert_true(a->expunge.set.len); /* empty would be all */
		b.result = failing(w, w->expunge_result);
		if (b.result == OK)
			w->expunged += ranges_size(a->expunge.set);
		break;
	default: fail();
	}
	if (b.result != OK)
		b = answer_to(a, b.result, (struct bytes){0});
	w->e->ops->answer(w->e, &b);
	buf_done(&data);
}

static void drain(struct world *w)
{
	struct ask a;

	while (w->e->ops->ask(w->e, &a))
		world_answer(w, &a);
}

/* All of the input, the output taken away as it comes. */
static void say(struct world *w, const char *text)
{
	struct bytes in = bytes_of_text(text);

	for (int quiet = 0; quiet < 3;) {
		size_t n = w->e->ops->feed(w->e, in);
		struct buf *out = w->e->ops->output(w->e);

		in = bytes_skip(in, n);
		drain(w);
		quiet = n || buf_len(out) ? 0 : quiet + 1;
		assert_true(buf_len(out) < ENGINE_OUTPUT_HIGH + 128 * 1024);
		buf_append(&w->out, buf_bytes(out));
		buf_consume(out, buf_len(out));
	}
}

static void expect(struct world *w, const char *text)
{
	assert_bytes(buf_bytes(&w->out), bytes_of_text(text));
	buf_clear(&w->out);
}

static void expect_start(struct world *w, const char *text)
{
	assert_bytes(bytes_first(buf_bytes(&w->out), strlen(text)), bytes_of_text(text));
	buf_clear(&w->out);
}

static void login(struct world *w)
{
	say(w, "USER ken\r\nPASS right word\r\n");
	buf_clear(&w->out);
}

static void world_done(struct world *w)
{
	w->e->ops->free(&w->e);
	assert_null(w->e);
	buf_done(&w->out);
}

static void tick(struct world *w, time_ms ms)
{
	w->now += ms;
	w->e->ops->tick(w->e, w->now);
	drain(w);
}

static void test_retr_stuffs_dots(void **state)
{
	struct world w = world_new(true);

	login(&w);
	say(&w, "RETR 2\r\n");
	expect(&w, "+OK 19 octets\r\nA: b\r\n\r\n..dot\r\nend\r\n.\r\n");
	w.mail = BYTES("A: b\n\n.\nno end");
	say(&w, "RETR 1\r\n");
	expect(&w, "+OK 14 octets\r\nA: b\r\n\r\n..\r\nno end\r\n.\r\n");
	w.mail = BYTES("A\r.\r\r\n.\r");
	say(&w, "RETR 1\r\n");
	expect(&w, "+OK 8 octets\r\nA\r.\r\r\n..\r\r\n.\r\n");
	w.mail = BYTES("");
	say(&w, "RETR 1\r\n");
	expect(&w, "+OK 0 octets\r\n.\r\n");
	world_done(&w);
}

static void test_top_counts_lines(void **state)
{
	struct world w = world_new(true);

	login(&w);
	w.mail = BYTES("A: b\r\nC: d\r\n\r\none\r\n\r\nthree\r\n");
	say(&w, "TOP 1 0\r\n");
	expect(&w, "+OK 28 octets\r\nA: b\r\nC: d\r\n\r\n.\r\n");
	say(&w, "TOP 1 2\r\n");
	expect(&w, "+OK 28 octets\r\nA: b\r\nC: d\r\n\r\none\r\n\r\n.\r\n");
	say(&w, "TOP 1 9\r\n");
	expect(&w, "+OK 28 octets\r\nA: b\r\nC: d\r\n\r\none\r\n\r\nthree\r\n.\r\n");
	w.mail = BYTES("no header end\r\n");
	say(&w, "TOP 1 0\r\n");
	expect(&w, "+OK 15 octets\r\nno header end\r\n.\r\n");
	world_done(&w);
}

/* A mail far bigger than the output's mark: READ only while there is room. */
static void test_room(void **state)
{
	struct world w = world_new(true);
	struct buf mail = {0}, *out = w.e->ops->output(w.e);
	unsigned asked;

	login(&w);
	buf_append_text(&mail, "A: b\r\n\r\n");
	while (buf_len(&mail) < 1000000)
		buf_append_text(
		        &mail,
		        "seventy-odd octets of text on a line, again and again and again\r\n");
	w.mail = buf_bytes(&mail);
	asked = w.asked;
	assert_int_equal(w.e->ops->feed(w.e, BYTES("RETR 1\r\nNOOP\r\n")), 8);
	drain(&w);
	assert_in_range(buf_len(out), ENGINE_OUTPUT_HIGH, ENGINE_OUTPUT_HIGH + LIMIT_READ + 100);
	assert_in_range(w.asked - asked, 3, 4);
	assert_int_equal(w.e->ops->feed(w.e, BYTES("NOOP\r\n")), 0);
	say(&w, "NOOP\r\n");
	assert_true(bytes_ends(buf_bytes(&w.out), BYTES("again\r\n.\r\n+OK Still here\r\n")));
	assert_int_equal(buf_len(&w.out),
	                 1000000 + mail.end - 1000000 +
	                         strlen("+OK 1000021 octets\r\n.\r\n+OK Still here\r\n"));
	buf_done(&mail);
	world_done(&w);
}

static void test_big_mailbox(void **state)
{
	struct world w = world_new(true);

	w.mails = 100000;
	login(&w);
	say(&w, "STAT\r\n");
	expect(&w, "+OK 100000 1900000\r\n");
	say(&w, "UIDL\r\n");
	assert_true(bytes_ends(buf_bytes(&w.out), BYTES("\r\n100000 77.100000\r\n.\r\n")));
	assert_true(buf_len(&w.out) > 1000000);
	buf_clear(&w.out);
	say(&w, "UIDL 99999\r\nLIST 100001\r\n");
	expect(&w, "+OK 99999 77.99999\r\n-ERR There are only 100000 messages\r\n");
	world_done(&w);
}

static void test_quit_removes(void **state)
{
	struct world w = world_new(true);

	w.mails = BIG;
	login(&w);
	for (unsigned n = 1; n <= BIG; n += 2) {
		char line[32];

		snprintf(line, sizeof(line), "DELE %u\r\n", n);
		say(&w, line);
	}
	say(&w, "RETR 2\r\n");
	buf_clear(&w.out);
	say(&w, "QUIT\r\n");
	expect(&w, "+OK Bye; 2500 messages removed\r\n");
	assert_int_equal(w.marked, BIG / 2);
	assert_int_equal(w.expunged, BIG / 2);
	assert_true(w.seen_set);
	assert_true(w.e->ops->finished(w.e));
	world_done(&w);
}

static void test_no_quit_no_update(void **state)
{
	struct world w = world_new(true);

	login(&w);
	say(&w, "DELE 1\r\n");
	w.e->ops->eof(w.e);
	assert_true(w.e->ops->finished(w.e));
	world_done(&w);
	assert_int_equal(w.marked, 0);

	w = world_new(true);
	login(&w);
	say(&w, "DELE 1\r\n");
	buf_clear(&w.out);
	tick(&w, 600000);
	assert_true(w.e->ops->finished(w.e));
	assert_int_equal(buf_len(w.e->ops->output(w.e)), 0);
	assert_int_equal(w.marked, 0);
	world_done(&w);
}

static void test_quit_lost(void **state)
{
	struct world w = world_new(true);

	login(&w);
	w.expunge_result = LOST;
	w.failures = 2;
	say(&w, "DELE 1\r\nDELE 3\r\n");
	buf_clear(&w.out);
	say(&w, "QUIT\r\n");
	expect(&w, "");
	assert_int_equal(w.e->ops->deadline(w.e), w.now + POP3_RETRY_MS);
	tick(&w, POP3_RETRY_MS);
	assert_false(w.e->ops->finished(w.e));
	tick(&w, POP3_RETRY_MS);
	say(&w, "");
	expect(&w, "+OK Bye; 2 messages removed\r\n");
	assert_int_equal(w.expunged, 2);
	world_done(&w);
}

static void test_quit_lost_for_good(void **state)
{
	struct world w = world_new(true);

	login(&w);
	w.mark_result = LOST;
	say(&w, "DELE 1\r\nQUIT\r\n");
	for (time_ms t = 0; t < POP3_GIVE_UP_MS + 1000; t += POP3_RETRY_MS)
		tick(&w, POP3_RETRY_MS);
	say(&w, "");
	expect(&w, "+OK Message 1 will be removed at QUIT\r\n"
	           "-ERR [SYS/TEMP] Some deleted messages may not be removed (lost)\r\n");
	assert_true(w.e->ops->finished(w.e));
	assert_int_equal(w.expunged, 0);
	world_done(&w);
}

static void test_disk_full(void **state)
{
	struct world w = world_new(true);

	login(&w);
	w.mark_result = DISK_FULL;
	say(&w, "DELE 1\r\n");
	buf_clear(&w.out);
	say(&w, "QUIT\r\n");
	expect_start(&w, "-ERR [SYS/TEMP] ");
	world_done(&w);
}

static void test_read_failures(void **state)
{
	struct world w = world_new(true);

	login(&w);
	w.read_result = DAMAGED;
	say(&w, "RETR 2\r\n");
	expect(&w, "-ERR [SYS/PERM] Message 2 is damaged on our disk\r\n");
	w.read_result = NOT_FOUND;
	say(&w, "RETR 2\r\n");
	expect(&w, "-ERR Somebody else removed message 2\r\n");
	w.read_result = LOST;
	w.failures = 1;
	say(&w, "RETR 2\r\n");
	expect(&w, "");
	tick(&w, POP3_RETRY_MS);
	say(&w, "NOOP\r\n");
	expect(&w, "+OK 19 octets\r\nA: b\r\n\r\n..dot\r\nend\r\n.\r\n+OK Still here\r\n");
	world_done(&w);
}

/* +OK was said: only the end of the session is honest. */
static void test_damaged_halfway(void **state)
{
	struct world w = world_new(true);
	char *text = memory_get(100000);

	memset(text, 'x', 100000);
	w.mail = bytes_of(text, 100000);
	login(&w);
	assert_int_equal(w.e->ops->feed(w.e, BYTES("RETR 1\r\n")), 8);
	{
		struct ask a;

		assert_true(w.e->ops->ask(w.e, &a));
		world_answer(&w, &a);
		w.read_result = DAMAGED;
		drain(&w);
	}
	assert_true(w.e->ops->finished(w.e));
	assert_false(bytes_ends(buf_bytes(w.e->ops->output(w.e)), BYTES("\r\n.\r\n")));
	assert_string_equal(w.note, "pop3-read-failed");
	memory_free(text);
	world_done(&w);
}

static void test_wrong_password(void **state)
{
	struct world w = world_new(true);

	say(&w, "");
	buf_clear(&w.out);
	for (int i = 0; i < 3; i++) {
		assert_false(w.e->ops->finished(w.e));
		say(&w, "USER ken\r\nPASS wrong\r\n");
		expect(&w, "+OK And the password?\r\n"
		           "-ERR [AUTH] The user name or the password is wrong\r\n");
		assert_string_equal(w.note, "login-failed");
	}
	assert_true(w.e->ops->finished(w.e));
	world_done(&w);
}

static void test_plaintext_refused(void **state)
{
	struct world w = world_new(false);

	say(&w, "");
	buf_clear(&w.out);
	say(&w, "USER ken\r\n");
	expect(&w, "-ERR Passwords are taken only over TLS: say STLS first\r\n");
	say(&w, "STLS\r\n");
	expect(&w, "+OK Begin TLS\r\n");
	login(&w);
	say(&w, "STLS\r\nSTAT\r\n");
	expect(&w, "-ERR Not after login\r\n+OK 3 57\r\n");
	world_done(&w);
}

/* After STLS nothing is taken until the handshake is done. */
static void test_stls_takes_nothing(void **state)
{
	struct world w = world_new(false);

	assert_int_equal(w.e->ops->feed(w.e, BYTES("STLS\r\nNOOP\r\n")), 6);
	assert_int_equal(w.e->ops->feed(w.e, BYTES("NOOP\r\n")), 0);
	world_done(&w);
}

static void test_errors_end_it(void **state)
{
	struct world w = world_new(true);

	say(&w, "");
	buf_clear(&w.out);
	say(&w, "A\r\nB\r\nC\r\nD\r\n");
	assert_false(w.e->ops->finished(w.e));
	say(&w, "E\r\nF\r\n");
	assert_true(w.e->ops->finished(w.e));
	assert_string_equal(w.note, "pop3-errors");
	world_done(&w);
}

static void test_long_line(void **state)
{
	struct world w = world_new(true);
	char *text = memory_get(POP3_LINE * 3);

	say(&w, "");
	buf_clear(&w.out);
	memset(text, 'x', POP3_LINE * 3 - 3);
	text[POP3_LINE * 3 - 3] = '\r';
	text[POP3_LINE * 3 - 2] = '\n';
	say(&w, text);
	say(&w, "NOOP\r\n");
	expect(&w, "-ERR The line is too long\r\n+OK Still here\r\n");
	memory_free(text);
	world_done(&w);
}

static void test_times(void **state)
{
	struct world w = world_new(true);

	assert_int_equal(w.e->ops->deadline(w.e), w.now + 180000);
	tick(&w, 100000);
	login(&w);
	assert_int_equal(w.e->ops->deadline(w.e), w.now + 600000);
	tick(&w, 599999);
	assert_false(w.e->ops->finished(w.e));
	say(&w, "NOOP\r\n");
	tick(&w, 599999);
	assert_false(w.e->ops->finished(w.e));
	tick(&w, 1);
	assert_true(w.e->ops->finished(w.e));
	assert_string_equal(w.note, "pop3-timeout");
	world_done(&w);
}

static void test_stop(void **state)
{
	struct world w = world_new(true);

	login(&w);
	w.mark_result = UNAVAILABLE;
	w.failures = 1;
	say(&w, "DELE 1\r\nQUIT\r\n");
	w.e->ops->event(w.e, ENGINE_STOP);
	assert_false(w.e->ops->finished(w.e)); /* what is under way is finished first */
	tick(&w, POP3_RETRY_MS);
	assert_true(w.e->ops->finished(w.e));
	assert_int_equal(w.expunged, 1);
	world_done(&w);

	w = world_new(true);
	say(&w, "");
	buf_clear(&w.out);
	w.e->ops->event(w.e, ENGINE_STOP);
	say(&w, "");
	expect_start(&w, "-ERR [SYS/TEMP] ");
	assert_true(w.e->ops->finished(w.e));
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_retr_stuffs_dots),
	        cmocka_unit_test(test_top_counts_lines),
	        cmocka_unit_test(test_room),
	        cmocka_unit_test(test_big_mailbox),
	        cmocka_unit_test(test_quit_removes),
	        cmocka_unit_test(test_no_quit_no_update),
	        cmocka_unit_test(test_quit_lost),
	        cmocka_unit_test(test_quit_lost_for_good),
	        cmocka_unit_test(test_disk_full),
	        cmocka_unit_test(test_read_failures),
	        cmocka_unit_test(test_damaged_halfway),
	        cmocka_unit_test(test_wrong_password),
	        cmocka_unit_test(test_plaintext_refused),
	        cmocka_unit_test(test_stls_takes_nothing),
	        cmocka_unit_test(test_errors_end_it),
	        cmocka_unit_test(test_long_line),
	        cmocka_unit_test(test_times),
	        cmocka_unit_test(test_stop),
	};

	return TEST_MAIN(tests);
}
