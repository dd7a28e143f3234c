#include "config/option.h"

#include <assert.h>

#include "base/text.h"
#include "config/syntax.h"

enum option_type {
	TYPE_flag,
	TYPE_number,
	TYPE_points,
	TYPE_size,
	TYPE_duration,
	TYPE_text,
	TYPE_choice,
	TYPE_words,
	TYPE_ips,
	TYPE_prefixes
};

struct option {
	struct config_option_info info;
	enum option_type type;
	size_t offset;
};

static const struct option options[] = {
#define OPTION(type, field, section, key, value, min, max, accepts, help) \
	{{section, key, #type, value, accepts, min, max, help},           \
	 TYPE_##type,                                                     \
	 offsetof(struct config, field)},
#include "config/options.def"
#undef OPTION
};

enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {{"", 1}, {"k", 1024}, {"m", 1048576}, {"g", 1073741824}};
static const struct unit duration_units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

enum { SIZE_UNITS = 4, DURATION_UNITS = 5 };

static void *field(struct config *c, const struct option *o)
{
	return (char *)c + o->offset;
}

static const void *field_of(const struct config *c, const struct option *o)
{
	return (const char *)c + o->offset;
}

size_t config_option_count(void)
{
	return OPTION_COUNT;
}

const struct config_option_info *config_option_info(size_t nth)
{
	assert(nth < OPTION_COUNT);
	return &options[nth].info;
}

bool option_is_list(size_t nth)
{
	return options[nth].type >= TYPE_words;
}

size_t option_find(struct bytes section, struct bytes key)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (bytes_equal(section, bytes_of_text(options[i].info.section)) &&
		    bytes_equal(key, bytes_of_text(options[i].info.key)))
			return i;
	return BYTES_NONE;
}

bool option_section_known(struct bytes section)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (bytes_equal(section, bytes_of_text(options[i].info.section)))
			return true;
	return false;
}

static void nearer(struct bytes wanted, const char *name, unsigned *best, const char **ret)
{
	unsigned distance = syntax_distance(wanted, bytes_of_text(name));

	if (name[0] && distance < *best) {
		*best = distance;
		*ret = name;
	}
}

const char *option_nearest_key(struct bytes section, struct bytes key)
{
	unsigned best = key.len > 4 ? 4 : 3;
	const char *found = NULL;

	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (bytes_equal(section, bytes_of_text(options[i].info.section)))
			nearer(key, options[i].info.key, &best, &found);
	return found;
}

const char *option_nearest_section(struct bytes section)
{
	unsigned best = 4;
	const char *found = NULL;

	nearer(section, "listener", &best, &found);
	nearer(section, "alarm", &best, &found);
	nearer(section, "route", &best, &found);
	nearer(section, "source", &best, &found);
	nearer(section, "judge-for", &best, &found);
	for (size_t i = 0; i < OPTION_COUNT; i++)
		nearer(section, options[i].info.section, &best, &found);
	return found;
}

/* ---- numbers with units ---- */

static bool parse_unit(struct bytes word, const struct unit *units, size_t count, uint64_t *ret)
{
	size_t digits = 0;
	uint64_t number;

	while (digits < word.len && text_is_digit(word.ptr[digits]))
		digits++;
	if (bytes_to_u64(bytes_first(word, digits), UINT64_MAX, &number) != OK)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!bytes_equal_nocase(bytes_skip(word, digits), bytes_of_text(units[i].name)))
			continue;
		return !__builtin_mul_overflow(number, units[i].factor, ret);
	}
	*ret = 0;
	return number == 0 && digits == word.len;
}

/* The largest unit that leaves a whole number. */
static void print_unit(uint64_t value, const struct unit *units, size_t count, struct buf *out)
{
	size_t best = 0;

	for (size_t i = 0; i < count && value > 0; i++)
		if (value % units[i].factor == 0)
			best = i;
	buf_printf(out, "%llu%s", (unsigned long long)(value / units[best].factor),
	           units[best].name);
}

/* Hundredths as people write them: 5.0, 12.25. */
static void print_points(uint64_t value, struct buf *out)
{
	if (value % 10)
		buf_printf(out, "%llu.%02u", (unsigned long long)(value / 100),
		           (unsigned)(value % 100));
	else
		buf_printf(out, "%llu.%u", (unsigned long long)(value / 100),
		           (unsigned)(value % 100 / 10));
}

bool option_points_parse(struct bytes word, uint64_t *ret)
{
	size_t dot = bytes_find_char(word, '.');
	struct bytes rest = dot == BYTES_NONE ? (struct bytes){0} : bytes_skip(word, dot + 1);
	uint64_t whole, part = 0;

	if (bytes_to_u64(bytes_first(word, dot), 1000000, &whole) != OK || rest.len > 2)
		return false;
	if (dot != BYTES_NONE && bytes_to_u64(rest, 99, &part) != OK)
		return false;
	*ret = whole * 100 + (rest.len == 1 ? part * 10 : part);
	return true;
}

static void print_number(const struct option *o, uint64_t value, struct buf *out)
{
	if (o->type == TYPE_points)
		print_points(value, out);
	else if (o->type == TYPE_size)
		print_unit(value, size_units, SIZE_UNITS, out);
	else if (o->type == TYPE_duration)
		print_unit(value, duration_units, DURATION_UNITS, out);
	else
		buf_printf(out, "%llu", (unsigned long long)value);
}

static bool parse_number(const struct option *o, struct bytes word, uint64_t *ret)
{
	if (o->type == TYPE_points)
		return option_points_parse(word, ret);
	if (o->type == TYPE_size)
		return parse_unit(word, size_units, SIZE_UNITS, ret);
	if (o->type == TYPE_duration)
		return parse_unit(word, duration_units, DURATION_UNITS, ret);
	return bytes_to_u64(word, UINT64_MAX, ret) == OK;
}

static enum result set_number(const struct option *o, struct bytes word, uint64_t *ret,
                              struct why *why)
{
	struct buf range = {0};
	uint64_t value;
	enum result r = OK;

	if (!parse_number(o, word, &value) || value < o->info.min || value > o->info.max) {
		print_number(o, o->info.min, &range);
		buf_append_text(&range, " to ");
		print_number(o, o->info.max, &range);
		if (o->type == TYPE_duration)
			buf_append_text(&range, ", with ms, s, m, h or d");
		if (o->type == TYPE_size)
			buf_append_text(&range, ", also with k, m or g");
		r = why_set(why, INVALID, "%s takes a %s from %.*s, not \"%.*s\"", o->info.key,
		            o->info.type, BYTES_ARG(buf_bytes(&range)),
		            BYTES_ARG(bytes_first(word, 40)));
		buf_done(&range);
		return r;
	}
	*ret = value;
	return OK;
}

/* ---- one word ---- */

static enum result set_flag(const struct option *o, struct bytes word, bool *ret, struct why *why)
{
	if (bytes_equal(word, BYTES("on")) || bytes_equal(word, BYTES("yes")))
		*ret = true;
	else if (bytes_equal(word, BYTES("off")) || bytes_equal(word, BYTES("no")))
		*ret = false;
	else
		return why_set(why, INVALID, "%s takes on or off, not \"%.*s\"", o->info.key,
		               BYTES_ARG(bytes_first(word, 40)));
	return OK;
}

static enum result set_choice(const struct option *o, struct bytes word, unsigned *ret,
                              struct why *why)
{
	struct bytes rest = bytes_of_text(o->info.accepts), one;

	for (unsigned i = 0; bytes_cut(&rest, '|', &one); i++) {
		if (bytes_equal(word, one)) {
			*ret = i;
			return OK;
		}
	}
	return why_set(why, INVALID, "%s takes one of %s, not \"%.*s\"", o->info.key,
	               o->info.accepts, BYTES_ARG(bytes_first(word, 40)));
}

static enum result set_text(const struct option *o, struct bytes word, struct arena *arena,
                            struct bytes *ret, struct why *why)
{
	if (word.len > o->info.max)
		return why_set(why, INVALID, "%s takes at most %llu octets", o->info.key,
		               (unsigned long long)o->info.max);
	*ret = arena_copy(arena, word);
	return OK;
}

/* ---- lists ---- */

/* A list grows by one; lists are short, so by copying. */
static void *grown(struct arena *arena, const void *items, size_t count, size_t size)
{
	size_t room = count;
	char *out;

	/* Room is a power of two: only then is there a new piece to get. */
	if (count > 0 && (count & (count - 1)) != 0)
		return (void *)(uintptr_t)items;
	room = count ? count * 2 : 1;
	out = arena_get(arena, room * size);
	if (count > 0)
		memcpy(out, items, count * size);
	return out;
}

enum result option_ips_add(struct config_ips *list, struct bytes word, struct arena *arena,
                           struct why *why)
{
	struct ip ip;

	if (ip_parse(word, &ip) != OK)
		return why_set(why, INVALID, "\"%.*s\" is no IP address (192.0.2.1, 2001:db8::1)",
		               BYTES_ARG(bytes_first(word, 60)));
	list->items = grown(arena, list->items, list->count, sizeof(ip));
	list->items[list->count++] = ip;
	return OK;
}

bool config_prefixes_contain(const struct config_prefixes *list, const struct ip *ip)
{
	for (size_t i = 0; i < list->count; i++) {
		if (ip_prefix_contains(&list->items[i], ip))
			return true;
	}
	return false;
}

enum result option_prefixes_add(struct config_prefixes *list, struct bytes word,
                                struct arena *arena, struct why *why)
{
	struct ip_prefix prefix;

	if (ip_prefix_parse(word, &prefix) != OK)
		return why_set(why, INVALID, "\"%.*s\" is no network (10.0.0.0/8, 2001:db8::/32)",
		               BYTES_ARG(bytes_first(word, 60)));
	list->items = grown(arena, list->items, list->count, sizeof(prefix));
	list->items[list->count++] = prefix;
	return OK;
}

static void words_add(struct config_words *list, struct bytes word, struct arena *arena)
{
	list->items = grown(arena, list->items, list->count, sizeof(word));
	list->items[list->count++] = arena_copy(arena, word);
}

static size_t *list_count(void *at, enum option_type type)
{
	if (type == TYPE_words)
		return &((struct config_words *)at)->count;
	if (type == TYPE_ips)
		return &((struct config_ips *)at)->count;
	return &((struct config_prefixes *)at)->count;
}

static enum result list_add(struct config *c, const struct option *o, struct bytes word,
                            struct why *why)
{
	void *at = field(c, o);

	if (*list_count(at, o->type) >= o->info.max)
		return why_set(why, INVALID, "%s takes at most %llu values", o->info.key,
		               (unsigned long long)o->info.max);
	if (o->type == TYPE_ips)
		return option_ips_add(at, word, &c->arena, why);
	if (o->type == TYPE_prefixes)
		return option_prefixes_add(at, word, &c->arena, why);
	words_add(at, word, &c->arena);
	return OK;
}

static void list_clear(void *at, enum option_type type)
{
	if (type == TYPE_words)
		*(struct config_words *)at = (struct config_words){0};
	else if (type == TYPE_ips)
		*(struct config_ips *)at = (struct config_ips){0};
	else
		*(struct config_prefixes *)at = (struct config_prefixes){0};
}

/* ---- setting ---- */

static enum result set_one(struct config *c, const struct option *o, struct bytes word,
                           struct why *why)
{
	void *at = field(c, o);
	uint64_t value = 0;
	enum result r;

	switch (o->type) {
	case TYPE_flag: return set_flag(o, word, at, why);
	case TYPE_choice: return set_choice(o, word, at, why);
	case TYPE_text: return set_text(o, word, &c->arena, at, why);
	default: break;
	}
	r = set_number(o, word, &value, why);
	if (r != OK)
		return r;
	if (o->type == TYPE_duration)
		*(time_ms *)at = (time_ms)value;
	else
		*(uint64_t *)at = value;
	return OK;
}

enum result option_set(struct config *c, size_t nth, const struct bytes *values, size_t count,
                       bool more, struct why *why)
{
	const struct option *o = &options[nth];

	if (!option_is_list(nth)) {
		if (count != 1)
			return why_set(why, INVALID, "%s takes one value, not %zu", o->info.key,
			               count);
		return set_one(c, o, values[0], why);
	}
	if (!more)
		list_clear(field(c, o), o->type);
	if (*list_count(field(c, o), o->type) + count < o->info.min)
		return why_set(why, INVALID, "%s takes at least %llu values", o->info.key,
		               (unsigned long long)o->info.min);
	for (size_t i = 0; i < count; i++) {
		enum result r = list_add(c, o, values[i], why);

		if (r != OK)
			return r;
	}
	return OK;
}

void option_defaults(struct config *c)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		struct bytes rest = bytes_of_text(options[i].info.value), word;
		enum result r;

		if (!option_is_list(i)) {
			r = set_one(c, &options[i], rest, NULL);
			assert(r == OK);
			continue;
		}
		while (bytes_cut(&rest, ' ', &word)) {
			r = list_add(c, &options[i], word, NULL);
			assert(r == OK);
		}
	}
}

/* ---- printing ---- */

static void print_word(struct bytes word, struct buf *out)
{
	bool plain = word.len > 0 && word.ptr[0] != '#';

	for (size_t i = 0; i < word.len && plain; i++)
		plain = bytes_find_char(BYTES(" \t,{}\"\\"), word.ptr[i]) == BYTES_NONE;
	if (plain) {
		buf_append(out, word);
		return;
	}
	buf_append_char(out, '"');
	for (size_t i = 0; i < word.len; i++) {
		if (word.ptr[i] == '"' || word.ptr[i] == '\\')
			buf_append_char(out, '\\');
		buf_append_char(out, word.ptr[i]);
	}
	buf_append_char(out, '"');
}

static void print_prefix(const struct ip_prefix *p, struct buf *out)
{
	char text[IP_TEXT];

	ip_format(&p->ip, text);
	buf_printf(out, "%s/%u", text, ip_is_v4(&p->ip) && p->bits >= 96 ? p->bits - 96u : p->bits);
}

static void print_list(const void *at, enum option_type type, struct buf *out)
{
	size_t count = *list_count((void *)(uintptr_t)at, type);

	for (size_t i = 0; i < count; i++) {
		char text[IP_TEXT];

		if (i > 0)
			buf_append_char(out, ' ');
		if (type == TYPE_words) {
			print_word(((const struct config_words *)at)->items[i], out);
		} else if (type == TYPE_ips) {
			ip_format(&((const struct config_ips *)at)->items[i], text);
			buf_append_text(out, text);
		} else {
			print_prefix(&((const struct config_prefixes *)at)->items[i], out);
		}
	}
}

static void print_choice(const struct option *o, unsigned value, struct buf *out)
{
	struct bytes rest = bytes_of_text(o->info.accepts), one = {0};

	for (unsigned i = 0; i <= value; i++)
		if (!bytes_cut(&rest, '|', &one))
			return;
	buf_append(out, one);
}

void config_option_value(const struct config *c, size_t nth, struct buf *out)
{
	const struct option *o = &options[nth];
	const void *at = field_of(c, o);

	switch (o->type) {
	case TYPE_flag: buf_append_text(out, *(const bool *)at ? "on" : "off"); break;
	case TYPE_number:
	case TYPE_points:
	case TYPE_size: print_number(o, *(const uint64_t *)at, out); break;
	case TYPE_duration: print_number(o, (uint64_t) * (const time_ms *)at, out); break;
	case TYPE_text:
		if (((const struct bytes *)at)->len > 0)
			print_word(*(const struct bytes *)at, out);
		break;
	case TYPE_choice: print_choice(o, *(const unsigned *)at, out); break;
	case TYPE_words:
	case TYPE_ips:
	case TYPE_prefixes: print_list(at, o->type, out); break;
	}
}

/* ---- wire ---- */

void option_ips_encode(const struct config_ips *list, struct buf *out)
{
	buf_u32(out, (uint32_t)list->count);
	for (size_t i = 0; i < list->count; i++)
		buf_append(out, bytes_of(list->items[i].octets, 16));
}

void option_ips_decode(struct config_ips *list, struct wire *w, struct arena *arena)
{
	uint32_t count = wire_u32(w);

	*list = (struct config_ips){0};
	if (w->bad || w->rest.len / 16 < count) {
		w->bad = true;
		return;
	}
	list->items = arena_get(arena, (count + 1) * sizeof(struct ip));
	list->count = count;
	for (uint32_t i = 0; i < count; i++)
		memcpy(list->items[i].octets, wire_take(w, 16).ptr, 16);
}

void option_prefixes_encode(const struct config_prefixes *list, struct buf *out)
{
	buf_u32(out, (uint32_t)list->count);
	for (size_t i = 0; i < list->count; i++) {
		buf_append(out, bytes_of(list->items[i].ip.octets, 16));
		buf_u8(out, list->items[i].bits);
	}
}

void option_prefixes_decode(struct config_prefixes *list, struct wire *w, struct arena *arena)
{
	uint32_t count = wire_u32(w);

	*list = (struct config_prefixes){0};
	if (w->bad || w->rest.len / 17 < count) {
		w->bad = true;
		return;
	}
	list->items = arena_get(arena, (count + 1) * sizeof(struct ip_prefix));
	list->count = count;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(list->items[i].ip.octets, wire_take(w, 16).ptr, 16);
		list->items[i].bits = wire_u8(w);
		w->bad |= list->items[i].bits > 128;
	}
}

static void words_encode(const struct config_words *list, struct buf *out)
{
	buf_u32(out, (uint32_t)list->count);
	for (size_t i = 0; i < list->count; i++)
		buf_block(out, list->items[i]);
}

static void words_decode(struct config_words *list, struct wire *w, struct arena *arena)
{
	uint32_t count = wire_u32(w);

	*list = (struct config_words){0};
	if (w->bad || w->rest.len / 4 < count) {
		w->bad = true;
		return;
	}
	list->items = arena_get(arena, (count + 1) * sizeof(struct bytes));
	list->count = count;
	for (uint32_t i = 0; i < count; i++)
		list->items[i] = arena_copy(arena, wire_block(w));
}

void option_encode(const struct config *c, size_t nth, struct buf *out)
{
	const struct option *o = &options[nth];
	const void *at = field_of(c, o);

	switch (o->type) {
	case TYPE_flag: buf_u8(out, *(const bool *)at); break;
	case TYPE_number:
	case TYPE_points:
	case TYPE_size: buf_u64(out, *(const uint64_t *)at); break;
	case TYPE_duration: buf_u64(out, (uint64_t) * (const time_ms *)at); break;
	case TYPE_text: buf_block(out, *(const struct bytes *)at); break;
	case TYPE_choice: buf_u32(out, *(const unsigned *)at); break;
	case TYPE_words: words_encode(at, out); break;
	case TYPE_ips: option_ips_encode(at, out); break;
	case TYPE_prefixes: option_prefixes_encode(at, out); break;
	}
}

static uint64_t number_decode(const struct option *o, struct wire *w)
{
	uint64_t value = wire_u64(w);

	if (value < o->info.min || value > o->info.max)
		w->bad = true;
	return value;
}

static unsigned choice_decode(const struct option *o, struct wire *w)
{
	uint32_t value = wire_u32(w);
	struct bytes rest = bytes_of_text(o->info.accepts), one;
	unsigned count = 0;

	while (bytes_cut(&rest, '|', &one))
		count++;
	if (value >= count)
		w->bad = true;
	return value;
}

void option_decode(struct config *c, size_t nth, struct wire *w)
{
	const struct option *o = &options[nth];
	void *at = field(c, o);

	switch (o->type) {
	case TYPE_flag: *(bool *)at = wire_u8(w) != 0; break;
	case TYPE_number:
	case TYPE_points:
	case TYPE_size: *(uint64_t *)at = number_decode(o, w); break;
	case TYPE_duration: *(time_ms *)at = (time_ms)number_decode(o, w); break;
	case TYPE_text: *(struct bytes *)at = arena_copy(&c->arena, wire_block(w)); break;
	case TYPE_choice: *(unsigned *)at = choice_decode(o, w); break;
	case TYPE_words: words_decode(at, w, &c->arena); break;
	case TYPE_ips: option_ips_decode(at, w, &c->arena); break;
	case TYPE_prefixes: option_prefixes_decode(at, w, &c->arena); break;
	}
}
