/* Authentication-Results (RFC 8601): writes the field, and tells which of those that a mail brings along claim to be ours.
 *
 *	struct authres_row rows[] = {
 *		{.method = "spf", .result = "pass", .properties = {{"smtp", "mailfrom", BYTES("a@b.example")}}},
 *		{.method = "dkim", .result = "fail", .reason = BYTES("the body was changed"),
 *		 .properties = {{"header", "d", BYTES("b.example")}, {"header", "s", BYTES("k1")}}},
 *	};
 *	authres_put(BYTES("mx.example"), rows, 2, &out);            a whole field, folded, with its CRLF
 *
 * Values and reasons are strangers' bytes: whatever they hold, the field keeps its form. */
#ifndef VERIFY_AUTHRES_H
#define VERIFY_AUTHRES_H

#include "base/buf.h"

enum { AUTHRES_PROPERTIES = 6, AUTHRES_VALUE = 320 }; /* octets of a value; longer is cut */

struct authres_property {
	const char *ptype;    /* "smtp", "header", "policy", "dns"; NULL: the list ends here */
	const char *property; /* "mailfrom" */
	struct bytes value;   /* empty: the property is left out */
};

struct authres_row {
	const char *method;  /* "spf", "dkim", "dmarc", "arc", "iprev", "auth" */
	const char *result;  /* "pass" */
	struct bytes reason; /* may be empty */
	struct authres_property properties[AUTHRES_PROPERTIES];
};

/* "Authentication-Results: ID; ..."; without rows it says "none" (RFC 8601, 2.2). */
void authres_put(struct bytes authserv_id, const struct authres_row *rows, size_t count,
                 struct buf *out);
/* What follows the field's name and, in ARC-Authentication-Results, i=: "ID;\r\n\tspf=pass ..." without the last CRLF. at: octets
 * that the line has already. */
void authres_put_value(struct bytes authserv_id, const struct authres_row *rows, size_t count,
                       size_t at, struct buf *out);

/* Whether a field of a mail that comes in claims this id and must go (RFC 8601, 5): the id is ours in any case, comments and
 * quotes undone, or the value is so broken that nobody can tell and our id stands in it. value: after the colon, folded. */
bool authres_is_ours(struct bytes value, struct bytes authserv_id);

/* Whether a field's value (after the colon, or an ARC-Authentication-Results after its i=) reports this result of this method
 * with this property, "header.from", as its value says, compared without case. What is no such field reports nothing. */
bool authres_says(struct bytes value, struct bytes method, struct bytes result,
                  struct bytes property, struct bytes wanted);

#endif
