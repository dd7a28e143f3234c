#include "verify/arc.h"

#include "base/text.h"
#include "mail/header.h"
#include "verify/authres.h"
#include "verify/dkim_inside.h"

static const char *const names[ARC_RESULTS] = {"none", "pass", "fail", "temperror"};

const char *arc_result_name(enum arc_result r)
{
	return r < ARC_RESULTS ? names[r] : "none";
}

/* ---- the sets, once the header is complete ---- */

/* "i=1; authserv-id; ..." (RFC 8617, 4.1.1). 0: it is not. *ret_rest: what follows. */
static unsigned results_instance(struct bytes value, struct bytes *ret_rest)
{
	size_t semicolon = bytes_find_char(value, ';'), equals = bytes_find_char(value, '=');
	struct bytes number;
	uint64_t n;

	if (semicolon == BYTES_NONE || equals == BYTES_NONE || equals > semicolon ||
	    !bytes_equal(bytes_trim(bytes_first(value, equals)), BYTES("i")))
		return 0;
	number = bytes_trim(bytes_first(bytes_skip(value, equals + 1), semicolon - equals - 1));
	*ret_rest = bytes_trim(bytes_skip(value, semicolon + 1));
	if (number.len > 2 || bytes_to_u64(number, ARC_INSTANCES, &n) != OK)
		return 0;
	return (unsigned)n;
}

static const char *put_in(struct dkim_field **place, struct dkim_field *field)
{
	if (*place)
		return "two ARC fields have the same instance";
	*place = field;
	return NULL;
}

static const char *keep_results(struct arc_chain *c, struct dkim_field *f)
{
	struct bytes rest;
	unsigned i = results_instance(f->value, &rest);

	if (i == 0)
		return "an ARC-Authentication-Results has no instance";
	return put_in(&c->sets[i - 1].results, f);
}

/* Only the newest is verified; of the others the instance counts. */
static const char *keep_message(struct dkim_verifier *v, struct dkim_field *f)
{
	struct arc_chain *c = &v->arc;
	struct dkim_signature s;

	dkim_signature_read(DKIM_ARC_MESSAGE, f->value, v->old_rules, &v->arena, &s);
	if (s.instance == 0)
		return "an ARC-Message-Signature has no instance";
	if (s.instance > c->message.instance)
		c->message = s;
	return put_in(&c->sets[s.instance - 1].message_field, f);
}

static const char *keep_seal(struct dkim_verifier *v, struct dkim_field *f)
{
	struct dkim_signature s;
	struct arc_set *set;

	dkim_signature_read(DKIM_ARC_SEAL, f->value, v->old_rules, &v->arena, &s);
	if (s.instance == 0)
		return "an ARC-Seal has no instance";
	set = &v->arc.sets[s.instance - 1];
	set->seal = s;
	return put_in(&set->seal_field, f);
}

static const char *keep(struct dkim_verifier *v, struct dkim_field *f)
{
	if (bytes_equal(f->name, BYTES("arc-authentication-results")))
		return keep_results(&v->arc, f);
	if (bytes_equal(f->name, BYTES("arc-message-signature")))
		return keep_message(v, f);
	return keep_seal(v, f);
}

static bool is_arc(const struct dkim_field *f)
{
	return bytes_equal(f->name, BYTES("arc-authentication-results")) ||
	       bytes_equal(f->name, BYTES("arc-message-signature")) ||
	       bytes_equal(f->name, BYTES("arc-seal"));
}

/* RFC 8617, 5.2, 2 and 3: instances from 1 on without a gap, each with its three fields, each seal with the chain's state. */
static const char *objection(const struct arc_chain *c)
{
	for (unsigned i = 0; i < ARC_INSTANCES; i++) {
		const struct arc_set *s = &c->sets[i];

		if (i >= c->count && (s->results || s->message_field || s->seal_field))
			return "an ARC set is missing";
		if (i >= c->count)
			continue;
		if (!s->results || !s->message_field || !s->seal_field)
			return "an ARC set is not whole";
		if (s->seal.result != DKIM_PASS)
			return s->seal.reason;
		if (!bytes_equal(s->seal.chain, i == 0 ? BYTES("none") : BYTES("pass")))
			return "a seal says that the chain was broken";
	}
	return c->message.result != DKIM_PASS ? c->message.reason : NULL;
}

/* RFC 8617, 5.1.1: a seal is over all sets up to its own, each in the order results, message signature, seal; its own comes last,
 * without b=. One digest grows with them. */
static void hash_seals(struct dkim_verifier *v)
{
	struct digest *all = digest_new();
	struct buf text = {0};

	for (unsigned i = 0; i < v->arc.count; i++) {
		struct arc_set *set = &v->arc.sets[i];
		uint8_t hash[DIGEST_SHA256];
		struct digest *own;

		buf_clear(&text);
		canon_field(CANON_RELAXED, set->results->whole, &text);
		canon_field(CANON_RELAXED, set->message_field->whole, &text);
		digest_add(all, buf_bytes(&text));
		own = digest_copy(all);
		buf_clear(&text);
		dkim_put_unsigned(&set->seal, set->seal_field, &text);
		digest_add(own, buf_bytes(&text));
		digest_finish(&own, hash);
		set->seal.header_hash = arena_copy(&v->arena, bytes_of(hash, sizeof(hash)));
		buf_clear(&text);
		canon_field(CANON_RELAXED, set->seal_field->whole, &text);
		digest_add(all, buf_bytes(&text));
	}
	digest_free(&all);
	buf_done(&text);
}

void arc_read(struct dkim_verifier *v)
{
	struct arc_chain *c = &v->arc;
	size_t fields = 0;

	for (size_t i = 0; i < v->field_count && !c->broken; i++) {
		if (!is_arc(&v->fields[i]))
			continue;
		if (fields++ == 0)
			c->sets = arena_get(&v->arena, ARC_INSTANCES * sizeof(*c->sets));
		c->broken = keep(v, &v->fields[i]);
	}
	if (fields == 0)
		return;
	while (c->count < ARC_INSTANCES && c->sets[c->count].seal_field)
		c->count++;
	if (!c->broken && v->too_long)
		c->broken = "the header is too long";
	if (c->count == 0 && !c->broken)
		c->broken = "an ARC set is not whole";
	if (!c->broken)
		c->broken = objection(c);
	if (c->broken)
		return;
	hash_seals(v);
	dkim_signature_hash(v, &c->message, c->sets[c->count - 1].message_field);
}

/* ---- the judgement ---- */

static bool judge(const struct dkim_verifier *v, const struct dkim_signature *s, struct facts *f,
                  int64_t now_seconds, struct arena *arena, struct arc_verdict *ret)
{
	enum dkim_result result = DKIM_PERMERROR;
	struct dkim_key key = {0};
	const char *reason = "";

	if (dkim_key_find(s, f, arena, &key))
		dkim_signature_judge(v, s, &key, now_seconds, &result, &reason);
	dkim_key_done(&key);
	if (result == DKIM_PASS)
		return true;
	ret->result = result == DKIM_TEMPERROR ? ARC_TEMPERROR : ARC_FAIL;
	ret->reason = arena_printf(arena, "i=%u, %s: %s", s->instance,
	                           s->kind == DKIM_ARC_SEAL ? "seal" : "message signature", reason);
	return false;
}

static bool has_facts(const struct arc_chain *c, struct facts *f)
{
	enum { T_TXT = 16 };
	bool all = facts_need(f, c->message.key_name, T_TXT) != NULL;

	for (unsigned i = 0; i < c->count; i++)
		all &= facts_need(f, c->sets[i].seal.key_name, T_TXT) != NULL;
	return all;
}

static void name_newest(const struct arc_chain *c, struct arena *arena, struct arc_verdict *ret)
{
	const struct dkim_signature *newest = c->count ? &c->sets[c->count - 1].seal : NULL;

	ret->instances = c->count;
	if (!newest)
		return;
	ret->domain = arena_copy(arena, newest->domain);
	ret->selector = arena_copy(arena, newest->selector);
	ret->closed = bytes_equal(newest->chain, BYTES("fail"));
}

static void name_hops(const struct arc_chain *c, struct arena *arena, struct arc_verdict *ret)
{
	ret->hops = arena_get(arena, c->count * sizeof(*ret->hops));
	for (unsigned i = 0; i < c->count; i++) {
		struct bytes rest = {0};

		(void)results_instance(c->sets[i].results->value, &rest);
		ret->hops[i].domain = arena_copy(arena, c->sets[i].seal.domain);
		ret->hops[i].authres = header_unfold(arena_copy(arena, rest), arena);
	}
}

bool arc_verify(const struct dkim_verifier *v, struct facts *f, int64_t now_seconds,
                struct arena *arena, struct arc_verdict *ret)
{
	const struct arc_chain *c = &v->arc;
	bool good;

	*ret = (struct arc_verdict){.result = ARC_NONE};
	if (!c->sets)
		return true;
	if (!c->broken && !has_facts(c, f))
		return false;
	name_newest(c, arena, ret);
	ret->result = c->broken ? ARC_FAIL : ARC_PASS;
	ret->reason = bytes_of_text(c->broken ? c->broken : "");
	good = !c->broken && judge(v, &c->message, f, now_seconds, arena, ret);
	for (unsigned i = c->count; i > 0 && good; i--)
		good = judge(v, &c->sets[i - 1].seal, f, now_seconds, arena, ret);
	if (good)
		name_hops(c, arena, ret);
	return true;
}

/* ---- trust ---- */

static bool is_trusted(struct bytes domain, const struct bytes *trusted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct bytes t = trusted[i];

		if (t.len > 0 && domain.len >= t.len &&
		    bytes_equal_nocase(bytes_skip(domain, domain.len - t.len), t) &&
		    (domain.len == t.len || domain.ptr[domain.len - t.len - 1] == '.'))
			return true;
	}
	return false;
}

bool arc_vouches(const struct arc_verdict *v, struct bytes from_domain, const struct bytes *trusted,
                 size_t trusted_count)
{
	if (v->result != ARC_PASS || from_domain.len == 0)
		return false;
	for (unsigned i = v->instances; i > 0; i--) {
		const struct arc_hop *hop = &v->hops[i - 1];

		if (!is_trusted(hop->domain, trusted, trusted_count))
			return false;
		if (authres_says(hop->authres, BYTES("dmarc"), BYTES("pass"), BYTES("header.from"),
		                 from_domain))
			return true;
	}
	return false;
}
