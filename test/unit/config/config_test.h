/* Small helpers for the tests of config/. */
#ifndef CONFIG_TEST_H
#define CONFIG_TEST_H

#include "../test.h"

#include "config/config.h"

#define BASE_CONF "hostname mx.example.test\ndomain example.test other.test\ndomain third.test\n"

static inline struct config_source source(const char *name, const char *text)
{
	return (struct config_source){bytes_of_text(name), bytes_of_text(text)};
}

static inline struct config *parsed(const struct config_source *sources, size_t count)
{
	struct config *c = NULL;
	struct why why = {{0}};

	if (config_parse(sources, count, &c, &why) != OK)
		fail_msg("refused: %s", why.text);
	return c;
}

static inline struct config *parsed_conf(const char *conf)
{
	struct config_source s = source("hikyaku.conf", conf);

	return parsed(&s, 1);
}

static inline void refused(const struct config_source *sources, size_t count, const char *reason)
{
	struct config *c = (struct config *)1;
	struct why why = {{0}};

	assert_int_equal(config_parse(sources, count, &c, &why), INVALID);
	assert_ptr_equal(c, (struct config *)1);
	if (!strstr(why.text, reason))
		fail_msg("expected \"%s\", got \"%s\"", reason, why.text);
}

static inline void refused_conf(const char *conf, const char *reason)
{
	struct config_source s = source("hikyaku.conf", conf);

	refused(&s, 1, reason);
}

#endif
