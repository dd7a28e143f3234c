/* What the client's greeting (HELO, EHLO) says about it. Evidence, never alone: honest hosts greet badly, too.
 *
 *	if (greeting_evidence(helo, client_name, config, &arena, &e)) ... */
#ifndef POLICY_GREETING_H
#define POLICY_GREETING_H

#include "base/arena.h"
#include "base/ip.h"
#include "config/config.h"
#include "policy/evidence.h"

/* client: its address; name: verified by reverse and forward DNS, or empty. False: nothing to say. */
bool greeting_evidence(struct bytes helo, const struct ip *client, struct bytes name,
                       const struct config *config, struct arena *arena, struct evidence *ret);

#endif
