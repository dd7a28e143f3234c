/* SENDERS of ADMIN: which networks send us mail from hosts whose names do not lead back to them, gathered from what the ledger
 * keeps of the last days. Runs on the ledger's thread, like TRACE.
 *
 * Hosts of one organisation are put together by the names that their addresses have; those without any name by network
 * (IPv4 /24, IPv6 /48). */
#include <jansson.h>
#include <stdlib.h>

#include "base/ip.h"
#include "store/escrow.h"
#include "store/ledger.h"

enum {
	EVENTS_MAX = 200000, /* looked at, the newest */
	HOSTS_MAX = 20000,
	GROUPS_TOLD = 200,
	EXAMPLES = 5, /* hosts of a group */
};

struct host {
	struct bytes ip, name; /* name: empty: it has none */
	struct bytes group;
	uint64_t mails, known, refused;
	int64_t first, last;
};

struct group {
	struct bytes name;
	struct host *hosts[EXAMPLES];
	uint64_t host_count, named, mails, known, refused;
	int64_t first, last;
};

struct gathering {
	struct job *j;
	struct map hosts; /* ip: struct host */
	uint64_t events;
	int64_t since;
};

/* ---- an event ---- */

/* key="value" or key=value; empty: not there. */
static struct bytes word_of(struct bytes text, const char *key)
{
	struct bytes name = bytes_of_text(key);
	size_t at = bytes_find(text, name), end;

	if (at == BYTES_NONE || (at > 0 && text.ptr[at - 1] != ' '))
		return (struct bytes){0};
	text = bytes_skip(text, at + name.len);
	if (text.len && text.ptr[0] == '"') {
		text = bytes_skip(text, 1);
		end = bytes_find_char(text, '"');
	} else {
		end = bytes_find_char(text, ' ');
	}
	return end == BYTES_NONE ? text : bytes_first(text, end);
}

/* "bad 0.60 NAME does not lead back to the address" */
static struct bytes name_of(struct bytes text)
{
	struct bytes rest = word_of(text, "iprev="), word, last = {0};

	for (int i = 0; i < 3 && bytes_cut(&rest, ' ', &word); i++)
		last = word;
	return bytes_find_char(last, '.') == BYTES_NONE ? (struct bytes){0} : last;
}

static bool is_known(struct bytes text)
{
	struct bytes value = word_of(text, "known=");
	uint64_t known = 0;

	return value.len && bytes_to_u64(value, UINT32_MAX, &known) == OK &&
	       known & (HISTORY_WRITTEN_TO_BY_RCPT | HISTORY_WRITTEN_TO_BY_ANY |
	                HISTORY_GOOD_DOMAIN | HISTORY_REPLY_TO_OURS);
}

static struct host *host_of(struct gathering *g, struct bytes ip, struct bytes name)
{
	struct host *h = map_get(&g->hosts, ip);

	if (h || g->hosts.count == HOSTS_MAX)
		return h;
	h = arena_get(&g->j->arena, sizeof(*h));
	*h = (struct host){.ip = arena_copy(&g->j->arena, ip),
	                   .name = arena_copy(&g->j->arena, name)};
	h->group = senders_network(&g->j->arena, ip, h->name);
	map_put(&g->hosts, ip, h);
	return h;
}

static void take_event(struct gathering *g, struct db_query *q)
{
	int64_t at = db_i64(q, 0);
	struct bytes ip = db_bytes(q, 2), text = db_bytes(q, 3);
	struct host *h;

	if (ip.len != sizeof(struct ip) || at < g->since)
		return;
	h = host_of(g, ip, name_of(text));
	if (!h)
		return;
	h->mails++;
	h->known += is_known(text);
	h->refused += db_u64(q, 1) == LEDGER_ESCROWED || db_u64(q, 1) == LEDGER_JUDGED_REFUSED;
	h->first = h->first && h->first < at ? h->first : at;
	h->last = h->last > at ? h->last : at;
}

static void take_day(struct gathering *g, struct db *db)
{
	struct db_query *q = db_query(db, "SELECT e.at, e.reason, e.ip, e.text FROM seek s"
	                                  " JOIN event e ON e.id=s.event WHERE s.key=?"
	                                  " ORDER BY s.event DESC LIMIT ?");

	db_bind(q, "uu", ledger_key(LEDGER_BY_MARK, BYTES("iprev")),
	        (uint64_t)(EVENTS_MAX - g->events));
	for (; db_next(q); g->events++)
		take_event(g, q);
}

/* ---- groups ---- */

static int by_group(const void *a, const void *b)
{
	const struct host *x = *(struct host *const *)a, *y = *(struct host *const *)b;
	int order = bytes_compare(x->group, y->group);

	if (order)
		return order;
	return x->mails == y->mails ? 0 : x->mails < y->mails ? 1 : -1;
}

/* What our people would miss comes first. */
static int by_known(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->known != y->known)
		return x->known < y->known ? 1 : -1;
	return x->mails == y->mails ? 0 : x->mails < y->mails ? 1 : -1;
}

static void group_add(struct group *to, struct host *h)
{
	if (to->host_count < EXAMPLES)
		to->hosts[to->host_count] = h;
	to->name = h->group;
	to->host_count++;
	to->named += h->name.len > 0;
	to->mails += h->mails;
	to->known += h->known;
	to->refused += h->refused;
	to->first = to->first && to->first < h->first ? to->first : h->first;
	to->last = to->last > h->last ? to->last : h->last;
}

static size_t groups_of(struct gathering *g, struct group **ret)
{
	size_t count = g->hosts.count, groups = 0, n = 0;
	struct host **list = arena_get(&g->j->arena, (count + 1) * sizeof(struct host *));
	struct group *all = arena_get(&g->j->arena, (count + 1) * sizeof(*all));
	struct map_entry *e;

	memset(all, 0, (count + 1) * sizeof(*all));
	for (size_t at = 0; (e = map_each(&g->hosts, &at));)
		list[n++] = e->value;
	qsort(list, n, sizeof(struct host *), by_group);
	for (size_t i = 0; i < n; i++) {
		groups += i > 0 && !bytes_equal(list[i]->group, list[i - 1]->group);
		group_add(&all[groups], list[i]);
	}
	groups += n > 0;
	qsort(all, groups, sizeof(*all), by_known);
	*ret = all;
	return groups;
}

static json_t *host_row(const struct host *h)
{
	char text[IP_TEXT];
	struct ip ip;

	memcpy(&ip, h->ip.ptr, sizeof(ip));
	ip_format(&ip, text);
	return json_pack("{s:s,s:o,s:I,s:I}", "ip", text, "name", admin_text(h->name), "mails",
	                 (json_int_t)h->mails, "known", (json_int_t)h->known);
}

static json_t *group_row(const struct group *g)
{
	json_t *hosts = json_array();

	for (size_t i = 0; i < g->host_count && i < EXAMPLES; i++)
		json_array_append_new(hosts, host_row(g->hosts[i]));
	return json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "network", admin_text(g->name),
	                 "hosts", (json_int_t)g->host_count, "named", (json_int_t)g->named, "mails",
	                 (json_int_t)g->mails, "known", (json_int_t)g->known, "refused",
	                 (json_int_t)g->refused, "first_ms", (json_int_t)g->first, "last_ms",
	                 (json_int_t)g->last, "examples", hosts);
}

/* ---- the job ---- */

static void gather(struct store *s, struct gathering *g)
{
	const char **days;
	size_t count = ledger_days(s->ledger, &g->j->arena, &days);
	char oldest[LEDGER_NAME], today[LEDGER_NAME];

	ledger_name(g->since / (24LL * 3600 * 1000), oldest);
	ledger_name(s->ledger->day, today);
	while (count-- > 0 && g->events < EVENTS_MAX && strcmp(days[count], oldest) >= 0) {
		struct db *db = NULL;

		if (s->ledger->today && strcmp(today, days[count]) == 0)
			take_day(g, s->ledger->today);
		else if (ledger_open(s->ledger, days[count], &db, NULL) == OK)
			take_day(g, db);
		db_free(&db);
	}
}

static enum result run_senders(struct store *s, struct job *j, struct why *why)
{
	struct gathering g = {.j = j,
	                      .since = j->ask.admin.number ? (int64_t)j->ask.admin.number : 0};
	struct bytes wanted = j->ask.admin.subject;
	struct group *groups;
	struct buf rows = {0};
	size_t count;

	gather(s, &g);
	count = groups_of(&g, &groups);
	for (size_t i = 0, told = 0; i < count && told < GROUPS_TOLD; i++) {
		if (wanted.len && !bytes_equal_nocase(wanted, groups[i].name))
			continue;
		if (!admin_row(&rows, group_row(&groups[i])))
			break;
		told++;
	}
	admin_rows_done(j, &rows);
	map_done(&g.hosts);
	return db_failed(j->reader->db, why);
}

enum result admin_senders(struct store *s, struct job *j, struct why *why)
{
	if (!s->ledger)
		return why_set(why, UNAVAILABLE, "this store keeps no ledger");
	j->later = true;
	j->run = run_senders;
	job_put(&s->traces, j);
	return OK;
}
