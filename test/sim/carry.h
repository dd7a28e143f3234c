/* Mail going out under power cuts and dying processes: a real sorter's jobs, a scripted courier, scripted hosts. */
#ifndef TEST_SIM_CARRY_H
#define TEST_SIM_CARRY_H

#include "world.h"

/* Whatever fails and whenever: each recipient of a mail that was answered OK is delivered once, or its sender has one
 * bounce; a host has a mail twice only where its 250 was lost, or the courier or the store died between that 250 and the
 * durable CARRIED. A mail that was answered no, or never, and is not COMMITTED, reaches nobody. */
void carry_run(struct world *w);

#endif
