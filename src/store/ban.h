/* Bans: the book that all fronts share (policy/ban.h), kept in memory and asked at every accept. What is
 * written down is who is banned until when (change BAN), so that a restart lets nobody in; scores are not.
 * Locked, where nothing else is said. */
#ifndef STORE_BAN_H
#define STORE_BAN_H

#include "store/internal.h"

void bans_begin(struct store *s); /* after replay; not locked */
void bans_done(struct store *s);
void bans_tick(struct store *s);
/* Somebody logged in rightly from here (16 octets). */
void bans_good(struct store *s, struct bytes peer);
/* A front said that a login from this address (16 octets) failed: keeper must have said so, too. */
void bans_login_failed(struct store *s, struct bytes ip);
void bans_status(struct store *s, struct json_t *ret); /* adds its figures */

enum result ban_apply(struct store *s, const struct change_ban *c);
enum result bans_gone_apply(struct store *s, const struct change_bans_gone *c);
enum result jail_apply(struct store *s, const struct change_jail *c);

job_function run_banned, run_offence;
job_function admin_bans, admin_ban_why, admin_ban_lift, admin_ban_add, admin_ban_drill,
        admin_ban_jail, admin_jails;

#endif
