/* `hikyaku check KIND`: the judgement of one thing, for operators and tests alike. cli/check.c has the table of kinds; it
 * reads stdin, after the process has locked itself like mx; a DNS socket, where --dns names a server, is opened before. A kind
 * is a pure function, over facts where it needs the DNS. */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"
#include "cli/check_dns.h"

enum { CHECK_OPTIONS = 16 };

struct check {
	struct bytes in;         /* all of stdin; empty where the kind does not read it */
	const char *const *args; /* after KIND, options taken out */
	size_t arg_count;
	struct check_option {
		struct bytes name; /* "--dns" */
		const char *value;
	} options[CHECK_OPTIONS];
	size_t option_count;
	struct check_dns *dns; /* --dns; NULL: none was named */
	struct check_file {    /* --filter: it, then what lies beside it */
		struct bytes name, text;
	} * files;
	size_t file_count;
	struct arena arena; /* of files */
	time_ms now;        /* --now, in seconds there; or the clock */
};

/* The last one's value, "" of a flag; NULL: it was not given. */
const char *check_option(const struct check *c, const char *name);

/* Appends what is printed, one result a line. OK: judged (exit 0). */
typedef enum result check_function(const struct check *c, struct buf *out, struct why *why);

enum result check_mime(const struct check *c, struct buf *out,
                       struct why *why); /* cli/check_mime.c */
enum result check_charset(const struct check *c, struct buf *out,
                          struct why *why); /* cli/check_charset.c */
enum result check_bounce(const struct check *c, struct buf *out,
                         struct why *why); /* cli/check_bounce.c */

enum result check_dkim(const struct check *c, struct buf *out,
                       struct why *why); /* cli/check_dkim.c */
enum result check_arc(const struct check *c, struct buf *out,
                      struct why *why); /* cli/check_dkim.c */

enum result check_spf(const struct check *c, struct buf *out,
                      struct why *why); /* cli/check_spf.c */
enum result check_dmarc(const struct check *c, struct buf *out,
                        struct why *why); /* cli/check_dmarc.c */

enum result check_ban(const struct check *c, struct buf *out,
                      struct why *why); /* cli/check_ban.c */
/* Reads a filter file and the others of its folder, before the process locks itself. */
enum result check_ban_files(struct check *c, const char *path, struct why *why);
/* jail_file_function over these files, then our own filters; context is the struct check. */
bool check_ban_find(void *context, struct bytes name, struct bytes *ret);
enum result check_report(const struct check *c, struct buf *out,
                         struct why *why); /* cli/check_report.c */

#endif
