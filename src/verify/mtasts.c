#include "verify/mtasts.h"

#include "base/text.h"

enum { ID_MAX = 32 }; /* RFC 8461, 3.1 */

/* ---- the TXT record: "v=STSv1; id=20160831085700Z;" ---- */

static bool is_id(struct bytes id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!text_is_alnum(id.ptr[i]))
			return false;
	return id.len > 0 && id.len <= ID_MAX;
}

/* Fields after the version, in any order; unknown ones are passed over. */
static enum result find_id(struct bytes rest, struct bytes *ret)
{
	struct bytes field;

	while (bytes_cut(&rest, ';', &field)) {
		size_t equals;

		field = bytes_trim(field);
		equals = bytes_find_char(field, '=');
		if (equals == BYTES_NONE ||
		    !bytes_equal(bytes_trim(bytes_first(field, equals)), BYTES("id")))
			continue;
		*ret = bytes_trim(bytes_skip(field, equals + 1));
		return is_id(*ret) ? OK : INVALID;
	}
	return INVALID;
}

/* The version comes first and nothing may stand before it. */
static bool is_sts(struct bytes record)
{
	struct bytes rest;

	if (!bytes_starts(record, BYTES("v=STSv1")))
		return false;
	rest = bytes_trim(bytes_skip(record, 7));
	return rest.len == 0 || rest.ptr[0] == ';';
}

enum result mtasts_txt(const struct bytes *records, size_t count, struct bytes *ret_id)
{
	size_t found = 0, which = 0;

	for (size_t i = 0; i < count; i++) {
		if (!is_sts(records[i]))
			continue;
		found++;
		which = i;
	}
	if (found != 1)
		return NOT_FOUND;
	return find_id(bytes_skip(records[which], 7), ret_id);
}

/* ---- the policy ---- */

struct reading {
	struct mtasts_policy policy;
	bool version, mode, age;
	struct why *why;
};

static bool is_pattern(struct bytes value)
{
	if (bytes_starts(value, BYTES("*.")))
		value = bytes_skip(value, 2);
	for (size_t i = 0; i < value.len; i++)
		if (!text_is_alnum(value.ptr[i]) && value.ptr[i] != '-' && value.ptr[i] != '.' &&
		    value.ptr[i] != '_')
			return false;
	return value.len > 0 && value.len <= 255 && value.ptr[0] != '.';
}

static enum result take_mode(struct reading *r, struct bytes value)
{
	static const char *const names[] = {"none", "testing", "enforce"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (bytes_equal(value, bytes_of_text(names[i]))) {
			r->policy.mode = (enum mtasts_mode)i;
			r->mode = true;
			return OK;
		}
	}
	return why_set(r->why, INVALID, "unknown mode \"%.*s\"", BYTES_ARG(bytes_first(value, 40)));
}

static enum result take_age(struct reading *r, struct bytes value)
{
	uint64_t age;

	if (value.len > 10 || bytes_to_u64(value, UINT64_MAX, &age) != OK)
		return why_set(r->why, INVALID, "max_age \"%.*s\" is no number of seconds",
		               BYTES_ARG(bytes_first(value, 40)));
	r->policy.max_age = age < MTASTS_AGE_MAX ? (uint32_t)age : MTASTS_AGE_MAX;
	r->age = true;
	return OK;
}

static enum result take_mx(struct reading *r, struct bytes value)
{
	if (!is_pattern(value))
		return why_set(r->why, INVALID, "mx \"%.*s\" is no host name",
		               BYTES_ARG(bytes_first(value, 80)));
	if (r->policy.mx_count < MTASTS_HOSTS)
		r->policy.mx[r->policy.mx_count++] = value;
	return OK;
}

/* Of keys that stand once the first counts; unknown ones are for later versions (3.2). */
static enum result take_line(struct reading *r, struct bytes line)
{
	size_t colon = bytes_find_char(line, ':');
	struct bytes key, value;

	if (bytes_trim(line).len == 0)
		return OK;
	if (colon == BYTES_NONE)
		return why_set(r->why, INVALID, "a line has no colon");
	key = bytes_first(line, colon);
	value = bytes_trim(bytes_skip(line, colon + 1));
	if (!r->version) {
		r->version = bytes_equal(key, BYTES("version")) &&
		             bytes_equal(value, BYTES("STSv1"));
		return r->version
		               ? OK
		               : why_set(r->why, INVALID, "it does not begin with version: STSv1");
	}
	if (bytes_equal(key, BYTES("mode")) && !r->mode)
		return take_mode(r, value);
	if (bytes_equal(key, BYTES("max_age")) && !r->age)
		return take_age(r, value);
	if (bytes_equal(key, BYTES("mx")))
		return take_mx(r, value);
	return OK;
}

enum result mtasts_policy_parse(struct bytes text, struct arena *arena, struct mtasts_policy *ret,
                                struct why *why)
{
	struct reading r = {.why = why};
	struct bytes line;

	if (text.len > MTASTS_POLICY_MAX)
		return why_set(why, TOO_BIG, "the policy has more than %d octets",
		               MTASTS_POLICY_MAX);
	r.policy.mx = arena_get(arena, MTASTS_HOSTS * sizeof(*r.policy.mx));
	while (bytes_cut(&text, '\n', &line)) {
		enum result result = take_line(&r, line);

		if (result != OK)
			return result;
	}
	if (!r.version || !r.mode || !r.age)
		return why_set(why, INVALID, "it lacks %s",
		               !r.version ? "its version"
		               : !r.mode  ? "its mode"
		                          : "max_age");
	if (r.policy.mode != MTASTS_NONE && r.policy.mx_count == 0)
		return why_set(why, INVALID, "it names no mx");
	*ret = r.policy;
	return OK;
}

static struct bytes without_dot(struct bytes name)
{
	return name.len > 0 && name.ptr[name.len - 1] == '.' ? bytes_first(name, name.len - 1)
	                                                     : name;
}

static bool covers(struct bytes pattern, struct bytes host)
{
	size_t dot;

	pattern = without_dot(pattern);
	if (!bytes_starts(pattern, BYTES("*.")))
		return bytes_equal_nocase(pattern, host);
	dot = bytes_find_char(host, '.');
	return dot != BYTES_NONE && dot > 0 &&
	       bytes_equal_nocase(bytes_skip(pattern, 2), bytes_skip(host, dot + 1));
}

bool mtasts_policy_covers(const struct mtasts_policy *p, struct bytes host)
{
	for (size_t i = 0; i < p->mx_count; i++)
		if (covers(p->mx[i], without_dot(host)))
			return true;
	return false;
}

const char *mtasts_mode_name(enum mtasts_mode m)
{
	return m == MTASTS_ENFORCE ? "enforce" : m == MTASTS_TESTING ? "testing" : "none";
}
