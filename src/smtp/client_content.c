/* A mail's content: read piece by piece from the store, written as DATA or BDAT wants it, never faster than it is taken. */
#include "smtp/client_session.h"

static bool all_read(const struct smtp_transaction *tx)
{
	return tx->offset >= tx->total && !tx->chunk_full;
}

void client_content_open(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;

	tx->content = CONTENT_OPEN;
	tx->progress = c->now;
	tx->content_until = c->now + c->options.data_ms +
	                    (time_ms)(tx->total / SMTP_CLIENT_SLOWEST) * 1000;
	client_content_move(c);
}

/* ---- reading ---- */

bool client_content_ask(struct smtp_client *c, struct ask *ret)
{
	struct smtp_transaction *tx = &c->tx;
	uint64_t left;

	client_content_move(c);
	if (c->phase != CLIENT_READY || !tx->begun || tx->done || tx->empty || tx->mail_refused ||
	    tx->read_open || tx->chunk_full || tx->offset >= tx->total ||
	    !(tx->data_sent || tx->content) || buf_len(&c->output) > SMTP_CLIENT_READ_LOW)
		return false;
	left = tx->total - tx->offset;
	tx->read_open = true;
	tx->read_number = client_number(c);
	*ret = (struct ask){
	        .kind = ASK_QUEUE_READ,
	        .number = tx->read_number,
	        .queue_read = {.entry = tx->rcpts[0].r.entry,
	                       .lease = tx->mail.lease,
	                       .offset = tx->offset,
	                       .len = (uint32_t)(left < LIMIT_READ ? left : LIMIT_READ)}};
	return true;
}

static void read_failed(struct smtp_client *c, enum result result, struct bytes why)
{
	c->read = result;
	client_fail(c, SMTP_FAILURE_READ, client_stage(c),
	            client_words(client_stage(c), "4.3.0", &c->life,
	                         "this server could not read the mail: %s%s%.*s",
	                         result_name(result), why.len ? ": " : "", BYTES_ARG(why)));
}

/* Our own line on top of a forwarded mail was for us: only the last host has one (RFC 5321, 4.4). */
static struct bytes without_return_path(struct bytes chunk)
{
	size_t end = bytes_find_char(chunk, '\n');

	if (!bytes_starts_nocase(chunk, BYTES("Return-Path:")) || end == BYTES_NONE ||
	    end + 1 >= chunk.len || chunk.ptr[end + 1] == ' ' || chunk.ptr[end + 1] == '\t')
		return chunk;
	return bytes_skip(chunk, end + 1);
}

void client_content_answer(struct smtp_client *c, const struct answer *a)
{
	struct smtp_transaction *tx = &c->tx;

	tx->read_open = false;
	if (tx->done)
		return;
	if (a->result != OK) {
		read_failed(c, a->result, a->why);
		return;
	}
	if (a->queue_read.chunk.len == 0 || a->queue_read.chunk.len > LIMIT_READ) {
		read_failed(c, DAMAGED, BYTES("it is shorter than it should be"));
		return;
	}
	tx->total = a->queue_read.total;
	buf_clear(&tx->chunk);
	buf_append(&tx->chunk, tx->offset == 0 ? without_return_path(a->queue_read.chunk)
	                                       : a->queue_read.chunk);
	tx->offset += a->queue_read.chunk.len;
	tx->chunk_full = true;
	tx->progress = c->now;
	client_content_move(c);
}

/* ---- writing ---- */

static void end(struct smtp_client *c)
{
	c->tx.content = CONTENT_ENDING;
	client_expect(c, EXPECT_END);
	c->waiting = c->now;
}

static void write_data(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;

	if (tx->chunk_full)
		smtp_stuffing_add(&tx->stuffing, buf_bytes(&tx->chunk), &c->output);
	tx->chunk_full = false;
	if (all_read(tx)) {
		smtp_stuffing_end(&tx->stuffing, &c->output);
		end(c);
	}
}

/* RFC 3030: one chunk at a time. */
static void write_bdat(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;
	struct bytes piece = tx->chunk_full ? buf_bytes(&tx->chunk) : (struct bytes){0};
	bool last = tx->offset >= tx->total;

	buf_printf(&c->output, "BDAT %zu%s\r\n", piece.len, last ? " LAST" : "");
	buf_append(&c->output, piece);
	tx->chunk_full = false;
	if (last)
		end(c);
	else
		client_expect(c, EXPECT_BDAT);
}

void client_content_move(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;

	if (c->phase != CLIENT_READY || tx->content != CONTENT_OPEN || tx->done)
		return;
	if ((!tx->chunk_full && !all_read(tx)) || client_expecting(c) != EXPECT_NOTHING)
		return;
	if (tx->bdat)
		write_bdat(c);
	else
		write_data(c);
	buf_clear(&tx->chunk);
	tx->output_left = buf_len(&c->output);
}

void client_bdat_reply(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;

	if (c->reader.code / 100 == 2) {
		tx->progress = c->now;
		return;
	}
	if (c->reader.code < 400) {
		client_nonsense(c, "it answers BDAT with 3xx");
		return;
	}
	client_decide(c, true, client_outcome(c->reader.code),
	              client_reply(c, SMTP_STAGE_DATA, &tx->arena));
	c->needs_reset = true;
	client_mail_finish(c);
}

/* ---- how long ---- */

void client_content_tick(struct smtp_client *c)
{
	struct smtp_transaction *tx = &c->tx;
	size_t left = buf_len(&c->output);

	if (tx->content == CONTENT_NONE || tx->done)
		return;
	if (left < tx->output_left)
		tx->progress = c->now;
	/* The reply's time begins when the last octet is gone. */
	if (tx->content == CONTENT_ENDING && left < tx->output_left)
		c->waiting = c->now;
	tx->output_left = left;
}

time_ms client_content_deadline(const struct smtp_client *c)
{
	const struct smtp_transaction *tx = &c->tx;
	time_ms quiet = tx->progress + c->options.data_ms;
	bool ours = buf_len(&c->output) == 0 && tx->read_open; /* the host waits for us */

	if (c->phase != CLIENT_READY || tx->content == CONTENT_NONE || tx->done || ours)
		return TIME_NEVER;
	if (tx->content == CONTENT_ENDING && buf_len(&c->output) == 0)
		return TIME_NEVER;
	return quiet < tx->content_until ? quiet : tx->content_until;
}
