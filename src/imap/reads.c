#include "imap/reads.h"

#include "base/memory.h"
#include "base/wire.h"

enum piece_state { PIECE_FREE, PIECE_ASKED, PIECE_STALE, PIECE_HERE, PIECE_LOST };

enum {
	RETRY_MS = 250,
	GIVE_UP_MS = 10 * 1000,
	SMALL = 24 * 1024,      /* what goes into a READ_MANY */
	BATCH = LIMIT_READ,     /* octets that one is asked for */
	PIECE_HEAD = 5,         /* of each in the answer */
	BIG_AHEAD = 4,          /* mails ahead that are read by themselves */
	HELD_MAX = 1024 * 1024, /* octets that wait for those before them */
	BATCH_MARK = 1u << 29,
};

void reads_begin(struct reads *r, struct imap_server *s)
{
	memset(r, 0, sizeof(*r));
	r->s = s;
}

bool reads_full(const struct reads *r)
{
	return r->count == READS_AHEAD;
}

struct read_job *reads_head(struct reads *r)
{
	return r->count ? &r->jobs[r->head] : NULL;
}

struct read_job *reads_add(struct reads *r, const struct row *row, uint64_t from, uint64_t to,
                           bool stream)
{
	struct read_job *job;

	if (!r->jobs)
		r->jobs = memory_get(READS_AHEAD * sizeof(*r->jobs));
	job = &r->jobs[(r->head + r->count++) % READS_AHEAD];
	buf_clear(&job->summary);
	buf_clear(&job->data);
	buf_append(&job->summary, row->summary);
	job->row = *row;
	job->row.summary = buf_bytes(&job->summary);
	job->from = job->asked = job->taken = from;
	job->to = to;
	job->stream = stream;
	job->batched = job->begun = false;
	job->result = OK;
	job->give_up = 0;
	return job;
}

/* ---- asking ---- */

static void ask_piece(struct reads *r, struct read_job *job, struct read_piece *p)
{
	uint32_t mark = READS_MARK | (uint32_t)(job - r->jobs) << 4 | (uint32_t)(p - job->pieces);

	p->state = PIECE_ASKED;
	imap_ask(r->s, OWNER_COMMAND, mark,
	         &(struct ask){.kind = ASK_READ,
	                       .read = {.mailbox = r->s->box.id,
	                                .uid = job->row.uid,
	                                .offset = p->offset,
	                                .len = p->len}});
}

static void ask_next(struct reads *r, struct read_job *job, struct read_piece *p)
{
	uint64_t left = job->to - job->asked;

	p->offset = job->asked;
	p->len = left < LIMIT_READ ? (uint32_t)left : LIMIT_READ;
	job->asked += p->len;
	ask_piece(r, job, p);
}

static bool may_ask(const struct reads *r, const struct read_job *job)
{
	return job->result == OK && imap_can_ask(r->s) && imap_output_low(r->s) &&
	       job->asked < job->to;
}

/* The first job fills its window, the others ask for one piece. */
static void pump_job(struct reads *r, struct read_job *job, bool first)
{
	for (unsigned i = 0; i < READ_WINDOW; i++) {
		struct read_piece *p = &job->pieces[i];

		if (p->state == PIECE_LOST && r->s->now >= r->s->wake_at && imap_can_ask(r->s))
			ask_piece(r, job, p);
		else if (p->state == PIECE_FREE && (first || job->asked == job->from) &&
		         may_ask(r, job))
			ask_next(r, job, p);
	}
}

static struct read_job *job_at(struct reads *r, unsigned nth)
{
	return &r->jobs[(r->head + nth) % READS_AHEAD];
}

static bool is_small(const struct read_job *job)
{
	return job->to - job->from <= SMALL && !job->stream;
}

/* Has nothing been asked of it yet that must be? */
static bool waits(const struct read_job *job)
{
	return !job->batched && job->result == OK && job->asked == job->from &&
	       job->asked < job->to;
}

static struct read_batch *free_batch(struct reads *r)
{
	for (unsigned i = 0; i < READ_BATCHES; i++)
		if (!r->batches[i].count)
			return &r->batches[i];
	return NULL;
}

static void ask_batch(struct reads *r, struct read_batch *batch)
{
	struct buf pieces = {0};

	for (unsigned i = 0; i < batch->count; i++) {
		struct read_job *job = &r->jobs[batch->jobs[i]];

		job->batched = true;
		buf_u32(&pieces, job->row.uid);
		buf_u64(&pieces, job->from);
		buf_u32(&pieces, (uint32_t)(job->to - job->from));
	}
	imap_ask(r->s, OWNER_COMMAND, READS_MARK | BATCH_MARK | (uint32_t)(batch - r->batches),
	         &(struct ask){
	                 .kind = ASK_READ_MANY,
	                 .read_many = {.mailbox = r->s->box.id, .pieces = buf_bytes(&pieces)}});
	buf_done(&pieces);
}

/* Small jobs that wait, from the nth on, as many as one answer can hold. One alone is an ordinary READ. */
static bool pump_batch(struct reads *r, unsigned nth)
{
	struct read_batch *batch = free_batch(r);
	size_t octets = 0;

	if (!batch || !imap_can_ask(r->s) || !imap_output_low(r->s) || r->held > HELD_MAX)
		return false;
	for (; nth < r->count; nth++) {
		struct read_job *job = job_at(r, nth);

		if (!waits(job) || !is_small(job))
			continue;
		octets += PIECE_HEAD + (job->to - job->from);
		if (octets > BATCH)
			break;
		batch->jobs[batch->count++] = (uint8_t)(job - r->jobs);
	}
	if (batch->count == 1) {
		batch->count = 0;
		return false;
	}
	ask_batch(r, batch);
	return true;
}

void reads_pump(struct reads *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		struct read_job *job = job_at(r, i);

		if (job->batched)
			continue;
		if (is_small(job) && waits(job) && pump_batch(r, i))
			continue;
		if (i < BIG_AHEAD)
			pump_job(r, job, i == 0);
	}
}

/* ---- answers ---- */

static struct read_piece *piece_at(struct read_job *job, uint64_t offset)
{
	for (unsigned i = 0; i < READ_WINDOW; i++)
		if (job->pieces[i].state == PIECE_HERE && job->pieces[i].offset == offset)
			return &job->pieces[i];
	return NULL;
}

bool read_chunk(struct read_job *job, struct bytes *ret)
{
	const struct read_piece *p = piece_at(job, job->taken);

	if (!p)
		return false;
	*ret = buf_bytes(&p->data);
	return true;
}

void read_consume(struct read_job *job)
{
	struct read_piece *p = piece_at(job, job->taken);

	job->taken += p->len;
	p->state = PIECE_FREE;
	buf_clear(&p->data);
}

static void collect(struct reads *r, struct read_job *job)
{
	struct bytes chunk;

	while (read_chunk(job, &chunk)) {
		buf_append(&job->data, chunk);
		r->held += chunk.len;
		read_consume(job);
	}
}

/* Pieces that did not fit into the answer are asked again. */
static void batch_came(struct reads *r, struct read_batch *batch, const struct answer *a)
{
	struct wire w = wire_of(a->result == OK ? a->read_many.rows : (struct bytes){0});

	for (unsigned i = 0; i < batch->count; i++) {
		struct read_job *job = &r->jobs[batch->jobs[i]];
		enum result result = a->result;
		struct bytes chunk = {0};

		job->batched = false;
		if (result == OK && wire_end(&w) && i > 0)
			continue;
		if (result == OK) {
			result = (enum result)wire_u8(&w);
			chunk = wire_block(&w);
		}
		if (result == OK && chunk.len != job->to - job->from)
			result = DAMAGED;
		job->result = result < RESULT_COUNT ? result : FAILED;
		job->asked = job->taken = job->to;
		buf_append(&job->data, chunk);
		r->held += chunk.len;
	}
	batch->count = 0;
}

static void piece_lost(struct reads *r, struct read_job *job, struct read_piece *p,
                       enum result result)
{
	bool unknown = result == LOST || result == UNAVAILABLE || result == DENIED;

	p->state = PIECE_FREE;
	if (job->begun && unknown && (!job->give_up || r->s->now < job->give_up)) {
		if (!job->give_up)
			job->give_up = r->s->now + GIVE_UP_MS;
		p->state = PIECE_LOST;
		r->s->wake_at = r->s->now + RETRY_MS;
	} else if (job->result == OK) {
		job->result = result;
	}
}

static void piece_came(struct reads *r, struct read_job *job, struct read_piece *p,
                       const struct answer *a)
{
	if (p->state == PIECE_STALE) {
		p->state = PIECE_FREE;
	} else if (a->result != OK) {
		piece_lost(r, job, p, a->result);
	} else if (a->read.chunk.len != p->len) {
		piece_lost(r, job, p, DAMAGED);
	} else {
		buf_clear(&p->data);
		buf_append(&p->data, a->read.chunk);
		p->state = PIECE_HERE;
		job->give_up = 0;
		if (!job->stream)
			collect(r, job);
	}
}

bool reads_answer(struct reads *r, const struct answer *a, uint32_t mark)
{
	struct read_job *job;

	if (!(mark & READS_MARK))
		return false;
	if (mark & BATCH_MARK) {
		batch_came(r, &r->batches[(mark & 15) % READ_BATCHES], a);
	} else {
		job = &r->jobs[(mark >> 4) % READS_AHEAD];
		piece_came(r, job, &job->pieces[(mark & 15) % READ_WINDOW], a);
	}
	return true;
}

bool read_complete(const struct read_job *job)
{
	return job->result != OK || job->taken == job->to;
}

/* Its place is used again only when no answer for it is outstanding any more: stale pieces stay marked. */
void reads_pop(struct reads *r)
{
	struct read_job *job = reads_head(r);

	for (unsigned i = 0; i < READ_WINDOW; i++) {
		struct read_piece *p = &job->pieces[i];

		p->state = p->state == PIECE_ASKED || p->state == PIECE_STALE ? PIECE_STALE
		                                                              : PIECE_FREE;
	}
	r->held -= buf_len(&job->data);
	r->head = (r->head + 1) % READS_AHEAD;
	r->count--;
}

void reads_done(struct reads *r)
{
	for (unsigned i = 0; r->jobs && i < READS_AHEAD; i++) {
		buf_done(&r->jobs[i].summary);
		buf_done(&r->jobs[i].data);
		for (unsigned n = 0; n < READ_WINDOW; n++)
			buf_done(&r->jobs[i].pieces[n].data);
	}
	memory_free(r->jobs);
	r->jobs = NULL;
}
