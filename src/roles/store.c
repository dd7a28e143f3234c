/* store: mailboxes, queue, accounts; the only role that writes the data folder, and etc/ for the
 * operator. It parses no mail and no network byte.
 *
 * The loop takes asks and hands answers out; one thread writes (store_write_step: the only
 * place that
 * waits for the disk's sync), a few read. After each group or read they wake the loop, which drains
 * what is done and starts idle threads where work waits. */
#include "ask/engine.h"
#include "base/memory.h"
#include "roles/role.h"
#include "store/store.h"
#include "sys/random.h"
#include "sys/worker.h"
#include "watch/incident.h"

enum { TICK_MOST_MS = 1000, OLD_CONFIGS = 8 };
enum { HAND_WRITER = -1, HAND_LEDGER = -2, HAND_LEARN = -3 };

struct self;

/* A thread that is idle or has its one job. */
struct hand {
	struct worker_job job;
	struct worker *worker;
	struct self *self;
	int reader; /* or one of these */
	bool busy;
};

struct self {
	struct role_context *r;
	struct store *store;
	struct file_system *data, *etc, *ledger_files, *learn_files;
	struct loop_wakeup *wakeup;
	struct loop_timer *timer;
	struct hand writer, ledger, learner, readers[STORE_READERS];
	unsigned reader_count;
	struct role_config *config;
	struct role_config *old[OLD_CONFIGS]; /* until the writer is idle */
	size_t old_count;
	bool stopping;
};

/* ---- threads ---- */

static void hand_run(void *context, struct worker_job *jobs[], size_t count)
{
	struct hand *h = context;
	bool more = true;

	(void)jobs;
	(void)count;
	while (more) {
		switch (h->reader) {
		case HAND_WRITER: more = store_write_step(h->self->store); break;
		case HAND_LEDGER: more = store_ledger_step(h->self->store); break;
		case HAND_LEARN: more = store_learn_step(h->self->store); break;
		default: more = store_read_step(h->self->store, (unsigned)h->reader); break;
		}
		loop_wakeup_send(h->self->wakeup);
	}
}

static void pump(void *context);

static void hand_done(void *context, struct worker_job *job)
{
	struct hand *h = context;

	(void)job;
	h->busy = false;
	pump(h->self);
}

static const struct worker_ops hand_ops = {.run = hand_run, .done = hand_done};

static void hand_start(struct self *self, struct hand *h, int reader)
{
	h->self = self;
	h->reader = reader;
	h->worker = worker_new(self->r->loop,
	                       reader == HAND_WRITER   ? "writer"
	                       : reader == HAND_LEDGER ? "ledger"
	                       : reader == HAND_LEARN  ? "learner"
	                                               : "reader",
	                       1, 1, &hand_ops, h);
}

static void hand_kick(struct hand *h)
{
	if (h->busy)
		return;
	h->busy = true;
	worker_put(h->worker, &h->job);
}

static bool hands_idle(const struct self *self)
{
	bool busy = self->writer.busy || self->ledger.busy || self->learner.busy;

	for (unsigned i = 0; i < self->reader_count; i++)
		busy = busy || self->readers[i].busy;
	return !busy;
}

/* ---- what is done goes out, what waits is begun ---- */

static void answer_all(struct self *self)
{
	struct store_peer to;
	struct answer a;
	struct channel *c;
	uint64_t session;

	while (store_next_answer(self->store, &to, &a)) {
		c = role_channel(self->r, to.role, to.worker);
		if (c)
			channel_answer(c, &a);
	}
	while (store_next_event(self->store, &to, &session)) {
		c = role_channel(self->r, to.role, to.worker);
		if (c)
			channel_event(c, session, ENGINE_CHANGED);
	}
}

/* The operator's journal says it at once; `hikyaku incidents show` has the rest. */
static void log_incidents(struct self *self)
{
	struct store_incident i;
	struct buf room = {0};

	while (store_next_incident(self->store, &i, &room)) {
		struct arena arena = {0};
		struct incident_texts texts;

		incident_texts(i.kind, i.key, i.facts, false, &arena, &texts);
		role_log(self->r,
		         i.again  ? "incident-still"
		         : i.open ? "incident"
		                  : "incident-over",
		         "number=%llu kind=%s key=\"%.*s\" title=\"%.*s\"",
		         (unsigned long long)i.id, incident_kind_name(i.kind), BYTES_ARG(i.key),
		         BYTES_ARG(texts.title));
		arena_done(&arena);
	}
	buf_done(&room);
}

static void drop_old_configs(struct self *self)
{
	while (self->old_count)
		role_config_drop(&self->old[--self->old_count]);
}

static void finish(struct self *self)
{
	worker_free(&self->writer.worker);
	worker_free(&self->ledger.worker);
	worker_free(&self->learner.worker);
	for (unsigned i = 0; i < self->reader_count; i++)
		worker_free(&self->readers[i].worker);
	store_free(&self->store);
	role_stopped(self->r);
}

static void set_timer(struct self *self)
{
	time_ms now = loop_now(self->r->loop), due = store_deadline(self->store);
	int64_t wait = due > now + TICK_MOST_MS ? TICK_MOST_MS : due - now;

	loop_timer_set(self->timer, wait < 1 ? 1 : wait);
}

static void pump(void *context)
{
	struct self *self = context;
	struct why why;

	if (!self->store)
		return;
	answer_all(self);
	log_incidents(self);
	if (store_failed(self->store, &why))
		role_fail(self->r, &why);
	if (store_write_waits(self->store))
		hand_kick(&self->writer);
	if (store_ledger_waits(self->store))
		hand_kick(&self->ledger);
	if (store_learn_waits(self->store))
		hand_kick(&self->learner);
	for (unsigned i = 0; i < self->reader_count && store_read_waits(self->store); i++)
		hand_kick(&self->readers[i]);
	if (!self->writer.busy)
		drop_old_configs(self);
	if (self->stopping && hands_idle(self)) {
		finish(self);
		return;
	}
	set_timer(self);
}

static void tick(void *context)
{
	struct self *self = context;

	if (!self->store)
		return;
	store_tick(self->store, loop_now(self->r->loop));
	pump(self);
}

/* ---- the role ---- */

static void say_opened(struct role_context *r, const struct store_report *report)
{
	const struct blob_report *log = &report->log;

	role_log(r, "store-open",
	         "accounts=%llu mailboxes=%llu mails=%llu queue=%llu segments=%u replayed=%llu"
	         " rewritten=%llu torn=%llu rebuilt=%d orphans=%llu",
	         (unsigned long long)report->accounts, (unsigned long long)report->mailboxes,
	         (unsigned long long)report->mails, (unsigned long long)report->entries,
	         log->segments, (unsigned long long)log->records,
	         (unsigned long long)log->rewritten, (unsigned long long)log->torn,
	         (int)report->rebuilt, (unsigned long long)report->orphans);
	if (log->damaged || log->missing || report->image_damaged)
		role_log(r, "store-damaged", "places=%llu segments-missing=%llu images=%llu why=%s",
		         (unsigned long long)log->damaged, (unsigned long long)log->missing,
		         (unsigned long long)report->image_damaged, log->first_damage.text);
}

static enum result start(struct role_context *r, struct why *why)
{
	struct self *self = NEW(struct self);
	struct store_options o = {0};
	struct store_report report;
	enum result result;

	r->self = self;
	self->r = r;
	self->config = role_config_hold(r);
	self->data = file_system_real_new(role_folder_fd(r, "data"));
	self->etc = file_system_real_new(role_folder_fd(r, "etc"));
	self->ledger_files = file_system_real_new(role_folder_fd(r, "data"));
	self->learn_files = file_system_real_new(role_folder_fd(r, "data"));
	o.config = self->config->config;
	o.etc = self->etc;
	o.ledger = self->ledger_files;
	o.learn = self->learn_files;
	o.readers = (unsigned)o.config->store_readers;
	random_fill(o.seed, sizeof(o.seed));
	result = store_open(self->data, &o, loop_now(r->loop), &self->store, &report, why);
	if (result != OK)
		return result;
	say_opened(r, &report);
	self->wakeup = loop_wakeup_new(r->loop, pump, self);
	self->timer = loop_timer_new(r->loop, tick, self);
	hand_start(self, &self->writer, HAND_WRITER);
	hand_start(self, &self->ledger, HAND_LEDGER);
	hand_start(self, &self->learner, HAND_LEARN);
	self->reader_count = o.readers ? o.readers : 1;
	for (unsigned i = 0; i < self->reader_count; i++)
		hand_start(self, &self->readers[i], (int)i);
	pump(self);
	return OK;
}

static void ask(struct role_context *r, struct channel *c, const struct ask *a)
{
	struct self *self = r->self;
	struct store_peer from = {(uint16_t)channel_peer(c), (uint8_t)channel_peer_worker(c)};

	if (!self->store)
		return;
	store_ask(self->store, from, a, loop_now(r->loop));
	pump(self);
}

static void peer_lost(struct role_context *r, struct channel *c)
{
	struct self *self = r->self;
	struct store_peer from = {(uint16_t)channel_peer(c), (uint8_t)channel_peer_worker(c)};

	if (self && self->store) {
		store_peer_lost(self->store, from);
		pump(self);
	}
}

static void config(struct role_context *r)
{
	struct self *self = r->self;

	if (self->old_count == OLD_CONFIGS)
		return; /* the writer hangs: the next generation comes through */
	self->old[self->old_count++] = self->config;
	self->config = role_config_hold(r);
	store_config(self->store, self->config->config);
	pump(self);
}

/* What was taken is finished; the fronts stop asking. */
static void stop(struct role_context *r)
{
	struct self *self = r->self;

	self->stopping = true;
	pump(self);
}

static const struct role_ops ops = {
        .start = start,
        .ask = ask,
        .peer_lost = peer_lost,
        .config = config,
        .stop = stop,
};

const struct role role_store = {
        .name = "store",
        .bit = STORE,
        .does = "mailboxes, queue, accounts; the only writer of data/ and etc/",
        .rights = SANDBOX_READ | SANDBOX_WRITE | SANDBOX_THREADS,
        .folders = {{.name = "data", .write = true}, {.name = "etc", .write = true}},
        .ops = &ops,
};
