/* SASL: a mechanism, then lines (raw, or put into base64 first, so that the messages themselves are reached) and answers in
 * any order; and preparation alone, whose results must be stable when prepared again. */
#include <assert.h>
#include <stdint.h>

#include "base/encode.h"
#include "base/wire.h"
#include "sasl/prepare.h"
#include "sasl/sasl.h"
#include "sasl/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
                                    "CRAM-MD5"};

/* Takes a piece of at most 255 octets. */
static struct bytes piece(struct wire *w)
{
	size_t len = wire_u8(w);

	return wire_take(w, len < w->rest.len ? len : w->rest.len);
}

static enum sasl_state answer(struct sasl *s, uint8_t choice)
{
	struct answer a = answer_to(sasl_ask(s), choice % RESULT_COUNT, (struct bytes){0});

	if (a.kind == ASK_SCRAM_BEGIN) {
		a.scram_begin.salt = BYTES("sixteen octets..");
		a.scram_begin.rounds = 4096;
	} else if (a.kind == ASK_SCRAM_FINISH) {
		a.scram_finish.signature = BYTES("0123456789abcdef0123456789abcdef");
	}
	return sasl_answer(s, &a);
}

static enum sasl_state line(struct sasl *s, struct wire *w)
{
	struct buf b = {0};
	bool raw = wire_u8(w) % 4 == 0;
	struct bytes text = piece(w);
	enum sasl_state state;

	if (!raw) {
		encode_base64(&b, text);
		text = buf_bytes(&b);
	}
	state = sasl_line(s, text);
	buf_done(&b);
	return state;
}

static void converse(struct wire *w)
{
	struct sasl_setup setup = {.offered = sasl_offer(true, true, true),
	                           .hostname = BYTES("mx.example.test"),
	                           .exporter = BYTES("0123456789abcdef0123456789abcdef"),
	                           .endpoint = BYTES("0123456789abcdef0123456789abcdef")};
	struct sasl *s = sasl_new(&setup);
	enum sasl_state state = sasl_start(s, bytes_of_text(names[wire_u8(w) % 5]), NULL);

	for (int i = 0; i < 8 && (state == SASL_CHALLENGE || state == SASL_ASK); i++)
		state = state == SASL_ASK ? answer(s, wire_u8(w)) : line(s, w);
	sasl_free(&s);
}

static void prepare(struct bytes in)
{
	struct arena arena = {0};
	struct bytes once, twice;

	if (prepare_username(in, &arena, &once) == OK &&
	    prepare_username(once, &arena, &twice) == OK)
		assert(bytes_equal(once, twice));
	if (prepare_password(in, &arena, &once) == OK) {
		assert(prepare_password(once, &arena, &twice) == OK);
		assert(bytes_equal(once, twice));
	}
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	struct wire w = wire_of(in);
	struct scram_first first;
	struct scram_final final;

	converse(&w);
	prepare(in);
	if (scram_first_parse(in, &first) == OK)
		assert(first.gs2.len + first.bare.len == in.len && first.nonce.len);
	if (scram_final_parse(in, &final) == OK)
		assert(final.without_proof.len < in.len);
	return 0;
}
