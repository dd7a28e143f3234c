/* What judging the content of a mail costs, without a network: reading it (decoding, folding, links, words), Bayes and the
 * other evidence, the verdict; and HISTORY from a store that has learnt much.
 *
 *	bench_judge FOLDER MAIL...      mails from files; FOLDER must not exist
 *
 * A line for each measurement: name value unit. Times are CPU time of the thread; "of" says for how many octets. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/ip.h"
#include "base/memory.h"
#include "mail/charset.h"
#include "policy/bayes.h"
#include "policy/content.h"
#include "policy/tokens.h"
#include "policy/verdict.h"
#include "store/store.h"

enum { TURNS = 300, LEARNT = 3000, WORDS = 300, KINDS_OF_WORDS = 300000, ASKED = 3000 };

static double cpu(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double thread_us(void)
{
	return cpu(CLOCK_THREAD_CPUTIME_ID);
}

static void die(const char *what)
{
	fprintf(stderr, "bench_judge: %s\n", what);
	exit(1);
}

static struct config *make_config(void)
{
	static const struct config_source source = {
	        BYTES("hikyaku.conf"), BYTES("hostname mx.example.test\ndomain example.test\n")};
	struct config *c = NULL;
	struct why why;

	if (config_parse(&source, 1, &c, &why) != OK)
		die(why.text);
	return c;
}

/* ---- one mail ---- */

static struct bytes read_file(const char *path, struct arena *arena)
{
	struct buf all = {0};
	FILE *f = fopen(path, "rb");
	struct bytes copy;

	if (!f)
		die(path);
	for (size_t n = 1; n > 0;) {
		n = fread(buf_room(&all, 65536), 1, 65536, f);
		buf_added(&all, n);
	}
	fclose(f);
	copy = arena_copy(arena, buf_bytes(&all));
	buf_done(&all);
	return copy;
}

struct cost {
	double read, judged;
	size_t octets, tokens;
	unsigned mails;
};

static void judge(struct bytes mail, const struct config *config, struct cost *sum)
{
	struct content_setting setting = {.config = config};
	static const struct verdict_threshold usual = {500, 1200};
	struct answer_history history = {.bad_total = 1000, .good_total = 2000};
	struct evidence list[EVIDENCE_MAX];
	struct arena arena = {0};
	struct buf rcpts = {0}, counts = {0};
	struct content *c = content_new();
	struct verdict v;
	double start = thread_us(), middle;
	size_t count;

	sum->octets += mail.len;
	for (; mail.len; mail = bytes_skip(mail, 16384))
		content_feed(c, bytes_first(mail, 16384));
	content_end(c);
	middle = thread_us();
	buf_block(&rcpts, BYTES("info@example.test"));
	for (size_t i = 0; i < content_seen(c)->tokens.len / 8; i++) {
		buf_u32(&counts, (uint32_t)(i * 7 % 40));
		buf_u32(&counts, (uint32_t)(i * 11 % 90));
	}
	setting.rcpts = buf_bytes(&rcpts);
	history.tokens = buf_bytes(&counts);
	count = content_evidence(c, &setting, &history, &arena, list, EVIDENCE_MAX);
	verdict_make(list, count, &usual, 1, &arena, &v);
	sum->judged += thread_us() - middle;
	sum->read += middle - start;
	sum->tokens += content_seen(c)->tokens.len / 8;
	sum->mails++;
	content_free(&c);
	buf_done(&rcpts);
	buf_done(&counts);
	arena_done(&arena);
}

static void bench_content(int count, char **paths, const struct config *config)
{
	struct arena arena = {0};
	struct cost sum = {0};
	struct bytes *mails = arena_get(&arena, (size_t)count * sizeof(*mails));

	for (int i = 0; i < count; i++)
		mails[i] = read_file(paths[i], &arena);
	for (int turn = 0; turn < TURNS; turn++) {
		for (int i = 0; i < count; i++)
			judge(mails[i], config, &sum);
	}
	printf("mail.octets %.0f octets\n", (double)sum.octets / sum.mails);
	printf("mail.tokens %.0f words\n", (double)sum.tokens / sum.mails);
	printf("content.read %.1f us\n", sum.read / sum.mails);
	printf("content.read.speed %.1f MB/s\n", (double)sum.octets / sum.read);
	printf("content.evidence %.1f us\n", sum.judged / sum.mails);
	arena_done(&arena);
}

static void bench_bayes(void)
{
	struct buf counts = {0};
	struct bayes b = {0};
	double start;

	for (unsigned i = 0; i < WORDS; i++) {
		buf_u32(&counts, i * 7 % 40);
		buf_u32(&counts, i * 11 % 90);
	}
	start = thread_us();
	for (int i = 0; i < 10000; i++) {
		struct bayes one = bayes_of(buf_bytes(&counts), 1000, 2000);

		b.junk += one.junk;
	}
	printf("bayes.%d %.1f us\n", WORDS, (thread_us() - start) / 10000);
	if (b.junk < 0)
		die("no probability");
	buf_done(&counts);
}

/* ---- HISTORY ---- */

static const struct store_peer mx = {MX, 0}, imap = {ACCESS, 0}, keeper = {KEEPER, 0};
static struct store *store;
static time_ms now = 1700000000000;
static uint64_t seed = 1;

static uint64_t next_random(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 20;
}

/* Words as they are spread in letters: few are in most, most are in few. */
static uint64_t word(void)
{
	uint64_t r = next_random() % 1000, kind = next_random();

	kind %= r < 500 ? 500 : r < 800 ? 20000 : KINDS_OF_WORDS;
	return token_of(TOKEN_BODY, bytes_of(&kind, sizeof(kind)));
}

static void words(struct buf *out)
{
	buf_clear(out);
	for (int i = 0; i < WORDS; i++)
		buf_u64(out, word());
}

static struct answer drain(struct arena *arena)
{
	struct answer a, last = {0};
	struct store_peer peer;
	bool some = true;

	arena_reset(arena);
	while (some) {
		some = false;
		while (store_next_answer(store, &peer, &a)) {
			last = answer_copy(arena, &a);
			some = true;
		}
		while (store_write_waits(store))
			some = store_write_step(store) || true;
		if (store_learn_waits(store)) {
			store_learn_step(store);
			some = true;
		}
	}
	return last;
}

static struct answer put(struct store_peer from, struct ask a, struct arena *arena)
{
	store_ask(store, from, &a, now += 300);
	return drain(arena);
}

/* An account, its session, and its INBOX. */
static uint64_t make_ken(struct arena *arena)
{
	struct ask made = {.kind = ASK_CREDENTIAL_SET}, grant = {.kind = ASK_GRANT};
	struct ask status = {.kind = ASK_STATUS, .session = 0x2000};

	made.credential_set.address = BYTES("ken@example.test");
	made.credential_set.create = 1;
	made.credential_set.sealed = BYTES("sealed");
	grant.grant.account = put(keeper, made, arena).credential_set.account;
	grant.grant.front_session = 0x2000;
	grant.grant.front = ACCESS;
	grant.grant.rights = 3;
	if (put(keeper, grant, arena).result != OK)
		die("no session");
	status.status.name = BYTES("INBOX");
	return put(imap, status, arena).status.mailbox;
}

/* A mail that is judged and taken. teach: its words are learnt, every third is moved into Junk. */
static void take_one(uint32_t i, uint64_t inbox, bool teach, struct buf *tokens,
                     const struct ip *ip, struct arena *arena)
{
	struct ask j = {.kind = ASK_JUDGED, .session = 7}, s = {.kind = ASK_SPOOL, .session = 7};
	struct ask c = {.kind = ASK_COMMIT, .session = 7},
	           m = {.kind = ASK_COPY, .session = 0x2000};
	struct buf rcpts = {0}, range = {0};
	char from[40], key[17], domain[20];

	words(tokens);
	snprintf(domain, sizeof(domain), "d%u.test", i % 100);
	snprintf(from, sizeof(from), "a%u@%s", i, domain);
	snprintf(key, sizeof(key), "key%013u", i);
	j.judged = (struct ask_judged){.stage = 1,
	                               .score = 30000,
	                               .ip = bytes_of(ip, 16),
	                               .from = bytes_of_text(from),
	                               .domain = bytes_of_text(domain),
	                               .known = teach ? HISTORY_WRITTEN_TO_BY_RCPT : 0,
	                               .tokens = buf_bytes(tokens)};
	c.commit.judgement = put(mx, j, arena).judged.judgement;
	s.spool.spool = i + 1;
	s.spool.chunk = BYTES("Subject: x\r\n\r\nx\r\n");
	put(mx, s, arena);
	c.commit.spool = i + 1;
	c.commit.key = bytes_of(key, 16);
	c.commit.summary = BYTES("s");
	buf_block(&rcpts, BYTES("ken@example.test"));
	buf_u8(&rcpts, 0);
	buf_u32(&rcpts, 0);
	c.commit.recipients = buf_bytes(&rcpts);
	if (put(mx, c, arena).result != OK)
		die("not taken");
	buf_u32(&range, i + 1);
	buf_u32(&range, i + 1);
	m.copy.mailbox = inbox;
	m.copy.set = buf_bytes(&range);
	m.copy.name = BYTES("Junk");
	m.copy.move = 1;
	if (teach && i % 3 == 0 && put(imap, m, arena).result != OK)
		die("not moved");
	buf_done(&rcpts);
	buf_done(&range);
}

static void bench_history(const char *folder, struct config *config)
{
	struct store_options o = {.config = config, .readers = 1};
	struct store_report report;
	struct arena arena = {0};
	struct answer a = {0};
	struct buf tokens = {0};
	struct ip ip;
	struct why why;
	double start, spent = 0;
	uint64_t inbox;
	int fd;

	if (mkdir(folder, 0700) != 0 || (fd = open(folder, O_DIRECTORY | O_RDONLY)) < 0)
		die(folder);
	if (ip_parse(BYTES("192.0.2.1"), &ip) != OK)
		die("an address");
	o.learn = file_system_real_new(fd);
	if (store_open(file_system_real_new(fd), &o, now, &store, &report, &why) != OK)
		die(why.text);
	inbox = make_ken(&arena);
	for (int round = 0; round < 2; round++) {
		start = cpu(CLOCK_PROCESS_CPUTIME_ID);
		for (uint32_t i = 0; i < LEARNT; i++)
			take_one((uint32_t)round * LEARNT + i, inbox, round == 0, &tokens, &ip,
			         &arena);
		printf("%s %.1f us\n", round == 0 ? "mail.taken.learnt" : "mail.taken",
		       (cpu(CLOCK_PROCESS_CPUTIME_ID) - start) / LEARNT);
	}
	for (int i = 0; i < ASKED; i++) {
		struct ask h = {.kind = ASK_HISTORY, .session = 7};

		words(&tokens);
		h.history = (struct ask_history){.ip = bytes_of(&ip, 16),
		                                 .from = BYTES("a1@d1.test"),
		                                 .domain = BYTES("d1.test"),
		                                 .tokens = buf_bytes(&tokens)};
		start = cpu(CLOCK_PROCESS_CPUTIME_ID);
		a = put(mx, h, &arena);
		spent += cpu(CLOCK_PROCESS_CPUTIME_ID) - start;
		if (a.kind != ASK_HISTORY || a.result != OK)
			die("no answer");
	}
	printf("history.learnt.junk %u mails\nhistory.learnt.other %u mails\n", a.history.bad_total,
	       a.history.good_total);
	printf("history.%d %.1f us\n", WORDS, spent / ASKED);
	store_free(&store);
	arena_done(&arena);
	buf_done(&tokens);
}

int main(int argc, char **argv)
{
	struct config *config = make_config();
	struct why why;

	if (argc < 3) {
		fprintf(stderr, "usage: bench_judge FOLDER MAIL...\n");
		return 2;
	}
	if (charset_warm(&why) != OK)
		die(why.text);
	bench_content(argc - 2, argv + 2, config);
	bench_bayes();
	bench_history(argv[1], config);
	config_free(&config);
	return 0;
}
