/* talk_smtp: options hostname, message-size, recipients, errors, mails, hops, timeout, session,
 * starttls (1 or 0). */
#include "smtp/server.h"
#include "talk.h"

static struct engine *open_smtp(const struct talk_settings *s, const struct engine_peer *peer,
                                time_ms now, struct arena *arena)
{
	struct smtp_options *o = arena_get(arena, sizeof(*o));

	o->hostname = talk_setting(s, "hostname", "mx.example.test");
	o->message_max = talk_setting_u64(s, "message-size", 1048576);
	o->recipients_max = (uint32_t)talk_setting_u64(s, "recipients", 1000);
	o->errors_max = (uint32_t)talk_setting_u64(s, "errors", 20);
	o->mails_max = (uint32_t)talk_setting_u64(s, "mails", 10000);
	o->hops_max = (uint32_t)talk_setting_u64(s, "hops", 50);
	o->command_timeout_ms = (time_ms)talk_setting_u64(s, "timeout", 300000);
	o->session_max_ms = (time_ms)talk_setting_u64(s, "session", 7200000);
	o->starttls = talk_setting_u64(s, "starttls", 1) != 0;
	return smtp_server_new(o, peer, now);
}

const struct talk_engine talk_engine = {"smtp", open_smtp};
