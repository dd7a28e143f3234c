/* A disk that fails: full, unreadable in one place, a sync that says no. On the simulator's disk. */
#include "../../sim/disk.h"
#include "store_test.h"

enum { MIB = 1024 * 1024 };

/* A rig on a disk in memory; the folder on the real one stays empty. */
static struct rig rig(struct disk **ret, uint64_t reserve)
{
	struct rig r = rig_make("", "team@example.test ken@example.test, x@example.test\n");

	*ret = disk_new(4711);
	file_system_free(&r.fs);
	r.fs = disk_files(*ret);
	r.options.reserve = reserve;
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	rig_login(&r, 1);
	return r;
}

static void done(struct rig *r, struct disk **d)
{
	rig_close(r);
	r->fs = file_system_real_new(r->fd);
	rig_done(r);
	disk_free(d);
}

static void a_full_disk_lets_people_tidy_up(void **state)
{
	struct disk *d;
	struct rig r = rig(&d, UINT64_MAX);
	struct answer_status s;
	struct answer got;
	struct ask a;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(rig_mail(&r, "Subject: x\r\n\r\ntext\r\n", "ken@example.test",
		                          "team@example.test"),
		                 OK);
	/* Below what the index may need; this disk does not count what is reserved. */
	disk_set_space(d, disk_used(d) + 2 * MIB);
	assert_int_equal(rig_mail(&r, "x\r\n", "ken@example.test", NULL), DISK_FULL);
	assert_int_equal(rig_append(&r, "INBOX", BYTES("x\r\n"), 0), DISK_FULL);
	s = rig_status(&r, "INBOX");
	assert_int_equal(s.messages, 20);
	/* reading, flags, expunging, sorting go on */
	assert_true(rig_read(&r, s.mailbox, 3).len > 30);
	a = rig_mine(&r, ASK_FLAGS_SET);
	a.flags_set.mailbox = s.mailbox;
	a.flags_set.set = rig_range(&r, 1, 10);
	a.flags_set.mode = FLAGS_ADD;
	a.flags_set.flags = MAIL_DELETED;
	a.flags_set.unchanged_since = UINT64_MAX;
	assert_int_equal(rig_ask(&r, ACCESS_PEER, a).result, OK);
	a = rig_mine(&r, ASK_EXPUNGE);
	a.expunge.mailbox = s.mailbox;
	got = rig_ask(&r, ACCESS_PEER, a);
	assert_int_equal(got.result, OK);
	assert_int_equal(got.expunge.count, 10);
	got = rig_take(&r);
	assert_int_equal(got.result, OK);
	a = (struct ask){.kind = ASK_SORTED};
	a.sorted.entry = got.take.entry;
	a.sorted.lease = got.take.lease;
	a.sorted.actions = BYTES("\4\0\0\0\2no");
	assert_int_equal(rig_ask(&r, SORTER_PEER, a).result, OK);
	assert_int_equal(rig_mail(&r, "x\r\n", "ken@example.test", NULL), DISK_FULL);
	/* space returns, and nobody has to do anything */
	disk_set_space(d, UINT64_MAX);
	assert_int_equal(rig_mail(&r, "x\r\n", "ken@example.test", NULL), OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 11);
	done(&r, &d);
}

static void a_bad_sector_costs_one_mail(void **state)
{
	struct disk *d;
	struct rig r = rig(&d, UINT64_MAX);
	struct answer_status s;
	struct ask a;
	unsigned bad = 0;
	uint64_t noise = 1;

	(void)state;
	for (int i = 0; i < 9; i++) {
		char *big = memory_get(20001);

		for (int k = 0; k < 20000; k++) {
			noise = noise * 6364136223846793005u + 1;
			big[k] = (char)(1 + (noise >> 40) % 255);
		}
		assert_int_equal(rig_mail(&r, big, "ken@example.test", NULL), OK);
		memory_free(big);
	}
	s = rig_status(&r, "INBOX");
	disk_fail_read(d, "log/00000001", 20000, 512);
	a = rig_mine(&r, ASK_READ);
	a.read.mailbox = s.mailbox;
	a.read.len = LIMIT_READ;
	for (a.read.uid = 1; a.read.uid <= 9; a.read.uid++) {
		enum result result = rig_ask(&r, ACCESS_PEER, a).result;

		bad += result == DAMAGED;
		assert_true(result == OK || result == DAMAGED);
	}
	assert_int_equal(bad, 1);
	assert_false(store_failed(r.store, NULL));
	disk_fail_read(d, "log/00000001", 0, 0);
	for (a.read.uid = 1; a.read.uid <= 9; a.read.uid++)
		assert_int_equal(rig_ask(&r, ACCESS_PEER, a).result, OK);
	done(&r, &d);
}

/* A head that the disk does not give back is no proof that the segment was never born. */
static void an_unreadable_segment_is_not_removed(void **state)
{
	struct disk *d;
	struct rig r = rig(&d, UINT64_MAX);
	struct why why = {0};

	(void)state;
	assert_int_equal(rig_mail(&r, "x\r\n", "ken@example.test", NULL), OK);
	rig_close(&r);
	assert_int_equal(file_remove(r.fs, "index.db", &why), OK);
	disk_fail_read(d, "log/00000001", 0, 4096);
	assert_int_equal(store_open(r.fs, &r.options, r.now, &r.store, &r.report, &why), FAILED);
	disk_fail_read(d, "log/00000001", 0, 0);
	rig_open(&r);
	rig_login(&r, 1);
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	done(&r, &d);
}

static void a_failed_sync_is_never_an_ok(void **state)
{
	struct disk *d;
	struct rig r = rig(&d, UINT64_MAX);
	struct answer got;
	struct why why = {0};
	uint64_t ended;

	(void)state;
	assert_int_equal(rig_mail(&r, "x\r\n", "ken@example.test", NULL), OK);
	disk_fail_sync_after(d, 1);
	got = rig_ask(&r, MX_PEER, rig_commit(&r, 7, BYTES("y\r\n"), "ken@example.test", NULL));
	assert_int_equal(got.result, LOST);
	assert_true(disk_sync_failed(d));
	assert_true(store_failed(r.store, &why));
	assert_true(why.text[0] != 0);
	/* it is at its end: nothing is tried again, everybody hears LOST */
	ended = disk_steps(d);
	got = rig_ask(&r, MX_PEER, (struct ask){.kind = ASK_COMMITTED});
	assert_int_equal(got.result, LOST);
	assert_false(store_write_waits(r.store));
	assert_int_equal(disk_steps(d), ended);
	/* the next process finds what was answered, and perhaps the other */
	rig_close(&r);
	disk_process_end(d);
	rig_open(&r);
	rig_login(&r, 1);
	assert_true(rig_status(&r, "INBOX").messages >= 1);
	assert_int_equal(rig_mail(&r, "z\r\n", "ken@example.test", NULL), OK);
	done(&r, &d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_full_disk_lets_people_tidy_up),
	        cmocka_unit_test(a_bad_sector_costs_one_mail),
	        cmocka_unit_test(an_unreadable_segment_is_not_removed),
	        cmocka_unit_test(a_failed_sync_is_never_an_ok),
	};

	return TEST_MAIN(tests);
}
