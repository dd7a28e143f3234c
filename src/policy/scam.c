/* The marks and what they weigh. Phrases are found by sense: a word of one sort near a word of another, in either order where
 * the language allows both; no sentence of any one wave stands here. */
#include "policy/scam.h"

#include "base/text.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

struct words {
	const char *const *list;
	size_t count;
};

#define WORDS(...)                                                                              \
	{                                                                                       \
		(const char *const[]){__VA_ARGS__}, COUNT(((const char *const[]){__VA_ARGS__})) \
	}

/* `far` octets between the end of the one and the beginning of the other. both: also the other way round. */
struct phrase {
	struct words first, second;
	size_t far;
	bool both;
};

/* ---- finding ---- */

static bool is_word_char(char c)
{
	return text_is_alnum(c);
}

/* Words of ASCII letters stand alone; others may stand anywhere. */
static bool stands_alone(struct bytes text, size_t at, struct bytes word)
{
	size_t end = at + word.len;

	if (is_word_char(word.ptr[0]) && at > 0 && is_word_char(text.ptr[at - 1]))
		return false;
	return !is_word_char(word.ptr[word.len - 1]) || end >= text.len ||
	       !is_word_char(text.ptr[end]);
}

static size_t find_word(struct bytes text, struct bytes word, size_t from)
{
	while (from < text.len) {
		size_t at = bytes_find(bytes_skip(text, from), word);

		if (at == BYTES_NONE)
			return BYTES_NONE;
		if (stands_alone(text, from + at, word))
			return from + at;
		from += at + 1;
	}
	return BYTES_NONE;
}

static bool has_any(struct bytes text, const struct words *w)
{
	for (size_t i = 0; i < w->count; i++) {
		if (find_word(text, bytes_of_text(w->list[i]), 0) != BYTES_NONE)
			return true;
	}
	return false;
}

static bool says_around(struct bytes text, size_t at, size_t end, const struct phrase *p)
{
	struct bytes after = bytes_first(bytes_skip(text, end), p->far);
	size_t start = at > p->far ? at - p->far : 0;

	if (has_any(after, &p->second))
		return true;
	return p->both && has_any(bytes_first(bytes_skip(text, start), at - start), &p->second);
}

static bool says_phrase(struct bytes text, const struct phrase *p)
{
	for (size_t i = 0; i < p->first.count; i++) {
		struct bytes word = bytes_of_text(p->first.list[i]);

		for (size_t at = find_word(text, word, 0); at != BYTES_NONE;
		     at = find_word(text, word, at + 1)) {
			if (says_around(text, at, at + word.len, p))
				return true;
		}
	}
	return false;
}

static bool says(struct bytes text, const struct phrase *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (says_phrase(text, &list[i]))
			return true;
	}
	return false;
}

/* ---- what is said ---- */

#define LETTER_JA \
	"連絡", "お知らせ", "案内", "メール", "手紙", "便り", "情報", "通知", "メッセージ", "提案"
#define LETTER_EN                                                                             \
	"email", "e-mail", "mail", "message", "letter", "notice", "notification", "reminder", \
	        "contact", "attempt", "proposal"
#define SENT_JA \
	"送", "差し上げ", "差上げ", "致しま", "いたしま", "しました", "しております", "申し上げ"
#define ANSWER_JA "返事", "返信", "返答", "回答", "お返し", "返書"

static const struct phrase earlier[] = {
        /* the third letter */
        {WORDS("2度目", "3度目", "4度目", "2回目", "3回目", "4回目", "2通目", "3通目", "二度目",
               "三度目", "四度目", "二回目", "三回目", "二通目", "三通目", "最後の", "最終"),
         WORDS(LETTER_JA), 45, false},
        {WORDS("second", "third", "fourth", "2nd", "3rd", "4th", "last", "final", "another",
               "several"),
         WORDS(LETTER_EN), 16, false},
        /* once more */
        {WORDS("再度", "再び", "再三", "改めて", "もう一度", "重ねて", "引き続き", "またお",
               "またご"),
         WORDS(LETTER_JA), 36, false},
        {WORDS("again", "once more", "following up", "follow up", "followup"),
         WORDS("wrote", "write", "writing", "contacting", "sending", "sent", LETTER_EN), 40, true},
        /* the last time */
        {WORDS("前回", "先日", "以前", "先般", "先に", "前に", "何度か", "何度も"),
         WORDS(LETTER_JA), 45, false},
        {WORDS("my previous", "my earlier", "my first", "my last", "previous", "earlier",
               "previously"),
         WORDS("wrote", "contacted", "sent you", LETTER_EN), 20, true},
        /* no answer came */
        {WORDS(ANSWER_JA, "ご連絡", "お便り"),
         WORDS("いただいておりません", "いただいていません", "いただいていない", "頂いておりません",
               "頂いていません", "頂いていない", "届いておりません", "届いていません",
               "届いていない", "もらっていません", "もらっていない", "来ていません",
               "来ておりません", "ございません", "まだ"),
         48, true},
        {WORDS("届いていない", "届いておりません", "届いていません"), WORDS(LETTER_JA), 60, true},
        {WORDS("not heard", "haven't heard", "no response", "no reply", "not received",
               "not replied", "not responded", "haven't received", "did you get", "did you receive",
               "have you received", "didn't reply", "didn't respond", "without a reply"),
         WORDS("you", "your", "my", "from"), 30, true},
};

static const struct phrase begging[] = {
        {WORDS(ANSWER_JA, "ご連絡", "御連絡"),
         WORDS("願い", "ください", "下さい", "くださる", "待ち", "待って", "いただけ", "頂け",
               "頂きた", "いただきた", "至急", "必ず"),
         45, true},
        {WORDS("reply", "respond", "response", "get back to me", "write back", "contact me",
               "email me", "e-mail me", "hear from you", "answer me", "write me"),
         WORDS("please", "urgent", "urgently", "asap", "immediately", "kindly", "wait", "waiting",
               "await", "awaiting", "soon", "need", "must", "hope", "today", "back"),
         48, true},
};

static const struct words bait = WORDS(
        "報酬", "万ドル", "万円", "億円", "億ドル", "相続", "遺産", "融資", "代表者を", "代理店",
        "高収入", "副業", "在宅", "募集し", "投資", "寄付金", "宝くじ", "当選", "million",
        "billion", "inheritance", "beneficiary", "next of kin", "investor", "investment", "loan",
        "lottery", "donation", "compensation", "business proposal", "business opportunity",
        "consignment", "per month", "weekly salary", "representative position", "job offer",
        "vacancy");

bool scam_claims_earlier(struct bytes folded)
{
	return says(folded, earlier, COUNT(earlier));
}

bool scam_begs(struct bytes folded)
{
	return says(folded, begging, COUNT(begging));
}

bool scam_baits(struct bytes folded)
{
	return has_any(folded, &bait);
}

/* ---- to whom ---- */

static bool is_listed(struct bytes word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes_equal_nocase(word, bytes_of_text(list[i])))
			return true;
	}
	return false;
}

bool scam_is_role(struct bytes local)
{
	static const char *const roles[] = {
	        "info",      "information", "contact",  "office",    "sales",      "support",
	        "help",      "helpdesk",    "service",  "staff",     "team",       "all",
	        "everyone",  "members",     "member",   "admin",     "webmaster",  "postmaster",
	        "inquiry",   "inquiries",   "enquiry",  "mail",      "hello",      "hr",
	        "jobs",      "recruit",     "saiyo",    "jinji",     "soumu",      "somu",
	        "jimu",      "jimukyoku",   "keiri",    "eigyo",     "eigyou",     "koho",
	        "kouhou",    "kaihatsu",    "toiawase", "otoiawase", "zenin",      "zen-in",
	        "press",     "marketing",   "billing",  "accounts",  "accounting", "dev",
	        "reception", "group",       "list",     "ml",        "lab",        "kenkyushitsu",
	};

	local = bytes_first(local, bytes_find_char(local, '+'));
	return is_listed(local, roles, COUNT(roles)) || bytes_ends(local, BYTES("-all")) ||
	       bytes_ends(local, BYTES("-ml")) || bytes_ends(local, BYTES("-members"));
}

bool scam_is_free_mail(struct bytes domain)
{
	static const char *const free_mail[] = {
	        "gmail.com",      "googlemail.com", "outlook.com",  "outlook.jp",  "hotmail.com",
	        "hotmail.co.jp",  "hotmail.co.uk",  "hotmail.fr",   "live.com",    "live.jp",
	        "msn.com",        "yahoo.com",      "yahoo.co.jp",  "yahoo.co.uk", "yahoo.fr",
	        "yahoo.de",       "yahoo.co.in",    "ymail.com",    "ymail.ne.jp", "rocketmail.com",
	        "icloud.com",     "me.com",         "mac.com",      "aol.com",     "aim.com",
	        "gmx.com",        "gmx.net",        "gmx.de",       "gmx.at",      "gmx.ch",
	        "web.de",         "freenet.de",     "mail.com",     "email.com",   "usa.com",
	        "mail.ru",        "bk.ru",          "list.ru",      "inbox.ru",    "yandex.ru",
	        "yandex.com",     "ya.ru",          "rambler.ru",   "ukr.net",     "protonmail.com",
	        "proton.me",      "pm.me",          "tutanota.com", "tuta.io",     "zoho.com",
	        "zohomail.com",   "qq.com",         "foxmail.com",  "163.com",     "126.com",
	        "yeah.net",       "sina.com",       "sina.cn",      "sohu.com",    "naver.com",
	        "daum.net",       "hanmail.net",    "nate.com",     "libero.it",   "virgilio.it",
	        "laposte.net",    "seznam.cz",      "wp.pl",        "o2.pl",       "onet.pl",
	        "interia.pl",     "rediffmail.com", "excite.co.jp", "excite.com",  "goo.jp",
	        "mail.goo.ne.jp", "freemail.hu",    "citromail.hu", "abv.bg",      "inbox.lv",
	        "bol.com.br",     "uol.com.br",     "terra.com.br", "gawab.com",   "lycos.com",
	};

	return is_listed(domain, free_mail, COUNT(free_mail));
}

static bool same_name(struct bytes prefix, struct bytes name)
{
	return name.len >= 2 && bytes_equal_nocase(prefix, name);
}

bool scam_names_group(struct bytes subject, struct bytes address, struct bytes shown)
{
	static const char *const marks[] = {",", "、", ":", ";", "様", "御中", " - "};
	size_t at = bytes_find_last(address, '@'), end = BYTES_NONE;
	struct bytes local = bytes_first(address, at);
	struct bytes domain = bytes_skip(address, at == BYTES_NONE ? address.len : at + 1), prefix;

	local = bytes_first(local, bytes_find_char(local, '+'));
	for (size_t i = 0; i < COUNT(marks); i++) {
		size_t mark = bytes_find(subject, bytes_of_text(marks[i]));

		end = mark < end ? mark : end;
	}
	if (end == BYTES_NONE || end == 0)
		return false;
	prefix = bytes_trim(bytes_first(subject, end));
	return same_name(prefix, local) || same_name(prefix, address) || same_name(prefix, shown) ||
	       same_name(prefix, domain) ||
	       (domain.len && same_name(prefix, bytes_first(domain, bytes_find_char(domain, '.'))));
}

/* ---- the whole ---- */

static const struct {
	size_t offset;
	int weight;
	const char *says;
} marks[] = {
        {offsetof(struct scam_facts, claims_earlier), 3, "speaks of letters that never came"},
        {offsetof(struct scam_facts, group_named), 3, "the subject begins with the group's name"},
        {offsetof(struct scam_facts, reply_elsewhere), 2, "answers go to another domain"},
        {offsetof(struct scam_facts, group), 1, "to a group"},
        {offsetof(struct scam_facts, begs), 1, "begs for a reply"},
        {offsetof(struct scam_facts, bait), 1, "offers money or work"},
        {offsetof(struct scam_facts, free_mail), 1, "from free mail"},
};

static const struct {
	int least, points;
	enum judge_action wants;
} scale[] = {
        {9, 650, JUDGE_JUNK}, {8, 550, JUDGE_JUNK}, {7, 400, JUDGE_ACCEPT}, {6, 200, JUDGE_ACCEPT}};

bool scam_evidence(const struct scam_facts *f, struct arena *arena, struct evidence *ret)
{
	struct buf text = {0};
	int sum = 0;

	if (!f->first_contact || !f->plain)
		return false;
	buf_append_text(&text, "first contact");
	for (size_t i = 0; i < COUNT(marks); i++) {
		if (!*((const bool *)f + marks[i].offset))
			continue;
		sum += marks[i].weight;
		buf_printf(&text, ", %s", marks[i].says);
	}
	for (size_t i = 0; i < COUNT(scale); i++) {
		if (sum < scale[i].least)
			continue;
		*ret = (struct evidence){.check = BYTES("scam"),
		                         .says = EVIDENCE_BAD,
		                         .points = scale[i].points,
		                         .wants = scale[i].wants,
		                         .text = arena_copy(arena, buf_bytes(&text))};
		buf_done(&text);
		return true;
	}
	buf_done(&text);
	return false;
}
