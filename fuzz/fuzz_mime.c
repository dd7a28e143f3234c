/* The MIME parser: whole, octet by octet and in uneven pieces it makes the same tree; parts lie
 * inside their parents, one after the other; the work is linear. */
#include <stdlib.h>

#include "mail/body.h"
#include "mail/mime.h"
#include "mail/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static bool same_text(struct bytes a, struct bytes b)
{
	return bytes_equal(a, b);
}

static void compare(const struct mime_part *a, const struct mime_part *b)
{
	check((a == NULL) == (b == NULL));
	if (!a)
		return;
	check(a->header_start == b->header_start && a->body_start == b->body_start &&
	      a->body_end == b->body_end);
	check(a->header_lines == b->header_lines && a->body_lines == b->body_lines);
	check(a->multipart == b->multipart && a->message == b->message &&
	      a->encoding == b->encoding);
	check(same_text(a->type, b->type) && same_text(a->subtype, b->subtype));
	compare(a->child, b->child);
	while ((a = a->next)) {
		b = b->next;
		check(b != NULL);
		const struct mime_part one = *a, two = *b;
		struct mime_part first = one, second = two;
		first.next = second.next = NULL;
		compare(&first, &second);
	}
}

static void check_part(const struct mime_part *part, struct bytes mail)
{
	uint64_t at = part->body_start;
	struct body_decoder d = body_decoder_of(part->encoding);
	struct buf out = {0};

	check(part->header_start <= part->body_start && part->body_start <= part->body_end &&
	      part->body_end <= mail.len);
	check(part->type.len > 0 && part->subtype.len > 0);
	check(!(part->multipart || part->message) == (part->child == NULL));
	words_param(part->params, BYTES("name"), &out);
	words_param(part->disposition_params, BYTES("filename"), &out);
	if (!part->child) {
		body_decode(&d,
		            bytes_first(bytes_skip(mail, part->body_start),
		                        part->body_end - part->body_start),
		            &out);
		body_decode_end(&d, &out);
	}
	buf_done(&out);
	for (const struct mime_part *child = part->child; child; child = child->next) {
		check(child->parent == part);
		check(child->header_start >= at && child->body_end <= part->body_end);
		check(!part->message || child->envelope);
		at = child->body_end;
		check_part(child, mail);
	}
}

static void check_split(struct bytes mail, const struct mime_part *root, size_t step)
{
	struct mime_parser *p = mime_parser_new();

	for (struct bytes rest = mail; rest.len > 0; rest = bytes_skip(rest, step))
		mime_parser_feed(p, bytes_first(rest, step));
	compare(root, mime_parser_finish(p));
	mime_parser_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes mail = bytes_of(data, size);
	struct arena arena = {0};
	struct mime_count count;
	const struct mime_part *root = mime_parse(mail, &arena, &count);

	check(root->envelope != NULL);
	check(count.parts <= LIMIT_MIME_PARTS + 1);
	check(count.work <= (LIMIT_MIME_DEPTH + 2) * (uint64_t)size);
	check_part(root, mail);
	check_split(mail, root, 1);
	check_split(mail, root, 7);
	arena_done(&arena);
	return 0;
}
