/* What a store still holds after it was killed, its index deleted, its log torn or damaged, its disk
 * full: on a real folder. The simulator cuts the power; here each case is looked at alone. */
#include "store_test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/buf.h"
#include "base/wire.h"

static void shell(const char *command)
{
	assert_int_equal(system(command), 0);
}

/* What a kill -9 leaves: the files as they are now, in a folder of their own. */
static void kill_nine(struct rig *r)
{
	char command[500], other[80];

	snprintf(other, sizeof(other), "%s.killed", r->folder);
	snprintf(command, sizeof(command), "rm -rf %s && cp -r --sparse=always %s %s", other,
	         r->folder, other);
	shell(command);
	rig_close(r);
	snprintf(command, sizeof(command), "rm -rf %s/* && mv %s/* %s/ && rmdir %s", r->folder,
	         other, r->folder, other);
	shell(command);
}

static struct answer set_flags(struct rig *r, uint64_t mailbox, uint32_t first, uint32_t last,
                               uint64_t flags)
{
	struct ask a = rig_mine(r, ASK_FLAGS_SET);

	a.flags_set.mailbox = mailbox;
	a.flags_set.set = rig_range(r, first, last);
	a.flags_set.mode = FLAGS_ADD;
	a.flags_set.flags = flags;
	a.flags_set.unchanged_since = UINT64_MAX;
	return rig_ask(r, ACCESS_PEER, a);
}

static struct answer expunge(struct rig *r, uint64_t mailbox)
{
	struct ask a = rig_mine(r, ASK_EXPUNGE);

	a.expunge.mailbox = mailbox;
	return rig_ask(r, ACCESS_PEER, a);
}

/* A bit of everything. */
static void live_a_while(struct rig *r, unsigned seed)
{
	struct answer_status s;
	struct ask a;

	for (unsigned i = 0; i < 40; i++) {
		char text[200];

		snprintf(text, sizeof(text), "Subject: %u %u\r\n\r\n%*s\r\n", seed, i,
		         (int)(i * 7 % 90), "x");
		rig_mail(r, text, "ken@example.test", i % 3 ? NULL : "mia@example.test");
		if (i % 9 == 0)
			rig_ask(r, SORTER_PEER,
			        rig_send(r, text, "team@example.test", "far@remote.test"));
	}
	s = rig_status(r, "INBOX");
	set_flags(r, s.mailbox, s.uidnext - 30, s.uidnext - 12, MAIL_SEEN);
	set_flags(r, s.mailbox, s.uidnext - 20, s.uidnext - 10, MAIL_DELETED);
	a = rig_mine(r, ASK_COPY);
	a.copy.mailbox = s.mailbox;
	a.copy.set = rig_range(r, s.uidnext - 25, s.uidnext - 15);
	a.copy.name = BYTES("Archive");
	assert_int_equal(rig_ask(r, ACCESS_PEER, a).result, OK);
	a.copy.move = 1;
	a.copy.set = rig_range(r, s.uidnext - 5, s.uidnext - 2);
	a.copy.name = BYTES("Trash");
	assert_int_equal(rig_ask(r, ACCESS_PEER, a).result, OK);
	expunge(r, s.mailbox);
	rig_append(r, "Sent", BYTES("sent mail\r\n"), MAIL_SEEN);
	a = rig_mine(r, ASK_MAILBOX_CREATE);
	a.mailbox_create.name = seed % 2 ? BYTES("odd/one") : BYTES("even/one");
	rig_ask(r, ACCESS_PEER, a);
	a = rig_mine(r, ASK_SUBSCRIBE);
	a.subscribe.name = BYTES("even/one");
	a.subscribe.on = seed % 2;
	rig_ask(r, ACCESS_PEER, a);
}

static struct rig rig(void)
{
	struct rig r = rig_make("", "team@example.test ken@example.test, mia@example.test\n");

	rig_open(&r);
	rig_account(&r, "ken@example.test");
	rig_account(&r, "mia@example.test");
	rig_login(&r, 1);
	return r;
}

static void again(struct rig *r)
{
	rig_open(r);
	rig_login(r, 1);
}

static void verify(struct rig *r)
{
	struct store_check check;
	struct why why = {0};

	assert_int_equal(store_verify(r->store, false, NULL, NULL, &check, &why), OK);
	assert_int_equal(check.damaged, 0);
	assert_int_equal(check.figures, 0);
	assert_int_equal(check.dangling, 0);
	assert_true(check.mails > 0);
}

static void assert_dump(struct rig *r, char *want)
{
	char *got = rig_dump(r);

	if (strcmp(got, want) != 0) {
		FILE *f = fopen("/tmp/want.dump", "w"), *g = fopen("/tmp/got.dump", "w");

		fputs(want, f);
		fputs(got, g);
		fclose(f);
		fclose(g);
		fail_msg("the dumps differ");
	}
	memory_free(got);
	memory_free(want);
}

static void a_restart_changes_nothing(void **state)
{
	struct rig r = rig();
	char *before;

	(void)state;
	live_a_while(&r, 1);
	before = rig_dump(&r);
	rig_close(&r);
	again(&r);
	assert_false(r.report.rebuilt);
	assert_int_equal(r.report.log.records, 0);
	assert_dump(&r, before);
	verify(&r);
	rig_done(&r);
}

static void a_killed_store_comes_back(void **state)
{
	struct rig r = rig();
	char *before;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		live_a_while(&r, i);
		before = rig_dump(&r);
		kill_nine(&r);
		again(&r);
		assert_int_equal(r.report.log.torn, 0);
		assert_int_equal(r.report.log.damaged, 0);
		assert_dump(&r, before);
	}
	verify(&r);
	rig_done(&r);
}

static void the_index_is_made_anew(void **state)
{
	struct rig r = rig();
	char *before;

	(void)state;
	live_a_while(&r, 1);
	rig_close(&r);
	again(&r);
	live_a_while(&r, 2);
	before = rig_dump(&r);
	rig_close(&r);
	rig_remove(&r, "index.db*");
	again(&r);
	assert_true(r.report.rebuilt);
	assert_true(r.report.log.records > 100);
	assert_dump(&r, before);
	verify(&r);
	/* and twice gives the same */
	before = rig_dump(&r);
	rig_close(&r);
	rig_remove(&r, "index.db*");
	again(&r);
	assert_dump(&r, before);
	live_a_while(&r, 3);
	verify(&r);
	rig_done(&r);
}

static void an_image_shortens_the_replay(void **state)
{
	struct rig r = rig();
	char *before;

	(void)state;
	live_a_while(&r, 1);
	assert_int_equal(rig_admin(&r, ADMIN_CHECKPOINT, "", 0).result, OK);
	before = rig_dump(&r);
	rig_close(&r);
	rig_remove(&r, "index.db*");
	again(&r);
	assert_true(r.report.rebuilt);
	assert_int_equal(r.report.log.records, 0);
	assert_dump(&r, before);
	live_a_while(&r, 2);
	before = rig_dump(&r);
	rig_close(&r);
	rig_remove(&r, "index.db*");
	again(&r);
	assert_true(r.report.log.records > 0);
	assert_dump(&r, before);
	verify(&r);
	/* a damaged image is passed over */
	before = rig_dump(&r);
	rig_close(&r);
	shell("true");
	{
		char command[200];

		snprintf(command, sizeof(command),
		         "for f in %s/image/0*; do printf x | dd of=$f bs=1 seek=100 conv=notrunc"
		         " 2>/dev/null; done",
		         r.folder);
		shell(command);
	}
	rig_remove(&r, "index.db*");
	again(&r);
	assert_true(r.report.image_damaged > 0);
	assert_dump(&r, before);
	rig_done(&r);
}

static void a_damaged_index_is_made_anew(void **state)
{
	struct rig r = rig();
	char command[200], *before;

	(void)state;
	live_a_while(&r, 1);
	before = rig_dump(&r);
	rig_close(&r);
	snprintf(command, sizeof(command),
	         "dd if=/dev/urandom of=%s/index.db bs=4096 count=2 conv=notrunc 2>/dev/null",
	         r.folder);
	shell(command);
	again(&r);
	assert_true(r.report.rebuilt);
	assert_dump(&r, before);
	rig_done(&r);
}

/* Its head is whole and it opens: only who comes to a bad page sees it. That must not be so at every
 * start again. */
static void a_damaged_page_of_the_index_mends_itself(void **state)
{
	struct rig r = rig();
	char command[200];
	bool failed = false;
	struct stat st;

	(void)state;
	live_a_while(&r, 1);
	for (int i = 0; i < 300; i++)
		assert_int_equal(
		        rig_mail(&r, "Subject: x\r\n\r\ntext\r\n", "ken@example.test", NULL), OK);
	rig_close(&r);
	snprintf(command, sizeof(command), "%s/index.db", r.folder);
	assert_int_equal(stat(command, &st), 0);
	/* all but what a start reads */
	snprintf(command, sizeof(command),
	         "dd if=/dev/urandom of=%s/index.db bs=4096 seek=24 count=%d conv=notrunc"
	         " 2>/dev/null",
	         r.folder, (int)(st.st_size / 4096) - 24);
	shell(command);
	for (int starts = 0; starts < 3; starts++) {
		rig_open(&r);
		rig_login(&r, 1);
		for (int i = 0; i < 3 && !failed; i++) {
			rig_mail(&r, "Subject: y\r\n\r\n", "ken@example.test", NULL);
			failed = store_failed(r.store, NULL);
		}
		if (!failed)
			break;
		rig_close(&r);
		if (starts < 2)
			failed = false;
	}
	assert_false(failed);
	verify(&r);
	rig_done(&r);
}

static void one_image_is_written_at_a_time(void **state)
{
	struct rig r = rig();
	struct ask a = {.kind = ASK_ADMIN};
	struct answer got;
	unsigned before;

	(void)state;
	live_a_while(&r, 1);
	a.admin.verb = ADMIN_CHECKPOINT;
	rig_put(&r, WEB_PEER, a);
	/* the first has not begun */
	rig_put(&r, WEB_PEER, a);
	before = r.refused;
	got = rig_run(&r);
	assert_int_equal(got.result, OK);
	assert_int_equal(r.refused, before + 1);
	assert_int_equal(rig_admin(&r, ADMIN_CHECKPOINT, "", 0).result, OK);
	rig_done(&r);
}

/* ---- the log's end ---- */

static void last_segment(const struct rig *r, char out[120])
{
	struct arena arena = {0};
	const char **names;
	size_t count;
	struct why why;

	assert_int_equal(file_list(r->fs, "log", &arena, &names, &count, &why), OK);
	snprintf(out, 120, "%s/log/%s", r->folder, names[count - 1]);
	arena_done(&arena);
}

static void a_torn_end_does_not_count(void **state)
{
	struct rig r = rig();
	char name[120], *before;
	struct stat st;

	(void)state;
	live_a_while(&r, 1);
	before = rig_dump(&r);
	rig_close(&r);
	/* what a power cut leaves of a group whose sync never came */
	last_segment(&r, name);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(truncate(name, st.st_size + 5000), 0);
	{
		int fd = open(name, O_WRONLY);

		assert_int_equal(pwrite(fd, "HKR1 half a record", 18, st.st_size + 40), 18);
		close(fd);
	}
	again(&r);
	assert_int_equal(r.report.log.damaged, 0);
	assert_true(r.report.log.torn > 0);
	assert_dump(&r, before);
	live_a_while(&r, 2);
	before = rig_dump(&r);
	rig_close(&r);
	rig_remove(&r, "index.db*");
	again(&r);
	assert_int_equal(r.report.log.damaged, 0);
	assert_dump(&r, before);
	verify(&r);
	rig_done(&r);
}

/* Cut at every octet of the last records: what is whole before the cut is there, nothing else. */
static void any_cut_leaves_whole_records(void **state)
{
	struct rig r = rig();
	char name[120], *whole;
	struct stat st;
	uint32_t before = 0;
	int fd;

	(void)state;
	for (int i = 0; i < 4; i++)
		rig_mail(&r, "Subject: a mail\r\n\r\nof some length\r\n", "ken@example.test", NULL);
	rig_close(&r);
	last_segment(&r, name);
	assert_int_equal(stat(name, &st), 0);
	whole = memory_get((size_t)st.st_size);
	assert_true((fd = open(name, O_RDONLY)) >= 0);
	assert_int_equal(read(fd, whole, (size_t)st.st_size), st.st_size);
	close(fd);
	for (off_t cut = 0; cut < 700; cut += 13) {
		struct answer_status s;

		rig_remove(&r, "index.db*");
		assert_true((fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600)) >= 0);
		assert_int_equal(write(fd, whole, (size_t)(st.st_size - cut)), st.st_size - cut);
		close(fd);
		again(&r);
		s = rig_status(&r, "INBOX");
		assert_int_equal(s.messages + 1, s.uidnext);
		assert_true(cut == 0 || s.messages <= before);
		before = s.messages;
		rig_close(&r);
		/* All of it was written again into a new segment: back to the old one. */
		{
			char newer[120];

			last_segment(&r, newer);
			assert_string_not_equal(newer, name);
			unlink(newer);
		}
	}
	assert_true(before < 4);
	memory_free(whole);
	rig_done(&r);
}

static void damage_costs_one_mail(void **state)
{
	struct rig r = rig();
	char name[120];
	struct answer_status s;
	struct ask a;
	int fd;

	(void)state;
	for (int i = 0; i < 6; i++)
		rig_mail(&r, "Subject: a mail\r\n\r\nNEEDLE of some length\r\n", "ken@example.test",
		         NULL);
	rig_close(&r);
	last_segment(&r, name);
	/* flip an octet of the third mail's text */
	{
		char *whole = memory_get(1 << 20);
		ssize_t len;
		struct bytes rest;

		fd = open(name, O_RDWR);
		len = pread(fd, whole, 1 << 20, 0);
		rest = bytes_of(whole, (size_t)len);
		for (int i = 0; i < 3; i++)
			rest = bytes_skip(rest, bytes_find(rest, BYTES("NEEDLE")) + 1);
		assert_int_equal(pwrite(fd, "!", 1, rest.ptr - whole), 1);
		close(fd);
		memory_free(whole);
	}
	again(&r);
	s = rig_status(&r, "INBOX");
	assert_int_equal(s.messages, 6);
	a = rig_mine(&r, ASK_READ);
	a.read.mailbox = s.mailbox;
	a.read.uid = 3;
	a.read.len = LIMIT_READ;
	assert_int_equal(rig_ask(&r, ACCESS_PEER, a).result, DAMAGED);
	a.read.uid = 2;
	assert_int_equal(rig_ask(&r, ACCESS_PEER, a).result, OK);
	a.read.uid = 4;
	assert_int_equal(rig_ask(&r, ACCESS_PEER, a).result, OK);
	/* Without the index the record is lost, and said to be; the others are not. */
	rig_close(&r);
	rig_remove(&r, "index.db*");
	again(&r);
	assert_int_equal(r.report.log.damaged, 1);
	assert_int_equal(rig_status(&r, "INBOX").messages, 5);
	assert_int_equal(rig_status(&r, "INBOX").uidnext, 7);
	rig_done(&r);
}

/* A mail may hold what looks like a record, at any offset, newer than all that is to come. */
static struct bytes forged(char room[8192])
{
	struct buf b = {.ptr = room, .size = 8192};

	buf_append(&b, BYTES("Subject: x\r\n\r\n"));
	for (int i = 0; i < 8; i++) {
		char head[48] = {0};
		struct buf h = {.ptr = head, .size = sizeof(head)};

		buf_u32(&h, 0x484b5231);
		buf_u32(&h, 1);
		buf_u64(&h, (uint64_t)1 << 40);
		buf_u64(&h, 1 << 20);
		buf_u32(&h, 0);
		buf_u32(&h, 0);
		buf_u32(&h, 0);
		buf_u32(&h, 0);
		buf_u64(&h, XXH3_64bits(head, 40));
		buf_append(&b, buf_bytes(&h));
		buf_append_char(&b, 'x');
		for (uint64_t k = 1; k < 61; k++) /* not to be compressed */
			buf_u64(&b, XXH3_64bits_withSeed(&k, 8, (uint64_t)i));
	}
	return buf_bytes(&b);
}

static void a_mail_cannot_be_a_record(void **state)
{
	struct rig r = rig();
	char name[120], room[8192], *whole = memory_get(1 << 20);
	struct bytes log;
	size_t body;
	int fd;

	(void)state;
	assert_int_equal(
	        rig_ask(&r, MX_PEER, rig_commit(&r, 7, forged(room), "ken@example.test", NULL))
	                .result,
	        OK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(rig_mail(&r, "y\r\n", "ken@example.test", NULL), OK);
	rig_close(&r);
	last_segment(&r, name);
	fd = open(name, O_RDWR);
	log = bytes_of(whole, (size_t)pread(fd, whole, 1 << 20, 0));
	body = bytes_find(log, BYTES("Subject: x"));
	assert_true(body != BYTES_NONE);
	/* the record's own head turns bad */
	while (memcmp(whole + body, "HKR1", 4) != 0)
		body--;
	assert_int_equal(pwrite(fd, "!", 1, (off_t)body), 1);
	close(fd);
	memory_free(whole);
	rig_remove(&r, "index.db*");
	again(&r);
	assert_int_equal(rig_status(&r, "INBOX").messages, 2);
	rig_done(&r);
}

/* ---- UIDs ---- */

static void uids_never_come_again(void **state)
{
	struct rig r = rig();
	struct answer_status s, t;

	(void)state;
	for (int i = 0; i < 5; i++)
		rig_mail(&r, "x\r\n", "ken@example.test", NULL);
	s = rig_status(&r, "INBOX");
	set_flags(&r, s.mailbox, 1, 5, MAIL_DELETED);
	expunge(&r, s.mailbox);
	s = rig_status(&r, "INBOX");
	rig_close(&r);
	rig_remove(&r, "index.db*");
	again(&r);
	t = rig_status(&r, "INBOX");
	assert_int_equal(t.uidnext, 6);
	assert_int_equal(t.uidvalidity, s.uidvalidity);
	assert_int_equal(t.modseq, s.modseq);
	rig_mail(&r, "x\r\n", "ken@example.test", NULL);
	assert_int_equal(rig_status(&r, "INBOX").uidnext, 7);
	rig_done(&r);
}

/* ---- sweep and garbage ---- */

static uint64_t log_octets(const struct rig *r)
{
	char command[200];
	FILE *p;
	unsigned long long n = 0;

	snprintf(command, sizeof(command), "cat %s/log/* | wc -c", r->folder);
	p = popen(command, "r");
	assert_int_equal(fscanf(p, "%llu", &n), 1);
	pclose(p);
	return n;
}

static void the_sweep_gives_space_back(void **state)
{
	struct rig r = rig();
	size_t len = 60000;
	char *text = memory_get(len), *before;
	uint64_t octets, noise = 1;
	struct answer_status s;

	(void)state;
	for (int i = 0; i < 100; i++) {
		for (size_t k = 0; k < len; k++)
			text[k] = (char)((noise = noise * 6364136223846793005u + 1) >> 56);
		assert_int_equal(rig_append(&r, "INBOX", bytes_of(text, len), 0), OK);
	}
	s = rig_status(&r, "INBOX");
	set_flags(&r, s.mailbox, 1, 9, MAIL_DELETED);
	set_flags(&r, s.mailbox, 11, 99, MAIL_DELETED);
	expunge(&r, s.mailbox);
	octets = log_octets(&r);
	assert_true(octets > 5000000);
	assert_int_equal(rig_admin(&r, ADMIN_SWEEP, "", 0).result, OK);
	rig_run(&r);
	assert_true(log_octets(&r) < octets / 3);
	before = rig_dump(&r);
	assert_int_equal(rig_status(&r, "INBOX").messages, 2);
	verify(&r);
	rig_close(&r);
	rig_remove(&r, "index.db*");
	again(&r);
	assert_int_equal(r.report.log.missing, 0);
	assert_dump(&r, before);
	verify(&r);
	assert_int_equal(rig_read(&r, s.mailbox, 10).len, LIMIT_READ);
	memory_free(text);
	rig_done(&r);
}

static void expunged_mails_leave_nothing(void **state)
{
	struct rig r = rig();
	struct answer_status s;
	char *dump;

	(void)state;
	rig_mail(&r, "x\r\n", "ken@example.test", "mia@example.test");
	rig_mail(&r, "x\r\n", "ken@example.test", NULL);
	s = rig_status(&r, "INBOX");
	set_flags(&r, s.mailbox, 1, 2, MAIL_DELETED);
	expunge(&r, s.mailbox);
	rig_run(&r);
	assert_true(store_deadline(r.store) <= r.now + 1000);
	r.now += 1000; /* nobody else wrote: garbage goes alone */
	store_tick(r.store, r.now);
	rig_run(&r);
	dump = rig_dump(&r);
	assert_non_null(strstr(dump, "MAIL id=1 "));
	assert_null(strstr(dump, "MAIL id=2 "));
	assert_null(strstr(dump, "REFERENCE"));
	memory_free(dump);
	rig_done(&r);
}

/* ---- the queue ---- */

static struct answer sorted(struct rig *r, const struct answer_take *t, struct bytes actions,
                            struct store_peer from)
{
	struct ask a = {.kind = ASK_SORTED};

	a.sorted.entry = t->entry;
	a.sorted.lease = t->lease;
	a.sorted.actions = actions;
	return rig_ask(r, from, a);
}

static void the_queue_keeps_its_guarantee(void **state)
{
	struct rig r = rig();
	struct buf actions = {0}, hold = {0};
	struct answer_take t;
	struct answer got;

	(void)state;
	assert_int_equal(rig_ask(&r, SORTER_PEER,
	                         rig_send(&r, "x\r\n", "team@example.test", "far@remote.test"))
	                         .result,
	                 OK);
	got = rig_take(&r);
	assert_int_equal(got.result, OK);
	t = got.take;
	assert_bytes(got.take.rcpt, BYTES("team@example.test"));
	assert_int_equal(got.take.size, 33);
	/* nothing else is due; the taker waits */
	assert_int_equal(rig_take(&r).kind, ASK_NONE);
	/* the wrong lease, the wrong worker */
	buf_u8(&actions, SORT_REDIRECT);
	buf_block(&actions, BYTES("ken@example.test"));
	buf_block(&actions, BYTES("team@example.test"));
	buf_u8(&actions, SORT_REDIRECT);
	buf_block(&actions, BYTES("nobody@example.test"));
	buf_block(&actions, BYTES("team@example.test"));
	t.lease++;
	assert_int_equal(sorted(&r, &t, buf_bytes(&actions), SORTER_PEER).result, NOT_FOUND);
	t.lease--;
	assert_int_equal(sorted(&r, &t, buf_bytes(&actions), (struct store_peer){SORTER, 1}).result,
	                 NOT_FOUND);
	assert_int_equal(rig_status(&r, "INBOX").messages, 0);
	/* malformed actions change nothing */
	assert_int_equal(sorted(&r, &t, BYTES("\1\0"), SORTER_PEER).result, INVALID);
	/* OK; the waiting taker gets the new entry in the same round */
	{
		struct ask a = {.kind = ASK_SORTED};

		a.sorted.entry = t.entry;
		a.sorted.lease = t.lease;
		a.sorted.actions = buf_bytes(&actions);
		rig_put(&r, SORTER_PEER, a);
	}
	got = rig_run(&r);
	assert_int_equal(got.kind, ASK_TAKE);
	assert_bytes(got.take.rcpt, BYTES("nobody@example.test"));
	assert_bytes(got.take.origin, BYTES("team@example.test"));
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	/* a repeat gets the first answer and changes nothing, also after a restart */
	assert_int_equal(sorted(&r, &t, buf_bytes(&actions), SORTER_PEER).result, OK);
	kill_nine(&r);
	again(&r);
	assert_int_equal(sorted(&r, &t, buf_bytes(&actions), SORTER_PEER).result, OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	/* the lease on the second entry ended with the store: it can be taken again */
	got = rig_take(&r);
	assert_int_equal(got.result, OK);
	assert_bytes(got.take.rcpt, BYTES("nobody@example.test"));
	/* ... and with the sorter */
	store_peer_lost(r.store, SORTER_PEER);
	got = rig_take(&r);
	assert_bytes(got.take.rcpt, BYTES("nobody@example.test"));
	t = got.take;
	buf_u8(&hold, SORT_HOLD);
	buf_block(&hold, BYTES("somebody look at this"));
	assert_int_equal(sorted(&r, &t, buf_bytes(&hold), SORTER_PEER).result, OK);
	got = rig_admin(&r, ADMIN_QUEUE_LIST, "", 0);
	assert_true(bytes_find(got.admin.rows, BYTES("\"state\":\"held\"")) != BYTES_NONE);
	assert_true(bytes_find(got.admin.rows, BYTES("\"state\":\"carry\"")) != BYTES_NONE);
	buf_done(&actions);
	buf_done(&hold);
	rig_done(&r);
}

/* What a dead sorter waited for is not kept from the next one. */
static void a_dead_taker_gets_nothing(void **state)
{
	struct rig r = rig();
	struct answer got;

	(void)state;
	assert_int_equal(rig_take(&r).kind, ASK_NONE);
	store_peer_lost(r.store, SORTER_PEER);
	rig_mail(&r, "x\r\n", "team@example.test", NULL);
	got = rig_take(&r);
	assert_int_equal(got.kind, ASK_TAKE);
	assert_int_equal(got.result, OK);
	rig_done(&r);
}

static void deferred_entries_fall_due(void **state)
{
	struct rig r = rig();
	struct buf actions = {0};
	struct answer got;

	(void)state;
	rig_mail(&r, "x\r\n", "team@example.test", NULL);
	got = rig_take(&r);
	buf_u8(&actions, SORT_DEFER);
	buf_u32(&actions, 100);
	buf_block(&actions, BYTES("later"));
	assert_int_equal(sorted(&r, &got.take, buf_bytes(&actions), SORTER_PEER).result, OK);
	assert_int_equal(rig_take(&r).kind, ASK_NONE);
	assert_true(store_deadline(r.store) <= r.now + 60 * 1000);
	r.now += 61 * 1000;
	store_tick(r.store, r.now);
	assert_int_equal(rig_run(&r).result, UNAVAILABLE);
	assert_int_equal(rig_take(&r).kind, ASK_NONE);
	r.now += 40 * 1000;
	store_tick(r.store, r.now);
	got = rig_run(&r);
	assert_int_equal(got.kind, ASK_TAKE);
	assert_int_equal(got.take.tries, 1);
	buf_done(&actions);
	rig_done(&r);
}

static void a_bounce_is_one_transaction(void **state)
{
	struct rig r = rig();
	struct buf actions = {0};
	struct ask a = {.kind = ASK_SORTED, .session = 55};
	struct answer got;

	(void)state;
	rig_mail(&r, "x\r\n", "team@example.test", NULL);
	got = rig_take(&r);
	a.sorted.entry = got.take.entry;
	a.sorted.lease = got.take.lease;
	buf_u8(&actions, SORT_DONE);
	buf_block(&actions, BYTES("bounced"));
	a.sorted.actions = buf_bytes(&actions);
	a.sorted.spool = rig_spool(&r, SORTER_PEER, 55, BYTES("it did not work\r\n"));
	a.sorted.bounce_trace = BYTES("Return-Path: <>\r\n");
	a.sorted.bounce_rcpt = BYTES("ken@example.test");
	assert_int_equal(rig_ask(&r, SORTER_PEER, a).result, OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	assert_bytes(rig_read(&r, rig_status(&r, "INBOX").mailbox, 1),
	             BYTES("Return-Path: <>\r\nit did not work\r\n"));
	got = rig_admin(&r, ADMIN_QUEUE_LIST, "", 0);
	assert_int_equal(got.admin.rows.len, 0);
	verify(&r);
	buf_done(&actions);
	rig_done(&r);
}

/* One account reached by two ways, one of them through the queue, gets one copy. */
static void the_queue_gives_no_second_copy(void **state)
{
	struct rig r = rig();
	struct buf actions = {0};
	struct answer got;

	(void)state;
	rig_mail(&r, "x\r\n", "ken@example.test", "team@example.test");
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	got = rig_take(&r);
	buf_u8(&actions, SORT_REDIRECT);
	buf_block(&actions, BYTES("ken@example.test"));
	buf_block(&actions, BYTES("team@example.test"));
	buf_u8(&actions, SORT_REDIRECT);
	buf_block(&actions, BYTES("mia@example.test"));
	buf_block(&actions, BYTES("team@example.test"));
	assert_int_equal(sorted(&r, &got.take, buf_bytes(&actions), SORTER_PEER).result, OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	rig_login(&r, 2);
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	verify(&r);
	buf_done(&actions);
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_restart_changes_nothing),
	        cmocka_unit_test(a_killed_store_comes_back),
	        cmocka_unit_test(the_index_is_made_anew),
	        cmocka_unit_test(an_image_shortens_the_replay),
	        cmocka_unit_test(a_damaged_index_is_made_anew),
	        cmocka_unit_test(a_damaged_page_of_the_index_mends_itself),
	        cmocka_unit_test(one_image_is_written_at_a_time),
	        cmocka_unit_test(a_torn_end_does_not_count),
	        cmocka_unit_test(any_cut_leaves_whole_records),
	        cmocka_unit_test(damage_costs_one_mail),
	        cmocka_unit_test(a_mail_cannot_be_a_record),
	        cmocka_unit_test(uids_never_come_again),
	        cmocka_unit_test(the_sweep_gives_space_back),
	        cmocka_unit_test(expunged_mails_leave_nothing),
	        cmocka_unit_test(the_queue_keeps_its_guarantee),
	        cmocka_unit_test(a_dead_taker_gets_nothing),
	        cmocka_unit_test(deferred_entries_fall_due),
	        cmocka_unit_test(a_bounce_is_one_transaction),
	        cmocka_unit_test(the_queue_gives_no_second_copy),
	};

	return TEST_MAIN(tests);
}
