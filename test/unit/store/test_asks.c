/* What each ask does, on a real folder without threads. */
#include "store_test.h"

#include "base/buf.h"
#include "base/wire.h"

static struct rig rig(uint64_t *ret_ken)
{
	struct rig r = rig_make("", "team@example.test ken@example.test, mia@example.test\n"
	                            "boss@example.test ken@example.test\n"
	                            "away@example.test someone@remote.test\n");

	rig_open(&r);
	*ret_ken = rig_account(&r, "ken@example.test");
	rig_account(&r, "Mia@Example.test");
	rig_login(&r, *ret_ken);
	return r;
}

static uint8_t route(struct rig *r, const char *address)
{
	struct ask a = {.kind = ASK_ROUTE};

	a.route.rcpt = bytes_of_text(address);
	return rig_ask(r, MX_PEER, a).route.class;
}

static void routes(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);

	(void)state;
	assert_int_equal(route(&r, "ken@example.test"), ROUTE_DIRECT);
	assert_int_equal(route(&r, "KEN@EXAMPLE.TEST"), ROUTE_DIRECT);
	assert_int_equal(route(&r, "ken+x@example.test"), ROUTE_DIRECT);
	assert_int_equal(route(&r, "mia@example.test"), ROUTE_DIRECT);
	assert_int_equal(route(&r, "boss@example.test"), ROUTE_DIRECT);
	assert_int_equal(route(&r, "team@example.test"), ROUTE_QUEUE);
	assert_int_equal(route(&r, "nobody@example.test"), ROUTE_UNKNOWN);
	assert_int_equal(route(&r, "x@remote.test"), ROUTE_REMOTE);
	assert_int_equal(route(&r, "postmaster@example.test"), ROUTE_DIRECT);
	rig_admin(&r, ADMIN_ACCOUNT_SUSPEND, "mia@example.test", 1);
	assert_int_equal(route(&r, "mia@example.test"), ROUTE_SUSPENDED);
	rig_done(&r);
}

static void a_mail_is_placed_and_read(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);
	struct answer_status s;

	(void)state;
	assert_int_equal(rig_mail(&r, "Subject: hi\r\n\r\nbody\r\n", "ken@example.test", NULL), OK);
	s = rig_status(&r, "inbox");
	assert_int_equal(s.messages, 1);
	assert_int_equal(s.unseen, 1);
	assert_int_equal(s.uidnext, 2);
	assert_int_equal(s.first_unseen, 1);
	assert_bytes(rig_read(&r, s.mailbox, 1),
	             BYTES("Received: by mx.example.test\r\nSubject: hi\r\n\r\nbody\r\n"));
	rig_done(&r);
}

static void one_account_gets_one_copy(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);

	(void)state;
	assert_int_equal(rig_mail(&r, "x\r\n", "ken@example.test", "ken+tag@example.test"), OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	assert_int_equal(rig_mail(&r, "x\r\n", "boss@example.test", "ken@example.test"), OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 2);
	rig_done(&r);
}

static void a_repeated_commit_gets_the_first_answer(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);
	struct ask a = rig_commit(&r, 7, BYTES("x\r\n"), "ken@example.test", NULL);
	struct ask c = {.kind = ASK_COMMITTED};
	char id[32];
	struct answer got = rig_ask(&r, MX_PEER, a);

	(void)state;
	assert_int_equal(got.result, OK);
	snprintf(id, sizeof(id), "%.*s", BYTES_ARG(got.commit.id));
	got = rig_ask(&r, MX_PEER, a);
	assert_int_equal(got.result, OK);
	assert_bytes(got.commit.id, bytes_of_text(id));
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	/* Two in one group, and after a restart. */
	a = rig_commit(&r, 7, BYTES("y\r\n"), "ken@example.test", NULL);
	rig_put(&r, MX_PEER, a);
	rig_put(&r, MX_PEER, a);
	assert_int_equal(rig_run(&r).result, OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 2);
	c.committed.key = a.commit.key;
	rig_close(&r);
	rig_open(&r);
	assert_int_equal(rig_ask(&r, MX_PEER, c).result, OK);
	c.committed.key = BYTES("never seen key..");
	assert_int_equal(rig_ask(&r, MX_PEER, c).result, NOT_FOUND);
	rig_done(&r);
}

static void big_mails_are_files(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);
	size_t len = 3 * 1024 * 1024;
	char *big = memory_get(len);
	struct ask a = rig_mine(&r, ASK_READ);
	struct answer_status s;
	struct answer got;

	(void)state;
	for (size_t i = 0; i < len; i++)
		big[i] = (char)('a' + (i * 2654435761u >> 20) % 26);
	got = rig_ask(&r, MX_PEER, rig_commit(&r, 7, bytes_of(big, len), "ken@example.test", NULL));
	assert_int_equal(got.result, OK);
	s = rig_status(&r, "INBOX");
	assert_int_equal(s.size, len + strlen("Received: by mx.example.test\r\n"));
	rig_close(&r);
	rig_open(&r);
	rig_login(&r, ken);
	a.session = r.session;
	a.read.mailbox = s.mailbox;
	a.read.uid = 1;
	a.read.offset = strlen("Received: by mx.example.test\r\n") + 1000000;
	a.read.len = 50000;
	got = rig_ask(&r, ACCESS_PEER, a);
	assert_int_equal(got.result, OK);
	assert_bytes(got.read.chunk, bytes_of(big + 1000000, 50000));
	assert_int_equal(got.read.total, s.size);
	memory_free(big);
	rig_done(&r);
}

static enum result spool_one(struct rig *r, uint64_t session, uint32_t number)
{
	struct ask a = {.kind = ASK_SPOOL, .session = session};

	a.spool.spool = number;
	a.spool.chunk = BYTES("x");
	return rig_ask(r, MX_PEER, a).result;
}

/* mx, taken over, begins mails without end: it hurts itself only. */
static void what_a_front_leaves_open_is_bounded(void **state)
{
	struct rig r = rig_make("connections {\n\ttotal 10\n}\n", NULL);
	uint32_t spools = 0, sessions = 0;

	(void)state;
	rig_open(&r);
	while (spools < 1000 && spool_one(&r, 1, spools + 1) == OK)
		spools++;
	assert_int_equal(spools, 16);
	while (sessions < 1000 && spool_one(&r, 2 + sessions, 1) == OK)
		sessions++;
	assert_int_equal(sessions, 10 + 64 - 1);
	/* Others go on, and so does who ends what he began. */
	rig_login(&r, rig_account(&r, "ken@example.test"));
	assert_int_equal(rig_append(&r, "INBOX", BYTES("Subject: x\r\n\r\n"), 0), OK);
	assert_int_equal(
	        rig_ask(&r, MX_PEER, (struct ask){.kind = ASK_SESSION_END, .session = 2}).result,
	        OK);
	assert_int_equal(spool_one(&r, 2, 1), OK);
	rig_close(&r);
	rig_done(&r);
}

static void sessions_need_a_grant(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);
	struct ask a = {.kind = ASK_STATUS, .session = 99};
	struct answer_status s = rig_status(&r, "INBOX");
	struct ask read = {.kind = ASK_UIDS};

	(void)state;
	a.status.name = BYTES("INBOX");
	r.now += 60 * 1000;
	assert_int_equal(rig_ask(&r, ACCESS_PEER, a).result, DENIED);
	/* another account's mailbox does not exist for it */
	rig_login(&r, ken + 1);
	read.session = r.session;
	read.uids.mailbox = s.mailbox;
	assert_int_equal(rig_ask(&r, ACCESS_PEER, read).result, NOT_FOUND);
	/* another worker's session */
	assert_int_equal(rig_ask(&r, (struct store_peer){ACCESS, 1}, read).result, DENIED);
	store_peer_lost(r.store, ACCESS_PEER);
	assert_int_equal(rig_ask(&r, ACCESS_PEER, read).result, DENIED);
	rig_done(&r);
}

static struct answer flags_set(struct rig *r, uint64_t mailbox, uint32_t first, uint32_t last,
                               uint8_t mode, uint64_t flags, const char *keyword)
{
	struct ask a = rig_mine(r, ASK_FLAGS_SET);
	static char room[300];
	struct buf b = {.ptr = room, .size = sizeof(room)};

	if (keyword)
		buf_block(&b, bytes_of_text(keyword));
	a.flags_set.mailbox = mailbox;
	a.flags_set.set = rig_range(r, first, last);
	a.flags_set.mode = mode;
	a.flags_set.flags = flags;
	a.flags_set.keywords = buf_bytes(&b);
	a.flags_set.unchanged_since = UINT64_MAX;
	return rig_ask(r, ACCESS_PEER, a);
}

static uint64_t flags_of(struct rig *r, uint64_t mailbox, uint32_t uid)
{
	struct ask a = rig_mine(r, ASK_FLAGS);
	struct answer got;
	struct wire w;

	a.flags.mailbox = mailbox;
	a.flags.set = rig_range(r, uid, uid);
	got = rig_ask(r, ACCESS_PEER, a);
	assert_int_equal(got.result, OK);
	w = wire_of(got.flags.rows);
	assert_int_equal(wire_u32(&w), uid);
	wire_u64(&w);
	return wire_u64(&w);
}

static void flags_and_keywords(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);
	struct answer_status s;
	struct answer got;
	struct ask a;

	(void)state;
	for (int i = 0; i < 10; i++)
		rig_mail(&r, "x\r\n", "ken@example.test", NULL);
	s = rig_status(&r, "INBOX");
	got = flags_set(&r, s.mailbox, 2, 5, FLAGS_ADD, MAIL_SEEN | MAIL_FLAGGED, NULL);
	assert_int_equal(got.result, OK);
	assert_true(got.flags_set.modseq > s.modseq);
	assert_int_equal(rig_status(&r, "INBOX").unseen, 6);
	assert_int_equal(flags_of(&r, s.mailbox, 3), MAIL_SEEN | MAIL_FLAGGED);
	got = flags_set(&r, s.mailbox, 3, 3, FLAGS_REPLACE, MAIL_DRAFT, "$Forwarded");
	assert_int_equal(got.result, OK);
	assert_int_equal(flags_of(&r, s.mailbox, 3), MAIL_DRAFT | 1 << 8);
	got = flags_set(&r, s.mailbox, 4, 9, FLAGS_ADD, 0, "second");
	assert_int_equal(flags_of(&r, s.mailbox, 9), 2 << 8);
	got = flags_set(&r, s.mailbox, 4, 9, FLAGS_REMOVE, MAIL_SEEN, "SECOND");
	assert_int_equal(flags_of(&r, s.mailbox, 4), MAIL_FLAGGED);
	/* UNCHANGEDSINCE */
	a = rig_mine(&r, ASK_FLAGS_SET);
	a.flags_set.mailbox = s.mailbox;
	a.flags_set.set = rig_range(&r, 1, 10);
	a.flags_set.mode = FLAGS_ADD;
	a.flags_set.flags = MAIL_DELETED;
	a.flags_set.unchanged_since = s.modseq;
	got = rig_ask(&r, ACCESS_PEER, a);
	assert_int_equal(got.result, OK);
	assert_bytes(got.flags_set.refused, rig_range(&r, 2, 9));
	assert_int_equal(rig_status(&r, "INBOX").deleted, 2);
	rig_done(&r);
}

static void expunge_and_changes(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);
	struct answer_status s;
	struct answer got;
	struct ask a;

	(void)state;
	for (int i = 0; i < 10; i++)
		rig_mail(&r, "x\r\n", "ken@example.test", NULL);
	s = rig_status(&r, "INBOX");
	a = rig_mine(&r, ASK_WATCH);
	a.watch.mailbox = s.mailbox;
	a.watch.modseq = s.modseq;
	rig_ask(&r, ACCESS_PEER, a);
	r.events = 0;
	flags_set(&r, s.mailbox, 3, 4, FLAGS_ADD, MAIL_DELETED, NULL);
	assert_int_equal(r.events, 1);
	flags_set(&r, s.mailbox, 8, 8, FLAGS_ADD, MAIL_DELETED, NULL);
	a = rig_mine(&r, ASK_EXPUNGE);
	a.expunge.mailbox = s.mailbox;
	a.expunge.set = rig_range(&r, 1, 5);
	got = rig_ask(&r, ACCESS_PEER, a);
	assert_int_equal(got.result, OK);
	assert_int_equal(got.expunge.count, 2);
	assert_int_equal(rig_status(&r, "INBOX").messages, 8);
	rig_mail(&r, "new\r\n", "ken@example.test", NULL);
	a = rig_mine(&r, ASK_CHANGES);
	a.changes.mailbox = s.mailbox;
	a.changes.since = s.modseq;
	got = rig_ask(&r, ACCESS_PEER, a);
	assert_int_equal(got.result, OK);
	assert_bytes(got.changes.vanished, rig_range(&r, 3, 4));
	assert_int_equal(got.changes.rows.len, 2 * 20); /* 8 with \Deleted, 11 new */
	assert_int_equal(got.changes.modseq, rig_status(&r, "INBOX").modseq);
	/* the same from the index, after a restart */
	rig_close(&r);
	rig_open(&r);
	rig_login(&r, ken);
	a.session = r.session;
	got = rig_ask(&r, ACCESS_PEER, a);
	assert_bytes(got.changes.vanished, rig_range(&r, 3, 4));
	a = rig_mine(&r, ASK_UIDS);
	a.uids.mailbox = s.mailbox;
	got = rig_ask(&r, ACCESS_PEER, a);
	assert_int_equal(got.uids.ranges.len, 16);
	rig_done(&r);
}

static void copy_and_move(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);
	struct answer_status s, t;
	struct answer got;
	struct ask a;

	(void)state;
	for (int i = 0; i < 5; i++)
		rig_mail(&r, "content\r\n", "ken@example.test", NULL);
	s = rig_status(&r, "INBOX");
	flags_set(&r, s.mailbox, 2, 2, FLAGS_ADD, MAIL_SEEN, "work");
	a = rig_mine(&r, ASK_COPY);
	a.copy.mailbox = s.mailbox;
	a.copy.set = rig_range(&r, 2, 3);
	a.copy.name = BYTES("Archive");
	got = rig_ask(&r, ACCESS_PEER, a);
	assert_int_equal(got.result, OK);
	assert_bytes(got.copy.from, rig_range(&r, 2, 3));
	assert_bytes(got.copy.to, rig_range(&r, 1, 2));
	t = rig_status(&r, "Archive");
	assert_int_equal(t.messages, 2);
	assert_int_equal(t.unseen, 1);
	assert_int_equal(flags_of(&r, t.mailbox, 1), MAIL_SEEN | 1 << 8);
	a.copy.move = 1;
	a.copy.set = rig_range(&r, 4, 4000);
	got = rig_ask(&r, ACCESS_PEER, a);
	assert_bytes(got.copy.from, rig_range(&r, 4, 5));
	assert_int_equal(rig_status(&r, "INBOX").messages, 3);
	assert_int_equal(rig_status(&r, "Archive").messages, 4);
	/* the copies' bytes stay when the originals go */
	flags_set(&r, s.mailbox, 1, 3, FLAGS_ADD, MAIL_DELETED, NULL);
	a = rig_mine(&r, ASK_EXPUNGE);
	a.expunge.mailbox = s.mailbox;
	rig_ask(&r, ACCESS_PEER, a);
	assert_int_equal(rig_read(&r, t.mailbox, 1).len, 30 + 9);
	assert_int_equal(rig_read(&r, t.mailbox, 4).len, 30 + 9);
	/* a move within a mailbox gives new UIDs */
	a = rig_mine(&r, ASK_COPY);
	a.copy.mailbox = t.mailbox;
	a.copy.set = rig_range(&r, 1, 4);
	a.copy.name = BYTES("Archive");
	a.copy.move = 1;
	assert_int_equal(rig_ask(&r, ACCESS_PEER, a).result, OK);
	t = rig_status(&r, "Archive");
	assert_int_equal(t.messages, 4);
	assert_int_equal(t.uidnext, 9);
	a.copy.name = BYTES("Nowhere");
	assert_int_equal(rig_ask(&r, ACCESS_PEER, a).result, NOT_FOUND);
	rig_done(&r);
}

static struct answer name_ask(struct rig *r, enum ask_kind kind, const char *name, const char *to)
{
	struct ask a = rig_mine(r, kind);

	if (kind == ASK_MAILBOX_CREATE)
		a.mailbox_create.name = bytes_of_text(name);
	else if (kind == ASK_MAILBOX_DELETE)
		a.mailbox_delete.name = bytes_of_text(name);
	else if (kind == ASK_STATUS)
		a.status.name = bytes_of_text(name);
	else {
		a.mailbox_rename.from = bytes_of_text(name);
		a.mailbox_rename.to = bytes_of_text(to);
	}
	return rig_ask(r, ACCESS_PEER, a);
}

static bool listed(struct rig *r, const char *name, uint32_t attribute)
{
	struct answer got = rig_ask(r, ACCESS_PEER, rig_mine(r, ASK_MAILBOXES));
	struct wire w = wire_of(got.mailboxes.rows);

	while (!wire_end(&w)) {
		struct bytes one = wire_block(&w);
		uint32_t attributes;

		wire_u64(&w);
		attributes = wire_u32(&w);
		if (bytes_equal(one, bytes_of_text(name)))
			return attribute == 0 || (attributes & attribute);
	}
	return false;
}

static void mailboxes(void **state)
{
	uint64_t ken, validity;
	struct rig r = rig(&ken);

	(void)state;
	assert_true(listed(&r, "INBOX", MAILBOX_SUBSCRIBED));
	assert_true(listed(&r, "Junk", MAILBOX_JUNK));
	assert_int_equal(name_ask(&r, ASK_MAILBOX_CREATE, "a/b/c", NULL).result, OK);
	assert_int_equal(name_ask(&r, ASK_MAILBOX_CREATE, "a/b/c", NULL).result, EXISTS);
	assert_int_equal(name_ask(&r, ASK_MAILBOX_CREATE, "a//b", NULL).result, INVALID);
	assert_int_equal(name_ask(&r, ASK_MAILBOX_CREATE, "inbox", NULL).result, EXISTS);
	assert_true(listed(&r, "a", MAILBOX_CHILDREN));
	validity = rig_status(&r, "a/b").uidvalidity;
	assert_int_equal(name_ask(&r, ASK_MAILBOX_DELETE, "a/b", NULL).result, OK);
	assert_true(listed(&r, "a/b", MAILBOX_NOSELECT));
	assert_int_equal(name_ask(&r, ASK_STATUS, "a/b", NULL).result, NOT_FOUND);
	assert_int_equal(name_ask(&r, ASK_MAILBOX_CREATE, "a/b", NULL).result, OK);
	assert_true(rig_status(&r, "a/b").uidvalidity > validity);
	assert_int_equal(name_ask(&r, ASK_MAILBOX_RENAME, "a", "a/x").result, INVALID);
	assert_int_equal(name_ask(&r, ASK_MAILBOX_RENAME, "a", "Sent").result, EXISTS);
	assert_int_equal(name_ask(&r, ASK_MAILBOX_RENAME, "a", "deep/z").result, OK);
	assert_true(listed(&r, "deep/z/b/c", 0));
	assert_true(listed(&r, "deep", 0));
	assert_false(listed(&r, "a", 0));
	assert_int_equal(name_ask(&r, ASK_MAILBOX_DELETE, "INBOX", NULL).result, DENIED);
	/* INBOX's mails move (RFC 9051, 6.3.6) */
	rig_mail(&r, "x\r\n", "ken@example.test", NULL);
	assert_int_equal(name_ask(&r, ASK_MAILBOX_RENAME, "INBOX", "old").result, OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 0);
	assert_int_equal(rig_status(&r, "INBOX").uidnext, 2);
	assert_int_equal(rig_status(&r, "old").messages, 1);
	assert_int_equal(rig_read(&r, rig_status(&r, "old").mailbox, 1).len, 33);
	rig_done(&r);
}

static void quota(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);
	struct answer got;

	(void)state;
	rig_admin(&r, ADMIN_ACCOUNT_QUOTA, "ken@example.test", 100);
	assert_int_equal(rig_append(&r, "INBOX",
	                            BYTES("sixty octets ...................."
	                                  "............................"),
	                            0),
	                 OK);
	assert_int_equal(rig_append(&r, "INBOX",
	                            BYTES("forty octets ...................."
	                                  "..............."),
	                            0),
	                 OVER_QUOTA);
	assert_int_equal(
	        rig_mail(&r, "forty octets and more...............", "ken@example.test", NULL), OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	got = rig_admin(&r, ADMIN_QUEUE_LIST, "", 0);
	assert_true(bytes_find(got.admin.rows, BYTES("the mailbox is full")) != BYTES_NONE);
	got = rig_ask(&r, ACCESS_PEER, rig_mine(&r, ASK_MAILBOX_LIMITS));
	assert_int_equal(got.mailbox_limits.limit, 100);
	assert_true(got.mailbox_limits.used > 50);
	rig_done(&r);
}

static void summaries(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);
	struct ask a = rig_mine(&r, ASK_SUMMARIES);
	struct answer got;
	struct wire w;

	(void)state;
	for (int i = 0; i < 3; i++)
		rig_mail(&r, "x\r\n", "ken@example.test", NULL);
	a.summaries.mailbox = rig_status(&r, "INBOX").mailbox;
	a.summaries.set = rig_range(&r, 2, 99);
	a.summaries.full = 1;
	got = rig_ask(&r, ACCESS_PEER, a);
	assert_int_equal(got.result, OK);
	w = wire_of(got.summaries.rows);
	assert_int_equal(wire_u32(&w), 2);
	wire_u64(&w);
	wire_u64(&w);
	assert_int_equal(wire_u64(&w), r.now);
	assert_int_equal(wire_u32(&w), 33);
	wire_u64(&w);
	assert_bytes(wire_block(&w), BYTES("summary"));
	assert_int_equal(wire_u32(&w), 3);
	assert_int_equal(got.summaries.next, 0);
	rig_done(&r);
}

static void accounts(void **state)
{
	uint64_t ken;
	struct rig r = rig(&ken);
	struct ask a = {.kind = ASK_CREDENTIAL};
	struct ask set = {.kind = ASK_CREDENTIAL_SET};
	struct answer got;

	(void)state;
	a.credential.user = BYTES("ken");
	got = rig_ask(&r, KEEPER_PEER, a);
	assert_int_equal(got.result, OK);
	assert_bytes(got.credential.sealed, BYTES("sealed"));
	assert_bytes(got.credential.address, BYTES("ken@example.test"));
	set.credential_set.address = BYTES("ken@example.test");
	set.credential_set.sealed = BYTES("other");
	assert_int_equal(rig_ask(&r, KEEPER_PEER, set).result, OK);
	assert_bytes(rig_ask(&r, KEEPER_PEER, a).credential.sealed, BYTES("other"));
	set.credential_set.create = 1;
	assert_int_equal(rig_ask(&r, KEEPER_PEER, set).result, EXISTS);
	set.credential_set.address = BYTES("x@remote.test");
	assert_int_equal(rig_ask(&r, KEEPER_PEER, set).result, INVALID);
	a.credential.user = BYTES("nobody");
	assert_int_equal(rig_ask(&r, KEEPER_PEER, a).result, NOT_FOUND);
	rig_mail(&r, "x\r\n", "ken@example.test", "mia@example.test");
	assert_int_equal(rig_admin(&r, ADMIN_ACCOUNT_REMOVE, "mia@example.test", 0).result, OK);
	assert_int_equal(route(&r, "mia@example.test"), ROUTE_UNKNOWN);
	got = rig_admin(&r, ADMIN_ACCOUNT_LIST, "", 0);
	assert_true(bytes_find(got.admin.rows, BYTES("ken@example.test")) != BYTES_NONE);
	assert_true(bytes_find(got.admin.rows, BYTES("mia@example.test")) == BYTES_NONE);
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	assert_int_equal(rig_read(&r, rig_status(&r, "INBOX").mailbox, 1).len, 33);
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(routes),
	        cmocka_unit_test(a_mail_is_placed_and_read),
	        cmocka_unit_test(one_account_gets_one_copy),
	        cmocka_unit_test(a_repeated_commit_gets_the_first_answer),
	        cmocka_unit_test(big_mails_are_files),
	        cmocka_unit_test(sessions_need_a_grant),
	        cmocka_unit_test(flags_and_keywords),
	        cmocka_unit_test(expunge_and_changes),
	        cmocka_unit_test(copy_and_move),
	        cmocka_unit_test(mailboxes),
	        cmocka_unit_test(what_a_front_leaves_open_is_bounded),
	        cmocka_unit_test(quota),
	        cmocka_unit_test(summaries),
	        cmocka_unit_test(accounts),
	};

	return TEST_MAIN(tests);
}
