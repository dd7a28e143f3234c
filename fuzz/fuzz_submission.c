/* The SMTP engine for our own people: any octets from the client, any answers from store and keeper. */
#include "drive.h"

#include "smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char keys[] = "\0\0\0\2r1\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2e1\1\1\0\0\0\0\0\0\0\0\0\0\0\0";

/* Mostly good news, or no mail would ever come to its end. */
static void fill(struct drive *d, const struct ask *a, struct answer *b)
{
	if (a->kind == ASK_SENDER) {
		drive_check(a->sender.address.len <= LIMIT_ADDRESS * 2);
		b->sender.allowed = drive_random(d, 5) != 0;
		b->sender.recipients_left = drive_random(d, 3) ? UINT32_MAX : drive_random(d, 4);
	}
	if (a->kind == ASK_DKIM_KEYS && drive_random(d, 3))
		b->dkim_keys.keys = drive_random(d, 2) ? bytes_of(keys, sizeof(keys) - 1)
		                                       : (struct bytes){0};
	if (a->kind == ASK_DKIM_SIGN) {
		drive_check(a->dkim_sign.digest.len == 32 && a->dkim_sign.selector.len > 0);
		if (drive_random(d, 3))
			b->dkim_sign.signature = BYTES("signature");
	}
	if (a->kind == ASK_ROUTE && drive_random(d, 4))
		b->route.class = drive_random(d, 2) ? ROUTE_REMOTE : ROUTE_QUEUE;
	if (a->kind == ASK_COMMIT) {
		drive_check(a->commit.key.len == 16);
		drive_check(a->commit.recipients.len > 0);
		drive_check(a->commit.recipients.len <= LIMIT_ENVELOPE);
		drive_check(a->commit.summary.len <= LIMIT_SUMMARY);
		drive_check(a->commit.trace.len <= LIMIT_TRACE);
		drive_check(a->commit.message_id.len <= LIMIT_MESSAGE_ID);
	}
	if (a->kind == ASK_SPOOL)
		drive_check(a->spool.chunk.len > 0 && a->spool.chunk.len <= LIMIT_CHUNK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct drive d = drive_begin(&data, &size);
	struct smtp_options options = {.hostname = BYTES("mx.example.test"),
	                               .message_max = 1024 * 1024,
	                               .recipients_max = drive_random(&d, 2) ? 3 : 100,
	                               .errors_max = drive_random(&d, 2) ? 5 : 1000,
	                               .mails_max = 20,
	                               .hops_max = 10,
	                               .command_timeout_ms = 300000,
	                               .session_max_ms = 7200000,
	                               .starttls = drive_random(&d, 4),
	                               .submission = true,
	                               .domain = BYTES("example.test"),
	                               .plaintext = CONFIG_PLAINTEXT_LOOPBACK,
	                               .cram_md5 = true,
	                               .login_failures = 5,
	                               .hide_client = drive_random(&d, 2),
	                               .dkim_sign = drive_random(&d, 4),
	                               .hold_max_ms = 2592000000,
	                               .priority_max = 4};

	/* A local user needs no login, so that inputs get far. */
	d.peer.local = drive_random(&d, 3);
	d.peer.uid = 1000;
	d.peer.user = BYTES("ken");
	d.e = smtp_server_new(&options, &d.peer, d.now);
	d.fill = fill;
	drive_run(&d, data, size);
	return 0;
}
