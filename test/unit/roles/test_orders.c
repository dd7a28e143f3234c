/* Orders and reports keep every field, and nothing cut or lengthened is taken for one. */
#include "../test.h"

#include <fcntl.h>
#include <unistd.h>

#include "roles/orders.h"
#include "sys/socket.h"

static struct order sample(void)
{
	return (struct order){
	        .kind = ORDER_LISTENER,
	        .role = 64,
	        .worker = 3,
	        .workers = 4,
	        .number = 0x123456789abcdef0,
	        .protocol = 2,
	        .result = LOST,
	        .port = 10025,
	        .ip = {.octets = {1, 2, 3, [15] = 16}},
	        .text = BYTES("smtp"),
	        .walls = {.seccomp = true, .landlock_abi = 7, .scoped = true},
	        .settings = {.uid_base = 59900,
	                     .sandbox_required = true,
	                     .workers_mx = 2,
	                     .workers_access = 3,
	                     .workers_sorter = 4},
	};
}

static void every_field_comes_back(void **state)
{
	struct order o = sample(), back;
	struct buf out = {0};

	(void)state;
	order_encode(&o, &out);
	assert_int_equal(order_decode(buf_bytes(&out), &back), OK);
	assert_int_equal(back.kind, o.kind);
	assert_int_equal(back.role, o.role);
	assert_int_equal(back.worker, 3);
	assert_int_equal(back.workers, 4);
	assert_true(back.number == o.number);
	assert_int_equal(back.protocol, 2);
	assert_int_equal(back.result, LOST);
	assert_int_equal(back.port, 10025);
	assert_true(ip_equal(&back.ip, &o.ip));
	assert_bytes(back.text, BYTES("smtp"));
	assert_true(back.walls.seccomp && back.walls.scoped && !back.walls.ports);
	assert_int_equal(back.walls.landlock_abi, 7);
	assert_int_equal(back.settings.uid_base, 59900);
	assert_true(back.settings.sandbox_required);
	assert_int_equal(back.settings.workers_sorter, 4);
	buf_done(&out);
}

/* The reader parses what others wrote; its word must not make a role root. */
static void settings_out_of_range_are_refused(void **state)
{
	static const struct order_settings wrong[] = {
	        {.uid_base = 0, .workers_mx = 1, .workers_access = 1, .workers_sorter = 1},
	        {.uid_base = 999, .workers_mx = 1, .workers_access = 1, .workers_sorter = 1},
	        {.uid_base = 4294967290, .workers_mx = 1, .workers_access = 1, .workers_sorter = 1},
	        {.uid_base = 59900, .workers_mx = 0, .workers_access = 1, .workers_sorter = 1},
	        {.uid_base = 59900, .workers_mx = 1, .workers_access = 33, .workers_sorter = 1},
	        {.uid_base = 59900, .workers_mx = 1, .workers_access = 1, .workers_sorter = 255},
	};
	struct order_settings right = sample().settings;

	(void)state;
	assert_true(order_settings_fit(&right));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_false(order_settings_fit(&wrong[i]));
}

static void anything_else_is_invalid(void **state)
{
	struct order o = sample(), back;
	struct buf out = {0};

	(void)state;
	order_encode(&o, &out);
	for (size_t len = 0; len < buf_len(&out); len++)
		assert_int_equal(order_decode(bytes_first(buf_bytes(&out), len), &back), INVALID);
	buf_append_char(&out, 'x');
	assert_int_equal(order_decode(buf_bytes(&out), &back), INVALID);
	buf_truncate(&out, buf_len(&out) - 1);
	out.ptr[out.start] = 0;
	assert_int_equal(order_decode(buf_bytes(&out), &back), INVALID);
	out.ptr[out.start] = ORDER_KIND_END;
	assert_int_equal(order_decode(buf_bytes(&out), &back), INVALID);
	buf_done(&out);
}

static void a_descriptor_travels_with_it(void **state)
{
	struct order o = sample(), back;
	static char room[LIMIT_MESSAGE];
	struct why why;
	int ends[2], passed = 77, null = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(socket_pair(ends, &why), OK);
	assert_int_equal(order_send(ends[0], &o, null), OK);
	assert_int_equal(order_send(ends[0], &o, -1), OK);
	assert_int_equal(order_receive(ends[1], room, &back, &passed), OK);
	assert_true(passed > 2);
	close(passed);
	assert_int_equal(order_receive(ends[1], room, &back, &passed), OK);
	assert_int_equal(passed, -1);
	assert_bytes(back.text, BYTES("smtp"));
	assert_int_equal(order_receive(ends[1], room, &back, &passed), UNAVAILABLE);
	close(null);
	socket_close(&ends[0]);
	socket_close(&ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_field_comes_back),
	        cmocka_unit_test(settings_out_of_range_are_refused),
	        cmocka_unit_test(anything_else_is_invalid),
	        cmocka_unit_test(a_descriptor_travels_with_it),
	};

	return TEST_MAIN(tests);
}
