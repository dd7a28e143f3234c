/* resolver: the only role that asks the DNS. libunbound does the work (recursion from the root, QNAME minimisation, DNSSEC, one
 * cache) on our loop; this file gives askers their answers and watches whether it works. resolver_context.c makes contexts out of the
 * configuration, resolver_loop.c lends libunbound the loop.
 *
 *	RESOLVE                       one query of libunbound, whoever else asks the same meanwhile
 *	answered                      every asker gets it
 *	resolver.timeout is over      askers get DNS_FAILED; libunbound goes on, and its answer is in the cache for the next
 *	QUERIES are open              UNAVAILABLE
 *	new configuration             a new context for new queries; the old one is freed when its last query ends
 *
 * When FAILING_QUERIES of others' questions in a row fail and none is answered for FAILING_MS, that is an incident; the next
 * answer closes it.
 *
 * Health: the root's SOA is asked at the start and after each failure; what came of it is logged, and told for the name
 * DNS_HEALTH (roles/resolver.h). */
#include "roles/resolver.h"

#include <stdio.h>
#include <unbound-event.h>
#include <unbound.h>

#include "base/map.h"
#include "base/memory.h"
#include "dns/dns.h"
#include "roles/resolver_context.h"
#include "roles/resolver_loop.h"
#include "roles/role.h"
#include "watch/incident.h"

enum {
	FAILING_QUERIES = 5,
	FAILING_MS = 10000,
	FAILING_SAY_MS = 60000,  /* said again, while it lasts */
	QUERIES = 1000,          /* open in libunbound */
	HEALTH_RETRY_MS = 30000, /* after a failure; then twice as long each time, up to */
	HEALTH_RETRY_MAX_MS = 600000,
	HEALTH_EVERY_MS = 3600000,
	ANCHORS_MAX = 64 * 1024,
};

/* ---- state ---- */

struct asker {
	struct channel *channel;
	uint64_t session;
	uint32_t number;
	struct asker *next;
};

struct upstream {
	struct resolver *resolver;
	struct ub_ctx *ctx;
	size_t open;
	struct upstream *next; /* of those that end with their last query */
};

struct query {
	struct resolver *resolver;
	struct upstream *upstream;
	struct dns_name name;
	uint16_t type;
	struct asker *askers;
	struct loop_timer *timer;
	bool starting; /* inside ub_resolve_event, which may answer at once */
	bool done;
	bool late;   /* its askers have their answer */
	bool health; /* ours */
	bool kept;   /* it stands in the map */
};

struct resolver {
	struct role_context *role;
	struct ub_event_base *base;
	struct upstream *upstream, *former;
	struct loop_task sweep;
	struct map queries; /* name and type in wire form: struct query */
	struct buf anchors; /* of the file that warm() read, lines */
	FILE *log;
	struct loop_timer *health_timer;
	int64_t health_after;
	enum { HEALTH_UNKNOWN, HEALTH_WORKS, HEALTH_INSECURE, HEALTH_FAILED } health;
	char health_why[256];
	struct { /* questions that failed since the last answer */
		unsigned count;
		time_ms since, said; /* said: the incident; 0: there is none of ours */
	} failing;
	bool ip6;
};

/* ---- contexts ---- */

static void upstream_free(struct upstream **u)
{
	if (*u)
		ub_ctx_delete((*u)->ctx);
	memory_free(*u);
	*u = NULL;
}

static enum result upstream_new(struct resolver *s, struct upstream **ret, struct why *why)
{
	const struct resolver_wants wants = {.config = s->role->config->config,
	                                     .base = s->base,
	                                     .anchors = buf_bytes(&s->anchors),
	                                     .ip6 = s->ip6,
	                                     .log = s->log};
	struct ub_ctx *ctx;
	enum result r = resolver_context_new(&wants, &ctx, why);

	if (r != OK)
		return r;
	*ret = NEW(struct upstream);
	(*ret)->resolver = s;
	(*ret)->ctx = ctx;
	return OK;
}

/* On a later round: nothing is freed from inside its own callback. */
static void sweep(void *context)
{
	struct resolver *s = context;
	struct upstream **at = &s->former, *u;

	while ((u = *at)) {
		if (u->open > 0) {
			at = &u->next;
			continue;
		}
		*at = u->next;
		upstream_free(&u);
	}
}

static enum result renew(struct resolver *s, struct why *why)
{
	struct upstream *fresh;
	enum result r = upstream_new(s, &fresh, why);

	if (r != OK)
		return r;
	if (s->upstream) {
		s->upstream->next = s->former;
		s->former = s->upstream;
		loop_defer(s->role->loop, &s->sweep);
	}
	s->upstream = fresh;
	return OK;
}

/* ---- questions ---- */

static struct bytes key_of(const struct dns_name *name, uint16_t type, struct buf *room)
{
	buf_clear(room);
	buf_append(room, bytes_of(name->octets, name->len));
	buf_u16(room, type);
	return buf_bytes(room);
}

static void forget(struct query *q)
{
	struct buf room = {0};

	if (q->kept)
		(void)map_remove(&q->resolver->queries, key_of(&q->name, q->type, &room));
	q->kept = false;
	buf_done(&room);
}

static void query_free(struct query *q)
{
	struct upstream *u = q->upstream;

	forget(q);
	loop_timer_free(&q->timer);
	if (--u->open == 0 && u != q->resolver->upstream)
		loop_defer(q->resolver->role->loop, &q->resolver->sweep);
	memory_free(q);
}

static void tell_asker(const struct asker *k, const struct answer_resolve *resolve)
{
	struct answer a = {.kind = ASK_RESOLVE,
	                   .number = k->number,
	                   .session = k->session,
	                   .result = OK,
	                   .resolve = *resolve};

	channel_answer(k->channel, &a);
}

static void tell(struct query *q, const struct answer_resolve *resolve)
{
	struct asker *k;

	while ((k = q->askers)) {
		q->askers = k->next;
		tell_asker(k, resolve);
		memory_free(k);
	}
}

static struct answer_resolve unknown(enum dns_status status, struct bytes reason)
{
	return (struct answer_resolve){.status = (uint8_t)status, .reason = reason};
}

static void say_health(struct resolver *s, const struct answer_resolve *r);

/* ---- failing: the operator is told ---- */

static void tell_incident(struct resolver *s, enum incident_verb verb, struct bytes facts)
{
	struct channel *store = role_channel(s->role, STORE, 0);

	if (store)
		channel_ask(store, &(struct ask){.kind = ASK_INCIDENT,
		                                 .session = role_session_new(s->role),
		                                 .number = 1,
		                                 .incident = {.verb = (uint8_t)verb,
		                                              .kind = INCIDENT_DNS,
		                                              .key = BYTES("resolver"),
		                                              .facts = facts,
		                                              .count = s->failing.count}});
}

static void say_failing(struct resolver *s, const struct query *q, struct bytes reason)
{
	char name[DNS_NAME_TEXT], count[16];
	struct buf facts = {0};

	dns_name_format(&q->name, name);
	snprintf(count, sizeof(count), "%u", s->failing.count);
	incident_fact_put(&facts, "name", bytes_of_text(name));
	incident_fact_put(&facts, "reason", reason);
	incident_fact_put(&facts, "failing", bytes_of_text(count));
	incident_fact_put(&facts, "asked", bytes_of_text(count));
	tell_incident(s, INCIDENT_RAISE, buf_bytes(&facts));
	buf_done(&facts);
}

static void count_outcome(struct query *q, const struct answer_resolve *r)
{
	struct resolver *s = q->resolver;
	time_ms now = loop_now(s->role->loop);

	if (r->status != DNS_FAILED) {
		if (s->failing.said)
			tell_incident(s, INCIDENT_CLOSE, (struct bytes){0});
		s->failing.count = 0;
		s->failing.said = 0;
		return;
	}
	if (s->failing.count++ == 0)
		s->failing.since = now;
	if (s->failing.count < FAILING_QUERIES || now - s->failing.since < FAILING_MS ||
	    (s->failing.said && now - s->failing.said < FAILING_SAY_MS))
		return;
	say_failing(s, q, r->reason);
	s->failing.said = now;
}

static void finish(struct query *q, const struct answer_resolve *resolve)
{
	if (q->health)
		say_health(q->resolver, resolve);
	else
		count_outcome(q, resolve);
	q->health = false;
	tell(q, resolve);
}

/* Nobody waits longer; the next one who asks begins anew. */
static void on_late(void *context)
{
	struct query *q = context;
	struct answer_resolve r = unknown(
	        DNS_FAILED, BYTES("no name server answered in time (resolver timeout)"));

	q->late = true;
	forget(q);
	finish(q, &r);
}

/* ---- answers ---- */

static struct answer_resolve failure(int rcode)
{
	switch (rcode) {
	case 2:
		return unknown(DNS_FAILED, BYTES("its name servers gave no answer that can be "
		                                 "used (SERVFAIL)"));
	case 5: return unknown(DNS_FAILED, BYTES("its name servers refuse to answer (REFUSED)"));
	default: return unknown(DNS_FAILED, BYTES("its name servers answer with an error"));
	}
}

/* TTLs that the cache no longer holds to: an answer is good for a moment. */
static struct answer_resolve read_answer(const struct query *q, struct bytes packet, int sec,
                                         struct arena *arena)
{
	struct dns_answer a;
	enum result r = dns_message_read(packet, &q->name, q->type, LIMIT_LIST, arena, &a);

	if (r != OK)
		return unknown(DNS_FAILED, r == TOO_BIG ? BYTES("more records than a mail server "
		                                                "takes")
		                                        : BYTES("an answer that breaks the format, "
		                                                "or CNAMEs in a circle"));
	if (a.status == DNS_FAILED)
		return failure((unsigned char)packet.ptr[3] & 0xf);
	return (struct answer_resolve){
	        .status = (uint8_t)a.status,
	        .secure = sec == 2,
	        .ttl = a.ttl,
	        .canonical = a.canonical.len ? dns_name_text(&a.canonical, arena)
	                                     : (struct bytes){0},
	        .records = a.records,
	};
}

static void on_result(void *context, int rcode, void *packet, int len, int sec, char *why_bogus,
                      int limited)
{
	struct query *q = context;
	struct arena arena = {0};
	struct answer_resolve r;

	(void)limited;
	if (sec == 1)
		r = unknown(DNS_BOGUS, why_bogus ? bytes_of_text(why_bogus)
		                                 : BYTES("its signatures are wrong or missing"));
	else if (rcode == 3 && len <= 0)
		r = unknown(DNS_NO_NAME, (struct bytes){0});
	else if (rcode != 0 && rcode != 3)
		r = failure(rcode);
	else
		r = read_answer(q, bytes_of(packet, len > 0 ? (size_t)len : 0), sec, &arena);
	q->done = true;
	loop_timer_stop(q->timer);
	finish(q, &r);
	arena_done(&arena);
	if (!q->starting)
		query_free(q);
}

/* ---- asking ---- */

static struct query *query_new(struct resolver *s, const struct dns_name *name, uint16_t type)
{
	struct query *q = NEW(struct query);
	struct buf room = {0};

	q->resolver = s;
	q->upstream = s->upstream;
	q->upstream->open++;
	q->name = *name;
	q->type = type;
	q->timer = loop_timer_new(s->role->loop, on_late, q);
	q->kept = true;
	(void)map_put(&s->queries, key_of(name, type, &room), q);
	buf_done(&room);
	return q;
}

static void start(struct query *q)
{
	struct resolver *s = q->resolver;
	char text[DNS_NAME_TEXT];
	int status;

	dns_name_format(&q->name, text);
	loop_timer_set(q->timer, s->role->config->config->resolver_timeout_ms);
	q->starting = true;
	status = ub_resolve_event(q->upstream->ctx, text, q->type, 1, q, on_result, NULL);
	q->starting = false;
	if (status != 0 && !q->done) {
		struct answer_resolve r = unknown(DNS_FAILED, bytes_of_text(ub_strerror(status)));

		q->done = true;
		finish(q, &r);
	}
	if (q->done)
		query_free(q);
}

static struct query *find(struct resolver *s, const struct dns_name *name, uint16_t type)
{
	struct buf room = {0};
	struct query *q = map_get(&s->queries, key_of(name, type, &room));

	buf_done(&room);
	/* Of a former configuration: its answer may differ. */
	if (q && q->upstream != s->upstream) {
		forget(q);
		q = NULL;
	}
	return q;
}

static size_t open_queries(const struct resolver *s)
{
	size_t open = s->upstream->open;

	for (const struct upstream *u = s->former; u; u = u->next)
		open += u->open;
	return open;
}

static void ask(struct resolver *s, struct channel *c, const struct ask *a,
                const struct dns_name *name)
{
	struct query *q = find(s, name, a->resolve.type);
	struct asker *k;
	bool fresh = !q;

	if (!q && open_queries(s) >= QUERIES) {
		struct answer busy = answer_to(a, UNAVAILABLE,
		                               BYTES("too many DNS questions are "
		                                     "open"));

		channel_answer(c, &busy);
		return;
	}
	if (!q)
		q = query_new(s, name, a->resolve.type);
	k = NEW(struct asker);
	*k = (struct asker){c, a->session, a->number, q->askers};
	q->askers = k;
	if (fresh)
		start(q);
}

/* ---- health ---- */

static void ask_health(struct resolver *s)
{
	struct dns_name root = {.len = 1};
	struct query *q = find(s, &root, DNS_SOA);
	bool fresh = !q;

	if (!q)
		q = query_new(s, &root, DNS_SOA);
	q->health = true;
	if (fresh)
		start(q);
}

static void set_health(struct resolver *s, int health, struct bytes why)
{
	static const char *const events[] = {"", "dns-works", "dns-insecure", "dns-failed"};
	bool changed = s->health != (unsigned)health;

	s->health = health;
	snprintf(s->health_why, sizeof(s->health_why), "%.*s", BYTES_ARG(why));
	if (changed)
		role_log(s->role, events[health], "%s", s->health_why);
}

static void say_health(struct resolver *s, const struct answer_resolve *r)
{
	bool dnssec = s->role->config->config->resolver_dnssec, good = r->status == DNS_FOUND;

	if (good && (r->secure || !dnssec))
		set_health(s, HEALTH_WORKS,
		           dnssec ? BYTES("the root answers, proven by DNSSEC")
		                  : BYTES("the root answers; DNSSEC is off by configuration"));
	else if (good)
		set_health(s, HEALTH_INSECURE,
		           BYTES("the root's answers come without DNSSEC: what `resolver.forward` "
		                 "names may not pass it on. DANE cannot be obeyed"));
	else
		set_health(s, HEALTH_FAILED, r->reason.len ? r->reason : BYTES("no root"));
	if (s->health == HEALTH_WORKS) {
		s->health_after = HEALTH_RETRY_MS;
		loop_timer_set(s->health_timer, HEALTH_EVERY_MS);
		return;
	}
	loop_timer_set(s->health_timer, s->health_after);
	if (s->health_after < HEALTH_RETRY_MAX_MS)
		s->health_after *= 2;
}

static void on_health_time(void *context)
{
	struct resolver *s = context;
	bool ip6 = resolver_wants_ip6(s->role->config->config);
	struct why why;

	/* The network came, or changed, after us. */
	if (ip6 != s->ip6) {
		s->ip6 = ip6;
		if (renew(s, &why) != OK)
			role_fail(s->role, &why);
	}
	ask_health(s);
}

static struct answer_resolve tell_health(const struct resolver *s)
{
	return (struct answer_resolve){
	        .status = s->health == HEALTH_UNKNOWN  ? DNS_NO_DATA
	                  : s->health == HEALTH_FAILED ? DNS_FAILED
	                                               : DNS_FOUND,
	        .secure = s->health == HEALTH_WORKS && s->role->config->config->resolver_dnssec,
	        .reason = s->health == HEALTH_UNKNOWN ? BYTES("the root was not reached yet")
	                                              : bytes_of_text(s->health_why),
	};
}

/* ---- the role ---- */

static void resolver_ask(struct role_context *r, struct channel *c, const struct ask *a)
{
	struct resolver *s = r->self;
	struct answer answer;
	struct dns_name name;

	if (a->kind != ASK_RESOLVE || dns_name_parse(a->resolve.name, &name) != OK) {
		answer = answer_to(a, INVALID, BYTES("that is no domain name"));
		channel_answer(c, &answer);
	} else if (bytes_equal(a->resolve.name, BYTES(DNS_HEALTH))) {
		answer = answer_to(a, OK, (struct bytes){0});
		answer.resolve = tell_health(s);
		channel_answer(c, &answer);
	} else {
		ask(s, c, a, &name);
	}
}

/* Nobody is there to be told. */
static void resolver_peer_lost(struct role_context *r, struct channel *c)
{
	struct resolver *s = r->self;
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->queries, &at));) {
		struct query *q = e->value;
		struct asker **k = &q->askers, *gone;

		while ((gone = *k)) {
			if (gone->channel != c) {
				k = &gone->next;
				continue;
			}
			*k = gone->next;
			memory_free(gone);
		}
	}
}

static ssize_t write_log(void *context, const char *text, size_t len)
{
	struct resolver *s = context;
	struct bytes line = bytes_trim(bytes_of(text, len));
	size_t tag = bytes_find(line, BYTES("] "));

	/* "[1700000000] libunbound[17:0] error: ..." */
	while (tag != BYTES_NONE) {
		line = bytes_skip(line, tag + 2);
		tag = bytes_find(line, BYTES("] "));
	}
	if (line.len > 0)
		role_log(s->role, "unbound", "%.*s", BYTES_ARG(line));
	return (ssize_t)len;
}

static FILE *open_log(struct resolver *s)
{
	FILE *f = fopencookie(s, "w", (cookie_io_functions_t){.write = write_log});

	if (f)
		setvbuf(f, NULL, _IOLBF, 1024);
	return f;
}

/* Before the walls: the operator's system may know newer keys of the root than we do. */
static void resolver_warm(struct role_context *r)
{
	struct resolver *s = NEW(struct resolver);
	char line[4096];
	FILE *f = fopen("/usr/share/dns/root.key", "re");

	s->role = r;
	r->self = s;
	while (f && fgets(line, sizeof(line), f) && buf_len(&s->anchors) < ANCHORS_MAX)
		buf_append_text(&s->anchors, line);
	if (f)
		fclose(f);
}

static enum result resolver_start(struct role_context *r, struct why *why)
{
	struct resolver *s = r->self;
	enum result result;

	s->sweep = (struct loop_task){.function = sweep, .context = s};
	s->log = open_log(s);
	s->base = resolver_loop_new(r->loop);
	s->health_timer = loop_timer_new(r->loop, on_health_time, s);
	s->health_after = HEALTH_RETRY_MS;
	s->ip6 = resolver_wants_ip6(s->role->config->config);
	result = renew(s, why);
	if (result == OK)
		loop_timer_set(s->health_timer, 0);
	return result;
}

static void resolver_config(struct role_context *r)
{
	struct resolver *s = r->self;
	struct why why;

	/* Walls stand for the life of a process: master makes a new one. */
	if (role_lacks_port(r)) {
		role_log(r, "resolver-again", "other ports need other walls");
		role_stopped(r);
		return;
	}
	s->ip6 = resolver_wants_ip6(s->role->config->config);
	if (renew(s, &why) != OK)
		role_log(r, "resolver-kept", "the former configuration stays: %s", why.text);
	else
		loop_timer_set(s->health_timer, 0);
}

static const struct role_ops ops = {
        .warm = resolver_warm,
        .start = resolver_start,
        .ask = resolver_ask,
        .peer_lost = resolver_peer_lost,
        .config = resolver_config,
};

const struct role role_resolver = {
        .name = "resolver",
        .bit = RESOLVER,
        .does = "asks the DNS: own recursion, DNSSEC, one cache",
        .rights = SANDBOX_CONNECT | SANDBOX_DATAGRAM,
        .answerers = STORE,
        .ports = resolver_ports,
        .ops = &ops,
};
