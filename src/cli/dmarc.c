/* `hikyaku dmarc`: what other hosts reported of mail that claims to be from our domains: by sender, or report by report. */
#include <stdio.h>

#include "cli/client.h"
#include "cli/pages.h"
#include "sys/clock.h"

enum { DAYS = 30 };

static const char *const of_sources[] = {"domain",        "ip",       "mails",       "failed",
                                         "dkim",          "spf",      "quarantined", "rejected",
                                         "envelope_from", "reporter", "last_ms"};
static const char *const of_reports[] = {"domain", "reporter", "mails",      "failed",
                                         "policy", "end_ms",   "received_ms"};

struct listing {
	struct cli *c;
	const char *const *keys;
	size_t key_count;
	size_t told;
};

static bool page(void *context, struct bytes rows, bool more)
{
	struct listing *l = context;

	(void)more;
	if (l->c->json) {
		cli_print_rows(l->c, rows);
		l->told += rows.len > 0;
	} else {
		l->told += cli_print_some(l->c, rows, l->keys, l->key_count);
	}
	return true;
}

static void tell_none(const struct cli *c)
{
	fputs(cli_speaks_japanese(c) ? "届いたレポートはありません。DMARC レコードの rua= "
	                               "に自分の宛先を書き、設定 dmarc の reports にも同じ"
	                               "宛先を書くと、ここに表示されます。\n"
	                             : "No reports came in. They do once rua= in your DMARC record "
	                               "names an address of yours, and `dmarc { reports "
	                               "ADDRESS }` in the configuration the same.\n",
	      stdout);
}

int cli_dmarc(struct cli *c)
{
	const char *since = cli_option(c, "--since");
	bool reports = cli_option(c, "--reports") != NULL;
	int64_t at = clock_now() - DAYS * 24LL * 3600 * 1000;
	struct listing l = {c, of_sources, sizeof(of_sources) / sizeof(*of_sources), 0};
	int status;

	if (since && !cli_moment_of(since, &at))
		return cli_say_usage(c->command,
		                     "a time is 30m, 2h, 3d (ago), 2026-11-24 or 2026-11-24T11:04");
	if (reports) {
		l.keys = of_reports;
		l.key_count = sizeof(of_reports) / sizeof(*of_reports);
	}
	status = cli_admin_pages(
	        c,
	        (struct ask_admin){.verb = ADMIN_DMARC,
	                           .subject = bytes_of_text(c->arg_count ? c->args[0] : ""),
	                           .value = reports ? BYTES("reports") : (struct bytes){0},
	                           .number = (uint64_t)at},
	        page, &l);
	if (status == CLI_DONE && l.told == 0 && !c->json)
		tell_none(c);
	return status;
}
