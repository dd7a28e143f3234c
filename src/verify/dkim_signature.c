/* Reads the fields DKIM-Signature (RFC 6376, 3.5), ARC-Message-Signature and ARC-Seal (RFC 8617, 4.1.2 and 4.1.3). */
#include "base/encode.h"
#include "base/limits.h"
#include "base/text.h"
#include "mail/charset.h"
#include "verify/dkim_inside.h"
#include "verify/tags.h"

enum { TIME_DIGITS = 12, SIGNATURE_CHARS = 8 };

struct reader {
	struct tags tags;
	struct arena *arena;
	bool old_rules;
	struct dkim_signature *s;
};

/* The first thing that is wrong counts. False, so that checks can be chained. */
static bool wrong(struct reader *r, enum dkim_result result, const char *reason)
{
	if (r->s->result == DKIM_PASS) {
		r->s->result = result;
		r->s->reason = reason;
	}
	return false;
}

static bool broken(struct reader *r, const char *reason)
{
	return wrong(r, DKIM_PERMERROR, reason);
}

/* Empty: not there, or nothing in it. */
static struct bytes value(const struct reader *r, const char *name)
{
	const struct tag *t = tags_find(&r->tags, name);

	return t ? t->value : (struct bytes){0};
}

struct bytes dkim_packed(struct bytes text, struct arena *arena)
{
	char *out = arena_get(arena, text.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++)
		if (!text_is_blank(text.ptr[i]) && text.ptr[i] != '\r' && text.ptr[i] != '\n')
			out[len++] = text.ptr[i];
	return bytes_of(out, len);
}

static bool decode(const struct reader *r, struct bytes text, struct bytes *ret)
{
	struct buf out = {0};
	bool good = text.len > 0 && decode_base64(text, &out) == OK;

	if (good)
		*ret = arena_copy(r->arena, buf_bytes(&out));
	buf_done(&out);
	return good;
}

/* ---- names in the DNS ---- */

static bool is_host_char(char c)
{
	return text_is_alnum(c) || c == '-' || c == '_';
}

static bool is_name(struct bytes name)
{
	struct bytes label;

	if (name.len == 0 || name.len > LIMIT_DOMAIN || name.ptr[name.len - 1] == '.')
		return false;
	while (bytes_cut(&name, '.', &label)) {
		if (label.len == 0 || label.len > 63)
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (!is_host_char(label.ptr[i]))
				return false;
	}
	return true;
}

/* In lower case and ASCII (RFC 8616, 4); empty: it is no name. */
static struct bytes dns_name(struct bytes name, struct arena *arena)
{
	struct buf ascii = {0};
	struct bytes copy = {0};

	if (name.len > LIMIT_DOMAIN)
		return copy;
	if (text_is_ascii(name))
		buf_append(&ascii, name);
	else if (charset_domain_to_ascii(name, &ascii) != OK)
		buf_clear(&ascii);
	if (is_name(buf_bytes(&ascii))) {
		copy = arena_copy(arena, buf_bytes(&ascii));
		text_lower((char *)(uintptr_t)copy.ptr, copy.len);
	}
	buf_done(&ascii);
	return copy;
}

static bool read_domain(struct reader *r)
{
	struct dkim_signature *s = r->s;

	s->domain = dns_name(value(r, "d"), r->arena);
	s->selector = dns_name(value(r, "s"), r->arena);
	if (s->domain.len == 0)
		return broken(r, "d= names no domain");
	if (s->selector.len == 0)
		return broken(r, "s= names no selector");
	s->key_name = arena_printf(r->arena, "%.*s._domainkey.%.*s", BYTES_ARG(s->selector),
	                           BYTES_ARG(s->domain));
	return s->key_name.len <= LIMIT_DOMAIN || broken(r, "the key's name is too long");
}

/* ---- who signs: i= (RFC 6376, 3.5; its quoted-printable: 2.11) ---- */

static int hex_digit(char c)
{
	if (text_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static struct bytes unquoted(struct bytes text, struct arena *arena)
{
	char *out = arena_get(arena, text.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '=' && i + 2 < text.len && hex_digit(text.ptr[i + 1]) >= 0 &&
		    hex_digit(text.ptr[i + 2]) >= 0) {
			c = (char)(hex_digit(text.ptr[i + 1]) * 16 + hex_digit(text.ptr[i + 2]));
			i += 2;
		}
		out[len++] = c;
	}
	return bytes_of(out, len);
}

static bool is_within(struct bytes name, struct bytes domain)
{
	if (name.len == domain.len)
		return bytes_equal(name, domain);
	return name.len > domain.len && bytes_ends(name, domain) &&
	       name.ptr[name.len - domain.len - 1] == '.';
}

static bool read_identity(struct reader *r)
{
	const struct tag *t = tags_find(&r->tags, "i");
	struct bytes identity, domain;
	size_t at;

	if (!t) {
		r->s->identity = arena_printf(r->arena, "@%.*s", BYTES_ARG(r->s->domain));
		return true;
	}
	identity = unquoted(dkim_packed(t->value, r->arena), r->arena);
	at = bytes_find_last(identity, '@');
	if (at == BYTES_NONE || identity.len > LIMIT_ADDRESS)
		return broken(r, "i= is no address");
	domain = dns_name(bytes_skip(identity, at + 1), r->arena);
	if (domain.len == 0 || !is_within(domain, r->s->domain))
		return broken(r, "i= is not within d=");
	r->s->identity = arena_printf(r->arena, "%.*s@%.*s", BYTES_ARG(bytes_first(identity, at)),
	                              BYTES_ARG(domain));
	return true;
}

/* ---- how it is signed ---- */

static bool read_algorithm(struct reader *r)
{
	struct bytes a = value(r, "a");

	r->s->algorithm = a;
	if (a.len == 0)
		return broken(r, "a= is missing");
	if (bytes_equal(a, BYTES("rsa-sha256")))
		r->s->scheme = PUBLIC_KEY_RSA_SHA256;
	else if (bytes_equal(a, BYTES("ed25519-sha256")))
		r->s->scheme = PUBLIC_KEY_ED25519;
	else if (bytes_equal(a, BYTES("rsa-sha1")) && r->old_rules)
		r->s->scheme = PUBLIC_KEY_RSA_SHA1;
	else if (bytes_equal(a, BYTES("rsa-sha1")))
		return wrong(r, DKIM_POLICY, "rsa-sha1 proves nothing any more (RFC 8301)");
	else
		return wrong(r, DKIM_NEUTRAL, "a= is an algorithm that is not known here");
	return true;
}

static bool read_canon_kind(struct bytes word, enum canon_kind *ret)
{
	*ret = bytes_equal(word, BYTES("relaxed")) ? CANON_RELAXED : CANON_SIMPLE;
	return *ret == CANON_RELAXED || bytes_equal(word, BYTES("simple"));
}

/* "header" or "header/body"; a body that is not named is simple (RFC 6376, 3.5). */
static bool read_canon(struct reader *r)
{
	const struct tag *t = tags_find(&r->tags, "c");
	struct bytes c = t ? t->value : BYTES("simple/simple");
	size_t slash = bytes_find_char(c, '/');
	struct bytes body = slash == BYTES_NONE ? BYTES("simple") : bytes_skip(c, slash + 1);

	if (read_canon_kind(bytes_first(c, slash == BYTES_NONE ? c.len : slash),
	                    &r->s->header_canon) &&
	    read_canon_kind(body, &r->s->body_canon))
		return true;
	return wrong(r, DKIM_NEUTRAL, "c= is a canonical form that is not known here");
}

static bool read_seconds(struct reader *r, const char *name, uint64_t *ret)
{
	const struct tag *t = tags_find(&r->tags, name);

	*ret = 0;
	return !t || (t->value.len <= TIME_DIGITS && bytes_to_u64(t->value, UINT64_MAX, ret) == OK);
}

static bool read_times(struct reader *r)
{
	struct dkim_signature *s = r->s;

	if (!read_seconds(r, "t", &s->created) || !read_seconds(r, "x", &s->expires))
		return broken(r, "t= or x= is no time");
	if (tags_find(&r->tags, "x") && s->expires <= s->created)
		return broken(r, "x= is not after t=");
	return true;
}

static bool read_signature(struct reader *r)
{
	const struct tag *t = tags_find(&r->tags, "b");

	if (!t || t->value.len == 0)
		return broken(r, "b= is missing");
	r->s->raw_signature = t->raw;
	r->s->signature_text = dkim_packed(t->value, r->arena);
	return decode(r, r->s->signature_text, &r->s->signature) || broken(r, "b= is not base64");
}

static bool read_body(struct reader *r)
{
	const struct tag *l = tags_find(&r->tags, "l");

	if (!decode(r, dkim_packed(value(r, "bh"), r->arena), &r->s->body_hash))
		return broken(r, "bh= is missing or not base64");
	r->s->has_length = l != NULL;
	if (l && bytes_to_u64(l->value, UINT64_MAX, &r->s->length) != OK)
		return broken(r, "l= is no number");
	return true;
}

static bool read_names(struct reader *r)
{
	const struct tag *t = tags_find(&r->tags, "h");
	struct bytes rest, name;
	bool from = false;
	size_t count = 0;

	if (!t)
		return broken(r, "h= is missing");
	for (rest = r->s->names = t->value; bytes_cut(&rest, ':', &name); count++)
		from |= bytes_equal_nocase(bytes_trim(name), BYTES("from"));
	if (count > DKIM_NAMES)
		return broken(r, "h= names too many fields");
	/* ARC seals what others signed: it may sign as little as it likes (RFC 8617, 4.1.2). */
	return from || r->s->kind != DKIM_SIGNATURE || broken(r, "h= does not name From");
}

/* ---- whole fields ---- */

static bool read_dkim(struct reader *r)
{
	const struct tag *q = tags_find(&r->tags, "q");
	struct bytes v = value(r, "v");

	/* Drafts of RFC 4871 had none, then 0.5. */
	if (v.len == 0 && !r->old_rules)
		return broken(r, "v= is missing");
	if (v.len > 0 && !bytes_equal(v, BYTES("1")) &&
	    !(r->old_rules && bytes_equal(v, BYTES("0.5"))))
		return wrong(r, DKIM_NEUTRAL, "v= is a version that is not known here");
	if (q && !tags_list_has(q->value, BYTES("dns/txt")) &&
	    !tags_list_has(q->value, BYTES("dns")))
		return wrong(r, DKIM_NEUTRAL, "q= is a way to keys that is not known here");
	return read_identity(r) && read_canon(r) && read_body(r) && read_names(r);
}

static bool read_instance(struct reader *r)
{
	struct bytes i = value(r, "i");
	uint64_t n;

	if (i.len > 2 || bytes_to_u64(i, ARC_INSTANCES, &n) != OK || n == 0)
		return broken(r, "i= is no instance");
	r->s->instance = (unsigned)n;
	return true;
}

static bool read_message(struct reader *r)
{
	struct bytes rest, name;

	if (!read_canon(r) || !read_body(r) || !read_names(r))
		return false;
	rest = r->s->names;
	while (bytes_cut(&rest, ':', &name))
		if (bytes_equal_nocase(bytes_trim(name), BYTES("ARC-Seal")))
			return broken(r, "h= names ARC-Seal");
	return true;
}

static bool read_seal(struct reader *r)
{
	r->s->chain = value(r, "cv");
	r->s->header_canon = CANON_RELAXED;
	if (tags_find(&r->tags, "h") || tags_find(&r->tags, "bh"))
		return broken(r, "a seal has neither h= nor bh=");
	return bytes_equal(r->s->chain, BYTES("none")) || bytes_equal(r->s->chain, BYTES("pass")) ||
	       bytes_equal(r->s->chain, BYTES("fail")) || broken(r, "cv= is missing or unknown");
}

static bool read_rest(struct reader *r)
{
	switch (r->s->kind) {
	case DKIM_ARC_MESSAGE: return read_message(r);
	case DKIM_ARC_SEAL: return read_seal(r);
	case DKIM_SIGNATURE:
	default: return read_dkim(r);
	}
}

void dkim_signature_read(enum dkim_kind kind, struct bytes text, bool old_rules,
                         struct arena *arena, struct dkim_signature *ret)
{
	struct reader r = {.arena = arena, .old_rules = old_rules, .s = ret};
	bool good;

	*ret = (struct dkim_signature){.kind = kind, .result = DKIM_PASS, .reason = ""};
	if (text.len > DKIM_VALUE || tags_parse(text, &r.tags) != OK) {
		(void)broken(&r, "the field is no list of tags");
		return;
	}
	/* The instance first: it says what belongs together even where the rest is broken. */
	good = kind == DKIM_SIGNATURE || read_instance(&r);
	good = read_domain(&r) && good;
	good = read_signature(&r) && good;
	good = good && read_algorithm(&r) && read_times(&r) && read_rest(&r);
	if (!good)
		ret->key_name = (struct bytes){0};
	ret->algorithm = arena_copy(arena, bytes_first(ret->algorithm, 64));
	ret->signature_text = bytes_first(ret->signature_text, SIGNATURE_CHARS);
}
