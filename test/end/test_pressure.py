"""Clients that dribble, that do not read, that send too much at once, that vanish: others are served, memory stays small."""
import os
import poplib
import random
import re
import socket
import struct
import threading
import time

import pytest
from instance import wait_for
from talk import Smtp, find, imap, message, pop, send, subjects, token

pytestmark = pytest.mark.asan
MIB = 1024 * 1024


def rss(pid):
    """Resident octets; 0 with a sanitizer, whose quarantine says nothing about us."""
    if os.environ.get("HIKYAKU_WALLS") == "off" or os.environ.get("HIKYAKU_ASAN"):
        return 0
    return int(re.search(r"^VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read(), re.M)[1]) * 1024


def raw(h, protocol, timeout=30):
    s = socket.create_connection(("127.0.0.1", h.port(protocol)), timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def read_until(s, end, got=b""):
    while end not in got:
        more = s.recv(1 << 20)
        assert more, got[-200:]
        got += more
    return got


def test_octet_by_octet(hikyaku):
    subject = token("dribble")
    s = raw(hikyaku, "smtp")
    for octet in (b"EHLO client.example.org\r\nMAIL FROM:<someone@example.org>\r\nRCPT TO:<ken@example.test>\r\nDATA\r\n"
                  + message(subject, "..x\r\n").encode() + b".\r\nQUIT\r\n"):
        s.sendall(bytes([octet]))
    read_until(s, b"\r\n221 ")
    assert find(hikyaku, subject).endswith(b"\r\n\r\n.x\r\n")
    s = raw(hikyaku, "imap")
    for octet in b'a LOGIN ken@example.test {13}\r\n':
        s.sendall(bytes([octet]))
    read_until(s, b"\r\n+ ")
    for octet in b"correct horse\r\nb SELECT INBOX\r\nc UID SEARCH SUBJECT {%d+}\r\n%s\r\nd LOGOUT\r\n" % (
            len(subject), subject.encode()):
        s.sendall(bytes([octet]))
    assert re.search(rb"\* (E)?SEARCH.* \d+\r\n", read_until(s, b"\r\nd OK"))
    s = raw(hikyaku, "pop3")
    for octet in b"USER ken@example.test\r\nPASS correct horse\r\nSTAT\r\nQUIT\r\n":
        s.sendall(bytes([octet]))
    got = b""
    while got.count(b"\n") < 5:
        got += s.recv(4096)
    assert got.count(b"+OK") == 5


def test_everything_at_once(hikyaku):
    """Hundreds of commands in one write, read afterwards."""
    s = raw(hikyaku, "imap")
    s.sendall(b'a LOGIN ken@example.test "correct horse"\r\nb SELECT INBOX\r\n'
              + b"".join(b"n%d NOOP\r\n" % n for n in range(1000)) + b"z LOGOUT\r\n")
    got = read_until(s, b"z OK")
    at = [got.index(b"n%d OK" % n) for n in range(1000)]
    assert at == sorted(at)
    subject = token("burst")
    one = (b"MAIL FROM:<someone@example.org>\r\nRCPT TO:<taro@example.test>\r\nDATA\r\n" + message(subject).encode() + b".\r\n")
    s = raw(hikyaku, "smtp")
    s.sendall(b"EHLO client.example.org\r\n" + one * 100 + b"QUIT\r\n")
    got = read_until(s, b"\r\n221 ")
    assert not [line for line in got.split(b"\r\n") if line[:1] in (b"4", b"5")]
    assert sum(subject in x for x in subjects(hikyaku, "taro")) == 100


def test_a_reader_that_does_not_read(fresh):
    """FETCH of 80 MiB and no recv: the server waits with it, not in memory; others go on; then all of it comes."""
    h = fresh()
    body = ("x" * 76 + "\r\n") * 52000  # 4 MiB
    for _ in range(20):
        send(h, body=body)
    access = h.role_pids("access")[0]
    s = raw(h, "imap", 60)
    s.sendall(b'a LOGIN ken@example.test "correct horse"\r\nb SELECT INBOX\r\n')
    read_until(s, b"b OK")
    before = rss(access)
    s.sendall(b"c FETCH 1:* (BODY.PEEK[])\r\n" * 3)
    time.sleep(1.0)
    subject = send(h)
    assert find(h, subject)
    assert rss(access) - before < 24 * MIB, f"{(rss(access) - before) / MIB:.0f} MiB more"
    total, done, tail = 0, 0, b""
    while done < 3:
        got = s.recv(1 << 20)
        assert got, "closed"
        total += len(got)
        done += (tail[-5:] + got).count(b"\r\nc OK")
        tail = (tail + got)[-5:]
    assert total >= 3 * 20 * len(body)
    assert rss(access) - before < 48 * MIB


def test_many_big_mails_at_once(fresh):
    """30 x 6 MiB at the same time: more than the spool's memory; all arrive, the store's memory stays bounded."""
    h = fresh(settings="store { spool-memory 16m }")
    store = h.role_pids("store")[0]
    body = ("y" * 76 + "\r\n") * 80000
    sent, peak, stop = [], [0], threading.Event()

    def watch():
        while not stop.wait(0.05):
            peak[0] = max(peak[0], rss(store))

    before = rss(store)
    watcher = threading.Thread(target=watch)
    watcher.start()
    threads = [threading.Thread(target=lambda: sent.append(send(h, body=body))) for _ in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    stop.set()
    watcher.join()
    assert len(sent) == 30
    assert sorted(subjects(h)) == sorted(sent)
    assert peak[0] - before < 160 * MIB, f"{(peak[0] - before) / MIB:.0f} MiB more"


def test_vanishing_clients_leave_nothing(fresh):
    h = fresh()
    mx = h.role_pids("mx")[0]
    send(h)
    try:
        before = len(os.listdir(f"/proc/{mx}/fd"))
    except PermissionError:
        pytest.skip("needs root: a role's descriptors are not ours to look into")
    for n in range(40):
        s = Smtp(h)
        s.envelope("ken@example.test")
        assert s.code("DATA") == 354
        s.raw(message(token("half"), "z" * 60 + "\r\n" * 20).encode() * (50 if n % 4 else 3000))
        if n % 2:
            s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    s = raw(h, "imap")
    s.sendall(b'a LOGIN ken@example.test "correct horse"\r\n')
    read_until(s, b"a OK")
    s.sendall(b"b APPEND INBOX {100000+}\r\nSubject: half\r\n")
    s.close()
    assert wait_for(lambda: len(os.listdir(f"/proc/{mx}/fd")) <= before, 5), "their sockets are still open"
    time.sleep(0.3)
    assert len(subjects(h)) == 1
    store = h.role_pids("store")[0]
    assert wait_for(lambda: not [f for f in deleted_files(store)], 5), "unlinked spools are still open"
    send(h)


def deleted_files(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if target.endswith("(deleted)") and "memfd" not in target:
            yield target


def test_half_closed_clients_get_their_answers(hikyaku):
    """`printf ... | nc`: the client shuts its side down and still waits for the replies."""
    subject = token("half")
    s = raw(hikyaku, "smtp")
    s.sendall(b"EHLO client.example.org\r\nMAIL FROM:<someone@example.org>\r\nRCPT TO:<ken@example.test>\r\nDATA\r\n"
              + message(subject).encode() + b".\r\nQUIT\r\n")
    s.shutdown(socket.SHUT_WR)
    got = b""
    while True:
        more = s.recv(65536)
        if not more:
            break
        got += more
    assert b"\r\n221 " in got
    assert find(hikyaku, subject)


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3"])
def test_garbage(hikyaku, protocol):
    """Random octets end in an error or a closed connection, never in silence or a dead process."""
    rng = random.Random(7)
    role = "mx" if protocol == "smtp" else "access"
    before = hikyaku.role_pids(role)
    for _ in range(30):
        s = raw(hikyaku, protocol, 5)
        try:
            s.sendall(bytes(rng.randrange(256) for _ in range(2000)) + b"\r\n")
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError:
            pass
        s.close()
    assert hikyaku.role_pids(role) == before


@pytest.mark.parametrize("protocol", ["imaps", "pop3s"])
def test_garbage_instead_of_tls(hikyaku, protocol):
    before = hikyaku.role_pids("access")
    for octets in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 70000, b"a NOOP\r\n", b""):
        s = raw(hikyaku, protocol, 10)
        try:
            s.sendall(octets)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError:
            pass
    assert hikyaku.role_pids("access") == before
    imap(hikyaku, tls=True).logout()


def test_big_literals_before_login_are_refused(hikyaku):
    """Nobody known may make us keep a megabyte."""
    s = raw(hikyaku, "imap", 10)
    read_until(s, b"\r\n")
    access = hikyaku.role_pids("access")[0]
    before = rss(access)
    s.sendall(b"a LOGIN {500000000}\r\n")
    got = read_until(s, b"\r\n")
    assert got.startswith((b"a BAD", b"a NO", b"* BYE")), got
    s = raw(hikyaku, "imap", 10)
    try:
        s.sendall(b"a LOGIN {500000000+}\r\n" + b"x" * 2000000)
    except ConnectionError:
        pass
    assert rss(access) - before < 8 * MIB


def test_pop3_while_imap_expunges(hikyaku):
    """POP3 shows what was there at login; a mail that somebody else removed meanwhile is -ERR, not another mail."""
    sent = [send(hikyaku, "mari@example.test") for _ in range(3)]
    p = pop(hikyaku, "mari")
    n = p.stat()[0]
    c = imap(hikyaku, "mari")
    c.select("INBOX")
    uid = c.uid("SEARCH", "SUBJECT", sent[0])[1][0].split()[-1].decode()
    c.uid("STORE", uid, "+FLAGS", r"(\Deleted)")
    c.uid("EXPUNGE", uid)
    with pytest.raises(poplib.error_proto):
        p.retr(n - 2)
    assert f"Subject: {sent[1]}".encode() in p.retr(n - 1)[1]
    assert f"Subject: {sent[2]}".encode() in p.retr(n)[1]
    p.quit()
    c.logout()
