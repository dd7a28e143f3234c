/* ADMIN: commands of the command line and the console. Rows are JSON objects, one a line. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/alarm.h"
#include "store/ban.h"
#include "store/check.h"
#include "store/dmarc.h"
#include "store/escrow.h"
#include "store/life.h"

enum { ROWS_MAX = LIMIT_LIST - 4096 };

/* ---- rows ---- */

json_t *admin_text(struct bytes b)
{
	json_t *t = json_stringn(b.ptr ? b.ptr : "", b.len);

	return t ? t : json_string("(not UTF-8)");
}

/* Appends the object and lets go of it; false: the page is full. */
bool admin_row(struct buf *rows, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
	bool fits = text && buf_len(rows) + strlen(text) + 1 <= ROWS_MAX;

	if (fits) {
		buf_append_text(rows, text);
		buf_append_char(rows, '\n');
	}
	free(text);
	json_decref(object);
	return fits;
}

void admin_rows_done(struct job *j, struct buf *rows)
{
	j->answer.admin.rows = arena_copy(&j->arena, buf_bytes(rows));
	buf_done(rows);
}

/* ---- status ---- */

static enum result admin_status(struct store *s, struct job *j, struct why *why)
{
	struct arena arena = {0};
	struct blob_segment *segments;
	size_t count = blob_segment_list(s->log, &arena, &segments);
	struct buf rows = {0};
	uint64_t octets = 0, space = 0;
	json_t *o;

	for (size_t i = 0; i < count; i++)
		octets += segments[i].size;
	arena_done(&arena);
	if (file_space(s->fs, &space, why) != OK)
		space = 0;
	o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:I}", "accounts",
	              (json_int_t)s->accounts.count, "mailboxes", (json_int_t)s->mailboxes.count,
	              "queue_ready", (json_int_t)queue_count(s, ENTRY_READY), "queue_held",
	              (json_int_t)queue_count(s, ENTRY_HELD), "queue_carry",
	              (json_int_t)queue_count(s, ENTRY_CARRY), "queue_parked",
	              (json_int_t)queue_count(s, ENTRY_PARKED), "segments", (json_int_t)count,
	              "log_octets", (json_int_t)octets, "space_octets", (json_int_t)space,
	              "disk_full", blob_log_full(s->log), "spool_octets",
	              (json_int_t)s->spool_octets);
	json_object_set_new(o, "incidents", json_integer((json_int_t)s->incidents.count));
	ledger_status(s, o);
	learn_status(s, o);
	bans_status(s, o);
	admin_row(&rows, o);
	admin_rows_done(j, &rows);
	return OK;
}

/* ---- accounts ---- */

static int by_id(const void *a, const void *b)
{
	uint64_t x = (*(struct account *const *)a)->id, y = (*(struct account *const *)b)->id;

	return x < y ? -1 : x > y;
}

static json_t *account_row(const struct account *a)
{
	uint64_t messages = 0;

	for (size_t i = 0; i < a->mailbox_count; i++)
		messages += a->mailboxes[i]->now.messages;
	return json_pack("{s:I,s:o,s:I,s:I,s:b,s:I,s:I}", "id", (json_int_t)a->id, "address",
	                 admin_text(a->now.address), "quota", (json_int_t)a->now.quota, "used",
	                 (json_int_t)a->now.used, "suspended", (int)a->now.suspended, "mailboxes",
	                 (json_int_t)a->mailbox_count, "messages", (json_int_t)messages);
}

static enum result admin_account_list(struct store *s, struct job *j, struct why *why)
{
	struct account **list = arena_get(&j->arena, (s->accounts.count + 1) * sizeof(*list));
	struct buf rows = {0};
	struct map_entry *e;
	size_t count = 0;

	(void)why;
	for (size_t at = 0; (e = map_each(&s->accounts, &at));) {
		struct account *a = e->value;

		if (!a->born && a->id > j->ask.admin.number)
			list[count++] = a;
	}
	qsort(list, count, sizeof(*list), by_id);
	for (size_t i = 0; i < count; i++) {
		if (!admin_row(&rows, account_row(list[i]))) {
			j->answer.admin.next = list[i - 1]->id;
			break;
		}
	}
	admin_rows_done(j, &rows);
	return OK;
}

/* ---- files under etc/ ---- */

static bool file_name_valid(struct bytes name)
{
	return config_source_wanted(name) && name.len < 400 &&
	       bytes_find(name, BYTES("..")) == BYTES_NONE && name.ptr[0] != '/' &&
	       bytes_find_char(name, '\0') == BYTES_NONE;
}

static enum result make_folders(struct file_system *etc, struct arena *arena, struct bytes name,
                                struct why *why)
{
	for (size_t i = 1; i < name.len; i++) {
		enum result result;

		if (name.ptr[i] != '/')
			continue;
		result = file_make_directory(etc, arena_text(arena, bytes_first(name, i)), why);
		if (result != OK && result != EXISTS)
			return result;
	}
	return OK;
}

/* .history/virtual.1732352400000; the folder of dot files is flattened with % for /. */
static enum result keep_old(struct file_system *etc, struct job *j, const char *name,
                            struct why *why)
{
	struct buf old = {0};
	char *copy = arena_text(
	        &j->arena, arena_printf(&j->arena, ".history/%s.%lld", name, (long long)j->now));
	enum result result = file_read_all(etc, name, 16 * 1024 * 1024, &old, why);

	for (char *p = copy + strlen(".history/"); *p; p++) {
		if (*p == '/')
			*p = '%';
	}
	if (result == OK) {
		result = file_make_directory(etc, ".history", why);
		if (result == OK || result == EXISTS)
			result = file_write_all(etc, copy, buf_bytes(&old), why);
	} else if (result == NOT_FOUND) {
		result = OK;
	}
	buf_done(&old);
	return result;
}

static enum result admin_file_put(struct store *s, struct job *j, struct why *why)
{
	struct file_system *etc = s->options.etc;
	struct bytes name = j->ask.admin.subject;
	enum result result;

	if (!etc)
		return why_set(why, DENIED, "this store may not write etc/");
	if (!file_name_valid(name))
		return why_set(why, INVALID, "that is no file of the configuration");
	result = make_folders(etc, &j->arena, name, why);
	if (result == OK)
		result = keep_old(etc, j, arena_text(&j->arena, name), why);
	if (result == OK)
		result = file_replace(etc, arena_text(&j->arena, name), FILE_PUBLIC,
		                      j->ask.admin.value, why);
	return result;
}

/* ---- upkeep on demand ---- */

static enum result admin_sweep(struct store *s, struct job *j, struct why *why)
{
	(void)j;
	(void)why;
	store_hold(s);
	s->upkeep.sweep_wanted = true;
	store_let(s);
	return OK;
}

/* One image at a time: they are written under one name until they are whole. */
static enum result admin_image(struct store *s, struct job *j, struct why *why)
{
	if (s->upkeep.image_running)
		return why_set(why, UNAVAILABLE, "an image is being written already");
	s->upkeep.image_running = true;
	j->later = true;
	j->run = image_write;
	job_put(&s->reads, j);
	return OK;
}

/* ---- the table ---- */

enum admin_way { ADMIN_HERE, ADMIN_READ, ADMIN_WRITE };

static const struct {
	enum admin_way way;
	job_function *run;
} admin_verbs[] = {
        [ADMIN_STATUS] = {ADMIN_HERE, admin_status},
        [ADMIN_ACCOUNT_LIST] = {ADMIN_HERE, admin_account_list},
        [ADMIN_ACCOUNT_REMOVE] = {ADMIN_WRITE, admin_account_remove},
        [ADMIN_ACCOUNT_QUOTA] = {ADMIN_WRITE, admin_account_quota},
        [ADMIN_ACCOUNT_SUSPEND] = {ADMIN_WRITE, admin_account_suspend},
        [ADMIN_QUEUE_LIST] = {ADMIN_READ, admin_queue_list},
        [ADMIN_QUEUE_SHOW] = {ADMIN_READ, admin_queue_show},
        [ADMIN_QUEUE_WHY] = {ADMIN_READ, admin_queue_show},
        [ADMIN_QUEUE_RETRY] = {ADMIN_READ, admin_queue_act},
        [ADMIN_QUEUE_HOLD] = {ADMIN_READ, admin_queue_act},
        [ADMIN_QUEUE_RELEASE] = {ADMIN_READ, admin_queue_act},
        [ADMIN_QUEUE_REMOVE] = {ADMIN_READ, admin_queue_act},
        [ADMIN_QUEUE_REDIRECT] = {ADMIN_READ, admin_queue_act},
        [ADMIN_QUEUE_SUMMARY] = {ADMIN_READ, admin_queue_summary},
        [ADMIN_FILE_PUT] = {ADMIN_READ, admin_file_put},
        [ADMIN_CHECKPOINT] = {ADMIN_HERE, admin_image},
        [ADMIN_SWEEP] = {ADMIN_WRITE, admin_sweep},
        [ADMIN_INCIDENTS] = {ADMIN_READ, admin_incidents},
        [ADMIN_INCIDENT_SHOW] = {ADMIN_READ, admin_incident_show},
        [ADMIN_INCIDENT_CLOSE] = {ADMIN_WRITE, admin_incident_close},
        [ADMIN_INCIDENT_ACK] = {ADMIN_WRITE, admin_incident_ack},
        [ADMIN_ALARMS] = {ADMIN_READ, admin_alarms},
        [ADMIN_ALARM_DONE] = {ADMIN_WRITE, admin_alarm_done},
        [ADMIN_ALARM_TEST] = {ADMIN_WRITE, admin_alarm_test},
        [ADMIN_SENDING] = {ADMIN_READ, admin_sending},
        [ADMIN_TRACE] = {ADMIN_HERE, admin_trace},
        [ADMIN_DMARC] = {ADMIN_READ, admin_dmarc},
        [ADMIN_SENDERS] = {ADMIN_HERE, admin_senders},
        [ADMIN_ESCROW_LIST] = {ADMIN_READ, admin_escrow_list},
        [ADMIN_ESCROW_SHOW] = {ADMIN_READ, admin_escrow_show},
        [ADMIN_ESCROW_READ] = {ADMIN_READ, admin_escrow_read},
        [ADMIN_ESCROW_RELEASE] = {ADMIN_READ, admin_escrow_release},
        [ADMIN_BANS] = {ADMIN_HERE, admin_bans},
        [ADMIN_BAN_WHY] = {ADMIN_HERE, admin_ban_why},
        [ADMIN_BAN_LIFT] = {ADMIN_WRITE, admin_ban_lift},
        [ADMIN_BAN_ADD] = {ADMIN_WRITE, admin_ban_add},
        [ADMIN_BAN_DRILL] = {ADMIN_HERE, admin_ban_drill},
        [ADMIN_BAN_JAIL] = {ADMIN_WRITE, admin_ban_jail},
        [ADMIN_JAILS] = {ADMIN_READ, admin_jails},
        [ADMIN_CHECKS] = {ADMIN_HERE, admin_checks},
        [ADMIN_CHECK_RESTORE] = {ADMIN_WRITE, admin_check_restore},
};

enum result run_admin(struct store *s, struct job *j, struct why *why)
{
	unsigned verb = j->ask.admin.verb;

	if (verb >= sizeof(admin_verbs) / sizeof(*admin_verbs) || !admin_verbs[verb].run)
		return why_set(why, INVALID, "the store has no such command");
	if (admin_verbs[verb].way == ADMIN_HERE)
		return admin_verbs[verb].run(s, j, why);
	j->later = true;
	j->run = admin_verbs[verb].run;
	j->urgent = admin_verbs[verb].way == ADMIN_WRITE;
	job_put(admin_verbs[verb].way == ADMIN_READ ? &s->reads : &s->writes, j);
	return OK;
}
