/* What a domain should publish and what it does: each difference is found, and nothing else. DNS facts in, findings out. */
#include "../test.h"

#include "verify/publish.h"
#include "verify/publish_spf.h"

static struct arena arena;

/* ---- a world of records: "name TYPE rdata", one a line ---- */

struct row {
	const char *name;
	uint16_t type;
	const char *text; /* NULL: failed, "bogus": bogus, "->x": a CNAME to x */
	bool secure;
};

static const uint8_t spki[] = {0xaa, 0xbb};
static const struct bytes our_keys[] = {{(const char *)spki, sizeof(spki)}};

/* All is as it should be, nothing signed. */
static const struct row good[] = {
        {"mx.example.test", DNS_A, "192.0.2.1", false},
        {"mx.example.test", DNS_TXT, "\"v=spf1 a -all\"", false},
        {"1.2.0.192.in-addr.arpa", DNS_PTR, "mx.example.test.", false},
        {"example.test", DNS_MX, "10 mx.example.test.", false},
        {"example.test", DNS_TXT, "\"v=spf1 mx -all\"", false},
        {"s1._domainkey.example.test", DNS_TXT, "\"v=DKIM1; k=ed25519; \" \"p=AB CD\"", false},
        {"_dmarc.example.test", DNS_TXT, "\"v=DMARC1; p=none\"", false},
        {"_smtp._tls.example.test", DNS_TXT, "\"v=TLSRPTv1; rua=mailto:x@example.test\"", false},
        {"_imaps._tcp.example.test", DNS_SRV, "0 1 993 mx.example.test.", false},
};
enum { GOOD = sizeof(good) / sizeof(*good), WORLD = 64 };

struct world {
	struct row rows[WORLD];
	size_t count;
};

static struct world a_good_world(void)
{
	struct world w = {.count = GOOD};

	memcpy(w.rows, good, sizeof(good));
	return w;
}

/* In the place of what this name has of this type. */
static void put(struct world *w, const char *name, uint16_t type, const char *text)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->count; i++)
		if (w->rows[i].type != type || strcmp(w->rows[i].name, name) != 0)
			w->rows[kept++] = w->rows[i];
	w->count = kept;
	if (!text || *text)
		w->rows[w->count++] = (struct row){name, type, text, false};
}

static void add(struct world *w, const char *name, uint16_t type, const char *text)
{
	w->rows[w->count++] = (struct row){name, type, text, false};
}

static void answer(const struct world *w, struct facts *facts, struct bytes name, uint16_t type)
{
	struct answer_resolve a = {.status = FACT_NO_DATA};
	struct buf records = {0}, rdata = {0};

	for (size_t i = 0; i < w->count; i++) {
		const struct row *r = &w->rows[i];

		if (r->type != type || !bytes_equal(bytes_of_text(r->name), name))
			continue;
		a.secure = r->secure;
		if (!r->text || strcmp(r->text, "bogus") == 0) {
			a.status = r->text ? FACT_BOGUS : FACT_FAILED;
			a.reason = BYTES("why");
		} else if (r->text[0] == '-') {
			a.canonical = bytes_of_text(r->text + 2);
		} else {
			buf_clear(&rdata);
			assert_int_equal(dns_rdata_read(type, bytes_of_text(r->text), &rdata), OK);
			buf_block(&records, buf_bytes(&rdata));
			a.status = FACT_FOUND;
		}
	}
	a.records = buf_bytes(&records);
	facts_add(facts, name, type, &a);
	buf_done(&records);
	buf_done(&rdata);
}

static struct publish_question question(void)
{
	static struct ip ours;
	static const struct publish_key keys[] = {
	        {BYTES("s1"), BYTES("v=DKIM1; k=ed25519; p=ABCD"), DKIM_KEY_SIGNS}};
	struct publish_question q = {.domain = BYTES("example.test"),
	                             .hostname = BYTES("mx.example.test"),
	                             .addresses = &ours,
	                             .address_count = 1,
	                             .keys = keys,
	                             .key_count = 1,
	                             .spki = our_keys,
	                             .spki_count = 1,
	                             .imaps = 993};

	assert_int_equal(ip_parse(BYTES("192.0.2.1"), &ours), OK);
	return q;
}

static struct facts *facts;

static void check_as(const struct publish_question *q, const struct world *w,
                     struct publish_findings *ret)
{
	struct bytes name;
	uint16_t type;

	facts_free(&facts);
	facts = facts_new();
	for (int i = 0; publish_check(q, facts, &arena, ret) == UNAVAILABLE; i++) {
		assert_true(i < 50);
		assert_true(facts_missing(facts, &name, &type));
		while (facts_missing(facts, &name, &type))
			answer(w, facts, name, type);
	}
}

static bool has(const struct publish_findings *f, enum publish_problem p)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->items[i].problem == p)
			return true;
	return false;
}

/* Besides the notes about DNSSEC and MTA-STS, which the good world has too. */
static void expect(const struct world *w, enum publish_problem p)
{
	struct publish_question q = question();
	struct publish_findings f;
	bool seen = false;

	check_as(&q, w, &f);
	for (size_t i = 0; i < f.count; i++) {
		enum publish_problem got = f.items[i].problem;

		if (got == PUBLISH_NOT_SIGNED || got == PUBLISH_STS_MISSING)
			continue;
		if (got != p) {
			print_error("found also %s, looked for %s\n", publish_problem_name(got),
			            publish_problem_name(p));
			fail();
		}
		seen = true;
	}
	if (!seen && p != PUBLISH_PROBLEMS) {
		print_error("not found: %s\n", publish_problem_name(p));
		fail();
	}
}

static void nothing_is_found_where_all_is_well(void **state)
{
	struct world w = a_good_world();

	(void)state;
	expect(&w, PUBLISH_PROBLEMS);
}

/* One thing changed, one thing found. */
static void each_difference_is_found_alone(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		const char *text; /* "": nothing */
		enum publish_problem found;
	} rows[] = {
	        {"1.2.0.192.in-addr.arpa", DNS_PTR, "", PUBLISH_PTR_MISSING},
	        {"1.2.0.192.in-addr.arpa", DNS_PTR, "other.test.", PUBLISH_PTR_OTHER},
	        {"1.2.0.192.in-addr.arpa", DNS_PTR, NULL, PUBLISH_LOOKUP_FAILED},
	        {"1.2.0.192.in-addr.arpa", DNS_PTR, "bogus", PUBLISH_BOGUS},
	        {"example.test", DNS_MX, "0 .", PUBLISH_MX_NULL},
	        {"example.test", DNS_MX, "", PUBLISH_MX_MISSING},
	        {"example.test", DNS_MX, "10 192.0.2.1.", PUBLISH_MX_ADDRESS},
	        {"example.test", DNS_TXT, "\"unrelated\"", PUBLISH_SPF_MISSING},
	        {"example.test", DNS_TXT, "\"v=spf1 ip4:192.0.2.0/33 mx -all\"",
	         PUBLISH_SPF_BROKEN},
	        {"example.test", DNS_TXT, "\"v=spf1 mxx mx -all\"", PUBLISH_SPF_BROKEN},
	        {"example.test", DNS_TXT, "\"v=spf1 ip4:198.51.100.0/24 -all\"",
	         PUBLISH_SPF_NOT_US},
	        {"example.test", DNS_TXT, "\"v=spf1 -mx ip4:192.0.2.1 -all\"", PUBLISH_SPF_NOT_US},
	        {"example.test", DNS_TXT, "\"v=spf1 +all\"", PUBLISH_SPF_ALL},
	        {"mx.example.test", DNS_TXT, "", PUBLISH_SPF_HOST},
	        {"s1._domainkey.example.test", DNS_TXT, "", PUBLISH_DKIM_MISSING},
	        {"s1._domainkey.example.test", DNS_TXT, "\"v=DKIM1; p=ABCE\"", PUBLISH_DKIM_OTHER},
	        {"_dmarc.example.test", DNS_TXT, "", PUBLISH_DMARC_MISSING},
	        {"_dmarc.example.test", DNS_TXT, "\"v=DMARC1; p=maybe\"", PUBLISH_DMARC_BROKEN},
	        {"_25._tcp.mx.example.test", DNS_TLSA, "3 1 1 ffff", PUBLISH_TLSA_OTHER},
	        {"_mta-sts.example.test", DNS_TXT, "\"v=STSv1; id=1;\"", PUBLISH_STS_NO_HOST},
	        {"_mta-sts.example.test", DNS_TXT, "\"v=STSv1; id=no good;\"", PUBLISH_STS_BROKEN},
	        {"_smtp._tls.example.test", DNS_TXT, "", PUBLISH_TLSRPT_MISSING},
	        {"_imaps._tcp.example.test", DNS_SRV, "", PUBLISH_SRV_MISSING},
	        {"_imaps._tcp.example.test", DNS_SRV, "0 1 993 other.test.", PUBLISH_SRV_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world w = a_good_world();
		/* A TLSA record in a zone that is not signed is a thing of its own. */
		struct publish_question q = question();
		struct publish_findings f;

		put(&w, rows[i].name, rows[i].type, rows[i].text);
		/* Where MX leads nowhere, `mx` covers nobody: SPF does not depend on it here. */
		if (rows[i].type == DNS_MX)
			put(&w, "example.test", DNS_TXT, "\"v=spf1 ip4:192.0.2.0/24 -all\"");
		if (rows[i].type != DNS_TLSA) {
			expect(&w, rows[i].found);
			continue;
		}
		check_as(&q, &w, &f);
		assert_true(has(&f, PUBLISH_TLSA_OTHER));
		assert_true(has(&f, PUBLISH_TLSA_INSECURE));
	}
}

static void the_hosts_own_name(void **state)
{
	struct publish_question q = question();
	struct publish_findings f;
	struct world w = a_good_world();

	(void)state;
	put(&w, "mx.example.test", DNS_A, "");
	check_as(&q, &w, &f);
	assert_true(has(&f, PUBLISH_HOST_NO_ADDRESS));
	put(&w, "mx.example.test", DNS_A, "192.0.2.2");
	check_as(&q, &w, &f);
	assert_true(has(&f, PUBLISH_HOST_OTHER_ADDRESS));
	assert_true(has(&f, PUBLISH_SPF_NOT_US));
	w = a_good_world();
	add(&w, "mx.example.test", DNS_A, "->real.example.test");
	check_as(&q, &w, &f);
	assert_true(has(&f, PUBLISH_HOST_CNAME));
	/* Behind a NAT: the name's own addresses are believed, and their PTR asked. */
	w = a_good_world();
	q.address_count = 0;
	put(&w, "mx.example.test", DNS_A, "192.0.2.9");
	check_as(&q, &w, &f);
	assert_true(has(&f, PUBLISH_PTR_MISSING));
	assert_false(has(&f, PUBLISH_HOST_OTHER_ADDRESS));
}

static void mail_that_goes_elsewhere(void **state)
{
	struct publish_question q = question();
	struct publish_findings f;
	struct world w = a_good_world();

	(void)state;
	put(&w, "example.test", DNS_MX, "10 other.test.");
	add(&w, "other.test", DNS_A, "192.0.2.77");
	check_as(&q, &w, &f);
	assert_true(has(&f, PUBLISH_MX_OTHER));
	/* Another name of this very machine is fine. */
	put(&w, "other.test", DNS_A, "192.0.2.1");
	check_as(&q, &w, &f);
	assert_false(has(&f, PUBLISH_MX_OTHER));
	put(&w, "other.test", DNS_A, "");
	check_as(&q, &w, &f);
	assert_true(has(&f, PUBLISH_MX_NOWHERE));
	add(&w, "other.test", DNS_A, "192.0.2.77");
	add(&w, "other.test", DNS_A, "->third.test");
	check_as(&q, &w, &f);
	assert_true(has(&f, PUBLISH_MX_CNAME));
}

static void two_of_what_must_be_one(void **state)
{
	struct world w = a_good_world();

	(void)state;
	add(&w, "example.test", DNS_TXT, "\"v=spf1 -all\"");
	expect(&w, PUBLISH_SPF_TWO);
	w = a_good_world();
	add(&w, "_dmarc.example.test", DNS_TXT, "\"v=DMARC1; p=reject\"");
	expect(&w, PUBLISH_DMARC_TWO);
	w = a_good_world();
	add(&w, "1.2.0.192.in-addr.arpa", DNS_PTR, "other.test.");
	expect(&w, PUBLISH_PTR_MANY);
}

static void keys_by_their_state(void **state)
{
	static const struct publish_key keys[] = {
	        {BYTES("s1"), BYTES("v=DKIM1; p=ABCD"), DKIM_KEY_SIGNS},
	        {BYTES("s2"), BYTES("v=DKIM1; p=EFGH"), DKIM_KEY_NEW},
	        {BYTES("s0"), BYTES("v=DKIM1; p=IJKL"), DKIM_KEY_OLD}};
	struct publish_question q = question();
	struct publish_findings f;
	struct world w = a_good_world();

	(void)state;
	q.keys = keys;
	q.key_count = 3;
	check_as(&q, &w, &f);
	assert_true(has(&f, PUBLISH_DKIM_NEW));
	assert_false(has(&f, PUBLISH_DKIM_MISSING));
	q.key_count = 0;
	check_as(&q, &w, &f);
	assert_true(has(&f, PUBLISH_DKIM_NONE));
}

static void tls_of_a_signed_zone(void **state)
{
	struct publish_question q = question();
	struct publish_findings f;
	struct world w = a_good_world();

	(void)state;
	for (size_t i = 0; i < w.count; i++)
		w.rows[i].secure = true;
	check_as(&q, &w, &f);
	assert_true(has(&f, PUBLISH_TLSA_MISSING));
	assert_false(has(&f, PUBLISH_NOT_SIGNED));
	w.rows[w.count++] = (struct row){"_25._tcp.mx.example.test", DNS_TLSA, "3 1 1 aabb", true};
	check_as(&q, &w, &f);
	assert_false(has(&f, PUBLISH_TLSA_MISSING) || has(&f, PUBLISH_TLSA_OTHER));
	/* A kind that is not ours to compare, and a roll-over with both keys: no alarm. */
	w.rows[w.count - 1].text = "2 0 1 ffff";
	check_as(&q, &w, &f);
	assert_false(has(&f, PUBLISH_TLSA_OTHER));
	w.rows[w.count - 1].text = "3 1 1 ffff";
	w.rows[w.count++] = (struct row){"_25._tcp.mx.example.test", DNS_TLSA, "3 1 1 aabb", true};
	check_as(&q, &w, &f);
	assert_false(has(&f, PUBLISH_TLSA_OTHER));
}

static void the_id_of_the_policy(void **state)
{
	struct publish_question q = question(), other = question();
	struct publish_findings f;
	struct world w = a_good_world();
	struct bytes id = publish_sts_id(&q, &arena);

	(void)state;
	other.hostname = BYTES("mx2.example.test");
	assert_bytes(publish_sts_id(&q, &arena), id);
	assert_false(bytes_equal(publish_sts_id(&other, &arena), id));
	add(&w, "mta-sts.example.test", DNS_A, "192.0.2.80");
	add(&w, "_mta-sts.example.test", DNS_TXT, "\"v=STSv1; id=20200101;\"");
	expect(&w, PUBLISH_STS_STALE);
	put(&w, "_mta-sts.example.test", DNS_TXT,
	    arena_printf(&arena, "\"v=STSv1; id=%.*s;\"%c", BYTES_ARG(id), 0).ptr);
	check_as(&q, &w, &f);
	assert_false(has(&f, PUBLISH_STS_STALE) || has(&f, PUBLISH_STS_MISSING));
}

/* ---- SPF ---- */

static struct publish_spf spf(const struct world *w, const char *ip)
{
	struct publish_spf s;
	struct bytes name;
	uint16_t type;
	struct ip address = {{0}};

	assert_int_equal(ip_parse(bytes_of_text(ip), &address), OK);
	facts_free(&facts);
	facts = facts_new();
	for (;;) {
		publish_spf(BYTES("example.test"), &address, facts, &arena, &s);
		if (!s.missing)
			return s;
		assert_true(facts_missing(facts, &name, &type));
		while (facts_missing(facts, &name, &type))
			answer(w, facts, name, type);
	}
}

static void spf_covers(void **state)
{
	static const struct {
		const char *record, *ip;
		bool covered;
		unsigned lookups;
	} rows[] = {
	        {"v=spf1 mx -all", "192.0.2.1", true, 1},
	        {"v=spf1 a:mx.example.test/24 -all", "192.0.2.200", true, 1},
	        {"v=spf1 a:mx.example.test/24//64 -all", "2001:db8::1", false, 1},
	        {"v=spf1 ip6:2001:db8::/32 -all", "2001:db8::1", true, 0},
	        {"v=spf1 ip4:192.0.2.0/25 ~all", "192.0.2.200", false, 0},
	        {"v=spf1 include:a.test -all", "198.51.100.1", true, 2},
	        {"v=spf1 include:a.test -all", "198.51.100.2", false, 2},
	        {"v=spf1 redirect=a.test", "198.51.100.1", true, 2},
	        {"v=spf1 ?ip4:192.0.2.1 mx -all", "192.0.2.1", false, 1},
	        {"v=spf1 exists:mx.example.test -all", "203.0.113.1", true, 1},
	        {"V=SPF1  MX  -ALL", "192.0.2.1", true, 1},
	        {"v=spf1", "192.0.2.1", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world w = a_good_world();
		struct publish_spf s;

		add(&w, "a.test", DNS_TXT, "\"v=spf1 include:b.test -all\"");
		add(&w, "b.test", DNS_TXT, "\"v=spf1 ip4:198.51.100.1 -all\"");
		put(&w, "example.test", DNS_TXT,
		    arena_printf(&arena, "\"%s\"%c", rows[i].record, 0).ptr);
		s = spf(&w, rows[i].ip);
		if (s.covered != rows[i].covered || s.lookups != rows[i].lookups)
			print_error("%s %s: %d, %u\n", rows[i].record, rows[i].ip, s.covered,
			            s.lookups);
		assert_int_equal(s.covered, rows[i].covered);
		assert_int_equal(s.lookups, rows[i].lookups);
		assert_int_equal(s.broken.len, 0);
	}
}

static void spf_counts_and_ends(void **state)
{
	struct world w = a_good_world();
	struct publish_spf s;

	(void)state;
	put(&w, "example.test", DNS_TXT, "\"v=spf1 mx a a a a a a a a a a -all\"");
	expect(&w, PUBLISH_SPF_LOOKUPS);
	/* Around in a circle: it ends, and counts too many. */
	put(&w, "example.test", DNS_TXT,
	    "\"v=spf1 include:example.test include:example.test -all\"");
	s = spf(&w, "192.0.2.1");
	assert_true(s.lookups > SPF_LOOKUPS_MAX);
	put(&w, "example.test", DNS_TXT, "\"v=spf1 include:nothing.test -all\"");
	s = spf(&w, "192.0.2.1");
	assert_bytes(s.broken, BYTES("include:nothing.test"));
	put(&w, "example.test", DNS_TXT, "\"v=spf1 exists:%{i}.x.test -all\"");
	s = spf(&w, "192.0.2.1");
	assert_true(s.macros);
}

/* ---- words and records ---- */

static void every_problem_has_words(void **state)
{
	struct publish_finding f = {
	        .name = BYTES("NAME"), .have = BYTES("HAVE"), .want = BYTES("WANT")};

	(void)state;
	for (unsigned p = 0; p < PUBLISH_PROBLEMS; p++)
		for (unsigned part = 0; part < 3; part++)
			for (int japanese = 0; japanese < 2; japanese++) {
				struct buf out = {0};

				f.problem = (enum publish_problem)p;
				publish_say(&f, (enum publish_part)part, japanese, &out);
				assert_true(buf_len(&out) > 5);
				/* No slot is left as it was. */
				assert_int_equal(bytes_find_char(buf_bytes(&out), '{'), BYTES_NONE);
				buf_done(&out);
			}
}

static void a_host_elsewhere_is_a_comment(void **state)
{
	struct publish_question q = question();
	struct buf out = {0};

	(void)state;
	publish_zone(&q, false, &out);
	assert_true(bytes_find(buf_bytes(&out),
	                       BYTES("\nmx.example.test. 3600 IN A 192.0.2.1\n")) != BYTES_NONE);
	buf_clear(&out);
	q.hostname = BYTES("mx.other.test");
	publish_zone(&q, true, &out);
	assert_true(bytes_find(buf_bytes(&out),
	                       BYTES("\n; mx.other.test. 3600 IN A 192.0.2.1\n")) != BYTES_NONE);
	buf_done(&out);
}

static int done(void **state)
{
	(void)state;
	facts_free(&facts);
	arena_done(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_is_found_where_all_is_well),
	        cmocka_unit_test(each_difference_is_found_alone),
	        cmocka_unit_test(the_hosts_own_name),
	        cmocka_unit_test(mail_that_goes_elsewhere),
	        cmocka_unit_test(two_of_what_must_be_one),
	        cmocka_unit_test(keys_by_their_state),
	        cmocka_unit_test(tls_of_a_signed_zone),
	        cmocka_unit_test(the_id_of_the_policy),
	        cmocka_unit_test(spf_covers),
	        cmocka_unit_test(spf_counts_and_ends),
	        cmocka_unit_test(every_problem_has_words),
	        cmocka_unit_test(a_host_elsewhere_is_a_comment),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, done);
}
