/* TLS to another host: crypto/tls.h's engine from the other side, and what proves who answers.
 *
 *	tls_client_context_new(&setup, &context, &why);          once, in warm(): it reads the system's roots
 *	struct tls *t = tls_client_new(context, &policy, now);   policy is copied
 *	tls_feed(t, (struct bytes){0}, &plain, &to_socket, &why);   the client speaks first
 *	... tls_feed, tls_write, tls_close, tls_info as ever ...
 *	tls_client_verdict(t, &verdict);                         when ready, or after INVALID
 *
 * Three ways of looking at the certificate:
 *  ANY   none: encryption against those who only listen (RFC 7435). A certificate that would have been good is noticed.
 *  PKIX  a chain to a root, in its time, and one of the names (RFC 8461, 4.1; RFC 9525): wildcards in the leftmost label.
 *  DANE  the TLSA records (RFC 7672): usages 3 (DANE-EE: the key alone; names and dates do not count, 3.1.1) and 2
 *        (DANE-TA: a chain to that key, in its time, and one of the names, 3.1.2). Usages 0 and 1 are not usable (3.1.3).
 *        When none is usable this is ANY, as RFC 7672, 2.2 wants it: tls_client_new says so in the verdict.
 * No resumption: connections are kept instead. No name is looked for in the subject. */
#ifndef CRYPTO_TLS_CLIENT_H
#define CRYPTO_TLS_CLIENT_H

#include "crypto/tls.h"

struct tls_client_context;

struct tls_client_setup {
	struct bytes roots; /* PEM; empty: the system's */
	bool only_1_3;
};

/* INVALID: the roots cannot be read; FAILED: the system has none (then roots are empty: PKIX fails for everybody, the rest
 * works: *ret is set in that case too, and why says so). */
enum result tls_client_context_new(const struct tls_client_setup *setup,
                                   struct tls_client_context **ret, struct why *why) MUST_USE;
/* Counted, as tls_context. */
struct tls_client_context *tls_client_context_hold(struct tls_client_context *c);
void tls_client_context_free(struct tls_client_context **c);

enum tls_client_mode { TLS_CLIENT_ANY, TLS_CLIENT_PKIX, TLS_CLIENT_DANE };

/* RFC 6698, 2.1. */
struct tlsa {
	uint8_t usage, selector, matching;
	struct bytes data;
};

/* Can DANE for SMTP use this record? Known numbers and a length that fits (RFC 7672, 3.1). */
bool tlsa_is_usable(const struct tlsa *t);

struct tls_client_policy {
	struct bytes sni; /* A-labels; empty: none is sent (an address literal) */
	enum tls_client_mode mode;
	const struct bytes *names; /* PKIX and DANE-TA: one must be the certificate's; none: sni */
	size_t name_count;
	const struct tlsa *records; /* DANE */
	size_t record_count;
};

/* The time is for dates in certificates. */
struct tls *tls_client_new(struct tls_client_context *c, const struct tls_client_policy *p,
                           time_ms now);

/* Why it failed, in RFC 8460, 4.3.2's words. */
enum tls_failure {
	TLS_FAILURE_NONE,
	TLS_FAILURE_HOST_MISMATCH, /* certificate-host-mismatch */
	TLS_FAILURE_EXPIRED,       /* certificate-expired (or not valid yet) */
	TLS_FAILURE_NOT_TRUSTED,   /* certificate-not-trusted */
	TLS_FAILURE_VALIDATION, /* validation-failure: anything else; with DANE, no record matches */
	TLS_FAILURE_HANDSHAKE, /* no TLS came about at all; RFC 8460 has only validation-failure for it */
};
const char *tls_failure_word(enum tls_failure f);

struct tls_client_verdict {
	enum tls_failure failure;
	/* What proved whom we talk to, by what was asked for: DANE only in mode DANE, PKIX only in mode PKIX; else
	 * TLS_CLIENT_ANY, as with a DANE policy of which no record was usable. */
	enum tls_client_mode proved;
	bool pkix; /* in mode ANY: the certificate would have been good for one of the names */
	struct tlsa match; /* with DANE: the record that matched; borrowed */
	char text
	        [200]; /* of a failure, for a person: "certificate has expired (CN=mx.example.test)" */
};
void tls_client_verdict(const struct tls *t, struct tls_client_verdict *ret);

#endif
