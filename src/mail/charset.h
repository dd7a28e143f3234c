/* Text of any charset to UTF-8, with the Japanese truths; folding for search; domain names (IDNA).
 * By ICU.
 *
 *	if (charset_to_utf8(BYTES("iso-2022-jp"), in, &out) != OK)
 *		charset_guess_to_utf8(in, &out);
 *
 * Labels are what mail says, not what IANA says: ISO-2022-JP also holds NEC and IBM rows,
 * half-width kana (by ESC ( I, SO/SI or 8-bit) and JIS X 0212; Shift_JIS is Windows-31J; EUC-JP has
 * the NEC and IBM rows. The wave dash family goes to the CP932 side (U+FF5E, U+2225, U+FF0D, U+FFE0
 * ...). What cannot be decoded becomes U+FFFD: the functions always end, and output is at most 3
 * octets for each of input, plus 3. No state, no globals of ours. */
#ifndef MAIL_CHARSET_H
#define MAIL_CHARSET_H

#include "base/arena.h"
#include "base/buf.h"

/* Loads what ICU loads late, before the walls go up. FAILED when ICU's data is missing. */
enum result charset_warm(struct why *why) MUST_USE;

/* Appends UTF-8. NOT_FOUND for an unknown label; out is untouched then. US-ASCII with octets above
 * 0x7f is guessed. */
enum result charset_to_utf8(struct bytes label, struct bytes in, struct buf *out) MUST_USE;

/* Is there a converter for this label? */
bool charset_known(struct bytes label);

/* The label that raw octets most likely have: "utf-8", "iso-2022-jp", "shift_jis", "euc-jp",
 * "windows-1252". Never NULL. */
const char *charset_guess(struct bytes in);
void charset_guess_to_utf8(struct bytes in, struct buf *out);

/* Folds for comparing: NFKC_Casefold, and the wave dash family to one side. Ill-formed octets
 * become U+FFFD. Appends. */
void charset_fold(struct bytes utf8, struct buf *out);

/* Unicode NFC, as mailbox names are kept. INVALID when not UTF-8. Appends. */
enum result charset_nfc(struct bytes utf8, struct buf *out) MUST_USE;

/* Domain names by UTS 46 (nontransitional, STD3): to A-labels in lower case, or to U-labels.
 * INVALID or TOO_BIG. Appends. */
enum result charset_domain_to_ascii(struct bytes domain, struct buf *out) MUST_USE;
enum result charset_domain_to_unicode(struct bytes domain, struct buf *out) MUST_USE;

#endif
