/* What a header claims to be from: no way of writing it hides an address from being asked about, and none makes a line of its
 * own. */
#include "../test.h"

#include "base/buf.h"
#include "smtp/header.h"

struct made {
	struct arena arena;
	struct buf out;
	struct smtp_header_verdict verdict;
};

static void complete(struct made *m, struct bytes header)
{
	struct smtp_header_setup setup = {.sender = BYTES("ken@example.test"),
	                                  .user = BYTES("ken@example.test"),
	                                  .domain = BYTES("example.test"),
	                                  .message_id = BYTES("<id@example.test>"),
	                                  .now = 1700000000000};

	smtp_header_complete(header, &setup, &m->arena, &m->out, &m->verdict);
}

static void done(struct made *m)
{
	buf_done(&m->out);
	arena_done(&m->arena);
}

static void every_address_is_claimed(void **state)
{
	static const struct {
		const char *header, *claim; /* "": it is refused; the last of several */
	} rows[] = {
	        {"From: ken@example.test <victim@bank.test>\r\n\r\n", "victim@bank.test"},
	        {"From: <ken@example.test> <victim@bank.test>\r\n\r\n", "victim@bank.test"},
	        {"From: ken@example.test;, victim@bank.test\r\n\r\n", "victim@bank.test"},
	        {"From: victim@bank.test (<ken@example.test>)\r\n\r\n", "victim@bank.test"},
	        {"From: ken@example.test victim@bank.test\r\n\r\n", "victim@bank.test"},
	        {"From: people: victim@bank.test;\r\n\r\n", "victim@bank.test"},
	        {"From: ken@example.test\r\nSender: victim@bank.test\r\n\r\n", "victim@bank.test"},
	        {"From: ken@example.test\r\nFrom : victim@bank.test\r\n\r\n", ""},
	        {"From: ken@example.test\r\nfrom\t: victim@bank.test\r\n\r\n", ""},
	        {"X: y\nFrom: victim@bank.test\r\n\r\n", ""},
	        {"X: y\rFrom: victim@bank.test\r\n\r\n", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct made m = {0};

		complete(&m, bytes_of_text(rows[i].header));
		if (!rows[i].claim[0]) {
			assert_non_null(m.verdict.refused);
			assert_int_equal(buf_len(&m.out), 0);
		} else {
			assert_null(m.verdict.refused);
			assert_true(m.verdict.claim_count > 0);
			assert_bytes(m.verdict.claims[m.verdict.claim_count - 1],
			             bytes_of_text(rows[i].claim));
		}
		done(&m);
	}
}

/* Behind as many as are read stands one that would not be. */
static void an_endless_list_is_refused(void **state)
{
	struct made m = {0};
	struct buf header = {0};

	(void)state;
	buf_append_text(&header, "From: ");
	for (int i = 0; i < 5000; i++)
		buf_append_text(&header, "ken@example.test,\r\n ");
	buf_append_text(&header, "victim@bank.test\r\n\r\n");
	complete(&m, buf_bytes(&header));
	assert_non_null(m.verdict.refused);
	buf_done(&header);
	done(&m);
}

/* Lists that are written anew, because a domain is missing. */
static void no_address_makes_a_line(void **state)
{
	static const char *const lists[] = {
	        "To: \"a\r\n\tX-Evil: y\" <bare>, x@y.test\r\n",
	        "To: \"a\r\n\tX-Evil: y\"@, bare\r\n",
	        "Cc: =?us-ascii?q?=0d=0aX-Evil:_x?= <bare>\r\n",
	        "Cc: (a\r\n X-Evil: y) bare\r\n",
	        "Cc: a\r\n X-Evil: y; bare\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		struct made m = {0};
		struct buf header = {0};

		buf_printf(&header, "From: ken@example.test\r\n%s\r\n", lists[i]);
		complete(&m, buf_bytes(&header));
		assert_int_equal(bytes_find(buf_bytes(&m.out), BYTES("\nX-Evil")), BYTES_NONE);
		buf_done(&header);
		done(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_address_is_claimed),
	        cmocka_unit_test(an_endless_list_is_refused),
	        cmocka_unit_test(no_address_makes_a_line),
	};

	return TEST_MAIN(tests);
}
