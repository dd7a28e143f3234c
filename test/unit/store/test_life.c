/* Incidents, limits and rights of sending, holding what changed suddenly: through asks, as roles say them, and
 * over restarts. */
#include "store_test.h"

#include "base/ip.h"
#include "watch/incident.h"

#define HOUR (3600 * 1000LL)
#define DAY (24 * HOUR)

static struct answer incident(struct rig *r, unsigned verb, unsigned kind, const char *key,
                              const char *facts, uint32_t count)
{
	struct ask a = {.kind = ASK_INCIDENT};

	a.incident.verb = (uint8_t)verb;
	a.incident.kind = (uint16_t)kind;
	a.incident.key = bytes_of_text(key);
	a.incident.facts = bytes_of_text(facts);
	a.incident.count = count;
	return rig_ask(r, KEEPER_PEER, a);
}

static bool shows(struct answer a, const char *text)
{
	return a.result == OK && bytes_find(a.admin.rows, bytes_of_text(text)) != BYTES_NONE;
}

static struct answer show(struct rig *r, uint64_t id)
{
	return rig_admin(r, ADMIN_INCIDENT_SHOW, "", id);
}

static void test_incident(void **state)
{
	struct rig r = rig_make("", "");
	struct answer a;

	(void)state;
	rig_open(&r);
	a = incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "link=https://a.test/", 3);
	assert_int_equal(a.result, OK);
	assert_int_equal(a.incident.id, 1);
	assert_true(a.incident.fresh);
	/* The same again: the same row, facts kept where none are said. */
	a = incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 4);
	assert_int_equal(a.incident.id, 1);
	assert_false(a.incident.fresh);
	assert_true(shows(show(&r, 1), "\"count\":7"));
	assert_true(shows(show(&r, 1), "link=https://a.test/"));
	/* Another key, another kind: other rows. */
	assert_int_equal(
	        incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "docomo", "", 1).incident.id, 2);
	assert_int_equal(incident(&r, INCIDENT_RAISE, INCIDENT_DNS, "apple", "", 1).incident.id, 3);
	assert_int_equal(incident(&r, INCIDENT_CLOSE, INCIDENT_BLOCKED, "apple", "", 0).incident.id,
	                 1);
	assert_int_equal(incident(&r, INCIDENT_CLOSE, INCIDENT_BLOCKED, "apple", "", 0).incident.id,
	                 0);
	assert_false(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "\"id\":1,"));
	/* Six days later it relapses: the same row. */
	r.now += 6 * DAY;
	a = incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 1);
	assert_int_equal(a.incident.id, 1);
	assert_true(a.incident.fresh);
	assert_true(shows(show(&r, 1), "\"relapses\":1"));
	incident(&r, INCIDENT_CLOSE, INCIDENT_BLOCKED, "apple", "", 0);
	/* Eight days later it is another one. */
	r.now += 8 * DAY;
	assert_int_equal(incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 1).incident.id,
	                 4);
	rig_done(&r);
}

/* Open incidents outlive the process, and the index. */
static void test_incident_durable(void **state)
{
	struct rig r = rig_make("", "");
	char *before, *after;

	(void)state;
	rig_open(&r);
	incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "reply=550 5.7.0 Blocked", 3);
	incident(&r, INCIDENT_RAISE, INCIDENT_NETWORK, "port25", "", 1);
	incident(&r, INCIDENT_CLOSE, INCIDENT_NETWORK, "port25", "", 0);
	assert_int_equal(rig_admin(&r, ADMIN_INCIDENT_ACK, "", 1).result, OK);
	before = rig_dump(&r);
	rig_close(&r);
	rig_remove(&r, "index.db*");
	rig_open(&r);
	after = rig_dump(&r);
	assert_string_equal(before, after);
	assert_false(incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 1).incident.fresh);
	assert_int_equal(incident(&r, INCIDENT_CLOSE, INCIDENT_BLOCKED, "apple", "", 1).incident.id,
	                 1);
	memory_free(before);
	memory_free(after);
	rig_done(&r);
}

static void test_incident_admin(void **state)
{
	struct rig r = rig_make("", "");
	struct ask a = {.kind = ASK_ADMIN};

	(void)state;
	rig_open(&r);
	incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 1);
	assert_int_equal(show(&r, 9).result, NOT_FOUND);
	a.admin.verb = ADMIN_INCIDENT_ACK;
	a.admin.number = 1;
	a.admin.value = BYTES("ken");
	assert_int_equal(rig_ask(&r, WEB_PEER, a).result, OK);
	assert_true(shows(show(&r, 1), "\"acknowledged_by\":\"ken\""));
	assert_int_equal(rig_admin(&r, ADMIN_INCIDENT_CLOSE, "", 1).result, OK);
	assert_int_equal(rig_admin(&r, ADMIN_INCIDENT_CLOSE, "", 1).result, NOT_FOUND);
	assert_false(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "apple"));
	a.admin.verb = ADMIN_INCIDENTS;
	a.admin.number = 0;
	a.admin.value = BYTES("all");
	assert_true(shows(rig_ask(&r, WEB_PEER, a), "apple"));
	rig_done(&r);
}

/* ---- who may send as whom ---- */

static void grant(struct rig *r, uint64_t account, const char *peer)
{
	struct ask a = {.kind = ASK_GRANT};
	struct ip ip;

	r->session = 0x3000 + account;
	a.grant.front_session = r->session;
	a.grant.front = ACCESS;
	a.grant.account = account;
	a.grant.rights = 3;
	if (peer) {
		assert_int_equal(ip_parse(bytes_of_text(peer), &ip), OK);
		a.grant.peer = bytes_of(ip.octets, sizeof(ip.octets));
	}
	assert_int_equal(rig_ask(r, KEEPER_PEER, a).result, OK);
}

static struct answer sender(struct rig *r, const char *address)
{
	struct ask a = rig_mine(r, ASK_SENDER);

	a.sender.address = bytes_of_text(address);
	return rig_ask(r, ACCESS_PEER, a);
}

static bool may(struct rig *r, const char *address)
{
	struct answer a = sender(r, address);

	assert_int_equal(a.result, OK);
	return a.sender.allowed == 1;
}

static const char aliases[] = "sales@example.test ken@example.test\n"
                              "team@example.test ken@example.test, mari@example.test\n"
                              "all@example.test team@example.test, out@remote.test\n"
                              "boss@example.test mari@example.test\n";

static void test_sender(void **state)
{
	struct rig r = rig_make("", aliases);
	uint64_t ken;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	rig_account(&r, "mari@example.test");
	grant(&r, ken, NULL);
	assert_true(may(&r, "ken@example.test"));
	assert_true(may(&r, "Ken@Example.TEST"));
	assert_true(may(&r, "ken+lists@example.test"));
	assert_true(may(&r, "sales@example.test"));
	assert_true(may(&r, "team@example.test"));
	assert_true(may(&r, "all@example.test"));
	assert_true(may(&r, ""));
	assert_false(may(&r, "mari@example.test"));
	assert_false(may(&r, "mari+ken@example.test"));
	assert_false(may(&r, "boss@example.test"));
	assert_false(may(&r, "nobody@example.test"));
	assert_false(may(&r, "ken@remote.test"));
	assert_false(may(&r, "ken"));
	/* Nobody is logged in: nobody's. */
	r.session = 0x4444;
	assert_false(may(&r, "ken@example.test"));
	rig_done(&r);
}

/* A suspended account may send as nobody, and a grant without the right to send gives none. */
static void test_sender_rights(void **state)
{
	struct rig r = rig_make("", aliases);
	uint64_t ken;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	rig_login(&r, ken); /* rights: mailboxes only */
	assert_false(may(&r, "ken@example.test"));
	grant(&r, ken, NULL);
	assert_true(may(&r, "ken@example.test"));
	assert_int_equal(rig_admin(&r, ADMIN_ACCOUNT_SUSPEND, "ken@example.test", 1).result, OK);
	assert_false(may(&r, "ken@example.test"));
	rig_done(&r);
}

static struct answer local_sender(struct rig *r, struct store_peer from, uint32_t uid,
                                  const char *address)
{
	struct ask a = {.kind = ASK_SENDER, .session = 0x77};

	a.sender.address = bytes_of_text(address);
	a.sender.local_uid = uid + 1;
	return rig_ask(r, from, a);
}

static void test_sender_local(void **state)
{
	struct rig r = rig_make("", "");

	(void)state;
	rig_open(&r);
	assert_true(local_sender(&r, ACCESS_PEER, 33, "www@example.test").sender.allowed);
	assert_true(local_sender(&r, ACCESS_PEER, 33, "www-data@mx.example.test").sender.allowed);
	assert_false(local_sender(&r, ACCESS_PEER, 33, "www@remote.test").sender.allowed);
	rig_done(&r);
	r = rig_make("sendmail { senders any\n }\n", "");
	rig_open(&r);
	assert_true(local_sender(&r, ACCESS_PEER, 33, "www@remote.test").sender.allowed);
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_incident),       cmocka_unit_test(test_incident_durable),
	        cmocka_unit_test(test_incident_admin), cmocka_unit_test(test_sender),
	        cmocka_unit_test(test_sender_rights),  cmocka_unit_test(test_sender_local),
	};

	return TEST_MAIN(tests);
}
