/* What crosses descriptor 3 between master and a role: orders downward, reports upward. One message each, with at
 * most one descriptor. roles/role.c, roles/master.c and roles/config_reader.c alone use it. */
#ifndef ROLES_ORDERS_H
#define ROLES_ORDERS_H

#include "base/buf.h"
#include "base/ip.h"
#include "base/limits.h"
#include "base/wire.h"
#include "sys/sandbox.h"

enum { ORDERS_FD = 3 };

enum order_kind {
	ORDER_START = 1,      /* worker, workers, number: uid of DIR's owner */
	ORDER_FOLDER,         /* text: its name; fd */
	ORDER_CONFIG,         /* number: generation; fd: sealed memory file */
	ORDER_LISTENER,       /* protocol, ip, port, text: its name; fd */
	ORDER_LISTENER_CLOSE, /* protocol, ip, port */
	ORDER_CHANNEL,        /* role, worker of the peer; fd */
	ORDER_SIGN,           /* role, worker of the peer; fd: the synchronous channel */
	ORDER_LOCK,           /* store: fd of run/lock; held as long as the process lives */
	ORDER_GO,             /* that was all: walls up, start */
	ORDER_STOP,
	ORDER_REPLY, /* number, result, text: to REPORT_REQUEST */

	REPORT_READY,    /* walls */
	REPORT_TAKEN,    /* number: generation */
	REPORT_BROKEN,   /* role, worker of a peer that broke its channel, text: how */
	REPORT_FAILED,   /* text: why this process ends */
	REPORT_REQUEST,  /* number, protocol: enum role_master_verb */
	REPORT_SETTINGS, /* reader: settings */
	REPORT_LISTENER, /* reader: protocol, ip, port, text: its name */
	REPORT_CHUNK,    /* reader: text: the next piece of the encoded configuration */
	REPORT_DONE,     /* reader: it is complete and right */
	ORDER_KIND_END,
};

/* What master itself needs of the configuration. */
struct order_settings {
	uint32_t uid_base;
	bool sandbox_required;
	uint8_t workers_mx, workers_access, workers_sorter;
};

/* In the ranges of config/options.def. Master believes no other: its reader has read what others wrote. */
bool order_settings_fit(const struct order_settings *s);

/* One struct for all; a kind uses the fields that its comment names. text borrows. */
struct order {
	enum order_kind kind;
	uint32_t role;
	uint8_t worker, workers;
	uint64_t number;
	uint8_t protocol;
	uint8_t result;
	uint16_t port;
	struct ip ip;
	struct bytes text;
	struct sandbox_report walls;
	struct order_settings settings;
};

/* On a blocking or non-blocking fd; passed -1: no descriptor. UNAVAILABLE, LOST as socket_send_fd. */
enum result order_send(int fd, const struct order *o, int passed) MUST_USE;
/* room: LIMIT_MESSAGE octets, where text lies. *ret_passed is -1 or a new descriptor. INVALID: it does not decode. */
enum result order_receive(int fd, char *room, struct order *ret, int *ret_passed) MUST_USE;

void order_encode(const struct order *o, struct buf *out);
enum result order_decode(struct bytes in, struct order *ret) MUST_USE;

#endif
