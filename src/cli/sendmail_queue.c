/* mailq, newaliases and -q: what only root and the server's owner may do goes over run/admin.sock; others are told so. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/pages.h"
#include "cli/sendmail.h"
#include "roles/config_reader.h"

/* ---- mailq ---- */

static size_t rows_of(struct bytes rows)
{
	size_t count = 0;

	for (size_t i = 0; i < rows.len; i++)
		count += rows.ptr[i] == '\n';
	return count;
}

enum { LISTED = 4 * 1024 * 1024 }; /* octets of rows: some ten thousand */

/* *ret_more: there are more than are listed. */
static enum result list_queue(struct client *client, struct buf *rows, bool *ret_more,
                              struct why *why)
{
	struct ask a = {.kind = ASK_ADMIN, .admin.verb = ADMIN_QUEUE_LIST};
	struct answer answer;
	enum result r;

	do {
		r = client_ask(client, &a, &answer, why);
		if (r == OK) {
			buf_append(rows, answer.admin.rows);
			a.admin.number = answer.admin.next;
		}
	} while (r == OK && a.admin.number != 0 && buf_len(rows) < LISTED);
	*ret_more = r == OK && a.admin.number != 0;
	return r;
}

/* The sum of all numbers behind a key. */
static uint64_t sum_of(struct bytes rows, struct bytes key)
{
	uint64_t total = 0, n;
	size_t at;

	while ((at = bytes_find(rows, key)) != BYTES_NONE) {
		size_t digits = 0;

		rows = bytes_skip(rows, at + key.len);
		while (digits < rows.len && rows.ptr[digits] >= '0' && rows.ptr[digits] <= '9')
			digits++;
		if (bytes_to_u64(bytes_first(rows, digits), UINT64_MAX / 2, &n) == OK)
			total += n;
	}
	return total;
}

/* How many there are in all, where not all are listed. */
static uint64_t count_all(struct client *client)
{
	static const struct bytes keys[] = {BYTES("\"queue_ready\":"), BYTES("\"queue_carry\":"),
	                                    BYTES("\"queue_held\":"), BYTES("\"queue_parked\":")};
	struct ask a = {.kind = ASK_ADMIN, .admin.verb = ADMIN_STATUS};
	struct answer answer;
	uint64_t count = 0;

	if (client_ask(client, &a, &answer, NULL) == OK)
		for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
			count += sum_of(answer.admin.rows, keys[i]);
	return count;
}

/* The last line is what monitors look for in Postfix's mailq. */
static void print_queue(struct client *client, struct bytes rows, bool more)
{
	static const struct cli_command command = {.group = "queue", .verb = "list"};
	static const struct bytes size = BYTES("\"size\":");
	static const char *const keys[] = {"mail",   "state",     "size",  "queued_ms",
	                                   "sender", "recipient", "reason"};
	struct cli c = {.command = &command};
	uint64_t count = rows_of(rows), all = more ? count_all(client) : count;

	if (count == 0) {
		puts("Mail queue is empty");
		return;
	}
	cli_print_some(&c, rows, keys, sizeof(keys) / sizeof(*keys));
	if (more)
		puts("... and more: hikyaku -C DIR queue list");
	count = all > count ? all : count;
	printf("-- %llu Kbytes in %llu Request%s.\n",
	       (unsigned long long)(sum_of(rows, size) / 1024), (unsigned long long)count,
	       count == 1 ? "" : "s");
}

static int exit_of(enum result r)
{
	return r == DENIED ? EX_NOPERM : EX_UNAVAILABLE;
}

int sendmail_mailq(struct sendmail *s)
{
	struct client *client = NULL;
	struct buf rows = {0};
	struct why why;
	enum result r = client_open(s->directory, &client, &why);
	bool more = false;

	if (r == OK)
		r = list_queue(client, &rows, &more, &why);
	if (r == OK)
		print_queue(client, buf_bytes(&rows), more);
	else
		sendmail_fail(s, 0, "%s", why.text);
	client_close(&client);
	buf_done(&rows);
	return r == OK ? EX_OK : exit_of(r);
}

/* ---- newaliases ---- */

static enum result check_files(struct sendmail *s, struct why *why)
{
	int fd = openat(s->dirfd, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct config *config = NULL;
	struct file_system *etc;
	enum result r;

	if (fd < 0)
		return why_set(why, NOT_FOUND, "%s/etc cannot be opened", s->directory);
	etc = file_system_real_new(fd);
	close(fd);
	r = config_reader_load(etc, NULL, &config, why);
	config_free(&config);
	file_system_free(&etc);
	return r;
}

/* There is no table to build: the server reads etc/virtual itself. */
int sendmail_newaliases(struct sendmail *s)
{
	struct client *client = NULL;
	struct bytes text;
	struct why why;
	enum result r = check_files(s, &why);

	if (r != OK)
		return sendmail_fail(s, r == INVALID ? EX_DATAERR : EX_CONFIG, "%s", why.text);
	r = client_open(s->directory, &client, &why);
	if (r == OK)
		r = client_request(client, ROLE_MASTER_RELOAD, &text, &why);
	client_close(&client);
	if (r == OK)
		printf("%s/etc/virtual is right, and the server has taken it\n", s->directory);
	else if (r == DENIED || r == NOT_FOUND)
		printf("%s/etc/virtual is right. %s\n", s->directory,
		       r == DENIED
		               ? "root or the server's owner lets the server take it: hikyaku -C "
		                 "DIR reload"
		               : "The server reads it when it starts.");
	else
		sendmail_fail(s, 0, "%s", why.text);
	return r == OK || r == DENIED || r == NOT_FOUND ? EX_OK : EX_TEMPFAIL;
}

/* ---- -q ---- */

/* The server runs its queue by itself; an operator may make it try everything now. */
int sendmail_flush(struct sendmail *s)
{
	struct ask a = {.kind = ASK_ADMIN, .admin.verb = ADMIN_QUEUE_RETRY};
	struct client *client = NULL;
	struct answer answer;
	struct why why;
	enum result r = client_open(s->directory, &client, &why);

	if (r == OK)
		r = client_ask(client, &a, &answer, &why);
	client_close(&client);
	if (r != OK)
		sendmail_fail(s, 0, "-q: the server runs its queue by itself; %s", why.text);
	return r == OK ? EX_OK : exit_of(r);
}
