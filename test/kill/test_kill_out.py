"""kill -9 of the real server's processes, at random, while people send mail to other hosts.

Mail comes by submission (AUTH on 587) and by the sendmail command; it goes out through resolver and courier to a host that
takes, defers, refuses and drops connections. Every recipient of a mail that was answered 250 (or sendmail's 0) is delivered, or
its sender has the bounce. A host has a mail more often than once only where its own 250 was lost, or store or courier was killed between that 250 and
our durable result: at most what was under way then. KILLS_OUT (100) says how many are killed, KILL_SEED which.
"""
import base64
import imaplib
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "end"))
sys.path.insert(0, str(HERE))
import instance  # noqa: E402
import zones  # noqa: E402
from test_kill import Gone, Sender, kill_all  # noqa: E402

KILLS = int(os.environ.get("KILLS_OUT", "100"))
SEED = int(os.environ.get("KILL_SEED", "7"))
PASSWORD = "kill"
DOMAINS, OPEN = 4, 3  # batches under way at once: what one kill may double
PEOPLE = ("ken", "mari", "bad0", "bad1", "slow", "drop")

pytestmark = pytest.mark.skipif(not instance.binary().exists(), reason=f"no {instance.binary()}: run make first")


# ---- the other host

class Host(threading.Thread):
    """Takes mail for all the domains. bad*: 550. slow: 450 three times, then 250. drop: the first 250 is never sent."""

    def __init__(self, address, port):
        super().__init__(daemon=True)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(200)
        self.lock = threading.Lock()
        self.taken, self.lost, self.slow = {}, {}, {}
        self.random = random.Random(SEED)

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.session, args=(connection,), daemon=True).start()

    def session(self, connection):
        with connection, connection.makefile("rb") as lines:
            connection.settimeout(60)
            try:
                self.talk(connection, lines)
            except OSError:
                pass

    def talk(self, connection, lines):
        def say(text):
            connection.sendall(text.encode() + b"\r\n")
        rcpts = []
        say("220 far.test ready")
        while line := lines.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                say("250-far.test\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES")
            elif verb == b"RCPT":
                rcpt = re.search(rb"<([^>]+)>", line).group(1).decode()
                say(self.judge(rcpt, rcpts))
            elif verb == b"DATA":
                if not rcpts:
                    say("554 5.5.1 nobody")
                    continue
                say("354 go on")
                if not self.content(connection, lines, rcpts, say):
                    return
                rcpts = []
            elif verb == b"QUIT":
                say("221 bye")
                return
            else:
                if verb in (b"MAIL", b"RSET"):
                    rcpts = []
                say("250 2.0.0 OK")

    def judge(self, rcpt, rcpts):
        if rcpt.startswith("bad"):
            return "550 5.1.1 nobody here"
        rcpts.append(rcpt)
        return "250 2.1.5 OK"

    def content(self, connection, lines, rcpts, say):
        text = b""
        while (line := lines.readline()) != b".\r\n":
            if not line:
                return False
            text += line
        tag = re.search(rb"^X-Tag: (\S+)", text, re.M | re.I).group(1).decode()
        with self.lock:
            keys = [(tag, r) for r in rcpts]
            if any(r.startswith("slow") for r in rcpts) and all(self.slow.get(k, 0) < 2 for k in keys):
                for k in keys:
                    self.slow[k] = self.slow.get(k, 0) + 1
                say("450 4.2.1 later")
                return True
            drop = any(r.startswith("drop") for r in rcpts) and not any(self.lost.get(k) for k in keys)
            for k in keys:
                self.taken[k] = self.taken.get(k, 0) + 1
                if drop:
                    self.lost[k] = 1
        if drop:
            return False
        say("250 2.0.0 taken")
        return True


# ---- those who send

def recipients(rng):
    return [f"{rng.choice(PEOPLE)}@far{rng.randrange(DOMAINS)}.test" for _ in range(rng.randint(1, 3))]


class Submitter(Sender):
    """Logs in and sends; knows what was answered 250."""

    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.h.base + 587), 15)
        self.sock.settimeout(60)
        self.file = self.sock.makefile("rb")
        self.expect("220")
        self.say("EHLO load.test", "250")
        login = base64.b64encode(f"\0sender@example.test\0{PASSWORD}".encode()).decode()
        self.say(f"AUTH PLAIN {login}", "235")

    def send(self, tag, route):
        to = sorted(set(recipients(self.random)))
        self.say("MAIL FROM:<sender@example.test>", "250")
        for rcpt in to:
            self.say(f"RCPT TO:<{rcpt}>", "250")
        self.say("DATA", "354")
        self.maybe[tag] = to
        body = "x" * 70 + "\r\n"
        self.sock.sendall(f"From: sender@example.test\r\nSubject: out\r\nX-Tag: {tag}\r\nMessage-ID: <{tag}@kill.test>\r\n\r\n"
                          f"{body * self.random.choice((1, 30, 900))}.\r\n".encode())
        line = self.reply()
        if line.startswith("250"):
            self.accepted[tag] = self.maybe.pop(tag)
        else:
            self.refused += 1
            raise Gone(line)


class Command(threading.Thread):
    """The sendmail command, again and again: 0 means that it is durable, and that it was taken once."""

    def __init__(self, h, nth, stop):
        super().__init__(daemon=True)
        self.h, self.nth, self.stop = h, nth, stop
        self.random = random.Random(SEED * 31 + nth)
        self.accepted, self.maybe = {}, {}

    def run(self):
        count = 0
        while not self.stop.is_set():
            count += 1
            tag = f"c{self.nth}-{count}"
            to = sorted(set(recipients(self.random)))
            mail = f"From: sender@example.test\nSubject: out\nX-Tag: {tag}\nMessage-ID: <{tag}@kill.test>\n\nhello\n"
            done = subprocess.run([str(self.h.binary), "sendmail", "-C", str(self.h.dir), "-i", "-f", "sender@example.test",
                                   "--", *to], input=mail, text=True, capture_output=True, timeout=180)
            (self.accepted if done.returncode == 0 else self.maybe)[tag] = to
            if done.returncode not in (0, 75):
                raise AssertionError(f"sendmail: {done.returncode} {done.stderr}")


# ---- the test

def kill_one(h, rng, tally):
    if rng.random() < 0.04:
        kill_all(h)
        h.start()
        tally["everything"] = tally.get("everything", 0) + 1
        return
    role = rng.choice(("store", "store", "courier", "courier", "sorter", "resolver", "access", "keeper"))
    pids = instance.wait_for(lambda: h.role_pids(role), 10)
    assert pids, f"no {role} after ten seconds:\n{h.log_text()[-3000:]}"
    os.kill(rng.choice(pids), 9)
    tally[role] = tally.get(role, 0) + 1


def bounces(h):
    """Who was told of which mail and recipient: (tag, rcpt) -> how often."""
    imap = imaplib.IMAP4("127.0.0.1", h.port("imap"), timeout=60)
    imap.login("sender@example.test", PASSWORD)
    imap.select("INBOX", readonly=True)
    seen = {}
    _, data = imap.uid("FETCH", "1:*", "(BODY.PEEK[])")
    for item in data:
        if not isinstance(item, tuple):
            continue
        text = item[1].decode(errors="replace")
        tag = re.search(r"^X-Tag: (\S+)", text, re.M | re.I)
        for rcpt in re.findall(r"^Final-Recipient: *rfc822; *(\S+)", text, re.M | re.I):
            if tag and "Action: failed" in text:
                seen[tag.group(1), rcpt] = seen.get((tag.group(1), rcpt), 0) + 1
    imap.logout()
    return seen


def judge(host, told, accepted, maybe, kills):
    problems, doubled = [], 0
    for tag, to in accepted.items():
        for rcpt in to:
            has, bounced = host.taken.get((tag, rcpt), 0), told.get((tag, rcpt), 0)
            bad = rcpt.startswith("bad")
            doubled += max(0, has - 1 - host.lost.get((tag, rcpt), 0))
            if bounced > 1 or (bounced and not bad):
                problems.append(f"{tag} to {rcpt}: bounced {bounced} times, delivered {has}")
            if (bad and bounced != 1) or (not bad and not has):
                problems.append(f"{tag} to {rcpt} was answered 250: delivered {has}, bounced {bounced}")
    known = {**accepted, **maybe}
    problems += [f"{tag} to {rcpt} was never sent here" for tag, rcpt in host.taken if rcpt not in known.get(tag, ())]
    if doubled > kills * DOMAINS * OPEN:
        problems.append(f"{doubled} doubles for {kills} kills")
    return problems, doubled


def stuck(h):
    """What the operator would look at."""
    return "\n".join(h.cli("queue", *words, check=False).stdout[:3000] for words in (["summary", "--json"], ["list", "--json"])) \
        + h.log_text()[-1500:]


def queue_is_empty(h):
    done = h.cli("queue", "list", "--json", check=False)
    return done.returncode == 0 and not done.stdout.strip()


def wait_until_empty(h, host):
    """As long as mail goes out: how fast is the machine's affair. False: nothing went for two minutes."""
    went, since = -1, time.monotonic()
    while not queue_is_empty(h):
        taken = sum(list(host.taken.values()))
        if taken > went:
            went, since = taken, time.monotonic()
        if time.monotonic() > since + 120:
            return False
        time.sleep(0.5)
    return True


def test_kill_out(tmp_path):
    base = instance.free_base(22000 + 100 * random.randrange(50), 32000)
    port = base + 77
    with zones.Zones(tmp_path / "zones") as dns:
        for n in range(DOMAINS):
            dns.zone(f"far{n}.test", "@ MX 10 mx\nmx A 127.0.0.1", sign=n % 2 == 0)
        dns.start()
        h = instance.Instance(tmp_path / "h", base=base, settings=f"""
connections {{ per-address 500 }}
carry {{ port {port}  allow-networks 127.0.0.0/8  per-destination {OPEN} }}
queue {{ retry-first 1s  retry-last 3s }}
sending {{ messages-hour 0  messages-day 0  recipients-hour 0  recipients-day 0  watch off }}
""" + dns.settings())
        h.setup().start()
        h.account("sender", PASSWORD)
        run(h, Host("127.0.0.1", port))


def run(h, host):
    rng, stop, tally = random.Random(SEED), threading.Event(), {}
    host.start()
    threads = [Submitter(h, n, stop) for n in range(2)] + [Command(h, n, stop) for n in range(2)]
    try:
        for t in threads:
            t.start()
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.05, 0.6))
            kill_one(h, rng, tally)
    finally:
        stop.set()
        for t in threads:
            t.join(200)
    assert not [t for t in threads if t.is_alive()], "somebody hangs"
    assert wait_until_empty(h, host), "the queue does not get empty:\n" + stuck(h)
    accepted = {tag: to for t in threads for tag, to in t.accepted.items()}
    maybe = {tag: to for t in threads for tag, to in t.maybe.items()}
    problems, doubled = judge(host, bounces(h), accepted, maybe, sum(tally.get(r, 0) for r in ("store", "courier", "everything")))
    print(f"killed {tally}; {len(accepted)} mails accepted, {len(maybe)} in doubt, {doubled} doubled")
    assert h.stop() == 0, h.log_text()[-3000:]
    fsck = h.cli("fsck", check=False, timeout=300)
    assert fsck.returncode == 0, fsck.stdout + fsck.stderr
    assert not problems, "\n".join(problems[:20])
    assert len(accepted) > KILLS, "too little was accepted to prove anything"
