/* talk_imap: options starttls, plaintext (1 or 0), mechanisms (bits of enum sasl_mechanism), message-size, errors, logins. */
#include "imap/server.h"
#include "sasl/sasl.h"
#include "talk.h"

static struct engine *open_imap(const struct talk_settings *s, const struct engine_peer *peer,
                                time_ms now, struct arena *arena)
{
	struct imap_options *o = arena_get(arena, sizeof(*o));

	*o = imap_options_default(talk_setting(s, "hostname", "mx.example.test"));
	o->starttls = talk_setting_u64(s, "starttls", 0) != 0;
	o->plaintext_login = talk_setting_u64(s, "plaintext", 1) != 0;
	o->mechanisms = (unsigned)talk_setting_u64(s, "mechanisms", SASL_PLAIN);
	o->message_max = talk_setting_u64(s, "message-size", 1048576);
	o->errors_max = (uint32_t)talk_setting_u64(s, "errors", 30);
	o->logins_max = (uint32_t)talk_setting_u64(s, "logins", 3);
	return imap_server_new(o, peer, now);
}

const struct talk_engine talk_engine = {"imap", open_imap};
