/* Reading an aggregate report: Expat gives elements, a table says where their text goes. Namespaces' prefixes are taken off, unknown
 * elements passed over. */
#include <expat.h>

#include "base/memory.h"
#include "base/text.h"
#include "verify/dmarc_report.h"

enum { DEPTH = 16, PATH_TEXT = 256, ROWS_STEP = 64 };

/* Where a value goes. */
enum field {
	ORGANIZATION,
	EMAIL,
	REPORT_ID,
	BEGIN,
	END,
	DOMAIN,
	P,
	SP,
	NP,
	ADKIM,
	ASPF,
	TESTING,
	SOURCE_IP,
	COUNT,
	DISPOSITION,
	DKIM,
	SPF,
	REASON,
	HEADER_FROM,
	ENVELOPE_FROM,
	DKIM_DOMAIN,
	DKIM_SELECTOR,
	DKIM_RESULT,
	SPF_DOMAIN,
	SPF_SCOPE,
	SPF_RESULT,
};

static const struct {
	const char *path; /* below feedback */
	enum field field;
} paths[] = {
        {"report_metadata/org_name", ORGANIZATION},
        {"report_metadata/email", EMAIL},
        {"report_metadata/report_id", REPORT_ID},
        {"report_metadata/date_range/begin", BEGIN},
        {"report_metadata/date_range/end", END},
        {"policy_published/domain", DOMAIN},
        {"policy_published/p", P},
        {"policy_published/sp", SP},
        {"policy_published/np", NP},
        {"policy_published/adkim", ADKIM},
        {"policy_published/aspf", ASPF},
        {"policy_published/testing", TESTING},
        {"record/row/source_ip", SOURCE_IP},
        {"record/row/count", COUNT},
        {"record/row/policy_evaluated/disposition", DISPOSITION},
        {"record/row/policy_evaluated/dkim", DKIM},
        {"record/row/policy_evaluated/spf", SPF},
        {"record/row/policy_evaluated/reason/type", REASON},
        {"record/identifiers/header_from", HEADER_FROM},
        {"record/identifiers/envelope_from", ENVELOPE_FROM},
        {"record/auth_results/dkim/domain", DKIM_DOMAIN},
        {"record/auth_results/dkim/selector", DKIM_SELECTOR},
        {"record/auth_results/dkim/result", DKIM_RESULT},
        {"record/auth_results/spf/domain", SPF_DOMAIN},
        {"record/auth_results/spf/scope", SPF_SCOPE},
        {"record/auth_results/spf/result", SPF_RESULT},
};

struct reader {
	XML_Parser parser;
	struct arena *arena;
	struct dmarc_report r;
	size_t rows_room;
	struct dmarc_report_row row;
	bool row_has_ip, row_has_count;
	size_t dkims;   /* of this row, all of them */
	unsigned depth; /* open elements, feedback included */
	size_t lens[DEPTH];
	char path[PATH_TEXT]; /* of the open element below feedback */
	char text[DMARC_REPORT_TEXT + 1];
	size_t text_len;
	bool found;        /* feedback */
	bool whole;        /* feedback was closed: what follows does not matter */
	const char *wrong; /* a reason of our own to stop */
};

static void stop(struct reader *in, const char *wrong)
{
	in->wrong = wrong;
	XML_StopParser(in->parser, XML_FALSE);
}

/* ---- values ---- */

static bool is_word(struct bytes text, const char *word)
{
	return bytes_equal_nocase(text, bytes_of_text(word));
}

static enum dmarc_policy policy(struct bytes text)
{
	return is_word(text, "reject")       ? DMARC_POLICY_REJECT
	       : is_word(text, "quarantine") ? DMARC_POLICY_QUARANTINE
	                                     : DMARC_POLICY_NONE;
}

static uint64_t number(struct bytes text)
{
	uint64_t n;

	return bytes_to_u64(text, INT64_MAX, &n) == OK ? n : 0;
}

static struct bytes keep(struct reader *in, struct bytes text)
{
	struct bytes copy = arena_copy(in->arena, text);
	char *ptr = (char *)(uintptr_t)copy.ptr;

	for (size_t i = 0; i < copy.len; i++)
		if ((unsigned char)ptr[i] < ' ' || ptr[i] == 0x7f)
			ptr[i] = ' ';
	return copy;
}

static struct bytes keep_name(struct reader *in, struct bytes text)
{
	struct bytes copy = keep(in, text);

	text_lower((char *)(uintptr_t)copy.ptr, copy.len);
	return copy;
}

static void take_head(struct reader *in, enum field f, struct bytes v)
{
	struct dmarc_report *r = &in->r;

	switch (f) {
	case ORGANIZATION: r->organization = keep(in, v); break;
	case EMAIL: r->email = keep(in, v); break;
	case REPORT_ID: r->id = keep(in, v); break;
	case BEGIN: r->begin = (int64_t)number(v); break;
	case END: r->end = (int64_t)number(v); break;
	case DOMAIN: r->domain = keep_name(in, v); break;
	case P: r->p = policy(v); break;
	case SP:
		r->sp = policy(v);
		r->has_sp = v.len > 0;
		break;
	case NP:
		r->np = policy(v);
		r->has_np = v.len > 0;
		break;
	case ADKIM: r->strict_dkim = is_word(v, "s"); break;
	case ASPF: r->strict_spf = is_word(v, "s"); break;
	case TESTING: r->testing = is_word(v, "y"); break;
	default: break;
	}
}

static void take_row(struct reader *in, enum field f, struct bytes v)
{
	struct dmarc_report_row *row = &in->row;

	switch (f) {
	case SOURCE_IP: in->row_has_ip = ip_parse(v, &row->ip) == OK; break;
	case COUNT:
		row->count = number(v);
		in->row_has_count = row->count > 0;
		break;
	case DISPOSITION: row->disposition = policy(v); break;
	case DKIM: row->dkim = is_word(v, "pass"); break;
	case SPF: row->spf = is_word(v, "pass"); break;
	case REASON: row->reason = keep(in, v); break;
	case HEADER_FROM: row->header_from = keep_name(in, v); break;
	case ENVELOPE_FROM: row->envelope_from = keep_name(in, v); break;
	case SPF_DOMAIN:
		row->spf_domain = row->spf_domain.len ? row->spf_domain : keep_name(in, v);
		break;
	case SPF_SCOPE: row->spf_scope = row->spf_scope.len ? row->spf_scope : keep(in, v); break;
	case SPF_RESULT:
		row->spf_result = row->spf_result.len ? row->spf_result : keep(in, v);
		break;
	default: break;
	}
}

/* Of a signature; of those beyond DMARC_REPORT_DKIMS nothing is kept. */
static void take_dkim(struct reader *in, enum field f, struct bytes v)
{
	struct dmarc_report_dkim *d;

	if (in->dkims == 0 || in->dkims > DMARC_REPORT_DKIMS)
		return;
	d = &in->row.dkims[in->dkims - 1];
	in->row.dkim_count = in->dkims;
	switch (f) {
	case DKIM_DOMAIN: d->domain = keep_name(in, v); break;
	case DKIM_SELECTOR: d->selector = keep(in, v); break;
	case DKIM_RESULT: d->result = keep(in, v); break;
	default: break;
	}
}

/* ---- rows ---- */

static void add_row(struct reader *in)
{
	struct dmarc_report *r = &in->r;

	if (!in->row_has_ip || !in->row_has_count)
		return;
	if (r->row_count == DMARC_REPORT_ROWS) {
		r->rows_left_out++;
		return;
	}
	if (r->row_count == in->rows_room) {
		size_t room = in->rows_room ? in->rows_room * 2 : ROWS_STEP;
		struct dmarc_report_row *more = arena_get(in->arena, room * sizeof(*more));

		if (r->row_count > 0)
			memcpy(more, r->rows, r->row_count * sizeof(*more));
		r->rows = more;
		in->rows_room = room;
	}
	r->rows[r->row_count++] = in->row;
}

/* ---- elements ---- */

static struct bytes path(const struct reader *in)
{
	return bytes_of(in->path, in->depth > 1 ? in->lens[in->depth - 1] : 0);
}

static void on_start(void *context, const char *name, const char **attributes)
{
	struct reader *in = context;
	const char *colon = strrchr(name, ':');
	struct bytes local = bytes_of_text(colon ? colon + 1 : name);
	size_t len = in->depth > 1 ? in->lens[in->depth - 1] : 0;

	(void)attributes;
	in->text_len = 0;
	if (in->depth == DEPTH) {
		stop(in, "its elements are nested too deeply");
		return;
	}
	/* Some put the report into another element. */
	if (in->depth == 0 && (in->whole || !bytes_equal(local, BYTES("feedback"))))
		return;
	if (in->depth > 0) {
		/* A path too long to be one of ours is cut, and so is none of them: their longest has 40 octets. */
		if (len > 0 && len < PATH_TEXT)
			in->path[len++] = '/';
		local = bytes_first(local, PATH_TEXT - len);
		memcpy(in->path + len, local.ptr, local.len);
		len += local.len;
	}
	in->lens[in->depth++] = len;
	if (bytes_equal(path(in), BYTES("record"))) {
		in->row = (struct dmarc_report_row){0};
		in->row_has_ip = in->row_has_count = false;
		in->dkims = 0;
	}
	in->dkims += bytes_equal(path(in), BYTES("record/auth_results/dkim"));
}

static void on_text(void *context, const char *text, int len)
{
	struct reader *in = context;
	size_t room = DMARC_REPORT_TEXT - in->text_len;
	size_t n = (size_t)len < room ? (size_t)len : room;

	memcpy(in->text + in->text_len, text, n);
	in->text_len += n;
}

/* Cut text may end within a character. */
static struct bytes whole_characters(struct bytes text)
{
	for (int i = 0; i < 4 && !text_is_utf8(text); i++)
		text.len -= text.len > 0;
	return text;
}

static void on_end(void *context, const char *name)
{
	struct reader *in = context;
	struct bytes at = path(in), value;

	(void)name;
	if (in->depth == 0)
		return;
	value = whole_characters(bytes_trim(bytes_of(in->text, in->text_len)));
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		if (!bytes_equal(at, bytes_of_text(paths[i].path)))
			continue;
		take_head(in, paths[i].field, value);
		take_row(in, paths[i].field, value);
		if (paths[i].field >= DKIM_DOMAIN && paths[i].field <= DKIM_RESULT)
			take_dkim(in, paths[i].field, value);
	}
	if (bytes_equal(at, BYTES("record")))
		add_row(in);
	in->text_len = 0;
	in->depth--;
	in->whole = in->depth == 0;
	in->found = true;
}

static void on_doctype(void *context, const char *name, const char *system, const char *public,
                       int internal)
{
	(void)name, (void)system, (void)public, (void)internal;
	stop(context, "it has a document type, which reports have not");
}

/* ---- the whole ---- */

static enum result finish(struct reader *in, enum XML_Status status, struct why *why)
{
	if (in->wrong)
		return why_set(why, INVALID, "%s", in->wrong);
	if (status != XML_STATUS_OK && !in->whole)
		return why_set(why, INVALID, "line %lu: %s",
		               (unsigned long)XML_GetCurrentLineNumber(in->parser),
		               XML_ErrorString(XML_GetErrorCode(in->parser)));
	if (!in->found)
		return why_set(why, INVALID, "it is XML, but no DMARC report");
	if (in->r.domain.len == 0)
		return why_set(why, INVALID, "it does not say which domain it is about");
	return OK;
}

enum result dmarc_report_parse(struct bytes xml, struct arena *arena, struct dmarc_report *ret,
                               struct why *why)
{
	struct reader *in;
	enum XML_Status status;
	enum result r;

	if (xml.len > DMARC_REPORT_XML)
		return why_set(why, TOO_BIG, "more than %d octets of XML", DMARC_REPORT_XML);
	xml = bytes_trim(xml); /* white space before the declaration is not XML, but seen */
	in = NEW(struct reader);
	in->arena = arena;
	in->parser = XML_ParserCreate(NULL);
	if (!in->parser) {
		memory_free(in);
		return why_set(why, FAILED, "no memory for XML");
	}
	XML_SetUserData(in->parser, in);
	XML_SetElementHandler(in->parser, on_start, on_end);
	XML_SetCharacterDataHandler(in->parser, on_text);
	XML_SetStartDoctypeDeclHandler(in->parser, on_doctype);
	status = XML_Parse(in->parser, xml.ptr ? xml.ptr : "", (int)xml.len, 1);
	r = finish(in, status, why);
	if (r == OK)
		*ret = in->r;
	XML_ParserFree(in->parser);
	memory_free(in);
	return r;
}
