/* Events that a role has for the ledger: what an engine notes for the log goes there too. */
#ifndef ROLES_LEDGER_H
#define ROLES_LEDGER_H

#include "base/ip.h"
#include "roles/role.h"

/* event is a word of store/reasons.def (others go into the log only), text its key=value words: sender=<>,
 * rcpt=<>, user= and id= are taken out of it, and addresses in <> of a reply, so that trace finds them. ip
 * may be NULL. Never waits; where the store is not there the event is lost. */
void role_ledger(struct role_context *r, uint64_t session, const struct ip *ip, struct bytes event,
                 struct bytes text);

#endif
