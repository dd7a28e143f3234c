/* Writing an aggregate report: XML (RFC 9990, appendix B), and the mail around it. */
#include "base/encode.h"
#include "base/text.h"
#include "verify/dmarc_report.h"

/* Text of an element: what XML 1.0 cannot hold becomes "?". */
static void put_text(struct buf *out, struct bytes b)
{
	while (b.len > 0) {
		uint32_t code;
		int n = text_utf8_next(b, &code);

		if (n <= 0 || code < ' ' || code == 0x7f || code == 0xfffe || code == 0xffff)
			buf_append_char(out, '?');
		else if (code == '<' || code == '&' || code == '>')
			buf_printf(out, "&#%u;", code);
		else
			buf_append(out, bytes_first(b, (size_t)n));
		b = bytes_skip(b, n > 0 ? (size_t)n : 1);
	}
}

static void put(struct buf *out, const char *name, struct bytes value)
{
	buf_printf(out, "<%s>", name);
	put_text(out, value);
	buf_printf(out, "</%s>\n", name);
}

static void put_word(struct buf *out, const char *name, const char *word)
{
	put(out, name, bytes_of_text(word));
}

static void put_head(struct buf *out, const struct dmarc_report *r)
{
	buf_append_text(out, "<report_metadata>\n");
	put(out, "org_name", r->organization);
	put(out, "email", r->email);
	put(out, "report_id", r->id);
	buf_printf(out, "<date_range>\n<begin>%lld</begin>\n<end>%lld</end>\n</date_range>\n",
	           (long long)r->begin, (long long)r->end);
	put_word(out, "generator", "Hikyaku");
	buf_append_text(out, "</report_metadata>\n<policy_published>\n");
	put(out, "domain", r->domain);
	put_word(out, "discovery_method", "treewalk");
	put_word(out, "p", dmarc_policy_name(r->p));
	if (r->has_sp)
		put_word(out, "sp", dmarc_policy_name(r->sp));
	if (r->has_np)
		put_word(out, "np", dmarc_policy_name(r->np));
	put_word(out, "adkim", r->strict_dkim ? "s" : "r");
	put_word(out, "aspf", r->strict_spf ? "s" : "r");
	put_word(out, "testing", r->testing ? "y" : "n");
	buf_append_text(out, "</policy_published>\n");
}

static void put_dkim(struct buf *out, const struct dmarc_report_dkim *d)
{
	if (d->domain.len == 0)
		return;
	buf_append_text(out, "<dkim>\n");
	put(out, "domain", d->domain);
	if (d->selector.len)
		put(out, "selector", d->selector);
	put(out, "result", d->result);
	buf_append_text(out, "</dkim>\n");
}

static void put_row(struct buf *out, const struct dmarc_report_row *x)
{
	char ip[IP_TEXT];

	ip_format(&x->ip, ip);
	buf_append_text(out, "<record>\n<row>\n");
	put_word(out, "source_ip", ip);
	buf_printf(out, "<count>%llu</count>\n<policy_evaluated>\n", (unsigned long long)x->count);
	put_word(out, "disposition", dmarc_policy_name(x->disposition));
	put_word(out, "dkim", x->dkim ? "pass" : "fail");
	put_word(out, "spf", x->spf ? "pass" : "fail");
	if (x->reason.len) {
		buf_append_text(out, "<reason>\n");
		put(out, "type", x->reason);
		buf_append_text(out, "</reason>\n");
	}
	buf_append_text(out, "</policy_evaluated>\n</row>\n<identifiers>\n");
	put(out, "envelope_from", x->envelope_from);
	put(out, "header_from", x->header_from);
	buf_append_text(out, "</identifiers>\n<auth_results>\n");
	for (size_t i = 0; i < x->dkim_count; i++)
		put_dkim(out, &x->dkims[i]);
	if (x->spf_domain.len) {
		buf_append_text(out, "<spf>\n");
		put(out, "domain", x->spf_domain);
		put(out, "scope", x->spf_scope);
		put(out, "result", x->spf_result);
		buf_append_text(out, "</spf>\n");
	}
	buf_append_text(out, "</auth_results>\n</record>\n");
}

void dmarc_report_write(const struct dmarc_report *r, struct buf *out)
{
	buf_append_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	                     "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n"
	                     "<version>1.0</version>\n");
	put_head(out, r);
	for (size_t i = 0; i < r->row_count; i++)
		put_row(out, &r->rows[i]);
	buf_append_text(out, "</feedback>\n");
}

/* ---- the mail ---- */

struct bytes dmarc_report_file_name(const struct dmarc_report *r, struct arena *arena)
{
	return arena_printf(arena, "%.*s!%.*s!%lld!%lld!%.*s.xml.gz", BYTES_ARG(r->organization),
	                    BYTES_ARG(r->domain), (long long)r->begin, (long long)r->end,
	                    BYTES_ARG(r->id));
}

static void put_base64(struct buf *out, struct bytes data)
{
	enum { LINE = 57 };

	for (; data.len > 0; data = bytes_skip(data, LINE)) {
		encode_base64(out, bytes_first(data, LINE));
		buf_append_text(out, "\r\n");
	}
}

void dmarc_report_mail(const struct dmarc_report *r, struct bytes gz, struct bytes from,
                       struct bytes to, time_ms now, struct buf *out)
{
	struct arena arena = {0};
	struct bytes name = dmarc_report_file_name(r, &arena);
	char date[TIME_TEXT];

	time_format_rfc5322(now, 0, date);
	buf_printf(out,
	           "From: %.*s\r\nTo: %.*s\r\nDate: %s\r\nMessage-ID: <%.*s@%.*s>\r\n"
	           "Subject: Report Domain: %.*s Submitter: %.*s Report-ID: <%.*s>\r\n"
	           "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
	           "Content-Type: multipart/mixed; boundary=\"=_%.*s\"\r\n\r\n",
	           BYTES_ARG(from), BYTES_ARG(to), date, BYTES_ARG(r->id),
	           BYTES_ARG(r->organization), BYTES_ARG(r->domain), BYTES_ARG(r->organization),
	           BYTES_ARG(r->id), BYTES_ARG(r->id));
	buf_printf(out,
	           "--=_%.*s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
	           "This is a DMARC aggregate report on mail from %.*s (RFC 9990),\r\n"
	           "sent by %.*s.\r\n\r\n"
	           "--=_%.*s\r\nContent-Type: application/gzip\r\n"
	           "Content-Transfer-Encoding: base64\r\n"
	           "Content-Disposition: attachment;\r\n filename=\"%.*s\"\r\n\r\n",
	           BYTES_ARG(r->id), BYTES_ARG(r->domain), BYTES_ARG(r->organization),
	           BYTES_ARG(r->id), BYTES_ARG(name));
	put_base64(out, gz);
	buf_printf(out, "--=_%.*s--\r\n", BYTES_ARG(r->id));
	arena_done(&arena);
}
