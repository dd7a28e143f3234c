/* hikyaku check bounce: whom a bounce is about, a line each: RECIPIENT tab STATUS tab hard, soft or other. Nothing for a
 * mail that is no bounce. What strangers wrote into an address cannot make a line or a column of its own. */
#include "cli/check.h"
#include "mail/charset.h"
#include "policy/bounce.h"

static void put_plain(struct buf *out, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		buf_append_char(out, c < ' ' || c == 0x7f ? '?' : (char)c);
	}
}

enum result check_bounce(const struct check *c, struct buf *out, struct why *why)
{
	struct arena arena = {0};
	struct bounce bounce;
	enum result r = charset_warm(why);

	if (r != OK)
		return r;
	bounce_read(c->in, &arena, &bounce);
	for (size_t i = 0; i < bounce.count; i++) {
		put_plain(out, bounce.recipients[i].address);
		buf_append_char(out, '\t');
		put_plain(out, bounce.recipients[i].status);
		buf_printf(out, "\t%s\n", bounce_weight_name(bounce.recipients[i].weight));
	}
	arena_done(&arena);
	return OK;
}
