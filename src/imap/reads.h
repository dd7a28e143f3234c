/* Octets of mails from the store, some mails ahead: small ones many at once (READ_MANY), of a big one a few pieces ahead.
 *
 *	job = reads_add(&r, &row, from, to, stream);    while !reads_full(&r)
 *	pump:    reads_pump(&r); job = reads_head(&r); if (job && read_complete(job)) use job->data, reads_pop(&r)
 *	         or, when it streams: while (read_chunk(job, &chunk)) append it, read_consume(job)
 *	answer:  if (reads_answer(&r, a, mark)) pump
 *	reads_done(&r);
 *
 * A mail that cannot be read has a result other than OK. What streams and has begun is asked again when the store was
 * lost meanwhile, since a literal that was begun must be ended. */
#ifndef IMAP_READS_H
#define IMAP_READS_H

#include "imap/rows.h"

enum { READS_AHEAD = 128, READ_WINDOW = 3, READ_BATCHES = 3, READS_MARK = 1u << 30 };

struct read_piece {
	uint8_t state; /* enum piece_state in reads.c */
	uint64_t offset;
	uint32_t len;
	struct buf data;
};

struct read_job {
	struct row row; /* its summary is the job's */
	struct buf summary;
	uint64_t from, to;     /* what is wanted */
	uint64_t asked, taken; /* so far, in order */
	bool batched;          /* in a READ_MANY that is open */
	bool stream;
	bool begun; /* the consumer cannot go back */
	enum result result;
	time_ms give_up;
	struct buf data; /* from .. taken, unless it streams */
	struct read_piece pieces[READ_WINDOW];
};

/* An open READ_MANY: these jobs, in order. */
struct read_batch {
	uint8_t jobs[READS_AHEAD];
	unsigned count;
};

struct reads {
	struct imap_server *s;
	struct read_job *jobs; /* READS_AHEAD, from the first reads_add on */
	unsigned head, count;
	struct read_batch batches[READ_BATCHES];
	size_t held; /* octets in the data of all jobs */
};

void reads_begin(struct reads *r, struct imap_server *s);
bool reads_full(const struct reads *r);
struct read_job *reads_add(struct reads *r, const struct row *row, uint64_t from, uint64_t to,
                           bool stream);
void reads_pump(struct reads *r);
bool reads_answer(struct reads *r, const struct answer *a, uint32_t mark);
struct read_job *reads_head(struct reads *r);
void reads_pop(struct reads *r);
void reads_done(struct reads *r);

bool read_complete(const struct read_job *job); /* all is in data, or result is not OK */
bool read_chunk(struct read_job *job, struct bytes *ret);
void read_consume(struct read_job *job);

#endif
