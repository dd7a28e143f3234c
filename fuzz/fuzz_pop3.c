/* The POP3 engine: any octets from the client, any answers from the store. */
#include "drive.h"

#include "base/buf.h"
#include "pop3/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Rows that look like a mailbox's, and a mail. */
static void fill(struct drive *d, const struct ask *a, struct answer *b)
{
	struct buf rows = {0};

	if (a->kind == ASK_SUMMARIES && drive_random(d, 8)) {
		uint32_t uid = a->summaries.after, count = drive_random(d, 30);

		while (count--) {
			uid += 1 + drive_random(d, 3);
			buf_u32(&rows, uid);
			buf_u64(&rows, 5);
			buf_u64(&rows, drive_random(d, 4));
			buf_u64(&rows, 0);
			buf_u32(&rows, drive_random(d, 100000));
			buf_u64(&rows, uid);
			buf_block(&rows, (struct bytes){0});
		}
		b->summaries.rows = arena_copy(&d->arena, buf_bytes(&rows));
		b->summaries.next = drive_random(d, 4) ? 0 : uid;
	}
	if (a->kind == ASK_READ && drive_random(d, 4))
		b->read.total = a->read.offset + b->read.chunk.len + (drive_random(d, 4) ? 0 : 9);
	buf_done(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct drive d = drive_begin(&data, &size);
	struct pop3_options options = {.hostname = BYTES("mx.example.test"),
	                               .stls = drive_random(&d, 4),
	                               .plaintext = (enum config_plaintext)drive_random(&d, 3),
	                               .cram_md5 = drive_random(&d, 2),
	                               .apop = drive_random(&d, 2),
	                               .login_failures = 5,
	                               .errors_max = 50,
	                               .idle_ms = 600000,
	                               .login_ms = 180000};

	d.e = pop3_server_new(&options, &d.peer, d.now);
	d.fill = fill;
	drive_run(&d, data, size);
	return 0;
}
