/* A report on its way into the queue: signed where its domain has keys, spooled, committed with the null sender, so that nobody
 * hears of it when it fails. A sealed machine over asks (DKIM_KEYS, DKIM_SIGN, SPOOL, COMMIT), one open at a time. Private to
 * carrying/.
 *
 *	tlsrpt_mail(..., report_mail_content(&m));
 *	report_mail_begin(&m, config, organization, contact, to, seed, now);
 *	while (report_mail_ask(&m, &a)) forward a, number it; report_mail_answer(&m, &answer);
 *	if (m.state == REPORT_MAIL_SENT) ...
 */
#ifndef CARRYING_REPORT_MAIL_H
#define CARRYING_REPORT_MAIL_H

#include "config/config.h"
#include "mail/summary.h"
#include "verify/dkim_sign.h"

enum report_mail_state {
	REPORT_MAIL_IDLE,
	REPORT_MAIL_KEYS,
	REPORT_MAIL_SIGN, /* key by key */
	REPORT_MAIL_SPOOL,
	REPORT_MAIL_COMMIT,
	REPORT_MAIL_SENT,
	REPORT_MAIL_REFUSED, /* this mail is not taken */
	REPORT_MAIL_LATER,   /* the store is not well */
};

struct report_mail {
	enum report_mail_state state;
	bool open; /* an ask is */
	const struct config *config;
	time_ms now;
	struct bytes organization, contact, to;
	struct arena arena;
	struct buf content, trace, summary, recipients;
	size_t spooled;
	struct dkim_signer *signer;
	struct dkim_signing_keys keys;
	unsigned key;
	uint8_t digest[DIGEST_SHA256];
	char commit_key[16];
};

/* Empty, to be filled with the whole mail. */
struct buf *report_mail_content(struct report_mail *m);
/* Strings are borrowed until it is over. key: unique for this mail. */
void report_mail_begin(struct report_mail *m, const struct config *config,
                       struct bytes organization, struct bytes contact, struct bytes to,
                       const uint8_t key[16], time_ms now);
bool report_mail_ask(struct report_mail *m, struct ask *ret);
void report_mail_answer(struct report_mail *m, const struct answer *a);
void report_mail_done(struct report_mail *m);

/* The address of "mailto:tls@example.test?subject=..."; nothing that is escaped. */
bool report_mail_address(struct bytes rua, struct arena *arena, struct bytes *ret);
/* Ours in reports: the first domain. */
struct bytes report_organization(const struct config *config);

#endif
