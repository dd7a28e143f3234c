/* The messages of SCRAM (RFC 5802, 7), read strictly. For sasl.c. */
#ifndef SASL_SCRAM_H
#define SASL_SCRAM_H

#include "base/buf.h"

enum {
	SCRAM_NONCE_MAX = 256,
	SCRAM_MESSAGE_MAX = 4096, /* any one message */
};

enum scram_binding {
	SCRAM_BINDING_NONE,      /* "n": the client cannot */
	SCRAM_BINDING_UNOFFERED, /* "y": it can, and thinks that we cannot */
	SCRAM_BINDING_EXPORTER,
	SCRAM_BINDING_ENDPOINT,
	SCRAM_BINDING_STRANGE, /* a type that we do not have */
};

struct scram_first {
	enum scram_binding binding;
	struct bytes gs2;      /* header with its commas: "n,," */
	struct bytes bare;     /* client-first-message-bare */
	struct bytes authzid;  /* still escaped; empty: none */
	struct bytes username; /* still escaped */
	struct bytes nonce;
};

struct scram_final {
	struct bytes binding; /* base64 */
	struct bytes nonce;
	struct bytes without_proof;
	struct bytes proof; /* base64 */
};

/* Borrow from in. INVALID: not of this form, or a mandatory extension ("m="). */
enum result scram_first_parse(struct bytes in, struct scram_first *ret) MUST_USE;
enum result scram_final_parse(struct bytes in, struct scram_final *ret) MUST_USE;

/* "=2C" and "=3D" become comma and equals sign; any other "=" is INVALID. Appends. */
enum result scram_name_decode(struct bytes in, struct buf *out) MUST_USE;

#endif
