/* Our loop as libunbound wants one: its pluggable event API (unbound-event.h), whose shape is libevent's. */
#ifndef ROLES_RESOLVER_LOOP_H
#define ROLES_RESOLVER_LOOP_H

#include "sys/loop.h"

struct ub_event_base;

/* Lives as long as any context made with it. */
struct ub_event_base *resolver_loop_new(struct loop *l);
void resolver_loop_free(struct ub_event_base **b);

#endif
