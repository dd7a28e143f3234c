/* A store on a folder of its own, driven without threads, and asks in short. */
#ifndef STORE_TEST_H
#define STORE_TEST_H

#include "test.h"

#include "base/memory.h"
#include "store/store.h"

enum { T0 = 1700000000 };

struct rig {
	char folder[64];
	int fd;
	struct file_system *fs, *ledger;
	struct config *config;
	struct store_options options;
	struct store *store;
	struct store_report report;
	struct arena arena; /* what the last answer borrowed */
	time_ms now;
	uint32_t number, spool;
	uint64_t session;         /* granted by rig_login */
	unsigned events, refused; /* answers that were not OK */
	char domains[128];
};

extern const struct store_peer MX_PEER, ACCESS_PEER, SORTER_PEER, COURIER_PEER, KEEPER_PEER,
        WEB_PEER, WATCH_PEER;

struct rig rig_make(const char *extra_config, const char *virtual_file);
void rig_open(struct rig *r);
void rig_close(struct rig *r);
void rig_done(struct rig *r); /* removes the folder */
void rig_remove(const struct rig *r, const char *name);

/* Puts it and lets all work be done. Returns the answer (kind 0: none came yet, as TAKE). */
struct answer rig_ask(struct rig *r, struct store_peer from, struct ask a);
/* Puts it only. */
void rig_put(struct rig *r, struct store_peer from, struct ask a);
/* Lets all work be done; returns the last answer. */
struct answer rig_run(struct rig *r);

uint64_t rig_account(struct rig *r, const char *address);
void rig_login(struct rig *r, uint64_t account);        /* a session at ACCESS */
struct ask rig_mine(struct rig *r, enum ask_kind kind); /* ... asks */

/* A spool with this content, in a session of that peer. */
uint32_t rig_spool(struct rig *r, struct store_peer from, uint64_t session, struct bytes content);
struct bytes rig_recipients(struct rig *r, const char *first, const char *second);
struct ask rig_commit(struct rig *r, uint64_t session, struct bytes content, const char *first,
                      const char *second);
/* The whole way of a mail; its result. */
enum result rig_mail(struct rig *r, const char *content, const char *first, const char *second);
/* A COMMIT that may go to other hosts: to be asked by SORTER_PEER. */
struct ask rig_send(struct rig *r, const char *content, const char *first, const char *second);
struct answer_status rig_status(struct rig *r, const char *mailbox);
enum result rig_append(struct rig *r, const char *mailbox, struct bytes content, uint64_t flags);
struct bytes rig_range(struct rig *r, uint32_t first, uint32_t last);
struct bytes rig_read(struct rig *r, uint64_t mailbox, uint32_t uid);
struct answer rig_admin(struct rig *r, enum admin_verb verb, const char *subject, uint64_t number);
struct answer rig_take(struct rig *r);
char *rig_dump(struct rig *r); /* free with memory_free */

#endif
