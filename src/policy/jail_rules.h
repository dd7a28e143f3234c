/* Our own filters as text: made of policy/jails/NAME.conf when Hikyaku is built (tools/jails). */
#ifndef POLICY_JAIL_RULES_H
#define POLICY_JAIL_RULES_H

struct jail_text {
	const char *name, *text;
};

extern const struct jail_text jail_texts[]; /* the last one's name is NULL */

#endif
