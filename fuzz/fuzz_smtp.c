/* The SMTP engine: any octets from the client, any answers from the store. */
#include "drive.h"

#include "smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Mostly good news, or no mail would ever come to its end. */
static void fill(struct drive *d, const struct ask *a, struct answer *b)
{
	if (a->kind == ASK_ROUTE && drive_random(d, 4))
		b->route.class = drive_random(d, 2) ? ROUTE_DIRECT : ROUTE_QUEUE;
	if (a->kind == ASK_COMMIT) {
		drive_check(a->commit.key.len == 16);
		drive_check(a->commit.recipients.len > 0);
		drive_check(a->commit.recipients.len <= LIMIT_ENVELOPE);
		drive_check(a->commit.summary.len <= LIMIT_SUMMARY);
		drive_check(a->commit.trace.len <= LIMIT_TRACE);
	}
	if (a->kind == ASK_RESOLVE) {
		drive_check(a->resolve.name.len > 0 && a->resolve.name.len <= LIMIT_DOMAIN);
		b->resolve.status = (uint8_t)drive_random(d, 6);
	}
	if (a->kind == ASK_JUDGED) {
		drive_check(a->judged.evidence.len > 0 && a->judged.tokens.len % 8 == 0);
		b->judged.action = (uint8_t)drive_random(d, 5);
		b->judged.id = BYTES("g1234567");
	}
	if (a->kind == ASK_SPOOL)
		drive_check(a->spool.chunk.len > 0 && a->spool.chunk.len <= LIMIT_CHUNK);
}

static struct judging_options *judging_options(void)
{
	static struct judging_options *options;
	static struct config *config;
	struct config_source source = {
	        .name = BYTES("hikyaku.conf"),
	        .text = BYTES("hostname mx.example.test\ndomain example.test\n"
	                      "judge {\n trust 203.0.113.0/24\n}\n"
	                      "list zen {\n use refuse\n}\n")};
	struct why why = {0};

	if (!options && config_parse(&source, 1, &config, &why) == OK)
		options = judging_options_new(config);
	return options;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct drive d = drive_begin(&data, &size);
	struct smtp_options options = {.hostname = BYTES("mx.example.test"),
	                               .message_max = 65536,
	                               .recipients_max = drive_random(&d, 2) ? 3 : 100,
	                               .errors_max = drive_random(&d, 2) ? 5 : 1000,
	                               .mails_max = 20,
	                               .hops_max = 10,
	                               .command_timeout_ms = 300000,
	                               .session_max_ms = 7200000,
	                               .starttls = drive_random(&d, 4)};

	options.judging = drive_random(&d, 2) ? judging_options() : NULL;
	d.e = smtp_server_new(&options, &d.peer, d.now);
	d.fill = fill;
	drive_run(&d, data, size);
	return 0;
}
