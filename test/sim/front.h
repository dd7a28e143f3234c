/* SMTP engines before a simulated store: what a client was told is what counts. */
#ifndef TEST_SIM_FRONT_H
#define TEST_SIM_FRONT_H

#include "world.h"

/* Several clients send mails while power and processes fail. 250: the mail is there, once. 4xx: it is not, unless the engine
 * could not find out. No answer (mx died): once or not at all. */
void front_run(struct world *w);

#endif
