/* Reading test data: test/data of the source tree. */
#ifndef TEST_UNIT_MAIL_DATA_H
#define TEST_UNIT_MAIL_DATA_H

#include "base/arena.h"
#include "base/buf.h"

/* The whole file test/data/PATH; the test fails when it is not there. */
struct bytes data_read(const char *path, struct arena *arena);
bool data_exists(const char *path);

/* Names in test/data/PATH that end with `suffix`, sorted; NULL at the end. */
char **data_list(const char *path, const char *suffix, struct arena *arena);

/* The same with all line ends as CRLF, or as LF. */
struct bytes data_with_crlf(struct bytes text, struct arena *arena);
struct bytes data_with_lf(struct bytes text, struct arena *arena);

#endif
