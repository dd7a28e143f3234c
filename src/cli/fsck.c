/* hikyaku -C DIR fsck: proves that log, index and queue agree, while the server is stopped.
 *
 * It reads every record of the log, opens the store (which replays what the index lacks, or
 * makes the
 * index anew), reads every mail and counts every mailbox. What is derived is put right; what
 * the disk
 * lost is named. Exit 0: all is well, or is now; 1: mail is lost, or it could not be done. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/cli.h"
#include "roles/config_reader.h"
#include "store/store.h"
#include "sys/clock.h"
#include "sys/random.h"

struct fsck {
	const char *directory;
	int root, data, lock;
	struct config *config;
	struct file_system *fs;
	uint64_t records, octets;
	struct blob_report log;
	struct store_report opened;
	struct store_check check;
	json_t *complaints;
};

/* ---- what must be so first ---- */

static enum result open_folder(int root, const char *name, int *ret, struct why *why)
{
	*ret = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *ret >= 0 ? OK : why_set(why, NOT_FOUND, "%s: %s", name, strerror(errno));
}

/* The same lock as master's: a running server is never looked at from outside. */
static enum result take_lock(struct fsck *f, struct why *why)
{
	char pid[24] = "";
	ssize_t len;
	int run = openat(f->root, "run", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	f->lock = run < 0 ? -1
	                  : openat(run, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (run >= 0)
		close(run);
	if (f->lock < 0)
		return why_set(why, FAILED, "run/lock: %s", strerror(errno));
	if (flock(f->lock, LOCK_EX | LOCK_NB) == 0)
		return OK;
	len = pread(f->lock, pid, sizeof(pid) - 1, 0);
	pid[len > 0 ? strcspn(pid, "\n") : 0] = '\0';
	return why_set(why, EXISTS,
	               "the server is running here (pid %s): stop it first, fsck reads the files "
	               "themselves",
	               pid);
}

static enum result load_config(struct fsck *f, struct why *why)
{
	struct file_system *etc;
	int fd;
	enum result result = open_folder(f->root, "etc", &fd, why);

	if (result != OK)
		return result;
	etc = file_system_real_new(fd);
	close(fd);
	result = config_reader_load(etc, NULL, &f->config, why);
	file_system_free(&etc);
	return result;
}

/* As root: become who owns the data, so that what is written anew is the server's. */
static enum result become_owner(struct fsck *f, struct why *why)
{
	struct stat st;

	if (fstat(f->data, &st) != 0)
		return why_set(why, FAILED, "data: %s", strerror(errno));
	if (geteuid() != 0 || st.st_uid == 0)
		return OK;
	if (setgroups(0, NULL) != 0 || setgid(st.st_gid) != 0 || setuid(st.st_uid) != 0)
		return why_set(why, FAILED, "becoming uid %u: %s", st.st_uid, strerror(errno));
	return OK;
}

/* ---- looking ---- */

static enum result count_record(void *context, const struct blob_record *r, struct why *why)
{
	struct fsck *f = context;

	(void)why;
	f->records++;
	f->octets += r->effects.len + r->block.stored;
	return OK;
}

static void complain(void *context, const char *text)
{
	struct fsck *f = context;

	fprintf(stderr, "hikyaku: %s\n", text);
	json_array_append_new(f->complaints, json_string(text));
}

static enum result check_log(struct fsck *f, struct why *why)
{
	enum result result = blob_log_check(f->fs, count_record, f, &f->log, why);

	if (result == NOT_FOUND) /* a server that never ran */
		return OK;
	if (f->log.damaged)
		complain(f, f->log.first_damage.text);
	return result;
}

static enum result check_store(struct fsck *f, struct why *why)
{
	struct store_options o = {.config = f->config, .readers = 1};
	struct store *store;
	enum result result;

	random_fill(o.seed, sizeof(o.seed));
	result = store_open(f->fs, &o, clock_now(), &store, &f->opened, why);
	if (result != OK)
		return result;
	if (f->opened.log.damaged && !f->log.damaged)
		complain(f, f->opened.log.first_damage.text);
	result = store_verify(store, true, complain, f, &f->check, why);
	store_free(&store);
	return result;
}

static enum result run(struct fsck *f, struct why *why)
{
	enum result result;

	f->root = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->root < 0)
		return why_set(why, NOT_FOUND, "%s: %s", f->directory, strerror(errno));
	/* Root reads nothing of what store may have written, not even etc/. */
	if ((result = take_lock(f, why)) != OK ||
	    (result = open_folder(f->root, "data", &f->data, why)) != OK ||
	    (result = become_owner(f, why)) != OK || (result = load_config(f, why)) != OK)
		return result;
	f->fs = file_system_real_new(f->data);
	if ((result = check_log(f, why)) != OK)
		return result;
	return check_store(f, why);
}

/* ---- saying it ---- */

static bool lost_something(const struct fsck *f)
{
	return f->log.damaged || f->log.missing || f->opened.log.damaged || f->check.damaged ||
	       f->check.dangling;
}

static void say_json(const struct fsck *f)
{
	json_t *o = json_pack(
	        "{s:b,s:I,s:I,s:I,s:I,s:I,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O}", "well",
	        !lost_something(f), "segments", (json_int_t)f->log.segments, "records",
	        (json_int_t)f->records, "torn_octets", (json_int_t)f->log.torn, "damaged_places",
	        (json_int_t)f->log.damaged, "missing_segments", (json_int_t)f->log.missing,
	        "index_rebuilt", (int)f->opened.rebuilt, "replayed",
	        (json_int_t)f->opened.log.records, "accounts", (json_int_t)f->opened.accounts,
	        "mailboxes", (json_int_t)f->opened.mailboxes, "queue",
	        (json_int_t)f->opened.entries, "mails", (json_int_t)f->check.mails, "damaged_mails",
	        (json_int_t)f->check.damaged, "dangling", (json_int_t)f->check.dangling,
	        "figures_repaired", (json_int_t)f->check.repaired, "complaints", f->complaints);

	json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	printf("\n");
	json_decref(o);
}

static void say_repairs(const struct fsck *f)
{
	if (f->log.torn)
		printf("repaired: %llu octets of a group that never became durable were cut off\n",
		       (unsigned long long)f->log.torn);
	if (f->opened.rebuilt)
		printf("repaired: the index was missing or unusable; it was made anew from the "
		       "log\n");
	else if (f->opened.log.records)
		printf("repaired: %llu records that the index lacked were replayed\n",
		       (unsigned long long)f->opened.log.records);
	if (f->opened.orphans)
		printf("repaired: %llu files of mails that never became durable were removed\n",
		       (unsigned long long)f->opened.orphans);
	if (f->check.repaired)
		printf("repaired: the figures of %llu mailboxes\n",
		       (unsigned long long)f->check.repaired);
}

static void say_text(const struct fsck *f)
{
	printf("log: %u segments, %llu records, %llu damaged places, %llu segments missing\n",
	       f->log.segments, (unsigned long long)f->records, (unsigned long long)f->log.damaged,
	       (unsigned long long)f->log.missing);
	printf("index: %llu accounts, %llu mailboxes, %llu mails\n",
	       (unsigned long long)f->opened.accounts, (unsigned long long)f->opened.mailboxes,
	       (unsigned long long)f->opened.mails);
	printf("queue: %llu entries, %llu places or entries without a mail\n",
	       (unsigned long long)f->opened.entries, (unsigned long long)f->check.dangling);
	printf("mails: %llu read, %llu octets, %llu damaged\n", (unsigned long long)f->check.mails,
	       (unsigned long long)f->check.octets, (unsigned long long)f->check.damaged);
	say_repairs(f);
	printf("%s\n", lost_something(f) ? "mail is lost: see above" : "all is well");
}

static void done(struct fsck *f)
{
	file_system_free(&f->fs);
	config_free(&f->config);
	if (f->data >= 0)
		close(f->data);
	if (f->lock >= 0)
		close(f->lock);
	if (f->root >= 0)
		close(f->root);
	json_decref(f->complaints);
}

int cli_fsck(struct cli *c)
{
	struct fsck f = {.directory = c->directory,
	                 .root = -1,
	                 .data = -1,
	                 .lock = -1,
	                 .complaints = json_array()};
	struct why why = {0};
	enum result result = run(&f, &why);
	int code = CLI_DONE;

	if (result != OK)
		code = cli_fail(&why);
	else if (c->json)
		say_json(&f);
	else
		say_text(&f);
	if (result == OK && lost_something(&f))
		code = CLI_FAILED;
	done(&f);
	return code;
}
