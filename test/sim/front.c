#include "front.h"

#include <stdio.h>

#include "base/memory.h"
#include "smtp/server.h"

enum { CLIENTS = 4, FRONT_MAILS = 400, OPEN = LIMIT_ASKS_SESSION };

enum told { UNTOLD, ACCEPTED, DEFERRED, GAVE_UP };

struct client {
	struct engine *e;
	uint64_t session;
	struct ask open[OPEN]; /* kind and number count */
	unsigned open_count;
	struct buf in, out; /* to the server, from it */
	unsigned step;
	uint32_t tag;    /* of the mail under way */
	time_ms lost_at; /* when an answer was lost first; 0: none was */
};

struct front {
	struct world *w;
	struct smtp_options options;
	struct client clients[CLIENTS];
	uint64_t sessions;
	uint32_t tags;
	uint8_t told[FRONT_MAILS];
};

/* ---- the client: waits for a reply, says the next line ---- */

static void say_mail(struct front *f, struct client *c)
{
	c->tag = f->tags++;
	buf_printf(&c->in, "Subject: mail %u\r\n\r\n", c->tag);
	for (uint64_t n = world_draw(f->w, 200); n; n--)
		buf_append_text(&c->in, "a line of text, and a dot at its end.\r\n..stuffed\r\n");
	buf_append_text(&c->in, ".\r\n");
}

/* The last line of a reply has come whole: its code; 0: not yet. */
static unsigned reply_take(struct client *c)
{
	struct bytes out = buf_bytes(&c->out);
	size_t end = bytes_find_char(out, '\n');
	unsigned code;

	if (end == BYTES_NONE || end < 4)
		return 0;
	code = (unsigned)(out.ptr[0] - '0') * 100;
	if (out.ptr[3] == '-')
		code = 0;
	buf_consume(&c->out, end + 1);
	return code ? code : reply_take(c);
}

static void client_go_on(struct front *f, struct client *c)
{
	static const char *const lines[] = {"EHLO client.test\r\n", "MAIL FROM:<a@far.test>\r\n",
	                                    "RCPT TO:<a0@example.test>\r\n", "DATA\r\n"};
	unsigned code = reply_take(c);

	if (!code)
		return;
	if (c->step == 5) { /* what became of the mail */
		f->told[c->tag] = code == 200 ? ACCEPTED : DEFERRED;
		if (code != 200 && c->lost_at && f->w->now - c->lost_at > 9000)
			f->told[c->tag] = GAVE_UP;
		c->lost_at = 0;
		c->step = 1;
	} else if (code >= 400 && c->step) {
		c->step = 1; /* once more from MAIL */
		buf_append_text(&c->in, "RSET\r\n");
		c->step = 6;
		return;
	} else if (c->step == 6) {
		c->step = 1;
	}
	if (c->step == 4 && f->tags < FRONT_MAILS)
		say_mail(f, c);
	else if (c->step < 4)
		buf_append_text(&c->in, lines[c->step]);
	c->step++;
}

/* ---- the host of the engines ---- */

static void client_end(struct client *c)
{
	if (c->e)
		c->e->ops->free(&c->e);
	buf_done(&c->in);
	buf_done(&c->out);
	*c = (struct client){0};
}

static void client_begin(struct front *f, struct client *c)
{
	struct engine_peer peer = {.session = ++f->sessions};

	for (unsigned i = 0; i < sizeof(peer.seed); i++)
		peer.seed[i] = (uint8_t)world_draw(f->w, 256);
	c->session = peer.session;
	c->e = smtp_server_new(&f->options, &peer, f->w->now);
}

static void give(struct client *c, const struct answer *a)
{
	for (unsigned i = 0; i < c->open_count; i++)
		if (c->open[i].kind == a->kind && c->open[i].number == a->number) {
			c->open[i] = c->open[--c->open_count];
			c->e->ops->answer(c->e, a);
			return;
		}
}

static void ask_all(struct front *f, struct client *c)
{
	struct store_peer mx = {.role = MX};
	struct ask a;

	while (c->e->ops->ask(c->e, &a)) {
		struct answer note = answer_to(&a, OK, (struct bytes){0});

		c->open[c->open_count++] = (struct ask){.kind = a.kind, .number = a.number};
		a.session = c->session;
		if (a.kind == ASK_NOTE)
			give(c, &note);
		else if (!world_down(f->w))
			store_ask(f->w->store, mx, &a, f->w->now);
		f->w->asks++;
	}
}

static void client_turn(struct front *f, struct client *c)
{
	struct bytes in = buf_bytes(&c->in);
	struct buf *out;

	c->e->ops->tick(c->e, f->w->now);
	buf_consume(&c->in,
	            c->e->ops->feed(
	                    c->e,
	                    bytes_first(in, world_draw(f->w, 3) ? in.len : world_draw(f->w, 600))));
	ask_all(f, c);
	out = c->e->ops->output(c->e);
	buf_append(&c->out, buf_bytes(out));
	buf_consume(out, buf_len(out));
	client_go_on(f, c);
	if (c->e->ops->finished(c->e) || (c->step == 5 && f->tags >= FRONT_MAILS && !c->tag))
		client_end(c);
}

static void bring_answers(struct front *f)
{
	struct store_peer to;
	struct answer a;

	while (store_next_answer(f->w->store, &to, &a))
		for (unsigned i = 0; i < CLIENTS; i++)
			if (f->clients[i].e && f->clients[i].session == a.session)
				give(&f->clients[i], &a);
}

/* The store died: every open ask is LOST, and it comes up again. */
static void store_died(struct front *f)
{
	bool power = world_draw(f->w, 2);

	bring_answers(f);
	world_close(f->w);
	if (power)
		disk_power_cycle(f->w->disk);
	else
		disk_process_end(f->w->disk);
	f->w->crashes++;
	if (!world_open(f->w))
		world_broken(f->w, "it does not come up again");
	for (unsigned i = 0; i < CLIENTS && world_good(f->w); i++) {
		struct client *c = &f->clients[i];

		while (c->open_count) {
			struct answer lost = answer_to(&c->open[0], LOST, (struct bytes){0});

			if (!c->lost_at)
				c->lost_at = f->w->now;
			give(c, &lost);
		}
	}
}

static void turn(struct front *f)
{
	struct client *c = &f->clients[world_draw(f->w, CLIENTS)];

	if (!c->e && f->tags < FRONT_MAILS)
		client_begin(f, c);
	if (c->e)
		client_turn(f, c);
	if (c->e && world_chance(f->w, 1) && world_chance(f->w, 10)) {
		struct store_peer mx = {.role = MX};

		for (unsigned i = 0; i < CLIENTS; i++) /* mx dies, and its sessions with it */
			client_end(&f->clients[i]);
		if (!world_down(f->w))
			store_peer_lost(f->w->store, mx);
	}
	if (!world_down(f->w) && world_draw(f->w, 2))
		store_write_step(f->w->store);
	if (!world_down(f->w))
		store_read_step(f->w->store, 0);
	if (!world_down(f->w) && world_draw(f->w, 2))
		bring_answers(f);
	if (world_down(f->w)) {
		store_died(f);
		disk_cut_after(f->w->disk, world_chance(f->w, 80) ? 1 + world_draw(f->w, 120) : 0);
	}
	f->w->now += (time_ms)world_draw(f->w, 60);
}

/* ---- what is there ---- */

static bool subject_tag(struct bytes mail, uint32_t *ret)
{
	size_t at = bytes_find(mail, BYTES("Subject: mail "));
	struct bytes rest = bytes_skip(mail, at == BYTES_NONE ? mail.len : at + 14), word;
	uint64_t tag;

	if (!bytes_cut(&rest, '\r', &word) || bytes_to_u64(word, FRONT_MAILS, &tag) != OK)
		return false;
	*ret = (uint32_t)tag;
	return true;
}

static void count_mails(struct front *f, unsigned *count)
{
	uint32_t uid = 0;
	struct buf mail = {0};

	while (world_good(f->w) && world_next_mail(f->w, 0, BOX_INBOX, &uid, &mail)) {
		uint32_t tag;

		if (!subject_tag(buf_bytes(&mail), &tag))
			world_broken(f->w, "uid %u is no mail that was sent", uid);
		else
			count[tag]++;
		buf_clear(&mail);
	}
	buf_done(&mail);
}

static void check(struct front *f)
{
	unsigned count[FRONT_MAILS + 1] = {0};

	count_mails(f, count);
	for (uint32_t tag = 0; tag < f->tags; tag++) {
		if (count[tag] > 1)
			world_broken(f->w, "mail %u is there %u times", tag, count[tag]);
		if (f->told[tag] == ACCEPTED && !count[tag])
			world_broken(f->w, "mail %u was answered 250 and is not there", tag);
		if (f->told[tag] == DEFERRED && count[tag])
			world_broken(f->w,
			             "mail %u was answered 4xx and is there: it will be doubled",
			             tag);
		f->w->answers_ok += f->told[tag] == ACCEPTED;
		f->w->in_doubt += f->told[tag] == UNTOLD || f->told[tag] == GAVE_UP;
		f->w->in_doubt_done += f->told[tag] != ACCEPTED && count[tag];
	}
}

void front_run(struct world *w)
{
	struct front *f = memory_get(sizeof(*f));

	f->w = w;
	f->options = smtp_options_of(w->config);
	disk_cut_after(w->disk, 50 + world_draw(w, 100));
	for (unsigned n = 0; n < 4000 && world_good(w); n++)
		turn(f);
	disk_cut_after(w->disk, 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		client_end(&f->clients[i]);
	if (world_good(w) && world_down(w))
		store_died(f);
	if (world_good(w)) {
		world_run(w);
		check(f);
	}
	memory_free(f);
}
