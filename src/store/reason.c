#include "store/reason.h"

static const struct {
	unsigned number;
	const char *word, *meaning;
} reasons[] = {
#define REASON(number, NAME, word, meaning) {number, word, meaning},
#include "store/reasons.def"
#undef REASON
};

enum { REASONS = sizeof(reasons) / sizeof(*reasons) };

const char *ledger_reason_word(unsigned reason)
{
	for (size_t i = 0; i < REASONS; i++) {
		if (reasons[i].number == reason)
			return reasons[i].word;
	}
	return "unknown";
}

const char *ledger_reason_meaning(unsigned reason)
{
	for (size_t i = 0; i < REASONS; i++) {
		if (reasons[i].number == reason)
			return reasons[i].meaning;
	}
	return "";
}

enum ledger_reason ledger_reason_find(struct bytes word)
{
	for (size_t i = 0; i < REASONS; i++) {
		if (bytes_equal(bytes_of_text(reasons[i].word), word))
			return (enum ledger_reason)reasons[i].number;
	}
	return LEDGER_NONE;
}
