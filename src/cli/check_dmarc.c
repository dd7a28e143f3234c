/* hikyaku check dmarc --dns ADDR:PORT --spf-result WORD --spf-domain NAME: RESULT POLICY DOMAIN of the mail on stdin: the policy is the one
 * that applies if it failed, DOMAIN the organisation of its From. Signatures are verified on the way. With --explain a
 * second line says what was aligned, and where the record stands. */
#include "cli/check.h"
#include "mail/charset.h"
#include "policy/content.h"
#include "verify/dkim.h"
#include "verify/dmarc.h"

struct mail {
	struct dkim_verifier *dkim;
	struct content *content;
};

static void feed(struct mail *m, struct bytes piece)
{
	dkim_verifier_feed(m->dkim, piece);
	content_feed(m->content, piece);
}

/* As it was on the wire: a mail that lies in a file has lost its CRs. */
static void read_mail(struct mail *m, struct bytes rest)
{
	m->dkim = dkim_verifier_new();
	m->content = content_new();
	while (rest.len > 0) {
		size_t lf = bytes_find_char(rest, '\n');
		struct bytes line = bytes_first(rest, lf == BYTES_NONE ? rest.len : lf);

		rest = bytes_skip(rest, line.len + (lf != BYTES_NONE));
		if (bytes_ends(line, BYTES("\r")))
			line.len--;
		feed(m, line);
		if (lf != BYTES_NONE)
			feed(m, BYTES("\r\n"));
	}
	dkim_verifier_end(m->dkim);
	content_end(m->content);
}

static enum result read_spf(const struct check *c, struct dmarc_input *in, struct why *why)
{
	const char *word = check_option(c, "--spf-result");

	in->spf = SPF_NONE;
	in->spf_domain = bytes_of_text(check_option(c, "--spf-domain"));
	for (int i = 0; i < SPF_RESULTS; i++) {
		if (!word || strcmp(word, spf_result_name((enum spf_result)i)) != 0)
			continue;
		in->spf = (enum spf_result)i;
		return OK;
	}
	return word ? why_set(why, INVALID, "--spf-result %.40s is none of SPF's words", word) : OK;
}

static void put(const struct check *c, const struct dmarc_verdict *v, struct buf *out)
{
	buf_printf(out, "%s %s %.*s\n", dmarc_result_name(v->result), dmarc_policy_name(v->policy),
	           BYTES_ARG(v->domain.len ? v->domain : BYTES("-")));
	if (!check_option(c, "--explain"))
		return;
	buf_printf(out, "spf %s, dkim %s", v->aligned_spf ? "aligned" : "not aligned",
	           v->aligned_dkim ? "aligned" : "not aligned");
	if (v->policy_domain.len)
		buf_printf(out, "; record at %.*s%s", BYTES_ARG(v->policy_domain),
		           v->testing ? ", in testing" : "");
	if (v->reason.len)
		buf_printf(out, "; %.*s", BYTES_ARG(v->reason));
	buf_append_char(out, '\n');
}

static void judge(const struct check *c, struct dmarc_input *in, struct buf *out)
{
	struct facts *facts = facts_new();
	struct arena arena = {0};
	struct dkim_verdict *signatures = NULL;
	struct dmarc_verdict v;
	struct mail m;
	size_t count = 0;

	read_mail(&m, c->in);
	while (!dkim_verify(m.dkim, facts, c->now / 1000, &arena, &signatures, &count))
		check_dns_fill(c->dns, facts);
	in->from_domain = content_seen(m.content)->from_domain;
	in->dkim = signatures;
	in->dkim_count = count;
	while (!dmarc_check(in, facts, &arena, &v))
		check_dns_fill(c->dns, facts);
	put(c, &v, out);
	facts_free(&facts);
	arena_done(&arena);
	content_free(&m.content);
	dkim_verifier_free(&m.dkim);
}

enum result check_dmarc(const struct check *c, struct buf *out, struct why *why)
{
	struct dmarc_input in = {0};
	enum result r = read_spf(c, &in, why);

	if (r == OK && !c->dns)
		r = why_set(why, INVALID, "--dns must be given");
	if (r == OK)
		r = charset_warm(why);
	if (r == OK)
		judge(c, &in, out);
	return r;
}
