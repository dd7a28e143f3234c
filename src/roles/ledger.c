#include "roles/ledger.h"

#include "base/text.h"
#include "bus/channel.h"
#include "store/reason.h"

enum { RECIPIENTS_MAX = 1000, ID_DIGITS_MAX = 16 };

/* What follows this word ("sender="), to the next blank; <> are taken off. */
static struct bytes value_of(struct bytes text, const char *name)
{
	struct bytes word, rest = text;

	while (bytes_cut(&rest, ' ', &word)) {
		struct bytes value;

		if (!bytes_starts(word, bytes_of_text(name)))
			continue;
		value = bytes_skip(word, strlen(name));
		if (value.len >= 2 && value.ptr[0] == '<' && value.ptr[value.len - 1] == '>')
			value = bytes_of(value.ptr + 1, value.len - 2);
		return value;
	}
	return (struct bytes){0};
}

static uint64_t mail_of(struct bytes id)
{
	uint64_t n = 0;

	for (size_t i = 0; i < id.len; i++) {
		char c = text_lower_char(id.ptr[i]);
		int digit = text_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (digit < 0 || i >= ID_DIGITS_MAX)
			return 0;
		n = n << 4 | (unsigned)digit;
	}
	return n;
}

/* Every <local@domain>, but the sender, separated by blanks. */
static struct bytes addresses_of(struct bytes text, struct bytes sender, char room[RECIPIENTS_MAX])
{
	struct buf b = {.ptr = room, .size = RECIPIENTS_MAX};

	for (;;) {
		size_t from = bytes_find_char(text, '<'), to;
		struct bytes one;

		if (from == BYTES_NONE)
			break;
		text = bytes_skip(text, from + 1);
		to = bytes_find_char(text, '>');
		if (to == BYTES_NONE)
			break;
		one = bytes_first(text, to);
		text = bytes_skip(text, to + 1);
		if (bytes_find_char(one, '@') == BYTES_NONE || bytes_equal(one, sender) ||
		    bytes_find_char(one, ' ') != BYTES_NONE ||
		    buf_len(&b) + one.len + 1 > RECIPIENTS_MAX)
			continue;
		if (buf_len(&b))
			buf_append_char(&b, ' ');
		buf_append(&b, one);
	}
	return buf_bytes(&b);
}

void role_ledger(struct role_context *r, uint64_t session, const struct ip *ip, struct bytes event,
                 struct bytes text)
{
	struct channel *store = role_channel(r, STORE, 0);
	/* Engines count their asks from 1; the answers to these are dropped. */
	static uint32_t count;
	struct ask a = {.kind = ASK_LEDGER, .number = 1u << 31 | count++, .session = session};
	char room[RECIPIENTS_MAX];

	a.ledger.reason = (uint16_t)ledger_reason_find(event);
	/* Of a stranger's mail the store itself writes down that it was accepted. */
	if (a.ledger.reason == LEDGER_SMTP_ACCEPTED && r->role->bit == MX)
		return;
	if (a.ledger.reason == LEDGER_NONE || !store || !channel_connected(store))
		return;
	a.ledger.mail = mail_of(value_of(text, "id="));
	if (ip)
		a.ledger.ip = bytes_of(ip->octets, sizeof(ip->octets));
	a.ledger.sender = value_of(text, "sender=");
	if (a.ledger.sender.len == 0)
		a.ledger.sender = value_of(text, "user=");
	a.ledger.rcpt = addresses_of(text, a.ledger.sender, room);
	a.ledger.text = text;
	channel_ask(store, &a);
}
