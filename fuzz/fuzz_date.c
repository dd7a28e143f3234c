/* Dates: any octets are taken or refused; what is taken, written and read again is the same
 * moment. */
#include <stdlib.h>

#include "mail/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TIME_TEXT];
	time_ms t, again;
	int zone;

	if (date_parse(bytes_of(data, size), &t, &zone) != OK)
		return 0;
	time_format_rfc5322(t, zone, text);
	if (time_to_civil(t, zone).year >= 1000 &&
	    (date_parse(bytes_of_text(text), &again, NULL) != OK || again != t))
		abort();
	return 0;
}
