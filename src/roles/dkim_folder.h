/* DKIM keys as files: keys/dkim/DOMAIN/SELECTOR.key (PEM, mode 0600) and beside them `state`, a line for each key:
 *
 *	# selector  state  made
 *	hk20261123r signs 2026-11-23
 *
 * state: new (published, or about to be; signs nothing yet), signs, old (mail that it signed may still be under way: its
 * record stays published). A key without a line is new. keeper reads this folder, `hikyaku dkim` writes it.
 * Several keys may sign at once: an RSA one for everybody, an Ed25519 one for those who know RFC 8463. */
#ifndef ROLES_DKIM_FOLDER_H
#define ROLES_DKIM_FOLDER_H

#include "ask/ask.h"
#include "crypto/sign.h"
#include "sys/file.h"

enum { DKIM_SELECTOR_MAX = 63, DKIM_KEYS_MAX = 64 /* of one domain */ };

struct dkim_key {
	struct bytes selector;
	enum dkim_algorithm algorithm;
	enum dkim_key_state state;
	time_ms made;
	struct private_key *key;
	struct bytes record; /* what to publish at SELECTOR._domainkey.DOMAIN */
};

struct dkim_keys {
	struct dkim_key *items; /* by selector; strings are the arena's */
	size_t count;
};

/* A domain or selector as a file's name: letters, digits, hyphens and dots (no label begins with one), nothing else. */
bool dkim_name_is_good(struct bytes name, size_t max);

const char *dkim_state_name(enum dkim_key_state s);
const char *dkim_algorithm_name(enum dkim_algorithm a);

/* fs is the folder keys/. Domains that have a folder; none: count 0. */
enum result dkim_folder_domains(struct file_system *fs, struct arena *arena,
                                const char ***ret_names, size_t *ret_count,
                                struct why *why) MUST_USE;
/* A domain's keys, to be given back by dkim_keys_free. A file that is no key is passed over: *ret_bad (may be NULL) says
 * which and why, empty otherwise. NOT_FOUND: no folder. */
enum result dkim_folder_read(struct file_system *fs, struct bytes domain, struct arena *arena,
                             struct dkim_keys *ret, struct why *ret_bad, struct why *why) MUST_USE;
void dkim_keys_free(struct dkim_keys *k);

/* A new key in state new, under a selector of its own: hkYYYYMMDDr (or e for Ed25519), with a letter more where that is
 * taken. Its selector is the arena's. */
enum result dkim_folder_make(struct file_system *fs, struct bytes domain,
                             enum dkim_algorithm algorithm, time_ms now, struct arena *arena,
                             struct bytes *ret_selector, struct why *why) MUST_USE;
/* Writes `state` for these keys. */
enum result dkim_folder_write(struct file_system *fs, struct bytes domain,
                              const struct dkim_keys *keys, struct why *why) MUST_USE;
/* Removes a key's file. */
enum result dkim_folder_remove(struct file_system *fs, struct bytes domain, struct bytes selector,
                               struct why *why) MUST_USE;

#endif
