#include "policy/evidence.h"

static const char *const actions[JUDGE_ACTIONS] = {"accept", "junk", "defer", "refuse"};
static const char *const says[EVIDENCE_SAYS] = {"neutral", "good", "bad", "doubt"};

const char *judge_action_name(enum judge_action a)
{
	return (unsigned)a < JUDGE_ACTIONS ? actions[a] : "unknown";
}

const char *evidence_says_name(enum evidence_says s)
{
	return (unsigned)s < EVIDENCE_SAYS ? says[s] : "unknown";
}

static int clamp(int points)
{
	if (points > EVIDENCE_POINTS)
		return EVIDENCE_POINTS;
	return points < -EVIDENCE_POINTS ? -EVIDENCE_POINTS : points;
}

/* Strangers wrote some of it: one line, whole characters. */
static void put_line(struct buf *out, struct bytes text)
{
	size_t len = text.len < EVIDENCE_TEXT ? text.len : EVIDENCE_TEXT;

	while (len < text.len && len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
		len--;
	buf_u32(out, (uint32_t)len);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		buf_append_char(out, c < ' ' || c == 0x7f ? ' ' : (char)c);
	}
}

void evidence_pack(struct buf *out, const struct evidence *e)
{
	buf_block(out, bytes_first(e->check, EVIDENCE_CHECK));
	buf_u8(out, (uint8_t)e->says);
	buf_u16(out, (uint16_t)(clamp(e->points) + EVIDENCE_POINTS));
	buf_u8(out, (uint8_t)e->wants);
	put_line(out, e->text);
}

bool evidence_take(struct wire *w, struct evidence *ret)
{
	struct evidence e = {0};
	unsigned points;

	if (wire_end(w))
		return false;
	e.check = wire_block(w);
	e.says = (enum evidence_says)wire_u8(w);
	points = wire_u16(w);
	e.wants = (enum judge_action)wire_u8(w);
	e.text = wire_block(w);
	if (w->bad || e.check.len == 0 || e.check.len > EVIDENCE_CHECK || e.says >= EVIDENCE_SAYS ||
	    e.wants >= JUDGE_ACTIONS || points > 2 * EVIDENCE_POINTS) {
		w->bad = true;
		return false;
	}
	e.points = (int)points - EVIDENCE_POINTS;
	*ret = e;
	return true;
}
