/* Sealed credentials and PEM files: keeper and fronts read them from disk and channels. */
#include <assert.h>
#include <stdint.h>

#include "crypto/certificate.h"
#include "crypto/password.h"
#include "crypto/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[PASSWORD_SEAL_KEY];
	static bool warm;
	struct bytes in = bytes_of(data, size);
	struct certificate *c;
	struct private_key *k;
	struct credential credential;
	struct why why;

	if (!warm)
		crypto_warm();
	warm = true;
	assert(password_credential_open(in, key, BYTES("label"), &credential) == DAMAGED);
	if (certificate_parse(in, &c, &why) == OK)
		certificate_free(&c);
	if (private_key_parse(in, &k, &why) == OK)
		private_key_free(&k);
	return 0;
}
