"""The bench's IMAP client: raw sockets, so that what is timed is the server and not a parser."""
import random
import re
import socket
import ssl
import threading
import time


class Imap:
    def __init__(self, port, tls=False, host="127.0.0.1"):
        self.sock = socket.create_connection((host, port), 120)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)
        self.number = 0
        self.left = b""
        self.octets = 0
        while b"\r\n" not in self.left:
            self.left += self.recv()
        self.left = b""

    def recv(self):
        data = self.sock.recv(1 << 20)
        if not data:
            raise ConnectionError("closed by the server")
        self.octets += len(data)
        return data

    def send(self, line):
        self.number += 1
        tag = b"a%d" % self.number
        self.sock.sendall(tag + b" " + line + b"\r\n")
        return tag

    def wait(self, tag, keep=True):
        """All up to the tagged reply. With keep=False only the end is kept: for answers of tens of MiB."""
        mark = b"\r\n" + tag + b" "
        chunks, end = [], b"\r\n" + self.left
        self.left = b""
        while True:
            at = end.find(mark)
            if at >= 0 and b"\r\n" in end[at + len(mark):]:
                stop = end.index(b"\r\n", at + len(mark)) + 2
                self.left = end[stop:]
                reply = end[at + 2:stop]
                if not reply.startswith(tag + b" OK"):
                    raise RuntimeError(f"{reply.decode(errors='replace').strip()}")
                return b"".join(chunks) + end[:stop] if keep else reply
            if len(end) > 4096:
                if keep:
                    chunks.append(end[:-4096])
                end = end[-4096:]
            end += self.recv()

    def command(self, line, keep=True):
        return self.wait(self.send(line if isinstance(line, bytes) else line.encode()), keep)

    def timed(self, line, keep=False):
        began = time.perf_counter()
        self.command(line, keep)
        return time.perf_counter() - began

    def login(self, user, password):
        return self.command(f'LOGIN "{user}" "{password}"')

    def status(self, mailbox="INBOX"):
        got = self.command(f"STATUS {mailbox} (MESSAGES)")
        return int(re.search(rb"MESSAGES (\d+)", got)[1])

    def select(self, mailbox):
        got = self.command(f"SELECT {mailbox}")
        return int(re.search(rb"\* (\d+) EXISTS", got)[1])

    def append(self, mailbox, mail):
        """One by one: the next goes out when this one is answered. LITERAL+ (RFC 7888), as clients of today."""
        self.number += 1
        tag = b"a%d" % self.number
        self.sock.sendall(tag + b" APPEND %s (\\Seen) {%d+}\r\n" % (mailbox.encode(), len(mail)) + mail + b"\r\n")
        return self.wait(tag, keep=False)

    def append_pipelined(self, mailbox, mails, per_command=1):
        """All at once, replies read meanwhile; per_command > 1 is MULTIAPPEND (RFC 3502)."""
        groups = [mails[i:i + per_command] for i in range(0, len(mails), per_command)]
        first = self.number + 1
        self.number += len(groups)

        def write():
            for n, group in enumerate(groups):
                out = [b"a%d APPEND %s" % (first + n, mailbox.encode())]
                for mail in group:
                    out += [b" (\\Seen) {%d+}\r\n" % len(mail), mail]
                self.sock.sendall(b"".join(out) + b"\r\n")

        thread = threading.Thread(target=write)
        thread.start()
        for n in range(len(groups)):
            self.wait(b"a%d" % (first + n), keep=False)
        thread.join()

    def close(self):
        self.sock.close()


WORDS = """courier post road river bridge ledger station horse lantern rain mountain letter parcel stamp signal night
morning office garden winter summer invoice meeting report schedule contract question answer release version""".split()


def make_mail(n, rng=random):
    """A mail like many: 4.3 KiB in the mean, a third of them multipart/alternative, threads of a few mails."""
    rng = random.Random(n)
    size = min(int(rng.lognormvariate(7.9, 0.75)), 60000)
    text = []
    total = 0
    while total < size:
        line = " ".join(rng.choice(WORDS) for _ in range(9))
        text.append(line)
        total += len(line) + 2
    body = "\r\n".join(text)
    subject = f"{rng.choice(WORDS)} {rng.choice(WORDS)} {n}" + (" zanzibar" if n % 1000 == 7 else "")
    head = (f"From: {rng.choice(WORDS).title()} Sender <sender{n % 500}@example.org>\r\n"
            f"To: Big Box <big@example.test>\r\nSubject: {subject}\r\n"
            f"Date: Mon, 23 Nov 2026 {n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02} +0900\r\n"
            f"Message-ID: <{n}.bench@example.org>\r\n"
            + (f"In-Reply-To: <{n - n % 5}.bench@example.org>\r\n" if n % 5 else "")
            + "MIME-Version: 1.0\r\n")
    if n % 3 == 0:
        boundary = f"=_b{n}"
        body = (f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body[:size // 2]}\r\n"
                f"--{boundary}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{body[size // 2:]}</p>\r\n"
                f"--{boundary}--\r\n")
        head += f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n'
    else:
        head += "Content-Type: text/plain; charset=utf-8\r\n"
    return (head + "\r\n" + body + "\r\n").encode()
