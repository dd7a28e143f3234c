#include "store_test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"

const struct store_peer MX_PEER = {MX, 0}, ACCESS_PEER = {ACCESS, 0}, SORTER_PEER = {SORTER, 0},
                        COURIER_PEER = {COURIER, 0}, KEEPER_PEER = {KEEPER, 0}, WEB_PEER = {WEB, 0},
                        WATCH_PEER = {WATCH, 0};

struct rig rig_make(const char *extra_config, const char *virtual_file)
{
	struct rig r = {.now = (time_ms)T0 * 1000, .number = 1, .spool = 1};
	char text[1024];
	struct config_source sources[] = {{BYTES("hikyaku.conf"), {0}},
	                                  {BYTES("virtual"), bytes_of_text(virtual_file)}};
	struct why why = {0};

	snprintf(text, sizeof(text), "hostname mx.example.test\ndomain example.test\n%s",
	         extra_config);
	sources[0].text = bytes_of_text(text);
	if (config_parse(sources, 2, &r.config, &why) != OK)
		fail_msg("%s", why.text);
	snprintf(r.folder, sizeof(r.folder), "/tmp/hikyaku-store-XXXXXX");
	assert_non_null(mkdtemp(r.folder));
	r.fd = open(r.folder, O_DIRECTORY | O_RDONLY);
	r.fs = file_system_real_new(r.fd);
	r.ledger = file_system_real_new(r.fd);
	r.options = (struct store_options){
	        .config = r.config, .readers = 1, .segment_size = 1 << 20, .reserve = UINT64_MAX};
	r.options.ledger = r.ledger;
	memcpy(r.options.seed, "0123456789abcdef", 16);
	return r;
}

void rig_open(struct rig *r)
{
	struct why why = {0};

	r->now += 60 * 1000;
	r->options.seed[0]++;
	if (store_open(r->fs, &r->options, r->now, &r->store, &r->report, &why) != OK)
		fail_msg("%s", why.text);
}

void rig_close(struct rig *r)
{
	store_free(&r->store);
	r->session = 0;
}

void rig_done(struct rig *r)
{
	char command[128];

	rig_close(r);
	arena_done(&r->arena);
	config_free(&r->config);
	file_system_free(&r->fs);
	file_system_free(&r->ledger);
	close(r->fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", r->folder);
	assert_int_equal(system(command), 0);
}

void rig_remove(const struct rig *r, const char *name)
{
	char command[200];

	snprintf(command, sizeof(command), "rm -rf '%s'/%s", r->folder, name);
	assert_int_equal(system(command), 0);
}

void rig_put(struct rig *r, struct store_peer from, struct ask a)
{
	a.number = r->number++;
	store_ask(r->store, from, &a, r->now);
}

struct answer rig_run(struct rig *r)
{
	struct answer a, last = {0};
	struct store_peer peer;
	uint64_t session;
	bool some = true;

	arena_reset(&r->arena);
	while (some) {
		some = false;
		while (store_next_answer(r->store, &peer, &a)) {
			last = answer_copy(&r->arena, &a);
			r->refused += last.result != OK;
			some = true;
		}
		while (store_next_event(r->store, &peer, &session))
			r->events++;
		if (store_write_waits(r->store)) {
			store_write_step(r->store);
			some = true;
		}
		if (store_ledger_waits(r->store)) {
			store_ledger_step(r->store);
			some = true;
		}
		if (store_learn_waits(r->store)) {
			store_learn_step(r->store);
			some = true;
		}
		if (store_read_waits(r->store)) {
			store_read_step(r->store, 0);
			some = true;
		}
	}
	return last;
}

struct answer rig_ask(struct rig *r, struct store_peer from, struct ask a)
{
	rig_put(r, from, a);
	return rig_run(r);
}

uint64_t rig_account(struct rig *r, const char *address)
{
	struct ask a = {.kind = ASK_CREDENTIAL_SET};
	struct answer got;

	a.credential_set.address = bytes_of_text(address);
	a.credential_set.create = 1;
	a.credential_set.sealed = BYTES("sealed");
	got = rig_ask(r, KEEPER_PEER, a);
	if (got.result != OK)
		fail_msg("%.*s", BYTES_ARG(got.why));
	return got.credential_set.account;
}

void rig_login(struct rig *r, uint64_t account)
{
	struct ask a = {.kind = ASK_GRANT};

	r->session = 0x2000 + account;
	a.grant.front_session = r->session;
	a.grant.front = ACCESS;
	a.grant.account = account;
	a.grant.rights = 1;
	assert_int_equal(rig_ask(r, KEEPER_PEER, a).result, OK);
}

struct ask rig_mine(struct rig *r, enum ask_kind kind)
{
	return (struct ask){.kind = kind, .session = r->session};
}

uint32_t rig_spool(struct rig *r, struct store_peer from, uint64_t session, struct bytes content)
{
	uint32_t number = r->spool++;

	while (content.len) {
		struct ask a = {.kind = ASK_SPOOL, .session = session};

		a.spool.spool = number;
		a.spool.chunk = bytes_first(content, LIMIT_CHUNK);
		assert_int_equal(rig_ask(r, from, a).result, OK);
		content = bytes_skip(content, LIMIT_CHUNK);
	}
	return number;
}

struct bytes rig_recipients(struct rig *r, const char *first, const char *second)
{
	static char room[1024];
	struct buf b = {.ptr = room, .size = sizeof(room)};
	const char *both[] = {first, second};

	(void)r;
	for (int i = 0; i < 2; i++) {
		if (!both[i])
			continue;
		buf_block(&b, bytes_of_text(both[i]));
		buf_u8(&b, 0);
		buf_block(&b, (struct bytes){0});
	}
	return buf_bytes(&b);
}

struct ask rig_commit(struct rig *r, uint64_t session, struct bytes content, const char *first,
                      const char *second)
{
	static char key[16];
	struct ask a = {.kind = ASK_COMMIT, .session = session};

	a.commit.spool = rig_spool(r, MX_PEER, session, content);
	snprintf(key, sizeof(key), "key%012u", a.commit.spool);
	a.commit.key = bytes_of(key, 16);
	a.commit.sender = BYTES("sender@remote.test");
	a.commit.trace = BYTES("Received: by mx.example.test\r\n");
	a.commit.summary = BYTES("summary");
	a.commit.recipients = rig_recipients(r, first, second);
	return a;
}

enum result rig_mail(struct rig *r, const char *content, const char *first, const char *second)
{
	return rig_ask(r, MX_PEER, rig_commit(r, 7, bytes_of_text(content), first, second)).result;
}

struct ask rig_send(struct rig *r, const char *content, const char *first, const char *second)
{
	static char key[16];
	struct ask a = {.kind = ASK_COMMIT, .session = 9};

	a.commit.spool = rig_spool(r, SORTER_PEER, 9, bytes_of_text(content));
	snprintf(key, sizeof(key), "snd%012u", a.commit.spool);
	a.commit.key = bytes_of(key, 16);
	a.commit.sender = BYTES("ken@example.test");
	a.commit.trace = BYTES("Received: by mx.example.test\r\n");
	a.commit.summary = BYTES("summary");
	a.commit.recipients = rig_recipients(r, first, second);
	return a;
}

struct answer_status rig_status(struct rig *r, const char *mailbox)
{
	struct ask a = rig_mine(r, ASK_STATUS);
	struct answer got;

	a.status.name = bytes_of_text(mailbox);
	got = rig_ask(r, ACCESS_PEER, a);
	assert_int_equal(got.result, OK);
	return got.status;
}

enum result rig_append(struct rig *r, const char *mailbox, struct bytes content, uint64_t flags)
{
	static char key[16];
	struct ask a = rig_mine(r, ASK_APPEND);

	a.append.spool = rig_spool(r, ACCESS_PEER, r->session, content);
	snprintf(key, sizeof(key), "app%012u", a.append.spool);
	a.append.key = bytes_of(key, 16);
	a.append.name = bytes_of_text(mailbox);
	a.append.flags = flags;
	a.append.summary = BYTES("s");
	return rig_ask(r, ACCESS_PEER, a).result;
}

struct bytes rig_range(struct rig *r, uint32_t first, uint32_t last)
{
	static char room[4][8];
	static int at;
	struct buf b = {.ptr = room[++at % 4], .size = 8};

	(void)r;
	buf_u32(&b, first);
	buf_u32(&b, last);
	return buf_bytes(&b);
}

struct bytes rig_read(struct rig *r, uint64_t mailbox, uint32_t uid)
{
	struct ask a = rig_mine(r, ASK_READ);
	struct answer got;

	a.read.mailbox = mailbox;
	a.read.uid = uid;
	a.read.len = LIMIT_READ;
	got = rig_ask(r, ACCESS_PEER, a);
	assert_int_equal(got.result, OK);
	return got.read.chunk;
}

struct answer rig_admin(struct rig *r, enum admin_verb verb, const char *subject, uint64_t number)
{
	struct ask a = {.kind = ASK_ADMIN};

	a.admin.verb = verb;
	a.admin.subject = bytes_of_text(subject);
	a.admin.number = number;
	return rig_ask(r, WEB_PEER, a);
}

struct answer rig_take(struct rig *r)
{
	return rig_ask(r, SORTER_PEER, (struct ask){.kind = ASK_TAKE});
}

char *rig_dump(struct rig *r)
{
	struct buf b = {0};
	struct why why;
	char *text;

	assert_int_equal(store_dump(r->store, &b, &why), OK);
	text = memory_get(buf_len(&b) + 1);
	memcpy(text, buf_bytes(&b).ptr, buf_len(&b));
	buf_done(&b);
	return text;
}
