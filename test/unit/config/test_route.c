#include "config_test.h"

/* A world of accounts: a text with spaces around each address. */
static bool there_is(const char *accounts, struct bytes address)
{
	char word[LIMIT_ADDRESS + 3];

	snprintf(word, sizeof(word), " %.*s ", BYTES_ARG(address));
	return strstr(accounts, word) != NULL;
}

static const char virtual_text[] = "# aliases\n"
                                   "one@example.test      ken@example.test\n"
                                   "   # a comment in between\n"
                                   "\n"
                                   "all@example.test      ken@example.test,\n"
                                   "\tyumi@example.test,, Far@Elsewhere.TEST\n"
                                   "sales                 yumi\n"
                                   "far@example.test      someone@elsewhere.test\n"
                                   "plus@example.test     ken@example.test\n"
                                   "plus+a@example.test   yumi@example.test\n"
                                   "ident@example.test    ident@example.test\n"
                                   "copy@example.test     copy@example.test, yumi@example.test\n"
                                   "hop1@example.test     hop2@example.test\n"
                                   "hop2@example.test     ken@example.test\n"
                                   "@other.test           @example.test\n"
                                   "@third.test           ken@example.test\n"
                                   "third.test            whatever\n"
                                   "real@third.test       yumi@example.test\n"
                                   "\"with space\"@example.test ken@example.test\n"
                                   "ghost@example.test    nobody@example.test\n";

static const char accounts[] = " ken@example.test yumi@example.test ident@example.test "
                               "copy@example.test acc@third.test dotty@example.test "
                               "plain@example.test ken+own@example.test ";

static struct config *world(void)
{
	struct config_source s[] = {source("hikyaku.conf", BASE_CONF),
	                            source("virtual", virtual_text),
	                            source("dot/dotty@example.test/default",
	                                   "# mine\n./Maildir/\n&friend@elsewhere.test\n"),
	                            source("dot/dotty/lists", "./Maildir/.Lists.Go/\n"),
	                            source("dot/plain@example.test/default", "./Mailbox\n"),
	                            source("dot/yumi@example.test/news", "./News\n")};

	return parsed(s, 6);
}

static void route(struct config_route *r, const struct config *c, const char *rcpt)
{
	config_route_begin(r, c, bytes_of_text(rcpt));
	while (r->state == CONFIG_ROUTE_ASK)
		config_route_next(r, there_is(accounts, r->address));
}

struct expected {
	const char *rcpt;
	enum config_route_state state;
	const char *address;
	bool own;
};

static const struct expected routes[] = {
        {"ken@example.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", true},
        {"KEN@example.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", true},
        {"ken+tag@example.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", true},
        {"ken+own@example.test", CONFIG_ROUTE_ACCOUNT, "ken+own@example.test", true},
        {"one@example.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", false},
        {"one+x@example.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", false},
        {"one+own@example.test", CONFIG_ROUTE_ACCOUNT, "ken+own@example.test", false},
        {"all@example.test", CONFIG_ROUTE_ALIAS, "all@example.test", false},
        {"sales@example.test", CONFIG_ROUTE_ACCOUNT, "yumi@example.test", false},
        {"sales+q@example.test", CONFIG_ROUTE_ACCOUNT, "yumi@example.test", false},
        {"far@example.test", CONFIG_ROUTE_ALIAS, "far@example.test", false},
        {"plus+a@example.test", CONFIG_ROUTE_ACCOUNT, "yumi@example.test", false},
        {"plus+b@example.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", false},
        {"ident@example.test", CONFIG_ROUTE_ACCOUNT, "ident@example.test", true},
        {"copy@example.test", CONFIG_ROUTE_ALIAS, "copy@example.test", false},
        {"hop1@example.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", false},
        {"one@other.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", false},
        {"yumi@other.test", CONFIG_ROUTE_ACCOUNT, "yumi@example.test", false},
        {"nobody@other.test", CONFIG_ROUTE_UNKNOWN, "nobody@other.test", false},
        {"any@third.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", false},
        {"acc@third.test", CONFIG_ROUTE_ACCOUNT, "acc@third.test", true},
        {"real@third.test", CONFIG_ROUTE_ACCOUNT, "yumi@example.test", false},
        {"dotty@example.test", CONFIG_ROUTE_DOT, "dotty@example.test", true},
        {"dotty+lists@example.test", CONFIG_ROUTE_DOT, "dotty@example.test", true},
        {"plain@example.test", CONFIG_ROUTE_ACCOUNT, "plain@example.test", true},
        {"yumi@example.test", CONFIG_ROUTE_ACCOUNT, "yumi@example.test", true},
        {"yumi+news@example.test", CONFIG_ROUTE_DOT, "yumi@example.test", true},
        {"yumi+olds@example.test", CONFIG_ROUTE_ACCOUNT, "yumi@example.test", true},
        {"ghost@example.test", CONFIG_ROUTE_UNKNOWN, "ghost@example.test", false},
        {"nobody@example.test", CONFIG_ROUTE_UNKNOWN, "nobody@example.test", false},
        {"\"with space\"@example.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", false},
        {"postmaster@example.test", CONFIG_ROUTE_FIRST, "postmaster@example.test", false},
        {"postmaster", CONFIG_ROUTE_FIRST, "postmaster", false},
        {"abuse@mx.example.test", CONFIG_ROUTE_FIRST, "abuse@mx.example.test", false},
        {"abuse@other.test", CONFIG_ROUTE_FIRST, "abuse@other.test", false},
        {"postmaster@third.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", false},
        {"ken@mx.example.test", CONFIG_ROUTE_ACCOUNT, "ken@example.test", true},
        {"nobody@MX.example.test", CONFIG_ROUTE_UNKNOWN, "nobody@mx.example.test", false},
        {"x@elsewhere.test", CONFIG_ROUTE_REMOTE, "x@elsewhere.test", false},
        {"ken@sub.example.test", CONFIG_ROUTE_REMOTE, "ken@sub.example.test", false},
        {"ken", CONFIG_ROUTE_UNKNOWN, "ken", false},
        {"", CONFIG_ROUTE_UNKNOWN, "", false},
        {"ken@[127.0.0.1]", CONFIG_ROUTE_REMOTE, "ken@[127.0.0.1]", false},
        {"x%elsewhere.test@example.test", CONFIG_ROUTE_UNKNOWN, "x%elsewhere.test@example.test",
         false},
};

static void check_routes(const struct config *c)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		struct config_route r;

		route(&r, c, routes[i].rcpt);
		if (r.state != routes[i].state ||
		    !bytes_equal(r.address, bytes_of_text(routes[i].address)) ||
		    r.own != routes[i].own)
			fail_msg("%s: state %d, %.*s, own %d", routes[i].rcpt, r.state,
			         BYTES_ARG(r.address), r.own);
	}
}

static void test_route(void **state)
{
	struct config *c = world(), *back;
	struct buf encoded = {0};

	check_routes(c);
	config_encode(c, &encoded);
	assert_int_equal(config_decode(buf_bytes(&encoded), &back, NULL), OK);
	check_routes(back);
	config_free(&back);
	config_free(&c);
	buf_done(&encoded);
}

/* Never a relay: without a domain nothing is ours, not even postmaster. */
static void test_no_domain(void **state)
{
	struct config *c = parsed_conf("hostname mx.example.test\n");
	static const char *const all[] = {"ken@example.test", "ken@mx.example.test",
	                                  "postmaster@mx.example.test", "a@[127.0.0.1]"};
	struct config_route r;

	for (size_t i = 0; i < 4; i++) {
		route(&r, c, all[i]);
		assert_int_equal(r.state, CONFIG_ROUTE_REMOTE);
	}
	route(&r, c, "postmaster");
	assert_int_equal(r.state, CONFIG_ROUTE_UNKNOWN);
	config_free(&c);
}

static void test_postmaster_option(void **state)
{
	struct config *c = parsed_conf(BASE_CONF "postmaster yumi@example.test\n");
	struct config_route r;

	route(&r, c, "postmaster@other.test");
	assert_int_equal(r.state, CONFIG_ROUTE_ACCOUNT);
	assert_true(bytes_equal(r.address, BYTES("yumi@example.test")));
	config_free(&c);
	c = parsed_conf(BASE_CONF "postmaster gone@example.test\n");
	route(&r, c, "abuse@other.test");
	assert_int_equal(r.state, CONFIG_ROUTE_FIRST);
	config_free(&c);
}

/* ---- expansion ---- */

static void print_leaf(const struct config_leaf *l, struct buf *out)
{
	static const char *const kinds[] = {"place", "remote", "hold", "unknown", "first"};

	buf_printf(out, "%s %.*s", kinds[l->kind], BYTES_ARG(l->address));
	if (l->mailbox.len > 0)
		buf_printf(out, " %.*s", BYTES_ARG(l->mailbox));
	if (l->from.len > 0)
		buf_printf(out, " (%.*s)", BYTES_ARG(l->from));
	buf_append_text(out, "\n");
}

/* Expands with facts gathered as they are asked for. */
static enum result expand(const struct config *c, const char *rcpt, struct buf *out,
                          struct why *why)
{
	struct arena arena = {0};
	struct config_fact facts[100];
	size_t count = 0;
	struct config_expansion x;
	enum result r;

	while ((r = config_expand(c, bytes_of_text(rcpt), facts, count, &arena, &x, why)) ==
	       UNAVAILABLE) {
		assert_true(x.missing_count > 0);
		for (size_t i = 0; i < x.missing_count; i++)
			facts[count++] = (struct config_fact){x.missing[i],
			                                      there_is(accounts, x.missing[i])};
	}
	for (size_t i = 0; r == OK && i < x.leaf_count; i++)
		print_leaf(&x.leaves[i], out);
	arena_done(&arena);
	return r;
}

struct expansion {
	const char *rcpt, *leaves;
};

static const struct expansion expansions[] = {
        {"ken@example.test", "place ken@example.test INBOX\n"},
        {"ken+x@example.test", "place ken@example.test INBOX\n"},
        {"all@example.test", "place ken@example.test INBOX (virtual:5)\n"
                             "place yumi@example.test INBOX (virtual:5)\n"
                             "remote Far@elsewhere.test (virtual:5)\n"},
        {"copy@example.test", "place yumi@example.test INBOX (virtual:12)\n"
                              "place copy@example.test INBOX (virtual:12)\n"},
        {"dotty@example.test", "place dotty@example.test INBOX (dot/dotty@example.test/default:2)\n"
                               "remote friend@elsewhere.test (dot/dotty@example.test/default:3)\n"},
        {"dotty+lists@example.test", "place dotty@example.test Lists/Go (dot/dotty/lists:1)\n"},
        {"dotty+other@example.test",
         "place dotty@example.test INBOX (dot/dotty@example.test/default:2)\n"
         "remote friend@elsewhere.test (dot/dotty@example.test/default:3)\n"},
        {"yumi@other.test", "place yumi@example.test INBOX (virtual:15)\n"},
        {"ghost@example.test", "unknown nobody@example.test (virtual:20)\n"},
        {"nobody@example.test", "unknown nobody@example.test\n"},
        {"postmaster@example.test", "first postmaster@example.test\n"},
        {"postmaster", "first postmaster@example.test\n"},
        {"x@elsewhere.test", "remote x@elsewhere.test\n"},
};

static void test_expand(void **state)
{
	struct config *c = world();

	for (size_t i = 0; i < sizeof(expansions) / sizeof(expansions[0]); i++) {
		struct buf out = {0};
		struct why why = {{0}};

		assert_int_equal(expand(c, expansions[i].rcpt, &out, &why), OK);
		if (!bytes_equal(buf_bytes(&out), bytes_of_text(expansions[i].leaves)))
			fail_msg("%s:\n%.*s", expansions[i].rcpt, BYTES_ARG(buf_bytes(&out)));
		buf_done(&out);
	}
	config_free(&c);
}

/* Two names of one account: one copy. */
static void test_expand_once(void **state)
{
	struct config_source s[] = {
	        source("hikyaku.conf", BASE_CONF),
	        source("virtual", "team ken, ken2, ken@example.test, ken\nken2 ken\n")};
	struct config *c = parsed(s, 2);
	struct buf out = {0};

	assert_int_equal(expand(c, "team@example.test", &out, NULL), OK);
	assert_true(
	        bytes_equal(buf_bytes(&out), BYTES("place ken@example.test INBOX (virtual:1)\n")));
	config_free(&c);
	buf_done(&out);
}

/* A circle that only shows when there is no such account is found when the mail comes. */
static void test_expand_circle(void **state)
{
	struct config_source s[] = {
	        source("hikyaku.conf", BASE_CONF),
	        source("virtual", "@example.test x@other.test\n@other.test y@example.test\n")};
	struct config *c = parsed(s, 2);
	struct config_route r;
	struct buf out = {0};
	struct why why = {{0}};

	assert_int_equal(expand(c, "q@example.test", &out, &why), INVALID);
	assert_non_null(strstr(why.text, "virtual:"));
	assert_non_null(strstr(why.text, "circle"));
	route(&r, c, "q@example.test");
	assert_int_equal(r.state, CONFIG_ROUTE_UNKNOWN);
	config_free(&c);
	buf_done(&out);
}

static void test_programs(void **state)
{
	struct config_source s[] = {source("hikyaku.conf", BASE_CONF "dot { programs on }\n"),
	                            source("dot/ken/default", "./Mailbox\n|/bin/vacation ken\n")};
	struct config *c = parsed(s, 2);
	struct buf out = {0};

	assert_int_equal(expand(c, "ken@example.test", &out, NULL), OK);
	assert_true(bytes_equal(buf_bytes(&out),
	                        BYTES("place ken@example.test INBOX (dot/ken/default:1)\n"
	                              "hold ken@example.test (dot/ken/default:2)\n")));
	config_free(&c);
	buf_done(&out);
}

/* ---- files that are refused ---- */

struct refusal {
	const char *name, *text, *reason;
};

static const struct refusal refusals[] = {
        {"virtual", "a@example.test\n", "virtual:1: \"a@example.test\" has no target"},
        {"virtual", "\n # c\n  a@example.test b\n", "virtual:3: begins with a blank"},
        {"virtual", "a@elsewhere.test b\n", "virtual:1: \"a@elsewhere.test\" is not in one of our"},
        {"virtual", "a@example.test b\n\nA@Example.Test c\n",
         "virtual:3: \"a@example.test\" stands in line 1 already"},
        {"virtual", "a@example.test |cat\n", "virtual:1: \"|cat\" is no address"},
        {"virtual", "a@example.test /dev/null\n", "is no address"},
        {"virtual", "a@example.test :include:/x\n", "is no address"},
        {"virtual", "a@example.test b..c@x.test\n", "virtual:1: \"b..c@x.test\" is no address"},
        {"virtual", "a@example.test @other.test\n", "needs an @domain before it"},
        {"virtual", "a..b ken\n", "virtual:1: \"a..b\" is no address; accepted: user@domain"},
        {"virtual", "@x..y ken\n", "is no @domain"},
        {"virtual", "a b\n\xff c\n", "virtual:2: this is no UTF-8"},
        /* circles */
        {"virtual", "a b\nb a\n", "virtual:2: leads in a circle: back to a@example.test"},
        {"virtual", "a a, b\nb a\n", "virtual:2: leads in a circle: back to a@example.test"},
        {"virtual", "a b\nb c@example.test, d\nc@example.test k\nd e\ne b\n",
         "virtual:5: leads in"},
        {"virtual", "@other.test @third.test\n@third.test @other.test\n", "in a circle"},
        {"virtual", "a@other.test ken@example.test\nken@example.test a+b@other.test\n",
         "virtual:2: leads in a circle"},
        {"virtual", "a1 a2\na2 a3\na3 a4\na4 a5\na5 a6\na6 a7\na7 a8\na8 a9\na9 b0\nb0 b1\nb1 b2\n",
         "more than 10 deep"},
        {"virtual", "b1 b2\nb0 b1\na9 b0\na8 a9\na7 a8\na6 a7\na5 a6\na4 a5\na3 a4\na2 a3\na1 a2\n",
         "more than 10 deep"},
        /* dot files */
        {"dot/ken/default", "# x\n|/bin/sh\n", "dot/ken/default:2: \"|/bin/sh\" wants a program"},
        {"dot/ken/default", "/home/ken/Mail\n", "dot/ken/default:1: \"/home/ken/Mail\" is a path"},
        {"dot/ken/default", "&nobody at home\n", "dot/ken/default:1: \"nobody at home\" is no"},
        {"dot/ken/default", "./a/../b\n", "names no mailbox"},
        {"dot/ken/default", "./\n", "names no mailbox"},
        {"dot/ken/default", "+list\n", "is unknown; accepted:"},
        {"dot/ken@elsewhere.test/default", "", "it is not ours"},
        {"dot/a..b/default", "", "dot/a..b/default: \"a..b\" is no address"},
        {"dot/ken/default", "\n&ken@example.test\n",
         "dot/ken/default:2: leads in a circle: back to ken@example.test"},
        {"dot/ken/x", "&ken+x@example.test\n", "dot/ken/x:1: leads in a circle"},
};

static void test_refusals(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct config_source s[] = {source("hikyaku.conf", BASE_CONF),
		                            source(refusals[i].name, refusals[i].text)};

		refused(s, 2, refusals[i].reason);
	}
}

static void test_circle_of_both(void **state)
{
	struct config_source s[] = {source("hikyaku.conf", BASE_CONF),
	                            source("virtual", "team ken\n"),
	                            source("dot/ken/default", "./Mailbox\n&team@example.test\n")};

	refused(s, 3, "in a circle");
	s[2] = source("dot/ken/default", "./Mailbox\n&yumi@example.test\n");
	s[1] = source("dot/ken@example.test/default", "");
	refused(s, 3, "is for the same mail as");
}

static void test_crlf_and_long(void **state)
{
	struct buf text = {0};
	struct config_source s[2] = {source("hikyaku.conf", BASE_CONF)};
	struct config *c;
	struct config_route r;

	for (int i = 0; i < 20000; i++)
		buf_printf(&text, "u%d@example.test\tken@example.test\r\n", i);
	s[1] = (struct config_source){BYTES("virtual"), buf_bytes(&text)};
	c = parsed(s, 2);
	route(&r, c, "u19999@example.test");
	assert_int_equal(r.state, CONFIG_ROUTE_ACCOUNT);
	config_free(&c);
	buf_done(&text);
}

static void test_too_many_targets(void **state)
{
	struct buf text = {0};
	struct config_source s[2] = {source("hikyaku.conf", BASE_CONF)};

	buf_append_text(&text, "all");
	for (int i = 0; i < CONFIG_TARGETS + 1; i++)
		buf_printf(&text, " u%d", i);
	s[1] = (struct config_source){BYTES("virtual"), buf_bytes(&text)};
	refused(s, 2, "virtual:1: 1001 targets; at most 1000");
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_route),
	        cmocka_unit_test(test_no_domain),
	        cmocka_unit_test(test_postmaster_option),
	        cmocka_unit_test(test_expand),
	        cmocka_unit_test(test_expand_once),
	        cmocka_unit_test(test_expand_circle),
	        cmocka_unit_test(test_programs),
	        cmocka_unit_test(test_refusals),
	        cmocka_unit_test(test_circle_of_both),
	        cmocka_unit_test(test_crlf_and_long),
	        cmocka_unit_test(test_too_many_targets),
	};

	return TEST_MAIN(tests);
}
