/* Checks of mail on trial (watch/trial.h): what each said, whether it may refuse today, and what is done when it may not.
 *
 *	allowed = checks_hear(s, &judged, &arena, &why)        JUDGED, from memory, before it is answered
 *
 * Records are in memory; a check's is written down when its standing changes, else every 15 minutes at most: a restart forgets no
 * demotion. With a demotion go, in one transaction: the record, incident CHECK, an event in the ledger, and the release of what
 * the check alone refused since it went wrong (store/escrow.h). */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "policy/evidence.h"
#include "store/internal.h"

void checks_begin(struct store *s); /* after replay; not locked */
void checks_done(struct store *s);
void checks_tick(struct store *s); /* locked */
void checks_config(
        struct store *s); /* locked: another configuration: what it has no more is forgotten */

/* Locked. What may be done of what is wanted; ret_why: why less, in the arena, or empty. */
enum judge_action checks_hear(struct store *s, const struct ask_judged *a, struct arena *arena,
                              struct bytes *ret_why);

enum result check_apply(struct store *s, const struct change_check *c);
enum result check_gone_apply(struct store *s, const struct change_check_gone *c);

job_function run_check_tested;
job_function admin_checks, admin_check_restore;

#endif
