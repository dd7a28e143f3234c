#include "cli/sendmail.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "mail/address.h"
#include "sys/file.h"
#include "sys/random.h"

#ifndef HIKYAKU_DIRECTORY
#define HIKYAKU_DIRECTORY "/var/lib/hikyaku"
#endif
#define DIRECTORY_FILE "/etc/hikyaku/dir"

enum { CONF_MAX = 16 * 1024 * 1024, RECIPIENTS_MAX = 100000 };

int sendmail_fail(const struct sendmail *s, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s: ", s->name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return code;
}

/* ---- addresses ---- */

static void list_add(struct sendmail *s, struct sendmail_list *l, struct bytes address)
{
	for (size_t i = 0; i < l->count && l->count < 1000; i++)
		if (bytes_equal(l->items[i], address))
			return;
	if (l->count == l->size) {
		l->size = l->size ? 2 * l->size : 16;
		l->items = memory_resize(l->items, l->size * sizeof(*l->items));
	}
	l->items[l->count++] = arena_copy(&s->arena, address);
}

/* What would end the command that it stands in, or is no address at all. */
static bool fits(struct bytes address)
{
	for (size_t i = 0; i < address.len; i++) {
		unsigned char c = (unsigned char)address.ptr[i];

		if (c < ' ' || c == 0x7f || c == '<' || c == '>')
			return false;
	}
	return address.len > 0 && address.len <= LIMIT_ADDRESS;
}

/* Programs write all kinds of things into To; only in what was named as recipient nothing may be passed over. */
static enum result no_address(const struct sendmail *s, struct bytes text, struct why *why)
{
	text = bytes_first(text, 100);
	if (!s->in_header)
		return why_set(why, INVALID, "\"%.*s\" is no address", BYTES_ARG(text));
	sendmail_fail(s, 0, "\"%.*s\" in the header is no address: passed over", BYTES_ARG(text));
	return OK;
}

enum result sendmail_add(struct sendmail *s, struct bytes list, struct bytes domain,
                         struct sendmail_list *to, struct why *why)
{
	struct arena arena = {0};
	struct buf text = {0};
	enum result r = OK;

	for (struct address *a = address_parse(list, &arena); a && r == OK; a = a->next) {
		if (a->kind != ADDRESS_MAILBOX)
			continue;
		if (a->bare && a->local.len == 0) {
			r = no_address(s, a->name, why);
			continue;
		}
		buf_clear(&text);
		address_put(a, &text);
		if (a->bare)
			buf_printf(&text, "@%.*s", BYTES_ARG(domain));
		if (!fits(buf_bytes(&text)) ||
		    (a->bare && bytes_find_char(a->local, ' ') != BYTES_NONE))
			r = no_address(s, a->local, why);
		else if (to->count >= RECIPIENTS_MAX)
			r = why_set(why, TOO_BIG, "more than %d recipients", RECIPIENTS_MAX);
		else
			list_add(s, to, buf_bytes(&text));
	}
	buf_done(&text);
	arena_done(&arena);
	return r;
}

/* ---- flags ---- */

enum flag_kind {
	FLAG_PLAIN,
	FLAG_VALUE,    /* attached, or the next word */
	FLAG_ATTACHED, /* attached, or none */
};

typedef int flag_function(struct sendmail *s, const char *value);

struct flag {
	char letter;
	enum flag_kind kind;
	flag_function *set; /* NULL: taken and ignored. Not EX_OK: it has said why */
};

static int flag_from_header(struct sendmail *s, const char *value)
{
	(void)value;
	s->from_header = true;
	return EX_OK;
}

static int flag_dot_is_text(struct sendmail *s, const char *value)
{
	(void)value;
	s->dot_is_text = true;
	return EX_OK;
}

static int flag_verbose(struct sendmail *s, const char *value)
{
	(void)value;
	s->verbose = true;
	return EX_OK;
}

static int flag_sender(struct sendmail *s, const char *value)
{
	s->sender = arena_copy(&s->arena, bytes_of_text(value));
	s->sender_given = true;
	return EX_OK;
}

static int flag_full_name(struct sendmail *s, const char *value)
{
	s->full_name = arena_copy(&s->arena, bytes_of_text(value));
	return EX_OK;
}

/* -oi is -i; no other option has a meaning here: -oem, -oee, -odb, -o7 ... */
static int flag_option(struct sendmail *s, const char *value)
{
	if (strcmp(value, "i") == 0)
		s->dot_is_text = true;
	return EX_OK;
}

static int flag_mode(struct sendmail *s, const char *value)
{
	switch (value[0]) {
	case 'm':
	case 'a': s->mode = SENDMAIL_DELIVER; return EX_OK;
	case 's': s->mode = SENDMAIL_SMTP; return EX_OK;
	case 'p': s->mode = SENDMAIL_QUEUE; return EX_OK;
	case 'i': s->mode = SENDMAIL_ALIASES; return EX_OK;
	case 'd':
	case 'D':
		return sendmail_fail(
		        s, EX_USAGE,
		        "-b%c: this command runs no server; that is: hikyaku serve DIR", value[0]);
	default:
		return sendmail_fail(s, EX_USAGE,
		                     "-b%s: unknown; -bm, -bs, -bp and -bi are understood", value);
	}
}

static int flag_flush(struct sendmail *s, const char *value)
{
	(void)value;
	s->mode = SENDMAIL_FLUSH;
	return EX_OK;
}

static int flag_init_aliases(struct sendmail *s, const char *value)
{
	(void)value;
	s->mode = SENDMAIL_ALIASES;
	return EX_OK;
}

static int flag_notify(struct sendmail *s, const char *value)
{
	s->notify = value;
	return EX_OK;
}

static int flag_return(struct sendmail *s, const char *value)
{
	if (strcasecmp(value, "full") != 0 && strcasecmp(value, "hdrs") != 0)
		return sendmail_fail(s, EX_USAGE, "-R takes full or hdrs");
	s->ret = value;
	return EX_OK;
}

static int flag_envid(struct sendmail *s, const char *value)
{
	s->envid = value;
	return EX_OK;
}

static int flag_directory(struct sendmail *s, const char *value)
{
	s->directory = value;
	return EX_OK;
}

static const struct flag flags[] = {
        {'t', FLAG_PLAIN, flag_from_header},
        {'i', FLAG_PLAIN, flag_dot_is_text},
        {'v', FLAG_PLAIN, flag_verbose},
        {'f', FLAG_VALUE, flag_sender},
        {'r', FLAG_VALUE, flag_sender},
        {'F', FLAG_VALUE, flag_full_name},
        {'o', FLAG_VALUE, flag_option},
        {'b', FLAG_VALUE, flag_mode},
        {'q', FLAG_ATTACHED, flag_flush},
        {'I', FLAG_PLAIN, flag_init_aliases},
        {'N', FLAG_VALUE, flag_notify},
        {'R', FLAG_VALUE, flag_return},
        {'V', FLAG_VALUE, flag_envid},
        {'C', FLAG_VALUE, flag_directory},
        {'B', FLAG_VALUE, NULL}, /* 8-bit mail is seen, not believed */
        {'G', FLAG_PLAIN, NULL},
        {'U', FLAG_PLAIN, NULL},
        {'n', FLAG_PLAIN, NULL},
        {'m', FLAG_PLAIN, NULL},
        {'c', FLAG_PLAIN, NULL},
        {'s', FLAG_PLAIN, NULL},
        {'e', FLAG_VALUE, NULL}, /* where errors go: stderr and the exit code */
        {'h', FLAG_VALUE, NULL},
        {'L', FLAG_VALUE, NULL},
        {'O', FLAG_VALUE, NULL},
        {'p', FLAG_VALUE, NULL},
        {'A', FLAG_VALUE, NULL}, /* -Ac, -Am */
        {'X', FLAG_VALUE, NULL}, /* a log file: nothing is ever written where a caller says */
        {'d', FLAG_ATTACHED, NULL},
        {'x', FLAG_PLAIN, NULL},
};

static const struct flag *find_flag(char letter)
{
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (flags[i].letter == letter)
			return &flags[i];
	return NULL;
}

static void print_usage(FILE *to)
{
	fputs("usage: sendmail [-ti] [-f SENDER] [-F NAME] [-v] [--] [RECIPIENT...] < message\n"
	      "       sendmail -bs   SMTP on stdin and stdout\n"
	      "       sendmail -bp   mailq: the queue, for root and the server's owner\n"
	      "       sendmail -bi   newaliases: check the aliases and reload\n"
	      "\n"
	      "  -t             recipients from To, Cc and Bcc as well\n"
	      "  -i             a line with a lone dot does not end the message\n"
	      "  -f, -r ADDR    the envelope's sender; -F NAME  the name in an added From\n"
	      "  -v             print the mail's id\n"
	      "  -N, -R, -V     delivery reports: never or success,failure,delay; full or hdrs; an "
	      "id\n"
	      "  -C DIR         the server's folder (else $HIKYAKU_DIR, " DIRECTORY_FILE ",\n"
	      "                 " HIKYAKU_DIRECTORY ")\n"
	      "  --wait TIME    how long to wait for a server that restarts (30s, 5m)\n"
	      "\n"
	      "Exit codes are those of sysexits.h: 0 once the mail is durable, 75 try again "
	      "later.\n",
	      to);
}

/* 90, 90s, 5m, 1h */
static bool parse_wait(const char *text, time_ms *ret)
{
	struct bytes b = bytes_of_text(text);
	uint64_t n, unit = 1000;

	if (b.len > 0 && !text_is_digit(b.ptr[b.len - 1])) {
		char last = b.ptr[b.len - 1];

		unit = last == 's' ? 1000 : last == 'm' ? 60000 : last == 'h' ? 3600000 : 0;
		b = bytes_first(b, b.len - 1);
	}
	if (unit == 0 || bytes_to_u64(b, 1000000, &n) != OK)
		return false;
	*ret = (time_ms)(n * unit);
	return true;
}

/* --word or --word=value; next is the following word or NULL. *ret_taken: how many words. */
static int long_flag(struct sendmail *s, const char *word, const char *next, int *ret_taken)
{
	const char *value = strchr(word, '=');

	*ret_taken = 1;
	if (strcmp(word, "--help") == 0 || strcmp(word, "--version") == 0) {
		if (strcmp(word, "--help") == 0)
			print_usage(stdout);
		else
			puts("hikyaku " HIKYAKU_VERSION " sendmail");
		s->mode = SENDMAIL_NOTHING;
		return EX_OK;
	}
	if (strncmp(word, "--wait", 6) != 0 || (word[6] && word[6] != '='))
		return sendmail_fail(s, EX_USAGE, "unknown option %s", word);
	if (!value && next)
		*ret_taken = 2;
	value = value ? value + 1 : next;
	if (!value || !parse_wait(value, &s->wait_ms))
		return sendmail_fail(s, EX_USAGE, "--wait takes a time, such as 30s or 5m");
	return EX_OK;
}

/* -tif ADDR, -fADDR: one word of letters. */
static int short_flags(struct sendmail *s, const char *word, const char *next, int *ret_taken)
{
	*ret_taken = 1;
	for (const char *at = word + 1; *at; at++) {
		const struct flag *f = find_flag(*at);
		const char *value = at + 1;
		int code;

		if (!f)
			return sendmail_fail(s, EX_USAGE, "unknown option -%c (sendmail --help)",
			                     *at);
		if (f->kind == FLAG_VALUE && !*value) {
			if (!next)
				return sendmail_fail(s, EX_USAGE, "-%c needs a value", *at);
			value = next;
			*ret_taken = 2;
		}
		code = f->set ? f->set(s, f->kind == FLAG_PLAIN ? "" : value) : EX_OK;
		if (code != EX_OK || f->kind != FLAG_PLAIN)
			return code;
	}
	return EX_OK;
}

/* Recipients are kept as words until the domain of bare ones is known. */
static int read_words(struct sendmail *s, int argc, char **argv, struct sendmail_list *words)
{
	bool only_words = false;

	for (int i = 1, taken = 1; i < argc; i += taken) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		int code = EX_OK;

		taken = 1;
		if (only_words || argv[i][0] != '-' || !argv[i][1]) {
			list_add(s, words, bytes_of_text(argv[i]));
			continue;
		}
		if (strcmp(argv[i], "--") == 0)
			only_words = true;
		else if (argv[i][1] == '-')
			code = long_flag(s, argv[i], next, &taken);
		else
			code = short_flags(s, argv[i], next, &taken);
		if (code != EX_OK)
			return code;
	}
	return EX_OK;
}

/* ---- the instance ---- */

/* The first line of /etc/hikyaku/dir. */
static const char *directory_of_machine(struct sendmail *s)
{
	char line[4096];
	FILE *f = fopen(DIRECTORY_FILE, "re");
	struct bytes text = {0};

	if (f && fgets(line, sizeof(line), f))
		text = bytes_trim(bytes_of_text(line));
	if (f)
		fclose(f);
	return text.len > 0 ? arena_text(&s->arena, text) : HIKYAKU_DIRECTORY;
}

static int open_directory(struct sendmail *s)
{
	const char *asked = s->directory, *environment = getenv("HIKYAKU_DIR");

	if (!asked && environment && *environment)
		asked = environment;
	s->directory = asked ? asked : directory_of_machine(s);
	s->dirfd = open(s->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd >= 0)
		return EX_OK;
	return sendmail_fail(
	        s, EX_CONFIG,
	        "%s: %s (the server's folder comes from -C, $HIKYAKU_DIR, " DIRECTORY_FILE
	        " or is " HIKYAKU_DIRECTORY ")",
	        s->directory, strerror(errno));
}

/* Certificates are named by options; that they are there is the server's business. */
static size_t name_certificates(struct file_system *etc, struct arena *arena,
                                struct config_source *sources, size_t room)
{
	const char **names;
	size_t count = 0, kept = 0;

	if (file_list(etc, "tls", arena, &names, &count, NULL) != OK)
		return 0;
	for (size_t i = 0; i < count && kept < room; i++)
		sources[kept++].name = arena_printf(arena, "tls/%s", names[i]);
	return kept;
}

/* Everybody may read etc/. A file that is broken just now leaves the server with the former one, and us with defaults. */
static void read_config(struct sendmail *s)
{
	enum { SOURCES = 1024 };
	struct config_source *sources = arena_get(&s->arena, SOURCES * sizeof(*sources));
	int fd = openat(s->dirfd, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct buf text = {0};
	struct file_system *etc;
	size_t count = 1;

	if (fd < 0)
		return;
	etc = file_system_real_new(fd);
	close(fd);
	if (file_read_all(etc, "hikyaku.conf", CONF_MAX, &text, NULL) == OK) {
		sources[0] = (struct config_source){BYTES("hikyaku.conf"), buf_bytes(&text)};
		count += name_certificates(etc, &s->arena, sources + 1, SOURCES - 1);
		if (config_parse(sources, count, &s->config, NULL) != OK)
			s->config = NULL;
	}
	buf_done(&text);
	file_system_free(&etc);
}

/* ---- who calls ---- */

/* The first part of passwd's gecos; & is the name with a capital (passwd(5) of old). */
static struct bytes name_of_gecos(struct sendmail *s, const struct passwd *p)
{
	struct bytes gecos = bytes_of_text(p->pw_gecos), part;
	struct buf out = {0};
	struct bytes name;

	if (!bytes_cut(&gecos, ',', &part))
		return (struct bytes){0};
	for (size_t i = 0; i < part.len; i++)
		if (part.ptr[i] != '&') {
			buf_append_char(&out, part.ptr[i]);
		} else if (p->pw_name[0]) {
			buf_append_char(&out, text_upper_char(p->pw_name[0]));
			buf_append_text(&out, p->pw_name + 1);
		}
	name = arena_copy(&s->arena, bytes_trim(buf_bytes(&out)));
	buf_done(&out);
	return name;
}

static void know_user(struct sendmail *s)
{
	const struct passwd *p = getpwuid(geteuid());

	s->user = p && p->pw_name[0] ? arena_copy(&s->arena, bytes_of_text(p->pw_name))
	                             : arena_printf(&s->arena, "uid%u", (unsigned)geteuid());
	if (p && s->full_name.len == 0)
		s->full_name = name_of_gecos(s, p);
}

static void know_names(struct sendmail *s)
{
	char host[256] = "localhost";

	if (s->config) {
		config_users_set(s->config, arena_printf(&s->arena, "%.*s:x:%u:\n",
		                                         BYTES_ARG(s->user), (unsigned)geteuid()));
		s->host = s->config->hostname;
		s->domain = s->config->domains.count ? s->config->domains.items[0] : s->host;
		s->own = config_user_sender(s->config, geteuid(), &s->arena);
		if (s->wait_ms < 0)
			s->wait_ms = s->config->sendmail_wait_ms;
		return;
	}
	(void)gethostname(host, sizeof(host) - 1);
	s->host = s->domain = arena_copy(&s->arena, bytes_of_text(host));
	s->own = arena_printf(&s->arena, "%.*s@%s", BYTES_ARG(s->user), host);
	if (s->wait_ms < 0)
		s->wait_ms = 60000;
}

static int choose_sender(struct sendmail *s)
{
	struct sendmail_list one = {0};
	struct why why;
	struct bytes asked = bytes_trim(s->sender);
	int code = EX_OK;

	if (!s->sender_given || bytes_equal(asked, s->user)) {
		s->sender = s->own;
		return EX_OK;
	}
	if (asked.len == 0 || bytes_equal(asked, BYTES("<>"))) {
		s->sender = (struct bytes){0};
		return EX_OK;
	}
	if (sendmail_add(s, asked, s->host, &one, &why) != OK)
		code = sendmail_fail(s, EX_USAGE, "-f: %s", why.text);
	else if (one.count != 1)
		code = sendmail_fail(s, EX_USAGE, "-f takes one address");
	else
		s->sender = one.items[0];
	memory_free(one.items);
	return code;
}

/* ---- sending ---- */

static bool has_controls(struct bytes word)
{
	for (size_t i = 0; i < word.len; i++)
		if ((unsigned char)word.ptr[i] < ' ' || word.ptr[i] == 0x7f)
			return true;
	return false;
}

static int take_recipients(struct sendmail *s, const struct sendmail_list *words)
{
	struct why why;

	for (size_t i = 0; i < words->count; i++)
		if (has_controls(words->items[i]))
			return sendmail_fail(
			        s, EX_USAGE,
			        "a recipient's address has a line end or the like in it");
		else if (sendmail_add(s, words->items[i], s->domain, &s->recipients, &why) != OK)
			return sendmail_fail(s, EX_USAGE, "%s", why.text);
	if (s->recipients.count == 0 && !s->from_header)
		return sendmail_fail(s, EX_USAGE,
		                     "no recipients: name them, or -t takes them from the header");
	return EX_OK;
}

static int deliver(struct sendmail *s, const struct sendmail_list *words)
{
	struct sendmail_message m = {.file = -1};
	struct why why;
	uint64_t max = s->config ? s->config->smtp_message_max : 2147483647;
	int code = choose_sender(s);

	if (code == EX_OK)
		code = take_recipients(s, words);
	if (code == EX_OK)
		code = sendmail_message_read(s, STDIN_FILENO, max, &m);
	if (code == EX_OK && sendmail_header_finish(s, &m.header, &why) != OK)
		code = sendmail_fail(s, EX_DATAERR, "%s", why.text);
	if (code == EX_OK && s->recipients.count == 0)
		code = sendmail_fail(s, EX_DATAERR, "no recipients in the header");
	if (code == EX_OK)
		code = sendmail_send(s, &m);
	sendmail_message_done(&m);
	return code;
}

static int run(struct sendmail *s, const struct sendmail_list *words)
{
	int code = s->mode == SENDMAIL_NOTHING ? EX_OK : open_directory(s);

	if (code != EX_OK || s->mode == SENDMAIL_NOTHING)
		return code;
	read_config(s);
	know_user(s);
	know_names(s);
	switch (s->mode) {
	case SENDMAIL_SMTP: return sendmail_bridge(s);
	case SENDMAIL_QUEUE: return sendmail_mailq(s);
	case SENDMAIL_ALIASES: return sendmail_newaliases(s);
	case SENDMAIL_FLUSH: return sendmail_flush(s);
	default: return deliver(s, words);
	}
}

/* A caller may have closed any of them: what we open must not become one of these. */
static void hold_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
}

int sendmail_main(const char *name, const char *directory, int argc, char **argv)
{
	struct sendmail s = {.name = name, .directory = directory, .dirfd = -1, .wait_ms = -1};
	struct sendmail_list words = {0};
	uint8_t seed[16];
	int code;

	hold_standard_descriptors();
	random_fill(seed, sizeof(seed));
	map_seed(seed);
	if (strcmp(name, "mailq") == 0)
		s.mode = SENDMAIL_QUEUE;
	if (strcmp(name, "newaliases") == 0)
		s.mode = SENDMAIL_ALIASES;
	code = read_words(&s, argc, argv, &words);
	if (code == EX_OK)
		code = run(&s, &words);
	if (fflush(stdout) != 0 && code == EX_OK && s.mode != SENDMAIL_DELIVER)
		code = EX_IOERR;
	config_free(&s.config);
	if (s.dirfd >= 0)
		close(s.dirfd);
	memory_free(words.items);
	memory_free(s.recipients.items);
	arena_done(&s.arena);
	return code;
}
