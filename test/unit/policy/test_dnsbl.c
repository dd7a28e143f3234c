/* Block and allow lists: every kind of answer, and what a list that goes mad can do (nothing). Entries as in
 * testdata/dns. */
#include "../test.h"

#include "../verify/facts_test.h"
#include "base/memory.h"
#include "policy/dnsbl.h"

#define CONF                                                                                   \
	"hostname mx.example.test\n"                                                           \
	"list bl { zone dnsbl.test\n use refuse\n points 6\n codes 127.0.0.2=SBL 127.0.0.3-4 " \
	"127.0.0.10=PBL }\n"                                                                   \
	"list dbl { zone dbl.test\n kind domain\n use junk\n codes 127.0.1.2=spam "            \
	"127.0.1.4@50=half !127.0.1.255=no-addresses }\n"                                      \
	"list bits { zone multi.test\n kind domain\n codes !127.0.0.1=query-refused "          \
	"127.0.0.&8=phishing 127.0.0.&16=malware }\n"                                          \
	"list dnswl { zone allow.test }\n"                                                     \
	"list zen-dqs { use refuse\n key abcdef0123456789 }\n"

struct world {
	struct config *config;
	struct dnsbl_list *lists;
	size_t count;
	struct facts *facts;
	struct arena arena;
};

static void setup(struct world *w)
{
	struct config_source s = {BYTES("hikyaku.conf"), BYTES(CONF)};
	struct why why = {{0}};

	*w = (struct world){.facts = facts_new()};
	if (config_parse(&s, 1, &w->config, &why) != OK)
		fail_msg("refused: %s", why.text);
	w->lists = dnsbl_of_config(w->config, &w->count);
}

static void teardown(struct world *w)
{
	memory_free(w->lists);
	config_free(&w->config);
	facts_free(&w->facts);
	arena_done(&w->arena);
}

static const struct dnsbl_list *list(struct world *w, const char *name)
{
	for (size_t i = 0; i < w->count; i++)
		if (bytes_equal(w->lists[i].config->name, bytes_of_text(name)))
			return &w->lists[i];
	fail();
	return NULL;
}

static void none(struct world *w, const char *name)
{
	fact(w->facts, name, T_A, FACT_NO_NAME, false, "", (struct bytes){0});
}

static void dead(struct world *w, const char *name)
{
	fact(w->facts, name, T_A, FACT_FAILED, false, "", (struct bytes){0});
}

static struct evidence ask_ip(struct world *w, const char *name, const char *ip,
                              enum dnsbl_result expected)
{
	struct dnsbl_verdict v;
	struct evidence e;
	struct ip address;

	assert_int_equal(ip_parse(bytes_of_text(ip), &address), OK);
	assert_true(dnsbl_check_ip(list(w, name), &address, w->facts, &w->arena, &v));
	assert_int_equal(v.result, expected);
	dnsbl_evidence(list(w, name), &v, &w->arena, &e);
	return e;
}

static struct evidence ask_domain(struct world *w, const char *name, const char *domain,
                                  enum dnsbl_result expected)
{
	struct bytes domains[] = {bytes_of_text(domain)};
	struct dnsbl_verdict v;
	struct evidence e;

	assert_true(dnsbl_check_domains(list(w, name), domains, 1, w->facts, &w->arena, &v));
	assert_int_equal(v.result, expected);
	dnsbl_evidence(list(w, name), &v, &w->arena, &e);
	return e;
}

static void says(const struct evidence *e, const char *text)
{
	if (bytes_find(e->text, bytes_of_text(text)) == BYTES_NONE)
		fail_msg("\"%s\" is not in \"%.*s\"", text, BYTES_ARG(e->text));
}

static void test_listed_and_not(void **state)
{
	struct world w;
	struct evidence e;

	setup(&w);
	none(&w, "1.0.0.127.dnsbl.test");
	fact_ip(w.facts, "7.100.51.198.dnsbl.test", false, "", "127.0.0.2 127.0.0.4 127.0.0.10");
	none(&w, "8.100.51.198.dnsbl.test");
	e = ask_ip(&w, "bl", "198.51.100.7", DNSBL_LISTED);
	assert_int_equal(e.says, EVIDENCE_BAD);
	assert_int_equal(e.points, 600);
	assert_int_equal(e.wants, JUDGE_REFUSE);
	assert_bytes(e.check, BYTES("list.bl"));
	says(&e, "198.51.100.7 in dnsbl.test: 127.0.0.2 (SBL) 127.0.0.4 127.0.0.10 (PBL)");
	e = ask_ip(&w, "bl", "198.51.100.8", DNSBL_NOT_LISTED);
	assert_int_equal(e.says, EVIDENCE_NEUTRAL);
	assert_int_equal(e.points, 0);
	teardown(&w);
}

/* All that is needed is named at once where it can be. */
static void test_asks_for_facts(void **state)
{
	struct world w;
	struct dnsbl_verdict v;
	struct bytes name;
	uint16_t type;
	struct ip ip;

	setup(&w);
	assert_int_equal(ip_parse(BYTES("198.51.100.7"), &ip), OK);
	assert_false(dnsbl_check_ip(list(&w, "bl"), &ip, w.facts, &w.arena, &v));
	assert_true(facts_missing(w.facts, &name, &type));
	assert_bytes(name, BYTES("7.100.51.198.dnsbl.test"));
	teardown(&w);
}

static void doubt(struct world *w, const char *ip, enum dnsbl_result result, const char *text)
{
	struct evidence e = ask_ip(w, "bl", ip, result);

	assert_int_equal(e.says, EVIDENCE_DOUBT);
	assert_int_equal(e.points, 0);
	assert_int_equal(e.wants, JUDGE_ACCEPT);
	says(&e, text);
}

static void test_answers_that_are_no_listing(void **state)
{
	struct world w;

	setup(&w);
	none(&w, "1.0.0.127.dnsbl.test");
	fact_ip(w.facts, "9.113.0.203.dnsbl.test", false, "", "198.51.100.99");
	fact_ip(w.facts, "10.113.0.203.dnsbl.test", false, "", "127.255.255.254");
	fact_ip(w.facts, "11.113.0.203.dnsbl.test", false, "", "127.0.0.2 127.255.255.255");
	fact_ip(w.facts, "12.113.0.203.dnsbl.test", false, "", "127.0.0.77");
	fact_ip(w.facts, "13.113.0.203.dnsbl.test", false, "", "127.0.0.2 198.51.100.99");
	dead(&w, "14.113.0.203.dnsbl.test");
	doubt(&w, "203.0.113.9", DNSBL_ERROR, "parked or expired");
	doubt(&w, "203.0.113.10", DNSBL_REFUSED, "public resolver");
	doubt(&w, "203.0.113.11", DNSBL_REFUSED, "too many queries");
	doubt(&w, "203.0.113.12", DNSBL_ERROR, "none of its codes");
	doubt(&w, "203.0.113.13", DNSBL_ERROR, "parked or expired");
	doubt(&w, "203.0.113.14", DNSBL_ERROR, "no answer");
	teardown(&w);
}

/* One that began to list everybody is not believed for a single mail. */
static void test_lists_everything(void **state)
{
	struct world w;

	setup(&w);
	fact_ip(w.facts, "1.0.0.127.dnsbl.test", false, "", "127.0.0.2");
	fact_ip(w.facts, "7.100.51.198.dnsbl.test", false, "", "127.0.0.2");
	doubt(&w, "198.51.100.7", DNSBL_ERROR, "lists everything");
	teardown(&w);
	setup(&w);
	dead(&w, "1.0.0.127.dnsbl.test");
	fact_ip(w.facts, "7.100.51.198.dnsbl.test", false, "", "127.0.0.2");
	doubt(&w, "198.51.100.7", DNSBL_ERROR, "cannot be believed");
	teardown(&w);
}

static void test_ipv6(void **state)
{
	struct world w;

	setup(&w);
	fact_ip(w.facts,
	        "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.dnsbl.test", false,
	        "", "127.0.0.2");
	none(&w, "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.dnsbl.test");
	(void)ask_ip(&w, "bl", "2001:db8::25", DNSBL_LISTED);
	teardown(&w);
}

static void test_domains(void **state)
{
	struct world w;
	struct evidence e;

	setup(&w);
	none(&w, "invalid.dbl.test");
	none(&w, "invalid.multi.test");
	fact_ip(w.facts, "bad.example.dbl.test", false, "", "127.0.1.2");
	fact_ip(w.facts, "half.example.dbl.test", false, "", "127.0.1.4");
	fact_ip(w.facts, "phish.example.multi.test", false, "", "127.0.0.24");
	fact_ip(w.facts, "full.example.multi.test", false, "", "127.0.0.1");
	e = ask_domain(&w, "dbl", "bad.example", DNSBL_LISTED);
	assert_int_equal(e.wants, JUDGE_JUNK);
	assert_int_equal(e.points, 400);
	e = ask_domain(&w, "dbl", "half.example", DNSBL_LISTED);
	assert_int_equal(e.wants, JUDGE_ACCEPT);
	assert_int_equal(e.points, 200);
	e = ask_domain(&w, "bits", "phish.example", DNSBL_LISTED);
	assert_int_equal(e.points, 400);
	e = ask_domain(&w, "bits", "full.example", DNSBL_REFUSED);
	says(&e, "query-refused");
	/* Addresses are never asked of a list of domains. */
	e = ask_domain(&w, "dbl", "192.0.2.1", DNSBL_NOT_LISTED);
	says(&e, "not asked");
	/* Nor names that the DNS cannot have: that would look like a list without an answer. */
	(void)ask_domain(&w, "dbl", "a..example", DNSBL_NOT_LISTED);
	(void)ask_domain(&w, "dbl",
	                 "a234567890123456789012345678901234567890123456789012345678901234.example",
	                 DNSBL_NOT_LISTED);
	teardown(&w);
}

static void test_allow(void **state)
{
	struct world w;
	struct evidence e;

	setup(&w);
	none(&w, "1.0.0.127.allow.test");
	fact_ip(w.facts, "20.100.51.198.allow.test", false, "", "127.0.5.3");
	fact_ip(w.facts, "21.100.51.198.allow.test", false, "", "127.0.5.1");
	fact_ip(w.facts, "22.100.51.198.allow.test", false, "", "127.0.0.255");
	e = ask_ip(&w, "dnswl", "198.51.100.20", DNSBL_LISTED);
	assert_int_equal(e.says, EVIDENCE_GOOD);
	assert_int_equal(e.points, -200);
	e = ask_ip(&w, "dnswl", "198.51.100.21", DNSBL_LISTED);
	assert_int_equal(e.points, -100);
	e = ask_ip(&w, "dnswl", "198.51.100.22", DNSBL_REFUSED);
	assert_int_equal(e.says, EVIDENCE_DOUBT);
	teardown(&w);
}

/* The operator's key is asked with and never shown. */
static void test_key_is_secret(void **state)
{
	struct world w;
	struct evidence e;

	setup(&w);
	none(&w, "1.0.0.127.abcdef0123456789.zen.dq.spamhaus.net");
	fact_ip(w.facts, "7.100.51.198.abcdef0123456789.zen.dq.spamhaus.net", false, "",
	        "127.0.0.4");
	e = ask_ip(&w, "zen-dqs", "198.51.100.7", DNSBL_LISTED);
	says(&e, "198.51.100.7 in zen.dq.spamhaus.net: 127.0.0.4 (XBL)");
	assert_int_equal(bytes_find(e.text, BYTES("abcdef")), BYTES_NONE);
	teardown(&w);
}

static void health(const char *must, const char *must_not, enum dnsbl_state expected)
{
	struct world w;
	struct dnsbl_health h;
	const char *names[] = {"2.0.0.127.dnsbl.test", "1.0.0.127.dnsbl.test"};
	const char *answers[] = {must, must_not};

	setup(&w);
	assert_false(dnsbl_self_test(list(&w, "bl"), w.facts, &w.arena, &h));
	facts_free(&w.facts);
	w.facts = facts_new();
	for (size_t i = 0; i < 2; i++) {
		if (!answers[i])
			none(&w, names[i]);
		else if (*answers[i])
			fact_ip(w.facts, names[i], false, "", answers[i]);
		else
			dead(&w, names[i]);
	}
	assert_true(dnsbl_self_test(list(&w, "bl"), w.facts, &w.arena, &h));
	if (h.state != expected)
		fail_msg("%s instead of %s: %.*s", dnsbl_state_name(h.state),
		         dnsbl_state_name(expected), BYTES_ARG(h.text));
	teardown(&w);
}

static void test_self_test(void **state)
{
	health("127.0.0.2", NULL, DNSBL_WELL);
	health(NULL, NULL, DNSBL_LISTS_NOTHING);
	health("127.0.0.2", "127.0.0.2", DNSBL_LISTS_EVERYTHING);
	health("127.255.255.254", "127.255.255.254", DNSBL_REFUSES_US);
	health("127.0.0.2", "127.255.255.255", DNSBL_REFUSES_US);
	health("198.51.100.99", "198.51.100.99", DNSBL_PARKED);
	health("", "", DNSBL_SILENT);
	health("", NULL, DNSBL_SILENT);
	/* A code of its own for the test entry. */
	health("127.0.0.99", NULL, DNSBL_WELL);
	health("127.0.0.99", "127.0.0.99", DNSBL_LISTS_EVERYTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_listed_and_not),
	        cmocka_unit_test(test_asks_for_facts),
	        cmocka_unit_test(test_answers_that_are_no_listing),
	        cmocka_unit_test(test_lists_everything),
	        cmocka_unit_test(test_ipv6),
	        cmocka_unit_test(test_domains),
	        cmocka_unit_test(test_allow),
	        cmocka_unit_test(test_key_is_secret),
	        cmocka_unit_test(test_self_test),
	};

	return TEST_MAIN(tests);
}
