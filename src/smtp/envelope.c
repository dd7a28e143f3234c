/* MAIL and RCPT (RFC 5321, 4.1.1.2 and 4.1.1.3), what SENDER says of the one and ROUTE of the
 * others. */
#include "base/text.h"
#include "smtp/path.h"
#include "smtp/session.h"

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
	else if (s->options->submission && !s->logged_in)
		/* RFC 4954, 6 */
		smtp_refuse(s, 530, "5.7.0", "First log in (AUTH)%s",
		            s->options->starttls && !s->tls ? "; STARTTLS comes before it" : "");
	else if (s->phase != PHASE_READY)
		smtp_refuse(s, 503, "5.5.1", "A mail is under way; RSET forgets it");
	else if (s->mails >= s->options->mails_max)
		smtp_hang_up(s, 421, "4.7.0", "%.*s Enough mail for one session; connect again",
		             BYTES_ARG(s->options->hostname));
	else
		return true;
	return false;
}

/* A local program may leave the domain out. */
static struct bytes with_domain(struct smtp_server *s, struct bytes address)
{
	if (!s->peer.local || address.len == 0 || bytes_find_char(address, '@') != BYTES_NONE)
		return address;
	return arena_printf(&s->mail.arena, "%.*s@%.*s", BYTES_ARG(address),
	                    BYTES_ARG(s->options->hostname));
}

/* The sender is good as far as its form goes: in submission its right is asked about. */
static void begin_mail(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	m->recipients_left = UINT32_MAX;
	if (!s->options->submission) {
		s->phase = PHASE_MAIL;
		smtp_judge_mail(s);
		smtp_reply(s, 250, "2.1.0", "Sender OK");
		return;
	}
	m->sender_asked = false;
	s->wait = WAIT_SENDER;
	if (m->sender.len > 0 &&
	    config_address_canonical(m->sender, &m->arena, &m->sender_canonical) != OK)
		m->sender_canonical = m->sender;
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
	} else {
		address = with_domain(s, address);
		if (smtp_mail_params(s, params) && sender_is_good(s, address)) {
			s->mail.sender = arena_copy(&s->mail.arena, address);
			begin_mail(s);
			return;
		}
	}
	smtp_mail_reset(s);
}

/* ---- SENDER ---- */

bool smtp_sender_ask(struct smtp_server *s, struct ask *ret)
{
	struct smtp_mail *m = &s->mail;

	if (s->wait != WAIT_SENDER || m->sender_asked)
		return false;
	m->sender_asked = true;
	m->sender_number = smtp_number(s);
	*ret = (struct ask){.kind = ASK_SENDER,
	                    .number = m->sender_number,
	                    .sender = {.address = m->sender_canonical,
	                               .local_uid = s->peer.local ? s->peer.uid + 1 : 0}};
	return true;
}

bool smtp_sender_refusal(struct smtp_server *s, const struct answer *a, struct bytes address,
                         struct smtp_refusal *ret)
{
	struct arena *arena = &s->mail.arena;
	struct bytes user = buf_bytes(&s->user);

	*ret = (struct smtp_refusal){0};
	switch (a->result) {
	case OK:
		if (a->sender.allowed)
			return false;
		ret->code = 550;
		ret->enhanced = "5.7.1";
		ret->text = arena_printf(
		        arena,
		        "<%.*s> is not yours to send as; use <%.*s> or an alias that "
		        "leads to it",
		        BYTES_ARG(address), BYTES_ARG(user));
		return true;
	case OVER_QUOTA:
		ret->code = 452;
		ret->text = a->why.len ? a->why : BYTES("That is all that you may send for now");
		break;
	case DENIED:
		ret->code = 450;
		ret->text = a->why.len ? a->why
		                       : BYTES("What you send is held; ask the postmaster");
		break;
	case INVALID:
	case TOO_BIG:
		ret->code = 550;
		ret->enhanced = "5.1.7";
		ret->text = arena_printf(arena, "<%.*s> is no address", BYTES_ARG(address));
		return true;
	default:
		ret->code = 451;
		ret->enhanced = "4.3.0";
		ret->text = BYTES(
		        "Your right to send cannot be looked up just now; try again soon");
		return true;
	}
	ret->enhanced = "4.7.1";
	ret->text = arena_copy(arena, ret->text);
	return true;
}

void smtp_sender_answer(struct smtp_server *s, const struct answer *a)
{
	struct smtp_mail *m = &s->mail;
	struct smtp_refusal no;

	if (s->wait != WAIT_SENDER || !m->sender_asked || a->number != m->sender_number)
		return;
	s->wait = WAIT_NONE;
	s->active = s->now;
	s->verb = "MAIL";
	if (smtp_sender_refusal(s, a, m->sender, &no)) {
		smtp_refuse(s, no.code, no.enhanced, "%.*s", BYTES_ARG(no.text));
		smtp_mail_reset(s);
		return;
	}
	m->recipients_left = a->sender.recipients_left;
	s->phase = PHASE_MAIL;
	/* RFC 6710, 4.1: the new priority comes first. */
	if (m->priority_lowered)
		smtp_reply(s, 250, "2.3.6", "%d is the priority that this mail gets", m->priority);
	else
		smtp_reply(s, 250, "2.1.0", "Sender OK");
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
	else if (r != OK || (bytes_find_char(*ret, '@') == BYTES_NONE && !s->peer.local &&
	                     !bytes_equal(*ret, BYTES("postmaster"))))
		smtp_refuse(s, 501, "5.1.3", "The recipient's address is malformed: user@domain");
	else
		return true;
	return false;
}

uint32_t smtp_rcpts_max(const struct smtp_server *s)
{
	uint32_t left = s->mail.recipients_left;

	return left < s->options->recipients_max ? left : s->options->recipients_max;
}

/* Is there room for one more? RFC 5321, 4.5.3.1.10: the client sends the rest as another mail. */
static bool has_room(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	if (m->rcpt_good < smtp_rcpts_max(s))
		return true;
	if (m->rcpt_good >= m->recipients_left)
		smtp_refuse(s, 452, "4.7.1",
		            "You may send to %u more recipients for now; try the others later",
		            m->recipients_left);
	else
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
	*smtp_rcpt_newest(m) = (struct smtp_rcpt){0};
	r = smtp_path_cut(args, BYTES("TO:"), &address, &params);
	if (r == NOT_FOUND) {
		smtp_refuse(s, 500, "5.5.2", "Write: RCPT TO:<address>");
	} else if (r != OK || address.len == 0) {
		smtp_refuse(s, 501, "5.1.3", "The recipient's address is malformed: <user@domain>");
	} else if (smtp_rcpt_params(s, params) &&
	           rcpt_canonical(s, address, &smtp_rcpt_newest(m)->address)) {
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

/* A bare name is an address only here: others need its domain, too. */
static void complete(struct smtp_server *s, struct smtp_rcpt *r, const struct answer *a)
{
	if (!s->peer.local || bytes_find_char(r->address, '@') != BYTES_NONE)
		return;
	if (a->result == OK && bytes_find_char(a->route.address, '@') != BYTES_NONE)
		r->address = arena_copy(&s->mail.arena, a->route.address);
	else
		r->address = arena_printf(&s->mail.arena, "%.*s@%.*s", BYTES_ARG(r->address),
		                          BYTES_ARG(s->options->domain));
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
		complete(s, r, a);
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

static const struct refusal *refusal_of(const struct smtp_server *s, const struct smtp_rcpt *r)
{
	static const struct refusal unknown_now = {451, "4.3.0",
	                                           "cannot be looked up just now; try again soon"};
	static const struct refusal malformed = {550, "5.1.3", "is no address that can exist here"};

	if (r->result == INVALID || r->result == TOO_BIG)
		return &malformed;
	if (r->result != OK)
		return &unknown_now;
	if (r->class == ROUTE_REMOTE && s->options->submission)
		return NULL;
	if ((size_t)r->class < ROUTE_REFUSALS && route_refusals[r->class].code)
		return &route_refusals[r->class];
	if (r->class == ROUTE_DIRECT || r->class == ROUTE_QUEUE || r->class == ROUTE_SUSPENDED)
		return NULL;
	return &unknown_now;
}

/* False: LIMIT_ENVELOPE has no room for it. */
static bool pack(struct smtp_server *s, const struct smtp_rcpt *r)
{
	struct smtp_mail *m = &s->mail;

	if (buf_len(&m->recipients) + r->address.len + r->orcpt.len + 9 > LIMIT_ENVELOPE)
		return false;
	buf_block(&m->recipients, r->address);
	buf_u8(&m->recipients, r->notify);
	buf_block(&m->recipients, r->orcpt);
	m->remote |= r->class == ROUTE_REMOTE;
	m->only_rcpt = m->rcpt_good == 0 ? r->address : (struct bytes){0};
	m->rcpt_good++;
	smtp_judge_rcpt(s, r->address);
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
	const struct refusal *no = refusal_of(s, r);
	unsigned open = s->mail.rcpt_open;

	s->mail.rcpt_open = 0;
	s->verb = "RCPT";
	if (no)
		refuse_rcpt(s, no->code, no->enhanced, r->address, no->text);
	else if (pack(s, r))
		smtp_reply(s, 250, "2.1.5", "<%.*s> OK", BYTES_ARG(r->address));
	else
		refuse_rcpt(s, 452, "4.5.3", r->address,
		            "is one too many; send the rest as another mail");
	s->mail.rcpt_open = open;
}
