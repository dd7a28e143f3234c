#include "roles/config_reader.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/map.h"
#include "crypto/certificate.h"
#include "roles/orders.h"
#include "sys/random.h"
#include "sys/sandbox.h"
#include "sys/socket.h"

enum {
	DEPTH_MAX = 3, /* dot/ACCOUNT/FILE */
	FILES_MAX = 100000,
	FILE_SIZE_MAX = 16 * 1024 * 1024, /* virtual of a big site */
	TOTAL_MAX = 256 * 1024 * 1024,
};

struct sources {
	struct config_source *items;
	size_t count;
	struct buf texts; /* all files' octets, one after the other */
	size_t *offsets;  /* into texts, which moves while it grows */
	struct arena arena;
};

/* ---- reading ---- */

static enum result add_source(struct sources *s, const char *name, struct why *why)
{
	if (s->count == FILES_MAX)
		return why_set(why, TOO_BIG, "%s: more than %d files under etc/", name, FILES_MAX);
	if (s->count % 64 == 0) {
		struct config_source *items = arena_get(&s->arena,
		                                        (s->count + 64) * sizeof(*items));
		size_t *offsets = arena_get(&s->arena, (s->count + 65) * sizeof(*offsets));

		if (s->count > 0) {
			memcpy(items, s->items, s->count * sizeof(*items));
			memcpy(offsets, s->offsets, s->count * sizeof(*offsets));
		}
		s->items = items;
		s->offsets = offsets;
	}
	s->items[s->count].name = bytes_of_text(name);
	s->offsets[s->count++] = buf_len(&s->texts);
	return OK;
}

static enum result read_source(struct sources *s, struct file_system *etc, const char *name,
                               struct why *why)
{
	enum result r = add_source(s, name, why);

	if (r == OK)
		r = file_read_all(etc, name, FILE_SIZE_MAX, &s->texts, why);
	if (r == OK && buf_len(&s->texts) > TOTAL_MAX)
		r = why_set(why, TOO_BIG, "%s: etc/ holds more than %d octets", name, TOTAL_MAX);
	return r;
}

static bool is_folder_of_config(const char *name, int depth)
{
	struct bytes b = bytes_of_text(name);

	if (depth == 0)
		return bytes_equal(b, BYTES("dot")) || bytes_equal(b, BYTES("tls"));
	return depth == 1 && bytes_starts(b, BYTES("dot/"));
}

static enum result read_folder(struct sources *s, struct file_system *etc, const char *folder,
                               int depth, struct why *why)
{
	const char **names;
	size_t count;
	enum result r = file_list(etc, folder, &s->arena, &names, &count, why);

	for (size_t i = 0; r == OK && i < count; i++) {
		const char *name = depth == 0
		                           ? names[i]
		                           : arena_printf(&s->arena, "%s/%s%c", folder, names[i], 0)
		                                     .ptr;

		if (config_source_wanted(bytes_of_text(name)))
			r = read_source(s, etc, name, why);
		else if (depth + 1 < DEPTH_MAX && is_folder_of_config(name, depth))
			r = read_folder(s, etc, name, depth + 1, why);
	}
	return r == NOT_FOUND && depth > 0 ? OK : r;
}

static void finish_sources(struct sources *s, const struct config_source *overlay)
{
	struct bytes all = buf_bytes(&s->texts);

	for (size_t i = 0; i < s->count; i++) {
		size_t end = i + 1 < s->count ? s->offsets[i + 1] : all.len;

		s->items[i].text = bytes_of(all.ptr + s->offsets[i], end - s->offsets[i]);
		if (overlay && bytes_equal(s->items[i].name, overlay->name)) {
			s->items[i].text = overlay->text;
			overlay = NULL;
		}
	}
	if (overlay && add_source(s, arena_text(&s->arena, overlay->name), NULL) == OK)
		s->items[s->count - 1].text = overlay->text;
}

/* A certificate that cannot be read must not get as far as the fronts: etc/ as it was stays in force. */
static enum result check_certificates(const struct config *c, struct why *why)
{
	struct certificate *certificate;
	struct why inner = {0};

	if (c->certificate_count > 0)
		crypto_warm();
	for (size_t i = 0; i < c->certificate_count; i++) {
		const struct config_certificate *cc = &c->certificates[i];

		if (certificate_parse(cc->pem, &certificate, &inner) != OK)
			return why_set(why, INVALID, "tls/%.*s.pem: %s", BYTES_ARG(cc->name),
			               inner.text);
		certificate_free(&certificate);
	}
	return OK;
}

enum result config_reader_load(struct file_system *etc, const struct config_source *overlay,
                               struct config **ret, struct why *why)
{
	struct sources s = {0};
	struct config *config = NULL;
	enum result r = read_folder(&s, etc, ".", 0, why);

	if (r == OK) {
		finish_sources(&s, overlay);
		r = config_parse(s.items, s.count, &config, why);
	}
	if (r == OK)
		r = check_certificates(config, why);
	if (r == OK)
		*ret = config;
	else
		config_free(&config);
	buf_done(&s.texts);
	arena_done(&s.arena);
	return r;
}

/* ---- reporting ---- */

static void report(const struct order *o)
{
	enum result r;

	while ((r = order_send(ORDERS_FD, o, -1)) == UNAVAILABLE)
		(void)socket_wait(ORDERS_FD, true, -1);
	if (r != OK)
		_exit(1);
}

static void report_listeners(const struct config *c)
{
	for (size_t i = 0; i < c->listener_count; i++)
		for (size_t n = 0; n < c->listeners[i].addresses.count; n++)
			report(&(struct order){
			        .kind = REPORT_LISTENER,
			        .protocol = (uint8_t)c->listeners[i].protocol,
			        .ip = c->listeners[i].addresses.items[n],
			        .port = c->listeners[i].port,
			        .text = c->listeners[i].name,
			});
}

static void report_config(const struct config *c)
{
	struct buf encoded = {0};
	struct bytes rest;

	report(&(struct order){
	        .kind = REPORT_SETTINGS,
	        .settings =
	                {
	                        .uid_base = (uint32_t)c->uid_base,
	                        .sandbox_required = c->sandbox == CONFIG_SANDBOX_REQUIRE,
	                        .workers_mx = (uint8_t)c->workers_mx,
	                        .workers_access = (uint8_t)c->workers_access,
	                        .workers_sorter = (uint8_t)c->workers_sorter,
	                },
	});
	report_listeners(c);
	config_encode(c, &encoded);
	for (rest = buf_bytes(&encoded); rest.len > 0; rest = bytes_skip(rest, LIMIT_CHUNK))
		report(&(struct order){.kind = REPORT_CHUNK,
		                       .text = bytes_first(rest, LIMIT_CHUNK)});
	report(&(struct order){.kind = REPORT_DONE});
	buf_done(&encoded);
}

static int fail(const struct why *why)
{
	report(&(struct order){.kind = REPORT_FAILED, .text = bytes_of_text(why->text)});
	return 1;
}

/* The folder, or -1 when master is gone. */
static int take_orders(void)
{
	char room[LIMIT_MESSAGE];
	struct order o = {0};
	int folder = -1, fd = -1;

	while (o.kind != ORDER_GO) {
		enum result r = order_receive(ORDERS_FD, room, &o, &fd);

		if (r == UNAVAILABLE)
			(void)socket_wait(ORDERS_FD, false, -1);
		else if (r != OK)
			return -1;
		else if (o.kind == ORDER_FOLDER)
			folder = fd;
	}
	return folder;
}

/* Before the walls: names of local users are all that is read from outside of etc/. What cannot be read is unknown. */
static void read_users(struct buf *out)
{
	enum { USERS_SIZE_MAX = 16 * 1024 * 1024 };
	int fd = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct file_system *fs;

	if (fd < 0)
		return;
	fs = file_system_real_new(fd);
	close(fd);
	if (file_read_all(fs, "passwd", USERS_SIZE_MAX, out, NULL) != OK)
		buf_clear(out);
	file_system_free(&fs);
}

enum result config_reader_enter_walls(int etc_fd, struct why *why)
{
	struct sandbox_folder folder = {etc_fd, false};
	struct sandbox walls = {.rights = SANDBOX_READ, .folders = &folder, .folder_count = 1};
	struct sandbox_report entered;

	return sandbox_enter(&walls, &entered, why);
}

int config_reader_main(void)
{
	uint8_t key[16];
	int folder;
	struct config *config;
	struct file_system *etc;
	struct why why = {0};
	struct buf users = {0};

	signal(SIGPIPE, SIG_IGN);
	random_fill(key, sizeof(key));
	map_seed(key);
	folder = take_orders();
	if (folder < 0)
		return 1;
	read_users(&users);
	if (config_reader_enter_walls(folder, &why) != OK)
		return fail(&why);
	etc = file_system_real_new(folder);
	if (config_reader_load(etc, NULL, &config, &why) != OK)
		return fail(&why);
	config_users_set(config, buf_bytes(&users));
	buf_done(&users);
	report_config(config);
	config_free(&config);
	file_system_free(&etc);
	return 0;
}
