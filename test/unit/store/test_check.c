/* Checks on trial in the store: what JUDGED may not do then, incidents, escrow, and what a restart keeps. */
#include "store_test.h"

#include "base/ip.h"
#include "policy/dnsbl.h"
#include "policy/evidence.h"
#include "store/check.h"
#include "store/escrow.h"
#include "store/life.h"
#include "watch/incident.h"
#include "watch/trial.h"

#define CONF "list bl { zone bl.test\n use refuse\n points 13 }\n"
#define MINUTE (60 * 1000LL)

static struct bytes evidence(struct rig *r, const char *check, enum evidence_says says, int points,
                             enum judge_action wants, const char *text)
{
	struct buf out = {0};
	struct bytes packed;

	evidence_pack(&out, &(struct evidence){.check = bytes_of_text(check),
	                                       .says = says,
	                                       .points = points,
	                                       .wants = wants,
	                                       .text = bytes_of_text(text)});
	packed = arena_copy(&r->arena, buf_bytes(&out));
	buf_done(&out);
	return packed;
}

/* A mail that the list wants refused; of a proved sender, or not. */
static struct ask accused(struct rig *r, unsigned stage, const char *from, bool known)
{
	struct ask a = {.kind = ASK_JUDGED, .session = 9};
	struct bytes address = bytes_of_text(from);

	a.judged.stage = (uint8_t)stage;
	a.judged.action = JUDGE_REFUSE;
	a.judged.score = 31300;
	a.judged.sender = a.judged.from = address;
	if (known) {
		a.judged.known = HISTORY_WRITTEN_TO_BY_ANY;
		a.judged.domain = bytes_skip(address, bytes_find_char(address, '@') + 1);
	}
	a.judged.evidence = evidence(r, "list.bl", EVIDENCE_BAD, 1300, JUDGE_REFUSE, "127.0.0.2");
	return a;
}

static struct answer_judged judged(struct rig *r, struct ask a)
{
	struct answer answer = rig_ask(r, MX_PEER, a);

	assert_int_equal(answer.result, OK);
	return answer.judged;
}

static enum trial_state tested(struct rig *r, enum dnsbl_state state)
{
	struct ask a = {.kind = ASK_CHECK_TESTED, .session = 9};
	struct answer answer;

	a.check_tested.check = BYTES("list.bl");
	a.check_tested.state = (uint8_t)state;
	a.check_tested.text = BYTES("2.0.0.127: 127.0.0.2; 1.0.0.127: not listed");
	answer = rig_ask(r, WATCH_PEER, a);
	assert_int_equal(answer.result, OK);
	return (enum trial_state)answer.check_tested.standing;
}

static uint64_t open_incident(struct rig *r, unsigned kind)
{
	uint64_t id;

	rig_run(r);
	store_hold(r->store);
	id = incident_seen(r->store, kind, BYTES("list.bl"));
	store_let(r->store);
	return id;
}

static struct rig begin(void)
{
	struct rig r = rig_make(CONF, "");

	rig_open(&r);
	(void)rig_account(&r, "ken@example.test");
	return r;
}

static void a_list_that_is_well_refuses(void **state)
{
	struct rig r = begin();

	assert_int_equal(tested(&r, DNSBL_WELL), TRIAL_PROVEN);
	assert_int_equal(judged(&r, accused(&r, 1, "a@one.test", false)).action, JUDGE_REFUSE);
	assert_int_equal(judged(&r, accused(&r, 0, "a@one.test", false)).action, JUDGE_REFUSE);
	assert_int_equal(open_incident(&r, INCIDENT_CHECK), 0);
	rig_done(&r);
}

static void an_untested_one_does_not(void **state)
{
	struct rig r = begin();
	struct answer_judged a = judged(&r, accused(&r, 1, "a@one.test", false));

	assert_int_equal(a.action, JUDGE_JUNK);
	assert_true(bytes_starts(a.why, BYTES("list.bl is unproven")));
	assert_int_equal(judged(&r, accused(&r, 0, "a@one.test", false)).action, JUDGE_DEFER);
	rig_done(&r);
}

/* What others want stands. */
static void others_may_refuse(void **state)
{
	struct rig r = begin();
	struct ask a = accused(&r, 1, "a@one.test", false);
	struct buf both = {0};

	buf_append(&both, a.judged.evidence);
	buf_append(&both, evidence(&r, "dmarc", EVIDENCE_BAD, 600, JUDGE_REFUSE, "fail"));
	a.judged.evidence = buf_bytes(&both);
	assert_int_equal(judged(&r, a).action, JUDGE_REFUSE);
	buf_done(&both);
	rig_done(&r);
}

static void tests_that_fail(void **state)
{
	struct rig r = begin();

	(void)tested(&r, DNSBL_WELL);
	assert_int_equal(tested(&r, DNSBL_LISTS_EVERYTHING), TRIAL_DEMOTED);
	assert_int_not_equal(open_incident(&r, INCIDENT_CHECK), 0);
	/* It is mad: not even Junk. */
	assert_int_equal(judged(&r, accused(&r, 1, "a@one.test", false)).action, JUDGE_ACCEPT);
	/* A restart forgets nothing. */
	rig_close(&r);
	rig_open(&r);
	assert_int_equal(judged(&r, accused(&r, 1, "a@one.test", false)).action, JUDGE_ACCEPT);
	assert_int_not_equal(open_incident(&r, INCIDENT_CHECK), 0);
	r.now += 31 * MINUTE;
	assert_int_equal(tested(&r, DNSBL_WELL), TRIAL_PROVEN);
	assert_int_equal(open_incident(&r, INCIDENT_CHECK), 0);
	assert_int_equal(judged(&r, accused(&r, 1, "a@one.test", false)).action, JUDGE_REFUSE);
	rig_done(&r);
}

/* The mail that trips it is not refused any more, and what it had refused comes out of escrow. */
static void known_senders(void **state)
{
	struct rig r = begin();
	struct answer_judged a;
	struct change_escrow e;
	struct ask commit;

	(void)tested(&r, DNSBL_WELL);
	a = judged(&r, accused(&r, 1, "a@one.test", true));
	assert_int_equal(a.action, JUDGE_REFUSE);
	commit = rig_commit(&r, 7, BYTES("Subject: x\r\n\r\nhello\r\n"), "ken@example.test", NULL);
	commit.commit.escrow = 1;
	commit.commit.judgement = a.judgement;
	assert_int_equal(rig_ask(&r, MX_PEER, commit).result, OK);
	assert_true(escrow_read(r.store->db, &r.arena, 1, &e));
	assert_int_equal(e.released_at, 0);
	a = judged(&r, accused(&r, 1, "b@two.test", true));
	assert_int_equal(a.action, JUDGE_ACCEPT);
	assert_true(bytes_starts(a.why, BYTES("list.bl is demoted: known-senders")));
	assert_int_not_equal(open_incident(&r, INCIDENT_CHECK), 0);
	rig_run(&r);
	assert_true(escrow_read(r.store->db, &r.arena, 1, &e));
	assert_int_not_equal(e.released_at, 0);
	/* Strangers' mail that it wants refused goes to Junk. */
	assert_int_equal(judged(&r, accused(&r, 1, "c@three.test", false)).action, JUDGE_JUNK);
	assert_int_equal(judged(&r, accused(&r, 0, "c@three.test", false)).action, JUDGE_DEFER);
	rig_done(&r);
}

/* Who only claims to be known says nothing about a check. */
static void forged_senders_do_not_count(void **state)
{
	struct rig r = begin();
	struct ask a;

	(void)tested(&r, DNSBL_WELL);
	for (int i = 0; i < 20; i++) {
		char from[40];

		snprintf(from, sizeof(from), "a@d%d.test", i);
		a = accused(&r, 1, from, true);
		a.judged.domain = (struct bytes){0};
		assert_int_equal(judged(&r, a).action, JUDGE_REFUSE);
		a = accused(&r, 1, from, true);
		a.judged.domain = BYTES("other.test");
		assert_int_equal(judged(&r, a).action, JUDGE_REFUSE);
	}
	rig_done(&r);
}

/* Nothing else speaks against the mail; seen: its sender came before, and was no junk. */
static struct answer_judged clean(struct rig *r, unsigned n, bool listed, bool seen)
{
	char from[40];
	struct ask a;

	snprintf(from, sizeof(from), "a@d%u.test", n);
	a = accused(r, 1, from, true);
	a.judged.known = seen ? HISTORY_SEEN_SAME_WAY : 0;
	if (!listed) {
		a.judged.action = JUDGE_ACCEPT;
		a.judged.evidence = evidence(r, "list.bl", EVIDENCE_NEUTRAL, 0, JUDGE_ACCEPT, "");
	}
	return judged(r, a);
}

static void clean_mail(void **state)
{
	struct rig r = begin();
	unsigned said = 0;

	for (unsigned i = 0; i < 300; i++, r.now += 5 * MINUTE) {
		(void)tested(&r, DNSBL_WELL);
		(void)clean(&r, i, false, true);
	}
	r.now += 100 * MINUTE;
	(void)tested(&r, DNSBL_WELL);
	/* Somebody with domains of his own does not get it demoted. */
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(clean(&r, 1000 + i, true, false).action, JUDGE_REFUSE);
	while (said < 20 && clean(&r, said, true, true).action == JUDGE_REFUSE)
		said++;
	assert_in_range(said, 3, 8);
	assert_int_not_equal(open_incident(&r, INCIDENT_CHECK), 0);
	rig_done(&r);
}

/* A list of addresses that lists large providers. */
static void large_providers(void **state)
{
	struct rig r = begin();
	struct ask a = accused(&r, 1, "a@one.test", true);

	(void)tested(&r, DNSBL_WELL);
	a.judged.known = 0;
	a.judged.ptr = BYTES("mail-ed1-f41.google.com");
	assert_int_equal(judged(&r, a).action, JUDGE_REFUSE);
	a = accused(&r, 1, "b@two.test", true);
	a.judged.known = 0;
	a.judged.ptr = BYTES("mail-ed1-f42.google.com");
	assert_int_equal(judged(&r, a).action, JUDGE_JUNK);
	assert_int_not_equal(open_incident(&r, INCIDENT_CHECK), 0);
	rig_done(&r);
}

static struct ask doubtful(struct rig *r)
{
	struct ask a = {.kind = ASK_JUDGED, .session = 9};

	a.judged.stage = 1;
	a.judged.score = 30000;
	a.judged.evidence = evidence(r, "list.bl", EVIDENCE_DOUBT, 0, JUDGE_ACCEPT,
	                             "bl.test: the list refuses us: 127.255.255.254");
	return a;
}

static void blindness(void **state)
{
	struct rig r = begin();
	struct answer a;

	(void)tested(&r, DNSBL_WELL);
	for (int i = 0; i < TRIAL_DOUBTS; i++) {
		assert_int_equal(open_incident(&r, INCIDENT_BLIND), 0);
		assert_int_equal(judged(&r, doubtful(&r)).action, JUDGE_ACCEPT);
	}
	assert_int_not_equal(open_incident(&r, INCIDENT_BLIND), 0);
	a = rig_admin(&r, ADMIN_CHECKS, "list.bl", 0);
	assert_int_not_equal(bytes_find(a.admin.rows, BYTES("\"state\":\"blind\"")), BYTES_NONE);
	assert_int_not_equal(bytes_find(a.admin.rows, BYTES("127.255.255.254")), BYTES_NONE);
	(void)tested(&r, DNSBL_WELL);
	assert_int_equal(open_incident(&r, INCIDENT_BLIND), 0);
	rig_done(&r);
}

/* Caught by the very mail that it would have refused. */
static void a_list_that_lists_everybody(void **state)
{
	struct rig r = begin();
	struct ask a = doubtful(&r);

	(void)tested(&r, DNSBL_WELL);
	a.judged.evidence = evidence(&r, "list.bl", EVIDENCE_DOUBT, 0, JUDGE_ACCEPT,
	                             "bl.test: " DNSBL_MAD);
	assert_int_equal(judged(&r, a).action, JUDGE_ACCEPT);
	assert_int_not_equal(open_incident(&r, INCIDENT_CHECK), 0);
	for (int i = 0; i < 10; i++)
		(void)judged(&r, a);
	assert_int_equal(open_incident(&r, INCIDENT_BLIND), 0);
	assert_int_equal(judged(&r, accused(&r, 1, "a@one.test", false)).action, JUDGE_ACCEPT);
	rig_done(&r);
}

static void the_operator(void **state)
{
	struct rig r = begin();

	(void)tested(&r, DNSBL_WELL);
	assert_int_equal(rig_admin(&r, ADMIN_CHECK_RESTORE, "list.bl", 0).result, NOT_FOUND);
	assert_int_equal(rig_admin(&r, ADMIN_CHECK_RESTORE, "list.no", 0).result, NOT_FOUND);
	(void)tested(&r, DNSBL_LISTS_EVERYTHING);
	assert_int_not_equal(open_incident(&r, INCIDENT_CHECK), 0);
	assert_int_equal(rig_admin(&r, ADMIN_CHECK_RESTORE, "list.bl", 0).result, OK);
	assert_int_equal(open_incident(&r, INCIDENT_CHECK), 0);
	assert_int_equal(judged(&r, accused(&r, 1, "a@one.test", false)).action, JUDGE_REFUSE);
	rig_done(&r);
}

/* A list that was taken out of the configuration leaves no incident behind. */
static void a_list_that_is_gone(void **state)
{
	struct rig r = begin();
	struct config *without, *with = r.config;
	struct config_source source = {BYTES("hikyaku.conf"),
	                               BYTES("hostname mx.example.test\ndomain example.test\n")};
	struct why why;

	(void)tested(&r, DNSBL_LISTS_EVERYTHING);
	assert_int_not_equal(open_incident(&r, INCIDENT_CHECK), 0);
	assert_int_equal(config_parse(&source, 1, &without, &why), OK);
	store_config(r.store, without);
	assert_int_equal(open_incident(&r, INCIDENT_CHECK), 0);
	assert_int_equal(rig_admin(&r, ADMIN_CHECKS, "list.bl", 0).result, NOT_FOUND);
	store_config(r.store, with);
	rig_run(&r);
	config_free(&without);
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_list_that_is_well_refuses),
	        cmocka_unit_test(an_untested_one_does_not),
	        cmocka_unit_test(others_may_refuse),
	        cmocka_unit_test(tests_that_fail),
	        cmocka_unit_test(known_senders),
	        cmocka_unit_test(forged_senders_do_not_count),
	        cmocka_unit_test(clean_mail),
	        cmocka_unit_test(large_providers),
	        cmocka_unit_test(blindness),
	        cmocka_unit_test(a_list_that_lists_everybody),
	        cmocka_unit_test(the_operator),
	        cmocka_unit_test(a_list_that_is_gone),
	};

	return TEST_MAIN(tests);
}
