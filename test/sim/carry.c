#include "carry.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/wire.h"
#include "mail/charset.h"
#include "mail/summary.h"
#include "sorting/sorting.h"
#include "watch/incident.h"

enum {
	LETTERS = 24,
	TARGETS = 6,
	LEASES = 4,
	BATCH = 8,
	SENDER_SESSION = FRONT_ACCESS, /* account 0's, granted by world_open */
	SORTER_SESSION = 900,
	HOUR_MS = 3600 * 1000,
	DAYS = 20,
};

static const char *const targets[TARGETS] = {"ken@far0.test",  "mari@far0.test", "yuki@far0.test",
                                             "taro@far1.test", "jiro@far1.test", "hana@far2.test"};

/* What the host does with a recipient of a mail, each time it is tried. */
enum fate {
	FATE_GOOD,  /* 250 */
	FATE_LATER, /* 4xx for some tries, then 250 */
	FATE_BAD,   /* 550 */
	FATE_NEVER, /* 4xx for as long as it is tried: bounced in the end */
	FATES
};

struct target {
	enum fate fate;
	unsigned later;   /* tries that FATE_LATER has left */
	unsigned has;     /* how often the host said 250 */
	unsigned excused; /* of these, how often we could not know */
	unsigned bounces;
};

enum told { TOLD_NOTHING, TOLD_OK, TOLD_NO };

struct letter {
	uint32_t tag;
	char key[16];
	enum told told;
	unsigned recipients; /* bits */
	struct target targets[TARGETS];
};

/* What the courier has from the store. */
struct lease {
	uint64_t lease;
	struct letter *letter;
	unsigned count;
	uint64_t entries[BATCH];
	unsigned which[BATCH]; /* target */
	uint8_t outcome[BATCH];
	bool tried; /* the host was talked to: outcome counts */
};

struct post {
	struct world *w;
	struct letter letters[LETTERS];
	unsigned letter_count;
	struct lease leases[LEASES];
	unsigned lease_count;
	uint64_t sorter_sessions;
	time_ms blocked_until; /* the provider refuses our address, whatever the mail */
};

/* ---- the process and the power ---- */

static void power_returns(struct world *w)
{
	w->crashes++;
	for (int tries = 0; world_good(w); tries++) {
		world_close(w);
		disk_power_cycle(w->disk);
		disk_cut_after(w->disk,
		               tries < 3 && world_chance(w, 25) ? 1 + world_draw(w, 40) : 0);
		if (world_open(w) && !world_down(w))
			break;
		if (tries > 8)
			world_broken(w, "it does not come up again");
	}
	disk_cut_after(w->disk, 0);
}

/* ---- submission ---- */

static void content_of(uint32_t tag, struct buf *out)
{
	buf_printf(
	        out,
	        "From: a0@example.test\r\nSubject: letter %u\r\nMessage-ID: <%u@sim.test>\r\n\r\n",
	        tag, tag);
	for (uint32_t n = 0; n < 3 + tag % 40; n++)
		buf_printf(out, "line %u of letter %u\r\n", n, tag);
}

static const struct bytes trace = {"Return-Path: <a0@example.test>\r\n", 32};

static void make_summary(struct bytes content, struct buf *out)
{
	struct summary_builder *b = summary_builder_new();

	summary_builder_feed(b, trace);
	summary_builder_feed(b, content);
	summary_builder_finish(b, out);
	summary_builder_free(&b);
}

static void new_letter(struct post *p, struct letter *l)
{
	*l = (struct letter){.tag = p->letter_count,
	                     .recipients = 1 + (unsigned)world_draw(p->w, 63)};
	for (unsigned i = 0; i < sizeof(l->key); i++)
		l->key[i] = (char)world_draw(p->w, 256);
	for (unsigned i = 0; i < TARGETS; i++) {
		uint64_t draw = world_draw(p->w, 20);

		l->targets[i].fate = draw < 10   ? FATE_GOOD
		                     : draw < 16 ? FATE_LATER
		                     : draw < 19 ? FATE_BAD
		                                 : FATE_NEVER;
		l->targets[i].later = 1 + (unsigned)world_draw(p->w, 4);
	}
}

static bool spool_letter(struct post *p, struct bytes content)
{
	struct ask a = {.kind = ASK_SPOOL};
	struct answer got;

	a.spool.spool = ++p->w->spools;
	a.spool.chunk = content;
	return world_call(p->w, ACCESS, SENDER_SESSION, &a, &got) && got.result == OK;
}

static void commit_letter(struct post *p, struct letter *l)
{
	struct buf content = {0}, summary = {0}, recipients = {0};
	struct ask a = {.kind = ASK_COMMIT};
	struct answer got;

	content_of(l->tag, &content);
	make_summary(buf_bytes(&content), &summary);
	for (unsigned i = 0; i < TARGETS; i++)
		if (l->recipients & 1u << i) {
			buf_block(&recipients, bytes_of_text(targets[i]));
			buf_u8(&recipients, 0);
			buf_block(&recipients, (struct bytes){0});
		}
	if (spool_letter(p, buf_bytes(&content))) {
		a.commit.spool = p->w->spools;
		a.commit.key = bytes_of(l->key, sizeof(l->key));
		a.commit.sender = BYTES("a0@example.test");
		a.commit.trace = trace;
		a.commit.summary = buf_bytes(&summary);
		a.commit.recipients = buf_bytes(&recipients);
		if (world_call(p->w, ACCESS, SENDER_SESSION, &a, &got))
			l->told = got.result == OK ? TOLD_OK : TOLD_NO;
		if (l->told == TOLD_NO && got.result != DISK_FULL && got.result != UNAVAILABLE)
			world_broken(p->w, "COMMIT: %s: %.*s", result_name(got.result),
			             BYTES_ARG(got.why));
	}
	buf_done(&content);
	buf_done(&summary);
	buf_done(&recipients);
}

static void submit(struct post *p)
{
	struct letter *l = &p->letters[p->letter_count];

	if (p->letter_count == LETTERS)
		return;
	new_letter(p, l);
	p->letter_count++;
	commit_letter(p, l);
}

/* After a crash: what was never answered, was it done? */
static void ask_committed(struct post *p)
{
	for (unsigned i = 0; i < p->letter_count && !world_down(p->w); i++) {
		struct letter *l = &p->letters[i];
		struct ask a = {.kind = ASK_COMMITTED};
		struct answer got;

		if (l->told != TOLD_NOTHING)
			continue;
		a.committed.key = bytes_of(l->key, sizeof(l->key));
		if (!world_call(p->w, ACCESS, SENDER_SESSION, &a, &got))
			return;
		l->told = got.result == OK ? TOLD_OK : TOLD_NO;
		p->w->in_doubt++;
		p->w->in_doubt_done += got.result == OK;
	}
}

/* ---- the courier ---- */

static int target_of(struct bytes rcpt)
{
	for (unsigned i = 0; i < TARGETS; i++)
		if (bytes_equal(rcpt, bytes_of_text(targets[i])))
			return (int)i;
	return -1;
}

static void take_entries(struct post *p, struct lease *l, struct bytes rows)
{
	struct wire r = wire_of(rows);

	while (!wire_end(&r) && l->count < BATCH) {
		uint64_t entry = wire_u64(&r);
		int which = target_of(wire_block(&r));

		wire_u8(&r);
		wire_block(&r);
		wire_u32(&r);
		if (r.bad || which < 0) {
			world_broken(p->w, "CARRY gives a recipient that nobody wrote to");
			return;
		}
		l->entries[l->count] = entry;
		l->which[l->count++] = (unsigned)which;
	}
	if (!l->count)
		world_broken(p->w, "CARRY gives nobody to carry to");
}

/* The mail as the store has it must be what was handed in. */
static void read_letter(struct post *p, struct lease *l)
{
	struct buf want = {0};
	struct ask a = {.kind = ASK_QUEUE_READ};
	struct answer got;
	struct bytes at;

	a.queue_read.entry = l->entries[0];
	a.queue_read.lease = l->lease;
	a.queue_read.len = LIMIT_READ;
	if (!world_call(p->w, COURIER, 0, &a, &got))
		return;
	if (got.result != OK) {
		world_broken(p->w, "QUEUE_READ: %s", result_name(got.result));
		return;
	}
	for (unsigned i = 0; i < p->letter_count; i++) {
		buf_clear(&want);
		buf_append(&want, trace);
		content_of(p->letters[i].tag, &want);
		at = buf_bytes(&want);
		if (bytes_equal(at, got.queue_read.chunk))
			l->letter = &p->letters[i];
	}
	if (!l->letter)
		world_broken(p->w, "a mail to be carried is not as it was handed in");
	buf_done(&want);
}

/* False: nothing is due. */
static bool carry_take(struct post *p)
{
	struct ask a = {.kind = ASK_CARRY};
	struct answer got;
	struct lease *l = &p->leases[p->lease_count];

	if (p->lease_count == LEASES || !world_call(p->w, COURIER, 0, &a, &got) || got.result != OK)
		return false;
	*l = (struct lease){.lease = got.carry.lease};
	take_entries(p, l, got.carry.entries);
	if (world_good(p->w))
		read_letter(p, l);
	if (world_down(p->w) || !world_good(p->w))
		return false;
	p->lease_count++;
	return true;
}

/* The operator's row comes first: nothing is held without one. False: the store is away; said again later. */
static bool raise_block(struct post *p)
{
	struct ask a = {.kind = ASK_INCIDENT};
	struct answer got;

	a.incident.verb = INCIDENT_RAISE;
	a.incident.kind = INCIDENT_BLOCKED;
	a.incident.key = BYTES("far");
	a.incident.facts = BYTES("reply=550 5.7.1 blocked\n");
	a.incident.count = 1;
	return world_call(p->w, COURIER, 0, &a, &got) && got.result == OK;
}

static void host_blocks(struct post *p, struct lease *l)
{
	if (!raise_block(p))
		return;
	for (unsigned i = 0; i < l->count; i++)
		l->outcome[i] = CARRY_HELD;
	l->tried = true;
}

static void host_answers(struct post *p, struct lease *l)
{
	if (p->w->now < p->blocked_until) {
		host_blocks(p, l);
		return;
	}
	for (unsigned i = 0; i < l->count; i++) {
		struct target *t = &l->letter->targets[l->which[i]];
		bool later = t->fate == FATE_NEVER || (t->fate == FATE_LATER && t->later);

		if (t->fate == FATE_LATER && t->later)
			t->later--;
		l->outcome[i] = t->fate == FATE_BAD ? CARRY_FAILED
		                : later             ? CARRY_DEFERRED
		                                    : CARRY_DELIVERED;
		if (l->outcome[i] == CARRY_DELIVERED && world_chance(p->w, 3)) {
			/* its 250 got lost: we try again, as we must (RFC 1047) */
			t->has++;
			t->excused++;
			l->outcome[i] = CARRY_DEFERRED;
		} else {
			t->has += l->outcome[i] == CARRY_DELIVERED;
		}
	}
	l->tried = true;
}

/* We shall never know that it was delivered. */
static void lease_forgotten(struct lease *l)
{
	for (unsigned i = 0; l->tried && i < l->count; i++)
		l->letter->targets[l->which[i]].excused += l->outcome[i] == CARRY_DELIVERED;
}

static void results_of(struct post *p, const struct lease *l, struct buf *out)
{
	static const struct {
		const char *status, *reply;
	} says[] = {[CARRY_DELIVERED] = {"2.0.0", "250 2.0.0 taken"},
	            [CARRY_DEFERRED] = {"4.2.1", "450 4.2.1 not now"},
	            [CARRY_FAILED] = {"5.1.1", "550 5.1.1 nobody here"},
	            [CARRY_HELD] = {"5.7.1", "550 5.7.1 blocked"}};

	for (unsigned i = 0; i < l->count; i++) {
		buf_u64(out, l->entries[i]);
		buf_u8(out, l->outcome[i]);
		buf_u8(out, 0);
		buf_block(out, bytes_of_text(says[l->outcome[i]].status));
		buf_block(out, bytes_of_text(says[l->outcome[i]].reply));
	}
}

static enum result carried(struct post *p, const struct lease *l)
{
	struct buf results = {0};
	struct ask a = {.kind = ASK_CARRIED};
	struct answer got;

	results_of(p, l, &results);
	a.carried.lease = l->lease;
	a.carried.results = buf_bytes(&results);
	a.carried.provider = BYTES("far");
	a.carried.remote = BYTES("mx.far.test");
	world_call(p->w, COURIER, 0, &a, &got);
	buf_done(&results);
	return got.result;
}

static void lease_drop(struct post *p, unsigned at)
{
	p->leases[at] = p->leases[--p->lease_count];
}

static bool path_is_free(struct post *p, struct lease *l)
{
	struct ask a = {.kind = ASK_PATH};
	struct answer got;

	a.path.lease = l->lease;
	a.path.provider = BYTES("far");
	a.path.hosts = BYTES("mx.far.test");
	return world_call(p->w, COURIER, 0, &a, &got) && got.result == OK;
}

/* One of the leases is tried; or, once it was, its result is said. */
static void courier_step(struct post *p)
{
	unsigned at = (unsigned)world_draw(p->w, p->lease_count);
	struct lease *l = &p->leases[at];
	enum result result;

	if (!l->tried) {
		if (path_is_free(p, l))
			host_answers(p, l);
		else if (!world_down(p->w))
			lease_drop(p, at);
		return;
	}
	result = carried(p, l);
	if (result == LOST)
		return; /* said again, to the next store */
	if (result != OK && result != NOT_FOUND)
		world_broken(p->w, "CARRIED: %s", result_name(result));
	if (result == NOT_FOUND)
		lease_forgotten(l);
	else if (world_chance(p->w, 20) && carried(p, l) != OK && !world_down(p->w))
		world_broken(p->w, "CARRIED again gets another answer");
	if (!world_down(p->w) || result == NOT_FOUND)
		lease_drop(p, at);
}

static void courier_dies(struct post *p)
{
	struct store_peer courier = {.role = COURIER};

	while (p->lease_count) {
		lease_forgotten(&p->leases[p->lease_count - 1]);
		p->lease_count--;
	}
	if (p->w->store)
		store_peer_lost(p->w->store, courier);
}

/* A CARRY that waits is nobody's when the round is over. */
static void courier_round(struct post *p)
{
	while (!world_down(p->w) && world_good(p->w) && carry_take(p) && world_chance(p->w, 70))
		;
	while (!world_down(p->w) && world_good(p->w) && p->lease_count && !world_chance(p->w, 4))
		courier_step(p);
	if (!world_down(p->w))
		courier_dies(p);
}

/* ---- the sorter: its real jobs ---- */

static void sort_one(struct post *p, const struct answer_take *take)
{
	struct sorting_job *job = sorting_job_new(p->w->config, take, p->w->now);
	uint64_t session = SORTER_SESSION + ++p->sorter_sessions;
	struct answer got;
	struct ask a;

	while (!sorting_job_finished(job) && world_good(p->w)) {
		if (!sorting_job_ask(job, &a)) {
			if (sorting_job_deadline(job) == TIME_NEVER) {
				world_broken(p->w, "a sorter's job stands still");
				break;
			}
			p->w->now = sorting_job_deadline(job);
			sorting_job_tick(job, p->w->now);
			continue;
		}
		uint32_t number = a.number;

		if (a.kind == ASK_DKIM_KEYS || a.kind == ASK_DKIM_SIGN)
			got = answer_to(&a, NOT_FOUND, (struct bytes){0});
		else
			world_call(p->w, SORTER, session, &a, &got);
		got.number = number;
		got.kind = a.kind;
		sorting_job_answer(job, &got);
	}
	sorting_job_free(&job);
}

static void sorter_round(struct post *p)
{
	struct store_peer sorter = {.role = SORTER};
	struct arena arena = {0};

	while (!world_down(p->w) && world_good(p->w)) {
		struct ask a = {.kind = ASK_TAKE};
		struct answer got, mine;

		if (!world_call(p->w, SORTER, SORTER_SESSION, &a, &got) || got.result != OK)
			break;
		mine = answer_copy(&arena, &got);
		if (world_chance(p->w, 5))
			break; /* it dies with it in hand */
		sort_one(p, &mine.take);
		arena_reset(&arena);
	}
	arena_done(&arena);
	if (p->w->store && !world_down(p->w))
		store_peer_lost(p->w->store, sorter);
}

/* ---- the end: who has what ---- */

static bool has_text(struct bytes in, const char *text)
{
	struct bytes want = bytes_of_text(text);

	for (size_t i = 0; i + want.len <= in.len; i++)
		if (memcmp(in.ptr + i, want.ptr, want.len) == 0)
			return true;
	return false;
}

static void count_bounce(struct post *p, struct bytes mail)
{
	char text[64];

	for (unsigned i = 0; i < p->letter_count; i++) {
		struct letter *l = &p->letters[i];

		snprintf(text, sizeof(text), "<%u@sim.test>", l->tag);
		if (!has_text(mail, text) || !has_text(mail, "Action: failed"))
			continue;
		for (unsigned t = 0; t < TARGETS; t++) {
			snprintf(text, sizeof(text), "Final-Recipient: rfc822; %s\r\n", targets[t]);
			l->targets[t].bounces += has_text(mail, text);
		}
	}
}

static void read_bounces(struct post *p)
{
	struct buf mail = {0};
	uint32_t uid = 0;

	for (;;) {
		buf_clear(&mail);
		if (!world_next_mail(p->w, 0, BOX_INBOX, &uid, &mail))
			break;
		count_bounce(p, buf_bytes(&mail));
	}
	buf_done(&mail);
}

static void judge_target(struct world *w, const struct letter *l, unsigned i)
{
	const struct target *t = &l->targets[i];
	bool wanted = l->told == TOLD_OK && l->recipients & 1u << i;

	if (!wanted && (t->has || t->bounces))
		world_broken(w, "letter %u was never accepted, and reached %s", l->tag, targets[i]);
	else if (wanted && !t->has && !t->bounces)
		world_broken(w, "letter %u to %s is lost (fate %d)", l->tag, targets[i], t->fate);
	else if (t->has > 1 + t->excused)
		world_broken(w, "letter %u to %s was delivered %u times, %u excused", l->tag,
		             targets[i], t->has, t->excused);
	else if (t->bounces > 1)
		world_broken(w, "letter %u to %s was bounced %u times", l->tag, targets[i],
		             t->bounces);
	else if (t->bounces && t->has > t->excused)
		world_broken(w, "letter %u to %s was delivered and bounced", l->tag, targets[i]);
}

static bool queue_is_empty(struct post *p)
{
	struct ask a = {.kind = ASK_ADMIN};
	struct answer got;

	a.admin.verb = ADMIN_QUEUE_LIST;
	return world_call(p->w, WEB, 0, &a, &got) && got.result == OK && got.admin.rows.len == 0;
}

static void advance(struct post *p, time_ms ms)
{
	p->w->now += ms;
	if (!world_down(p->w))
		store_tick(p->w->store, p->w->now);
}

/* Nothing fails any more; days go by until the queue is empty. */
static void settle_all(struct post *p)
{
	for (unsigned hour = 0; hour < DAYS * 24 && world_good(p->w); hour++) {
		courier_round(p);
		sorter_round(p);
		if (world_good(p->w) && queue_is_empty(p))
			return;
		advance(p, HOUR_MS);
	}
	world_broken(p->w, "after %u days the queue is not empty", DAYS);
}

static void judge(struct post *p)
{
	settle_all(p);
	if (world_good(p->w))
		read_bounces(p);
	for (unsigned i = 0; i < p->letter_count; i++)
		for (unsigned t = 0; t < TARGETS && world_good(p->w); t++)
			judge_target(p->w, &p->letters[i], t);
}

/* ---- the run ---- */

static void one_act(struct post *p)
{
	switch (world_draw(p->w, 7)) {
	case 0:
	case 1: submit(p); break;
	case 2:
	case 3: courier_round(p); break;
	case 4: sorter_round(p); break;
	case 5:
		if (world_chance(p->w, 20))
			p->blocked_until = p->w->now + (time_ms)world_draw(p->w, 48) * HOUR_MS;
		break;
	default: advance(p, (time_ms)world_draw(p->w, 6 * HOUR_MS)); break;
	}
}

void carry_run(struct world *w)
{
	struct post *p = NEW(struct post);
	struct why why = {{0}};

	p->w = w;
	if (charset_warm(&why) != OK)
		world_broken(w, "charsets: %s", why.text);
	for (unsigned n = 0; n < 70 && world_good(w); n++) {
		if (world_chance(w, 40))
			disk_cut_after(w->disk, 1 + world_draw(w, 25));
		one_act(p);
		if (world_down(w)) {
			/* The courier outlives the store and says its results again, or dies too. */
			power_returns(w);
			if (world_chance(w, 50))
				courier_dies(p);
			ask_committed(p);
		}
		disk_cut_after(w->disk, 0);
	}
	if (world_good(w))
		ask_committed(p);
	judge(p);
	memory_free(p);
}
