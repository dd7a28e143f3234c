#include "watch/incident.h"

#include "base/text.h"
#include "policy/provider.h"
#include "watch/texts.h"

/* ---- facts ---- */

struct bytes incident_fact(struct bytes facts, const char *name)
{
	struct bytes line, value = {0}, want = bytes_of_text(name);

	while (bytes_cut(&facts, '\n', &line)) {
		size_t equals = bytes_find_char(line, '=');
		if (equals != BYTES_NONE && bytes_equal(bytes_first(line, equals), want))
			value = bytes_trim(bytes_skip(line, equals + 1));
	}
	return value;
}

void incident_fact_put(struct buf *facts, const char *name, struct bytes value)
{
	value = bytes_trim(value);
	if (value.len == 0)
		return;
	buf_printf(facts, "%s=", name);
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];
		buf_append_char(facts, c < ' ' || c == 0x7f ? ' ' : (char)c);
	}
	buf_append_char(facts, '\n');
}

/* ---- values ---- */

struct incident {
	unsigned kind;
	struct bytes key, facts;
	const struct provider *provider; /* NULL: not in the table, or it is not about one */
};

static struct bytes provider_value(const struct incident *i, struct bytes name)
{
	if (!i->provider)
		return bytes_equal(name, BYTES("provider_name")) ? i->key : (struct bytes){0};
	if (bytes_equal(name, BYTES("provider_name")))
		return bytes_of_text(i->provider->name);
	if (bytes_equal(name, BYTES("link")))
		return bytes_of_text(i->provider->link);
	if (bytes_equal(name, BYTES("site")))
		return bytes_of_text(i->provider->site);
	if (bytes_equal(name, BYTES("mail")))
		return bytes_of_text(i->provider->mail);
	return (struct bytes){0};
}

static struct bytes value_of(const struct incident *i, struct bytes name)
{
	char text[32];

	if (name.len >= sizeof(text))
		return (struct bytes){0};
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	struct bytes value = incident_fact(i->facts, text);
	if (value.len > 0)
		return value;
	if (bytes_equal(name, BYTES("key")))
		return i->key;
	if (bytes_equal(name, BYTES("number")))
		return BYTES("ID");
	if (bytes_equal(name, BYTES("dir")))
		return BYTES("DIR");
	return provider_value(i, name);
}

/* ---- templates ---- */

/* A condition at the beginning of a bracket; takes it. True: there is none, or it holds. */
static bool condition(const struct incident *i, struct bytes *t)
{
	bool missing = t->len > 0 && t->ptr[0] == '!';
	struct bytes rest = bytes_skip(*t, missing);
	size_t len = 0;

	while (len < rest.len && (text_is_alnum(rest.ptr[len]) || rest.ptr[len] == '_'))
		len++;
	struct bytes name = bytes_first(rest, len);
	rest = bytes_skip(rest, len);
	if (missing) {
		*t = bytes_skip(rest, 1);
		return value_of(i, name).len == 0;
	}
	if (len == 0 || rest.len == 0 || rest.ptr[0] != '=')
		return true;
	rest = bytes_skip(rest, 1);
	size_t end = bytes_find_char(rest, ' ');
	bool holds = bytes_equal(value_of(i, name), bytes_first(rest, end));
	*t = bytes_skip(rest, end == BYTES_NONE ? rest.len : end + 1);
	return holds;
}

/* Writes up to the closing bracket, or the end. False: a value was missing. */
static bool render(const struct incident *i, struct bytes *t, struct buf *out)
{
	bool complete = true;

	while (t->len > 0 && t->ptr[0] != ']') {
		char c = t->ptr[0];
		*t = bytes_skip(*t, 1);
		if (c == '[') {
			size_t before = buf_len(out);
			bool holds = condition(i, t);
			if (!render(i, t, out) || !holds)
				buf_truncate(out, before);
			*t = bytes_skip(*t, 1); /* the bracket */
		} else if (c == '{') {
			size_t end = bytes_find_char(*t, '}');
			struct bytes value = value_of(i, bytes_first(*t, end));
			buf_append(out, value);
			complete = complete && value.len > 0;
			*t = bytes_skip(*t, end == BYTES_NONE ? t->len : end + 1);
		} else {
			buf_append_char(out, c);
		}
	}
	return complete;
}

static struct bytes text_of(const struct incident *i, const char *template, struct arena *arena)
{
	struct bytes t = bytes_of_text(template);
	struct buf out = {0};

	render(i, &t, &out);
	struct bytes text = arena_copy(arena, bytes_trim(buf_bytes(&out)));
	buf_done(&out);
	return text;
}

/* The provider's postmaster may read one language or the other. */
static struct bytes both_requests(const struct incident *i, const struct incident_words *first,
                                  const struct incident_words *second, struct arena *arena)
{
	if (!first->request)
		return (struct bytes){0};
	struct bytes a = text_of(i, first->request, arena), b = text_of(i, second->request, arena);
	return arena_printf(arena, "%.*s\n\n----------------------------------------\n\n%.*s",
	                    BYTES_ARG(a), BYTES_ARG(b));
}

/* ---- what others call ---- */

static const struct provider *provider_of(unsigned kind, struct bytes key, struct bytes facts)
{
	if (kind == INCIDENT_BLOCKED)
		return provider_find(key);
	return kind == INCIDENT_DOMAIN ? provider_find(incident_fact(facts, "provider")) : NULL;
}

/* Some numbers have no kind (yet): they are as unknown as those of a newer program. */
static unsigned row_of(unsigned kind)
{
	return kind < INCIDENT_KINDS && incident_text_rows[kind].name ? kind : INCIDENT_NONE;
}

void incident_texts(unsigned kind, struct bytes key, struct bytes facts, bool japanese,
                    struct arena *arena, struct incident_texts *ret)
{
	unsigned row = row_of(kind);
	const struct incident_words *english = &incident_text_rows[row].english,
	                            *other = &incident_text_rows[row].japanese,
	                            *w = japanese ? other : english;
	struct incident i = {kind, key, facts, provider_of(kind, key, facts)};

	*ret = (struct incident_texts){
	        .title = text_of(&i, w->title, arena),
	        .cause = text_of(&i, w->cause, arena),
	        .cost = text_of(&i, w->cost, arena),
	        .what_to_do = text_of(&i, w->what_to_do, arena),
	        .request = both_requests(&i, w, japanese ? english : other, arena),
	        .link = arena_copy(arena, value_of(&i, BYTES("link"))),
	};
}

const char *incident_kind_name(unsigned kind)
{
	return incident_text_rows[row_of(kind)].name;
}

unsigned incident_kind_find(struct bytes name)
{
	for (unsigned kind = 1; kind < INCIDENT_KINDS; kind++) {
		if (row_of(kind) && bytes_equal(name, bytes_of_text(incident_text_rows[kind].name)))
			return kind;
	}
	return INCIDENT_NONE;
}
