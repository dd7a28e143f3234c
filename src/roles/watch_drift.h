/* Watch compares what the DNS says of our domains and our host with what it should say (verify/publish.h), every
 * watch.drift. What was right once and is wrong now becomes the incident DRIFT; what was never right is `hikyaku dns`'s
 * to say. Limit: what was right is known since this process began. Keys for DKIM are not looked at: watch has no channel
 * to keeper. */
#ifndef ROLES_WATCH_DRIFT_H
#define ROLES_WATCH_DRIFT_H

#include "roles/role.h"

struct watch_drift;

struct watch_drift *watch_drift_new(struct role_context *r);
/* False: not one of its asks. */
bool watch_drift_answer(struct watch_drift *d, const struct answer *a);

#endif
