/* `hikyaku senders`: networks whose hosts have names that do not lead back to them, what we would lose by refusing them for
 * it, and a letter to their postmaster. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/pages.h"
#include "sys/clock.h"

enum { DAYS = 7 };

static const char *const keys[] = {"network", "hosts",   "named",  "mails",
                                   "known",   "refused", "last_ms"};

static const char *text_of(const json_t *row, const char *key)
{
	const char *value = json_string_value(json_object_get(row, key));

	return value ? value : "";
}

static long long number_of(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static void tell_hosts(const json_t *row)
{
	const json_t *list = json_object_get(row, "examples"), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		printf("    %s  %s\n", text_of(one, "ip"),
		       *text_of(one, "name") ? text_of(one, "name") : "(no PTR / 逆引きなし)");
	}
}

/* In both languages: the reader is at the other end. */
static void tell_letter(const json_t *row)
{
	long long hosts = number_of(row, "hosts"), named = number_of(row, "named");

	printf("To: postmaster@%s\n",
	       strchr(text_of(row, "network"), '/') ? "..." : text_of(row, "network"));
	puts("Subject: Reverse DNS of your mail hosts / メール送信ホストの逆引き設定について\n");
	printf("Dear postmaster,\n\n"
	       "%lld of your hosts sent us mail, and their reverse DNS does not lead back to "
	       "them:\n"
	       "%lld have a name that does not resolve to the address, %lld have no name.\n"
	       "Many servers refuse or delay mail from such hosts (RFC 8601, 2.7.3; RFC 1912, "
	       "2.1).\n"
	       "Please give each address a PTR record, and its name an A or AAAA record with the\n"
	       "same address. Some of them:\n\n",
	       hosts, named, hosts - named);
	tell_hosts(row);
	printf("\n(日本語)\n"
	       "貴ネットワークのホスト %lld "
	       "台から当サーバーにメールが届きましたが、逆引き名が元の\n"
	       "アドレスに戻りません。%lld 台は逆引き名を正引きしても元のアドレスにならず、%lld "
	       "台は\n"
	       "逆引き名がありません。このようなホストからのメールを拒否・遅延させるサーバーは多く"
	       "あります。\n"
	       "各アドレスに PTR レコードを、その名前に同じアドレスの A / AAAA "
	       "レコードを設定していただけ\n"
	       "ますよう、お願いいたします。上記はその例です。\n",
	       hosts, named, hosts - named);
}

static void tell_network(const struct cli *c, const json_t *row)
{
	const char *form =
	        cli_speaks_japanese(c)
	                ? "%s: ホスト %lld 台が逆引き不一致 (名前あり %lld)、メール %lld 通、"
	                  "うち利用者の知人など既知の差出人 %lld 通、拒否 %lld 通\n\n"
	                : "%s: %lld hosts whose names do not lead back (%lld have one), %lld "
	                  "mails, %lld of them from senders known to your users, %lld refused\n\n";

	printf(form, text_of(row, "network"), number_of(row, "hosts"), number_of(row, "named"),
	       number_of(row, "mails"), number_of(row, "known"), number_of(row, "refused"));
	tell_letter(row);
}

struct listing {
	struct cli *c;
	size_t told;
};

static bool page(void *context, struct bytes rows, bool more)
{
	struct listing *l = context;
	struct bytes line;

	(void)more;
	if (l->c->json) {
		cli_print_rows(l->c, rows);
		l->told += rows.len > 0;
		return true;
	}
	if (l->c->arg_count == 0) {
		l->told += cli_print_some(l->c, rows, keys, sizeof(keys) / sizeof(*keys));
		return true;
	}
	while (bytes_cut(&rows, '\n', &line)) {
		json_t *row = cli_row(line);

		if (row)
			tell_network(l->c, row);
		l->told += row != NULL;
		json_decref(row);
	}
	return true;
}

int cli_senders(struct cli *c)
{
	const char *since = cli_option(c, "--since");
	int64_t at = clock_now() - DAYS * 24LL * 3600 * 1000;
	struct listing l = {c, 0};
	int status;

	if (since && !cli_moment_of(since, &at))
		return cli_say_usage(c->command,
		                     "a time is 2h, 3d (ago), 2026-11-24 or 2026-11-24T11:04");
	status = cli_admin_pages(
	        c,
	        (struct ask_admin){.verb = ADMIN_SENDERS,
	                           .subject = bytes_of_text(c->arg_count ? c->args[0] : ""),
	                           .number = (uint64_t)at},
	        page, &l);
	if (status != CLI_DONE || l.told || c->json)
		return status;
	puts(cli_speaks_japanese(c)
	             ? "逆引きが一致しないホストからのメールはありませんでした。"
	             : "No mail came from hosts whose names do not lead back to them.");
	return c->arg_count ? CLI_FAILED : CLI_DONE;
}
