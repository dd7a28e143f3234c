"""A name server that says exactly what a test tells it, over UDP and TCP; also nothing at all, or an error.

    with ScriptedDns({"example.test": {"TXT": ["v=spf1 -all"], "MX": [(10, "mx.example.test")]},
                      "slow.test": TIMEOUT, "broken.test": 2}) as dns:
        run("hikyaku", "check", "spf", "--dns", dns.address, ...)
        assert dns.asked == [("example.test", "TXT")]

A name that is not there is NXDOMAIN, unless a longer one is below it. A TXT record may be a list of strings. Values of names are
dicts, TIMEOUT, or an rcode; the special type "*" in a dict stands for every type that is not listed: TIMEOUT or an rcode.
"""
import ipaddress
import os
import socket
import struct
import threading

TIMEOUT = "TIMEOUT"
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "TLSA": 52, "SPF": 99}
NAMES = {v: k for k, v in TYPES.items()}
NXDOMAIN = 3


def wire_name(name):
    """A name may be longer than the DNS allows: then the last labels are left out, as no real server could say it."""
    out = b""
    for label in name.rstrip(".").split("."):
        raw = label.encode("latin-1")[:63]
        if label:
            out += bytes([len(raw)]) + raw
    return out + b"\0"


def rdata(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind in ("PTR", "CNAME", "NS"):
        return wire_name(value)
    if kind == "MX":
        return struct.pack(">H", int(value[0])) + wire_name(value[1])
    strings = [value] if isinstance(value, str) else value
    out = b""
    for text in strings:
        raw = text.encode("utf-8", "surrogateescape") if not isinstance(text, bytes) else text
        pieces = [raw[i:i + 255] for i in range(0, len(raw), 255)] or [b""]
        out += b"".join(bytes([len(p)]) + p for p in pieces)
    return out


def read_name(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    return ".".join(labels), at + 1


class ScriptedDns:
    def __init__(self, zone, host="127.0.0.1", port=0, ttl=60):
        self.ttl = ttl
        self.zone = {k.lower().rstrip("."): v for k, v in zone.items()}
        self.asked = []
        self.host, self.wanted = host, port

    # ---- what to say ----

    def look_up(self, name, kind):
        """(rcode, records as (type, rdata)), or None for silence."""
        entry = self.zone.get(name.lower())
        if entry is None:
            below = any(k.endswith("." + name.lower()) for k in self.zone)
            return (0 if below else NXDOMAIN), []
        if entry == TIMEOUT:
            return None
        if isinstance(entry, int):
            return entry, []
        if kind in entry:
            return 0, [(kind, rdata(kind, v)) for v in entry[kind]]
        if "CNAME" in entry:
            target = entry["CNAME"][0]
            further = self.look_up(target, kind)
            return None if further is None else (further[0], [("CNAME", rdata("CNAME", target))] + further[1])
        rest = entry.get("*", 0)
        return None if rest == TIMEOUT else (rest, [])

    def reply(self, packet, room):
        name, at = read_name(packet, 12)
        kind = NAMES.get(struct.unpack(">H", packet[at:at + 2])[0], "?")
        self.asked.append((name.lower(), kind))
        said = self.look_up(name, kind)
        if said is None:
            return None
        question, owner, body = packet[12:at + 4], name, b""
        for k, data in said[1]:
            body += wire_name(owner) + struct.pack(">HHIH", TYPES[k], 1, self.ttl, len(data)) + data
            if k == "CNAME":
                owner = self.zone_name(data)
        cut = 12 + len(question) + len(body) > room
        head = packet[:2] + struct.pack(">HHHHH", 0x8580 | said[0] | (0x0200 if cut else 0), 1, 0 if cut else len(said[1]), 0, 0)
        return head + question + (b"" if cut else body)

    @staticmethod
    def zone_name(data):
        return read_name(data, 0)[0]

    # ---- the sockets ----

    def serve_udp(self):
        while True:
            try:
                packet, peer = self.udp.recvfrom(4096)
                out = self.reply(packet, 1232)
                if out:
                    self.udp.sendto(out, peer)
            except (OSError, ValueError, IndexError):
                return

    def serve_tcp(self):
        while True:
            try:
                s, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.talk_tcp, args=(s,), daemon=True).start()

    def talk_tcp(self, s):
        with s:
            while True:
                head = s.recv(2)
                if len(head) < 2:
                    return
                out = self.reply(s.recv(struct.unpack(">H", head)[0]), 65535)
                if out:
                    s.sendall(struct.pack(">H", len(out)) + out)

    def bind(self):
        for _ in range(50):
            port = self.wanted or int(os.environ.get("HIKYAKU_DNS_PORT", "25300")) + struct.unpack(">H", os.urandom(2))[0] % 600
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.udp.bind((self.host, port))
                self.tcp.bind((self.host, port))
                self.tcp.listen(20)
                return port
            except OSError:
                self.udp.close()
                self.tcp.close()
        raise RuntimeError("no free port for a name server")

    def start(self):
        self.port = self.bind()
        self.address = f"{self.host}:{self.port}"
        for target in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=target, daemon=True).start()
        return self

    def stop(self):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()
