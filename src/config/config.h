/* What the operator wrote under etc/, as values: options, listeners, domains, aliases, dot files,
 * certificates.
 *
 *	config_parse(sources, count, &c, &why)  master's unprivileged child: files in, values out
 *	config_encode(c, &buf)                  ... into a sealed memory file
 *	config_decode(bytes, &c, &why)          each role
 *
 * It is pure: sources come in as octets, nothing is read, nothing logged. A config is immutable and
 * owns all its memory; sessions keep the one they began with. Missing configuration closes, never
 * opens: without a domain every recipient is refused. Any error leaves *ret untouched, so the
 * caller keeps the previous good version.
 *
 * It also says where an address leads. There are two verbs for that, neither with callbacks:
 *
 *	config_route   one recipient at RCPT: a hash lookup or two in the ordinary case (store)
 *	config_expand  all that a recipient ends in, through aliases and dot files (sorter)
 *
 * It is not: the accounts (store has them), private keys (keeper reads them), the sorter's work.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/ip.h"
#include "base/limits.h"
#include "base/time.h"

/* ---- values of options (config/options.def) ---- */

struct config_words {
	struct bytes *items;
	size_t count;
};

struct config_ips {
	struct ip *items;
	size_t count;
};

struct config_prefixes {
	struct ip_prefix *items;
	size_t count;
};

typedef bool config_flag;
typedef uint64_t config_number;
typedef uint64_t config_points; /* hundredths of a point */
typedef uint64_t config_size;   /* octets */
typedef time_ms config_duration;
typedef struct bytes config_text;
typedef unsigned config_choice; /* position among the accepted words */
typedef struct config_words config_words;
typedef struct config_ips config_ips;
typedef struct config_prefixes config_prefixes;
bool config_prefixes_contain(const struct config_prefixes *list, const struct ip *ip);

enum config_sandbox { CONFIG_SANDBOX_AUTO, CONFIG_SANDBOX_REQUIRE };
enum config_plaintext {
	CONFIG_PLAINTEXT_NEVER,
	CONFIG_PLAINTEXT_LOOPBACK,
	CONFIG_PLAINTEXT_ALWAYS
};
enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };

/* Words of `protocol`; the standard ports are 25, 143, 993, 110, 995, 587, 465. The s-forms begin with TLS.
 */
enum config_protocol {
	CONFIG_SMTP,
	CONFIG_IMAP,
	CONFIG_IMAPS,
	CONFIG_POP3,
	CONFIG_POP3S,
	CONFIG_SUBMISSION,
	CONFIG_SUBMISSIONS,
	CONFIG_PROTOCOL_COUNT
};

/* `listener NAME { protocol smtp  address 0.0.0.0 ::  port 25  proxy-from 10.0.0.0/8 }`. Without
 * any such section there is one listener a protocol on the addresses of `listen`. `ports` is added
 * where the section names no port. */
struct config_listener {
	struct bytes name;
	enum config_protocol protocol;
	struct config_ips addresses;
	uint16_t port;
	struct config_prefixes
	        proxy_from; /* peers that must begin with a PROXY header (proxy/proxy.h) */
};

bool config_protocol_is_tls(enum config_protocol p);
const char *config_protocol_name(enum config_protocol p);

/* ---- mail going out: where else than to the recipient's MX, and from which address ---- */

enum config_smarthost_tls {
	CONFIG_SMARTHOST_MAY,
	CONFIG_SMARTHOST_MUST,
	CONFIG_SMARTHOST_IMPLICIT
};

/* `route NAME { to DOMAIN ...  from DOMAIN-or-address ...  host H  port P  tls may|must|implicit  user U }`: mail for these
 * destinations and of these senders goes through host H. Without `to` every destination, without `from` every sender; a
 * `.domain` is all below it. Its password is keys/smarthost/NAME (keeper's). */
struct config_smarthost {
	struct bytes name;
	struct config_words to;        /* canonical domains, or ".domain" */
	struct config_words from;      /* the same, or canonical addresses */
	struct bytes host;             /* canonical domain, or an address without [] */
	uint16_t port;                 /* default: 465 implicit, 587 with a user, else 25 */
	enum config_smarthost_tls tls; /* default: must with a user, else may */
	struct bytes user;             /* empty: no AUTH */
	bool fallback; /* carry.fallback-route names it and it has neither `to` nor `from`: for that only */
};

/* `source NAME { domain D ...  address IP [IP6]  helo NAME }`: mail of senders in these domains leaves from these addresses,
 * with this name in EHLO. Without `domain` it is for all other senders. */
struct config_origin {
	struct bytes name;
	struct config_words domains; /* canonical, or ".domain" */
	struct ip ip4, ip6;          /* all zero: any */
	struct bytes helo;           /* empty: hostname */
};

/* ---- judging mail that comes in ---- */

enum config_own_domain {
	CONFIG_OWN_DOMAIN_OFF,
	CONFIG_OWN_DOMAIN_SCORE,
	CONFIG_OWN_DOMAIN_JUNK,
	CONFIG_OWN_DOMAIN_REFUSE
};

/* `judge-for NAME { for DOMAIN-or-address ...  junk P  refuse P }`: other thresholds for these recipients. Of several that
 * name a recipient the one with its address counts, then the one with its domain, then as written. */
struct config_judge {
	struct bytes name;
	struct config_words recipients; /* canonical domains, ".domain", or canonical addresses */
	config_points junk, refuse;     /* 0: never; default: the section judge's */
};

/* `list NAME { zone Z  kind ip|domain|allow  use refuse|junk|score|mark  points P  codes C ...  key K }`: a block or allow list in
 * the DNS (RFC 5782). A name that config/lists.def knows needs none of these but `use` and a key where its zone has one. */
enum { CONFIG_DOMAIN_LISTS = 6 }; /* of kind domain: each is asked about many names of a mail */
enum config_list_kind { CONFIG_LIST_IP, CONFIG_LIST_DOMAIN, CONFIG_LIST_ALLOW };
enum config_list_use {
	CONFIG_LIST_SCORE, /* its points count */
	CONFIG_LIST_MARK,  /* it is only noted */
	CONFIG_LIST_JUNK,  /* what is listed goes to Junk */
	CONFIG_LIST_REFUSE
};

/* One documented answer: octet by octet a range; the last may be bits instead. */
struct config_list_code {
	uint8_t from[4], to[4];
	uint8_t bits;         /* not 0: some of these bits are set in the last octet */
	bool refused;         /* it says that the list does not answer us */
	uint8_t percent;      /* of the list's points */
	struct bytes meaning; /* a word; may be empty */
};

struct config_list {
	struct bytes name;
	struct bytes zone;  /* what is asked, with the key */
	struct bytes shown; /* the same without it, for people */
	enum config_list_kind kind;
	enum config_list_use use;
	config_points points;
	bool ipv4, ipv6; /* addresses that it has entries for */
	bool base;       /* of domains: the registered domain is asked, not the whole name */
	struct bytes listed, clean; /* test entries, before the zone: must be there, must not */
	struct config_list_code *codes;
	size_t code_count;
};

/* ---- telling the operator ---- */

enum config_alarm_way {
	CONFIG_ALARM_NONE,
	CONFIG_ALARM_WEBHOOK,
	CONFIG_ALARM_MAIL,
	CONFIG_ALARM_COLLECT /* `hikyaku alarms run` fetches it */
};

/* `alarm NAME { webhook URL | mail ADDRESS | collect  language en|ja }`: each incident is told there. What a webhook's requests are
 * signed with is keys/alarm/NAME (keeper's). */
struct config_alarm {
	struct bytes name;
	enum config_alarm_way way;
	struct bytes target; /* the URL, or the address */
	struct bytes host;   /* the URL's: a name, or an IPv4 address */
	uint16_t port;       /* that it names; 0: none, 443 */
	bool japanese;
};

/* etc/tls/NAME.pem: the chain, as the file has it. keys/tls/NAME.key is keeper's. */
struct config_certificate {
	struct bytes name;
	struct bytes pem;
};

/* A user of this machine, from /etc/passwd: who is at the other end of run/submit.sock. */
struct config_user {
	uint32_t uid;
	struct bytes name;
};

struct config_tables; /* aliases and dot files, compiled */

struct config {
#define OPTION(type, field, section, key, value, min, max, accepts, help) config_##type field;
#include "config/options.def"
#undef OPTION
	/* domains are canonical: lower case, A-labels; the first is where bare names live */
	struct config_listener *listeners;
	size_t listener_count;
	struct config_certificate *certificates; /* chosen and ordered by tls.certificate */
	size_t certificate_count;
	struct config_user *users; /* in order of uid, one a uid */
	size_t user_count;
	struct config_tables *tables;
	struct config_smarthost *smarthosts; /* as written: the first that fits is taken */
	size_t smarthost_count;
	struct config_origin *origins;
	size_t origin_count;
	struct config_judge *judges;
	size_t judge_count;
	struct config_list *lists;
	size_t list_count;
	struct config_alarm *alarms;
	size_t alarm_count;
	struct arena arena;
};

/* ---- making one ---- */

/* A file under etc/: its name relative to it ("hikyaku.conf", "virtual",
 * "dot/ken@example.test/default", "tls/mx.pem") and its text. */
struct config_source {
	struct bytes name;
	struct bytes text;
};

/* Does the configuration use a file of this name? Others (.history, editors' backups) need not be
 * read. */
bool config_source_wanted(struct bytes name);

/* INVALID with why "virtual:12: ...": what is wrong, what is accepted, the nearest known key.
 * Sources may come in any order and may be forgotten afterwards. No hikyaku.conf, or no hostname in
 * it, is an error. */
enum result config_parse(const struct config_source *sources, size_t count, struct config **ret,
                         struct why *why) MUST_USE;

void config_encode(const struct config *c, struct buf *out);
enum result config_decode(struct bytes in, struct config **ret, struct why *why) MUST_USE;
void config_free(struct config **c); /* sets *c to NULL; NULL is fine */

/* ---- users of this machine ----
 *
 * config_users_set belongs to making one: before it is encoded. Names that could not stand unquoted in an address are left
 * out; of several with one uid the first counts. What passwd did not have when the configuration was read is unknown until
 * the next reload. */
enum { CONFIG_USERS = 100000 };
void config_users_set(struct config *c, struct bytes passwd);

/* Empty: unknown. */
struct bytes config_user_name(const struct config *c, uint32_t uid);

/* The sender of what this user sends: by the option sendmail.sender (whose words name a user, or a uid in digits), else
 * name@hostname ("uid1000@hostname" where the name is unknown). In lower case; no ICU here. */
struct bytes config_user_sender(const struct config *c, uint32_t uid, struct arena *arena);

/* May this user put this address (canonical, or empty: the null sender) as sender? By the option sendmail.senders; the
 * null sender and what config_user_sender gives always, and so name@hostname. */
bool config_user_may_send(const struct config *c, uint32_t uid, struct bytes address);

/* ---- listing them: `hikyaku config` ---- */

struct config_option_info {
	const char *section; /* "" is the top */
	const char *key;
	const char *type;    /* "size" */
	const char *value;   /* the default, as one would write it */
	const char *accepts; /* of a choice: "auto|require"; else "" */
	uint64_t min, max;
	const char *help;
};

size_t config_option_count(void);
const struct config_option_info *config_option_info(size_t nth);
/* The value in force, as one would write it; an empty list or text is written as nothing. Appends.
 */
void config_option_value(const struct config *c, size_t nth, struct buf *out);

/* ---- addresses ---- */

/* The form that addresses are compared in: domain in lower case as A-labels (IDNA, RFC 5891), local
 * part unquoted where it need not be, NFC and case-folded (RFC 6532, 3.1). Accepts `local@domain`,
 * a quoted local part, an address literal and a bare local part (the result has none either).
 * INVALID: malformed or no such domain name; TOO_BIG: longer than LIMIT_ADDRESS or its parts longer
 * than RFC 5321 allows. Uses ICU; everything below takes what this gives. */
enum result config_address_canonical(struct bytes address, struct arena *arena,
                                     struct bytes *ret) MUST_USE;

/* The domain alone. */
enum result config_domain_canonical(struct bytes domain, struct arena *arena,
                                    struct bytes *ret) MUST_USE;

/* The same, but the local part is kept as written: for addresses that are not ours (RFC 5321, 2.4).
 */
enum result config_address_tidy(struct bytes address, struct arena *arena,
                                struct bytes *ret) MUST_USE;

/* Is this domain (canonical) ours? */
bool config_domain_is_ours(const struct config *c, struct bytes domain);

/* ---- which way out (courier) ---- */

/* The first route for mail of this sender (empty: null) to this destination (a canonical domain or [address]). NULL: by MX. */
const struct config_smarthost *config_smarthost_for(const struct config *c, struct bytes sender,
                                                    struct bytes destination);
/* NULL: no such route. */
const struct config_smarthost *config_smarthost_named(const struct config *c, struct bytes name);
/* NULL: there is none of this name. */
const struct config_alarm *config_alarm_named(const struct config *c, struct bytes name);
const struct config_list *config_list_named(const struct config *c, struct bytes name);
/* The source for this sender. NULL: any address, hostname. */
const struct config_origin *config_origin_for(const struct config *c, struct bytes sender);

/* ---- what a recipient's mail may score ---- */

/* Hundredths; 0: never. rcpt is canonical. */
void config_judge_for(const struct config *c, struct bytes rcpt, uint64_t *ret_junk,
                      uint64_t *ret_refuse);

/* ---- where one recipient leads (store, ROUTE) ----
 *
 *	struct config_route r;
 *	config_route_begin(&r, c, rcpt);
 *	while (r.state == CONFIG_ROUTE_ASK)
 *		config_route_next(&r, there_is_an_account(r.address));
 *
 * No ICU, no allocation; rcpt is canonical (ASCII letters are folded once more, which costs
 * nothing). Order of what is looked at, after virtual(5): alias user+ext@domain, alias user@domain,
 * alias user+ext and user (bare, in the first domain), the account user+ext@domain, the account
 * user@domain, alias @domain; then for postmaster and abuse the option postmaster, then the first
 * account. Other than in Postfix an account wins over @domain: a catch-all catches what is left.
 * One alias to one local address is followed here, up to CONFIG_DEPTH. */

enum { CONFIG_DEPTH = 10, CONFIG_TARGETS = 1000 };

enum config_route_state {
	CONFIG_ROUTE_ASK,     /* is there an account `address`? */
	CONFIG_ROUTE_ACCOUNT, /* the account `address`, no dot file: place it */
	CONFIG_ROUTE_DOT,     /* the account `address` with a dot file: the sorter's */
	CONFIG_ROUTE_ALIAS,   /* several targets or remote ones: the sorter's */
	CONFIG_ROUTE_FIRST, /* postmaster or abuse, and nobody is named: the first account; if there
	                       is none, unknown */
	CONFIG_ROUTE_UNKNOWN, /* our domain, nobody there; also a loop of aliases */
	CONFIG_ROUTE_REMOTE,  /* not ours */
};

struct config_route {
	enum config_route_state state;
	struct bytes address; /* into text: the account, asked about or found; else the recipient in
	                         canonical form */
	bool own; /* with ACCOUNT and DOT: the recipient itself names the account, no alias led
	             there */
	/* private */
	const struct config *config;
	unsigned step, depth;
	bool identity, postmaster;
	char rcpt[LIMIT_ADDRESS + 1];
	char current[LIMIT_ADDRESS + 1];
	char text[LIMIT_ADDRESS + 1];
	size_t rcpt_len, current_len;
};

void config_route_begin(struct config_route *r, const struct config *c, struct bytes rcpt);
void config_route_next(struct config_route *r, bool exists);

/* Is mail for this canonical address looked through for DMARC reports (dmarc.reports)? */
bool config_takes_reports(const struct config *c, struct bytes address);

/* ---- all that a recipient ends in (sorter) ----
 *
 * A restartable pure function over facts: which accounts exist. UNAVAILABLE: ret->missing names all
 * that it can already tell it needs; ask for them (ROUTE says it in `account`), add the facts, call
 * again.
 *
 *	while (config_expand(c, rcpt, facts, fact_count, &arena, &x, &why) == UNAVAILABLE)
 *		ask for x.missing, wait, append to facts
 *
 * Each leaf stands once, however many ways lead to it. OK with no leaf cannot be: an address
 * without an account behind it is a CONFIG_LEAF_UNKNOWN. INVALID: a loop, too deep or too many; why
 * names file and line. */

struct config_fact {
	struct bytes address; /* canonical */
	bool exists;
};

enum config_leaf_kind {
	CONFIG_LEAF_PLACE,  /* account `address`, mailbox `mailbox` (UTF-8, / separates; INBOX) */
	CONFIG_LEAF_REMOTE, /* forward to `address`, written as the operator did */
	CONFIG_LEAF_HOLD, /* a |program line while programs cannot be run: `why` says which file and
	                     line */
	CONFIG_LEAF_UNKNOWN, /* nobody at `address` */
	CONFIG_LEAF_FIRST, /* postmaster or abuse and nobody is named: redirect to `address`; store
	                      knows the first account */
};

struct config_leaf {
	enum config_leaf_kind kind;
	struct bytes address;
	struct bytes mailbox;
	struct bytes from; /* the file and line that led here, "virtual:12"; empty: the recipient
	                      itself */
};

struct config_expansion {
	struct config_leaf *leaves;
	size_t leaf_count;
	struct bytes *missing;
	size_t missing_count;
};

/* What is returned is the arena's; addresses may borrow from c. */
enum result config_expand(const struct config *c, struct bytes rcpt,
                          const struct config_fact *facts, size_t fact_count, struct arena *arena,
                          struct config_expansion *ret, struct why *why) MUST_USE;

#endif
