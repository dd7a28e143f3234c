/* Preparation of user names and passwords (PRECIS, RFC 8264 and 8265), so that what people type
 * means the same in every mechanism, on every keyboard.
 *
 *	prepare_username(BYTES("Ｋｅｎ@Example.test"), &arena, &name)   "ken@example.test"
 *
 * UsernameCaseMapped (RFC 8265, 3.3): width mapping, lower case, NFC, then only letters, digits,
 * marks and ASCII 21-7E; the right-to-left rule. A user name here may be an address, so @ . + and
 * so on pass as they are. OpaqueString (RFC 8265, 4.2): other spaces become U+0020, NFC; no
 * controls, nothing unassigned or ignorable; not empty. INVALID when the rules forbid it, TOO_BIG
 * above LIMIT_USER or LIMIT_PASSWORD. */
#ifndef SASL_PREPARE_H
#define SASL_PREPARE_H

#include "base/arena.h"

enum result prepare_username(struct bytes in, struct arena *arena, struct bytes *ret) MUST_USE;
enum result prepare_password(struct bytes in, struct arena *arena, struct bytes *ret) MUST_USE;

/* Loads ICU's data; before the walls stand. */
void prepare_warm(void);

#endif
