/* APPEND (RFC 9051, 6.3.12). Its message never stands in `in`: it goes to the store piece by piece (SPOOL), and to the
 * summary builder. Up to APPENDS_MAX may be under way, so that the store can make a group of them durable with one sync;
 * the replies keep the order of the commands.
 *
 *	COMING   octets of the message come in
 *	TAIL     the end of its line is awaited
 *	SPOOLING pieces are not answered yet
 *	ASKED    APPEND or COMMITTED is open
 *	UNSURE   the answer was LOST: COMMITTED is asked at retry_at
 *	OVER     the reply is known */
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "imap/name.h"
#include "imap/session.h"
#include "mail/summary.h"

enum { APPENDS_MAX = 16, RETRY_MS = 250, GIVE_UP_MS = 10 * 1000 };

enum append_phase { COMING, TAIL, SPOOLING, ASKED, UNSURE, OVER };

struct append {
	struct append *next;
	struct arena arena;
	uint32_t serial; /* also the spool's number */
	uint8_t phase;
	bool rejected; /* the reply is known, what still comes is passed over */
	bool spooled;  /* the store has pieces of it */
	struct bytes tag, name;
	struct flag_words flags;
	time_ms received;
	uint8_t key[16];
	uint64_t left;
	struct summary_builder *builder;
	struct bytes summary;
	unsigned spools_open;
	time_ms retry_at, give_up;
	struct buf reply;
};

/* ---- the command's row: an APPEND that has no message where it should be ---- */

bool append_parse(struct imap_server *s, struct cursor *c)
{
	return token_fail(c, "Expected mailbox, flags, date and a literal");
}

void append_run(struct imap_server *s)
{
}

/* ---- replies ---- */

static void PRINTF(3, 4) over(struct append *a, const char *status, const char *format, ...)
{
	char text[256];
	va_list args;

	if (a->rejected)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	a->rejected = true;
	buf_printf(&a->reply, "%.*s %s %s\r\n", BYTES_ARG(a->tag), status, text);
}

static void over_result(struct append *a, enum result r, struct bytes why)
{
	struct buf text = {0};

	respond_result(&text, r, why, true);
	over(a, "NO", "%.*s", BYTES_ARG(buf_bytes(&text)));
	buf_done(&text);
}

static void append_free(struct append *a)
{
	summary_builder_free(&a->builder);
	buf_done(&a->reply);
	arena_done(&a->arena);
	memory_free(a);
}

void append_drop_all(struct imap_server *s)
{
	while (s->appends) {
		struct append *a = s->appends;

		s->appends = a->next;
		append_free(a);
	}
	s->append_count = 0;
	s->appending = NULL;
}

/* ---- the beginning ---- */

/* tag SP "APPEND" SP mailbox [SP flags] [SP date-time] SP, and then the literal's head. */
static bool parse_prefix(struct cursor *c, size_t head_len, struct append *a,
                         struct bytes *ret_name)
{
	if (!token_tag(c, &a->tag) || !token_space(c) || !token_try_word(c, BYTES("APPEND")) ||
	    !token_space(c) || !token_astring(c, ret_name) || !token_space(c))
		return false;
	if (token_peek(c) == '(' && (!token_flags(c, false, &a->flags) || !token_space(c)))
		return false;
	if (token_peek(c) == '"' && (!token_date_time(c, &a->received) || !token_space(c)))
		return false;
	return c->rest.len == head_len;
}

static void enqueue(struct imap_server *s, struct append *a)
{
	*(s->appends ? s->last_append : &s->appends) = a;
	s->last_append = &a->next;
	s->append_count++;
	s->appending = a;
}

static void check_beginning(struct imap_server *s, struct append *a, struct bytes name,
                            uint64_t size)
{
	if (name_read(name, s->rev2, &a->arena, &a->name) != OK)
		over(a, "NO", "[CANNOT] No mailbox can have this name");
	else if (size > s->options->message_max)
		over(a, "NO", "[TOOBIG] The message is too big");
	else if (size == 0)
		over(a, "NO", "[CANNOT] The message is empty");
}

static void begin_message(struct imap_server *s, struct append *a, const struct literal_head *head)
{
	if (a->rejected && head->sync) {
		a->phase = OVER;
		s->appending = NULL;
		return;
	}
	if (head->sync)
		buf_append_text(&s->out, "+ Send the message\r\n");
	a->left = head->size;
	a->phase = a->left ? COMING : TAIL;
	s->input = a->left ? INPUT_MESSAGE : INPUT_TAIL;
}

bool append_begin(struct imap_server *s, const struct literal_head *head)
{
	struct append *a = NEW(struct append);
	struct bytes line = buf_bytes(&s->in), name;
	struct cursor c;

	line = bytes_first(line, line.len - 2);
	c = cursor_of(line, &a->arena);
	if (s->state == IMAP_NOT_AUTH ||
	    !parse_prefix(&c, line.len - s->line_start - head->at, a, &name)) {
		append_free(a);
		return false;
	}
	a->tag = arena_copy(&a->arena, a->tag);
	a->flags.keywords = arena_copy(&a->arena, a->flags.keywords);
	a->serial = ++s->serial;
	imap_key(s, a->key);
	a->builder = summary_builder_new();
	check_beginning(s, a, name, head->size);
	enqueue(s, a);
	buf_clear(&s->in);
	s->line_start = 0;
	begin_message(s, a, head);
	return true;
}

/* ---- the message ---- */

static void send_chunk(struct imap_server *s, struct append *a)
{
	s->spools_open++;
	a->spools_open++;
	a->spooled = true;
	imap_ask(s, OWNER_APPEND, a->serial,
	         &(struct ask){.kind = ASK_SPOOL,
	                       .spool = {.spool = a->serial, .chunk = buf_bytes(&s->chunk)}});
	buf_clear(&s->chunk);
}

/* The chunk goes out when it is full, or when it is the last. */
static void flush_chunk(struct imap_server *s)
{
	struct append *a = s->appending;
	size_t len = buf_len(&s->chunk);

	if (a->rejected)
		buf_clear(&s->chunk);
	else if (len && (len == LIMIT_CHUNK || a->left == 0) &&
	         s->spools_open < LIMIT_SPOOL_WINDOW && imap_can_ask(s))
		send_chunk(s, a);
}

size_t append_take(struct imap_server *s, struct bytes in)
{
	struct append *a = s->appending;
	size_t room = LIMIT_CHUNK - buf_len(&s->chunk), len = in.len;

	len = len < a->left ? len : a->left;
	len = len < room ? len : room;
	in = bytes_first(in, len);
	if (!a->rejected) {
		buf_append(&s->chunk, in);
		summary_builder_feed(a->builder, in);
	}
	a->left -= len;
	if (a->left == 0) {
		a->phase = TAIL;
		s->input = INPUT_TAIL;
	}
	flush_chunk(s);
	return len;
}

bool append_blocked(const struct imap_server *s)
{
	const struct append *a = s->appending;

	if (!a)
		return s->append_count >= APPENDS_MAX;
	return !a->rejected && buf_len(&s->chunk) &&
	       (a->left == 0 || buf_len(&s->chunk) == LIMIT_CHUNK);
}

static void finish_summary(struct append *a)
{
	struct buf summary = {0};

	summary_builder_finish(a->builder, &summary);
	a->summary = arena_copy(&a->arena, buf_bytes(&summary));
	buf_done(&summary);
	summary_builder_free(&a->builder);
}

/* What follows a message is the end of the line; a second message would be MULTIAPPEND, which is not announced. */
void append_tail(struct imap_server *s, struct bytes line)
{
	struct append *a = s->appending;
	struct literal_head head;

	if (line.len) {
		over(a, "BAD", "One message a command");
		s->errors++;
	}
	if (token_literal_head(line, &head) && !head.sync) {
		a->left = head.size;
		s->input = a->left ? INPUT_MESSAGE : INPUT_TAIL;
		return;
	}
	if (!a->rejected)
		finish_summary(a);
	a->phase = SPOOLING;
	s->appending = NULL;
}

/* ---- the store ---- */

static void ask_append(struct imap_server *s, struct append *a)
{
	a->phase = ASKED;
	imap_ask(s, OWNER_APPEND, a->serial,
	         &(struct ask){.kind = ASK_APPEND,
	                       .append = {.name = a->name,
	                                  .spool = a->serial,
	                                  .key = bytes_of(a->key, sizeof(a->key)),
	                                  .flags = a->flags.system,
	                                  .keywords = a->flags.keywords,
	                                  .received = a->received,
	                                  .summary = a->summary}});
}

static void ask_committed(struct imap_server *s, struct append *a)
{
	a->phase = ASKED;
	imap_ask(s, OWNER_APPEND, a->serial,
	         &(struct ask){.kind = ASK_COMMITTED,
	                       .committed = {.key = bytes_of(a->key, sizeof(a->key))}});
}

static bool is_unsure(enum result r)
{
	return r == LOST || r == UNAVAILABLE || r == DENIED;
}

/* LOST is no answer: the store may have made it durable before it died. */
static void unsure(struct imap_server *s, struct append *a)
{
	if (!a->give_up)
		a->give_up = s->now + GIVE_UP_MS;
	if (s->now >= a->give_up) {
		over_result(a, UNAVAILABLE, (struct bytes){0});
		a->phase = OVER;
		return;
	}
	a->phase = UNSURE;
	a->retry_at = s->now + RETRY_MS;
}

static void appended(struct imap_server *s, struct append *a, uint32_t uidvalidity, uint32_t uid)
{
	over(a, "OK", "[APPENDUID %u %u] Appended", uidvalidity, uid);
	a->phase = OVER;
	s->errors = 0;
	if (s->box.id && bytes_equal(a->name, buf_bytes(&s->box.name)))
		s->moved = true;
}

/* Only an APPEND that is OK uses its spool up. */
static void drop_spool(struct imap_server *s, const struct append *a)
{
	if (a->spooled && imap_can_ask(s))
		imap_ask(s, OWNER_NOTE, 0,
		         &(struct ask){.kind = ASK_SPOOL_DROP, .spool_drop = {.spool = a->serial}});
}

static void append_came(struct imap_server *s, struct append *a, const struct answer *answer)
{
	if (answer->result == OK) {
		appended(s, a, answer->append.uidvalidity, answer->append.uid);
	} else if (answer->result == LOST) {
		unsure(s, a);
	} else {
		over_result(a, answer->result, answer->why);
		drop_spool(s, a);
		a->phase = OVER;
	}
}

static void committed_came(struct imap_server *s, struct append *a, const struct answer *answer)
{
	if (answer->result == OK) {
		appended(s, a, answer->committed.uidvalidity, answer->committed.uid);
	} else if (is_unsure(answer->result)) {
		unsure(s, a);
	} else {
		over_result(a, UNAVAILABLE, (struct bytes){0});
		a->phase = OVER;
	}
}

static struct append *find_append(struct imap_server *s, uint32_t serial)
{
	struct append *a = s->appends;

	while (a && a->serial != serial)
		a = a->next;
	return a;
}

void append_answer(struct imap_server *s, const struct answer *answer, uint32_t serial)
{
	struct append *a = find_append(s, serial);

	if (answer->kind == ASK_SPOOL)
		s->spools_open--;
	if (!a)
		return;
	switch (answer->kind) {
	case ASK_SPOOL:
		a->spools_open--;
		if (answer->result != OK)
			over_result(a, answer->result, answer->why);
		break;
	case ASK_APPEND: append_came(s, a, answer); break;
	default: committed_came(s, a, answer); break;
	}
}

/* ---- moving on ---- */

static void move_on(struct imap_server *s, struct append *a)
{
	if (a->phase == SPOOLING && a->spools_open == 0) {
		if (a->rejected) {
			drop_spool(s, a);
			a->phase = OVER;
		} else if (imap_can_ask(s)) {
			ask_append(s, a);
		}
	} else if (a->phase == UNSURE && s->now >= a->retry_at && imap_can_ask(s)) {
		ask_committed(s, a);
	}
}

/* Replies that are known go out in order. What they changed in the open mailbox is told before the last one. */
static void reply(struct imap_server *s)
{
	bool any = false;

	if (s->finishing || s->run.command)
		return;
	while (s->appends && s->appends->phase == OVER) {
		struct append *a = s->appends;

		buf_append(&s->reply, buf_bytes(&a->reply));
		s->appends = a->next;
		s->append_count--;
		append_free(a);
		any = true;
	}
	if (!any)
		return;
	if (s->append_count == 0)
		command_finish(s);
	else
		command_end(s);
}

void append_pump(struct imap_server *s)
{
	if (s->appending)
		flush_chunk(s);
	for (struct append *a = s->appends; a; a = a->next)
		move_on(s, a);
	reply(s);
}

time_ms append_deadline(const struct imap_server *s)
{
	time_ms t = TIME_NEVER;

	for (const struct append *a = s->appends; a; a = a->next)
		if (a->phase == UNSURE && a->retry_at < t)
			t = a->retry_at;
	return t;
}
