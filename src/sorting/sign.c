/* A notice's DKIM signature, so that a host which wants every mail to be signed takes it. Only for
 * senders elsewhere, and where a domain of ours is our hostname's: From is MAILER-DAEMON@hostname,
 * which aligns with it (RFC 7489, 3.1.1). The whole notice is kept until it is signed; one that is
 * larger than SIGN_MAX, or for which keeper has no answer, goes out without.
 *
 *	SIGN_KEYS (DKIM_KEYS asked) -> SIGN_TEXT (the notice is made) -> SIGN_ASKED (DKIM_SIGN asked,
 *	    a key after the other) -> SIGN_OVER */
#include "mail/header.h"
#include "sorting/job.h"

enum { SIGN_MAX = 1024 * 1024 };

static bool is_ours(const struct sorting_job *j, struct bytes domain)
{
	for (size_t i = 0; i < j->config->domains.count; i++) {
		if (bytes_equal_nocase(j->config->domains.items[i], domain))
			return true;
	}
	return false;
}

/* The domain of ours that the hostname is, or is below; empty: none. */
static struct bytes signing_domain(const struct sorting_job *j)
{
	struct bytes host = j->config->hostname;

	while (host.len > 0) {
		if (is_ours(j, host))
			return host;
		size_t dot = bytes_find_char(host, '.');
		host = bytes_skip(host, dot == BYTES_NONE ? host.len : dot + 1);
	}
	return host;
}

bool sign_begin(struct sorting_job *j)
{
	struct bytes sender = bytes_skip(j->take.sender, bytes_find_last(j->take.sender, '@') + 1);

	j->sign_domain = signing_domain(j);
	if (!j->config->dkim_sign || j->sign_domain.len == 0 || is_ours(j, sender))
		return false;
	j->signing = SIGN_KEYS;
	job_ask(j, ASK_DKIM_KEYS)->dkim_keys.domain = j->sign_domain;
	return true;
}

static void take_keys(struct sorting_job *j, const struct answer *a)
{
	j->signing = SIGN_OVER;
	if (a->result != OK)
		return;
	struct bytes packed = arena_copy(&j->arena, a->dkim_keys.keys);
	if (dkim_signing_keys_parse(packed, j->sign_domain, &j->keys) == OK && j->keys.count > 0)
		j->signing = SIGN_TEXT;
}

bool sign_take(struct sorting_job *j, struct bytes piece)
{
	if (j->signing != SIGN_TEXT)
		return false;
	buf_append(&j->content, piece);
	if (buf_len(&j->content) > SIGN_MAX) {
		j->signing = SIGN_OVER;
		bounce_flow(j);
	}
	return true;
}

/* The next key's turn; after the last the notice flows. */
static void ask_next(struct sorting_job *j)
{
	if (j->key == j->keys.count) {
		j->signing = SIGN_OVER;
		bounce_flow(j);
		return;
	}
	const struct dkim_signing_key *key = &j->keys.items[j->key];
	struct ask *a = job_ask(j, ASK_DKIM_SIGN);
	dkim_signer_begin(j->signer, key, j->now, j->digest);
	a->dkim_sign = (struct ask_dkim_sign){.domain = key->domain,
	                                      .selector = key->selector,
	                                      .algorithm = (uint8_t)key->algorithm,
	                                      .digest = bytes_of(j->digest, sizeof(j->digest))};
}

void sign_finish(struct sorting_job *j)
{
	struct bytes content = buf_bytes(&j->content);
	size_t header = header_len(content);

	if (j->signing != SIGN_TEXT)
		return;
	j->signing = SIGN_ASKED;
	j->signer = dkim_signer_new(bytes_first(content, header));
	dkim_signer_body(j->signer, bytes_skip(content, header));
	dkim_signer_finish(j->signer);
	ask_next(j);
}

static void take_signature(struct sorting_job *j, const struct answer *a)
{
	size_t before = buf_len(&j->trace);

	if (a->result == OK &&
	    (dkim_signer_put(j->signer, a->dkim_sign.signature, &j->trace) != OK ||
	     buf_len(&j->trace) > LIMIT_TRACE))
		buf_truncate(&j->trace, before);
	j->key++;
	ask_next(j);
}

bool sign_answer(struct sorting_job *j, const struct answer *a)
{
	if (a->kind == ASK_DKIM_KEYS && j->signing == SIGN_KEYS) {
		take_keys(j, a);
		return true;
	}
	if (a->kind == ASK_DKIM_SIGN && j->signing == SIGN_ASKED)
		take_signature(j, a);
	return false;
}
