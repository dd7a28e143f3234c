/* How long `hikyaku trace` takes over a long ledger.
 *
 *	bench_trace FOLDER EVENTS [DAYS]      a store of its own in FOLDER (which must not exist)
 *
 * EVENTS (10,000,000) are written as the ledger's thread writes them, spread over DAYS (30): half of them of 200,000
 * senders' mails to 2,000 accounts, of which one gets a tenth of all. Then each kind of question is asked, and asked again
 * about something else: the median and the slowest of 15, first with what the disk cache holds, then with the files put
 * out of it. A line for each: name value unit. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/ip.h"
#include "base/memory.h"
#include "store/escrow.h"
#include "store/life.h"

enum { ROUNDS = 15, TOGETHER = 2000 };

#define DAY_MS (24LL * 3600 * 1000)
#define START_MS 1767225600000LL

static const struct store_peer web = {WEB, 0};
static struct store *store;
static time_ms now = START_MS;
static uint64_t events = 10000000, days = 30;
static const char *folder;

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_trace: %s\n", what);
	exit(1);
}

static void open_store(void)
{
	static struct store_options options;
	struct config_source sources[] = {
	        {BYTES("hikyaku.conf"),
	         BYTES("hostname mx.example.test\ndomain example.test\nledger {\n keep 365d\n size "
	               "64g\n}\n")}};
	struct store_report report;
	struct config *config;
	struct why why = {{0}};
	int fd;

	if (mkdir(folder, 0700) != 0 || (fd = open(folder, O_DIRECTORY | O_RDONLY)) < 0)
		die("FOLDER is there already, or cannot be made");
	if (config_parse(sources, 1, &config, &why) != OK)
		die(why.text);
	options = (struct store_options){
	        .config = config, .readers = 1, .ledger = file_system_real_new(fd)};
	if (store_open(file_system_real_new(fd), &options, now, &store, &report, &why) != OK)
		die(why.text);
}

/* ---- events ---- */

static uint64_t mix(uint64_t n)
{
	n *= 0x9e3779b97f4a7c15u;
	return n ^ n >> 29;
}

static void put_event(uint64_t n)
{
	static const enum ledger_reason reasons[] = {LEDGER_ACCEPTED, LEDGER_PLACED,
	                                             LEDGER_SMTP_REFUSED, LEDGER_JUDGED_REFUSED};
	uint64_t mail = n / 2, who = mix(mail) % 200000, to = mix(mail + 7) % 20000;
	char sender[64], rcpt[64], id[80], host[64], text[200];
	uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 18};
	bool of_mail = n % 4 < 2;

	snprintf(sender, sizeof(sender), "sender%llu@remote%llu.test", (unsigned long long)who,
	         (unsigned long long)(who % 5000));
	snprintf(rcpt, sizeof(rcpt), "user%llu@example.test",
	         (unsigned long long)(to < 2000 ? 0 : to / 10));
	snprintf(id, sizeof(id), "%llx.%llu@remote%llu.test", (unsigned long long)mix(mail),
	         (unsigned long long)mail, (unsigned long long)(who % 5000));
	snprintf(host, sizeof(host), "mail%llu.remote%llu.test", (unsigned long long)(who % 3),
	         (unsigned long long)(who % 5000));
	snprintf(text, sizeof(text),
	         "size=%llu placed=1 sorting=0 carrying=0 held=0 action=accept score=0.60 "
	         "iprev=\"bad "
	         "0.60 the address has no name\" spf=\"good 0.00 pass\"",
	         (unsigned long long)(n % 90000));
	ip[14] = (uint8_t)(who >> 8);
	ip[15] = (uint8_t)who;
	ledger_put(store, &(struct ledger_event){.reason = reasons[n % 4],
	                                         .mail = of_mail ? mail + 1 : 0,
	                                         .session = mail << 8 | 5,
	                                         .ip = bytes_of(ip, 16),
	                                         .sender = bytes_of_text(sender),
	                                         .rcpt = bytes_of_text(rcpt),
	                                         .message_id = n % 4 == 0 ? bytes_of_text(id)
	                                                                  : (struct bytes){0},
	                                         .host = bytes_of_text(host),
	                                         .judgement = of_mail ? 0 : (1ULL << 36) + n,
	                                         .text = bytes_of_text(text),
	                                         .at = now});
}

static void fill(void)
{
	double start = seconds();

	for (uint64_t n = 0; n < events;) {
		store_hold(store);
		for (unsigned i = 0; i < TOGETHER && n < events; i++, n++) {
			now = START_MS + (int64_t)(n * (uint64_t)(days * DAY_MS) / events);
			put_event(n);
		}
		store_let(store);
		store_tick(store, now + 1000);
		while (store_ledger_step(store))
			;
	}
	printf("write %.0f events/s\n", (double)events / (seconds() - start));
}

/* ---- questions ---- */

static double ask(const char *what, size_t *ret_octets)
{
	struct ask a = {.kind = ASK_ADMIN};
	struct store_peer peer;
	struct answer got;
	double start = seconds();

	a.admin.verb = ADMIN_TRACE;
	a.admin.subject = bytes_of_text(what);
	store_ask(store, web, &a, now);
	while (!store_next_answer(store, &peer, &got))
		store_ledger_step(store);
	if (got.result != OK)
		die("a trace failed");
	*ret_octets += got.admin.rows.len;
	return seconds() - start;
}

/* Out of the disk's cache: their pages are clean once synced. */
static void forget_files(void)
{
	char command[400];

	snprintf(command, sizeof(command),
	         "sync; for f in '%s'/ledger/*; do dd if=\"$f\" iflag=nocache count=0 status=none; "
	         "done",
	         folder);
	if (system(command) != 0)
		die("the files cannot be put out of the cache");
}

static void question(const char *kind, uint64_t n, char *out, size_t room)
{
	uint64_t mail = mix(n * 77 + 3) % (events / 4) * 2, who = mix(mail) % 200000;
	unsigned long long domain = who % 5000;

	if (strcmp(kind, "address") == 0)
		snprintf(out, room, "sender%llu@remote%llu.test", (unsigned long long)who, domain);
	else if (strcmp(kind, "busiest-address") == 0)
		snprintf(out, room, "user0@example.test");
	else if (strcmp(kind, "message-id") == 0)
		snprintf(out, room, "<%llx.%llu@remote%llu.test>", (unsigned long long)mix(mail),
		         (unsigned long long)mail, domain);
	else if (strcmp(kind, "queue-id") == 0)
		snprintf(out, room, "%08llX", (unsigned long long)mail + 1);
	else if (strcmp(kind, "ip") == 0)
		snprintf(out, room, "198.18.%llu.%llu", (unsigned long long)(who >> 8 & 255),
		         (unsigned long long)(who & 255));
	else if (strcmp(kind, "host") == 0)
		snprintf(out, room, "mail%llu.remote%llu.test", (unsigned long long)(who % 3),
		         domain);
	else if (strcmp(kind, "time") == 0)
		snprintf(out, room, "time=%lld",
		         (long long)START_MS + (long long)(mix(n) % (uint64_t)(days * DAY_MS)));
	else if (strcmp(kind, "refusal-id") == 0)
		judgement_id((1ULL << 36) + mail * 2 + 2, out);
	else
		snprintf(out, room,
		         "Reporting-MTA: dns; mx.example.test\r\nFinal-Recipient: "
		         "rfc822;user0@example.test\r\n"
		         "Action: failed\r\nRemote-MTA: dns; mail%llu.remote%llu.test\r\n"
		         "From: <sender%llu@remote%llu.test>\r\nMessage-ID: "
		         "<%llx.%llu@remote%llu.test>\r\n",
		         (unsigned long long)(who % 3), domain, (unsigned long long)who, domain,
		         (unsigned long long)mix(mail), (unsigned long long)mail, domain);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *kind, bool cold)
{
	double times[ROUNDS];
	size_t octets = 0;
	char what[1000];

	for (uint64_t i = 0; i < ROUNDS; i++) {
		question(kind, i + (cold ? 1000 : 0), what, sizeof(what));
		if (cold)
			forget_files();
		times[i] = ask(what, &octets);
	}
	qsort(times, ROUNDS, sizeof(*times), by_size);
	printf("%s-%s %.1f ms, slowest %.1f ms, %zu octets\n", kind, cold ? "cold" : "warm",
	       times[ROUNDS / 2] * 1000, times[ROUNDS - 1] * 1000, octets / ROUNDS);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = {
	        "address", "busiest-address", "message-id", "queue-id", "ip", "host",
	        "time",    "refusal-id",      "bounce"};

	if (argc < 3 || argc > 4)
		die("FOLDER EVENTS [DAYS]");
	folder = argv[1];
	events = strtoull(argv[2], NULL, 10);
	days = argc > 3 ? strtoull(argv[3], NULL, 10) : days;
	if (events < 100 || days < 1)
		die("EVENTS and DAYS are numbers");
	open_store();
	fill();
	for (size_t i = 0; i < 2 * sizeof(kinds) / sizeof(*kinds); i++)
		measure(kinds[i / 2], i % 2);
	store_free(&store);
	return 0;
}
