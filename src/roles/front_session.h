/* Inside of the front: its state and its connections. Seen by front.c and front_session.c only. */
#ifndef ROLES_FRONT_SESSION_H
#define ROLES_FRONT_SESSION_H

#include "base/map.h"
#include "crypto/tls.h"
#include "roles/deadlines.h"
#include "roles/front.h"
#include "sys/socket.h"

enum { FRONT_ROOM = 64 * 1024 };

struct listener;

/* What sessions that began under one configuration share. */
struct front_generation {
	struct front *front;
	struct role_config *config;
	struct tls_context *tls; /* NULL: no certificate */
	void **options;          /* one a protocol */
	unsigned holders;
};

struct front {
	struct role_context *role;
	const struct front_protocol *protocols;
	size_t protocol_count;
	struct front_generation *generation;
	struct remote_signer signer;
	struct listener *listeners;
	struct connection *connections; /* all that are not freed yet */
	size_t count;
	struct map sessions;  /* session -> connection */
	struct map addresses; /* network -> how many */
	struct deadlines deadlines;
	time_ms timer_at; /* when timer fires; TIME_NEVER: not set */
	struct loop_timer *timer, *pause, *ticket_timer, *grants_timer, *keys_timer, *stop_timer;
	char *room;        /* FRONT_ROOM octets: every socket is read into it */
	struct buf plain;  /* between calls empty: what a read decrypts to */
	struct buf cipher; /* between calls empty: what is sent with TLS */
	struct buf ticket_keys;
	uint64_t session; /* of the front's own asks */
	uint32_t number;
	bool grants_missing; /* the store was restarted and does not know our sessions yet */
	unsigned key_checks; /* of this generation */
	bool keys_missing;   /* keeper has no key to a certificate of this generation */
	time_ms sign_again; /* keeper has let a signature wait too long: none is asked for until then */
	bool keeper_away; /* it died: handshakes wait for the next one */
	bool stopping;
};

enum connection_phase {
	PHASE_PROXY,
	PHASE_BANNED,
	PHASE_HANDSHAKE,
	PHASE_RUN,
	PHASE_LINGER,
	PHASE_DEAD
};

struct connection {
	struct front *front;
	struct connection *next, **prev;
	const struct front_protocol *protocol;
	struct front_generation *generation;
	struct engine *engine; /* NULL before implicit TLS is up, and when all is over */
	struct tls *tls;
	struct loop_watch *watch;
	struct loop_task task; /* pump at the end of the round; or free, when dead */
	struct deadline deadline;
	struct socket_peer peer;
	struct ip network; /* of a local one: its uid */
	uint32_t uid;      /* of a local one */
	uint64_t session;
	struct buf in;       /* plaintext that the engine has not taken; empty when idle */
	struct buf out;      /* octets that the socket has not taken, besides the engine's output */
	uint32_t tls_number; /* of the TLS_START ask */
	time_ms stalled_since; /* the socket takes nothing; 0: it does */
	int fd;
	uint8_t phase;   /* enum connection_phase */
	uint8_t watched; /* enum loop_events */
	bool eof;        /* the peer sends no more */
	bool let_in;     /* it is not banned, or nobody knows */
	bool sniffed;    /* its first octets were looked at */
	bool tls_asked;
	bool counted;
	bool local;                   /* a program of this machine on run/submit.sock */
	bool told_store, told_keeper; /* they may know this session */
	bool granted, grant_forgotten;
};

/* front.c */
bool front_count_in(struct front *f, struct connection *c); /* false: too many from there */
void front_count_out(struct front *f, struct connection *c);
void front_generation_drop(struct front_generation **generation);
void front_timer(struct front *f); /* after a deadline has been set */
void front_stop_now(void *context);

/* front_session.c */
void front_refuse(struct front *f, const struct front_protocol *p, int fd, const char *from,
                  const char *limit);
void connection_begin(struct front *f, const struct front_protocol *p, int fd,
                      const struct socket_peer *peer, bool proxy);
/* Whose connection it is, for the log: an address, or "local uid=1000". */
const char *connection_from(const struct connection *c, char out[IP_TEXT]);
void connection_answer(struct connection *c, const struct answer *a);
void connection_offended(struct connection *c, const struct answer *a); /* to OFFENCE */
void connection_event(struct connection *c, unsigned events);
void connection_overdue(struct connection *c);
void connection_kill(struct connection *c);
void connection_keeper_back(struct connection *c);

#endif
