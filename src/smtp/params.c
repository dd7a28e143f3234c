/* Parameters of MAIL and RCPT, each by its RFC, and what EHLO says of them. */
#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "smtp/path.h"
#include "smtp/session.h"

typedef bool param_function(struct smtp_server *s, struct bytes value);

struct param {
	const char *name;
	param_function *set; /* false: it has replied */
	bool valued;
	bool submission; /* known there alone */
};

static bool bad_value(struct smtp_server *s, const char *what)
{
	smtp_refuse(s, 501, "5.5.4", "%s", what);
	return false;
}

/* ---- for all ---- */

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

/* RFC 8689, 4.1: who asks for it in the clear has lost already. */
static bool param_requiretls(struct smtp_server *s, struct bytes value)
{
	if (!s->tls && !s->peer.local) {
		smtp_refuse(s, 530, "5.7.10", "REQUIRETLS is for mail that comes over TLS%s",
		            s->options->starttls ? ": say STARTTLS first" : "");
		return false;
	}
	s->mail.options |= 1;
	return true;
}

struct smtp_rcpt *smtp_rcpt_newest(struct smtp_mail *m)
{
	return &m->rcpts[(m->rcpt_first + m->rcpt_open) % SMTP_ROUTES];
}

/* RFC 3461, 4.1 */
static bool param_notify(struct smtp_server *s, struct bytes value)
{
	smtp_rcpt_newest(&s->mail)->notify = smtp_notify_parse(value);
	return smtp_rcpt_newest(&s->mail)->notify != 0 ||
	       bad_value(s, "NOTIFY takes NEVER, or SUCCESS, FAILURE, DELAY with commas");
}

/* RFC 3461, 4.2: "rfc822;xtext", at most 500 octets */
static bool param_orcpt(struct smtp_server *s, struct bytes value)
{
	size_t semicolon = bytes_find_char(value, ';');

	if (value.len > 500 || semicolon == BYTES_NONE || semicolon == 0 ||
	    semicolon + 1 == value.len ||
	    smtp_xtext_decode(value, &s->mail.arena, &smtp_rcpt_newest(&s->mail)->orcpt) != OK)
		return bad_value(s, "ORCPT takes type;address as xtext, at most 500 octets");
	return true;
}

/* ---- submission ---- */

/* RFC 4954, 5: who wrote the mail first. We know who hands it in; what others say of it is not passed on. */
static bool param_auth(struct smtp_server *s, struct bytes value)
{
	struct bytes decoded;

	return smtp_xtext_decode(value, &s->mail.arena, &decoded) == OK ||
	       bad_value(s, "AUTH takes an address as xtext, or <>");
}

static bool hold(struct smtp_server *s, time_ms at)
{
	if (s->options->hold_max_ms == 0) {
		smtp_refuse(s, 555, "5.5.4", "Mail is not held here; EHLO lists what is accepted");
		return false;
	}
	if (s->mail.hold_until != 0)
		return bad_value(s, "HOLDFOR and HOLDUNTIL exclude each other");
	if (at - s->now > s->options->hold_max_ms)
		return bad_value(s, "That is too far in the future; EHLO says how far is accepted");
	if (at <= s->now)
		return bad_value(s, "That time is over");
	s->mail.hold_until = at;
	return true;
}

/* RFC 4865, 4: seconds */
static bool param_holdfor(struct smtp_server *s, struct bytes value)
{
	uint64_t seconds;

	if (value.len > 9 || bytes_to_u64(value, 999999999, &seconds) != OK || seconds == 0)
		return bad_value(s, "HOLDFOR takes a number of seconds");
	return hold(s, s->now + (time_ms)seconds * 1000);
}

static bool number_at(struct bytes text, size_t at, size_t len, int most, int *ret)
{
	uint64_t n;

	if (at + len > text.len ||
	    bytes_to_u64(bytes_first(bytes_skip(text, at), len), (uint64_t)most, &n) != OK)
		return false;
	*ret = (int)n;
	return true;
}

/* "Z", "+09:00", after a fraction of a second that nobody needs. */
static bool parse_zone(struct bytes text, int *ret_minutes)
{
	int hours, minutes;

	if (text.len > 0 && text.ptr[0] == '.') {
		text = bytes_skip(text, 1);
		while (text.len > 0 && text_is_digit(text.ptr[0]))
			text = bytes_skip(text, 1);
	}
	*ret_minutes = 0;
	if (bytes_equal_nocase(text, BYTES("Z")))
		return true;
	if (text.len != 6 || (text.ptr[0] != '+' && text.ptr[0] != '-') || text.ptr[3] != ':' ||
	    !number_at(text, 1, 2, 23, &hours) || !number_at(text, 4, 2, 59, &minutes))
		return false;
	*ret_minutes = (hours * 60 + minutes) * (text.ptr[0] == '-' ? -1 : 1);
	return true;
}

/* RFC 3339, 5.6: 2026-11-24T09:00:00+09:00 */
static bool parse_rfc3339(struct bytes text, time_ms *ret)
{
	struct time_civil c = {0};

	if (text.len < 20 || text.ptr[4] != '-' || text.ptr[7] != '-' ||
	    text_upper_char(text.ptr[10]) != 'T' || text.ptr[13] != ':' || text.ptr[16] != ':')
		return false;
	if (!number_at(text, 0, 4, 9999, &c.year) || !number_at(text, 5, 2, 12, &c.month) ||
	    !number_at(text, 8, 2, 31, &c.day) || !number_at(text, 11, 2, 23, &c.hour) ||
	    !number_at(text, 14, 2, 59, &c.minute) || !number_at(text, 17, 2, 60, &c.second) ||
	    c.month == 0 || c.day == 0 || !parse_zone(bytes_skip(text, 19), &c.zone_minutes))
		return false;
	*ret = time_from_civil(&c);
	return true;
}

static bool param_holduntil(struct smtp_server *s, struct bytes value)
{
	time_ms at;

	if (!parse_rfc3339(value, &at))
		return bad_value(s, "HOLDUNTIL takes a time as 2026-11-24T09:00:00Z");
	return hold(s, at);
}

static bool parse_signed(struct bytes text, unsigned digits, int *ret)
{
	bool minus = text.len > 0 && text.ptr[0] == '-';
	uint64_t n;

	if (minus || (text.len > 0 && text.ptr[0] == '+'))
		text = bytes_skip(text, 1);
	if (text.len > digits || bytes_to_u64(text, INT32_MAX, &n) != OK)
		return false;
	*ret = minus ? -(int)n : (int)n;
	return true;
}

/* RFC 6710, 4: what is higher than we give is lowered, and the reply says so. */
static bool param_priority(struct smtp_server *s, struct bytes value)
{
	int priority;

	if (!parse_signed(value, 1, &priority))
		return bad_value(s, "MT-PRIORITY takes a number from -9 to 9");
	s->mail.priority_lowered = priority > s->options->priority_max;
	s->mail.priority = s->mail.priority_lowered ? s->options->priority_max : priority;
	return true;
}

/* RFC 2852, 4: BY=seconds;R or N, then maybe T */
static bool param_by(struct smtp_server *s, struct bytes value)
{
	size_t semicolon = bytes_find_char(value, ';');
	struct bytes mode = bytes_skip(value, semicolon);
	int seconds;

	if (semicolon == BYTES_NONE || mode.len < 2 || mode.len > 3 ||
	    !parse_signed(bytes_first(value, semicolon), 9, &seconds) ||
	    (mode.len == 3 && text_upper_char(mode.ptr[2]) != 'T'))
		return bad_value(s, "BY takes seconds;R or seconds;N, maybe with T after it");
	if (text_upper_char(mode.ptr[1]) == 'R')
		s->mail.by_mode = 1;
	else if (text_upper_char(mode.ptr[1]) == 'N')
		s->mail.by_mode = 2;
	else
		return bad_value(s, "BY takes R (return it) or N (notify) as mode");
	if (s->mail.by_mode == 1 && seconds <= 0)
		return bad_value(s, "BY with R takes a time in the future");
	if (mode.len == 3)
		s->mail.by_mode |= 4;
	s->mail.deliver_by = s->now + (time_ms)seconds * 1000;
	return true;
}

/* The sendmail command's own: when the answer to its final dot was lost it says the mail again under the same key, and the
 * store gives the first answer (ASK_COMMIT, key). Mixed with the uid: nobody reaches another one's keys. */
static bool param_key(struct smtp_server *s, struct bytes value)
{
	struct buf key = {0};
	uint8_t digest[DIGEST_SHA256];

	buf_u32(&key, s->peer.uid);
	s->mail.key_given = value.len == 32 && decode_hex(value, &key) == OK;
	digest_sha256(buf_bytes(&key), digest);
	memcpy(s->mail.key, digest, sizeof(s->mail.key));
	buf_done(&key);
	return s->mail.key_given || bad_value(s, "XKEY takes 32 hexadecimal digits");
}

/* ---- the tables ---- */

static const struct param mail_params[] = {
        {"SIZE", param_size, true, false},
        {"BODY", param_body, true, false},
        {"SMTPUTF8", param_smtputf8, false, false},
        {"RET", param_ret, true, false},
        {"ENVID", param_envid, true, false},
        {"REQUIRETLS", param_requiretls, false, false},
        {"AUTH", param_auth, true, true},
        {"HOLDFOR", param_holdfor, true, true},
        {"HOLDUNTIL", param_holduntil, true, true},
        {"MT-PRIORITY", param_priority, true, true},
        {"BY", param_by, true, true},
        {"XKEY", param_key, true, true},
};
static const struct param rcpt_params[] = {
        {"NOTIFY", param_notify, true, false},
        {"ORCPT", param_orcpt, true, false},
};

enum {
	MAIL_PARAMS = sizeof(mail_params) / sizeof(mail_params[0]),
	RCPT_PARAMS = sizeof(rcpt_params) / sizeof(rcpt_params[0])
};

static bool take_param(struct smtp_server *s, const struct param *known, size_t count,
                       struct bytes name, struct bytes value, bool valued, unsigned *seen)
{
	for (size_t i = 0; i < count; i++) {
		if (!bytes_equal_nocase(name, bytes_of_text(known[i].name)) ||
		    (known[i].submission && !s->options->submission))
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

bool smtp_mail_params(struct smtp_server *s, struct bytes params)
{
	const struct smtp_mail *m = &s->mail;
	size_t known = MAIL_PARAMS - !s->peer.local; /* the last one is theirs alone */

	if (!take_params(s, mail_params, known, params))
		return false;
	/* RFC 4865, 4: it would be late before it goes. */
	if ((m->by_mode & 3) == 1 && m->hold_until > m->deliver_by)
		return bad_value(s, "It would be held until after it must be there");
	return true;
}

bool smtp_rcpt_params(struct smtp_server *s, struct bytes params)
{
	return take_params(s, rcpt_params, RCPT_PARAMS, params);
}

/* ---- EHLO ---- */

static void offer_submission(struct smtp_server *s, struct buf *out)
{
	const struct smtp_options *o = s->options;
	char until[TIME_TEXT];

	if (!s->logged_in && smtp_auth_offered(s)) {
		buf_append_text(out, "250-AUTH");
		sasl_offer_words(smtp_auth_offered(s), " ", out);
		buf_append_text(out, "\r\n");
	}
	if (o->hold_max_ms > 0) {
		time_format_rfc3339(s->now + o->hold_max_ms, until);
		buf_printf(out, "250-FUTURERELEASE %lld %.19sZ\r\n",
		           (long long)o->hold_max_ms / 1000, until);
	}
	buf_append_text(out, "250-MT-PRIORITY\r\n250-DELIVERBY\r\n");
	if (s->peer.local)
		buf_append_text(out, "250-XKEY\r\n");
}

void smtp_params_offer(struct smtp_server *s, struct buf *out)
{
	if (s->options->starttls && !s->tls && !s->peer.local && !s->logged_in)
		buf_append_text(out, "250-STARTTLS\r\n");
	buf_append_text(out, "250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n");
	if (s->tls || s->peer.local)
		buf_append_text(out, "250-REQUIRETLS\r\n");
	if (s->options->submission)
		offer_submission(s, out);
}
