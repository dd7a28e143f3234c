/* The queue with much in it, without a network: how fast mail for other hosts is taken, listed and handed out,
 * how long a start takes and how much memory it needs.
 *
 *	bench_queue FOLDER MAILS [DESTINATIONS]             one store, filled
 *	bench_queue FOLDER MAILS DESTINATIONS ROUNDS [LESS] two: one with MAILS, one with LESS (1,000)
 *
 * Stores of their own in FOLDER (which must not exist), real files, one fdatasync for 256 COMMITs at most. A line for
 * each measurement: name value unit. The mails have 2,000 octets.
 *
 * With ROUNDS the two are measured in turn, so that what else the machine does meets both: each round takes
 * 20 times 1,024 mails and hands as many out after each, and looks at pages of the list. The medians of the rounds are told, and
 * the big one's ratio to the small one's. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/wire.h"
#include "store/store.h"

enum { TOGETHER = 256, SPOT = 20000, STEP = 100000, PART = 1024, PARTS = 20, ROUNDS_MAX = 99 };

static const struct store_peer sorter = {SORTER, 0}, courier = {COURIER, 0}, web = {WEB, 0};
static struct store *store;
static struct store_options options;
static struct file_system *fs;
static time_ms now = 1700000000000;
static uint32_t number;
static unsigned destinations;
static char content[2000];

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_queue: %s\n", what);
	exit(1);
}

/* Resident memory, in MiB. */
static double resident(void)
{
	long pages = 0, unused;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%ld %ld", &unused, &pages) != 2)
		die("no /proc/self/statm");
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

/* Of the length of a short mail, and not to be compressed to nothing. */
static void content_make(void)
{
	static const char letters[] =
	        "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789";
	uint64_t noise = 1;

	for (size_t i = 0; i < sizeof(content); i++) {
		noise = noise * 6364136223846793005u + 1;
		content[i] = letters[(noise >> 33) % (sizeof(letters) - 1)];
	}
}

/* What reached the disk so far, in octets. */
static double written(void)
{
	unsigned long long n = 0;
	char line[80];
	FILE *f = fopen("/proc/self/io", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "write_bytes: %llu", &n) == 1)
			break;
	}
	if (f)
		fclose(f);
	return (double)n;
}

/* What this process computed so far, in seconds. */
static double computed(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void put(struct store_peer from, struct ask *a)
{
	a->number = ++number;
	store_ask(store, from, a, now);
}

/* Lets all work be done; the last answer, copied. */
static struct answer run(struct arena *arena)
{
	struct answer a, last = {0};
	struct store_peer peer;
	bool some = true;

	while (some) {
		some = false;
		while (store_next_answer(store, &peer, &a)) {
			if (a.result != OK && a.result != UNAVAILABLE) {
				fprintf(stderr, "%.*s\n", BYTES_ARG(a.why));
				die(result_name(a.result));
			}
			last = arena ? answer_copy(arena, &a) : a;
			some = true;
		}
		if (store_write_waits(store)) {
			store_write_step(store);
			some = true;
		}
		if (store_read_waits(store)) {
			store_read_step(store, 0);
			some = true;
		}
	}
	return last;
}

static void commit(uint64_t n)
{
	char key[17], rcpt[80], room[128];
	struct buf recipients = {.ptr = room, .size = sizeof(room)};
	struct ask a = {.kind = ASK_SPOOL, .session = 1 + n % TOGETHER};

	a.spool.spool = (uint32_t)n + 1;
	a.spool.chunk = bytes_of(content, sizeof(content));
	put(sorter, &a);
	snprintf(key, sizeof(key), "%016llx", (unsigned long long)n);
	snprintf(rcpt, sizeof(rcpt), "user%llu@d%llu.test", (unsigned long long)n,
	         (unsigned long long)(n % destinations));
	buf_block(&recipients, bytes_of_text(rcpt));
	buf_u8(&recipients, 0);
	buf_block(&recipients, (struct bytes){0});
	a = (struct ask){.kind = ASK_COMMIT, .session = 1 + n % TOGETHER};
	a.commit.spool = (uint32_t)n + 1;
	a.commit.key = bytes_of(key, 16);
	a.commit.sender = BYTES("ken@example.test");
	a.commit.trace = BYTES("Received: by mx.example.test\r\n");
	a.commit.summary = BYTES("summary");
	a.commit.recipients = buf_bytes(&recipients);
	put(sorter, &a);
}

static double commit_many(uint64_t from, uint64_t count)
{
	double begun = seconds(), last = begun, octets = written();

	for (uint64_t i = 0; i < count; i++) {
		commit(from + i);
		if (i % TOGETHER == TOGETHER - 1)
			run(NULL);
		if (i % STEP == STEP - 1) {
			printf("commit_at_%llu %.0f /s, %.0f octets written for each\n",
			       (unsigned long long)(from + i + 1), STEP / (seconds() - last),
			       (written() - octets) / STEP);
			last = seconds();
			octets = written();
		}
	}
	run(NULL);
	return (double)count / (seconds() - begun);
}

static void start(void)
{
	struct store_report report;
	struct why why;
	double begun = seconds();

	if (store_open(fs, &options, now, &store, &report, &why) != OK)
		die(why.text);
	printf("start %.3f s\n", seconds() - begun);
	printf("start_entries %llu\n", (unsigned long long)report.entries);
	printf("start_resident %.1f MiB\n", resident());
}

static double list_page(const char *subject, uint64_t after, uint64_t *ret_rows)
{
	struct ask a = {.kind = ASK_ADMIN};
	struct arena arena = {0};
	struct answer got;
	double begun = seconds();

	a.admin.verb = ADMIN_QUEUE_LIST;
	a.admin.subject = bytes_of_text(subject);
	a.admin.number = after;
	put(web, &a);
	got = run(&arena);
	*ret_rows = 0;
	for (size_t i = 0; i < got.admin.rows.len; i++)
		*ret_rows += got.admin.rows.ptr[i] == '\n';
	arena_done(&arena);
	return (seconds() - begun) * 1000;
}

static void list_told(const char *name, const char *subject, uint64_t after)
{
	uint64_t rows;
	double ms = list_page(subject, after, &rows);

	printf("%s %.2f ms (%llu rows)\n", name, ms, (unsigned long long)rows);
}

/* CARRY and CARRIED, `open` batches at a time. */
static double carry_many(uint64_t count, unsigned open)
{
	double begun = seconds();
	uint64_t done = 0;

	while (done < count) {
		struct ask answers[64];
		char room[64][64];
		unsigned got = 0;

		for (unsigned i = 0; i < open; i++) {
			struct ask a = {.kind = ASK_CARRY};
			struct arena arena = {0};
			struct answer c;
			struct wire w;
			struct buf results = {.ptr = room[i], .size = sizeof(room[i])};

			put(courier, &a);
			c = run(&arena);
			if (c.kind != ASK_CARRY || c.result != OK)
				die("nothing to carry");
			w = wire_of(c.carry.entries);
			buf_u64(&results, wire_u64(&w));
			buf_u8(&results, CARRY_DELIVERED);
			buf_u8(&results, 0);
			buf_block(&results, BYTES("2.0.0"));
			buf_block(&results, BYTES("250 OK"));
			answers[got] = (struct ask){.kind = ASK_CARRIED};
			answers[got].carried.lease = c.carry.lease;
			answers[got].carried.results = buf_bytes(&results);
			answers[got++].carried.remote = BYTES("mx.test");
			arena_done(&arena);
		}
		for (unsigned i = 0; i < got; i++)
			put(courier, &answers[i]);
		run(NULL);
		done += got;
	}
	return (double)done / (seconds() - begun);
}

static void config_make(struct config **ret)
{
	struct config_source source = {BYTES("hikyaku.conf"),
	                               BYTES("hostname mx.example.test\ndomain "
	                                     "example.test\nconnections {\ntotal 4000\n}\n")};
	struct why why;

	if (config_parse(&source, 1, ret, &why) != OK)
		die(why.text);
}

/* ---- one store ---- */

static void one(uint64_t mails)
{
	start();
	printf("commit_filling %.0f /s\n", commit_many(0, mails));
	printf("resident_full %.1f MiB\n", resident());
	store_free(&store);
	options.seed[0]++;
	now += 60000;
	start();
	printf("commit_full %.0f /s\n", commit_many(mails, SPOT));
	list_told("list_first", "", 0);
	list_told("list_middle", "", mails / 2);
	list_told("list_domain", "@d7.test", 0);
	printf("carry %.0f /s\n", carry_many(mails < SPOT ? mails : SPOT, 64));
	printf("resident_end %.1f MiB\n", resident());
	store_free(&store);
}

/* ---- two of them in turn ---- */

enum figure {
	COMMIT_RATE,
	COMMIT_CPU,
	COMMIT_OCTETS,
	LIST_FIRST,
	LIST_MIDDLE,
	LIST_DOMAIN,
	CARRY_RATE,
	CARRY_CPU,
	CARRY_OCTETS,
	FIGURES
};

static const char *const figures[FIGURES][2] = {
        {"commit", "/s"},     {"commit_cpu", "us a mail"}, {"commit_written", "octets a mail"},
        {"list_first", "ms"}, {"list_middle", "ms"},       {"list_domain", "ms"},
        {"carry", "/s"},      {"carry_cpu", "us a mail"},  {"carry_written", "octets a mail"}};

struct side {
	struct store *store;
	struct file_system *fs;
	int folder;
	uint64_t next, mails;
	double got[FIGURES][ROUNDS_MAX];
};

static void side_begin(struct side *d, int above, const char *name, uint64_t mails)
{
	if (mkdirat(above, name, 0700) != 0)
		die("no folder");
	d->folder = openat(above, name, O_DIRECTORY | O_RDONLY);
	fs = d->fs = file_system_real_new(d->folder);
	start();
	commit_many(0, mails);
	d->store = store;
	d->next = d->mails = mails;
}

static void side_end(struct side *d)
{
	store_free(&d->store);
	file_system_free(&d->fs);
	close(d->folder);
}

struct meter {
	double time, cpu, octets;
};

static struct meter meter_now(void)
{
	return (struct meter){seconds(), computed(), written()};
}

static void meter_add(struct meter *m, const struct meter *from)
{
	m->time += seconds() - from->time;
	m->cpu += computed() - from->cpu;
	m->octets += written() - from->octets;
}

static void meter_told(const struct meter *m, struct side *d, enum figure rate, unsigned round)
{
	d->got[rate][round] = PARTS * PART / m->time;
	d->got[rate + 1][round] = m->cpu * 1e6 / (PARTS * PART);
	d->got[rate + 2][round] = m->octets / (PARTS * PART);
}

static void side_round(struct side *d, unsigned round)
{
	struct meter commits = {0}, carries = {0}, from;
	uint64_t rows;

	store = d->store;
	for (unsigned i = 0; i < PARTS; i++, d->next += PART) {
		from = meter_now();
		commit_many(d->next, PART);
		meter_add(&commits, &from);
		from = meter_now();
		carry_many(PART, 64);
		meter_add(&carries, &from);
	}
	meter_told(&commits, d, COMMIT_RATE, round);
	meter_told(&carries, d, CARRY_RATE, round);
	d->got[LIST_FIRST][round] = list_page("", 0, &rows);
	d->got[LIST_MIDDLE][round] = list_page("", d->next - d->mails / 2, &rows);
	d->got[LIST_DOMAIN][round] = list_page("@d7.test", 0, &rows);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *got, unsigned rounds)
{
	qsort(got, rounds, sizeof(*got), compare);
	return rounds % 2 ? got[rounds / 2] : (got[rounds / 2 - 1] + got[rounds / 2]) / 2;
}

static void both(int folder, uint64_t less, uint64_t mails, unsigned rounds)
{
	static struct side small, big;

	side_begin(&big, folder, "big", mails);
	side_begin(&small, folder, "small", less);
	for (unsigned i = 0; i < rounds; i++) {
		side_round(i % 2 ? &big : &small, i);
		side_round(i % 2 ? &small : &big, i);
		printf("round %u: commit %.0f, %.0f /s; carry %.0f, %.0f /s\n", i + 1,
		       small.got[COMMIT_RATE][i], big.got[COMMIT_RATE][i], small.got[CARRY_RATE][i],
		       big.got[CARRY_RATE][i]);
	}
	for (unsigned f = 0; f < FIGURES; f++) {
		double a = median(small.got[f], rounds), b = median(big.got[f], rounds);

		printf("both_%s %.2f %.2f %s, ratio %.3f\n", figures[f][0], a, b, figures[f][1],
		       b / a);
	}
	side_end(&small);
	side_end(&big);
}

int main(int argc, char **argv)
{
	struct config *config;
	uint64_t mails = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	unsigned rounds = argc > 4 ? (unsigned)strtoull(argv[4], NULL, 10) : 0;
	int folder;

	if (mails == 0 || rounds > ROUNDS_MAX || mkdir(argv[1], 0700) != 0)
		die("usage: bench_queue FOLDER MAILS [DESTINATIONS [ROUNDS [LESS]]]; FOLDER must"
		    " not exist");
	destinations = argc > 3 ? (unsigned)strtoull(argv[3], NULL, 10) : 1000;
	setvbuf(stdout, NULL, _IOLBF, 0);
	folder = open(argv[1], O_DIRECTORY | O_RDONLY);
	config_make(&config);
	options = (struct store_options){.config = config, .readers = 1, .reserve = UINT64_MAX};
	memcpy(options.seed, "bench of a queue", 16);
	content_make();
	if (rounds) {
		both(folder, argc > 5 ? strtoull(argv[5], NULL, 10) : 1000, mails, rounds);
	} else {
		fs = file_system_real_new(folder);
		one(mails);
		file_system_free(&fs);
	}
	config_free(&config);
	close(folder);
	return 0;
}
