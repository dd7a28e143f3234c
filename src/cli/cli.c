#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli/sendmail.h"
#include "roles/master.h"
#include "sys/process.h"

/* ---- every command ---- */

#define FOLDER CLI_NEEDS_FOLDER
#define LISTING (CLI_NEEDS_FOLDER | CLI_LISTS)

#define ESCROW_HELP                                                                       \
	"ID is the one in the refusal's text, or a queue id. TIME is 30m, 2h, 3d (ago), " \
	"2026-11-24 "                                                                     \
	"or 2026-11-24T11:04."

#define WHICH_HELP                                                                                \
	"WHICH is a queue id (as in logs and in 250), entry:N, an address, @DOMAIN, incident:N, " \
	"state:WORD (ready,\nheld, carry, parked) or all.\n"

static const struct cli_command commands[] = {
        {"setup", NULL, "DIR", 1, 1, 0,
         "--hostname=NAME --domain=NAME --listen=ADDRESS --ports=BASE",
         "make a folder for a server: configuration, keys, a self-signed certificate\n"
         "--hostname and --domain must be given; --domain and --listen may stand several times. "
         "--ports BASE adds\n"
         "BASE to every standard port: with 10000, SMTP is 10025 and IMAP 10143.",
         cli_setup},
        {"serve", NULL, "DIR", 1, 1, 0, "",
         "run the server in the foreground, its log on stderr\n"
         "SIGTERM stops it in order, SIGHUP reloads the configuration.",
         cli_serve},
        {"account", "add", "ADDRESS", 1, 1, FOLDER, "--password-stdin",
         "make an account\nThe password is asked for at the terminal, or read as a line from "
         "stdin.",
         cli_account_add},
        {"account", "list", "", 0, 0, LISTING, "", "list accounts, what they use and may use",
         cli_account_list},
        {"account", "remove", "ADDRESS", 1, 1, FOLDER, "", "remove an account and all its mail",
         cli_account_remove},
        {"account", "password", "ADDRESS", 1, 1, FOLDER, "--password-stdin",
         "give an account a new password", cli_account_password},
        {"account", "quota", "ADDRESS SIZE", 2, 2, FOLDER, "",
         "limit what an account may store: octets, or 500m, 10g; 0: no limit", cli_account_quota},
        {"account", "suspend", "ADDRESS", 1, 1, FOLDER, "",
         "nobody may log in; mail for it waits in the queue", cli_account_suspend},
        {"account", "resume", "ADDRESS", 1, 1, FOLDER, "", "end a suspension", cli_account_resume},
        {"domain", "list", "", 0, 0, LISTING, "", "list the domains whose mail is ours",
         cli_domain_list},
        {"domain", "add", "DOMAIN", 1, 1, FOLDER, "", "take mail for a domain", cli_domain_add},
        {"domain", "remove", "DOMAIN", 1, 1, FOLDER, "",
         "take no more mail for a domain; accounts stay", cli_domain_remove},
        {"alias", "list", "", 0, 0, LISTING, "", "list the aliases of etc/virtual", cli_alias_list},
        {"alias", "add", "ADDRESS TARGET...", 2, CLI_ARGS, FOLDER, "",
         "send mail for ADDRESS (or @DOMAIN) to the targets; what it had before is replaced",
         cli_alias_add},
        {"alias", "remove", "ADDRESS", 1, 1, FOLDER, "", "remove an alias", cli_alias_remove},
        {"queue", "list", "[WHICH]", 0, 1, LISTING, "--all --lang=LANG",
         "list mail that is not where it should be yet, and why\n" WHICH_HELP
         "Of very many the first 1,000 are listed, with --all all of them.",
         cli_queue_list},
        {"queue", "show", "WHICH", 1, 1, LISTING, "",
         "show all that is known of queued mail\n" WHICH_HELP, cli_queue_show},
        {"queue", "why", "WHICH", 1, 1, LISTING, "--lang=LANG",
         "say why mail waits, what the other host said, and when it is tried again\n" WHICH_HELP,
         cli_queue_why},
        {"queue", "summary", "", 0, 0, LISTING, "", "count what waits, by destination",
         cli_queue_summary},
        {"queue", "retry", "[WHICH]", 0, 1, LISTING, "",
         "try mail again now; without WHICH all\n" WHICH_HELP, cli_queue_retry},
        {"queue", "hold", "WHICH", 1, 1, LISTING, "",
         "keep mail until it is released; it does not grow too old\n" WHICH_HELP, cli_queue_hold},
        {"queue", "release", "WHICH", 1, 1, LISTING, "", "let held mail go on\n" WHICH_HELP,
         cli_queue_release},
        {"queue", "redirect", "WHICH ADDRESS", 2, 2, LISTING, "",
         "send queued mail to another address instead\n" WHICH_HELP, cli_queue_redirect},
        {"queue", "remove", "WHICH", 1, 1, LISTING, "",
         "delete queued mail; nobody is told\n" WHICH_HELP, cli_queue_remove},
        {"trace", NULL, "WHAT...", 1, CLI_ARGS, LISTING, "--all --lang=LANG",
         "tell a mail's whole life: when it came, where it went, where it is\n"
         "WHAT is an address, a Message-ID, a queue id, the id in a refusal's text, an IP address, "
         "a host's name, a time\n(2026-11-24T11:04: a minute around it; 30m, 2h: ago), or - : then "
         "the text of a bounce on stdin.",
         cli_trace},
        {"escrow", "list", "[ID...]", 0, CLI_ARGS, LISTING,
         "--check=NAME --to=ADDRESS --from=ADDRESS --since=TIME --until=TIME --all --lang=LANG",
         "list what was refused after DATA and is kept, the newest first\n" ESCROW_HELP
         "\nWith --all also what was delivered after all.",
         cli_escrow_list},
        {"escrow", "show", "ID", 1, 1, LISTING, "--mail --lang=LANG",
         "say why a mail was refused; with --mail write the mail itself\n" ESCROW_HELP,
         cli_escrow_show},
        {"escrow", "release", "[ID...]", 0, CLI_ARGS, LISTING,
         "--check=NAME --to=ADDRESS --from=ADDRESS --since=TIME --until=TIME --lang=LANG",
         "deliver what was refused, to --to alone or to all of its recipients, once\n" ESCROW_HELP
         "\nWithout an ID what --check and the others say, or: all. Exit 1: nothing was there.",
         cli_escrow_release},
        {"incidents", "show", "NUMBER", 1, 1, LISTING, "--lang=LANG",
         "what is wrong, since when, what it costs, what to do", cli_incidents_show},
        {"incidents", "close", "NUMBER", 1, 1, FOLDER, "",
         "say that it is over; what was held for it goes on", cli_incidents_close},
        {"incidents", "ack", "NUMBER", 1, 1, FOLDER, "--by=NAME", "say that somebody is at it",
         cli_incidents_ack},
        {"incidents", NULL, "", 0, 0, LISTING, "--all --lang=LANG",
         "list what is wrong now; with --all also what was", cli_incidents},
        {"alarms", "list", "[NAME]", 0, 1, LISTING, "",
         "list the alarms that wait for their channels (`alarm` sections), and why they wait",
         cli_alarms_list},
        {"alarms", "test", "[NAME]", 0, 1, LISTING, "",
         "send a test alarm to this channel, or to all", cli_alarms_test},
        {"alarms", "run", "NAME [--] COMMAND [ARG...]", 2, CLI_ARGS, FOLDER, "--once --lang=LANG",
         "run a command for each alarm of a channel that is collected\nThe alarm is JSON on its "
         "stdin; HIKYAKU_EVENT, _INCIDENT, _KIND, _KEY and _TITLE are in its environment. When it "
         "does not\nend with 0 the alarm is tried again later. --once: those that wait, and no "
         "more.",
         cli_alarms_run},
        {"metrics", NULL, "", 0, 0, FOLDER, "",
         "figures in Prometheus's text format, for node_exporter's textfile collector or a script",
         cli_metrics},
        {"dmarc", NULL, "[DOMAIN]", 0, 1, LISTING, "--reports --since=TIME --lang=LANG",
         "list who sent mail as our domains, as other hosts report it (DMARC), failures first\n"
         "dkim, spf: mails that were proven so. --reports: the reports themselves. --since: 30 "
         "days "
         "without it.",
         cli_dmarc},
        {"senders", NULL, "[NETWORK]", 0, 1, LISTING, "--since=TIME --lang=LANG",
         "list networks whose hosts have names that do not lead back to them, most missed first\n"
         "known: mails from senders that your users know. With NETWORK: a letter to its "
         "postmaster. "
         "Without --since\nthe last 7 days.",
         cli_senders},
        {"sending", NULL, "", 0, 0, LISTING, "",
         "list who sent how much in the last hour and day, and what the limits are", cli_sending},
        {"checks", "restore", "CHECK", 1, 1, FOLDER, "",
         "let a check refuse mail again that lost the right to", cli_checks_restore},
        {"checks", NULL, "[CHECK]", 0, 1, LISTING, "--lang=LANG",
         "list what looks at mail: whether each check may refuse, and what it found\nWith a CHECK "
         "all that is known of it.",
         cli_checks},
        {"ban", "list", "", 0, 0, LISTING, "--all --nft",
         "list the addresses and networks that are kept out, and why\n--all: also those whose time "
         "is over. --nft: as commands for `nft -f -`, so that the kernel drops them.",
         cli_ban_list},
        {"ban", "why", "ADDRESS", 1, 1, LISTING, "--lang=LANG",
         "say what an address or network did, and whether it is kept out", cli_ban_why},
        {"ban", "lift", "ADDRESS", 1, 1, FOLDER, "",
         "let an address or network in again; all: everybody", cli_ban_lift},
        {"ban", "add", "ADDRESS", 1, 1, FOLDER, "--for=TIME --why=TEXT",
         "keep an address or network out\nTIME is 30m, 2h, 7d; without it the longest time of the "
         "configuration.",
         cli_ban_add},
        {"ban", "test", "[ADDRESS]", 0, 1, LISTING, "--lang=LANG",
         "prove that bans work: an address that nobody has is banned and lifted\nWith ADDRESS: "
         "would it be let in? Exit 1: bans do not work, or it would not.",
         cli_ban_test},
        {"ban", "watch", "SERVICE", 1, 1, FOLDER, "--mode=MODE --filter=FILE",
         "read another service's log on stdin and ban who fails there\n"
         "As in: journalctl -f -u ssh | hikyaku -C DIR ban watch sshd --mode normal. Its rules are "
         "proven first;\n--filter FILE is a filter of your own in fail2ban's syntax, with a "
         "section "
         "[Samples].",
         cli_ban_watch},
        {"ban", "jails", "", 0, 0, LISTING, "",
         "list the logs of other services that are watched, and what their rules matched",
         cli_ban_jails},
        {"dns", NULL, "DOMAIN", 1, 1, LISTING, "--zone --address=IP --lang=LANG",
         "check what a domain publishes in the DNS: what is wrong, what it causes, what to do\n"
         "With --zone: the records to publish, as a piece of zone file. --address says which are "
         "this host's, where it\nstands behind a NAT; it may stand several times. Exit 1 where "
         "something is wrong.",
         cli_dns},
        {"resolve", NULL, "NAME [TYPE]", 1, 2, LISTING, "",
         "ask the server's own resolver: what the DNS says, and whether DNSSEC proves it\nTYPE is "
         "A (the default), AAAA, MX, TXT, TLSA ... or a number. Exit 1: nobody knows, or it is "
         "forged.",
         cli_resolve},
        {"dkim", "add", "DOMAIN", 1, 1, FOLDER, "--rsa --ed25519",
         "make DKIM keys for a domain and print the records to publish\nWithout an option one of "
         "each "
         "kind. They sign nothing until: hikyaku dkim use DOMAIN",
         cli_dkim_add},
        {"dkim", "list", "[DOMAIN]", 0, 1, LISTING, "",
         "list DKIM keys: new (not used yet), signs, old (still published)\nWith --json also the "
         "record "
         "to publish.",
         cli_dkim_list},
        {"dkim", "use", "DOMAIN [SELECTOR]", 1, 2, FOLDER, "",
         "sign with a key from now on, without SELECTOR with all new ones\nThe key of its kind "
         "that "
         "signed before is old then.",
         cli_dkim_use},
        {"dkim", "rotate", "DOMAIN", 1, 1, FOLDER, "--finish --unchecked",
         "replace a domain's keys: first make new ones, then --finish\n--finish looks whether the "
         "DNS "
         "shows the new records (not with --unchecked) and signs with them.",
         cli_dkim_rotate},
        {"dkim", "remove", "DOMAIN SELECTOR", 2, 2, FOLDER, "--force",
         "delete a key; one that signs only with --force", cli_dkim_remove},
        {"status", NULL, "", 0, 0, LISTING, "--full --lang=LANG",
         "say how the server is; 1 when it does not run or an incident is open\n--full: all "
         "figures, "
         "a process a line",
         cli_status},
        {"reload", NULL, "", 0, 0, FOLDER, "",
         "read the configuration again; returns when all roles have taken it\nOn an error the old "
         "one stays in force.",
         cli_reload},
        {"config", NULL, "[OPTION]", 0, 1, CLI_LISTS, "",
         "list every option with its value, default and help\nWith -C DIR the values are those of "
         "its files.",
         cli_config},
        {"check", NULL, "KIND [ARGUMENT...]", 1, CLI_ARGS, 0, "",
         "judge one thing on stdin, one result a line\ncheck mime: a message as a JSON tree; check "
         "charset NAME: octets to UTF-8; check bounce: whom a message says was not reached, and "
         "whether for good; check dkim, check arc: what a message's signatures are worth (--dns "
         "ADDR[:PORT]);\ncheck spf --ip --helo --from: may that address send for it; check dmarc: "
         "what "
         "From's domain wants; check report: a DMARC report, packed or in a message; check ban "
         "SERVICE: whom log lines accuse.",
         cli_check},
        {"sweep", NULL, "", 0, 0, FOLDER, "", "give back the space of deleted mail now", cli_sweep},
        {"image", NULL, "", 0, 0, FOLDER, "", "write an image of the index into the log now",
         cli_image},
        {"fsck", NULL, "", 0, 0, LISTING, "",
         "prove that log, index and queue agree; the server must be stopped\nWhat is derived is "
         "put "
         "right, what the disk lost is named (exit 1).",
         cli_fsck},
};
enum { COMMANDS = sizeof(commands) / sizeof(*commands) };

/* ---- saying things ---- */

bool cli_japanese(void)
{
	static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

	for (size_t i = 0; i < 3; i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return bytes_starts(bytes_of_text(value), BYTES("ja"));
	}
	return false;
}

int cli_fail(const struct why *why)
{
	fprintf(stderr, "hikyaku: %s\n", why->text);
	return CLI_FAILED;
}

static void print_synopsis(FILE *to, const struct cli_command *c)
{
	struct bytes options = bytes_of_text(c->options), option;

	fprintf(to, "hikyaku%s %s%s%s", c->needs & CLI_NEEDS_FOLDER ? " -C DIR" : "", c->group,
	        c->verb ? " " : "", c->verb ? c->verb : "");
	if (*c->args)
		fprintf(to, " %s", c->args);
	while (bytes_cut(&options, ' ', &option)) {
		size_t equals = bytes_find_char(option, '=');

		if (equals == BYTES_NONE)
			fprintf(to, " [%.*s]", BYTES_ARG(option));
		else
			fprintf(to, " [%.*s %.*s]", BYTES_ARG(bytes_first(option, equals)),
			        BYTES_ARG(bytes_skip(option, equals + 1)));
	}
	fprintf(to, "%s\n", c->needs & CLI_LISTS ? " [--json]" : "");
}

int cli_say_usage(const struct cli_command *command, const char *what)
{
	fprintf(stderr, "hikyaku: %s\nusage: ", what);
	print_synopsis(stderr, command);
	return CLI_USAGE;
}

static struct bytes first_line(const char *help)
{
	struct bytes b = bytes_of_text(help);
	size_t end = bytes_find_char(b, '\n');

	return end == BYTES_NONE ? b : bytes_first(b, end);
}

static int help_command(const struct cli_command *c)
{
	printf("NAME\n  %s%s%s - %.*s\n\nSYNOPSIS\n  ", c->group, c->verb ? " " : "",
	       c->verb ? c->verb : "", BYTES_ARG(first_line(c->help)));
	print_synopsis(stdout, c);
	if (c->help[first_line(c->help).len])
		printf("\n%s\n", c->help + first_line(c->help).len + 1);
	return CLI_DONE;
}

static int help_all(const char *group)
{
	if (!group)
		printf("hikyaku: a whole mail server\n\n"
		       "hikyaku setup DIR --hostname mx.example.test --domain example.test   makes "
		       "one\n"
		       "hikyaku serve DIR                                                    runs "
		       "it\n"
		       "hikyaku -C DIR COMMAND ...                                           "
		       "commands it\n\n"
		       "hikyaku -C DIR sendmail|mailq|newaliases ...                         as by "
		       "these "
		       "names: sendmail --help\n\n"
		       "Every command has --help; listings have --json. Exit codes: 0 done, 1 "
		       "refused or failed, 2 usage.\n\n");
	for (size_t i = 0; i < COMMANDS; i++) {
		const struct cli_command *c = &commands[i];
		char words[64];

		if (group && !bytes_equal(bytes_of_text(group), bytes_of_text(c->group)))
			continue;
		snprintf(words, sizeof(words), "%s %s%s%s", c->group, c->verb ? c->verb : "",
		         c->verb && *c->args ? " " : "", c->args);
		printf("  %-32s %.*s\n", words, BYTES_ARG(first_line(c->help)));
	}
	return CLI_DONE;
}

/* ---- the nearest command, for the mistyped ---- */

enum { WORD_MAX = 40 };

/* Edits that make a out of b; a swap of neighbours counts as one (Damerau, restricted). */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *row = rows[i % 3], *up = rows[(i - 1) % 3], *upper = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = up[j - 1] + (a[i - 1] != b[j - 1]);

			best = up[j] + 1 < best ? up[j] + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    upper[j - 2] + 1 < best)
				best = upper[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[la % 3][lb];
}

/* group NULL: among the groups; else among its verbs. */
static const char *nearest(const char *group, const char *word)
{
	const char *best = NULL;
	size_t best_distance = strlen(word) / 2 + 2;

	for (size_t i = 0; i < COMMANDS; i++) {
		const char *candidate = group ? commands[i].verb : commands[i].group;
		size_t d;

		if (!candidate || (group && strcmp(group, commands[i].group) != 0))
			continue;
		d = distance(candidate, word);
		if (d < best_distance) {
			best_distance = d;
			best = candidate;
		}
	}
	return best;
}

static int unknown(const char *group, const char *word)
{
	const char *near = nearest(group, word);

	fprintf(stderr, "hikyaku: there is no command \"%s%s%s\"", group ? group : "",
	        group ? " " : "", word);
	if (near)
		fprintf(stderr, "; did you mean \"%s%s%s\"?", group ? group : "", group ? " " : "",
		        near);
	fprintf(stderr, "\nhikyaku --help lists them.\n");
	return CLI_USAGE;
}

/* ---- arguments ---- */

static bool is_group(const char *word)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].group, word) == 0)
			return true;
	return false;
}

static const struct cli_command *find(const char *group, const char *verb)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].group, group) == 0 &&
		    (!commands[i].verb || (verb && strcmp(commands[i].verb, verb) == 0)))
			return &commands[i];
	return NULL;
}

const char *cli_option(const struct cli *c, const char *name)
{
	for (size_t i = c->option_count; i > 0; i--)
		if (strcmp(c->options[i - 1].name, name) == 0)
			return c->options[i - 1].value;
	return NULL;
}

/* 0: no such option; 1: a flag; 2: takes a value. */
static int option_kind(const struct cli_command *c, struct bytes name)
{
	struct bytes options = bytes_of_text(c->options), option;

	if (c->needs & CLI_LISTS && bytes_equal(name, BYTES("--json")))
		return 1;
	while (bytes_cut(&options, ' ', &option)) {
		size_t equals = bytes_find_char(option, '=');

		if (bytes_equal(bytes_first(option, equals == BYTES_NONE ? option.len : equals),
		                name))
			return equals == BYTES_NONE ? 1 : 2;
	}
	return 0;
}

/* --name value or --name=value; returns how many words it took, 0: wrong, which has been said. */
static int take_option(struct cli *c, int left, char **argv)
{
	struct bytes word = bytes_of_text(argv[0]);
	size_t equals = bytes_find_char(word, '=');
	struct bytes name = bytes_first(word, equals == BYTES_NONE ? word.len : equals);
	int kind = option_kind(c->command, name);
	bool inside = equals != BYTES_NONE;
	struct cli_option *o = &c->options[c->option_count];

	if (kind == 0 || (kind == 1 && inside) || c->option_count == CLI_OPTIONS) {
		cli_say_usage(c->command,
		              arena_printf(&c->arena, "unknown option %s%c", argv[0], 0).ptr);
		return 0;
	}
	if (kind == 2 && !inside && left < 2) {
		cli_say_usage(c->command,
		              arena_printf(&c->arena, "%s needs a value%c", argv[0], 0).ptr);
		return 0;
	}
	o->name = arena_text(&c->arena, name);
	o->value = kind == 1 ? "" : inside ? argv[0] + equals + 1 : argv[1];
	c->option_count++;
	c->json = c->json || bytes_equal(name, BYTES("--json"));
	return kind == 2 && !inside ? 2 : 1;
}

/* check passes what follows its KIND on as it is. */
static int take_rest(struct cli *c, int argc, char **argv)
{
	bool only_args = false;
	int i = 0;

	while (i < argc) {
		bool is_option = !only_args && argv[i][0] == '-' && argv[i][1];
		int taken = 1;

		if (is_option && strcmp(argv[i], "--help") == 0)
			return help_command(c->command), -1;
		if (is_option && strcmp(argv[i], "--") == 0)
			only_args = true;
		else if (is_option)
			taken = take_option(c, argc - i, argv + i);
		else if (c->arg_count < CLI_ARGS)
			c->args[c->arg_count++] = argv[i];
		else
			return cli_say_usage(c->command, "more than 1,024 words");
		if (taken == 0)
			return CLI_USAGE;
		only_args = only_args || c->command->run == cli_check;
		i += taken;
	}
	return CLI_DONE;
}

static int run(struct cli *c, int argc, char **argv)
{
	int status = take_rest(c, argc, argv);

	if (status != CLI_DONE)
		return status < 0 ? CLI_DONE : status;
	if (c->arg_count < c->command->min || c->arg_count > c->command->max)
		return cli_say_usage(c->command, c->arg_count < c->command->min
		                                         ? "something is missing"
		                                         : "that is too much");
	if (c->command->needs & CLI_NEEDS_FOLDER && !c->directory)
		return cli_say_usage(c->command, "which server? -C DIR names its folder");
	return c->command->run(c);
}

/* -C DIR and --json stand before the command. */
static int take_global(struct cli *c, int argc, char **argv)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-') {
		if (strcmp(argv[i], "-C") == 0 && i + 1 < argc)
			c->directory = argv[++i];
		else if (strcmp(argv[i], "--json") == 0)
			c->json = true;
		else
			break;
		i++;
	}
	return i;
}

static int choose(struct cli *c, int argc, char **argv)
{
	const char *group = argc > 0 ? argv[0] : NULL;

	if (!group || strcmp(group, "help") == 0 || strcmp(group, "--help") == 0 ||
	    strcmp(group, "-h") == 0)
		return help_all(NULL), group ? CLI_DONE : CLI_USAGE;
	if (strcmp(group, "--version") == 0)
		return printf("hikyaku %s\n", HIKYAKU_VERSION), CLI_DONE;
	if (strcmp(group, "-C") == 0) {
		fprintf(stderr, "hikyaku: -C needs a folder\n");
		return CLI_USAGE;
	}
	if (group[0] == '-') {
		fprintf(stderr, "hikyaku: unknown option %s\nhikyaku --help lists what there is.\n",
		        group);
		return CLI_USAGE;
	}
	if (!is_group(group))
		return unknown(NULL, group);
	c->command = find(group, argc > 1 ? argv[1] : NULL);
	if (c->command)
		return run(c, argc - (c->command->verb ? 2 : 1), argv + (c->command->verb ? 2 : 1));
	if (argc > 1 && strcmp(argv[1], "--help") != 0)
		return unknown(group, argv[1]);
	help_all(group);
	return argc > 1 ? CLI_DONE : CLI_USAGE;
}

const char *cli_mail_name(const char *path)
{
	static const char *const names[] = {"sendmail", "mailq", "newaliases"};
	const char *slash = path ? strrchr(path, '/') : NULL;

	for (size_t i = 0; path && i < 3; i++)
		if (strcmp(slash ? slash + 1 : path, names[i]) == 0)
			return names[i];
	return NULL;
}

int cli_main(int argc, char **argv)
{
	const char *name = cli_mail_name(argc > 0 ? argv[0] : NULL);
	struct cli c = {0};
	int first, status;

	if (name)
		return sendmail_main(name, NULL, argc, argv);
	first = take_global(&c, argc, argv);
	name = cli_mail_name(first < argc ? argv[first] : NULL);
	if (name)
		return sendmail_main(name, c.directory, argc - first, argv + first);
	status = choose(&c, argc - first, argv + first);

	if (fflush(stdout) != 0 && status == CLI_DONE)
		status = CLI_FAILED;
	arena_done(&c.arena);
	return status;
}

int cli_serve(struct cli *c)
{
	return master_main(c->args[0]) == 0 ? CLI_DONE : CLI_FAILED;
}
