/* What db/db.h promises, through nothing but that header, on the real file system. */
#include "../test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "db/db.h"

struct rig {
	char folder[64];
	int fd;
	struct file_system *fs;
	struct db *db;
};

static struct rig rig(void)
{
	struct rig r = {0};
	struct why why = {0};

	snprintf(r.folder, sizeof(r.folder), "/tmp/hikyaku-db-XXXXXX");
	assert_non_null(mkdtemp(r.folder));
	r.fd = open(r.folder, O_RDONLY | O_DIRECTORY);
	r.fs = file_system_real_new(r.fd);
	if (db_open(r.fs, "t.db", DB_WRITE, &r.db, &why) != OK)
		fail_msg("%s", why.text);
	assert_int_equal(db_run(r.db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB, c)", &why),
	                 OK);
	return r;
}

static void done(struct rig *r)
{
	char command[128];

	db_free(&r->db);
	file_system_free(&r->fs);
	close(r->fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", r->folder);
	assert_int_equal(system(command), 0);
}

static void add(struct db *db, uint64_t a, struct bytes b, int64_t c)
{
	struct db_query *q = db_query(db, "INSERT INTO t VALUES(?, ?, ?)");

	db_bind(q, "ubi", a, b, c);
	db_execute(q);
}

static uint64_t count(struct db *db)
{
	struct db_query *q = db_query(db, "SELECT COUNT(*) FROM t");
	uint64_t n;

	db_bind(q, "");
	assert_true(db_next(q));
	n = db_u64(q, 0);
	db_end(q);
	return n;
}

static void values_come_back(void **state)
{
	struct rig r = rig();
	struct db_query *q;
	struct why why;

	(void)state;
	db_begin(r.db);
	add(r.db, 1, BYTES("a\0b"), -5);
	add(r.db, (uint64_t)1 << 62, (struct bytes){0}, INT64_MIN);
	assert_int_equal(db_commit(r.db, &why), OK);
	q = db_query(r.db, "SELECT a, b, c FROM t ORDER BY a");
	db_bind(q, "");
	assert_true(db_next(q));
	assert_int_equal(db_u64(q, 0), 1);
	assert_bytes(db_bytes(q, 1), BYTES("a\0b"));
	assert_true(db_i64(q, 2) == -5);
	assert_true(db_next(q));
	assert_true(db_u64(q, 0) == (uint64_t)1 << 62);
	assert_int_equal(db_bytes(q, 1).len, 0);
	assert_true(db_i64(q, 2) == INT64_MIN);
	assert_false(db_next(q));
	assert_true(db_next(q)); /* it is rewound */
	db_end(q);
	done(&r);
}

static void nobody_sees_what_is_not_committed(void **state)
{
	struct rig r = rig();
	struct db *reader;
	struct why why = {0};

	(void)state;
	assert_int_equal(db_open(r.fs, "t.db", DB_READ, &reader, &why), OK);
	db_begin(r.db);
	add(r.db, 1, BYTES("x"), 0);
	assert_int_equal(count(r.db), 1);
	assert_int_equal(count(reader), 0);
	assert_int_equal(db_commit(r.db, &why), OK);
	assert_int_equal(count(reader), 1);
	db_begin(r.db);
	add(r.db, 2, BYTES("y"), 0);
	db_rollback(r.db);
	assert_int_equal(count(r.db), 1);
	/* a snapshot stays what it was */
	db_snapshot(reader);
	assert_int_equal(count(reader), 1);
	db_begin(r.db);
	add(r.db, 3, BYTES("z"), 0);
	assert_int_equal(db_commit(r.db, &why), OK);
	assert_int_equal(count(reader), 1);
	db_snapshot_end(reader);
	assert_int_equal(count(reader), 2);
	db_free(&reader);
	done(&r);
}

static void one_writes_the_others_cannot(void **state)
{
	struct rig r = rig();
	struct db *other;
	struct why why = {0};

	(void)state;
	assert_int_equal(db_open(r.fs, "t.db", DB_WRITE, &other, &why), EXISTS);
	assert_int_equal(db_open(r.fs, "t.db", DB_READ, &other, &why), OK);
	add(other, 1, BYTES("x"), 0);
	assert_int_not_equal(db_failed(other, &why), OK);
	assert_int_equal(count(r.db), 0);
	db_free(&other);
	done(&r);
}

static void failures_are_kept_until_rollback(void **state)
{
	struct rig r = rig();
	struct why why = {0};

	(void)state;
	db_begin(r.db);
	add(r.db, 1, BYTES("x"), 0);
	add(r.db, 1, BYTES("the same key"), 0);
	assert_int_not_equal(db_failed(r.db, &why), OK);
	assert_int_not_equal(db_commit(r.db, &why), OK);
	db_rollback(r.db);
	assert_int_equal(db_failed(r.db, &why), OK);
	assert_int_equal(count(r.db), 0);
	done(&r);
}

static void checkpoints_empty_the_wal(void **state)
{
	struct rig r = rig();
	struct why why = {0};
	char big[3000] = "";

	(void)state;
	for (uint64_t i = 1; i < 200; i++) {
		db_begin(r.db);
		add(r.db, i, bytes_of(big, sizeof(big)), 0);
		assert_int_equal(db_commit(r.db, &why), OK);
	}
	assert_true(db_wal_pages(r.db) > 150);
	assert_int_equal(db_checkpoint(r.db, &why), OK);
	assert_int_equal(db_wal_pages(r.db), 0);
	assert_int_equal(db_check(r.db, &why), OK);
	db_free(&r.db);
	assert_int_equal(db_open(r.fs, "t.db", DB_WRITE, &r.db, &why), OK);
	assert_int_equal(count(r.db), 199);
	done(&r);
}

static void what_is_no_database_is_damaged(void **state)
{
	struct rig r = rig();
	struct file *f;
	struct db *db = NULL;
	struct why why = {0};
	enum result result;

	(void)state;
	assert_int_equal(file_open(r.fs, "junk.db", FILE_WRITE | FILE_CREATE, &f, &why), OK);
	assert_int_equal(file_write(f, 0,
	                            BYTES("this is not what SQLite writes, by far, it is a"
	                                  " text of more than a hundred octets, so that"
	                                  " nobody can take it for an empty file."),
	                            &why),
	                 OK);
	file_close(&f);
	result = db_open(r.fs, "junk.db", DB_WRITE, &db, &why);
	assert_int_equal(result, DAMAGED);
	assert_int_equal(db_remove(r.fs, "junk.db", &why), OK);
	assert_int_equal(db_open(r.fs, "junk.db", DB_WRITE, &db, &why), OK);
	db_free(&db);
	done(&r);
}

/* Two readers on threads while the writer commits and checkpoints: each sees whole transactions. */
struct reading {
	struct rig *rig;
	bool odd;
	volatile bool *stop;
};

static void *read_pairs(void *context)
{
	struct reading *reading = context;
	struct db *db;
	struct why why;

	if (db_open(reading->rig->fs, "t.db", DB_READ, &db, &why) != OK)
		return NULL;
	while (!*reading->stop) {
		struct db_query *q = db_query(db, "SELECT COUNT(*) FROM t");

		db_bind(q, "");
		if (!db_next(q) || db_u64(q, 0) % 2)
			reading->odd = true;
		db_end(q);
	}
	if (db_failed(db, &why) != OK)
		reading->odd = true;
	db_free(&db);
	return NULL;
}

static void readers_on_threads_see_whole_transactions(void **state)
{
	struct rig r = rig();
	volatile bool stop = false;
	struct reading readings[2] = {{&r, false, &stop}, {&r, false, &stop}};
	pthread_t threads[2];
	struct why why;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &readings[i]), 0);
	for (uint64_t i = 1; i < 600; i += 2) {
		db_begin(r.db);
		add(r.db, i, BYTES("one"), 0);
		add(r.db, i + 1, BYTES("two"), 0);
		assert_int_equal(db_commit(r.db, &why), OK);
		if (i % 50 == 1) {
			enum result result = db_checkpoint(r.db, &why);

			assert_true(result == OK || result == UNAVAILABLE);
		}
	}
	stop = true;
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_false(readings[i].odd);
	}
	done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(values_come_back),
	        cmocka_unit_test(nobody_sees_what_is_not_committed),
	        cmocka_unit_test(one_writes_the_others_cannot),
	        cmocka_unit_test(failures_are_kept_until_rollback),
	        cmocka_unit_test(checkpoints_empty_the_wal),
	        cmocka_unit_test(what_is_no_database_is_damaged),
	        cmocka_unit_test(readers_on_threads_see_whole_transactions),
	};

	return TEST_MAIN(tests);
}
