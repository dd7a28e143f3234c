/* ISO-2022-JP (RFC 1468, 1554) as people send it, and telling apart undeclared Japanese text.
 *
 * The decoder rewrites every character set of ISO-2022-JP to EUC-JP, whose converter in ICU agrees
 * with the WHATWG tables in all rows (test/unit/mail proves it), and lets ICU convert that:
 *
 *	designation                        octets                 goes to
 *	ESC ( B                            0x21-0x7e              themselves
 *	ESC ( J                            the same               themselves; 0x5c is U+00A5 and 0x7e U+203E
 *	ESC ( I, SO, or octets 0xa1-0xdf   half-width kana        0x8e, octet
 *	ESC $ @, ESC $ B, ESC $ ( B/@      JIS X 0208, NEC, IBM   two octets with bit 7
 *	ESC $ ( O, P, Q                    JIS X 0213: read as JIS X 0208, with which it shares nearly all
 *	ESC $ ( D                          JIS X 0212             0x8f, two octets with bit 7
 *
 * A line end goes back to ASCII (RFC 1468). A first octet whose second comes only after escape
 * sequences is kept for it: senders cut encoded words in the middle of a character and add the
 * sequences. Chinese, Korean and Greek of ISO-2022-JP-2 are left to ICU's converter. */
#include "mail/charset.h"

#include "base/text.h"
#include "mail/charset_japanese.h"

enum { ESC = 0x1b, SO = 0x0e, SI = 0x0f };

enum jis_set { JIS_ASCII, JIS_ROMAN, JIS_KANA, JIS_0208, JIS_0212 };

struct jis {
	enum jis_set set;
	bool shifted;       /* after SO */
	unsigned char lead; /* first octet of two; 0: none */
	struct buf euc;     /* not converted yet */
	struct buf *out;
	struct UConverter *converter; /* of EUC-JP, once it was needed */
};

static const struct {
	char text[5];
	enum jis_set set;
} escapes[] = {
        {"(B", JIS_ASCII}, {"(J", JIS_ROMAN}, {"(H", JIS_ROMAN}, {"(I", JIS_KANA},
        {")I", JIS_KANA},  {"$B", JIS_0208},  {"$@", JIS_0208},  {"$(B", JIS_0208},
        {"$(@", JIS_0208}, {"$(D", JIS_0212}, {"$(O", JIS_0208}, {"$(P", JIS_0208},
        {"$(Q", JIS_0208},
};

static void flush(struct jis *j)
{
	struct bytes euc = buf_bytes(&j->euc);

	if (euc.len == 0)
		return;
	if (text_is_ascii(euc)) {
		buf_append(j->out, euc);
	} else {
		if (!j->converter)
			j->converter = charset_converter_open("euc-jp-2007");
		charset_converter_run(j->converter, euc, j->out);
	}
	buf_clear(&j->euc);
}

static void put_direct(struct jis *j, const char *utf8)
{
	flush(j);
	buf_append_text(j->out, utf8);
}

static void put_bad(struct jis *j)
{
	put_direct(j, "\xef\xbf\xbd");
}

static void drop_lead(struct jis *j)
{
	if (j->lead)
		put_bad(j);
	j->lead = 0;
}

static void put_kana(struct jis *j, unsigned char c)
{
	buf_append_char(&j->euc, (char)0x8e);
	buf_append_char(&j->euc, (char)(c | 0x80));
}

static void put_two(struct jis *j, unsigned char c)
{
	if (!j->lead) {
		j->lead = c;
		return;
	}
	if (j->set == JIS_0212)
		buf_append_char(&j->euc, (char)0x8f);
	buf_append_char(&j->euc, (char)(j->lead | 0x80));
	buf_append_char(&j->euc, (char)(c | 0x80));
	j->lead = 0;
}

/* Octets of the escape sequence at the start of b; 0: none that is known. */
static size_t take_escape(struct jis *j, struct bytes b)
{
	b = bytes_skip(b, 1);
	if (bytes_starts(b, BYTES("&@"))) /* announces JIS X 0208-1990 */
		return 3;
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		struct bytes text = bytes_of_text(escapes[i].text);
		if (bytes_starts(b, text)) {
			if (text.ptr[0] != ')')
				j->set = escapes[i].set;
			return 1 + text.len;
		}
	}
	return 0;
}

static void put_control(struct jis *j, unsigned char c)
{
	if (c == SO || c == SI) {
		j->shifted = c == SO;
		return;
	}
	drop_lead(j);
	if (c == '\n' || c == '\r') {
		j->set = JIS_ASCII;
		j->shifted = false;
	}
	buf_append_char(&j->euc, (char)c);
}

static void put_graphic(struct jis *j, unsigned char c)
{
	bool kana = (j->set == JIS_KANA || j->shifted) && c >= 0x21 && c <= 0x5f;

	if (!kana && (j->set == JIS_0208 || j->set == JIS_0212) && !j->shifted) {
		put_two(j, c);
		return;
	}
	drop_lead(j);
	if (kana)
		put_kana(j, c);
	else if (j->set == JIS_ROMAN && c == 0x5c)
		put_direct(j, "\xc2\xa5");
	else if (j->set == JIS_ROMAN && c == 0x7e)
		put_direct(j, "\xe2\x80\xbe");
	else
		buf_append_char(&j->euc, (char)c);
}

static void put_high(struct jis *j, unsigned char c)
{
	drop_lead(j);
	if (c >= 0xa1 && c <= 0xdf)
		put_kana(j, c);
	else
		put_bad(j);
}

/* ESC $ A, ESC $ ( C, ESC . A, ESC . F (RFC 1554). */
static bool is_jp2(struct bytes in)
{
	return bytes_find(in, BYTES("\x1b$A")) != BYTES_NONE ||
	       bytes_find(in, BYTES("\x1b$(C")) != BYTES_NONE ||
	       bytes_find(in, BYTES("\x1b.")) != BYTES_NONE;
}

void charset_iso_2022_jp(struct bytes in, struct buf *out)
{
	struct jis j = {.out = out};

	if (bytes_find_char(in, ESC) == BYTES_NONE && !text_is_ascii(in) && text_is_utf8(in)) {
		buf_append(out, in); /* a false label */
		return;
	}
	if (is_jp2(in)) {
		struct UConverter *jp2 = charset_converter_open("iso-2022-jp-2");
		charset_converter_run(jp2, in, out);
		charset_converter_close(jp2);
		return;
	}
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		size_t escape = c == ESC ? take_escape(&j, bytes_skip(in, i)) : 0;
		if (escape)
			i += escape - 1;
		else if (c == ESC)
			put_bad(&j);
		else if (c < 0x20)
			put_control(&j, c);
		else if (c == 0x20 || c == 0x7f)
			drop_lead(&j), buf_append_char(&j.euc, (char)c);
		else if (c < 0x80)
			put_graphic(&j, c);
		else
			put_high(&j, c);
	}
	drop_lead(&j);
	flush(&j);
	charset_converter_close(j.converter);
	buf_done(&j.euc);
}

uint32_t charset_same_dash(uint32_t code)
{
	switch (code) {
	case 0x301c: return 0xff5e; /* wave dash, fullwidth tilde */
	case 0x2016: return 0x2225; /* double vertical line, parallel to */
	case 0x2212: return 0xff0d; /* minus sign, fullwidth hyphen-minus */
	case 0x2014: return 0x2015; /* em dash, horizontal bar */
	default: return code;
	}
}

/* ---- guessing ---- */

struct score {
	size_t bad;
	size_t good; /* what running Japanese is full of: hiragana, katakana, frequent kanji */
	size_t kana; /* half-width */
};

static struct score score_shift_jis(struct bytes in)
{
	struct score s = {0};

	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		unsigned char next = i + 1 < in.len ? (unsigned char)in.ptr[i + 1] : 0;
		bool trail = next >= 0x40 && next <= 0xfc && next != 0x7f;
		if (c < 0x80)
			continue;
		if (c >= 0xa1 && c <= 0xdf) {
			s.kana++;
			continue;
		}
		if (c == 0x80 || c == 0xa0 || (c >= 0xf0 && c != 0xfa && c != 0xfb && c != 0xfc) ||
		    !trail) {
			s.bad++;
			continue;
		}
		i++;
		s.good += c == 0x82 || c == 0x83 ? 3 : c <= 0x98 ? 2 : 1;
	}
	return s;
}

static struct score score_euc_jp(struct bytes in)
{
	struct score s = {0};

	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		unsigned char next = i + 1 < in.len ? (unsigned char)in.ptr[i + 1] : 0;
		if (c < 0x80)
			continue;
		if (c == 0x8e && next >= 0xa1 && next <= 0xdf) {
			s.kana++;
			i++;
		} else if (c == 0x8f && next >= 0xa1 && i + 2 < in.len &&
		           (unsigned char)in.ptr[i + 2] >= 0xa1) {
			i += 2;
		} else if (c >= 0xa1 && c <= 0xfe && next >= 0xa1 && next <= 0xfe) {
			s.good += c == 0xa4 || c == 0xa5 ? 3 : c <= 0xcf ? 2 : 1;
			i++;
		} else {
			s.bad++;
		}
	}
	return s;
}

/* Every octet above 0x7f stands alone between ASCII ones and is a letter of Latin-1: "Andr\xe9",
 * "J\xe4rnefors". */
static bool is_latin(struct bytes in)
{
	bool before = false;

	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		if (c >= 0x80 && (before || c < 0xc0))
			return false;
		before = c >= 0x80;
	}
	return true;
}

const char *charset_guess(struct bytes in)
{
	if (bytes_find(in, BYTES("\x1b$B")) != BYTES_NONE ||
	    bytes_find(in, BYTES("\x1b$@")) != BYTES_NONE ||
	    bytes_find(in, BYTES("\x1b$(")) != BYTES_NONE ||
	    bytes_find(in, BYTES("\x1b(I")) != BYTES_NONE)
		return "iso-2022-jp";
	if (text_is_utf8(in))
		return "utf-8";
	if (is_latin(in))
		return "windows-1252";
	struct score sjis = score_shift_jis(in), euc = score_euc_jp(in);
	if (euc.bad == 0 && (sjis.bad > 0 || euc.good > sjis.good + sjis.kana / 2))
		return "euc-jp";
	if (sjis.bad == 0)
		return "shift_jis";
	if (euc.bad > 0 && euc.bad * 20 < euc.good && euc.bad < sjis.bad)
		return "euc-jp"; /* damaged in transit */
	if (sjis.bad * 20 < sjis.good)
		return "shift_jis";
	return "windows-1252";
}
