/* talk_smtp: options hostname, message-size, recipients, errors, mails, hops, timeout, session,
 * starttls (1 or 0); submission (1: what our own people say, else nothing below counts), domain, plaintext
 * (never, loopback, always), cram-md5, failures, hide-client, dkim, hold (ms), priority; local-user and local-uid: the
 * peer is this user of the machine; judging (1: mail is judged, by a configuration without lists). */
#include "smtp/server.h"
#include "talk.h"

static enum config_plaintext plaintext_of(struct bytes word)
{
	if (bytes_equal(word, BYTES("always")))
		return CONFIG_PLAINTEXT_ALWAYS;
	return bytes_equal(word, BYTES("never")) ? CONFIG_PLAINTEXT_NEVER
	                                         : CONFIG_PLAINTEXT_LOOPBACK;
}

static void submission_options(const struct talk_settings *s, struct smtp_options *o)
{
	o->submission = talk_setting_u64(s, "submission", 0) != 0;
	o->domain = talk_setting(s, "domain", "example.test");
	o->plaintext = plaintext_of(talk_setting(s, "plaintext", "loopback"));
	o->cram_md5 = talk_setting_u64(s, "cram-md5", 1) != 0;
	o->login_failures = (uint32_t)talk_setting_u64(s, "failures", 5);
	o->hide_client = talk_setting_u64(s, "hide-client", 1) != 0;
	o->dkim_sign = talk_setting_u64(s, "dkim", 1) != 0;
	o->hold_max_ms = (time_ms)talk_setting_u64(s, "hold", 2592000000);
	o->priority_max = (int)talk_setting_u64(s, "priority", 4);
}

/* Borrowed by every engine, for as long as the program runs. */
static struct judging_options *judging_of(const struct talk_settings *s)
{
	static struct judging_options *judging;
	static struct config *config;
	struct config_source source = {
	        .name = BYTES("hikyaku.conf"),
	        .text = BYTES("hostname mx.example.test\ndomain example.test\n"
	                      "judge {\n trust 203.0.113.0/24\n}\n")};
	struct why why = {0};

	if (talk_setting_u64(s, "judging", 0) == 0)
		return NULL;
	if (!judging && config_parse(&source, 1, &config, &why) == OK)
		judging = judging_options_new(config);
	return judging;
}

static struct engine *open_smtp(const struct talk_settings *s, const struct engine_peer *peer,
                                time_ms now, struct arena *arena)
{
	struct smtp_options *o = arena_get(arena, sizeof(*o));
	struct engine_peer local = *peer;

	local.user = talk_setting(s, "local-user", "");

	o->hostname = talk_setting(s, "hostname", "mx.example.test");
	o->message_max = talk_setting_u64(s, "message-size", 1048576);
	o->recipients_max = (uint32_t)talk_setting_u64(s, "recipients", 1000);
	o->errors_max = (uint32_t)talk_setting_u64(s, "errors", 20);
	o->mails_max = (uint32_t)talk_setting_u64(s, "mails", 10000);
	o->hops_max = (uint32_t)talk_setting_u64(s, "hops", 50);
	o->command_timeout_ms = (time_ms)talk_setting_u64(s, "timeout", 300000);
	o->session_max_ms = (time_ms)talk_setting_u64(s, "session", 7200000);
	o->starttls = talk_setting_u64(s, "starttls", 1) != 0;
	o->judging = judging_of(s);
	submission_options(s, o);
	if (local.user.len > 0) {
		local.local = true;
		local.uid = (uint32_t)talk_setting_u64(s, "local-uid", 1000);
	}
	return smtp_server_new(o, &local, now);
}

const struct talk_engine talk_engine = {"smtp", open_smtp};
