/* The SMTP client: any octets from the other host, any answers from the store. Every mail given has a result, for every
 * recipient; "sent" only when nothing of it was left to send. */
#include "drive.h"

#include "smtp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(struct drive *d, const struct ask *a, struct answer *b)
{
	if (a->kind != ASK_QUEUE_READ)
		return;
	drive_check(a->queue_read.len > 0 && a->queue_read.len <= LIMIT_READ);
	if (!drive_random(d, 8))
		return;
	b->queue_read.chunk = bytes_first(b->queue_read.chunk, a->queue_read.len);
	b->queue_read.total = a->queue_read.offset + a->queue_read.len;
}

/* ---- a host that takes results and gives mails, between the drive's own steps ---- */

struct wrapper {
	struct engine engine;
	struct engine *inner;
	struct drive *d;
	size_t given; /* recipients of the mail under way */
	unsigned mails;
};

static struct wrapper *of(struct engine *e)
{
	return (struct wrapper *)e;
}

static void give(struct wrapper *w)
{
	static const char *const addresses[] = {"a@far.test", "\xe8\x88\x9e@far.test",
	                                        "b@\xe4\xbe\x8b.jp", "bad>x@far.test",
	                                        "\"q x\"@far.test"};
	struct drive *d = w->d;
	struct smtp_client_recipient r[5];
	struct smtp_client_mail m = {.lease = 1,
	                             .sender = bytes_of_text(drive_random(d, 2) ? "k@x.test" : ""),
	                             .recipients = r,
	                             .count = 1 + drive_random(d, 5),
	                             .size = drive_random(d, 100000),
	                             .envid = BYTES("x y"),
	                             .ret = (uint8_t)drive_random(d, 3),
	                             .body = (uint8_t)drive_random(d, 8),
	                             .requiretls = !drive_random(d, 8),
	                             .priority = (int8_t)drive_random(d, 9),
	                             .deliver_by = drive_random(d, 2) ? d->now + 1000 : 0,
	                             .by_mode = (uint8_t)drive_random(d, 8),
	                             .eight_bit = drive_random(d, 2),
	                             .utf8_header = drive_random(d, 2)};

	for (size_t i = 0; i < m.count; i++)
		r[i] = (struct smtp_client_recipient){.entry = i,
		                                      .address = bytes_of_text(addresses[i]),
		                                      .notify = (uint8_t)drive_random(d, 16),
		                                      .orcpt = BYTES("rfc822;a+b")};
	smtp_client_send(w->inner, &m);
	w->given = m.count;
}

static void settle(struct wrapper *w)
{
	struct smtp_client_result r;

	while (smtp_client_result(w->inner, &r)) {
		drive_check(r.count == w->given);
		for (size_t i = 0; i < r.count; i++) {
			drive_check(r.recipients[i].entry == i);
			drive_check(r.recipients[i].reply.text.len <= SMTP_CLIENT_TEXT);
			if (r.recipients[i].outcome == SMTP_SENT)
				drive_check(r.recipients[i].reply.code / 100 == 2 &&
				            buf_len(w->inner->ops->output(w->inner)) == 0);
		}
		drive_check(r.reusable == smtp_client_ready(w->inner));
		w->given = 0;
		if (r.reusable && w->mails++ < 20)
			give(w);
		else if (drive_random(w->d, 2))
			smtp_client_quit(w->inner);
	}
}

static size_t feed(struct engine *e, struct bytes in)
{
	size_t taken = of(e)->inner->ops->feed(of(e)->inner, in);

	settle(of(e));
	return taken;
}

static bool ask(struct engine *e, struct ask *ret)
{
	bool asked = of(e)->inner->ops->ask(of(e)->inner, ret);

	settle(of(e));
	return asked;
}

static void answer(struct engine *e, const struct answer *a)
{
	of(e)->inner->ops->answer(of(e)->inner, a);
	settle(of(e));
}

static struct buf *output(struct engine *e)
{
	return of(e)->inner->ops->output(of(e)->inner);
}

static time_ms deadline(const struct engine *e)
{
	const struct engine *inner = ((const struct wrapper *)e)->inner;

	return inner->ops->deadline(inner);
}

static void tick(struct engine *e, time_ms now)
{
	of(e)->inner->ops->tick(of(e)->inner, now);
	settle(of(e));
}

static void eof(struct engine *e)
{
	of(e)->inner->ops->eof(of(e)->inner);
	settle(of(e));
}

static void event(struct engine *e, unsigned events)
{
	of(e)->inner->ops->event(of(e)->inner, events);
	settle(of(e));
}

static bool finished(const struct engine *e)
{
	const struct engine *inner = ((const struct wrapper *)e)->inner;

	return inner->ops->finished(inner);
}

static void free_engine(struct engine **e)
{
	/* A connection that is over owes nobody an answer. */
	if (finished(*e))
		drive_check(of(*e)->given == 0);
	of(*e)->inner->ops->free(&of(*e)->inner);
	*e = NULL;
}

static const struct engine_ops ops = {
        .name = "smtp-client",
        .feed = feed,
        .ask = ask,
        .answer = answer,
        .output = output,
        .deadline = deadline,
        .tick = tick,
        .eof = eof,
        .event = event,
        .finished = finished,
        .free = free_engine,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct drive d = drive_begin(&data, &size);
	struct smtp_client_options o = {.helo = BYTES("mail.example.test"),
	                                .tls = (enum smtp_client_tls)drive_random(&d, 3),
	                                .implicit_tls = !drive_random(&d, 4),
	                                .clear_password = drive_random(&d, 2),
	                                .greeting_ms = 300000,
	                                .reply_ms = 300000,
	                                .data_ms = 600000};
	struct wrapper w = {.engine.ops = &ops, .d = &d};

	if (!drive_random(&d, 4)) {
		o.user = BYTES("ken");
		o.password = BYTES("geheim");
	}
	w.inner = smtp_client_new(&o, d.now);
	give(&w);
	d.e = &w.engine;
	d.fill = fill;
	drive_run(&d, data, size);
	return 0;
}
