/* hikyaku -C DIR resolve NAME [TYPE]: what our own resolver says. */
#include <stdio.h>

#include "base/wire.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "config/config.h"
#include "dns/dns.h"
#include "roles/resolver.h"

/* A JSON string's inside: quotes and backslashes; all else that comes here is printable ASCII or UTF-8. */
static void put_escaped(struct buf *out, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ')
			buf_printf(out, "\\u%04x", c);
		else
			buf_append_char(out, (char)c);
	}
}

static void put_records(struct buf *out, uint16_t type, struct bytes records)
{
	struct wire w = wire_of(records);
	struct buf text = {0};

	buf_append_text(out, ",\"records\":[");
	for (bool first = true; !wire_end(&w); first = false) {
		buf_clear(&text);
		dns_rdata_format(type, wire_block(&w), &text);
		buf_append_text(out, first ? "\"" : ",\"");
		put_escaped(out, buf_bytes(&text));
		buf_append_char(out, '"');
	}
	buf_append_char(out, ']');
	buf_done(&text);
}

static void print_json(const struct answer_resolve *a, const char *name, uint16_t type)
{
	struct buf out = {0};
	char type_name[DNS_TYPE_TEXT];

	dns_type_format(type, type_name);
	buf_append_text(&out, "{\"name\":\"");
	put_escaped(&out, bytes_of_text(name));
	buf_printf(&out, "\",\"type\":\"%s\",\"status\":\"%s\",\"secure\":%s,\"ttl\":%u", type_name,
	           dns_status_name((enum dns_status)a->status), a->secure ? "true" : "false",
	           a->ttl);
	buf_append_text(&out, ",\"canonical\":\"");
	put_escaped(&out, a->canonical);
	buf_append_char(&out, '"');
	put_records(&out, type, a->records);
	buf_append_text(&out, ",\"reason\":\"");
	put_escaped(&out, a->reason);
	buf_append_text(&out, "\"}\n");
	fwrite(buf_bytes(&out).ptr, 1, buf_len(&out), stdout);
	buf_done(&out);
}

static void print_text(const struct answer_resolve *a, const char *name, uint16_t type)
{
	struct wire w = wire_of(a->records);
	struct buf text = {0};
	char type_name[DNS_TYPE_TEXT];

	dns_type_format(type, type_name);
	printf("%s %s: %s, %s", name, type_name, dns_status_name((enum dns_status)a->status),
	       a->secure ? "secure" : "not secure");
	if (a->status <= DNS_NO_NAME)
		printf(", for %u s", a->ttl);
	printf("\n");
	if (a->canonical.len > 0)
		printf("leads to %.*s\n", BYTES_ARG(a->canonical));
	if (a->reason.len > 0)
		printf("%.*s\n", BYTES_ARG(a->reason));
	while (!wire_end(&w)) {
		buf_clear(&text);
		dns_rdata_format(type, wire_block(&w), &text);
		printf("  %.*s\n", BYTES_ARG(buf_bytes(&text)));
	}
	buf_done(&text);
}

/* Host names may be Unicode; names with underscores and the like are taken as they are. */
static struct bytes ascii_name(struct cli *c, struct bytes name)
{
	struct bytes canonical;

	return config_domain_canonical(name, &c->arena, &canonical) == OK ? canonical : name;
}

int cli_resolve(struct cli *c)
{
	struct client *client;
	struct answer answer;
	struct why why = {0};
	struct ask a = {.kind = ASK_RESOLVE, .number = 1};
	enum result r;

	a.resolve.name = ascii_name(c, bytes_of_text(c->args[0]));
	a.resolve.type = DNS_A;
	if (c->arg_count > 1 && dns_type_parse(bytes_of_text(c->args[1]), &a.resolve.type) != OK)
		return cli_say_usage(c->command, "TYPE is A, AAAA, MX, TXT ... or a number");
	r = client_open(c->directory, &client, &why);
	if (r != OK)
		return cli_fail(&why);
	r = client_ask(client, &a, &answer, &why);
	if (r == OK)
		(c->json ? print_json : print_text)(&answer.resolve, c->args[0], a.resolve.type);
	client_close(&client);
	if (r != OK)
		return cli_fail(&why);
	return answer.resolve.status <= DNS_NO_NAME ? CLI_DONE : CLI_FAILED;
}

/* ---- for `hikyaku status` ---- */

void cli_put_dns_row(struct client *client, struct buf *rows)
{
	static const char *const words[] = {"works", "not known yet", "failed", "failed", "failed"};
	struct ask a = {.kind = ASK_RESOLVE,
	                .number = 1,
	                .resolve = {.name = BYTES(DNS_HEALTH), .type = DNS_TXT}};
	struct answer answer;
	struct why why = {0};
	enum result r = client_ask(client, &a, &answer, &why);
	unsigned status = r == OK && answer.resolve.status <= DNS_BOGUS ? answer.resolve.status
	                                                                : DNS_FAILED;

	buf_printf(rows, "{\"dns\":\"%s\",\"dnssec\":%s,\"reason\":\"", words[status],
	           r == OK && answer.resolve.secure ? "true" : "false");
	put_escaped(rows, r == OK ? answer.resolve.reason : bytes_of_text(why.text));
	buf_append_text(rows, "\"}\n");
}
