/* Why something stands in the ledger: one table (store/reasons.def), docs/reasons.md is made from it by
 * tools/reasons. Numbers are kept in files: only added, never used again. */
#ifndef STORE_REASON_H
#define STORE_REASON_H

#include "base/bytes.h"

enum ledger_reason {
	LEDGER_NONE,
#define REASON(number, NAME, word, meaning) LEDGER_##NAME = number,
#include "store/reasons.def"
#undef REASON
};

/* "smtp-refused"; "unknown": of a newer program. */
const char *ledger_reason_word(unsigned reason);
const char *ledger_reason_meaning(unsigned reason);
/* LEDGER_NONE: there is none of this word. NOTE's events are such words. */
enum ledger_reason ledger_reason_find(struct bytes word);

#endif
