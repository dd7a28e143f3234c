/* Drives any engine with a fuzzer's input: splits, answers in any order and with any result, all from
 * a seed that is the input's first four octets. Checks what ask/engine.h promises.
 *
 *	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
 *	{
 *		struct drive d = drive_begin(&data, &size);
 *		d.e = pop3_server_new(&options, &d.peer, d.now);
 *		d.fill = fill;                 what the answers hold where random octets are no use; may be NULL
 *		drive_run(&d, data, size);
 *		return 0;
 *	}
 */
#ifndef FUZZ_DRIVE_H
#define FUZZ_DRIVE_H

#include <stdlib.h>

#include "ask/engine.h"
#include "base/limits.h"

enum { DRIVE_OPEN = LIMIT_ASKS_SESSION, DRIVE_ROUNDS = 200000 };

struct drive {
	struct engine *e;
	struct engine_peer peer;
	time_ms now;
	uint64_t random;
	struct arena arena; /* copies of open asks, and what answers borrow */
	struct ask open[DRIVE_OPEN];
	unsigned open_count;
	bool tls_starting;
	size_t ended;
	bool store_back;
	/* Sets the fields of an OK answer; the random ones are set already. */
	void (*fill)(struct drive *d, const struct ask *a, struct answer *b);
};

static inline uint32_t drive_random(struct drive *d, uint32_t below)
{
	d->random = d->random * 6364136223846793005u + 1442695040888963407u;
	return below ? (uint32_t)(d->random >> 33) % below : 0;
}

static inline void drive_check(bool good)
{
	if (!good)
		abort();
}

static inline struct drive drive_begin(const uint8_t **data, size_t *size)
{
	struct drive d = {.now = 1700000000000, .random = 1};

	for (int i = 0; i < 4 && *size; i++, (*data)++, (*size)--)
		d.random = d.random << 8 | **data;
	d.peer.session = 9;
	d.peer.port = 1234;
	d.peer.ip.octets[10] = d.peer.ip.octets[11] = 0xff;
	d.peer.ip.octets[12] = drive_random(&d, 2) ? 127 : 192;
	d.peer.ip.octets[15] = 1;
	d.peer.local_ip = d.peer.ip;
	memset(d.peer.seed, 7, sizeof(d.peer.seed));
	d.peer.tls = drive_random(&d, 2);
	if (d.peer.tls)
		d.peer.tls_info.exporter = BYTES("0123456789abcdef0123456789abcdef");
	return d;
}

static inline struct bytes drive_octets(struct drive *d)
{
	size_t n = drive_random(d, 4) ? drive_random(d, 24) : drive_random(d, 3000);
	char *p = arena_get(&d->arena, n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(drive_random(d, 3) ? "aZ09 .@\r\n/\\\"{}"[drive_random(d, 14)]
		                                 : (char)drive_random(d, 256));
	return bytes_of(p, n);
}

static inline uint64_t drive_number(struct drive *d)
{
	switch (drive_random(d, 8)) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return drive_random(d, UINT32_MAX);
	default: return drive_random(d, 20);
	}
}

#define drive_set_u8(d) (uint8_t) drive_number(d)
#define drive_set_u16(d) (uint16_t) drive_number(d)
#define drive_set_u32(d) (uint32_t) drive_number(d)
#define drive_set_u64(d) drive_number(d)
#define drive_set_i64(d) (int64_t) drive_number(d)
#define drive_set_bytes(d) drive_octets(d)

static inline struct answer drive_answer(struct drive *d, const struct ask *a)
{
	static const enum result others[] = {INVALID,     TOO_BIG,    NOT_FOUND, EXISTS,
	                                     DENIED,      OVER_QUOTA, DISK_FULL, LOST,
	                                     UNAVAILABLE, DAMAGED,    FAILED};
	struct answer b = answer_to(a, OK, (struct bytes){0});

	if (!drive_random(d, 6)) {
		b.result = others[drive_random(d, sizeof(others) / sizeof(others[0]))];
		b.why = BYTES("because");
		return b;
	}
	switch (a->kind) {
#define ASK(NAME, name, from, to, meaning)         \
	case ASK_##NAME: {                         \
		struct answer_##name *f = &b.name; \
		(void)f;
#define IN(type, field, meaning)
#define OUT(type, field, meaning) f->field = drive_set_##type(d);
#define END(name) \
	break;    \
	}
#include "ask/ask.def"
#undef ASK
#undef IN
#undef OUT
#undef END
	case ASK_NONE:
	case ASK_COUNT: abort();
	}
	if (d->fill)
		d->fill(d, a, &b);
	return b;
}

/* One open ask, whichever, gets its answer. */
static inline void drive_answer_one(struct drive *d)
{
	unsigned nth = drive_random(d, d->open_count);
	struct ask a = d->open[nth];
	struct answer b = drive_answer(d, &a);

	d->open[nth] = d->open[--d->open_count];
	if (a.kind == ASK_TLS_START)
		d->tls_starting = false;
	d->e->ops->answer(d->e, &b);
}

static inline void drive_asks(struct drive *d)
{
	struct ask a;

	while (d->e->ops->ask(d->e, &a)) {
		drive_check(a.kind > ASK_NONE && a.kind < ASK_COUNT);
		drive_check(d->open_count < DRIVE_OPEN);
		for (unsigned i = 0; i < d->open_count; i++)
			drive_check(d->open[i].number != a.number);
		if (a.kind == ASK_TLS_START)
			d->tls_starting = true;
		if (a.kind == ASK_NOTE)
			continue; /* as roles/front.c: it is told, not answered */
		d->open[d->open_count++] = ask_copy(&d->arena, &a);
	}
}

/* Output is taken away whole, in part, or not at all this time. */
static inline void drive_output(struct drive *d)
{
	struct buf *out = d->e->ops->output(d->e);
	size_t n = buf_len(out);

	drive_check(n < 16 * 1024 * 1024);
	if (n && drive_random(d, 4))
		buf_consume(out, drive_random(d, 2) ? n : 1 + drive_random(d, (uint32_t)n));
}

static inline void drive_time(struct drive *d)
{
	time_ms deadline = d->e->ops->deadline(d->e);

	d->now += drive_random(d, 300);
	if (!drive_random(d, 200) && deadline != TIME_NEVER && deadline > d->now)
		d->now = deadline;
	d->e->ops->tick(d->e, d->now);
	if (!drive_random(d, 500))
		d->e->ops->event(d->e, 1u << drive_random(d, 4));
}

/* Until the input is used up and nothing moves any more. */
static inline void drive_run(struct drive *d, const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	unsigned quiet = 0;

	for (unsigned round = 0; round < DRIVE_ROUNDS && quiet < 64 && !d->e->ops->finished(d->e);
	     round++) {
		size_t offer = drive_random(d, 3)
		                       ? in.len
		                       : drive_random(d, (uint32_t)(in.len < 80 ? in.len : 80) + 1);
		size_t taken = d->e->ops->feed(d->e, bytes_first(in, offer));

		drive_check(taken <= offer);
		in = bytes_skip(in, taken);
		drive_asks(d);
		drive_output(d);
		if (d->open_count && drive_random(d, 3))
			drive_answer_one(d);
		drive_asks(d);
		drive_time(d);
		drive_asks(d);
		quiet = taken || d->open_count || buf_len(d->e->ops->output(d->e)) ? 0 : quiet + 1;
		if (!in.len && !d->ended++)
			d->e->ops->eof(d->e);
	}
	d->e->ops->free(&d->e);
	drive_check(!d->e);
	arena_done(&d->arena);
}

#endif
