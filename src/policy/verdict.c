#include "policy/verdict.h"

#include <stdio.h>
#include <stdlib.h>

enum { TOLD = 100 /* octets of one piece of evidence in why */ };

struct verdict_threshold verdict_threshold_of(const struct config *c, struct bytes rcpt)
{
	uint64_t junk, refuse;

	config_judge_for(c, rcpt, &junk, &refuse);
	return (struct verdict_threshold){(int)junk, (int)refuse};
}

static bool is_operators(const struct evidence *e)
{
	return bytes_starts(e->check, BYTES("milter."));
}

static bool is_proved_history(const struct evidence *e)
{
	return e->says == EVIDENCE_GOOD && bytes_equal(e->check, BYTES("history"));
}

/* A check that is no filter of the operator's own may not refuse or defer whom we know. */
static enum judge_action wanted(const struct verdict *v, const struct evidence *e)
{
	if (e->wants > JUDGE_DEFER && e->says == EVIDENCE_DOUBT)
		return JUDGE_DEFER;
	if (v->known && e->wants > JUDGE_JUNK && !is_operators(e))
		return JUDGE_JUNK;
	return e->wants;
}

enum judge_action verdict_action(const struct verdict *v, const struct verdict_threshold *t)
{
	enum judge_action action = JUDGE_ACCEPT;

	if (t->junk && v->score >= t->junk)
		action = JUDGE_JUNK;
	if (t->refuse && v->score >= t->refuse)
		action = v->known ? JUDGE_JUNK : JUDGE_REFUSE;
	return action > v->wanted ? action : v->wanted;
}

/* ---- in words ---- */

static int by_weight(const void *a, const void *b)
{
	const struct evidence *x = *(const struct evidence *const *)a;
	const struct evidence *y = *(const struct evidence *const *)b;

	if (x->wants != y->wants)
		return x->wants > y->wants ? -1 : 1;
	if (abs(x->points) != abs(y->points))
		return abs(x->points) > abs(y->points) ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void put_points(struct buf *out, int points)
{
	buf_printf(out, "%s%d.%02d", points < 0 ? "-" : "", abs(points) / 100, abs(points) % 100);
}

/* Whole characters only, and nothing that could begin a line. */
static void put_text(struct buf *out, struct bytes text, size_t most)
{
	size_t len = text.len < most ? text.len : most;

	while (len < text.len && len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
		len--;
	for (size_t i = 0; i < len; i++)
		buf_append_char(out, (unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f
		                             ? ' '
		                             : text.ptr[i]);
}

static bool is_told(const struct evidence *e)
{
	return e->points != 0 || e->wants != JUDGE_ACCEPT || e->says == EVIDENCE_DOUBT;
}

static void put_one(struct buf *out, const struct evidence *e)
{
	put_text(out, e->check, EVIDENCE_CHECK);
	buf_append_char(out, ' ');
	put_points(out, e->points);
	if (e->wants > JUDGE_ACCEPT)
		buf_printf(out, " %s", judge_action_name(e->wants));
	if (e->says == EVIDENCE_DOUBT)
		buf_append_text(out, " in doubt");
	if (e->text.len) {
		buf_append_text(out, " (");
		put_text(out, e->text, TOLD);
		buf_append_char(out, ')');
	}
}

static void put_why(struct verdict *v, const struct evidence *const *order, size_t count,
                    const struct verdict_threshold *t, struct arena *arena)
{
	struct buf out = {0};

	put_points(&out, v->score);
	buf_append_text(&out, " of ");
	put_points(&out, t->junk);
	for (size_t i = 0, told = 0; i < count; i++) {
		size_t before = buf_len(&out);

		if (!is_told(order[i]))
			continue;
		buf_append_text(&out, told++ ? ", " : ": ");
		put_one(&out, order[i]);
		if (buf_len(&out) > VERDICT_WHY) {
			buf_truncate(&out, before);
			break;
		}
	}
	v->why = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
}

/* What weighs most against it. */
static void put_reason(struct verdict *v, const struct evidence *const *order, size_t count,
                       struct arena *arena)
{
	struct buf out = {0};

	for (size_t i = 0; i < count && v->action != JUDGE_ACCEPT; i++) {
		const struct evidence *e = order[i];

		if (e->points <= 0 && e->wants == JUDGE_ACCEPT)
			continue;
		put_text(&out, e->check, EVIDENCE_CHECK);
		if (e->text.len) {
			buf_append_text(&out, ": ");
			put_text(&out, e->text, VERDICT_REASON - EVIDENCE_CHECK - 2);
		}
		break;
	}
	v->reason = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
}

void verdict_make(const struct evidence *list, size_t count,
                  const struct verdict_threshold *thresholds, size_t recipients,
                  struct arena *arena, struct verdict *ret)
{
	const struct evidence **order = arena_get(arena, (count + 1) * sizeof(*order));
	struct verdict v = {.action = JUDGE_ACTIONS};
	enum judge_action most = JUDGE_ACCEPT;

	for (size_t i = 0; i < count; i++) {
		order[i] = &list[i];
		v.score += list[i].points;
		v.known = v.known || is_proved_history(&list[i]);
	}
	for (size_t i = 0; i < count; i++) {
		enum judge_action want = wanted(&v, &list[i]);

		v.wanted = want > v.wanted ? want : v.wanted;
	}
	for (size_t i = 0; i < recipients; i++) {
		enum judge_action action = verdict_action(&v, &thresholds[i]);

		v.action = action < v.action ? action : v.action;
		most = action > most ? action : most;
	}
	if (v.action == JUDGE_ACTIONS)
		v.action = v.wanted;
	v.junk = v.action == JUDGE_ACCEPT && most >= JUDGE_JUNK;
	if (count)
		qsort(order, count, sizeof(*order), by_weight);
	put_why(&v, order, count, recipients ? &thresholds[0] : &(struct verdict_threshold){0},
	        arena);
	put_reason(&v, order, count, arena);
	*ret = v;
}
