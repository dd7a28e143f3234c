/* The inside of content.h. content.c: what comes is kept in part; content_read.c: what was kept is read; content_text.c: HTML
 * and links; content_check.c: evidence. */
#ifndef POLICY_CONTENT_INSIDE_H
#define POLICY_CONTENT_INSIDE_H

#include "policy/content.h"
#include "policy/tokens.h"

enum {
	LINKS_MAX = 200,
	TEXT_MAX = 128 * 1024, /* of all parts together */
	MISLEADING_MAX = 5,
};

/* A link whose text names a host. */
struct content_link {
	struct bytes shown, host; /* canonical */
};

/* Where in the mail the next octets belong. */
enum content_state {
	CONTENT_HEADER, /* of the mail, of a part, or of a mail in it */
	CONTENT_TEXT,
	CONTENT_SKIP /* no text, or more than is kept */
};

struct content {
	/* coming in */
	struct buf kept, line; /* line: its octets so far, when it came in pieces */
	enum content_state state;
	bool first;  /* nothing of this header came yet */
	bool middle; /* of a line too long to be looked at whole */
	bool typed;  /* the field that is open is Content-Type */
	struct buf type;
	size_t header_len, part_len;
	struct bytes *boundaries;
	size_t boundary_count;

	/* what was read */
	struct arena arena;
	struct buf text, folded;
	unsigned parts;
	struct bytes folded_subject;
	struct address *to; /* To and Cc, one list each */
	struct address *cc;
	struct content_link misleading[MISLEADING_MAX];
	size_t misleading_count;
	bool user_in_link; /* http://bank.example@evil.example/ */
	bool has_reply_to;
	struct bytes hosts[CONTENT_HOSTS];
	struct tokens tokens;
	struct buf packed;
	struct content_seen seen;
};

/* content_read.c: once, of all that was kept. */
void content_read(struct content *c);

/* content_text.c: appends what a person sees of it, and notes its links. */
void content_text_html(struct content *c, struct bytes html);
void content_text_plain(struct content *c, struct bytes text);

/* The host of a URL ("https://a@b:1/c"), canonical; *ret_user: something stood before @. Empty: none. */
struct bytes content_host(struct content *c, struct bytes url, bool *ret_user);
void content_link_note(struct content *c, struct bytes url, struct bytes shown);

#endif
