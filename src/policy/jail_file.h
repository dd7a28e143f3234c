/* Inside of jails: a filter file, read and expanded. */
#ifndef POLICY_JAIL_FILE_H
#define POLICY_JAIL_FILE_H

#include "base/map.h"
#include "policy/jail.h"

struct jail_file {
	struct map values; /* "section/key", in lower case: struct bytes */
	struct arena *arena;
};

/* Reads name and what it includes. */
enum result jail_file_read(struct jail_file *f, struct bytes name, jail_file_function *file,
                           void *context, struct why *why) MUST_USE;
void jail_file_done(struct jail_file *f);
void jail_file_set(struct jail_file *f, const char *section, struct bytes key, struct bytes value);
/* As written; empty: not there. */
struct bytes jail_file_raw(const struct jail_file *f, const char *section, const char *key);
/* Is there a value whose name ends in "-" and this? */
bool jail_file_has_variant(const struct jail_file *f, struct bytes ending);
/* A value of [Definition] with %(name)s and <name> replaced, whatever they lead to. */
enum result jail_file_value(struct jail_file *f, const char *key, struct bytes *ret,
                            struct why *why) MUST_USE;

#endif
