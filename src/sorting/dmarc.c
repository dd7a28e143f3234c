/* DMARC reports that come by mail: a mail to an address that takes them (config_takes_reports) is read before it goes where it goes
 * anyway, and what the report says leaves with SORTED. Whatever cannot be read is just a mail. */
#include "sorting/job.h"
#include "verify/dmarc_report.h"

enum { MAIL_MAX = 4 * 1024 * 1024, PACKED_MAX = 40 * 1024 };

bool dmarc_begin(struct sorting_job *j)
{
	if (j->take.size == 0 || j->take.size > MAIL_MAX ||
	    !config_takes_reports(j->config, j->rcpt))
		return false;
	j->state = JOB_REPORT;
	job_read(j, 0, LIMIT_READ);
	return true;
}

static void keep(struct sorting_job *j)
{
	struct arena arena = {0};
	struct dmarc_report r;
	struct why why;

	if (dmarc_report_find(buf_bytes(&j->whole), &arena, &r, &why) == OK) {
		dmarc_report_pack(&r, PACKED_MAX, &j->report);
		buf_printf(&j->outcome, " dmarc-report=%.*s", BYTES_ARG(r.domain));
	}
	arena_done(&arena);
	buf_done(&j->whole);
}

bool dmarc_answer(struct sorting_job *j, const struct answer *a)
{
	size_t had = buf_len(&j->whole);

	if (a->result == OK && had + a->queue_read.chunk.len <= MAIL_MAX)
		buf_append(&j->whole, a->queue_read.chunk);
	if (buf_len(&j->whole) > had && buf_len(&j->whole) < a->queue_read.total) {
		job_read(j, buf_len(&j->whole), LIMIT_READ);
		return false;
	}
	keep(j);
	return true;
}
