#include "policy/bounce.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/words.h"
#include "policy/bounce_parts.h"
#include "policy/bounce_text.h"

enum { DIAGNOSTIC_MAX = 1000, ADDRESS_MAX = 320 };

/* ---- results ---- */

static bool has_recipient(const struct bounce *b, struct bytes address)
{
	for (size_t i = 0; i < b->count; i++) {
		if (bytes_equal_nocase(b->recipients[i].address, address))
			return true;
	}
	return false;
}

/* The list doubles: arenas give nothing back, and there are few. */
static void add(struct bounce *b, struct arena *arena, const struct bounce_recipient *r)
{
	if (b->count == BOUNCE_RECIPIENTS || has_recipient(b, r->address))
		return;
	if ((b->count & (b->count - 1)) == 0) {
		struct bounce_recipient *more = arena_get(arena, (b->count ? b->count * 2 : 1) *
		                                                         sizeof(*more));
		if (b->count > 0)
			memcpy(more, b->recipients, b->count * sizeof(*more));
		b->recipients = more;
	}
	b->recipients[b->count++] = *r;
}

/* ---- is the address bad? ---- */

static bool is_row(const struct reply_judgement *j, const char *name)
{
	return strcmp(j->row, name) == 0;
}

/* Who says "unknown" only after the mail's end knows the mailbox and refuses it: a filter. */
static bool is_after_data(struct bytes text)
{
	static const char *const words[] = {"end of data", "final data", "smtp command data"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (bytes_find_nocase(text, bytes_of_text(words[i])) != BYTES_NONE)
			return true;
	}
	return false;
}

/* What a status says of the address, beside words: bad (x.1), or there (x.2.0), or refused (x.7). */
static bool is_of(struct bytes status, const char *part)
{
	return status.len > 4 && bytes_starts(bytes_skip(status, 1), bytes_of_text(part));
}

static enum bounce_weight weigh(const struct reply_judgement *j, struct bytes status,
                                struct bytes text)
{
	if (status.len > 0 && status.ptr[0] == '2')
		return BOUNCE_OTHER;
	if (j->class == REPLY_DOMAIN)
		return is_row(j, "relay") || is_row(j, "relay-first") ? BOUNCE_SOFT : BOUNCE_HARD;
	if (j->class != REPLY_MAILBOX)
		return BOUNCE_SOFT;
	if (is_of(status, ".1.") && !is_of(status, ".1.8"))
		return BOUNCE_HARD;
	if (is_row(j, "code") || is_of(status, ".7.") || is_of(status, ".2.0") ||
	    is_after_data(text))
		return BOUNCE_SOFT;
	return BOUNCE_HARD;
}

static bool is_status(struct bytes s)
{
	return s.len >= 5 && s.len < 12 &&
	       (s.ptr[0] == '2' || s.ptr[0] == '4' || s.ptr[0] == '5') && s.ptr[1] == '.';
}

/* "5.0.0" says no more than its class. */
static bool is_vague(struct bytes s)
{
	return s.len < 5 || bytes_equal(bytes_skip(s, 1), BYTES(".0.0"));
}

static bool is_guess(const struct reply_judgement *j)
{
	return is_row(j, "code") || is_row(j, "status");
}

static unsigned code_of(struct bytes status)
{
	return !is_status(status) || status.ptr[0] == '5' ? 550 : status.ptr[0] == '4' ? 450 : 250;
}

/* The reply in `said`, from its code on; when that says nothing, all that is said. *ret_status is what
 * the reply itself names. */
static struct reply_judgement judge_words(struct bytes said, struct bytes given, struct bytes host,
                                          struct bytes *ret_status, bool *ret_parsed)
{
	struct reply_facts f = {
	        .stage = REPLY_AT_RCPT, .host = host, .own_sender = true, .tries = 99};
	struct reply_judgement j;
	bool parsed = reply_parse(said, &f) && f.code >= 400;

	*ret_status = parsed ? f.status : (struct bytes){0};
	*ret_parsed = parsed;
	if (!parsed)
		f.code = code_of(given);
	if ((!parsed || is_vague(f.status)) && is_status(given))
		f.status = is_vague(given) ? (struct bytes){0} : given;
	f.text = parsed ? f.text : said;
	reply_judge(&f, &j);
	if (parsed && is_guess(&j)) {
		struct reply_facts again = f;
		struct reply_judgement second;
		again.text = said;
		reply_judge(&again, &second);
		return is_guess(&second) ? j : second;
	}
	return j;
}

/* The report's status, unless it is vague, or the reply's own contradicts it. */
static struct bytes choose_status(struct bytes given, struct bytes own, struct bytes judged)
{
	bool own_says = is_status(own) && !is_vague(own);

	if (is_status(given) && (!own_says || (!is_vague(given) && given.ptr[0] == own.ptr[0])))
		return given;
	if (own_says)
		return own;
	return is_status(own) ? own : judged;
}

/* A host that was never reached, or that does not exist: `network` says which. */
static void judge_network(struct bounce_recipient *r, enum reply_class network, bool status_known)
{
	bool gone = network == REPLY_DOMAIN;

	r->class = network;
	if (!status_known)
		r->status = gone ? BYTES("5.1.2") : BYTES("4.4.1");
	r->weight = gone && r->status.ptr[0] == '5' ? BOUNCE_HARD : BOUNCE_SOFT;
}

/* Judges what is known of a recipient: its status and diagnostic as they were given, else the words
 * around it. A refusal that was understood beats words about the network, which gateways like to add
 * ("retry timeout exceeded"); "not found" without a reply may be the host. */
static void judge(struct bounce_recipient *r, struct bytes around)
{
	struct bytes said = r->diagnostic.len > 0 ? r->diagnostic : around, own, given = r->status;
	bool parsed;
	struct reply_judgement j = judge_words(said, given, r->remote, &own, &parsed);
	bool understood = !is_guess(&j) && j.class != REPLY_TEMPORARY && j.class != REPLY_DOMAIN &&
	                  (parsed || j.class != REPLY_MAILBOX);
	enum reply_class network;
	bool unreached = bounce_text_is_network(said, &network),
	     status_known = is_status(given) || is_status(own);

	r->status = choose_status(given, own, j.status);
	r->class = j.class;
	r->weight = weigh(&j, r->status, around);
	if (unreached && !understood)
		judge_network(r, j.class == REPLY_DOMAIN && !is_guess(&j) ? REPLY_DOMAIN : network,
		              status_known);
	else if (unreached && j.class == REPLY_MAILBOX_FULL && !status_known)
		r->status = BYTES("4.2.2"); /* it was tried to the end */
}

/* ---- groups of fields (RFC 3464, 2.3) ---- */

struct group {
	struct buf fields[6];
	int last; /* the field that a folded line goes on with; -1: none of ours */
};
enum { FINAL, ORIGINAL, ACTION, STATUS, DIAGNOSTIC, REMOTE, FIELDS };

static const char *const field_names[FIELDS] = {"Final-Recipient", "Original-Recipient",
                                                "Action",          "Status",
                                                "Diagnostic-Code", "Remote-MTA"};

static struct bytes after_type(struct bytes value)
{
	size_t semicolon = bytes_find_char(value, ';');

	return bytes_trim(semicolon == BYTES_NONE ? value : bytes_skip(value, semicolon + 1));
}

/* "rfc822;<ken@example.test>" or with words around it. Empty: there is no address. */
static struct bytes address_of(struct bytes value, struct arena *arena)
{
	struct address *a = address_parse(bytes_first(after_type(value), LIMIT_HEADER_FIELD),
	                                  arena);
	struct buf text = {0};

	for (; a && (a->kind != ADDRESS_MAILBOX || a->domain.len == 0 || a->bare); a = a->next)
		;
	if (a && a->local.len > 0)
		address_put(a, &text);
	struct bytes address = arena_copy(arena, bytes_first(buf_bytes(&text), ADDRESS_MAX));
	buf_done(&text);
	return address;
}

static struct bytes lower(struct bytes word, struct arena *arena)
{
	char *copy = arena_text(arena, word);

	text_lower(copy, word.len);
	return bytes_of(copy, word.len);
}

/* A status with a comment or zeros in it: "5.1.1 (bad destination)", "5.01.001". */
static struct bytes status_of(struct bytes value)
{
	size_t len = 0;

	value = bytes_trim(value);
	while (len < value.len && (text_is_digit(value.ptr[len]) || value.ptr[len] == '.'))
		len++;
	struct bytes status = bytes_first(value, len);
	return is_status(status) ? status : (struct bytes){0};
}

struct reading {
	struct bounce *bounce;
	struct arena *arena;
	const struct bounce_parts *parts;
};

static struct bytes field(struct group *g, int n, struct arena *arena)
{
	return arena_copy(arena, bytes_trim(bytes_first(buf_bytes(&g->fields[n]), DIAGNOSTIC_MAX)));
}

static struct bytes utf8_field(struct group *g, int n, struct arena *arena)
{
	struct buf out = {0};

	words_decode(bytes_trim(bytes_first(buf_bytes(&g->fields[n]), DIAGNOSTIC_MAX)), &out);
	struct bytes text = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return text;
}

/* "@relay.example:ken@server": a source route (RFC 5321, appendix C), a name inside of a system. */
static bool is_route(struct bytes value)
{
	return bytes_starts(after_type(value), BYTES("@"));
}

static void flush(struct reading *r, struct group *g)
{
	struct bounce_recipient found = {
	        .address = address_of(buf_bytes(&g->fields[FINAL]), r->arena)};

	struct bytes original = address_of(buf_bytes(&g->fields[ORIGINAL]), r->arena);
	if (original.len > 0 && (found.address.len == 0 || is_route(buf_bytes(&g->fields[FINAL]))))
		found.address = original;
	if (found.address.len > 0) {
		struct bytes diagnostic = utf8_field(g, DIAGNOSTIC, r->arena);
		found.action = lower(field(g, ACTION, r->arena), r->arena);
		found.status = status_of(field(g, STATUS, r->arena));
		found.diagnostic = after_type(diagnostic);
		found.remote = after_type(field(g, REMOTE, r->arena));
		struct bytes around = bounce_text_about(r->parts->text, found.address);
		judge(&found, around);
		if (bytes_starts(found.action, BYTES("deliver")) ||
		    bytes_starts(found.action, BYTES("relay")) ||
		    bytes_starts(found.action, BYTES("expand")))
			found.weight = BOUNCE_OTHER;
		else if (bytes_starts(found.action, BYTES("delay")))
			found.weight = BOUNCE_SOFT;
		add(r->bounce, r->arena, &found);
	}
	for (int i = 0; i < FIELDS; i++)
		buf_done(&g->fields[i]);
	g->last = -1;
}

static int field_of(struct bytes line)
{
	size_t colon = bytes_find_char(bytes_first(line, 24), ':');

	if (colon == BYTES_NONE)
		return -1;
	for (int i = 0; i < FIELDS; i++) {
		if (bytes_equal_nocase(bytes_trim(bytes_first(line, colon)),
		                       bytes_of_text(field_names[i])))
			return i;
	}
	return -1;
}

static void take_line(struct reading *r, struct group *g, struct bytes line)
{
	int n = field_of(line);

	if (bytes_trim(line).len == 0) {
		if (buf_len(&g->fields[FINAL]) + buf_len(&g->fields[ORIGINAL]) > 0)
			flush(r, g);
		g->last = -1;
	} else if (n >= 0) {
		if ((n == FINAL || n == ORIGINAL) && buf_len(&g->fields[n]) > 0)
			flush(r, g);
		buf_clear(&g->fields[n]);
		buf_append(&g->fields[n],
		           bytes_trim(bytes_skip(line, bytes_find_char(line, ':') + 1)));
		g->last = n;
	} else if (g->last >= 0 && text_is_blank(line.ptr[0])) {
		buf_append_char(&g->fields[g->last], ' ');
		buf_append(&g->fields[g->last], bytes_trim(line));
	} else {
		g->last = -1;
	}
}

static void read_groups(struct reading *r, struct bytes text)
{
	struct group g = {.last = -1};
	struct bytes line;

	while (bytes_cut(&text, '\n', &line))
		take_line(r, &g, line);
	flush(r, &g);
}

/* ---- text that is no report ---- */

static void read_text(struct reading *r)
{
	struct bounce_text t;

	bounce_text_read(r->parts, r->arena, &t);
	for (size_t i = 0; i < t.count; i++) {
		struct bounce_recipient found = {
		        .address = t.items[i].address,
		        .action = t.delayed ? BYTES("delayed") : BYTES("failed"),
		        .diagnostic = t.items[i].said,
		};
		judge(&found, found.diagnostic);
		if (t.delayed)
			found.weight = BOUNCE_SOFT;
		if (t.delayed && bytes_equal(found.status, BYTES("5.0.0")))
			found.status = BYTES("4.0.0");
		add(r->bounce, r->arena, &found);
	}
}

/* ---- complaints and vacation ---- */

static void add_other(struct reading *r, struct bytes address)
{
	struct bounce_recipient found = {.address = address, .weight = BOUNCE_OTHER};

	add(r->bounce, r->arena, &found);
}

/* All fields of this name (RFC 5965, 3.2: Original-Rcpt-To may stand several times). */
static void add_fields(struct reading *r, struct bytes text, struct bytes name)
{
	struct bytes line;

	while (bytes_cut(&text, '\n', &line)) {
		struct bytes address = address_of(bounce_field(line, name, r->arena), r->arena);
		if (address.len > 0)
			add_other(r, address);
	}
}

/* Whom the mail was for; often it is blotted out. */
static void read_feedback(struct reading *r)
{
	add_fields(r, r->parts->feedback, BYTES("Original-Rcpt-To"));
	if (r->bounce->count == 0)
		add_fields(r, r->parts->feedback, BYTES("Removal-Recipient"));
	if (r->bounce->count > 0)
		return;
	struct bytes to = address_of(bounce_field(r->parts->original, BYTES("To"), r->arena),
	                             r->arena);
	add_other(r, to.len > 0 ? to : BYTES("undisclosed"));
}

/* Is it an answer that nobody typed (RFC 3834, 5), not about delivery? */
static bool is_vacation(const struct bounce_parts *p, struct arena *arena)
{
	struct bytes submitted = bounce_field(p->header, BYTES("Auto-Submitted"), arena),
	             from = bounce_field(p->header, BYTES("From"), arena),
	             subject = bounce_field(p->header, BYTES("Subject"), arena);
	static const char *const starts[] = {"automatic reply",   "auto:",     "auto reply",
	                                     "auto-reply",        "autoreply", "out of office",
	                                     "out of the office", "自動応答",  "自動返信"};

	if (bytes_find_nocase(from, BYTES("postmaster@")) != BYTES_NONE ||
	    bytes_find_nocase(from, BYTES("mailer-daemon")) != BYTES_NONE)
		return false; /* not a person's */
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		if (bytes_starts_nocase(subject, bytes_of_text(starts[i])))
			return true;
	}
	return bytes_starts_nocase(submitted, BYTES("auto-replied")) ||
	       bounce_field(p->header, BYTES("X-Autoreply"), arena).len > 0 ||
	       bounce_field(p->header, BYTES("X-Autorespond"), arena).len > 0;
}

/* Amazon's notices in JSON, plain or quoted once more. */
static bool is_notice_of(struct bytes text, const char *type)
{
	size_t at = bytes_find(text, BYTES("notificationType"));
	struct bytes near = bytes_first(bytes_skip(text, at), 40);

	return at != BYTES_NONE && bytes_find(near, bytes_of_text(type)) != BYTES_NONE;
}

static bool is_complaint(const struct bounce_parts *p, struct arena *arena)
{
	struct bytes subject = bounce_field(p->header, BYTES("Subject"), arena);

	return p->feedback.len > 0 ||
	       bytes_starts_nocase(subject, BYTES("complaint about message"));
}

/* ---- together ---- */

static struct bytes without_brackets(struct bytes id)
{
	id = bytes_trim(id);
	if (id.len > 1 && id.ptr[0] == '<')
		id = bytes_first(bytes_skip(id, 1), bytes_find_char(bytes_skip(id, 1), '>'));
	return id;
}

static enum bounce_kind kind_of(const struct bounce *b)
{
	for (size_t i = 0; i < b->count; i++) {
		if (b->recipients[i].weight != BOUNCE_OTHER)
			return BOUNCE_FAILURE;
	}
	return BOUNCE_DELIVERED;
}

static void read_notice(struct reading *r)
{
	bool complaint = is_notice_of(r->parts->text, "Complaint");
	struct bounce_text t;

	bounce_text_read(r->parts, r->arena, &t);
	for (size_t i = 0; i < t.count; i++) {
		struct bounce_recipient found = {
		        .address = t.items[i].address,
		        .status = complaint ? (struct bytes){0} : BYTES("2.0.0"),
		        .action = complaint ? (struct bytes){0} : BYTES("delivered"),
		        .weight = BOUNCE_OTHER};
		add(r->bounce, r->arena, &found);
	}
}

static void read_failures(struct reading *r)
{
	read_groups(r, r->parts->status);
	if (r->bounce->count == 0)
		read_groups(r, r->parts->text);
	if (is_notice_of(r->parts->text, "Complaint") || is_notice_of(r->parts->text, "Delivery"))
		read_notice(r);
	else if (r->bounce->count == 0 && bounce_text_is_bounce(r->parts, r->arena))
		read_text(r);
}

static void read_vacation(struct reading *r)
{
	struct bytes from = address_of(bounce_field(r->parts->header, BYTES("From"), r->arena),
	                               r->arena);

	r->bounce->kind = BOUNCE_VACATION;
	if (from.len > 0)
		add_other(r, from);
}

/* depth: a report that was handed on as it was, in a report or in words. */
static void read_mail(struct bytes mail, unsigned depth, struct arena *arena, struct bounce *ret)
{
	struct bounce_parts parts;
	struct reading r = {.bounce = ret, .arena = arena, .parts = &parts};

	bounce_parts_take(mail, arena, &parts);
	if (is_complaint(&parts, arena)) {
		read_feedback(&r);
		ret->kind = BOUNCE_FEEDBACK;
	} else {
		read_failures(&r);
		if (ret->count > 0)
			ret->kind = is_notice_of(parts.text, "Complaint") ? BOUNCE_FEEDBACK
			                                                  : kind_of(ret);
		else if (depth == 0 && parts.inner.len > 0 && bounce_text_is_bounce(&parts, arena))
			read_mail(parts.inner, depth + 1, arena, ret);
		else if (depth == 0 && is_vacation(&parts, arena) && !parts.report)
			read_vacation(&r);
	}
	if (ret->message_id.len == 0)
		ret->message_id = without_brackets(
		        bounce_field(parts.original, BYTES("Message-ID"), arena));
	if (ret->envid.len == 0)
		ret->envid = bounce_field(parts.status, BYTES("Original-Envelope-Id"), arena);
}

enum bounce_kind bounce_read(struct bytes mail, struct arena *arena, struct bounce *ret)
{
	*ret = (struct bounce){0};
	read_mail(mail, 0, arena, ret);
	return ret->kind;
}

const char *bounce_weight_name(enum bounce_weight weight)
{
	return weight == BOUNCE_HARD ? "hard" : weight == BOUNCE_SOFT ? "soft" : "other";
}
