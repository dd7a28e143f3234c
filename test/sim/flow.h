/* Mail flowing out on a quiet server: nothing crashes, and still nothing may stand. */
#ifndef TEST_SIM_FLOW_H
#define TEST_SIM_FLOW_H

#include "world.h"

/* Couriers and a sorter always wait; time goes from one deadline of the store to the next, as its host's does. Hosts take
 * mail, put it off, refuse it, are dead, want less, refuse our address; the operator holds, releases, retries, redirects,
 * removes, closes incidents. Whatever happens: what is due, not held and not in backoff is offered within seconds; nobody
 * gets an entry that another one has, nor before its time; in the end each recipient had its mail once, or it was
 * given up or removed. */
void flow_run(struct world *w);

#endif
