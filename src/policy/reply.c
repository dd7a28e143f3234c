#include "policy/reply.h"

#include "base/text.h"
#include "policy/provider.h"

enum { TEXT_MAX = 1024, SHORT_WORD = 3, RETRY_MAX = 24 * 3600, SILENT_MAX = 8, PATIENT_TRIES = 2 };

struct row {
	const char *name;
	enum reply_class class;
	const char *provider, *code, *status, *text, *link;
	uint32_t seconds;
};

static const struct row rows[] = {
#define REPLY(name, class, provider, code, status, text, link, seconds, source, example) \
	{name, REPLY_##class, provider, code, status, text, link, seconds},
#include "policy/replies.def"
#undef REPLY
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* ---- text ---- */

/* The text as rows compare it: lower case, runs of blanks as one, and without the codes and statuses
 * that stand at the beginning of each line of a reply and are in the way when lines are joined. */
struct plain {
	char ptr[TEXT_MAX];
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word_char(char c)
{
	return text_is_alnum(c);
}

/* d.d{1,3}.d{1,3} at the beginning: its length, or 0. */
static size_t status_len(struct bytes b)
{
	size_t at = 0;

	for (int part = 0; part < 3; part++) {
		size_t digits = 0;
		if (part > 0) {
			if (at >= b.len || b.ptr[at] != '.')
				return 0;
			at++;
		}
		while (at < b.len && text_is_digit(b.ptr[at]) && digits < 4) {
			at++;
			digits++;
		}
		if (digits == 0 || digits > (part == 0 ? 1 : 3))
			return 0;
	}
	if (at < b.len && (b.ptr[at] == '.' || text_is_digit(b.ptr[at])))
		return 0; /* an address, a version */
	return b.ptr[0] == '2' || b.ptr[0] == '4' || b.ptr[0] == '5' ? at : 0;
}

/* "550", "550-" at the beginning: its length, or 0. */
static size_t code_len(struct bytes b)
{
	if (b.len < 3 || b.ptr[0] < '2' || b.ptr[0] > '5' || !text_is_digit(b.ptr[1]) ||
	    !text_is_digit(b.ptr[2]))
		return 0;
	if (b.len > 3 && b.ptr[3] != '-' && b.ptr[3] != ' ')
		return 0;
	return b.len > 3 && b.ptr[3] == '-' ? 4 : 3;
}

/* Octets of code and status that repeat at a line's beginning. */
static size_t repeated_len(struct bytes b, struct bytes status)
{
	size_t code = code_len(b);
	struct bytes rest = bytes_skip(b, code);

	while (code > 0 && rest.len > 0 && rest.ptr[0] == ' ')
		rest = bytes_skip(rest, 1);
	size_t second = status_len(rest);
	if (second > 0 && (code > 0 || bytes_starts(rest, status)))
		return b.len - rest.len + second;
	return code == 4 ? code : 0;
}

static void plain_of(struct bytes text, struct bytes status, struct plain *ret)
{
	bool blank = true;

	ret->len = 0;
	while (text.len > 0 && ret->len < TEXT_MAX) {
		if (is_blank(text.ptr[0])) {
			if (!blank)
				ret->ptr[ret->len++] = ' ';
			blank = true;
			text = bytes_skip(text, 1);
			continue;
		}
		size_t skip = blank ? repeated_len(text, status) : 0;
		if (skip > 0) {
			text = bytes_skip(text, skip);
			continue;
		}
		blank = false;
		ret->ptr[ret->len++] = text_lower_char(text.ptr[0]);
		text = bytes_skip(text, 1);
	}
}

/* Words of up to three letters must stand alone: "ip" is not in "recipient". */
static bool is_short_word(struct bytes piece)
{
	for (size_t i = 0; i < piece.len; i++) {
		if (!text_is_alpha(piece.ptr[i]))
			return false;
	}
	return piece.len <= SHORT_WORD;
}

static bool stands_alone(struct bytes text, size_t at, size_t len)
{
	return (at == 0 || !is_word_char(text.ptr[at - 1])) &&
	       (at + len >= text.len || !is_word_char(text.ptr[at + len]));
}

/* Position after the piece, or BYTES_NONE. */
static size_t find_piece(struct bytes text, struct bytes piece)
{
	bool alone = is_short_word(piece);
	size_t from = 0;

	for (;;) {
		size_t at = bytes_find(bytes_skip(text, from), piece); /* both lower case */
		if (at == BYTES_NONE)
			return BYTES_NONE;
		at += from;
		if (!alone || stands_alone(text, at, piece.len))
			return at + piece.len;
		from = at + 1;
	}
}

/* Pieces between * follow each other. */
static bool has_words(struct bytes text, struct bytes pattern)
{
	struct bytes piece;

	while (bytes_cut(&pattern, '*', &piece)) {
		size_t end = find_piece(text, piece);
		if (end == BYTES_NONE)
			return false;
		text = bytes_skip(text, end);
	}
	return true;
}

/* ---- does a row fit? ---- */

static bool fits_text(struct bytes text, const char *column)
{
	struct bytes rest = bytes_of_text(column), pattern;

	if (rest.len == 0)
		return true;
	while (bytes_cut(&rest, '|', &pattern)) {
		if (has_words(text, pattern))
			return true;
	}
	return false;
}

/* "5.7.6*", "?.7.26". */
static bool is_status_like(struct bytes status, struct bytes pattern)
{
	bool open = pattern.len > 0 && pattern.ptr[pattern.len - 1] == '*';

	pattern.len -= open;
	if (status.len < pattern.len || (!open && status.len != pattern.len))
		return false;
	for (size_t i = 0; i < pattern.len; i++) {
		if (pattern.ptr[i] != '?' && pattern.ptr[i] != status.ptr[i])
			return false;
	}
	return true;
}

static bool fits_status(struct bytes status, const char *column)
{
	struct bytes rest = bytes_of_text(column), pattern;

	if (rest.len == 0)
		return true;
	while (bytes_cut(&rest, '|', &pattern)) {
		if (bytes_equal(pattern, BYTES("-")) ? status.len == 0
		                                     : is_status_like(status, pattern))
			return true;
	}
	return false;
}

static bool fits_code(unsigned code, const char *column)
{
	char digits[3] = {(char)('0' + code / 100 % 10), (char)('0' + code / 10 % 10),
	                  (char)('0' + code % 10)};
	struct bytes rest = bytes_of_text(column), prefix;

	while (bytes_cut(&rest, '|', &prefix)) {
		if (bytes_starts(bytes_of(digits, 3), prefix))
			return true;
	}
	return *column == '\0';
}

static bool fits_provider(struct bytes key, const char *column)
{
	struct bytes rest = bytes_of_text(column), word;

	if (rest.len == 0)
		return true;
	while (bytes_cut(&rest, '|', &word)) {
		if (bytes_equal_nocase(key, word))
			return true;
	}
	return false;
}

static const struct row *find_row(unsigned code, struct bytes status, struct bytes provider,
                                  struct bytes text)
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];
		if (fits_provider(provider, r->provider) && fits_code(code, r->code) &&
		    fits_status(status, r->status) && fits_text(text, r->text))
			return r;
	}
	return NULL;
}

/* ---- where no row fits: RFC 3463, then the code ---- */

static const struct {
	const char *status; /* without its class */
	enum reply_class class;
} statuses[] = {
        {"1.2", REPLY_DOMAIN},      {"1.10", REPLY_DOMAIN},      {"1.7", REPLY_REFUSED},
        {"1.8", REPLY_OURS_DOMAIN}, {"1.0", REPLY_PERMANENT},    {"1.", REPLY_MAILBOX},
        {"2.1", REPLY_MAILBOX_OFF}, {"2.2", REPLY_MAILBOX_FULL}, {"2.3", REPLY_MAIL},
        {"2.4", REPLY_MAILBOX},     {"3.2", REPLY_DOMAIN},       {"3.4", REPLY_MAIL},
        {"4.4", REPLY_DOMAIN},      {"4.", REPLY_TEMPORARY},     {"5.3", REPLY_RATE},
        {"5.", REPLY_PROTOCOL},     {"6.", REPLY_MAIL},          {"7.25", REPLY_OURS_ADDRESS},
        {"7.28", REPLY_RATE},       {"7.2", REPLY_REFUSED},      {"7.10", REPLY_PROTOCOL},
        {"7.30", REPLY_PROTOCOL},   {"7.", REPLY_REFUSED},
};

static bool class_of_status(struct bytes status, enum reply_class *ret)
{
	struct bytes rest = bytes_skip(status, 2);

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct bytes s = bytes_of_text(statuses[i].status);
		bool open = s.ptr[s.len - 1] == '.';
		if (open ? bytes_starts(rest, s) : bytes_equal(rest, s)) {
			*ret = statuses[i].class;
			return true;
		}
	}
	return false;
}

/* `silent`: no words came with it. */
static enum reply_class class_of_code(unsigned code, enum reply_stage stage, bool silent)
{
	if (code < 500)
		return REPLY_TEMPORARY;
	if (code == 521 || code == 556)
		return REPLY_DOMAIN; /* RFC 7504: takes no mail at all */
	if (code < 510)
		return REPLY_PROTOCOL;
	if (code == 552)
		return stage >= REPLY_AT_DATA ? REPLY_MAIL : REPLY_MAILBOX_FULL;
	if (stage == REPLY_AT_RCPT && silent && code != 554)
		return REPLY_MAILBOX;
	return stage >= REPLY_AT_DATA ? REPLY_MAIL : REPLY_PERMANENT;
}

/* A refusal in unknown words that names our address is about our address. */
static bool names_us(const struct reply_facts *f)
{
	char ip[IP_TEXT];

	if (!f->source)
		return false;
	ip_format(f->source, ip);
	size_t at = bytes_find_nocase(f->text, bytes_of_text(ip));
	if (at == BYTES_NONE)
		return false;
	size_t end = at + strlen(ip);
	return (at == 0 || !text_is_digit(f->text.ptr[at - 1])) &&
	       (end == f->text.len || !text_is_digit(f->text.ptr[end]));
}

static bool is_address_char(char c)
{
	return text_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '.' ||
	       c == ':';
}

/* What stands together at the text's begin and could be an address; a sentence's end is none of it. */
static struct bytes address_run(struct bytes text)
{
	size_t len = 0;

	while (len < text.len && is_address_char(text.ptr[len]))
		len++;
	while (len > 0 && (text.ptr[len - 1] == '.' || text.ptr[len - 1] == ':'))
		len--;
	return bytes_first(text, len);
}

bool reply_find_address(struct bytes text, struct ip *ret)
{
	char before = ' ';

	for (; text.len > 0; text = bytes_skip(text, 1)) {
		char c = text.ptr[0];
		bool inside = text_is_digit(before) || before == '.' || before == ':' ||
		              (text_lower_char(before) >= 'a' && text_lower_char(before) <= 'z');

		before = c;
		if (inside || !is_address_char(c))
			continue;
		struct bytes run = address_run(text);
		if (run.len >= 7 && ip_parse(run, ret) == OK)
			return true;
	}
	return false;
}

/* ---- what to do ---- */

static bool is_greeting(enum reply_stage stage)
{
	return stage == REPLY_AT_CONNECT || stage == REPLY_AT_HELO || stage == REPLY_AT_TLS ||
	       stage == REPLY_AT_AUTH;
}

static enum carry_outcome outcome_of(enum reply_class class, const struct reply_facts *f,
                                     const struct row *row)
{
	bool permanent = f->code >= 500;

	switch (class) {
	case REPLY_OK: return CARRY_DELIVERED;
	case REPLY_OURS_ADDRESS:
		/* A 4xx in general words may be a name server's hiccup on their side. */
		if (!permanent && (!row || !*row->provider) && f->tries < PATIENT_TRIES)
			return CARRY_DEFERRED;
		return CARRY_HELD;
	case REPLY_OURS_DOMAIN: return permanent && !f->own_sender ? CARRY_FAILED : CARRY_DEFERRED;
	case REPLY_RATE:
	case REPLY_GREYLIST:
	case REPLY_NETWORK:
	case REPLY_TEMPORARY: return CARRY_DEFERRED;
	case REPLY_DOMAIN: return permanent ? CARRY_FAILED : CARRY_DEFERRED;
	default: break;
	}
	/* Who refuses to talk says nothing about a recipient yet (RFC 5321, 3.1). */
	return permanent && !is_greeting(f->stage) ? CARRY_FAILED : CARRY_DEFERRED;
}

static enum carried_scope scope_of(enum reply_class class, const struct reply_facts *f)
{
	if (class == REPLY_RATE)
		return CARRIED_BUSY;
	if (class == REPLY_NETWORK || f->code == 421 || is_greeting(f->stage))
		return class == REPLY_OK ? CARRIED_MAIL : CARRIED_DESTINATION;
	return CARRIED_MAIL;
}

/* ---- hints in the text ---- */

static struct bytes find_link(struct bytes text)
{
	size_t at = bytes_find_nocase(text, BYTES("http://")),
	       secure = bytes_find_nocase(text, BYTES("https://")), len = 0;

	at = secure < at ? secure : at;
	if (at == BYTES_NONE)
		return (struct bytes){0};
	text = bytes_skip(text, at);
	while (len < text.len && text.ptr[len] > ' ' && text.ptr[len] < 0x7f &&
	       !strchr("<>\"'()|\\^`{}[]", text.ptr[len]))
		len++;
	while (len > 0 && strchr(".,;:!", text.ptr[len - 1]))
		len--;
	return len > 8 ? bytes_first(text, len) : (struct bytes){0};
}

static bool is_personal(struct bytes link, const struct reply_facts *f)
{
	struct reply_facts in_link = {.source = f->source, .text = link};

	return bytes_find_nocase(link, BYTES("ip=")) != BYTES_NONE ||
	       bytes_find_nocase(link, BYTES("/ip/")) != BYTES_NONE ||
	       bytes_find_nocase(link, BYTES("blocked")) != BYTES_NONE || names_us(&in_link);
}

static struct bytes link_of(const struct reply_facts *f, const struct row *row,
                            struct bytes provider)
{
	struct bytes link = find_link(f->text);
	const struct provider *p = provider_find(provider);

	if (link.len > 0 && is_personal(link, f))
		return link;
	if (row && *row->link)
		return bytes_of_text(row->link);
	if (link.len > 0)
		return link;
	return p ? bytes_of_text(p->link) : (struct bytes){0};
}

/* Seconds of a number with its unit: "300 seconds", "5 min", "2 hours". 0: no unit. */
static uint32_t seconds_of(uint64_t number, struct bytes after)
{
	while (after.len > 0 && (after.ptr[0] == ' ' || after.ptr[0] == '-'))
		after = bytes_skip(after, 1);
	uint64_t unit = bytes_starts(after, BYTES("sec"))    ? 1
	                : bytes_starts(after, BYTES("s "))   ? 1
	                : bytes_starts(after, BYTES("min"))  ? 60
	                : bytes_starts(after, BYTES("hour")) ? 3600
	                                                     : 0;
	uint64_t seconds = number * unit;
	return (uint32_t)(seconds < RETRY_MAX ? seconds : RETRY_MAX);
}

/* The first number with a unit of time. */
static uint32_t find_seconds(struct bytes text)
{
	size_t at = 0;

	while (at < text.len) {
		if (!text_is_digit(text.ptr[at])) {
			at++;
			continue;
		}
		size_t len = 0;
		uint64_t number = 0;
		uint32_t seconds = 0;
		while (at + len < text.len && text_is_digit(text.ptr[at + len]))
			len++;
		bool alone = at == 0 || !is_word_char(text.ptr[at - 1]);
		if (alone && bytes_to_u64(bytes_of(text.ptr + at, len), 100000, &number) == OK)
			seconds = seconds_of(number, bytes_skip(text, at + len));
		if (seconds > 0)
			return seconds;
		at += len;
	}
	return 0;
}

static uint32_t retry_of(enum reply_class class, const struct row *row, struct bytes text)
{
	if (class != REPLY_RATE && class != REPLY_GREYLIST && class != REPLY_TEMPORARY)
		return 0;
	uint32_t seconds = find_seconds(text);
	if (seconds > 0)
		return seconds;
	return row ? row->seconds : 0;
}

/* ---- judging ---- */

/* What the row, the status or the code say, in this order; *ret_row NULL: not a row. */
static enum reply_class classify(const struct reply_facts *f, struct bytes status,
                                 struct bytes provider, struct bytes text,
                                 const struct row **ret_row, const char **ret_name)
{
	enum reply_class class = REPLY_PERMANENT;
	const struct row *row = find_row(f->code, status, provider, text);

	*ret_row = row;
	*ret_name = row ? row->name : "status";
	if (row)
		class = row->class;
	else if (status.len == 0 || !class_of_status(status, &class))
		*ret_name = "code", class = class_of_code(f->code, f->stage, text.len < SILENT_MAX);
	if (class == REPLY_PERMANENT && f->code < 500)
		class = REPLY_TEMPORARY;
	bool vague = class == REPLY_REFUSED || class == REPLY_PERMANENT ||
	             class == REPLY_PROTOCOL || (!row && status.len == 0);
	if (vague && f->code >= 500 && names_us(f)) {
		*ret_row = NULL;
		*ret_name = "names-our-address";
		class = REPLY_OURS_ADDRESS;
	}
	return class;
}

static struct bytes status_of(const struct reply_facts *f)
{
	struct bytes text = bytes_trim(f->text);

	if (f->status.len > 0)
		return f->status;
	text = bytes_skip(text, code_len(text));
	while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '#'))
		text = bytes_skip(text, 1);
	return bytes_first(text, status_len(text));
}

/* A status whose class contradicts the code says nothing ("421 5.7.1", "550 2.0.0"). */
static bool agrees(struct bytes status, unsigned code)
{
	return status.len > 4 && status_len(status) == status.len &&
	       (unsigned)(status.ptr[0] - '0') == code / 100;
}

static struct bytes status_of_code(unsigned code)
{
	return code >= 500 ? BYTES("5.0.0") : code >= 400 ? BYTES("4.0.0") : BYTES("2.0.0");
}

static void judge_silence(const struct reply_facts *f, struct reply_judgement *ret)
{
	*ret = (struct reply_judgement){.class = REPLY_NETWORK,
	                                .outcome = CARRY_DEFERRED,
	                                .scope = CARRIED_DESTINATION,
	                                .row = "no-reply",
	                                .provider = provider_key(f->host),
	                                .status = f->status.len > 0 ? f->status : BYTES("4.4.1")};
}

/* 2xx where it is due, 3xx where it is not, codes that are none. */
static bool judge_odd(const struct reply_facts *f, struct reply_judgement *ret)
{
	if (f->code >= 400 && f->code < 600)
		return false;
	bool ok = f->code >= 200 && f->code < 300;
	*ret = (struct reply_judgement){
	        .class = ok ? REPLY_OK : REPLY_PROTOCOL,
	        .outcome = ok ? CARRY_DELIVERED : CARRY_DEFERRED,
	        .scope = ok ? CARRIED_MAIL : CARRIED_DESTINATION,
	        .row = ok ? "ok" : "no-smtp",
	        .provider = provider_key(f->host),
	        .status = ok ? (f->status.len > 0 ? f->status : BYTES("2.0.0")) : BYTES("4.5.0")};
	return true;
}

void reply_judge(const struct reply_facts *f, struct reply_judgement *ret)
{
	struct bytes provider = provider_key(f->host), status = status_of(f);
	struct plain plain;
	const struct row *row;

	if (f->code == 0) {
		judge_silence(f, ret);
		return;
	}
	if (judge_odd(f, ret))
		return;
	plain_of(f->text, status, &plain);
	struct bytes text = bytes_of(plain.ptr, plain.len);
	const char *name;
	bool useful = agrees(status, f->code);
	enum reply_class class = classify(f, useful ? status : (struct bytes){0}, provider, text,
	                                  &row, &name);
	*ret = (struct reply_judgement){
	        .class = class,
	        .outcome = outcome_of(class, f, row),
	        .scope = scope_of(class, f),
	        .row = name,
	        .provider = provider,
	        .status = useful ? status : status_of_code(f->code),
	        .link = link_of(f, row, provider),
	        .retry_after = retry_of(class, row, text),
	};
}

/* ---- replies inside of text ---- */

static void take_reply(struct bytes line, size_t at, struct reply_facts *facts)
{
	struct bytes rest = bytes_skip(line, at);

	facts->code = (unsigned)(rest.ptr[0] - '0') * 100 + (unsigned)(rest.ptr[1] - '0') * 10 +
	              (unsigned)(rest.ptr[2] - '0');
	rest = bytes_skip(rest, 3);
	while (rest.len > 0 && strchr(" -#'\":", rest.ptr[0]))
		rest = bytes_skip(rest, 1);
	facts->status = bytes_first(rest, status_len(rest));
	facts->text = rest;
}

static bool is_word_start(struct bytes line, size_t at)
{
	return at == 0 || strchr(" \t(<'\":;,#=", line.ptr[at - 1]);
}

static bool is_code(struct bytes b)
{
	return b.len >= 3 && b.ptr[0] >= '2' && b.ptr[0] <= '5' && b.ptr[0] != '3' &&
	       b.ptr[1] >= '0' && b.ptr[1] <= '9' && text_is_digit(b.ptr[2]) &&
	       (b.len == 3 || strchr(" -'\"\t\r\n:,", b.ptr[3]));
}

bool reply_parse(struct bytes line, struct reply_facts *facts)
{
	size_t status_at = BYTES_NONE;

	for (size_t at = 0; at + 2 < line.len; at++) {
		struct bytes rest = bytes_skip(line, at);
		if (!text_is_digit(line.ptr[at]) || !is_word_start(line, at))
			continue;
		if (is_code(rest) &&
		    (rest.ptr[0] == '4' || rest.ptr[0] == '5' || (at == 0 && rest.ptr[0] == '2'))) {
			take_reply(line, at, facts);
			return true;
		}
		if (status_at == BYTES_NONE && status_len(rest) > 0)
			status_at = at;
	}
	if (status_at == BYTES_NONE)
		return false;
	struct bytes rest = bytes_skip(line, status_at);
	facts->code = rest.ptr[0] == '5' ? 550 : rest.ptr[0] == '4' ? 450 : 250;
	facts->status = bytes_first(rest, status_len(rest));
	facts->text = rest;
	return true;
}

/* ---- words ---- */

static const struct {
	const char *name, *english, *japanese;
} classes[REPLY_CLASSES] = {
        [REPLY_OK] = {"ok", "The mail was taken.", "メールは受け取られました。"},
        [REPLY_MAILBOX] =
                {"mailbox",
                 "There is no such mailbox. Please check the address for typing errors, or ask "
                 "the recipient for the current one.",
                 "このアドレスは存在しません。綴りを確認するか、相手に現在のアドレスを"
                 "お尋ねください。"},
        [REPLY_MAILBOX_FULL] =
                {"mailbox-full",
                 "The recipient's mailbox is full. Please send it again later, or tell "
                 "them in another way.",
                 "相手のメールボックスの容量がいっぱいです。後で送り直すか、別の方法で"
                 "お知らせください。"},
        [REPLY_MAILBOX_OFF] =
                {"mailbox-off",
                 "The recipient's mailbox is switched off or suspended. Please reach them "
                 "in another way.",
                 "相手のメールボックスは停止されています。別の方法で連絡してください。"},
        [REPLY_DOMAIN] =
                {"domain",
                 "The part of the address after the @ does not exist, or takes no mail. Please "
                 "check the address for typing errors.",
                 "アドレスの @ より後ろのドメインが存在しないか、メールを受け取りません。"
                 "綴りを確認してください。"},
        [REPLY_MAIL] =
                {"mail",
                 "The recipient's server refuses this mail: its content, its size or its form. "
                 "Please change it (smaller, without attachments or suspicious links) and send "
                 "it again.",
                 "相手のサーバーは、このメールの内容、大きさ、または形式を理由に拒否しました。"
                 "添付ファイルやリンクを減らすなど、内容を変えて送り直してください。"},
        [REPLY_OURS_ADDRESS] =
                {"ours-address",
                 "The recipient's provider refuses mail from our server at present. Your "
                 "address and theirs are fine; our administrators know.",
                 "相手のプロバイダーが現在、当サーバーからのメールを拒否しています。"
                 "アドレスに問題はありません。管理者が対応します。"},
        [REPLY_OURS_DOMAIN] =
                {"ours-domain",
                 "The recipient's server could not verify that this mail really comes from "
                 "the sender's domain. The administrators of that domain have to mend its "
                 "SPF, DKIM or DMARC records.",
                 "相手のサーバーは、このメールが差出人のドメインから送られたことを確認でき"
                 "ませんでした。差出人ドメインの管理者による SPF、DKIM、DMARC の設定の"
                 "見直しが必要です。"},
        [REPLY_RATE] = {"rate", "The recipient's server asks for fewer or slower mails.",
                        "相手のサーバーが、送信の量または速さを抑えるよう求めています。"},
        [REPLY_GREYLIST] = {"greylist", "The recipient's server makes unknown senders wait.",
                            "相手のサーバーは、初めての送信者を一度待たせています。"},
        [REPLY_NETWORK] = {"network", "The recipient's server could not be reached.",
                           "相手のサーバーに接続できませんでした。"},
        [REPLY_TEMPORARY] = {"temporary", "The recipient's server had a problem that should pass.",
                             "相手のサーバーに一時的な問題がありました。"},
        [REPLY_PERMANENT] =
                {"permanent",
                 "The recipient's server refuses the mail. Its answer below may say why.",
                 "相手のサーバーがメールを拒否しました。理由は以下の応答をご覧ください。"},
        [REPLY_REFUSED] =
                {"refused",
                 "The recipient, or their server's rules, do not take mail from you. Please "
                 "ask them in another way to allow it.",
                 "相手、または相手のサーバーの規則により、あなたからのメールは受け取られません。"
                 "別の方法で、受信を許可するよう依頼してください。"},
        [REPLY_PROTOCOL] =
                {"protocol",
                 "The recipient's server does not understand something that this mail needs, "
                 "or asks for something that we could not give.",
                 "相手のサーバーが、このメールに必要な機能に対応していないか、当方が対応できない"
                 "ものを要求しました。"},
};

const char *reply_class_name(enum reply_class class)
{
	return class < REPLY_CLASSES ? classes[class].name : "unknown";
}

const char *reply_class_words(enum reply_class class, bool japanese)
{
	if (class >= REPLY_CLASSES)
		class = REPLY_PERMANENT;
	return japanese ? classes[class].japanese : classes[class].english;
}
