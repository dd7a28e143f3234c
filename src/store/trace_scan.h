/* What a person pastes to ask "where is this mail?": a queue id, a refusal's short id, an address, a Message-ID,
 * an IP address, a host's name, a time, or a whole bounce in which some of these stand. Pure and bounded. */
#ifndef STORE_TRACE_SCAN_H
#define STORE_TRACE_SCAN_H

#include "base/arena.h"
#include "base/ip.h"

enum { TRACE_CLUES = 48, TRACE_TEXT_MAX = 48 * 1024 };

enum trace_clue_kind {
	TRACE_MAIL,    /* number: hexadecimal digits, 8 to 16 of them */
	TRACE_ADDRESS, /* text: something with an @: an address or a Message-ID, nobody can tell */
	TRACE_IP,
	TRACE_HOST,      /* text: a host's name */
	TRACE_TIME,      /* number: time_ms; written time=1732352400000 */
	TRACE_JUDGEMENT, /* number: the short id in a refusal's text */
};

struct trace_clue {
	enum trace_clue_kind kind;
	uint64_t number;
	struct bytes text; /* borrowed from what was scanned */
	struct ip ip;
};

/* Each clue stands once; the number found, at most TRACE_CLUES. */
size_t trace_scan(struct bytes text, struct trace_clue list[TRACE_CLUES]);

#endif
