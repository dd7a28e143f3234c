#include "carrying/digest.h"

#include "base/memory.h"
#include "carrying/posting.h"
#include "crypto/digest.h"

struct digesting {
	const struct config *config;
	time_ms now;
	enum { DIGEST_NEXT, DIGEST_POST, DIGEST_DONE, DIGEST_OVER } state;
	struct arena arena; /* of one digest */
	struct bytes rcpt;  /* in it */
	struct buf after;   /* the last one looked at */
	struct posting *posting;
	struct ask ask;
	bool asks;
	uint32_t next_number;
	int64_t until;
	unsigned sent;
};

static struct ask *ask(struct digesting *d, enum ask_kind kind)
{
	d->ask = (struct ask){.kind = kind, .number = ++d->next_number};
	d->asks = true;
	return &d->ask;
}

static void ask_next(struct digesting *d)
{
	d->state = DIGEST_NEXT;
	ask(d, ASK_DIGEST)->digest.after = buf_bytes(&d->after);
}

bool digesting_ask(struct digesting *d, struct ask *ret)
{
	if (d->state == DIGEST_POST)
		return posting_ask(d->posting, ret);
	if (!d->asks)
		return false;
	*ret = d->ask;
	d->asks = false;
	return true;
}

/* ---- one digest ---- */

static struct bytes own_domain(const struct config *c)
{
	return c->domains.count ? c->domains.items[0] : c->hostname;
}

/* Always the same for a recipient and a day: it is never sent twice. */
static void key_of(const struct answer_digest *a, uint8_t key[16])
{
	uint8_t hash[DIGEST_SHA256];
	struct buf text = {0};

	buf_append_text(&text, "digest");
	buf_u64(&text, (uint64_t)a->until);
	buf_append(&text, a->rcpt);
	digest_sha256(buf_bytes(&text), hash);
	memcpy(key, hash, 16);
	buf_done(&text);
}

static void begin(struct digesting *d, const struct answer_digest *a)
{
	struct posting_mail mail = {.domain = own_domain(d->config)};
	struct buf content = {0};

	arena_reset(&d->arena);
	d->rcpt = arena_copy(&d->arena, a->rcpt);
	d->until = a->until;
	buf_clear(&d->after);
	buf_append(&d->after, a->rcpt);
	digest_mail(d->config, a, d->now, &content);
	mail.content = buf_bytes(&content);
	mail.from = arena_printf(&d->arena, "postmaster@%.*s", BYTES_ARG(mail.domain));
	mail.to = d->rcpt;
	key_of(a, mail.key);
	d->posting = posting_new(d->config, &mail, d->now);
	d->state = DIGEST_POST;
	buf_done(&content);
}

static void posted(struct digesting *d)
{
	bool failed = posting_failed(d->posting).len > 0;

	posting_free(&d->posting);
	if (failed) {
		ask_next(d); /* this one is due the next time still */
		return;
	}
	d->sent++;
	d->state = DIGEST_DONE;
	ask(d, ASK_DIGEST_DONE)->digest_done = (struct ask_digest_done){.rcpt = d->rcpt,
	                                                                .until = d->until};
}

void digesting_answer(struct digesting *d, const struct answer *a)
{
	switch (d->state) {
	case DIGEST_NEXT:
		if (a->result == OK)
			begin(d, &a->digest);
		else
			d->state = DIGEST_OVER;
		break;
	case DIGEST_POST:
		posting_answer(d->posting, a);
		if (posting_finished(d->posting))
			posted(d);
		break;
	case DIGEST_DONE:
		if (a->result == OK)
			ask_next(d);
		else
			d->state = DIGEST_OVER;
		break;
	case DIGEST_OVER: break;
	}
}

/* ---- life ---- */

struct digesting *digesting_new(const struct config *config, time_ms now)
{
	struct digesting *d = NEW(struct digesting);

	d->config = config;
	d->now = now;
	ask_next(d);
	return d;
}

void digesting_free(struct digesting **digesting)
{
	struct digesting *d = *digesting;

	if (!d)
		return;
	posting_free(&d->posting);
	buf_done(&d->after);
	arena_done(&d->arena);
	memory_free(d);
	*digesting = NULL;
}

bool digesting_finished(const struct digesting *d)
{
	return d->state == DIGEST_OVER;
}

unsigned digesting_sent(const struct digesting *d)
{
	return d->sent;
}
