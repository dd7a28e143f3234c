/* What setup shares with `hikyaku dkim`. */
#ifndef CLI_DKIM_H
#define CLI_DKIM_H

#include "base/time.h"
#include "sys/file.h"

/* An RSA and an Ed25519 key that sign at once, for a domain that has none yet. keys: the folder keys/. */
enum result cli_dkim_first(struct file_system *keys, struct bytes domain, time_ms now,
                           struct arena *arena, struct why *why) MUST_USE;

#endif
