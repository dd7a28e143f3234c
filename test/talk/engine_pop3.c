/* POP3 conversations. Options: stls, cram-md5, apop (0 or 1), plaintext (0 never, 1 loopback, 2 always), failures, errors. */
#include "talk.h"

#include "pop3/server.h"

static struct engine *open_pop3(const struct talk_setup *setup, time_ms now)
{
	static struct pop3_options o;

	o = (struct pop3_options){
	        .hostname = BYTES("mx.example.test"),
	        .stls = talk_number(setup, "stls", 1),
	        .plaintext = (enum config_plaintext)talk_number(setup, "plaintext", CONFIG_PLAINTEXT_LOOPBACK),
	        .cram_md5 = talk_number(setup, "cram-md5", 1),
	        .apop = talk_number(setup, "apop", 1),
	        .login_failures = (uint32_t)talk_number(setup, "failures", 3),
	        .errors_max = (uint32_t)talk_number(setup, "errors", 10),
	        .idle_ms = 600000,
	        .login_ms = 180000,
	};
	return pop3_server_new(&o, &setup->peer, now);
}

const struct talk_engine talk_engine = {"pop3", open_pop3};
