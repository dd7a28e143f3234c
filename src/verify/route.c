#include "verify/route.h"

#include "base/text.h"
#include "base/wire.h"

enum { MX_MAX = 64, TYPE_A = 1, TYPE_MX = 15, TYPE_AAAA = 28 };

struct mx {
	struct bytes name;
	uint16_t preference;
	uint64_t dice;
};

struct work {
	const struct route_question *q;
	struct facts *facts;
	struct arena *arena;
	struct route *ret;
	struct mx mx[MX_MAX];
	size_t mx_count;
	bool missing;   /* a fact is */
	bool unsure;    /* the DNS could not say something about a host */
	bool forbidden; /* a host has addresses, and none that we may carry to */
	struct bytes doubt;
};

/* ---- networks ---- */

static const char *const closed[] = {
        "0.0.0.0/8",       "10.0.0.0/8",     "100.64.0.0/10", "127.0.0.0/8",    "169.254.0.0/16",
        "172.16.0.0/12",   "192.0.0.0/24",   "192.0.2.0/24",  "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",   "::/127",         "64:ff9b:1::/48",
        "100::/64",        "2001:db8::/32",  "fc00::/7",      "fe80::/10",      "ff00::/8",
};

bool route_may_carry_to(const struct ip *ip, const struct config_prefixes *allowed)
{
	if (allowed && config_prefixes_contain(allowed, ip))
		return true;
	for (size_t i = 0; i < sizeof(closed) / sizeof(*closed); i++) {
		struct ip_prefix p;

		if (ip_prefix_parse(bytes_of_text(closed[i]), &p) == OK &&
		    ip_prefix_contains(&p, ip))
			return false;
	}
	return true;
}

/* ---- facts ---- */

static const struct fact *look(struct work *w, struct bytes name, uint16_t type)
{
	const struct fact *f = facts_need(w->facts, name, type);

	w->missing |= f == NULL;
	return f;
}

static bool is_unsure(const struct fact *f)
{
	return f->status == FACT_FAILED || f->status == FACT_BOGUS;
}

static struct bytes doubt(struct work *w, const struct fact *f, struct bytes name)
{
	return arena_printf(w->arena, "the DNS could not be asked about %.*s%s%.*s",
	                    BYTES_ARG(name), f->reason.len ? ": " : "", BYTES_ARG(f->reason));
}

/* ---- the end without a host ---- */

static enum result nowhere(struct work *w, bool temporary, const char *status, struct bytes text)
{
	w->ret->count = 0;
	w->ret->temporary = temporary;
	w->ret->status = status;
	w->ret->text = text;
	return OK;
}

/* ---- addresses of a host ---- */

static bool is_own_address(const struct work *w, const struct ip *ip)
{
	for (size_t i = 0; w->q->own && i < w->q->own->count; i++)
		if (ip_equal(&w->q->own->items[i], ip))
			return true;
	return false;
}

static bool take_rdata(struct bytes rdata, uint16_t type, struct ip *ret)
{
	if (rdata.len != (type == TYPE_A ? 4 : 16))
		return false;
	*ret = (struct ip){0};
	if (type == TYPE_A) {
		ret->octets[10] = ret->octets[11] = 0xff;
		memcpy(ret->octets + 12, rdata.ptr, 4);
	} else {
		memcpy(ret->octets, rdata.ptr, 16);
	}
	return true;
}

struct family {
	struct ip ips[ROUTE_ADDRESSES];
	size_t count, closed;
	bool own;
};

static void take_family(struct work *w, const struct fact *f, uint16_t type, struct family *ret)
{
	*ret = (struct family){0};
	if (!f || f->status != FACT_FOUND)
		return;
	for (size_t i = 0; i < f->count && ret->count < ROUTE_ADDRESSES; i++) {
		struct ip ip;

		if (!take_rdata(f->records[i], type, &ip))
			continue;
		ret->own |= is_own_address(w, &ip);
		if (w->q->anywhere || route_may_carry_to(&ip, w->q->allowed))
			ret->ips[ret->count++] = ip;
		else
			ret->closed++;
	}
}

/* IPv6 first, then one of each in turn (RFC 8305, 4). */
static void interleave(const struct family *a, const struct family *b, struct route_host *h)
{
	for (size_t i = 0; i < ROUTE_ADDRESSES; i++) {
		if (i < a->count && h->address_count < ROUTE_ADDRESSES)
			h->addresses[h->address_count++] = a->ips[i];
		if (i < b->count && h->address_count < ROUTE_ADDRESSES)
			h->addresses[h->address_count++] = b->ips[i];
	}
}

static void note_doubt(struct work *w, const struct fact *f, struct bytes name)
{
	if (!f || !is_unsure(f))
		return;
	w->unsure = true;
	w->doubt = doubt(w, f, name);
}

/* Fills the host's addresses. *ret_own: one of them is ours. Nothing is filled while facts are missing. */
static void find_addresses(struct work *w, struct route_host *h, bool *ret_own)
{
	bool want4 = w->q->family != ROUTE_IPV6, want6 = w->q->family != ROUTE_IPV4;
	const struct fact *f4 = want4 ? look(w, h->name, TYPE_A) : NULL;
	const struct fact *f6 = want6 ? look(w, h->name, TYPE_AAAA) : NULL;
	struct family four, six;

	*ret_own = false;
	if ((want4 && !f4) || (want6 && !f6))
		return;
	take_family(w, f4, TYPE_A, &four);
	take_family(w, f6, TYPE_AAAA, &six);
	*ret_own = four.own || six.own;
	interleave(&six, &four, h);
	/* A family that the DNS fails to tell says nothing: else whoever suppresses its answer switches DANE off (RFC 7672,
	 * 2.1.2). */
	h->secure = (!f4 || is_unsure(f4) || f4->secure) && (!f6 || is_unsure(f6) || f6->secure);
	h->canonical = f4 && f4->canonical.len   ? f4->canonical
	               : f6 && f6->canonical.len ? f6->canonical
	                                         : h->name;
	if (h->address_count > 0)
		return;
	w->forbidden |= four.closed + six.closed > 0;
	note_doubt(w, f4, h->name);
	note_doubt(w, f6, h->name);
}

/* ---- MX ---- */

/* splitmix64: the same seed gives the same order. */
static uint64_t roll(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* "192.0.2.1" in an MX is no host name: its last label would be a top-level domain of digits. */
static bool is_numeric(struct bytes name)
{
	size_t dot = bytes_find_last(name, '.');
	struct bytes last = dot == BYTES_NONE ? name : bytes_skip(name, dot + 1);

	for (size_t i = 0; i < last.len; i++)
		if (!text_is_digit(last.ptr[i]))
			return false;
	return true;
}

static bool before(const struct mx *a, const struct mx *b)
{
	return a->preference != b->preference ? a->preference < b->preference : a->dice < b->dice;
}

static void insert(struct work *w, struct mx m)
{
	size_t at = w->mx_count;

	for (size_t i = 0; i < w->mx_count; i++)
		if (bytes_equal(w->mx[i].name, m.name))
			return; /* said twice */
	if (w->mx_count == MX_MAX)
		return;
	for (w->mx_count++; at > 0 && before(&m, &w->mx[at - 1]); at--)
		w->mx[at] = w->mx[at - 1];
	w->mx[at] = m;
}

/* *ret_null: one of them is "." (RFC 7505). */
static void read_mx(struct work *w, const struct fact *f, bool *ret_null)
{
	uint64_t state = w->q->seed;

	*ret_null = false;
	for (size_t i = 0; i < f->count; i++) {
		struct wire wire = wire_of(f->records[i]);
		struct mx m = {.preference = wire_u16(&wire)};

		m.dice = roll(&state);
		if (wire.bad || facts_name(wire.rest, w->arena, &m.name) != OK)
			continue;
		if (m.name.len == 0)
			*ret_null = true;
		else if (!is_numeric(m.name))
			insert(w, m);
	}
}

/* ---- all together ---- */

static bool is_own_name(const struct work *w, struct bytes name)
{
	return w->q->hostname.len > 0 && bytes_equal_nocase(name, w->q->hostname);
}

/* Looks at the hosts in order. Only those before our own place count (RFC 5321, 5.1). */
static enum result find_hosts(struct work *w)
{
	struct route *r = w->ret;
	bool looped = false;
	unsigned cut = 0x10000;

	for (size_t i = 0; i < w->mx_count; i++)
		if (is_own_name(w, w->mx[i].name) && w->mx[i].preference < cut)
			cut = w->mx[i].preference;
	for (size_t i = 0; i < w->mx_count && i < ROUTE_HOSTS; i++) {
		struct route_host h = {.name = w->mx[i].name, .preference = w->mx[i].preference};
		bool own = false;

		if (h.preference >= cut)
			break;
		find_addresses(w, &h, &own);
		if (own)
			cut = h.preference;
		if (!own && h.address_count > 0)
			r->hosts[r->count++] = h;
	}
	if (w->missing)
		return UNAVAILABLE;
	/* Equals of our own, found before it was. */
	while (r->count > 0 && r->hosts[r->count - 1].preference >= cut)
		r->count--;
	looped = cut < 0x10000;
	for (size_t i = 0; i < r->count; i++)
		r->hosts[i].secure = r->hosts[i].secure && r->secure;
	if (r->count > 0)
		return OK;
	if (looped)
		return nowhere(w, false, "5.4.6",
		               BYTES("mail for this domain would come back to this host: its MX "
		                     "points here, but the domain is not one of ours"));
	if (w->unsure)
		return nowhere(w, true, "4.4.3", w->doubt);
	if (w->forbidden)
		return nowhere(w, false, "5.4.4",
		               BYTES("the domain's mail hosts have only private or reserved "
		                     "addresses"));
	if (r->implicit)
		return nowhere(w, false, "5.1.2",
		               BYTES("the domain has neither MX nor address records"));
	return nowhere(w, false, "5.4.4", BYTES("the domain's MX names hosts that do not exist"));
}

static enum result find_implicit(struct work *w)
{
	w->ret->implicit = true;
	insert(w, (struct mx){.name = w->q->domain});
	return find_hosts(w);
}

static enum result find_by_mx(struct work *w)
{
	const struct fact *f = look(w, w->q->domain, TYPE_MX);
	bool null_mx;

	if (!f)
		return UNAVAILABLE;
	w->ret->secure = f->secure;
	if (is_unsure(f))
		return nowhere(w, true, "4.4.3", doubt(w, f, w->q->domain));
	if (f->status == FACT_NO_NAME)
		return nowhere(
		        w, false, "5.1.2",
		        arena_printf(w->arena, "there is no domain %.*s", BYTES_ARG(w->q->domain)));
	if (f->status != FACT_FOUND)
		return find_implicit(w);
	read_mx(w, f, &null_mx);
	if (null_mx && w->mx_count == 0)
		return nowhere(w, false, "5.1.10",
		               arena_printf(w->arena, "%.*s says that it takes no mail (null MX)",
		                            BYTES_ARG(w->q->domain)));
	return find_hosts(w);
}

/* [192.0.2.1], [IPv6:2001:db8::1], or an address alone. */
static bool parse_literal(struct bytes domain, struct ip *ret)
{
	if (domain.len > 2 && domain.ptr[0] == '[' && domain.ptr[domain.len - 1] == ']')
		domain = bytes_of(domain.ptr + 1, domain.len - 2);
	if (bytes_starts_nocase(domain, BYTES("IPv6:")))
		domain = bytes_skip(domain, 5);
	return ip_parse(domain, ret) == OK;
}

static enum result find_literal(struct work *w, const struct ip *ip)
{
	struct route_host *h = &w->ret->hosts[0];

	if (!w->q->anywhere && !route_may_carry_to(ip, w->q->allowed))
		return nowhere(w, false, "5.4.4", BYTES("this is a private or reserved address"));
	if (is_own_address(w, ip))
		return nowhere(w, false, "5.4.6", BYTES("this is an address of this host"));
	*h = (struct route_host){.name = w->q->domain, .canonical = w->q->domain, .literal = true};
	h->addresses[h->address_count++] = *ip;
	w->ret->count = 1;
	return OK;
}

enum result route_find(const struct route_question *q, struct facts *facts, struct arena *arena,
                       struct route *ret)
{
	struct work *w = arena_get(arena, sizeof(*w));
	struct route *r = arena_get(arena, sizeof(*r));
	enum result result;
	struct ip ip;

	*w = (struct work){.q = q, .facts = facts, .arena = arena, .ret = r};
	if (parse_literal(q->domain, &ip))
		result = find_literal(w, &ip);
	else if (q->domain.len > 0 && q->domain.ptr[0] == '[')
		result = nowhere(w, false, "5.1.3", BYTES("this is no address"));
	else if (q->is_host)
		result = find_implicit(w);
	else
		result = find_by_mx(w);
	if (result == OK)
		*ret = *r;
	return result;
}
