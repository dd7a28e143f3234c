/* Listings of the running server that come in pages, and how people are told of them. */
#ifndef CLI_PAGES_H
#define CLI_PAGES_H

#include "ask/ask.h"
#include "cli/cli.h"

/* rows: JSON lines. more: another page follows. False: enough. */
typedef bool cli_page_function(void *context, struct bytes rows, bool more);

/* Asks, and asks again from the answer's cursor; what fails is said. The exit code. */
int cli_admin_pages(struct cli *c, struct ask_admin admin, cli_page_function *page, void *context);

/* A table of these keys alone, in this order; how many rows. */
size_t cli_print_some(const struct cli *c, struct bytes rows, const char *const *keys,
                      size_t count);

/* A row, to be shown: what strangers wrote in it (addresses, a Message-ID, a host's reply) moves no cursor, sets no title and turns
 * no text around. A line end becomes a blank, but in "facts", whose lines are fields. NULL: it is no JSON. */
struct json_t *cli_row(struct bytes line);

/* --lang, else the environment. */
bool cli_speaks_japanese(const struct cli *c);

enum { CLI_MOMENT = 32 };
const char *cli_moment(int64_t ms, char out[CLI_MOMENT]); /* in local time; out */
/* 30m, 2h, 3d (ago); 2026-11-24, 2026-11-24T11:04 in local time, as time_ms. False: none of these. */
bool cli_moment_of(const char *text, int64_t *ret);

#endif
