/* Signatures of webhooks: each channel's secret is keys/alarm/NAME, its first line: whsec_ and base64
 * (standardwebhooks.com), or any text, which is then taken as it is. */
#ifndef ROLES_KEEPER_ALARM_H
#define ROLES_KEEPER_ALARM_H

#include "bus/channel.h"

struct keeper;

/* ALARM_SIGN. */
void keeper_alarm_ask(struct keeper *k, struct channel *ch, const struct ask *a);

#endif
