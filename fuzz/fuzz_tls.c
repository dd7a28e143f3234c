/* The TLS engine: whatever a client sends instead of, or after, a hello. The first octet says where a well-made hello is cut
 * before the input goes on. */
#include <assert.h>
#include <stdint.h>

#include "base/time.h"
#include "crypto/certificate.h"
#include "crypto/sign.h"
#include "crypto/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct private_key *key;

static enum result sign(void *context, const struct remote_signature *s, struct buf *out)
{
	return private_key_sign(key, s->scheme, s->digest, out);
}

static const struct remote_signer signer = {sign, NULL};

static struct tls_context *context(void)
{
	static struct tls_context *c;
	struct buf pem = {0}, key_pem = {0};
	struct bytes certificate;
	struct why why;

	if (c)
		return c;
	crypto_warm();
	certificate_make(BYTES("mx.example.test"), 1795000000000, &pem, &key_pem);
	certificate = buf_bytes(&pem);
	if (private_key_parse(buf_bytes(&key_pem), &key, &why) != OK ||
	    tls_context_new(&(struct tls_setup){.certificates = &certificate,
	                                        .count = 1,
	                                        .signer = &signer},
	                    &c, &why) != OK)
		__builtin_trap();
	buf_done(&pem);
	buf_done(&key_pem);
	return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls *t = tls_new(context());
	struct buf plain = {0}, out = {0};
	struct bytes in = bytes_of(data, size);
	struct why why;
	enum result r = OK;

	while (in.len && r == OK) {
		size_t n = 1 + (unsigned char)in.ptr[0];

		r = tls_feed(t, bytes_first(in, n), &plain, &out, &why);
		in = bytes_skip(in, n);
	}
	/* Nobody finishes a handshake by chance, and before that nothing is plaintext. */
	assert(!tls_ready(t) && buf_len(&plain) == 0 && r != LOST);
	tls_free(&t);
	buf_done(&plain);
	buf_done(&out);
	return 0;
}
