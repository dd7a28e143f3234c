/* keeper's DKIM keys (roles/dkim_folder.h) and the secrets of smarthosts. Signing costs an RSA operation, 1 ms: it is done
 * where it is asked. A front gets no signature for what its session may not send as: store is asked (SENDER) first. */
#ifndef ROLES_KEEPER_DKIM_H
#define ROLES_KEEPER_DKIM_H

#include "roles/role.h"

struct keeper;
struct keeper_dkim;

struct keeper_dkim *keeper_dkim_new(void);
void keeper_dkim_free(struct keeper_dkim **d);
/* Reads keys/dkim anew. What cannot be read is logged and passed over. Returns how many keys there are. */
size_t keeper_dkim_read(struct keeper_dkim *d, struct role_context *r);

/* DKIM_KEYS, DKIM_SIGN, SMARTHOST_SECRET. */
void keeper_dkim_ask(struct keeper *k, struct channel *ch, const struct ask *a);
/* SENDER's answer. */
void keeper_dkim_answer(struct keeper *k, const struct answer *a);
/* Nobody waits any more: ch with session 0: the whole front is gone. */
void keeper_dkim_forget(struct keeper_dkim *d, struct channel *ch, uint64_t session);

#endif
