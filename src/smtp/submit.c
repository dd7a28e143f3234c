/* A mail of our own people on its way (RFC 6409): its header is collected, judged and completed; who it claims to be from
 * is asked about while the body passes; at its end it is signed.
 *
 *	header complete -> SENDER for each address in From and Sender that the envelope did not settle
 *	                -> DKIM_KEYS for the From domain, then for domains above it
 *	all spooled, all answered -> DKIM_SIGN with each key -> COMMIT
 *
 * What is refused is said after the mail's end, as SMTP has it. */
#include "base/encode.h"
#include "base/limits.h"
#include "smtp/session.h"

enum { LINE_UNKNOWN = 1024 };

static void refuse(struct smtp_server *s, struct smtp_refusal why)
{
	struct smtp_mail *m = &s->mail;

	if (m->submit.refusal.code == 0)
		m->submit.refusal = why;
	smtp_fault_set(m, FAULT_HEADER);
}

/* ---- keys ---- */

static struct bytes domain_of(struct bytes address)
{
	size_t at = bytes_find_last(address, '@');

	return at == BYTES_NONE ? (struct bytes){0} : bytes_skip(address, at + 1);
}

static bool keys_are_kept(const struct smtp_server *s)
{
	return s->now < s->keys_until &&
	       bytes_equal(buf_bytes(&s->keys_from), domain_of(s->mail.submit.from));
}

static void keys_use(struct smtp_server *s, struct bytes domain, struct bytes packed)
{
	struct smtp_submit *u = &s->mail.submit;
	struct arena *arena = &s->mail.arena;

	u->keys_done = true;
	/* What keeper sends is well-formed; if not, there is no key in it that could be used. */
	if (dkim_signing_keys_parse(arena_copy(arena, packed), arena_copy(arena, domain),
	                            &u->keys) != OK)
		u->keys.count = 0;
	if (u->keys.count == 0)
		dkim_signer_free(&u->signer);
}

static void keys_keep(struct smtp_server *s, struct bytes domain, struct bytes packed)
{
	buf_clear(&s->keys_from);
	buf_clear(&s->keys_domain);
	buf_clear(&s->keys_packed);
	buf_append(&s->keys_from, domain_of(s->mail.submit.from));
	buf_append(&s->keys_domain, domain);
	buf_append(&s->keys_packed, packed);
	s->keys_until = s->now + SMTP_KEYS_MS;
	keys_use(s, domain, packed);
}

static void keys_begin(struct smtp_server *s, struct bytes header)
{
	struct smtp_submit *u = &s->mail.submit;

	u->sign_domain = domain_of(u->from);
	if (!s->options->dkim_sign || u->sign_domain.len == 0 || u->sign_domain.ptr[0] == '[') {
		u->keys_done = true;
		return;
	}
	u->signer = dkim_signer_new(header);
	if (keys_are_kept(s))
		keys_use(s, buf_bytes(&s->keys_domain), buf_bytes(&s->keys_packed));
}

/* The domain above, while it can be one that people register: mail of host.example.test may be signed by example.test
 * (RFC 6376, 3.5, d=; RFC 7489, 3.1.1 calls that relaxed). False: there is none. */
static bool keys_parent(struct smtp_submit *u)
{
	size_t dot = bytes_find_char(u->sign_domain, '.');
	struct bytes parent = bytes_skip(u->sign_domain, dot + 1);

	if (dot == BYTES_NONE || bytes_find_char(parent, '.') == BYTES_NONE ||
	    u->sign_parents++ == SMTP_SIGN_PARENTS)
		return false;
	u->sign_domain = parent;
	u->keys_asked = false;
	return true;
}

static void refuse_unsigned(struct smtp_server *s, enum result r)
{
	s->keys_until = 0;
	refuse(s, (struct smtp_refusal){451, "4.3.0",
	                                arena_printf(&s->mail.arena,
	                                             "The mail cannot be signed just now (%s); try "
	                                             "again soon",
	                                             result_name(r))});
}

static void keys_answer(struct smtp_server *s, const struct answer *a)
{
	struct smtp_submit *u = &s->mail.submit;
	struct dkim_signing_keys keys;
	bool none = a->result == NOT_FOUND || a->result == INVALID || a->result == DENIED;

	if (a->result != OK && !none) {
		refuse_unsigned(s, a->result);
		return;
	}
	if (a->result == OK &&
	    (dkim_signing_keys_parse(a->dkim_keys.keys, u->sign_domain, &keys) != OK ||
	     keys.count == 0))
		none = true;
	if (!none)
		keys_keep(s, u->sign_domain, a->dkim_keys.keys);
	else if (!keys_parent(u))
		keys_keep(s, u->sign_domain, (struct bytes){0});
}

/* ---- the header ---- */

/* "<HEX.TIME@HOST>": a digest of the session's seed, which stays with us, and of which mail this is. */
static struct bytes make_message_id(struct smtp_server *s)
{
	struct buf in = {0}, hex = {0};
	uint8_t digest[DIGEST_SHA256];
	struct bytes id;

	buf_append_text(&in, "message-id");
	buf_append(&in, bytes_of(s->peer.seed, sizeof(s->peer.seed)));
	buf_u64(&in, s->peer.session);
	buf_u32(&in, s->mail.spool);
	digest_sha256(buf_bytes(&in), digest);
	encode_hex(&hex, bytes_of(digest, 10));
	id = arena_printf(&s->mail.arena, "<%.*s.%llx@%.*s>", BYTES_ARG(buf_bytes(&hex)),
	                  (unsigned long long)s->now, BYTES_ARG(s->options->hostname));
	buf_done(&in);
	buf_done(&hex);
	return id;
}

static void refuse_header(struct smtp_server *s, const struct smtp_header_verdict *v)
{
	struct bytes text = bytes_of_text(v->refused);
	size_t gap = bytes_find(text, BYTES("%.*s"));
	struct bytes detail = bytes_first(v->detail, 200);

	if (gap != BYTES_NONE)
		text = arena_printf(&s->mail.arena, "%.*s%.*s%.*s",
		                    BYTES_ARG(bytes_first(text, gap)), BYTES_ARG(detail),
		                    BYTES_ARG(bytes_skip(text, gap + 4)));
	refuse(s, (struct smtp_refusal){554, "5.6.0", text});
}

static void take_claims(struct smtp_server *s, const struct smtp_header_verdict *v)
{
	struct smtp_mail *m = &s->mail;
	struct smtp_submit *u = &m->submit;

	u->from = v->claims[0];
	for (unsigned i = 0; i < v->claim_count; i++)
		if (!bytes_equal(v->claims[i], m->sender_canonical))
			u->claims[u->claim_count++] = (struct smtp_claim){.address = v->claims[i]};
}

static void header_complete(struct smtp_server *s, struct bytes header)
{
	struct smtp_mail *m = &s->mail;
	struct smtp_header_setup setup = {
	        .sender = m->sender,
	        .user = m->sender.len > 0 && s->peer.local ? m->sender : buf_bytes(&s->user),
	        .local_user = s->peer.user,
	        .domain = s->options->domain,
	        .message_id = make_message_id(s),
	        .now = s->now,
	};
	struct smtp_header_verdict v;
	struct buf out = {0};

	smtp_header_complete(header, &setup, &m->arena, &out, &v);
	if (v.refused) {
		refuse_header(s, &v);
	} else {
		if (v.tls_not_required)
			m->options |= 2;
		take_claims(s, &v);
		keys_begin(s, buf_bytes(&out));
		smtp_content_keep(s, buf_bytes(&out));
	}
	buf_done(&out);
}

/* ---- content ---- */

static bool has_high(struct bytes run)
{
	uint8_t all = 0;

	for (size_t i = 0; i < run.len; i++)
		all |= (uint8_t)run.ptr[i];
	return all >= 0x80;
}

static void body(struct smtp_server *s, struct bytes run)
{
	if (run.len == 0 || s->mail.fault != FAULT_NONE)
		return;
	if (s->mail.submit.signer)
		dkim_signer_body(s->mail.submit.signer, run);
	smtp_content_keep(s, run);
}

static void header(struct smtp_server *s, struct bytes run, bool last)
{
	struct smtp_submit *u = &s->mail.submit;
	size_t len, start;

	bool done;

	buf_append(&u->header, run);
	done = smtp_header_scan(&u->scan, buf_bytes(&u->header), last, &len, &start);
	/* A line of which it cannot be said yet whether it is a field is no longer than LINE_UNKNOWN. */
	if (done ? len > LIMIT_HEADER : buf_len(&u->header) > LIMIT_HEADER + LINE_UNKNOWN) {
		refuse(s, (struct smtp_refusal){552, "5.3.4", BYTES("The header is too big")});
		buf_done(&u->header);
	} else if (done) {
		u->header_done = true;
		header_complete(s, bytes_first(buf_bytes(&u->header), len));
		body(s, bytes_skip(buf_bytes(&u->header), start));
		buf_done(&u->header);
	}
}

void smtp_submit_content(struct smtp_server *s, struct bytes run)
{
	/* What was not announced is recorded, too: whoever carries it on must know. */
	if (!(s->mail.body & 1) && has_high(run))
		s->mail.body |= 1;
	if (s->mail.submit.header_done)
		body(s, run);
	else
		header(s, run, false);
}

void smtp_submit_end(struct smtp_server *s)
{
	struct smtp_submit *u = &s->mail.submit;

	if (!u->header_done)
		header(s, (struct bytes){0}, true);
}

/* ---- asks ---- */

static uint32_t local_uid(const struct smtp_server *s)
{
	return s->peer.local ? s->peer.uid + 1 : 0;
}

static bool claim_ask(struct smtp_server *s, struct ask *ret)
{
	struct smtp_submit *u = &s->mail.submit;

	for (unsigned i = 0; i < u->claim_count; i++) {
		struct smtp_claim *c = &u->claims[i];

		if (c->asked)
			continue;
		c->asked = true;
		c->number = smtp_number(s);
		*ret = (struct ask){.kind = ASK_SENDER,
		                    .number = c->number,
		                    .sender = {.address = c->address, .local_uid = local_uid(s)}};
		return true;
	}
	return false;
}

static bool keys_ask(struct smtp_server *s, struct ask *ret)
{
	struct smtp_submit *u = &s->mail.submit;

	if (!u->header_done || u->keys_done || u->keys_asked)
		return false;
	u->keys_asked = true;
	u->keys_number = smtp_number(s);
	*ret = (struct ask){.kind = ASK_DKIM_KEYS,
	                    .number = u->keys_number,
	                    .dkim_keys.domain = u->sign_domain};
	return true;
}

static bool sign_ask(struct smtp_server *s, struct ask *ret)
{
	struct smtp_submit *u = &s->mail.submit;
	const struct dkim_signing_key *key = &u->keys.items[u->signed_count];

	if (s->wait != WAIT_SUBMIT || !u->body_done || u->sign_asked ||
	    u->signed_count == u->keys.count)
		return false;
	u->sign_asked = true;
	u->sign_number = smtp_number(s);
	dkim_signer_begin(u->signer, key, s->now, u->digest);
	*ret = (struct ask){.kind = ASK_DKIM_SIGN,
	                    .number = u->sign_number,
	                    .dkim_sign = {.domain = key->domain,
	                                  .selector = key->selector,
	                                  .algorithm = (uint8_t)key->algorithm,
	                                  .digest = bytes_of(u->digest, sizeof(u->digest)),
	                                  .from = u->from,
	                                  .local_uid = local_uid(s)}};
	return true;
}

bool smtp_submit_ask(struct smtp_server *s, struct ask *ret)
{
	if (s->mail.fault != FAULT_NONE || s->submits_open >= SMTP_SUBMITS)
		return false;
	if (!claim_ask(s, ret) && !keys_ask(s, ret) && !sign_ask(s, ret))
		return false;
	s->submits_open++;
	return true;
}

/* ---- answers ---- */

static void claim_answer(struct smtp_server *s, const struct answer *a)
{
	struct smtp_submit *u = &s->mail.submit;
	struct smtp_refusal no;

	for (unsigned i = 0; i < u->claim_count; i++) {
		struct smtp_claim *c = &u->claims[i];

		if (!c->asked || c->answered || c->number != a->number)
			continue;
		c->answered = true;
		if (smtp_sender_refusal(s, a, c->address, &no))
			refuse(s, no);
	}
}

static void sign_answer(struct smtp_server *s, const struct answer *a)
{
	struct smtp_submit *u = &s->mail.submit;
	enum result r = a->result;

	if (r == OK && a->dkim_sign.signature.len == 0)
		r = FAILED;
	if (r == OK)
		r = dkim_signer_put(u->signer, a->dkim_sign.signature, &s->mail.added);
	if (r != OK) {
		refuse_unsigned(s, r);
		return;
	}
	u->sign_asked = false;
	u->signed_count++;
}

void smtp_submit_answer(struct smtp_server *s, const struct answer *a)
{
	struct smtp_submit *u = &s->mail.submit;

	if (s->submits_open > 0)
		s->submits_open--;
	if (a->kind == ASK_SENDER)
		claim_answer(s, a);
	else if (a->kind == ASK_DKIM_KEYS && u->keys_asked && !u->keys_done &&
	         a->number == u->keys_number)
		keys_answer(s, a);
	else if (a->kind == ASK_DKIM_SIGN && u->sign_asked && a->number == u->sign_number)
		sign_answer(s, a);
	s->active = s->now;
	s->verb = "DATA";
	if (s->wait == WAIT_SUBMIT || (s->wait == WAIT_SPOOL && s->mail.fault != FAULT_NONE))
		smtp_content_proceed(s);
}

bool smtp_submit_ready(struct smtp_server *s)
{
	struct smtp_submit *u = &s->mail.submit;

	for (unsigned i = 0; i < u->claim_count; i++)
		if (!u->claims[i].answered)
			return false;
	if (!u->keys_done)
		return false;
	if (u->keys.count > 0 && !u->body_done) {
		u->body_done = true;
		dkim_signer_finish(u->signer);
	}
	return u->signed_count == u->keys.count;
}

void smtp_submit_done(struct smtp_submit *u)
{
	buf_done(&u->header);
	dkim_signer_free(&u->signer);
}
