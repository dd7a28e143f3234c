"""A block list on loopback that can go mad: `with MadList("bl.test", listed={"127.0.7.7"}) as l: l.mode = "refuses"`.

	well        by RFC 5782: 127.0.0.2 is listed, 127.0.0.1 is not, and what `listed` says
	refuses     127.255.255.254 to everything: the list says that we ask through a public resolver
	silent      no answer
	everything  127.0.0.2 to everything: who ran it wants to be rid of it
	parked      the address of an advertiser's page to everything: the domain has expired
"""
import ipaddress
import socket
import struct
import threading

ANSWERS = {"refuses": "127.255.255.254", "everything": "127.0.0.2", "parked": "198.51.100.99"}
TTL = 1


def question_name(packet):
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii").lower())
        at += 1 + packet[at]
    return labels, packet[12:at + 5], struct.unpack(">H", packet[at + 1:at + 3])[0]


class MadList:
    def __init__(self, zone, listed=(), mode="well"):
        self.zone, self.listed, self.mode = zone.split("."), set(listed), mode
        self.asked = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def address(self, labels):
        """What is said of the name, or None."""
        if self.mode in ANSWERS:
            return ANSWERS[self.mode]
        try:
            ip = str(ipaddress.ip_address(".".join(reversed(labels))))
        except ValueError:
            return None
        return "127.0.0.2" if ip == "127.0.0.2" or ip in self.listed else None

    def reply(self, packet):
        labels, question, kind = question_name(packet)
        below = labels[:-len(self.zone)]
        apex = not below
        answer, code, authority = b"", 0, b""
        if kind == 1 and not apex and (ip := self.address(below)):
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, TTL, 4) + socket.inet_aton(ip)
        elif apex and kind == 2:
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 2, 1, TTL, 5) + b"\x02ns\xc0\x0c"
        else:
            code = 0 if apex or below == ["ns"] else 3
            zone = b"".join(bytes([len(x)]) + x.encode() for x in self.zone) + b"\0"
            soa = b"\x02ns" + zone + b"\x04host" + zone + struct.pack(">IIIII", 1, 3600, 600, 86400, TTL)
            authority = zone + struct.pack(">HHIH", 6, 1, TTL, len(soa)) + soa
        head = packet[:2] + struct.pack(">HHHHH", 0x8400 | code, 1, bool(answer), bool(authority), 0)
        return head + question + answer + authority

    def serve(self):
        while True:
            try:
                packet, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            self.asked += 1
            if self.mode != "silent":
                self.socket.sendto(self.reply(packet), peer)
