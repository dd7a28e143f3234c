/* Commands that the running server carries out: accounts, status, reload. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "config/config.h"
#include "sasl/prepare.h"

/* Asks, and asks again from the answer's cursor until all rows are there. */
static int run_admin(struct cli *c, struct ask_admin admin)
{
	struct client *client;
	struct answer answer;
	struct why why = {0};
	enum result r = client_open(c->directory, &client, &why);

	if (r != OK)
		return cli_fail(&why);
	struct buf rows = {0};
	do {
		r = client_ask(client,
		               &(struct ask){.kind = ASK_ADMIN, .number = 1, .admin = admin},
		               &answer, &why);
		if (r != OK)
			break;
		buf_append(&rows, answer.admin.rows);
		admin.number = answer.admin.next;
	} while (answer.admin.next != 0);
	if (r == OK)
		cli_print_rows(c, buf_bytes(&rows));
	buf_done(&rows);
	client_close(&client);
	return r == OK ? CLI_DONE : cli_fail(&why);
}

static struct bytes arg(const struct cli *c, size_t nth)
{
	return nth < c->arg_count ? bytes_of_text(c->args[nth]) : (struct bytes){0};
}

static int run_verb(struct cli *c, enum admin_verb verb, uint64_t number)
{
	return run_admin(
	        c,
	        (struct ask_admin){.verb = (uint16_t)verb, .subject = arg(c, 0), .number = number});
}

/* ---- accounts ---- */

/* store compares octets, so the address goes there in its canonical form. */
static enum result read_address(struct cli *c, struct bytes *ret, struct why *why)
{
	if (config_address_canonical(arg(c, 0), &c->arena, ret) == OK &&
	    bytes_find_char(*ret, '@') != BYTES_NONE)
		return OK;
	return why_set(why, INVALID, "\"%s\" is no address", c->args[0]);
}

static int run_account(struct cli *c, enum admin_verb verb, uint64_t number)
{
	struct bytes address;
	struct why why;

	if (read_address(c, &address, &why) != OK)
		return cli_fail(&why);
	return run_admin(c, (struct ask_admin){
	                            .verb = (uint16_t)verb, .subject = address, .number = number});
}

/* One line, without its end. False: nothing there. */
static bool read_line(char *ptr, size_t size)
{
	size_t len;

	if (!fgets(ptr, (int)size, stdin))
		return false;
	len = strlen(ptr);
	while (len > 0 && (ptr[len - 1] == '\n' || ptr[len - 1] == '\r'))
		ptr[--len] = 0;
	return len > 0;
}

static bool ask_terminal(const char *prompt, char *ptr, size_t size)
{
	struct termios before, quiet;
	bool got;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return false;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	fputs(prompt, stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	got = read_line(ptr, size);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	return got;
}

enum { PASSWORD_LINE = LIMIT_PASSWORD + 3 };

static enum result read_password(const struct cli *c, char ptr[PASSWORD_LINE], struct why *why)
{
	char again[PASSWORD_LINE];
	bool same;

	if (cli_option(c, "--password-stdin"))
		return read_line(ptr, PASSWORD_LINE)
		               ? OK
		               : why_set(why, INVALID, "no password on stdin");
	if (!isatty(STDIN_FILENO))
		return why_set(why, INVALID,
		               "no terminal to ask for the password at; use --password-stdin");
	if (!ask_terminal("Password: ", ptr, PASSWORD_LINE) ||
	    !ask_terminal("Once more: ", again, PASSWORD_LINE))
		return why_set(why, INVALID, "no password given");
	same = strcmp(ptr, again) == 0;
	memory_wipe(again, sizeof(again));
	return same ? OK : why_set(why, INVALID, "the two were not the same");
}

static enum result send_password(struct cli *c, struct bytes password, bool create, struct why *why)
{
	struct client *client;
	struct answer answer;
	struct ask a = {
	        .kind = ASK_PASSWORD,
	        .number = 1,
	        .password = {.password = password, .create = create},
	};
	enum result r = read_address(c, &a.password.address, why);

	if (r == OK)
		r = client_open(c->directory, &client, why);
	if (r != OK)
		return r;
	r = client_ask(client, &a, &answer, why);
	client_close(&client);
	return r;
}

static int set_password(struct cli *c, bool create)
{
	char line[PASSWORD_LINE];
	struct bytes password;
	struct why why = {0};
	enum result r = read_password(c, line, &why);

	if (r == OK && prepare_password(bytes_of_text(line), &c->arena, &password) != OK)
		r = why_set(
		        &why, INVALID,
		        "this password cannot be used: it holds control or unassigned characters");
	if (r == OK)
		r = send_password(c, password, create, &why);
	memory_wipe(line, sizeof(line));
	return r == OK ? CLI_DONE : cli_fail(&why);
}

int cli_account_add(struct cli *c)
{
	return set_password(c, true);
}

int cli_account_password(struct cli *c)
{
	return set_password(c, false);
}

int cli_account_list(struct cli *c)
{
	return run_verb(c, ADMIN_ACCOUNT_LIST, 0);
}

int cli_account_remove(struct cli *c)
{
	return run_account(c, ADMIN_ACCOUNT_REMOVE, 0);
}

static enum result parse_size(struct bytes text, uint64_t *ret)
{
	static const char units[] = "kmgt";
	unsigned shift = 0;
	uint64_t number;

	if (text.len > 1)
		for (unsigned i = 0; units[i]; i++)
			if (text_lower_char(text.ptr[text.len - 1]) == units[i])
				shift = (i + 1) * 10;
	if (bytes_to_u64(bytes_first(text, text.len - (shift > 0)), UINT64_MAX >> (shift + 1),
	                 &number) != OK)
		return INVALID;
	*ret = number << shift;
	return OK;
}

int cli_account_quota(struct cli *c)
{
	uint64_t size;

	if (parse_size(arg(c, 1), &size) != OK)
		return cli_say_usage(c->command,
		                     "SIZE is a number of octets, or one with k, m, g or t");
	return run_account(c, ADMIN_ACCOUNT_QUOTA, size);
}

int cli_account_suspend(struct cli *c)
{
	return run_account(c, ADMIN_ACCOUNT_SUSPEND, 1);
}

int cli_account_resume(struct cli *c)
{
	return run_account(c, ADMIN_ACCOUNT_SUSPEND, 0);
}

/* ---- the server ---- */

int cli_sweep(struct cli *c)
{
	return run_verb(c, ADMIN_SWEEP, 0);
}

int cli_image(struct cli *c)
{
	return run_verb(c, ADMIN_CHECKPOINT, 0);
}

int cli_reload(struct cli *c)
{
	struct client *client;
	struct bytes text;
	struct why why = {0};
	enum result r = client_open(c->directory, &client, &why);

	if (r == OK) {
		r = client_request(client, ROLE_MASTER_RELOAD, &text, &why);
		client_close(&client);
	}
	return r == OK ? CLI_DONE : cli_fail(&why);
}
