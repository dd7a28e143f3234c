"""Small clients for what no library does: raw SMTP lines, SCRAM, and finding a mail by its subject."""
import base64
import email
import email.policy
import hashlib
import hmac
import imaplib
import itertools
import os
import poplib
import smtplib
import socket
import ssl
import time


PASSWORD = "correct horse"
counter = itertools.count(int(time.time()) % 100000 * 1000)


def token(what="t"):
    """A word that no other mail has."""
    return f"{what}{next(counter)}x{os.getpid()}"


def insecure():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Smtp:
    """A session of lines: `s.say("NOOP")` is the reply, `(code, text)`."""

    def __init__(self, h, host="127.0.0.1", greet=True, timeout=20):
        self.sock = socket.create_connection((host, h.port("smtp")), timeout)
        self.left = b""
        if greet:
            self.greeting = self.reply()

    def reply(self):
        lines = []
        while True:
            while b"\n" not in self.left:
                got = self.sock.recv(65536)
                if not got:
                    raise EOFError(f"closed after {lines!r}")
                self.left += got
            line, self.left = self.left.split(b"\n", 1)
            assert line.endswith(b"\r"), line
            lines.append(line[:-1].decode("utf-8"))
            if len(line) < 5 or line[3:4] == b" ":
                return int(lines[-1][:3]), "\n".join(lines)

    def raw(self, octets):
        self.sock.sendall(octets)

    def say(self, line):
        self.raw((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.reply()

    def code(self, line):
        return self.say(line)[0]

    def starttls(self):
        assert self.code("STARTTLS") == 220
        self.sock = insecure().wrap_socket(self.sock)

    def envelope(self, to, sender="someone@example.org", ehlo=True):
        if ehlo:
            assert self.code("EHLO client.example.org") == 250
        assert self.code(f"MAIL FROM:<{sender}>") == 250
        for rcpt in [to] if isinstance(to, str) else to:
            assert self.code(f"RCPT TO:<{rcpt}>") in (250, 251)

    def mail(self, to, content, **options):
        """A whole mail; the reply to its final dot."""
        self.envelope(to, **options)
        assert self.code("DATA") == 354
        self.raw(content if isinstance(content, bytes) else content.encode())
        return self.say(".")

    def closed(self):
        """Did the server end the connection? Reads what still comes."""
        try:
            while True:
                got = self.sock.recv(65536)
                if not got:
                    return True
                self.left += got
        except ConnectionError:
            return True
        except (TimeoutError, socket.timeout):
            return False

    def close(self):
        self.sock.close()


def message(subject, body="Hello.\r\n", sender="someone@example.org", to="ken@example.test", headers=""):
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Mon, 23 Nov 2026 12:00:00 +0900\r\n"
            f"Message-ID: <{subject.replace(' ', '.')}@example.org>\r\n{headers}\r\n{body}")


def send(h, to="ken@example.test", subject=None, body="Hello.\r\n", host="127.0.0.1", **options):
    """One mail by smtplib; its subject."""
    subject = subject or token()
    with smtplib.SMTP(host, h.port("smtp"), timeout=20) as s:
        s.sendmail("someone@example.org", to, message(subject, body, **options).encode("utf-8"))
    return subject


def imap(h, user="ken", password=PASSWORD, host="127.0.0.1", tls=False, timeout=30):
    address = user if "@" in user else f"{user}@{h.domain}"
    if tls:
        c = imaplib.IMAP4_SSL(host, h.port("imaps"), ssl_context=insecure(), timeout=timeout)
    else:
        c = imaplib.IMAP4(host, h.port("imap"), timeout=timeout)
    if password.isascii():
        c.login(address, password)
    else:
        c.authenticate("PLAIN", lambda _: f"\0{address}\0{password}".encode())
    return c


def pop(h, user="ken", password=PASSWORD, host="127.0.0.1", tls=False, timeout=30):
    c = (poplib.POP3_SSL(host, h.port("pop3s"), context=insecure(), timeout=timeout) if tls
         else poplib.POP3(host, h.port("pop3"), timeout=timeout))
    c.user(f"{user}@{h.domain}")
    c.pass_(password)
    return c


def subjects(h, user="ken", mailbox="INBOX", password=PASSWORD):
    """All subjects in a mailbox, in order."""
    c = imap(h, user, password)
    try:
        kind, got = c.select(mailbox, readonly=True)
        assert kind == "OK", got
        if got == [b"0"]:
            return []
        kind, got = c.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert kind == "OK", got
        return [str(email.message_from_bytes(part[1])["subject"] or "") for part in got if isinstance(part, tuple)]
    finally:
        c.logout()


def find(h, subject, user="ken", mailbox="INBOX", seconds=10, password=PASSWORD):
    """The octets of the mail with this subject, or None after a while (queued mail takes a moment)."""
    end = time.monotonic() + seconds
    while True:
        c = imap(h, user, password)
        try:
            if c.select(mailbox, readonly=True)[0] == "OK":
                kind, got = c.uid("SEARCH", "SUBJECT", f'"{subject}"')
                assert kind == "OK", got
                if got[0]:
                    uid = got[0].split()[-1].decode()
                    kind, got = c.uid("FETCH", uid, "(BODY.PEEK[])")
                    assert kind == "OK", got
                    return got[0][1]
        finally:
            c.logout()
        if time.monotonic() > end:
            return None
        time.sleep(0.1)


def count(h, subject, user="ken", mailbox="INBOX"):
    return sum(subject in str(s) for s in subjects(h, user, mailbox))


def parse(octets):
    return email.message_from_bytes(octets, policy=email.policy.default)


# ---- SCRAM-SHA-256 (RFC 5802, 7677), the client's side


class Scram:
    """first() goes out, final(server_first) goes out, verify(server_final)."""

    def __init__(self, user, password, binding=None, kind="tls-server-end-point"):
        self.password = password.encode()
        self.gs2 = f"p={kind},," if binding is not None else "n,,"
        self.binding = binding or b""
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"

    def first(self):
        return (self.gs2 + self.bare).encode()

    def final(self, server_first):
        text = server_first.decode()
        parts = dict(p.split("=", 1) for p in text.split(","))
        assert parts["r"].startswith(self.nonce), "the server's nonce is not ours with more"
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(parts["s"]), int(parts["i"]))
        client = hmac.digest(salted, b"Client Key", "sha256")
        bound = base64.b64encode(self.gs2.encode() + self.binding).decode()
        without = f"c={bound},r={parts['r']}"
        auth = ",".join((self.bare, text, without)).encode()
        proof = bytes(a ^ b for a, b in zip(client, hmac.digest(hashlib.sha256(client).digest(), auth, "sha256")))
        self.signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), auth, "sha256")
        return f"{without},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final):
        assert base64.b64decode(server_final.decode().split("v=", 1)[1]) == self.signature, "not the server we think"


def scram_imap(c, user, password, plus=False):
    """AUTHENTICATE on an imaplib connection; the OK or an imaplib.IMAP4.error."""
    binding = None
    if plus:
        binding = hashlib.sha256(c.sock.getpeercert(binary_form=True)).digest()
    s = Scram(user, password, binding)
    steps = iter(("first", "final", "end"))

    def answer(challenge):
        step = next(steps)
        if step == "first":
            return s.first()
        if step == "final":
            return s.final(challenge)
        s.verify(challenge)
        return b""

    return c.authenticate("SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256", answer)
