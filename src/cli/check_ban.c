/* hikyaku check ban SERVICE: whom each line of another service's log is about, if it says that somebody failed; the
 * address or name, or "-", a line a line. --filter FILE: a filter of the operator's own (fail2ban's syntax); what it
 * includes is looked for beside it, then among ours. --mode: instead of the filter's. --prove: run the filter's
 * samples instead of reading lines. --explain: with the rule that matched. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/check.h"
#include "policy/jail.h"

enum { FILES_MAX = 500 };

static enum result read_file(struct check *c, int folder, const char *name, struct why *why)
{
	struct check_file *f = &c->files[c->file_count];
	char *room = arena_get(&c->arena, JAIL_FILE_MAX + 1);
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return why_set(why, NOT_FOUND, "cannot open %.200s", name);
	while (n > 0 && len <= JAIL_FILE_MAX) {
		n = read(fd, room + len, JAIL_FILE_MAX + 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (n < 0 || len > JAIL_FILE_MAX)
		return why_set(why, INVALID, "%.200s cannot be read, or is too big", name);
	f->name = arena_copy(&c->arena, bytes_of_text(name));
	if (bytes_ends(f->name, BYTES(".conf")))
		f->name.len -= 5;
	f->text = bytes_of(room, len);
	c->file_count++;
	return OK;
}

/* Those that cannot be read are not there. */
static void read_neighbours(struct check *c, int folder, const char *own)
{
	DIR *d = fdopendir(folder);
	struct dirent *e;
	struct why why;

	while (d && (e = readdir(d)) && c->file_count < FILES_MAX) {
		if (!bytes_ends(bytes_of_text(e->d_name), BYTES(".conf")) ||
		    strcmp(e->d_name, own) == 0)
			continue;
		enum result ignored = read_file(c, dirfd(d), e->d_name, &why);
		(void)ignored;
	}
	if (d)
		closedir(d);
}

enum result check_ban_files(struct check *c, const char *path, struct why *why)
{
	struct bytes p = bytes_of_text(path);
	size_t slash = bytes_find_last(p, '/');
	const char *name = slash == BYTES_NONE ? path : path + slash + 1;
	const char *where = slash == BYTES_NONE ? "."
	                                        : arena_text(&c->arena, bytes_first(p, slash + 1));
	int folder = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum result r;

	if (folder < 0)
		return why_set(why, NOT_FOUND, "cannot open %.200s", where);
	c->files = arena_get(&c->arena, FILES_MAX * sizeof(*c->files));
	r = read_file(c, folder, name, why);
	if (r == OK)
		read_neighbours(c, folder, name);
	else
		close(folder);
	return r;
}

bool check_ban_find(void *context, struct bytes name, struct bytes *ret)
{
	const struct check *c = context;

	for (size_t i = 0; i < c->file_count; i++) {
		if (bytes_equal(c->files[i].name, name)) {
			*ret = c->files[i].text;
			return true;
		}
	}
	return jail_builtin(NULL, name, ret);
}

static void judge_lines(const struct check *c, struct jail *jail, struct buf *out)
{
	struct bytes rest = c->in, line;
	bool explain = check_option(c, "--explain") != NULL;

	while (bytes_cut(&rest, '\n', &line)) {
		struct jail_verdict v;

		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		jail_judge(jail, line, &v);
		buf_append(out, v.match ? v.host : BYTES("-"));
		if (explain)
			buf_printf(out, "\t%u%s", v.rule,
			           v.suspicious && !v.rule ? "\tlooks like a failure" : "");
		buf_append_char(out, '\n');
	}
}

static void say_rules(const struct jail *jail, struct buf *out)
{
	const struct jail_rule_count *rules;
	size_t count = jail_rules(jail, &rules);

	buf_printf(out, "proven: %zu rules\n", count);
}

/* "sshd[mode=normal]" as fail2ban writes it. */
static struct bytes mode_of(const struct check *c, struct bytes *name)
{
	const char *mode = check_option(c, "--mode");
	size_t at = bytes_find(*name, BYTES("[mode="));
	struct bytes inside = {0};

	if (at != BYTES_NONE && bytes_ends(*name, BYTES("]"))) {
		inside = bytes_skip(*name, at + 6);
		inside.len--;
		*name = bytes_first(*name, at);
	}
	return mode ? bytes_of_text(mode) : inside;
}

enum result check_ban(const struct check *c, struct buf *out, struct why *why)
{
	struct bytes name = c->file_count ? c->files[0].name : bytes_of_text(c->args[0]), mode;
	struct jail *jail = NULL;
	enum result r;

	mode = mode_of(c, &name);
	if (check_option(c, "--prove"))
		mode = (struct bytes){0}; /* samples are for all rules */
	r = jail_new(name, mode, check_ban_find, (void *)c, &jail, why);
	if (r == OK && check_option(c, "--prove"))
		r = jail_prove(jail, why);
	if (r == OK && check_option(c, "--prove"))
		say_rules(jail, out);
	else if (r == OK)
		judge_lines(c, jail, out);
	jail_free(&jail);
	return r;
}
