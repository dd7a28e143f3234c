/* The DKIM verifier: its rules one by one, on mails signed here with whatever tags. The corpora are test/end/test_check_dkim.py's. */
#include "signed_test.h"

#include "crypto/public_key.h"
#include "verify/dkim.h"

enum { NOW = 1700000000 };

static const char mail[] = "From: a@d.test\r\nTo: b@e.test\r\nSubject: hello\r\nDate: today\r\n\r\n"
                           "one line\r\nand  two \r\n\r\n";
static const char body[] = "one line\r\nand  two \r\n\r\n";
static const char usual[] = "from:to:subject:date";

static struct test_key rsa, ed25519;

struct judged {
	struct arena arena;
	struct facts *facts;
	struct dkim_verdict *verdicts;
	size_t count;
};

static struct facts *usual_facts(const char *tags)
{
	struct facts *f = facts_new();

	fact_key(f, "s._domainkey.d.test", tags, &rsa);
	fact_key(f, "e._domainkey.d.test", "k=ed25519;", &ed25519);
	return f;
}

static struct judged judge_with(struct bytes in, struct facts *facts, size_t step)
{
	struct dkim_verifier *v = dkim_verifier_new();
	struct judged j = {.facts = facts};

	for (; in.len > 0; in = bytes_skip(in, step))
		dkim_verifier_feed(v, bytes_first(in, step));
	dkim_verifier_end(v);
	assert_true(dkim_verify(v, j.facts, NOW, &j.arena, &j.verdicts, &j.count));
	dkim_verifier_free(&v);
	assert_null(v);
	return j;
}

static void done(struct judged *j)
{
	facts_free(&j->facts);
	arena_done(&j->arena);
}

static void expect(struct bytes in, struct facts *facts, enum dkim_result result,
                   const char *reason)
{
	struct judged j = judge_with(in, facts, 1000);

	assert_int_equal(j.count, 1);
	if (j.verdicts[0].result != result)
		print_error("%s, %.*s\n", dkim_result_name(j.verdicts[0].result),
		            BYTES_ARG(j.verdicts[0].reason));
	assert_int_equal(j.verdicts[0].result, result);
	if (bytes_find(j.verdicts[0].reason, bytes_of_text(reason)) == BYTES_NONE)
		assert_bytes(j.verdicts[0].reason, bytes_of_text(reason));
	done(&j);
}

static struct buf sign(const char *tags, const char *names, const char *in)
{
	struct buf out = {0};
	struct bytes all = bytes_of_text(in);

	sign_mail(&rsa, tags, names, bytes_skip(all, header_len(all)), all, &out);
	return out;
}

static int set_up(void **state)
{
	rsa = test_key_new(PRIVATE_KEY_RSA_PKCS1_SHA256);
	ed25519 = test_key_new(PRIVATE_KEY_ED25519);
	return 0;
}

static int tear_down(void **state)
{
	private_key_free(&rsa.key);
	private_key_free(&ed25519.key);
	return 0;
}

/* ---- what passes ---- */

static void test_two_kinds_of_keys_in_any_split(void **state)
{
	struct buf one = sign("d=d.test; s=s; t=1600000000; i=who@sub.d.test;", usual, mail),
	           two = {0};

	sign_mail(&ed25519, "d=D.Test; s=e;", "from:from:subject:dkim-signature",
	          bytes_of_text(body), buf_bytes(&one), &two);
	for (size_t step = 1; step < 200; step += step < 8 ? 1 : 37) {
		struct judged j = judge_with(buf_bytes(&two),
		                             usual_facts("v=DKIM1; k=rsa; t=y:x; "), step);

		assert_int_equal(j.count, 2);
		assert_bytes(j.verdicts[0].reason, BYTES(""));
		assert_int_equal(j.verdicts[0].result, DKIM_PASS);
		assert_bytes(j.verdicts[0].domain, BYTES("d.test"));
		assert_bytes(j.verdicts[0].identity, BYTES("@d.test"));
		assert_bytes(j.verdicts[0].algorithm, BYTES("ed25519-sha256"));
		assert_int_equal(j.verdicts[0].key_bits, 256);
		assert_false(j.verdicts[0].testing);
		assert_int_equal(j.verdicts[1].result, DKIM_PASS);
		assert_bytes(j.verdicts[1].selector, BYTES("s"));
		assert_bytes(j.verdicts[1].identity, BYTES("who@sub.d.test"));
		assert_int_equal(j.verdicts[1].key_bits, 2048);
		assert_int_equal(j.verdicts[1].signature.len, 8);
		assert_true(j.verdicts[1].testing);
		done(&j);
	}
	buf_done(&one);
	buf_done(&two);
}

static void test_mails_without_signature(void **state)
{
	static const char *const mails[] = {"",
	                                    "\r\n",
	                                    mail,
	                                    "no header",
	                                    "\n\nDKIM-Signature: v=1\r\n",
	                                    "X: y\r\n\r\nDKIM-Signature: v=1; a=rsa-sha256\r\n"};

	for (size_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
		struct judged j = judge_with(bytes_of_text(mails[i]), facts_new(), 3);

		assert_int_equal(j.count, 0);
		done(&j);
	}
}

/* ---- facts ---- */

static void test_missing_facts_are_named_together(void **state)
{
	struct buf one = sign("d=d.test; s=s;", usual, mail), two = {0};
	struct dkim_verifier *v = dkim_verifier_new();
	struct facts *f = facts_new();
	struct arena arena = {0};
	struct dkim_verdict *verdicts;
	struct bytes name;
	size_t count;
	uint16_t type;

	sign_mail(&ed25519, "d=d.test; s=e;", usual, bytes_of_text(body), buf_bytes(&one), &two);
	dkim_verifier_need(v, f);
	assert_false(facts_missing(f, &name, &type));
	dkim_verifier_feed(v, bytes_first(buf_bytes(&two), buf_len(&two) - 10));
	assert_true(dkim_verifier_has_header(v));
	dkim_verifier_need(v, f);
	assert_true(facts_missing(f, &name, &type));
	assert_bytes(name, BYTES("e._domainkey.d.test"));
	assert_int_equal(type, T_TXT);
	facts_asked(f, 1);
	assert_true(facts_missing(f, &name, &type));
	assert_bytes(name, BYTES("s._domainkey.d.test"));
	facts_asked(f, 2);
	assert_false(facts_missing(f, &name, &type));
	dkim_verifier_feed(v, bytes_skip(buf_bytes(&two), buf_len(&two) - 10));
	dkim_verifier_end(v);
	assert_false(dkim_verify(v, f, NOW, &arena, &verdicts, &count));
	fact_key(f, "e._domainkey.d.test", "k=ed25519;", &ed25519);
	assert_false(dkim_verify(v, f, NOW, &arena, &verdicts, &count));
	fact(f, "s._domainkey.d.test", T_TXT, FACT_FAILED, false, "", (struct bytes){0});
	assert_true(dkim_verify(v, f, NOW, &arena, &verdicts, &count));
	assert_int_equal(verdicts[0].result, DKIM_PASS);
	assert_int_equal(verdicts[1].result, DKIM_TEMPERROR);
	facts_free(&f);
	arena_done(&arena);
	dkim_verifier_free(&v);
	buf_done(&one);
	buf_done(&two);
}

/* ---- tags of signatures ---- */

static const struct {
	const char *tags, *names;
	enum dkim_result result;
	const char *reason;
} tags[] = {
        {"d=d.test; s=s;", "FROM : to\r\n\t:subject", DKIM_PASS, ""},
        {"d=d.test; s=s; x=1700000001; t=1699999999;", usual, DKIM_PASS, ""},
        {"d=d.test; s=s; unknown=x y z;", usual, DKIM_PASS, ""},
        {"d=d.test; s=s; q=dns/txt:x;", usual, DKIM_PASS, ""},
        {"d=d.test; s=s; i==77ho@=64.test;", usual, DKIM_PASS, ""}, /* 2.11: quoted-printable */
        {"d=d.test; s=s; x=1699999999;", usual, DKIM_POLICY, "expired"},
        {"d=d.test; s=s; x=5; t=5;", usual, DKIM_PERMERROR, "x="},
        {"d=d.test; s=s; t=soon;", usual, DKIM_PERMERROR, "t="},
        {"d=d.test; s=s; t=-1;", usual, DKIM_PERMERROR, "t="},
        {"d=d.test; s=s; x=;", usual, DKIM_PERMERROR, "t="},
        {"d=d.test; s=s;", "to:subject", DKIM_PERMERROR, "From"},
        {"d=d.test; s=s; i=a@notd.test;", usual, DKIM_PERMERROR, "i="},
        {"d=d.test; s=s; i=a@xd.test;", usual, DKIM_PERMERROR, "i="},
        {"d=d.test; s=s; i=d.test;", usual, DKIM_PERMERROR, "i="},
        {"d=d.test; s=s; s=s;", usual, DKIM_PERMERROR, "tags"},
        {"d=d.test; s=s;;", usual, DKIM_PERMERROR, "tags"},
        {"d=d.test; s=s; d;", usual, DKIM_PERMERROR, "tags"},
        {"d=d..test; s=s;", usual, DKIM_PERMERROR, "d="},
        {"d=d test; s=s;", usual, DKIM_PERMERROR, "d="},
        {"d=.; s=s;", usual, DKIM_PERMERROR, "d="},
        {"d=d.test.; s=s;", usual, DKIM_PERMERROR, "d="},
        {"d=d.test;", usual, DKIM_PERMERROR, "s="},
        {"s=s;", usual, DKIM_PERMERROR, "d="},
        {"d=d.test; s=s; q=http;", usual, DKIM_NEUTRAL, "q="},
        {"d=d.test; s=s; l=x;", usual, DKIM_PERMERROR, "l="},
        {"d=d.test; s=s; l=99999999999999999999999;", usual, DKIM_PERMERROR, "l="},
        {"d=d.test; s=none;", usual, DKIM_PERMERROR, "no such key"},
};

static void test_tags(void **state)
{
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		struct buf in = sign(tags[i].tags, tags[i].names, mail);
		struct facts *f = usual_facts("v=DKIM1; ");

		fact_none(f, "none._domainkey.d.test", T_TXT, false);
		expect(buf_bytes(&in), f, tags[i].result, tags[i].reason);
		buf_done(&in);
	}
}

static struct buf replaced(struct bytes in, const char *what, const char *by)
{
	size_t at = bytes_find(in, bytes_of_text(what));
	struct buf out = {0};

	assert_true(at != BYTES_NONE);
	buf_append(&out, bytes_first(in, at));
	buf_append_text(&out, by);
	buf_append(&out, bytes_skip(in, at + strlen(what)));
	return out;
}

static const struct {
	const char *what, *by;
	enum dkim_result result;
	const char *reason;
} changes[] = {
        {"v=1;", "v=2;", DKIM_NEUTRAL, "v="},
        {"v=1;", "", DKIM_PERMERROR, "v="},
        {"rsa-sha256", "rsa-sha1", DKIM_POLICY, "RFC 8301"},
        {"rsa-sha256", "rsa-sha3", DKIM_NEUTRAL, "a="},
        {"rsa-sha256", "RSA-SHA256", DKIM_NEUTRAL, "a="},
        {"rsa-sha256", "ed25519-sha256", DKIM_PERMERROR, "another kind"},
        {"a=rsa-sha256;", "", DKIM_PERMERROR, "a="},
        {"relaxed/relaxed", "loose", DKIM_NEUTRAL, "c="},
        {"relaxed/relaxed", "simple/relaxed", DKIM_FAIL, "signature"},
        {"relaxed/relaxed", "relaxed", DKIM_FAIL, "body"},
        {" bh=", " xx=", DKIM_PERMERROR, "bh="},
        {" bh=", " bh=!", DKIM_PERMERROR, "bh="},
        {" b=", " xb=", DKIM_PERMERROR, "b="},
        {" b=", " b=!", DKIM_PERMERROR, "b="},
        {"Subject: hello", "Subject: hullo", DKIM_FAIL, "signature"},
        {"Subject: hello", "SUBJECT:\t hello", DKIM_PASS, ""},
        {"one line", "one lime", DKIM_FAIL, "body"},
        {"and  two", "and two", DKIM_PASS, ""},
        {"To: b", "X-Other: z\r\nTo: b", DKIM_PASS, ""},
        /* A second one above or below: what programs show is not what was signed (RFC 6376, 8.15). */
        {"DKIM-Sig", "From: evil@x.test\r\nDKIM-Sig", DKIM_POLICY, "added"},
        {"DKIM-Sig", "Subject: evil\r\nDKIM-Sig", DKIM_POLICY, "added"},
        {"DKIM-Sig", "sUBJECT : evil\r\nDKIM-Sig", DKIM_POLICY, "added"},
        {"Date: today\r\n", "Date: today\r\nFrom: evil@x.test\r\n", DKIM_FAIL, "signature"},
};

static void test_changes(void **state)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct buf in = sign("d=d.test; s=s;", usual, mail);
		struct buf out = replaced(buf_bytes(&in), changes[i].what, changes[i].by);

		expect(buf_bytes(&out), usual_facts(""), changes[i].result, changes[i].reason);
		buf_done(&in);
		buf_done(&out);
	}
}

static void test_oversigned_from_cannot_be_added(void **state)
{
	struct buf in = sign("d=d.test; s=s;", "from:from:subject:subject", mail);
	struct buf out = replaced(buf_bytes(&in), "DKIM-Sig", "From: evil@x.test\r\nDKIM-Sig");

	expect(buf_bytes(&in), usual_facts(""), DKIM_PASS, "");
	expect(buf_bytes(&out), usual_facts(""), DKIM_FAIL, "signature");
	buf_done(&in);
	buf_done(&out);
}

/* ---- l= ---- */

static void test_length(void **state)
{
	static const struct {
		const char *l, *signed_body;
		enum dkim_result result;
		const char *reason;
	} cases[] = {
	        {"l=19;", body, DKIM_PASS, ""}, /* as long as the canonical form */
	        {"l=0;", "", DKIM_POLICY, "l="},
	        {"l=3;", "one", DKIM_FAIL, "body"}, /* "one" + CRLF was hashed */
	        {"l=10;", "one line\r\n", DKIM_POLICY, "l="},
	        {"l=20;", body, DKIM_FAIL, "body"}, /* longer than the body */
	        {"l=18446744073709551615;", body, DKIM_FAIL, "body"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = {0};
		char all[80];

		snprintf(all, sizeof(all), "d=d.test; s=s; %s", cases[i].l);
		sign_mail(&rsa, all, usual, bytes_of_text(cases[i].signed_body),
		          bytes_of_text(mail), &out);
		expect(buf_bytes(&out), usual_facts(""), cases[i].result, cases[i].reason);
		buf_done(&out);
	}
}

/* All signatures may have another l=, within and across the pieces that are hashed at once. */
static void test_lengths_of_many(void **state)
{
	enum { BODY = 20000 };
	static const size_t lengths[] = {0, 1, 4095, 4096, 4097, 8192, 12345, BODY - 1, BODY};
	struct buf text = {0}, in = {0};
	struct judged j;
	size_t count = sizeof(lengths) / sizeof(lengths[0]), header;

	buf_append_text(&in, "From: a@d.test\r\n\r\n");
	header = buf_len(&in);
	for (int i = 0; i < BODY - 2; i++)
		buf_append_char(&text, (char)('a' + i % 26));
	buf_append_text(&text, "\r\n");
	buf_append(&in, buf_bytes(&text));
	for (size_t i = 0; i < count; i++) {
		struct bytes signed_part = bytes_first(buf_bytes(&text), lengths[i]);
		uint8_t hash[DIGEST_SHA256];
		struct buf field = {0}, canonical = {0}, out = {0};

		digest_sha256(signed_part, hash);
		buf_printf(&field,
		           "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d.test; s=s; "
		           "h=from; l=%zu; bh=",
		           lengths[i]);
		put_base64_hash(&field, hash);
		buf_append_text(&field, "; b=");
		buf_append_char(&field, 0);
		canon_field(CANON_RELAXED, BYTES("From: a@d.test\r\n"), &canonical);
		put_signed_field(&rsa, &canonical, field.ptr, &out);
		header += buf_len(&out);
		buf_append(&out, buf_bytes(&in));
		buf_done(&in);
		in = out;
		buf_done(&field);
		buf_done(&canonical);
	}
	for (size_t step = 7; step < 30000; step = step * 5 + 1) {
		j = judge_with(buf_bytes(&in), usual_facts(""), step);
		assert_int_equal(j.count, count);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(j.verdicts[i].result, i == 0 ? DKIM_PASS : DKIM_POLICY);
		done(&j);
	}
	buf_done(&text);
	buf_done(&in);
}

/* ---- keys ---- */

static void test_keys(void **state)
{
	static const struct {
		const char *tags;
		enum dkim_result result;
		const char *reason;
	} cases[] = {
	        {"", DKIM_PASS, ""},
	        {"v=DKIM1; h=sha1:sha256; s=email:x; t=s; n=note; g=*; ", DKIM_PASS, ""},
	        {"s=*; ", DKIM_PASS, ""},
	        {"v=DKIM2; ", DKIM_PERMERROR, "no key record"},
	        {"k=rsa; v=DKIM1; ", DKIM_PERMERROR, "no key record"},
	        {"k=ed25519; ", DKIM_PERMERROR, "another kind"},
	        {"h=sha1; ", DKIM_PERMERROR, "hash"},
	        {"s=web; ", DKIM_PERMERROR, "not for mail"},
	        {"t; ", DKIM_PERMERROR, "no key record"},
	        {"p=; x", DKIM_PERMERROR, "revoked"},
	        {"p=AAAA; x", DKIM_PERMERROR, "cannot be used"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf in = sign("d=d.test; s=s;", usual, mail);

		expect(buf_bytes(&in), usual_facts(cases[i].tags), cases[i].result,
		       cases[i].reason);
		buf_done(&in);
	}
}

static void test_strict_keys(void **state)
{
	struct buf in = sign("d=d.test; s=s; i=a@sub.d.test;", usual, mail);

	expect(buf_bytes(&in), usual_facts("t=y:s; "), DKIM_PERMERROR, "i=");
	buf_done(&in);
}

/* A name may have other TXT records, too: the first that is a key counts. */
static void test_several_records(void **state)
{
	struct buf in = sign("d=d.test; s=s;", usual, mail), records = {0}, public = {0},
	           rdata = {0}, text = {0};
	struct facts *f = facts_new();

	private_key_public(rsa.key, &public);
	buf_append_text(&text, "p=");
	encode_base64(&text, buf_bytes(&public));
	buf_block(&records, BYTES("\x0bv=spf1 -all"));
	buf_u8(&rdata, 200);
	buf_append(&rdata, bytes_first(buf_bytes(&text), 200));
	buf_u8(&rdata, (uint8_t)(buf_len(&text) - 200));
	buf_append(&rdata, bytes_skip(buf_bytes(&text), 200));
	buf_block(&records, buf_bytes(&rdata));
	fact(f, "s._domainkey.d.test", T_TXT, FACT_FOUND, false, "", buf_bytes(&records));
	expect(buf_bytes(&in), f, DKIM_PASS, "");
	buf_done(&in);
	buf_done(&records);
	buf_done(&public);
	buf_done(&rdata);
	buf_done(&text);
}

static void test_answers_that_are_none(void **state)
{
	static const struct {
		enum fact_status status;
		enum dkim_result result;
	} cases[] = {{FACT_NO_DATA, DKIM_PERMERROR},
	             {FACT_NO_NAME, DKIM_PERMERROR},
	             {FACT_FAILED, DKIM_TEMPERROR},
	             {FACT_BOGUS, DKIM_TEMPERROR}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf in = sign("d=d.test; s=s;", usual, mail);
		struct facts *f = facts_new();

		fact(f, "s._domainkey.d.test", T_TXT, cases[i].status, false, "",
		     (struct bytes){0});
		expect(buf_bytes(&in), f, cases[i].result, "");
		buf_done(&in);
	}
}

/* RSA keys that would make verification dear, or worthless. SEQUENCE { modulus, exponent } alone, as RFC 6376 writes it. */
static void put_number(struct buf *out, size_t octets, bool ones)
{
	buf_u8(out, 0x02);
	buf_u8(out, 0x82);
	buf_u16(out, (uint16_t)(octets + 1));
	buf_u8(out, 0);
	for (size_t i = 0; i < octets; i++)
		buf_u8(out, ones ? 0xff : 0xc1);
}

static enum result parse_rsa(size_t modulus, struct bytes exponent, struct public_key **ret)
{
	struct buf inner = {0}, der = {0};
	enum result r;

	put_number(&inner, modulus, false);
	if (exponent.len > 0)
		buf_append(&inner, exponent);
	else
		put_number(&inner, modulus - 1, true);
	buf_u8(&der, 0x30);
	buf_u8(&der, 0x82);
	buf_u16(&der, (uint16_t)buf_len(&inner));
	buf_append(&der, buf_bytes(&inner));
	r = public_key_parse_rsa(buf_bytes(&der), ret, NULL);
	buf_done(&inner);
	buf_done(&der);
	return r;
}

static void test_hostile_keys(void **state)
{
	struct public_key *k = NULL;

	assert_int_equal(parse_rsa(128, BYTES("\x02\x03\x01\x00\x01"), &k), OK);
	assert_int_equal(public_key_bits(k), 1024);
	assert_false(public_key_verify(k, PUBLIC_KEY_RSA_SHA256, BYTES("too short"), BYTES("no")));
	assert_false(public_key_verify(k, PUBLIC_KEY_ED25519, BYTES("x"), BYTES("no")));
	public_key_free(&k);
	assert_int_equal(parse_rsa(1024, BYTES("\x02\x03\x01\x00\x01"), &k), OK);
	public_key_free(&k);
	assert_int_equal(parse_rsa(1025, BYTES("\x02\x03\x01\x00\x01"), &k), INVALID);
	assert_int_equal(parse_rsa(128, BYTES("\x02\x01\x01"), &k),
	                 INVALID); /* everybody can sign */
	assert_int_equal(parse_rsa(128, BYTES("\x02\x01\x04"), &k), INVALID);
	assert_int_equal(parse_rsa(128, BYTES(""), &k), INVALID); /* as dear as signing */
	assert_int_equal(public_key_parse_rsa(BYTES(""), &k, NULL), INVALID);
	assert_int_equal(public_key_parse_rsa(BYTES("0"), &k, NULL), INVALID);
	assert_int_equal(public_key_parse_ed25519(BYTES("short"), &k, NULL), INVALID);
	assert_null(k);
}

/* ---- limits ---- */

static void test_ten_signatures_are_looked_at(void **state)
{
	struct buf in = {0};
	struct judged j;

	for (int i = 0; i < 14; i++)
		buf_append_text(&in, "DKIM-Signature: v=1\r\n");
	buf_append_text(&in, mail);
	j = judge_with(buf_bytes(&in), facts_new(), 50);
	assert_int_equal(j.count, DKIM_LOOKED_AT);
	done(&j);
	buf_done(&in);
}

static void test_long_headers(void **state)
{
	for (int many = 0; many < 2; many++) {
		struct buf signed_mail = sign("d=d.test; s=s;", usual, mail), filler = {0}, in;

		for (int i = 0; i < (many ? 4100 : 50); i++)
			buf_printf(&filler, "X: %0*d\r\n", many ? 1 : 6000, 0);
		buf_append_text(&filler, "To: b");
		buf_append_char(&filler, 0);
		in = replaced(buf_bytes(&signed_mail), "To: b", filler.ptr);
		expect(buf_bytes(&in), usual_facts(""), DKIM_POLICY, "too long");
		buf_done(&in);
		buf_done(&filler);
		buf_done(&signed_mail);
	}
}

static void test_many_names(void **state)
{
	struct buf names = {0}, in;

	buf_append_text(&names, "from");
	for (int i = 1; i < DKIM_NAMES; i++)
		buf_append_text(&names, ":to");
	buf_append_char(&names, 0);
	in = sign("d=d.test; s=s;", names.ptr, mail);
	expect(buf_bytes(&in), usual_facts(""), DKIM_PASS, "");
	buf_done(&in);
	buf_truncate(&names, buf_len(&names) - 1);
	buf_append_text(&names, ":to");
	buf_append_char(&names, 0);
	in = sign("d=d.test; s=s;", names.ptr, mail);
	expect(buf_bytes(&in), usual_facts(""), DKIM_PERMERROR, "too many");
	buf_done(&in);
	buf_done(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_two_kinds_of_keys_in_any_split),
	        cmocka_unit_test(test_mails_without_signature),
	        cmocka_unit_test(test_missing_facts_are_named_together),
	        cmocka_unit_test(test_tags),
	        cmocka_unit_test(test_changes),
	        cmocka_unit_test(test_oversigned_from_cannot_be_added),
	        cmocka_unit_test(test_length),
	        cmocka_unit_test(test_lengths_of_many),
	        cmocka_unit_test(test_keys),
	        cmocka_unit_test(test_strict_keys),
	        cmocka_unit_test(test_several_records),
	        cmocka_unit_test(test_answers_that_are_none),
	        cmocka_unit_test(test_hostile_keys),
	        cmocka_unit_test(test_ten_signatures_are_looked_at),
	        cmocka_unit_test(test_long_headers),
	        cmocka_unit_test(test_many_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
