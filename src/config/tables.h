/* Aliases and dot files in the form that looking up needs. Private to config/. */
#ifndef CONFIG_TABLES_H
#define CONFIG_TABLES_H

#include "base/map.h"
#include "base/wire.h"
#include "config/config.h"

/* A line of etc/virtual. The key is "user@domain", "user" or "@domain"; targets are addresses
 * (canonical where ours), or one "@domain". */
struct alias {
	struct bytes key;
	struct bytes *targets;
	size_t count;
	uint32_t line;
};

enum dot_kind {
	DOT_PLACE,   /* value: the mailbox */
	DOT_FORWARD, /* value: the address */
	DOT_PROGRAM  /* value: the command */
};

struct dot_line {
	enum dot_kind kind;
	struct bytes value;
	uint32_t line;
};

/* A file of etc/dot/ACCOUNT/. No line: keep in INBOX. */
struct dot {
	struct bytes account;   /* canonical address */
	struct bytes extension; /* "default", or the extension that it is for */
	struct bytes file;      /* "dot/ken@example.test/default", for reasons */
	struct dot_line *lines;
	size_t count;
};

struct config_tables {
	struct alias *aliases;
	size_t alias_count;
	struct dot *dots;
	size_t dot_count;
	struct map alias_by_key; /* -> struct alias */
	struct map dot_by_name;  /* "account\nextension" -> struct dot */
	struct map domains;      /* -> the tables themselves: a set */
};

/* An address (canonical) cut into its parts; all borrow from it. */
struct name {
	struct bytes address;
	struct bytes local;  /* with the extension */
	struct bytes base;   /* without */
	struct bytes ext;    /* without the separator; has_ext says whether there is one */
	struct bytes domain; /* empty: none was given */
	bool has_ext;
};

/* Our host's own name, which is none of the domains: there programs of this machine send from (user@hostname), so its names
 * are those of the first domain. */
bool tables_is_host(const struct config *c, struct bytes domain);

struct name name_of(const struct config *c, struct bytes address);
bool name_is_postmaster(const struct name *n); /* postmaster or abuse (RFC 2142) */

/* Fill the maps from the arrays; once. Of two with one key the first stands. */
void tables_index_domains(struct config *c);
void tables_index(struct config *c);

/* Is there this very dot file? */
const struct dot *tables_dot_file(const struct config *c, struct bytes account,
                                  struct bytes extension);

/* The alias for this name, by the order of config.h up to the bare user; *ret_ext: the extension
 * was not part of the key. */
const struct alias *tables_alias(const struct config *c, const struct name *n, bool *ret_ext);
const struct alias *tables_catch_all(const struct config *c, struct bytes domain);

/* The dot file for mail to this account with this extension (has_ext false: none), or NULL: keep
 * in INBOX. */
const struct dot *tables_dot(const struct config *c, struct bytes account, bool has_ext,
                             struct bytes ext);

enum { NAME_ROOM = LIMIT_ADDRESS + 1 };

/* The address that a target is for this name, into out; its length, or 0: it would be too long.
 * `ext`: the extension of the name is carried over to targets of ours that have none of their
 * own. */
size_t tables_target(const struct config *c, struct bytes target, const struct name *n, bool ext,
                     char out[NAME_ROOM]);

/* Readers of the files; they add to tables under construction. INVALID: why names file and line. */
enum result virtual_parse(struct config *c, struct bytes text, struct why *why) MUST_USE;
enum result dot_parse(struct config *c, struct bytes file, struct bytes text, struct dot *ret,
                      struct why *why) MUST_USE;

/* INVALID: the aliases and dot files lead in a circle, or deeper than CONFIG_DEPTH. */
enum result tables_check_loops(const struct config *c, struct why *why) MUST_USE;

/* An address as written by the operator in a target: canonical where the domain is ours, else
 * tidy; a bare user gets the first domain. The reason lacks file and line. */
enum result tables_parse_target(const struct config *c, struct bytes word, struct arena *arena,
                                struct bytes *ret, struct why *why) MUST_USE;

#endif
