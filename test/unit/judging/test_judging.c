/* A mail judged from facts: what is asked, when, and what comes out when somebody does not answer. */
#include "../test.h"

#include <stdlib.h>

#include "dns/dns.h"
#include "judging/inside.h"

#define NOW 1790000000000LL

struct record {
	const char *name;
	uint16_t type;
	const char *text; /* NULL: the name server is dead */
};

static const struct record records[] = {
        {"good.test", DNS_TXT, "\"v=spf1 ip4:192.0.2.0/24 -all\""},
        {"_dmarc.good.test", DNS_TXT, "\"v=DMARC1; p=reject\""},
        {"_dmarc.soft.test", DNS_TXT, "\"v=DMARC1; p=quarantine\""},
        {"soft.test", DNS_TXT, "\"v=spf1 -all\""},
        {"7.2.0.192.in-addr.arpa", DNS_PTR, "mail.good.test."},
        {"mail.good.test", DNS_A, "192.0.2.7"},
        {"dead.test", DNS_TXT, NULL},
        {"_dmarc.dead.test", DNS_TXT, NULL},
        {"half.test", DNS_TXT, NULL},
        {"dead._domainkey.good.test", DNS_TXT, NULL},
        {"other.test", DNS_TXT, "\"v=spf1 ip4:198.51.100.0/24 -all\""},
        {"_dmarc.half.test", DNS_TXT, "\"v=DMARC1; p=reject\""},
};

struct rig {
	struct config *config;
	struct judging_options *options;
	struct judging *judging;
	struct arena arena;
	uint32_t number, most_open;
	unsigned resolves, histories, judgeds;
	enum result store; /* what HISTORY and JUDGED are answered with */
	int may;           /* JUDGED's action; -1: as wanted */
	enum judge_action wanted;
	struct bytes evidence, proved;
	uint32_t known; /* HISTORY's */
	bool hostile;   /* names below hostile.test have long SPF records */
};

static struct rig rig_make(const char *settings, const char *ip)
{
	struct rig r = {.store = OK, .may = -1};
	struct config_source source = {.name = BYTES("hikyaku.conf")};
	struct ip address;
	struct why why = {0};

	source.text = arena_printf(&r.arena, "hostname mx.example.test\ndomain example.test\n%s",
	                           settings);
	if (config_parse(&source, 1, &r.config, &why) != OK)
		fail_msg("%s", why.text);
	r.options = judging_options_new(r.config);
	assert_int_equal(ip_parse(bytes_of_text(ip), &address), OK);
	r.judging = judging_new(r.options, &address, NOW);
	return r;
}

static void rig_done(struct rig *r)
{
	judging_free(&r->judging);
	judging_options_free(&r->options);
	config_free(&r->config);
	arena_done(&r->arena);
}

/* "v=spf1 x= x= x= ... include:nN+1.hostile.test" */
static void hostile_record(struct rig *r, const struct ask *a, struct answer *ret)
{
	uint64_t n = 0;
	struct buf text = {0}, rdata = {0}, out = {0};
	struct bytes rest;

	(void)!bytes_to_u64(
	        bytes_of(a->resolve.name.ptr + 1, bytes_find_char(a->resolve.name, '.') - 1), 99,
	        &n);
	buf_append_text(&text, "v=spf1");
	while (buf_len(&text) < 8100)
		buf_append_text(&text, " x=");
	buf_printf(&text, " include:n%u.hostile.test", (unsigned)n + 1);
	for (rest = buf_bytes(&text); rest.len > 0; rest = bytes_skip(rest, 255)) {
		buf_u8(&rdata, (uint8_t)bytes_first(rest, 255).len);
		buf_append(&rdata, bytes_first(rest, 255));
	}
	buf_block(&out, buf_bytes(&rdata));
	ret->resolve.status = DNS_FOUND;
	ret->resolve.records = arena_copy(&r->arena, buf_bytes(&out));
	buf_done(&text);
	buf_done(&rdata);
	buf_done(&out);
}

static void resolve(struct rig *r, const struct ask *a, struct answer *ret)
{
	struct buf out = {0}, rdata = {0};

	r->resolves++;
	ret->resolve.status = DNS_NO_NAME;
	if (r->hostile && a->resolve.type == DNS_TXT && bytes_starts(a->resolve.name, BYTES("n")) &&
	    bytes_ends(a->resolve.name, BYTES(".hostile.test"))) {
		hostile_record(r, a, ret);
		return;
	}
	for (size_t i = 0; i < sizeof(records) / sizeof(*records); i++) {
		if (records[i].type != a->resolve.type ||
		    !bytes_equal_nocase(a->resolve.name, bytes_of_text(records[i].name)))
			continue;
		ret->resolve.status = records[i].text ? DNS_FOUND : DNS_FAILED;
		if (!records[i].text)
			continue;
		assert_int_equal(
		        dns_rdata_read(records[i].type, bytes_of_text(records[i].text), &rdata),
		        OK);
		buf_block(&out, buf_bytes(&rdata));
	}
	ret->resolve.records = arena_copy(&r->arena, buf_bytes(&out));
	buf_done(&out);
	buf_done(&rdata);
}

/* Answers all that is asked. */
static void answer_all(struct rig *r)
{
	struct ask a;

	while (judging_ask(r->judging, ++r->number, &a)) {
		struct answer answer = {.kind = a.kind, .number = a.number, .result = OK};

		switch (a.kind) {
		case ASK_RESOLVE: resolve(r, &a, &answer); break;
		case ASK_HISTORY:
			r->histories++;
			answer.result = r->store;
			answer.history.known = r->known;
			r->proved = arena_copy(&r->arena, a.history.domain);
			break;
		case ASK_JUDGED:
			r->judgeds++;
			answer.result = r->store;
			r->wanted = (enum judge_action)a.judged.action;
			r->evidence = arena_copy(&r->arena, a.judged.evidence);
			if (answer.result == OK) {
				answer.judged.action = r->may < 0 ? a.judged.action
				                                  : (uint8_t)r->may;
				answer.judged.judgement = 42;
				answer.judged.id = BYTES("ABCD1234");
			}
			break;
		default: fail_msg("it asks %d", a.kind);
		}
		assert_true(judging_answer(r->judging, &answer));
	}
}

static const struct judging_result *mail(struct rig *r, const char *sender, const char *content)
{
	judging_hello(r->judging, BYTES("mail.good.test"));
	judging_mail(r->judging, bytes_of_text(sender), NOW);
	judging_rcpt(r->judging, BYTES("ken@example.test"));
	answer_all(r);
	judging_content(r->judging, bytes_of_text(content));
	assert_null(judging_result(r->judging));
	judging_end(r->judging, NOW);
	answer_all(r);
	return judging_result(r->judging);
}

static bool has(struct bytes text, const char *what)
{
	return bytes_find(text, bytes_of_text(what)) != BYTES_NONE;
}

#define FROM(domain)                                                     \
	"From: A <a@" domain ">\r\nSubject: x\r\nMessage-ID: <1@" domain \
	">\r\nDate: Mon, 23 Nov 2026 12:00:00 +0900\r\n\r\nhello\r\n"

static void test_good(void **state)
{
	struct rig r = rig_make("", "192.0.2.7");
	const struct judging_result *j = mail(&r, "a@good.test", FROM("good.test"));

	(void)state;
	assert_non_null(j);
	assert_int_equal(j->action, JUDGE_ACCEPT);
	assert_int_equal(j->judgement, 42);
	assert_true(has(j->header, "spf=pass") && has(j->header, "dmarc=pass") &&
	            has(j->header, "iprev=pass"));
	assert_true(bytes_equal(judging_client_name(r.judging), BYTES("mail.good.test")));
	assert_int_equal(r.histories, 1);
	assert_int_equal(r.judgeds, 1);
	rig_done(&r);
}

static void test_policies(void **state)
{
	struct rig r = rig_make("", "198.51.100.1");
	const struct judging_result *j = mail(&r, "a@good.test", FROM("good.test"));

	(void)state;
	assert_int_equal(j->action, JUDGE_REFUSE);
	assert_true(has(j->reason, "dmarc") || j->reason.len > 0);
	assert_true(has(j->id, "ABCD1234"));
	j = mail(&r, "a@soft.test", FROM("soft.test"));
	assert_int_equal(j->action, JUDGE_JUNK);
	assert_true(has(j->header, "X-Hikyaku-Verdict: junk"));
	rig_done(&r);
}

/* Ten records as long as they may be, of as many terms as go in, each asked about only when the one before has come: what is read
 * again and again is not kept. */
static void test_long_records(void **state)
{
	struct rig r = rig_make("", "198.51.100.1");

	(void)state;
	r.hostile = true;
	assert_non_null(mail(&r, "a@n0.hostile.test", FROM("n0.hostile.test")));
	assert_true(r.resolves > 10);
	assert_true(has(judging_result(r.judging)->header, "spf=permerror"));
	assert_true(r.judging->arena.total < 200 * 1024);
	rig_done(&r);
}

/* What goes before the mail must fit into one message to the store, whoever wrote the names in it. */
static void test_long_names(void **state)
{
	struct rig r = rig_make("", "198.51.100.1");
	struct buf text = {0}, sender = {0};
	const struct judging_result *j;

	(void)state;
	for (int i = 0; i < 12; i++) {
		buf_append_text(&text,
		                "DKIM-Signature: v=1; a=rsa-sha1; h=from; bh=AAAA; b=AAAAAAAA; d=");
		for (int n = 0; n < 3; n++)
			buf_printf(&text, "%060d.", i);
		buf_append_text(&text, "test; s=");
		for (int n = 0; n < 3; n++)
			buf_printf(&text, "%015d.", i);
		buf_append_text(&text, "s\r\n");
	}
	for (int i = 0; i < 150; i++)
		buf_append_text(&sender, "\"\\");
	buf_append_text(&sender, "@soft.test");
	buf_append_text(&text, FROM("soft.test"));
	buf_append_char(&text, 0);
	buf_append_char(&sender, 0);
	j = mail(&r, sender.ptr, text.ptr);
	assert_non_null(j);
	assert_true(has(j->header, "dkim=policy") && has(j->header, "iprev="));
	assert_true(j->header.len <= JUDGING_HEADER);
	buf_done(&text);
	buf_done(&sender);
	rig_done(&r);
}

/* From behind a line that is no field, in a long line, far down: what programs show must not escape the policies. */
static void test_hidden_from(void **state)
{
	static const char bank[] = "From: <ceo@good.test>\r\nSubject: x\r\n\r\nhello\r\n";
	struct rig r = rig_make("", "198.51.100.1");
	struct buf text = {0};

	(void)state;
	for (int kind = 0; kind < 5; kind++) {
		const struct judging_result *j;

		buf_clear(&text);
		if (kind == 0)
			buf_append_text(&text, "this is no field\r\n");
		if (kind == 1)
			buf_printf(&text, "From: %*s<ceo@good.test>\r\n\r\nx\r\n", 9000, "");
		for (int i = 0; (kind == 2 && i < 100) || (kind == 3 && i < 300); i++)
			buf_printf(&text, "X-Filler: %0900d\r\n", i);
		if (kind == 4) {
			buf_append_text(&text, "From: <a@other.test>\r\n");
			for (int i = 0; i < 100; i++)
				buf_printf(&text, "X-Filler: %0900d\r\n", i);
		}
		if (kind != 1)
			buf_append_text(&text, bank);
		buf_append_char(&text, 0);
		j = mail(&r, "a@other.test", text.ptr);
		assert_non_null(j);
		if (j->action < JUDGE_JUNK)
			print_error("kind %d\n", kind);
		assert_true(j->action >= JUDGE_JUNK);
	}
	buf_done(&text);
	rig_done(&r);
}

/* Whoever signs with his own domain has proved that, and not whom From says it is. */
static void test_known_is_who_is_proved(void **state)
{
	static const uint32_t kinds[] = {HISTORY_WRITTEN_TO_BY_RCPT, HISTORY_WRITTEN_TO_BY_ANY,
	                                 HISTORY_GOOD_DOMAIN, HISTORY_REPLY_TO_OURS};
	struct rig r = rig_make("", "198.51.100.1");

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		r.known = kinds[i];
		assert_non_null(mail(&r, "a@other.test", FROM("friend.test")));
		assert_bytes(r.proved, BYTES("other.test"));
		assert_true(has(r.evidence, "pass for other.test"));
		assert_false(has(judging_result(r.judging)->header, "history -"));
		assert_non_null(mail(&r, "a@other.test", FROM("mail.other.test")));
		assert_bytes(r.proved, BYTES("other.test"));
		assert_true(has(judging_result(r.judging)->header, "history -"));
	}
	rig_done(&r);
}

/* Several people in From: which of them it is from nobody can prove, so nobody's policy would be asked for. */
static void test_several_authors(void **state)
{
	struct rig r = rig_make("", "198.51.100.1");
	const struct judging_result *j = mail(
	        &r, "a@x.test", "From: <ceo@good.test>, <a@x.test>\r\nSubject: x\r\n\r\nhello\r\n");

	(void)state;
	assert_true(j->action >= JUDGE_JUNK);
	j = mail(&r, "a@x.test",
	         "From: <ceo@good.test>\r\nSubject: x\r\nFrom: <a@x.test>\r\n\r\nhello\r\n");
	assert_true(j->action >= JUDGE_JUNK);
	rig_done(&r);
}

static void test_score_only(void **state)
{
	struct rig r = rig_make("judge {\n dmarc score\n junk 0\n refuse 0\n}\n", "198.51.100.1");

	(void)state;
	assert_int_equal(mail(&r, "a@good.test", FROM("good.test"))->action, JUDGE_ACCEPT);
	rig_done(&r);
}

/* A check on trial refuses nothing; nor does anybody while the store says nothing. */
static void test_the_store_has_the_last_word(void **state)
{
	struct rig r = rig_make("", "198.51.100.1");

	(void)state;
	r.may = JUDGE_JUNK;
	assert_int_equal(mail(&r, "a@good.test", FROM("good.test"))->action, JUDGE_JUNK);
	assert_int_equal(r.wanted, JUDGE_REFUSE);
	r.may = JUDGE_REFUSE; /* more than was wanted is not done */
	assert_int_equal(mail(&r, "a@soft.test", FROM("soft.test"))->action, JUDGE_JUNK);
	r.store = LOST;
	assert_int_equal(mail(&r, "a@good.test", FROM("good.test"))->action, JUDGE_JUNK);
	assert_int_equal(judging_result(r.judging)->judgement, 0);
	rig_done(&r);
}

static void test_dead_name_servers(void **state)
{
	struct rig r = rig_make("", "198.51.100.1");
	const struct judging_result *j = mail(&r, "a@dead.test", FROM("dead.test"));

	(void)state;
	assert_int_equal(j->action, JUDGE_ACCEPT);
	assert_true(has(j->header, "spf=temperror"));
	/* The policy is known, what would prove the mail is not: that is no failure, but no proof either. Anybody can name a dead
	 * selector, so it has to come again. */
	j = mail(&r, "a@half.test", FROM("half.test"));
	assert_int_equal(j->action, JUDGE_DEFER);
	assert_true(has(j->header, "dmarc=temperror"));
	j = mail(&r, "a@half.test",
	         "DKIM-Signature: v=1; a=rsa-sha256; d=good.test; s=dead; h=from; "
	         "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;"
	         " b=AAAA\r\n" FROM("good.test"));
	assert_int_equal(j->action, JUDGE_DEFER);
	rig_done(&r);
}

/* Nobody answers at all: after its patience the mail goes on. */
static void test_patience(void **state)
{
	struct rig r = rig_make("", "198.51.100.1");
	struct ask a;
	unsigned open = 0, before;

	(void)state;
	judging_hello(r.judging, BYTES("x.test"));
	judging_mail(r.judging, BYTES("a@good.test"), NOW);
	judging_rcpt(r.judging, BYTES("ken@example.test"));
	judging_content(r.judging, BYTES(FROM("good.test")));
	judging_end(r.judging, NOW);
	while (judging_ask(r.judging, ++r.number, &a))
		open++;
	assert_in_range(open, 1, JUDGING_ASKS);
	before = open;
	assert_int_equal(judging_deadline(r.judging), NOW + JUDGING_PATIENCE_MS);
	judging_tick(r.judging, NOW + JUDGING_PATIENCE_MS - 1);
	assert_false(judging_ask(r.judging, ++r.number, &a));
	judging_tick(r.judging, NOW + JUDGING_PATIENCE_MS);
	answer_all(&r);
	assert_non_null(judging_result(r.judging));
	assert_int_equal(judging_result(r.judging)->action, JUDGE_ACCEPT);
	/* Answers that come late belong to no mail; but until then they count as open. */
	judging_mail(r.judging, BYTES("a@good.test"), NOW);
	open = 0;
	while (judging_ask(r.judging, ++r.number, &a))
		open++;
	assert_in_range(open + before, 1, JUDGING_ASKS);
	rig_done(&r);
}

static void test_trusted(void **state)
{
	struct rig r = rig_make("judge { trust 192.0.2.0/24 }\n", "192.0.2.7");

	(void)state;
	assert_null(r.judging);
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_good),
	        cmocka_unit_test(test_policies),
	        cmocka_unit_test(test_long_records),
	        cmocka_unit_test(test_long_names),
	        cmocka_unit_test(test_known_is_who_is_proved),
	        cmocka_unit_test(test_hidden_from),
	        cmocka_unit_test(test_several_authors),
	        cmocka_unit_test(test_score_only),
	        cmocka_unit_test(test_the_store_has_the_last_word),
	        cmocka_unit_test(test_dead_name_servers),
	        cmocka_unit_test(test_patience),
	        cmocka_unit_test(test_trusted),
	};

	return TEST_MAIN(tests);
}
