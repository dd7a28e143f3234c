/* keeper's private keys, and the threads that sign with them. A front's handshake waits for SIGN
 * inside OpenSSL, so each front has a channel and a thread here that does nothing else: no login,
 * no hash and no file can delay it. */
#ifndef ROLES_KEEPER_SIGN_H
#define ROLES_KEEPER_SIGN_H

#include "roles/role.h"

struct keeper_keys;

struct keeper_keys *keeper_keys_new(void);
/* No front may be served any more: for tests; the process itself just ends. */
void keeper_keys_free(struct keeper_keys **k);
/* Reads keys/tls/NAME.key anew; those under way finish with the former ones. A bad file is logged
 * and passed over. A certificate of the configuration that finds its key no longer keeps the former
 * one as long as this process lives; one that has none at all is logged: its handshakes would fail.
 * Returns how many there are. */
size_t keeper_keys_read(struct keeper_keys *k, struct role_context *r);
/* Serves SIGN on fd, which is its own from now on, in a new thread, until the peer is gone. */
void keeper_keys_serve(struct keeper_keys *k, struct role_context *r, unsigned peer, int fd);

#endif
