/* hikyaku check mime: the tree of a mail as JSON, on one line.
 *
 *	{"type":"multipart/mixed","size":120,"parts":[{"type":"text/plain","size":5,"sha256":"..."}, ...]}
 *
 * A leaf's size and sha256 are of its octets after base64 or quoted-printable; its charset is
 * left as it is. The size of a multipart and of a message is that of its body as it stands. A
 * message that is encoded (which RFC 2046 forbids) is decoded and taken apart, too. */
#include <jansson.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/limits.h"
#include "cli/check.h"
#include "crypto/digest.h"
#include "mail/body.h"
#include "mail/mime.h"

static json_t *text_of(struct bytes text)
{
	json_t *value = json_stringn(text.ptr, text.len); /* NULL when it is not UTF-8 */
	return value ? value : json_string("?");
}

static struct bytes body_of(struct bytes mail, const struct mime_part *part)
{
	return bytes_first(bytes_skip(mail, (size_t)part->body_start),
	                   (size_t)(part->body_end - part->body_start));
}

static void decode(struct bytes mail, const struct mime_part *part, struct buf *out)
{
	struct body_decoder d = body_decoder_of(part->encoding);

	body_decode(&d, body_of(mail, part), out);
	body_decode_end(&d, out);
}

static json_t *tree_of(struct bytes mail, const struct mime_part *part, unsigned depth);

static bool is_encoded_message(const struct mime_part *part)
{
	return bytes_equal(part->type, BYTES("message")) &&
	       (bytes_equal(part->subtype, BYTES("rfc822")) ||
	        bytes_equal(part->subtype, BYTES("global"))) &&
	       (part->encoding == MIME_BASE64 || part->encoding == MIME_QUOTED);
}

static void put_decoded_message(json_t *object, struct bytes mail, unsigned depth)
{
	struct arena arena = {0};
	json_t *parts = json_array();

	json_array_append_new(parts, tree_of(mail, mime_parse(mail, &arena, NULL), depth));
	json_object_set_new(object, "size", json_integer((json_int_t)mail.len));
	json_object_set_new(object, "parts", parts);
	arena_done(&arena);
}

static void put_leaf(json_t *object, struct bytes octets)
{
	uint8_t digest[DIGEST_SHA256];
	struct buf hex = {0};

	digest_sha256(octets, digest);
	encode_hex(&hex, bytes_of(digest, sizeof(digest)));
	json_object_set_new(object, "size", json_integer((json_int_t)octets.len));
	json_object_set_new(object, "sha256", text_of(buf_bytes(&hex)));
	buf_done(&hex);
}

static void put_parts(json_t *object, struct bytes mail, const struct mime_part *part,
                      unsigned depth)
{
	json_t *parts = json_array();

	for (const struct mime_part *child = part->child; child; child = child->next)
		json_array_append_new(parts, tree_of(mail, child, depth));
	json_object_set_new(object, "size", json_integer((json_int_t)body_of(mail, part).len));
	json_object_set_new(object, "parts", parts);
}

/* depth counts messages that had to be decoded; parts nest no deeper than LIMIT_MIME_DEPTH by
 * themselves. */
static json_t *tree_of(struct bytes mail, const struct mime_part *part, unsigned depth)
{
	json_t *object = json_object();
	struct buf type = {0}, octets = {0};

	buf_printf(&type, "%.*s/%.*s", BYTES_ARG(part->type), BYTES_ARG(part->subtype));
	json_object_set_new(object, "type", text_of(buf_bytes(&type)));
	if (part->child) {
		put_parts(object, mail, part, depth);
	} else {
		decode(mail, part, &octets);
		if (is_encoded_message(part) && depth < 8)
			put_decoded_message(object, buf_bytes(&octets), depth + 1);
		else
			put_leaf(object, buf_bytes(&octets));
	}
	buf_done(&octets);
	buf_done(&type);
	return object;
}

enum result check_mime(const struct check *c, struct buf *out, struct why *why)
{
	struct arena arena = {0};
	json_t *tree = tree_of(c->in, mime_parse(c->in, &arena, NULL), 0);
	char *text = json_dumps(tree, JSON_COMPACT);

	json_decref(tree);
	arena_done(&arena);
	if (!text)
		return why_set(why, FAILED, "the tree cannot be written as JSON");
	buf_append_text(out, text);
	buf_append_char(out, '\n');
	free(text);
	return OK;
}
