/* From which networks an owner logs in: one that nobody ever saw makes what it sends more remarkable
 * (store/sending_judge.h). */
#include "store/life.h"

#define DAY_MS (24LL * 3600 * 1000)

enum {
	NETWORKS_MAX = 200,        /* of one owner */
	NETWORKS_SEEN_MAX = 65536, /* in memory: those noted within a day */
};

enum result network_apply(struct store *s, const struct change_network *c)
{
	struct db_query *q = db_query(s->db,
	                              "INSERT OR REPLACE INTO network VALUES(?, ?, ?, ?, ?)");

	db_bind(q, "ubiiu", c->owner, c->network, c->first, c->last, (uint64_t)c->count);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM network WHERE owner=? AND last<(SELECT last FROM network"
	                    " WHERE owner=? ORDER BY last DESC LIMIT 1 OFFSET ?)");
	db_bind(q, "uuu", c->owner, c->owner, (uint64_t)NETWORKS_MAX);
	db_execute(q);
	return OK;
}

/* An IPv4 /24, an IPv6 /48: what one provider gives to one place. */
static struct ip network_of(struct ip ip)
{
	size_t keep = ip_is_v4(&ip) ? 15 : 6;

	memset(ip.octets + keep, 0, sizeof(ip.octets) - keep);
	return ip;
}

static enum result write_login(struct store *s, struct job *j, struct why *why)
{
	struct bytes network = j->ask.grant.peer;
	struct db_query *q = db_query(
	        s->db, "SELECT first, last, count FROM network WHERE owner=? AND network=?");
	struct change_network row = {
	        .owner = j->owner, .network = network, .first = j->now, .count = 1};

	(void)why;
	db_bind(q, "ub", j->owner, network);
	if (db_next(q)) {
		row.first = db_i64(q, 0);
		row.last = db_i64(q, 1);
		row.count = (uint32_t)db_u64(q, 2) + 1;
	}
	db_end(q);
	if (row.last && j->now - row.last < DAY_MS / 2)
		return OK;
	row.last = j->now;
	job_change(j, CHANGE_NETWORK)->network = row;
	return OK;
}

void networks_forget(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->networks_seen, &at));)
		memory_free(e->value);
	map_done(&s->networks_seen);
}

/* Locked. Most logins are from where the last one was: nothing is written for those. */
static bool seen_lately(struct store *s, uint64_t owner, const struct ip *network)
{
	char key[8 + sizeof(*network)];
	int64_t *at;

	memcpy(key, &owner, 8);
	memcpy(key + 8, network, sizeof(*network));
	at = map_get(&s->networks_seen, bytes_of(key, sizeof(key)));
	if (at && s->now - *at < DAY_MS / 2)
		return true;
	if (!at) {
		if (s->networks_seen.count >= NETWORKS_SEEN_MAX)
			networks_forget(s);
		at = memory_get(sizeof(*at));
		map_put(&s->networks_seen, bytes_of(key, sizeof(key)), at);
	}
	*at = s->now;
	return false;
}

void sending_login(struct store *s, uint64_t owner, struct bytes peer)
{
	struct ip network;
	struct job *j;

	if (peer.len != sizeof(network))
		return;
	memcpy(&network, peer.ptr, sizeof(network));
	if (ip_is_loopback(&network))
		return;
	network = network_of(network);
	if (seen_lately(s, owner, &network))
		return;
	j = job_new(s, write_login);
	j->owner = owner;
	j->ask.grant.peer = arena_copy(&j->arena, bytes_of(&network, sizeof(network)));
	job_put(&s->writes, j);
}
