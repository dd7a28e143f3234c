#include "cli/pages.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "cli/client.h"
#include "sys/clock.h"

int cli_admin_pages(struct cli *c, struct ask_admin admin, cli_page_function *page, void *context)
{
	struct client *client;
	struct answer answer;
	struct why why = {0};
	enum result r = client_open(c->directory, &client, &why);
	bool go_on = true;

	if (r != OK)
		return cli_fail(&why);
	while (r == OK && go_on) {
		r = client_ask(client,
		               &(struct ask){.kind = ASK_ADMIN, .number = 1, .admin = admin},
		               &answer, &why);
		if (r != OK)
			break;
		admin.number = answer.admin.next;
		go_on = page(context, answer.admin.rows, admin.number != 0) && admin.number != 0;
	}
	client_close(&client);
	return r == OK ? CLI_DONE : cli_fail(&why);
}

static void append_line(struct buf *out, json_t *row)
{
	char *text = json_dumps(row, JSON_COMPACT | JSON_PRESERVE_ORDER);

	if (text) {
		buf_append_text(out, text);
		buf_append_char(out, '\n');
	}
	free(text);
}

/* ---- rows for a terminal ---- */

/* C0, DEL, C1; marks that change the direction of text. */
static bool is_control(uint32_t code)
{
	return code < ' ' || (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

static json_t *clean_text(const json_t *value, bool lines)
{
	struct bytes rest = bytes_of(json_string_value(value), json_string_length(value));
	struct buf out = {0};
	json_t *clean;

	while (rest.len > 0) {
		uint32_t code;
		int n = text_utf8_next(rest, &code);
		size_t len = n > 0 ? (size_t)n : 1;

		if (n > 0 && (!is_control(code) || (code == '\n' && lines)))
			buf_append(&out, bytes_first(rest, len));
		else
			buf_append_char(&out, n > 0 && (code == '\n' || code == '\t') ? ' ' : '?');
		rest = bytes_skip(rest, len);
	}
	clean = json_stringn(buf_len(&out) ? buf_bytes(&out).ptr : "", buf_len(&out));
	buf_done(&out);
	return clean;
}

static void clean_all(json_t *container)
{
	const char *key;
	json_t *value;
	size_t i;
	void *next;

	json_object_foreach_safe(container, next, key, value)
	{
		if (json_is_string(value))
			json_object_set_new(container, key,
			                    clean_text(value, strcmp(key, "facts") == 0));
		else
			clean_all(value);
	}
	json_array_foreach(container, i, value)
	{
		if (json_is_string(value))
			json_array_set_new(container, i, clean_text(value, false));
		else
			clean_all(value);
	}
}

json_t *cli_row(struct bytes line)
{
	json_t *row = json_loadb(line.ptr, line.len, 0, NULL);

	clean_all(row);
	return row;
}

size_t cli_print_some(const struct cli *c, struct bytes rows, const char *const *keys, size_t count)
{
	static const struct cli_command listing = {.group = "", .verb = "list"};
	struct cli table = *c;
	struct buf out = {0};
	struct bytes line;
	size_t told = 0;

	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line), *some = json_object();

		for (size_t i = 0; row && i < count; i++) {
			json_t *value = json_object_get(row, keys[i]);

			json_object_set_new(some, keys[i],
			                    value ? json_incref(value) : json_string(""));
		}
		if (row) {
			append_line(&out, some);
			told++;
		}
		json_decref(row);
		json_decref(some);
	}
	table.command = &listing;
	if (told)
		cli_print_rows(&table, buf_bytes(&out));
	buf_done(&out);
	return told;
}

bool cli_speaks_japanese(const struct cli *c)
{
	const char *lang = cli_option(c, "--lang");

	return lang ? bytes_starts(bytes_of_text(lang), BYTES("ja")) : cli_japanese();
}

const char *cli_moment(int64_t ms, char out[CLI_MOMENT])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm local;

	if (!localtime_r(&seconds, &local) ||
	    strftime(out, CLI_MOMENT, "%Y-%m-%d %H:%M:%S", &local) == 0)
		snprintf(out, CLI_MOMENT, "-");
	return out;
}

/* "2h", "3d": so long ago. */
static bool ago(const char *text, int64_t now, int64_t *ret)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'m', 60 * 1000}, {'h', 3600 * 1000}, {'d', 24 * 3600 * 1000}};
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (end != text && n < 100000 && end[0] == units[i].unit && !end[1]) {
			*ret = now - (int64_t)n * units[i].ms;
			return true;
		}
	}
	return false;
}

/* In local time. */
static bool moment(const char *text, int64_t *ret)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
	                                    "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		struct tm t = {.tm_isdst = -1};
		const char *end = strptime(text, forms[i], &t);

		if (end && !*end) {
			*ret = (int64_t)mktime(&t) * 1000;
			return true;
		}
	}
	return false;
}

bool cli_moment_of(const char *text, int64_t *ret)
{
	return ago(text, clock_now(), ret) || moment(text, ret);
}
