/* What other domains' DNS and policies say: MTA-STS and TLSRPT records, policies, MX, addresses and TLSA in a route. Total, and
 * whatever is found can be used. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/wire.h"
#include "verify/dane.h"
#include "verify/mtasts.h"
#include "verify/route.h"
#include "verify/tlsrpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool so)
{
	if (!so)
		abort();
}

static void texts(struct bytes in, struct arena *arena)
{
	struct bytes id, joined, ruas[TLSRPT_RUAS];
	struct mtasts_policy policy;
	size_t count = 0;
	struct why why;

	if (mtasts_txt(&in, 1, &id) == OK)
		need(id.len > 0 && id.len <= 32);
	if (tlsrpt_txt(&in, 1, ruas, &count) == OK)
		need(count > 0 && count <= TLSRPT_RUAS);
	if (facts_text(in, arena, &joined) == OK)
		need(joined.len <= in.len);
	if (mtasts_policy_parse(in, arena, &policy, &why) == OK) {
		need(policy.max_age <= MTASTS_AGE_MAX && policy.mx_count <= MTASTS_HOSTS);
		(void)mtasts_policy_covers(&policy, in);
	}
}

/* Each question is answered with the next block of the input. */
static void answer_next(struct facts *f, struct wire *w, uint32_t number)
{
	struct answer a = {.kind = ASK_RESOLVE, .number = number, .result = OK};

	a.resolve.status = wire_u8(w) % 5;
	a.resolve.secure = wire_u8(w) & 1;
	a.resolve.records = wire_block(w);
	a.resolve.canonical = wire_u8(w) & 1 ? BYTES("alias.test") : (struct bytes){0};
	need(facts_answer(f, &a));
}

static void route(struct bytes in, struct arena *arena)
{
	struct route_question q = {.domain = BYTES("d.test"), .hostname = BYTES("us.test")};
	struct facts *f = facts_new();
	struct wire w = wire_of(in);
	uint32_t number = 0;
	struct route r;
	struct dane d;

	for (int rounds = 0; route_find(&q, f, arena, &r) == UNAVAILABLE; rounds++) {
		struct bytes name;
		uint16_t type;

		need(rounds < 8); /* each round adds facts: it ends */
		while (facts_missing(f, &name, &type)) {
			facts_asked(f, ++number);
			answer_next(f, &w, number);
		}
	}
	need(r.count <= ROUTE_HOSTS && (r.count > 0 || (r.status && r.text.len > 0)));
	for (size_t i = 0; i < r.count; i++) {
		need(r.hosts[i].address_count > 0 && r.hosts[i].name.len > 0);
		while (dane_find(&r.hosts[i], f, arena, &d) == UNAVAILABLE) {
			facts_asked(f, ++number);
			answer_next(f, &w, number);
		}
		need(d.state != DANE_MATCH || d.count > 0);
	}
	facts_free(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct bytes in = bytes_of(data, size);

	if (size == 0)
		return 0;
	if (data[0] & 1)
		texts(bytes_skip(in, 1), &arena);
	else
		route(bytes_skip(in, 1), &arena);
	arena_done(&arena);
	return 0;
}
