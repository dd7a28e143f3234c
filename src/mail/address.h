/* Mailboxes and groups of RFC 5322, 3.4, with the obsolete forms (4.4), raw UTF-8 (RFC 6532) and
 * what real mail holds instead of them. Never fails: what is no address still gives what a person
 * should see.
 *
 *	struct address *a = address_parse(value, &arena);
 *	for (; a; a = a->next) ...
 *
 * Not SMTP paths: those are strict and in smtp/. */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/arena.h"
#include "base/buf.h"

enum address_kind {
	ADDRESS_MAILBOX,
	ADDRESS_GROUP_START, /* name is the group's; the rest is empty */
	ADDRESS_GROUP_END,   /* all empty */
};

/* Strings are as IMAP's ENVELOPE wants them: unquoted, comments removed, encoded words not decoded
 * (words_decode does). */
struct address {
	struct address *next;
	uint8_t kind;
	bool bare;           /* domain was never written: "root", "NO" */
	struct bytes name;   /* display name, or the comment when there was none; may be empty */
	struct bytes route;  /* "@a,@b" (obsolete); mostly empty */
	struct bytes local;  /* without quotes */
	struct bytes domain; /* "[192.0.2.1]" for a literal; empty when bare */
};

enum { ADDRESS_LIST_MAX = 4096 }; /* what is further in one field is left out */

/* Parses a field's value (folded or not). Linear; strings come from the arena. NULL: empty. */
struct address *address_parse(struct bytes value, struct arena *arena);

/* "local@domain" with the local part quoted where it must be. Appends. */
void address_put(const struct address *a, struct buf *out);

/* `"Name" <local@domain>` as a person reads it, encoded words decoded. Appends UTF-8. */
void address_put_display(const struct address *a, struct buf *out);

#endif
