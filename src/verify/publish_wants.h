/* What publish.c and publish_check.c share: the records that we want, as text. Private to them. */
#ifndef VERIFY_PUBLISH_WANTS_H
#define VERIFY_PUBLISH_WANTS_H

#include "verify/publish.h"

enum { PUBLISH_SERVICES = 4 };

struct publish_service {
	const char *labels; /* "_imaps._tcp" */
	unsigned priority;
	uint16_t port;
};

size_t publish_services(const struct publish_question *q,
                        struct publish_service ret[PUBLISH_SERVICES]);

struct bytes publish_name(struct arena *arena, const char *labels, struct bytes domain);
struct bytes publish_want_spf(void);
struct bytes publish_want_host_spf(void);
struct bytes publish_want_dmarc(const struct publish_question *q, struct arena *arena);
struct bytes publish_want_sts(const struct publish_question *q, struct arena *arena);
struct bytes publish_want_tlsrpt(const struct publish_question *q, struct arena *arena);
struct bytes publish_want_tlsa(struct bytes spki, struct arena *arena);
struct bytes publish_want_srv(const struct publish_question *q, const struct publish_service *s,
                              struct arena *arena);

#endif
