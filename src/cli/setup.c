/* hikyaku setup: a folder that `serve` runs. Refuses where there is one already. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "cli/dkim.h"
#include "config/config.h"
#include "crypto/certificate.h"
#include "crypto/password.h"
#include "roles/owner.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/random.h"

struct folder {
	const char *name;
	mode_t mode;
};

/* Everybody may read etc/ (nothing in it is secret); keys/ and data/ are for one role each. */
static const struct folder folders[] = {
        {"etc", 0755}, {"etc/dot", 0755},  {"etc/tls", 0755}, {"keys", 0700},
        {"run", 0755}, {"keys/tls", 0700}, {"data", 0700},
};

struct setup {
	struct cli *c;
	int dirfd;
	struct file_system *fs;
	const char *hostname;
	struct bytes host; /* as A-labels */
	struct why why;
};

/* ---- the files' texts ---- */

static void add_words(const struct cli *c, struct buf *out, const char *option, const char *key)
{
	for (size_t i = 0; i < c->option_count; i++)
		if (strcmp(c->options[i].name, option) == 0)
			buf_printf(out, "%s %s\n", key, c->options[i].value);
}

/* The options that stand in the file only as comments: the table says what they mean. */
static void add_comments(struct buf *out)
{
	const char *section = "";

	for (size_t i = 0; i < config_option_count(); i++) {
		const struct config_option_info *o = config_option_info(i);

		if (strcmp(o->key, "hostname") == 0 || strcmp(o->key, "domain") == 0)
			continue;
		if (strcmp(o->section, section) != 0) {
			if (*section)
				buf_append_text(out, "# }\n");
			buf_printf(out, "\n# %s {\n", o->section);
			section = o->section;
		}
		buf_printf(out, "# %s%s %s%s# %s\n", *section ? "\t" : "", o->key, o->value,
		           *o->value ? "  " : "", o->help);
	}
	if (*section)
		buf_append_text(out, "# }\n");
}

/* The sections that are no lists of options, and that may stand several times. */
static const char section_text[] =
        "\n"
        "# Another way out than the recipient's MX: for mail to these domains (.example.org: all "
        "below\n"
        "# it), from these senders, or both; with neither only while port 25 is throttled, where\n"
        "# carry's fallback-route names it. The password is the first line of "
        "keys/smarthost/NAME.\n"
        "# route office {\n"
        "# \tto example.org .example.org\n"
        "# \tfrom example.com ken@example.net\n"
        "# \thost smtp.example.org\n"
        "# \tport 587\n"
        "# \ttls must  # may: where it is offered; implicit: from the first octet on, as on port "
        "465\n"
        "# \tuser ken\n"
        "# }\n"
        "\n"
        "# From which of our addresses, and under which name, mail of senders in these domains "
        "leaves.\n"
        "# source second {\n"
        "# \tdomain example.com\n"
        "# \taddress 192.0.2.1 2001:db8::1\n"
        "# \thelo mail.example.com\n"
        "# }\n"
        "\n"
        "# Listeners of your own: with any of these there are only these. What one leaves out is\n"
        "# as without it; a port that it names has nothing added. proxy-from: who must begin with\n"
        "# a PROXY header (v1 or v2).\n"
        "# listener behind-balancer {\n"
        "# \tprotocol smtp  # or imap, imaps, pop3, pop3s, submission, submissions\n"
        "# \taddress 192.0.2.1 2001:db8::1\n"
        "# \tport 25\n"
        "# \tproxy-from 192.0.2.0/24\n"
        "# }\n";

static void make_conf(const struct setup *s, struct buf *out)
{
	buf_append_text(
	        out,
	        "# Hikyaku's configuration. After a change: hikyaku -C DIR reload\n"
	        "# `hikyaku config` lists every option with its default and what it means.\n\n");
	buf_printf(out, "# this host's name, as others look it up\nhostname %s\n\n", s->hostname);
	buf_append_text(
	        out,
	        "# the domains whose mail is ours; add lines, or use: hikyaku -C DIR domain add\n");
	add_words(s->c, out, "--domain", "domain");
	buf_append_text(out, "\n# where to listen: 127.0.0.1 and ::1 are this machine only, "
	                     "0.0.0.0 and :: everybody\n");
	if (cli_option(s->c, "--listen"))
		add_words(s->c, out, "--listen", "listen");
	else
		buf_append_text(out, "listen 127.0.0.1 ::1\n");
	if (cli_option(s->c, "--ports"))
		buf_printf(out, "\n# added to every standard port\nports %s\n",
		           cli_option(s->c, "--ports"));
	buf_append_text(out, "\n# ---- what else there is, with the defaults ----\n\n");
	add_comments(out);
	buf_append_text(out, section_text);
}

static const char virtual_text[] =
        "# Aliases, in the form of Postfix's virtual(5). After a change: hikyaku -C DIR reload\n"
        "#\n"
        "# info@example.test        ken@example.test\n"
        "# team@example.test        ken@example.test, mai@example.test\n"
        "# @old.example.test        @example.test\n"
        "# @example.test            ken@example.test          (whatever has no account and no "
        "alias)\n";

/* ---- making it ---- */

/* Whatever the umask was. A folder that is there may be somebody's link to another one: it is not followed. */
static bool make_folder(struct setup *s, const struct folder *f)
{
	bool made = mkdirat(s->dirfd, f->name, f->mode) == 0 || errno == EEXIST;
	int fd = made ? openat(s->dirfd, f->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
	              : -1;
	bool done = fd >= 0 && fchmod(fd, f->mode) == 0;
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return done;
}

static enum result make_folders(struct setup *s)
{
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		if (!make_folder(s, &folders[i]))
			return why_set(&s->why, FAILED, "%s: %s", folders[i].name, strerror(errno));
	return OK;
}

static enum result write_file(struct setup *s, const char *name, struct bytes text, mode_t mode)
{
	enum result r = file_write_all(s->fs, name, text, &s->why);

	if (r == OK && fchmodat(s->dirfd, name, mode, 0) != 0)
		r = why_set(&s->why, FAILED, "%s: %s", name, strerror(errno));
	return r;
}

/* A value goes into the file as it is, so it must be one word of its grammar. */
static enum result check_words(struct setup *s)
{
	for (size_t i = 0; i < s->c->option_count; i++) {
		const struct cli_option *o = &s->c->options[i];

		if (*o->value == 0 || strpbrk(o->value, " \t\r\n\"#{}"))
			return why_set(&s->why, INVALID, "%s: \"%s\" must be one word", o->name,
			               o->value);
	}
	return OK;
}

/* What setup writes must be right before anything is written. */
static enum result check_conf(struct setup *s, struct bytes text)
{
	struct config_source source = {BYTES("hikyaku.conf"), text};
	struct config *config;
	enum result r = config_parse(&source, 1, &config, &s->why);

	if (r == OK)
		config_free(&config);
	return r;
}

static enum result write_keys(struct setup *s)
{
	uint8_t seal[PASSWORD_SEAL_KEY];
	struct buf pem = {0}, key = {0};
	const char *name;
	enum result r;

	random_fill(seal, sizeof(seal));
	r = write_file(s, "keys/seal.key", bytes_of(seal, sizeof(seal)), 0600);
	memory_wipe(seal, sizeof(seal));
	certificate_make(s->host, clock_now(), &pem, &key);
	name = arena_printf(&s->c->arena, "keys/tls/%.*s.key%c", BYTES_ARG(s->host), 0).ptr;
	if (r == OK)
		r = write_file(s, name, buf_bytes(&key), 0600);
	name = arena_printf(&s->c->arena, "etc/tls/%.*s.pem%c", BYTES_ARG(s->host), 0).ptr;
	if (r == OK)
		r = write_file(s, name, buf_bytes(&pem), 0644);
	memory_wipe(key.ptr, key.size);
	buf_done(&pem);
	buf_done(&key);
	return r;
}

static const char *first_domain(const struct cli *c)
{
	for (size_t i = 0; i < c->option_count; i++)
		if (strcmp(c->options[i].name, "--domain") == 0)
			return c->options[i].value;
	return "";
}

/* The first domain's mail is signed from the beginning; a signature whose record is not published yet does no harm. */
static enum result write_dkim_keys(struct setup *s)
{
	struct file_system *keys;
	struct bytes domain;
	enum result r;
	int fd;

	if (config_domain_canonical(bytes_of_text(first_domain(s->c)), &s->c->arena, &domain) != OK)
		return why_set(&s->why, INVALID, "--domain: that is no domain name");
	fd = openat(s->dirfd, "keys", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return why_set(&s->why, FAILED, "keys: %s", strerror(errno));
	keys = file_system_real_new(fd);
	close(fd);
	r = cli_dkim_first(keys, domain, clock_now(), &s->c->arena, &s->why);
	file_system_free(&keys);
	return r;
}

static enum result give_away(struct setup *s, struct bytes conf)
{
	struct config_source source = {BYTES("hikyaku.conf"), conf};
	struct config *config;
	struct stat st;
	enum result r;

	if (geteuid() != 0)
		return OK;
	r = config_parse(&source, 1, &config, &s->why);
	if (r != OK)
		return r;
	if (fstat(s->dirfd, &st) == 0)
		r = owner_give(s->dirfd, st.st_uid, (unsigned)config->uid_base, &s->why);
	config_free(&config);
	return r;
}

static enum result make_all(struct setup *s)
{
	struct buf conf = {0};
	enum result r;

	make_conf(s, &conf);
	r = check_conf(s, buf_bytes(&conf));
	if (r == OK)
		r = make_folders(s);
	if (r == OK)
		r = write_keys(s);
	if (r == OK)
		r = write_dkim_keys(s);
	if (r == OK)
		r = write_file(s, "etc/virtual", bytes_of_text(virtual_text), 0644);
	/* Last: its presence says that setup was done. */
	if (r == OK)
		r = write_file(s, "etc/hikyaku.conf", buf_bytes(&conf), 0644);
	if (r == OK)
		r = give_away(s, buf_bytes(&conf));
	buf_done(&conf);
	return r;
}

static enum result open_folder(struct setup *s, const char *path)
{
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return why_set(&s->why, FAILED, "%s: %s", path, strerror(errno));
	s->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0)
		return why_set(&s->why, FAILED, "%s: %s", path, strerror(errno));
	if (faccessat(s->dirfd, "etc/hikyaku.conf", F_OK, 0) == 0)
		return why_set(&s->why, EXISTS, "%s: there is a server in this folder already",
		               path);
	s->fs = file_system_real_new(s->dirfd);
	return OK;
}

static void say_what_next(const struct cli *c)
{
	const char *dir = c->args[0], *domain = first_domain(c);

	if (cli_japanese())
		printf("%s にサーバーを用意しました。\n"
		       "起動:           hikyaku serve %s\n"
		       "アカウント追加: hikyaku -C %s account add 名前@ドメイン\n"
		       "DNS レコード:   hikyaku -C %s dns %s\n"
		       "証明書は自己署名です。本物は %s/etc/tls と %s/keys/tls "
		       "に置いてください。\n",
		       dir, dir, dir, dir, domain, dir, dir);
	else
		printf("%s is ready.\n"
		       "run it:         hikyaku serve %s\n"
		       "add an account: hikyaku -C %s account add NAME@DOMAIN\n"
		       "what to publish in DNS: hikyaku -C %s dns %s\n"
		       "Its certificate is signed by itself; put a real one into %s/etc/tls and "
		       "%s/keys/tls.\n",
		       dir, dir, dir, dir, domain, dir, dir);
}

int cli_setup(struct cli *c)
{
	struct setup s = {.c = c, .dirfd = -1, .hostname = cli_option(c, "--hostname")};
	enum result r;

	if (!s.hostname || !cli_option(c, "--domain"))
		return cli_say_usage(c->command, "--hostname and --domain must be given");
	if (config_domain_canonical(bytes_of_text(s.hostname), &c->arena, &s.host) != OK)
		return cli_say_usage(c->command, "--hostname: that is no host name");
	r = check_words(&s);
	if (r == OK)
		r = open_folder(&s, c->args[0]);
	if (r == OK)
		r = make_all(&s);
	file_system_free(&s.fs);
	if (s.dirfd >= 0)
		close(s.dirfd);
	if (r != OK)
		return cli_fail(&s.why);
	say_what_next(c);
	return CLI_DONE;
}
