/* watch: looks at the server itself. It reads no mail and no stranger's bytes but DNS answers, keeps nothing that the store does not
 * keep for it, and only asks. */
#include "base/memory.h"
#include "roles/role.h"

struct watch {
	struct role_context *role;
};

static enum result watch_start(struct role_context *r, struct why *why)
{
	struct watch *w = NEW(struct watch);

	(void)why;
	w->role = r;
	r->self = w;
	return OK;
}

static const struct role_ops ops = {
        .start = watch_start,
};

const struct role role_watch = {
        .name = "watch",
        .bit = WATCH,
        .does = "tests the checks, misses usual mail, looks after what others see of us",
        .answerers = STORE | RESOLVER,
        .ops = &ops,
};
