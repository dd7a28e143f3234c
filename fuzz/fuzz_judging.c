/* A mail from a stranger and the DNS that the stranger answers with, judged: every mail comes to a verdict, asks stay within their
 * bounds, what is told to the store fits one message, and what is told to the mail keeps its form.
 *
 * Input: u8 seed, then blocks of u8 length: sender, helo, and records for all questions in turn; after an empty one the mail. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/wire.h"
#include "dns/dns.h"
#include "judging/judging.h"
#include "mail/charset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { RECORDS = 24, OPEN = JUDGING_ASKS + 1, ASKS_MAX = 3000, NOW_S = 1700000000 };

static struct judging_options *options;

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct config_source source = {
	        BYTES("hikyaku.conf"),
	        BYTES("hostname mx.example.test\ndomain example.test\n"
	              "judge {\n trust 203.0.113.0/24\n sealers good.test d.test\n}\n"
	              "list ip {\n zone bl.test\n kind ip\n use refuse\n}\n"
	              "list names {\n zone dbl.test\n kind domain\n use junk\n}\n")};
	struct config *config;
	struct why why;

	(void)argc, (void)argv;
	check(charset_warm(&why) == OK);
	check(config_parse(&source, 1, &config, &why) == OK);
	options = judging_options_new(config);
	return 0;
}

struct world {
	struct judging *j;
	struct arena arena;
	uint64_t random;
	struct bytes records[RECORDS];
	size_t record_count;
	struct ask open[OPEN];
	size_t open_count;
	uint32_t number;
	unsigned asks;
	time_ms now;
};

static unsigned chance(struct world *w, unsigned below)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(w->random >> 33) % below;
}

static struct bytes any_record(struct world *w)
{
	return w->record_count ? w->records[chance(w, (unsigned)w->record_count)]
	                       : (struct bytes){0};
}

/* Records of the type that was asked for, of the input's octets; TXT in strings. */
static void put_record(struct world *w, uint16_t type, struct buf *out)
{
	struct bytes record = any_record(w);
	struct buf rdata = {0};

	if (type == DNS_TXT) {
		buf_u8(&rdata, (uint8_t)record.len);
		buf_append(&rdata, record);
	} else if (type == DNS_A && chance(w, 2)) {
		buf_append(&rdata,
		           chance(w, 2) ? bytes_of("\x7f\0\0\x02", 4) : bytes_of("\xc0\0\2\1", 4));
	} else if (type == DNS_PTR && chance(w, 2)) {
		buf_append(&rdata, bytes_of("\4mail\1d\4test\0", 13));
	} else {
		buf_append(&rdata, record);
	}
	buf_block(out, buf_bytes(&rdata));
	buf_done(&rdata);
}

static void fill(struct world *w, const struct ask *a, struct answer *b)
{
	struct buf records = {0};

	if (a->kind == ASK_RESOLVE) {
		check(a->resolve.name.len > 0 && a->resolve.name.len <= LIMIT_DOMAIN);
		b->resolve.status = chance(w, 4) ? DNS_FOUND : (uint8_t)chance(w, 6);
		for (unsigned n = 1 + chance(w, 3); n > 0; n--)
			put_record(w, a->resolve.type, &records);
		b->resolve.records = arena_copy(&w->arena, buf_bytes(&records));
		b->resolve.canonical = chance(w, 8) ? (struct bytes){0} : any_record(w);
	} else if (a->kind == ASK_HISTORY) {
		b->history.known = chance(w, 512);
		b->history.reputations = any_record(w);
		b->history.tokens = any_record(w);
		b->history.bad_total = chance(w, 100);
		b->history.good_total = chance(w, 100);
	} else {
		check(a->kind == ASK_JUDGED && a->judged.tokens.len % 8 == 0);
		check(a->judged.evidence.len > 0 && a->judged.score <= 60000);
		b->judged.action = (uint8_t)chance(w, JUDGE_ACTIONS + 1);
		b->judged.judgement = 7;
		b->judged.id = BYTES("g1234567");
	}
	buf_done(&records);
}

static void answer_one(struct world *w)
{
	unsigned nth = chance(w, (unsigned)w->open_count);
	struct ask a = w->open[nth];
	struct answer b = {.kind = a.kind, .number = a.number, .result = OK};

	w->open[nth] = w->open[--w->open_count];
	fill(w, &a, &b);
	if (!chance(w, 12)) {
		b = (struct answer){.kind = a.kind, .number = a.number};
		b.result = chance(w, 2) ? LOST : FAILED;
	}
	check(judging_answer(w->j, &b));
}

static void ask_all(struct world *w)
{
	struct ask a;

	while (w->open_count < OPEN && judging_ask(w->j, ++w->number, &a)) {
		struct buf encoded = {0};

		check(a.number == w->number && ++w->asks < ASKS_MAX);
		ask_encode(&a, &encoded);
		check(buf_len(&encoded) <= LIMIT_MESSAGE - 64);
		buf_done(&encoded);
		w->open[w->open_count++] = ask_copy(&w->arena, &a);
	}
}

/* Lines of fields, none longer than RFC 5322, 2.1.1 allows. */
static void check_header(struct bytes header)
{
	struct bytes line;

	check(header.len > 0 && header.len <= JUDGING_HEADER && bytes_ends(header, BYTES("\r\n")));
	while (bytes_cut(&header, '\n', &line)) {
		check(line.len > 1 && line.len <= 999 && line.ptr[line.len - 1] == '\r');
		check(line.ptr[0] == '\t' || bytes_starts(line, BYTES("Authentication-Results:")) ||
		      bytes_starts(line, BYTES("X-Hikyaku-")));
		for (size_t i = 0; i + 1 < line.len; i++)
			check((unsigned char)line.ptr[i] >= ' ' || line.ptr[i] == '\t');
	}
}

static void check_result(const struct judging_result *r)
{
	check(r && r->action < JUDGE_ACTIONS);
	for (size_t i = 0; i < r->reason.len; i++)
		check((unsigned char)r->reason.ptr[i] >= ' ');
	check_header(r->header);
}

static void come(struct world *w, struct bytes mail)
{
	while (mail.len > 0) {
		struct bytes part = bytes_first(mail, 1 + chance(w, 3000));

		judging_content(w->j, part);
		mail = bytes_skip(mail, part.len);
		ask_all(w);
		if (w->open_count && chance(w, 2))
			answer_one(w);
	}
}

static void finish(struct world *w)
{
	judging_end(w->j, w->now);
	for (;;) {
		ask_all(w);
		if (judging_result(w->j))
			break;
		/* Now and then nobody answers any more. */
		if (w->open_count == 0 || !chance(w, 40)) {
			check(w->open_count > 0 || judging_deadline(w->j) != TIME_NEVER);
			w->now += JUDGING_PATIENCE_MS + 1;
			judging_tick(w->j, w->now);
			ask_all(w);
		}
		if (w->open_count)
			answer_one(w);
	}
	check_result(judging_result(w->j));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.now = NOW_S * 1000LL};
	struct wire in = wire_of(bytes_of(data, size));
	struct ip ip;
	struct bytes sender, helo, record;

	w.random = wire_u8(&in);
	sender = wire_take(&in, wire_u8(&in));
	helo = wire_take(&in, wire_u8(&in));
	while (w.record_count < RECORDS && (record = wire_take(&in, wire_u8(&in))).len > 0)
		w.records[w.record_count++] = record;
	if (in.bad)
		return 0;
	check(ip_parse(w.random & 1 ? BYTES("192.0.2.1") : BYTES("2001:db8::1"), &ip) == OK);
	w.j = judging_new(options, &ip, w.now);
	check(w.j != NULL);
	judging_hello(w.j, helo);
	for (int mails = 0; mails < 2; mails++) {
		judging_mail(w.j, sender, w.now);
		judging_rcpt(w.j, BYTES("ken@example.test"));
		come(&w, in.rest);
		/* The first is given up: its answers come late. */
		if (mails == 0)
			judging_reset(w.j);
		else
			finish(&w);
	}
	judging_free(&w.j);
	arena_done(&w.arena);
	return 0;
}
