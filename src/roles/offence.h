/* What attackers do, told to the store (ask OFFENCE; policy/ban.h says what it weighs). */
#ifndef ROLES_OFFENCE_H
#define ROLES_OFFENCE_H

#include "base/ip.h"
#include "policy/ban.h"
#include "roles/role.h"

/* Is there anything to tell of this address: are bans on, and is it not in the allow list? The store looks
 * again; this spares it the question. */
bool role_may_ban(const struct role_context *r, const struct ip *ip);

/* Never waits; where the store is not there the offence is lost. number: chosen by the role. */
void role_offence(struct role_context *r, uint32_t number, uint64_t session, const struct ip *ip,
                  enum ban_offence kind, unsigned nth, struct bytes service, struct bytes user);

/* What the note of an engine on port 25 says of its peer. False: nothing. *ret_user: the recipient, may be
 * empty. Of failed logins keeper tells. */
bool offence_of_note(struct bytes event, struct bytes text, enum ban_offence *ret,
                     struct bytes *ret_user);

/* The first octets of a connection to port 25: another protocol (HTTP, TLS, SSH, SOCKS)? That is a scanner. */
bool offence_of_start(struct bytes in);

#endif
