/* LIST with everything of RFC 9051, 6.3.9 (RFC 5258, 5819, 6154), and IMAP4rev1's LSUB. */
#include "base/wire.h"
#include "imap/name.h"
#include "imap/session.h"

enum { PATTERNS_MAX = 64, STATUS_AHEAD = 8, MAILBOXES_MAX = 100000, WORK_MAX = 4 * 1000 * 1000 };

enum list_option {
	LIST_SUBSCRIBED = 1 << 0,
	LIST_REMOTE = 1 << 1,
	LIST_RECURSIVE = 1 << 2,
	LIST_SPECIAL_USE = 1 << 3,
	LIST_CHILDREN = 1 << 4,
	LIST_STATUS = 1 << 5,
};

struct list_row {
	struct bytes name;
	uint64_t id;
	uint32_t attributes;
};

struct list {
	bool lsub, extended;
	struct bytes reference;
	struct bytes patterns[PATTERNS_MAX];
	size_t pattern_count, pattern_octets;
	unsigned select;       /* enum list_option: which mailboxes */
	unsigned tell;         /* and what to tell of them */
	unsigned items;        /* STATUS */
	struct list_row *rows; /* by name */
	size_t count, size;
	bool complete;
	size_t at;             /* next row to look at */
	unsigned open;         /* STATUS asks */
	struct bytes *parents; /* LSUB: told already as \Noselect */
	size_t parent_count;
};

/* ---- arguments ---- */

static const struct option_name {
	const char *name;
	unsigned bit;
} select_options[] = {{"SUBSCRIBED", LIST_SUBSCRIBED},
                      {"REMOTE", LIST_REMOTE},
                      {"RECURSIVEMATCH", LIST_RECURSIVE},
                      {"SPECIAL-USE", LIST_SPECIAL_USE},
                      {NULL, 0}},
  return_options[] = {{"SUBSCRIBED", LIST_SUBSCRIBED},
                      {"CHILDREN", LIST_CHILDREN},
                      {"SPECIAL-USE", LIST_SPECIAL_USE},
                      {"STATUS", LIST_STATUS},
                      {NULL, 0}};

static bool take_option(struct cursor *c, const struct option_name *names, unsigned *bits,
                        unsigned *ret_bit)
{
	struct bytes word;

	if (!token_atom(c, &word))
		return false;
	for (; names->name; names++) {
		if (bytes_equal_nocase(word, bytes_of_text(names->name))) {
			*bits |= names->bit;
			*ret_bit = names->bit;
			return true;
		}
	}
	return token_fail(c, "Unknown LIST option");
}

static bool take_select_options(struct cursor *c, struct list *l)
{
	unsigned bit;

	l->extended = true;
	if (token_try_char(c, ')'))
		return true;
	do {
		if (!take_option(c, select_options, &l->select, &bit))
			return false;
	} while (token_try_char(c, ' '));
	if ((l->select & LIST_RECURSIVE) && !(l->select & LIST_SUBSCRIBED))
		return token_fail(c, "RECURSIVEMATCH needs SUBSCRIBED");
	return token_char(c, ')');
}

static bool take_return_options(struct imap_server *s, struct cursor *c, struct list *l)
{
	unsigned bit;

	if (!token_try_word(c, BYTES("RETURN")) || !token_space(c) || !token_char(c, '('))
		return token_fail(c, "Expected RETURN (...)");
	l->extended = true;
	if (token_try_char(c, ')'))
		return true;
	do {
		if (!take_option(c, return_options, &l->tell, &bit))
			return false;
		if (bit == LIST_STATUS && (!token_space(c) || !status_items(s, c, &l->items)))
			return false;
	} while (token_try_char(c, ' '));
	return token_char(c, ')');
}

static bool take_pattern(struct imap_server *s, struct cursor *c, struct list *l)
{
	struct bytes word, reference = l->reference;

	if (!token_list_mailbox(c, &word))
		return false;
	if (l->pattern_count == PATTERNS_MAX)
		return token_fail(c, "Too many patterns");
	if (word.len > LIMIT_MAILBOX_NAME)
		return token_fail(c, "Pattern too long");
	word = name_read_pattern(word, s->rev2, &s->arena);
	if (reference.len && word.len)
		word = arena_printf(&s->arena, "%.*s%.*s", BYTES_ARG(reference), BYTES_ARG(word));
	l->patterns[l->pattern_count++] = word;
	l->pattern_octets += word.len + 1;
	return true;
}

static bool take_patterns(struct imap_server *s, struct cursor *c, struct list *l)
{
	if (!token_try_char(c, '('))
		return take_pattern(s, c, l);
	l->extended = true;
	do {
		if (!take_pattern(s, c, l))
			return false;
	} while (token_try_char(c, ' '));
	return token_char(c, ')');
}

static bool take_reference(struct imap_server *s, struct cursor *c, struct list *l)
{
	struct bytes word;

	if (!token_astring(c, &word))
		return false;
	if (word.len > LIMIT_MAILBOX_NAME)
		return token_fail(c, "Reference too long");
	l->reference = name_read_pattern(word, s->rev2, &s->arena);
	return true;
}

bool list_parse(struct imap_server *s, struct cursor *c)
{
	struct list *l = arena_get(&s->arena, sizeof(*l));

	s->run.state = l;
	if (!token_space(c))
		return false;
	if (token_try_char(c, '(') && (!take_select_options(c, l) || !token_space(c)))
		return false;
	if (!take_reference(s, c, l) || !token_space(c) || !take_patterns(s, c, l))
		return false;
	return !token_try_char(c, ' ') || take_return_options(s, c, l);
}

bool lsub_parse(struct imap_server *s, struct cursor *c)
{
	struct list *l = arena_get(&s->arena, sizeof(*l));

	s->run.state = l;
	l->lsub = true;
	return token_space(c) && take_reference(s, c, l) && token_space(c) && take_pattern(s, c, l);
}

/* ---- the account's mailboxes ---- */

static void ask_rows(struct imap_server *s, struct bytes after)
{
	imap_ask(s, OWNER_COMMAND, 0,
	         &(struct ask){.kind = ASK_MAILBOXES, .mailboxes = {.after = after}});
}

/* An empty pattern asks for the separator only (RFC 9051, 6.3.9). */
void list_run(struct imap_server *s)
{
	const struct list *l = s->run.state;

	if (l->pattern_count == 1 && l->patterns[0].len == 0 && !l->extended) {
		buf_printf(&s->out, "* %s (\\Noselect) \"/\" \"\"\r\n", l->lsub ? "LSUB" : "LIST");
		imap_ok(s, "Listed");
		return;
	}
	ask_rows(s, (struct bytes){0});
}

static void keep_row(struct imap_server *s, struct list *l, struct list_row row)
{
	if (l->count == l->size) {
		size_t size = l->size ? l->size * 2 : 32;
		struct list_row *rows = arena_get(&s->arena, size * sizeof(*rows));

		if (l->count)
			memcpy(rows, l->rows, l->count * sizeof(*rows));
		l->rows = rows;
		l->size = size;
	}
	row.name = arena_copy(&s->arena, row.name);
	l->rows[l->count++] = row;
}

static void take_rows(struct imap_server *s, struct list *l, const struct answer_mailboxes *a)
{
	struct wire w = wire_of(a->rows);

	while (!wire_end(&w)) {
		struct list_row row;

		row.name = wire_block(&w);
		row.id = wire_u64(&w);
		row.attributes = wire_u32(&w);
		if (!w.bad)
			keep_row(s, l, row);
	}
	if (a->more && l->count && l->count < MAILBOXES_MAX)
		ask_rows(s, l->rows[l->count - 1].name);
	else
		l->complete = true;
}

/* ---- telling ---- */

static bool matches(const struct list *l, struct bytes name)
{
	for (size_t i = 0; i < l->pattern_count; i++)
		if (name_matches(name, l->patterns[i]))
			return true;
	return false;
}

static const struct {
	uint32_t bit;
	const char *name;
} special_words[] = {
        {MAILBOX_ALL, "\\All"},       {MAILBOX_ARCHIVE, "\\Archive"},
        {MAILBOX_DRAFTS, "\\Drafts"}, {MAILBOX_FLAGGED, "\\Flagged"},
        {MAILBOX_JUNK, "\\Junk"},     {MAILBOX_SENT, "\\Sent"},
        {MAILBOX_TRASH, "\\Trash"},
};

static void put_word(struct buf *out, bool *first, const char *word)
{
	buf_printf(out, "%s%s", *first ? "" : " ", word);
	*first = false;
}

static void put_attributes(struct imap_server *s, const struct list *l, const struct list_row *row)
{
	uint32_t a = row->attributes;
	bool first = true, exists = !(a & MAILBOX_NONEXISTENT);

	if (!exists)
		put_word(&s->out, &first, l->extended ? "\\NonExistent" : "\\Noselect");
	else if (a & MAILBOX_NOSELECT)
		put_word(&s->out, &first, "\\Noselect");
	if (exists)
		put_word(&s->out, &first,
		         a & MAILBOX_CHILDREN ? "\\HasChildren" : "\\HasNoChildren");
	if ((a & MAILBOX_SUBSCRIBED) && ((l->tell | l->select) & LIST_SUBSCRIBED))
		put_word(&s->out, &first, "\\Subscribed");
	for (size_t i = 0; i < sizeof(special_words) / sizeof(special_words[0]); i++)
		if (a & special_words[i].bit)
			put_word(&s->out, &first, special_words[i].name);
}

static void put_list(struct imap_server *s, const struct list *l, const struct list_row *row,
                     bool childinfo)
{
	buf_append_text(&s->out, "* LIST (");
	put_attributes(s, l, row);
	buf_append_text(&s->out, ") \"/\" ");
	respond_mailbox(s, &s->out, row->name);
	if (childinfo)
		buf_append_text(&s->out, " (\"CHILDINFO\" (\"SUBSCRIBED\"))");
	buf_append_text(&s->out, "\r\n");
}

static bool is_below(struct bytes name, struct bytes parent)
{
	return bytes_starts(name, parent) && name.len > parent.len && name.ptr[parent.len] == '/';
}

/* Rows are by name, but "a-b" stands between "a" and "a/b". */
static bool subscribed_below(const struct list *l, size_t at)
{
	struct bytes name = l->rows[at].name;

	for (size_t i = at + 1; i < l->count && bytes_starts(l->rows[i].name, name); i++)
		if ((l->rows[i].attributes & MAILBOX_SUBSCRIBED) && is_below(l->rows[i].name, name))
			return true;
	return false;
}

static bool selected(const struct list *l, const struct list_row *row, bool childinfo)
{
	bool subscribed = row->attributes & MAILBOX_SUBSCRIBED;

	if (l->select & LIST_SUBSCRIBED) {
		if (!subscribed && !childinfo)
			return false;
	} else if (row->attributes & MAILBOX_NONEXISTENT) {
		return false;
	}
	return !(l->select & LIST_SPECIAL_USE) || (row->attributes & (~0u << 8));
}

static void tell_row(struct imap_server *s, struct list *l, size_t at)
{
	const struct list_row *row = &l->rows[at];
	bool childinfo;

	if (!matches(l, row->name))
		return;
	childinfo = (l->select & LIST_RECURSIVE) && subscribed_below(l, at);
	if (!selected(l, row, childinfo))
		return;
	put_list(s, l, row, childinfo);
	if (!(l->tell & LIST_STATUS) || !row->id || (row->attributes & MAILBOX_NOSELECT))
		return;
	l->open++;
	imap_ask(s, OWNER_COMMAND, (uint32_t)at,
	         &(struct ask){.kind = ASK_STATUS, .status = {.name = row->name}});
}

/* ---- LSUB (RFC 3501, 6.3.9) ---- */

static void put_lsub(struct imap_server *s, struct bytes name, bool noselect)
{
	buf_printf(&s->out, "* LSUB (%s) \"/\" ", noselect ? "\\Noselect" : "");
	respond_mailbox(s, &s->out, name);
	buf_append_text(&s->out, "\r\n");
}

static bool told_parent(struct imap_server *s, struct list *l, struct bytes name)
{
	for (size_t i = 0; i < l->parent_count; i++)
		if (bytes_equal(l->parents[i], name))
			return true;
	if (!l->parents)
		l->parents = arena_get(&s->arena, l->count * sizeof(*l->parents));
	if (l->parent_count < l->count)
		l->parents[l->parent_count++] = name;
	return false;
}

static bool is_subscribed(const struct list *l, struct bytes name)
{
	for (size_t i = 0; i < l->count; i++)
		if (bytes_equal(l->rows[i].name, name))
			return l->rows[i].attributes & MAILBOX_SUBSCRIBED;
	return false;
}

/* "foo" is told as \Noselect when only "foo/bar" is subscribed and "%" hides that.
 * Limit: quadratic in subscribed mailboxes; fine below 10k. */
static void tell_lsub(struct imap_server *s, struct list *l, const struct list_row *row)
{
	struct bytes parent = row->name;

	if (!(row->attributes & MAILBOX_SUBSCRIBED))
		return;
	if (matches(l, row->name)) {
		put_lsub(s, row->name, false);
		return;
	}
	if (bytes_find_char(l->patterns[0], '%') == BYTES_NONE)
		return;
	while ((parent = name_parent(parent)).len) {
		if (!matches(l, parent))
			continue;
		if (!is_subscribed(l, parent) && !told_parent(s, l, parent))
			put_lsub(s, parent, true);
		return;
	}
}

static void tell(struct imap_server *s, struct list *l)
{
	if (l->lsub)
		tell_lsub(s, l, &l->rows[l->at]);
	else
		tell_row(s, l, l->at);
	l->at++;
}

/* Long names and patterns are compared in turns, so that other sessions get theirs. */
void list_pump(struct imap_server *s)
{
	struct list *l = s->run.state;
	size_t work = 0;

	if (!l->complete)
		return;
	while (l->at < l->count && l->open < STATUS_AHEAD && imap_output_low(s) &&
	       imap_can_ask(s)) {
		work += (l->rows[l->at].name.len + 1) * l->pattern_octets;
		tell(s, l);
		if (work > WORK_MAX) {
			imap_later(s);
			return;
		}
	}
	if (l->at == l->count && l->open == 0)
		imap_ok(s, "Listed");
}

void list_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	struct list *l = s->run.state;

	if (a->kind == ASK_STATUS) {
		l->open--;
		if (a->result == OK)
			status_print(s, l->rows[mark].name, l->items, &a->status);
	} else if (a->result == OK) {
		take_rows(s, l, &a->mailboxes);
	} else {
		imap_no_answer(s, a);
		return;
	}
	list_pump(s);
}
