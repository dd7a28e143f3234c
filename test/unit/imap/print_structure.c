/* print_structure FILE...: for each mail ENVELOPE and BODYSTRUCTURE as FETCH says them, from the summary after its way
 * through the encoding that the store keeps; each as a decimal length, a line end, and so many octets. structure.py
 * compares them with what Python makes of the mail. */
#include <stdio.h>
#include <stdlib.h>

#include "imap/envelope.h"
#include "mail/summary.h"

static bool read_file(const char *name, struct buf *out)
{
	FILE *f = fopen(name, "rb");
	size_t n;

	if (!f)
		return false;
	while ((n = fread(buf_room(out, 65536), 1, 65536, f)) > 0)
		buf_added(out, n);
	fclose(f);
	return true;
}

static void show(struct buf *b)
{
	printf("%zu\n", buf_len(b));
	fwrite(buf_bytes(b).ptr, 1, buf_len(b), stdout);
	buf_clear(b);
}

static void print_mail(struct bytes mail)
{
	struct summary_builder *builder = summary_builder_new();
	struct buf encoded = {0}, out = {0};
	struct arena arena = {0};
	struct summary sum;

	summary_builder_feed(builder, mail);
	summary_builder_finish(builder, &encoded);
	if (summary_decode(buf_bytes(&encoded), &arena, &sum) != OK)
		abort();
	if (sum.partial & SUMMARY_NO_STRUCTURE)
		sum = *summary_builder_summary(builder);
	envelope_print(&out, sum.root->envelope);
	show(&out);
	structure_print(&out, sum.root, true);
	show(&out);
	summary_builder_free(&builder);
	buf_done(&encoded);
	buf_done(&out);
	arena_done(&arena);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct buf mail = {0};

		if (!read_file(argv[i], &mail)) {
			perror(argv[i]);
			return 1;
		}
		print_mail(buf_bytes(&mail));
		buf_done(&mail);
	}
	return 0;
}
