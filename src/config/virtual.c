/* etc/virtual, in the source form of Postfix's virtual(5):
 *
 *	# comment, also after blanks
 *	user@domain     target, target ...
 *	@domain         target              catch-all
 *	@domain         @other-domain       every user of the one at the other
 *	user            target              bare: in the first domain
 *	one-of-our-domains  anything        says that the domain is virtual; we know that already
 *
 * A line that begins with a blank goes on with the line before it, comments and empty lines
 * between them notwithstanding. */
#include "base/text.h"
#include "config/syntax.h"
#include "config/tables.h"

struct reader {
	struct config *config;
	struct why *why;
	size_t room; /* of config->tables->aliases */
};

static struct bytes cut_word(struct bytes *rest)
{
	size_t at = 0;
	bool quoted = false;
	struct bytes word;

	while (rest->len > 0 && (text_is_blank(rest->ptr[0]) || strchr(",\r\n", rest->ptr[0])))
		*rest = bytes_skip(*rest, 1);
	for (; at < rest->len; at++) {
		char c = rest->ptr[at];

		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && quoted)
			at++;
		else if (!quoted && (text_is_blank(c) || c == ',' || c == '\r' || c == '\n'))
			break;
	}
	word = bytes_first(*rest, at);
	*rest = bytes_skip(*rest, at);
	return word;
}

static enum result broken(struct reader *r, unsigned line, const char *what, struct bytes word)
{
	return why_set(r->why, INVALID, "virtual:%u: \"%.*s\" %s", line,
	               BYTES_ARG(bytes_first(word, 80)), what);
}

/* ---- the key ---- */

static enum result parse_key(struct reader *r, unsigned line, struct bytes word, struct bytes *ret)
{
	struct arena *arena = &r->config->arena;
	struct bytes domain;
	struct name n;

	if (word.ptr[0] == '@') {
		if (config_domain_canonical(bytes_skip(word, 1), arena, &domain) != OK)
			return broken(r, line, "is no @domain", word);
		*ret = arena_printf(arena, "@%.*s", BYTES_ARG(domain));
	} else if (config_address_canonical(word, arena, ret) != OK) {
		return broken(r, line, "is no address; accepted: user@domain, user, @domain", word);
	}
	n = name_of(r->config, *ret);
	if (n.domain.len > 0 && !config_domain_is_ours(r->config, n.domain))
		return broken(r, line,
		              "is not in one of our domains, so nothing would ever come here: add "
		              "`domain` to hikyaku.conf",
		              word);
	return OK;
}

/* "example.test anything": Postfix's way of saying that a domain is virtual. */
static bool is_our_domain(struct reader *r, struct bytes word)
{
	struct bytes domain;

	return bytes_find_char(word, '@') == BYTES_NONE &&
	       config_domain_canonical(word, &r->config->arena, &domain) == OK &&
	       config_domain_is_ours(r->config, domain);
}

/* ---- the targets ---- */

static enum result parse_target(struct reader *r, unsigned line, struct bytes key,
                                struct bytes word, struct bytes *ret)
{
	struct arena *arena = &r->config->arena;
	struct bytes domain;
	struct why why;

	if (strchr("|/:", word.ptr[0]))
		return broken(r, line,
		              "is no address; programs, files and :include: have no place in "
		              "virtual, see dot files",
		              word);
	if (word.ptr[0] == '@') {
		if (key.ptr[0] != '@')
			return broken(r, line, "as a target needs an @domain before it", word);
		if (config_domain_canonical(bytes_skip(word, 1), arena, &domain) != OK)
			return broken(r, line, "is no @domain", word);
		*ret = arena_printf(arena, "@%.*s", BYTES_ARG(domain));
		return OK;
	}
	if (tables_parse_target(r->config, word, arena, ret, &why) != OK)
		return why_set(r->why, INVALID, "virtual:%u: %s", line, why.text);
	return OK;
}

static size_t count_words(struct bytes rest)
{
	size_t count = 0;

	while (cut_word(&rest).len > 0)
		count++;
	return count;
}

static enum result parse_targets(struct reader *r, struct bytes rest, struct alias *a)
{
	size_t count = count_words(rest);
	struct bytes word;

	if (count == 0)
		return why_set(r->why, INVALID, "virtual:%u: \"%.*s\" has no target after it",
		               a->line, BYTES_ARG(bytes_first(a->key, 80)));
	if (count > CONFIG_TARGETS)
		return why_set(r->why, INVALID, "virtual:%u: %zu targets; at most %d are accepted",
		               a->line, count, CONFIG_TARGETS);
	a->targets = arena_get(&r->config->arena, count * sizeof(*a->targets));
	while ((word = cut_word(&rest)).len > 0) {
		enum result result = parse_target(r, a->line, a->key, word, &a->targets[a->count]);

		if (result != OK)
			return result;
		a->count++;
	}
	return OK;
}

/* ---- lines ---- */

static void add(struct reader *r, struct alias a)
{
	struct config_tables *t = r->config->tables;

	if (t->alias_count == r->room) {
		size_t room = r->room ? r->room * 2 : 16;
		struct alias *more = arena_get(&r->config->arena, room * sizeof(*more));

		if (t->alias_count > 0)
			memcpy(more, t->aliases, t->alias_count * sizeof(*more));
		t->aliases = more;
		r->room = room;
	}
	t->aliases[t->alias_count++] = a;
}

static enum result parse_entry(struct reader *r, struct map *seen, unsigned line, struct bytes text)
{
	struct bytes rest = text, word = cut_word(&rest);
	struct alias a = {.line = line};
	void *before;
	enum result result;

	if (is_our_domain(r, word))
		return OK;
	result = parse_key(r, line, word, &a.key);
	if (result == OK)
		result = parse_targets(r, rest, &a);
	if (result != OK)
		return result;
	before = map_put(seen, a.key, (void *)(uintptr_t)line);
	if (before)
		return why_set(r->why, INVALID, "virtual:%u: \"%.*s\" stands in line %u already",
		               line, BYTES_ARG(bytes_first(a.key, 80)),
		               (unsigned)(uintptr_t)before);
	add(r, a);
	return OK;
}

static bool is_comment(struct bytes line)
{
	struct bytes trimmed = bytes_trim(line);

	return trimmed.len == 0 || trimmed.ptr[0] == '#';
}

/* Gathers a logical line into *text; *line is the last one taken, *first where it began. False
 * at the end. */
static bool logical_line(struct bytes *rest, unsigned *line, struct buf *text, unsigned *first)
{
	struct bytes here, before = *rest;

	buf_clear(text);
	for (unsigned at = *line; syntax_line(rest, &here); before = *rest) {
		at++;
		if (is_comment(here)) {
			*line = at;
			continue;
		}
		if (buf_len(text) > 0 && !text_is_blank(here.ptr[0])) {
			*rest = before;
			return true;
		}
		if (buf_len(text) == 0)
			*first = at;
		buf_append(text, here);
		buf_append_char(text, '\n');
		*line = at;
	}
	return buf_len(text) > 0;
}

enum result virtual_parse(struct config *c, struct bytes text, struct why *why)
{
	struct reader r = {.config = c, .why = why};
	struct buf entry = {0};
	struct map seen = {0};
	unsigned line = 0, first = 0;
	enum result result = OK;

	if (!syntax_is_text(text, &line))
		return why_set(why, INVALID, "virtual:%u: this is no UTF-8 text", line);
	line = 0;
	while (result == OK && logical_line(&text, &line, &entry, &first)) {
		/* Entries keep their words: the buffer is used again. */
		struct bytes copy = arena_copy(&c->arena, buf_bytes(&entry));

		if (text_is_blank(copy.ptr[0]))
			result = why_set(why, INVALID,
			                 "virtual:%u: begins with a blank, but there is no line "
			                 "before it to go on with",
			                 first);
		else
			result = parse_entry(&r, &seen, first, copy);
	}
	buf_done(&entry);
	map_done(&seen);
	return result;
}
