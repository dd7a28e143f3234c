/* The configuration: the input is the files under etc/, parted by NUL, the first is hikyaku.conf. What
 * is taken must survive the sealed memory file, and addresses must be routable and expandable. */
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static size_t cut(struct bytes in, struct config_source *out, size_t most)
{
	static const char *const names[] = {
	        "hikyaku.conf",   "virtual",    "dot/ken@example.test/default",
	        "dot/yumi/lists", "tls/mx.pem", "dot/a@b.test/default"};
	size_t count = 0;
	struct bytes part;

	while (count < most && bytes_cut(&in, '\0', &part)) {
		out[count] = (struct config_source){bytes_of_text(names[count]), part};
		count++;
	}
	return count;
}

static void walk(const struct config *c, struct bytes address)
{
	struct arena arena = {0};
	struct config_route r;
	struct config_fact facts[64];
	struct config_expansion x;
	size_t count = 0;
	struct bytes canonical;
	unsigned turns = 0;

	if (config_address_canonical(address, &arena, &canonical) == OK) {
		config_route_begin(&r, c, canonical);
		while (r.state == CONFIG_ROUTE_ASK) {
			check(++turns < 100);
			config_route_next(&r, address.len % 3 == turns % 3);
		}
		while (config_expand(c, canonical, facts, count, &arena, &x, NULL) == UNAVAILABLE) {
			check(x.missing_count > 0);
			for (size_t i = 0; i < x.missing_count && count < 64; i++)
				facts[count++] = (struct config_fact){x.missing[i], i % 2};
			if (count == 64)
				break;
		}
	}
	arena_done(&arena);
}

static void round_trip(const struct config *c)
{
	struct buf one = {0}, two = {0};
	struct config *back = NULL;

	config_encode(c, &one);
	check(config_decode(buf_bytes(&one), &back, NULL) == OK);
	config_encode(back, &two);
	check(bytes_equal(buf_bytes(&one), buf_bytes(&two)));
	config_free(&back);
	buf_done(&one);
	buf_done(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size), rest = in, word;
	struct config_source sources[6] = {
	        {BYTES("hikyaku.conf"),
	         BYTES("hostname mx.example.test\ndomain example.test b.test\n")}};
	struct config *c = NULL;
	struct why why = {{0}};
	size_t count;

	/* An input that begins with NUL keeps the good hikyaku.conf, so that the other files are reached. */
	if (size > 0 && data[0] == 0) {
		struct config_source all[6];

		count = cut(in, all, 6);
		for (size_t i = 1; i < count; i++)
			sources[i] = all[i];
		count = count ? count : 1;
	} else {
		count = cut(in, sources, 6);
	}
	if (config_parse(sources, count, &c, &why) == OK) {
		round_trip(c);
		for (unsigned i = 0; i < 40 && bytes_cut(&rest, ' ', &word); i++)
			walk(c, bytes_trim(word));
	} else {
		check(why.text[0] != '\0');
	}
	config_free(&c);
	if (config_decode(in, &c, &why) == OK)
		config_free(&c);
	return 0;
}
