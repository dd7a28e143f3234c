/* What a list in the DNS may answer: anything. A list that is in doubt never speaks against a mail, one that lists its must-not
 * entry never counts, and the operator's key is in no text. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/wire.h"
#include "policy/dnsbl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONF                                               \
	"hostname mx.example.test\n"                       \
	"list zen { use refuse\n points 13 }\n"            \
	"list dbl-dqs { use refuse\n key secretkey123 }\n" \
	"list uribl { use junk }\n"                        \
	"list dnswl { }\n"

static void need(bool so)
{
	if (!so)
		abort();
}

static void answer_all(struct facts *f, struct wire *w, uint32_t *number)
{
	struct bytes name;
	uint16_t type;

	while (facts_missing(f, &name, &type)) {
		struct answer a = {.kind = ASK_RESOLVE, .number = ++*number, .result = OK};

		facts_asked(f, *number);
		a.resolve.status = wire_u8(w) % 5;
		a.resolve.records = wire_block(w);
		need(facts_answer(f, &a));
	}
}

static bool check(const struct dnsbl_list *l, struct facts *f, struct arena *arena,
                  struct dnsbl_verdict *ret)
{
	static const struct bytes domains[] = {
	        {"a.example", 9}, {"192.0.2.1", 9}, {"", 0}, {"deep.b.example", 14}};
	struct ip ip = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}};

	return dnsbl_is_of_ip(l) ? dnsbl_check_ip(l, &ip, f, arena, ret)
	                         : dnsbl_check_domains(l, domains, 4, f, arena, ret);
}

static bool lists_what_it_must_not(const struct dnsbl_list *l, struct facts *f, struct arena *arena)
{
	struct dnsbl_health h;

	return dnsbl_self_test(l, f, arena, &h) && h.state == DNSBL_LISTS_EVERYTHING;
}

static void one(const struct dnsbl_list *l, struct bytes in)
{
	struct facts *f = facts_new();
	struct arena arena = {0};
	struct wire w = wire_of(in);
	struct dnsbl_health health;
	struct dnsbl_verdict v;
	struct evidence e;
	uint32_t number = 0;

	for (unsigned rounds = 0; !check(l, f, &arena, &v); rounds++) {
		need(rounds < 4);
		answer_all(f, &w, &number);
	}
	dnsbl_evidence(l, &v, &arena, &e);
	if (v.result != DNSBL_LISTED)
		need(e.points == 0 && e.wants == JUDGE_ACCEPT);
	need((e.says == EVIDENCE_DOUBT) == (v.result == DNSBL_REFUSED || v.result == DNSBL_ERROR));
	need(bytes_find(e.text, BYTES("secretkey123")) == BYTES_NONE);
	while (!dnsbl_self_test(l, f, &arena, &health))
		answer_all(f, &w, &number);
	need(health.state < DNSBL_STATES &&
	     bytes_find(health.text, BYTES("secretkey123")) == BYTES_NONE);
	need(v.result != DNSBL_LISTED || !lists_what_it_must_not(l, f, &arena));
	arena_done(&arena);
	facts_free(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config *config;
	static struct dnsbl_list *lists;
	static size_t count;
	struct config_source source = {BYTES("hikyaku.conf"), BYTES(CONF)};

	if (!config) {
		need(config_parse(&source, 1, &config, NULL) == OK);
		lists = dnsbl_of_config(config, &count);
	}
	for (size_t i = 0; i < count; i++)
		one(&lists[i], bytes_of(data, size));
	return 0;
}
