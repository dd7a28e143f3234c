/* Other services' logs, read with rules in fail2ban's filter syntax: whose address stands in a line that says
 * that somebody failed?
 *
 *	if (jail_new(BYTES("sshd"), BYTES("aggressive"), jail_builtin, NULL, &jail, &why) != OK) ...
 *	jail_judge(jail, line, &verdict);           lines in order, without their line end
 *	if (verdict.match) ... verdict.host
 *
 * A filter is read with its [INCLUDES], [DEFAULT], [Definition] and [Init]; %(name)s and <name> are replaced;
 * failregex, ignoreregex and prefregex are Perl's expressions (PCRE2) with the tags <HOST>, <ADDR>, <IP4>,
 * <IP6>, <DNS>, <F-NAME>...</F-NAME>. Lines of one connection are told together by <F-MLFID>: a failure
 * without an address waits for the line that has it; <F-NOFAIL> marks a line that only tells the address,
 * <F-MLFGAINED> one that says that somebody got in, <F-MLFFORGET> the connection's end. Not there:
 * <SKIPLINES> and reading several lines as one; such a filter is refused with the reason. The date at a line's
 * beginning is known by its shape and taken off; `datepattern` is not needed and not heeded.
 *
 * Rules prove themselves: a section [Samples] has a line for each,
 *
 *	[Samples]
 *	hit = 198.51.100.9 Jan  1 00:00:00 mx sshd[1]: Failed password for root from 198.51.100.9 port 1 ssh2
 *	      - Jan  1 00:00:00 mx sshd[1]: a line that must not match
 *
 * one after the other as in a log; jail_prove() runs them and says which rule has none, or a wrong one.
 *
 * What strangers can write into a log is hostile: PCRE2 runs with limits on its steps and memory, without its
 * compiler (no memory that can be executed); a rule that runs into a limit does not match, and is counted. */
#ifndef POLICY_JAIL_H
#define POLICY_JAIL_H

#include "base/arena.h"
#include "base/buf.h"

enum {
	JAIL_FILE_MAX = 256 * 1024,
	JAIL_TEXT_MAX = 256 * 1024, /* what one value grows to */
	JAIL_RULES_MAX = 256,
	JAIL_LINE_MAX = 8 * 1024, /* a longer line is cut */
	JAIL_CONNECTIONS = 4096,  /* that are told together at a time */
};

struct jail;

struct jail_verdict {
	bool match;
	struct bytes host; /* an address, or a name; borrows from the jail until the next call */
	bool is_address;
	bool suspicious; /* looks like a failure with an address in it, whether a rule matched or not */
	unsigned rule; /* that matched, counted from 1; 0: none */
};

/* Gives the text of a filter file (a name as it stands in `before =`). False: there is none. */
typedef bool jail_file_function(void *context, struct bytes name, struct bytes *ret);

/* Our own filters (policy/jails), one a service. */
jail_file_function jail_builtin;
/* Their names, the nth; empty: that was all. */
struct bytes jail_builtin_name(size_t n);

/* name: the file's, without .conf. mode: replaces the filter's own `mode`; empty: as it says.
 * INVALID: why says which rule, which character, and what is wrong with it. */
enum result jail_new(struct bytes name, struct bytes mode, jail_file_function *file, void *context,
                     struct jail **ret, struct why *why) MUST_USE;
void jail_free(struct jail **j);

void jail_judge(struct jail *j, struct bytes line, struct jail_verdict *ret);

/* Forgets all connections and counts. */
void jail_reset(struct jail *j);

/* Runs the samples. INVALID: one was judged wrongly, a rule was never the one that matched, or there are none;
 * why says which. The jail is reset. */
enum result jail_prove(struct jail *j, struct why *why) MUST_USE;

struct jail_rule_count {
	struct bytes text; /* as written, expanded */
	uint64_t matched, limited;
};
size_t jail_rules(const struct jail *j, const struct jail_rule_count **ret);

#endif
