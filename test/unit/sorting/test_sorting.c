/* A job against a store of a few lines: accounts are a list, the mail is a text, what comes out
 * is the actions and the bounce. */
#include "../test.h"

#include "base/wire.h"
#include "mail/mime.h"
#include "mail/summary.h"
#include "sorting/sorting.h"

enum { DAY_MS = 86400000 };

static const char conf[] = "hostname mx.example.test\ndomain example.test\n";

struct scene {
	const char *virtual; /* etc/virtual */
	const char *dot;     /* etc/dot/ken@example.test/default */
	const char *rcpt, *sender, *origin;
	const char *mail;
	uint8_t notify, ret;
	bool full; /* no account has room */
	time_ms age;
	enum sort_task task;
	const char *status, *reply, *remote, *orcpt;
	unsigned keys;                          /* that sign for example.test */
	enum result sign;                       /* what keeper says to DKIM_SIGN */
	unsigned key_asks;                      /* happened */
	enum result route, read, spool, sorted; /* results other than OK */
	unsigned sorted_fails;                  /* how often SORTED says `sorted` before OK */
	/* what happened */
	struct buf actions, bounce, bounce_trace, bounce_summary;
	char bounce_rcpt[100];
	unsigned routes, reads, spools, sorts, drops;
	bool finished;
	char outcome[500];
};

static const char *const accounts[] = {"ken@example.test", "mori@example.test", "aoi@example.test"};

static bool has_account(struct bytes address)
{
	for (size_t i = 0; i < 3; i++) {
		if (bytes_equal(address, bytes_of_text(accounts[i])))
			return true;
	}
	return false;
}

static struct config *config_of(const struct scene *s)
{
	struct config_source sources[] = {
	        {BYTES("hikyaku.conf"), bytes_of_text(conf)},
	        {BYTES("virtual"), bytes_of_text(s->virtual ? s->virtual : "")},
	        {BYTES("dot/ken@example.test/default"), bytes_of_text(s->dot ? s->dot : "")},
	};
	struct config *c = NULL;
	struct why why = {0};

	if (config_parse(sources, s->dot ? 3 : 2, &c, &why) != OK)
		fail_msg("%s", why.text);
	return c;
}

/* Actions as text: "deliver ken@example.test INBOX; redirect x@y ken@example.test;". */
static void put_actions(struct bytes actions, struct buf *out)
{
	struct wire w = wire_of(actions);

	while (!wire_end(&w)) {
		uint8_t action = wire_u8(&w);
		uint32_t seconds = action == SORT_DEFER ? wire_u32(&w) : 0;
		struct bytes first = action == SORT_CARRY_ON ? (struct bytes){0} : wire_block(&w),
		             second = {0};
		if (action == SORT_REDIRECT || action == SORT_DELIVER)
			second = wire_block(&w);
		if (action == SORT_PLACE || action == SORT_DELIVER)
			wire_u64(&w);
		static const char *const names[] = {"place", "redirect", "defer",   "hold",
		                                    "done",  "deliver",  "carry on"};
		assert_true(action <= SORT_CARRY_ON);
		buf_printf(out, "%s %.*s", names[action], BYTES_ARG(first));
		if (second.len > 0)
			buf_printf(out, " %.*s", BYTES_ARG(second));
		if (seconds > 0)
			buf_printf(out, " %u", seconds);
		buf_append_text(out, ";");
	}
	assert_false(w.bad);
}

static struct answer answer_route(struct scene *s, const struct ask *a)
{
	struct answer r = answer_to(a, s->route, (struct bytes){0});
	bool exact = has_account(a->route.rcpt);

	s->routes++;
	if (s->route != OK)
		return r;
	r.route.class = exact ? ROUTE_DIRECT : ROUTE_UNKNOWN;
	r.route.address = a->route.rcpt;
	if (bytes_starts(a->route.rcpt, BYTES("postmaster@"))) {
		r.route.class = ROUTE_DIRECT;
		r.route.address = BYTES("ken@example.test");
	}
	r.route.account = exact ? (s->full ? 3 : 1) : 0;
	return r;
}

static struct answer answer_read(struct scene *s, const struct ask *a)
{
	struct answer r = answer_to(a, s->read, (struct bytes){0});
	struct bytes mail = bytes_of_text(s->mail);

	s->reads++;
	assert_true(a->queue_read.len <= LIMIT_READ);
	if (s->read != OK)
		return r;
	r.queue_read.chunk = bytes_first(bytes_skip(mail, a->queue_read.offset), a->queue_read.len);
	r.queue_read.total = mail.len;
	return r;
}

static struct answer answer_spool(struct scene *s, const struct ask *a)
{
	s->spools++;
	assert_true(a->spool.chunk.len > 0 && a->spool.chunk.len <= LIMIT_CHUNK);
	if (s->spool == OK)
		buf_append(&s->bounce, a->spool.chunk);
	return answer_to(a, s->spool, (struct bytes){0});
}

static struct answer answer_sorted(struct scene *s, const struct ask *a)
{
	if (s->sorts++ < s->sorted_fails)
		return answer_to(a, s->sorted, (struct bytes){0});
	buf_clear(&s->actions);
	put_actions(a->sorted.actions, &s->actions);
	if (a->sorted.spool) {
		buf_append(&s->bounce_trace, a->sorted.bounce_trace);
		buf_append(&s->bounce_summary, a->sorted.bounce_summary);
		snprintf(s->bounce_rcpt, sizeof(s->bounce_rcpt), "%.*s",
		         BYTES_ARG(a->sorted.bounce_rcpt));
	}
	return answer_to(a, OK, (struct bytes){0});
}

static struct answer answer_keys(struct scene *s, const struct ask *a)
{
	static struct buf list;
	struct answer r = answer_to(a, s->keys ? OK : NOT_FOUND, (struct bytes){0});

	s->key_asks++;
	assert_bytes(a->dkim_keys.domain, BYTES("example.test"));
	buf_clear(&list);
	for (unsigned i = 0; i < s->keys; i++) {
		buf_block(&list, i ? BYTES("ed") : BYTES("rsa"));
		buf_u8(&list, i ? DKIM_ED25519_SHA256 : DKIM_RSA_SHA256);
		buf_u8(&list, DKIM_KEY_SIGNS);
		buf_block(&list, BYTES("v=DKIM1"));
		buf_u64(&list, 0);
	}
	if (s->keys)
		r.dkim_keys.keys = buf_bytes(&list);
	return r;
}

static struct answer answer_sign(struct scene *s, const struct ask *a)
{
	struct answer r = answer_to(a, s->sign, (struct bytes){0});

	assert_int_equal(a->dkim_sign.digest.len, 32);
	if (s->sign == OK)
		r.dkim_sign.signature = BYTES("0123456789abcdef");
	return r;
}

static struct answer answer_for(struct scene *s, const struct ask *a)
{
	switch (a->kind) {
	case ASK_ROUTE: return answer_route(s, a);
	case ASK_QUEUE_READ: return answer_read(s, a);
	case ASK_SPOOL: return answer_spool(s, a);
	case ASK_SORTED: return answer_sorted(s, a);
	case ASK_DKIM_KEYS: return answer_keys(s, a);
	case ASK_DKIM_SIGN: return answer_sign(s, a);
	default:
		assert_int_equal(a->kind, ASK_SPOOL_DROP);
		return answer_to(a, OK, (struct bytes){0});
	}
}

enum { OPEN_MAX = 64 };

/* Answers the last ask first, so that order is nothing that the job may count on. */
static void run(struct scene *s, struct sorting_job *j, time_ms now)
{
	struct arena arena = {0};
	struct ask open[OPEN_MAX];
	size_t count = 0;

	for (int rounds = 0; rounds < 100000 && !sorting_job_finished(j); rounds++) {
		struct ask a;
		while (sorting_job_ask(j, &a)) {
			assert_true(count < LIMIT_ASKS_SESSION);
			s->drops += a.kind == ASK_SPOOL_DROP;
			open[count++] = ask_copy(&arena, &a);
		}
		if (count > 0) {
			struct answer r = answer_for(s, &open[--count]);
			sorting_job_answer(j, &r);
		} else if (!sorting_job_finished(j)) {
			assert_true(sorting_job_deadline(j) != TIME_NEVER);
			now = sorting_job_deadline(j);
			sorting_job_tick(j, now);
		}
	}
	s->finished = sorting_job_finished(j);
	arena_done(&arena);
}

static void play(struct scene *s)
{
	struct config *c = config_of(s);
	struct buf summary = {0};
	struct arena arena = {0};
	time_ms now = 1795392000000;

	s->mail = s->mail ? s->mail : "From: a@b.test\r\nSubject: hello\r\n\r\nbody\r\n";
	struct summary parsed = summary_of(bytes_of_text(s->mail), &arena);
	summary_encode(&parsed, &summary);
	struct answer_take take = {
	        .entry = 7,
	        .lease = 9,
	        .id = BYTES("0000002A"),
	        .sender = bytes_of_text(s->sender ? s->sender : "sender@elsewhere.test"),
	        .rcpt = bytes_of_text(s->rcpt),
	        .origin = bytes_of_text(s->origin),
	        .size = strlen(s->mail),
	        .queued = now - s->age,
	        .notify = s->notify,
	        .ret = s->ret,
	        .summary = buf_bytes(&summary),
	        .task = (uint8_t)s->task,
	        .status = bytes_of_text(s->status),
	        .reply = bytes_of_text(s->reply),
	        .remote = bytes_of_text(s->remote),
	        .orcpt = bytes_of_text(s->orcpt),
	        .attempted = now - 60000,
	        .expires = now + DAY_MS,
	};
	struct sorting_job *j = sorting_job_new(c, &take, now);
	run(s, j, now);
	snprintf(s->outcome, sizeof(s->outcome), "%.*s", BYTES_ARG(sorting_job_outcome(j)));
	sorting_job_free(&j);
	config_free(&c);
	buf_done(&summary);
	arena_done(&arena);
	assert_true(s->finished);
}

static void end(struct scene *s)
{
	buf_done(&s->actions);
	buf_done(&s->bounce);
	buf_done(&s->bounce_trace);
	buf_done(&s->bounce_summary);
}

static void expect(struct scene s, const char *actions)
{
	play(&s);
	assert_bytes(buf_bytes(&s.actions), bytes_of_text(actions));
	assert_int_equal(s.spools > 0, s.bounce_rcpt[0] != '\0');
	end(&s);
}

static void leaves_become_actions(void **state)
{
	expect((struct scene){.rcpt = "staff@example.test",
	                      .virtual = "staff@example.test ken, mori, friend@far.test\n"},
	       "deliver ken@example.test INBOX;deliver mori@example.test INBOX;redirect "
	       "friend@far.test staff@example.test;");
	expect((struct scene){.rcpt = "ken@example.test",
	                      .dot = "./Lists/hikyaku/\n&friend@far.test\n"},
	       "deliver ken@example.test Lists/hikyaku;redirect friend@far.test ken@example.test;");
	expect((struct scene){.rcpt = "staff@example.test",
	                      .virtual = "staff@example.test ken, nobody@example.test\n"},
	       "deliver ken@example.test INBOX;redirect nobody@example.test staff@example.test;");
	expect((struct scene){.rcpt = "x@example.test",
	                      .virtual = "x@example.test mori, friend@far.test\n",
	                      .origin = "first@example.test"},
	       "deliver mori@example.test INBOX;redirect friend@far.test first@example.test;");
}

static void an_alias_that_keeps_a_copy_ends(void **state)
{
	expect((struct scene){.rcpt = "ken@example.test",
	                      .virtual = "ken@example.test ken@example.test, friend@far.test\n"},
	       "redirect friend@far.test ken@example.test;deliver ken@example.test INBOX;");
	/* ... also when the account is gone: no entry for itself, again and again */
	expect((struct scene){.rcpt = "old@example.test",
	                      .virtual = "old@example.test old@example.test, ken\n"},
	       "deliver ken@example.test INBOX;");
}

static void many_targets_are_all_asked_for(void **state)
{
	struct buf alias = {0}, want = {0};
	buf_append_text(&alias, "all@example.test");
	for (int i = 0; i < 200; i++) {
		buf_printf(&alias, "%s u%d@example.test", i ? "," : "", i);
		buf_printf(&want, "redirect u%d@example.test all@example.test;", i);
	}
	buf_append(&alias, BYTES("\n\0"));
	buf_append(&want, BYTES("\0"));
	struct scene s = {.rcpt = "all@example.test", .virtual = buf_bytes(&alias).ptr};
	play(&s);
	assert_int_equal(s.routes, 200);
	assert_bytes(buf_bytes(&s.actions), bytes_of_text(buf_bytes(&want).ptr));
	end(&s);
	buf_done(&alias);
	buf_done(&want);
}

static void postmaster_goes_to_the_first_account(void **state)
{
	expect((struct scene){.rcpt = "postmaster@example.test"},
	       "deliver ken@example.test INBOX;");
}

static void nobody_is_sent_back(void **state)
{
	struct scene s = {.rcpt = "nobody@example.test"};
	struct arena arena = {0};
	struct summary summary;

	play(&s);
	assert_bytes(buf_bytes(&s.actions), BYTES("done there is nobody of this name here;"));
	assert_string_equal(s.bounce_rcpt, "sender@elsewhere.test");
	assert_true(bytes_starts(
	        buf_bytes(&s.bounce_trace),
	        BYTES("Return-Path: <>\r\nReceived: by mx.example.test id 0000002A.bounce")));
	struct bytes bounce = buf_bytes(&s.bounce);
	assert_true(
	        bytes_find(bounce, BYTES("Final-Recipient: rfc822; nobody@example.test\r\nAction: "
	                                 "failed\r\nStatus: 5.1.1")) != BYTES_NONE);
	assert_true(bytes_find(bounce, BYTES("Content-Type: message/rfc822\r\n")) != BYTES_NONE);
	assert_true(bytes_find(bounce, BYTES("Subject: hello\r\n\r\nbody\r\n")) != BYTES_NONE);
	assert_int_equal(summary_decode(buf_bytes(&s.bounce_summary), &arena, &summary), OK);
	assert_int_equal(summary.size, buf_len(&s.bounce_trace) + bounce.len);
	assert_bytes(summary.root->subtype, BYTES("report"));
	assert_int_equal(s.drops, 0);
	arena_done(&arena);
	end(&s);
}

static void ret_hdrs_returns_the_header(void **state)
{
	struct scene s = {.rcpt = "nobody@example.test", .ret = 2};

	play(&s);
	assert_true(bytes_find(buf_bytes(&s.bounce), BYTES("text/rfc822-headers")) != BYTES_NONE);
	assert_true(bytes_find(buf_bytes(&s.bounce), BYTES("Subject: hello\r\n")) != BYTES_NONE);
	assert_true(bytes_find(buf_bytes(&s.bounce), BYTES("\r\nbody")) == BYTES_NONE);
	end(&s);
}

static void a_big_original_flows_through(void **state)
{
	struct buf mail = {0};
	buf_append_text(&mail, "Subject: =?ISO-2022-JP?B?GyRCNEE7ehsoQg==?=\r\n\r\n");
	for (int i = 0; i < 20000; i++)
		buf_append_text(&mail, "line after line after line\r\n");
	buf_append(&mail, BYTES("\0"));
	struct scene s = {.rcpt = "nobody@example.test", .ret = 1, .mail = buf_bytes(&mail).ptr};
	play(&s);
	assert_true(s.spools > 10);
	/* Answers came in reverse order, so the pieces did not arrive in theirs; all of them
	 * did. */
	assert_true(buf_len(&s.bounce) > buf_len(&mail));
	struct arena arena = {0};
	struct summary summary;
	assert_int_equal(summary_decode(buf_bytes(&s.bounce_summary), &arena, &summary), OK);
	assert_int_equal(summary.size, buf_len(&s.bounce_trace) + buf_len(&s.bounce));
	assert_true(bytes_find(buf_bytes(&s.bounce), BYTES("Content-Language: ja, en")) !=
	            BYTES_NONE);
	arena_done(&arena);
	end(&s);
	struct scene small = {.rcpt = "nobody@example.test", .mail = buf_bytes(&mail).ptr};
	play(&small); /* big, and nobody asked for all of it */
	assert_true(bytes_find(buf_bytes(&small.bounce), BYTES("text/rfc822-headers")) !=
	            BYTES_NONE);
	end(&small);
	buf_done(&mail);
}

static void notify_is_heeded(void **state)
{
	expect((struct scene){.rcpt = "nobody@example.test", .notify = 1},
	       "done there is nobody of this name here;");
	expect((struct scene){.rcpt = "nobody@example.test", .notify = 2},
	       "done there is nobody of this name here;");
	struct scene s = {.rcpt = "nobody@example.test", .notify = 4 | 2};
	play(&s);
	assert_true(s.spools > 0);
	end(&s);
}

static void a_bounce_is_never_bounced(void **state)
{
	expect((struct scene){.rcpt = "nobody@example.test", .sender = ""},
	       "redirect postmaster@example.test nobody@example.test;");
}

static void loops_are_refused(void **state)
{
	struct scene s = {.rcpt = "ken@example.test",
	                  .dot = "./Kept\n&friend@far.test\n",
	                  .mail = "Delivered-To: KEN@example.test\r\nSubject: x\r\n\r\nbody\r\n"};
	play(&s);
	assert_true(bytes_find(buf_bytes(&s.bounce), BYTES("Status: 5.4.6")) != BYTES_NONE);
	end(&s);
	/* Only forwarding can loop: what is placed is placed. */
	expect((struct scene){.rcpt = "staff@example.test",
	                      .virtual = "staff@example.test ken, mori\n",
	                      .mail = "Delivered-To: staff@example.test\r\n\r\n"},
	       "deliver ken@example.test INBOX;deliver mori@example.test INBOX;");
	struct buf mail = {0};
	for (int i = 0; i < 60; i++)
		buf_append_text(&mail, "Received: by x; Mon, 23 Nov 2026 09:00:00 +0900\r\n");
	buf_append(&mail, BYTES("\r\nbody\r\n\0"));
	struct scene hops = {.rcpt = "ken@example.test",
	                     .dot = "&friend@far.test\n",
	                     .mail = buf_bytes(&mail).ptr};
	play(&hops);
	assert_true(bytes_find(buf_bytes(&hops.bounce), BYTES("Status: 5.4.6")) != BYTES_NONE);
	end(&hops);
	buf_done(&mail);
}

static void placing_is_all_that_is_left(void **state)
{
	expect((struct scene){.rcpt = "ken@example.test",
	                      .origin = "ken@example.test",
	                      .dot = "./Kept\n&friend@far.test\n"},
	       "place INBOX;");
	expect((struct scene){.rcpt = "ken@example.test",
	                      .origin = "ken@example.test",
	                      .full = true},
	       "place INBOX;");
	expect((struct scene){.rcpt = "ken@example.test",
	                      .origin = "ken@example.test",
	                      .age = 6LL * DAY_MS},
	       "place INBOX;");
	struct scene s = {.rcpt = "ken@example.test",
	                  .origin = "ken@example.test",
	                  .full = true,
	                  .age = 6LL * DAY_MS};
	play(&s);
	assert_true(bytes_find(buf_bytes(&s.bounce), BYTES("Status: 5.2.2")) != BYTES_NONE);
	end(&s);
}

static void what_fails_is_tried_again(void **state)
{
	expect((struct scene){.rcpt = "staff@example.test",
	                      .virtual = "staff@example.test ken, mori\n",
	                      .route = UNAVAILABLE},
	       "defer the store could not answer 60;");
	expect((struct scene){.rcpt = "ken@example.test",
	                      .origin = "ken@example.test",
	                      .sorted = DISK_FULL,
	                      .sorted_fails = 3},
	       "place INBOX;");
	struct scene s = {.rcpt = "nobody@example.test", .spool = DISK_FULL};
	play(&s);
	assert_bytes(buf_bytes(&s.actions), BYTES("defer the store could not answer 60;"));
	assert_string_equal(s.bounce_rcpt, "");
	assert_int_equal(s.drops, 1);
	end(&s);
}

static void what_the_store_refuses_is_held(void **state)
{
	expect((struct scene){.rcpt = "ken@example.test",
	                      .origin = "ken@example.test",
	                      .sorted = INVALID,
	                      .sorted_fails = 1},
	       "hold the store would not take what the sorter made of it;");
	struct scene s = {.rcpt = "ken@example.test",
	                  .origin = "ken@example.test",
	                  .sorted = INVALID,
	                  .sorted_fails = 9};
	play(&s);
	assert_int_equal(s.sorts, 2);
	end(&s);
}

static void a_dead_store_ends_it(void **state)
{
	struct scene s = {.rcpt = "staff@example.test",
	                  .virtual = "staff@example.test ken, mori\n",
	                  .route = LOST};
	play(&s);
	assert_int_equal(s.sorts, 0);
	end(&s);
	struct scene gone = {.rcpt = "nobody@example.test", .read = NOT_FOUND};
	play(&gone);
	assert_int_equal(gone.sorts, 0);
	end(&gone);
}

static void a_damaged_mail_is_still_sent_back(void **state)
{
	struct scene s = {.rcpt = "nobody@example.test", .read = DAMAGED};
	play(&s);
	assert_string_equal(s.bounce_rcpt, "sender@elsewhere.test");
	end(&s);
}

static bool has(const struct buf *b, const char *part)
{
	return bytes_find(buf_bytes(b), bytes_of_text(part)) != BYTES_NONE;
}

static void a_failed_recipient_is_told(void **state)
{
	struct scene s = {.rcpt = "ken@far.test",
	                  .task = SORT_TASK_FAILED,
	                  .status = "5.1.1",
	                  .reply = "550 5.1.1 <ken@far.test>: User unknown",
	                  .remote = "mx.far.test",
	                  .orcpt = "rfc822;Ken@far.test"};

	play(&s);
	assert_bytes(buf_bytes(&s.actions), BYTES("done 550 5.1.1 <ken@far.test>: User unknown;"));
	assert_string_equal(s.bounce_rcpt, "sender@elsewhere.test");
	assert_true(has(&s.bounce, "Action: failed\r\n"));
	assert_true(has(&s.bounce, "Original-Recipient: rfc822;Ken@far.test\r\n"));
	assert_true(has(&s.bounce, "Final-Recipient: rfc822; ken@far.test\r\n"));
	assert_true(has(&s.bounce, "Status: 5.1.1\r\n"));
	assert_true(has(&s.bounce, "Remote-MTA: dns; mx.far.test\r\n"));
	assert_true(has(&s.bounce,
	                "Diagnostic-Code: smtp; 550 5.1.1 <ken@far.test>: User unknown\r\n"));
	assert_true(has(&s.bounce, "Last-Attempt-Date: "));
	assert_false(has(&s.bounce, "Will-Retry-Until"));
	assert_true(has(&s.bounce, "There is no such mailbox."));
	assert_true(has(&s.bounce, "message/rfc822"));
	assert_int_equal(s.routes, 0);
	end(&s);
}

static void what_was_tried_to_the_end_says_so(void **state)
{
	struct scene s = {.rcpt = "ken@far.test",
	                  .task = SORT_TASK_FAILED,
	                  .status = "4.4.1",
	                  .reply = "connect to mx.far.test: timed out"};

	play(&s);
	assert_true(has(&s.bounce, "until the time for it ran out"));
	assert_true(has(&s.bounce,
	                "Diagnostic-Code: x-hikyaku; connect to mx.far.test: timed out\r\n"));
	assert_false(has(&s.bounce, "Remote-MTA"));
	end(&s);
}

static void a_late_mail_is_told_once_and_goes_on(void **state)
{
	struct scene s = {.rcpt = "ken@far.test",
	                  .task = SORT_TASK_DELAYED,
	                  .status = "4.4.1",
	                  .reply = "connect to mx.far.test: timed out"};

	play(&s);
	assert_bytes(buf_bytes(&s.actions), BYTES("carry on ;"));
	assert_true(has(&s.bounce, "Action: delayed\r\n"));
	assert_true(has(&s.bounce, "Will-Retry-Until: "));
	assert_true(has(&s.bounce, "It is tried until "));
	assert_true(has(&s.bounce, "text/rfc822-headers"));
	end(&s);
	/* Who did not ask for it in NOTIFY, and the null sender, are not told. */
	expect((struct scene){.rcpt = "ken@far.test", .task = SORT_TASK_DELAYED, .notify = 4},
	       "carry on ;");
	expect((struct scene){.rcpt = "ken@far.test", .task = SORT_TASK_DELAYED, .sender = ""},
	       "carry on ;");
}

static void success_is_told_to_who_asked(void **state)
{
	struct scene relayed = {.rcpt = "ken@far.test",
	                        .task = SORT_TASK_RELAYED,
	                        .notify = 2,
	                        .reply = "250 2.0.0 taken",
	                        .remote = "mx.far.test",
	                        .ret = 1};

	play(&relayed);
	assert_bytes(buf_bytes(&relayed.actions), BYTES("done delivered;"));
	assert_true(has(&relayed.bounce, "Action: relayed\r\n"));
	assert_true(has(&relayed.bounce, "Status: 2.1.9\r\n"));
	assert_true(has(&relayed.bounce, "text/rfc822-headers")); /* RET is of failures */
	end(&relayed);
	struct scene here = {
	        .rcpt = "ken@example.test", .task = SORT_TASK_EXPANDED, .notify = 2 | 4};
	play(&here);
	assert_true(has(&here.bounce, "Action: delivered\r\n"));
	end(&here);
	expect((struct scene){.rcpt = "ken@far.test", .task = SORT_TASK_RELAYED},
	       "done delivered;");
	expect((struct scene){.rcpt = "ken@far.test", .task = SORT_TASK_RELAYED, .notify = 4},
	       "done delivered;");
}

static void what_failed_and_was_a_bounce_is_postmasters(void **state)
{
	expect((struct scene){.rcpt = "ken@far.test",
	                      .task = SORT_TASK_FAILED,
	                      .sender = "",
	                      .status = "5.1.1"},
	       "redirect postmaster@example.test ken@far.test;");
	expect((struct scene){.rcpt = "ken@far.test",
	                      .task = SORT_TASK_FAILED,
	                      .notify = 1,
	                      .status = "5.1.1",
	                      .reply = "550 no"},
	       "done 550 no;");
}

static void japanese_mail_gets_japanese_notices(void **state)
{
	static const char *const mails[] = {
	        "Content-Language: ja\r\nSubject: x\r\n\r\nbody\r\n",
	        "Content-Type: text/plain; charset=ISO-2022-JP\r\n\r\nbody\r\n",
	        "Subject: =?utf-8?B?44GT44KT44Gr44Gh44Gv?=\r\n\r\nbody\r\n",
	        "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; "
	        "charset=shift_jis\r\n\r\nbody\r\n--x--\r\n",
	};

	for (size_t i = 0; i < 4; i++) {
		struct scene s = {.rcpt = "ken@far.test",
		                  .task = SORT_TASK_FAILED,
		                  .status = "5.1.1",
		                  .reply = "550 5.1.1 User unknown",
		                  .remote = "mx.far.test",
		                  .mail = mails[i]};
		play(&s);
		assert_true(has(&s.bounce, "Content-Language: ja, en"));
		end(&s);
	}
	struct scene english = {
	        .rcpt = "ken@far.test", .task = SORT_TASK_FAILED, .status = "5.1.1"};
	play(&english);
	assert_true(has(&english.bounce, "Content-Language: en"));
	end(&english);
}

static void a_utf8_address_makes_a_global_report(void **state)
{
	struct scene s = {
	        .rcpt = "\xe5\xbd\xa6@far.test", .task = SORT_TASK_FAILED, .status = "5.1.1"};

	play(&s);
	assert_true(has(&s.bounce, "message/global-delivery-status"));
	assert_true(has(&s.bounce, "Final-Recipient: utf-8; \xe5\xbd\xa6@far.test"));
	end(&s);
}

static unsigned signatures(const struct scene *s)
{
	struct bytes rest = buf_bytes(&s->bounce_trace);
	unsigned count = 0;

	for (size_t at; (at = bytes_find(rest, BYTES("DKIM-Signature:"))) != BYTES_NONE; count++)
		rest = bytes_skip(rest, at + 1);
	return count;
}

static void check_summary(const struct scene *s)
{
	struct arena arena = {0};
	struct summary summary;

	assert_int_equal(summary_decode(buf_bytes(&s->bounce_summary), &arena, &summary), OK);
	assert_int_equal(summary.size, buf_len(&s->bounce_trace) + buf_len(&s->bounce));
	arena_done(&arena);
}

static void a_notice_for_elsewhere_is_signed(void **state)
{
	for (unsigned keys = 0; keys <= 2; keys++) {
		struct scene s = {.rcpt = "nobody@example.test", .keys = keys};
		play(&s);
		assert_int_equal(signatures(&s), keys);
		if (keys)
			assert_true(has(&s.bounce_trace, "d=example.test"));
		check_summary(&s);
		end(&s);
	}
	struct scene here = {
	        .rcpt = "nobody@example.test", .sender = "ken@example.test", .keys = 1};
	play(&here);
	assert_int_equal(here.key_asks, 0);
	end(&here);
}

static void without_keeper_it_goes_unsigned(void **state)
{
	static const enum result results[] = {LOST, UNAVAILABLE, NOT_FOUND, DENIED};

	for (size_t i = 0; i < 4; i++) {
		struct scene s = {.rcpt = "nobody@example.test", .keys = 2, .sign = results[i]};
		play(&s);
		assert_int_equal(signatures(&s), 0);
		assert_string_equal(s.bounce_rcpt, "sender@elsewhere.test");
		check_summary(&s);
		end(&s);
	}
}

static void what_is_too_big_to_keep_goes_unsigned(void **state)
{
	struct buf mail = {0};

	buf_append_text(&mail, "Subject: big\r\n\r\n");
	for (int i = 0; i < 40000; i++)
		buf_append_text(&mail, "a line of a mail that is larger than one would think\r\n");
	buf_append(&mail, BYTES("\0"));
	struct scene s = {
	        .rcpt = "nobody@example.test", .keys = 1, .ret = 1, .mail = buf_bytes(&mail).ptr};
	play(&s);
	assert_int_equal(signatures(&s), 0);
	assert_true(buf_len(&s.bounce) > buf_len(&mail));
	check_summary(&s);
	end(&s);
	buf_done(&mail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(leaves_become_actions),
	        cmocka_unit_test(an_alias_that_keeps_a_copy_ends),
	        cmocka_unit_test(many_targets_are_all_asked_for),
	        cmocka_unit_test(postmaster_goes_to_the_first_account),
	        cmocka_unit_test(nobody_is_sent_back),
	        cmocka_unit_test(ret_hdrs_returns_the_header),
	        cmocka_unit_test(a_big_original_flows_through),
	        cmocka_unit_test(notify_is_heeded),
	        cmocka_unit_test(a_bounce_is_never_bounced),
	        cmocka_unit_test(loops_are_refused),
	        cmocka_unit_test(placing_is_all_that_is_left),
	        cmocka_unit_test(what_fails_is_tried_again),
	        cmocka_unit_test(what_the_store_refuses_is_held),
	        cmocka_unit_test(a_dead_store_ends_it),
	        cmocka_unit_test(a_damaged_mail_is_still_sent_back),
	        cmocka_unit_test(a_failed_recipient_is_told),
	        cmocka_unit_test(what_was_tried_to_the_end_says_so),
	        cmocka_unit_test(a_late_mail_is_told_once_and_goes_on),
	        cmocka_unit_test(success_is_told_to_who_asked),
	        cmocka_unit_test(what_failed_and_was_a_bounce_is_postmasters),
	        cmocka_unit_test(japanese_mail_gets_japanese_notices),
	        cmocka_unit_test(a_utf8_address_makes_a_global_report),
	        cmocka_unit_test(a_notice_for_elsewhere_is_signed),
	        cmocka_unit_test(without_keeper_it_goes_unsigned),
	        cmocka_unit_test(what_is_too_big_to_keep_goes_unsigned),
	};
	return TEST_MAIN(tests);
}
