/* JSON lines as a table for people: a column for each key of the first object. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

enum { COLUMNS = 32, WIDTH_MAX = 60 };

/* A value as text; the caller frees it. */
static char *text_of(const json_t *value)
{
	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (!value || json_is_null(value))
		return strdup("-");
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* Columns on the screen: UTF-8, wide characters count two. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if ((*p & 0xc0) != 0x80)
			width += *p >= 0xe3 && *p < 0xf0 ? 2 : 1;
	return width;
}

static void print_cell(const char *text, size_t width)
{
	size_t have = width_of(text);

	fputs(text, stdout);
	for (; have < width + 2; have++)
		putchar(' ');
}

static json_t *parse_rows(struct bytes rows)
{
	json_t *all = json_array();
	struct bytes line;

	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = json_loadb(line.ptr, line.len, 0, NULL);

		if (json_is_object(row))
			json_array_append_new(all, row);
		else
			json_decref(row);
	}
	return all;
}

/* The heads are the keys, in order of first appearance. */
static size_t collect_heads(json_t *all, const char *heads[COLUMNS])
{
	size_t count = 0, i;
	json_t *row, *value;
	const char *key;

	json_array_foreach(all, i, row)
	{
		json_object_foreach(row, key, value)
		{
			size_t n;

			for (n = 0; n < count && strcmp(heads[n], key) != 0; n++)
				;
			if (n == count && count < COLUMNS)
				heads[count++] = key;
		}
	}
	return count;
}

static size_t column_width(json_t *all, const char *head)
{
	size_t width = width_of(head), i;
	json_t *row;

	json_array_foreach(all, i, row)
	{
		char *text = text_of(json_object_get(row, head));

		if (width_of(text) > width)
			width = width_of(text);
		free(text);
	}
	return width < WIDTH_MAX ? width : WIDTH_MAX;
}

static void print_table(json_t *all)
{
	const char *heads[COLUMNS];
	size_t widths[COLUMNS], count = collect_heads(all, heads), i, n;
	json_t *row;

	for (n = 0; n < count; n++) {
		widths[n] = column_width(all, heads[n]);
		print_cell(heads[n], n + 1 < count ? widths[n] : 0);
	}
	if (count > 0)
		putchar('\n');
	json_array_foreach(all, i, row)
	{
		for (n = 0; n < count; n++) {
			char *text = text_of(json_object_get(row, heads[n]));

			print_cell(text, n + 1 < count ? widths[n] : 0);
			free(text);
		}
		putchar('\n');
	}
}

/* One object is a list of its members. */
static void print_object(json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		char *text = text_of(value);

		printf("%-20s %s\n", key, text);
		free(text);
	}
}

void cli_print_rows(const struct cli *c, struct bytes rows)
{
	json_t *all;

	if (c->json) {
		fwrite(rows.ptr, 1, rows.len, stdout);
		return;
	}
	all = parse_rows(rows);
	if (json_array_size(all) == 1 && json_object_size(json_array_get(all, 0)) > 6)
		print_object(json_array_get(all, 0));
	else
		print_table(all);
	json_decref(all);
}
