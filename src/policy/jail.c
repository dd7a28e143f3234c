/* Rules, lines, connections. policy/jail_file.c reads the files. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "policy/jail.h"

#include <pcre2.h>
#include <stdio.h>

#include "base/ip.h"
#include "base/memory.h"
#include "base/text.h"
#include "policy/jail_file.h"

enum {
	STEPS = 200000, /* a match gives up after so many */
	DEPTH = 20000,
	HEAP_KIB = 4096,
	PATTERN_MAX = 64 * 1024,
	USERS = 4,
	ID_MAX = 64,
	HOST_MAX = 256,
};

/* ---- what the tags stand for ---- */

#define OCTET_DOTS "(?:[0-9]{1,3}\\.){3}[0-9]{1,3}"
#define RE_IP4 "(?:::[Ff]{4}:)?(?<ip4>" OCTET_DOTS ")(?![0-9])"
#define RE_IP6 "(?<ip6>(?=[0-9A-Fa-f]*:)[0-9A-Fa-f:]{2,45})(?![0-9A-Fa-f:])"
#define RE_IP6_OPEN "(?<ip6>(?=[0-9A-Fa-f]*:)[0-9A-Fa-f:]{2,45})"
#define RE_ADDR "\\[?(?:" RE_IP4 "|" RE_IP6_OPEN ")\\]?"
#define RE_DNS "(?<dns>(?=[\\d.-]*[A-Za-z_])[\\w.-]{0,253}\\w)"
#define RE_HOST "(?:" RE_ADDR "|" RE_DNS ")"

static const struct {
	const char *tag, *pattern;
} tags[] = {
        {"<HOST>", RE_HOST}, {"<ADDR>", "(?:" RE_ADDR ")"}, {"<IP4>", RE_IP4}, {"<IP6>", RE_IP6},
        {"<DNS>", RE_DNS},
};

/* ---- a rule ---- */

struct rule {
	pcre2_code *code;
	int ip4, ip6, dns, user, alt_user, id, nofail, gained, forget,
	        content; /* groups; 0: none */
};

/* Lines of one connection. */
struct connection {
	char id[ID_MAX];
	size_t id_len;
	char host[HOST_MAX];
	size_t host_len;
	uint64_t users[USERS];
	unsigned user_count;
	bool pending; /* a failure waits for the address */
	uint64_t used;
};

struct jail {
	struct arena arena;
	pcre2_match_context *limits;
	pcre2_match_data *data, *prefix_data;
	struct rule *rules, *ignores, prefix;
	struct jail_rule_count *counts;
	size_t rule_count, ignore_count;
	struct bytes samples, name;
	struct connection *connections;
	uint64_t clock;
	char host[HOST_MAX];
	uint64_t limited;
};

/* <F-USER> is the named group f_user; what of the name is no word becomes _. */
static size_t translate_field(struct bytes in, struct buf *out)
{
	size_t end = bytes_find_char(bytes_first(in, 40), '>');

	if (end == BYTES_NONE)
		return 0;
	if (bytes_starts(in, BYTES("</F-"))) {
		buf_append_char(out, ')');
		return end + 1;
	}
	if (!bytes_starts(in, BYTES("<F-")))
		return 0;
	buf_append_text(out, "(?<f_");
	for (size_t i = 3; i < end; i++)
		buf_append_char(out, text_is_alnum(in.ptr[i]) ? text_lower_char(in.ptr[i]) : '_');
	buf_append_char(out, '>');
	return end + 1;
}

static size_t translate_tag(struct bytes in, struct buf *out)
{
	for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
		struct bytes tag = bytes_of_text(tags[i].tag);

		if (bytes_starts(in, tag)) {
			buf_append_text(out, tags[i].pattern);
			return tag.len;
		}
	}
	return translate_field(in, out);
}

static int group(const pcre2_code *code, const char *name)
{
	int n = pcre2_substring_number_from_name(code, (PCRE2_SPTR)name);

	/* Several of one name: its own entry in the table is asked for when it matched. */
	return n == PCRE2_ERROR_NOUNIQUESUBSTRING ? -1 : n < 0 ? 0 : n;
}

static void find_groups(struct rule *r)
{
	r->ip4 = group(r->code, "ip4");
	r->ip6 = group(r->code, "ip6");
	r->dns = group(r->code, "dns");
	r->user = group(r->code, "f_user");
	r->alt_user = group(r->code, "f_alt_user");
	r->id = group(r->code, "f_mlfid");
	r->nofail = group(r->code, "f_nofail");
	r->gained = group(r->code, "f_mlfgained");
	r->forget = group(r->code, "f_mlfforget");
	r->content = group(r->code, "f_content");
}

static enum result compile(struct rule *r, struct bytes text, const char *what, size_t nth,
                           struct why *why)
{
	struct bytes in = text;
	struct buf out = {0};
	PCRE2_UCHAR message[160];
	PCRE2_SIZE at = 0;
	int error = 0;

	if (bytes_find(text, BYTES("<SKIPLINES>")) != BYTES_NONE)
		return why_set(why, INVALID, "%s %zu: <SKIPLINES> is not there; use <F-MLFID>",
		               what, nth);
	while (in.len) {
		size_t len = translate_tag(in, &out);

		if (!len)
			buf_append_char(&out, in.ptr[0]);
		in = bytes_skip(in, len ? len : 1);
	}
	if (buf_len(&out) > PATTERN_MAX) {
		buf_done(&out);
		return why_set(why, TOO_BIG, "%s %zu is too long", what, nth);
	}
	r->code = pcre2_compile((PCRE2_SPTR)buf_bytes(&out).ptr, buf_len(&out), PCRE2_DUPNAMES,
	                        &error, &at, NULL);
	if (r->code) {
		find_groups(r);
	} else {
		struct bytes near = bytes_first(bytes_skip(buf_bytes(&out), at > 10 ? at - 10 : 0),
		                                30);

		pcre2_get_error_message(error, message, sizeof(message));
		why_set(why, INVALID, "%s %zu, character %zu (near \"%.*s\"): %s", what, nth, at,
		        BYTES_ARG(near), (const char *)message);
	}
	buf_done(&out);
	return r->code ? OK : INVALID;
}

/* ---- making one ---- */

static size_t count_lines(struct bytes text)
{
	struct bytes line;
	size_t n = 0;

	while (bytes_cut(&text, '\n', &line))
		n += bytes_trim(line).len > 0;
	return n;
}

static enum result compile_all(struct jail *j, struct bytes text, const char *what,
                               struct rule **ret, size_t *ret_count, struct why *why)
{
	size_t most = count_lines(text);
	struct bytes line;
	enum result r = OK;

	if (most > JAIL_RULES_MAX)
		return why_set(why, TOO_BIG, "more than %d rules", JAIL_RULES_MAX);
	*ret = arena_get(&j->arena, (most + 1) * sizeof(**ret));
	while (r == OK && bytes_cut(&text, '\n', &line)) {
		line = bytes_trim(line);
		if (line.len == 0)
			continue;
		r = compile(&(*ret)[*ret_count], line, what, *ret_count + 1, why);
		if (r == OK)
			(*ret_count)++;
	}
	return r;
}

static void keep_texts(struct jail *j, struct bytes text)
{
	struct bytes line;
	size_t n = 0;

	j->counts = arena_get(&j->arena, (j->rule_count + 1) * sizeof(*j->counts));
	while (bytes_cut(&text, '\n', &line)) {
		line = bytes_trim(line);
		if (line.len && n < j->rule_count)
			j->counts[n++].text = line;
	}
}

static enum result build(struct jail *j, struct jail_file *f, struct why *why)
{
	struct bytes fail, ignore, prefix;
	enum result r = jail_file_value(f, "failregex", &fail, why);

	if (r == OK)
		r = jail_file_value(f, "ignoreregex", &ignore, why);
	if (r == OK)
		r = jail_file_value(f, "prefregex", &prefix, why);
	if (r == OK && count_lines(fail) == 0)
		r = why_set(why, INVALID, "it has no failregex");
	if (r == OK)
		r = compile_all(j, fail, "failregex", &j->rules, &j->rule_count, why);
	if (r == OK)
		r = compile_all(j, ignore, "ignoreregex", &j->ignores, &j->ignore_count, why);
	if (r == OK && prefix.len)
		r = compile(&j->prefix, prefix, "prefregex", 1, why);
	if (r == OK && prefix.len && !j->prefix.content)
		r = why_set(why, INVALID, "prefregex: <F-CONTENT> is missing");
	if (r == OK)
		keep_texts(j, fail);
	return r;
}

static void make_limits(struct jail *j)
{
	j->limits = pcre2_match_context_create(NULL);
	pcre2_set_match_limit(j->limits, STEPS);
	pcre2_set_depth_limit(j->limits, DEPTH);
	pcre2_set_heap_limit(j->limits, HEAP_KIB);
	j->data = pcre2_match_data_create(64, NULL);
	j->prefix_data = pcre2_match_data_create(64, NULL);
	j->connections = memory_get(JAIL_CONNECTIONS * sizeof(*j->connections));
}

enum result jail_new(struct bytes name, struct bytes mode, jail_file_function *file, void *context,
                     struct jail **ret, struct why *why)
{
	struct jail *j = NEW(struct jail);
	struct jail_file f = {.arena = &j->arena};
	enum result r = jail_file_read(&f, name, file, context, why);

	make_limits(j);
	j->name = arena_copy(&j->arena, name);
	if (r == OK && mode.len && jail_file_raw(&f, "definition", "mode").len &&
	    !jail_file_has_variant(&f, mode))
		r = why_set(why, INVALID, "it has no mode %.*s", BYTES_ARG(bytes_first(mode, 40)));
	if (mode.len)
		jail_file_set(&f, "definition", BYTES("mode"), mode);
	if (r == OK)
		r = build(j, &f, why);
	if (r == OK)
		j->samples = jail_file_raw(&f, "samples", "hit");
	jail_file_done(&f);
	if (r != OK) {
		struct why inner = *why;

		if (r != NOT_FOUND)
			why_set(why, r, "filter %.*s: %s", BYTES_ARG(bytes_first(name, 60)),
			        inner.text);
		jail_free(&j);
		return r;
	}
	*ret = j;
	return OK;
}

static void free_rules(struct rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pcre2_code_free(rules[i].code);
}

void jail_free(struct jail **jail)
{
	struct jail *j = *jail;

	if (!j)
		return;
	*jail = NULL;
	free_rules(j->rules, j->rule_count);
	free_rules(j->ignores, j->ignore_count);
	pcre2_code_free(j->prefix.code);
	pcre2_match_data_free(j->data);
	pcre2_match_data_free(j->prefix_data);
	pcre2_match_context_free(j->limits);
	memory_free(j->connections);
	arena_done(&j->arena);
	memory_free(j);
}

void jail_reset(struct jail *j)
{
	memset(j->connections, 0, JAIL_CONNECTIONS * sizeof(*j->connections));
	for (size_t i = 0; i < j->rule_count; i++)
		j->counts[i].matched = j->counts[i].limited = 0;
	j->limited = 0;
}

size_t jail_rules(const struct jail *j, const struct jail_rule_count **ret)
{
	*ret = j->counts;
	return j->rule_count;
}

/* ---- matching ---- */

static struct bytes group_number(const pcre2_match_data *data, struct bytes subject, int n)
{
	PCRE2_SIZE *v = pcre2_get_ovector_pointer((pcre2_match_data *)data);

	if (n <= 0 || n >= 64 || v[2 * n] == PCRE2_UNSET || v[2 * n] > v[2 * n + 1] ||
	    v[2 * n + 1] > subject.len)
		return (struct bytes){0};
	return bytes_of(subject.ptr + v[2 * n], v[2 * n + 1] - v[2 * n]);
}

/* The group's text; of several with this name the one that took part. */
static struct bytes taken(const struct rule *r, const pcre2_match_data *data, struct bytes subject,
                          int n, const char *name)
{
	PCRE2_SPTR first, last;
	struct bytes found = {0};
	int step;

	if (n >= 0)
		return group_number(data, subject, n);
	step = pcre2_substring_nametable_scan(r->code, (PCRE2_SPTR)name, &first, &last);
	for (PCRE2_SPTR e = first; step > 0 && e <= last && found.len == 0; e += step)
		found = group_number(data, subject, e[0] << 8 | e[1]);
	return found;
}

/* False also when a limit was reached. */
static bool matches(struct jail *j, const struct rule *r, struct bytes subject,
                    pcre2_match_data *data, uint64_t *limited)
{
	int n = pcre2_match(r->code, (PCRE2_SPTR)(subject.ptr ? subject.ptr : ""), subject.len, 0,
	                    0, data, j->limits);

	if (n < PCRE2_ERROR_PARTIAL)
		++*limited;
	return n >= 0;
}

/* ---- the date at a line's beginning ---- */

/* 0 a digit, a a letter, ' ' a blank, x a hexadecimal digit; others are themselves. */
static const char *const dates[] = {
        "aaa 00 00:00:00",      "aaa  0 00:00:00",           "aaa 0 00:00:00",
        "0000-00-00T00:00:00",  "0000-00-00 00:00:00",       "0000/00/00 00:00:00",
        "00-aaa-0000 00:00:00", "@xxxxxxxxxxxxxxxxxxxxxxxx", "aaa aaa 00 00:00:00",
        "00/aaa/0000:00:00:00", "aaa, 00 aaa 0000 00:00:00",
};

static bool fits(const char *shape, struct bytes line, size_t *ret_len)
{
	size_t i;

	for (i = 0; shape[i]; i++) {
		char c = i < line.len ? line.ptr[i] : '\0';
		bool hex = text_is_digit(c) ||
		           (text_lower_char(c) >= 'a' && text_lower_char(c) <= 'f');

		if (shape[i] == '0'                                  ? !text_is_digit(c)
		    : shape[i] == 'a' && !(i && shape[i - 1] == '@') ? !text_is_alpha(c)
		    : shape[i] == 'x'                                ? !hex
		                                                     : c != shape[i])
			return false;
	}
	*ret_len = i;
	return true;
}

/* Fractions of a second, a zone, a year behind the time. */
static size_t date_rest(struct bytes b)
{
	size_t i = 0;

	if (i < b.len && (b.ptr[i] == '.' || b.ptr[i] == ',') && i + 1 < b.len &&
	    text_is_digit(b.ptr[i + 1]))
		for (i++; i < b.len && text_is_digit(b.ptr[i]); i++)
			;
	if (i < b.len && b.ptr[i] == 'Z')
		return i + 1;
	if (i + 5 < b.len && b.ptr[i] == ' ' && (b.ptr[i + 1] == '+' || b.ptr[i + 1] == '-') &&
	    text_is_digit(b.ptr[i + 2]))
		i++;
	if (i + 4 < b.len && (b.ptr[i] == '+' || b.ptr[i] == '-') && text_is_digit(b.ptr[i + 1]))
		for (i++; i < b.len && (text_is_digit(b.ptr[i]) || b.ptr[i] == ':'); i++)
			;
	if (i + 5 <= b.len && b.ptr[i] == ' ' && b.ptr[i + 1] == '2' && b.ptr[i + 2] == '0' &&
	    text_is_digit(b.ptr[i + 3]) && text_is_digit(b.ptr[i + 4]) &&
	    (i + 5 == b.len || b.ptr[i + 5] == ' ' || b.ptr[i + 5] == ']'))
		i += 5;
	return i;
}

/* The line without its date, which an expression need not know: "Jan  1 00:00:00 mx sshd" is "mx sshd"; in brackets
 * or behind <38>1 these stay. */
static struct bytes without_date(struct bytes line, char *room)
{
	size_t before = 0, len = 0;
	struct bytes rest;
	bool found = false;

	if (line.len && line.ptr[0] == '<') {
		size_t end = bytes_find_char(bytes_first(line, 6), '>');

		before = end == BYTES_NONE ? 0 : end + 1;
		if (before && bytes_starts(bytes_skip(line, before), BYTES("1 ")))
			before += 2;
	} else if (line.len && line.ptr[0] == '[') {
		before = 1;
	}
	rest = bytes_skip(line, before);
	for (size_t i = 0; !found && i < sizeof(dates) / sizeof(*dates); i++)
		found = fits(dates[i], rest, &len);
	if (!found)
		return line;
	len += date_rest(bytes_skip(rest, len));
	rest = bytes_skip(rest, len);
	if (before == 0) {
		while (rest.len && text_is_blank(rest.ptr[0]))
			rest = bytes_skip(rest, 1);
		return rest;
	}
	memcpy(room, line.ptr, before);
	memcpy(room + before, rest.ptr ? rest.ptr : "", rest.len);
	return bytes_of(room, before + rest.len);
}

/* ---- does it look like a failure? ---- */

static bool has_address(struct bytes line)
{
	unsigned dots = 0, digits = 0, colons = 0;

	for (size_t i = 0; i < line.len; i++) {
		char c = line.ptr[i], lower = text_lower_char(c);

		if (text_is_digit(c)) {
			digits++;
			if (dots == 3)
				return true;
		} else if (c == '.' && digits >= 1 && digits <= 3) {
			dots++;
			digits = 0;
		} else if (c == ':' || (lower >= 'a' && lower <= 'f')) {
			colons += c == ':';
			dots = 0;
			if (i && c == ':' && line.ptr[i - 1] == ':')
				return true;
		} else {
			dots = digits = colons = 0;
		}
	}
	return false;
}

static bool looks_bad(struct bytes line)
{
	static const char *const words[] = {
	        "fail",         "invalid",   "denied",       "mismatch", "refused",
	        "unknown user", "not found", "bad password", "illegal",  "badlogin",
	        "rejected",     "incorrect", "unauthorized"};

	if (!has_address(line))
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (bytes_find_nocase(line, bytes_of_text(words[i])) != BYTES_NONE)
			return true;
	}
	return false;
}

/* ---- connections ---- */

static struct connection *connection_of(struct jail *j, struct bytes id)
{
	struct connection *oldest = &j->connections[0];

	id = bytes_first(id, ID_MAX);
	for (size_t i = 0; i < JAIL_CONNECTIONS; i++) {
		struct connection *c = &j->connections[i];

		if (c->used && c->id_len == id.len && memcmp(c->id, id.ptr, id.len) == 0) {
			c->used = ++j->clock;
			return c;
		}
		if (c->used < oldest->used)
			oldest = c;
		if (!c->used)
			break;
	}
	*oldest = (struct connection){.used = ++j->clock, .id_len = id.len};
	memcpy(oldest->id, id.ptr, id.len);
	return oldest;
}

static void know_host(struct connection *c, struct bytes host)
{
	if (host.len == 0 || host.len > HOST_MAX)
		return;
	memcpy(c->host, host.ptr, host.len);
	c->host_len = host.len;
}

static void know_user(struct connection *c, struct bytes user)
{
	uint64_t hash = map_hash(user);

	for (unsigned i = 0; i < c->user_count; i++) {
		if (c->users[i] == hash)
			return;
	}
	if (c->user_count < USERS)
		c->users[c->user_count++] = hash;
}

/* What one matched line says, and what is known of its connection. True: a failure of ret->host. */
static bool judge_connection(struct jail *j, struct bytes id, struct bytes host, struct bytes user,
                             bool nofail, bool forget, struct bytes *ret)
{
	struct connection *c = connection_of(j, id);
	bool was_pending = c->pending;

	know_host(c, host);
	if (user.ptr)
		know_user(c, user);
	/* Who tries several users does not make it undone by getting in as one. */
	if (was_pending || (user.ptr && c->user_count > 1))
		nofail = false;
	*ret = bytes_of(c->host, c->host_len);
	if (!nofail)
		c->pending = c->host_len == 0;
	if (forget) {
		memcpy(j->host, c->host, c->host_len);
		*ret = bytes_of(j->host, c->host_len);
		*c = (struct connection){.used = 1};
	}
	return !nofail && ret->len > 0;
}

/* ---- a line ---- */

static struct bytes host_of(const struct rule *r, const pcre2_match_data *data,
                            struct bytes subject)
{
	struct bytes host = taken(r, data, subject, r->ip4, "ip4");

	if (host.len == 0)
		host = taken(r, data, subject, r->ip6, "ip6");
	return host.len ? host : taken(r, data, subject, r->dns, "dns");
}

static bool matched(struct jail *j, const struct rule *r, struct bytes subject, struct bytes id,
                    struct bytes *ret)
{
	struct bytes host = host_of(r, j->data, subject), own;
	struct bytes user = taken(r, j->data, subject, r->user, "f_user");
	bool nofail = taken(r, j->data, subject, r->nofail, "f_nofail").len ||
	              taken(r, j->data, subject, r->gained, "f_mlfgained").len;
	bool forget = taken(r, j->data, subject, r->forget, "f_mlfforget").len > 0;

	if (user.len == 0)
		user = taken(r, j->data, subject, r->alt_user, "f_alt_user");
	if (user.len == 0)
		user = (struct bytes){0};
	own = taken(r, j->data, subject, r->id, "f_mlfid");
	if (own.len)
		id = own;
	if (id.len)
		return judge_connection(j, id, host, user, nofail, forget, ret);
	*ret = host;
	return !nofail && host.len > 0;
}

static bool ignored(struct jail *j, struct bytes line)
{
	for (size_t i = 0; i < j->ignore_count; i++) {
		if (matches(j, &j->ignores[i], line, j->data, &j->limited))
			return true;
	}
	return false;
}

static void judge_content(struct jail *j, struct bytes line, struct bytes content, struct bytes id,
                          struct jail_verdict *ret)
{
	for (size_t i = 0; i < j->rule_count; i++) {
		struct ip ip;

		if (!matches(j, &j->rules[i], content, j->data, &j->counts[i].limited))
			continue;
		j->counts[i].matched++;
		ret->rule = (unsigned)i + 1;
		ret->match = matched(j, &j->rules[i], content, id, &ret->host) && !ignored(j, line);
		ret->is_address = ret->match && ip_parse(ret->host, &ip) == OK;
		return;
	}
}

void jail_judge(struct jail *j, struct bytes line, struct jail_verdict *ret)
{
	static _Thread_local char room[JAIL_LINE_MAX];
	struct bytes content, id = {0};

	*ret = (struct jail_verdict){0};
	line = bytes_first(line, JAIL_LINE_MAX);
	ret->suspicious = looks_bad(line);
	line = without_date(line, room);
	content = line;
	if (j->prefix.code) {
		if (!matches(j, &j->prefix, line, j->prefix_data, &j->limited))
			return;
		content = taken(&j->prefix, j->prefix_data, line, j->prefix.content, "f_content");
		id = taken(&j->prefix, j->prefix_data, line, j->prefix.id, "f_mlfid");
	}
	judge_content(j, line, content, id, ret);
	if (!ret->match)
		ret->host = (struct bytes){0};
}

/* ---- proof ---- */

static enum result prove_line(struct jail *j, struct bytes sample, struct why *why)
{
	size_t blank = bytes_find_char(sample, ' ');
	struct bytes want = bytes_first(sample, blank == BYTES_NONE ? sample.len : blank);
	struct jail_verdict v;

	jail_judge(j, bytes_skip(sample, want.len + 1), &v);
	if (!v.match)
		v.host = BYTES("-");
	if (bytes_equal(v.host, want))
		return OK;
	return why_set(why, INVALID, "filter %.*s: a sample wants %.*s and gets %.*s: %.*s",
	               BYTES_ARG(j->name), BYTES_ARG(want), BYTES_ARG(v.host),
	               BYTES_ARG(bytes_first(bytes_skip(sample, want.len + 1), 120)));
}

enum result jail_prove(struct jail *j, struct why *why)
{
	struct bytes samples = j->samples, line;
	enum result r = OK;

	jail_reset(j);
	if (count_lines(samples) == 0)
		return why_set(why, INVALID,
		               "filter %.*s has no samples: a section [Samples] is missing",
		               BYTES_ARG(j->name));
	while (r == OK && bytes_cut(&samples, '\n', &line)) {
		line = bytes_trim(line);
		if (line.len)
			r = prove_line(j, line, why);
	}
	for (size_t i = 0; r == OK && i < j->rule_count; i++) {
		if (j->counts[i].matched == 0)
			r = why_set(why, INVALID, "filter %.*s: no sample matches rule %zu: %.*s",
			            BYTES_ARG(j->name), i + 1,
			            BYTES_ARG(bytes_first(j->counts[i].text, 160)));
	}
	jail_reset(j);
	return r;
}
