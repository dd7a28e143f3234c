/* The header of what a local program sends. Programs write `To: root` and `From: root (Cron Daemon)`: addresses get their
 * domain here, in place, so that comments, names and folds stay as they were. */
#include "base/text.h"
#include "cli/sendmail.h"
#include "mail/header.h"
#include "mail/words.h"

/* ---- bare addresses ----
 *
 * A walk over the value, RFC 5322's lexical parts only: quoted strings and comments are passed over; `,` and `;` end an
 * element, `:` (outside of <>) ends a group's name. At an element's end it is known where its address stands. */

struct walk {
	struct bytes value;
	struct buf *out;
	size_t copied;       /* of value, to out */
	size_t first, last;  /* the address: octets [first, last) */
	size_t words;        /* how many there are outside of <> */
	bool angle, in_word; /* seen <, so that the address is what is inside */
	bool at;             /* it has a domain */
	struct bytes domain, user, own;
};

static void begin_element(struct walk *w)
{
	w->first = w->last = w->words = 0;
	w->angle = w->in_word = w->at = false;
}

static void end_element(struct walk *w)
{
	struct bytes address = bytes_first(bytes_skip(w->value, w->first), w->last - w->first);

	/* Several words without <> are a name without an address. */
	if (address.len > 0 && !w->at && w->words == 1) {
		bool own = w->own.len > 0 && bytes_equal(address, w->user);

		buf_append(w->out, bytes_first(bytes_skip(w->value, w->copied),
		                               (own ? w->first : w->last) - w->copied));
		if (own)
			buf_append(w->out, w->own);
		else
			buf_printf(w->out, "@%.*s", BYTES_ARG(w->domain));
		w->copied = w->last;
	}
	begin_element(w);
}

/* Where the comment or quoted string that begins at i ends. */
static size_t skip_quoted(struct bytes v, size_t i)
{
	bool comment = v.ptr[i] == '(';
	size_t depth = 1;

	for (i++; i < v.len && depth > 0; i++) {
		char c = v.ptr[i];

		if (c == '\\')
			i++;
		else if (comment ? c == ')' : c == '"')
			depth--;
		else if (comment && c == '(')
			depth++;
	}
	return i < v.len ? i : v.len;
}

/* Octets [from, to) belong to a word. */
static void add_word(struct walk *w, size_t from, size_t to)
{
	if (!w->in_word)
		w->words++;
	if (w->words == 1 && !w->in_word)
		w->first = from;
	w->in_word = true;
	w->last = to;
}

static void begin_angle(struct walk *w)
{
	begin_element(w);
	w->angle = true;
}

static size_t step(struct walk *w, size_t i)
{
	size_t end = i + 1;

	switch (w->value.ptr[i]) {
	case '(': w->in_word = false; return skip_quoted(w->value, i);
	case '"':
		end = skip_quoted(w->value, i);
		add_word(w, i, end);
		w->at = true; /* a name, or it says its domain */
		return end;
	case ' ':
	case '\t':
	case '\r':
	case '\n': w->in_word = false; return end;
	case '<': begin_angle(w); return end;
	case '>':
		end_element(w);
		w->at = true; /* what may still come is no address */
		return end;
	case ',':
	case ';': end_element(w); return end;
	case ':':
		if (w->angle)
			w->at = true; /* a route */
		else
			begin_element(w);
		return end;
	case '@': w->at = true; return end;
	default: add_word(w, i, end); return end;
	}
}

void sendmail_header_qualify(struct bytes value, struct bytes domain, struct bytes user,
                             struct bytes own, struct buf *out)
{
	struct walk w = {.value = value, .out = out, .domain = domain, .user = user, .own = own};
	size_t i = 0;

	while (i < value.len)
		i = step(&w, i);
	if (!w.angle)
		end_element(&w);
	buf_append(out, bytes_skip(value, w.copied));
}

/* ---- fields ---- */

enum field_kind {
	FIELD_OTHER,
	FIELD_TO,     /* recipients, kept */
	FIELD_BCC,    /* recipients, taken out */
	FIELD_SENDER, /* senders */
	FIELD_FROM,   /* and it counts as From */
	FIELD_DROP,
};

struct field {
	const char *name;
	enum field_kind kind;
	bool resent;
};

static const struct field fields[] = {
        {"To", FIELD_TO, false},
        {"Cc", FIELD_TO, false},
        {"Bcc", FIELD_BCC, false},
        {"From", FIELD_FROM, false},
        {"Sender", FIELD_SENDER, false},
        {"Reply-To", FIELD_SENDER, false},
        {"Disposition-Notification-To", FIELD_SENDER, false},
        {"Errors-To", FIELD_SENDER, false},
        {"Resent-To", FIELD_TO, true},
        {"Resent-Cc", FIELD_TO, true},
        {"Resent-Bcc", FIELD_BCC, true},
        {"Resent-From", FIELD_SENDER, true},
        {"Resent-Sender", FIELD_SENDER, true},
        {"Return-Path", FIELD_DROP, false},
};

static struct field field_of(struct bytes name)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (bytes_equal_nocase(name, bytes_of_text(fields[i].name)))
			return fields[i];
	return (struct field){"", FIELD_OTHER, false};
}

/* With any Resent recipient only these are meant (RFC 5322, 3.6.6). */
static bool is_resent(struct bytes header)
{
	struct header_field f;

	while (header_next(&header, &f)) {
		struct field known = field_of(f.name);

		if (known.resent && (known.kind == FIELD_TO || known.kind == FIELD_BCC))
			return true;
	}
	return false;
}

static void put_field(struct sendmail *s, const struct header_field *f, struct bytes domain,
                      struct bytes own, struct buf *out)
{
	buf_append(out, bytes_first(f->whole, bytes_find_char(f->whole, ':') + 1));
	sendmail_header_qualify(f->value, domain, s->user, own, out);
	buf_append_text(out, "\r\n");
}

/* A name as one display-name: atoms as they are, else quoted, else encoded (RFC 5322, 3.2.5; RFC 2047). */
static void put_name(struct bytes name, struct buf *out)
{
	bool atoms = true;

	for (size_t i = 0; i < name.len; i++)
		atoms = atoms && (text_is_alnum(name.ptr[i]) || name.ptr[i] == ' ');
	if (!text_is_ascii(name)) {
		if (text_is_utf8(name))
			words_encode(name, sizeof("From: ") - 1, out);
	} else if (atoms) {
		buf_append(out, name);
	} else {
		buf_append_char(out, '"');
		for (size_t i = 0; i < name.len; i++) {
			char c = name.ptr[i];

			if (c == '"' || c == '\\')
				buf_append_char(out, '\\');
			buf_append_char(out, c < ' ' || c == 0x7f ? ' ' : c);
		}
		buf_append_char(out, '"');
	}
}

static void put_from(struct sendmail *s, struct buf *out)
{
	struct bytes address = s->sender.len ? s->sender : s->own;
	size_t before;

	buf_append_text(out, "From: ");
	before = buf_len(out);
	put_name(bytes_trim(s->full_name), out);
	if (buf_len(out) > before)
		buf_printf(out, " <%.*s>\r\n", BYTES_ARG(address));
	else
		buf_printf(out, "%.*s\r\n", BYTES_ARG(address));
}

static enum result take_field(struct sendmail *s, const struct header_field *f, bool resent,
                              bool *has_from, struct buf *out, struct why *why)
{
	struct field known = field_of(f->name);
	bool recipients = known.kind == FIELD_TO || known.kind == FIELD_BCC;
	enum result r = OK;

	*has_from |= known.kind == FIELD_FROM;
	if (recipients && s->from_header && known.resent == resent)
		r = sendmail_add(s, f->value, s->domain, &s->recipients, why);
	if (known.kind == FIELD_OTHER)
		buf_append(out, f->whole);
	else if (known.kind == FIELD_TO)
		put_field(s, f, s->domain, (struct bytes){0}, out);
	else if (known.kind == FIELD_FROM || known.kind == FIELD_SENDER)
		put_field(s, f, s->host, s->own, out);
	return r;
}

enum result sendmail_header_finish(struct sendmail *s, struct buf *header, struct why *why)
{
	struct bytes rest = buf_bytes(header);
	struct header_field f;
	struct buf out = {0};
	bool resent = is_resent(rest), has_from = false;
	enum result r = OK;

	s->in_header = true;
	while (r == OK && header_next(&rest, &f))
		r = take_field(s, &f, resent, &has_from, &out, why);
	if (!has_from)
		put_from(s, &out);
	buf_done(header);
	*header = out;
	return r;
}
