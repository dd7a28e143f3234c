#include "verify/dkim.h"

#include "base/memory.h"
#include "base/text.h"
#include "mail/header.h"
#include "verify/dkim_inside.h"

static const char *const names[DKIM_RESULTS] = {
        "none", "pass", "fail", "policy", "neutral", "temperror", "permerror",
};

/* What a reader sees or acts on, once each (RFC 5322, 3.6). One more of them than was signed was put there after signing, and
 * programs show the first. */
static const struct bytes guarded[] = {
        BYTES("from"), BYTES("subject"), BYTES("reply-to"), BYTES("date"), BYTES("content-type"),
};

const char *dkim_result_name(enum dkim_result r)
{
	return r < DKIM_RESULTS ? names[r] : "none";
}

struct dkim_verifier *dkim_verifier_new(void)
{
	struct dkim_verifier *v = NEW(struct dkim_verifier);

	for (unsigned i = 0; i < 4; i++) {
		v->streams[i].canon = i & 1 ? CANON_RELAXED : CANON_SIMPLE;
		v->streams[i].sha1 = i & 2;
	}
	return v;
}

void dkim_verifier_old_rules(struct dkim_verifier *v)
{
	v->old_rules = true;
}

void dkim_verifier_free(struct dkim_verifier **verifier)
{
	struct dkim_verifier *v = *verifier;

	if (!v)
		return;
	for (int i = 0; i < 4; i++)
		canon_body_free(&v->streams[i].body);
	map_done(&v->lowest);
	buf_done(&v->header);
	arena_done(&v->arena);
	memory_free(v);
	*verifier = NULL;
}

/* ---- the header, once it is complete ---- */

static struct bytes lower(struct bytes name, struct arena *arena)
{
	struct bytes copy = arena_copy(arena, name);

	text_lower((char *)(uintptr_t)copy.ptr, copy.len);
	return copy;
}

static void keep_field(struct dkim_verifier *v, const struct header_field *f)
{
	struct dkim_field *x = &v->fields[v->field_count++];
	struct bytes name = lower(f->name, &v->arena);

	x->name = name;
	x->value = f->value;
	x->whole = f->whole;
	x->above = map_get(&v->lowest, name);
	x->count = x->above ? x->above->count + 1 : 1;
	map_put(&v->lowest, name, x);
}

static void keep_fields(struct dkim_verifier *v)
{
	struct bytes rest = buf_bytes(&v->header);
	struct header_field f;

	v->fields = arena_get(&v->arena, DKIM_FIELDS * sizeof(*v->fields));
	while (header_next(&rest, &f)) {
		if (v->field_count == DKIM_FIELDS) {
			v->too_long = true;
			return;
		}
		keep_field(v, &f);
	}
}

/* The lowest field of this name with a cursor that stands at it, or where this round has left it. */
static struct dkim_field *cursor(struct dkim_verifier *v, struct bytes name)
{
	struct dkim_field *lowest = map_get(&v->lowest, name);

	if (lowest && lowest->round != v->rounds) {
		lowest->round = v->rounds;
		lowest->next = lowest;
		lowest->taken = 0;
	}
	return lowest;
}

/* RFC 6376, 5.4.2: from the bottom up, each field once; a name that is used up stands for nothing. */
static void put_signed(struct dkim_verifier *v, const struct dkim_signature *s, struct buf *out)
{
	struct bytes rest = s->names, name;
	struct arena arena = {0};

	v->rounds++;
	while (bytes_cut(&rest, ':', &name)) {
		struct dkim_field *lowest = cursor(v, lower(bytes_trim(name), &arena));

		if (!lowest || !lowest->next)
			continue;
		canon_field(s->header_canon, lowest->next->whole, out);
		lowest->next = lowest->next->above;
		lowest->taken++;
	}
	arena_done(&arena);
}

static bool has_extra(struct dkim_verifier *v)
{
	for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
		const struct dkim_field *lowest = cursor(v, guarded[i]);

		if (lowest && lowest->taken > 0 && lowest->taken < lowest->count)
			return true;
	}
	return false;
}

void dkim_put_unsigned(const struct dkim_signature *s, const struct dkim_field *field,
                       struct buf *out)
{
	size_t before = (size_t)(s->raw_signature.ptr - field->whole.ptr);
	struct buf text = {0};

	buf_append(&text, bytes_first(field->whole, before));
	buf_append(&text, bytes_skip(field->whole, before + s->raw_signature.len));
	canon_field(s->header_canon, buf_bytes(&text), out);
	buf_truncate(out, buf_len(out) - 2);
	buf_done(&text);
}

static void want_body(struct dkim_verifier *v, struct dkim_signature *s)
{
	struct dkim_stream *t = &v->streams[(s->body_canon == CANON_RELAXED ? 1 : 0) +
	                                    (s->scheme == PUBLIC_KEY_RSA_SHA1 ? 2 : 0)];

	t->wanted = true;
	s->stream = t;
	if (!s->has_length)
		return;
	s->mark = &t->marks[t->mark_count++];
	s->mark->at = s->length;
}

void dkim_signature_hash(struct dkim_verifier *v, struct dkim_signature *s,
                         const struct dkim_field *field)
{
	bool sha1 = s->scheme == PUBLIC_KEY_RSA_SHA1;
	struct digest *d = sha1 ? digest_new_sha1() : digest_new();
	uint8_t hash[DIGEST_SHA256] = {0};
	struct buf text = {0};

	put_signed(v, s, &text);
	s->extra = has_extra(v);
	dkim_put_unsigned(s, field, &text);
	digest_add(d, buf_bytes(&text));
	digest_finish(&d, hash);
	s->header_hash = arena_copy(&v->arena, bytes_of(hash, sha1 ? DIGEST_SHA1 : DIGEST_SHA256));
	buf_done(&text);
	want_body(v, s);
}

static void read_signatures(struct dkim_verifier *v)
{
	for (size_t i = 0; i < v->field_count && v->signature_count < DKIM_LOOKED_AT; i++) {
		struct dkim_signature *s = &v->signatures[v->signature_count];

		if (!bytes_equal(v->fields[i].name, BYTES("dkim-signature")))
			continue;
		v->signature_count++;
		dkim_signature_read(DKIM_SIGNATURE, v->fields[i].value, v->old_rules, &v->arena, s);
		if (v->too_long && s->result == DKIM_PASS) {
			s->result = DKIM_POLICY;
			s->reason = "the header is too long";
			s->key_name = (struct bytes){0};
		}
		if (s->result == DKIM_PASS)
			dkim_signature_hash(v, s, &v->fields[i]);
	}
}

static void begin_body(struct dkim_verifier *v)
{
	for (int i = 0; i < 4; i++) {
		struct dkim_stream *t = &v->streams[i];

		if (!t->wanted)
			continue;
		t->body = t->sha1 ? canon_body_new_sha1(t->canon) : canon_body_new(t->canon);
		canon_body_mark(t->body, t->marks, t->mark_count);
	}
}

static void end_header(struct dkim_verifier *v)
{
	v->in_body = true;
	keep_fields(v);
	read_signatures(v);
	arc_read(v);
	begin_body(v);
}

/* ---- the mail as it comes ---- */

static void keep_header(struct dkim_verifier *v, struct bytes part)
{
	if (v->too_long || buf_len(&v->header) + part.len > DKIM_HEADER)
		v->too_long = true;
	else
		buf_append(&v->header, part);
}

/* Up to the line's end. True: the line was blank and whole. */
static bool feed_line(struct dkim_verifier *v, struct bytes part)
{
	bool whole = part.ptr[part.len - 1] == '\n', blank;

	keep_header(v, part);
	if (v->line == 0)
		v->line_cr = part.ptr[0] == '\r';
	v->line += part.len;
	if (!whole)
		return false;
	blank = v->line == 1 || (v->line == 2 && v->line_cr);
	v->line = 0;
	return blank;
}

void dkim_verifier_feed(struct dkim_verifier *v, struct bytes piece)
{
	while (piece.len > 0 && !v->in_body) {
		size_t lf = bytes_find_char(piece, '\n');
		struct bytes part = bytes_first(piece, lf == BYTES_NONE ? piece.len : lf + 1);

		piece = bytes_skip(piece, part.len);
		if (feed_line(v, part))
			end_header(v);
	}
	for (int i = 0; i < 4 && piece.len > 0; i++)
		if (v->streams[i].body)
			canon_body_add(v->streams[i].body, piece);
}

void dkim_verifier_end(struct dkim_verifier *v)
{
	if (!v->in_body)
		end_header(v);
	for (int i = 0; i < 4; i++)
		if (v->streams[i].body)
			canon_body_finish(&v->streams[i].body, v->streams[i].hash);
	v->ended = true;
}

bool dkim_verifier_has_header(const struct dkim_verifier *v)
{
	return v->in_body;
}

unsigned dkim_verifier_count(const struct dkim_verifier *v, struct bytes name)
{
	const struct dkim_field *lowest = map_get(&v->lowest, name);

	if (v->too_long)
		return DKIM_UNKNOWN;
	return lowest ? lowest->count : 0;
}

/* ---- the judgement ---- */

void dkim_verifier_need(const struct dkim_verifier *v, struct facts *f)
{
	enum { T_TXT = 16 };

	for (size_t i = 0; i < v->signature_count; i++)
		if (v->signatures[i].key_name.len > 0)
			(void)facts_need(f, v->signatures[i].key_name, T_TXT);
	if (v->arc.count == 0 || v->arc.broken)
		return;
	(void)facts_need(f, v->arc.message.key_name, T_TXT);
	for (unsigned i = 0; i < v->arc.count; i++)
		(void)facts_need(f, v->arc.sets[i].seal.key_name, T_TXT);
}

static bool body_agrees(const struct dkim_signature *s)
{
	size_t size = s->stream->sha1 ? DIGEST_SHA1 : DIGEST_SHA256;
	const uint8_t *hash = s->mark ? s->mark->hash : s->stream->hash;

	return (!s->mark || s->mark->reached) && bytes_equal(s->body_hash, bytes_of(hash, size));
}

/* What is said of one that verifies but is not believed; NULL: it is. */
static const char *unbelieved(const struct dkim_signature *s, int64_t now_seconds)
{
	if (s->expires > 0 && now_seconds > (int64_t)s->expires)
		return "the signature has expired";
	if (s->mark && !s->mark->whole)
		return "l= leaves the end of the body unsigned";
	if (s->extra)
		return "a field was added that was signed once";
	return NULL;
}

void dkim_signature_judge(const struct dkim_verifier *v, const struct dkim_signature *s,
                          const struct dkim_key *k, int64_t now_seconds, enum dkim_result *ret,
                          const char **ret_reason)
{
	unsigned least = v->old_rules ? DKIM_RSA_BITS_OLD : DKIM_RSA_BITS;
	const char *reason;

	*ret = k->result;
	*ret_reason = k->reason;
	if (k->result != DKIM_PASS)
		return;
	*ret = DKIM_PERMERROR;
	*ret_reason = "the key allows no i= but d= itself";
	if (k->strict && s->kind == DKIM_SIGNATURE &&
	    !bytes_equal(bytes_skip(s->identity, bytes_find_last(s->identity, '@') + 1), s->domain))
		return;
	*ret = DKIM_POLICY;
	*ret_reason = "the key is too short (RFC 8301)";
	if (s->scheme != PUBLIC_KEY_ED25519 && public_key_bits(k->key) < least)
		return;
	*ret = DKIM_FAIL;
	*ret_reason = "the body was changed";
	if (s->stream && !body_agrees(s))
		return;
	*ret_reason = "the signature is not this key's over this header";
	if (!public_key_verify(k->key, s->scheme, s->header_hash, s->signature))
		return;
	reason = unbelieved(s, now_seconds);
	*ret = reason ? DKIM_POLICY : DKIM_PASS;
	*ret_reason = reason ? reason : "";
}

static void judge(const struct dkim_verifier *v, const struct dkim_signature *s, struct facts *f,
                  int64_t now_seconds, struct arena *arena, struct dkim_verdict *ret)
{
	const char *reason = s->reason;
	struct dkim_key key = {0};

	ret->result = s->result;
	if (s->result == DKIM_PASS && dkim_key_find(s, f, arena, &key))
		dkim_signature_judge(v, s, &key, now_seconds, &ret->result, &reason);
	ret->domain = arena_copy(arena, s->domain);
	ret->selector = arena_copy(arena, s->selector);
	ret->identity = arena_copy(arena, s->identity);
	ret->algorithm = arena_copy(arena, s->algorithm);
	ret->signature = arena_copy(arena, s->signature_text);
	ret->reason = bytes_of_text(reason);
	ret->testing = key.testing;
	ret->key_bits = key.key ? public_key_bits(key.key) : 0;
	dkim_key_done(&key);
}

/* Whether all keys of the signatures are facts. */
static bool has_facts(const struct dkim_verifier *v, struct facts *f)
{
	enum { T_TXT = 16 };
	bool all = true;

	for (size_t i = 0; i < v->signature_count; i++)
		if (v->signatures[i].key_name.len > 0)
			all &= facts_need(f, v->signatures[i].key_name, T_TXT) != NULL;
	return all;
}

bool dkim_verify(const struct dkim_verifier *v, struct facts *f, int64_t now_seconds,
                 struct arena *arena, struct dkim_verdict **ret, size_t *ret_count)
{
	struct dkim_verdict *verdicts;

	if (!has_facts(v, f))
		return false;
	verdicts = arena_get(arena, (v->signature_count + 1) * sizeof(*verdicts));
	for (size_t i = 0; i < v->signature_count; i++)
		judge(v, &v->signatures[i], f, now_seconds, arena, &verdicts[i]);
	*ret = verdicts;
	*ret_count = v->signature_count;
	return true;
}
