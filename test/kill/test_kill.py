"""kill -9 of the real server's processes, at random, under load by SMTP and changes by IMAP.

What was answered 250 or OK is there, once, in every mailbox that it was for; what was not answered is there at most
once; no UID is used twice; UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ never go back. KILLS (200) says how many, KILL_SEED which.
"""
import imaplib
import os
import pathlib
import random
import re
import socket
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "end"))
import instance  # noqa: E402

KILLS = int(os.environ.get("KILLS", "200"))
SEED = int(os.environ.get("KILL_SEED", "7"))
PASSWORD = "kill"
SENDERS = 3
CHANGERS = 2
PEOPLE = ("ken", "mari", "taro")
ROUTES = {  # what a mail is sent to, and whose mailboxes it must reach
    "ken": ("ken",), "mari": ("mari",), "ken mari": ("ken", "mari"), "all": ("ken", "mari", "taro"),
    "ken all": ("ken", "mari", "taro"), "taro+tag": ("taro",),
}

pytestmark = pytest.mark.skipif(not instance.binary().exists(), reason=f"no {instance.binary()}: run make first")


class Gone(Exception):
    """The connection ended, or the server cannot just now."""


# ---- SMTP: who was told 250 for what

class Sender(threading.Thread):
    def __init__(self, h, nth, stop):
        super().__init__(daemon=True)
        self.h, self.nth, self.stop = h, nth, stop
        self.random = random.Random(SEED * 1000 + nth)
        self.accepted, self.maybe, self.refused = {}, {}, 0
        self.sock = self.file = None

    def run(self):
        count = 0
        while not self.stop.is_set():
            count += 1
            tag = f"s{self.nth}-{count}"
            route = self.random.choice(list(ROUTES))
            try:
                if self.sock is None:
                    self.connect()
                self.send(tag, route)
            except (OSError, Gone):
                self.close()
                time.sleep(0.02)

    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.h.port("smtp")), 15)
        self.sock.settimeout(30)
        self.file = self.sock.makefile("rb")
        self.expect("220")
        self.say("EHLO load.test", "250")

    def close(self):
        if self.sock:
            self.file.close()
            self.sock.close()
        self.sock = None

    def reply(self):
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                raise Gone("the connection ended")
            if line[3:4] != b"-":
                return line.decode(errors="replace")

    def expect(self, code):
        line = self.reply()
        if not line.startswith(code):
            raise Gone(line)

    def say(self, text, code):
        self.sock.sendall(text.encode() + b"\r\n")
        self.expect(code)

    def send(self, tag, route):
        size = self.random.choice((200, 2000, 20000, 90000))
        body = "\r\n".join("x" * 70 for _ in range(size // 72 + 1))
        self.say("MAIL FROM:<load@load.test>", "250")
        for name in route.split():
            self.say(f"RCPT TO:<{name}@example.test>", "250")
        self.say("DATA", "354")
        self.maybe[tag] = ROUTES[route]
        self.sock.sendall(f"Subject: load\r\nX-Tag: {tag}\r\n\r\n{body}\r\n.\r\n".encode())
        line = self.reply()
        if line.startswith("250"):
            self.accepted[tag] = self.maybe.pop(tag)
        else:
            self.refused += 1
            raise Gone(line)


# ---- IMAP: one account, one client, every change checked

class Changer(threading.Thread):
    """Changes a mailbox of its own and knows what must be in it: {uid: (tag, flags)}. What was in doubt when the connection ended is
    looked up: it must be wholly there or wholly not."""

    def __init__(self, h, nth, stop, problems):
        super().__init__(daemon=True)
        self.h, self.nth, self.stop, self.problems = h, nth, stop, problems
        self.random = random.Random(SEED * 77 + nth)
        self.user = f"imap{nth}@example.test"
        self.imap = None
        self.state, self.ways = {}, None  # ways: the states that are possible since something was in doubt
        self.used, self.validity, self.modseq, self.uidnext = {}, None, 0, 0
        self.count = self.done = self.doubts = 0

    def run(self):
        while not self.stop.is_set():
            self.once()
        for _ in range(200):  # the last word
            if self.once(change=False):
                return
            time.sleep(0.05)
        self.problems.append(f"{self.user}: cannot be read at the end")

    def once(self, change=True):
        try:
            if self.imap is None:
                self.connect()
                self.look()
            if change:
                self.random.choice((self.append, self.append, self.store, self.store, self.expunge, self.copy))()
                if self.random.random() < 0.1:
                    self.look()
            else:
                self.look()
            return True
        except (OSError, imaplib.IMAP4.abort, imaplib.IMAP4.error, Gone) as e:
            if isinstance(e, imaplib.IMAP4.error) and "BAD" in str(e):
                self.problems.append(f"{self.user}: {e}")
            self.drop()
            time.sleep(0.02)
            return False

    def connect(self):
        self.imap = imaplib.IMAP4("127.0.0.1", self.h.port("imap"), timeout=30)
        self.imap.login(self.user, PASSWORD)
        self.select()

    def drop(self):
        try:
            self.imap.shutdown()
        except Exception:
            pass
        self.imap = None

    def ok(self, answer):
        if answer[0] != "OK":
            raise Gone(str(answer))
        return answer[1]

    def select(self):
        self.imap.untagged_responses = {}
        self.ok(self.imap.select("INBOX"))
        validity = int(self.imap.response("UIDVALIDITY")[1][0])
        modseq = int((self.imap.response("HIGHESTMODSEQ")[1] or [b"0"])[0] or 0)
        uidnext = int(self.imap.response("UIDNEXT")[1][0])
        if self.validity not in (None, validity):
            self.problems.append(f"{self.user}: UIDVALIDITY was {self.validity} and is {validity}")
        if modseq < self.modseq:
            self.problems.append(f"{self.user}: HIGHESTMODSEQ was {self.modseq} and is {modseq}")
        if uidnext < self.uidnext:
            self.problems.append(f"{self.user}: UIDNEXT was {self.uidnext} and is {uidnext}")
        self.validity, self.modseq, self.uidnext = validity, modseq, uidnext

    def fetched(self):
        data = self.ok(self.imap.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (X-TAG)])")) \
            if self.exists() else []
        seen = {}
        for head, text in ((d[0].decode(), d[1].decode()) for d in data if isinstance(d, tuple)):
            # flags may also stand behind the literal; FETCH gives them before it, in the order asked for
            uid = int(re.search(r"UID (\d+)", head).group(1))
            flags = frozenset(f for f in re.search(r"FLAGS \(([^)]*)\)", head).group(1).split() if f != "\\Recent")
            seen[uid] = (re.search(r"X-Tag: (\S+)", text).group(1), flags)
        return seen

    def exists(self):
        return int(self.ok(self.imap.status("INBOX", "(MESSAGES)"))[0].split()[-1].rstrip(b")")) > 0

    def look(self):
        self.select()
        seen = self.fetched()
        for uid, (tag, _) in seen.items():
            if self.used.setdefault(uid, tag) != tag:
                self.problems.append(f"{self.user}: UID {uid} was {self.used[uid]} and is {tag}")
        ways = self.ways or [self.state]
        if not any(self.fits(way, seen) for way in ways):
            self.problems.append(f"{self.user}: has {short(seen)}, should have {' or '.join(short(w) for w in ways)}")
        self.state, self.ways = seen, None

    @staticmethod
    def fits(way, seen):
        known = {u: v for u, v in way.items() if isinstance(u, int)}
        new = sorted((v for u, v in way.items() if not isinstance(u, int)), key=str)
        rest = sorted((v for u, v in seen.items() if u not in known), key=str)
        return all(seen.get(u) == v for u, v in known.items()) and new == rest

    def change(self, after, command):
        """Runs command; until it is answered, both the state before and `after` are possible."""
        before = self.state
        self.ways = [before, after]
        answer = command()
        if answer[0] != "OK":
            self.doubts += 1
            raise Gone(str(answer))
        self.state, self.ways = after, None
        self.done += 1
        return answer

    def append(self):
        self.count += 1
        tag = f"i{self.nth}-{self.count}"
        mail = f"Subject: append\r\nX-Tag: {tag}\r\n\r\n{'y' * self.random.choice((50, 5000, 70000))}\r\n".encode()
        after = dict(self.state)
        after[("new", tag)] = (tag, frozenset({"\\Seen"}))
        answer = self.change(after, lambda: self.imap.append("INBOX", "(\\Seen)", None, mail))
        uid = int(re.search(rb"APPENDUID \d+ (\d+)", answer[1][0]).group(1))
        self.state[uid] = self.state.pop(("new", tag))
        if uid in self.used:
            self.problems.append(f"{self.user}: APPEND was given UID {uid}, which {self.used[uid]} has had")
        self.used[uid] = tag

    def some(self):
        uids = [u for u in self.state if isinstance(u, int)]
        return sorted(self.random.sample(uids, min(len(uids), self.random.randint(1, 5)))) if uids else []

    def store(self):
        uids = self.some()
        if not uids:
            return
        flag = self.random.choice(("\\Flagged", "\\Deleted", "\\Answered", "\\Deleted"))
        add = self.random.random() < 0.7
        after = dict(self.state)
        for u in uids:
            tag, flags = after[u]
            after[u] = (tag, flags | {flag} if add else flags - {flag})
        self.change(after, lambda: self.imap.uid("STORE", ",".join(map(str, uids)), ("+" if add else "-") + "FLAGS.SILENT",
                                                 f"({flag})"))

    def expunge(self):
        if len(self.state) < 6:
            return
        after = {u: v for u, v in self.state.items() if "\\Deleted" not in v[1]}
        self.change(after, self.imap.expunge)

    def copy(self):
        uids = self.some()[:2]
        if not uids or len(self.state) > 60:
            return
        self.count += 1
        after = dict(self.state)
        for u in uids:
            after[("copy", u, self.count)] = self.state[u]
        self.change(after, lambda: self.imap.uid("COPY", ",".join(map(str, uids)), "INBOX"))
        self.look_after_copy()

    def look_after_copy(self):
        """COPYUID would tell; looking tells, too, and checks."""
        after = self.state
        self.ways = [after]
        self.look()


def short(state):
    return "{" + ", ".join(f"{u}: {t} {' '.join(sorted(f))}" for u, (t, f) in sorted(state.items(), key=str)) + "}"


# ---- a reader who remembers what UID was whose

class Watcher(threading.Thread):
    def __init__(self, h, user, stop, problems):
        super().__init__(daemon=True)
        self.h, self.user, self.stop, self.problems = h, user, stop, problems
        self.tags, self.validity, self.modseq = {}, None, 0

    def run(self):
        while not self.stop.is_set():
            try:
                self.look()
            except (OSError, imaplib.IMAP4.abort, imaplib.IMAP4.error, Gone):
                pass
            self.stop.wait(0.3)

    def look(self, whole=False):
        imap = imaplib.IMAP4("127.0.0.1", self.h.port("imap"), timeout=30)
        try:
            imap.login(f"{self.user}@example.test", PASSWORD)
            typ, _ = imap.select("INBOX", readonly=True)
            if typ != "OK":
                raise Gone("SELECT")
            self.figures(imap)
            first = 1 if whole else max(self.tags, default=0) - 50
            typ, data = imap.uid("FETCH", f"{max(1, first)}:*", "(UID BODY.PEEK[HEADER.FIELDS (X-TAG)])")
            if typ != "OK":
                raise Gone("FETCH")
            return self.remember(data)
        finally:
            try:
                imap.shutdown()
            except Exception:
                pass

    def figures(self, imap):
        validity = int(imap.response("UIDVALIDITY")[1][0])
        modseq = int((imap.response("HIGHESTMODSEQ")[1] or [b"0"])[0] or 0)
        if self.validity not in (None, validity):
            self.problems.append(f"{self.user}: UIDVALIDITY was {self.validity} and is {validity}")
        if modseq < self.modseq:
            self.problems.append(f"{self.user}: HIGHESTMODSEQ was {self.modseq} and is {modseq}")
        self.validity, self.modseq = validity, modseq

    def remember(self, data):
        seen = {}
        for head, text in (d for d in data if isinstance(d, tuple)):
            uid = int(re.search(rb"UID (\d+)", head).group(1))
            seen[uid] = re.search(rb"X-Tag: (\S+)", text).group(1).decode()
        for uid, tag in seen.items():
            if self.tags.setdefault(uid, tag) != tag:
                self.problems.append(f"{self.user}: UID {uid} was {self.tags[uid]} and is {tag}")
        return seen


# ---- the test

def kill_all(h):
    """master first, so that nobody is started again meanwhile; until all are gone and the ports with them."""
    pids = h.pids()
    h.kill()
    assert instance.wait_for(lambda: not any(pathlib.Path("/proc", str(p)).exists() for p in pids), 10)
    assert instance.wait_for(lambda: all(instance.port_free(h.port(p)) for p in instance.STANDARD), 10)


def kill_one(h, rng, tally):
    """One process at random; once in twenty times all of them at once, as a power cut would."""
    if rng.random() < 0.05:
        kill_all(h)
        h.start()
        tally["everything"] = tally.get("everything", 0) + 1
        return
    role = rng.choice(("store", "store", "store", "store", "mx", "access", "keeper", "sorter"))
    pids = instance.wait_for(lambda: h.role_pids(role), 10)
    assert pids, f"no {role} after ten seconds:\n{h.log_text()[-3000:]}"
    os.kill(rng.choice(pids), 9)
    tally[role] = tally.get(role, 0) + 1


def final(watcher):
    """What is there when all is quiet; asked until it no longer grows (the sorter may still be at it)."""
    last, same, end = None, 0, time.monotonic() + 60
    while time.monotonic() < end and same < 6:
        try:
            now = watcher.look(whole=True)
            same, last = (same + 1 if now == last else 0), now
        except (OSError, imaplib.IMAP4.abort, imaplib.IMAP4.error, Gone):
            same = 0
        time.sleep(0.25)
    assert last is not None, f"{watcher.user}'s INBOX cannot be read"
    return last


def begin(tmp_path):
    """An instance on ports that nobody else took meanwhile."""
    for n in range(5):
        h = instance.Instance(tmp_path / f"h{n}", base=instance.free_base(22000 + 100 * random.randrange(50), 32000),
                              settings="connections { per-address 500 }")
        h.setup()
        h.append("virtual", "all@example.test ken@example.test, mari@example.test, taro@example.test")
        try:
            return h.start()
        except RuntimeError as e:
            if "in use" not in str(e):
                raise
    raise RuntimeError("no free ports")


def test_kill(tmp_path):
    h = begin(tmp_path)
    for name in (*PEOPLE, *(f"imap{n}" for n in range(CHANGERS))):
        h.account(name, PASSWORD)
    rng, stop, problems, tally = random.Random(SEED), threading.Event(), [], {}
    senders = [Sender(h, n, stop) for n in range(SENDERS)]
    changers = [Changer(h, n, stop, problems) for n in range(CHANGERS)]
    watchers = [Watcher(h, name, stop, problems) for name in PEOPLE]
    threads = senders + changers + watchers
    try:
        for t in threads:
            t.start()
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.02, 0.5))
            kill_one(h, rng, tally)
        time.sleep(1)
    finally:
        stop.set()
        for t in threads:
            t.join(90)
    alive = [t for t in threads if t.is_alive()]
    assert not alive, f"hanging: {alive}"
    accepted = {tag: people for s in senders for tag, people in s.accepted.items()}
    maybe = {tag: people for s in senders for tag, people in s.maybe.items()}
    for w in watchers:
        check_person(w, final(w), accepted, maybe, problems)
    print(f"killed {tally}; {len(accepted)} mails accepted, {len(maybe)} in doubt; "
          f"{sum(c.done for c in changers)} changes by IMAP, {sum(c.doubts for c in changers)} refused or in doubt")
    assert h.stop() == 0, h.log_text()[-3000:]
    fsck = h.cli("fsck", check=False, timeout=300)
    assert fsck.returncode == 0, fsck.stdout + fsck.stderr
    assert not problems, "\n".join(problems[:20])
    assert len(accepted) > KILLS, "too little was accepted to prove anything"
    assert sum(c.done for c in changers) > KILLS, "too little was changed to prove anything"


def check_person(w, seen, accepted, maybe, problems):
    have = {}
    for tag in seen.values():
        have[tag] = have.get(tag, 0) + 1
    for tag, people in accepted.items():
        want = 1 if w.user in people else 0
        if have.get(tag, 0) != want:
            problems.append(f"{w.user}: {tag} was answered 250 and is there {have.get(tag, 0)} times instead of {want}")
    for tag, n in have.items():
        if n > 1:
            problems.append(f"{w.user}: {tag} is there {n} times")
        if tag not in accepted and w.user not in maybe.get(tag, ()):
            problems.append(f"{w.user}: {tag} was never sent here")
