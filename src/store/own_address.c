/* One of our own addresses in a mail from outside: forged, or its owner's mail program lost the setting for sending and uses its
 * internet provider's server. HISTORY tells them apart by where the account logs in from; the latter is an incident, with a
 * letter to the user, and over when the account sends through us again. */
#include "base/ip.h"
#include "policy/evidence.h"
#include "store/life.h"
#include "watch/incident.h"

static enum result raise_it(struct store *s, struct job *j, struct why *why)
{
	const struct ask_incident *a = &j->ask.incident;

	(void)why;
	incident_raise(s, j, a->kind, a->key, a->facts, a->count);
	return OK;
}

static void put_ip(struct buf *facts, struct bytes octets)
{
	char text[IP_TEXT];
	struct ip ip;

	if (octets.len != sizeof(ip))
		return;
	memcpy(&ip, octets.ptr, sizeof(ip));
	ip_format(&ip, text);
	incident_fact_put(facts, "ip", bytes_of_text(text));
}

void own_address_seen(struct store *s, const struct ask_judged *a, unsigned action, struct bytes id)
{
	const struct account *account;
	struct buf facts = {0};
	char time[TIME_TEXT];
	struct job *j;

	if (a->stage != 1 || !(a->known & HISTORY_OWN_LOGIN_NETWORK) || a->domain.len)
		return;
	j = job_new(s, raise_it);
	account = route_of(s, s->config, &j->arena, a->from, 0).account;
	if (!account) {
		job_free(s, j);
		return;
	}
	incident_fact_put(&facts, "address", account->now.address);
	put_ip(&facts, a->ip);
	incident_fact_put(&facts, "name", a->ptr);
	incident_fact_put(&facts, "action",
	                  bytes_of_text(judge_action_name((enum judge_action)action)));
	incident_fact_put(&facts, "id", id);
	time_format_rfc3339(s->now, time);
	incident_fact_put(&facts, "time", bytes_of_text(time));
	j->ask.incident = (struct ask_incident){.kind = INCIDENT_OWN_ADDRESS,
	                                        .key = arena_copy(&j->arena, account->now.address),
	                                        .facts = arena_copy(&j->arena, buf_bytes(&facts)),
	                                        .count = 1};
	buf_done(&facts);
	job_put(&s->writes, j);
}

void own_address_over(struct store *s, struct job *j, uint64_t owner)
{
	const struct account *a = account_by_id(s, owner);

	if (a && incident_open(s, INCIDENT_OWN_ADDRESS, a->now.address))
		incident_close(s, j, INCIDENT_OWN_ADDRESS, a->now.address);
}
