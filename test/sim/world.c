#include "world.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/wire.h"

static const struct bytes trace = {"Return-Path: <>\r\n", 17};

uint64_t world_draw(struct world *w, uint64_t below)
{
	return below ? disk_random(&w->random) % below : 0;
}

bool world_chance(struct world *w, unsigned percent)
{
	return world_draw(w, 100) < percent;
}

void world_broken(struct world *w, const char *format, ...)
{
	va_list args;

	if (!world_good(w))
		return;
	va_start(args, format);
	vsnprintf(w->failure.text, sizeof(w->failure.text), format, args);
	va_end(args);
}

/* ---- mails: their size tells which one it is ---- */

static uint64_t content_size(uint32_t tag)
{
	if (tag % 23 == 22)
		return 1200000 + tag;
	if (tag % 29 == 28)
		return 300000 + tag;
	return (tag % 7 == 6 ? 70000 : 400) + tag;
}

static uint64_t mail_size(uint32_t tag)
{
	return content_size(tag) + trace.len;
}

uint32_t world_tag(uint64_t size)
{
	static uint64_t sizes[TAGS];
	uint32_t tag = 0;

	while (!sizes[0] && tag < TAGS) {
		sizes[TAGS - 1 - tag] = mail_size(TAGS - 1 - tag);
		tag++;
	}
	for (tag = 0; tag < TAGS; tag++)
		if (sizes[tag] == size)
			return tag;
	return UINT32_MAX;
}

/* The content of a tag's mail, without trace: odd ones do not compress. */
static void mail_append(uint32_t tag, struct buf *out)
{
	uint64_t random = tag + 1, size = content_size(tag), at;
	char *p;

	at = buf_len(out);
	buf_printf(out, "Subject: mail %u\r\nMessage-ID: <%u@sim.test>\r\n\r\n", tag, tag);
	size -= buf_len(out) - at;
	p = buf_room(out, size + 16);
	for (at = 0; at < size; at += 8) {
		uint64_t r = tag % 2 ? disk_random(&random) : random + at / 256;

		r = (r & 0x0f0f0f0f0f0f0f0f) + 0x4040404040404040; /* @ to O */
		memcpy(p + at, &r, 8);
		if (at % 64 == 56)
			memcpy(p + at + 6, "\r\n", 2);
	}
	buf_added(out, size);
}

/* ---- the process ---- */

static struct config *config_of(struct world *w)
{
	const struct config_source sources[] = {
	        {BYTES("hikyaku.conf"), BYTES("hostname mx.example.test\ndomain example.test\n")},
	        {BYTES("virtual"), BYTES("list@example.test a0@example.test, a1@example.test\n")},
	        {BYTES("dot/a1@example.test/default"), BYTES("./Archive\n&list@far.test\n")},
	};
	struct config *c = NULL;
	struct why why = {{0}};

	if (config_parse(sources, sizeof(sources) / sizeof(sources[0]), &c, &why) != OK)
		world_broken(w, "configuration: %s", why.text);
	return c;
}

void world_begin(struct world *w, uint64_t seed)
{
	*w = (struct world){.seed = seed, .random = seed * 2 + 1, .now = 1700000000000};
	w->disk = disk_new(seed);
	w->ledger_disk = disk_new(seed + 1);
	w->config = config_of(w);
	for (unsigned a = 0; a < ACCOUNTS; a++)
		for (unsigned b = 0; b < 3; b++)
			w->model.boxes[a][b].exists = true;
}

void world_close(struct world *w)
{
	store_free(&w->store);
}

void world_end(struct world *w)
{
	if (w->store)
		world_close(w);
	disk_free(&w->disk);
	disk_free(&w->ledger_disk);
	config_free(&w->config);
	arena_done(&w->arena);
}

bool world_down(const struct world *w)
{
	return disk_is_off(w->disk) || !w->store || store_failed(w->store, NULL);
}

/* ---- asking ---- */

/* In an order drawn from the seed, until nothing waits. */
static void steps(struct world *w)
{
	while (!world_down(w) && (store_write_waits(w->store) || store_read_waits(w->store))) {
		if (world_draw(w, 2))
			store_write_step(w->store);
		else
			store_read_step(w->store, 0);
		if (store_ledger_waits(w->store) && world_draw(w, 4) == 0)
			store_ledger_step(w->store);
	}
}

static struct op *op_of(struct world *w, uint32_t number)
{
	for (unsigned i = 0; i < w->op_count; i++)
		if (w->ops[i].number == number)
			return &w->ops[i];
	return NULL;
}

/* A range of UIDs, one by one. */
static unsigned uids_of(struct bytes ranges, uint32_t *ret, unsigned max)
{
	struct wire r = wire_of(ranges);
	unsigned count = 0;

	while (!wire_end(&r)) {
		uint32_t first = wire_u32(&r), last = wire_u32(&r);

		for (uint32_t uid = first; uid <= last && count < max; uid++)
			ret[count++] = uid;
	}
	return count;
}

static uint32_t uids_first(struct bytes ranges)
{
	struct wire r = wire_of(ranges);

	return wire_u32(&r);
}

static void op_answered(struct world *w, struct op *o, const struct answer *a)
{
	if (o->answered)
		world_broken(w, "%s was answered twice", op_name(o->kind));
	o->answered = true;
	o->result = a->result;
	if (a->result != OK)
		return;
	w->answers_ok++;
	if (o->kind == OP_APPEND) {
		o->uidvalidity = a->append.uidvalidity;
		o->uid = a->append.uid;
	} else if (o->kind == OP_COPY) {
		unsigned n = uids_of(a->copy.to, o->copied, UIDS);

		o->copied_count = uids_of(a->copy.from, o->from, UIDS);
		if (n != o->copied_count)
			world_broken(w, "COPY told %u UIDs for %u mails", n, o->copied_count);
	}
}

/* Takes what was answered; the answer of `number` is kept for call(). */
static bool take_answers(struct world *w, uint32_t number, struct answer *ret)
{
	struct store_peer to;
	struct answer a;
	uint64_t session;
	bool found = false;

	while (store_next_answer(w->store, &to, &a)) {
		struct op *o = op_of(w, a.number);

		if (o)
			op_answered(w, o, &a);
		if (a.number == number) {
			*ret = answer_copy(&w->arena, &a);
			found = true;
		} else if (w->other) {
			w->other(w->context, &a);
		}
	}
	while (store_next_event(w->store, &to, &session))
		;
	return found;
}

static void put(struct world *w, unsigned role, uint64_t session, struct ask *a)
{
	struct store_peer from = {.role = (uint16_t)role};

	a->number = ++w->numbers;
	a->session = session;
	w->asks++;
	store_ask(w->store, from, a, w->now);
}

bool world_call(struct world *w, unsigned role, uint64_t session, struct ask *a, struct answer *ret)
{
	arena_reset(&w->arena);
	*ret = (struct answer){.result = LOST};
	if (world_down(w))
		return false;
	put(w, role, session, a);
	if (take_answers(w, a->number, ret))
		return ret->result != LOST;
	steps(w);
	return take_answers(w, a->number, ret) && ret->result != LOST;
}

uint32_t world_ask(struct world *w, unsigned role, uint64_t session, struct ask *a)
{
	put(w, role, session, a);
	return a->number;
}

void world_run(struct world *w)
{
	struct answer unused;

	steps(w);
	take_answers(w, 0, &unused);
}

/* ---- operations ---- */

/* What comes by COMMIT gets the trace there; an APPEND brings it along, so that a mail is its tag's in both cases. */
static bool spool(struct world *w, unsigned role, uint64_t session, uint32_t tag)
{
	struct buf mail = {0};
	struct bytes rest;
	struct answer got = {.result = OK};

	w->spools++;
	if (role == ACCESS)
		buf_append(&mail, trace);
	mail_append(tag, &mail);
	rest = buf_bytes(&mail);
	while (rest.len && got.result == OK) {
		struct ask a = {.kind = ASK_SPOOL};

		a.spool.spool = w->spools;
		a.spool.chunk = bytes_first(rest, LIMIT_CHUNK);
		rest = bytes_skip(rest, LIMIT_CHUNK);
		world_call(w, role, session, &a, &got);
	}
	buf_done(&mail);
	return got.result == OK;
}

static struct bytes ranges_of(const struct op *o, struct buf *out)
{
	for (unsigned i = 0; i < o->uid_count;) {
		unsigned k = i;

		while (k + 1 < o->uid_count && o->uids[k + 1] == o->uids[k] + 1)
			k++;
		buf_u32(out, o->uids[i]);
		buf_u32(out, o->uids[k]);
		i = k + 1;
	}
	return buf_bytes(out);
}

static struct bytes keywords_of(uint8_t keywords, struct buf *out)
{
	for (unsigned i = 0; i < 3; i++)
		if (keywords & 1u << i)
			buf_block(out, bytes_of_text(keyword_names[i]));
	return buf_bytes(out);
}

static struct bytes recipients_of(const struct op *o, struct buf *out)
{
	for (unsigned i = 0; i < RECIPIENTS; i++)
		if (o->recipients & 1u << i) {
			buf_block(out, bytes_of_text(recipient_names[i]));
			buf_u8(out, 0);
			buf_block(out, (struct bytes){0});
		}
	return buf_bytes(out);
}

static struct bytes actions_of(const struct op *o, struct buf *out)
{
	switch (o->way) {
	case WAY_PLACE:
		buf_u8(out, SORT_PLACE);
		buf_block(out, bytes_of_text(box_names[o->to]));
		buf_u64(out, o->flags);
		break;
	case WAY_REDIRECT:
		for (unsigned i = 0; i < ACCOUNTS; i++) {
			buf_u8(out, SORT_REDIRECT);
			buf_block(out, bytes_of_text(recipient_names[i]));
			buf_block(out, bytes_of_text(recipient_names[LIST]));
		}
		break;
	case WAY_DEFER:
		buf_u8(out, SORT_DEFER);
		buf_u32(out, 60);
		buf_block(out, BYTES("later"));
		break;
	case WAY_DONE:
		buf_u8(out, SORT_DONE);
		buf_block(out, BYTES("no"));
		break;
	}
	return buf_bytes(out);
}

static uint64_t box_id(struct world *w, unsigned account, unsigned box)
{
	struct ask a = {.kind = ASK_STATUS};
	struct answer got;

	a.status.name = bytes_of_text(box_names[box]);
	return world_call(w, ACCESS, FRONT_ACCESS + account, &a, &got) && got.result == OK
	               ? got.status.mailbox
	               : 0;
}

static void not_done(struct op *o)
{
	o->answered = true; /* it never reached the store as a whole */
	o->result = UNAVAILABLE;
}

static bool op_ask(struct world *w, struct op *o, struct ask *a, struct buf *one, struct buf *two)
{
	uint64_t session = FRONT_ACCESS + o->account;
	struct bytes name = bytes_of_text(box_names[o->box]), to = bytes_of_text(box_names[o->to]);

	switch (o->kind) {
	case OP_COMMIT:
	case OP_ESCROW:
		if (!spool(w, MX, FRONT_MX, o->tag))
			return false;
		*a = (struct ask){.kind = ASK_COMMIT};
		a->commit.spool = w->spools;
		a->commit.key = bytes_of(o->key, sizeof(o->key));
		a->commit.trace = trace;
		a->commit.summary = BYTES("summary");
		a->commit.recipients = recipients_of(o, one);
		a->commit.junk = o->junk;
		a->commit.escrow = o->kind == OP_ESCROW;
		return true;
	case OP_APPEND:
		if (!spool(w, ACCESS, session, o->tag))
			return false;
		*a = (struct ask){.kind = ASK_APPEND};
		a->append.name = name;
		a->append.spool = w->spools;
		a->append.key = bytes_of(o->key, sizeof(o->key));
		a->append.flags = o->flags;
		a->append.keywords = keywords_of(o->keywords, two);
		a->append.summary = BYTES("summary");
		return true;
	case OP_FLAGS:
		*a = (struct ask){.kind = ASK_FLAGS_SET};
		a->flags_set.mailbox = box_id(w, o->account, o->box);
		a->flags_set.set = ranges_of(o, one);
		a->flags_set.mode = o->mode;
		a->flags_set.flags = o->flags;
		a->flags_set.keywords = keywords_of(o->keywords, two);
		a->flags_set.unchanged_since = UINT64_MAX;
		return true;
	case OP_EXPUNGE:
		*a = (struct ask){.kind = ASK_EXPUNGE};
		a->expunge.mailbox = box_id(w, o->account, o->box);
		a->expunge.set = ranges_of(o, one);
		return true;
	case OP_COPY:
		*a = (struct ask){.kind = ASK_COPY};
		a->copy.mailbox = box_id(w, o->account, o->box);
		a->copy.set = ranges_of(o, one);
		a->copy.name = to;
		a->copy.move = o->move;
		return true;
	case OP_CREATE:
		*a = (struct ask){.kind = ASK_MAILBOX_CREATE};
		a->mailbox_create.name = name;
		return true;
	case OP_DELETE:
		*a = (struct ask){.kind = ASK_MAILBOX_DELETE};
		a->mailbox_delete.name = name;
		return true;
	case OP_RENAME:
		*a = (struct ask){.kind = ASK_MAILBOX_RENAME};
		a->mailbox_rename.from = name;
		a->mailbox_rename.to = to;
		return true;
	case OP_SORTED:
		*a = (struct ask){.kind = ASK_SORTED};
		a->sorted.entry = o->entry;
		a->sorted.lease = o->lease;
		a->sorted.actions = actions_of(o, one);
		return true;
	case OP_RELEASE:
		*a = (struct ask){.kind = ASK_ADMIN};
		a->admin.verb = ADMIN_ESCROW_RELEASE;
		a->admin.subject = bytes_of_text(o->mail);
		for (unsigned i = 0; i < RECIPIENTS; i++)
			if (o->recipients == 1u << i)
				a->admin.value = bytes_of_text(recipient_names[i]);
		return true;
	case OP_IMAGE:
	case OP_SWEEP:
		*a = (struct ask){.kind = ASK_ADMIN};
		a->admin.verb = o->kind == OP_IMAGE ? ADMIN_CHECKPOINT : ADMIN_SWEEP;
		return true;
	default: return false;
	}
}

static unsigned role_of(enum op_kind kind)
{
	switch (kind) {
	case OP_COMMIT:
	case OP_ESCROW: return MX;
	case OP_SORTED: return SORTER;
	case OP_RELEASE:
	case OP_IMAGE:
	case OP_SWEEP: return WEB;
	default: return ACCESS;
	}
}

void world_prepare(struct world *w, struct op *o)
{
	if (!op_ask(w, o, &o->ask, &o->one, &o->two) || world_down(w))
		not_done(o);
}

void world_put(struct world *w, struct op *o)
{
	unsigned role = role_of(o->kind);

	if (o->answered)
		return;
	if (world_down(w)) {
		not_done(o);
		return;
	}
	put(w, role,
	    role == MX       ? FRONT_MX
	    : role == ACCESS ? FRONT_ACCESS + o->account
	                     : 0,
	    &o->ask);
	o->number = o->ask.number;
}

enum result world_committed(struct world *w, const struct op *o)
{
	struct ask a = {.kind = ASK_COMMITTED};
	struct answer got;
	unsigned role = role_of(o->kind);

	a.committed.key = bytes_of(o->key, sizeof(o->key));
	world_call(w, role, role == MX ? FRONT_MX : FRONT_ACCESS + o->account, &a, &got);
	if (got.result == OK && o->kind == OP_APPEND && o->answered && o->result == OK &&
	    (got.committed.uid != o->uid || got.committed.uidvalidity != o->uidvalidity))
		world_broken(w, "COMMITTED says uid %u, APPEND said %u", got.committed.uid, o->uid);
	return got.result;
}

void world_repeat(struct world *w, const struct op *o)
{
	struct buf one = {0}, two = {0};
	struct answer got;
	struct ask a;
	unsigned role = role_of(o->kind);

	if (op_ask(w, (struct op *)o, &a, &one, &two) &&
	    world_call(w, role, role == MX ? FRONT_MX : FRONT_ACCESS + o->account, &a, &got) &&
	    got.result != OK)
		world_broken(w, "%s again: %s", op_name(o->kind), result_name(got.result));
	buf_done(&one);
	buf_done(&two);
}

/* ---- starting ---- */

static bool grant(struct world *w, unsigned account, uint64_t id)
{
	struct ask a = {.kind = ASK_GRANT};
	struct answer got;

	a.grant.front_session = FRONT_ACCESS + account;
	a.grant.front = ACCESS;
	a.grant.account = id;
	a.grant.rights = 3;
	return world_call(w, KEEPER, 0, &a, &got) && got.result == OK;
}

static bool grant_all(struct world *w)
{
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		struct ask a = {.kind = ASK_CREDENTIAL};
		struct answer got;

		a.credential.user = bytes_of_text(recipient_names[i]);
		if (!world_call(w, KEEPER, 0, &a, &got))
			return false;
		if (got.result == NOT_FOUND)
			continue; /* not made yet */
		if (got.result != OK || !grant(w, i, got.credential.account))
			return false;
	}
	return true;
}

/* The ledger's disk dies of its own, now and then, and is there again at a later start. */
static struct file_system *ledger_files(struct world *w)
{
	if (disk_is_off(w->ledger_disk))
		disk_power_cycle(w->ledger_disk);
	else
		disk_process_end(w->ledger_disk);
	disk_cut_after(w->ledger_disk, world_chance(w, 25) ? 1 + world_draw(w, 200) : 0);
	return disk_files(w->ledger_disk);
}

bool world_open(struct world *w)
{
	struct store_options o = {
	        .config = w->config, .readers = 1, .segment_size = 100000, .reserve = 65536};
	struct store_report report = {0};
	struct why why = {{0}};
	enum result r;

	o.group_jobs = 1 + (unsigned)world_draw(w, 6);
	o.fresh_entries = 1 + (unsigned)(w->seed % 13);
	o.ledger = ledger_files(w);
	for (unsigned i = 0; i < sizeof(o.seed); i++)
		o.seed[i] = (uint8_t)world_draw(w, 256);
	w->now += 1 + (time_ms)world_draw(w, w->quick ? 500 : 60000);
	w->store = NULL;
	r = store_open(disk_files(w->disk), &o, w->now, &w->store, &report, &why);
	if (r != OK && !disk_is_off(w->disk) && !disk_sync_failed(w->disk) && !w->full)
		world_broken(w, "the store does not open: %s: %s", result_name(r), why.text);
	if (r != OK)
		return false;
	if ((report.log.damaged || report.log.missing) && !w->bad_sector)
		world_broken(w, "the log is said to be damaged: %s", report.log.first_damage.text);
	w->rebuilt += report.rebuilt;
	return grant_all(w);
}

bool world_accounts(struct world *w)
{
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		struct ask a = {.kind = ASK_CREDENTIAL_SET};
		struct answer got;

		a.credential_set.address = bytes_of_text(recipient_names[i]);
		a.credential_set.create = 1;
		a.credential_set.sealed = BYTES("sealed");
		if (!world_call(w, KEEPER, 0, &a, &got) ||
		    (got.result != OK && got.result != EXISTS))
			return false;
	}
	return grant_all(w);
}

/* ---- looking ---- */

static uint8_t keyword_bits(uint64_t flags, const unsigned *table)
{
	uint8_t bits = 0;

	for (unsigned bit = 0; bit < LIMIT_KEYWORDS; bit++)
		if (flags >> (MAIL_KEYWORD_SHIFT + bit) & 1 && table[bit] < 3)
			bits |= (uint8_t)(1u << table[bit]);
	return bits;
}

static void keyword_table(struct bytes blocks, unsigned *table)
{
	struct wire r = wire_of(blocks);

	for (unsigned bit = 0; bit < LIMIT_KEYWORDS; bit++) {
		struct bytes name = wire_end(&r) ? (struct bytes){0} : wire_block(&r);

		table[bit] = 3;
		for (unsigned k = 0; k < 3; k++)
			if (bytes_equal_nocase(name, bytes_of_text(keyword_names[k])))
				table[bit] = k;
	}
}

static bool look_rows(struct world *w, struct seen_box *b, struct bytes rows, const unsigned *table)
{
	struct wire r = wire_of(rows);

	while (!wire_end(&r)) {
		struct model_mail m = {.uid = wire_u32(&r)};
		uint64_t modseq = wire_u64(&r), flags = wire_u64(&r), size;

		wire_u64(&r);
		size = wire_u32(&r);
		wire_u64(&r);
		wire_block(&r);
		m.tag = world_tag(size);
		m.flags = (uint8_t)(flags & 31);
		m.keywords = keyword_bits(flags, table);
		if (r.bad || m.tag == UINT32_MAX)
			return world_broken(w, "a mail of %llu octets: nobody sent it",
			                    (unsigned long long)size),
			       false;
		if (modseq > b->modseq)
			return world_broken(w, "uid %u has a modseq above its mailbox's", m.uid),
			       false;
		if (b->count < MAILS)
			b->mails[b->count++] = m;
	}
	return true;
}

static bool look_box(struct world *w, unsigned account, unsigned box, struct seen_box *ret)
{
	static const struct bytes all = {"\0\0\0\1\377\377\377\377", 8};
	unsigned table[LIMIT_KEYWORDS], messages, unseen, found = 0;
	struct ask a = {.kind = ASK_STATUS};
	struct answer got;
	uint64_t mailbox;
	uint32_t after = 0;

	a.status.name = bytes_of_text(box_names[box]);
	if (!world_call(w, ACCESS, FRONT_ACCESS + account, &a, &got))
		return false;
	if (got.result == NOT_FOUND)
		return true;
	if (got.result != OK)
		return world_broken(w, "STATUS %s: %s", box_names[box], result_name(got.result)),
		       false;
	*ret = (struct seen_box){.exists = true,
	                         .uidvalidity = got.status.uidvalidity,
	                         .uidnext = got.status.uidnext,
	                         .modseq = got.status.modseq};
	keyword_table(got.status.keywords, table);
	mailbox = got.status.mailbox;
	messages = got.status.messages;
	unseen = got.status.unseen;
	do {
		a = (struct ask){.kind = ASK_SUMMARIES};
		a.summaries.mailbox = mailbox;
		a.summaries.set = all;
		a.summaries.after = after;
		if (!world_call(w, ACCESS, FRONT_ACCESS + account, &a, &got))
			return false;
		if (got.result != OK)
			return world_broken(w, "SUMMARIES %s: %s", box_names[box],
			                    result_name(got.result)),
			       false;
		if (!look_rows(w, ret, got.summaries.rows, table))
			return false;
		after = got.summaries.next;
	} while (after);
	for (unsigned i = 0; i < ret->count; i++)
		found += !(ret->mails[i].flags & MAIL_SEEN);
	if (messages != ret->count || unseen != found)
		world_broken(w, "a%u/%s: STATUS says %u mails, %u unseen; there are %u, %u",
		             account, box_names[box], messages, unseen, ret->count, found);
	return true;
}

/* Takes everything that is due, and gives it back by dying. */
static bool look_entries(struct world *w, struct seen *ret)
{
	struct store_peer sorter = {.role = SORTER};

	ret->entries_known = true;
	w->now += 120000;
	store_tick(w->store, w->now);
	for (;;) {
		struct ask a = {.kind = ASK_TAKE};
		struct answer got;
		struct model_entry e = {.recipient = RECIPIENTS};

		if (!world_call(w, SORTER, 0, &a, &got) || got.result != OK)
			break;
		e.tag = world_tag(got.take.size);
		for (unsigned i = 0; i < RECIPIENTS; i++)
			if (bytes_equal(got.take.rcpt, bytes_of_text(recipient_names[i])))
				e.recipient = i;
		if (e.tag == UINT32_MAX || e.recipient == RECIPIENTS)
			world_broken(w, "the queue has an entry that nobody made");
		if (!world_good(w) || ret->entry_count == ENTRIES)
			break;
		ret->entries[ret->entry_count++] = e;
	}
	if (world_down(w))
		return false;
	store_peer_lost(w->store, sorter);
	return true;
}

static unsigned recipient_bits(const json_t *list)
{
	unsigned bits = 0;
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		for (unsigned k = 0; k < RECIPIENTS; k++)
			if (strcmp(json_string_value(one), recipient_names[k]) == 0)
				bits |= 1u << k;
	}
	return bits;
}

bool world_escrow(struct world *w, struct model_escrow *list, char (*mails)[24],
                  unsigned *ret_count)
{
	struct ask a = {.kind = ASK_ADMIN};
	struct answer got;

	*ret_count = 0;
	do {
		struct bytes rows, line;

		a.admin.verb = ADMIN_ESCROW_SHOW;
		a.admin.subject = BYTES("all");
		if (!world_call(w, WEB, 0, &a, &got))
			return false;
		if (got.result == NOT_FOUND)
			return true;
		rows = got.admin.rows;
		while (bytes_cut(&rows, '\n', &line) && *ret_count < ESCROWS) {
			json_t *row = json_loadb(line.ptr, line.len, 0, NULL);
			struct model_escrow *e = &list[*ret_count];

			e->tag = world_tag(
			        (uint64_t)json_integer_value(json_object_get(row, "size")));
			e->recipients = recipient_bits(json_object_get(row, "recipients")) &
			                ~recipient_bits(json_object_get(row, "released"));
			if (mails)
				snprintf(mails[*ret_count], 24, "%s",
				         json_string_value(json_object_get(row, "mail")));
			*ret_count += row != NULL;
			json_decref(row);
		}
		a = (struct ask){.kind = ASK_ADMIN, .admin.number = got.admin.next};
	} while (got.admin.next);
	return true;
}

bool world_look(struct world *w, struct seen *ret, bool entries)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned a = 0; a < ACCOUNTS; a++)
		for (unsigned b = 0; b < BOXES; b++)
			if (!look_box(w, a, b, &ret->boxes[a][b]))
				return false;
	return !entries ||
	       (look_entries(w, ret) && world_escrow(w, ret->escrow, NULL, &ret->escrow_count));
}

static bool read_mail(struct world *w, unsigned account, uint64_t mailbox,
                      const struct model_mail *m)
{
	struct buf want = {0}, have = {0};
	bool good;

	buf_append(&want, trace);
	mail_append(m->tag, &want);
	for (;;) {
		struct ask a = {.kind = ASK_READ};
		struct answer got;

		a.read.mailbox = mailbox;
		a.read.uid = m->uid;
		a.read.offset = buf_len(&have);
		a.read.len = LIMIT_READ;
		if (!world_call(w, ACCESS, FRONT_ACCESS + account, &a, &got) || got.result != OK) {
			if (w->bad_sector && (got.result == DAMAGED || got.result == FAILED)) {
				w->unreadable++;
				buf_done(&want);
				buf_done(&have);
				return true;
			}
			if (!world_down(w))
				world_broken(w, "mail %u cannot be read: %s: %.*s", m->tag,
				             result_name(got.result), BYTES_ARG(got.why));
			break;
		}
		buf_append(&have, got.read.chunk);
		if (!got.read.chunk.len || buf_len(&have) >= got.read.total)
			break;
	}
	good = bytes_equal(buf_bytes(&want), buf_bytes(&have));
	if (!good && !world_down(w))
		world_broken(w, "mail %u came back changed: %zu octets of %zu", m->tag,
		             buf_len(&have), buf_len(&want));
	buf_done(&want);
	buf_done(&have);
	return good;
}

bool world_read_all(struct world *w)
{
	w->unreadable = 0;
	for (unsigned a = 0; a < ACCOUNTS; a++)
		for (unsigned b = 0; b < BOXES; b++) {
			struct model_box *box = &w->model.boxes[a][b];
			uint64_t mailbox = box->count ? box_id(w, a, b) : 0;

			for (unsigned i = 0; i < box->count; i++)
				if (!read_mail(w, a, mailbox, &box->mails[i]))
					return false;
		}
	return true;
}

bool world_next_mail(struct world *w, unsigned account, unsigned box, uint32_t *uid,
                     struct buf *out)
{
	struct ask a = {.kind = ASK_UIDS};
	struct answer got;
	uint64_t mailbox = box_id(w, account, box);
	uint64_t total = 1;

	a.uids.mailbox = mailbox;
	a.uids.after = *uid;
	if (!world_call(w, ACCESS, FRONT_ACCESS + account, &a, &got) || got.result != OK ||
	    !got.uids.ranges.len)
		return false;
	*uid = uids_first(got.uids.ranges);
	while (buf_len(out) < total) {
		a = (struct ask){.kind = ASK_READ};
		a.read.mailbox = mailbox;
		a.read.uid = *uid;
		a.read.offset = buf_len(out);
		a.read.len = LIMIT_READ;
		if (!world_call(w, ACCESS, FRONT_ACCESS + account, &a, &got) || got.result != OK)
			return world_broken(w, "uid %u cannot be read: %s", *uid,
			                    result_name(got.result)),
			       false;
		buf_append(out, got.read.chunk);
		total = got.read.total;
	}
	return true;
}
