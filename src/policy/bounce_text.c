#include "policy/bounce_text.h"

#include "base/text.h"
#include "mail/address.h"

enum { SAID_MAX = 2000, LINE_MAX_LEN = 1000, LEAD_MAX = 60, ABOUT_MAX = 32768, OWN_MAX = 8 };

static bool has_any(struct bytes text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes_find_nocase(text, bytes_of_text(words[i])) != BYTES_NONE)
			return true;
	}
	return false;
}
#define HAS_ANY(text, words) has_any(text, words, sizeof(words) / sizeof((words)[0]))

/* ---- is it a bounce? ---- */

static const char *const daemons[] = {
        "mailer-daemon", "postmaster", "mail delivery", "mailer daemon", "mail deliver system",
        "post_master",   "mailadmin",  "mail-daemon",   "maildaemon",    "system administrator",
        "mmsc",          "no-reply@",  "noreply@"};

static const char *const subjects[] = {"undeliver",
                                       "delivery fail",
                                       "delivery status",
                                       "delivery notification",
                                       "delivery report",
                                       "delivery error",
                                       "delivery problem",
                                       "failure notice",
                                       "failed delivery",
                                       "returned mail",
                                       "mail delivery",
                                       "mail system error",
                                       "non-deliver",
                                       "nondeliver",
                                       "could not be delivered",
                                       "could not send",
                                       "warning: could not",
                                       "warning: message",
                                       "delayed mail",
                                       "delivery delay",
                                       "email delivery failure",
                                       "message delivery",
                                       "loop alert",
                                       "error sending your mail",
                                       "mail failure",
                                       "not delivered",
                                       "unable to deliver",
                                       "unzustellbar",
                                       "non remis",
                                       "no se puede entregar",
                                       "配信",
                                       "届け",
                                       "送信でき",
                                       "エラーメール",
                                       "不達",
                                       "返送",
                                       "未達"};

static const char *const phrases[] = {"could not be delivered",
                                      "couldn't be delivered",
                                      "not delivered",
                                      "unable to deliver",
                                      "delivery to the following",
                                      "undeliverable",
                                      "failed permanently",
                                      "rejected by",
                                      "could not deliver",
                                      "wasn't able to deliver",
                                      "error delivering",
                                      "fatal error",
                                      "delivery errors",
                                      "failed to deliver",
                                      "delivery has failed",
                                      "delivery failed",
                                      "user unknown",
                                      "unknown user",
                                      "was not delivered",
                                      "did not reach",
                                      "cannot be delivered",
                                      "can not be delivered",
                                      "not be sent",
                                      "rejected recipient",
                                      "no valid recipients",
                                      "invalid user address",
                                      "has been in the queue",
                                      "still being retried",
                                      "trouble delivering",
                                      "failure reasons",
                                      "notificationtype",
                                      "exceeds allowed size",
                                      "account is disabled",
                                      "transcript of session",
                                      "may not exist",
                                      "duplicated message-id",
                                      "has not been delivered",
                                      "配信できません",
                                      "配信されません",
                                      "送信できません",
                                      "送信に失敗",
                                      "届けられません",
                                      "届きません",
                                      "不達",
                                      "宛先が見つかりません",
                                      "送信エラー"};

bool bounce_text_is_bounce(const struct bounce_parts *p, struct arena *arena)
{
	struct bytes subject = bounce_field(p->header, BYTES("Subject"), arena),
	             from = bounce_field(p->header, BYTES("From"), arena);
	int signs = 0;

	if (bounce_field(p->header, BYTES("X-Failed-Recipients"), arena).len > 0)
		return true;
	signs += HAS_ANY(from, daemons);
	signs += 2 * HAS_ANY(subject, subjects);
	signs += 2 * HAS_ANY(p->text, phrases);
	signs += p->report;
	signs += bytes_equal(bytes_trim(bounce_field(p->header, BYTES("Return-Path"), arena)),
	                     BYTES("<>"));
	return signs >= 3;
}

/* ---- hosts that were not reached ---- */

static const char *const no_domain[] = {"host unknown",
                                        "unknown host",
                                        "domain not found",
                                        "no such domain",
                                        "name service error for",
                                        "host not found",
                                        "host or domain name not found",
                                        "unrouteable domain",
                                        "nxdomain",
                                        "domain name not found",
                                        "could not find a gateway",
                                        "no mail exchanger",
                                        "unrouteable mail domain",
                                        "all relevant mx records point to non-existent hosts",
                                        "name lookup failed",
                                        "dns lookup failure",
                                        "domain does not exist",
                                        "unknown domain",
                                        "no route to domain",
                                        "host name lookup failure",
                                        "couldn't find any host",
                                        "couldn't find a mail exchanger",
                                        "bad host",
                                        "no such host",
                                        "null mx"};

static const char *const unreached[] = {"timed out",
                                        "connection refused",
                                        "no route to host",
                                        "network is unreachable",
                                        "retry timeout",
                                        "retry time not reached",
                                        "too long in the queue",
                                        "in the queue too long",
                                        "could not find a gateway",
                                        "all hosts have been failing",
                                        "did not accept our requests to connect",
                                        "been in the queue too",
                                        "message expired",
                                        "delivery time expired",
                                        "unable to deliver in",
                                        "connection dropped",
                                        "lost connection",
                                        "connection reset",
                                        "connection timeout",
                                        "conversation with",
                                        "delivery temporarily suspended",
                                        "couldn't connect",
                                        "could not connect",
                                        "unable to connect",
                                        "cannot connect",
                                        "establish an smtp connection",
                                        "could not contact",
                                        "still being retried",
                                        "not been delivered within",
                                        "was aborted after",
                                        "mailer-daemon timeout",
                                        "expired"};

bool bounce_text_is_network(struct bytes text, enum reply_class *ret_class)
{
	if (HAS_ANY(text, unreached))
		*ret_class = REPLY_NETWORK;
	else if (HAS_ANY(text, no_domain))
		*ret_class = REPLY_DOMAIN;
	else
		return false;
	return true;
}

/* ---- addresses in lines ---- */

static bool is_local_char(char c)
{
	return text_is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c && strchr("!#$%&'*+/=?^_`{|}~.-", c));
}

static bool is_domain_char(char c)
{
	return text_is_alnum(c) || (unsigned char)c >= 0x80 || c == '.' || c == '-' || c == '_';
}

/* The quoted string that ends before `at`: where it begins, or `at`. */
static size_t quoted_start(struct bytes line, size_t at)
{
	if (at < 2 || line.ptr[at - 1] != '"')
		return at;
	for (size_t i = at - 1; i > 0; i--) {
		if (line.ptr[i - 1] == '"')
			return i - 1;
	}
	return at;
}

/* An ASCII label that goes on in another script: what follows is text without a blank. */
static bool is_script_change(struct bytes line, size_t at, size_t end)
{
	return end > at + 1 && (unsigned char)line.ptr[end] >= 0x80 &&
	       text_is_alnum(line.ptr[end - 1]);
}

/* The address around the @ at `at`; false: there is none. */
static bool address_around(struct bytes line, size_t at, size_t *ret_start, size_t *ret_end)
{
	size_t start = quoted_start(line, at), end = at + 1;

	if (start == at) {
		while (start > 0 && is_local_char(line.ptr[start - 1]))
			start--;
		while (start < at && strchr("'=/`*|", line.ptr[start]))
			start++;
	}
	while (end < line.len && is_domain_char(line.ptr[end]) && !is_script_change(line, at, end))
		end++;
	while (end > at + 1 && strchr(".-_", line.ptr[end - 1]))
		end--;
	*ret_start = start;
	*ret_end = end;
	return start < at && end > at + 1 && end - start < 320;
}

/* DOUBTFUL: said as a recipient, but it is who the bounce went to or came from. */
enum rank { RANK_NONE, RANK_NAMED, RANK_DOUBTFUL, RANK_LABELLED, RANK_LEADING };

/* What stands before an address on its line says what it is. */
static enum rank rank_of(struct bytes lead)
{
	static const char *const not_recipient[] = {
	        "from",    "sender",  "contact",  "reply-to",  "envelope",   "please", "message-id",
	        "subject", "http",    "received", "hello",     "hallo",      "dear",   "mailto:",
	        "help",    "support", " by ",     "x-postfix", "target mail"};
	static const char *const labels[] = {"rcpt to", "recipient", "to:",          "delivered to",
	                                     "deliver", "address",   "unknown user", "user",
	                                     "failed",  "receiver",  "mailbox",      "account",
	                                     "for ",    "to <",      "error",        "smtp",
	                                     "5",       "宛先",      "アドレス"};

	lead = bytes_skip(lead, lead.len > LEAD_MAX ? lead.len - LEAD_MAX : 0);
	while (lead.len > 0 && strchr(" \t<\"'*>-:[(.=", lead.ptr[0]))
		lead = bytes_skip(lead, 1);
	if (lead.len == 0)
		return RANK_LEADING;
	struct bytes near = bytes_skip(lead, lead.len > 22 ? lead.len - 22 : 0);
	if (bytes_find_nocase(near, BYTES("\"emailAddress")) != BYTES_NONE ||
	    bytes_find_nocase(near, BYTES("\"recipients")) != BYTES_NONE)
		return RANK_LEADING; /* Amazon's notices */
	if (HAS_ANY(lead, not_recipient))
		return RANK_NONE;
	return HAS_ANY(lead, labels) ? RANK_LABELLED : RANK_NAMED;
}

static bool is_role(struct bytes address)
{
	static const char *const roles[] = {"postmaster@", "mailer-daemon@", "support@",
	                                    "abuse@",      "hostmaster@",    "noc@",
	                                    "helpdesk@",   "no-reply@",      "noreply@"};

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (bytes_starts_nocase(address, bytes_of_text(roles[i])))
			return true;
	}
	return false;
}

/* ---- candidates ---- */

struct candidate {
	struct bytes address;
	size_t at; /* where its line begins */
	enum rank rank;
};

struct scan {
	struct candidate *items;
	size_t count;
	struct bytes own[OWN_MAX]; /* whom the bounce came from and went to: not who failed */
	size_t own_count;
	struct arena *arena;
};

static bool is_own(const struct scan *s, struct bytes address)
{
	for (size_t i = 0; i < s->own_count; i++) {
		if (bytes_equal_nocase(s->own[i], address))
			return true;
	}
	return false;
}

static void take_candidate(struct scan *s, struct bytes address, size_t at, enum rank rank)
{
	if (rank == RANK_NONE)
		return;
	if (is_role(address) || is_own(s, address))
		rank = rank >= RANK_LABELLED ? RANK_DOUBTFUL : RANK_NONE;
	for (size_t i = 0; i < s->count; i++) {
		struct candidate *c = &s->items[i];
		if (!bytes_equal_nocase(c->address, address))
			continue;
		if (rank > c->rank) {
			c->rank = rank;
			c->at = at;
		}
		return;
	}
	if (s->count < BOUNCE_TEXT_ITEMS)
		s->items[s->count++] = (struct candidate){address, at, rank};
}

static void scan_line(struct scan *s, struct bytes line, size_t at)
{
	size_t from = 0;

	line = bytes_first(line, LINE_MAX_LEN);
	for (;;) {
		size_t sign = bytes_find_char(bytes_skip(line, from), '@'), start, end;
		if (sign == BYTES_NONE)
			return;
		sign += from;
		if (address_around(line, sign, &start, &end)) {
			struct bytes address = bytes_of(line.ptr + start, end - start);
			take_candidate(s, address, at, rank_of(bytes_first(line, start)));
		}
		from = end > sign ? end : sign + 1;
	}
}

static void add_own(struct scan *s, struct bytes value)
{
	struct address *a = address_parse(bytes_first(value, 4096), s->arena);

	for (; a && s->own_count < OWN_MAX; a = a->next) {
		struct buf b = {0};
		if (a->kind != ADDRESS_MAILBOX || a->domain.len == 0)
			continue;
		address_put(a, &b);
		s->own[s->own_count++] = arena_copy(s->arena, buf_bytes(&b));
		buf_done(&b);
	}
}

static void scan_text(struct scan *s, struct bytes text)
{
	struct bytes rest = text, line;

	for (size_t at = 0; bytes_cut(&rest, '\n', &line); at = text.len - rest.len)
		scan_line(s, line, at);
}

static enum rank best_rank(const struct scan *s)
{
	enum rank best = RANK_NONE;

	for (size_t i = 0; i < s->count; i++)
		best = s->items[i].rank > best ? s->items[i].rank : best;
	return best;
}

/* ---- what is said ---- */

/* On one line, at most SAID_MAX octets. */
static struct bytes joined(struct bytes text, struct arena *arena)
{
	struct buf out = {0};
	struct bytes line;

	while (bytes_cut(&text, '\n', &line) && buf_len(&out) < SAID_MAX) {
		line = bytes_trim(line);
		if (line.len > 0 && buf_len(&out) > 0)
			buf_append_char(&out, ' ');
		buf_append(&out, bytes_first(line, SAID_MAX));
	}
	struct bytes said = arena_copy(arena, bytes_first(buf_bytes(&out), SAID_MAX));
	buf_done(&out);
	return said;
}

static bool begins_with_address(struct bytes line)
{
	size_t at = bytes_find_char(bytes_first(line, LINE_MAX_LEN), '@'), start, end;

	return at != BYTES_NONE &&
	       address_around(bytes_first(line, LINE_MAX_LEN), at, &start, &end) &&
	       rank_of(bytes_first(line, start)) == RANK_LEADING;
}

/* From `at` up to the next line that begins with another address. */
static struct bytes paragraph(struct bytes text, size_t at)
{
	struct bytes whole = bytes_skip(text, at), rest = whole, line;
	bool first = true;

	while (bytes_cut(&rest, '\n', &line)) {
		size_t end = whole.len - rest.len;
		if (!first && begins_with_address(line))
			return bytes_first(whole, end - line.len - (rest.len > 0 ? 1 : 0));
		if (end > SAID_MAX)
			return bytes_first(whole, end);
		first = false;
	}
	return whole;
}

struct bytes bounce_text_about(struct bytes text, struct bytes address)
{
	size_t at = bytes_find_nocase(bytes_first(text, ABOUT_MAX), address);

	if (at == BYTES_NONE)
		return (struct bytes){0};
	size_t line = bytes_find_last(bytes_first(text, at), '\n');
	return paragraph(text, line == BYTES_NONE ? 0 : line + 1);
}

/* The address itself says nothing, even if its local part is "unknown.user". */
static struct bytes without_address(struct bytes said, struct bytes address, struct arena *arena)
{
	struct buf out = {0};

	for (;;) {
		size_t at = bytes_find_nocase(said, address);
		buf_append(&out, bytes_first(said, at));
		if (at == BYTES_NONE)
			break;
		buf_append_text(&out, "@");
		said = bytes_skip(said, at + address.len);
	}
	struct bytes text = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return text;
}

/* Does it say anything beyond the address? */
static bool is_telling(struct bytes said)
{
	struct reply_facts facts = {0};
	enum reply_class class;
	struct reply_judgement judged;

	if (reply_parse(said, &facts) || bounce_text_is_network(said, &class))
		return true;
	facts = (struct reply_facts){.code = 550, .text = said, .stage = REPLY_AT_END, .tries = 99};
	reply_judge(&facts, &judged);
	return strcmp(judged.row, "code") != 0 && strcmp(judged.row, "status") != 0;
}

static struct bytes said_of(struct bytes text, const struct candidate *c, size_t count,
                            struct arena *arena)
{
	struct bytes said = without_address(joined(paragraph(text, c->at), arena), c->address,
	                                    arena);

	if (count > 1 || is_telling(said))
		return said;
	return without_address(joined(text, arena), c->address, arena);
}

/* ---- together ---- */

static bool is_delayed(const struct bounce_parts *p, struct arena *arena)
{
	static const char *const words[] = {"still being retried",
	                                    "warning: could not send",
	                                    "delayed mail",
	                                    "warning: message",
	                                    "delivery delayed",
	                                    "is delayed",
	                                    "delivery status notification (delay)",
	                                    "you do not need to resend",
	                                    "will be retried until",
	                                    "will be retried for",
	                                    "technical details of temporary failure"};

	return HAS_ANY(bounce_field(p->header, BYTES("Subject"), arena), words) ||
	       HAS_ANY(p->text, words);
}

static void take_failed_header(struct scan *s, const struct bounce_parts *p)
{
	struct bytes value = bounce_field(p->header, BYTES("X-Failed-Recipients"), s->arena);

	size_t before = s->count;

	s->own_count = 0;
	scan_line(s, value, 0);
	for (size_t i = before; i < s->count; i++)
		s->items[i].rank = RANK_LEADING;
	for (size_t i = 0; i < before; i++) {
		if (bytes_find_nocase(value, s->items[i].address) != BYTES_NONE)
			s->items[i].rank = RANK_LEADING;
	}
}

/* Nobody is named: it was the only one that the original went to. */
static void take_original(struct scan *s, const struct bounce_parts *p)
{
	size_t before = s->count;

	scan_line(s, bounce_field(p->original, BYTES("To"), s->arena), 0);
	if (s->count == before)
		scan_line(s, bounce_field(p->text, BYTES("To"), s->arena), 0);
	for (size_t i = before; i < s->count; i++)
		s->items[i].rank = RANK_LEADING;
}

void bounce_text_read(const struct bounce_parts *p, struct arena *arena, struct bounce_text *ret)
{
	struct scan s = {.items = arena_get(arena, BOUNCE_TEXT_ITEMS * sizeof(struct candidate)),
	                 .arena = arena};

	add_own(&s, bounce_field(p->header, BYTES("To"), arena));
	add_own(&s, bounce_field(p->header, BYTES("From"), arena));
	add_own(&s, bounce_field(p->original, BYTES("From"), arena));
	scan_text(&s, p->text);
	if (best_rank(&s) < RANK_LEADING)
		take_failed_header(&s, p);
	if (best_rank(&s) < RANK_DOUBTFUL)
		take_original(&s, p);
	enum rank best = best_rank(&s);
	*ret = (struct bounce_text){.delayed = is_delayed(p, arena)};
	ret->items = arena_get(arena, (s.count + 1) * sizeof(*ret->items));
	size_t chosen = 0;
	for (size_t i = 0; i < s.count; i++)
		chosen += s.items[i].rank == best;
	for (size_t i = 0; i < s.count; i++) {
		if (s.items[i].rank != best || best < RANK_DOUBTFUL)
			continue;
		ret->items[ret->count++] = (struct bounce_text_item){
		        s.items[i].address, said_of(p->text, &s.items[i], chosen, arena)};
	}
}
