/* hikyaku dkim: keys that sign, made, shown, taken into use, rotated. They are files (roles/dkim_folder.h); keeper reads them
 * again when the server runs.
 *
 * Rotation in two steps, because DNS takes its time: rotate makes new keys and says what to publish; rotate --finish looks
 * whether the world sees it, and only then signs with them. */
#include "cli/dkim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/wire.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "config/config.h"
#include "dns/dns.h"
#include "roles/config_reader.h"
#include "roles/dkim_folder.h"
#include "sys/clock.h"

enum { STRING_MAX = 255, RSA_BIT = 1 << DKIM_RSA_SHA256, ED25519_BIT = 1 << DKIM_ED25519_SHA256 };

struct work {
	struct cli *c;
	struct file_system *fs; /* keys/ */
	struct bytes domain;
	struct dkim_keys keys;
	struct why why;
};

/* ---- folders ---- */

static enum result open_below(struct cli *c, const char *name, struct file_system **ret,
                              struct why *why)
{
	const char *path = arena_printf(&c->arena, "%s/%s%c", c->directory, name, 0).ptr;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return why_set(why, errno == ENOENT ? NOT_FOUND : DENIED, "%s: %s", path,
		               strerror(errno));
	*ret = file_system_real_new(fd);
	close(fd);
	return OK;
}

static bool covers(struct bytes ours, struct bytes domain)
{
	return bytes_equal(ours, domain) || (domain.len > ours.len && bytes_ends(domain, ours) &&
	                                     domain.ptr[domain.len - ours.len - 1] == '.');
}

static enum result check_ours(struct work *w)
{
	struct file_system *etc;
	struct config *config;
	bool ours = false;
	enum result r = open_below(w->c, "etc", &etc, &w->why);

	if (r != OK)
		return r;
	r = config_reader_load(etc, NULL, &config, &w->why);
	file_system_free(&etc);
	if (r != OK)
		return r;
	for (size_t i = 0; i < config->domains.count; i++)
		ours |= covers(config->domains.items[i], w->domain);
	config_free(&config);
	return ours ? OK
	            : why_set(&w->why, NOT_FOUND,
	                      "%.*s is not ours; hikyaku -C %s domain add %.*s makes it so",
	                      BYTES_ARG(w->domain), w->c->directory, BYTES_ARG(w->domain));
}

/* The domain's keys, none where it has no folder. */
static enum result begin(struct work *w, struct cli *c)
{
	struct why bad = {""};
	enum result r;

	*w = (struct work){.c = c};
	if (config_domain_canonical(bytes_of_text(c->args[0]), &c->arena, &w->domain) != OK)
		return why_set(&w->why, INVALID, "\"%s\" is no domain name", c->args[0]);
	r = open_below(c, "keys", &w->fs, &w->why);
	if (r == OK)
		r = dkim_folder_read(w->fs, w->domain, &c->arena, &w->keys, &bad, &w->why);
	if (bad.text[0])
		fprintf(stderr, "hikyaku: %s\n", bad.text);
	return r == NOT_FOUND && w->fs ? OK : r;
}

static enum result again(struct work *w)
{
	dkim_keys_free(&w->keys);
	return dkim_folder_read(w->fs, w->domain, &w->c->arena, &w->keys, NULL, &w->why);
}

static int end(struct work *w, enum result r)
{
	dkim_keys_free(&w->keys);
	file_system_free(&w->fs);
	return r == OK ? CLI_DONE : cli_fail(&w->why);
}

/* Writes the states; a server that runs reads them at once. */
static enum result save(struct work *w)
{
	struct client *client;
	struct bytes reply;
	enum result r = dkim_folder_write(w->fs, w->domain, &w->keys, &w->why);

	if (r != OK)
		return r;
	r = client_open(w->c->directory, &client, &w->why);
	if (r != OK)
		return r == NOT_FOUND ? OK : r;
	r = client_request(client, ROLE_MASTER_RELOAD, &reply, &w->why);
	client_close(&client);
	return r;
}

/* ---- printing ---- */

static void print_record(const struct work *w, const struct dkim_key *k)
{
	struct bytes rest = k->record;

	printf("%.*s._domainkey.%.*s. 3600 IN TXT (", BYTES_ARG(k->selector), BYTES_ARG(w->domain));
	while (rest.len) {
		printf(" \"%.*s\"", BYTES_ARG(bytes_first(rest, STRING_MAX)));
		rest = bytes_skip(rest, STRING_MAX);
	}
	printf(" )\n");
}

static void print_records(const struct work *w, enum dkim_key_state state)
{
	for (size_t i = 0; i < w->keys.count; i++)
		if (w->keys.items[i].state == state)
			print_record(w, &w->keys.items[i]);
}

static void say_publish(const struct work *w, const char *then)
{
	if (cli_japanese())
		printf("次のレコードを DNS で公開してください:\n\n");
	else
		printf("Publish these records in DNS:\n\n");
	print_records(w, DKIM_KEY_NEW);
	if (cli_japanese())
		printf("\n公開できたら: hikyaku -C %s dkim %s\n", w->c->directory, then);
	else
		printf("\nOnce they are there: hikyaku -C %s dkim %s\n", w->c->directory, then);
}

/* The record is too long for a table. */
static void add_row(const struct cli *c, struct buf *rows, struct bytes domain,
                    const struct dkim_key *k)
{
	struct time_civil t = time_to_civil(k->made, 0);

	buf_printf(
	        rows,
	        "{\"domain\":\"%.*s\",\"selector\":\"%.*s\",\"algorithm\":\"%s\",\"state\":\"%s\","
	        "\"made\":\"%04d-%02d-%02d\"",
	        BYTES_ARG(domain), BYTES_ARG(k->selector), dkim_algorithm_name(k->algorithm),
	        dkim_state_name(k->state), t.year, t.month, t.day);
	if (c->json)
		buf_printf(rows, ",\"name\":\"%.*s._domainkey.%.*s\",\"record\":\"%.*s\"",
		           BYTES_ARG(k->selector), BYTES_ARG(domain), BYTES_ARG(k->record));
	buf_append_text(rows, "}\n");
}

/* ---- making ---- */

static enum result make_kinds(struct file_system *fs, struct bytes domain, unsigned kinds,
                              time_ms now, struct arena *arena, struct bytes made[2],
                              size_t *ret_count, struct why *why)
{
	enum result r = OK;

	*ret_count = 0;
	for (unsigned a = DKIM_RSA_SHA256; r == OK && a <= DKIM_ED25519_SHA256; a++) {
		if (!(kinds & 1u << a))
			continue;
		r = dkim_folder_make(fs, domain, (enum dkim_algorithm)a, now, arena,
		                     &made[*ret_count], why);
		*ret_count += r == OK;
	}
	return r;
}

static void mark(struct dkim_keys *keys, const struct bytes *made, size_t count,
                 enum dkim_key_state state, time_ms now)
{
	for (size_t i = 0; i < keys->count; i++) {
		for (size_t n = 0; n < count; n++) {
			if (!bytes_equal(keys->items[i].selector, made[n]))
				continue;
			keys->items[i].state = state;
			keys->items[i].made = now;
		}
	}
}

enum result cli_dkim_first(struct file_system *keys, struct bytes domain, time_ms now,
                           struct arena *arena, struct why *why)
{
	struct dkim_keys all = {0};
	struct bytes made[2];
	size_t count;
	enum result r = make_kinds(keys, domain, RSA_BIT | ED25519_BIT, now, arena, made, &count,
	                           why);

	if (r == OK)
		r = dkim_folder_read(keys, domain, arena, &all, NULL, why);
	if (r != OK)
		return r;
	mark(&all, made, count, DKIM_KEY_SIGNS, now);
	r = dkim_folder_write(keys, domain, &all, why);
	dkim_keys_free(&all);
	return r;
}

static unsigned wanted_kinds(const struct cli *c)
{
	unsigned kinds = (cli_option(c, "--rsa") ? RSA_BIT : 0) |
	                 (cli_option(c, "--ed25519") ? ED25519_BIT : 0);

	return kinds ? kinds : RSA_BIT | ED25519_BIT;
}

/* New keys of these kinds, in state new. */
static enum result add_keys(struct work *w, unsigned kinds)
{
	time_ms now = clock_now();
	struct bytes made[2];
	size_t count;
	enum result r = check_ours(w);

	if (r == OK)
		r = make_kinds(w->fs, w->domain, kinds, now, &w->c->arena, made, &count, &w->why);
	if (r == OK)
		r = again(w);
	if (r != OK)
		return r;
	mark(&w->keys, made, count, DKIM_KEY_NEW, now);
	return save(w);
}

int cli_dkim_add(struct cli *c)
{
	struct work w;
	enum result r = begin(&w, c);

	if (r == OK)
		r = add_keys(&w, wanted_kinds(c));
	if (r == OK)
		say_publish(&w, arena_printf(&c->arena, "use %.*s%c", BYTES_ARG(w.domain), 0).ptr);
	return end(&w, r);
}

/* ---- listing ---- */

static void list_domain(struct cli *c, struct file_system *fs, struct bytes domain,
                        struct buf *rows)
{
	struct dkim_keys keys;
	struct why why = {""}, bad = {""};

	if (dkim_folder_read(fs, domain, &c->arena, &keys, &bad, &why) != OK) {
		fprintf(stderr, "hikyaku: %s\n", why.text);
		return;
	}
	if (bad.text[0])
		fprintf(stderr, "hikyaku: %s\n", bad.text);
	for (size_t i = 0; i < keys.count; i++)
		add_row(c, rows, domain, &keys.items[i]);
	dkim_keys_free(&keys);
}

int cli_dkim_list(struct cli *c)
{
	struct file_system *fs = NULL;
	struct buf rows = {0};
	struct why why = {""};
	const char **names;
	size_t count = 0;
	struct bytes domain;
	enum result r = open_below(c, "keys", &fs, &why);

	if (r == OK)
		r = dkim_folder_domains(fs, &c->arena, &names, &count, &why);
	if (r == OK && c->arg_count > 0 &&
	    config_domain_canonical(bytes_of_text(c->args[0]), &c->arena, &domain) != OK)
		r = why_set(&why, INVALID, "\"%s\" is no domain name", c->args[0]);
	for (size_t i = 0; r == OK && i < count; i++)
		if (c->arg_count == 0 || bytes_equal(bytes_of_text(names[i]), domain))
			list_domain(c, fs, bytes_of_text(names[i]), &rows);
	if (r == OK)
		cli_print_rows(c, buf_bytes(&rows));
	buf_done(&rows);
	file_system_free(&fs);
	return r == OK ? CLI_DONE : cli_fail(&why);
}

/* ---- taking into use ---- */

/* This key signs; others of its algorithm no longer do. */
static void use(struct dkim_keys *keys, size_t nth)
{
	for (size_t i = 0; i < keys->count; i++)
		if (i != nth && keys->items[i].state == DKIM_KEY_SIGNS &&
		    keys->items[i].algorithm == keys->items[nth].algorithm)
			keys->items[i].state = DKIM_KEY_OLD;
	keys->items[nth].state = DKIM_KEY_SIGNS;
}

/* The key of that selector, or with an empty one all new keys. */
static enum result use_named(struct work *w, struct bytes selector)
{
	size_t used = 0;

	for (size_t i = 0; i < w->keys.count; i++) {
		const struct dkim_key *k = &w->keys.items[i];

		if (selector.len ? bytes_equal(k->selector, selector) : k->state == DKIM_KEY_NEW) {
			use(&w->keys, i);
			used++;
		}
	}
	if (used)
		return save(w);
	return why_set(&w->why, NOT_FOUND,
	               selector.len ? "%.*s has no such key; hikyaku dkim list shows them"
	                            : "%.*s has no new key; hikyaku dkim rotate makes some",
	               BYTES_ARG(w->domain));
}

static void say_signing(const struct work *w)
{
	for (size_t i = 0; i < w->keys.count; i++) {
		const struct dkim_key *k = &w->keys.items[i];

		if (k->state == DKIM_KEY_SIGNS)
			printf(cli_japanese() ? "%.*s (%s) で署名します。\n" : "%.*s (%s) signs.\n",
			       BYTES_ARG(k->selector), dkim_algorithm_name(k->algorithm));
		if (k->state == DKIM_KEY_OLD)
			printf(cli_japanese() ? "%.*s (%s) は古い鍵です。一週間後に dkim remove "
			                        "で消せます。\n"
			                      : "%.*s (%s) is old: keep its record for a week, "
			                        "then dkim remove it.\n",
			       BYTES_ARG(k->selector), dkim_algorithm_name(k->algorithm));
	}
}

int cli_dkim_use(struct cli *c)
{
	struct work w;
	enum result r = begin(&w, c);

	if (r == OK)
		r = use_named(&w, c->arg_count > 1 ? bytes_of_text(c->args[1]) : (struct bytes){0});
	if (r == OK)
		say_signing(&w);
	return end(&w, r);
}

/* ---- rotating ---- */

/* The strings of a TXT record are one text (RFC 6376, 3.6.2.2). */
static struct bytes txt_of(struct bytes rdata, struct arena *arena)
{
	struct buf all = {0};
	struct wire w = wire_of(rdata);
	struct bytes text;

	while (!wire_end(&w)) {
		uint8_t len = wire_u8(&w);

		buf_append(&all, wire_take(&w, len));
	}
	text = arena_copy(arena, buf_bytes(&all));
	buf_done(&all);
	return text;
}

/* The value of p=, without blanks. */
static struct bytes key_of(struct bytes record, struct arena *arena)
{
	struct buf value = {0};
	struct bytes tag, result;

	while (bytes_cut(&record, ';', &tag)) {
		tag = bytes_trim(tag);
		if (!bytes_starts(tag, BYTES("p")) ||
		    !bytes_starts(bytes_trim(bytes_skip(tag, 1)), BYTES("=")))
			continue;
		tag = bytes_skip(tag, bytes_find_char(tag, '=') + 1);
		for (size_t i = 0; i < tag.len; i++)
			if (!text_is_blank(tag.ptr[i]))
				buf_append_char(&value, tag.ptr[i]);
	}
	result = arena_copy(arena, buf_bytes(&value));
	buf_done(&value);
	return result;
}

/* What the DNS shows at this key's name. UNAVAILABLE: nobody could be asked. */
static enum result look_up(struct work *w, struct client *client, const struct dkim_key *k)
{
	struct arena *arena = &w->c->arena;
	struct bytes name = arena_printf(arena, "%.*s._domainkey.%.*s", BYTES_ARG(k->selector),
	                                 BYTES_ARG(w->domain));
	struct ask a = {
	        .kind = ASK_RESOLVE, .number = 1, .resolve = {.name = name, .type = DNS_TXT}};
	struct answer answer;
	struct wire records;

	if (client_ask(client, &a, &answer, &w->why) != OK)
		return why_set(&w->why, UNAVAILABLE,
		               "DNS could not be asked; --unchecked goes on without");
	if (answer.resolve.status >= DNS_FAILED && answer.resolve.status <= DNS_BOGUS)
		return why_set(&w->why, UNAVAILABLE, "%.*s: %s (%.*s); --unchecked goes on without",
		               BYTES_ARG(name),
		               dns_status_name((enum dns_status)answer.resolve.status),
		               BYTES_ARG(answer.resolve.reason));
	records = wire_of(answer.resolve.records);
	while (!wire_end(&records)) {
		struct bytes text = txt_of(wire_block(&records), arena);

		if (bytes_equal(key_of(text, arena), key_of(k->record, arena)))
			return OK;
	}
	return why_set(&w->why, NOT_FOUND,
	               "%.*s does not show this key yet; publish it, or wait for the old answer to "
	               "run out",
	               BYTES_ARG(name));
}

static enum result check_published(struct work *w)
{
	struct client *client;
	enum result r = client_open(w->c->directory, &client, &w->why);

	if (r != OK)
		return why_set(
		        &w->why, UNAVAILABLE,
		        "the server does not run, so DNS cannot be asked; --unchecked goes on "
		        "without");
	for (size_t i = 0; r == OK && i < w->keys.count; i++)
		if (w->keys.items[i].state == DKIM_KEY_NEW)
			r = look_up(w, client, &w->keys.items[i]);
	client_close(&client);
	return r;
}

static enum result finish(struct work *w)
{
	enum result r = cli_option(w->c, "--unchecked") ? OK : check_published(w);

	if (r == OK)
		r = use_named(w, (struct bytes){0});
	if (r == OK)
		say_signing(w);
	return r;
}

/* The kinds that sign now; both where none does. */
static unsigned signing_kinds(const struct dkim_keys *keys)
{
	unsigned kinds = 0;

	for (size_t i = 0; i < keys->count; i++)
		if (keys->items[i].state == DKIM_KEY_SIGNS)
			kinds |= 1u << keys->items[i].algorithm;
	return kinds ? kinds : RSA_BIT | ED25519_BIT;
}

/* Those that have a key in waiting. */
static unsigned new_kinds(const struct dkim_keys *keys)
{
	unsigned kinds = 0;

	for (size_t i = 0; i < keys->count; i++)
		if (keys->items[i].state == DKIM_KEY_NEW)
			kinds |= 1u << keys->items[i].algorithm;
	return kinds;
}

int cli_dkim_rotate(struct cli *c)
{
	struct work w;
	enum result r = begin(&w, c);

	if (r == OK && cli_option(c, "--finish")) {
		r = finish(&w);
	} else if (r == OK) {
		/* Said twice it shows the same keys again. */
		unsigned kinds = signing_kinds(&w.keys) & ~new_kinds(&w.keys);

		if (kinds)
			r = add_keys(&w, kinds);
		if (r == OK)
			say_publish(&w, arena_printf(&c->arena, "rotate %.*s --finish%c",
			                             BYTES_ARG(w.domain), 0)
			                        .ptr);
	}
	return end(&w, r);
}

/* ---- removing ---- */

int cli_dkim_remove(struct cli *c)
{
	struct work w;
	struct bytes selector = bytes_of_text(c->args[1]);
	enum result r = begin(&w, c);
	bool found = false;

	for (size_t i = 0; r == OK && i < w.keys.count; i++) {
		if (!bytes_equal(w.keys.items[i].selector, selector))
			continue;
		found = true;
		if (w.keys.items[i].state == DKIM_KEY_SIGNS && !cli_option(c, "--force"))
			r = why_set(&w.why, DENIED,
			            "%.*s signs; take another one into use first (dkim use, dkim "
			            "rotate), or say --force",
			            BYTES_ARG(selector));
	}
	if (r == OK && !found)
		r = why_set(&w.why, NOT_FOUND, "%.*s has no key %.*s", BYTES_ARG(w.domain),
		            BYTES_ARG(selector));
	if (r == OK)
		r = dkim_folder_remove(w.fs, w.domain, selector, &w.why);
	if (r == OK)
		r = again(&w);
	if (r == OK)
		r = save(&w);
	return end(&w, r);
}
