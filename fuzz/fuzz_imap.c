/* The IMAP engine: any octets from the client, any answers from the store. */
#include "drive.h"

#include "base/buf.h"
#include "imap/server.h"
#include "mail/summary.h"
#include "sasl/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAIL                                                                    \
	"From: Ken <ken@example.test>\r\nSubject: =?utf-8?q?hello?=\r\n"        \
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n" \
	"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n--b--\r\n"

static void put_summary(struct drive *d, struct buf *rows)
{
	struct summary sum = summary_of(BYTES(MAIL), &d->arena);
	struct buf encoded = {0};

	if (drive_random(d, 4)) {
		summary_encode(&sum, &encoded);
		if (!drive_random(d, 16))
			buf_truncate(&encoded, drive_random(d, (uint32_t)buf_len(&encoded)));
	}
	buf_block(rows, buf_bytes(&encoded));
	buf_done(&encoded);
}

/* Rows of FLAGS, CHANGES or SUMMARIES after this UID. */
static uint32_t put_rows(struct drive *d, uint32_t uid, bool summaries, bool full, struct buf *rows)
{
	uint32_t count = drive_random(d, 12);

	while (count--) {
		uid += 1 + drive_random(d, 3);
		buf_u32(rows, uid);
		buf_u64(rows, drive_random(d, 20));
		buf_u64(rows, drive_number(d));
		if (!summaries)
			continue;
		buf_u64(rows, drive_random(d, 100000));
		buf_u32(rows, sizeof(MAIL) - 1);
		buf_u64(rows, uid);
		if (full)
			put_summary(d, rows);
		else
			buf_block(rows, (struct bytes){0});
	}
	return uid;
}

static struct bytes take(struct drive *d, struct buf *b)
{
	struct bytes copy = arena_copy(&d->arena, buf_bytes(b));

	buf_done(b);
	return copy;
}

static struct bytes ranges(struct drive *d)
{
	struct buf out = {0};
	uint32_t uid = 0, count = drive_random(d, 6);

	while (count--) {
		buf_u32(&out, uid += 1 + drive_random(d, 5));
		buf_u32(&out, uid += drive_random(d, 9));
		uid++;
	}
	return take(d, &out);
}

static struct bytes keywords(struct drive *d)
{
	struct buf out = {0};
	uint32_t count = drive_random(d, 4);

	while (count--)
		buf_block(&out, drive_random(d, 3) ? BYTES("$Junk") : (struct bytes){0});
	return take(d, &out);
}

static struct bytes mailboxes(struct drive *d)
{
	static const char *const names[] = {"INBOX", "a", "a/b", "a/b/c", "\xe6\x97\xa5", "x y"};
	struct buf out = {0};

	for (size_t i = 0; i < 6; i++) {
		buf_block(&out, bytes_of_text(names[i]));
		buf_u64(&out, i);
		buf_u32(&out, drive_random(d, 16));
	}
	return take(d, &out);
}

static struct bytes piece(struct drive *d, const struct ask *a)
{
	struct bytes rest = bytes_skip(BYTES(MAIL), a->read.offset);

	return arena_copy(&d->arena, bytes_first(rest, a->read.len));
}

/* Some of the pieces, one or another not to be had. */
static struct bytes pieces(struct drive *d, const struct ask *a)
{
	struct bytes rest = a->read_many.pieces;
	struct buf out = {0};

	for (; rest.len >= 16 && (buf_len(&out) == 0 || drive_random(d, 9));
	     rest = bytes_skip(rest, 16)) {
		uint32_t len = (uint32_t)(unsigned char)rest.ptr[14] << 8 |
		               (unsigned char)rest.ptr[15];
		uint32_t offset = (uint32_t)(unsigned char)rest.ptr[10] << 8 |
		                  (unsigned char)rest.ptr[11];

		buf_u8(&out, drive_random(d, 9) ? OK : (uint8_t)drive_random(d, 20));
		buf_block(&out, bytes_first(bytes_skip(BYTES(MAIL), offset), len));
	}
	return take(d, &out);
}

/* Mostly the answers are whole; else what drive.h made at random stays, but not a mailbox of thousands of millions. */
static void fill(struct drive *d, const struct ask *a, struct answer *b)
{
	struct buf rows = {0};
	uint32_t last;

	if (!drive_random(d, 12) && a->kind != ASK_UIDS)
		return;
	switch (a->kind) {
	case ASK_STATUS:
		b->status.mailbox = 1 + drive_random(d, 3);
		b->status.keywords = keywords(d);
		break;
	case ASK_UIDS:
		b->uids.ranges = ranges(d);
		b->uids.next = drive_random(d, 5) ? 0 : a->uids.after + 50;
		break;
	case ASK_FLAGS:
		last = put_rows(d, a->flags.after, false, false, &rows);
		b->flags.rows = take(d, &rows);
		b->flags.next = drive_random(d, 4) ? 0 : last;
		break;
	case ASK_SUMMARIES:
		last = put_rows(d, a->summaries.after, true, a->summaries.full, &rows);
		b->summaries.rows = take(d, &rows);
		b->summaries.next = drive_random(d, 4) ? 0 : last;
		break;
	case ASK_CHANGES:
		last = put_rows(d, a->changes.after, false, false, &rows);
		b->changes.rows = take(d, &rows);
		b->changes.vanished = ranges(d);
		b->changes.keywords = keywords(d);
		b->changes.next = drive_random(d, 4) ? 0 : last;
		break;
	case ASK_READ_MANY: b->read_many.rows = pieces(d, a); break;
	case ASK_READ: b->read.chunk = piece(d, a); break;
	case ASK_FLAGS_SET:
		b->flags_set.refused = ranges(d);
		b->flags_set.table = keywords(d);
		break;
	case ASK_COPY:
		b->copy.from = ranges(d);
		b->copy.to = ranges(d);
		break;
	case ASK_MAILBOXES:
		b->mailboxes.rows = mailboxes(d);
		b->mailboxes.more = !drive_random(d, 30);
		break;
	default: break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct drive d = drive_begin(&data, &size);
	struct imap_options options = imap_options_default(BYTES("mx.example.test"));

	options.starttls = drive_random(&d, 4);
	options.plaintext_login = drive_random(&d, 4);
	options.message_max = 100000;
	options.mechanisms = drive_random(&d, 32);
	options.errors_max = 1000;
	d.e = imap_server_new(&options, &d.peer, d.now);
	d.fill = fill;
	drive_run(&d, data, size);
	return 0;
}
