/* mx: SMTP from strangers. It holds no mail, no key and no file; what it needs it asks. */
#include "base/memory.h"
#include "roles/front.h"
#include "smtp/server.h"

static void *smtp_options_new(const struct config *c, bool has_tls)
{
	struct smtp_options *o = NEW(struct smtp_options);

	*o = smtp_options_of(c);
	o->starttls = has_tls;
	o->judging = judging_options_new(c);
	return o;
}

static void smtp_options_free(void *options)
{
	struct smtp_options *o = options;

	judging_options_free(&o->judging);
	memory_free(o);
}

static struct engine *smtp_new(const void *options, const struct engine_peer *peer, time_ms now)
{
	return smtp_server_new(options, peer, now);
}

static const struct front_protocol protocols[] = {
        {.protocol = CONFIG_SMTP,
         .busy = "421 4.7.0 Too many connections, please try again later\r\n",
         .banned = "421 4.7.0 Your address is kept out for a time; if that is a mistake, ask our "
                   "postmaster from elsewhere\r\n",
         .options_new = smtp_options_new,
         .options_free = smtp_options_free,
         .engine_new = smtp_new},
};

static enum result start(struct role_context *r, struct why *why)
{
	return front_start(r, protocols, sizeof(protocols) / sizeof(*protocols), why);
}

static const struct role_ops ops = {
        .warm = front_warm,
        .start = start,
        .answer = front_answer,
        .event = front_event,
        .peer_lost = front_peer_lost,
        .peer_back = front_peer_back,
        .listener = front_listener,
        .listener_closed = front_listener_closed,
        .config = front_config,
        .stop = front_stop,
};

const struct role role_mx = {
        .name = "mx",
        .bit = MX,
        .does = "SMTP from strangers on port 25",
        .rights = SANDBOX_ACCEPT,
        .answerers = STORE | KEEPER | RESOLVER,
        .signs = true,
        .protocols = 1 << CONFIG_SMTP,
        .ops = &ops,
};
