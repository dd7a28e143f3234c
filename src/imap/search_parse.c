/* The arguments of SEARCH (RFC 9051, 6.4.4 and 9: search-program; RFC 7162, 3.1.5: MODSEQ). */
#include "imap/search.h"
#include "mail/charset.h"

enum { DEPTH_MAX = 64, NODES_MAX = 4096, DAY_MS = 24 * 60 * 60 * 1000, NEEDLE_MAX = 8192 };

struct parser {
	struct imap_server *s;
	struct cursor *c;
	struct search_query *query;
	struct bytes charset;
	unsigned depth;
};

static struct search_node *new_node(struct parser *p, enum search_kind kind)
{
	struct search_node *node;

	if (++p->query->nodes > NODES_MAX) {
		token_fail(p->c, "Too many search keys");
		return NULL;
	}
	node = arena_get(p->c->arena, sizeof(*node));
	node->kind = (uint8_t)kind;
	return node;
}

static bool take_key(struct parser *p, struct search_node **ret);

/* ---- strings ---- */

/* To UTF-8, then folded: "Ｔｅｓｔ" finds "test". */
static bool fold_needle(struct parser *p, struct bytes word, struct bytes *ret)
{
	struct buf utf8 = {0}, folded = {0};

	if (word.len > NEEDLE_MAX)
		return token_fail(p->c, "Search string too long");
	if (charset_to_utf8(p->charset, word, &utf8) != OK)
		p->query->bad_charset = true;
	search_fold(buf_bytes(&utf8), &folded);
	*ret = arena_copy(p->c->arena, buf_bytes(&folded));
	buf_done(&utf8);
	buf_done(&folded);
	return true;
}

static bool take_needle(struct parser *p, struct bytes *ret)
{
	struct bytes word;

	return token_space(p->c) && token_astring(p->c, &word) && fold_needle(p, word, ret);
}

/* ---- keys with arguments ---- */

static const struct {
	const char *name;
	uint8_t field;
} field_names[] = {
        {"From", FIELD_FROM},
        {"To", FIELD_TO},
        {"Cc", FIELD_CC},
        {"Bcc", FIELD_BCC},
        {"Subject", FIELD_SUBJECT},
        {"Sender", FIELD_SENDER},
        {"Reply-To", FIELD_REPLY_TO},
        {"Message-ID", FIELD_MESSAGE_ID},
        {"In-Reply-To", FIELD_IN_REPLY_TO},
        {"References", FIELD_REFERENCES},
};

static uint8_t field_of(struct bytes name)
{
	for (size_t i = 0; i < sizeof(field_names) / sizeof(field_names[0]); i++)
		if (bytes_equal_nocase(name, bytes_of_text(field_names[i].name)))
			return field_names[i].field;
	return FIELD_NONE;
}

/* An empty string asks whether the field is there: only the header knows that. */
static bool take_header(struct parser *p, struct search_node *node)
{
	if (!token_space(p->c) || !token_astring(p->c, &node->name) ||
	    !take_needle(p, &node->needle))
		return false;
	node->field = field_of(node->name);
	node->kind = node->field && node->needle.len ? SEARCH_FIELD : SEARCH_HEADER;
	p->query->needs |= node->kind == SEARCH_FIELD ? NEED_FULL : NEED_FULL | NEED_HEADER;
	return true;
}

static bool take_field(struct parser *p, struct search_node *node, uint8_t field)
{
	node->kind = SEARCH_FIELD;
	node->field = field;
	p->query->needs |= NEED_FULL;
	return take_needle(p, &node->needle);
}

static int64_t day_of(time_ms t)
{
	return t >= 0 ? t / DAY_MS : -((DAY_MS - 1 - t) / DAY_MS);
}

enum day_range { DAY_BEFORE, DAY_ON, DAY_SINCE };

static bool take_day(struct parser *p, struct search_node *node, enum search_kind kind,
                     enum day_range range)
{
	time_ms t;
	int64_t day;

	if (!token_space(p->c) || !token_date(p->c, &t))
		return false;
	day = day_of(t);
	node->kind = (uint8_t)kind;
	node->from = range == DAY_BEFORE ? INT64_MIN : day;
	node->to = range == DAY_BEFORE ? day : range == DAY_ON ? day + 1 : INT64_MAX;
	p->query->needs |= kind == SEARCH_SENT ? NEED_FULL : NEED_BRIEF;
	return true;
}

static bool take_size(struct parser *p, struct search_node *node, enum search_kind kind)
{
	node->kind = (uint8_t)kind;
	p->query->needs |= NEED_BRIEF;
	return token_space(p->c) && token_number(p->c, UINT32_MAX, &node->number);
}

static bool set_flags(struct parser *p, struct search_node *node, uint64_t flags)
{
	node->kind = SEARCH_FLAGS;
	node->number = flags;
	p->query->needs |= NEED_FLAGS;
	return true;
}

/* Turns the node into NOT of what it was. */
static bool negate(struct parser *p, struct search_node *node)
{
	struct search_node *child = new_node(p, SEARCH_NOT);

	if (!child)
		return false;
	*child = *node;
	*node = (struct search_node){.kind = SEARCH_NOT, .child = child};
	return true;
}

static bool take_keyword(struct parser *p, struct search_node *node)
{
	const struct keywords *k = p->s->box.keywords;
	struct bytes word;

	if (!token_space(p->c) || !token_atom(p->c, &word))
		return false;
	for (unsigned i = 0; k && i < k->count; i++)
		if (k->names[i].len && bytes_equal_nocase(word, k->names[i]))
			return set_flags(p, node, 1ull << (MAIL_KEYWORD_SHIFT + i));
	node->kind = SEARCH_NONE;
	return true;
}

/* MODSEQ ["/flags/\\draft" shared|priv|all] 620162338: one modseq a mail here, whatever the entry. */
static bool take_modseq(struct parser *p, struct search_node *node)
{
	struct bytes entry, type;

	node->kind = SEARCH_MODSEQ;
	p->query->needs |= NEED_FLAGS;
	p->query->modseq = true;
	p->s->condstore = true;
	if (!token_space(p->c))
		return false;
	if (token_peek(p->c) == '"' && (!token_string(p->c, &entry) || !token_space(p->c) ||
	                                !token_atom(p->c, &type) || !token_space(p->c)))
		return false;
	return token_number(p->c, INT64_MAX, &node->number);
}

static bool take_or(struct parser *p, struct search_node *node)
{
	node->kind = SEARCH_OR;
	return token_space(p->c) && take_key(p, &node->child) && token_space(p->c) &&
	       take_key(p, &node->child->next);
}

static bool take_not(struct parser *p, struct search_node *node)
{
	node->kind = SEARCH_NOT;
	return token_space(p->c) && take_key(p, &node->child);
}

static bool take_set(struct parser *p, struct search_node *node, bool uid)
{
	node->kind = SEARCH_SET;
	node->set_is_uid = uid;
	return token_sequence_set(p->c, &node->set);
}

static bool take_keys(struct parser *p, struct search_node **ret)
{
	struct search_node *node = new_node(p, SEARCH_AND), **last;

	if (!node)
		return false;
	last = &node->child;
	do {
		if (!take_key(p, last))
			return false;
		last = &(*last)->next;
	} while (token_try_char(p->c, ' '));
	*ret = node;
	return true;
}

static bool take_text(struct parser *p, struct search_node *node, enum search_kind kind)
{
	node->kind = (uint8_t)kind;
	p->query->needs |= NEED_BRIEF | NEED_MAIL;
	return take_needle(p, &node->needle);
}

/* ---- the table of keys ---- */

enum key {
	KEY_ALL,
	KEY_FLAG,
	KEY_UNFLAG,
	KEY_NONE,
	KEY_BEFORE,
	KEY_ON,
	KEY_SINCE,
	KEY_SENTBEFORE,
	KEY_SENTON,
	KEY_SENTSINCE,
	KEY_FIELD,
	KEY_HEADER,
	KEY_BODY,
	KEY_TEXT,
	KEY_KEYWORD,
	KEY_UNKEYWORD,
	KEY_LARGER,
	KEY_SMALLER,
	KEY_MODSEQ,
	KEY_NOT,
	KEY_OR,
	KEY_UID,
};

/* There is no \Recent: no message is RECENT or NEW, all are OLD. */
static const struct {
	const char *name;
	uint8_t key;
	uint8_t argument; /* flag or field */
} keys[] = {
        {"ALL", KEY_ALL, 0},
        {"ANSWERED", KEY_FLAG, MAIL_ANSWERED},
        {"BCC", KEY_FIELD, FIELD_BCC},
        {"BEFORE", KEY_BEFORE, 0},
        {"BODY", KEY_BODY, 0},
        {"CC", KEY_FIELD, FIELD_CC},
        {"DELETED", KEY_FLAG, MAIL_DELETED},
        {"DRAFT", KEY_FLAG, MAIL_DRAFT},
        {"FLAGGED", KEY_FLAG, MAIL_FLAGGED},
        {"FROM", KEY_FIELD, FIELD_FROM},
        {"HEADER", KEY_HEADER, 0},
        {"KEYWORD", KEY_KEYWORD, 0},
        {"LARGER", KEY_LARGER, 0},
        {"MODSEQ", KEY_MODSEQ, 0},
        {"NEW", KEY_NONE, 0},
        {"NOT", KEY_NOT, 0},
        {"OLD", KEY_ALL, 0},
        {"ON", KEY_ON, 0},
        {"OR", KEY_OR, 0},
        {"RECENT", KEY_NONE, 0},
        {"SEEN", KEY_FLAG, MAIL_SEEN},
        {"SENTBEFORE", KEY_SENTBEFORE, 0},
        {"SENTON", KEY_SENTON, 0},
        {"SENTSINCE", KEY_SENTSINCE, 0},
        {"SINCE", KEY_SINCE, 0},
        {"SMALLER", KEY_SMALLER, 0},
        {"SUBJECT", KEY_FIELD, FIELD_SUBJECT},
        {"TEXT", KEY_TEXT, 0},
        {"TO", KEY_FIELD, FIELD_TO},
        {"UID", KEY_UID, 0},
        {"UNANSWERED", KEY_UNFLAG, MAIL_ANSWERED},
        {"UNDELETED", KEY_UNFLAG, MAIL_DELETED},
        {"UNDRAFT", KEY_UNFLAG, MAIL_DRAFT},
        {"UNFLAGGED", KEY_UNFLAG, MAIL_FLAGGED},
        {"UNKEYWORD", KEY_UNKEYWORD, 0},
        {"UNSEEN", KEY_UNFLAG, MAIL_SEEN},
};

static bool take_date_key(struct parser *p, struct search_node *node, enum key key)
{
	if (key >= KEY_SENTBEFORE)
		return take_day(p, node, SEARCH_SENT, (enum day_range)(key - KEY_SENTBEFORE));
	return take_day(p, node, SEARCH_RECEIVED, (enum day_range)(key - KEY_BEFORE));
}

static bool take_arguments(struct parser *p, struct search_node *node, enum key key,
                           uint8_t argument)
{
	switch (key) {
	case KEY_ALL: return true;
	case KEY_NONE: node->kind = SEARCH_NONE; return true;
	case KEY_FLAG: return set_flags(p, node, argument);
	case KEY_UNFLAG: return set_flags(p, node, argument) && negate(p, node);
	case KEY_KEYWORD: return take_keyword(p, node);
	case KEY_UNKEYWORD: return take_keyword(p, node) && negate(p, node);
	case KEY_FIELD: return take_field(p, node, argument);
	case KEY_HEADER: return take_header(p, node);
	case KEY_BODY: return take_text(p, node, SEARCH_BODY);
	case KEY_TEXT: return take_text(p, node, SEARCH_TEXT);
	case KEY_LARGER: return take_size(p, node, SEARCH_LARGER);
	case KEY_SMALLER: return take_size(p, node, SEARCH_SMALLER);
	case KEY_MODSEQ: return take_modseq(p, node);
	case KEY_NOT: return take_not(p, node);
	case KEY_OR: return take_or(p, node);
	case KEY_UID: return token_space(p->c) && take_set(p, node, true);
	default: return take_date_key(p, node, key);
	}
}

static bool take_named(struct parser *p, struct search_node *node)
{
	struct bytes word;

	if (!token_atom(p->c, &word))
		return false;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (bytes_equal_nocase(word, bytes_of_text(keys[i].name)))
			return take_arguments(p, node, (enum key)keys[i].key, keys[i].argument);
	return token_fail(p->c, "Unknown search key");
}

static bool take_any(struct parser *p, struct search_node **ret)
{
	char ch = token_peek(p->c);
	struct search_node *node;

	if (token_try_char(p->c, '('))
		return take_keys(p, ret) && token_char(p->c, ')');
	node = new_node(p, SEARCH_ALL);
	if (!node)
		return false;
	*ret = node;
	if ((ch >= '0' && ch <= '9') || ch == '*' || ch == '$')
		return take_set(p, node, false);
	return take_named(p, node);
}

static bool take_key(struct parser *p, struct search_node **ret)
{
	bool good;

	if (++p->depth > DEPTH_MAX)
		return token_fail(p->c, "Search keys are nested too deep");
	good = take_any(p, ret);
	p->depth--;
	return good;
}

/* ---- RETURN and CHARSET ---- */

static bool take_return(struct cursor *c, struct search_query *q)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = {{"MIN", RETURN_MIN},
	             {"MAX", RETURN_MAX},
	             {"ALL", RETURN_ALL},
	             {"COUNT", RETURN_COUNT},
	             {"SAVE", RETURN_SAVE}};
	struct bytes word;

	if (!token_atom(c, &word))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (bytes_equal_nocase(word, bytes_of_text(names[i].name))) {
			q->returns |= names[i].bit;
			return true;
		}
	}
	return token_fail(c, "Unknown RETURN option");
}

static bool take_returns(struct cursor *c, struct search_query *q)
{
	q->extended = true;
	if (!token_space(c) || !token_char(c, '('))
		return false;
	if (!token_try_char(c, ')')) {
		do {
			if (!take_return(c, q))
				return false;
		} while (token_try_char(c, ' '));
		if (!token_char(c, ')'))
			return false;
	}
	if (!q->returns)
		q->returns = RETURN_ALL;
	return token_space(c);
}

static bool take_charset(struct parser *p)
{
	if (!token_space(p->c) || !token_astring(p->c, &p->charset) || !token_space(p->c))
		return false;
	if (!charset_known(p->charset))
		p->query->bad_charset = true;
	return true;
}

bool search_query_parse(struct imap_server *s, struct cursor *c, struct search_query *ret)
{
	struct parser p = {.s = s, .c = c, .query = ret, .charset = BYTES("UTF-8")};

	if (!token_space(c))
		return false;
	if (token_try_word(c, BYTES("RETURN")) && !take_returns(c, ret))
		return false;
	if (token_try_word(c, BYTES("CHARSET")) && !take_charset(&p))
		return false;
	return take_keys(&p, &ret->root);
}
