/* Alarms: what the operator is told of incidents over something that is not mail, and mail that usually comes. For the
 * files of store/.
 *
 * Each event of an incident becomes a row for each channel (section `alarm`), in the transaction that changes the
 * incident: an alarm is as durable as its incident. Channels are served in order, oldest first; who sends takes a row
 * with ALARM (or ADMIN_ALARMS) and says what became of it. A row that was sent but not said so is sent again: its id
 * tells (watch/alarm.h).
 *
 *	waiting --sent--> gone
 *	   ^  |
 *	   |  +--failed--> due later (alarm_wait_ms); after 5 minutes the channel itself is an incident
 *	   +---------------after ALARM_KEPT_MS: given up, noted in the ledger */
#ifndef STORE_ALARM_H
#define STORE_ALARM_H

#include "store/internal.h"

struct change_incident;

/* ---- alarm.c ---- */

/* A writing job: rows for all channels, and row->said. event: enum alarm_event. */
void alarms_note(struct store *s, struct job *j, struct change_incident *row, unsigned event);

enum result alarm_apply(struct store *s, const struct change_alarm *c);
enum result alarm_gone_apply(struct store *s, const struct change_alarm_gone *c);

job_function run_alarm, run_alarm_done, run_watch_tick;
job_function admin_alarms, admin_alarm_done, admin_alarm_test;

/* ---- rhythm.c: how mail usually comes, and when it stops (watch/silence.h) ---- */

/* A writing job: a mail from outside was taken for this recipient, not as junk. Kept in memory until the next tick. */
void rhythm_note(struct store *s, const struct job *j, struct bytes sender, struct bytes rcpt);
/* A writing job, once a minute: writes down what was noted, raises and closes incidents. */
void rhythms_tick(struct store *s, struct job *j);
void rhythms_done(struct store *s);

enum result rhythm_apply(struct store *s, const struct change_rhythm *c);
enum result rhythm_gone_apply(struct store *s, const struct change_rhythm_gone *c);

#endif
