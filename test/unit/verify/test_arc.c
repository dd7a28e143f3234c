/* ARC chains of any length, sealed here; the suite of ValiMail is test/end/test_check_dkim.py's. */
#include "signed_test.h"

#include "verify/arc.h"

enum { NOW = 1700000000 };

static const char mail[] = "From: a@d.test\r\nSubject: hello\r\n\r\nbody\r\n";

static struct test_key key;

/* One more set on top. cv: as the sealer says. */
static void seal(unsigned i, const char *cv, struct buf *in)
{
	struct buf results = {0}, message = {0}, field = {0}, text = {0}, out = {0};
	struct bytes header = bytes_first(buf_bytes(in), header_len(buf_bytes(in)));
	char number[16];

	buf_printf(&results, "ARC-Authentication-Results: i=%u; r%u.test;\r\n\tarc=%s\r\n", i, i,
	           cv);
	buf_printf(&field,
	           "ARC-Message-Signature: i=%u; a=rsa-sha256; c=relaxed/relaxed; d=r%u.test; s=s; "
	           "h=from:subject; bh=",
	           i, i);
	body_hash(CANON_RELAXED, bytes_skip(buf_bytes(in), header.len), &field);
	buf_append_text(&field, "; b=");
	buf_append_char(&field, 0);
	put_fields(CANON_RELAXED, header, "from:subject", &text);
	put_signed_field(&key, &text, field.ptr, &message);
	buf_clear(&text);
	for (unsigned n = 1; n <= i; n++) {
		static const char *const names[] = {"ARC-Authentication-Results",
		                                    "ARC-Message-Signature", "ARC-Seal"};

		for (int kind = 0; kind < 3 && n < i; kind++) {
			struct bytes whole;

			assert_true(find_field(header, bytes_of_text(names[kind]), n - 1, &whole));
			canon_field(CANON_RELAXED, whole, &text);
		}
	}
	canon_field(CANON_RELAXED, buf_bytes(&results), &text);
	canon_field(CANON_RELAXED, buf_bytes(&message), &text);
	buf_clear(&field);
	snprintf(number, sizeof(number), "%u", i);
	buf_printf(&field, "ARC-Seal: i=%s; a=rsa-sha256; cv=%s; d=R%s.test; s=s; t=1; b=", number,
	           cv, number);
	buf_append_char(&field, 0);
	put_signed_field(&key, &text, buf_bytes(&field).ptr, &out);
	buf_append(&out, buf_bytes(&message));
	buf_append(&out, buf_bytes(&results));
	buf_append(&out, buf_bytes(in));
	buf_done(in);
	*in = out;
	buf_done(&results);
	buf_done(&message);
	buf_done(&field);
	buf_done(&text);
}

static struct buf chain(unsigned count)
{
	struct buf in = {0};

	buf_append_text(&in, mail);
	for (unsigned i = 1; i <= count; i++)
		seal(i, i == 1 ? "none" : "pass", &in);
	return in;
}

static struct facts *keys(unsigned count)
{
	struct facts *f = facts_new();
	char name[40];

	for (unsigned i = 1; i <= count; i++) {
		snprintf(name, sizeof(name), "s._domainkey.r%u.test", i);
		fact_key(f, name, "", &key);
	}
	return f;
}

static struct arc_verdict judge(struct bytes in, struct facts *f, struct arena *arena)
{
	struct dkim_verifier *v = dkim_verifier_new();
	struct arc_verdict verdict;

	dkim_verifier_feed(v, in);
	dkim_verifier_end(v);
	assert_true(arc_verify(v, f, NOW, arena, &verdict));
	dkim_verifier_free(&v);
	return verdict;
}

static void expect(struct bytes in, enum arc_result result, const char *reason)
{
	struct arena arena = {0};
	struct facts *f = keys(3);
	struct arc_verdict v = judge(in, f, &arena);

	if (v.result != result || bytes_find(v.reason, bytes_of_text(reason)) == BYTES_NONE)
		print_error("%s: %.*s\n", arc_result_name(v.result), BYTES_ARG(v.reason));
	assert_int_equal(v.result, result);
	assert_true(bytes_find(v.reason, bytes_of_text(reason)) != BYTES_NONE);
	facts_free(&f);
	arena_done(&arena);
}

static int set_up(void **state)
{
	key = test_key_new(PRIVATE_KEY_RSA_PKCS1_SHA256);
	return 0;
}

static int tear_down(void **state)
{
	private_key_free(&key.key);
	return 0;
}

static void test_what_is_said_of_a_chain(void **state)
{
	struct buf in = chain(2);
	struct facts *f = keys(2);
	struct arena arena = {0};
	struct arc_verdict v = judge(buf_bytes(&in), f, &arena);

	assert_bytes(v.reason, BYTES(""));
	assert_int_equal(v.result, ARC_PASS);
	assert_int_equal(v.instances, 2);
	assert_bytes(v.domain, BYTES("r2.test"));
	assert_bytes(v.selector, BYTES("s"));
	assert_bytes(v.hops[0].domain, BYTES("r1.test"));
	assert_bytes(v.hops[0].authres, BYTES("r1.test;\tarc=none"));
	assert_bytes(v.hops[1].domain, BYTES("r2.test"));
	assert_bytes(v.hops[1].authres, BYTES("r2.test;\tarc=pass"));
	assert_false(v.closed);
	facts_free(&f);
	arena_done(&arena);
	buf_done(&in);
	expect(bytes_of_text(mail), ARC_NONE, "");
}

static void test_fifty_sets_and_no_more(void **state)
{
	struct buf in = chain(ARC_INSTANCES);
	struct facts *f = keys(ARC_INSTANCES);
	struct arena arena = {0};
	struct arc_verdict v = judge(buf_bytes(&in), f, &arena);

	assert_bytes(v.reason, BYTES(""));
	assert_int_equal(v.result, ARC_PASS);
	assert_int_equal(v.instances, ARC_INSTANCES);
	seal(ARC_INSTANCES + 1, "pass", &in);
	v = judge(buf_bytes(&in), f, &arena);
	assert_int_equal(v.result, ARC_FAIL);
	facts_free(&f);
	arena_done(&arena);
	buf_done(&in);
}

static void test_missing_keys_are_named(void **state)
{
	struct buf in = chain(3);
	struct dkim_verifier *v = dkim_verifier_new();
	struct facts *f = facts_new(), *early = facts_new();
	struct arena arena = {0};
	struct arc_verdict verdict;
	struct bytes name;
	uint32_t asked = 0;
	uint16_t type;

	dkim_verifier_feed(v, buf_bytes(&in));
	dkim_verifier_need(v, early);
	while (facts_missing(early, &name, &type))
		facts_asked(early, ++asked);
	assert_int_equal(asked, 3);
	dkim_verifier_end(v);
	assert_false(arc_verify(v, f, NOW, &arena, &verdict));
	for (asked = 0; facts_missing(f, &name, &type);)
		facts_asked(f, ++asked);
	assert_int_equal(asked, 3);
	fact_key(f, "s._domainkey.r3.test", "", &key);
	fact(f, "s._domainkey.r2.test", T_TXT, FACT_FAILED, false, "", (struct bytes){0});
	assert_false(arc_verify(v, f, NOW, &arena, &verdict));
	fact_none(f, "s._domainkey.r1.test", T_TXT, false);
	assert_true(arc_verify(v, f, NOW, &arena, &verdict));
	assert_int_equal(verdict.result, ARC_TEMPERROR);
	facts_free(&f);
	facts_free(&early);
	arena_done(&arena);
	dkim_verifier_free(&v);
	buf_done(&in);
}

/* Whatever is changed, left out or doubled: not believed. */
static void test_changes(void **state)
{
	static const struct {
		const char *what, *by, *reason;
	} cases[] = {
	        {"i=2; r2.test", "i=2; r3.test", "i=2, seal"},
	        {"i=1; r1.test", "i=1; r3.test", "i=2, seal"},
	        {"i=1; r1.test", "i=3; r3.test", "not whole"},
	        {"i=1; r1.test", "i=0; r3.test", "no instance"},
	        {"i=1; r1.test", "i=; r3.test", "no instance"},
	        {"i=1; r1.test", "i=1x; r3.test", "no instance"},
	        {"i=1; r1.test", "r1.test; i=1", "no instance"},
	        {"ARC-Message-Signature: i=1", "X-Message-Signature: i=1", "not whole"},
	        {"ARC-Message-Signature: i=1", "ARC-Message-Signature: i=2", "same instance"},
	        {"ARC-Seal: i=1", "X-Seal: i=1", "not whole"},
	        {"ARC-Seal: i=1", "ARC-Seal: i=51", "no instance"},
	        {"ARC-Seal: i=2", "X-Seal: i=1", "missing"},
	        {"cv=pass", "cv=none", "broken"},
	        {"cv=pass", "cv=fail", "broken"},
	        {"cv=pass", "cv=PASS", "cv="},
	        {"cv=pass", "h=x; cv=pass", "neither"},
	        {"cv=none", "cv=pass", "broken"},
	        {"h=from", "h=arc-seal:from", "ARC-Seal"},
	        {"Subject: hello", "Subject: hullo", "i=2, message"},
	        {"\r\nbody", "\r\nbodies", "the body"},
	        {"From: a@d.test", "From: evil@x.test\r\nFrom: a@d.test", "i=2, message"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf in = chain(2), out = {0};
		size_t at = bytes_find(buf_bytes(&in), bytes_of_text(cases[i].what));

		assert_true(at != BYTES_NONE);
		buf_append(&out, bytes_first(buf_bytes(&in), at));
		buf_append_text(&out, cases[i].by);
		buf_append(&out, bytes_skip(buf_bytes(&in), at + strlen(cases[i].what)));
		expect(buf_bytes(&out), ARC_FAIL, cases[i].reason);
		buf_done(&in);
		buf_done(&out);
	}
}

static void test_a_closed_chain_is_told(void **state)
{
	struct buf in = chain(1);
	struct facts *f = keys(2);
	struct arena arena = {0};
	struct arc_verdict v;

	seal(2, "fail", &in);
	v = judge(buf_bytes(&in), f, &arena);
	assert_int_equal(v.result, ARC_FAIL);
	assert_true(v.closed);
	facts_free(&f);
	arena_done(&arena);
	buf_done(&in);
}

/* Anybody can seal: only who is trusted, and only what he says he saw. */
static void test_who_vouches(void **state)
{
	static const struct {
		const char *domains[3], *results[3];
		bool vouches;
	} cases[] = {
	        {{"good.test"}, {"x; dmarc=pass header.from=d.test"}, true},
	        {{"good.test"},
	         {"x 1; spf=fail; dmarc=pass (p=REJECT) header.from=D.test; dkim=none"},
	         true},
	        {{"mx.good.test"}, {"x; dmarc=pass action=none header.from=\"d.test\""}, true},
	        {{"good.test"}, {"x; dmarc=fail header.from=d.test"}, false},
	        {{"good.test"}, {"x; dmarc=pass header.from=e.test"}, false},
	        {{"good.test"}, {"x; dmarc=pass"}, false},
	        {{"good.test"},
	         {"x; dmarc=none reason=\"; dmarc=pass header.from=d.test\""},
	         false},
	        {{"good.test"}, {"x; dmarc=none (; dmarc=pass header.from=d.test)"}, false},
	        {{"good.test"}, {"x; spf=pass smtp.helo=a dmarc=pass header.from=d.test"}, false},
	        {{"good.test"}, {"dmarc=pass header.from=d.test"}, false},
	        {{"good.test"}, {"x; dmarc=pass header.from=d.test \"unclosed"}, false},
	        {{"evil.test"}, {"x; dmarc=pass header.from=d.test"}, false},
	        {{"notgood.test"}, {"x; dmarc=pass header.from=d.test"}, false},
	        {{"good.test", "evil.test"},
	         {"x; dmarc=pass header.from=d.test", "y; arc=pass"},
	         false},
	        {{"evil.test", "good.test"},
	         {"x; dmarc=pass header.from=d.test", "y; dmarc=fail header.from=d.test"},
	         false},
	        {{"good.test", "also.test"},
	         {"x; dmarc=pass header.from=d.test", "y; dmarc=fail header.from=d.test"},
	         true},
	        {{"evil.test", "good.test"}, {"x; none", "y; dmarc=pass header.from=d.test"}, true},
	};
	static const struct bytes trusted[] = {BYTES("good.test"), BYTES("also.test"), {0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arc_hop hops[3] = {0};
		struct arc_verdict v = {.result = ARC_PASS, .hops = hops};

		for (; v.instances < 3 && cases[i].domains[v.instances]; v.instances++)
			hops[v.instances] = (struct arc_hop){
			        bytes_of_text(cases[i].domains[v.instances]),
			        bytes_of_text(cases[i].results[v.instances])};
		if (arc_vouches(&v, BYTES("d.test"), trusted, 3) != cases[i].vouches)
			print_error("%s\n", cases[i].results[0]);
		assert_int_equal(arc_vouches(&v, BYTES("d.test"), trusted, 3), cases[i].vouches);
		assert_false(arc_vouches(&v, BYTES(""), trusted, 3));
		v.result = ARC_FAIL;
		assert_false(arc_vouches(&v, BYTES("d.test"), trusted, 3));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_what_is_said_of_a_chain),
	        cmocka_unit_test(test_fifty_sets_and_no_more),
	        cmocka_unit_test(test_missing_keys_are_named),
	        cmocka_unit_test(test_changes),
	        cmocka_unit_test(test_a_closed_chain_is_told),
	        cmocka_unit_test(test_who_vouches),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
