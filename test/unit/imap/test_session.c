#include "../test.h"

#include "base/text.h"
#include "client.h"
#include "imap/view.h"

#define MAIL "From: a@example.test\r\nSubject: hello\r\n\r\nbody\r\n"

static bool has(struct bytes heard, const char *text)
{
	return bytes_find(heard, bytes_of_text(text)) != BYTES_NONE;
}

#define assert_has(heard, text)                                                       \
	do {                                                                          \
		struct bytes heard_ = (heard);                                        \
		if (!has(heard_, text)) {                                             \
			print_error("no \"%s\" in\n%.*s\n", text, BYTES_ARG(heard_)); \
			fail();                                                       \
		}                                                                     \
	} while (0)

static size_t count_of(struct bytes heard, const char *text)
{
	struct bytes needle = bytes_of_text(text);
	size_t count = 0, at;

	while ((at = bytes_find(heard, needle)) != BYTES_NONE) {
		count++;
		heard = bytes_skip(heard, at + needle.len);
	}
	return count;
}

/* ---- streaming ---- */

static void streams_a_big_mailbox(void **state)
{
	static const char *const items[] = {"FLAGS", "ENVELOPE", "(UID RFC822.SIZE)",
	                                    "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "BODY.PEEK[]"};
	struct fake_store *store = fake_store_new();
	struct client *c = client_new(store, 1);

	for (int i = 0; i < 3000; i++)
		fake_store_deliver(store, "INBOX", BYTES(MAIL), 0);
	client_login(c);
	assert_has(client_says(c, "a SELECT INBOX\r\n"), "* 3000 EXISTS");
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		struct bytes heard = client_says(c, "b FETCH 1:* %s\r\n", items[i]);

		assert_int_equal(count_of(heard, " FETCH ("), 3000);
		assert_has(heard, "b OK ");
		assert_has(heard, "* 3000 FETCH (");
	}
	assert_true(c->most < ENGINE_OUTPUT_HIGH + 512 * 1024);
	client_free(&c);
	fake_store_free(&store);
}

static void streams_a_big_mail(void **state)
{
	struct fake_store *store = fake_store_new();
	struct client *c = client_new(store, 1);
	struct buf big = {0};
	struct bytes heard;

	buf_append_text(&big, "Subject: big\r\n\r\n");
	for (int i = 0; i < 100000; i++)
		buf_printf(&big, "line %d of a big mail\r\n", i);
	fake_store_deliver(store, "INBOX", buf_bytes(&big), 0);
	client_login(c);
	client_says(c, "a SELECT INBOX\r\n");
	c->most = 0;
	heard = client_says(c, "b FETCH 1 BODY.PEEK[]\r\n");
	assert_has(heard, "b OK ");
	assert_true(bytes_find(heard, buf_bytes(&big)) != BYTES_NONE);
	assert_true(c->most < ENGINE_OUTPUT_HIGH + 512 * 1024);
	heard = client_says(c, "c FETCH 1 (BODY.PEEK[TEXT]<1000000.500000> BODY.PEEK[HEADER])\r\n");
	assert_has(heard, "BODY[TEXT]<1000000> {500000}\r\n");
	assert_true(bytes_find(heard, bytes_first(bytes_skip(buf_bytes(&big), 1000016), 500000)) !=
	            BYTES_NONE);
	assert_has(client_says(c, "d SEARCH BODY \"line 99999 of\"\r\n"), "* SEARCH 1\r\n");
	assert_has(client_says(c, "e SEARCH BODY \"line 100000 of\"\r\n"), "* SEARCH\r\n");
	buf_done(&big);
	client_free(&c);
	fake_store_free(&store);
}

/* A literal that was begun is ended, though the store was away meanwhile. */
static void ends_a_literal_over_a_restart(void **state)
{
	struct fake_store *store = fake_store_new();
	struct client *c = client_new(store, 1);
	struct buf big = {0};
	struct bytes heard;

	buf_append_text(&big, "Subject: big\r\n\r\n");
	for (int i = 0; i < 60000; i++)
		buf_printf(&big, "line %d of a big mail\r\n", i);
	fake_store_deliver(store, "INBOX", buf_bytes(&big), 0);
	client_login(c);
	client_says(c, "a SELECT INBOX\r\n");
	store->lost = ASK_READ;
	store->result = LOST;
	store->lost_count = 1;
	assert_has(client_says(c, "b FETCH 1 BODY.PEEK[]\r\n"), "b NO [UNAVAILABLE]");
	store->lost_count = 0;
	buf_clear(&c->heard);
	c->e->ops->feed(c->e, BYTES("c FETCH 1 BODY.PEEK[]\r\n"));
	for (int i = 0; i < 4; i++) {
		struct arena arena = {0};
		struct answer r;
		struct ask a;

		while (!c->e->ops->ask(c->e, &a))
			buf_consume(c->e->ops->output(c->e), 0);
		a.session = 1;
		if (i == 2) {
			store->lost = ASK_READ;
			store->lost_count = 1;
		}
		r = fake_store_answer(store, &a, &arena);
		c->e->ops->answer(c->e, &r);
		arena_done(&arena);
	}
	buf_append(&big, BYTES(")\r\nc OK "));
	heard = client_say(c, (struct bytes){0});
	store->now += 300;
	struct buf all = {0};
	buf_append(&all, heard);
	heard = client_say(c, (struct bytes){0});
	buf_append(&all, heard);
	assert_true(bytes_find(buf_bytes(&all), buf_bytes(&big)) != BYTES_NONE);
	buf_done(&all);
	buf_done(&big);
	client_free(&c);
	fake_store_free(&store);
}

/* A mail too rich for its summary is read when its structure or its addresses are wanted. */
static void reads_what_the_summary_cannot_hold(void **state)
{
	struct fake_store *store = fake_store_new();
	struct client *c = client_new(store, 1);
	struct buf rich = {0};
	struct bytes heard;

	buf_append_text(&rich, "To: first@example.test");
	for (int i = 0; i < 1200; i++)
		buf_printf(&rich, ",\r\n \"Person number %d\" <p%d@example.test>", i, i);
	buf_append_text(&rich, "\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (int i = 1; i <= 900; i++)
		buf_printf(&rich, "--b\r\nContent-Type: text/plain; name=part%d\r\n\r\ntext %d\r\n",
		           i, i);
	buf_append_text(&rich, "--b--\r\n");
	fake_store_deliver(store, "INBOX", BYTES(MAIL), 0);
	fake_store_deliver(store, "INBOX", buf_bytes(&rich), 0);
	fake_store_deliver(store, "INBOX", BYTES(MAIL), 0);
	client_login(c);
	client_says(c, "a SELECT INBOX\r\n");
	heard = client_says(c, "b FETCH 1:3 (UID BODYSTRUCTURE)\r\n");
	assert_int_equal(count_of(heard, " FETCH ("), 3);
	assert_int_equal(count_of(heard, "(\"name\" \"part"), 900);
	assert_has(heard, "(\"name\" \"part900\")");
	assert_true(store->asked[ASK_READ] == (buf_len(&rich) + LIMIT_READ - 1) / LIMIT_READ);
	heard = client_says(c, "c FETCH 2 ENVELOPE\r\n");
	assert_int_equal(count_of(heard, "\"Person number "), 1200);
	assert_has(client_says(c, "d FETCH 2 BODY.PEEK[777]\r\n"),
	           "* 2 FETCH (BODY[777] {8}\r\ntext 777)\r\n");
	assert_has(client_says(c, "e SEARCH TO p1199@\r\n"), "* SEARCH 2\r\n");
	assert_has(client_says(c, "f SEARCH NOT TO p1199@\r\n"), "* SEARCH 1 3\r\n");
	assert_has(client_says(c, "g SEARCH BODY \"text 900\"\r\n"), "* SEARCH 2\r\n");
	assert_has(client_says(c, "h SEARCH HEADER TO \"\"\r\n"), "* SEARCH 2\r\n");
	buf_done(&rich);
	client_free(&c);
	fake_store_free(&store);
}

/* Many small pieces come by few asks; what did not fit is asked again, and one mail that is gone is only that. */
static void reads_many_at_once(void **state)
{
	struct fake_store *store = fake_store_new();
	struct client *c = client_new(store, 1);
	struct buf mail = {0};
	struct bytes heard;

	for (int i = 0; i < 500; i++) {
		buf_clear(&mail);
		buf_printf(&mail, "Subject: number %d\r\n\r\n", i);
		for (int n = 0; n < i % 40; n++)
			buf_append_text(&mail, "a line that makes mails of several lengths\r\n");
		fake_store_deliver(store, "INBOX", buf_bytes(&mail), 0);
	}
	client_login(c);
	client_says(c, "a SELECT INBOX\r\n");
	heard = client_says(c, "b FETCH 1:* BODY.PEEK[]\r\n");
	assert_int_equal(count_of(heard, "Subject: number "), 500);
	assert_has(heard, "b OK ");
	assert_true(store->asked[ASK_READ] + store->asked[ASK_READ_MANY] < 100);
	store->page = 1;
	heard = client_says(c, "c FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]\r\n");
	assert_int_equal(count_of(heard, "Subject: number "), 500);
	store->page = 0;
	heard = client_says(c, "d SEARCH BODY \"several lengths\"\r\n");
	assert_int_equal(count_of(heard, " "), 1 + 487 + 2);
	store->lost = ASK_READ_MANY;
	store->result = LOST;
	store->lost_count = 1;
	assert_has(client_says(c, "e FETCH 1:* BODY.PEEK[]\r\n"), "e NO [UNAVAILABLE]");
	assert_has(client_says(c, "f FETCH 7 BODY.PEEK[HEADER]\r\n"), "Subject: number 6");
	buf_done(&mail);
	client_free(&c);
	fake_store_free(&store);
}

/* A search that costs much goes on in turns: the engine asks to be called again at once. */
static void takes_turns(void **state)
{
	struct fake_store *store = fake_store_new();
	struct client *c = client_new(store, 1);
	struct buf search = {0};
	int turns = 0;

	for (int i = 0; i < 2500; i++)
		fake_store_deliver(store, "INBOX", BYTES(MAIL), 0);
	client_login(c);
	client_says(c, "a SELECT INBOX\r\n");
	buf_append_text(&search, "b SEARCH RETURN (COUNT)");
	for (int i = 0; i < 2000; i++)
		buf_append_text(&search, " UNSEEN");
	buf_append_text(&search, "\r\n");
	client_say(c, buf_bytes(&search));
	while (!has(buf_bytes(&c->heard), "b OK ")) {
		assert_true(++turns < 100);
		assert_true(c->e->ops->deadline(c->e) <= store->now + 1);
		store->now += 1;
		client_say(c, (struct bytes){0});
	}
	assert_true(turns >= 1);
	assert_has(buf_bytes(&c->heard), "COUNT 2500\r\n");
	buf_done(&search);
	client_free(&c);
	fake_store_free(&store);
}

/* ---- pipelined APPEND ---- */

static void overlaps_appends(void **state)
{
	struct fake_store *store = fake_store_new();
	struct engine_peer peer = {.session = 1};
	struct client *c = client_new(store, 1);
	struct buf text = {0};
	struct ask asks[32];
	struct arena arena = {0};
	unsigned appends = 0, most = 0, open = 0;
	struct bytes rest;

	(void)peer;
	client_login(c);
	client_says(c, "a SELECT INBOX\r\n");
	for (int i = 0; i < 40; i++)
		buf_printf(&text, "p%d APPEND INBOX {%zu+}\r\n%s\r\n", i, sizeof(MAIL) - 1, MAIL);
	buf_append_text(&text, "q NOOP\r\n");
	rest = buf_bytes(&text);
	buf_clear(&c->heard);
	for (int turn = 0; turn < 2000; turn++) {
		struct buf *out = c->e->ops->output(c->e);

		rest = bytes_skip(rest, c->e->ops->feed(c->e, rest));
		while (c->e->ops->ask(c->e, &asks[open]))
			asks[open] = ask_copy(&arena, &asks[open]), open++;
		appends = 0;
		for (unsigned i = 0; i < open; i++)
			appends += asks[i].kind == ASK_APPEND;
		if (appends > most)
			most = appends;
		/* APPENDs are answered last, as a store does that waits for a sync. */
		unsigned pick = 0;
		for (unsigned i = 0; i < open; i++)
			if (asks[i].kind != ASK_APPEND)
				pick = i;
		if (open) {
			struct ask a = asks[pick];
			struct answer r;

			asks[pick] = asks[--open];
			a.session = 1;
			r = fake_store_answer(store, &a, &arena);
			c->e->ops->answer(c->e, &r);
		}
		buf_append(&c->heard, buf_bytes(out));
		buf_consume(out, buf_len(out));
	}
	assert_true(most > 8 && most <= 16);
	assert_has(buf_bytes(&c->heard), "q OK ");
	assert_has(buf_bytes(&c->heard), "* 40 EXISTS\r\n");
	rest = buf_bytes(&c->heard);
	for (int i = 0; i < 40; i++) {
		char tag[32];
		size_t at;

		snprintf(tag, sizeof(tag), "p%d OK [APPENDUID 1001 ", i);
		at = bytes_find(rest, bytes_of_text(tag));
		assert_true(at != BYTES_NONE);
		rest = bytes_skip(rest, at);
	}
	buf_done(&text);
	arena_done(&arena);
	client_free(&c);
	fake_store_free(&store);
}

/* ---- what a session tells is true ---- */

struct model {
	uint32_t uids[4096]; /* 0: not known yet */
	int64_t flags[4096]; /* -1: not known */
	uint32_t count;
};

static uint32_t next_random(uint64_t *seed, uint32_t below)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33) % below;
}

static uint32_t take_number(struct bytes *b)
{
	uint32_t n = 0;

	while (b->len && text_is_digit(b->ptr[0])) {
		n = n * 10 + (uint32_t)(b->ptr[0] - '0');
		*b = bytes_skip(*b, 1);
	}
	return n;
}

static int64_t flags_in(struct bytes line)
{
	int64_t flags = 0;

	flags |= has(line, "\\Seen") ? MAIL_SEEN : 0;
	flags |= has(line, "\\Answered") ? MAIL_ANSWERED : 0;
	flags |= has(line, "\\Flagged") ? MAIL_FLAGGED : 0;
	flags |= has(line, "\\Deleted") ? MAIL_DELETED : 0;
	flags |= has(line, "\\Draft") ? MAIL_DRAFT : 0;
	return flags;
}

static void learn(struct model *m, uint32_t seq, struct bytes line)
{
	size_t at = bytes_find(line, BYTES("UID "));

	assert_true(seq >= 1 && seq <= m->count);
	if (at != BYTES_NONE) {
		struct bytes rest = bytes_skip(line, at + 4);
		uint32_t uid = take_number(&rest);

		if (m->uids[seq])
			assert_int_equal(m->uids[seq], uid);
		m->uids[seq] = uid;
	}
	if (has(line, "FLAGS ("))
		m->flags[seq] = flags_in(line);
}

static void forget_seq(struct model *m, uint32_t seq)
{
	assert_true(seq >= 1 && seq <= m->count);
	for (uint32_t i = seq; i < m->count; i++) {
		m->uids[i] = m->uids[i + 1];
		m->flags[i] = m->flags[i + 1];
	}
	m->count--;
}

static void take_line(struct model *m, struct bytes line, bool numbers)
{
	uint32_t n;

	if (!bytes_starts(line, BYTES("* ")) || line.len < 3 || !text_is_digit(line.ptr[2]))
		return;
	line = bytes_skip(line, 2);
	n = take_number(&line);
	if (has(line, " EXPUNGE")) {
		assert_false(numbers);
		forget_seq(m, n);
	} else if (has(line, " EXISTS")) {
		assert_true(n >= m->count);
		while (m->count < n) {
			m->uids[++m->count] = 0;
			m->flags[m->count] = -1;
		}
	} else if (has(line, " FETCH (")) {
		learn(m, n, line);
	}
}

static void take_all(struct model *m, struct bytes heard, bool numbers)
{
	struct bytes line;

	while (bytes_cut(&heard, '\n', &line))
		take_line(m, line, numbers);
}

/* One random command of one client. */
static void act(struct client *c, struct model *m, uint64_t *seed)
{
	static const char *const flags[] = {"\\Seen", "\\Flagged", "\\Answered", "\\Deleted"};
	uint32_t a = 1 + next_random(seed, m->count ? m->count : 1);
	uint32_t b = a + next_random(seed, m->count - (m->count ? a : 0) + 1);
	const char *flag = flags[next_random(seed, 4)];
	const char *sign = &"+\0-\0\0"[2 * next_random(seed, 3)];
	const char *uid = next_random(seed, 2) ? "UID " : "";
	const char *silent = next_random(seed, 3) ? "" : ".SILENT";
	bool numbers = false;

	switch (next_random(seed, 12)) {
	case 0:
	case 1:
	case 2:
		client_says(c, "x APPEND INBOX (%s) {%zu+}\r\n%s\r\n", flag, sizeof(MAIL) - 1,
		            MAIL);
		break;
	case 3:
	case 4:
	case 5:
		if (!m->count)
			return;
		numbers = !*uid;
		client_says(c, "x %sSTORE %u:%u %sFLAGS%s (%s)\r\n", uid, a, b, sign, silent, flag);
		if (*silent)
			for (uint32_t i = 1; i <= m->count; i++)
				m->flags[i] = -1;
		break;
	case 6: client_says(c, "x EXPUNGE\r\n"); break;
	case 7: client_says(c, "x UID EXPUNGE %u:%u\r\n", a, b + 5); break;
	case 8:
		if (!m->count)
			return;
		client_says(c, "x MOVE %u INBOX\r\n", a);
		break;
	case 9:
		if (!m->count)
			return;
		numbers = true;
		client_says(c, "x FETCH %u:%u (UID FLAGS)\r\n", a, b);
		break;
	case 10:
		numbers = true;
		client_says(c, "x SEARCH UNSEEN\r\n");
		break;
	default: client_says(c, "x NOOP\r\n"); break;
	}
	assert_true(has(buf_bytes(&c->heard), "x OK "));
	take_all(m, buf_bytes(&c->heard), numbers);
}

static void compare(struct client *c, struct model *m)
{
	const struct fake_box *box = NULL;

	take_all(m, client_says(c, "y NOOP\r\n"), false);
	for (size_t i = 0; i < c->store->box_count; i++)
		if (bytes_equal(buf_bytes(&c->store->boxes[i].name), BYTES("INBOX")))
			box = &c->store->boxes[i];
	assert_int_equal(m->count, box->count);
	for (uint32_t i = 1; i <= m->count; i++) {
		if (m->uids[i])
			assert_int_equal(m->uids[i], box->mails[i - 1].uid);
		if (m->flags[i] >= 0)
			assert_int_equal(m->flags[i], box->mails[i - 1].flags & 31);
	}
	take_all(m, client_says(c, "z UID FETCH 1:* FLAGS\r\n"), false);
	for (uint32_t i = 1; i <= m->count; i++) {
		assert_int_equal(m->uids[i], box->mails[i - 1].uid);
		assert_int_equal(m->flags[i], box->mails[i - 1].flags & 31);
	}
}

static void tells_every_session_the_truth(void **state)
{
	static struct model models[CLIENTS];

	for (uint64_t run = 1; run <= 30; run++) {
		struct fake_store *store = fake_store_new();
		struct client *clients[CLIENTS];
		uint64_t seed = run;

		store->page = run % 3 ? 0 : 2;
		memset(models, 0, sizeof(models));
		for (size_t i = 0; i < CLIENTS; i++) {
			clients[i] = client_new(store, i + 1);
			clients[i]->step = run % 4 == 1 ? 1 : 0;
			client_login(clients[i]);
			client_says(clients[i], "s SELECT INBOX\r\n");
		}
		for (int n = 0; n < 400; n++) {
			uint32_t who = next_random(&seed, CLIENTS);

			act(clients[who], &models[who], &seed);
			if (next_random(&seed, 3))
				clients_changed(store, clients, CLIENTS);
		}
		for (size_t i = 0; i < CLIENTS; i++)
			compare(clients[i], &models[i]);
		for (size_t i = 0; i < CLIENTS; i++)
			client_free(&clients[i]);
		fake_store_free(&store);
	}
}

/* ---- IDLE ---- */

static void idles(void **state)
{
	struct fake_store *store = fake_store_new();
	struct client *c = client_new(store, 1);

	client_login(c);
	client_says(c, "a SELECT INBOX\r\n");
	assert_has(client_says(c, "b IDLE\r\n"), "+ ");
	fake_store_deliver(store, "INBOX", BYTES(MAIL), 0);
	buf_clear(&c->heard);
	clients_changed(store, &c, 1);
	assert_has(buf_bytes(&c->heard), "* 1 EXISTS\r\n");
	assert_false(has(buf_bytes(&c->heard), "b OK"));
	assert_has(client_says(c, "DONE\r\n"), "b OK ");
	client_free(&c);
	fake_store_free(&store);
}

/* After the store was lost WATCH is said again, and what came meanwhile is told. */
static void watches_again(void **state)
{
	struct fake_store *store = fake_store_new();
	struct client *c = client_new(store, 1);

	client_login(c);
	client_says(c, "a SELECT INBOX\r\n");
	client_says(c, "b IDLE\r\n");
	fake_store_forget(store, 1);
	fake_store_deliver(store, "INBOX", BYTES(MAIL), 0);
	store->lost = ASK_WATCH;
	store->result = UNAVAILABLE;
	store->lost_count = 2;
	c->e->ops->event(c->e, ENGINE_LOST);
	client_say(c, (struct bytes){0});
	for (int i = 0; i < 2; i++) {
		assert_true(c->e->ops->deadline(c->e) <= store->now + 250);
		store->now += 250;
		client_say(c, (struct bytes){0});
	}
	buf_clear(&c->heard);
	clients_changed(store, &c, 1);
	assert_has(buf_bytes(&c->heard), "* 1 EXISTS\r\n");
	client_free(&c);
	fake_store_free(&store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(streams_a_big_mailbox),
	        cmocka_unit_test(streams_a_big_mail),
	        cmocka_unit_test(ends_a_literal_over_a_restart),
	        cmocka_unit_test(reads_what_the_summary_cannot_hold),
	        cmocka_unit_test(reads_many_at_once),
	        cmocka_unit_test(takes_turns),
	        cmocka_unit_test(overlaps_appends),
	        cmocka_unit_test(tells_every_session_the_truth),
	        cmocka_unit_test(idles),
	        cmocka_unit_test(watches_again),
	};

	return TEST_MAIN(tests);
}
