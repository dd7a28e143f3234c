#include "base/result.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const names[RESULT_COUNT] = {
        [OK] = "ok",
        [INVALID] = "invalid",
        [TOO_BIG] = "too-big",
        [NOT_FOUND] = "not-found",
        [EXISTS] = "exists",
        [DENIED] = "denied",
        [OVER_QUOTA] = "over-quota",
        [DISK_FULL] = "disk-full",
        [UNAVAILABLE] = "unavailable",
        [LOST] = "lost",
        [DAMAGED] = "damaged",
        [FAILED] = "failed",
};

const char *result_name(enum result r)
{
	return (unsigned)r < RESULT_COUNT ? names[r] : "unknown";
}

enum result why_set(struct why *why, enum result r, const char *format, ...)
{
	va_list args;

	if (why) {
		va_start(args, format);
		vsnprintf(why->text, sizeof(why->text), format, args);
		va_end(args);
	}
	return r;
}
