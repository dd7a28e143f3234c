/* What is known of other domains' TLS: the MTA-STS policies that the courier keeps (RFC 8461), and the results of a day that are
 * reported to those who ask for them (RFC 8460). */
#include "store/life.h"
#include "verify/tlsrpt.h"

enum {
	ID_MAX = 32,
	POLICY_MAX = 64 * 1024 - 1024,
	STRING_MAX = 4096,
	DETAILS_MAX = 400,
	ROWS_MAX =
	        64, /* different results of a domain and day; what more there is is not told apart */
	GONE_MOST = 20, /* forgotten at once */
	GIVEN_MAX = 48 * 1024,
};

#define DAY_MS (24LL * 3600 * 1000)

/* ---- rows ---- */

enum result sts_policy_apply(struct store *s, const struct change_sts_policy *c)
{
	struct db_query *q;

	if (c->policy.len == 0) {
		q = db_query(s->db, "DELETE FROM sts_policy WHERE domain=?");
		db_bind(q, "b", c->domain);
	} else {
		q = db_query(s->db, "INSERT OR REPLACE INTO sts_policy VALUES(?, ?, ?, ?)");
		db_bind(q, "bbbi", c->domain, c->id, c->policy, c->expires);
	}
	db_execute(q);
	return OK;
}

enum result tls_result_apply(struct store *s, const struct change_tls_result *c)
{
	struct db_query *q = db_query(s->db, "INSERT OR REPLACE INTO tls_result VALUES"
	                                     "(?, ?, ?, ?, ?, ?, ?, ?, ?)");

	db_bind(q, "biuubbbbu", c->domain, c->day, (uint64_t)c->policy, (uint64_t)c->result,
	        c->string, c->mx, c->ip, c->details, c->sessions);
	db_execute(q);
	return OK;
}

enum result tls_results_gone_apply(struct store *s, const struct change_tls_results_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM tls_result WHERE domain=? AND day=?");

	db_bind(q, "bi", c->domain, c->day);
	db_execute(q);
	return OK;
}

/* ---- policies ---- */

enum result run_sts_policy(struct store *s, struct job *j, struct why *why)
{
	struct answer_sts_policy *ret = &j->answer.sts_policy;
	struct db_query *q = db_query(j->reader->db,
	                              "SELECT id, policy, expires FROM sts_policy WHERE domain=?");

	(void)s;
	db_bind(q, "b", j->ask.sts_policy.domain);
	if (!db_next(q))
		return why_set(why, NOT_FOUND, "no policy is kept for it");
	ret->id = arena_copy(&j->arena, db_bytes(q, 0));
	ret->policy = arena_copy(&j->arena, db_bytes(q, 1));
	ret->expires = db_i64(q, 2);
	db_end(q);
	return ret->expires > j->now ? OK : why_set(why, NOT_FOUND, "its policy has run out");
}

static void forget_expired(struct store *s, struct job *j)
{
	struct db_query *q = db_query(s->db,
	                              "SELECT domain FROM sts_policy WHERE expires<? LIMIT ?");

	db_bind(q, "iu", j->now, (uint64_t)GONE_MOST);
	while (db_next(q))
		job_change(j, CHANGE_STS_POLICY)->sts_policy = (struct change_sts_policy){
		        .domain = arena_copy(&j->arena, db_bytes(q, 0))};
}

enum result run_sts_policy_set(struct store *s, struct job *j, struct why *why)
{
	const struct ask_sts_policy_set *a = &j->ask.sts_policy_set;

	if (a->domain.len == 0 || a->domain.len > LIMIT_DOMAIN || a->id.len > ID_MAX ||
	    a->policy.len > POLICY_MAX)
		return why_set(why, INVALID, "that is no policy");
	forget_expired(s, j);
	job_change(j, CHANGE_STS_POLICY)->sts_policy = (struct change_sts_policy){
	        .domain = a->domain, .id = a->id, .policy = a->policy, .expires = a->expires};
	return OK;
}

/* ---- results ---- */

struct tls_row {
	unsigned policy, result;
	struct bytes domain, string, mx, details;
};

static bool next_row(struct wire *w, struct tls_row *r)
{
	if (wire_end(w))
		return false;
	r->policy = wire_u8(w);
	r->result = wire_u8(w);
	r->domain = bytes_first(wire_block(w), LIMIT_DOMAIN);
	r->string = bytes_first(wire_block(w), STRING_MAX);
	r->mx = bytes_first(wire_block(w), LIMIT_DOMAIN);
	r->details = bytes_first(wire_block(w), DETAILS_MAX);
	return !w->bad && r->policy < TLSRPT_POLICIES && r->result < TLSRPT_RESULTS;
}

static uint64_t rows_of(struct store *s, struct bytes domain, int64_t day)
{
	struct db_query *q = db_query(s->db,
	                              "SELECT COUNT(*) FROM tls_result WHERE domain=? AND day=?");
	uint64_t n;

	db_bind(q, "bi", domain, day);
	n = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	return n;
}

static uint64_t sessions_of(struct store *s, const struct change_tls_result *c)
{
	struct db_query *q = db_query(s->db, "SELECT sessions FROM tls_result WHERE domain=? AND"
	                                     " day=? AND policy=? AND result=? AND string=? AND"
	                                     " mx=? AND ip=? AND details=?");
	uint64_t n;

	db_bind(q, "biuubbbb", c->domain, c->day, (uint64_t)c->policy, (uint64_t)c->result,
	        c->string, c->mx, c->ip, c->details);
	n = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	return n;
}

void tls_results_add(struct store *s, struct job *j, struct bytes reports, struct bytes ip)
{
	struct wire w = wire_of(reports);
	struct tls_row r;

	while (next_row(&w, &r)) {
		struct change_tls_result c = {.domain = r.domain,
		                              .day = j->now - j->now % DAY_MS,
		                              .policy = r.policy,
		                              .result = r.result,
		                              .string = r.string,
		                              .mx = r.mx,
		                              .ip = ip,
		                              .details = r.details};
		uint64_t had = sessions_of(s, &c);

		if (had == 0 && rows_of(s, c.domain, c.day) >= ROWS_MAX)
			continue;
		c.sessions = had + 1;
		job_change(j, CHANGE_TLS_RESULT)->tls_result = c;
	}
}

static bool next_due(struct job *j, struct answer_tlsrpt *ret)
{
	struct db_query *q = db_query(j->reader->db,
	                              "SELECT domain, day FROM tls_result WHERE day<?"
	                              " ORDER BY day, domain LIMIT 1");

	db_bind(q, "i", j->now - j->now % DAY_MS);
	if (!db_next(q))
		return false;
	ret->domain = arena_copy(&j->arena, db_bytes(q, 0));
	ret->day = db_i64(q, 1);
	db_end(q);
	return true;
}

enum result run_tlsrpt(struct store *s, struct job *j, struct why *why)
{
	struct answer_tlsrpt *ret = &j->answer.tlsrpt;
	struct buf rows = {0};
	struct db_query *q;

	(void)s;
	if (!next_due(j, ret))
		return why_set(why, NOT_FOUND, "there is nothing to report");
	q = db_query(j->reader->db, "SELECT policy, result, string, mx, ip, details, sessions"
	                            " FROM tls_result WHERE domain=? AND day=?");
	db_bind(q, "bi", ret->domain, ret->day);
	while (db_next(q)) {
		if (buf_len(&rows) > GIVEN_MAX - 2 * STRING_MAX)
			continue;
		buf_u8(&rows, (uint8_t)db_u64(q, 0));
		buf_u8(&rows, (uint8_t)db_u64(q, 1));
		buf_block(&rows, db_bytes(q, 2));
		buf_block(&rows, db_bytes(q, 3));
		buf_block(&rows, db_bytes(q, 4));
		buf_block(&rows, db_bytes(q, 5));
		buf_u64(&rows, db_u64(q, 6));
	}
	ret->rows = arena_copy(&j->arena, buf_bytes(&rows));
	buf_done(&rows);
	return OK;
}

enum result run_tlsrpt_done(struct store *s, struct job *j, struct why *why)
{
	const struct ask_tlsrpt_done *a = &j->ask.tlsrpt_done;

	(void)s;
	if (a->domain.len == 0 || a->domain.len > LIMIT_DOMAIN)
		return why_set(why, INVALID, "that is no domain");
	job_change(j, CHANGE_TLS_RESULTS_GONE)->tls_results_gone = (struct change_tls_results_gone){
	        .domain = a->domain, .day = a->day};
	return OK;
}
