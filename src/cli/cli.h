/* The command line. One table (cli/cli.c) has every command: its words, its arguments and options, its help, its function.
 * Exit codes: 0 done, 1 refused or failed, 2 usage. Listings are tables for people, or with --json an object a line. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/arena.h"
#include "base/buf.h"

enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };
enum { CLI_ARGS = 1024, CLI_OPTIONS = 64 };

struct cli_option {
	const char *name; /* "--hostname" */
	const char *value;
};

struct cli {
	const char *directory; /* -C, or the first argument of setup, serve */
	bool json;
	const struct cli_command *command;
	const char *args[CLI_ARGS];
	size_t arg_count;
	struct cli_option options[CLI_OPTIONS];
	size_t option_count;
	struct arena arena;
};

enum cli_need {
	CLI_NEEDS_FOLDER = 1 << 0, /* -C DIR */
	CLI_LISTS = 1 << 1,        /* takes --json */
};

struct cli_command {
	const char *group; /* "account", or the whole command: "setup" */
	const char *verb;  /* "add", or NULL */
	const char *args;  /* "ADDRESS": for usage */
	size_t min, max;   /* how many args */
	unsigned needs;
	const char *options; /* words "--hostname=NAME --password-stdin"; = takes a value */
	const char *help;    /* first line: one line; further lines: details */
	int (*run)(struct cli *c);
};

/* What main() returns. */
int cli_main(int argc, char **argv);
/* "sendmail", "mailq" or "newaliases" when that is the name in this path, else NULL: programs that send mail know only these. */
const char *cli_mail_name(const char *path);

const char *cli_option(const struct cli *c,
                       const char *name); /* the last one's value, "" for a flag, or NULL */
int cli_fail(const struct why *why);      /* says it on stderr; CLI_FAILED */
int cli_say_usage(const struct cli_command *command, const char *what);
bool cli_japanese(
        void); /* people whose LANG says so are spoken to in Japanese where it is settled */

/* rows: JSON objects, one a line. As they are with --json, else as a table. */
void cli_print_rows(const struct cli *c, struct bytes rows);

/* ---- one function a command ---- */
int cli_setup(struct cli *c);
int cli_serve(struct cli *c);
int cli_account_add(struct cli *c);
int cli_account_password(struct cli *c);
int cli_account_list(struct cli *c);
int cli_account_remove(struct cli *c);
int cli_account_quota(struct cli *c);
int cli_account_suspend(struct cli *c);
int cli_account_resume(struct cli *c);
int cli_domain_list(struct cli *c);
int cli_domain_add(struct cli *c);
int cli_domain_remove(struct cli *c);
int cli_alias_list(struct cli *c);
int cli_alias_add(struct cli *c);
int cli_alias_remove(struct cli *c);
int cli_queue_list(struct cli *c); /* cli/queue.c */
int cli_queue_why(struct cli *c);
int cli_queue_summary(struct cli *c);
int cli_queue_redirect(struct cli *c);
int cli_escrow_list(struct cli *c); /* cli/escrow.c */
int cli_escrow_show(struct cli *c);
int cli_escrow_release(struct cli *c);
int cli_dmarc(struct cli *c);     /* cli/dmarc.c */
int cli_senders(struct cli *c);   /* cli/senders.c */
int cli_trace(struct cli *c);     /* cli/trace.c */
int cli_incidents(struct cli *c); /* cli/incidents.c */
int cli_incidents_show(struct cli *c);
int cli_incidents_close(struct cli *c);
int cli_incidents_ack(struct cli *c);
int cli_alarms_list(struct cli *c); /* cli/alarms.c */
int cli_alarms_test(struct cli *c);
int cli_alarms_run(struct cli *c);
int cli_metrics(struct cli *c); /* cli/status.c */
int cli_sending(struct cli *c);
int cli_checks(struct cli *c); /* cli/checks.c */
int cli_checks_restore(struct cli *c);
int cli_ban_list(struct cli *c); /* cli/ban.c */
int cli_ban_why(struct cli *c);
int cli_ban_lift(struct cli *c);
int cli_ban_add(struct cli *c);
int cli_ban_test(struct cli *c);
int cli_ban_jails(struct cli *c);
int cli_ban_watch(struct cli *c); /* cli/ban_watch.c */
int cli_queue_show(struct cli *c);
int cli_queue_retry(struct cli *c);
int cli_queue_hold(struct cli *c);
int cli_queue_release(struct cli *c);
int cli_queue_remove(struct cli *c);
int cli_dkim_add(struct cli *c);
int cli_dkim_list(struct cli *c);
int cli_dkim_use(struct cli *c);
int cli_dkim_rotate(struct cli *c);
int cli_dkim_remove(struct cli *c);
int cli_resolve(struct cli *c); /* cli/resolve.c */
int cli_dns(struct cli *c);     /* cli/dns.c */
int cli_status(struct cli *c);
int cli_reload(struct cli *c);
int cli_sweep(struct cli *c);
int cli_image(struct cli *c);
int cli_config(struct cli *c);
int cli_check(struct cli *c);
int cli_fsck(struct cli *c);

#endif
