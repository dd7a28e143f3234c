/* access: our own people are served here: they send their mail (submission) and read it (IMAP, POP3). A session reaches the
 * mailboxes of the user who logged in on it and no others, and sends as nobody else, because store checks each ask
 * against keeper's grant. */
#include "base/memory.h"
#include "imap/server.h"
#include "pop3/server.h"
#include "roles/front.h"
#include "sasl/sasl.h"
#include "smtp/server.h"

/* Where passwords may cross without TLS depends on the client: two sets, one of them allows it. */
struct imap_both {
	struct imap_options near, far; /* loopback, the rest */
};

static struct imap_options imap_options_of(const struct config *c, bool has_tls)
{
	struct imap_options o = imap_options_default(c->hostname);

	o.starttls = has_tls;
	o.mechanisms = SASL_PLAIN | SASL_LOGIN | SASL_SCRAM_SHA_256 | SASL_SCRAM_SHA_256_PLUS |
	               (c->login_cram_md5 ? SASL_CRAM_MD5 : 0);
	o.message_max = c->smtp_message_max;
	o.idle_ms = (uint32_t)c->imap_idle_ms;
	o.errors_max = (uint32_t)c->imap_errors_max;
	o.logins_max = (uint32_t)c->login_failures_max;
	return o;
}

static void *imap_options_new(const struct config *c, bool has_tls)
{
	struct imap_both *both = NEW(struct imap_both);

	both->near = both->far = imap_options_of(c, has_tls);
	both->near.plaintext_login = c->login_plaintext != CONFIG_PLAINTEXT_NEVER;
	both->far.plaintext_login = c->login_plaintext == CONFIG_PLAINTEXT_ALWAYS;
	return both;
}

static struct engine *imap_new(const void *options, const struct engine_peer *peer, time_ms now)
{
	const struct imap_both *both = options;

	return imap_server_new(ip_is_loopback(&peer->ip) ? &both->near : &both->far, peer, now);
}

static void *pop3_options_new(const struct config *c, bool has_tls)
{
	struct pop3_options *o = NEW(struct pop3_options);

	*o = pop3_options_of(c, has_tls);
	return o;
}

static struct engine *pop3_new(const void *options, const struct engine_peer *peer, time_ms now)
{
	return pop3_server_new(options, peer, now);
}

/* Ports 587 and 465, and run/submit.sock: programs of this machine; engine_peer says which user (local, uid, user). */
static void *submit_options_new(const struct config *c, bool has_tls)
{
	struct smtp_options *o = NEW(struct smtp_options);

	*o = smtp_submission_options_of(c);
	o->starttls = has_tls;
	return o;
}

static struct engine *submit_new(const void *options, const struct engine_peer *peer, time_ms now)
{
	return smtp_server_new(options, peer, now);
}

#define SUBMIT_BUSY "421 4.3.2 Too many connections, please try again later\r\n"
#define IMAP_BUSY "* BYE [UNAVAILABLE] Too many connections, please try again later\r\n"
#define POP3_BUSY "-ERR [SYS/TEMP] Too many connections, please try again later\r\n"

#define BANNED_WORDS "Too many failed logins from your address; it is kept out for a time\r\n"
#define IMAP_BANNED "* BYE " BANNED_WORDS
#define POP3_BANNED "-ERR [AUTH] " BANNED_WORDS
#define SUBMIT_BANNED "421 4.7.0 " BANNED_WORDS

static const struct front_protocol protocols[] = {
        {CONFIG_IMAP, false, IMAP_BUSY, imap_options_new, imap_new, IMAP_BANNED, NULL},
        {CONFIG_IMAPS, true, IMAP_BUSY, imap_options_new, imap_new, IMAP_BANNED, NULL},
        {CONFIG_POP3, false, POP3_BUSY, pop3_options_new, pop3_new, POP3_BANNED, NULL},
        {CONFIG_POP3S, true, POP3_BUSY, pop3_options_new, pop3_new, POP3_BANNED, NULL},
        {CONFIG_SUBMISSION, false, SUBMIT_BUSY, submit_options_new, submit_new, SUBMIT_BANNED,
         NULL},
        {CONFIG_SUBMISSIONS, true, SUBMIT_BUSY, submit_options_new, submit_new, SUBMIT_BANNED,
         NULL},
        {ROLE_SUBMIT, false, SUBMIT_BUSY, submit_options_new, submit_new, SUBMIT_BANNED, NULL},
};

static enum result start(struct role_context *r, struct why *why)
{
	return front_start(r, protocols, sizeof(protocols) / sizeof(*protocols), why);
}

static const struct role_ops ops = {
        .warm = front_warm,
        .start = start,
        .answer = front_answer,
        .event = front_event,
        .peer_lost = front_peer_lost,
        .peer_back = front_peer_back,
        .listener = front_listener,
        .listener_closed = front_listener_closed,
        .config = front_config,
        .stop = front_stop,
};

const struct role role_access = {
        .name = "access",
        .bit = ACCESS,
        .does = "submission, IMAP and POP3",
        .rights = SANDBOX_ACCEPT,
        .answerers = STORE | KEEPER,
        .signs = true,
        .protocols = 1 << CONFIG_IMAP | 1 << CONFIG_IMAPS | 1 << CONFIG_POP3 | 1 << CONFIG_POP3S |
                     1 << CONFIG_SUBMISSION | 1 << CONFIG_SUBMISSIONS | 1 << ROLE_SUBMIT,
        .ops = &ops,
};
