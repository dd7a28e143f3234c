/* DMARC's aggregate reports (RFC 9990), both ways.
 *
 *	out   JUDGED's row of a mail is counted by domain and day, in memory, written at most once a second; when the day is over the
 *	      courier asks DMARC_DUE, sends, and says DMARC_DONE
 *	in    the sorter reads a report that came by mail and hands it in with SORTED; `hikyaku dmarc` shows what they say
 *
 * A crash may cost the last minute at most of what is counted. What came in is durable with its mail. */
#ifndef STORE_DMARC_H
#define STORE_DMARC_H

#include "store/internal.h"

enum {
	DMARC_WRITE_MS = 1000,
	DMARC_PENDING = 1000,     /* rows that wait in memory; then they are written at once */
	DMARC_ROWS = 2000,        /* different ones of a domain and day; what is more is not told */
	DMARC_RECEIVED = 2000,    /* reports that are kept, the newest */
	DMARC_RECEIVED_DAYS = 90, /* ... and for how long */
	DMARC_GIVEN = 48 * 1024,  /* octets of rows in one answer */
};

extern const char dmarc_schema[];

/* JUDGED; locked. A row for a domain's report (verify/dmarc.h), ip: 16 octets, and what was done. */
void dmarc_count(struct store *s, struct bytes row, struct bytes ip, unsigned action);
/* The writer's, once a minute: what waits in memory though no mail came since. */
void dmarc_tick(struct store *s);
/* The writer's, in SORTED: keeps a packed report (dmarc_report_pack). False: it is none. */
bool dmarc_received(struct store *s, struct job *j, struct bytes packed);

enum result dmarc_count_apply(struct store *s, const struct change_dmarc_count *c);
enum result dmarc_counts_gone_apply(struct store *s, const struct change_dmarc_counts_gone *c);
enum result dmarc_report_apply(struct store *s, const struct change_dmarc_report *c);
enum result dmarc_reports_gone_apply(struct store *s, const struct change_dmarc_reports_gone *c);

job_function run_dmarc_due, run_dmarc_done, admin_dmarc;

#endif
