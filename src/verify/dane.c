#include "verify/dane.h"

#include "base/encode.h"

enum { TYPE_TLSA = 52 };

static bool read_tlsa(struct bytes rdata, struct tlsa *ret)
{
	if (rdata.len < 4)
		return false;
	*ret = (struct tlsa){
	        .usage = (uint8_t)rdata.ptr[0],
	        .selector = (uint8_t)rdata.ptr[1],
	        .matching = (uint8_t)rdata.ptr[2],
	        .data = bytes_skip(rdata, 3),
	};
	return true;
}

static void add_text(struct buf *b, const struct tlsa *t)
{
	buf_printf(b, "%u %u %u ", t->usage, t->selector, t->matching);
	encode_hex(b, t->data);
	buf_append_char(b, '\n');
}

static void take_records(const struct fact *f, struct arena *arena, struct dane *d)
{
	struct buf text = {0};

	d->records = arena_get(arena, DANE_RECORDS * sizeof(*d->records));
	for (size_t i = 0; i < f->count && d->count < DANE_RECORDS; i++) {
		struct tlsa t;

		if (!read_tlsa(f->records[i], &t))
			continue;
		add_text(&text, &t);
		if (tlsa_is_usable(&t))
			d->records[d->count++] = t;
	}
	d->string = arena_copy(arena, buf_bytes(&text));
	buf_done(&text);
	d->state = d->count > 0 ? DANE_MATCH : DANE_ENCRYPT;
}

/* OK with DANE_NONE: there are none at this base. */
static enum result look_at(struct bytes base, struct facts *facts, struct arena *arena,
                           struct dane *d)
{
	struct bytes name = arena_printf(arena, "_25._tcp.%.*s", BYTES_ARG(base));
	const struct fact *f = facts_need(facts, name, TYPE_TLSA);

	if (!f)
		return UNAVAILABLE;
	d->base = base;
	if (f->status == FACT_FAILED || f->status == FACT_BOGUS) {
		d->state = DANE_DEFER;
		d->text = arena_printf(arena, "its TLSA records cannot be had%s%.*s",
		                       f->reason.len ? ": " : "", BYTES_ARG(f->reason));
	} else if (f->status == FACT_FOUND && f->secure) {
		take_records(f, arena, d);
	}
	return OK;
}

/* RFC 7672, 2.2.2: the name that aliases lead to first, then the name itself. */
enum result dane_find(const struct route_host *host, struct facts *facts, struct arena *arena,
                      struct dane *ret)
{
	struct dane d = {.base = host->name};
	enum result r = OK;

	if (!host->secure || host->literal) {
		*ret = d;
		return OK;
	}
	if (!bytes_equal_nocase(host->canonical, host->name))
		r = look_at(host->canonical, facts, arena, &d);
	if (r == OK && d.state == DANE_NONE)
		r = look_at(host->name, facts, arena, &d);
	if (r == OK)
		*ret = d;
	return r;
}
