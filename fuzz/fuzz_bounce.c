/* Bounces and replies of strangers: whatever comes is judged, in bounds, and borrows only from what it may. */
#include <stdlib.h>

#include "base/limits.h"
#include "mail/charset.h"
#include "policy/bounce.h"
#include "policy/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct why why;

	check(charset_warm(&why) == OK);
	return 0;
}

static uint64_t sum(struct bytes b)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < b.len; i++)
		sum += (unsigned char)b.ptr[i]; /* a sanitizer sees what may not be read */
	return sum;
}

static void check_reply(struct bytes in)
{
	struct reply_facts f = {.stage = (enum reply_stage)(in.len % (REPLY_AT_END + 1)),
	                        .host = bytes_first(in, 20)};
	struct reply_judgement j;

	reply_parse(in, &f);
	if (f.code == 0)
		f.text = in;
	reply_judge(&f, &j);
	check(j.class < REPLY_CLASSES && j.outcome <= CARRY_HELD && j.scope <= CARRIED_NETWORK);
	check(j.row && j.status.len > 0 &&
	      sum(j.link) + sum(j.status) + sum(j.provider) != UINT64_MAX);
	check(j.retry_after <= 24 * 3600);
	/* Our address or a rate is never the recipient's fault. */
	if (j.class == REPLY_OURS_ADDRESS || j.class == REPLY_RATE)
		check(j.outcome == CARRY_HELD || j.outcome == CARRY_DEFERRED);
}

static void check_bounce(struct bytes in)
{
	struct arena arena = {0};
	struct bounce b;

	check(bounce_read(in, &arena, &b) == b.kind);
	check((b.kind == BOUNCE_NONE) ? b.count == 0 : b.count <= BOUNCE_RECIPIENTS);
	for (size_t i = 0; i < b.count; i++) {
		const struct bounce_recipient *r = &b.recipients[i];
		check(r->address.len > 0 && r->address.len <= LIMIT_ADDRESS + 2);
		check(r->weight == BOUNCE_OTHER || r->status.len > 0);
		check(sum(r->diagnostic) + sum(r->remote) + sum(r->action) != UINT64_MAX);
	}
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_reply(bytes_of(data, size < 2000 ? size : 2000));
	check_bounce(bytes_of(data, size));
	return 0;
}
