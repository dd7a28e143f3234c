#include "roles/orders.h"

#include "sys/socket.h"

static void encode_walls(const struct sandbox_report *w, struct buf *out)
{
	buf_u8(out, w->seccomp);
	buf_u8(out, (uint8_t)w->landlock_abi);
	buf_u8(out, w->ports);
	buf_u8(out, w->scoped);
	buf_u8(out, w->off);
}

static struct sandbox_report decode_walls(struct wire *w)
{
	struct sandbox_report r = {0};

	r.seccomp = wire_u8(w);
	r.landlock_abi = wire_u8(w);
	r.ports = wire_u8(w);
	r.scoped = wire_u8(w);
	r.off = wire_u8(w);
	return r;
}

static void encode_settings(const struct order_settings *s, struct buf *out)
{
	buf_u32(out, s->uid_base);
	buf_u8(out, s->sandbox_required);
	buf_u8(out, s->workers_mx);
	buf_u8(out, s->workers_access);
	buf_u8(out, s->workers_sorter);
}

static struct order_settings decode_settings(struct wire *w)
{
	struct order_settings s = {0};

	s.uid_base = wire_u32(w);
	s.sandbox_required = wire_u8(w);
	s.workers_mx = wire_u8(w);
	s.workers_access = wire_u8(w);
	s.workers_sorter = wire_u8(w);
	return s;
}

static bool fits_workers(uint8_t count)
{
	return count >= 1 && count <= 32;
}

bool order_settings_fit(const struct order_settings *s)
{
	return s->uid_base >= 1000 && s->uid_base <= 4294900000 && fits_workers(s->workers_mx) &&
	       fits_workers(s->workers_access) && fits_workers(s->workers_sorter);
}

void order_encode(const struct order *o, struct buf *out)
{
	buf_u8(out, (uint8_t)o->kind);
	buf_u32(out, o->role);
	buf_u8(out, o->worker);
	buf_u8(out, o->workers);
	buf_u64(out, o->number);
	buf_u8(out, o->protocol);
	buf_u8(out, o->result);
	buf_u16(out, o->port);
	buf_append(out, bytes_of(o->ip.octets, sizeof(o->ip.octets)));
	encode_walls(&o->walls, out);
	encode_settings(&o->settings, out);
	buf_block(out, o->text);
}

enum result order_decode(struct bytes in, struct order *ret)
{
	struct wire w = wire_of(in);
	struct order o = {0};
	struct bytes ip;

	o.kind = wire_u8(&w);
	o.role = wire_u32(&w);
	o.worker = wire_u8(&w);
	o.workers = wire_u8(&w);
	o.number = wire_u64(&w);
	o.protocol = wire_u8(&w);
	o.result = wire_u8(&w);
	o.port = wire_u16(&w);
	ip = wire_take(&w, sizeof(o.ip.octets));
	o.walls = decode_walls(&w);
	o.settings = decode_settings(&w);
	o.text = wire_block(&w);
	if (w.bad || w.rest.len > 0 || o.kind == 0 || o.kind >= ORDER_KIND_END ||
	    o.result >= RESULT_COUNT)
		return INVALID;
	memcpy(o.ip.octets, ip.ptr, sizeof(o.ip.octets));
	*ret = o;
	return OK;
}

enum result order_send(int fd, const struct order *o, int passed)
{
	struct buf out = {0};
	enum result r;

	order_encode(o, &out);
	r = buf_len(&out) > LIMIT_MESSAGE ? TOO_BIG : socket_send_fd(fd, buf_bytes(&out), passed);
	buf_done(&out);
	return r;
}

enum result order_receive(int fd, char *room, struct order *ret, int *ret_passed)
{
	size_t len = 0;
	int passed = -1;
	enum result r = socket_receive_fd(fd, room, LIMIT_MESSAGE, &len, &passed);

	if (r == OK)
		r = order_decode(bytes_of(room, len), ret);
	if (r != OK) {
		socket_close(&passed);
		return r;
	}
	*ret_passed = passed;
	return OK;
}
