#include "../test.h"

#include "mail/mime.h"

static struct arena arena;

static const struct mime_part *parse(struct bytes mail)
{
	return mime_parse(mail, &arena, NULL);
}

static struct bytes body_of(struct bytes mail, const struct mime_part *part)
{
	return bytes_first(bytes_skip(mail, part->body_start), part->body_end - part->body_start);
}

static int forget(void **state)
{
	arena_done(&arena);
	return 0;
}

static void a_plain_mail_is_one_part(void **state)
{
	struct bytes mail = BYTES(
	        "From: Ken <ken@example.test>\r\nSubject: hi\r\n there\r\n\r\none\r\ntwo\r\n");
	const struct mime_part *root = parse(mail);

	assert_int_equal(root->body_start, 53);
	assert_int_equal(root->body_end, mail.len);
	assert_int_equal(root->header_lines, 4);
	assert_int_equal(root->body_lines, 2);
	assert_bytes(root->type, BYTES("text"));
	assert_bytes(root->subtype, BYTES("plain"));
	assert_false(root->type_given);
	assert_bytes(root->envelope->subject, BYTES("hi there"));
	assert_bytes(root->envelope->from->local, BYTES("ken"));
	assert_null(root->child);
}

static const char nested[] = "Content-Type: multipart/mixed; boundary=\"b\"\r\n"
                             "\r\n"
                             "preamble\r\n"
                             "--b\r\n"
                             "Content-Type: text/plain; charset=iso-2022-jp\r\n"
                             "Content-ID: <one>\r\n"
                             "\r\n"
                             "first\r\n"
                             "\r\n"
                             "--b\r\n"
                             "Content-Type: message/rfc822\r\n"
                             "\r\n"
                             "Subject: inner\r\n"
                             "Content-Type: multipart/alternative; boundary=bb\r\n"
                             "\r\n"
                             "--bb\r\n"
                             "\r\n"
                             "plain\r\n"
                             "--bb\r\n"
                             "Content-Type: text/html\r\n"
                             "\r\n"
                             "<p>\r\n"
                             "--b\r\n"
                             "Content-Type: IMAGE/Png; name=x.png\r\n"
                             "Content-Transfer-Encoding: BASE64\r\n"
                             "Content-Disposition: ATTACHMENT; filename=\"x y.png\"\r\n"
                             "\r\n"
                             "AAAA\r\n"
                             "--b--\r\n"
                             "epilogue\r\n";

static void a_tree_has_its_parts(void **state)
{
	struct bytes mail = bytes_of_text(nested);
	const struct mime_part *root = parse(mail), *text = root->child, *message = text->next,
	                       *image = message->next;

	assert_true(root->multipart);
	assert_int_equal(root->body_end, mail.len);
	assert_bytes(body_of(mail, text), BYTES("first\r\n"));
	assert_int_equal(text->body_lines, 1);
	assert_int_equal(text->header_lines, 3);
	assert_bytes(text->id, BYTES("<one>"));
	assert_bytes(mime_param_find(text->params, BYTES("CHARSET")), BYTES("iso-2022-jp"));
	assert_true(message->message);
	assert_bytes(message->child->envelope->subject, BYTES("inner"));
	assert_true(message->child->multipart);
	assert_bytes(body_of(mail, message->child->child), BYTES("plain"));
	assert_bytes(body_of(mail, message->child->child->next),
	             BYTES("<p>")); /* closed by the outer boundary */
	assert_int_equal(message->body_end, message->child->child->next->body_end);
	assert_bytes(image->type, BYTES("image"));
	assert_bytes(image->subtype, BYTES("png"));
	assert_bytes(image->disposition, BYTES("attachment"));
	assert_bytes(mime_param_find(image->disposition_params, BYTES("filename")),
	             BYTES("x y.png"));
	assert_int_equal(image->encoding, MIME_BASE64);
	assert_bytes(image->encoding_text, BYTES("BASE64"));
	assert_null(image->next);
}

static void sections_are_counted_as_imap_does(void **state)
{
	const struct mime_part *root = parse(bytes_of_text(nested));
	const struct mime_part *message = root->child->next;
	const struct mime_part *plain = parse(BYTES("\r\nx"));

	assert_ptr_equal(mime_part_section(root, NULL, 0), root);
	assert_ptr_equal(mime_part_section(root, (uint32_t[]){1}, 1), root->child);
	assert_ptr_equal(mime_part_section(root, (uint32_t[]){2}, 1), message);
	assert_ptr_equal(mime_part_section(root, (uint32_t[]){2, 2}, 2),
	                 message->child->child->next);
	assert_null(mime_part_section(root, (uint32_t[]){4}, 1));
	assert_null(mime_part_section(root, (uint32_t[]){0}, 1));
	assert_null(mime_part_section(root, (uint32_t[]){1, 1}, 2));
	assert_ptr_equal(mime_part_section(plain, (uint32_t[]){1}, 1), plain);
	assert_null(mime_part_section(plain, (uint32_t[]){2}, 1));
	assert_null(mime_part_section(plain, (uint32_t[]){1, 1}, 2));
}

static void a_message_in_a_message_has_section_1(void **state)
{
	const struct mime_part *root = parse(
	        BYTES("Content-Type: message/rfc822\n\nSubject: in\n\nbody"));

	assert_ptr_equal(mime_part_section(root, (uint32_t[]){1}, 1), root);
	assert_ptr_equal(mime_part_section(root, (uint32_t[]){1, 1}, 2), root->child);
	assert_null(mime_part_section(root, (uint32_t[]){1, 2}, 2));
}

static void a_digest_holds_messages(void **state)
{
	struct bytes mail = BYTES("Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: "
	                          "one\n\nbody\n--d\nContent-Type: "
	                          "text/plain\n\nno message\n--d\nno header at all\n--d--\n");
	const struct mime_part *one = parse(mail)->child, *two = one->next, *three = two->next;

	assert_true(one->message);
	assert_bytes(one->child->envelope->subject, BYTES("one"));
	assert_bytes(body_of(mail, one->child), BYTES("body"));
	assert_bytes(two->type, BYTES("text"));
	assert_true(three->message);
	assert_bytes(body_of(mail, three->child), BYTES("no header at all"));
	assert_null(three->next);
}

static void boundaries_that_begin_alike_differ(void **state)
{
	struct bytes mail = BYTES(
	        "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; "
	        "boundary=ab\n\n--ab\n\nx\n--abc\n--ab--\n--a  \n\ny\n--a-- z\n--a\n");
	const struct mime_part *root = parse(mail);

	assert_bytes(body_of(mail, root->child->child), BYTES("x\n--abc"));
	assert_null(root->child->child->next);
	assert_bytes(body_of(mail, root->child->next), BYTES("y"));
	assert_null(root->child->next->next);
}

static void what_is_not_closed_ends_with_the_mail(void **state)
{
	struct bytes mail = BYTES("Content-Type: multipart/mixed; "
	                          "boundary=a\n\n--a\n\nx\n--a\nContent-Type: text/html");
	const struct mime_part *root = parse(mail), *last = root->child->next;

	assert_bytes(body_of(mail, root->child), BYTES("x"));
	assert_bytes(last->subtype, BYTES("html"));
	assert_int_equal(last->body_start, mail.len);
	assert_int_equal(last->body_end, mail.len);
}

static void a_boundary_without_its_line_feed_counts(void **state)
{
	struct bytes mail = BYTES(
	        "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--");
	const struct mime_part *root = parse(mail);

	assert_bytes(body_of(mail, root->child), BYTES("x"));
	assert_int_equal(root->child->body_lines, 0);
}

static void a_multipart_in_which_nothing_begins_is_a_leaf(void **state)
{
	struct bytes mail = BYTES("Content-Type: multipart/mixed; boundary=a\n\ntext\n");
	const struct mime_part *root = parse(mail);

	assert_false(root->multipart);
	assert_null(root->child);
	assert_bytes(body_of(mail, root), BYTES("text\n"));
	assert_false(parse(BYTES("Content-Type: multipart/mixed\n\n--\n"))->multipart);
}

static void an_encoded_message_is_a_leaf(void **state)
{
	const struct mime_part *root = parse(
	        BYTES("Content-Type: message/rfc822\nContent-Transfer-Encoding: "
	              "base64\n\nU3ViamVjdDogeA==\n"));

	assert_false(root->message);
	assert_null(root->child);
}

static void a_parameter_may_be_folded_badly(void **state)
{
	struct bytes mail = BYTES(
	        "Content-Type: multipart/mixed;\nboundary=\"a\"\n\n--a\n\nx\n--a--\n");
	const struct mime_part *root = parse(mail);

	assert_true(root->multipart);
	assert_bytes(body_of(mail, root->child), BYTES("x"));
	root = parse(BYTES("Content-Type: text/html\nno field\nSubject: x\n\n"));
	assert_bytes(root->subtype, BYTES("html"));
	assert_bytes(root->envelope->subject, BYTES("x"));
}

static void an_empty_mail_is_one_part(void **state)
{
	const struct mime_part *root = parse(BYTES(""));

	assert_int_equal(root->body_end, 0);
	assert_non_null(root->envelope);
	assert_int_equal(parse(BYTES("\r\n"))->body_start, 2);
	assert_int_equal(parse(BYTES("no header\r\n\r\n"))->body_start, 0);
}

static void an_mbox_line_is_passed_over(void **state)
{
	const struct mime_part *root = parse(
	        BYTES("From ken@example.test Mon Nov 23 09:00:00 2026\nSubject: x\n\nbody\n"));
	assert_bytes(root->envelope->subject, BYTES("x"));
}

/* ---- limits ---- */

static struct bytes repeat(const char *text, size_t times)
{
	size_t len = strlen(text);
	char *out = arena_get(&arena, len * times + 1);

	for (size_t i = 0; i < times; i++)
		memcpy(out + i * len, text, len);
	return bytes_of(out, len * times);
}

static struct mime_count count_of(struct bytes mail)
{
	struct mime_count count;
	mime_parse(mail, &arena, &count);
	return count;
}

static void depth_is_bounded(void **state)
{
	struct buf mail = {0};
	unsigned depth = 0;

	for (int i = 0; i < 200; i++)
		buf_printf(&mail, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i);
	buf_append_text(&mail, "\nx\n");
	struct mime_count count;
	const struct mime_part *part = mime_parse(buf_bytes(&mail), &arena, &count);
	for (; part->child; part = part->child)
		depth++;
	assert_int_equal(depth, LIMIT_MIME_DEPTH);
	assert_true(count.truncated);
	buf_clear(&mail);
	for (int i = 0; i < 200; i++)
		buf_append_text(&mail, "Content-Type: message/rfc822\n\n");
	for (part = mime_parse(buf_bytes(&mail), &arena, &count), depth = 0; part->child;
	     part = part->child)
		depth++;
	assert_int_equal(depth, LIMIT_MIME_DEPTH);
	assert_true(count.truncated);
	buf_done(&mail);
}

static void parts_are_bounded(void **state)
{
	struct buf mail = {0};

	buf_append_text(&mail, "Content-Type: multipart/mixed; boundary=b\n\n");
	buf_append(&mail, repeat("--b\n\nx\n", 20000));
	struct mime_count count = count_of(buf_bytes(&mail));
	assert_int_equal(count.parts, LIMIT_MIME_PARTS);
	assert_true(count.truncated);
	buf_done(&mail);
}

static void fields_are_bounded(void **state)
{
	struct buf mail = {0};

	buf_append_text(&mail, "Subject: ");
	buf_append(&mail, repeat("x", 300000));
	buf_append_text(&mail, "\nFrom: a@b\n\n");
	struct mime_count count;
	const struct mime_part *root = mime_parse(buf_bytes(&mail), &arena, &count);
	assert_true(root->envelope->subject.len <= LIMIT_HEADER_FIELD);
	assert_bytes(root->envelope->from->domain, BYTES("b"));
	assert_true(count.truncated);
	buf_done(&mail);
}

/* Twice the input must not cost more than twice the work, whatever it is. */
static void work_is_linear(void **state)
{
	static const char *const heads[] = {
	        "Content-Type: multipart/mixed; boundary=b\n\n",
	        "To: ",
	        "Content-Type: a/b",
	        "Subject: ",
	        "",
	};
	static const char *const pieces[] = {
	        "--b\n",
	        "--bb\n",
	        "-\n",
	        "--",
	        "\n",
	        "(",
	        "\"",
	        "\\",
	        "<",
	        ",",
	        "[",
	        "=?",
	        "=?a?b?",
	        ":",
	        ";",
	        "\x1b$B",
	        "a: b\n",
	        " x\n",
	        "--b\nContent-Type: multipart/mixed; boundary=b\n\n",
	        "Content-Type: message/rfc822\n\n",
	        "; x=\"",
	        "@",
	        "To: a@b\n",
	};

	for (size_t h = 0; h < sizeof(heads) / sizeof(heads[0]); h++) {
		for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			struct buf mail = {0};
			buf_append_text(&mail, heads[h]);
			buf_append(&mail, repeat(pieces[i], 20000));
			uint64_t once = count_of(buf_bytes(&mail)).work;
			size_t len = buf_len(&mail);
			buf_append(&mail, repeat(pieces[i], 20000));
			uint64_t twice = count_of(buf_bytes(&mail)).work;
			assert_true(twice <= 2 * once + 1024);
			assert_true(once <= (LIMIT_MIME_DEPTH + 2) * len);
			buf_done(&mail);
			arena_reset(&arena);
		}
	}
}

/* ---- any split gives the same tree ---- */

static void describe(const struct mime_part *part, struct buf *out)
{
	buf_printf(out, "(%.*s/%.*s %d %d %d %d %d %d", BYTES_ARG(part->type),
	           BYTES_ARG(part->subtype), (int)part->header_start, (int)part->body_start,
	           (int)part->body_end, (int)part->header_lines, (int)part->body_lines,
	           part->encoding);
	if (part->envelope)
		buf_printf(out, " %.*s", BYTES_ARG(part->envelope->subject));
	for (const struct mime_part *child = part->child; child; child = child->next)
		describe(child, out);
	buf_append_char(out, ')');
}

static void check_splits(struct bytes mail)
{
	struct buf want = {0}, got = {0};

	describe(parse(mail), &want);
	for (size_t step = 1; step < 40; step++) {
		struct mime_parser *p = mime_parser_new();
		for (size_t at = 0; at < mail.len; at += step)
			mime_parser_feed(p, bytes_first(bytes_skip(mail, at), step));
		buf_clear(&got);
		describe(mime_parser_finish(p), &got);
		assert_bytes(buf_bytes(&got), buf_bytes(&want));
		mime_parser_free(&p);
	}
	buf_done(&want);
	buf_done(&got);
}

static void splits_change_nothing(void **state)
{
	check_splits(bytes_of_text(nested));
	check_splits(BYTES("no header\r\n-\r\n--\r\n"));
	check_splits(BYTES("Content-Type: multipart/mixed; "
	                   "boundary=-\n\n---\n\n-\n--\n---\n----\n-----\n\r\r\n---\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(a_plain_mail_is_one_part, forget),
	        cmocka_unit_test_teardown(a_tree_has_its_parts, forget),
	        cmocka_unit_test_teardown(sections_are_counted_as_imap_does, forget),
	        cmocka_unit_test_teardown(a_message_in_a_message_has_section_1, forget),
	        cmocka_unit_test_teardown(a_digest_holds_messages, forget),
	        cmocka_unit_test_teardown(boundaries_that_begin_alike_differ, forget),
	        cmocka_unit_test_teardown(what_is_not_closed_ends_with_the_mail, forget),
	        cmocka_unit_test_teardown(a_boundary_without_its_line_feed_counts, forget),
	        cmocka_unit_test_teardown(a_multipart_in_which_nothing_begins_is_a_leaf, forget),
	        cmocka_unit_test_teardown(an_encoded_message_is_a_leaf, forget),
	        cmocka_unit_test_teardown(a_parameter_may_be_folded_badly, forget),
	        cmocka_unit_test_teardown(an_empty_mail_is_one_part, forget),
	        cmocka_unit_test_teardown(an_mbox_line_is_passed_over, forget),
	        cmocka_unit_test_teardown(depth_is_bounded, forget),
	        cmocka_unit_test_teardown(parts_are_bounded, forget),
	        cmocka_unit_test_teardown(fields_are_bounded, forget),
	        cmocka_unit_test_teardown(work_is_linear, forget),
	        cmocka_unit_test_teardown(splits_change_nothing, forget),
	};
	return TEST_MAIN(tests);
}
