/* What the section `resolver` must be besides what its options' types say. Private to config/. */
#ifndef CONFIG_RESOLVER_H
#define CONFIG_RESOLVER_H

#include "config/config.h"

/* INVALID: *ret_key is the key that is wrong, why says what. The file and line are the caller's. */
enum result resolver_check(const struct config *c, const char **ret_key, struct why *why) MUST_USE;

#endif
