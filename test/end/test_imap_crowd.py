"""Several clients at once in one mailbox, each doing anything at random, each keeping count of what it was told.

What a session is told must always add up: EXISTS never shrinks, EXPUNGE names a mail that is there and never comes during
FETCH, STORE or SEARCH (RFC 9051, 7.5.1), a sequence number keeps its UID, and when all are quiet all see the same.
A seed repeats what each client does; how they interleave is chance.
"""
import random
import re
import socket
import threading
import time

import pytest
from talk import PASSWORD
from talk import imap, message, token

pytestmark = pytest.mark.asan

SECONDS = 6
CLIENTS = 6
FLAGS = (r"\Seen", r"\Flagged", r"\Answered", r"\Deleted", "$Work", "$Later")


class Client:
    def __init__(self, h, user, mailbox, seed):
        self.sock = socket.create_connection(("127.0.0.1", h.port("imap")), 30)
        self.file = self.sock.makefile("rb")
        self.rng = random.Random(seed)
        self.number, self.mailbox = 0, mailbox
        self.uids, self.flags = [], {}
        self.history, self.gone = [], 0
        self.file.readline()
        self.do(f'LOGIN {user}@{h.domain} "{PASSWORD}"')
        self.select()

    def line(self):
        """One response with its literals."""
        out = self.file.readline()
        assert out.endswith(b"\r\n"), f"closed: {self.history[-5:]}"
        m = re.search(rb"\{(\d+)\}\r\n$", out)
        while m:
            out += self.file.read(int(m[1]))
            more = self.file.readline()
            out += more
            m = re.search(rb"\{(\d+)\}\r\n$", more)
        return out

    def do(self, command, literal=None, fresh=False):
        self.number += 1
        tag = b"t%d" % self.number
        self.history.append(command[:100])
        if fresh:
            self.uids, self.flags = [], {}
        octets = tag + b" " + command.encode()
        if literal is not None:
            octets += b" {%d+}\r\n" % len(literal) + literal
        self.sock.sendall(octets + b"\r\n")
        return self.until(tag, command)

    def until(self, tag, command):
        quiet = re.match(r"(FETCH|STORE|SEARCH)\b", command)
        while True:
            line = self.line()
            if line.startswith(tag):
                return line
            self.untagged(line, quiet)

    def untagged(self, line, quiet=False):
        m = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH)\b(.*)", line, re.S)
        if not m:
            return
        n, what = int(m[1]), m[2]
        where = f"{line[:80]!r} after {self.history[-6:]}"
        if what == b"EXISTS":
            assert n >= len(self.uids), f"EXISTS shrinks from {len(self.uids)}: {where}"
            self.uids += [None] * (n - len(self.uids))
        elif what == b"EXPUNGE":
            assert not quiet, f"EXPUNGE during {self.history[-1]}"
            assert 1 <= n <= len(self.uids), where
            self.flags.pop(self.uids.pop(n - 1), None)
            self.gone += 1
        else:
            assert 1 <= n <= len(self.uids), where
            uid = re.search(rb"\bUID (\d+)", m[3])
            flags = re.search(rb"FLAGS \(([^)]*)\)", m[3])
            if uid:
                assert self.uids[n - 1] in (None, int(uid[1])), f"{n} was {self.uids[n - 1]}: {where}"
                self.uids[n - 1] = int(uid[1])
            if flags and self.uids[n - 1]:
                self.flags[self.uids[n - 1]] = frozenset(flags[1].split()) - {rb"\Recent"}

    def select(self):
        assert b" OK" in self.do(f"SELECT {self.mailbox}", fresh=True)
        self.look()

    def look(self):
        """All UIDs and flags; what was known must agree."""
        count = len(self.uids)
        if count:
            reply = self.do("FETCH 1:* (UID FLAGS)")
            assert b" OK" in reply, reply
            silent = [i for i, u in enumerate(self.uids[:count]) if u is None]
            if silent:  # somebody removed them just now, and says so next (RFC 2180, 4.1)
                self.gone = 0
                self.do("NOOP")
                assert self.gone >= len(silent), f"{len(silent)} mails gave no answer and are not gone: {self.history[-5:]}"
                self.look()
        known = [u for u in self.uids if u]
        assert known == sorted(set(known)), f"UIDs out of order: {known}"

    def some(self):
        n = len(self.uids)
        a, b = sorted((self.rng.randint(1, n), self.rng.randint(1, n)))
        return f"{a}:{min(b, a + 5)}"

    def step(self, other):
        r = self.rng.random()
        if r < 0.15 or not self.uids:
            flags = self.rng.choice(FLAGS[:3])
            reply = self.do(f"APPEND {self.mailbox} ({flags})", message(token("crowd")).encode())
            assert b" OK" in reply, reply
        elif r < 0.45:
            silent = self.rng.choice(("", ".SILENT"))
            sign = self.rng.choice("+-")
            flags = " ".join(self.rng.sample(FLAGS, self.rng.randint(1, 2)))
            uid = self.rng.random() < 0.5
            reply = self.do(f"STORE {self.some()} {sign}FLAGS{silent} ({flags})") if not uid else \
                self.do(f"UID STORE {self.known()} {sign}FLAGS{silent} ({flags})")
            if silent and b" OK" in reply:
                self.look()
        elif r < 0.55:
            self.do("EXPUNGE")
        elif r < 0.62:
            self.do(f"{self.rng.choice(('UID ', ''))}COPY {self.known()} {other}" if self.rng.random() < 0.5
                    else f"COPY {self.some()} {other}")
        elif r < 0.67:
            self.do(f"MOVE {self.some()} {other}")
        elif r < 0.80:
            self.do(f"FETCH {self.some()} (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)] MODSEQ)")
        elif r < 0.86:
            self.do("SEARCH UNSEEN NOT DELETED")
        elif r < 0.92:
            self.do("NOOP")
        elif r < 0.97:
            self.look()
        else:
            self.idle()

    def known(self):
        known = [u for u in self.uids if u]
        return str(self.rng.choice(known)) if known else "1"

    def idle(self):
        self.number += 1
        tag = b"t%d" % self.number
        self.history.append("IDLE")
        self.sock.sendall(tag + b" IDLE\r\n")
        line = self.line()
        while not line.startswith(b"+"):
            self.untagged(line)
            line = self.line()
        time.sleep(self.rng.random() * 0.05)
        self.sock.sendall(b"DONE\r\n")
        self.until(tag, "IDLE")


@pytest.mark.parametrize("seed", [1, 2])
def test_crowd(hikyaku, seed):
    boxes = [token("Crowd"), token("Other")]
    c = imap(hikyaku, "taro")
    for box in boxes:
        assert c.create(box)[0] == "OK"
    for n in range(20):
        c.append(boxes[0], None, None, message(f"start {n}").encode())
    problems, clients = [], []

    def run(n):
        try:
            client = Client(hikyaku, "taro", boxes[n % 2 if n > 3 else 0], seed * 100 + n)
            clients.append(client)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end and not problems:
                client.step(boxes[1] if client.mailbox == boxes[0] else boxes[0])
        except Exception as e:
            problems.append(f"client {n}: {type(e).__name__}: {e}")

    threads = [threading.Thread(target=run, args=(n,)) for n in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(SECONDS + 40)
    assert not any(t.is_alive() for t in threads), "a client hangs"
    assert not problems, "\n".join(problems)
    for box in boxes:
        same = [client for client in clients if client.mailbox == box]
        for client in same:
            assert b" OK" in client.do("NOOP")
        for client in same:
            told = (list(client.uids), dict(client.flags))
            client.look()
            assert [a for a, b in zip(told[0], client.uids) if a not in (None, b)] == []
            stale = {u: (f, client.flags.get(u)) for u, f in told[1].items() if client.flags.get(u) != f}
            assert not stale, f"flags that changed and were not told: {stale}"
        views = {(tuple(client.uids), tuple(sorted((u, tuple(sorted(f))) for u, f in client.flags.items())))
                 for client in same}
        assert len(views) == 1, "they see different mailboxes"
    for client in clients:
        client.sock.close()
    for box in boxes:
        c.delete(box)
    c.logout()
