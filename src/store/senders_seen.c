/* Mail of senders whom we know, from hosts whose names do not lead back to them: an incident for the provider, with a letter to
 * it. Counted in memory, as JUDGED comes in; the ledger has the rest (senders.c). */
#include "base/ip.h"
#include "base/text.h"
#include "policy/evidence.h"
#include "policy/provider.h"
#include "store/escrow.h"
#include "store/life.h"
#include "watch/incident.h"

enum {
	NETWORKS_MAX = 2000, /* counted at once */
	MAILS_RAISE = 3,     /* that were taken, in a day: worth a letter */
};

#define DAY_MS (24LL * 3600 * 1000)
#define QUIET_MS (3 * DAY_MS)

struct sending_network {
	int64_t since, said;
	uint32_t mails, untold;
};

struct bytes senders_host(struct bytes evidence, bool *ret_bad)
{
	struct wire w = wire_of(evidence);
	struct evidence e;
	struct bytes word = {0};

	*ret_bad = false;
	while (evidence_take(&w, &e)) {
		if (!bytes_equal(e.check, BYTES("iprev")))
			continue;
		*ret_bad = e.says == EVIDENCE_BAD;
		bytes_cut(&e.text, ' ', &word);
	}
	return bytes_find_char(word, '.') == BYTES_NONE ? (struct bytes){0} : word;
}

struct bytes senders_network(struct arena *arena, struct bytes ip, struct bytes host)
{
	struct bytes name;
	char text[IP_TEXT];
	struct ip net;
	bool v4;

	if (host.len) {
		name = arena_copy(arena, provider_domain(host));
		text_lower((char *)(uintptr_t)name.ptr, name.len);
		return name;
	}
	memcpy(net.octets, ip.ptr, sizeof(net.octets));
	v4 = ip_is_v4(&net);
	memset(net.octets + (v4 ? 15 : 6), 0, v4 ? 1 : 10);
	ip_format(&net, text);
	return arena_printf(arena, "%s/%d", text, v4 ? 24 : 48);
}

void senders_forget(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->judgements.networks, &at));)
		memory_free(e->value);
	map_done(&s->judgements.networks);
}

static struct sending_network *network_of(struct store *s, struct bytes name)
{
	struct sending_network *n = map_get(&s->judgements.networks, name);

	if (n && s->now - n->since < DAY_MS)
		return n;
	if (!n && s->judgements.networks.count >= NETWORKS_MAX)
		senders_forget(s);
	if (!n) {
		n = NEW(struct sending_network);
		map_put(&s->judgements.networks, name, n);
	}
	*n = (struct sending_network){.since = s->now};
	return n;
}

static enum result raise_it(struct store *s, struct job *j, struct why *why)
{
	const struct ask_incident *a = &j->ask.incident;

	(void)why;
	incident_raise(s, j, a->kind, a->key, a->facts, a->count);
	return OK;
}

static void raise_for(struct store *s, const struct judgement *judged, struct bytes network,
                      struct bytes host, const struct sending_network *n)
{
	struct job *j = job_new(s, raise_it);
	struct buf facts = {0};
	char id[JUDGEMENT_ID + 1], text[IP_TEXT];
	struct ip ip;

	memcpy(&ip, judged->ip.ptr, sizeof(ip));
	ip_format(&ip, text);
	judgement_id(judged->number, id);
	incident_fact_put(&facts, "network", network);
	incident_fact_put(&facts, "ip", bytes_of_text(text));
	incident_fact_put(&facts, "name", host);
	incident_fact_put(&facts, "sender", judged->from.len ? judged->from : judged->sender);
	incident_fact_put(&facts, "action",
	                  bytes_of_text(judge_action_name((enum judge_action)judged->action)));
	incident_fact_put(&facts, "id", bytes_of_text(id));
	j->ask.incident = (struct ask_incident){.kind = INCIDENT_SENDERS,
	                                        .key = arena_copy(&j->arena, network),
	                                        .facts = arena_copy(&j->arena, buf_bytes(&facts)),
	                                        .count = n->untold};
	buf_done(&facts);
	job_put(&s->writes, j);
}

void senders_seen(struct store *s, const struct judgement *j)
{
	enum {
		KNOWN = HISTORY_WRITTEN_TO_BY_RCPT | HISTORY_WRITTEN_TO_BY_ANY |
		        HISTORY_GOOD_DOMAIN | HISTORY_REPLY_TO_OURS
	};
	struct arena arena = {0};
	struct sending_network *n;
	struct bytes host, network;
	bool bad;

	if (j->stage != 1 || !(j->known & KNOWN) || j->ip.len != sizeof(struct ip))
		return;
	host = senders_host(j->evidence, &bad);
	if (!bad)
		return;
	network = senders_network(&arena, j->ip, host);
	n = network_of(s, network);
	n->mails++;
	n->untold++;
	if ((j->action > JUDGE_ACCEPT || n->mails >= MAILS_RAISE) &&
	    s->now - n->said >= 60 * 1000) {
		raise_for(s, j, network, host, n);
		n->said = s->now;
		n->untold = 0;
	}
	arena_done(&arena);
}

/* Nothing of the kind came for some days: a job of the writer's says that it is over. */
void senders_quiet(struct store *s, struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT key FROM incident WHERE kind=? AND until=0"
	                                     " AND last<? LIMIT 20");
	struct bytes keys[20];
	size_t count = 0;

	db_bind(q, "ui", (uint64_t)INCIDENT_SENDERS, j->now - QUIET_MS);
	while (db_next(q))
		keys[count++] = arena_copy(&j->arena, db_bytes(q, 0));
	for (size_t i = 0; i < count; i++)
		incident_close(s, j, INCIDENT_SENDERS, keys[i]);
}
