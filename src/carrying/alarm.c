#include "carrying/alarm.h"

#include <assert.h>
#include <stdio.h>

#include "base/map.h"
#include "base/memory.h"
#include "carrying/posting.h"
#include "crypto/digest.h"
#include "dns/dns.h"
#include "verify/facts.h"
#include "watch/alarm.h"

enum {
	ASKS = 4,
	FACTS_MAX_TOLD = 3000,
	REPLY_MAX = 64 * 1024, /* of what is answered nothing is read */
};

enum state {
	ALARMING_NEXT,  /* ALARM */
	ALARMING_FACTS, /* RESOLVE: where is the webhook */
	ALARMING_SIGN,  /* ALARM_SIGN */
	ALARMING_POST,  /* FETCH */
	ALARMING_MAIL,  /* a posting */
	ALARMING_DONE,  /* ALARM_DONE */
	ALARMING_FINISHED,
};

struct alarming {
	const struct config *config;
	const struct config_alarm *channel;
	struct alarming_memory *memory;
	time_ms now;
	enum state state;
	struct arena arena; /* of one alarm */
	struct ask asks[ASKS];
	size_t ask_first, ask_count;
	uint32_t next_number;
	unsigned open, told;
	char failed[200];

	uint64_t row;
	struct alarm alarm;
	struct bytes id, body, headers;
	struct facts *facts;
	struct ip addresses[ALARMING_ADDRESSES];
	size_t address_count;
	struct posting *posting;
};

static struct ask *ask(struct alarming *t, enum ask_kind kind)
{
	assert(t->ask_count < ASKS);
	struct ask *a = &t->asks[(t->ask_first + t->ask_count++) % ASKS];

	*a = (struct ask){.kind = kind, .number = ++t->next_number};
	t->open++;
	return a;
}

bool alarming_ask(struct alarming *t, struct ask *ret)
{
	if (t->posting && posting_ask(t->posting, ret))
		return true;
	if (t->ask_count == 0)
		return false;
	*ret = t->asks[t->ask_first];
	t->ask_first = (t->ask_first + 1) % ASKS;
	t->ask_count--;
	return true;
}

/* ---- one alarm after the other ---- */

static void ask_next(struct alarming *t)
{
	posting_free(&t->posting);
	facts_free(&t->facts);
	arena_reset(&t->arena);
	t->address_count = 0;
	t->state = ALARMING_NEXT;
	ask(t, ASK_ALARM)->alarm.channel = t->channel->name;
}

static void done(struct alarming *t, struct bytes failed)
{
	struct ask *a = ask(t, ASK_ALARM_DONE);

	t->state = ALARMING_DONE;
	snprintf(t->failed, sizeof(t->failed), "%.*s", BYTES_ARG(failed));
	a->alarm_done = (struct ask_alarm_done){
	        .id = t->row, .at = t->alarm.at, .failed = bytes_of_text(t->failed)};
}

/* ---- as a request ---- */

static void post(struct alarming *t)
{
	struct ask *a = ask(t, ASK_FETCH);

	t->state = ALARMING_POST;
	a->fetch = (struct ask_fetch){
	        .url = t->channel->target,
	        .addresses = bytes_of(t->addresses, t->address_count * sizeof(*t->addresses)),
	        .type = BYTES("application/json"),
	        .body = t->body,
	        .max = REPLY_MAX,
	        .headers = t->headers,
	        .port = t->channel->port,
	};
}

static void put_headers(struct alarming *t, struct bytes signature)
{
	struct buf headers = {0};

	alarm_headers(t->id, t->now / 1000, signature, &headers);
	t->headers = arena_copy(&t->arena, buf_bytes(&headers));
	buf_done(&headers);
}

static void sign(struct alarming *t)
{
	struct buf content = {0};
	struct ask *a = ask(t, ASK_ALARM_SIGN);

	alarm_signed(t->id, t->now / 1000, t->body, &content);
	t->state = ALARMING_SIGN;
	a->alarm_sign.channel = t->channel->name;
	a->alarm_sign.content = arena_copy(&t->arena, buf_bytes(&content));
	buf_done(&content);
}

/* A channel without a secret is not signed; one whose secret cannot be had now waits. */
static void take_signature(struct alarming *t, const struct answer *a)
{
	if (a->result != OK && a->result != NOT_FOUND) {
		done(t, a->why.len ? a->why : BYTES("it could not be signed"));
		return;
	}
	put_headers(t, a->result == OK ? a->alarm_sign.signature : (struct bytes){0});
	post(t);
}

static bool take_addresses(struct alarming *t, uint16_t type)
{
	const struct fact *f = facts_need(t->facts, t->channel->host, type);

	if (!f)
		return false;
	for (size_t i = 0; f->status == FACT_FOUND && i < f->count; i++) {
		struct bytes r = f->records[i];
		struct ip *ip = &t->addresses[t->address_count];

		if (t->address_count == ALARMING_ADDRESSES || r.len != (type == DNS_A ? 4 : 16))
			continue;
		*ip = (struct ip){0};
		if (type == DNS_A) /* IPv4-mapped: base/ip.h */
			ip->octets[10] = ip->octets[11] = 0xff;
		memcpy(ip->octets + 16 - r.len, r.ptr, r.len);
		t->address_count++;
	}
	return true;
}

static void ask_missing(struct alarming *t)
{
	struct bytes name;
	uint16_t type;

	while (t->ask_count < ASKS && facts_missing(t->facts, &name, &type)) {
		struct ask *a = ask(t, ASK_RESOLVE);

		a->resolve.name = name;
		a->resolve.type = type;
		facts_asked(t->facts, a->number);
	}
}

static void remember(struct alarming *t)
{
	memcpy(t->memory->addresses, t->addresses, sizeof(t->addresses));
	t->memory->count = t->address_count;
	t->memory->host = map_hash(t->channel->host);
}

static void recall(struct alarming *t)
{
	if (t->memory->host != map_hash(t->channel->host))
		return;
	memcpy(t->addresses, t->memory->addresses, sizeof(t->addresses));
	t->address_count = t->memory->count;
}

static void find_host(struct alarming *t)
{
	bool all;

	t->state = ALARMING_FACTS;
	t->address_count = 0;
	if (ip_parse(t->channel->host, &t->addresses[0]) == OK) {
		t->address_count = 1;
		sign(t);
		return;
	}
	all = take_addresses(t, DNS_A);
	all = take_addresses(t, DNS_AAAA) && all;
	if (all && t->address_count == 0)
		recall(t);
	if (!all)
		ask_missing(t);
	else if (t->address_count == 0)
		done(t, arena_printf(&t->arena, "%.*s has no address in the DNS",
		                     BYTES_ARG(t->channel->host)));
	else
		sign(t);
}

static void take_reply(struct alarming *t, const struct answer *a)
{
	unsigned status = a->fetch.status;

	if (a->result != OK)
		done(t, a->why.len ? a->why : BYTES("it cannot be reached"));
	else if (status < 200 || status > 299)
		done(t, arena_printf(&t->arena, "it answered HTTP status %u", status));
	else {
		remember(t);
		done(t, (struct bytes){0});
	}
}

static void begin_request(struct alarming *t)
{
	struct buf body = {0};

	alarm_json(&t->alarm, &t->arena, &body);
	t->body = arena_copy(&t->arena, buf_bytes(&body));
	buf_done(&body);
	t->facts = facts_new();
	find_host(t);
}

/* ---- as a mail ---- */

static void begin_mail(struct alarming *t)
{
	const struct config *c = t->config;
	struct bytes domain = c->domains.count ? c->domains.items[0] : c->hostname;
	struct posting_mail mail = {.domain = domain, .to = t->channel->target};
	uint8_t digest[DIGEST_SHA256];
	struct buf content = {0};

	mail.from = arena_printf(&t->arena, "postmaster@%.*s", BYTES_ARG(domain));
	alarm_mail(&t->alarm, mail.from, mail.to, t->now, &t->arena, &content);
	mail.content = buf_bytes(&content);
	/* The same alarm to the same address is the same mail, however often it is handed in. */
	digest_sha256(arena_printf(&t->arena, "%.*s %.*s", BYTES_ARG(t->id), BYTES_ARG(mail.to)),
	              digest);
	memcpy(mail.key, digest, sizeof(mail.key));
	t->posting = posting_new(c, &mail, t->now);
	t->state = ALARMING_MAIL;
	buf_done(&content);
}

static void take_posted(struct alarming *t, const struct answer *a)
{
	posting_answer(t->posting, a);
	if (posting_finished(t->posting))
		done(t, posting_failed(t->posting));
}

/* ---- what comes next ---- */

/* Whole lines of them: what is made of them, some copies and texts, must fit into a message to keeper. */
static struct bytes short_facts(struct bytes facts)
{
	struct bytes first = bytes_first(facts, FACTS_MAX_TOLD);
	size_t end = bytes_find_last(first, '\n');

	return first.len == facts.len ? facts : bytes_first(first, end == BYTES_NONE ? 0 : end + 1);
}

static void take_alarm(struct alarming *t, const struct answer *answer)
{
	const struct answer_alarm *a = &answer->alarm;

	if (answer->result != OK) {
		t->state = ALARMING_FINISHED;
		return;
	}
	t->row = a->id;
	t->alarm = (struct alarm){.event = a->event,
	                          .at = a->at,
	                          .incident = a->incident,
	                          .kind = a->kind,
	                          .key = arena_copy(&t->arena, a->key),
	                          .facts = arena_copy(&t->arena, short_facts(a->facts)),
	                          .since = a->since,
	                          .last = a->last,
	                          .until = a->until,
	                          .count = a->count,
	                          .relapses = a->relapses,
	                          .acked_by = arena_copy(&t->arena, a->acked_by),
	                          .server = t->config->hostname,
	                          .japanese = t->channel->japanese};
	t->id = alarm_id(&t->alarm, &t->arena);
	if (t->channel->way == CONFIG_ALARM_MAIL)
		begin_mail(t);
	else
		begin_request(t);
}

/* One that failed is not tried again at once, and the others wait behind it. */
static void take_done(struct alarming *t, const struct answer *a)
{
	t->told += a->result == OK && t->failed[0] == 0;
	if (a->result == OK && t->failed[0] == 0)
		ask_next(t);
	else
		t->state = ALARMING_FINISHED;
}

void alarming_answer(struct alarming *t, const struct answer *a)
{
	if (t->state == ALARMING_MAIL) {
		take_posted(t, a);
		return;
	}
	if (t->open > 0)
		t->open--;
	switch (t->state) {
	case ALARMING_NEXT: take_alarm(t, a); break;
	case ALARMING_FACTS:
		(void)facts_answer(t->facts, a);
		if (t->open == 0)
			find_host(t);
		break;
	case ALARMING_SIGN: take_signature(t, a); break;
	case ALARMING_POST: take_reply(t, a); break;
	case ALARMING_DONE: take_done(t, a); break;
	case ALARMING_MAIL:
	case ALARMING_FINISHED: break;
	}
}

/* ---- life ---- */

struct alarming *alarming_new(const struct config *config, struct bytes channel,
                              struct alarming_memory *memory, time_ms now)
{
	struct alarming *t = NEW(struct alarming);

	t->config = config;
	t->channel = config_alarm_named(config, channel);
	t->memory = memory;
	t->now = now;
	t->state = ALARMING_FINISHED;
	if (t->channel && t->channel->way != CONFIG_ALARM_COLLECT)
		ask_next(t);
	return t;
}

void alarming_free(struct alarming **alarming)
{
	struct alarming *t = *alarming;

	if (!t)
		return;
	posting_free(&t->posting);
	facts_free(&t->facts);
	arena_done(&t->arena);
	memory_free(t);
	*alarming = NULL;
}

bool alarming_finished(const struct alarming *t)
{
	return t->state == ALARMING_FINISHED && t->ask_count == 0;
}

unsigned alarming_told(const struct alarming *t)
{
	return t->told;
}

struct bytes alarming_failed(const struct alarming *t)
{
	return bytes_of_text(t->failed);
}
