"""The sendmail command for tests: its names, a folder that every user reaches, and a server that does what a test says."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import pytest
from instance import binary
from talk import PASSWORD

NOBODY = 65534
# sysexits.h
OK, USAGE, DATAERR, NOUSER, NOHOST, UNAVAILABLE, TEMPFAIL, NOPERM, CONFIG = 0, 64, 65, 67, 68, 69, 75, 77, 78


class Commands:
    """`sendmail`, `mailq` and `newaliases` as a package would install them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        shutil.copy(binary(), self.folder / "sendmail")
        for name in ("mailq", "newaliases"):
            os.symlink("sendmail", self.folder / name)

    def path(self, name="sendmail"):
        return str(self.folder / name)

    def run(self, directory, *args, stdin=b"", name="sendmail", user=None, timeout=90, env=None):
        stdin = stdin.encode() if isinstance(stdin, str) else stdin
        return subprocess.run([self.path(name), *args], input=stdin, capture_output=True, timeout=timeout, user=user,
                              group=user, extra_groups=None if user is None else [],
                              env=dict(os.environ, HIKYAKU_DIR=str(directory), **(env or {})))

    def start(self, directory, *args, **options):
        return subprocess.Popen([self.path(), *args], env=dict(os.environ, HIKYAKU_DIR=str(directory)), **options)


@pytest.fixture(scope="module")
def open_folder():
    """pytest's own folders are closed to other users."""
    folder = tempfile.mkdtemp(prefix="hikyaku-local-")
    os.chmod(folder, 0o755)
    yield pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def commands(open_folder):
    return Commands(open_folder)


@pytest.fixture(scope="module")
def local(open_folder):
    """A server that local users reach: accounts ken and mari, an alias root, generous limits."""
    import instance
    h = instance.Instance(open_folder / "server", settings=(
        "connections { per-address 200 }\n"
        "resolver { forward 127.0.0.1@1 }\n"  # nothing leaves this machine
        "sending { messages-hour 100000  messages-day 100000  recipients-hour 100000  recipients-day 100000  watch off }"))
    h.setup()
    h.append("virtual", "root@example.test ken@example.test")
    h.start()
    for name in ("ken", "mari"):
        h.account(name, PASSWORD)
    yield h
    h.stop()


class Scripted(threading.Thread):
    """Listens on DIR/run/submit.sock. plan: what to do with each connection, in order; the last one again and again.
    "take"; "drop-after-dot": all is read, nothing is answered; "drop-in-data"; "drop-at-once"; "drop-deaf"; or a dict of a
    command's first word to the reply."""

    def __init__(self, folder, plan, features=("SIZE 1000000", "8BITMIME", "DSN", "SMTPUTF8", "LIMITS RCPTMAX=5", "XKEY")):
        super().__init__(daemon=True)
        (folder / "run").mkdir(parents=True)
        (folder / "etc").mkdir()
        (folder / "etc" / "hikyaku.conf").write_text("hostname mx.example.test\ndomain example.test\n")
        self.folder, self.plan, self.features, self.connections = folder, plan, features, 0
        self.mails, self.commands = [], []  # (envelope lines, content) of mails whose dot was seen; every line said
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(folder / "run" / "submit.sock"))
        self.sock.listen(50)
        self.start()

    def run(self):
        for n in range(1000):
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            self.connections = n + 1
            with c:
                try:
                    self.serve(c, self.plan[min(n, len(self.plan) - 1)])
                except OSError:
                    pass

    def serve(self, c, plan):
        if plan == "drop-at-once":
            return
        f = c.makefile("rwb")
        envelope = []

        def say(text):
            f.write(text.encode() + b"\r\n")
            f.flush()

        say("220 mx.example.test")
        if plan == "drop-deaf":  # what the client said is never read: its connection is reset
            time.sleep(0.2)
            return
        while line := f.readline():
            line = line.decode().rstrip("\r\n")
            word = line.split(" ")[0].split(":")[0].upper()
            self.commands.append(line)
            if isinstance(plan, dict) and word in plan:
                say(plan[word])
            elif word == "EHLO":
                say("\r\n".join(f"250-{x}" for x in ("mx", *self.features[:-1])) + f"\r\n250 {self.features[-1]}")
            elif word in ("MAIL", "RCPT"):
                envelope.append(line)
                say("250 2.1.0 OK")
            elif word == "DATA":
                say("354 go on")
                if plan == "drop-in-data":
                    f.readline()
                    return
                content = []
                while (got := f.readline()) != b".\r\n":
                    if not got:
                        return
                    content.append(got[1:] if got.startswith(b"..") else got)
                self.mails.append((envelope, b"".join(content)))
                envelope = []
                if plan == "drop-after-dot":
                    return
                say(plan["."] if isinstance(plan, dict) and "." in plan else "250 2.0.0 OK queued as 0badcafe")
            elif word == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 OK")

    def stop(self):
        self.sock.close()


@pytest.fixture
def scripted(tmp_path):
    made = []

    def make(*plan, **options):
        made.append(Scripted(tmp_path / f"scripted{len(made)}", plan or ("take",), **options))
        return made[-1]

    yield make
    for s in made:
        s.stop()
