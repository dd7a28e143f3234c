/* What verifying DKIM and ARC costs, without a network: an ordinary mail, a large body, and the dearest header that a stranger can
 * make. Keys are new each run; signatures are right where it says so.
 *
 *	bench_dkim
 *
 * A line for each measurement: name value unit. Times are CPU time of the thread. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/encode.h"
#include "crypto/sign.h"
#include "verify/arc.h"
#include "verify/dkim_sign.h"

enum { TURNS = 200, BODY = 32 * 1024 * 1024, T_TXT = 16 };

static double thread_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_dkim: %s\n", what);
	exit(1);
}

/* ---- a signed mail and its key ---- */

static void put_key(struct facts *f, const char *name, struct bytes text)
{
	struct buf records = {0}, rdata = {0};

	for (; text.len > 0; text = bytes_skip(text, 255)) {
		buf_u8(&rdata, (uint8_t)bytes_first(text, 255).len);
		buf_append(&rdata, bytes_first(text, 255));
	}
	buf_block(&records, buf_bytes(&rdata));
	facts_add(f, bytes_of_text(name), T_TXT,
	          &(struct answer_resolve){.records = buf_bytes(&records)});
	buf_done(&records);
	buf_done(&rdata);
}

static void sign(unsigned scheme, const char *selector, struct bytes header, struct bytes body,
                 struct facts *f, struct buf *out)
{
	struct dkim_signer *s = dkim_signer_new(header);
	struct dkim_signing_key key = {BYTES("d.test"), bytes_of_text(selector),
	                               scheme == PRIVATE_KEY_ED25519 ? DKIM_ED25519_SHA256
	                                                             : DKIM_RSA_SHA256};
	struct private_key *private = NULL;
	struct buf pem = {0}, signature = {0}, public = {0}, record = {0};
	uint8_t digest[DIGEST_SHA256];
	unsigned found;
	char name[64];

	private_key_make(scheme, &pem);
	dkim_signer_body(s, body);
	dkim_signer_finish(s);
	dkim_signer_begin(s, &key, 1700000000000, digest);
	if (private_key_parse_dkim(buf_bytes(&pem), &private, &found, NULL) != OK ||
	    private_key_sign(private, scheme, bytes_of(digest, sizeof(digest)), &signature) != OK ||
	    dkim_signer_put(s, buf_bytes(&signature), out) != OK)
		die("cannot sign");
	private_key_public(private, &public);
	buf_printf(&record, "k=%s; p=", scheme == PRIVATE_KEY_ED25519 ? "ed25519" : "rsa");
	encode_base64(&record, buf_bytes(&public));
	snprintf(name, sizeof(name), "%s._domainkey.d.test", selector);
	put_key(f, name, buf_bytes(&record));
	dkim_signer_free(&s);
	private_key_free(&private);
	buf_done(&pem);
	buf_done(&signature);
	buf_done(&public);
	buf_done(&record);
}

/* ---- measuring ---- */

static void judge(struct bytes mail, struct facts *f, enum dkim_result want)
{
	struct dkim_verifier *v = dkim_verifier_new();
	struct arena arena = {0};
	struct dkim_verdict *verdicts;
	struct arc_verdict arc;
	size_t count;

	for (; mail.len > 0; mail = bytes_skip(mail, 32768))
		dkim_verifier_feed(v, bytes_first(mail, 32768));
	dkim_verifier_end(v);
	if (!dkim_verify(v, f, 1700000000, &arena, &verdicts, &count) ||
	    !arc_verify(v, f, 1700000000, &arena, &arc))
		die("facts are missing");
	for (size_t i = 0; i < count; i++)
		if (verdicts[i].result != want)
			die("another verdict than it should be");
	arena_done(&arena);
	dkim_verifier_free(&v);
}

static double measure(struct bytes mail, struct facts *f, enum dkim_result want, int turns)
{
	double begin;

	judge(mail, f, want);
	begin = thread_us();
	for (int i = 0; i < turns; i++)
		judge(mail, f, want);
	return (thread_us() - begin) / turns;
}

static const char header[] =
        "From: Ann <a@d.test>\r\nTo: b@e.test\r\nSubject: hello\r\nDate: today\r\n"
        "Message-ID: <1@d.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n";

static void ordinary(unsigned scheme, const char *name)
{
	struct facts *f = facts_new();
	struct buf mail = {0}, body = {0};

	while (buf_len(&body) < 3000)
		buf_append_text(&body, "a line of  text, as people write them \r\n");
	sign(scheme, "s", bytes_of_text(header), buf_bytes(&body), f, &mail);
	buf_append_text(&mail, header);
	buf_append_text(&mail, "\r\n");
	buf_append(&mail, buf_bytes(&body));
	printf("%s %.0f us\n", name, measure(buf_bytes(&mail), f, DKIM_PASS, TURNS));
	facts_free(&f);
	buf_done(&mail);
	buf_done(&body);
}

static void large(const char *line, const char *name)
{
	struct facts *f = facts_new();
	struct buf mail = {0}, body = {0};

	while (buf_len(&body) < BODY)
		buf_append_text(&body, line);
	sign(PRIVATE_KEY_ED25519, "s", bytes_of_text(header), buf_bytes(&body), f, &mail);
	buf_append_text(&mail, header);
	buf_append_text(&mail, "\r\n");
	buf_append(&mail, buf_bytes(&body));
	printf("%s %.0f MB/s\n", name, BODY / measure(buf_bytes(&mail), f, DKIM_PASS, 3));
	facts_free(&f);
	buf_done(&mail);
	buf_done(&body);
}

/* Ten signatures, each over all of a header that is as long as is looked at, every l= another one, and fifty ARC sets. The keys are
 * real, so that all is computed. */
static void hostile(void)
{
	struct facts *f = facts_new();
	struct buf mail = {0}, body = {0}, key = {0};

	sign(PRIVATE_KEY_RSA_PKCS1_SHA256, "k", bytes_of_text(header), BYTES(""), f, &key);
	for (int i = 0; i < DKIM_LOOKED_AT; i++) {
		buf_append_text(&mail, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; "
		                       "d=d.test; s=k; h=from");
		for (int n = 0; n < DKIM_NAMES - 1; n++)
			buf_append_text(&mail, ":x");
		buf_printf(&mail, "; l=%d; bh=AAAA; b=", i * 1000);
		for (int n = 0; n < 85; n++)
			buf_append_text(&mail, "AAAA");
		buf_append_text(&mail, "AA==\r\n");
	}
	for (int i = 1; i <= ARC_INSTANCES; i++) {
		buf_printf(&mail, "ARC-Seal: i=%d; a=rsa-sha256; cv=%s; d=d.test; s=k; b=AAAA\r\n",
		           i, i == 1 ? "none" : "pass");
		buf_printf(&mail,
		           "ARC-Message-Signature: i=%d; a=rsa-sha256; d=d.test; s=k; h=from; "
		           "bh=AAAA; b=AAAA\r\n",
		           i);
		buf_printf(&mail, "ARC-Authentication-Results: i=%d; x; none\r\n", i);
	}
	buf_append_text(&mail, header);
	while (buf_len(&mail) + 520 < DKIM_HEADER)
		buf_printf(&mail, "X: %0500d\r\n", 1);
	buf_append_text(&mail, "\r\n");
	while (buf_len(&body) < 100000)
		buf_append_text(&body, " \t a \r\n");
	buf_append(&mail, buf_bytes(&body));
	printf("dearest-header %.0f us\n", measure(buf_bytes(&mail), f, DKIM_FAIL, 20));
	facts_free(&f);
	buf_done(&mail);
	buf_done(&body);
	buf_done(&key);
}

int main(void)
{
	ordinary(PRIVATE_KEY_RSA_PKCS1_SHA256, "ordinary-rsa2048");
	ordinary(PRIVATE_KEY_ED25519, "ordinary-ed25519");
	large("a line of text, as people write them, somewhat longer than it has to be\r\n",
	      "body-relaxed");
	large(" \t \r\n", "body-relaxed-blanks");
	hostile();
	return 0;
}
