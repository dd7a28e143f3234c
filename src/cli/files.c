/* Commands that edit files under etc/: domains in hikyaku.conf, aliases in virtual. The new text is checked together with all
 * the other files before store writes it (a copy of the old one goes to etc/.history), then it is loaded. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <jansson.h>

#include "base/limits.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "config/config.h"
#include "roles/config_reader.h"
#include "sys/file.h"

enum { FILE_MAX = 16 * 1024 * 1024 };

/* ---- reading and writing ---- */

static enum result open_etc(const struct cli *c, struct file_system **ret, struct why *why)
{
	const char *path =
	        arena_printf((struct arena *)(uintptr_t)&c->arena, "%s/etc%c", c->directory, 0).ptr;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return why_set(why, NOT_FOUND, "%s: %s", path, strerror(errno));
	*ret = file_system_real_new(fd);
	close(fd);
	return OK;
}

static enum result read_etc(const struct cli *c, const char *name, struct buf *out, struct why *why)
{
	struct file_system *etc;
	enum result r = open_etc(c, &etc, why);

	if (r != OK)
		return r;
	r = file_read_all(etc, name, FILE_MAX, out, why);
	file_system_free(&etc);
	return r == NOT_FOUND ? OK : r;
}

static enum result load(const struct cli *c, const struct config_source *overlay,
                        struct config **ret, struct why *why)
{
	struct file_system *etc;
	enum result r = open_etc(c, &etc, why);

	if (r != OK)
		return r;
	r = config_reader_load(etc, overlay, ret, why);
	file_system_free(&etc);
	return r;
}

static enum result check(const struct cli *c, const char *name, struct bytes text, struct why *why)
{
	struct config_source source = {bytes_of_text(name), text};
	struct config *config;
	enum result r;

	if (text.len > LIMIT_CHUNK)
		return why_set(
		        why, TOO_BIG,
		        "etc/%s is too big for this command; edit it and run: hikyaku -C %s reload",
		        name, c->directory);
	r = load(c, &source, &config, why);
	if (r == OK)
		config_free(&config);
	return r;
}

static enum result put(const struct cli *c, const char *name, struct bytes text, struct why *why)
{
	struct client *client;
	struct answer answer;
	struct bytes reply;
	struct ask a = {
	        .kind = ASK_ADMIN,
	        .number = 1,
	        .admin = {.verb = ADMIN_FILE_PUT, .subject = bytes_of_text(name), .value = text},
	};
	enum result r = check(c, name, text, why);

	if (r == OK)
		r = client_open(c->directory, &client, why);
	if (r != OK)
		return r;
	r = client_ask(client, &a, &answer, why);
	if (r == OK)
		r = client_request(client, ROLE_MASTER_RELOAD, &reply, why);
	client_close(&client);
	return r;
}

/* ---- lines ---- */

static bool take_line(struct bytes *rest, struct bytes *ret_line)
{
	size_t end = bytes_find_char(*rest, '\n');

	if (rest->len == 0)
		return false;
	*ret_line = bytes_first(*rest, end == BYTES_NONE ? rest->len : end + 1);
	*rest = bytes_skip(*rest, ret_line->len);
	return true;
}

static struct bytes take_word(struct bytes *rest)
{
	size_t at = 0;
	struct bytes word;

	while (at < rest->len &&
	       (text_is_blank(rest->ptr[at]) || rest->ptr[at] == '\n' || rest->ptr[at] == '\r'))
		at++;
	*rest = bytes_skip(*rest, at);
	for (at = 0; at < rest->len && !text_is_blank(rest->ptr[at]) && rest->ptr[at] != '\n' &&
	             rest->ptr[at] != '\r';)
		at++;
	word = bytes_first(*rest, at);
	*rest = bytes_skip(*rest, at);
	return word;
}

static struct bytes trimmed_domain(struct cli *c, struct bytes word)
{
	struct bytes domain;

	if (word.len > 1 && word.ptr[0] == '"')
		word = bytes_first(bytes_skip(word, 1), word.len - 2);
	return config_domain_canonical(word, &c->arena, &domain) == OK ? domain : (struct bytes){0};
}

static void ensure_newline(struct buf *b)
{
	struct bytes all = buf_bytes(b);

	if (all.len > 0 && all.ptr[all.len - 1] != '\n')
		buf_append_char(b, '\n');
}

/* ---- domains ---- */

int cli_domain_list(struct cli *c)
{
	struct config *config;
	struct why why = {0};
	struct buf rows = {0};
	enum result r = load(c, NULL, &config, &why);

	if (r != OK)
		return cli_fail(&why);
	for (size_t i = 0; i < config->domains.count; i++)
		buf_printf(&rows, "{\"domain\":\"%.*s\"}\n", BYTES_ARG(config->domains.items[i]));
	cli_print_rows(c, buf_bytes(&rows));
	buf_done(&rows);
	config_free(&config);
	return CLI_DONE;
}

/* The words of a `domain` line that stay; false: none does. */
static bool keep_domains(struct cli *c, struct bytes words, struct bytes gone, struct buf *out,
                         bool *ret_found)
{
	bool kept = false;
	struct bytes word;

	buf_append_text(out, "domain");
	while ((word = take_word(&words)).len > 0 && word.ptr[0] != '#') {
		if (bytes_equal(trimmed_domain(c, word), gone)) {
			*ret_found = true;
			continue;
		}
		buf_append_char(out, ' ');
		buf_append(out, word);
		kept = true;
	}
	buf_append_char(out, '\n');
	return kept;
}

/* Copies the file without the domain in its `domain` lines; where says after which octet of out a new line may go. */
static void copy_conf(struct cli *c, struct bytes in, struct bytes gone, struct buf *out,
                      bool *ret_found, size_t *ret_where)
{
	struct bytes line;
	int depth = 0;

	*ret_where = BYTES_NONE;
	while (take_line(&in, &line)) {
		struct bytes words = line, first = take_word(&words);
		size_t before = buf_len(out);
		bool is_domain = depth == 0 && bytes_equal(first, BYTES("domain"));

		if (first.len > 0 && first.ptr[0] != '#') {
			struct bytes body = bytes_trim(line);

			depth += body.ptr[body.len - 1] == '{';
			depth -= body.ptr[0] == '}';
		}
		if (!is_domain)
			buf_append(out, line);
		else if (bytes_find(line, gone) == BYTES_NONE)
			buf_append(out, line);
		else if (!keep_domains(c, words, gone, out, ret_found))
			buf_truncate(out, before);
		if (is_domain)
			*ret_where = buf_len(out);
	}
}

static int change_domain(struct cli *c, bool add)
{
	struct bytes domain = trimmed_domain(c, bytes_of_text(c->args[0]));
	struct buf old = {0}, out = {0}, fresh = {0};
	struct why why = {0};
	bool found = false;
	size_t where;
	enum result r = read_etc(c, "hikyaku.conf", &old, &why);

	if (r == OK && domain.len == 0)
		r = why_set(&why, INVALID, "\"%s\" is no domain name", c->args[0]);
	if (r == OK) {
		copy_conf(c, buf_bytes(&old), domain, &out, &found, &where);
		if (found == add)
			r = why_set(&why, add ? EXISTS : NOT_FOUND,
			            add ? "%.*s is ours already" : "%.*s is not ours",
			            BYTES_ARG(domain));
	}
	if (r == OK) {
		ensure_newline(&out);
		where = where == BYTES_NONE ? buf_len(&out) : where;
		buf_append(&fresh, bytes_first(buf_bytes(&out), where));
		if (add)
			buf_printf(&fresh, "domain %.*s\n", BYTES_ARG(domain));
		buf_append(&fresh, bytes_skip(buf_bytes(&out), where));
		r = put(c, "hikyaku.conf", buf_bytes(&fresh), &why);
	}
	buf_done(&old);
	buf_done(&out);
	buf_done(&fresh);
	return r == OK ? CLI_DONE : cli_fail(&why);
}

int cli_domain_add(struct cli *c)
{
	return change_domain(c, true);
}

int cli_domain_remove(struct cli *c)
{
	return change_domain(c, false);
}

/* ---- aliases: an entry is a line and those after it that begin with a blank ---- */

static bool begins_entry(struct bytes line)
{
	return line.len > 0 && !text_is_blank(line.ptr[0]) && line.ptr[0] != '#' &&
	       line.ptr[0] != '\n' && line.ptr[0] != '\r';
}

static void add_json(struct buf *out, const char *key, struct bytes value)
{
	json_t *text = json_stringn(value.ptr, value.len);
	char *dumped = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;

	buf_printf(out, "\"%s\":%s", key, dumped ? dumped : "null");
	free(dumped);
	json_decref(text);
}

static void list_entry(struct bytes first, struct bytes more, struct buf *rows)
{
	struct bytes address = take_word(&first), word;
	struct buf targets = {0};

	buf_append(&targets, bytes_trim(first));
	while ((word = take_word(&more)).len > 0) {
		buf_append_char(&targets, ' ');
		buf_append(&targets, word);
	}
	buf_append_char(rows, '{');
	add_json(rows, "alias", address);
	buf_append_char(rows, ',');
	add_json(rows, "targets", buf_bytes(&targets));
	buf_append_text(rows, "}\n");
	buf_done(&targets);
}

/* Takes an entry's first line and all that belongs to it. */
static struct bytes take_more(struct bytes *rest)
{
	struct bytes start = *rest, line, ahead = *rest;

	while (take_line(&ahead, &line) && text_is_blank(line.ptr[0]))
		*rest = ahead;
	return bytes_first(start, start.len - rest->len);
}

int cli_alias_list(struct cli *c)
{
	struct buf text = {0}, rows = {0};
	struct why why = {0};
	struct bytes rest, line;
	enum result r = read_etc(c, "virtual", &text, &why);

	rest = buf_bytes(&text);
	while (r == OK && take_line(&rest, &line))
		if (begins_entry(line))
			list_entry(line, take_more(&rest), &rows);
	if (r == OK)
		cli_print_rows(c, buf_bytes(&rows));
	buf_done(&text);
	buf_done(&rows);
	return r == OK ? CLI_DONE : cli_fail(&why);
}

/* Copies the file without this address's entry. */
static bool copy_virtual(struct bytes in, struct bytes gone, struct buf *out)
{
	bool found = false;
	struct bytes line;

	while (take_line(&in, &line)) {
		struct bytes words = line, more = {0};

		if (begins_entry(line))
			more = take_more(&in);
		if (begins_entry(line) && bytes_equal_nocase(take_word(&words), gone)) {
			found = true;
			continue;
		}
		buf_append(out, line);
		buf_append(out, more);
	}
	ensure_newline(out);
	return found;
}

static int change_alias(struct cli *c, bool add)
{
	struct bytes address = bytes_of_text(c->args[0]);
	struct buf old = {0}, out = {0};
	struct why why = {0};
	enum result r = read_etc(c, "virtual", &old, &why);
	bool found = r == OK && copy_virtual(buf_bytes(&old), address, &out);

	if (r == OK && !add && !found)
		r = why_set(&why, NOT_FOUND, "there is no alias %s", c->args[0]);
	if (r == OK && add) {
		buf_printf(&out, "%s\t%s", c->args[0], c->args[1]);
		for (size_t i = 2; i < c->arg_count; i++)
			buf_printf(&out, ", %s", c->args[i]);
		buf_append_char(&out, '\n');
	}
	if (r == OK)
		r = put(c, "virtual", buf_bytes(&out), &why);
	buf_done(&old);
	buf_done(&out);
	return r == OK ? CLI_DONE : cli_fail(&why);
}

int cli_alias_add(struct cli *c)
{
	return change_alias(c, true);
}

int cli_alias_remove(struct cli *c)
{
	return change_alias(c, false);
}

/* ---- hikyaku config ---- */

static void option_row(const struct config *config, size_t nth, struct buf *rows)
{
	const struct config_option_info *o = config_option_info(nth);
	struct buf name = {0}, value = {0};

	buf_printf(&name, "%s%s%s", o->section, *o->section ? "." : "", o->key);
	if (config)
		config_option_value(config, nth, &value);
	else
		buf_append_text(&value, o->value);
	buf_append_char(rows, '{');
	add_json(rows, "option", buf_bytes(&name));
	buf_append_char(rows, ',');
	add_json(rows, "value", buf_bytes(&value));
	buf_append_char(rows, ',');
	add_json(rows, "default", bytes_of_text(o->value));
	buf_append_char(rows, ',');
	add_json(rows, "type", bytes_of_text(*o->accepts ? o->accepts : o->type));
	buf_append_char(rows, ',');
	add_json(rows, "help", bytes_of_text(o->help));
	buf_append_text(rows, "}\n");
	buf_done(&name);
	buf_done(&value);
}

static bool wanted(const struct config_option_info *o, struct bytes pattern)
{
	return pattern.len == 0 || bytes_equal(pattern, bytes_of_text(o->key)) ||
	       bytes_equal(pattern, bytes_of_text(o->section)) ||
	       (bytes_starts(pattern, bytes_of_text(o->section)) && *o->section &&
	        bytes_ends(pattern, bytes_of_text(o->key)));
}

int cli_config(struct cli *c)
{
	struct bytes pattern = c->arg_count > 0 ? bytes_of_text(c->args[0]) : (struct bytes){0};
	struct config *config = NULL;
	struct buf rows = {0};
	struct why why = {0};

	if (c->directory && load(c, NULL, &config, &why) != OK)
		return cli_fail(&why);
	for (size_t i = 0; i < config_option_count(); i++)
		if (wanted(config_option_info(i), pattern))
			option_row(config, i, &rows);
	config_free(&config);
	if (buf_len(&rows) == 0) {
		(void)why_set(&why, NOT_FOUND,
		              "there is no option \"%s\"; hikyaku config lists them", c->args[0]);
		return cli_fail(&why);
	}
	cli_print_rows(c, buf_bytes(&rows));
	buf_done(&rows);
	return CLI_DONE;
}
