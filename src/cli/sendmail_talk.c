/* SMTP over run/submit.sock, until the mail is durable or time is over.
 *
 *	what happens                        what we do
 *	no socket, nobody listens, 421,     again, until `wait` has passed since the first trouble: 75
 *	451, the connection breaks
 *	... after the final dot             the same mail again, under the same XKEY: the server that took it the first time
 *	                                    gives the first answer, and nothing is doubled
 *	450, 452, other 4xx                 75 at once: time alone does not mend a limit or a full disk
 *	5xx                                 the exit code that its enhanced status code means; nothing was sent
 *
 * One refused recipient refuses the mail for all, so that 0 means everybody and anything else means nobody. Only more
 * recipients than one mail may have (LIMITS RCPTMAX) are several mails, one after the other. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/text.h"
#include "cli/sendmail.h"
#include "sys/clock.h"
#include "sys/random.h"
#include "sys/socket.h"

#define SOCKET "run/submit.sock"

enum {
	REPLY_MS = 60 * 1000, /* to a command */
	FINAL_MS = 5 * 60 *
	           1000, /* to the whole mail: giving up then is the one way to double it */
	PAUSE_FIRST_MS = 20,
	PAUSE_LAST_MS = 1000,
	PIECE = 64 * 1024,
	RECIPIENTS = 100, /* of one mail, where the server does not say (RFC 5321, 4.5.3.1.8) */
	RECIPIENTS_MOST = 1000,
};

enum extension {
	EXT_SIZE = 1 << 0,
	EXT_8BIT = 1 << 1,
	EXT_UTF8 = 1 << 2,
	EXT_DSN = 1 << 3,
	EXT_KEY = 1 << 4,
};

enum step { STEP_DONE, STEP_AGAIN, STEP_FULL /* no more recipients in this mail */, STEP_REFUSED };

struct talk {
	struct sendmail *s;
	const struct sendmail_message *m;
	int fd;
	struct buf in, out;
	size_t used; /* of in: the reply that was read last */
	unsigned extensions;
	size_t recipients_max;
	struct bytes reply; /* the last reply's text, all its lines */
	unsigned code;
	uint8_t key[16];
	size_t first,
	        count; /* recipients of the mail under way; count 0: not begun. They stay the same when it is sent again */
	bool fixed;     /* ... because its end may have been reached */
	bool unknown;   /* ... and was lost on the way back */
	int exit_code;  /* with STEP_REFUSED */
	struct why why; /* of STEP_AGAIN */
};

/* ---- replies ---- */

static enum step again(struct talk *t, const char *what)
{
	(void)why_set(&t->why, UNAVAILABLE, "%s", what);
	return STEP_AGAIN;
}

static void say_text(struct talk *t, struct bytes *ret)
{
	*ret = bytes_trim(t->reply);
	while (ret->len > 0 && bytes_find_char(*ret, '\n') != BYTES_NONE)
		*ret = bytes_skip(*ret, bytes_find_char(*ret, '\n') + 1);
}

static struct bytes enhanced(struct bytes reply)
{
	struct bytes text = bytes_skip(reply, 4);
	size_t blank = bytes_find_char(text, ' ');

	return blank == BYTES_NONE ? (struct bytes){0} : bytes_first(text, blank);
}

/* What an enhanced status code (RFC 3463) is in sysexits.h; a prefix each, the first that fits. */
static int exit_of(struct bytes status)
{
	static const struct {
		struct bytes prefix;
		int code;
	} table[] = {
	        {BYTES("5.1.1"), EX_NOUSER},  {BYTES("5.1.0"), EX_NOUSER},
	        {BYTES("5.1.2"), EX_NOHOST},  {BYTES("5.1.10"), EX_NOHOST},
	        {BYTES("5.1."), EX_DATAERR},  {BYTES("5.2."), EX_UNAVAILABLE},
	        {BYTES("5.3.4"), EX_DATAERR}, {BYTES("5.5."), EX_PROTOCOL},
	        {BYTES("5.6."), EX_DATAERR},  {BYTES("5.7."), EX_NOPERM},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (bytes_equal(status, table[i].prefix) ||
		    (table[i].prefix.ptr[table[i].prefix.len - 1] == '.' &&
		     bytes_starts(status, table[i].prefix)))
			return table[i].code;
	return EX_UNAVAILABLE;
}

/* A reply that is not what was hoped for. */
static enum step refused(struct talk *t, const char *about, struct bytes subject)
{
	struct bytes text;

	say_text(t, &text);
	if (t->code == 421 || t->code == 451) {
		(void)why_set(&t->why, UNAVAILABLE, "%.*s", BYTES_ARG(bytes_first(text, 200)));
		return STEP_AGAIN;
	}
	t->exit_code = t->code / 100 == 4 ? EX_TEMPFAIL : exit_of(enhanced(text));
	sendmail_fail(t->s, 0, "%s%s%.*s%s%.*s", about, subject.len ? " <" : "", BYTES_ARG(subject),
	              subject.len ? ">: " : ": ", BYTES_ARG(bytes_first(text, 1000)));
	return STEP_REFUSED;
}

/* A whole reply at the head of t->in: its length, or 0. */
static size_t reply_len(struct bytes in)
{
	size_t at = 0, end;

	while ((end = bytes_find_char(bytes_skip(in, at), '\n')) != BYTES_NONE) {
		struct bytes line = bytes_first(bytes_skip(in, at), end);

		at += end + 1;
		if (line.len < 4 || line.ptr[3] != '-')
			return at;
	}
	return 0;
}

static enum step read_reply(struct talk *t, int timeout_ms)
{
	size_t n = 0;
	uint64_t code;

	buf_consume(&t->in, t->used);
	t->used = 0;
	while ((t->used = reply_len(buf_bytes(&t->in))) == 0) {
		if (buf_len(&t->in) > PIECE)
			return again(t, "the server speaks nonsense");
		if (socket_wait(t->fd, false, timeout_ms) != OK)
			return again(t, "the server does not answer");
		if (socket_read(t->fd, buf_room(&t->in, PIECE), PIECE, &n) != OK || n == 0)
			return again(t, "the server closed the connection");
		buf_added(&t->in, n);
	}
	t->reply = bytes_first(buf_bytes(&t->in), t->used);
	if (bytes_to_u64(bytes_first(t->reply, 3), 599, &code) != OK)
		return again(t, "the server speaks nonsense");
	t->code = (unsigned)code;
	return STEP_DONE;
}

/* ---- sending ---- */

/* A server that refuses a mail in the middle says so and reads on; one that says goodbye has said why. */
static enum step send_out(struct talk *t)
{
	while (buf_len(&t->out)) {
		size_t n = 0;
		enum result r = socket_write(t->fd, buf_bytes(&t->out), &n);

		if (r == OK)
			buf_consume(&t->out, n);
		else if (r != UNAVAILABLE)
			return again(t, "the server closed the connection");
		else if (socket_wait(t->fd, true, REPLY_MS) != OK)
			return again(t, "the server takes nothing");
	}
	return STEP_DONE;
}

/* Sends what is in out, reads the reply; done when it is of the class that is wanted (2 or 3). */
static enum step ask(struct talk *t, unsigned wanted, int timeout_ms, const char *about,
                     struct bytes subject)
{
	enum step step = send_out(t);

	if (step == STEP_DONE)
		step = read_reply(t, timeout_ms);
	if (step != STEP_DONE)
		return step;
	return t->code / 100 == wanted ? STEP_DONE : refused(t, about, subject);
}

static enum step connect_to(struct talk *t)
{
	enum result r = socket_connect_unix(t->s->dirfd, SOCKET, &t->fd, &t->why);

	if (r == OK) {
		socket_set_blocking(t->fd, false);
		return ask(t, 2, REPLY_MS, "the server", (struct bytes){0});
	}
	if (r == NOT_FOUND)
		return again(t, "no server runs");
	if (r != DENIED)
		return STEP_AGAIN; /* for a reason that may pass */
	t->exit_code = EX_NOPERM;
	sendmail_fail(t->s, 0, "%s/%s", t->s->directory, t->why.text);
	return STEP_REFUSED;
}

static void hang_up(struct talk *t)
{
	socket_close(&t->fd);
	buf_clear(&t->in);
	buf_clear(&t->out);
	t->used = 0;
}

/* ---- EHLO ---- */

static void learn_limits(struct talk *t, struct bytes words)
{
	struct bytes word;
	uint64_t n;

	while (bytes_cut(&words, ' ', &word))
		if (bytes_starts_nocase(word, BYTES("RCPTMAX=")) &&
		    bytes_to_u64(bytes_trim(bytes_skip(word, 8)), RECIPIENTS_MOST, &n) == OK &&
		    n > 0)
			t->recipients_max = (size_t)n;
}

static void learn(struct talk *t)
{
	static const struct {
		struct bytes word;
		unsigned bit;
	} known[] = {
	        {BYTES("SIZE"), EXT_SIZE},     {BYTES("8BITMIME"), EXT_8BIT},
	        {BYTES("SMTPUTF8"), EXT_UTF8}, {BYTES("DSN"), EXT_DSN},
	        {BYTES("XKEY"), EXT_KEY},
	};
	struct bytes rest = t->reply, line;

	t->extensions = 0;
	t->recipients_max = RECIPIENTS;
	while (bytes_cut(&rest, '\n', &line)) {
		struct bytes words = bytes_trim(bytes_skip(line, 4)), word = words;
		size_t blank = bytes_find_char(words, ' ');

		if (blank != BYTES_NONE)
			word = bytes_first(words, blank);
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			if (bytes_equal_nocase(word, known[i].word))
				t->extensions |= known[i].bit;
		if (bytes_equal_nocase(word, BYTES("LIMITS")))
			learn_limits(t, bytes_skip(words, 6));
	}
}

static enum step hello(struct talk *t)
{
	enum step step;

	buf_printf(&t->out, "EHLO %.*s\r\n", BYTES_ARG(t->s->host));
	step = ask(t, 2, REPLY_MS, "EHLO", (struct bytes){0});
	if (step == STEP_DONE)
		learn(t);
	return step;
}

/* ---- the envelope ---- */

/* RFC 3461, 4 */
static void put_xtext(struct buf *out, const char *text)
{
	for (; *text; text++)
		if (*text > ' ' && *text < 0x7f && *text != '+' && *text != '=')
			buf_append_char(out, *text);
		else
			buf_printf(out, "+%02X", (unsigned char)*text);
}

static bool needs_utf8(const struct talk *t)
{
	bool needs = !text_is_ascii(t->s->sender);

	for (size_t i = t->first; i < t->first + t->count && !needs; i++)
		needs = !text_is_ascii(t->s->recipients.items[i]);
	return needs;
}

/* One key a mail: where its recipients are several mails, each has its own. */
static void put_key(struct talk *t)
{
	uint8_t key[16];

	memcpy(key, t->key, sizeof(key));
	for (int i = 0; i < 4; i++)
		key[15 - i] ^= (uint8_t)(t->first >> (8 * i));
	buf_append_text(&t->out, " XKEY=");
	encode_hex(&t->out, bytes_of(key, sizeof(key)));
}

static enum step say_mail(struct talk *t)
{
	const struct sendmail *s = t->s;

	buf_printf(&t->out, "MAIL FROM:<%.*s>", BYTES_ARG(s->sender));
	if (t->extensions & EXT_SIZE)
		buf_printf(&t->out, " SIZE=%llu", (unsigned long long)sendmail_message_size(t->m));
	if (t->extensions & EXT_8BIT && t->m->eight_bit)
		buf_append_text(&t->out, " BODY=8BITMIME");
	if (t->extensions & EXT_UTF8 && needs_utf8(t))
		buf_append_text(&t->out, " SMTPUTF8");
	if (t->extensions & EXT_DSN && s->ret)
		buf_printf(&t->out, " RET=%s", s->ret);
	if (t->extensions & EXT_DSN && s->envid) {
		buf_append_text(&t->out, " ENVID=");
		put_xtext(&t->out, s->envid);
	}
	if (t->extensions & EXT_KEY)
		put_key(t);
	buf_append_text(&t->out, "\r\n");
	return ask(t, 2, REPLY_MS, "sender", s->sender);
}

static enum step say_rcpt(struct talk *t, struct bytes address)
{
	enum step step;

	buf_printf(&t->out, "RCPT TO:<%.*s>", BYTES_ARG(address));
	if (t->extensions & EXT_DSN && t->s->notify)
		buf_printf(&t->out, " NOTIFY=%s", t->s->notify);
	buf_append_text(&t->out, "\r\n");
	step = send_out(t);
	if (step == STEP_DONE)
		step = read_reply(t, REPLY_MS);
	if (step != STEP_DONE || t->code / 100 == 2)
		return step;
	/* RFC 5321, 4.5.3.1.10: the rest goes in another mail. */
	if (t->code == 452 && bytes_equal(enhanced(t->reply), BYTES("4.5.3")))
		return STEP_FULL;
	return refused(t, "recipient", address);
}

static enum step say_rcpts(struct talk *t)
{
	const struct sendmail_list *all = &t->s->recipients;

	for (size_t i = 0; i < t->count; i++) {
		enum step step = say_rcpt(t, all->items[t->first + i]);

		if (step == STEP_FULL && i > 0 && !t->fixed) {
			t->count = i;
			return STEP_DONE;
		}
		if (step != STEP_DONE)
			return step == STEP_FULL ? refused(t, "recipient", all->items[t->first + i])
			                         : step;
	}
	return STEP_DONE;
}

/* ---- the content ---- */

/* A dot at the beginning of a line is doubled (RFC 5321, 4.5.2). */
static void put_stuffed(struct buf *out, struct bytes data, bool *line_start)
{
	while (data.len > 0) {
		size_t end = bytes_find_char(data, '\n');
		size_t n = end == BYTES_NONE ? data.len : end + 1;

		if (*line_start && data.ptr[0] == '.')
			buf_append_char(out, '.');
		buf_append(out, bytes_first(data, n));
		*line_start = end != BYTES_NONE;
		data = bytes_skip(data, n);
	}
}

static enum step send_content(struct talk *t)
{
	char room[PIECE];
	bool line_start = true;
	uint64_t offset = 0;
	enum step step;
	size_t n;

	put_stuffed(&t->out, buf_bytes(&t->m->header), &line_start);
	buf_append_text(&t->out, "\r\n");
	step = send_out(t);
	while (step == STEP_DONE) {
		if (!sendmail_message_body(t->m, offset, room, sizeof(room), &n)) {
			t->exit_code = sendmail_fail(t->s, EX_IOERR,
			                             "cannot read the message back");
			return STEP_REFUSED;
		}
		if (n == 0)
			break;
		offset += n;
		put_stuffed(&t->out, bytes_of(room, n), &line_start);
		step = send_out(t);
	}
	return step;
}

static enum step send_end(struct talk *t)
{
	enum step step;

	buf_append_text(&t->out, ".\r\n");
	/* From here on it may be durable, whatever becomes of the connection. */
	t->fixed = true;
	step = send_out(t);
	if (step == STEP_DONE)
		step = read_reply(t, FINAL_MS);
	t->unknown = step == STEP_AGAIN;
	if (step != STEP_DONE)
		return step;
	t->fixed = t->code / 100 == 2;
	return t->code / 100 == 2 ? STEP_DONE : refused(t, "message", (struct bytes){0});
}

/* ---- a mail, and all of them ---- */

static void say_accepted(struct talk *t)
{
	struct bytes text;

	if (!t->s->verbose)
		return;
	say_text(t, &text);
	/* "250 2.0.0 OK queued as ID": the last word is the id. */
	printf("%.*s\n", BYTES_ARG(bytes_skip(text, bytes_find_last(text, ' ') + 1)));
}

static enum step send_one(struct talk *t)
{
	enum step step;

	if (t->count == 0) {
		size_t left = t->s->recipients.count - t->first;

		t->count = left < t->recipients_max ? left : t->recipients_max;
	}
	step = say_mail(t);
	if (step == STEP_DONE)
		step = say_rcpts(t);
	if (step != STEP_DONE)
		return step;
	buf_append_text(&t->out, "DATA\r\n");
	step = ask(t, 3, REPLY_MS, "message", (struct bytes){0});
	if (step == STEP_DONE)
		step = send_content(t);
	if (step == STEP_DONE)
		step = send_end(t);
	if (step != STEP_DONE)
		return step;
	say_accepted(t);
	t->first += t->count;
	t->count = 0;
	t->fixed = t->unknown = false;
	return STEP_DONE;
}

static enum step try_once(struct talk *t)
{
	enum step step = connect_to(t);

	if (step == STEP_DONE)
		step = hello(t);
	/* Without a key nobody could tell a second copy from the first one. */
	if (step == STEP_DONE && t->unknown && !(t->extensions & EXT_KEY)) {
		t->exit_code = EX_TEMPFAIL;
		step = STEP_REFUSED;
	}
	while (step == STEP_DONE && t->first < t->s->recipients.count)
		step = send_one(t);
	if (step == STEP_DONE) {
		buf_append_text(&t->out, "QUIT\r\n");
		(void)send_out(t);
	}
	hang_up(t);
	return step;
}

static time_ms monotonic_ms(void)
{
	return (time_ms)(clock_monotonic_us() / 1000);
}

/* Waits a little longer each time, never beyond the end. False: time is over. */
static bool pause_before(time_ms *pause, time_ms end)
{
	time_ms left = end - monotonic_ms();
	time_ms ms = *pause / 2 + (time_ms)(random_u64() % (uint64_t)*pause);

	if (left <= 0)
		return false;
	(void)poll(NULL, 0, (int)(ms < left ? ms : left));
	*pause = 2 * *pause < PAUSE_LAST_MS ? 2 * *pause : PAUSE_LAST_MS;
	return true;
}

static int give_up(struct talk *t)
{
	if (t->exit_code != EX_TEMPFAIL)
		sendmail_fail(t->s, 0, "nothing was sent within %lld s: %s",
		              (long long)(t->s->wait_ms / 1000), t->why.text);
	if (t->unknown)
		sendmail_fail(
		        t->s, 0,
		        "the server got the whole message and its answer was lost: it may have "
		        "been taken");
	if (t->first > 0)
		sendmail_fail(t->s, 0, "the first %zu of %zu recipients had been sent to", t->first,
		              t->s->recipients.count);
	return EX_TEMPFAIL;
}

static int deliver(struct talk *t)
{
	time_ms end = TIME_NEVER, pause = PAUSE_FIRST_MS;
	enum step step;

	while ((step = try_once(t)) == STEP_AGAIN) {
		if (end == TIME_NEVER)
			end = monotonic_ms() + t->s->wait_ms;
		if (t->s->verbose)
			sendmail_fail(t->s, 0, "trying again: %s", t->why.text);
		if (!pause_before(&pause, end))
			return give_up(t);
	}
	if (step == STEP_DONE)
		return EX_OK;
	if (t->unknown || t->first > 0)
		(void)give_up(t);
	return t->exit_code;
}

static void talk_done(struct talk *t)
{
	socket_close(&t->fd);
	buf_done(&t->in);
	buf_done(&t->out);
}

int sendmail_send(struct sendmail *s, const struct sendmail_message *m)
{
	struct talk t = {.s = s, .m = m, .fd = -1};
	int code;

	random_fill(t.key, sizeof(t.key));
	code = deliver(&t);
	talk_done(&t);
	return code;
}

/* ---- -bs: SMTP on stdin and stdout, octet by octet ---- */

static bool write_stdout(struct bytes data)
{
	while (data.len > 0) {
		ssize_t n = write(STDOUT_FILENO, data.ptr, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data = bytes_skip(data, (size_t)n);
	}
	return true;
}

/* From the server to stdout. False: over. */
static bool carry_down(struct talk *t)
{
	char room[PIECE];
	size_t n = 0;
	enum result r = socket_read(t->fd, room, sizeof(room), &n);

	return r == UNAVAILABLE || (r == OK && n > 0 && write_stdout(bytes_of(room, n)));
}

/* From stdin to the server; *stdin_open: false after its end. */
static bool carry_up(struct talk *t, bool *stdin_open)
{
	ssize_t n = read(STDIN_FILENO, buf_room(&t->out, PIECE), PIECE);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	*stdin_open = n > 0;
	if (n == 0)
		socket_shutdown(t->fd);
	buf_added(&t->out, (size_t)n);
	return true;
}

static bool push(struct talk *t)
{
	size_t n = 0;
	enum result r = OK;

	while (r == OK && buf_len(&t->out)) {
		r = socket_write(t->fd, buf_bytes(&t->out), &n);
		if (r == OK)
			buf_consume(&t->out, n);
	}
	return r == OK || r == UNAVAILABLE;
}

static int bridge(struct talk *t)
{
	bool stdin_open = true, alive = write_stdout(t->reply);

	while (alive) {
		struct pollfd p[] = {
		        {t->fd, (short)(POLLIN | (buf_len(&t->out) ? POLLOUT : 0)), 0},
		        {stdin_open && buf_len(&t->out) == 0 ? STDIN_FILENO : -1, POLLIN, 0},
		};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return EX_OSERR;
		if (p[1].revents)
			alive = carry_up(t, &stdin_open);
		if (alive)
			alive = push(t);
		if (alive && p[0].revents & (POLLIN | POLLHUP | POLLERR))
			alive = carry_down(t);
	}
	return EX_OK;
}

int sendmail_bridge(struct sendmail *s)
{
	struct talk t = {.s = s, .fd = -1};
	time_ms end = monotonic_ms() + s->wait_ms, pause = PAUSE_FIRST_MS;
	enum step step;
	int code;

	while ((step = connect_to(&t)) == STEP_AGAIN && pause_before(&pause, end))
		hang_up(&t);
	if (step == STEP_DONE) {
		code = bridge(&t);
	} else {
		code = step == STEP_AGAIN ? EX_TEMPFAIL : t.exit_code;
		(void)write_stdout(BYTES("421 4.3.2 The mail server is not running just now\r\n"));
	}
	talk_done(&t);
	return code;
}
