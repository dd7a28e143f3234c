/* From the greeting to where a mail may be sent: EHLO, what the host can do, STARTTLS. */
#include "base/text.h"
#include "smtp/client_session.h"

void client_hello_begin(struct smtp_client *c)
{
	if (c->options.implicit_tls) {
		c->phase = CLIENT_TLS;
		c->waiting = c->now;
	} else {
		client_expect(c, EXPECT_GREETING);
	}
}

static void say_ehlo(struct smtp_client *c)
{
	c->phase = CLIENT_HELLO;
	client_command(c, EXPECT_EHLO, "EHLO %.*s", BYTES_ARG(c->options.helo));
}

/* The first word after 220: its own name (RFC 5321, 4.2). */
static void keep_greeting(struct smtp_client *c)
{
	struct bytes line = buf_bytes(&c->reader.lines);
	size_t end = 0;

	c->host.greeting = smtp_reader_text(&c->reader, &c->life);
	line = bytes_trim(bytes_first(line, bytes_find_char(line, '\n')));
	while (end < line.len && !text_is_blank(line.ptr[end]))
		end++;
	c->host.name = smtp_clean(bytes_first(line, end), LIMIT_DOMAIN, &c->life);
}

void client_greeting_reply(struct smtp_client *c)
{
	keep_greeting(c);
	if (c->reader.code == 220)
		say_ehlo(c);
	else if (c->reader.code >= 400)
		client_refused(c, SMTP_FAILURE_REFUSED, SMTP_STAGE_GREETING);
	else
		client_nonsense(c, "its greeting is not 220");
}

/* ---- extensions ---- */

static void set_size(struct smtp_client *c, struct bytes value)
{
	if (bytes_to_u64(value, UINT64_MAX, &c->host.size_max) != OK)
		c->host.size_max = 0;
}

/* RFC 9422 */
static void set_limits(struct smtp_client *c, struct bytes value)
{
	static const struct {
		const char *name;
		size_t field;
	} limits[] = {{"RCPTMAX=", offsetof(struct smtp_client_host, recipients_max)},
	              {"MAILMAX=", offsetof(struct smtp_client_host, mails_max)}};
	struct bytes word;
	uint64_t number;

	while (bytes_cut(&value, ' ', &word)) {
		for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
			struct bytes name = bytes_of_text(limits[i].name);

			if (bytes_starts_nocase(word, name) &&
			    bytes_to_u64(bytes_skip(word, name.len), UINT32_MAX, &number) == OK)
				*(uint32_t *)((char *)&c->host +
				              limits[i].field) = (uint32_t)number;
		}
	}
}

static const struct extension {
	const char *name;
	enum smtp_extension bit;
	void (*value)(struct smtp_client *c, struct bytes value);
} extensions[] = {
        {"PIPELINING", SMTP_EXT_PIPELINING, NULL}, {"SIZE", SMTP_EXT_SIZE, set_size},
        {"8BITMIME", SMTP_EXT_8BITMIME, NULL},     {"SMTPUTF8", SMTP_EXT_SMTPUTF8, NULL},
        {"CHUNKING", SMTP_EXT_CHUNKING, NULL},     {"BINARYMIME", SMTP_EXT_BINARYMIME, NULL},
        {"STARTTLS", SMTP_EXT_STARTTLS, NULL},     {"DSN", SMTP_EXT_DSN, NULL},
        {"REQUIRETLS", SMTP_EXT_REQUIRETLS, NULL}, {"MT-PRIORITY", SMTP_EXT_MT_PRIORITY, NULL},
        {"DELIVERBY", SMTP_EXT_DELIVERBY, NULL},   {"AUTH", SMTP_EXT_AUTH, client_auth_offered},
        {"LIMITS", SMTP_EXT_LIMITS, set_limits},   {"ENHANCEDSTATUSCODES", SMTP_EXT_ENHANCED, NULL},
};

static void take_extension(struct smtp_client *c, struct bytes line)
{
	size_t end = 0;
	struct bytes name, value;

	/* "AUTH=LOGIN" is how some hosts once wrote it. */
	while (end < line.len && !text_is_blank(line.ptr[end]) && line.ptr[end] != '=')
		end++;
	name = bytes_first(line, end);
	value = bytes_trim(bytes_skip(line, end + 1));
	for (size_t i = 0; i < sizeof(extensions) / sizeof(*extensions); i++) {
		if (!bytes_equal_nocase(name, bytes_of_text(extensions[i].name)))
			continue;
		c->host.extensions |= extensions[i].bit;
		if (extensions[i].value)
			extensions[i].value(c, value);
	}
}

static void forget_extensions(struct smtp_client *c)
{
	c->host.extensions = 0;
	c->host.size_max = 0;
	c->host.recipients_max = c->host.mails_max = 0;
	c->auth.offered = 0;
}

static void take_extensions(struct smtp_client *c)
{
	struct bytes lines = buf_bytes(&c->reader.lines), line;

	forget_extensions(c);
	c->host.extensions = SMTP_EXT_EHLO;
	if (!bytes_cut(&lines, '\n', &line))
		return;
	while (bytes_cut(&lines, '\n', &line))
		take_extension(c, bytes_trim(line));
}

/* ---- after EHLO ---- */

void client_go_on(struct smtp_client *c)
{
	c->phase = CLIENT_READY;
}

static void without_starttls(struct smtp_client *c)
{
	if (c->options.tls == SMTP_TLS_MUST && !c->host.tls)
		client_fail(c, SMTP_FAILURE_NO_STARTTLS, SMTP_STAGE_EHLO,
		            client_words(SMTP_STAGE_EHLO, "4.7.10", &c->life,
		                         "%.*s does not offer STARTTLS, and TLS is required",
		                         BYTES_ARG(client_host_name(c))));
	else if (c->options.user.len > 0)
		client_auth_begin(c);
	else
		client_go_on(c);
}

static bool wants_starttls(const struct smtp_client *c)
{
	return !c->host.tls && !c->options.implicit_tls && c->options.tls != SMTP_TLS_NEVER &&
	       c->host.extensions & SMTP_EXT_STARTTLS;
}

void client_ehlo_reply(struct smtp_client *c)
{
	if (c->reader.code / 100 == 2) {
		take_extensions(c);
		if (wants_starttls(c))
			client_command(c, EXPECT_STARTTLS, "STARTTLS");
		else
			without_starttls(c);
	} else if (c->reader.code >= 500) {
		/* RFC 5321, 3.2: it is older than EHLO. */
		forget_extensions(c);
		client_command(c, EXPECT_HELO, "HELO %.*s", BYTES_ARG(c->options.helo));
	} else if (c->reader.code >= 400) {
		client_refused(c, SMTP_FAILURE_REFUSED, SMTP_STAGE_EHLO);
	} else {
		client_nonsense(c, "it answers EHLO with 3xx");
	}
}

void client_helo_reply(struct smtp_client *c)
{
	if (c->reader.code / 100 == 2)
		without_starttls(c);
	else if (c->reader.code >= 400)
		client_refused(c, SMTP_FAILURE_REFUSED, SMTP_STAGE_EHLO);
	else
		client_nonsense(c, "it answers HELO with 3xx");
}

/* ---- STARTTLS (RFC 3207) ---- */

void client_starttls_reply(struct smtp_client *c)
{
	if (c->reader.code == 220) {
		c->phase = CLIENT_TLS;
		c->waiting = c->now;
	} else if (c->reader.code < 400) {
		client_nonsense(c, "it answers STARTTLS with neither 220 nor a refusal");
	} else if (c->options.tls == SMTP_TLS_MUST || c->reader.code == 421) {
		client_refused(c, SMTP_FAILURE_STARTTLS, SMTP_STAGE_STARTTLS);
	} else {
		without_starttls(c);
	}
}

void client_tls_answer(struct smtp_client *c, const struct answer *a)
{
	enum smtp_stage stage = client_stage(c);

	if (a->result != OK) {
		client_fail(c, SMTP_FAILURE_TLS, stage,
		            client_words(stage, "4.7.5", &c->life, "%.*s",
		                         BYTES_ARG(a->why.len ? a->why : BYTES("TLS failed"))));
		return;
	}
	c->host.tls = true;
	c->host.tls_version = smtp_clean(a->tls_start.version, 200, &c->life);
	forget_extensions(c);
	if (c->options.implicit_tls) {
		c->phase = CLIENT_HELLO;
		client_expect(c, EXPECT_GREETING);
	} else {
		say_ehlo(c);
	}
}
