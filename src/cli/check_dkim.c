/* hikyaku check dkim --dns ADDR:PORT [--now SECONDS]: a line a signature, topmost first: RESULT DOMAIN SELECTOR; "-" where the
 * signature names none. hikyaku check arc: none, pass, fail, or temperror where the DNS gave no answer. With --explain the
 * reason follows after a tab. A mail whose first line ends without CR, as it lies in a Maildir, is judged as it was on the wire. */
#include "cli/check.h"
#include "verify/arc.h"

static void put_plain(struct buf *out, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		buf_append_char(out, c <= ' ' || c == 0x7f ? '?' : (char)c);
	}
	if (text.len == 0)
		buf_append_char(out, '-');
}

static bool lacks_cr(struct bytes mail)
{
	size_t lf = bytes_find_char(mail, '\n');

	return lf != BYTES_NONE && (lf == 0 || mail.ptr[lf - 1] != '\r');
}

static struct dkim_verifier *read_mail(const struct check *c)
{
	struct dkim_verifier *v = dkim_verifier_new();
	struct bytes rest = c->in, line;
	bool add = lacks_cr(rest);

	if (check_option(c, "--old-rules"))
		dkim_verifier_old_rules(v);
	while (add && bytes_find_char(rest, '\n') != BYTES_NONE) {
		(void)bytes_cut(&rest, '\n', &line);
		dkim_verifier_feed(v, line);
		dkim_verifier_feed(v, BYTES("\r\n"));
	}
	dkim_verifier_feed(v, rest);
	dkim_verifier_end(v);
	return v;
}

static void end_line(const struct check *c, struct bytes reason, struct buf *out)
{
	if (check_option(c, "--explain") && reason.len > 0) {
		buf_append_char(out, '\t');
		buf_append(out, reason);
	}
	buf_append_char(out, '\n');
}

enum result check_dkim(const struct check *c, struct buf *out, struct why *why)
{
	struct dkim_verifier *v = read_mail(c);
	struct facts *facts = facts_new();
	struct dkim_verdict *verdicts = NULL;
	struct arena arena = {0};
	size_t count = 0;

	while (!dkim_verify(v, facts, c->now / 1000, &arena, &verdicts, &count))
		check_dns_fill(c->dns, facts);
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, "%s ", dkim_result_name(verdicts[i].result));
		put_plain(out, verdicts[i].domain);
		buf_append_char(out, ' ');
		put_plain(out, verdicts[i].selector);
		end_line(c, verdicts[i].reason, out);
	}
	facts_free(&facts);
	arena_done(&arena);
	dkim_verifier_free(&v);
	return OK;
}

enum result check_arc(const struct check *c, struct buf *out, struct why *why)
{
	struct dkim_verifier *v = read_mail(c);
	struct facts *facts = facts_new();
	struct arena arena = {0};
	struct arc_verdict verdict;

	while (!arc_verify(v, facts, c->now / 1000, &arena, &verdict))
		check_dns_fill(c->dns, facts);
	buf_append_text(out, arc_result_name(verdict.result));
	end_line(c, verdict.reason, out);
	facts_free(&facts);
	arena_done(&arena);
	dkim_verifier_free(&v);
	return OK;
}
