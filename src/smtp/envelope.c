/* MAIL and RCPT (RFC 5321, 4.1.1.2 and 4.1.1.3), their parameters, and what ROUTE says of
 * recipients. */
#include "base/text.h"
#include "smtp/path.h"
#include "smtp/session.h"

typedef bool param_function(struct smtp_server *s, struct bytes value);

struct param {
	const char *name;
	param_function *set; /* false: it has replied */
	bool valued;
};

/* ---- parameters ---- */

static bool bad_value(struct smtp_server *s, const char *what)
{
	smtp_refuse(s, 501, "5.5.4", "%s", what);
	return false;
}

/* RFC 1870, 6 */
static bool param_size(struct smtp_server *s, struct bytes value)
{
	uint64_t size;

	if (value.len > 20 || bytes_to_u64(value, UINT64_MAX, &size) == INVALID)
		return bad_value(s, "SIZE takes a number of octets");
	if (bytes_to_u64(value, s->options->message_max, &size) != OK) {
		smtp_refuse(s, 552, "5.3.4", "Too big; at most %llu octets are accepted",
		            (unsigned long long)s->options->message_max);
		return false;
	}
	s->mail.declared = size;
	return true;
}

/* RFC 6152, 2 and RFC 3030, 3 */
static bool param_body(struct smtp_server *s, struct bytes value)
{
	if (bytes_equal_nocase(value, BYTES("8BITMIME")))
		s->mail.body |= 1;
	else if (bytes_equal_nocase(value, BYTES("BINARYMIME")))
		s->mail.body |= 2;
	else if (!bytes_equal_nocase(value, BYTES("7BIT")))
		return bad_value(s, "BODY takes 7BIT, 8BITMIME or BINARYMIME");
	return true;
}

/* RFC 6531, 3.4 */
static bool param_smtputf8(struct smtp_server *s, struct bytes value)
{
	s->mail.body |= 4;
	return true;
}

/* RFC 3461, 4.3 */
static bool param_ret(struct smtp_server *s, struct bytes value)
{
	if (bytes_equal_nocase(value, BYTES("FULL")))
		s->mail.ret = 1;
	else if (bytes_equal_nocase(value, BYTES("HDRS")))
		s->mail.ret = 2;
	else
		return bad_value(s, "RET takes FULL or HDRS");
	return true;
}

/* RFC 3461, 4.4: at most 100 octets before decoding */
static bool param_envid(struct smtp_server *s, struct bytes value)
{
	if (value.len > 100 || smtp_xtext_decode(value, &s->mail.arena, &s->mail.envid) != OK)
		return bad_value(s, "ENVID takes at most 100 octets of xtext");
	return true;
}

static struct smtp_rcpt *newest(struct smtp_mail *m)
{
	return &m->rcpts[(m->rcpt_first + m->rcpt_open) % SMTP_ROUTES];
}

/* RFC 3461, 4.1 */
static bool param_notify(struct smtp_server *s, struct bytes value)
{
	newest(&s->mail)->notify = smtp_notify_parse(value);
	return newest(&s->mail)->notify != 0 ||
	       bad_value(s, "NOTIFY takes NEVER, or SUCCESS, FAILURE, DELAY with commas");
}

/* RFC 3461, 4.2: "rfc822;xtext", at most 500 octets */
static bool param_orcpt(struct smtp_server *s, struct bytes value)
{
	size_t semicolon = bytes_find_char(value, ';');

	if (value.len > 500 || semicolon == BYTES_NONE || semicolon == 0 ||
	    semicolon + 1 == value.len ||
	    smtp_xtext_decode(value, &s->mail.arena, &newest(&s->mail)->orcpt) != OK)
		return bad_value(s, "ORCPT takes type;address as xtext, at most 500 octets");
	return true;
}

static const struct param mail_params[] = {
        {"SIZE", param_size, true},          {"BODY", param_body, true},   {"RET", param_ret, true},
        {"SMTPUTF8", param_smtputf8, false}, {"ENVID", param_envid, true},
};
static const struct param rcpt_params[] = {
        {"NOTIFY", param_notify, true},
        {"ORCPT", param_orcpt, true},
};

enum { MAIL_PARAMS = 5, RCPT_PARAMS = 2 };

static bool take_param(struct smtp_server *s, const struct param *known, size_t count,
                       struct bytes name, struct bytes value, bool valued, unsigned *seen)
{
	for (size_t i = 0; i < count; i++) {
		if (!bytes_equal_nocase(name, bytes_of_text(known[i].name)))
			continue;
		if (*seen & 1u << i || valued != known[i].valued)
			return bad_value(s, *seen & 1u << i
			                            ? "A parameter stands there twice"
			                            : "A parameter has no value, or one too many");
		*seen |= 1u << i;
		return known[i].set(s, value);
	}
	/* RFC 5321, 4.1.1.11 */
	smtp_refuse(s, 555, "5.5.4", "Unknown parameter %.*s; EHLO lists what is accepted",
	            BYTES_ARG(bytes_first(name, 40)));
	return false;
}

static bool take_params(struct smtp_server *s, const struct param *known, size_t count,
                        struct bytes params)
{
	struct bytes name, value;
	unsigned seen = 0;
	bool valued;

	while (smtp_param_next(&params, &name, &value, &valued))
		if (!take_param(s, known, count, name, value, valued, &seen))
			return false;
	return params.len == 0 || bad_value(s, "A parameter is malformed: NAME=value");
}

/* ---- MAIL ---- */

static bool refuse_utf8(struct smtp_server *s, struct bytes address)
{
	if (text_is_ascii(address) || s->mail.body & 4)
		return false;
	/* RFC 6531, 3.5 */
	smtp_refuse(s, 553, "5.6.7", "A non-ASCII address needs SMTPUTF8 after MAIL FROM");
	return true;
}

static bool domain_is_bad(struct bytes address, struct arena *arena)
{
	size_t at = bytes_find_last(address, '@');
	struct bytes domain;

	return at != BYTES_NONE &&
	       config_domain_canonical(bytes_skip(address, at + 1), arena, &domain) == INVALID;
}

/* The sender is kept as written: it is for others to compare (RFC 5321, 2.4). */
static bool sender_is_good(struct smtp_server *s, struct bytes address)
{
	struct bytes tidy;
	enum result r;

	if (address.len == 0)
		return true;
	if (refuse_utf8(s, address))
		return false;
	r = config_address_tidy(address, &s->mail.arena, &tidy);
	if (r == TOO_BIG)
		smtp_refuse(s, 501, "5.1.7", "The sender's address is too long");
	else if (r != OK && domain_is_bad(address, &s->mail.arena))
		smtp_refuse(s, 501, "5.1.8", "The sender's domain is no domain name");
	else if (r != OK || bytes_find_char(address, '@') == BYTES_NONE)
		smtp_refuse(s, 501, "5.1.7", "The sender's address is malformed: user@domain");
	else
		return true;
	return false;
}

static bool may_mail(struct smtp_server *s)
{
	if (s->phase == PHASE_START)
		smtp_refuse(s, 503, "5.5.1", "First say EHLO or HELO");
	else if (s->phase != PHASE_READY)
		smtp_refuse(s, 503, "5.5.1", "A mail is under way; RSET forgets it");
	else if (s->mails >= s->options->mails_max)
		smtp_hang_up(s, 421, "4.7.0", "%.*s Enough mail for one session; connect again",
		             BYTES_ARG(s->options->hostname));
	else
		return true;
	return false;
}

void smtp_cmd_mail(struct smtp_server *s, struct bytes args)
{
	struct bytes address, params;
	enum result r;

	if (!may_mail(s))
		return;
	r = smtp_path_cut(args, BYTES("FROM:"), &address, &params);
	if (r == NOT_FOUND) {
		smtp_refuse(s, 500, "5.5.2", "Write: MAIL FROM:<address>");
	} else if (r != OK) {
		smtp_refuse(s, 501, "5.1.7", "The sender's address is malformed: <user@domain>");
	} else if (take_params(s, mail_params, MAIL_PARAMS, params) && sender_is_good(s, address)) {
		s->mail.sender = arena_copy(&s->mail.arena, address);
		s->phase = PHASE_MAIL;
		smtp_reply(s, 250, "2.1.0", "Sender OK");
		return;
	}
	smtp_mail_reset(s);
}

/* ---- RCPT ---- */

static bool rcpt_canonical(struct smtp_server *s, struct bytes address, struct bytes *ret)
{
	enum result r;

	if (refuse_utf8(s, address))
		return false;
	r = config_address_canonical(address, &s->mail.arena, ret);
	if (r == TOO_BIG)
		smtp_refuse(s, 501, "5.1.3", "The recipient's address is too long");
	else if (r != OK && domain_is_bad(address, &s->mail.arena))
		smtp_refuse(s, 501, "5.1.2", "The recipient's domain is no domain name");
	else if (r != OK || (bytes_find_char(*ret, '@') == BYTES_NONE &&
	                     !bytes_equal(*ret, BYTES("postmaster"))))
		smtp_refuse(s, 501, "5.1.3", "The recipient's address is malformed: user@domain");
	else
		return true;
	return false;
}

/* Is there room for one more? RFC 5321, 4.5.3.1.10: the client sends the rest as another mail. */
static bool has_room(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	if (m->rcpt_good < s->options->recipients_max)
		return true;
	smtp_refuse(s, 452, "4.5.3", "Too many recipients; send the rest as another mail");
	return false;
}

static bool may_rcpt(struct smtp_server *s)
{
	if (s->phase == PHASE_MAIL)
		return has_room(s);
	smtp_refuse(s, 503, "5.5.1",
	            s->phase == PHASE_BDAT ? "The mail has begun; no more recipients"
	                                   : "First say MAIL FROM:<address>");
	return false;
}

void smtp_cmd_rcpt(struct smtp_server *s, struct bytes args)
{
	struct smtp_mail *m = &s->mail;
	struct bytes address, params;
	enum result r;

	if (!may_rcpt(s))
		return;
	*newest(m) = (struct smtp_rcpt){0};
	r = smtp_path_cut(args, BYTES("TO:"), &address, &params);
	if (r == NOT_FOUND) {
		smtp_refuse(s, 500, "5.5.2", "Write: RCPT TO:<address>");
	} else if (r != OK || address.len == 0) {
		smtp_refuse(s, 501, "5.1.3", "The recipient's address is malformed: <user@domain>");
	} else if (take_params(s, rcpt_params, RCPT_PARAMS, params) &&
	           rcpt_canonical(s, address, &newest(m)->address)) {
		m->rcpt_open++;
	}
}

bool smtp_rcpt_ask(struct smtp_server *s, struct ask *ret)
{
	struct smtp_mail *m = &s->mail;

	for (unsigned i = 0; i < m->rcpt_open; i++) {
		struct smtp_rcpt *r = &m->rcpts[(m->rcpt_first + i) % SMTP_ROUTES];

		if (r->asked)
			continue;
		r->asked = true;
		r->number = smtp_number(s);
		*ret = (struct ask){.kind = ASK_ROUTE,
		                    .number = r->number,
		                    .route = {.rcpt = r->address, .size = m->declared}};
		return true;
	}
	return false;
}

void smtp_rcpt_answer(struct smtp_server *s, const struct answer *a)
{
	struct smtp_mail *m = &s->mail;

	for (unsigned i = 0; i < m->rcpt_open; i++) {
		struct smtp_rcpt *r = &m->rcpts[(m->rcpt_first + i) % SMTP_ROUTES];

		if (!r->asked || r->answered || r->number != a->number)
			continue;
		r->answered = true;
		r->result = a->result;
		r->class = a->result == OK ? a->route.class : ROUTE_UNKNOWN;
		s->active = s->now;
	}
	smtp_flush_rcpts(s);
}

/* ---- the reply to RCPT ---- */

struct refusal {
	int code;
	const char *enhanced, *text;
};

static const struct refusal route_refusals[] = {
        [ROUTE_UNKNOWN] = {550, "5.1.1", "there is no such mailbox here; check the address"},
        [ROUTE_REMOTE] = {550, "5.7.1",
                          "is not ours, and we do not relay; use your own mail server"},
        [ROUTE_FULL] = {452, "4.2.2", "the mailbox is full; try again later"},
};

static const size_t ROUTE_REFUSALS = sizeof(route_refusals) / sizeof(route_refusals[0]);

static const struct refusal *refusal_of(const struct smtp_rcpt *r)
{
	static const struct refusal unknown_now = {451, "4.3.0",
	                                           "cannot be looked up just now; try again soon"};
	static const struct refusal malformed = {550, "5.1.3", "is no address that can exist here"};

	if (r->result == INVALID || r->result == TOO_BIG)
		return &malformed;
	if (r->result != OK)
		return &unknown_now;
	if ((size_t)r->class < ROUTE_REFUSALS && route_refusals[r->class].code)
		return &route_refusals[r->class];
	if (r->class == ROUTE_DIRECT || r->class == ROUTE_QUEUE || r->class == ROUTE_SUSPENDED)
		return NULL;
	return &unknown_now;
}

/* False: LIMIT_ENVELOPE has no room for it. */
static bool pack(struct smtp_mail *m, const struct smtp_rcpt *r)
{
	if (buf_len(&m->recipients) + r->address.len + r->orcpt.len + 9 > LIMIT_ENVELOPE)
		return false;
	buf_block(&m->recipients, r->address);
	buf_u8(&m->recipients, r->notify);
	buf_block(&m->recipients, r->orcpt);
	m->only_rcpt = m->rcpt_good == 0 ? r->address : (struct bytes){0};
	m->rcpt_good++;
	return true;
}

/* Refused recipients are no errors of the client's where others were good: a list has dead
 * addresses. Guessing names is. */
static void refuse_rcpt(struct smtp_server *s, int code, const char *enhanced, struct bytes address,
                        const char *text)
{
	s->mail.rcpt_refused++;
	smtp_decline(s, code, enhanced, "<%.*s> %s", BYTES_ARG(address), text);
	if (code >= 500 && s->mail.rcpt_good == 0)
		smtp_count_error(s);
}

/* Goes straight to the output, before the replies of the RCPTs that are still open. */
void smtp_rcpt_reply(struct smtp_server *s, const struct smtp_rcpt *r)
{
	const struct refusal *no = refusal_of(r);
	unsigned open = s->mail.rcpt_open;

	s->mail.rcpt_open = 0;
	s->verb = "RCPT";
	if (no)
		refuse_rcpt(s, no->code, no->enhanced, r->address, no->text);
	else if (pack(&s->mail, r))
		smtp_reply(s, 250, "2.1.5", "<%.*s> OK", BYTES_ARG(r->address));
	else
		refuse_rcpt(s, 452, "4.5.3", r->address,
		            "is one too many; send the rest as another mail");
	s->mail.rcpt_open = open;
}
