/* etc/dot/ACCOUNT/default and etc/dot/ACCOUNT/EXTENSION, after qmail's dot-qmail(5):
 *
 *	# comment
 *	./Mailbox  ./Maildir/     keep in INBOX
 *	./Maildir/.Work.Sub/      keep in Work/Sub, as Maildir++ names folders
 *	./Lists/Go                keep in Lists/Go
 *	&ken@example.test         forward; & may be left out where the line begins with a letter or digit
 *	|program                  refused, unless `dot { programs on }`
 *
 * `default` is for the account itself and for every extension that has no file of its own.
 * Nothing, or comments only: keep in INBOX. (With qmail comments alone throw mail away. Here no
 * mail disappears.) */
#include "base/text.h"
#include "config/syntax.h"
#include "config/tables.h"

struct reader {
	struct config *config;
	struct bytes file;
	unsigned line;
	struct why *why;
};

static enum result broken(struct reader *r, const char *what, struct bytes word)
{
	return why_set(r->why, INVALID, "%.*s:%u: \"%.*s\" %s",
	               BYTES_ARG(bytes_first(r->file, 100)), r->line,
	               BYTES_ARG(bytes_first(word, 60)), what);
}

/* "Maildir/.Work.Sub/" is Work/Sub; "Mailbox" and "Maildir/" are INBOX. */
static struct bytes mailbox_of(struct bytes path, struct arena *arena)
{
	char *text;

	while (path.len > 0 && path.ptr[path.len - 1] == '/')
		path.len--;
	if (bytes_equal(path, BYTES("Mailbox")) || bytes_equal(path, BYTES("Maildir")) ||
	    bytes_equal_nocase(path, BYTES("INBOX")))
		return BYTES("INBOX");
	if (!bytes_starts(path, BYTES("Maildir/.")))
		return arena_copy(arena, path);
	path = bytes_skip(path, 9);
	text = arena_text(arena, path);
	for (size_t i = 0; i < path.len; i++)
		if (text[i] == '.')
			text[i] = '/';
	return bytes_of(text, path.len);
}

static bool is_mailbox(struct bytes name)
{
	struct bytes rest = name, part;

	if (name.len == 0 || name.len > LIMIT_MAILBOX_NAME || name.ptr[name.len - 1] == '/')
		return false;
	while (bytes_cut(&rest, '/', &part))
		if (part.len == 0 || bytes_equal(part, BYTES(".")) ||
		    bytes_equal(part, BYTES("..")))
			return false;
	return true;
}

static enum result parse_place(struct reader *r, struct bytes text, struct dot_line *ret)
{
	ret->kind = DOT_PLACE;
	ret->value = mailbox_of(bytes_skip(text, 2), &r->config->arena);
	return is_mailbox(ret->value) ? OK : broken(r, "names no mailbox", text);
}

static enum result parse_forward(struct reader *r, struct bytes text, struct dot_line *ret)
{
	struct why why;

	ret->kind = DOT_FORWARD;
	if (tables_parse_target(r->config, text, &r->config->arena, &ret->value, &why) != OK)
		return why_set(r->why, INVALID, "%.*s:%u: %s", BYTES_ARG(bytes_first(r->file, 100)),
		               r->line, why.text);
	return OK;
}

static enum result parse_program(struct reader *r, struct bytes text, struct dot_line *ret)
{
	if (!r->config->dot_programs)
		return broken(r,
		              "wants a program run; that is off (`dot { programs on }` holds such "
		              "mail in the queue instead)",
		              text);
	ret->kind = DOT_PROGRAM;
	ret->value = arena_copy(&r->config->arena, bytes_skip(text, 1));
	return OK;
}

static enum result parse_line(struct reader *r, struct bytes text, struct dot_line *ret)
{
	ret->line = r->line;
	if (text.ptr[0] == '|')
		return parse_program(r, text, ret);
	if (bytes_starts(text, BYTES("./")))
		return parse_place(r, text, ret);
	if (text.ptr[0] == '/')
		return broken(r, "is a path; mail is kept in mailboxes: ./Mailbox, ./Folder", text);
	if (text.ptr[0] == '&')
		return parse_forward(r, bytes_trim(bytes_skip(text, 1)), ret);
	if (text_is_alnum(text.ptr[0]) || (unsigned char)text.ptr[0] >= 0x80)
		return parse_forward(r, text, ret);
	return broken(r, "is unknown; accepted: ./Mailbox, ./Folder, &address, # comment", text);
}

/* dot/ACCOUNT/EXTENSION: a bare ACCOUNT is in the first domain. */
static enum result parse_name(struct reader *r, struct dot *d)
{
	struct bytes name = bytes_skip(r->file, 4);
	size_t slash = bytes_find_char(name, '/');
	struct arena *arena = &r->config->arena;
	struct why why;
	struct name n;
	char *ext;

	if (tables_parse_target(r->config, bytes_first(name, slash), arena, &d->account, &why) !=
	    OK)
		return why_set(r->why, INVALID, "%.*s: %s", BYTES_ARG(r->file), why.text);
	n = name_of(r->config, d->account);
	if (!config_domain_is_ours(r->config, n.domain))
		return why_set(r->why, INVALID,
		               "%.*s: no account can be in the domain %.*s: it is not ours",
		               BYTES_ARG(bytes_first(r->file, 100)),
		               BYTES_ARG(bytes_first(n.domain, 100)));
	ext = arena_text(arena, bytes_skip(name, slash + 1));
	d->extension = bytes_skip(name, slash + 1);
	text_lower(ext, d->extension.len);
	d->extension.ptr = ext;
	d->file = arena_copy(arena, r->file);
	return OK;
}

enum result dot_parse(struct config *c, struct bytes file, struct bytes text, struct dot *ret,
                      struct why *why)
{
	struct reader r = {.config = c, .file = file, .why = why};
	struct dot d = {0};
	size_t lines = 1;
	struct bytes line;
	enum result result = parse_name(&r, &d);

	if (result != OK)
		return result;
	if (!syntax_is_text(text, &r.line))
		return why_set(why, INVALID, "%.*s:%u: this is no UTF-8 text",
		               BYTES_ARG(bytes_first(file, 100)), r.line);
	for (size_t i = 0; i < text.len; i++)
		lines += text.ptr[i] == '\n';
	d.lines = arena_get(&c->arena, lines * sizeof(*d.lines));
	for (r.line = 1; syntax_line(&text, &line); r.line++) {
		line = bytes_trim(line);
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		if (d.count == CONFIG_TARGETS)
			return broken(&r, "is one line too many", line);
		result = parse_line(&r, line, &d.lines[d.count]);
		if (result != OK)
			return result;
		d.count++;
	}
	*ret = d;
	return OK;
}
