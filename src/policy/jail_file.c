/* Filter files: `key = value` under [Section], values going on in lines that begin with a blank. */
#include "policy/jail_file.h"

#include "base/memory.h"
#include "base/text.h"

enum { DEPTH_MAX = 10, EXPANSIONS_MAX = 64, KEY_MAX = 128 };

/* ---- values ---- */

static struct bytes map_key(char room[KEY_MAX], struct bytes section, struct bytes key)
{
	size_t len = 0;

	for (size_t i = 0; i < section.len && len < KEY_MAX - 1; i++)
		room[len++] = text_lower_char(section.ptr[i]);
	room[len < KEY_MAX ? len++ : len - 1] = '/';
	for (size_t i = 0; i < key.len && len < KEY_MAX; i++)
		room[len++] = text_lower_char(key.ptr[i]);
	return bytes_of(room, len);
}

static void put(struct jail_file *f, struct bytes section, struct bytes key, struct bytes value)
{
	struct bytes *kept = arena_get(f->arena, sizeof(*kept));
	char room[KEY_MAX];

	*kept = arena_copy(f->arena, value);
	map_put(&f->values, map_key(room, section, key), kept);
}

void jail_file_set(struct jail_file *f, const char *section, struct bytes key, struct bytes value)
{
	put(f, bytes_of_text(section), key, value);
}

static const struct bytes *get(const struct jail_file *f, struct bytes section, struct bytes key)
{
	char room[KEY_MAX];

	return map_get(&f->values, map_key(room, section, key));
}

struct bytes jail_file_raw(const struct jail_file *f, const char *section, const char *key)
{
	const struct bytes *v = get(f, bytes_of_text(section), bytes_of_text(key));

	return v ? *v : (struct bytes){0};
}

bool jail_file_has_variant(const struct jail_file *f, struct bytes ending)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&f->values, &at));) {
		struct bytes key = bytes_of(e->key, e->key_len);

		if (bytes_ends(key, ending) && key.len > ending.len &&
		    key.ptr[key.len - ending.len - 1] == '-')
			return true;
	}
	return false;
}

void jail_file_done(struct jail_file *f)
{
	map_done(&f->values);
}

/* ---- reading ---- */

struct reading {
	struct jail_file *f;
	struct bytes section, key; /* under way; key empty: none */
	struct buf value;
	struct bytes after; /* files to be read behind this one */
	jail_file_function *file;
	void *context;
	unsigned depth;
};

static enum result read_one(struct jail_file *f, struct bytes name, jail_file_function *file,
                            void *context, unsigned depth, struct why *why);

static void finish_value(struct reading *r)
{
	if (r->key.len)
		put(r->f, r->section, r->key, bytes_trim(buf_bytes(&r->value)));
	buf_clear(&r->value);
	r->key = (struct bytes){0};
}

static void take_line(struct reading *r, struct bytes line)
{
	struct bytes text = bytes_trim(line);
	size_t equals = bytes_find_char(line, '=');

	if (text.len && text.ptr[0] == '#')
		return;
	if (text.len == 0 || text_is_blank(line.ptr[0])) {
		if (r->key.len) {
			buf_append_char(&r->value, '\n');
			buf_append(&r->value, text);
		}
		return;
	}
	finish_value(r);
	if (text.ptr[0] == ';')
		return;
	if (text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') {
		r->section = bytes_of(text.ptr + 1, text.len - 2);
	} else if (equals != BYTES_NONE) {
		r->key = bytes_trim(bytes_first(line, equals));
		buf_append(&r->value, bytes_trim(bytes_skip(line, equals + 1)));
	}
}

/* `before = common.conf other.conf`: those that are not there (a local one) are passed over unless alone. */
static enum result include(struct jail_file *f, struct bytes names, jail_file_function *file,
                           void *context, unsigned depth, struct why *why)
{
	struct bytes word;
	enum result r = OK;

	for (size_t i = 0; i < names.len && r == OK;) {
		size_t from = i;

		while (i < names.len && !text_is_blank(names.ptr[i]) && names.ptr[i] != '\n')
			i++;
		word = bytes_of(names.ptr + from, i - from);
		i++;
		if (word.len == 0)
			continue;
		if (bytes_ends(word, BYTES(".conf")))
			word = bytes_first(word, word.len - 5);
		if (bytes_ends(word, BYTES(".local")))
			continue;
		r = read_one(f, word, file, context, depth + 1, why);
	}
	return r;
}

static enum result read_text(struct reading *r, struct bytes text)
{
	struct bytes line;

	while (bytes_cut(&text, '\n', &line)) {
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		take_line(r, line);
	}
	finish_value(r);
	buf_done(&r->value);
	return OK;
}

/* What is included before is read first, so that this file's own values stand. */
static struct bytes find_include(struct bytes text, const char *want)
{
	struct arena arena = {0};
	struct jail_file only = {.arena = &arena};
	struct reading r = {.f = &only};
	struct bytes found;

	enum result ok = read_text(&r, text);
	(void)ok;
	found = jail_file_raw(&only, "includes", want);
	/* A part of the text itself, so that it outlives the arena. */
	size_t at = found.len ? bytes_find(text, found) : BYTES_NONE;

	found = at == BYTES_NONE ? (struct bytes){0} : bytes_of(text.ptr + at, found.len);
	jail_file_done(&only);
	arena_done(&arena);
	return found;
}

static enum result read_one(struct jail_file *f, struct bytes name, jail_file_function *file,
                            void *context, unsigned depth, struct why *why)
{
	struct reading r = {.f = f};
	struct bytes text;
	enum result result;

	if (depth > DEPTH_MAX)
		return why_set(why, INVALID, "%.*s: files include each other too deeply",
		               BYTES_ARG(name));
	if (!file(context, name, &text))
		return why_set(why, NOT_FOUND, "there is no filter \"%.*s\"",
		               BYTES_ARG(bytes_first(name, 100)));
	if (text.len > JAIL_FILE_MAX)
		return why_set(why, TOO_BIG, "%.*s is too big", BYTES_ARG(name));
	result = include(f, find_include(text, "before"), file, context, depth, why);
	if (result == OK)
		result = read_text(&r, text);
	if (result == OK)
		result = include(f, find_include(text, "after"), file, context, depth, why);
	return result;
}

enum result jail_file_read(struct jail_file *f, struct bytes name, jail_file_function *file,
                           void *context, struct why *why)
{
	return read_one(f, name, file, context, 0, why);
}

/* ---- expanding ---- */

static const struct bytes *lookup(const struct jail_file *f, struct bytes name)
{
	static const char *const sections[] = {"definition", "init", "default"};
	size_t slash = bytes_find_char(name, '/');
	const struct bytes *v = NULL;

	if (slash != BYTES_NONE) { /* known/name, section/name */
		v = get(f, bytes_first(name, slash), bytes_skip(name, slash + 1));
		name = v ? name : bytes_skip(name, slash + 1);
	}
	for (size_t i = 0; !v && i < sizeof(sections) / sizeof(*sections); i++)
		v = get(f, bytes_of_text(sections[i]), name);
	return v;
}

static bool is_name(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++) {
		if (!text_is_alnum(b.ptr[i]) && b.ptr[i] != '_' && b.ptr[i] != '-' &&
		    b.ptr[i] != '/')
			return false;
	}
	return b.len > 0 && b.len < KEY_MAX / 2;
}

/* "%(name)s" at the beginning of b; its length, 0: it is none. */
static size_t percent_name(struct bytes b, struct bytes *ret)
{
	size_t end;

	if (!bytes_starts(b, BYTES("%(")))
		return 0;
	end = bytes_find(b, BYTES(")s"));
	if (end == BYTES_NONE)
		return 0;
	*ret = bytes_of(b.ptr + 2, end - 2);
	return is_name(*ret) ? end + 2 : 0;
}

/* "<name>" whose value is known. Tags of the engine are none of these. */
static size_t tag_name(const struct jail_file *f, struct bytes b, const struct bytes **ret)
{
	size_t end = bytes_find_char(bytes_first(b, KEY_MAX), '>');
	struct bytes name;

	if (b.len < 3 || b.ptr[0] != '<' || end == BYTES_NONE)
		return 0;
	name = bytes_of(b.ptr + 1, end - 1);
	if (!is_name(name) || bytes_starts(name, BYTES("F-")))
		return 0;
	*ret = lookup(f, name);
	return *ret ? end + 1 : 0;
}

/* One pass; *ret_more: something was replaced. The innermost <name> comes first, so that <a-<b>> is found in
 * the next pass. */
static enum result pass(const struct jail_file *f, struct bytes in, struct buf *out, bool *ret_more,
                        struct why *why)
{
	while (in.len) {
		const struct bytes *value = NULL;
		struct bytes name;
		size_t len = percent_name(in, &name);

		if (len && !(value = lookup(f, name)))
			return why_set(why, INVALID, "%%(%.*s)s: there is no such value",
			               BYTES_ARG(name));
		if (!len)
			len = tag_name(f, in, &value);
		if (len) {
			buf_append(out, *value);
			*ret_more = true;
		} else if (bytes_starts(in, BYTES("%%"))) {
			buf_append_text(out, "%%"); /* one of them goes at the very end */
			len = 2;
		} else {
			buf_append_char(out, in.ptr[0]);
			len = 1;
		}
		if (buf_len(out) > JAIL_TEXT_MAX)
			return why_set(why, TOO_BIG, "the filter's values grow without end");
		in = bytes_skip(in, len);
	}
	return OK;
}

static struct bytes without_double_percent(struct arena *arena, struct bytes in)
{
	char *out = arena_get(arena, in.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		out[len++] = in.ptr[i];
		i += in.ptr[i] == '%' && i + 1 < in.len && in.ptr[i + 1] == '%';
	}
	return bytes_of(out, len);
}

enum result jail_file_value(struct jail_file *f, const char *key, struct bytes *ret,
                            struct why *why)
{
	struct bytes value = jail_file_raw(f, "definition", key);
	struct buf one = {0}, two = {0};
	enum result r = OK;
	bool more = true;

	buf_append(&one, value);
	for (unsigned i = 0; r == OK && more; i++) {
		struct buf swap = one;

		more = false;
		buf_clear(&two);
		r = i < EXPANSIONS_MAX ? pass(f, buf_bytes(&one), &two, &more, why)
		                       : why_set(why, INVALID,
		                                 "%s: values refer to each other in a "
		                                 "circle",
		                                 key);
		one = two;
		two = swap;
	}
	if (r == OK)
		*ret = without_double_percent(f->arena, buf_bytes(&one));
	buf_done(&one);
	buf_done(&two);
	return r;
}
