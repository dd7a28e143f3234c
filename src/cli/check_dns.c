#include "cli/check_dns.h"

#include "base/limits.h"
#include "base/memory.h"
#include "dns/dns.h"
#include "sys/clock.h"
#include "sys/random.h"
#include "sys/socket.h"

enum {
	DNS_PORT = 53,
	BATCH = 128, /* asked together */
	PACKET = 65535,
	FLAGS = 2, /* where they stand in a message (RFC 1035, 4.1.1) */
	QUESTION_AT = 12,
	ANSWERS_NOT_QUESTION = 0x80, /* QR, in the first octet of the flags */
	CUT = 0x02,                  /* TC, in the same */
	RECURSION = 0x0100,
	OPT = 41,
	UDP_SIZE = 1232, /* RFC 6891, 6.1.2; the size: what fits through every path */
	CLASS_IN = 1,
};

struct question {
	struct dns_name name;
	uint16_t type, id;
	uint32_t number;
	bool done;
};

struct check_dns {
	struct ip ip;
	uint16_t port;
	int udp, tcp;
	struct question questions[BATCH];
	size_t count;
	struct arena arena;
	char packet[PACKET];
};

/* ---- where ---- */

static enum result parse_server(struct bytes text, struct check_dns *d)
{
	size_t colon = bytes_find_last(text, ':');
	bool bracket = bytes_starts(text, BYTES("["));
	uint64_t port = DNS_PORT;

	if (!bracket && (colon == BYTES_NONE || bytes_find_char(text, ':') != colon))
		colon = BYTES_NONE; /* an address alone */
	if (bracket && bytes_ends(text, BYTES("]")))
		colon = BYTES_NONE;
	if (colon != BYTES_NONE &&
	    (bytes_to_u64(bytes_skip(text, colon + 1), UINT16_MAX, &port) != OK || port == 0))
		return INVALID;
	text = bytes_first(text, colon == BYTES_NONE ? text.len : colon);
	if (bracket) {
		if (!bytes_ends(text, BYTES("]")))
			return INVALID;
		text = bytes_first(bytes_skip(text, 1), text.len - 2);
	}
	d->port = (uint16_t)port;
	return ip_parse(text, &d->ip);
}

enum result check_dns_open(const char *server, struct check_dns **ret, struct why *why)
{
	struct check_dns *d = NEW(struct check_dns);
	enum result r;

	d->udp = d->tcp = -1;
	if (parse_server(bytes_of_text(server), d) != OK)
		r = why_set(why, INVALID, "--dns %.60s is not ADDRESS or ADDRESS:PORT", server);
	else
		r = socket_connect_datagram(&d->ip, d->port, &d->udp, why);
	/* Behind the walls nothing connects any more. Nobody waits for it unless an answer needs it. */
	if (r == OK)
		(void)!socket_connect_begin(&d->ip, d->port, NULL, &d->tcp, NULL);
	if (r != OK)
		check_dns_close(&d);
	else
		*ret = d;
	return r;
}

void check_dns_close(struct check_dns **p)
{
	if (!*p)
		return;
	socket_close(&(*p)->udp);
	socket_close(&(*p)->tcp);
	arena_done(&(*p)->arena);
	memory_free(*p);
	*p = NULL;
}

/* ---- asking ---- */

static void put_question(const struct question *q, struct buf *out)
{
	buf_u16(out, q->id);
	buf_u16(out, RECURSION);
	buf_u16(out, 1);
	buf_u16(out, 0);
	buf_u16(out, 0);
	buf_u16(out, 1);
	buf_append(out, bytes_of(q->name.octets, q->name.len));
	buf_u16(out, q->type);
	buf_u16(out, CLASS_IN);
	buf_u8(out, 0); /* EDNS: the root, our size, no flags, no options */
	buf_u16(out, OPT);
	buf_u16(out, UDP_SIZE);
	buf_u32(out, 0);
	buf_u16(out, 0);
}

static void send_open(struct check_dns *d)
{
	for (size_t i = 0; i < d->count; i++) {
		struct buf out = {0};
		size_t n;

		if (d->questions[i].done)
			continue;
		put_question(&d->questions[i], &out);
		(void)!socket_write(d->udp, buf_bytes(&out), &n);
		buf_done(&out);
	}
}

/* ---- answers ---- */

static uint16_t u16_at(struct bytes b, size_t at)
{
	struct wire w = wire_of(bytes_skip(b, at));

	return wire_u16(&w);
}

/* Whose answer it is: by number and question, as a stranger could send us one. NULL: nobody's. */
static struct question *asker(struct check_dns *d, struct bytes packet)
{
	if (packet.len < QUESTION_AT || !(packet.ptr[FLAGS] & (char)ANSWERS_NOT_QUESTION))
		return NULL;
	for (size_t i = 0; i < d->count; i++) {
		struct question *q = &d->questions[i];
		struct wire w = wire_of(bytes_skip(packet, QUESTION_AT));
		struct dns_name name;

		if (q->done || q->id != u16_at(packet, 0) || u16_at(packet, 4) != 1)
			continue;
		dns_name_take(&w, &name);
		if (!w.bad && dns_name_equal(&name, &q->name) && wire_u16(&w) == q->type)
			return q;
	}
	return NULL;
}

static void give(struct question *q, struct facts *facts, const struct answer *a)
{
	struct answer mine = *a;

	mine.number = q->number;
	q->done = true;
	facts_answer(facts, &mine);
}

static void give_failed(struct question *q, struct facts *facts, enum result r, const char *reason)
{
	give(q, facts, &(struct answer){.result = r, .why = bytes_of_text(reason)});
}

static void give_message(struct check_dns *d, struct question *q, struct bytes packet,
                         struct facts *facts)
{
	struct dns_answer m;
	enum result r = dns_message_read(packet, &q->name, q->type, LIMIT_LIST, &d->arena, &m);
	struct answer a = {.kind = ASK_RESOLVE};

	if (r != OK) {
		give_failed(q, facts, FAILED, "the name server's answer is broken");
		return;
	}
	a.resolve.status = (uint8_t)m.status;
	a.resolve.ttl = m.ttl;
	a.resolve.records = m.records;
	if (m.canonical.len)
		a.resolve.canonical = dns_name_text(&m.canonical, &d->arena);
	if (m.status == DNS_FAILED)
		a.resolve.reason = BYTES("the name server says that it failed");
	give(q, facts, &a);
}

/* ---- TCP: one question at a time (RFC 7766 allows more, nobody needs it here) ---- */

static bool tcp_ready(struct check_dns *d)
{
	struct socket_peer peer;

	return d->tcp >= 0 && socket_wait(d->tcp, true, CHECK_DNS_PATIENCE_MS) == OK &&
	       socket_connect_end(d->tcp, &peer, NULL) == OK;
}

static bool tcp_read(struct check_dns *d, size_t len)
{
	size_t have = 0, n = 0;

	while (have < len) {
		if (socket_wait(d->tcp, false, 2 * CHECK_DNS_PATIENCE_MS) != OK ||
		    socket_read(d->tcp, d->packet + have, len - have, &n) != OK || n == 0)
			return false;
		have += n;
	}
	return true;
}

/* The length of what stands in d->packet, 0: nothing came. */
static size_t tcp_exchange(struct check_dns *d, const struct question *q)
{
	struct buf message = {0}, out = {0};
	size_t n = 0, len = 0;

	put_question(q, &message);
	buf_u16(&out, (uint16_t)buf_len(&message));
	buf_append(&out, buf_bytes(&message));
	if (tcp_ready(d) && socket_write(d->tcp, buf_bytes(&out), &n) == OK && n == buf_len(&out) &&
	    tcp_read(d, 2)) {
		len = u16_at(bytes_of(d->packet, 2), 0);
		len = tcp_read(d, len) ? len : 0;
	}
	buf_done(&message);
	buf_done(&out);
	return len;
}

static void take_packet(struct check_dns *d, size_t len, struct facts *facts)
{
	struct bytes packet = bytes_of(d->packet, len);
	struct question *q = asker(d, packet);

	if (!q)
		return;
	if (packet.ptr[FLAGS] & CUT) {
		packet = bytes_of(d->packet, tcp_exchange(d, q));
		if (asker(d, packet) != q) {
			give_failed(q, facts, FAILED, "the answer was cut, and TCP gave no other");
			return;
		}
	}
	give_message(d, q, packet, facts);
}

/* ---- the whole ---- */

static bool has_open(const struct check_dns *d)
{
	for (size_t i = 0; i < d->count; i++)
		if (!d->questions[i].done)
			return true;
	return false;
}

/* False: nobody listens there. */
static bool receive(struct check_dns *d, uint64_t until_us, struct facts *facts)
{
	uint64_t now;

	while (has_open(d) && (now = clock_monotonic_us()) < until_us) {
		size_t n = 0;
		enum result r;

		if (socket_wait(d->udp, false, (int)((until_us - now) / 1000) + 1) != OK)
			continue;
		r = socket_read(d->udp, d->packet, sizeof(d->packet), &n);
		if (r == LOST)
			return false;
		if (r == OK)
			take_packet(d, n, facts);
	}
	return true;
}

static void add_question(struct check_dns *d, struct facts *facts, struct bytes name, uint16_t type)
{
	struct question *q = &d->questions[d->count];

	*q = (struct question){.type = type, .number = (uint32_t)d->count};
	random_fill(&q->id, sizeof(q->id));
	facts_asked(facts, q->number);
	d->count++;
	if (dns_name_parse(name, &q->name) != OK)
		give_failed(q, facts, INVALID, "that is no name the DNS could have");
}

static void ask_batch(struct check_dns *d, struct facts *facts)
{
	uint64_t wait_us = CHECK_DNS_PATIENCE_MS * 1000ull;

	for (int i = 0; i < CHECK_DNS_TRIES && has_open(d); i++, wait_us *= 2) {
		send_open(d);
		if (!receive(d, clock_monotonic_us() + wait_us, facts))
			break;
	}
	for (size_t i = 0; i < d->count; i++)
		if (!d->questions[i].done)
			give_failed(&d->questions[i], facts, FAILED,
			            "the name server does not answer");
}

void check_dns_fill(struct check_dns *d, struct facts *facts)
{
	struct bytes name;
	uint16_t type;

	while (!d && facts_missing(facts, &name, &type)) {
		facts_asked(facts, 0);
		facts_answer(facts, &(struct answer){.result = FAILED,
		                                     .why = BYTES("no name server: --dns")});
	}
	if (!d)
		return;
	while (facts_missing(facts, &name, &type)) {
		d->count = 0;
		arena_reset(&d->arena);
		while (d->count < BATCH && facts_missing(facts, &name, &type))
			add_question(d, facts, name, type);
		ask_batch(d, facts);
	}
}
