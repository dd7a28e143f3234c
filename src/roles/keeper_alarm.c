#include "roles/keeper_alarm.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/memory.h"
#include "crypto/digest.h"
#include "roles/dkim_folder.h"
#include "roles/keeper.h"
#include "sys/file.h"

enum { SECRET_MAX = 1024, NAME_MAX_LEN = 64 };

static const char prefix[] = "whsec_";

static void sign(struct bytes secret, struct bytes content, uint8_t ret[DIGEST_SHA256])
{
	struct buf key = {0};

	if (bytes_starts(secret, bytes_of_text(prefix)) &&
	    decode_base64(bytes_skip(secret, sizeof(prefix) - 1), &key) == OK)
		secret = buf_bytes(&key);
	digest_hmac_sha256(secret, content, ret);
	if (key.ptr)
		memory_wipe(key.ptr, key.size);
	buf_done(&key);
}

/* Read each time: it is small, seldom wanted, and then always the newest. */
static enum result read_secret(struct keeper *k, struct bytes name, struct buf *text)
{
	struct file_system *fs = file_system_real_new(role_folder_fd(k->r, "keys"));
	struct why why = {""};
	char path[100];
	enum result r = INVALID;

	if (dkim_name_is_good(name, NAME_MAX_LEN)) {
		snprintf(path, sizeof(path), "alarm/%.*s", BYTES_ARG(name));
		r = file_read_all(fs, path, SECRET_MAX, text, &why);
	}
	file_system_free(&fs);
	return r;
}

void keeper_alarm_ask(struct keeper *k, struct channel *ch, const struct ask *a)
{
	struct answer answer = answer_to(a, OK, (struct bytes){0});
	uint8_t signature[DIGEST_SHA256];
	struct buf text = {0};
	enum result r = read_secret(k, a->alarm_sign.channel, &text);
	struct bytes line = buf_bytes(&text);

	line = bytes_trim(bytes_first(line, bytes_find_char(line, '\n')));
	if (r == OK && line.len == 0)
		r = DAMAGED;
	if (r == OK) {
		sign(line, a->alarm_sign.content, signature);
		answer.alarm_sign.signature = bytes_of(signature, sizeof(signature));
	} else {
		answer = answer_to(a, r,
		                   r == NOT_FOUND ? BYTES("keys/alarm has no secret for it")
		                                  : BYTES("keys/alarm: its secret cannot be read"));
	}
	channel_answer(ch, &answer);
	if (text.ptr)
		memory_wipe(text.ptr, text.size);
	buf_done(&text);
}
