/* Who owns what below DIR when master is root: keys/ is keeper's, data/ and etc/ are store's (which alone writes them),
 * run/ stays the owner's. What a person copied there as root is given to its role at start. */
#ifndef ROLES_OWNER_H
#define ROLES_OWNER_H

#include <sys/types.h>

#include "base/result.h"

enum result owner_give(int directory, uid_t owner, unsigned uid_base, struct why *why) MUST_USE;

/* A key that root copied there since. */
enum result owner_give_keys(int directory, unsigned uid_base, struct why *why) MUST_USE;

#endif
