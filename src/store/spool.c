/* Sessions and what they have under way: mails that come in pieces, before a COMMIT, APPEND or
 * SORTED
 * makes them durable. In memory as long as they are small, then in a file without a name. */
#include "store/internal.h"

/* ---- sessions ---- */

/* What a front that keeps to its limits can have; one that was taken over must not fill our memory or use up our descriptors. */
enum { SESSIONS_BESIDE_CONNECTIONS = 64, SPOOLS_MAX = 16 };

/* Counted only when there are that many in all. */
static bool has_too_many(struct store *s, struct store_peer from)
{
	size_t max = s->config->connections_total + SESSIONS_BESIDE_CONNECTIONS, count = 0;
	struct map_entry *e;

	if (s->sessions.count < max)
		return false;
	for (size_t at = 0; (e = map_each(&s->sessions, &at));) {
		const struct session *session = e->value;

		count += session->peer.role == from.role && session->peer.worker == from.worker;
	}
	return count >= max;
}

struct session *session_get(struct store *s, struct store_peer from, uint64_t id, bool make)
{
	struct session *session = map_get_u64(&s->sessions, id);

	if (session)
		return session->peer.role == from.role && session->peer.worker == from.worker
		               ? session
		               : NULL;
	if (!make || has_too_many(s, from))
		return NULL;
	session = NEW(struct session);
	session->id = id;
	session->peer = from;
	map_put_u64(&s->sessions, id, session);
	return session;
}

static void spool_free(struct store *s, struct spool *spool)
{
	s->spool_octets -= spool->file ? 0 : spool->size;
	buf_done(&spool->memory);
	file_close(&spool->file);
	memory_free(spool);
}

static void session_release(struct store *s, struct session *session)
{
	while (session->spools) {
		struct spool *spool = session->spools;

		session->spools = spool->next;
		spool_free(s, spool);
	}
	memory_free(session);
}

/* Locked. A session whose spool a job has lives on, unreachable, until that job is done. */
void session_end(struct store *s, struct session *session)
{
	watch_drop(s, session);
	map_remove_u64(&s->sessions, session->id);
	session->ended = true;
	if (session->busy == 0)
		session_release(s, session);
}

enum result run_session_end(struct store *s, struct job *j, struct why *why)
{
	struct session *session = session_get(s, j->from, j->ask.session, false);

	(void)why;
	if (session)
		session_end(s, session);
	return OK;
}

/* ---- spools ---- */

static size_t count_spools(const struct session *session)
{
	size_t count = 0;

	for (const struct spool *spool = session->spools; spool; spool = spool->next)
		count++;
	return count;
}

struct spool *spool_find(struct session *session, uint32_t number)
{
	struct spool *spool = session->spools;

	while (spool && spool->number != number)
		spool = spool->next;
	return spool;
}

static enum result to_file(struct store *s, struct spool *spool, struct why *why)
{
	enum result result = file_open_unnamed(s->fs, ".", &spool->file, why);

	if (result != OK)
		return result;
	result = file_write(spool->file, 0, buf_bytes(&spool->memory), why);
	s->spool_octets -= spool->size;
	buf_done(&spool->memory);
	return result;
}

static enum result spool_add(struct store *s, struct spool *spool, struct bytes chunk,
                             struct why *why)
{
	enum result result = OK;

	if (!spool->file && (spool->size + chunk.len > s->config->store_spool_mail ||
	                     s->spool_octets + chunk.len > s->config->store_spool_memory))
		result = to_file(s, spool, why);
	if (result != OK)
		return result;
	if (spool->file) {
		result = file_write(spool->file, spool->size, chunk, why);
	} else {
		buf_append(&spool->memory, chunk);
		s->spool_octets += chunk.len;
	}
	spool->size += chunk.len;
	return result;
}

enum result run_spool(struct store *s, struct job *j, struct why *why)
{
	const struct ask_spool *a = &j->ask.spool;
	struct session *session = session_get(s, j->from, j->ask.session, true);
	struct spool *spool;
	enum result result;

	if (!session)
		return why_set(why, DENIED, "that is another process's session");
	if (a->chunk.len == 0 || a->chunk.len > LIMIT_CHUNK)
		return why_set(why, INVALID, "a chunk of %zu octets", a->chunk.len);
	spool = spool_find(session, a->spool);
	if (!spool && count_spools(session) >= SPOOLS_MAX)
		return why_set(why, INVALID, "more than %d mails at once", SPOOLS_MAX);
	if (!spool) {
		spool = NEW(struct spool);
		spool->number = a->spool;
		spool->next = session->spools;
		session->spools = spool;
	}
	if (spool->busy)
		return why_set(why, INVALID, "spool %u is being committed", a->spool);
	if (spool->size + a->chunk.len > s->config->smtp_message_max + LIMIT_CHUNK)
		return why_set(why, TOO_BIG, "the mail is larger than message-size");
	result = spool_add(s, spool, a->chunk, why);
	if (result != OK)
		spool_drop(s, session, a->spool);
	return result;
}

void spool_drop(struct store *s, struct session *session, uint32_t number)
{
	struct spool **at = &session->spools;

	while (*at && (*at)->number != number)
		at = &(*at)->next;
	if (*at && !(*at)->busy) {
		struct spool *spool = *at;

		*at = spool->next;
		spool_free(s, spool);
	}
}

enum result run_spool_drop(struct store *s, struct job *j, struct why *why)
{
	struct session *session = session_get(s, j->from, j->ask.session, false);

	(void)why;
	if (session)
		spool_drop(s, session, j->ask.spool_drop.spool);
	return OK;
}

enum result spool_borrow(struct store *s, struct job *j, uint32_t number, struct why *why)
{
	struct session *session = session_get(s, j->from, j->ask.session, false);
	struct spool *spool = session ? spool_find(session, number) : NULL;

	if (!spool || spool->busy)
		return why_set(why, NOT_FOUND, "there is no spool %u", number);
	spool->busy = true;
	session->busy++;
	j->session = session;
	j->spool = spool;
	return OK;
}

/* Used up when the answer is OK; else the session may try again. */
void spool_return(struct store *s, struct job *j)
{
	struct session *session = j->session;

	if (!j->spool)
		return;
	j->spool->busy = false;
	if (j->answer.result == OK)
		spool_drop(s, session, j->spool->number);
	j->spool = NULL;
	j->session = NULL;
	if (--session->busy == 0 && session->ended)
		session_release(s, session);
}

/* ---- out of a spool ---- */

static enum result each_piece(struct spool *spool, struct buf *room, uint64_t *at,
                              struct bytes *ret, struct why *why)
{
	size_t got = 0, want = 4 * BLOB_FRAME;
	enum result result;

	if (!spool->file) {
		*ret = *at == 0 ? buf_bytes(&spool->memory) : (struct bytes){0};
		*at += ret->len;
		return OK;
	}
	buf_clear(room);
	result = file_read(spool->file, *at, buf_room(room, want), want, &got, why);
	buf_added(room, result == OK ? got : 0);
	*ret = buf_bytes(room);
	*at += ret->len;
	return result;
}

enum result spool_pack(struct store *s, struct job *j, struct bytes before, uint64_t id,
                       struct why *why)
{
	struct buf room = {0};
	struct bytes piece;
	uint64_t at = 0;
	enum result result;

	blob_writer_feed(&s->packer, before, &j->block);
	while ((result = each_piece(j->spool, &room, &at, &piece, why)) == OK && piece.len)
		blob_writer_feed(&s->packer, piece, &j->block);
	blob_writer_finish(&s->packer, id, &j->block);
	buf_done(&room);
	return result;
}

enum result spool_pack_file(struct store *s, struct job *j, struct bytes before, struct why *why)
{
	struct blob_file *f;
	struct buf room = {0};
	struct bytes piece;
	uint64_t at = 0;
	enum result result = blob_file_new(s->log, &f, why);

	if (result != OK)
		return result;
	result = blob_file_feed(f, before, why);
	while (result == OK && (result = each_piece(j->spool, &room, &at, &piece, why)) == OK &&
	       piece.len)
		result = blob_file_feed(f, piece, why);
	buf_done(&room);
	if (result != OK) {
		blob_file_drop(&f);
		return result;
	}
	result = blob_file_finish(&f, &j->place, why);
	j->placed = result == OK;
	return result;
}
