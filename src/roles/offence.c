#include "roles/offence.h"

bool role_may_ban(const struct role_context *r, const struct ip *ip)
{
	const struct config *c = r->config->config;

	return c->ban_on && !config_prefixes_contain(&c->ban_allow, ip);
}

void role_offence(struct role_context *r, uint32_t number, uint64_t session, const struct ip *ip,
                  enum ban_offence kind, unsigned nth, struct bytes service, struct bytes user)
{
	struct channel *store = role_channel(r, STORE, 0);
	struct ask a = {.kind = ASK_OFFENCE, .number = number, .session = session};

	if (!store || !channel_connected(store) || !role_may_ban(r, ip))
		return;
	a.offence.ip = bytes_of(ip->octets, sizeof(ip->octets));
	a.offence.kind = (uint8_t)kind;
	a.offence.nth = (uint8_t)nth;
	a.offence.service = service;
	a.offence.user = user;
	channel_ask(store, &a);
}

/* The refused recipient stands in the reply as <address>. */
static struct bytes recipient_of(struct bytes reply)
{
	size_t from = bytes_find_char(reply, '<'), to;

	if (from == BYTES_NONE)
		return (struct bytes){0};
	reply = bytes_skip(reply, from + 1);
	to = bytes_find_char(reply, '>');
	return to == BYTES_NONE ? (struct bytes){0} : bytes_first(reply, to);
}

bool offence_of_note(struct bytes event, struct bytes text, enum ban_offence *ret,
                     struct bytes *ret_user)
{
	size_t at = bytes_find(text, BYTES(" reply=\""));
	struct bytes reply = at == BYTES_NONE ? (struct bytes){0} : bytes_skip(text, at + 8);
	bool rcpt = bytes_starts(text, BYTES("command=RCPT "));

	*ret_user = (struct bytes){0};
	if (bytes_equal(event, BYTES("smtp-accepted"))) {
		*ret = BAN_NOTHING;
		return true;
	}
	if (!bytes_equal(event, BYTES("smtp-refused")))
		return false;
	if (rcpt && bytes_starts(reply, BYTES("550 5.1.1 ")))
		*ret = BAN_UNKNOWN_RCPT;
	else if (rcpt && bytes_starts(reply, BYTES("550 5.7.1 ")) &&
	         bytes_find(reply, BYTES("we do not relay")) != BYTES_NONE)
		*ret = BAN_RELAY;
	else if (bytes_find(reply, BYTES("Too many refused commands")) != BYTES_NONE)
		*ret = BAN_PROBING;
	else
		return false;
	*ret_user = recipient_of(reply);
	return true;
}

bool offence_of_start(struct bytes in)
{
	static const struct bytes starts[] = {
	        {"GET ", 4},  {"POST ", 5},    {"HEAD ", 5}, {"OPTIONS ", 8}, {"CONNECT ", 8},
	        {"PUT ", 4},  {"\x16\x03", 2}, {"SSH-", 4},  {"\x05\x01", 2}, {"\x04\x01", 2},
	        {"RTSP/", 5}, {"\x03\x00", 2}, {"JRMI", 4},
	};

	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		if (bytes_starts(in, starts[i]))
			return true;
	}
	return false;
}
