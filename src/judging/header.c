/* What the mail is told about: Authentication-Results (RFC 8601), and the verdict in words. */
#include "judging/inside.h"

#include "base/text.h"
#include "verify/authres.h"

enum {
	ROWS = 4 + DKIM_LOOKED_AT,
	WHY = VERDICT_WHY + 100,
	LINE = 76,
	RESULTS = JUDGING_HEADER - WHY - 200
};

static const char *const iprev_names[] = {[IPREV_PASS] = "pass",
                                          [IPREV_FAIL] = "fail",
                                          [IPREV_NONE] = "permerror",
                                          [IPREV_TEMPERROR] = "temperror"};

static struct authres_row spf_row(const struct judging *j)
{
	bool by_helo = j->spf.by_helo;

	return (struct authres_row){.method = "spf",
	                            .result = spf_result_name(j->spf.result),
	                            .properties = {{"smtp", by_helo ? "helo" : "mailfrom",
	                                            by_helo ? buf_bytes(&j->helo) : j->sender}}};
}

static struct authres_row dkim_row(const struct dkim_verdict *v)
{
	return (struct authres_row){.method = "dkim",
	                            .result = dkim_result_name(v->result),
	                            .reason = v->reason,
	                            .properties = {{"header", "d", v->domain},
	                                           {"header", "s", v->selector},
	                                           {"header", "a", v->algorithm},
	                                           {"header", "b", v->signature}}};
}

static struct authres_row dmarc_row(struct judging *j)
{
	return (struct authres_row){
	        .method = "dmarc",
	        .result = dmarc_result_name(j->dmarc.result),
	        .properties = {{"header", "from", content_seen(j->content)->from_domain},
	                       {"policy", "dmarc",
	                        j->dmarc.result == DMARC_FAIL
	                                ? bytes_of_text(dmarc_policy_name(j->dmarc.policy))
	                                : (struct bytes){0}}}};
}

static size_t rows_of(struct judging *j, size_t signatures, struct authres_row rows[ROWS])
{
	size_t count = 0;
	char ip[IP_TEXT];

	ip_format(&j->ip, ip);
	rows[count++] = spf_row(j);
	for (size_t i = 0; i < signatures; i++)
		rows[count++] = dkim_row(&j->signatures[i]);
	if (j->signature_count == 0)
		rows[count++] = (struct authres_row){.method = "dkim", .result = "none"};
	rows[count++] = dmarc_row(j);
	if (j->arc.result != ARC_NONE)
		rows[count++] = (struct authres_row){
		        .method = "arc",
		        .result = arc_result_name(j->arc.result),
		        .properties = {{"header", "d", j->arc.domain}}};
	rows[count++] = (struct authres_row){
	        .method = "iprev",
	        .result = iprev_names[j->iprev.result],
	        .properties = {{"policy", "iprev", arena_printf(&j->arena, "%s", ip)}}};
	return count;
}

/* Words, folded between them; strangers' octets among them may not end the line. */
static void put_folded(struct bytes text, struct buf *out)
{
	struct bytes word;
	size_t line = LINE;

	while (bytes_cut(&text, ' ', &word)) {
		if (word.len == 0)
			continue;
		if (line + 1 + word.len > LINE) {
			buf_append_text(out, "\r\n\t");
			line = 8;
		} else {
			buf_append_char(out, ' ');
			line++;
		}
		for (size_t i = 0; i < word.len; i++)
			buf_append_char(out, word.ptr[i] > ' ' && word.ptr[i] < 0x7f ? word.ptr[i]
			                                                             : '?');
		line += word.len;
	}
}

/* At most RESULTS octets: a mail with ten signatures of long names is told about fewer of them. */
static void put_results(struct judging *j, struct buf *out)
{
	size_t signatures = j->signature_count, before = buf_len(out);

	for (;;) {
		struct authres_row rows[ROWS];
		size_t count = rows_of(j, signatures, rows);

		authres_put(j->options->hostname, rows, count, out);
		if (buf_len(out) - before <= RESULTS || signatures == 0)
			return;
		buf_truncate(out, before);
		signatures--;
	}
}

void header_make(struct judging *j, struct buf *out)
{
	put_results(j, out);
	buf_printf(out, "X-Hikyaku-Verdict: %s", judge_action_name(j->result.action));
	put_folded(bytes_first(j->verdict.why, WHY), out);
	if (j->result.id.len) {
		buf_append_text(out, "\r\nX-Hikyaku-Judgement:");
		put_folded(j->result.id, out);
	}
	buf_append_text(out, "\r\n");
}
