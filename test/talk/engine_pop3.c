/* talk_pop3: options stls, cram-md5, apop (1 or 0), plaintext (0 never, 1 loopback, 2 always), failures, errors. */
#include "pop3/server.h"
#include "talk.h"

static struct engine *open_pop3(const struct talk_settings *s, const struct engine_peer *peer,
                                time_ms now, struct arena *arena)
{
	struct pop3_options *o = arena_get(arena, sizeof(*o));

	o->hostname = talk_setting(s, "hostname", "mx.example.test");
	o->stls = talk_setting_u64(s, "stls", 1) != 0;
	o->plaintext = (enum config_plaintext)talk_setting_u64(s, "plaintext", 1);
	o->cram_md5 = talk_setting_u64(s, "cram-md5", 1) != 0;
	o->apop = talk_setting_u64(s, "apop", 0) != 0;
	o->login_failures = (uint32_t)talk_setting_u64(s, "failures", 3);
	o->errors_max = (uint32_t)talk_setting_u64(s, "errors", 20);
	o->idle_ms = 600000;
	o->login_ms = 180000;
	return pop3_server_new(o, peer, now);
}

const struct talk_engine talk_engine = {"pop3", open_pop3};
