/* Domains that are meant to be taken for another: "examp1e.test", "exarnple.test", "еxample.test" with a Cyrillic е,
 * "example.test.evil.test", "example-login.test".
 *
 *	if (lookalike_of(domain, ours, &arena) != LOOKALIKE_NONE) ...
 *
 * Without a list of public suffixes: the name that somebody registered is taken to be the last two labels, or three where the
 * last two are as short as in co.jp. */
#ifndef POLICY_LOOKALIKE_H
#define POLICY_LOOKALIKE_H

#include "base/arena.h"

enum lookalike {
	LOOKALIKE_NONE,
	LOOKALIKE_NEAR,   /* one letter more, less, changed or swapped */
	LOOKALIKE_INSIDE, /* the other's name is a part of it */
	LOOKALIKE_SAME,   /* the eye does not tell them apart */
};

/* Both canonical. One that is the other, or lies below it, is none. */
enum lookalike lookalike_of(struct bytes domain, struct bytes ours, struct arena *arena);

/* The registered name as guessed: "example.co.jp" of "www.example.co.jp". */
struct bytes lookalike_base(struct bytes domain);
/* Do both most likely belong to the same people? */
bool lookalike_same_owner(struct bytes a, struct bytes b);

#endif
