#include "verify/tlsrpt.h"

#include "base/encode.h"
#include "base/text.h"

/* ---- words ---- */

const char *tlsrpt_policy_name(enum tlsrpt_policy p)
{
	static const char *const names[TLSRPT_POLICIES] = {"no-policy-found", "sts", "tlsa"};

	return p < TLSRPT_POLICIES ? names[p] : names[0];
}

/* RFC 8460, 4.3; success is no failure type. */
const char *tlsrpt_result_name(enum tlsrpt_result r)
{
	static const char *const names[TLSRPT_RESULTS] = {
	        [TLSRPT_SUCCESS] = "success",
	        [TLSRPT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
	        [TLSRPT_HOST_MISMATCH] = "certificate-host-mismatch",
	        [TLSRPT_EXPIRED] = "certificate-expired",
	        [TLSRPT_NOT_TRUSTED] = "certificate-not-trusted",
	        [TLSRPT_VALIDATION] = "validation-failure",
	        [TLSRPT_TLSA_INVALID] = "tlsa-invalid",
	        [TLSRPT_DNSSEC_INVALID] = "dnssec-invalid",
	        [TLSRPT_DANE_REQUIRED] = "dane-required",
	        [TLSRPT_STS_FETCH] = "sts-policy-fetch-error",
	        [TLSRPT_STS_INVALID] = "sts-policy-invalid",
	        [TLSRPT_STS_WEBPKI] = "sts-webpki-invalid",
	};

	return r < TLSRPT_RESULTS ? names[r] : names[TLSRPT_VALIDATION];
}

/* ---- the TXT record ---- */

static bool is_rua(struct bytes uri)
{
	return bytes_starts_nocase(uri, BYTES("mailto:")) ||
	       bytes_starts_nocase(uri, BYTES("https:"));
}

static void add_ruas(struct bytes value, struct bytes ret[TLSRPT_RUAS], size_t *ret_count)
{
	struct bytes uri;

	while (bytes_cut(&value, ',', &uri)) {
		uri = bytes_trim(uri);
		if (is_rua(uri) && *ret_count < TLSRPT_RUAS)
			ret[(*ret_count)++] = uri;
	}
}

static bool is_tlsrpt(struct bytes record)
{
	struct bytes rest;

	if (!bytes_starts(record, BYTES("v=TLSRPTv1")))
		return false;
	rest = bytes_trim(bytes_skip(record, 10));
	return rest.len == 0 || rest.ptr[0] == ';';
}

enum result tlsrpt_txt(const struct bytes *records, size_t count,
                       struct bytes ret_ruas[TLSRPT_RUAS], size_t *ret_count)
{
	struct bytes rest = {0}, field;
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		if (!is_tlsrpt(records[i]))
			continue;
		found++;
		rest = bytes_skip(records[i], 10);
	}
	if (found != 1)
		return NOT_FOUND;
	*ret_count = 0;
	while (bytes_cut(&rest, ';', &field)) {
		size_t equals = bytes_find_char(field, '=');

		if (equals != BYTES_NONE &&
		    bytes_equal(bytes_trim(bytes_first(field, equals)), BYTES("rua")))
			add_ruas(bytes_skip(field, equals + 1), ret_ruas, ret_count);
	}
	return *ret_count > 0 ? OK : INVALID;
}

/* ---- the report ---- */

/* A JSON string; octets that are no UTF-8 become "?". */
static void put_string(struct buf *out, struct bytes b)
{
	buf_append_char(out, '"');
	while (b.len > 0) {
		uint32_t code;
		int n = text_utf8_next(b, &code);

		if (n <= 0) {
			buf_append_char(out, '?');
			n = 1;
		} else if (code == '"' || code == '\\') {
			buf_printf(out, "\\%c", (char)code);
		} else if (code < 0x20 || code == 0x7f) {
			buf_printf(out, "\\u%04x", code);
		} else {
			buf_append(out, bytes_first(b, (size_t)n));
		}
		b = bytes_skip(b, (size_t)n);
	}
	buf_append_char(out, '"');
}

static void put_field(struct buf *out, const char *name, struct bytes value)
{
	buf_printf(out, "\"%s\":", name);
	put_string(out, value);
}

static void put_day(struct buf *out, const char *name, time_ms t, const char *clock)
{
	struct time_civil c = time_to_civil(t, 0);

	buf_printf(out, "\"%s\":\"%04d-%02d-%02dT%sZ\"", name, c.year, c.month, c.day, clock);
}

static bool same_policy(const struct tlsrpt_row *a, const struct tlsrpt_row *b)
{
	return a->policy == b->policy && bytes_equal(a->policy_string, b->policy_string);
}

static bool is_first_of_policy(const struct tlsrpt_report *r, size_t nth)
{
	for (size_t i = 0; i < nth; i++)
		if (same_policy(&r->rows[i], &r->rows[nth]))
			return false;
	return true;
}

static void put_policy_strings(struct buf *out, struct bytes string)
{
	struct bytes line;
	bool any = false;

	buf_append_text(out, "\"policy-string\":[");
	while (bytes_cut(&string, '\n', &line)) {
		line = bytes_trim(line);
		if (line.len == 0)
			continue;
		if (any)
			buf_append_char(out, ',');
		put_string(out, line);
		any = true;
	}
	buf_append_char(out, ']');
}

/* The mx lines of an STS policy (RFC 8460, 4.4: mx-host). */
static void put_mx(struct buf *out, struct bytes string)
{
	struct bytes line;
	bool any = false;

	while (bytes_cut(&string, '\n', &line)) {
		if (!bytes_starts(line, BYTES("mx:")))
			continue;
		buf_append_text(out, any ? "," : ",\"mx-host\":[");
		put_string(out, bytes_trim(bytes_skip(line, 3)));
		any = true;
	}
	if (any)
		buf_append_char(out, ']');
}

static void put_ip(struct buf *out, struct bytes octets)
{
	struct ip ip;
	char text[IP_TEXT];

	if (octets.len != 16)
		return;
	memcpy(ip.octets, octets.ptr, 16);
	ip_format(&ip, text);
	buf_append_char(out, ',');
	put_field(out, "receiving-ip", bytes_of_text(text));
}

static void put_failure(struct buf *out, const struct tlsrpt_row *x)
{
	buf_append_char(out, '{');
	put_field(out, "result-type", bytes_of_text(tlsrpt_result_name(x->result)));
	if (x->mx_host.len > 0) {
		buf_append_char(out, ',');
		put_field(out, "receiving-mx-hostname", x->mx_host);
	}
	put_ip(out, x->ip);
	buf_printf(out, ",\"failed-session-count\":%llu", (unsigned long long)x->sessions);
	if (x->details.len > 0) {
		buf_append_char(out, ',');
		put_field(out, "failure-reason-code", x->details);
	}
	buf_append_char(out, '}');
}

static void put_failures(struct buf *out, const struct tlsrpt_report *r,
                         const struct tlsrpt_row *policy)
{
	bool any = false;

	for (size_t i = 0; i < r->row_count; i++) {
		if (!same_policy(&r->rows[i], policy) || r->rows[i].result == TLSRPT_SUCCESS)
			continue;
		buf_append_text(out, any ? "," : ",\"failure-details\":[");
		put_failure(out, &r->rows[i]);
		any = true;
	}
	if (any)
		buf_append_char(out, ']');
}

static void put_policy(struct buf *out, const struct tlsrpt_report *r,
                       const struct tlsrpt_row *policy)
{
	uint64_t good = 0, bad = 0;

	for (size_t i = 0; i < r->row_count; i++)
		if (same_policy(&r->rows[i], policy))
			*(r->rows[i].result == TLSRPT_SUCCESS ? &good
			                                      : &bad) += r->rows[i].sessions;
	buf_append_text(out, "{\"policy\":{");
	put_field(out, "policy-type", bytes_of_text(tlsrpt_policy_name(policy->policy)));
	buf_append_char(out, ',');
	if (policy->policy != TLSRPT_NO_POLICY) {
		put_policy_strings(out, policy->policy_string);
		buf_append_char(out, ',');
	}
	put_field(out, "policy-domain", r->domain);
	if (policy->policy == TLSRPT_STS)
		put_mx(out, policy->policy_string);
	buf_printf(out,
	           "},\"summary\":{\"total-successful-session-count\":%llu,"
	           "\"total-failure-session-count\":%llu}",
	           (unsigned long long)good, (unsigned long long)bad);
	put_failures(out, r, policy);
	buf_append_char(out, '}');
}

void tlsrpt_report(const struct tlsrpt_report *r, struct buf *out)
{
	bool any = false;

	buf_append_char(out, '{');
	put_field(out, "organization-name", r->organization);
	buf_append_text(out, ",\"date-range\":{");
	put_day(out, "start-datetime", r->day, "00:00:00");
	buf_append_char(out, ',');
	put_day(out, "end-datetime", r->day, "23:59:59");
	buf_append_text(out, "},");
	put_field(out, "contact-info", r->contact);
	buf_append_char(out, ',');
	put_field(out, "report-id", r->id);
	buf_append_text(out, ",\"policies\":[");
	for (size_t i = 0; i < r->row_count; i++) {
		if (!is_first_of_policy(r, i))
			continue;
		if (any)
			buf_append_char(out, ',');
		put_policy(out, r, &r->rows[i]);
		any = true;
	}
	buf_append_text(out, "]}\n");
}

/* ---- gzip ---- */

/* RFC 1952, 8 */
static uint32_t crc32_of(struct bytes data)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < data.len; i++) {
		crc ^= (uint8_t)data.ptr[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	return ~crc;
}

static void put_little(struct buf *out, uint32_t value, int octets)
{
	for (; octets > 0; octets--, value >>= 8)
		buf_u8(out, (uint8_t)value);
}

void tlsrpt_gzip(struct bytes data, struct buf *out)
{
	enum { BLOCK = 0xffff };
	struct bytes rest = data;

	buf_append(out, bytes_of("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10));
	do {
		struct bytes piece = bytes_first(rest, BLOCK);

		rest = bytes_skip(rest, piece.len);
		buf_u8(out,
		       rest.len == 0); /* RFC 1951, 3.2.4: not compressed; the last has bit 0 */
		put_little(out, (uint32_t)piece.len, 2);
		put_little(out, ~(uint32_t)piece.len, 2);
		buf_append(out, piece);
	} while (rest.len > 0);
	put_little(out, crc32_of(data), 4);
	put_little(out, (uint32_t)data.len, 4);
}

/* ---- the mail ---- */

struct bytes tlsrpt_file_name(const struct tlsrpt_report *r, struct arena *arena)
{
	long long start = r->day / 1000;

	return arena_printf(arena, "%.*s!%.*s!%lld!%lld!%.*s.json.gz", BYTES_ARG(r->organization),
	                    BYTES_ARG(r->domain), start, start + 86399, BYTES_ARG(r->id));
}

static void put_base64(struct buf *out, struct bytes data)
{
	enum { LINE = 57 };

	for (; data.len > 0; data = bytes_skip(data, LINE)) {
		encode_base64(out, bytes_first(data, LINE));
		buf_append_text(out, "\r\n");
	}
}

void tlsrpt_mail(const struct tlsrpt_report *r, struct bytes gz, struct bytes from, struct bytes to,
                 time_ms now, struct buf *out)
{
	struct arena arena = {0};
	struct bytes name = tlsrpt_file_name(r, &arena);
	char date[TIME_TEXT];

	time_format_rfc5322(now, 0, date);
	buf_printf(out,
	           "From: %.*s\r\nTo: %.*s\r\nDate: %s\r\nMessage-ID: <%.*s@%.*s>\r\n"
	           "Subject: Report Domain: %.*s Submitter: %.*s Report-ID: <%.*s@%.*s>\r\n"
	           "Auto-Submitted: auto-generated\r\nTLS-Report-Domain: %.*s\r\n"
	           "TLS-Report-Submitter: %.*s\r\nMIME-Version: 1.0\r\n"
	           "Content-Type: multipart/report; report-type=\"tlsrpt\"; "
	           "boundary=\"=_%.*s\"\r\n\r\n",
	           BYTES_ARG(from), BYTES_ARG(to), date, BYTES_ARG(r->id),
	           BYTES_ARG(r->organization), BYTES_ARG(r->domain), BYTES_ARG(r->organization),
	           BYTES_ARG(r->id), BYTES_ARG(r->organization), BYTES_ARG(r->domain),
	           BYTES_ARG(r->organization), BYTES_ARG(r->id));
	buf_printf(out,
	           "--=_%.*s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
	           "This is a report on TLS connections for mail to %.*s (RFC 8460),\r\n"
	           "sent by %.*s.\r\n\r\n"
	           "--=_%.*s\r\nContent-Type: application/tlsrpt+gzip\r\n"
	           "Content-Transfer-Encoding: base64\r\n"
	           "Content-Disposition: attachment;\r\n filename=\"%.*s\"\r\n\r\n",
	           BYTES_ARG(r->id), BYTES_ARG(r->domain), BYTES_ARG(r->organization),
	           BYTES_ARG(r->id), BYTES_ARG(name));
	put_base64(out, gz);
	buf_printf(out, "--=_%.*s--\r\n", BYTES_ARG(r->id));
	arena_done(&arena);
}
