/* hikyaku check charset NAME: octets in, UTF-8 out, as mail labelled NAME is read. */
#include "cli/check.h"
#include "mail/charset.h"

enum result check_charset(const struct check *c, struct buf *out, struct why *why)
{
	enum result r = charset_warm(why);

	if (r == OK && charset_to_utf8(bytes_of_text(c->args[0]), c->in, out) != OK)
		return why_set(
		        why, NOT_FOUND,
		        "no charset is called %.60s; try iso-2022-jp, shift_jis, euc-jp, utf-8",
		        c->args[0]);
	return r;
}
