"""A name server of one answer: `dns_stub.py PORT TEXT` says that TXT record to every question for TXT, and nothing to others."""
import socket
import struct
import sys


def answer(question, text):
    end = 12
    while question[end]:
        end += question[end] + 1
    kind = struct.unpack(">H", question[end + 1:end + 3])[0]
    wants = kind == 16
    head = question[:2] + struct.pack(">HHHHH", 0x8580, 1, int(wants), 0, 0)
    body = head + question[12:end + 5]
    if wants:
        raw = text.encode()
        data = b"".join(bytes([len(raw[i:i + 255])]) + raw[i:i + 255] for i in range(0, len(raw), 255))
        body += b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 60, len(data)) + data
    return body


def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", int(sys.argv[1])))
        print("ready", flush=True)
        while True:
            question, peer = s.recvfrom(4096)
            s.sendto(answer(question, sys.argv[2]), peer)


main()
