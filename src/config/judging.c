/* `judge-for` sections of hikyaku.conf: parsing, finding, and their octets.
 *
 *	u32 sections: block name, u32 recipients: blocks, u64 junk, u64 refuse
 */
#include "config/judging.h"

#include "config/option.h"

#define CONF "hikyaku.conf"

enum { SECTIONS = 1000, RECIPIENTS = 10000 };

#define NOT_SET UINT64_MAX

static enum result broken(struct why *why, unsigned line, const char *reason)
{
	return why_set(why, INVALID, CONF ":%u: judge-for: %s", line, reason);
}

/* "example.test", ".example.test" for all below it, or "ken@example.test". */
static bool canonical(struct config *c, struct bytes word, struct bytes *ret)
{
	bool below = word.len > 1 && word.ptr[0] == '.';

	if (bytes_find_char(word, '@') != BYTES_NONE)
		return config_address_canonical(word, &c->arena, ret) == OK;
	if (config_domain_canonical(bytes_skip(word, below), &c->arena, ret) != OK)
		return false;
	if (below)
		*ret = arena_printf(&c->arena, ".%.*s", BYTES_ARG(*ret));
	return true;
}

static enum result set_recipients(struct config *c, struct config_judge *j,
                                  const struct statement *line, struct why *why)
{
	size_t count = j->recipients.count + line->count;
	struct bytes *items;

	if (line->count == 0 || count > RECIPIENTS)
		return broken(why, line->line, "for takes domains and addresses");
	items = arena_get(&c->arena, count * sizeof(*items));
	if (j->recipients.count)
		memcpy(items, j->recipients.items, j->recipients.count * sizeof(*items));
	j->recipients.items = items;
	for (size_t i = 0; i < line->count; i++) {
		if (!canonical(c, line->values[i], &items[j->recipients.count]))
			return why_set(why, INVALID,
			               CONF ":%u: judge-for: \"%.*s\" is no domain and no address",
			               line->line, BYTES_ARG(bytes_first(line->values[i], 80)));
		j->recipients.count++;
	}
	return OK;
}

static enum result set_key(struct config *c, struct config_judge *j, const struct statement *line,
                           struct why *why)
{
	bool junk = bytes_equal(line->key, BYTES("junk"));
	uint64_t points;

	if (bytes_equal(line->key, BYTES("for")))
		return set_recipients(c, j, line, why);
	if (!junk && !bytes_equal(line->key, BYTES("refuse")))
		return why_set(why, INVALID,
		               CONF ":%u: unknown key \"%.*s\" in a judge-for; accepted: for, "
		                    "junk, refuse",
		               line->line, BYTES_ARG(bytes_first(line->key, 60)));
	if (line->count != 1 || !option_points_parse(line->values[0], &points) || points > 100000)
		return broken(why, line->line,
		              "junk and refuse take points from 0.0 to 1000.0 (0: never)");
	if (junk)
		j->junk = points;
	else
		j->refuse = points;
	return OK;
}

enum result judging_parse(struct config *c, struct syntax *x, const struct statement *open,
                          struct why *why)
{
	struct config_judge *j;

	if (!c->judges)
		c->judges = arena_get(&c->arena, SECTIONS * sizeof(*c->judges));
	if (c->judge_count == SECTIONS)
		return broken(why, open->line, "these are too many");
	if (open->count != 1 || open->values[0].len > 64)
		return broken(why, open->line, "it has one name: judge-for NAME { ... }");
	j = &c->judges[c->judge_count];
	*j = (struct config_judge){
	        .name = arena_copy(&c->arena, open->values[0]), .junk = NOT_SET, .refuse = NOT_SET};
	for (;;) {
		struct statement line = {0};
		enum result r = syntax_next(x, &line, why);

		if (r != OK)
			return r;
		if (line.kind == STATEMENT_CLOSE)
			break;
		if (line.kind != STATEMENT_LINE)
			return broken(why, open->line, "it has no } at its end");
		if ((r = set_key(c, j, &line, why)) != OK)
			return r;
	}
	if (j->recipients.count == 0)
		return broken(why, open->line, "it lacks `for`: whose mail it is about");
	c->judge_count++;
	return OK;
}

enum result judging_check(struct config *c, unsigned line, struct why *why)
{
	for (size_t i = 0; i < c->judge_count; i++) {
		struct config_judge *j = &c->judges[i];

		if (j->junk == NOT_SET)
			j->junk = c->judge_junk;
		if (j->refuse == NOT_SET)
			j->refuse = c->judge_refuse;
		if (j->junk && j->refuse && j->refuse < j->junk)
			return why_set(why, INVALID,
			               CONF ": judge-for %.*s: it refuses before it junks",
			               BYTES_ARG(j->name));
	}
	if (c->judge_junk && c->judge_refuse && c->judge_refuse < c->judge_junk)
		return why_set(why, INVALID, CONF ":%u: judge: refuse is less than junk", line);
	return OK;
}

/* ---- finding ---- */

/* 3: its address, 2: its domain, 1: a domain above it, 0: not this recipient. */
static int fits(struct bytes word, struct bytes rcpt)
{
	struct bytes domain = bytes_skip(rcpt, bytes_find_last(rcpt, '@') + 1);

	if (bytes_find_char(word, '@') != BYTES_NONE)
		return bytes_equal_nocase(word, rcpt) ? 3 : 0;
	if (word.len && word.ptr[0] == '.')
		return domain.len > word.len && bytes_ends(domain, word);
	return bytes_equal(word, domain) ? 2 : 0;
}

/* Limit: linear in what the sections name; a few, asked once a recipient. */
void config_judge_for(const struct config *c, struct bytes rcpt, uint64_t *ret_junk,
                      uint64_t *ret_refuse)
{
	int best = 0;

	*ret_junk = c->judge_junk;
	*ret_refuse = c->judge_refuse;
	for (size_t i = 0; i < c->judge_count; i++) {
		const struct config_judge *j = &c->judges[i];

		for (size_t k = 0; k < j->recipients.count; k++) {
			int fit = fits(j->recipients.items[k], rcpt);

			if (fit <= best)
				continue;
			best = fit;
			*ret_junk = j->junk;
			*ret_refuse = j->refuse;
		}
	}
}

/* ---- as octets ---- */

void judging_encode(const struct config *c, struct buf *out)
{
	buf_u32(out, (uint32_t)c->judge_count);
	for (size_t i = 0; i < c->judge_count; i++) {
		const struct config_judge *j = &c->judges[i];

		buf_block(out, j->name);
		buf_u32(out, (uint32_t)j->recipients.count);
		for (size_t k = 0; k < j->recipients.count; k++)
			buf_block(out, j->recipients.items[k]);
		buf_u64(out, j->junk);
		buf_u64(out, j->refuse);
	}
}

static bool fits_in(struct wire *w, uint32_t count, size_t least)
{
	if (w->bad || w->rest.len / least < count)
		w->bad = true;
	return !w->bad;
}

static void decode_one(struct config *c, struct wire *w, struct config_judge *j)
{
	uint32_t count;

	j->name = arena_copy(&c->arena, wire_block(w));
	count = wire_u32(w);
	if (!fits_in(w, count, 4))
		return;
	j->recipients.items = arena_get(&c->arena, (count + 1) * sizeof(struct bytes));
	j->recipients.count = count;
	for (uint32_t i = 0; i < count; i++)
		j->recipients.items[i] = arena_copy(&c->arena, wire_block(w));
	j->junk = wire_u64(w);
	j->refuse = wire_u64(w);
}

void judging_decode(struct config *c, struct wire *w)
{
	uint32_t count = wire_u32(w);

	if (!fits_in(w, count, 24))
		return;
	c->judges = arena_get(&c->arena, (count + 1) * sizeof(*c->judges));
	c->judge_count = count;
	for (uint32_t i = 0; i < count; i++)
		decode_one(c, w, &c->judges[i]);
}
