/* A stranger's mail with signatures and seals, a stranger's DNS, and Authentication-Results: the DKIM and ARC verifiers in any split.
 * Total, bounded, and the same whatever the split. Input: a length and a TXT record's data, then the mail. */
#include <stdlib.h>

#include "base/wire.h"
#include "verify/arc.h"
#include "verify/authres.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1700000000, ROUNDS = 3 };

static void need(bool so)
{
	if (!so)
		abort();
}

static struct dkim_verifier *read_mail(struct bytes mail, size_t step)
{
	struct dkim_verifier *v = dkim_verifier_new();

	for (; mail.len > 0; mail = bytes_skip(mail, step))
		dkim_verifier_feed(v, bytes_first(mail, step));
	dkim_verifier_end(v);
	return v;
}

static void answer(struct facts *f, struct bytes record, uint32_t *number)
{
	struct bytes name;
	uint16_t type;

	while (facts_missing(f, &name, &type)) {
		struct answer a = {.kind = ASK_RESOLVE, .number = ++*number, .result = OK};
		struct buf records = {0};

		need(name.len > 0 && name.len <= 255 && type == 16);
		facts_asked(f, *number);
		buf_block(&records, record);
		a.resolve.status = bytes_starts(record, BYTES("!")) ? *number % 5 : 0;
		a.resolve.records = buf_bytes(&records);
		need(facts_answer(f, &a));
		buf_done(&records);
	}
}

struct verdicts {
	struct arena arena;
	struct dkim_verdict *dkim;
	size_t count;
	struct arc_verdict arc;
};

static void judge(struct bytes mail, struct bytes record, size_t step, struct verdicts *ret)
{
	struct dkim_verifier *v = read_mail(mail, step);
	struct facts *f = facts_new();
	uint32_t number = 0;

	dkim_verifier_need(v, f);
	answer(f, record, &number);
	/* What was named early is all that is ever asked. */
	need(dkim_verify(v, f, NOW, &ret->arena, &ret->dkim, &ret->count));
	need(arc_verify(v, f, NOW, &ret->arena, &ret->arc));
	need(ret->count <= DKIM_LOOKED_AT && ret->arc.instances <= ARC_INSTANCES);
	facts_free(&f);
	dkim_verifier_free(&v);
}

static void compare(const struct verdicts *a, const struct verdicts *b)
{
	need(a->count == b->count && a->arc.result == b->arc.result);
	for (size_t i = 0; i < a->count; i++)
		need(a->dkim[i].result == b->dkim[i].result);
}

/* Nobody may break out of the field that we write. */
static void results(struct bytes in)
{
	struct authres_row row = {.method = "dkim",
	                          .result = "pass",
	                          .reason = in,
	                          .properties = {{"header", "d", in}}};
	struct buf out = {0};
	struct bytes text;

	authres_put(BYTES("mx.test"), &row, 1, &out);
	text = buf_bytes(&out);
	need(bytes_ends(text, BYTES("\r\n")));
	for (size_t i = 0; i + 2 < text.len; i++)
		if (text.ptr[i] == '\n')
			need(text.ptr[i - 1] == '\r' && text.ptr[i + 1] == '\t');
	need(authres_is_ours(bytes_skip(text, 23), BYTES("mx.test")));
	(void)authres_is_ours(in, BYTES("mx.test"));
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire w = wire_of(bytes_of(data, size));
	struct bytes record = wire_take(&w, wire_u8(&w)), mail = w.rest;
	static const size_t steps[ROUNDS] = {1, 7, SIZE_MAX};
	struct verdicts v[ROUNDS] = {0};

	if (w.bad)
		return 0;
	for (int i = 0; i < ROUNDS; i++) {
		judge(mail, record, steps[i], &v[i]);
		compare(&v[0], &v[i]);
	}
	results(bytes_first(mail, 400));
	for (int i = 0; i < ROUNDS; i++)
		arena_done(&v[i].arena);
	return 0;
}
