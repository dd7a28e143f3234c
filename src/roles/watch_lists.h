/* Watch asks each block and allow list for its test entries (RFC 5782, 5), every watch.tests and at once after a new configuration,
 * and tells the store what they answered (CHECK_TESTED): a list that is not well refuses no mail. */
#ifndef ROLES_WATCH_LISTS_H
#define ROLES_WATCH_LISTS_H

#include "roles/role.h"

struct watch_lists;

struct watch_lists *watch_lists_new(struct role_context *r);
/* False: not one of its asks. */
bool watch_lists_answer(struct watch_lists *w, const struct answer *a);
/* Another configuration, or a store or resolver that is there again: test at once. */
void watch_lists_now(struct watch_lists *w);

#endif
