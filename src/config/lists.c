/* `list` sections of hikyaku.conf: the table of known lists, parsing, and their octets.
 *
 *	u32 sections: block name, block zone, block shown, u8 kind, u8 use, u64 points, u8 flags, block listed, block clean,
 *	              u32 codes: from 4, to 4, u8 bits, u8 refused, u8 percent, block meaning */
#include "config/lists.h"

#include "config/option.h"

#define CONF "hikyaku.conf"

enum {
	SECTIONS = 20,
	CODES = 64,
	POINTS_MAX = 10000,
	HAS_IPV4 = 1,
	HAS_IPV6 = 2,
	HAS_BASE = 4,
};

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
/* What a list without codes of its own may answer: 127.0.0.2 is the usual one (RFC 5782, 2.1), 127.0.0.1 never means listed. */
#define USUAL_CODES "127.0.0.2-254"

static enum result broken(struct why *why, unsigned line, const char *reason)
{
	return why_set(why, INVALID, CONF ":%u: list: %s", line, reason);
}

/* ---- the table ---- */

struct known {
	const char *name, *zone;
	enum config_list_kind kind;
	const char *families, *codes, *listed, *clean, *names;
};

#define KIND_ip CONFIG_LIST_IP
#define KIND_domain CONFIG_LIST_DOMAIN
#define KIND_allow CONFIG_LIST_ALLOW

static const struct known known_lists[] = {
#define LIST(name, zone, kind, families, codes, listed, clean, names, source) \
	{name, zone, KIND_##kind, families, codes, listed, clean, names},
#define DEAD(zone, since, source)
#include "config/lists.def"
#undef LIST
#undef DEAD
};

struct dead {
	const char *zone, *since;
};

static const struct dead dead_lists[] = {
#define LIST(name, zone, kind, families, codes, listed, clean, names, source)
#define DEAD(zone, since, source) {zone, since},
#include "config/lists.def"
#undef LIST
#undef DEAD
};

enum {
	KNOWN = sizeof(known_lists) / sizeof(*known_lists),
	DEADS = sizeof(dead_lists) / sizeof(*dead_lists)
};

static const struct known *find_known(struct bytes name)
{
	for (size_t i = 0; i < KNOWN; i++)
		if (bytes_equal(name, bytes_of_text(known_lists[i].name)))
			return &known_lists[i];
	return NULL;
}

static const struct dead *find_dead(struct bytes zone)
{
	for (size_t i = 0; i < DEADS; i++) {
		struct bytes dead = bytes_of_text(dead_lists[i].zone);

		if (bytes_equal(zone, dead) || (zone.len > dead.len && bytes_ends(zone, dead) &&
		                                zone.ptr[zone.len - dead.len - 1] == '.'))
			return &dead_lists[i];
	}
	return NULL;
}

/* ---- codes ---- */

static bool octet_parse(struct bytes text, bool last, struct config_list_code *ret, size_t nth)
{
	size_t dash = bytes_find_char(text, '-');
	uint64_t from, to;

	if (bytes_equal(text, BYTES("*"))) {
		ret->from[nth] = 0;
		ret->to[nth] = 255;
		return true;
	}
	if (last && text.len > 1 && text.ptr[0] == '&') {
		if (bytes_to_u64(bytes_skip(text, 1), 255, &from) != OK || from == 0)
			return false;
		ret->bits = (uint8_t)from;
		ret->to[nth] = 255;
		return true;
	}
	if (bytes_to_u64(bytes_first(text, dash), 255, &from) != OK)
		return false;
	to = from;
	if (dash != BYTES_NONE &&
	    (bytes_to_u64(bytes_skip(text, dash + 1), 255, &to) != OK || to < from))
		return false;
	ret->from[nth] = (uint8_t)from;
	ret->to[nth] = (uint8_t)to;
	return true;
}

static bool code_parse(struct bytes word, struct arena *arena, struct config_list_code *ret)
{
	struct config_list_code code = {.percent = 100};
	size_t equal = bytes_find_char(word, '='), at;
	struct bytes rest = bytes_first(word, equal), octet;
	uint64_t percent;
	size_t n = 0;

	if (equal != BYTES_NONE)
		code.meaning = arena_copy(arena, bytes_first(bytes_skip(word, equal + 1), 40));
	if (rest.len && rest.ptr[0] == '!') {
		code.refused = true;
		rest = bytes_skip(rest, 1);
	}
	if ((at = bytes_find_char(rest, '@')) != BYTES_NONE) {
		if (bytes_to_u64(bytes_skip(rest, at + 1), 100, &percent) != OK)
			return false;
		code.percent = (uint8_t)percent;
		rest = bytes_first(rest, at);
	}
	for (; bytes_cut(&rest, '.', &octet); n++)
		if (n == 4 || !octet_parse(octet, n == 3, &code, n))
			return false;
	*ret = code;
	return n == 4 && code.from[0] == 127 && code.to[0] == 127;
}

static bool code_add(struct config *c, struct config_list *l, struct bytes word)
{
	if (!l->codes)
		l->codes = arena_get(&c->arena, CODES * sizeof(*l->codes));
	if (l->code_count == CODES || !code_parse(word, &c->arena, &l->codes[l->code_count]))
		return false;
	l->code_count++;
	return true;
}

static void codes_of_text(struct config *c, struct config_list *l, const char *text)
{
	struct bytes rest = bytes_of_text(text), word;

	while (bytes_cut(&rest, ' ', &word))
		(void)code_add(c, l, word);
}

/* ---- keys ---- */

static bool choose(const struct statement *s, const char *const *words, size_t count, unsigned *ret)
{
	for (size_t i = 0; s->count == 1 && i < count; i++) {
		if (bytes_equal(s->values[0], bytes_of_text(words[i]))) {
			*ret = (unsigned)i;
			return true;
		}
	}
	return false;
}

static enum result set_zone(struct config *c, struct config_list *l, const struct statement *s,
                            struct why *why)
{
	if (s->count != 1 || config_domain_canonical(s->values[0], &c->arena, &l->zone) != OK ||
	    l->zone.len > 120)
		return broken(why, s->line, "zone takes one domain name");
	return OK;
}

static enum result set_kind(struct config_list *l, const struct statement *s, struct why *why)
{
	static const char *const kinds[] = {"ip", "domain", "allow"};
	unsigned n;

	if (!choose(s, kinds, 3, &n))
		return broken(why, s->line, "kind takes one of ip, domain, allow");
	l->kind = (enum config_list_kind)n;
	return OK;
}

static enum result set_use(struct config_list *l, const struct statement *s, struct why *why)
{
	static const char *const uses[] = {"score", "mark", "junk", "refuse"};
	unsigned n;

	if (!choose(s, uses, 4, &n))
		return broken(why, s->line, "use takes one of refuse, junk, score, mark");
	l->use = (enum config_list_use)n;
	return OK;
}

static enum result set_key(struct config *c, struct config_list *l, const struct statement *s,
                           struct bytes *ret_key, struct why *why)
{
	if (bytes_equal(s->key, BYTES("zone")))
		return set_zone(c, l, s, why);
	if (bytes_equal(s->key, BYTES("kind")))
		return set_kind(l, s, why);
	if (bytes_equal(s->key, BYTES("use")))
		return set_use(l, s, why);
	if (bytes_equal(s->key, BYTES("points"))) {
		if (s->count != 1 || !option_points_parse(s->values[0], &l->points) ||
		    l->points > POINTS_MAX)
			return broken(why, s->line,
			              "points takes a number from 0 to 100, as 4 or 2.5");
		return OK;
	}
	if (bytes_equal(s->key, BYTES("codes"))) {
		for (size_t i = 0; i < s->count; i++)
			if (!code_add(c, l, s->values[i]))
				return broken(why, s->line,
				              "codes takes answers as 127.0.0.2 127.0.0.4-7=word "
				              "127.0.0.&8@50 !127.0.0.255");
		return OK;
	}
	if (bytes_equal(s->key, BYTES("key"))) {
		if (s->count != 1 || s->values[0].len > 63)
			return broken(why, s->line, "key takes one word of letters and digits");
		*ret_key = s->values[0];
		return OK;
	}
	return why_set(why, INVALID,
	               CONF ":%u: unknown key \"%.*s\" in a list; accepted: zone, kind, use, "
	                    "points, codes, key",
	               s->line, BYTES_ARG(bytes_first(s->key, 60)));
}

/* ---- the section ---- */

const struct config_list *config_list_named(const struct config *c, struct bytes name)
{
	for (size_t i = 0; i < c->list_count; i++)
		if (bytes_equal(c->lists[i].name, name))
			return &c->lists[i];
	return NULL;
}

static bool only_of(struct bytes word, struct bytes accepted)
{
	for (size_t i = 0; i < word.len; i++)
		if (bytes_find_char(accepted, word.ptr[i]) == BYTES_NONE)
			return false;
	return word.len > 0;
}

/* Before the section's own lines, which may say otherwise. */
static void begin_known(struct config_list *l, const struct known *k)
{
	l->kind = k->kind;
	l->zone = bytes_of_text(k->zone);
	l->listed = bytes_of_text(k->listed);
	l->clean = bytes_of_text(k->clean);
	l->base = bytes_equal(bytes_of_text(k->names), BYTES("base"));
	l->ipv4 = bytes_find(bytes_of_text(k->families), BYTES("ipv4")) != BYTES_NONE;
	l->ipv6 = bytes_find(bytes_of_text(k->families), BYTES("ipv6")) != BYTES_NONE;
}

/* The key is a label in the zone. People are shown the zone without it: whoever has it asks at our cost. */
static enum result place_key(struct config *c, struct config_list *l, struct bytes key,
                             unsigned line, struct why *why)
{
	bool wanted = bytes_starts(l->zone, BYTES("KEY."));

	if (wanted != (key.len > 0))
		return broken(why, line,
		              wanted ? "this list lacks its `key`" : "this list takes no key");
	l->shown = l->zone;
	if (!wanted)
		return OK;
	if (!only_of(key, BYTES(LETTERS)))
		return broken(why, line, "key takes one word of letters and digits");
	l->shown = bytes_skip(l->zone, 4);
	l->zone = arena_printf(&c->arena, "%.*s.%.*s", BYTES_ARG(key), BYTES_ARG(l->shown));
	return OK;
}

static size_t domain_lists(const struct config *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->list_count; i++)
		n += c->lists[i].kind == CONFIG_LIST_DOMAIN;
	return n;
}

static enum result finish(struct config *c, struct config_list *l, const struct known *k,
                          struct bytes key, unsigned line, struct why *why)
{
	const struct dead *dead;
	enum result r;

	if (l->zone.len == 0)
		return broken(
		        why, line,
		        "it lacks its `zone`, and no list is known by this name (docs/lists.md)");
	if ((dead = find_dead(l->zone)))
		return why_set(why, INVALID,
		               CONF ":%u: list: %s is dead since %s and must not be asked: such "
		                    "lists begin to list everybody",
		               line, dead->zone, dead->since);
	if (l->kind == CONFIG_LIST_DOMAIN && domain_lists(c) == CONFIG_DOMAIN_LISTS)
		return broken(why, line,
		              "there are 6 lists of domains already: more are not asked");
	if (l->kind == CONFIG_LIST_ALLOW && l->use > CONFIG_LIST_MARK)
		return broken(why, line, "an allow list is of use score or mark");
	if ((r = place_key(c, l, key, line, why)) != OK)
		return r;
	if (l->code_count == 0)
		codes_of_text(c, l, k && *k->codes ? k->codes : USUAL_CODES);
	if (l->listed.len == 0)
		l->listed = l->kind == CONFIG_LIST_DOMAIN ? BYTES("test") : BYTES("2.0.0.127");
	if (l->clean.len == 0)
		l->clean = l->kind == CONFIG_LIST_DOMAIN ? BYTES("invalid") : BYTES("1.0.0.127");
	return OK;
}

static enum result parse_lines(struct config *c, struct syntax *x, struct config_list *l,
                               unsigned line, struct bytes *ret_key, struct why *why)
{
	for (;;) {
		struct statement s = {0};
		enum result r = syntax_next(x, &s, why);

		if (r != OK || s.kind == STATEMENT_CLOSE)
			return r;
		if (s.kind != STATEMENT_LINE)
			return broken(why, line, "it has no } at its end");
		if ((r = set_key(c, l, &s, ret_key, why)) != OK)
			return r;
	}
}

enum result lists_parse(struct config *c, struct syntax *x, const struct statement *open,
                        struct why *why)
{
	struct config_list l = {.ipv4 = true, .ipv6 = true, .points = POINTS_MAX + 1};
	const struct known *k;
	struct bytes key = {0};
	enum result r;

	if (open->count != 1 || open->values[0].len > 40 ||
	    !only_of(open->values[0], BYTES(LETTERS "-_")))
		return broken(why, open->line,
		              "it has one name of letters, digits, - and _: list NAME { ... }");
	if (config_list_named(c, open->values[0]))
		return broken(why, open->line, "there is one of this name already");
	if (c->list_count == SECTIONS)
		return broken(why, open->line, "these are too many");
	if ((k = find_known(open->values[0])))
		begin_known(&l, k);
	l.name = arena_copy(&c->arena, open->values[0]);
	r = parse_lines(c, x, &l, open->line, &key, why);
	if (r == OK)
		r = finish(c, &l, k, key, open->line, why);
	if (r != OK)
		return r;
	if (l.points > POINTS_MAX)
		l.points = l.kind == CONFIG_LIST_ALLOW ? 200 : 400;
	if (!c->lists)
		c->lists = arena_get(&c->arena, SECTIONS * sizeof(*c->lists));
	c->lists[c->list_count++] = l;
	return OK;
}

/* ---- octets ---- */

void lists_encode(const struct config *c, struct buf *out)
{
	buf_u32(out, (uint32_t)c->list_count);
	for (size_t i = 0; i < c->list_count; i++) {
		const struct config_list *l = &c->lists[i];

		buf_block(out, l->name);
		buf_block(out, l->zone);
		buf_block(out, l->shown);
		buf_u8(out, (uint8_t)l->kind);
		buf_u8(out, (uint8_t)l->use);
		buf_u64(out, l->points);
		buf_u8(out, (uint8_t)((l->ipv4 ? HAS_IPV4 : 0) | (l->ipv6 ? HAS_IPV6 : 0) |
		                      (l->base ? HAS_BASE : 0)));
		buf_block(out, l->listed);
		buf_block(out, l->clean);
		buf_u32(out, (uint32_t)l->code_count);
		for (size_t k = 0; k < l->code_count; k++) {
			const struct config_list_code *code = &l->codes[k];

			buf_append(out, bytes_of(code->from, 4));
			buf_append(out, bytes_of(code->to, 4));
			buf_u8(out, code->bits);
			buf_u8(out, code->refused);
			buf_u8(out, code->percent);
			buf_block(out, code->meaning);
		}
	}
}

static void decode_codes(struct config *c, struct wire *w, struct config_list *l)
{
	uint32_t count = wire_u32(w);

	w->bad |= count > CODES;
	if (w->bad)
		return;
	l->codes = arena_get(&c->arena, (count + 1) * sizeof(*l->codes));
	for (; !w->bad && l->code_count < count; l->code_count++) {
		struct config_list_code *code = &l->codes[l->code_count];
		struct bytes octets = wire_take(w, 8);

		if (octets.len == 8) {
			memcpy(code->from, octets.ptr, 4);
			memcpy(code->to, octets.ptr + 4, 4);
		}
		code->bits = wire_u8(w);
		code->refused = wire_u8(w) != 0;
		code->percent = wire_u8(w);
		code->meaning = arena_copy(&c->arena, wire_block(w));
	}
}

static void decode_one(struct config *c, struct wire *w, struct config_list *l)
{
	unsigned flags;

	l->name = arena_copy(&c->arena, wire_block(w));
	l->zone = arena_copy(&c->arena, wire_block(w));
	l->shown = arena_copy(&c->arena, wire_block(w));
	l->kind = wire_u8(w);
	l->use = wire_u8(w);
	l->points = wire_u64(w);
	flags = wire_u8(w);
	l->ipv4 = flags & HAS_IPV4;
	l->ipv6 = flags & HAS_IPV6;
	l->base = flags & HAS_BASE;
	l->listed = arena_copy(&c->arena, wire_block(w));
	l->clean = arena_copy(&c->arena, wire_block(w));
	w->bad |= l->kind > CONFIG_LIST_ALLOW || l->use > CONFIG_LIST_REFUSE ||
	          l->points > POINTS_MAX || l->zone.len == 0 || l->zone.len > LIMIT_DOMAIN;
	decode_codes(c, w, l);
}

void lists_decode(struct config *c, struct wire *w)
{
	uint32_t count = wire_u32(w);

	w->bad |= count > SECTIONS;
	if (w->bad)
		return;
	c->lists = arena_get(&c->arena, (count + 1) * sizeof(*c->lists));
	for (; !w->bad && c->list_count < count; c->list_count++)
		decode_one(c, w, &c->lists[c->list_count]);
}
