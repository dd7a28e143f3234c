/* Bans as fronts, keeper and the operator see them, over restarts and a rebuilt index. */
#include "store_test.h"

#include "base/ip.h"
#include "policy/ban.h"
#include "store/reason.h"
#include "watch/incident.h"

#define HOUR (3600 * 1000LL)
#define DAY (24 * HOUR)
#define BAN_CONFIG "ban {\n\tallow 127.0.0.1\n}\n"

static struct ip at(const char *text)
{
	struct ip ip;

	assert_int_equal(ip_parse(bytes_of_text(text), &ip), OK);
	return ip;
}

static bool banned(struct rig *r, const char *address)
{
	struct ip ip = at(address);
	struct ask a = {.kind = ASK_BANNED};
	struct answer answer;

	a.banned.ip = bytes_of(ip.octets, sizeof(ip.octets));
	a.banned.service = BYTES("smtp");
	answer = rig_ask(r, MX_PEER, a);
	assert_int_equal(answer.result, OK);
	return answer.banned.banned;
}

static bool offend(struct rig *r, struct store_peer from, const char *address, unsigned kind,
                   unsigned nth)
{
	struct ip ip = at(address);
	struct ask a = {.kind = ASK_OFFENCE};
	struct answer answer;

	a.offence.ip = bytes_of(ip.octets, sizeof(ip.octets));
	a.offence.kind = (uint8_t)kind;
	a.offence.nth = (uint8_t)nth;
	a.offence.service = BYTES("login");
	a.offence.user = BYTES("eve@example.test");
	answer = rig_ask(r, from, a);
	assert_int_equal(answer.result, OK);
	return answer.offence.banned;
}

static void guess(struct rig *r, const char *address)
{
	for (unsigned n = 1; n < 20 && !offend(r, KEEPER_PEER, address, BAN_WRONG_PASSWORD, n); n++)
		;
}

static bool shows(struct answer a, const char *text)
{
	return a.result == OK && bytes_find(a.admin.rows, bytes_of_text(text)) != BYTES_NONE;
}

static struct answer admin_value(struct rig *r, enum admin_verb verb, const char *subject,
                                 struct bytes value, uint64_t number)
{
	struct ask a = {.kind = ASK_ADMIN};

	a.admin.verb = (uint16_t)verb;
	a.admin.subject = bytes_of_text(subject);
	a.admin.value = value;
	a.admin.number = number;
	return rig_ask(r, WEB_PEER, a);
}

static void test_a_ban_outlives_a_restart(void **state)
{
	struct rig r = rig_make(BAN_CONFIG, "");
	char *dump, *again;

	(void)state;
	rig_open(&r);
	guess(&r, "192.0.2.7");
	assert_true(banned(&r, "192.0.2.7"));
	assert_false(banned(&r, "192.0.2.8"));
	assert_true(shows(rig_admin(&r, ADMIN_BANS, "", 0), "\"address\":\"192.0.2.7\""));
	assert_true(shows(rig_admin(&r, ADMIN_BAN_WHY, "192.0.2.7", 0), "\"wrong-password\":6"));
	assert_true(shows(rig_admin(&r, ADMIN_BAN_WHY, "192.0.2.7", 0), "eve@example.test"));
	assert_true(shows(rig_admin(&r, ADMIN_STATUS, "", 0), "\"bans\":1"));
	rig_run(&r);
	dump = rig_dump(&r);
	rig_close(&r);
	rig_open(&r);
	assert_true(banned(&r, "192.0.2.7"));
	rig_close(&r);
	/* The log has it. */
	rig_remove(&r, "index.db");
	rig_open(&r);
	assert_true(r.report.rebuilt);
	assert_true(banned(&r, "192.0.2.7"));
	again = rig_dump(&r);
	assert_string_equal(dump, again);
	memory_free(dump);
	memory_free(again);
	/* It ends by itself; the next one is longer, also after a restart. */
	r.now += 11 * 60 * 1000;
	assert_false(banned(&r, "192.0.2.7"));
	rig_close(&r);
	rig_open(&r);
	guess(&r, "192.0.2.7");
	r.now += 11 * 60 * 1000;
	assert_true(banned(&r, "192.0.2.7"));
	rig_done(&r);
}

static void test_the_operator(void **state)
{
	struct rig r = rig_make(BAN_CONFIG, "");

	(void)state;
	rig_open(&r);
	assert_int_equal(
	        admin_value(&r, ADMIN_BAN_ADD, "198.51.100.0/24", BYTES("a reason"), HOUR).result,
	        OK);
	assert_true(banned(&r, "198.51.100.9"));
	assert_true(shows(rig_admin(&r, ADMIN_BANS, "", 0), "a reason"));
	rig_close(&r);
	rig_open(&r);
	assert_true(shows(rig_admin(&r, ADMIN_BANS, "", 0), "a reason"));
	assert_int_equal(rig_admin(&r, ADMIN_BAN_LIFT, "198.51.100.9", 0).result, OK);
	assert_false(banned(&r, "198.51.100.9"));
	assert_int_equal(rig_admin(&r, ADMIN_BAN_LIFT, "198.51.100.9", 0).result, NOT_FOUND);
	rig_close(&r);
	rig_open(&r);
	assert_false(banned(&r, "198.51.100.9"));
	guess(&r, "2001:db8:1:2::3");
	guess(&r, "192.0.2.7");
	assert_true(banned(&r, "2001:db8:1:2::4"));
	assert_int_equal(rig_admin(&r, ADMIN_BAN_LIFT, "", 0).result, OK);
	assert_false(banned(&r, "2001:db8:1:2::3") || banned(&r, "192.0.2.7"));
	assert_int_equal(rig_admin(&r, ADMIN_BAN_ADD, "nonsense", 0).result, INVALID);
	assert_int_equal(rig_admin(&r, ADMIN_BAN_ADD, "0.0.0.0/0", 0).result, INVALID);
	rig_done(&r);
}

static void test_the_allowed(void **state)
{
	struct rig r = rig_make(BAN_CONFIG, "");

	(void)state;
	rig_open(&r);
	guess(&r, "127.0.0.1");
	assert_false(banned(&r, "127.0.0.1"));
	assert_int_equal(rig_admin(&r, ADMIN_BAN_ADD, "127.0.0.1", 0).result, OK);
	assert_false(banned(&r, "127.0.0.1"));
	assert_true(shows(rig_admin(&r, ADMIN_BAN_WHY, "127.0.0.1", 0), "\"allowed\":true"));
	rig_done(&r);
}

/* Where somebody of ours logged in from is known over a restart. */
static void test_own_networks(void **state)
{
	struct rig r = rig_make(BAN_CONFIG, "");
	struct ip office = at("203.0.113.50");
	struct ask a = {.kind = ASK_GRANT};

	(void)state;
	rig_open(&r);
	a.grant.account = rig_account(&r, "ken@example.test");
	a.grant.front = ACCESS;
	a.grant.front_session = session_number(ACCESS, 0, 99);
	a.grant.rights = 3;
	a.grant.peer = bytes_of(office.octets, sizeof(office.octets));
	assert_int_equal(rig_ask(&r, KEEPER_PEER, a).result, OK);
	rig_run(&r);
	for (int person = 0; person < 50; person++) {
		assert_false(offend(&r, KEEPER_PEER, "203.0.113.50", BAN_WRONG_PASSWORD, 1));
		assert_false(offend(&r, KEEPER_PEER, "203.0.113.50", BAN_WRONG_PASSWORD, 2));
	}
	rig_close(&r);
	rig_open(&r);
	r.now += DAY;
	for (int person = 0; person < 50; person++)
		assert_false(offend(&r, KEEPER_PEER, "203.0.113.60", BAN_WRONG_PASSWORD, 1));
	assert_true(shows(rig_admin(&r, ADMIN_BAN_WHY, "203.0.113.50", 0), "\"own_network\":true"));
	rig_done(&r);
}

static void test_many_addresses_are_an_incident(void **state)
{
	struct rig r = rig_make(BAN_CONFIG, "");
	struct answer a;
	char ip[40];

	(void)state;
	rig_open(&r);
	for (int i = 0; i < 40; i++) {
		snprintf(ip, sizeof(ip), "192.0.%d.1", i);
		offend(&r, KEEPER_PEER, ip, BAN_UNKNOWN_USER, 1);
	}
	a = rig_admin(&r, ADMIN_INCIDENTS, "", 0);
	assert_true(shows(a, "eve@example.test"));
	assert_true(bytes_find(a.admin.rows, BYTES("\"until_ms\":0")) != BYTES_NONE);
	/* It is over when nobody guessed for half an hour. */
	r.now += 2 * 60 * 1000;
	store_tick(r.store, r.now);
	rig_run(&r);
	assert_true(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "\"key\":\"logins\""));
	r.now += 31 * 60 * 1000;
	store_tick(r.store, r.now);
	rig_run(&r);
	assert_false(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "\"key\":\"logins\""));
	rig_done(&r);
}

/* Fronts see logins fail and keeper tells of none: bans are dead, and that is said. */
static void test_dead_rules(void **state)
{
	struct rig r = rig_make(BAN_CONFIG, "");
	struct ip stranger = at("192.0.2.1"), own = at("127.0.0.1");
	struct ask a = {.kind = ASK_LEDGER};

	(void)state;
	rig_open(&r);
	a.ledger.reason = LEDGER_LOGIN_FAILED;
	/* Of the allowed keeper tells nothing. */
	a.ledger.ip = bytes_of(own.octets, sizeof(own.octets));
	for (int i = 0; i < 40; i++)
		rig_ask(&r, ACCESS_PEER, a);
	a.ledger.ip = bytes_of(stranger.octets, sizeof(stranger.octets));
	for (int i = 0; i < 19; i++)
		rig_ask(&r, ACCESS_PEER, a);
	assert_false(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "logins"));
	rig_ask(&r, ACCESS_PEER, a);
	rig_run(&r);
	assert_true(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "\"kind_number\":15"));
	offend(&r, KEEPER_PEER, "192.0.2.1", BAN_WRONG_PASSWORD, 1);
	rig_run(&r);
	assert_false(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "\"kind_number\":15"));
	rig_done(&r);
}

static struct bytes jail_report(struct rig *r, const char *example, unsigned count,
                                const char *address)
{
	struct ip ip = address ? at(address) : (struct ip){0};
	struct buf b = {0};
	struct bytes copy;

	buf_block(&b, bytes_of_text(example));
	for (unsigned i = 0; i < count; i++)
		buf_append(&b, bytes_of(ip.octets, sizeof(ip.octets)));
	copy = arena_copy(&r->arena, buf_bytes(&b));
	buf_done(&b);
	return copy;
}

static void test_jails(void **state)
{
	struct rig r = rig_make(BAN_CONFIG, "");

	(void)state;
	rig_open(&r);
	admin_value(&r, ADMIN_BAN_JAIL, "sshd",
	            jail_report(&r, "it failed from 192.0.2.1", 0, NULL), 100ULL << 32 | 19);
	assert_false(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "sshd"));
	admin_value(&r, ADMIN_BAN_JAIL, "sshd", jail_report(&r, "", 0, NULL), 1ULL << 32 | 1);
	assert_true(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "it failed from 192.0.2.1"));
	rig_close(&r);
	rig_open(&r);
	assert_true(shows(rig_admin(&r, ADMIN_JAILS, "", 0), "\"suspicious\":20"));
	admin_value(&r, ADMIN_BAN_JAIL, "sshd", jail_report(&r, "", 5, "192.0.2.1"),
	            5ULL << 32 | 5);
	assert_true(banned(&r, "192.0.2.1"));
	assert_false(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "\"kind_number\":15"));
	assert_true(shows(rig_admin(&r, ADMIN_JAILS, "", 0), "\"matched\":5"));
	assert_int_equal(admin_value(&r, ADMIN_BAN_JAIL, "sshd", BYTES("x"), 0).result, INVALID);
	rig_done(&r);
}

static void test_the_drill(void **state)
{
	struct rig r = rig_make(BAN_CONFIG, ""), off = rig_make("ban {\n\ton off\n}\n", "");

	(void)state;
	rig_open(&r);
	assert_true(shows(rig_admin(&r, ADMIN_BAN_DRILL, "", 0), "\"works\":true"));
	assert_false(banned(&r, "203.0.113.199"));
	rig_done(&r);
	rig_open(&off);
	assert_int_equal(rig_admin(&off, ADMIN_BAN_DRILL, "", 0).result, DENIED);
	guess(&off, "192.0.2.7");
	assert_false(banned(&off, "192.0.2.7"));
	rig_done(&off);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_a_ban_outlives_a_restart),
	        cmocka_unit_test(test_the_operator),
	        cmocka_unit_test(test_the_allowed),
	        cmocka_unit_test(test_own_networks),
	        cmocka_unit_test(test_many_addresses_are_an_incident),
	        cmocka_unit_test(test_dead_rules),
	        cmocka_unit_test(test_jails),
	        cmocka_unit_test(test_the_drill),
	};
	return TEST_MAIN(tests);
}
