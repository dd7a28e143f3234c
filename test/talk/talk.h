/* Conversations as text: test/talk/README.md says how they are written.
 *
 *	script.c   a .talk file becomes steps
 *	value.c    values, patterns, and the fields of asks by name
 *	play.c     steps against an engine: whole, byte by byte, at random splits
 *	main.c     files, TAP
 *	engine_X.c one a protocol: how its engine is made
 */
#ifndef TALK_TALK_H
#define TALK_TALK_H

#include "ask/engine.h"

/* ---- what an engine_X.c provides ---- */

/* `option NAME VALUE` lines of the file. */
struct talk_settings {
	struct bytes names[32], values[32];
	size_t count;
};

struct bytes talk_setting(const struct talk_settings *s, const char *name, const char *otherwise);
uint64_t talk_setting_u64(const struct talk_settings *s, const char *name, uint64_t otherwise);

struct talk_engine {
	const char *name;
	/* The options live in the arena, which outlives the engine. */
	struct engine *(*open)(const struct talk_settings *s, const struct engine_peer *peer,
	                       time_ms now, struct arena *arena);
};

extern const struct talk_engine talk_engine;

/* ---- steps ---- */

enum step_kind {
	STEP_CLIENT, /* text: octets from the client */
	STEP_SERVER, /* text: a pattern for one line */
	STEP_UNTIL,  /* text: lines are passed over up to one that matches */
	STEP_OCTETS, /* text: exactly these octets */
	STEP_ASK,    /* kind, fields; label */
	STEP_ANSWER, /* result, fields; label */
	STEP_AUTO,   /* kind, result, fields: such asks are answered by themselves from now on */
	STEP_NOTE,   /* text: a pattern that one of the next NOTEs must match */
	STEP_TLS,
	STEP_TICK,     /* number: ms */
	STEP_DEADLINE, /* number: ms from now, or TIME_NEVER */
	STEP_EVENT,    /* number: bits */
	STEP_EOF,
	STEP_CLOSED
};

struct step {
	enum step_kind kind;
	unsigned line;
	struct bytes text, label;
	int64_t number;
	enum ask_kind ask;
	enum result result;
	struct bytes fields; /* "name=value name=value" as written */
};

struct script {
	const char *file;
	struct talk_settings settings;
	struct engine_peer peer;
	struct step *steps;
	size_t count;
	struct arena arena;
};

/* INVALID: why says where. */
enum result script_read(const char *file, struct bytes text, struct script *ret,
                        struct why *why) MUST_USE;

/* ---- values ---- */

/* "quoted \r\n\x41", bare, { u32 1 block "x" }, summary "mail"; adjacent strings are one. Takes
 * one from *rest. */
enum result value_take(struct bytes *rest, struct arena *arena, struct bytes *ret,
                       struct why *why) MUST_USE;
/* \r \n \t \0 \\ \" \. \xNN; other octets as they are. In a pattern `...` becomes WILD. */
struct bytes value_unescape(struct bytes text, bool pattern, struct arena *arena);
/* WILD octets in the pattern match anything. */
bool value_matches(struct bytes pattern, struct bytes text);
enum { WILD = 0x1a };

enum ask_kind ask_kind_named(struct bytes name); /* ASK_NONE: there is no such */
enum result result_named(struct bytes name, enum result *ret);
/* Sets fields of an answer from "name=value ...". */
enum result answer_fill(struct answer *a, struct bytes fields, struct arena *arena,
                        struct why *why) MUST_USE;
/* Compares the fields named. */
enum result ask_compare(const struct ask *a, struct bytes fields, struct arena *arena,
                        struct why *why) MUST_USE;
/* "ROUTE rcpt=ken@example.test size=0" for people and for comparing plays. */
void ask_print(const struct ask *a, struct buf *out);
void print_escaped(struct bytes b, struct buf *out);

/* ---- playing ---- */

enum split { SPLIT_WHOLE, SPLIT_BYTES, SPLIT_RANDOM };

/* What was said, for comparing one play with another. */
struct record {
	struct buf output, asks;
};

/* INVALID: why says which line and what was there instead. */
enum result script_play(const struct script *s, enum split split, uint64_t seed, struct record *ret,
                        struct why *why) MUST_USE;

#endif
