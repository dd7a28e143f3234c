/* The Japanese part of charset.h. Private to mail/. */
#ifndef MAIL_CHARSET_JAPANESE_H
#define MAIL_CHARSET_JAPANESE_H

#include "base/buf.h"

/* ISO-2022-JP and what goes by its name. */
void charset_iso_2022_jp(struct bytes in, struct buf *out);

/* The code point that stands for a family of dashes and signs which CP932 and JIS tables map
 * differently; others as they are. */
uint32_t charset_same_dash(uint32_t code);

/* ICU's converters, for those who need one more than once. NULL is a converter that gives
 * nothing. */
struct UConverter;
struct UConverter *charset_converter_open(const char *name);
void charset_converter_run(struct UConverter *converter, struct bytes in, struct buf *out);
void charset_converter_close(struct UConverter *converter);

#endif
