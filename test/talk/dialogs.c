/* talk_dialogs FOLDER: chasquid's SMTP dialogs (test/data/smtp-dialogs/README.md has their form)
 * played against our server: port 25, and submission over TLS. Each connection of a dialog becomes a conversation; the
 * reply's code and, where it is given, its enhanced code must be theirs. Where ours differ, the table below says why. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "talk.h"

struct difference {
	const char *file;
	const char *theirs; /* as the dialog has it, after "c " */
	const char *ours;
	const char *reason;
};

static const struct difference differences[] = {
        {"auth_not_tls.cmy", "<- 503 5.7.10 You feel vulnerable", "502 5.5.1",
         "port 25 takes mail from strangers: AUTH is not offered there at all, also not with TLS"},
        {"auth_multi_dialog.cmy", "<~ 534", "504 5.5.4",
         "RFC 4954, 4: 504 is for a mechanism that is not known, 534 for one that is too weak"},
        {"auth_too_many_failures.cmy", "<~ 421 4.5.0 Too many errors, bye", "501 5.5.2",
         "how many errors are forgiven is a setting (smtp errors), three are not yet too many"},
        {"bad_data.cmy", "<~ 554 5.6.0 Error parsing message", "250 2.0.0",
         "a malformed header is no reason to refuse a mail: it is delivered as it is"},
        {"bad_rcpt_to.cmy", "<- 550 5.1.3 Destination address is invalid", "553 5.6.7",
         "RFC 6531, 3.5: a non-ASCII address without SMTPUTF8 is 553 with 5.6.7"},
        {"line_too_long.cmy", "<~ 554", "501 5.5.4",
         "570 octets are no line too long (ours may have 2048), but no host name either; "
         "RFC 5321, 4.5.3.1.9 gives 500 to a line that is"},
};

enum { DIFFERENCES = sizeof(differences) / sizeof(differences[0]) };

struct dialog {
	const char *file;
	struct bytes verify; /* what must be spooled; empty: not checked */
	struct buf script;
	bool connected;
};

/* ---- Python's string expressions: 'x' * 5, ('a' + 'b') * 3 ---- */

static bool expression(struct bytes *in, struct buf *out);

static void skip_blanks(struct bytes *in)
{
	while (in->len > 0 && text_is_blank(in->ptr[0]))
		*in = bytes_skip(*in, 1);
}

static bool take(struct bytes *in, char c)
{
	skip_blanks(in);
	if (in->len == 0 || in->ptr[0] != c)
		return false;
	*in = bytes_skip(*in, 1);
	return true;
}

static bool string(struct bytes *in, struct buf *out)
{
	size_t end = bytes_find_char(*in, '\'');
	struct arena arena = {0};

	if (end == BYTES_NONE)
		return false;
	buf_append(out, value_unescape(bytes_first(*in, end), false, &arena));
	*in = bytes_skip(*in, end + 1);
	arena_done(&arena);
	return true;
}

static bool times(struct bytes *in, struct buf *out)
{
	struct buf one = {0};
	size_t digits = 0;
	uint64_t n = 1;
	bool good = take(in, '\'') ? string(in, &one)
	                           : take(in, '(') && expression(in, &one) && take(in, ')');

	if (good && take(in, '*')) {
		skip_blanks(in);
		while (digits < in->len && text_is_digit(in->ptr[digits]))
			digits++;
		good = bytes_to_u64(bytes_first(*in, digits), 1000000, &n) == OK;
		*in = bytes_skip(*in, digits);
	}
	for (uint64_t i = 0; good && i < n; i++)
		buf_append(out, buf_bytes(&one));
	buf_done(&one);
	return good;
}

static bool expression(struct bytes *in, struct buf *out)
{
	do {
		if (!times(in, out))
			return false;
	} while (take(in, '+'));
	return true;
}

/* ---- one line ---- */

static const struct difference *difference_of(const struct dialog *d, struct bytes line)
{
	for (size_t i = 0; i < DIFFERENCES; i++)
		if (strcmp(differences[i].file, d->file) == 0 &&
		    bytes_equal(line, bytes_of_text(differences[i].theirs)))
			return &differences[i];
	return NULL;
}

/* "521 5.5.2 Error": what is held on to is "521 5.5.2". */
static struct bytes codes(struct bytes text)
{
	size_t len = 3;

	if (text.len > 8 && text_is_digit(text.ptr[4]) && text.ptr[5] == '.')
		len = 4 + bytes_find_char(bytes_skip(text, 4), ' ');
	return bytes_first(text, len);
}

static void expect(struct dialog *d, struct bytes line)
{
	const struct difference *other = difference_of(d, line);
	struct bytes code = codes(bytes_skip(line, 3));

	if (other) {
		printf("# %s: ours is %s: %s\n", d->file, other->ours, other->reason);
		code = bytes_of_text(other->ours);
	}
	/* What keeper says to this password shows in the reply. */
	if (bytes_starts(code, BYTES("235")))
		buf_append_text(&d->script,
		                "ASK: LOGIN\nANSWER: account=1 address=user@testserver\n");
	else if (bytes_starts(code, BYTES("535")))
		buf_append_text(&d->script, "ASK: LOGIN\nANSWER: DENIED\n");
	buf_printf(&d->script, "S: %.*s...\n", BYTES_ARG(code));
}

static void send_line(struct dialog *d, struct bytes text)
{
	struct buf crlf = {0};

	buf_printf(&d->script, "C: %.*s\n", BYTES_ARG(text));
	if (d->verify.len == 0 || !bytes_equal(text, BYTES(".")))
		return;
	for (size_t i = 0; i < d->verify.len; i++) {
		if (d->verify.ptr[i] == '\n')
			buf_append_char(&crlf, '\r');
		buf_append_char(&crlf, d->verify.ptr[i]);
	}
	buf_append_text(&d->script, "ASK: SPOOL chunk=\"");
	print_escaped(buf_bytes(&crlf), &d->script);
	buf_append_text(&d->script, "\"\nANSWER: OK\n");
	buf_done(&crlf);
}

static bool translate(struct dialog *d, struct bytes line)
{
	struct bytes text = bytes_skip(line, 3);
	struct buf octets = {0};
	bool good = true;

	if (bytes_starts(line, BYTES("->"))) {
		send_line(d, text);
	} else if (bytes_starts(line, BYTES("<-")) || bytes_starts(line, BYTES("<~"))) {
		expect(d, line);
	} else if (bytes_starts(line, BYTES("<..."))) {
		buf_printf(&d->script, "S* ...%.*s...\n", BYTES_ARG(bytes_skip(line, 5)));
	} else if (bytes_starts(line, BYTES("~>"))) {
		good = expression(&text, &octets);
		buf_append_text(&d->script, "C~ ");
		print_escaped(buf_bytes(&octets), &d->script);
		buf_append_char(&d->script, '\n');
		buf_done(&octets);
	} else {
		good = bytes_equal(line, BYTES("close"));
	}
	return good;
}

/* ---- a dialog ---- */

static const char prelude[] = "option message-size 1048576\nAUTO: ROUTE class=0\n"
                              "AUTO: COMMIT id=x\nAUTO: SPOOL_DROP OK\n";

static enum result play_connection(struct dialog *d, struct why *why)
{
	struct script s;
	struct record one = {0}, two = {0};
	enum result r;

	if (!d->connected)
		return OK;
	d->connected = false;
	r = script_read(d->file, buf_bytes(&d->script), &s, why);
	if (r == OK)
		r = script_play(&s, SPLIT_WHOLE, 0, &one, why);
	if (r == OK)
		r = script_play(&s, SPLIT_RANDOM, 1, &two, why);
	if (r == OK && !bytes_equal(buf_bytes(&one.output), buf_bytes(&two.output)))
		r = why_set(why, INVALID, "the output depends on the split");
	buf_done(&one.output);
	buf_done(&one.asks);
	buf_done(&two.output);
	buf_done(&two.asks);
	arena_done(&s.arena);
	buf_clear(&d->script);
	return r;
}

static enum result connect_to(struct dialog *d, struct bytes line, struct why *why)
{
	enum result r = play_connection(d, why);

	d->connected = true;
	buf_append_text(&d->script, prelude);
	if (!bytes_ends(line, BYTES(":1025")))
		buf_append_text(&d->script, "option submission 1\n");
	if (bytes_starts(line, BYTES("tls_connect")))
		buf_append_text(&d->script, "tls\n");
	if (d->verify.len == 0)
		buf_append_text(&d->script, "AUTO: SPOOL OK\n");
	return r;
}

static enum result play_dialog(struct dialog *d, struct bytes text, struct why *why)
{
	struct bytes line;
	enum result r = OK;

	while (r == OK && bytes_cut(&text, '\n', &line)) {
		if (!bytes_starts(line, BYTES("c ")))
			continue;
		line = bytes_skip(line, 2);
		if (bytes_starts(line, BYTES("tcp_connect")) ||
		    bytes_starts(line, BYTES("tls_connect")))
			r = connect_to(d, line, why);
		else if (!translate(d, line))
			r = why_set(why, INVALID, "unknown line: %.*s", BYTES_ARG(line));
	}
	return r == OK ? play_connection(d, why) : r;
}

/* ---- files ---- */

static bool read_file(const char *folder, const char *name, const char *end, struct buf *out)
{
	char path[1000];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s%s", folder, name, end);
	f = fopen(path, "rb");
	if (!f)
		return false;
	while ((n = fread(buf_room(out, 4096), 1, 4096, f)) > 0)
		buf_added(out, n);
	fclose(f);
	return true;
}

static int is_dialog(const struct dirent *e)
{
	return bytes_ends(bytes_of_text(e->d_name), BYTES(".cmy"));
}

static bool run_file(const char *folder, const char *name, int nth)
{
	struct buf text = {0}, verify = {0};
	struct dialog d = {.file = name};
	struct why why = {{0}};
	enum result r;

	(void)read_file(folder, name, ".verify", &verify);
	d.verify = buf_bytes(&verify);
	r = read_file(folder, name, "", &text) ? play_dialog(&d, buf_bytes(&text), &why) : FAILED;
	printf("%sok %d - %s\n", r == OK ? "" : "not ", nth, name);
	if (r != OK)
		printf("# %s\n", why.text);
	buf_done(&text);
	buf_done(&verify);
	buf_done(&d.script);
	return r == OK;
}

int main(int argc, char **argv)
{
	struct dirent **entries = NULL;
	int n, failed = 0;

	if (argc != 2)
		return 2;
	n = scandir(argv[1], &entries, is_dialog, alphasort);
	printf("1..%d\n", n < 0 ? 0 : n);
	for (int i = 0; i < n; i++) {
		failed += !run_file(argv[1], entries[i]->d_name, i + 1);
		free(entries[i]);
	}
	free(entries);
	return failed > 0 || n <= 0;
}
