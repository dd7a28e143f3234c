/* hikyaku check spf --dns ADDR:PORT --ip IP --helo NAME --from SENDER: the result word. With --explain a second line: what the
 * domain says of a failure, the error, or the mechanism that decided; it may be empty. */
#include "cli/check.h"
#include "verify/spf.h"

static struct bytes plain(struct bytes text, struct arena *arena)
{
	struct bytes copy = arena_copy(arena, text);
	char *ptr = (char *)(uintptr_t)copy.ptr;

	for (size_t i = 0; i < copy.len; i++)
		if ((unsigned char)ptr[i] < ' ' || ptr[i] == 0x7f)
			ptr[i] = '?';
	return copy;
}

static enum result read_options(const struct check *c, struct spf_input *in, struct why *why)
{
	const char *ip = check_option(c, "--ip"), *helo = check_option(c, "--helo"),
	           *from = check_option(c, "--from"), *hostname = check_option(c, "--hostname");

	if (!ip || !c->dns || (!helo && !from))
		return why_set(why, INVALID, "--dns, --ip and --from (or --helo) must be given");
	if (ip_parse(bytes_of_text(ip), &in->ip) != OK)
		return why_set(why, INVALID, "--ip %.60s is no address", ip);
	in->helo = bytes_of_text(helo);
	in->sender = bytes_of_text(from);
	if (bytes_starts(in->sender, BYTES("<")) && bytes_ends(in->sender, BYTES(">")))
		in->sender = bytes_first(bytes_skip(in->sender, 1), in->sender.len - 2);
	in->hostname = bytes_of_text(hostname);
	in->now = c->now;
	return OK;
}

enum result check_spf(const struct check *c, struct buf *out, struct why *why)
{
	struct spf_input in = {0};
	struct arena arena = {0};
	struct spf_verdict v;
	struct facts *facts;
	enum result r = read_options(c, &in, why);
	struct bytes because;

	if (r != OK)
		return r;
	facts = facts_new();
	while (!spf_check(&in, facts, &arena, &v))
		check_dns_fill(c->dns, facts);
	because = v.explanation.len ? v.explanation : v.reason.len ? v.reason : v.mechanism;
	buf_append_text(out, spf_result_name(v.result));
	buf_append_char(out, '\n');
	if (check_option(c, "--explain")) {
		buf_append(out, plain(because, &arena));
		buf_append_char(out, '\n');
	}
	facts_free(&facts);
	arena_done(&arena);
	return OK;
}
