#include "roles/dkim_folder.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

enum { KEY_FILE_MAX = 64 * 1024, STATE_FILE_MAX = 64 * 1024, PATH_ROOM = 400 };

static const char *const state_names[] = {
        [DKIM_KEY_NEW] = "new", [DKIM_KEY_SIGNS] = "signs", [DKIM_KEY_OLD] = "old"};
enum { STATES = 3 };

const char *dkim_state_name(enum dkim_key_state s)
{
	return state_names[s];
}

const char *dkim_algorithm_name(enum dkim_algorithm a)
{
	return a == DKIM_ED25519_SHA256 ? "ed25519" : "rsa";
}

bool dkim_name_is_good(struct bytes name, size_t max)
{
	char before = '.';

	if (name.len == 0 || name.len > max)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!text_is_alnum(c) && c != '_' && ((c != '-' && c != '.') || before == '.'))
			return false;
		before = c;
	}
	return before != '.';
}

/* "dkim/DOMAIN/NAME"; NULL: a part of it is no name. */
static const char *path_of(char room[PATH_ROOM], struct bytes domain, struct bytes name,
                           const char *end)
{
	if (!dkim_name_is_good(domain, LIMIT_DOMAIN) ||
	    (name.len && !dkim_name_is_good(name, DKIM_SELECTOR_MAX)))
		return NULL;
	snprintf(room, PATH_ROOM, "dkim/%.*s%s%.*s%s", BYTES_ARG(domain), name.len ? "/" : "",
	         BYTES_ARG(name), end);
	return room;
}

static enum result no_name(struct why *why, struct bytes domain)
{
	return why_set(why, INVALID, "\"%.*s\": not a name that a key may have", BYTES_ARG(domain));
}

/* ---- reading ---- */

enum result dkim_folder_domains(struct file_system *fs, struct arena *arena,
                                const char ***ret_names, size_t *ret_count, struct why *why)
{
	enum result r = file_list(fs, "dkim", arena, ret_names, ret_count, why);

	if (r == NOT_FOUND)
		*ret_count = 0;
	return r == NOT_FOUND ? OK : r;
}

/* RFC 6376, 3.6.1. */
static struct bytes record_of(const struct dkim_key *k, struct arena *arena)
{
	struct buf public = {0}, text = {0};
	struct bytes record;

	private_key_public(k->key, &public);
	buf_printf(&text, "v=DKIM1; k=%s; p=", dkim_algorithm_name(k->algorithm));
	encode_base64(&text, buf_bytes(&public));
	record = arena_copy(arena, buf_bytes(&text));
	buf_done(&public);
	buf_done(&text);
	return record;
}

static enum result read_key(struct file_system *fs, const char *path, struct dkim_key *ret,
                            struct why *why)
{
	struct buf pem = {0};
	unsigned scheme;
	enum result r = file_read_all(fs, path, KEY_FILE_MAX, &pem, why);

	if (r == OK)
		r = private_key_parse_dkim(buf_bytes(&pem), &ret->key, &scheme, why);
	if (r == OK)
		ret->algorithm = scheme == PRIVATE_KEY_ED25519 ? DKIM_ED25519_SHA256
		                                               : DKIM_RSA_SHA256;
	if (pem.ptr)
		memory_wipe(pem.ptr, pem.size);
	buf_done(&pem);
	return r;
}

/* "2026-11-23"; 0: no date. */
static time_ms date_of(struct bytes text)
{
	uint64_t year, month, day;
	struct time_civil civil = {0};

	if (text.len != 10 || text.ptr[4] != '-' || text.ptr[7] != '-' ||
	    bytes_to_u64(bytes_first(text, 4), 9999, &year) != OK ||
	    bytes_to_u64(bytes_first(bytes_skip(text, 5), 2), 12, &month) != OK ||
	    bytes_to_u64(bytes_skip(text, 8), 31, &day) != OK || month == 0 || day == 0)
		return 0;
	civil.year = (int)year;
	civil.month = (int)month;
	civil.day = (int)day;
	return time_from_civil(&civil);
}

static struct bytes next_word(struct bytes *rest)
{
	struct bytes word = {0};

	while (word.len == 0 && bytes_cut(rest, ' ', &word))
		word = bytes_trim(word);
	return word;
}

static void take_state(struct dkim_keys *keys, struct bytes line)
{
	struct bytes selector = next_word(&line), state = next_word(&line), date = next_word(&line);

	for (size_t i = 0; i < keys->count; i++) {
		if (!bytes_equal(keys->items[i].selector, selector))
			continue;
		keys->items[i].made = date_of(date);
		for (int s = 0; s < STATES; s++)
			if (bytes_equal(state, bytes_of_text(state_names[s])))
				keys->items[i].state = (enum dkim_key_state)s;
	}
}

static enum result read_states(struct file_system *fs, struct bytes domain, struct dkim_keys *keys,
                               struct why *why)
{
	char path[PATH_ROOM];
	struct buf text = {0};
	struct bytes rest, line;
	enum result r = file_read_all(fs, path_of(path, domain, (struct bytes){0}, "/state"),
	                              STATE_FILE_MAX, &text, why);

	rest = buf_bytes(&text);
	while (r == OK && bytes_cut(&rest, '\n', &line))
		if (line.len && line.ptr[0] != '#')
			take_state(keys, bytes_trim(line));
	buf_done(&text);
	return r == NOT_FOUND ? OK : r;
}

static void add_key(struct file_system *fs, struct bytes domain, struct bytes selector,
                    struct arena *arena, struct dkim_keys *keys, struct why *ret_bad)
{
	struct dkim_key *k = &keys->items[keys->count];
	char path[PATH_ROOM];
	struct why why = {""};

	if (!path_of(path, domain, selector, ".key") || keys->count == DKIM_KEYS_MAX ||
	    read_key(fs, path, k, &why) != OK) {
		if (ret_bad)
			(void)why_set(ret_bad, INVALID, "keys/dkim/%.*s/%.*s.key: %s",
			              BYTES_ARG(domain), BYTES_ARG(selector),
			              why.text[0] ? why.text : "not used");
		return;
	}
	k->selector = arena_copy(arena, selector);
	k->record = record_of(k, arena);
	keys->count++;
}

enum result dkim_folder_read(struct file_system *fs, struct bytes domain, struct arena *arena,
                             struct dkim_keys *ret, struct why *ret_bad, struct why *why)
{
	char path[PATH_ROOM];
	const char **names;
	size_t count = 0;
	enum result r;

	if (!path_of(path, domain, (struct bytes){0}, ""))
		return no_name(why, domain);
	r = file_list(fs, path, arena, &names, &count, why);
	if (r != OK)
		return r;
	*ret = (struct dkim_keys){.items = memory_get((DKIM_KEYS_MAX + 1) * sizeof(*ret->items))};
	for (size_t i = 0; i < count; i++) {
		struct bytes name = bytes_of_text(names[i]);

		if (bytes_ends(name, BYTES(".key")))
			add_key(fs, domain, bytes_first(name, name.len - 4), arena, ret, ret_bad);
	}
	r = read_states(fs, domain, ret, why);
	if (r != OK)
		dkim_keys_free(ret);
	return r;
}

void dkim_keys_free(struct dkim_keys *k)
{
	for (size_t i = 0; i < k->count; i++)
		private_key_free(&k->items[i].key);
	memory_free(k->items);
	*k = (struct dkim_keys){0};
}

/* ---- writing ---- */

static enum result make_folders(struct file_system *fs, struct bytes domain, struct why *why)
{
	char path[PATH_ROOM];
	enum result r = file_make_directory(fs, "dkim", why);

	if (r != OK && r != EXISTS)
		return r;
	r = file_make_directory(fs, path_of(path, domain, (struct bytes){0}, ""), why);
	return r == EXISTS ? OK : r;
}

static bool is_there(struct file_system *fs, const char *path)
{
	struct file *f;

	if (file_open(fs, path, 0, &f, NULL) != OK)
		return false;
	file_close(&f);
	return true;
}

/* hk20261123r, hk20261123rb, hk20261123rc ... The date says how old it is, to whoever sees the record. */
static struct bytes choose_selector(struct file_system *fs, struct bytes domain, char kind,
                                    time_ms now, struct arena *arena)
{
	struct time_civil t = time_to_civil(now, 0);
	char path[PATH_ROOM];
	struct bytes selector = {0};

	for (char more = 'a'; more <= 'z'; more++) {
		selector = arena_printf(arena, "hk%04d%02d%02d%c%.*s", t.year, t.month, t.day, kind,
		                        more > 'a', &more);
		if (!is_there(fs, path_of(path, domain, selector, ".key")))
			break;
	}
	return selector;
}

enum result dkim_folder_make(struct file_system *fs, struct bytes domain,
                             enum dkim_algorithm algorithm, time_ms now, struct arena *arena,
                             struct bytes *ret_selector, struct why *why)
{
	bool ed25519 = algorithm == DKIM_ED25519_SHA256;
	struct bytes selector;
	char path[PATH_ROOM];
	struct buf pem = {0};
	struct file *f;
	enum result r;

	if (!dkim_name_is_good(domain, LIMIT_DOMAIN))
		return no_name(why, domain);
	r = make_folders(fs, domain, why);
	if (r != OK)
		return r;
	selector = choose_selector(fs, domain, ed25519 ? 'e' : 'r', now, arena);
	private_key_make(ed25519 ? PRIVATE_KEY_ED25519 : PRIVATE_KEY_RSA_PKCS1_SHA256, &pem);
	r = file_open(fs, path_of(path, domain, selector, ".key"),
	              FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, &f, why);
	if (r == OK) {
		r = file_write(f, 0, buf_bytes(&pem), why);
		if (r == OK)
			r = file_sync(f, why);
		file_close(&f);
	}
	memory_wipe(pem.ptr, pem.size);
	buf_done(&pem);
	*ret_selector = selector;
	return r;
}

enum result dkim_folder_write(struct file_system *fs, struct bytes domain,
                              const struct dkim_keys *keys, struct why *why)
{
	char path[PATH_ROOM];
	struct buf text = {0};
	enum result r;

	if (!path_of(path, domain, (struct bytes){0}, "/state"))
		return no_name(why, domain);
	buf_append_text(&text, "# selector  state (new, signs, old)  made\n");
	for (size_t i = 0; i < keys->count; i++) {
		struct time_civil t = time_to_civil(keys->items[i].made, 0);

		buf_printf(&text, "%.*s %s %04d-%02d-%02d\n", BYTES_ARG(keys->items[i].selector),
		           state_names[keys->items[i].state], t.year, t.month, t.day);
	}
	r = file_write_all(fs, path, buf_bytes(&text), why);
	buf_done(&text);
	return r;
}

enum result dkim_folder_remove(struct file_system *fs, struct bytes domain, struct bytes selector,
                               struct why *why)
{
	char path[PATH_ROOM];

	if (selector.len == 0 || !path_of(path, domain, selector, ".key"))
		return no_name(why, selector);
	return file_remove(fs, path, why);
}
