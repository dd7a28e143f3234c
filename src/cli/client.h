/* The command line's side of run/admin.sock (roles/admin.h). */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "ask/ask.h"
#include "roles/role.h"

struct client;

/* NOT_FOUND: no server runs on this folder. */
enum result client_open(const char *directory, struct client **ret, struct why *why) MUST_USE;
void client_close(struct client **c);

/* Bytes in the answer are good until the next call. The answer's result becomes the function's, its reason goes to why. */
enum result client_ask(struct client *c, const struct ask *a, struct answer *ret,
                       struct why *why) MUST_USE;
/* The same in two halves, for several connections that wait together; one ask of a connection at a time. */
enum result client_send(struct client *c, const struct ask *a, struct why *why) MUST_USE;
enum result client_receive(struct client *c, enum ask_kind kind, struct answer *ret,
                           struct why *why) MUST_USE;
enum result client_request(struct client *c, enum role_master_verb verb, struct bytes *ret_text,
                           struct why *why) MUST_USE;

/* A row for `hikyaku status`: does the resolver reach the DNS, does DNSSEC work? (cli/resolve.c) */
void cli_put_dns_row(struct client *c, struct buf *rows);

#endif
