/* Which hosts, from facts in the shapes of real zones and odd ones (testdata's mailtest.zone has the same shapes). */
#include "facts_test.h"
#include "verify/route.h"

struct setting {
	struct facts *facts;
	struct arena arena;
	struct route_question q;
	struct route route;
	struct config_prefixes allowed;
	struct ip_prefix prefix;
};

static int begin(void **state)
{
	struct setting *s = test_calloc(1, sizeof(*s));

	s->facts = facts_new();
	s->q = (struct route_question){.domain = BYTES("d.test"), .hostname = BYTES("us.test")};
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct setting *s = *state;

	facts_free(&s->facts);
	arena_done(&s->arena);
	test_free(s);
	return 0;
}

static void find(struct setting *s)
{
	assert_int_equal(route_find(&s->q, s->facts, &s->arena, &s->route), OK);
}

static void expect_hosts(struct setting *s, const char *names)
{
	struct buf b = {0};

	find(s);
	for (size_t i = 0; i < s->route.count; i++)
		buf_printf(&b, "%s%.*s", i ? " " : "", BYTES_ARG(s->route.hosts[i].name));
	assert_bytes(buf_bytes(&b), bytes_of_text(names));
	buf_done(&b);
}

static void expect_none(struct setting *s, const char *status, bool temporary)
{
	find(s);
	assert_int_equal(s->route.count, 0);
	assert_string_equal(s->route.status, status);
	assert_int_equal(s->route.temporary, temporary);
	assert_true(s->route.text.len > 0);
}

static void missing_facts_are_named_together(void **state)
{
	struct setting *s = *state;
	struct bytes name;
	uint16_t type;
	int n = 0;

	assert_int_equal(route_find(&s->q, s->facts, &s->arena, &s->route), UNAVAILABLE);
	assert_true(facts_missing(s->facts, &name, &type));
	assert_bytes(name, BYTES("d.test"));
	assert_int_equal(type, T_MX);
	facts_asked(s->facts, 1);
	assert_false(facts_missing(s->facts, &name, &type));
	fact_mx(s->facts, "d.test", false, "10 a.test 20 b.test");
	assert_int_equal(route_find(&s->q, s->facts, &s->arena, &s->route), UNAVAILABLE);
	for (; facts_missing(s->facts, &name, &type); n++)
		facts_asked(s->facts, 10 + (uint32_t)n);
	assert_int_equal(n, 4); /* A and AAAA of both */
}

static void lower_preference_comes_first(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", true, "30 c.test 10 a.test 20 B.Test 10 a.test");
	fact_host(s->facts, "a.test", true, "8.8.8.1");
	fact_host(s->facts, "b.test", false, "8.8.8.2");
	fact_host(s->facts, "c.test", true, "8.8.8.3");
	expect_hosts(s, "a.test b.test c.test");
	assert_true(s->route.secure);
	assert_true(s->route.hosts[0].secure);
	assert_false(s->route.hosts[1].secure);
	assert_int_equal(s->route.hosts[2].preference, 30);
}

static void equals_are_shuffled_by_the_seed(void **state)
{
	struct setting *s = *state;
	bool a_first = false, b_first = false;

	fact_mx(s->facts, "d.test", false, "10 a.test 10 b.test 20 z.test");
	fact_host(s->facts, "a.test", false, "8.8.8.1");
	fact_host(s->facts, "b.test", false, "8.8.8.2");
	fact_host(s->facts, "z.test", false, "8.8.8.3");
	for (s->q.seed = 0; s->q.seed < 64; s->q.seed++) {
		find(s);
		assert_int_equal(s->route.count, 3);
		assert_bytes(s->route.hosts[2].name, BYTES("z.test"));
		a_first |= bytes_equal(s->route.hosts[0].name, BYTES("a.test"));
		b_first |= bytes_equal(s->route.hosts[0].name, BYTES("b.test"));
	}
	assert_true(a_first && b_first);
}

static void without_mx_the_domain_is_the_host(void **state)
{
	struct setting *s = *state;

	fact_none(s->facts, "d.test", T_MX, true);
	fact_host(s->facts, "d.test", true, "8.8.8.1");
	expect_hosts(s, "d.test");
	assert_true(s->route.implicit);
	assert_true(s->route.hosts[0].secure);
}

static void a_null_mx_takes_no_mail(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", false, "0 .");
	expect_none(s, "5.1.10", false);
}

/* RFC 7505, 3: "." beside others is not a null MX; it is no host either. */
static void a_dot_beside_others_is_passed_over(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", false, "0 . 10 a.test");
	fact_host(s->facts, "a.test", false, "8.8.8.1");
	expect_hosts(s, "a.test");
}

static void no_such_domain(void **state)
{
	struct setting *s = *state;

	fact(s->facts, "d.test", T_MX, FACT_NO_NAME, false, "", (struct bytes){0});
	expect_none(s, "5.1.2", false);
}

static void neither_mx_nor_address(void **state)
{
	struct setting *s = *state;

	fact_none(s->facts, "d.test", T_MX, false);
	fact_none(s->facts, "d.test", T_A, false);
	fact_none(s->facts, "d.test", T_AAAA, false);
	expect_none(s, "5.1.2", false);
}

static void mx_to_nowhere(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", false, "10 gone.test");
	fact(s->facts, "gone.test", T_A, FACT_NO_NAME, false, "", (struct bytes){0});
	fact(s->facts, "gone.test", T_AAAA, FACT_NO_NAME, false, "", (struct bytes){0});
	expect_none(s, "5.4.4", false);
}

static void mx_to_an_address_is_no_host(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", false, "10 192.0.2.1");
	expect_none(s, "5.4.4", false);
}

static void a_failing_dns_is_temporary(void **state)
{
	struct setting *s = *state;

	fact(s->facts, "d.test", T_MX, FACT_FAILED, false, "", (struct bytes){0});
	expect_none(s, "4.4.3", true);
}

static void a_bogus_mx_is_temporary(void **state)
{
	struct setting *s = *state;

	fact(s->facts, "d.test", T_MX, FACT_BOGUS, false, "", (struct bytes){0});
	expect_none(s, "4.4.3", true);
}

static void another_host_stands_in_for_a_doubtful_one(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", false, "10 a.test 20 b.test");
	fact(s->facts, "a.test", T_A, FACT_FAILED, false, "", (struct bytes){0});
	fact_none(s->facts, "a.test", T_AAAA, false);
	fact_host(s->facts, "b.test", false, "8.8.8.2");
	expect_hosts(s, "b.test");
}

static void doubt_about_all_hosts_is_temporary(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", false, "10 a.test 20 b.test");
	fact(s->facts, "a.test", T_A, FACT_FAILED, false, "", (struct bytes){0});
	fact_none(s->facts, "a.test", T_AAAA, false);
	fact(s->facts, "b.test", T_A, FACT_NO_NAME, false, "", (struct bytes){0});
	fact(s->facts, "b.test", T_AAAA, FACT_NO_NAME, false, "", (struct bytes){0});
	expect_none(s, "4.4.3", true);
}

static void our_own_name_cuts_the_list(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", false, "10 a.test 20 us.test 20 b.test 30 c.test");
	fact_host(s->facts, "a.test", false, "8.8.8.1");
	expect_hosts(s, "a.test");
}

static void mail_that_would_come_back_is_refused(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", false, "10 us.test 20 b.test");
	expect_none(s, "5.4.6", false);
}

static void our_own_address_cuts_too(void **state)
{
	struct setting *s = *state;
	struct ip own;
	struct config_ips list = {&own, 1};

	assert_int_equal(ip_parse(BYTES("8.8.8.2"), &own), OK);
	s->q.own = &list;
	fact_mx(s->facts, "d.test", false, "10 a.test 20 b.test 30 c.test");
	fact_host(s->facts, "a.test", false, "8.8.8.1");
	fact_host(s->facts, "b.test", false, "8.8.8.2");
	fact_host(s->facts, "c.test", false, "8.8.8.3");
	expect_hosts(s, "a.test");
}

static void private_networks_need_leave(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", false, "10 a.test");
	fact_host(s->facts, "a.test", false, "127.0.0.5 10.0.0.1");
	expect_none(s, "5.4.4", false);
	assert_int_equal(ip_prefix_parse(BYTES("127.0.0.0/8"), &s->prefix), OK);
	s->allowed = (struct config_prefixes){&s->prefix, 1};
	s->q.allowed = &s->allowed;
	expect_hosts(s, "a.test");
	assert_int_equal(s->route.hosts[0].address_count, 1);
}

static void which_addresses_are_closed(void **state)
{
	static const char *const no[] = {
	        "127.0.0.1",  "10.1.2.3", "192.168.1.1", "172.31.0.1",  "169.254.1.1",
	        "100.64.0.1", "0.0.0.0",  "224.0.0.1",   "::1",         "fe80::1",
	        "fd00::1",    "::",       "ff02::1",     "2001:db8::1", "255.255.255.255"};
	static const char *const yes[] = {"8.8.8.8", "172.32.0.1", "2606:4700::1", "100.128.0.1"};
	struct ip ip;

	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		assert_int_equal(ip_parse(bytes_of_text(no[i]), &ip), OK);
		if (route_may_carry_to(&ip, NULL))
			fail_msg("%s is open", no[i]);
	}
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		assert_int_equal(ip_parse(bytes_of_text(yes[i]), &ip), OK);
		assert_true(route_may_carry_to(&ip, NULL));
	}
}

static void families_take_turns(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", false, "10 a.test");
	fact_ip(s->facts, "a.test", false, "", "8.8.8.1 8.8.8.2");
	fact_ip(s->facts, "a.test", false, "", "2606:4700::1");
	find(s);
	assert_int_equal(s->route.hosts[0].address_count, 3);
	assert_false(ip_is_v4(&s->route.hosts[0].addresses[0]));
	assert_true(ip_is_v4(&s->route.hosts[0].addresses[1]));
	s->q.family = ROUTE_IPV4;
	find(s);
	assert_int_equal(s->route.hosts[0].address_count, 2);
	s->q.family = ROUTE_IPV6;
	find(s);
	assert_int_equal(s->route.hosts[0].address_count, 1);
}

static void literals_need_no_dns(void **state)
{
	struct setting *s = *state;

	s->q.domain = BYTES("[8.8.8.8]");
	find(s);
	assert_int_equal(s->route.count, 1);
	assert_true(s->route.hosts[0].literal);
	s->q.domain = BYTES("[IPv6:2606:4700::1]");
	find(s);
	assert_int_equal(s->route.count, 1);
	s->q.domain = BYTES("[192.168.0.1]");
	expect_none(s, "5.4.4", false);
	s->q.domain = BYTES("[what]");
	expect_none(s, "5.1.3", false);
	s->q.domain = BYTES("192.168.0.1"); /* a smarthost is the operator's own word */
	s->q.is_host = true;
	expect_none(s, "5.4.4", false);
	s->q.anywhere = true;
	find(s);
	assert_int_equal(s->route.count, 1);
}

static void a_smarthost_has_no_mx(void **state)
{
	struct setting *s = *state;

	s->q.is_host = s->q.anywhere = true;
	fact_host(s->facts, "d.test", false, "10.0.0.9");
	expect_hosts(s, "d.test");
}

/* A host that strangers name (mta-sts.d.test, the one of a rua=): our own network is nothing of theirs. */
static void a_strangers_host_is_not_in_our_network(void **state)
{
	struct setting *s = *state;

	s->q.is_host = true;
	fact_host(s->facts, "d.test", false, "127.0.0.1");
	expect_none(s, "5.4.4", false);
}

/* Who suppresses one family's answer must not make the host one without DANE (RFC 7672, 2.1.2). */
static void a_family_that_fails_leaves_the_other_secure(void **state)
{
	struct setting *s = *state;

	fact_mx(s->facts, "d.test", true, "10 a.test 20 b.test 30 c.test");
	fact(s->facts, "a.test", T_A, FACT_BOGUS, false, "", (struct bytes){0});
	fact_ip(s->facts, "a.test", true, "", "2606:4700::1");
	fact_ip(s->facts, "b.test", true, "", "8.8.8.2");
	fact(s->facts, "b.test", T_AAAA, FACT_FAILED, false, "", (struct bytes){0});
	fact_ip(s->facts, "c.test", true, "", "8.8.8.3");
	fact_none(s->facts, "c.test", T_AAAA, false);
	expect_hosts(s, "a.test b.test c.test");
	assert_true(s->route.hosts[0].secure);
	assert_true(s->route.hosts[1].secure);
	assert_false(s->route.hosts[2].secure);
}

static void many_mx_are_cut(void **state)
{
	struct setting *s = *state;
	struct buf b = {0};

	for (int i = 0; i < 40; i++) {
		char name[32];

		buf_printf(&b, "%s%d h%d.test", i ? " " : "", i, i);
		snprintf(name, sizeof(name), "h%d.test", i);
		fact_host(s->facts, name, false, "8.8.8.8");
	}
	buf_append_char(&b, '\0');
	fact_mx(s->facts, "d.test", false, buf_bytes(&b).ptr);
	find(s);
	assert_int_equal(s->route.count, ROUTE_HOSTS);
	assert_bytes(s->route.hosts[0].name, BYTES("h0.test"));
	buf_done(&b);
}

static void broken_rdata_is_passed_over(void **state)
{
	struct setting *s = *state;
	struct buf records = {0};

	buf_block(&records, BYTES("\x00"));
	buf_block(&records, BYTES("\x00\x0a\x3f"
	                          "abc"));
	buf_block(&records, bytes_of("\x00\x0a\x03"
	                             "a.b\x00",
	                             7));
	fact(s->facts, "d.test", T_MX, FACT_FOUND, false, "", buf_bytes(&records));
	buf_done(&records);
	expect_none(s, "5.4.4", false);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(missing_facts_are_named_together),
	        T(lower_preference_comes_first),
	        T(equals_are_shuffled_by_the_seed),
	        T(without_mx_the_domain_is_the_host),
	        T(a_null_mx_takes_no_mail),
	        T(a_dot_beside_others_is_passed_over),
	        T(no_such_domain),
	        T(neither_mx_nor_address),
	        T(mx_to_nowhere),
	        T(mx_to_an_address_is_no_host),
	        T(a_failing_dns_is_temporary),
	        T(a_bogus_mx_is_temporary),
	        T(another_host_stands_in_for_a_doubtful_one),
	        T(doubt_about_all_hosts_is_temporary),
	        T(our_own_name_cuts_the_list),
	        T(mail_that_would_come_back_is_refused),
	        T(our_own_address_cuts_too),
	        T(private_networks_need_leave),
	        T(which_addresses_are_closed),
	        T(families_take_turns),
	        T(literals_need_no_dns),
	        T(a_smarthost_has_no_mx),
	        T(a_strangers_host_is_not_in_our_network),
	        T(a_family_that_fails_leaves_the_other_secure),
	        T(many_mx_are_cut),
	        T(broken_rdata_is_passed_over),
	};

	return TEST_MAIN(tests);
}
