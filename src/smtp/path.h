/* The grammar of commands: verbs, paths and parameters (RFC 5321, 4.1.1 and 4.1.2). Private to
 * smtp/. */
#ifndef SMTP_PATH_H
#define SMTP_PATH_H

#include "base/arena.h"
#include "config/config.h"

/* Cuts "FROM:<a@b> SIZE=1" after `keyword` ("FROM:") into the address and the parameters. Blanks
 * after the colon and a missing <> are forgiven, a source route is dropped (RFC 5321, 4.1.2 and
 * appendix C). *ret_address is without <>; empty is the null path. NOT_FOUND: not that
 * keyword, or nothing after it; INVALID: no path. */
enum result smtp_path_cut(struct bytes args, struct bytes keyword, struct bytes *ret_address,
                          struct bytes *ret_params) MUST_USE;

/* The next " KEYWORD=value" or " KEYWORD". False at the end, or (then *params is not empty)
 * where it is malformed. */
bool smtp_param_next(struct bytes *params, struct bytes *ret_name, struct bytes *ret_value,
                     bool *ret_has_value);

/* RFC 3461, 4: xtext. INVALID: no xtext. The result is the arena's. */
enum result smtp_xtext_decode(struct bytes in, struct arena *arena, struct bytes *ret) MUST_USE;

/* NOTIFY=NEVER or a list of SUCCESS, FAILURE, DELAY as COMMIT's bits; 0: malformed. */
uint8_t smtp_notify_parse(struct bytes value);

#endif
