/* A growing run of octets that is filled at the end and used up from the front.
 *
 *	struct buf out = {0};
 *	buf_printf(&out, "250 %s\r\n", name);
 *	n = send(buf_bytes(&out)); buf_consume(&out, n);
 *	buf_done(&out);
 *
 * A zeroed struct is an empty buffer. The contents move when it grows: what buf_bytes() gave is
 * good until the next append. It has no limit of its own: whoever appends what a peer sent
 * checks the limit first. Numbers are appended big-endian; base/wire.h reads them back. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/bytes.h"

struct buf {
	char *ptr;
	size_t start; /* first octet not yet used */
	size_t end;   /* one past the last octet */
	size_t size;  /* allocated */
};

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline struct bytes buf_bytes(const struct buf *b)
{
	return (struct bytes){b->start ? b->ptr + b->start : b->ptr, b->end - b->start};
}

void buf_append(struct buf *b, struct bytes data);
void buf_append_text(struct buf *b, const char *text);
void buf_append_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) PRINTF(2, 3);
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_block(struct buf *b, struct bytes data); /* a u32 length, then the octets */

/* Room for n octets at the end; write there, then buf_added(b, how many). */
char *buf_room(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);

void buf_consume(struct buf *b, size_t n);    /* n <= buf_len(b) */
void buf_truncate(struct buf *b, size_t len); /* keep the first len octets; len <= buf_len(b) */
void buf_clear(struct buf *b);                /* empty, memory kept for reuse */
void buf_done(struct buf *b); /* memory given back; the struct is an empty buffer again */

#endif
