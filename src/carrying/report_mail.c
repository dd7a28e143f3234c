#include "carrying/report_mail.h"

#include "mail/header.h"

enum { SPOOL = 1 };

struct buf *report_mail_content(struct report_mail *m)
{
	buf_clear(&m->content);
	return &m->content;
}

void report_mail_begin(struct report_mail *m, const struct config *config,
                       struct bytes organization, struct bytes contact, struct bytes to,
                       const uint8_t key[16], time_ms now)
{
	arena_reset(&m->arena);
	m->config = config;
	m->organization = organization;
	m->contact = contact;
	m->to = to;
	m->now = now;
	m->spooled = 0;
	m->open = false;
	memcpy(m->commit_key, key, sizeof(m->commit_key));
	buf_clear(&m->trace);
	m->state = REPORT_MAIL_KEYS;
}

/* ---- asks ---- */

static void ask_commit(struct report_mail *m, struct ask *a)
{
	struct summary_builder *b = summary_builder_new();

	summary_builder_feed(b, buf_bytes(&m->trace));
	summary_builder_feed(b, buf_bytes(&m->content));
	buf_clear(&m->summary);
	summary_builder_finish(b, &m->summary);
	summary_builder_free(&b);
	buf_clear(&m->recipients);
	buf_block(&m->recipients, m->to);
	buf_u8(&m->recipients, 1); /* nobody wants to hear that it failed */
	buf_block(&m->recipients, (struct bytes){0});
	*a = (struct ask){.kind = ASK_COMMIT};
	a->commit = (struct ask_commit){
	        .spool = SPOOL,
	        .key = bytes_of(m->commit_key, sizeof(m->commit_key)),
	        .trace = buf_bytes(&m->trace),
	        .summary = buf_bytes(&m->summary),
	        .recipients = buf_bytes(&m->recipients),
	};
}

static void ask_sign(struct report_mail *m, struct ask *a)
{
	const struct dkim_signing_key *key = &m->keys.items[m->key];

	dkim_signer_begin(m->signer, key, m->now, m->digest);
	*a = (struct ask){.kind = ASK_DKIM_SIGN};
	a->dkim_sign = (struct ask_dkim_sign){.domain = key->domain,
	                                      .selector = key->selector,
	                                      .algorithm = (uint8_t)key->algorithm,
	                                      .digest = bytes_of(m->digest, sizeof(m->digest)),
	                                      .from = m->contact};
}

static void ask_spool(struct report_mail *m, struct ask *a)
{
	struct bytes piece = bytes_first(bytes_skip(buf_bytes(&m->content), m->spooled),
	                                 LIMIT_CHUNK);

	m->spooled += piece.len;
	*a = (struct ask){.kind = ASK_SPOOL, .spool = {.spool = SPOOL, .chunk = piece}};
}

bool report_mail_ask(struct report_mail *m, struct ask *ret)
{
	if (m->open)
		return false;
	switch (m->state) {
	case REPORT_MAIL_KEYS:
		*ret = (struct ask){.kind = ASK_DKIM_KEYS, .dkim_keys.domain = m->organization};
		break;
	case REPORT_MAIL_SIGN: ask_sign(m, ret); break;
	case REPORT_MAIL_SPOOL: ask_spool(m, ret); break;
	case REPORT_MAIL_COMMIT: ask_commit(m, ret); break;
	default: return false;
	}
	m->open = true;
	return true;
}

/* ---- answers ---- */

static void take_keys(struct report_mail *m, const struct answer *a)
{
	struct bytes content = buf_bytes(&m->content);
	size_t header = header_len(content);

	m->key = 0;
	m->keys = (struct dkim_signing_keys){0};
	if (a->result == OK && m->config->dkim_sign &&
	    dkim_signing_keys_parse(arena_copy(&m->arena, a->dkim_keys.keys), m->organization,
	                            &m->keys) != OK)
		m->keys.count = 0;
	dkim_signer_free(&m->signer);
	m->signer = dkim_signer_new(bytes_first(content, header));
	dkim_signer_body(m->signer, bytes_skip(content, header));
	dkim_signer_finish(m->signer);
	m->state = m->keys.count > 0 ? REPORT_MAIL_SIGN : REPORT_MAIL_SPOOL;
}

static void take_signature(struct report_mail *m, const struct answer *a)
{
	if (a->result == OK)
		(void)(dkim_signer_put(m->signer, a->dkim_sign.signature, &m->trace) == OK);
	if (++m->key == m->keys.count)
		m->state = REPORT_MAIL_SPOOL;
}

static void take_spooled(struct report_mail *m, const struct answer *a)
{
	if (a->result != OK)
		m->state = REPORT_MAIL_LATER;
	else if (m->spooled == buf_len(&m->content))
		m->state = REPORT_MAIL_COMMIT;
}

void report_mail_answer(struct report_mail *m, const struct answer *a)
{
	m->open = false;
	switch (m->state) {
	case REPORT_MAIL_KEYS: take_keys(m, a); break;
	case REPORT_MAIL_SIGN: take_signature(m, a); break;
	case REPORT_MAIL_SPOOL: take_spooled(m, a); break;
	case REPORT_MAIL_COMMIT:
		m->state = a->result == OK ? REPORT_MAIL_SENT : REPORT_MAIL_REFUSED;
		break;
	default: break;
	}
}

void report_mail_done(struct report_mail *m)
{
	dkim_signer_free(&m->signer);
	buf_done(&m->content);
	buf_done(&m->trace);
	buf_done(&m->summary);
	buf_done(&m->recipients);
	arena_done(&m->arena);
}

/* ---- who ---- */

bool report_mail_address(struct bytes rua, struct arena *arena, struct bytes *ret)
{
	struct bytes address = bytes_skip(rua, 7);
	size_t end = bytes_find_char(address, '?');

	if (!bytes_starts_nocase(rua, BYTES("mailto:")))
		return false;
	if (end != BYTES_NONE)
		address = bytes_first(address, end);
	return bytes_find_char(address, '%') == BYTES_NONE &&
	       bytes_find_char(address, '@') != BYTES_NONE &&
	       config_address_tidy(address, arena, ret) == OK;
}

struct bytes report_organization(const struct config *config)
{
	return config->domains.count ? config->domains.items[0] : config->hostname;
}
