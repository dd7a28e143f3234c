/* The synchronous channel: a thread answers, the asker waits; late answers are not taken for the next one's. */
#include "../test.h"

#include <pthread.h>

#include "bus/channel.h"
#include "sys/socket.h"

struct keeper {
	int fd;
	int asked;
	enum result ended;
	bool late; /* answers the first ask only together with the second */
};

static struct ask sign_ask(uint32_t number)
{
	return (struct ask){.kind = ASK_SIGN,
	                    .number = number,
	                    .sign = {.key = BYTES("key"), .digest = BYTES("digest")}};
}

static void *serve(void *context)
{
	struct keeper *k = context;
	struct arena arena = {0};
	struct ask a;

	while ((k->ended = channel_receive_ask(k->fd, KEEPER, MX, 20000, &arena, &a)) == OK) {
		struct answer answer = answer_to(&a, OK, (struct bytes){0});
		char text[16];

		snprintf(text, sizeof(text), "signed %u", a.number);
		answer.sign.signature = bytes_of_text(text);
		if (!k->late || ++k->asked > 1) {
			if (k->late) {
				struct answer first = {.kind = ASK_SIGN,
				                       .number = 1,
				                       .sign.signature = BYTES("late")};

				assert_int_equal(channel_send_answer(k->fd, &first), OK);
			}
			assert_int_equal(channel_send_answer(k->fd, &answer), OK);
		}
		arena_reset(&arena);
	}
	arena_done(&arena);
	return NULL;
}

static void begin(struct keeper *k, pthread_t *thread, int *ret_fd)
{
	struct why why;
	int ends[2];

	assert_int_equal(socket_pair(ends, &why), OK);
	k->fd = ends[1];
	*ret_fd = ends[0];
	assert_int_equal(pthread_create(thread, NULL, serve, k), 0);
}

static void the_asker_gets_its_answer(void **state)
{
	struct keeper k = {0};
	struct arena arena = {0};
	struct ask a = sign_ask(1);
	struct answer answer;
	pthread_t thread;
	int fd;

	(void)state;
	begin(&k, &thread, &fd);
	assert_int_equal(channel_ask_wait(fd, &a, 20000, &arena, &answer), OK);
	assert_bytes(answer.sign.signature, BYTES("signed 1"));
	socket_close(&fd);
	pthread_join(thread, NULL);
	assert_int_equal(k.ended, LOST);
	socket_close(&k.fd);
	arena_done(&arena);
}

static void a_late_answer_is_dropped(void **state)
{
	struct keeper k = {.late = true};
	struct arena arena = {0};
	struct ask a = sign_ask(1), b = sign_ask(2);
	struct answer answer;
	pthread_t thread;
	int fd;

	(void)state;
	begin(&k, &thread, &fd);
	assert_int_equal(channel_ask_wait(fd, &a, 10, &arena, &answer), UNAVAILABLE);
	assert_int_equal(channel_ask_wait(fd, &b, 20000, &arena, &answer), OK);
	assert_bytes(answer.sign.signature, BYTES("signed 2"));
	socket_close(&fd);
	pthread_join(thread, NULL);
	socket_close(&k.fd);
	arena_done(&arena);
}

static void what_may_not_be_asked_is_denied(void **state)
{
	struct keeper k = {0};
	struct arena arena = {0};
	struct ask a = {.kind = ASK_CREDENTIAL, .number = 1, .credential.user = BYTES("ken")};
	struct answer answer;
	pthread_t thread;
	int fd;

	(void)state;
	begin(&k, &thread, &fd);
	assert_int_equal(channel_ask_wait(fd, &a, 50, &arena, &answer), UNAVAILABLE);
	pthread_join(thread, NULL);
	assert_int_equal(k.ended, DENIED);
	socket_close(&k.fd);
	assert_int_equal(channel_ask_wait(fd, &a, 50, &arena, &answer), LOST);
	assert_int_equal(channel_ask_wait(-1, &a, 50, &arena, &answer), UNAVAILABLE);
	socket_close(&fd);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_asker_gets_its_answer),
	        cmocka_unit_test(a_late_answer_is_dropped),
	        cmocka_unit_test(what_may_not_be_asked_is_denied),
	};

	return TEST_MAIN(tests);
}
