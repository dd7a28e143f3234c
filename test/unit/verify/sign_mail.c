/* sign_mail DOMAIN SELECTOR KEY.pem < mail > signed mail: verify/dkim_sign with a private key at hand, so that other
 * people's verifiers can say what they think of it. The body goes through in odd pieces. */
#include <stdio.h>

#include "crypto/sign.h"
#include "mail/header.h"
#include "verify/dkim_sign.h"

static struct private_key *load(const char *path, unsigned *ret_scheme)
{
	FILE *f = fopen(path, "r");
	struct buf pem = {0};
	struct private_key *key = NULL;
	size_t n;

	while (f && (n = fread(buf_room(&pem, 4096), 1, 4096, f)) > 0)
		buf_added(&pem, n);
	if (f)
		fclose(f);
	if (private_key_parse_dkim(buf_bytes(&pem), &key, ret_scheme, NULL) != OK)
		key = NULL;
	buf_done(&pem);
	return key;
}

int main(int argc, char **argv)
{
	struct buf mail = {0}, signature = {0}, out = {0};
	struct dkim_signing_key key;
	struct dkim_signer *s;
	uint8_t digest[DIGEST_SHA256];
	unsigned scheme = 0;
	struct private_key *private = argc == 4 ? load(argv[3], &scheme) : NULL;
	struct bytes body;
	size_t n, header;

	if (!private)
		return 2;
	while ((n = fread(buf_room(&mail, 4096), 1, 4096, stdin)) > 0)
		buf_added(&mail, n);
	header = header_len(buf_bytes(&mail));
	s = dkim_signer_new(bytes_first(buf_bytes(&mail), header));
	for (body = bytes_skip(buf_bytes(&mail), header); body.len > 0; body = bytes_skip(body, 7))
		dkim_signer_body(s, bytes_first(body, 7));
	dkim_signer_finish(s);
	key = (struct dkim_signing_key){bytes_of_text(argv[1]), bytes_of_text(argv[2]),
	                                scheme == PRIVATE_KEY_ED25519 ? DKIM_ED25519_SHA256
	                                                              : DKIM_RSA_SHA256};
	dkim_signer_begin(s, &key, 1700000000000, digest);
	if (private_key_sign(private, scheme, bytes_of(digest, sizeof(digest)), &signature) != OK ||
	    dkim_signer_put(s, buf_bytes(&signature), &out) != OK)
		return 1;
	buf_append(&out, buf_bytes(&mail));
	fwrite(out.ptr, 1, buf_len(&out), stdout);
	dkim_signer_free(&s);
	buf_done(&mail);
	buf_done(&signature);
	buf_done(&out);
	private_key_free(&private);
	return 0;
}
