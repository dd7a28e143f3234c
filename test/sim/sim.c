/* The crash simulator: a whole store over a disk that loses power at any write and sync, under random operations; after
 * each crash everything that was answered must be there, and what was not answered wholly or not at all.
 *
 *	test_sim                    all scenarios, in TAP
 *	test_sim SCENARIO SEED [N]  one run, with what happened; N: the step of the cut
 *
 * SIM_TRACE=1 tells each step of the disk. SIM_SAVE=folder keeps the disk of a run that failed. SIM_FIRST is the first
 * seed (1), SIM_RUNS scales how many seeds run (100 is what `make test` does). A seed reproduces a run. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "carry.h"
#include "flow.h"
#include "front.h"

static bool verbose;

static void tell(const char *format, ...) PRINTF(1, 2);
static void tell(const char *format, ...)
{
	va_list args;

	if (!verbose)
		return;
	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

/* ---- making operations up ---- */

static bool pick_mails(struct world *w, struct op *o)
{
	const struct model_box *b;

	for (int tries = 0; tries < 8; tries++) {
		o->account = (unsigned)world_draw(w, ACCOUNTS);
		o->box = (unsigned)world_draw(w, BOXES);
		b = &w->model.boxes[o->account][o->box];
		if (b->exists && b->count)
			break;
	}
	b = &w->model.boxes[o->account][o->box];
	if (!b->exists || !b->count)
		return false;
	for (unsigned i = 0; i < b->count && o->uid_count < UIDS; i++)
		if (b->mails[i].uid && world_draw(w, 2))
			o->uids[o->uid_count++] = b->mails[i].uid;
	for (unsigned i = 1; i < o->uid_count; i++)
		for (unsigned k = i; k && o->uids[k] < o->uids[k - 1]; k--) {
			uint32_t swap = o->uids[k];

			o->uids[k] = o->uids[k - 1];
			o->uids[k - 1] = swap;
		}
	return o->uid_count > 0;
}

static void pick_box(struct world *w, struct op *o, bool exists)
{
	for (int tries = 0; tries < 12; tries++) {
		o->account = (unsigned)world_draw(w, ACCOUNTS);
		o->box = BOX_FIXED + (unsigned)world_draw(w, BOXES - BOX_FIXED);
		if (w->model.boxes[o->account][o->box].exists == exists)
			return;
	}
}

/* An entry of the queue, taken: SORTED wants its lease. */
static bool pick_entry(struct world *w, struct op *o)
{
	struct ask a = {.kind = ASK_TAKE};
	struct answer got;
	unsigned way = (unsigned)world_draw(w, 10);

	if (!w->model.entry_count)
		return false;
	w->now += 120000;
	store_tick(w->store, w->now);
	if (!world_call(w, SORTER, 0, &a, &got) || got.result != OK)
		return false;
	o->entry = got.take.entry;
	o->lease = got.take.lease;
	o->recipient = bytes_equal(got.take.rcpt, bytes_of_text(recipient_names[LIST])) ? LIST : 1;
	o->tag = world_tag(got.take.size);
	o->way = way == 0               ? WAY_DONE
	         : way == 1             ? WAY_DEFER
	         : o->recipient == LIST ? WAY_REDIRECT
	                                : WAY_PLACE;
	o->to = world_draw(w, 2) ? BOX_INBOX : (unsigned)world_draw(w, BOXES);
	o->flags = world_draw(w, 2) ? MAIL_SEEN : 0;
	o->account = 1;
	return true;
}

/* Whom it is released to: all, or one of them. */
static bool pick_escrow(struct world *w, struct op *o)
{
	struct model_escrow list[ESCROWS];
	char mails[ESCROWS][24];
	unsigned count, at;

	if (!w->model.escrow_count || w->model.entry_count + 2 * OPS >= ENTRIES)
		return false;
	if (!world_escrow(w, list, mails, &count) || !count)
		return false;
	at = (unsigned)world_draw(w, count);
	o->tag = list[at].tag;
	o->recipients = (1u << RECIPIENTS) - 1;
	if (world_draw(w, 2))
		o->recipients = 1u << world_draw(w, RECIPIENTS);
	memcpy(o->mail, mails[at], sizeof(o->mail));
	return true;
}

static bool in_escrow(const struct world *w, uint32_t tag)
{
	for (unsigned i = 0; i < w->model.escrow_count; i++)
		if (w->model.escrow[i].tag == tag)
			return true;
	return false;
}

static void make_mail(struct world *w, struct op *o)
{
	do
		o->tag = w->next_tag++ % TAGS;
	while (in_escrow(w, o->tag));
	w->model.delivered[o->tag] = 0;
	for (unsigned i = 0; i < sizeof(o->key); i++)
		o->key[i] = (char)world_draw(w, 256);
}

static bool make_op(struct world *w, struct op *o)
{
	static const enum op_kind kinds[] = {
	        OP_COMMIT, OP_COMMIT, OP_COMMIT,  OP_APPEND, OP_APPEND, OP_FLAGS,
	        OP_FLAGS,  OP_FLAGS,  OP_EXPUNGE, OP_COPY,   OP_COPY,   OP_SORTED,
	        OP_SORTED, OP_SORTED, OP_CREATE,  OP_DELETE, OP_RENAME, OP_IMAGE,
	        OP_SWEEP,  OP_ESCROW, OP_RELEASE, OP_RELEASE};

	*o = (struct op){.kind = kinds[world_draw(w, sizeof(kinds) / sizeof(kinds[0]))]};
	o->flags = (uint8_t)world_draw(w, 32);
	o->keywords = (uint8_t)world_draw(w, 8);
	switch (o->kind) {
	case OP_COMMIT:
		make_mail(w, o);
		o->recipients = 1 + (unsigned)world_draw(w, 7);
		o->junk = world_chance(w, 10);
		return w->model.entry_count + 2 * OPS < ENTRIES || o->recipients == 1;
	case OP_APPEND:
		make_mail(w, o);
		pick_box(w, o, true);
		if (world_draw(w, 2))
			o->box = BOX_INBOX;
		return true;
	case OP_FLAGS:
		o->mode = (enum flags_mode)world_draw(w, 3);
		if (world_chance(w, 40))
			o->flags |= MAIL_DELETED;
		return pick_mails(w, o);
	case OP_EXPUNGE:
		/* "All" would or would not mean mails that are still on their way in the same batch. */
		if (pick_mails(w, o) && world_chance(w, 60) && !w->op_count)
			o->uid_count = 0;
		return o->uid_count || !w->op_count;
	case OP_COPY:
		o->move = world_draw(w, 2);
		o->to = (unsigned)world_draw(w, BOXES);
		return pick_mails(w, o) && o->to != o->box;
	case OP_CREATE: pick_box(w, o, false); return true;
	case OP_DELETE: pick_box(w, o, true); return world_chance(w, 40);
	case OP_RENAME:
		pick_box(w, o, true);
		o->to = BOX_FIXED + (unsigned)world_draw(w, BOXES - BOX_FIXED);
		return o->to != o->box;
	case OP_SORTED: return pick_entry(w, o);
	case OP_ESCROW:
		make_mail(w, o);
		o->recipients = 1 + (unsigned)world_draw(w, 7);
		return w->model.escrow_count + OPS < ESCROWS;
	case OP_RELEASE: return pick_escrow(w, o);
	default: return world_chance(w, 50);
	}
}

/* No box may overflow the model: old mails are expunged by and by. */
static bool crowded(const struct world *w)
{
	for (unsigned a = 0; a < ACCOUNTS; a++)
		for (unsigned b = 0; b < BOXES; b++)
			if (w->model.boxes[a][b].count > MAILS / 3)
				return true;
	return false;
}

/* ---- a batch: some operations at once, then what became of them ---- */

static void batch_put(struct world *w)
{
	unsigned want = 1 + (unsigned)world_draw(w, OPS);

	w->op_count = 0;
	for (unsigned tries = 0; w->op_count < want && tries < 3 * OPS && !world_down(w); tries++) {
		struct op *o = &w->ops[w->op_count];

		if (crowded(w) && tries > OPS)
			break;
		if (!make_op(w, o))
			continue;
		/* numbers of UIDs change with a mailbox's name: nothing else in such a batch */
		if ((o->kind == OP_RENAME || o->kind == OP_DELETE || o->kind == OP_CREATE) &&
		    w->op_count)
			continue;
		world_prepare(w, o);
		w->op_count++;
		if (o->kind == OP_RENAME || o->kind == OP_DELETE || o->kind == OP_CREATE)
			break;
	}
	for (unsigned i = 0; i < w->op_count; i++)
		world_put(w, &w->ops[i]);
}

static void batch_done(struct world *w)
{
	for (unsigned i = 0; i < w->op_count; i++) {
		buf_done(&w->ops[i].one);
		buf_done(&w->ops[i].two);
	}
	w->op_count = 0;
}

/* An answer that says no changes nothing; LOST says nothing. */
static bool in_doubt(const struct op *o)
{
	return !o->answered || o->result == LOST;
}

static void tell_ops(const struct world *w)
{
	for (unsigned i = 0; i < w->op_count; i++) {
		const struct op *o = &w->ops[i];

		tell("  %s a%u/%s to %s tag %u recipients %x (%s) way %u uids %u mode %u flags %x "
		     "keywords %x %s: %s",
		     op_name(o->kind), o->account, box_names[o->box], box_names[o->to], o->tag,
		     o->recipients, recipient_names[o->recipient], o->way, o->uid_count, o->mode,
		     o->flags, o->keywords, o->move ? "move" : "",
		     in_doubt(o) ? "in doubt" : result_name(o->result));
	}
}

/* The model after those that were answered OK, and those in doubt whose bit is set; in the order in which they were asked. */
static struct model *model_with(const struct world *w, unsigned doubtful)
{
	struct model *m = memory_get(sizeof(*m));
	unsigned bit = 0;

	*m = w->model;
	for (unsigned i = 0; i < w->op_count; i++) {
		const struct op *o = &w->ops[i];

		if (in_doubt(o) ? doubtful >> bit++ & 1 : o->result == OK)
			model_apply(m, o);
	}
	return m;
}

static void tell_seen(const struct seen *seen)
{
	for (unsigned a = 0; a < ACCOUNTS; a++)
		for (unsigned b = 0; b < BOXES; b++) {
			const struct seen_box *box = &seen->boxes[a][b];

			if (box->exists)
				tell("  a%u/%s validity %u next %u modseq %llu", a, box_names[b],
				     box->uidvalidity, box->uidnext,
				     (unsigned long long)box->modseq);
			for (unsigned i = 0; i < box->count; i++)
				tell("    uid %u mail %u flags %x keywords %x", box->mails[i].uid,
				     box->mails[i].tag, box->mails[i].flags,
				     box->mails[i].keywords);
		}
	for (unsigned i = 0; i < seen->entry_count; i++)
		tell("  entry mail %u for %s", seen->entries[i].tag,
		     recipient_names[seen->entries[i].recipient]);
}

static unsigned count_doubtful(const struct world *w)
{
	unsigned count = 0;

	for (unsigned i = 0; i < w->op_count; i++)
		count += in_doubt(&w->ops[i]);
	return count;
}

static void tell_dump(struct world *w)
{
	struct buf text = {0};

	if (verbose && store_dump(w->store, &text, NULL) == OK)
		printf("%.*s", BYTES_ARG(buf_bytes(&text)));
	buf_done(&text);
}

static bool removes_mail(const struct op *o)
{
	return o->kind == OP_EXPUNGE || o->kind == OP_SORTED || (o->kind == OP_COPY && o->move) ||
	       o->kind == OP_DELETE;
}

/* COMMITTED must say the same as the mailboxes: what a front does after LOST depends on it. done: bits of those in doubt. */
static void ask_committed(struct world *w, unsigned done)
{
	unsigned bit = 0;

	for (unsigned i = 0; i < w->op_count; i++)
		if (in_doubt(&w->ops[i]) && removes_mail(&w->ops[i]))
			return; /* it may have been there, and be gone again */
	for (unsigned i = 0; i < w->op_count && world_good(w); i++) {
		struct op *o = &w->ops[i];
		bool there = in_doubt(o) ? done >> bit++ & 1 : o->result == OK;
		enum result said;

		if (o->kind != OP_COMMIT && o->kind != OP_APPEND && o->kind != OP_ESCROW)
			continue;
		said = world_committed(w, o);
		if (said != LOST && said != (there ? OK : NOT_FOUND))
			world_broken(w, "%s of mail %u is %sthere, and COMMITTED says %s",
			             op_name(o->kind), o->tag, there ? "" : "not ",
			             result_name(said));
		else if (there && said == OK && world_chance(w, 30))
			world_repeat(w, o);
	}
}

/* Which of the operations in doubt were done? Some set of them must explain what is seen. */
static void settle(struct world *w, bool entries)
{
	struct seen *seen = memory_get(sizeof(*seen));
	struct why why = {{0}}, first = {{0}};
	unsigned doubtful = count_doubtful(w), ways = 1u << doubtful, way;

	tell_ops(w);
	if (world_look(w, seen, entries)) {
		if (disk_trace)
			tell_seen(seen);
		for (way = 0; way < ways; way++) {
			struct model *m = model_with(w, way);
			bool fits = model_fits(m, seen, &why) &&
			            model_holds(m, &w->model, seen, &why);

			if (!first.text[0])
				first = why;
			if (fits) {
				w->model = *m;
				w->in_doubt += doubtful;
				w->in_doubt_done += (unsigned)__builtin_popcount(way);
			}
			memory_free(m);
			if (fits)
				break;
		}
		if (way == ways) {
			tell_seen(seen);
			tell_dump(w);
			world_broken(w, "%s (%u in doubt)", first.text, doubtful);
		} else {
			tell("settled: %u in doubt, done %x", doubtful, way);
			ask_committed(w, way);
			batch_done(w);
		}
	}
	memory_free(seen);
}

/* ---- crashes ---- */

static void crash(struct world *w, bool power)
{
	w->crashes++;
	world_close(w);
	if (power)
		disk_power_cycle(w->disk);
	else
		disk_process_end(w->disk);
}

/* Opens until it is open; the power may go while it does. */
static void recover(struct world *w, unsigned chance)
{
	for (int tries = 0; world_good(w); tries++) {
		if (tries < 4 && world_chance(w, chance)) {
			disk_cut_after(w->disk, 1 + world_draw(w, 60));
			w->cuts_in_recovery++;
		} else {
			disk_cut_after(w->disk, 0);
		}
		if (world_open(w))
			break;
		if (tries > 8)
			world_broken(w, "it does not come up again");
		crash(w, true);
	}
	disk_cut_after(w->disk, 0);
}

/* The index is derived: without it everything must be as before. */
static void lose_index(struct world *w)
{
	static const char *const names[] = {"index.db", "index.db-wal", "index.db-shm",
	                                    "index.db-journal"};
	struct file_system *fs = disk_files(w->disk);
	unsigned gone = 0;

	for (unsigned i = 0; i < 4; i++)
		gone += file_remove(fs, names[i], NULL) == OK;
	if (file_directory_sync(fs, ".", NULL) != OK)
		world_broken(w, "the folder cannot be synced");
	tell("the index is gone (%u files)", gone);
}

static void after_crash(struct world *w, bool power)
{
	tell("crash (%s) at step %llu", power ? "power" : "process",
	     (unsigned long long)disk_steps(w->disk));
	tell_ops(w);
	crash(w, power);
	if (world_chance(w, 8))
		lose_index(w);
	for (int tries = 0; world_good(w) && tries < 6; tries++) {
		recover(w, tries ? 0 : 25);
		if (!world_good(w))
			return;
		settle(w, true);
		if (!world_down(w))
			return;
		crash(w, true);
	}
}

/* Dumps must agree: after a clean restart, and after the index was lost. */
static void compare_dumps(struct world *w, bool index)
{
	struct buf before = {0}, after = {0};
	struct why why = {{0}};

	if (store_dump(w->store, &before, &why) != OK)
		world_broken(w, "dump: %s", why.text);
	world_close(w);
	disk_process_end(w->disk);
	if (index)
		lose_index(w);
	if (!world_open(w) || store_dump(w->store, &after, &why) != OK)
		world_broken(w, "after %s: %s", index ? "losing the index" : "a restart", why.text);
	else if (!bytes_equal(buf_bytes(&before), buf_bytes(&after))) {
		world_broken(w, "the dump differs after %s",
		             index ? "losing the index" : "a restart");
		if (verbose)
			printf("---- before\n%.*s---- after\n%.*s", BYTES_ARG(buf_bytes(&before)),
			       BYTES_ARG(buf_bytes(&after)));
	}
	buf_done(&before);
	buf_done(&after);
}

static void complain(void *context, const char *text)
{
	world_broken(context, "verify: %s", text);
}

static void finish(struct world *w)
{
	struct store_check check;
	struct why why = {{0}};

	if (world_good(w))
		settle(w, true);
	if (world_good(w))
		world_read_all(w);
	if (world_good(w) && store_verify(w->store, false, complain, w, &check, &why) != OK)
		world_broken(w, "verify: %s", why.text);
	if (world_good(w))
		compare_dumps(w, false);
	if (world_good(w))
		compare_dumps(w, true);
	if (world_good(w))
		settle(w, true);
}

/* ---- scenarios ---- */

struct scenario {
	const char *name;
	unsigned runs; /* at SIM_RUNS=100 */
	void (*run)(struct world *w, uint64_t cut);
};

static bool begin(struct world *w)
{
	recover(w, 0);
	if (world_good(w) && !world_accounts(w))
		world_broken(w, "accounts cannot be made");
	if (world_good(w))
		settle(w, true);
	return world_good(w);
}

static void one_batch(struct world *w)
{
	w->now += (time_ms)world_draw(w, 600000);
	batch_put(w);
	world_run(w);
}

/* The power goes again and again, at steps drawn from the seed. */
static void run_power(struct world *w, uint64_t unused)
{
	if (!begin(w))
		return;
	for (unsigned n = 0; n < 24 && world_good(w); n++) {
		bool power = true;

		if (world_chance(w, 45))
			disk_cut_after(w->disk, 1 + world_draw(w, 30));
		one_batch(w);
		if (!world_down(w) && world_chance(w, 8)) {
			power = world_draw(w, 2);
			after_crash(w, power);
		} else if (world_down(w)) {
			after_crash(w, true);
		} else {
			struct store_peer sorter = {.role = SORTER};

			disk_cut_after(w->disk, 0);
			store_peer_lost(w->store, sorter);
			settle(w, n % 4 == 3);
			if (world_down(w))
				after_crash(w, true);
		}
	}
	finish(w);
}

/* The same work each time, and the power goes at one step: all steps, one after the other (see main). */
static void run_every_step(struct world *w, uint64_t cut)
{
	if (cut)
		disk_cut_after(w->disk, cut);
	if (!world_open(w)) {
		if (!world_good(w))
			return;
		crash(w, true);
		recover(w, 0);
	}
	if (world_good(w) &&
	    !world_accounts(w)) { /* cut among the accounts: what is not there is made now */
		crash(w, true);
		recover(w, 0);
		world_accounts(w);
	}
	for (unsigned n = 0; n < 5 && world_good(w); n++) {
		one_batch(w);
		if (world_down(w)) {
			after_crash(w, true);
		} else {
			struct store_peer sorter = {.role = SORTER};

			store_peer_lost(w->store, sorter);
			settle(w, n == 4);
			if (world_down(w))
				after_crash(w, true);
		}
	}
	finish(w);
}

/* A sync fails: no false OK. The store ends, or goes on where nothing depended on it (an image); the next process, after
 * a power cut or without one, finds what was promised. */
static void run_sync_fails(struct world *w, uint64_t unused)
{
	if (!begin(w))
		return;
	for (unsigned n = 0; n < 10 && world_good(w); n++) {
		struct store_peer sorter = {.role = SORTER};
		bool failed;

		disk_fail_sync_after(w->disk, 1 + world_draw(w, 4));
		one_batch(w);
		failed = disk_sync_failed(w->disk);
		disk_fail_sync_after(w->disk, 0);
		if (world_down(w)) {
			after_crash(w, world_draw(w, 2));
			continue;
		}
		store_peer_lost(w->store, sorter);
		settle(w, false);
		if (failed && world_good(w))
			after_crash(w, true);
	}
	finish(w);
}

/* The disk is full for a while: reading goes on, nothing is lost, and it heals by itself. */
static void run_full(struct world *w, uint64_t unused)
{
	struct store_peer sorter = {.role = SORTER};

	if (!begin(w))
		return;
	for (unsigned n = 0; n < 12 && world_good(w); n++) {
		w->full = n % 3 != 2;
		disk_set_space(w->disk,
		               w->full ? disk_used(w->disk) + world_draw(w, 60000) : UINT64_MAX);
		one_batch(w);
		if (world_down(w)) {
			disk_set_space(w->disk, UINT64_MAX);
			w->full = false;
			after_crash(w, world_draw(w, 2));
		} else {
			store_peer_lost(w->store, sorter);
			w->now += 400000;
			store_tick(w->store, w->now);
			settle(w, false);
		}
	}
	disk_set_space(w->disk, UINT64_MAX);
	w->full = false;
	finish(w);
}

/* Somewhere in the log, which mails lie in, eight octets turn bad or cannot be read. */
static bool spoil(struct world *w)
{
	struct file_system *fs = disk_files(w->disk);
	struct arena arena = {0};
	const char **names;
	char name[64];
	struct file *f = NULL;
	uint64_t size = 0, at;
	size_t count = 0;
	bool done = false;

	if (file_list(fs, "log", &arena, &names, &count, NULL) == OK && count) {
		snprintf(name, sizeof(name), "log/%s", names[world_draw(w, count)]);
		if (file_open(fs, name, 0, &f, NULL) == OK && file_size(f, &size, NULL) == OK &&
		    size > 2000) {
			at = 1024 + world_draw(w, size - 1024 - 8);
			done = world_draw(w, 2) ? disk_damage(w->disk, name, at, 8)
			                        : (disk_fail_read(w->disk, name, at, 8), true);
			tell("%s is bad at %llu", name, (unsigned long long)at);
		}
	}
	file_close(&f);
	arena_done(&arena);
	return done;
}

static void some_batches(struct world *w, unsigned count)
{
	for (; count && world_good(w); count--) {
		struct store_peer sorter = {.role = SORTER};

		one_batch(w);
		store_peer_lost(w->store, sorter);
		settle(w, count == 1);
	}
}

/* A bad sector costs the mail in it, and nothing else. */
static void run_bad_sector(struct world *w, uint64_t unused)
{
	if (!begin(w))
		return;
	some_batches(w, 8);
	if (!world_good(w) || !spoil(w))
		return;
	w->bad_sector = true;
	for (unsigned round = 0; round < 2 && world_good(w); round++) {
		world_read_all(w);
		tell("%u cannot be read", w->unreadable);
		if (w->unreadable > MAILS / 8) /* copies of one mail */
			world_broken(w, "one bad place costs %u mails", w->unreadable);
		some_batches(w, 3);
		if (!world_good(w))
			return;
		world_close(w);
		disk_process_end(w->disk);
		if (!world_open(w))
			world_broken(w, "does not open with a bad sector");
		else
			settle(w, true);
	}
}

/* SMTP sessions before the store. */
static void run_front(struct world *w, uint64_t unused)
{
	w->quick = true;
	if (begin(w))
		front_run(w);
}

/* Mail going out. */
static void run_carry(struct world *w, uint64_t unused)
{
	w->quick = true;
	if (begin(w))
		carry_run(w);
}

/* Mail going out, with everybody always there. */
static void run_flow(struct world *w, uint64_t unused)
{
	w->quick = true;
	if (begin(w))
		flow_run(w);
}

static const struct scenario scenarios[] = {
        {"power", 900, run_power},           {"every-step", 4, run_every_step},
        {"sync-fails", 300, run_sync_fails}, {"full", 200, run_full},
        {"bad-sector", 200, run_bad_sector}, {"front", 100, run_front},
        {"carry", 200, run_carry},           {"flow", 100, run_flow},
};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

struct totals {
	uint64_t runs, asks, ok, crashes, recovery, rebuilt, doubt, doubt_done;
};

static bool run(const struct scenario *s, uint64_t seed, uint64_t cut, struct totals *t,
                uint64_t *ret_steps)
{
	struct world *w = memory_get(sizeof(*w));
	bool good;

	world_begin(w, seed);
	s->run(w, cut);
	good = world_good(w);
	if (!good)
		printf("# %s seed %llu: %s\n# again: test_sim %s %llu %llu\n", s->name,
		       (unsigned long long)seed, w->failure.text, s->name, (unsigned long long)seed,
		       (unsigned long long)cut);
	if (!good && getenv("SIM_SAVE"))
		disk_save(w->disk, getenv("SIM_SAVE"));
	t->runs++;
	t->asks += w->asks;
	t->ok += w->answers_ok;
	t->crashes += w->crashes;
	t->recovery += w->cuts_in_recovery;
	t->rebuilt += w->rebuilt;
	t->doubt += w->in_doubt;
	t->doubt_done += w->in_doubt_done;
	*ret_steps = disk_steps(w->disk);
	batch_done(w);
	world_end(w);
	memory_free(w);
	return good;
}

static bool run_scenario(const struct scenario *s, unsigned scale, struct totals *t)
{
	const char *first = getenv("SIM_FIRST");
	unsigned seeds = (s->runs * scale + 99) / 100, bad = 0,
	         seed = first ? (unsigned)strtoul(first, NULL, 10) : 1;
	uint64_t steps, unused;

	for (seeds += seed; seed < seeds && bad < 3; seed++) {
		if (s->run != run_every_step) {
			bad += !run(s, seed, 0, t, &steps);
			continue;
		}
		bad += !run(s, seed, 0, t, &steps);
		for (uint64_t cut = 1; cut <= steps && bad < 3; cut++)
			bad += !run(s, seed, cut, t, &unused);
	}
	return !bad;
}

static int one(const char *name, uint64_t seed, uint64_t cut)
{
	struct totals t = {0};
	uint64_t steps;

	verbose = true;
	disk_trace = getenv("SIM_TRACE") != NULL;
	for (unsigned i = 0; i < SCENARIOS; i++)
		if (!strcmp(scenarios[i].name, name))
			return !run(&scenarios[i], seed, cut, &t, &steps);
	return 2;
}

int main(int argc, char **argv)
{
	const char *scale = getenv("SIM_RUNS");
	bool good = true;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 2)
		return one(argv[1], strtoull(argv[2], NULL, 10),
		           argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
	printf("1..%u\n", SCENARIOS);
	for (unsigned i = 0; i < SCENARIOS; i++) {
		struct totals t = {0};
		bool fine = run_scenario(&scenarios[i],
		                         scale ? (unsigned)strtoul(scale, NULL, 10) : 100, &t);

		printf("%s %u - %s: %llu runs, %llu asks, %llu OK, %llu crashes, %llu cuts while "
		       "starting, %llu rebuilt, %llu in "
		       "doubt of which %llu were done\n",
		       fine ? "ok" : "not ok", i + 1, scenarios[i].name, (unsigned long long)t.runs,
		       (unsigned long long)t.asks, (unsigned long long)t.ok,
		       (unsigned long long)t.crashes, (unsigned long long)t.recovery,
		       (unsigned long long)t.rebuilt, (unsigned long long)t.doubt,
		       (unsigned long long)t.doubt_done);
		good &= fine;
	}
	return good ? 0 : 1;
}
