/* `list` sections: known ones, own ones, and those that must not be. */
#include "config_test.h"

static struct config *again(struct config *c)
{
	struct buf octets = {0};
	struct config *made = NULL;
	struct why why;

	config_encode(c, &octets);
	assert_int_equal(config_decode(buf_bytes(&octets), &made, &why), OK);
	buf_done(&octets);
	config_free(&c);
	return made;
}

static void test_known_by_name(void **state)
{
	struct config *c = again(parsed_conf("hostname a.test\n"
	                                     "list zen { use refuse\n points 6.5 }\n"
	                                     "list uribl { }\n"
	                                     "list dbl-dqs { key 0123abcd }\n"));
	const struct config_list *l = config_list_named(c, BYTES("zen"));

	assert_non_null(l);
	assert_bytes(l->zone, BYTES("zen.spamhaus.org"));
	assert_int_equal(l->use, CONFIG_LIST_REFUSE);
	assert_int_equal(l->points, 650);
	assert_true(l->ipv4 && l->ipv6);
	assert_bytes(l->listed, BYTES("2.0.0.127"));
	assert_int_equal(l->code_count, 6);
	assert_int_equal(l->codes[2].from[3], 4);
	assert_int_equal(l->codes[2].to[3], 7);
	assert_bytes(l->codes[2].meaning, BYTES("XBL"));
	l = config_list_named(c, BYTES("uribl"));
	assert_true(l->base);
	assert_int_equal(l->kind, CONFIG_LIST_DOMAIN);
	assert_true(l->codes[0].refused);
	assert_int_equal(l->codes[1].bits, 2);
	l = config_list_named(c, BYTES("dbl-dqs"));
	assert_bytes(l->zone, BYTES("0123abcd.dbl.dq.spamhaus.net"));
	assert_bytes(l->shown, BYTES("dbl.dq.spamhaus.net"));
	assert_null(config_list_named(c, BYTES("spamcop")));
	config_free(&c);
}

static void test_own(void **state)
{
	struct config *c = again(parsed_conf("hostname a.test\n"
	                                     "list ours { zone BL.example.test }\n"
	                                     "list dbl { zone dbl.example.test }\n"
	                                     "list good { zone wl.example.test\n kind allow }\n"));
	const struct config_list *l = config_list_named(c, BYTES("ours"));

	assert_bytes(l->zone, BYTES("bl.example.test"));
	assert_int_equal(l->use, CONFIG_LIST_SCORE);
	assert_int_equal(l->points, 400);
	assert_int_equal(l->code_count, 1);
	assert_int_equal(l->codes[0].from[3], 2);
	assert_int_equal(l->codes[0].to[3], 254);
	assert_int_equal(config_list_named(c, BYTES("good"))->points, 200);
	/* A mirror of a known one, at home. */
	l = config_list_named(c, BYTES("dbl"));
	assert_bytes(l->zone, BYTES("dbl.example.test"));
	assert_int_equal(l->kind, CONFIG_LIST_DOMAIN);
	assert_bytes(l->listed, BYTES("dbltest.com"));
	config_free(&c);
}

static void test_what_is_wrong(void **state)
{
	static const struct {
		const char *conf, *reason;
	} wrong[] = {
	        {"list x { }\n", "lacks its `zone`"},
	        {"list x { zone dnsbl.sorbs.net }\n", "sorbs.net is dead since 2024-06"},
	        {"list x { zone relays.ordb.org }\n", "is dead since"},
	        {"list x { zone a.test\n use drop }\n", "use takes"},
	        {"list x { zone a.test\n kind mx }\n", "kind takes"},
	        {"list x { zone a.test\n points 101 }\n", "points takes"},
	        {"list x { zone a.test\n codes 10.0.0.2 }\n", "codes takes"},
	        {"list x { zone a.test\n codes 127.0.0 }\n", "codes takes"},
	        {"list x { zone a.test\n codes 127.0.0.9-3 }\n", "codes takes"},
	        {"list x { zone a.test\n key abc }\n", "takes no key"},
	        {"list zen-dqs { }\n", "lacks its `key`"},
	        {"list zen-dqs { key a.b }\n", "letters and digits"},
	        {"list dnswl { use refuse }\n", "an allow list"},
	        {"list zen { }\nlist zen { }\n", "one of this name"},
	        {"list a { kind domain\n zone a.test }\nlist b { kind domain\n zone a.test }\n"
	         "list c { kind domain\n zone a.test }\nlist d { kind domain\n zone a.test }\n"
	         "list e { kind domain\n zone a.test }\nlist f { kind domain\n zone a.test }\n"
	         "list g { kind domain\n zone a.test }\n",
	         "6 lists of domains"},
	        {"list x y { zone a.test }\n", "it has one name"},
	        {"list x { zone a.test\n colour red }\n", "unknown key \"colour\""},
	        {"list x { zone a.test\n", "no } at its end"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		char conf[500];

		snprintf(conf, sizeof(conf), "hostname a.test\n%s", wrong[i].conf);
		refused_conf(conf, wrong[i].reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_known_by_name),
	        cmocka_unit_test(test_own),
	        cmocka_unit_test(test_what_is_wrong),
	};

	return TEST_MAIN(tests);
}
