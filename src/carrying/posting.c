#include "carrying/posting.h"

#include "base/memory.h"
#include "mail/header.h"
#include "mail/summary.h"
#include "verify/dkim_sign.h"

enum { SPOOL = 1 };

struct posting {
	const struct config *config;
	time_ms now;
	enum { POSTING_KEYS, POSTING_SIGN, POSTING_SPOOL, POSTING_COMMIT, POSTING_OVER } state;
	struct arena arena;
	struct posting_mail mail;
	struct ask ask;
	bool asks; /* `ask` was not taken yet */
	uint32_t next_number;

	struct buf trace, summary, recipients;
	size_t spooled;
	struct dkim_signer *signer;
	struct dkim_signing_keys keys;
	unsigned key;
	uint8_t digest[DIGEST_SHA256];
	struct bytes failed;
};

static struct ask *ask(struct posting *p, enum ask_kind kind)
{
	p->ask = (struct ask){.kind = kind, .number = ++p->next_number};
	p->asks = true;
	return &p->ask;
}

bool posting_ask(struct posting *p, struct ask *ret)
{
	if (!p->asks)
		return false;
	*ret = p->ask;
	p->asks = false;
	return true;
}

/* ---- the store ---- */

static void spool(struct posting *p)
{
	struct bytes piece = bytes_first(bytes_skip(p->mail.content, p->spooled), LIMIT_CHUNK);
	struct ask *a = ask(p, ASK_SPOOL);

	p->state = POSTING_SPOOL;
	p->spooled += piece.len;
	a->spool.spool = SPOOL;
	a->spool.chunk = piece;
}

static void commit(struct posting *p)
{
	struct summary_builder *b = summary_builder_new();

	summary_builder_feed(b, buf_bytes(&p->trace));
	summary_builder_feed(b, p->mail.content);
	buf_clear(&p->summary);
	summary_builder_finish(b, &p->summary);
	summary_builder_free(&b);
	buf_clear(&p->recipients);
	buf_block(&p->recipients, p->mail.to);
	buf_u8(&p->recipients, 1); /* nobody wants to hear that it failed */
	buf_block(&p->recipients, (struct bytes){0});
	p->state = POSTING_COMMIT;
	ask(p, ASK_COMMIT)->commit = (struct ask_commit){
	        .spool = SPOOL,
	        .key = bytes_of(p->mail.key, sizeof(p->mail.key)),
	        .trace = buf_bytes(&p->trace),
	        .summary = buf_bytes(&p->summary),
	        .recipients = buf_bytes(&p->recipients),
	};
}

static void take_stored(struct posting *p, const struct answer *a)
{
	if (a->result != OK) {
		p->failed = arena_copy(&p->arena,
		                       a->why.len ? a->why : BYTES("the store did not take it"));
		p->state = POSTING_OVER;
	} else if (p->state == POSTING_COMMIT) {
		p->state = POSTING_OVER;
	} else if (p->spooled < p->mail.content.len) {
		spool(p);
	} else {
		commit(p);
	}
}

/* ---- the signature ---- */

static void sign_next(struct posting *p)
{
	const struct dkim_signing_key *key = &p->keys.items[p->key];

	if (p->key == p->keys.count) {
		spool(p);
		return;
	}
	dkim_signer_begin(p->signer, key, p->now, p->digest);
	p->state = POSTING_SIGN;
	ask(p, ASK_DKIM_SIGN)->dkim_sign = (struct ask_dkim_sign){
	        .domain = key->domain,
	        .selector = key->selector,
	        .algorithm = (uint8_t)key->algorithm,
	        .digest = bytes_of(p->digest, sizeof(p->digest)),
	        .from = p->mail.from};
}

static void take_keys(struct posting *p, const struct answer *a)
{
	size_t header = header_len(p->mail.content);

	if (a->result == OK && p->config->dkim_sign &&
	    dkim_signing_keys_parse(arena_copy(&p->arena, a->dkim_keys.keys), p->mail.domain,
	                            &p->keys) != OK)
		p->keys.count = 0;
	p->signer = dkim_signer_new(bytes_first(p->mail.content, header));
	dkim_signer_body(p->signer, bytes_skip(p->mail.content, header));
	dkim_signer_finish(p->signer);
	sign_next(p);
}

static void take_signature(struct posting *p, const struct answer *a)
{
	if (a->result == OK)
		(void)(dkim_signer_put(p->signer, a->dkim_sign.signature, &p->trace) == OK);
	p->key++;
	sign_next(p);
}

/* ---- life ---- */

void posting_answer(struct posting *p, const struct answer *a)
{
	switch (p->state) {
	case POSTING_KEYS: take_keys(p, a); break;
	case POSTING_SIGN: take_signature(p, a); break;
	case POSTING_SPOOL:
	case POSTING_COMMIT: take_stored(p, a); break;
	case POSTING_OVER: break;
	}
}

bool posting_finished(const struct posting *p)
{
	return p->state == POSTING_OVER && !p->asks;
}

struct bytes posting_failed(const struct posting *p)
{
	return p->failed;
}

struct posting *posting_new(const struct config *config, const struct posting_mail *mail,
                            time_ms now)
{
	struct posting *p = NEW(struct posting);

	p->config = config;
	p->now = now;
	p->mail = *mail;
	p->mail.content = arena_copy(&p->arena, mail->content);
	p->mail.domain = arena_copy(&p->arena, mail->domain);
	p->mail.from = arena_copy(&p->arena, mail->from);
	p->mail.to = arena_copy(&p->arena, mail->to);
	ask(p, ASK_DKIM_KEYS)->dkim_keys.domain = p->mail.domain;
	return p;
}

void posting_free(struct posting **posting)
{
	struct posting *p = *posting;

	if (!p)
		return;
	dkim_signer_free(&p->signer);
	buf_done(&p->trace);
	buf_done(&p->summary);
	buf_done(&p->recipients);
	arena_done(&p->arena);
	memory_free(p);
	*posting = NULL;
}
