/* The clocks. Only roles/, cli/ and the loop read them; everybody else gets the time as an
 * argument. */
#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include "base/time.h"

time_ms clock_now(void);           /* wall clock */
uint64_t clock_monotonic_us(void); /* never goes back; only differences mean anything */

#endif
