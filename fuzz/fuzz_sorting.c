/* A sorting job: the first octets choose the recipient and how asks are answered (with any
 * result, in any order), the rest is the mail. It must come to an end, keep its limit on open
 * asks, and say something well-formed in SORTED. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/wire.h"
#include "mail/summary.h"
#include "sorting/sorting.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPEN_MAX = LIMIT_ASKS_SESSION, STEPS_MAX = 20000 };

static void check(bool good)
{
	if (!good)
		abort();
}

struct world {
	struct bytes mail;
	uint64_t random;
	bool kind; /* the store says OK to everything */
};

static unsigned draw(struct world *w, unsigned below)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(w->random >> 33) % below;
}

static void check_actions(struct bytes actions)
{
	struct wire w = wire_of(actions);

	check(actions.len > 0);
	while (!wire_end(&w)) {
		uint8_t action = wire_u8(&w);
		if (action == SORT_DEFER)
			wire_u32(&w);
		if (action != SORT_CARRY_ON)
			wire_block(&w);
		if (action == SORT_REDIRECT || action == SORT_DELIVER)
			wire_block(&w);
		if (action == SORT_PLACE || action == SORT_DELIVER)
			wire_u64(&w);
		check(action <= SORT_CARRY_ON);
	}
	check(!w.bad);
}

static struct answer answer_for(struct world *w, const struct ask *a)
{
	static const struct bytes keys = BYTES("\0\0\0\2s1\0\1\0\0\0\0\0\0\0\0\0\0\0\0"
	                                       "\0\0\0\2s2\1\1\0\0\0\0\0\0\0\0\0\0\0\0");
	enum result result = w->kind || draw(w, 8) ? OK : (enum result)draw(w, RESULT_COUNT);
	struct answer r = answer_to(a, result, (struct bytes){0});

	if (a->kind == ASK_SORTED)
		check_actions(a->sorted.actions);
	if (result != OK)
		return r;
	if (a->kind == ASK_ROUTE) {
		r.route.class = (uint8_t)draw(w, ROUTE_SUSPENDED + 1);
		r.route.account = (uint8_t)draw(w, 4);
		r.route.address = BYTES("first@example.test");
	} else if (a->kind == ASK_QUEUE_READ) {
		check(a->queue_read.len <= LIMIT_READ);
		r.queue_read.chunk = bytes_first(bytes_skip(w->mail, (size_t)a->queue_read.offset),
		                                 a->queue_read.len);
		r.queue_read.total = w->mail.len;
	} else if (a->kind == ASK_DKIM_KEYS) {
		r.dkim_keys.keys = draw(w, 4) ? keys : w->mail;
	} else if (a->kind == ASK_DKIM_SIGN) {
		check(a->dkim_sign.digest.len == 32);
		r.dkim_sign.signature = bytes_first(w->mail, 64);
	} else if (a->kind == ASK_SPOOL) {
		check(a->spool.chunk.len > 0 && a->spool.chunk.len <= LIMIT_CHUNK);
	}
	return r;
}

static void run(struct world *w, struct sorting_job *j, time_ms now)
{
	struct arena arena = {0};
	struct ask open[OPEN_MAX], a;
	size_t count = 0;

	for (int step = 0; !sorting_job_finished(j); step++) {
		w->kind = w->kind || step > 1000;
		check(step < STEPS_MAX);
		while (sorting_job_ask(j, &a)) {
			check(count < OPEN_MAX);
			open[count++] = ask_copy(&arena, &a);
		}
		if (count > 0) {
			unsigned n = draw(w, (unsigned)count);
			struct ask one = open[n];
			open[n] = open[--count];
			struct answer r = answer_for(w, &one);
			sorting_job_answer(j, &r);
		} else if (!sorting_job_finished(j)) {
			check(sorting_job_deadline(j) != TIME_NEVER);
			now = sorting_job_deadline(j);
			sorting_job_tick(j, now);
		}
	}
	arena_done(&arena);
}

static struct config *the_config(void)
{
	const struct config_source sources[] = {
	        {BYTES("hikyaku.conf"), BYTES("hostname mx.example.test\ndomain example.test\n")},
	        {BYTES("virtual"),
	         BYTES("all@example.test ken, a, b, c, d@far.test, all@example.test\n")},
	        {BYTES("dot/ken@example.test/default"), BYTES("./Kept\n&friend@far.test\n")},
	};
	static struct config *config;
	struct why why;

	if (!config)
		check(config_parse(sources, 3, &config, &why) == OK);
	return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const rcpts[] = {"all@example.test",        "ken@example.test",
	                                    "nobody@example.test",     "x@far.test",
	                                    "postmaster@example.test", "\xff",
	                                    "ken+x@example.test"};
	struct buf summary = {0};
	struct arena arena = {0};

	if (size < 4)
		return 0;
	struct world w = {.mail = bytes_of(data + 4, size - 4),
	                  .random = data[1] * 256u + data[2],
	                  .kind = data[3] & 1};
	struct summary s = summary_of(w.mail, &arena);
	summary_encode(&s, &summary);
	struct answer_take take = {
	        .entry = 1,
	        .lease = 2,
	        .id = BYTES("1"),
	        .sender = data[3] & 2 ? BYTES("a@b.test") : BYTES(""),
	        .rcpt = bytes_of_text(rcpts[data[0] % 7]),
	        .origin = data[3] & 4 ? bytes_of_text(rcpts[data[0] / 7 % 7]) : BYTES(""),
	        .size = w.mail.len,
	        .notify = data[3] >> 4,
	        .ret = data[3] & 8 ? 1 : 0,
	        .queued = data[2] & 1 ? 0 : 1795392000000,
	        .task = data[1] % 6,
	        .status = data[1] & 64 ? bytes_first(w.mail, 5) : BYTES(""),
	        .reply = data[1] & 128 ? bytes_first(w.mail, 80) : BYTES(""),
	        .remote = data[1] & 32 ? BYTES("mx.far.test") : BYTES(""),
	        .attempted = data[1],
	        .expires = 1795392000000,
	        .summary = data[2] & 2 ? BYTES("broken") : buf_bytes(&summary),
	};
	struct sorting_job *j = sorting_job_new(the_config(), &take, 1795392000000);
	run(&w, j, 1795392000000);
	check(sorting_job_outcome(j).len > 0);
	sorting_job_free(&j);
	buf_done(&summary);
	arena_done(&arena);
	return 0;
}
