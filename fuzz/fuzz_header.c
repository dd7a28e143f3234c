/* Headers: fields lie inside the header, one after the other; trace and bounce survive whatever
 * strangers sent. */
#include <stdlib.h>

#include "base/limits.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void check_trace(struct bytes in)
{
	struct ip ip = {{0}};
	struct trace t = {.return_path = true,
	                  .sender = in,
	                  .helo = in,
	                  .client_name = in,
	                  .client = &ip,
	                  .hostname = in,
	                  .tls_version = in,
	                  .id = in,
	                  .rcpt = in};
	struct buf out = {0};
	struct header_field f;
	size_t fields = 0;

	trace_make(&t, &out);
	check(buf_len(&out) <= LIMIT_TRACE);
	struct bytes rest = buf_bytes(&out);
	while (header_next(&rest, &f))
		fields++;
	check(fields == 2 && rest.len == 0);
	buf_done(&out);
}

static void check_bounce(struct bytes in)
{
	struct dsn_recipient r = {.address = in,
	                          .orcpt = in,
	                          .status = BYTES("5.1.1"),
	                          .diagnostic = in,
	                          .remote_mta = in};
	struct dsn d = {.hostname = BYTES("mx.example.test"),
	                .sender = BYTES("a@b"),
	                .envid = in,
	                .id = in,
	                .subject = in,
	                .japanese = dsn_is_japanese(in),
	                .recipients = &r,
	                .count = 1};
	struct buf out = {0};

	dsn_begin(&d, &out);
	dsn_end(&d, &out);
	buf_done(&out);
	dsn_is_automatic(in, BYTES("a@b"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size), rest = in;
	struct arena arena = {0};
	struct header_field f;
	const char *at = in.ptr;

	check(header_len(in) <= size);
	while (header_next(&rest, &f)) {
		check(f.whole.ptr >= at && f.whole.ptr + f.whole.len <= in.ptr + in.len);
		check(f.name.len > 0 && f.value.len < f.whole.len);
		check(header_unfold(f.value, &arena).len <= f.value.len);
		at = f.whole.ptr + f.whole.len;
	}
	trace_hops(in);
	trace_delivered_to(in, BYTES("a@b"));
	check_trace(in);
	check_bounce(in);
	arena_done(&arena);
	return 0;
}
