/* talk_X [--seeds N] [--must-fail] FILE-OR-FOLDER...: plays each .talk file whole, byte by byte, and at N
 * random splits; TAP on stdout. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "talk.h"

enum { FILES_MAX = 2000 };

struct run {
	char *files[FILES_MAX];
	size_t count;
	unsigned seeds;
	bool must_fail; /* for the test of the player itself */
	unsigned failed;
};

static bool read_file(const char *name, struct buf *out)
{
	FILE *f = fopen(name, "rb");
	size_t n;

	if (!f)
		return false;
	do {
		n = fread(buf_room(out, 65536), 1, 65536, f);
		buf_added(out, n);
	} while (n > 0);
	fclose(f);
	return true;
}

static int is_talk(const struct dirent *d)
{
	return bytes_ends(bytes_of_text(d->d_name), BYTES(".talk"));
}

static void add_path(struct run *run, const char *path)
{
	struct dirent **entries = NULL;
	struct stat st;
	int n;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		run->files[run->count++] = strdup(path);
		return;
	}
	n = scandir(path, &entries, is_talk, alphasort);
	for (int i = 0; i < n && run->count < FILES_MAX; i++) {
		char *name = NULL;

		if (asprintf(&name, "%s/%s", path, entries[i]->d_name) > 0)
			run->files[run->count++] = name;
		free(entries[i]);
	}
	free(entries);
}

static void record_done(struct record *r)
{
	buf_done(&r->output);
	buf_done(&r->asks);
}

/* One more play, which must say what the first said. */
static enum result play_again(const struct script *s, enum split split, uint64_t seed,
                              const struct record *first, struct why *why)
{
	struct record r = {0};
	enum result result = script_play(s, split, seed, &r, why);

	if (result == OK && !bytes_equal(buf_bytes(&r.output), buf_bytes(&first->output)))
		result = why_set(why, INVALID, "%s: the output depends on the split", s->file);
	if (result == OK && !bytes_equal(buf_bytes(&r.asks), buf_bytes(&first->asks)))
		result = why_set(why, INVALID, "%s: the asks depend on the split", s->file);
	record_done(&r);
	return result;
}

static enum result play_file(const char *file, unsigned seeds, const char **ret_how,
                             struct why *why)
{
	struct buf text = {0};
	struct script s = {0};
	struct record first = {0};
	enum result r = INVALID;

	*ret_how = "read";
	if (!read_file(file, &text))
		return why_set(why, INVALID, "%s cannot be read", file);
	r = script_read(file, buf_bytes(&text), &s, why);
	if (r == OK) {
		*ret_how = "whole";
		r = script_play(&s, SPLIT_WHOLE, 0, &first, why);
	}
	if (r == OK) {
		*ret_how = "byte by byte";
		r = play_again(&s, SPLIT_BYTES, 0, &first, why);
	}
	for (unsigned i = 1; i <= seeds && r == OK; i++) {
		*ret_how = "split at random";
		r = play_again(&s, SPLIT_RANDOM, i, &first, why);
	}
	record_done(&first);
	arena_done(&s.arena);
	buf_done(&text);
	return r;
}

static void play_all(struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		const char *how = "";
		const char *slash = strrchr(run->files[i], '/');
		struct why why = {{0}};
		enum result r = play_file(run->files[i], run->seeds, &how, &why);
		bool good = (r == OK) != run->must_fail;

		printf("%sok %zu - %s\n", good ? "" : "not ", i + 1,
		       slash ? slash + 1 : run->files[i]);
		if (r != OK)
			printf("# %s: %s\n", how, why.text);
		run->failed += !good;
		free(run->files[i]);
	}
}

int main(int argc, char **argv)
{
	static struct run run = {.seeds = 20};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
			run.seeds = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--must-fail") == 0)
			run.must_fail = true;
		else
			add_path(&run, argv[i]);
	}
	printf("1..%zu\n", run.count);
	play_all(&run);
	return run.failed > 0 || run.count == 0 ? 1 : 0;
}
