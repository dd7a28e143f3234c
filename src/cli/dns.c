/* hikyaku -C DIR dns DOMAIN: the records that a domain needs, as a piece of zone file, or how what is published differs from them.
 * The judging is verify/publish; here the question is put together: configuration, keys, certificates, our addresses. */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/wire.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/pages.h"
#include "config/config.h"
#include "crypto/certificate.h"
#include "roles/config_reader.h"
#include "sys/file.h"
#include "verify/publish.h"
#include "verify/route.h"

enum {
	ADDRESSES = 16,
	KEYS = 32,
	CERTIFICATES = 16,
	CONNECTIONS = 8, /* to the server, each with one question at a time */
	ROUNDS = 64,     /* of asking for what is missing; each CNAME, include, MX host adds one */
};

struct work {
	struct cli *c;
	struct config *config;
	struct client *clients[CONNECTIONS];
	size_t client_count;
	struct publish_question q;
	struct ip addresses[ADDRESSES];
	struct publish_key keys[KEYS];
	struct bytes spki[CERTIFICATES];
	struct why why;
};

/* ---- our addresses ---- */

static void add_address(struct work *w, const struct ip *ip)
{
	for (size_t i = 0; i < w->q.address_count; i++)
		if (ip_equal(&w->addresses[i], ip))
			return;
	if (w->q.address_count < ADDRESSES)
		w->addresses[w->q.address_count++] = *ip;
}

/* Of the whole Internet: the others say nothing about what people out there see. */
static void add_public(struct work *w, const struct ip *ip)
{
	if (route_may_carry_to(ip, NULL))
		add_address(w, ip);
}

static bool is_any(const struct ip *ip)
{
	static const struct ip any6, any4 = {.octets = {[10] = 0xff, [11] = 0xff}};

	return ip_equal(ip, &any6) || ip_equal(ip, &any4);
}

static void add_interfaces(struct work *w)
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all) != 0)
		return;
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		struct ip ip = {.octets = {[10] = 0xff, [11] = 0xff}};

		if (!i->ifa_addr)
			continue;
		if (i->ifa_addr->sa_family == AF_INET) {
			struct sockaddr_in a;

			memcpy(&a, i->ifa_addr, sizeof(a));
			memcpy(ip.octets + 12, &a.sin_addr, 4);
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			struct sockaddr_in6 a;

			memcpy(&a, i->ifa_addr, sizeof(a));
			memcpy(ip.octets, &a.sin6_addr, 16);
		} else {
			continue;
		}
		add_public(w, &ip);
	}
	freeifaddrs(all);
}

static bool take_address_options(struct work *w)
{
	for (size_t i = 0; i < w->c->option_count; i++) {
		struct ip ip;

		if (strcmp(w->c->options[i].name, "--address") != 0)
			continue;
		if (ip_parse(bytes_of_text(w->c->options[i].value), &ip) != OK)
			return false;
		add_address(w, &ip);
	}
	return true;
}

/* Said on the command line; else those that mail of this domain leaves from; else those that we listen on. Behind a NAT none of
 * them is of the Internet: then what the host's name leads to is believed. */
static void find_addresses(struct work *w)
{
	struct bytes sender = arena_printf(&w->c->arena, "postmaster@%.*s", BYTES_ARG(w->q.domain));
	const struct config_origin *origin = config_origin_for(w->config, sender);

	w->q.addresses = w->addresses;
	if (w->q.address_count > 0)
		return;
	if (origin) {
		add_public(w, &origin->ip4);
		add_public(w, &origin->ip6);
	}
	for (size_t i = 0; w->q.address_count == 0 && i < w->config->listen.count; i++) {
		if (is_any(&w->config->listen.items[i]))
			add_interfaces(w);
		else
			add_public(w, &w->config->listen.items[i]);
	}
}

/* ---- configuration, keys, certificates ---- */

static enum result read_config(struct work *w)
{
	const char *path = arena_printf(&w->c->arena, "%s/etc%c", w->c->directory, 0).ptr;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct file_system *etc;
	enum result r;

	if (fd < 0)
		return why_set(&w->why, NOT_FOUND, "%s: %s", path, strerror(errno));
	etc = file_system_real_new(fd);
	close(fd);
	r = config_reader_load(etc, NULL, &w->config, &w->why);
	file_system_free(&etc);
	return r;
}

static enum result set_names(struct work *w)
{
	struct arena *arena = &w->c->arena;

	if (config_domain_canonical(bytes_of_text(w->c->args[0]), arena, &w->q.domain) != OK)
		return why_set(&w->why, INVALID, "\"%s\" is no domain name", w->c->args[0]);
	if (config_domain_canonical(w->config->hostname, arena, &w->q.hostname) != OK)
		return why_set(&w->why, INVALID, "hostname \"%.*s\" is no domain name",
		               BYTES_ARG(w->config->hostname));
	if (config_domain_is_ours(w->config, w->q.domain))
		return OK;
	return why_set(&w->why, NOT_FOUND,
	               "%.*s is not ours; hikyaku -C %s domain add %.*s makes it so",
	               BYTES_ARG(w->q.domain), w->c->directory, BYTES_ARG(w->q.domain));
}

static uint16_t port_of(const struct work *w, enum config_protocol protocol)
{
	for (size_t i = 0; i < w->config->listener_count; i++)
		if (w->config->listeners[i].protocol == protocol)
			return w->config->listeners[i].port;
	return 0;
}

static void set_services(struct work *w)
{
	w->q.imaps = port_of(w, CONFIG_IMAPS);
	w->q.pop3s = port_of(w, CONFIG_POP3S);
	w->q.submissions = port_of(w, CONFIG_SUBMISSIONS);
	w->q.submission = port_of(w, CONFIG_SUBMISSION);
	for (size_t i = 0; i < w->config->smarthost_count; i++)
		w->q.smarthost |= w->config->smarthosts[i].to.count == 0 &&
		                  !w->config->smarthosts[i].fallback;
}

static void add_certificate(struct work *w, const struct certificate *c)
{
	uint8_t id[DIGEST_SHA256];

	certificate_key_id(c, id);
	for (size_t i = 0; i < w->q.spki_count; i++)
		if (bytes_equal(w->spki[i], bytes_of(id, sizeof(id))))
			return;
	if (w->q.spki_count < CERTIFICATES)
		w->spki[w->q.spki_count++] = arena_copy(&w->c->arena, bytes_of(id, sizeof(id)));
}

/* Those that are shown to who asks for the host's name, and the first, shown to who asks for none. */
static void read_certificates(struct work *w)
{
	w->q.spki = w->spki;
	for (size_t i = 0; i < w->config->certificate_count; i++) {
		struct certificate *c;
		struct why ignored;

		if (certificate_parse(w->config->certificates[i].pem, &c, &ignored) != OK)
			continue;
		if (i == 0 || certificate_matches(c, w->q.hostname))
			add_certificate(w, c);
		certificate_free(&c);
	}
}

static enum result read_keys(struct work *w)
{
	struct ask a = {.kind = ASK_DKIM_KEYS, .number = 1, .dkim_keys.domain = w->q.domain};
	struct answer answer;
	struct wire rows;
	enum result r = client_ask(w->clients[0], &a, &answer, &w->why);

	w->q.keys = w->keys;
	if (r != OK)
		return r;
	rows = wire_of(arena_copy(&w->c->arena, answer.dkim_keys.keys));
	while (!wire_end(&rows) && w->q.key_count < KEYS) {
		struct publish_key k = {.selector = wire_block(&rows)};

		(void)wire_u8(&rows);
		k.state = (enum dkim_key_state)wire_u8(&rows);
		k.record = wire_block(&rows);
		(void)wire_u64(&rows);
		if (!rows.bad)
			w->keys[w->q.key_count++] = k;
	}
	return OK;
}

static enum result begin(struct work *w, size_t connections)
{
	enum result r = read_config(w);

	if (r == OK)
		r = set_names(w);
	for (size_t i = 0; r == OK && i < connections; i++) {
		r = client_open(w->c->directory, &w->clients[i], &w->why);
		w->client_count += r == OK;
	}
	if (r == OK)
		r = read_keys(w);
	if (r != OK)
		return r;
	find_addresses(w);
	set_services(w);
	read_certificates(w);
	return OK;
}

static void end(struct work *w)
{
	for (size_t i = 0; i < w->client_count; i++)
		client_close(&w->clients[i]);
	config_free(&w->config);
}

/* ---- asking ---- */

/* As many of what is missing as there are connections. False: nothing is missing. */
static enum result ask_some(struct work *w, struct facts *facts, bool *ret_asked)
{
	size_t open = 0;
	enum result r = OK;
	struct bytes name;
	uint16_t type;

	while (r == OK && open < w->client_count && facts_missing(facts, &name, &type)) {
		struct ask a = {.kind = ASK_RESOLVE,
		                .number = (uint32_t)open + 1,
		                .resolve = {.name = name, .type = type}};

		facts_asked(facts, a.number);
		r = client_send(w->clients[open++], &a, &w->why);
	}
	*ret_asked = open > 0;
	for (size_t i = 0; r == OK && i < open; i++) {
		struct answer answer = {0};
		enum result one = client_receive(w->clients[i], ASK_RESOLVE, &answer, &w->why);

		/* A question that the resolver does not take is a fact too; a dead connection is not. */
		if (one == LOST)
			return one;
		answer.kind = ASK_RESOLVE;
		answer.result = one;
		answer.number = (uint32_t)i + 1;
		if (one != OK)
			answer.why = arena_copy(&w->c->arena, bytes_of_text(w->why.text));
		(void)facts_answer(facts, &answer);
	}
	return r;
}

static enum result check(struct work *w, struct facts *facts, struct publish_findings *ret)
{
	bool asked = true;
	enum result r = OK;

	for (int i = 0; r == OK && asked && i < ROUNDS; i++) {
		if (publish_check(&w->q, facts, &w->c->arena, ret) == OK)
			return OK;
		do
			r = ask_some(w, facts, &asked);
		while (r == OK && facts_missing(facts, &(struct bytes){0}, &(uint16_t){0}));
		asked = true;
	}
	return r != OK ? r : why_set(&w->why, FAILED, "the DNS leads on and on");
}

/* ---- saying it ---- */

static const char *level_name(enum publish_level level)
{
	static const char *const names[] = {"error", "warning", "note"};

	return names[level];
}

/* What strangers published may hold anything: a terminal would obey it, and JSON is UTF-8. */
static struct bytes plain(struct work *w, struct bytes text)
{
	bool utf8 = text_is_utf8(text);
	char *copy = arena_get(&w->c->arena, text.len + 1);

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		bool control = c < ' ' ? c != '\n' && c != '\t' : c == 0x7f;
		/* U+0080 to U+009F are controls, too. */
		bool high = c == 0xc2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] < 0xa0;

		copy[i] = control || high || (!utf8 && c >= 0x80) ? '?' : text.ptr[i];
		if (high && utf8)
			copy[++i] = '?';
	}
	return bytes_of(copy, text.len);
}

static struct bytes said(struct work *w, const struct publish_finding *f, enum publish_part part)
{
	struct buf text = {0};
	struct bytes copy;

	publish_say(f, part, cli_speaks_japanese(w->c), &text);
	copy = plain(w, buf_bytes(&text));
	buf_done(&text);
	return copy;
}

static void set(json_t *row, const char *key, struct bytes value)
{
	json_object_set_new(row, key, json_stringn(value.ptr ? value.ptr : "", value.len));
}

static void print_row(json_t *row)
{
	json_dumpf(row, stdout, JSON_COMPACT);
	printf("\n");
	json_decref(row);
}

static void print_finding_json(struct work *w, const struct publish_finding *f)
{
	json_t *row = json_object();
	enum publish_level level = publish_problem_level(f->problem);

	set(row, "level", bytes_of_text(level_name(level)));
	set(row, "problem", bytes_of_text(publish_problem_name(f->problem)));
	set(row, "name", plain(w, f->name));
	set(row, "published", plain(w, f->have));
	set(row, "wanted", plain(w, f->want));
	set(row, "what", said(w, f, PUBLISH_WHAT));
	set(row, "causes", said(w, f, PUBLISH_CAUSES));
	set(row, "do", said(w, f, PUBLISH_DO));
	print_row(row);
}

static void print_finding(struct work *w, const struct publish_finding *f)
{
	static const char *const labels[2][3] = {{"ERROR", "WARNING", "note"},
	                                         {"エラー", "警告", "提案"}};
	bool japanese = cli_speaks_japanese(w->c);

	printf("%s: %.*s\n", labels[japanese][publish_problem_level(f->problem)],
	       BYTES_ARG(said(w, f, PUBLISH_WHAT)));
	printf("  %s %.*s\n",
	       japanese ? "影響:" : "It causes:", BYTES_ARG(said(w, f, PUBLISH_CAUSES)));
	printf("  %s %.*s\n\n",
	       japanese ? "対処:" : "What to do:", BYTES_ARG(said(w, f, PUBLISH_DO)));
}

static void print_sum(const struct work *w, size_t wrong, size_t notes)
{
	if (cli_speaks_japanese(w->c) && wrong == 0)
		printf("%.*s の DNS に問題はありません (提案 %zu 件)。\n", BYTES_ARG(w->q.domain),
		       notes);
	else if (cli_speaks_japanese(w->c))
		printf("%.*s の DNS に %zu 件の問題があります (提案 %zu 件)。\n",
		       BYTES_ARG(w->q.domain), wrong, notes);
	else if (wrong == 0)
		printf("Nothing is wrong in the DNS of %.*s; notes: %zu.\n", BYTES_ARG(w->q.domain),
		       notes);
	else
		printf("Wrong in the DNS of %.*s: %zu; notes: %zu.\n", BYTES_ARG(w->q.domain),
		       wrong, notes);
}

static int print_findings(struct work *w, const struct publish_findings *all)
{
	size_t wrong = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct publish_finding *f = &all->items[i];

		(w->c->json ? print_finding_json : print_finding)(w, f);
		wrong += publish_problem_level(f->problem) != PUBLISH_NOTE;
	}
	if (!w->c->json)
		print_sum(w, wrong, all->count - wrong);
	return wrong ? CLI_FAILED : CLI_DONE;
}

static void print_records_json(struct work *w)
{
	static const char *const places[] = {"domain", "host", "reverse", "offer"};
	bool japanese = cli_speaks_japanese(w->c);
	struct publish_records records;

	publish_records(&w->q, &w->c->arena, &records);
	for (size_t i = 0; i < records.count; i++) {
		const struct publish_record *r = &records.items[i];
		json_t *row = json_object();
		char type[DNS_TYPE_TEXT];

		dns_type_format(r->type, type);
		set(row, "place", bytes_of_text(places[r->place]));
		set(row, "name", r->name);
		set(row, "type", bytes_of_text(type));
		set(row, "value", r->text);
		set(row, "for", bytes_of_text(japanese ? r->japanese : r->english));
		print_row(row);
	}
}

static int print_zone(struct work *w)
{
	struct buf out = {0};

	if (w->c->json) {
		print_records_json(w);
		return CLI_DONE;
	}
	publish_zone(&w->q, cli_speaks_japanese(w->c), &out);
	fwrite(buf_bytes(&out).ptr, 1, buf_len(&out), stdout);
	buf_done(&out);
	return CLI_DONE;
}

static int check_and_print(struct work *w)
{
	struct publish_findings *all = arena_get(&w->c->arena, sizeof(*all));
	struct facts *facts = facts_new();
	enum result r = check(w, facts, all);
	int status = r == OK ? print_findings(w, all) : cli_fail(&w->why);

	facts_free(&facts);
	return status;
}

int cli_dns(struct cli *c)
{
	struct work w = {.c = c};
	bool zone = cli_option(c, "--zone");
	int status;

	if (!take_address_options(&w))
		return cli_say_usage(c->command, "--address takes an IP address");
	if (begin(&w, zone ? 1 : CONNECTIONS) != OK)
		status = cli_fail(&w.why);
	else
		status = zone ? print_zone(&w) : check_and_print(&w);
	end(&w);
	return status;
}
