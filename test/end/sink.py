"""Another host's SMTP server, scripted: takes mail, or breaks at a stage in a chosen way. Threads, one a connection.

    with Sink(port, ip="127.0.0.11", script={"greeting": "421 4.3.2 later"}) as s:
        ...
        s.mails            what was accepted: Mail(sender, recipients, content, tls, helo, connection)
        s.connections      how many connections there were

`script` maps a stage (greeting ehlo starttls auth mail rcpt data content quit) to what is done there instead of what is right:
    "450 4.2.1 text"        that reply (of data: refuses it; of content: to the final dot)
    STALL                   nothing is said any more
    CLOSE, RESET, HALF      the connection is closed, reset, or shut down for writing
    DRIP                    the right reply, an octet every 30 ms
    a function (session, argument) -> one of these, or None: as is right
"""
import contextlib
import dataclasses
import socket
import ssl
import struct
import threading
import time

STALL, CLOSE, RESET, HALF, DRIP = "STALL", "CLOSE", "RESET", "HALF", "DRIP"


@dataclasses.dataclass
class Mail:
    sender: str
    recipients: list
    content: bytes
    tls: str
    helo: str
    connection: int
    parameters: str = ""
    rcpt_parameters: list = dataclasses.field(default_factory=list)
    peer: str = ""
    at: float = 0


class Gone(Exception):
    pass


class Session:
    def __init__(self, sink, sock, number, peer):
        self.sink, self.sock, self.number, self.peer = sink, sock, number, peer
        self.buffer, self.tls, self.helo = b"", "", ""
        self.sender, self.recipients, self.parameters, self.rcpt_parameters = None, [], "", []
        self.mails = 0

    # ---- octets

    def send(self, text, slowly=False):
        data = "".join(line + "\r\n" for line in text.split("\n")).encode()
        if not slowly:
            self.sock.sendall(data)
            return
        for i in range(len(data)):
            self.sock.sendall(data[i:i + 1])
            if self.sink.stopping.wait(0.03):
                raise Gone

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("utf-8", "surrogateescape")

    def more(self):
        try:
            piece = self.sock.recv(65536)
        except (OSError, ssl.SSLError):
            raise Gone from None
        if not piece:
            raise Gone
        self.buffer += piece

    def content(self):
        while not (self.buffer.startswith(b".\r\n") or b"\r\n.\r\n" in self.buffer):
            reset = self.sink.content_limit
            if reset is not None and len(self.buffer) > reset[0]:
                self.act(reset[1], "")
            self.more()
        if self.buffer.startswith(b".\r\n"):
            body, self.buffer = b"", self.buffer[3:]
        else:
            body, self.buffer = self.buffer.split(b"\r\n.\r\n", 1)
            body += b"\r\n"
        return b"\r\n".join(x[1:] if x.startswith(b".") else x for x in body.split(b"\r\n"))

    # ---- what the script says

    def act(self, what, right):
        """Does what the script says at a stage; True: the reply was a good one."""
        if what is None:
            self.send(right)
            return True
        if what == STALL:
            self.sink.stopping.wait()
            raise Gone
        if what == CLOSE:
            raise Gone
        if what == RESET:
            raw = self.sock
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Gone
        if what == HALF:
            self.sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(Gone):
                while True:
                    self.buffer = b""
                    self.more()
            raise Gone
        if what == DRIP:
            self.send(right, slowly=True)
            return True
        self.send(what)
        if what.startswith("421"):
            raise Gone
        return what[:1] in "23"

    def stage(self, name, argument, right):
        what = self.sink.script.get(name)
        if callable(what):
            what = what(self, argument)
        return self.act(what, right)

    # ---- the dialogue

    def run(self):
        if self.sink.implicit:
            self.begin_tls()
        if not self.stage("greeting", "", f"220 {self.sink.name} ESMTP"):
            self.refused()
            return
        while True:
            line = self.line()
            verb, _, argument = line.partition(" ")
            verb = verb.upper()
            self.sink.lines.append((self.number, line))
            if not getattr(self, "do_" + verb.lower(), self.unknown)(argument):
                return

    def refused(self):
        """After a greeting of 5xx only QUIT is understood (RFC 5321, 3.1)."""
        while True:
            if self.line().upper().startswith("QUIT"):
                self.send("221 bye")
                return
            self.send("503 5.5.1 no")

    def unknown(self, argument):
        self.send("500 5.5.1 what?")
        return True

    def do_ehlo(self, argument):
        self.helo = argument
        offers = [x for x in self.sink.extensions if x != "STARTTLS" or (self.sink.tls and not self.tls)]
        lines = [self.sink.name] + offers
        self.stage("ehlo", argument, "\n".join(
            f"250{'-' if i + 1 < len(lines) else ' '}{x}" for i, x in enumerate(lines)))
        return True

    def do_helo(self, argument):
        self.helo = argument
        self.send(f"250 {self.sink.name}")
        return True

    def do_starttls(self, argument):
        if self.stage("starttls", argument, "220 2.0.0 go on"):
            self.begin_tls()
        return True

    def begin_tls(self):
        if self.sink.tls == "garbage":
            self.sock.sendall(b"this is no TLS\r\n" * 10)
            raise Gone
        try:
            self.sock = self.sink.tls.wrap_socket(self.sock, server_side=True)
        except (OSError, ssl.SSLError) as e:
            self.sink.tls_errors.append(str(e))
            raise Gone from None
        self.tls, self.buffer = self.sock.version(), b""

    def do_auth(self, argument):
        self.sink.auths.append(argument)
        self.stage("auth", argument, "235 2.7.0 ok")
        return True

    def do_mail(self, argument):
        if self.stage("mail", argument, "250 2.1.0 ok"):
            address, _, self.parameters = argument.partition(">")
            self.sender = address.partition("<")[2]
            self.recipients, self.rcpt_parameters = [], []
        else:
            self.sender, self.recipients = None, []
        return True

    def do_rcpt(self, argument):
        if self.sender is None:
            self.send("503 5.5.1 MAIL first")
            return True
        address, _, parameters = argument.partition(">")
        address = address.partition("<")[2]
        if self.stage("rcpt", address, "250 2.1.5 ok"):
            self.recipients.append(address)
            self.rcpt_parameters.append(parameters)
        return True

    def do_data(self, argument):
        if not self.recipients:
            self.send("554 5.5.1 no valid recipients")
            return True
        if not self.stage("data", argument, "354 go on"):
            return True
        content = self.content()
        if self.stage("content", content, "250 2.0.0 taken"):
            with self.sink.lock:
                self.sink.mails.append(Mail(self.sender, self.recipients, content, self.tls, self.helo, self.number,
                                            self.parameters, self.rcpt_parameters, self.peer, time.time()))
        self.mails += 1
        self.sender, self.recipients = None, []
        return True

    def do_rset(self, argument):
        self.sender, self.recipients = None, []
        self.send("250 2.0.0 ok")
        return True

    def do_noop(self, argument):
        self.send("250 2.0.0 ok")
        return True

    def do_quit(self, argument):
        self.stage("quit", argument, "221 2.0.0 bye")
        return False


class Sink:
    EXTENSIONS = ("PIPELINING", "SIZE 50000000", "8BITMIME", "STARTTLS", "ENHANCEDSTATUSCODES", "DSN")

    def __init__(self, port, ip="127.0.0.1", name="sink.test", script=None, tls=None, implicit=False,
                 extensions=EXTENSIONS, content_limit=None):
        self.port, self.ip, self.name = port, ip, name
        self.script, self.tls, self.implicit = dict(script or {}), tls, implicit
        self.extensions, self.content_limit = list(extensions), content_limit
        self.mails, self.lines, self.tls_errors, self.auths = [], [], [], []
        self.connections = 0
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.open = set()

    def __enter__(self):
        family = socket.AF_INET6 if ":" in self.ip else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.ip, self.port))
        self.listener.listen(500)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stopping.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for session in list(self.open):
            with contextlib.suppress(OSError):
                session.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)

    def accept(self):
        while not self.stopping.is_set():
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self.serve, args=(sock, self.connections, peer[0]), daemon=True).start()

    def serve(self, sock, number, peer):
        session = Session(self, sock, number, peer)
        self.open.add(session)
        try:
            session.run()
        except (Gone, OSError, ssl.SSLError):
            pass
        finally:
            self.open.discard(session)
            with contextlib.suppress(OSError):
                session.sock.close()

    # ---- what tests ask

    def got(self, recipient):
        with self.lock:
            return [m for m in self.mails if recipient in m.recipients]
