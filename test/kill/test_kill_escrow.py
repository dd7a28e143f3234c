"""kill -9 of the store and of mx while mail is refused, and while what was refused is released.

What was answered 550 is in escrow and in no mailbox; what was not answered is there at most once. After the release each is in every mailbox
that it was for, once. KILLS_ESCROW (40) says how many kills, KILL_SEED which.
"""
import collections
import json
import os
import pathlib
import random
import re
import signal
import smtplib
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "end"))
import instance  # noqa: E402
import talk  # noqa: E402
import zones  # noqa: E402

KILLS = int(os.environ.get("KILLS_ESCROW", "40"))
SEED = int(os.environ.get("KILL_SEED", "7"))
SENDERS = 3
ROUTES = {"ken": ("ken",), "ken mari": ("ken", "mari"), "all": ("ken", "mari"), "ken all": ("ken", "mari")}

pytestmark = pytest.mark.skipif(not instance.binary().exists(), reason=f"no {instance.binary()}: run make first")


class Sender(threading.Thread):
    """Forges mail from a domain that wants it rejected."""

    def __init__(self, h, nth, stop):
        super().__init__(daemon=True)
        self.h, self.nth, self.stop = h, nth, stop
        self.random = random.Random(SEED * 1000 + nth)
        self.refused, self.maybe, self.taken, self.ids = {}, {}, [], {}

    def run(self):
        count = 0
        while not self.stop.is_set():
            count += 1
            tag, route = f"s{self.nth}x{count}x", self.random.choice(list(ROUTES))
            self.maybe[tag] = ROUTES[route]
            try:
                self.send(tag, route)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)

    def send(self, tag, route):
        with smtplib.SMTP("127.0.0.1", self.h.port("smtp"), "load.test", timeout=40, source_address=("127.0.6.1", 0)) as s:
            s.helo("load.test")
            s.mail("b@good.test")
            for name in route.split():
                if s.rcpt(f"{name}@example.test")[0] != 250:
                    return
            code, text = s.data(f"From: b@good.test\r\nSubject: {tag}\r\n\r\n{'x' * self.random.choice((10, 5000, 90000))}\r\n")
        if code == 550:
            self.refused[tag] = self.maybe.pop(tag)
            self.ids[tag] = re.search(r"\[(\w+)\]", text.decode())[1]
        elif code == 250:
            self.taken.append(tag)


def kill_one(h, dice, roles):
    pids = h.role_pids(dice.choice(roles))
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def escrow(h, *options):
    rows = h.cli("escrow", "list", "--json", "--all", *options, timeout=120).stdout.splitlines()
    return [json.loads(row) for row in rows]


def mailboxes(h):
    """How often a mail's tag stands where."""
    found = collections.Counter()
    for user in ("ken", "mari"):
        for mailbox in ("INBOX", "Junk"):
            for subject in talk.subjects(h, user, mailbox):
                found[user, subject] += 1
    return found


def settled(h):
    return instance.wait_for(lambda: h.cli("queue", "list", "--json", check=False).stdout == "" and h.greets(), 60)


def test_kill_escrow(tmp_path):
    dice, stop = random.Random(SEED), threading.Event()
    with zones.Zones(tmp_path / "zones") as dns:
        dns.zone("good.test", '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=reject"')
        dns.zone("test", "")
        dns.zone("127.in-addr.arpa", "")
        dns.start()
        h = instance.Instance(tmp_path / "h", base=instance.free_base(25000, 25900),
                              settings="judge { trust 127.0.0.1 }\n" + dns.settings(timeout="2s"))
        h.setup()
        h.write("virtual", "all@example.test ken@example.test, mari@example.test\n")
        h.start()
        h.account("ken", talk.PASSWORD)
        h.account("mari", talk.PASSWORD)
        senders = [Sender(h, n, stop) for n in range(SENDERS)]
        for s in senders:
            s.start()
        for _ in range(KILLS // 2):
            time.sleep(dice.uniform(0.3, 1.5))
            kill_one(h, dice, ("store", "mx"))
        time.sleep(2)
        stop.set()
        for s in senders:
            s.join(60)
        assert settled(h)
        refused = {tag: to for s in senders for tag, to in s.refused.items()}
        maybe = {tag: to for s in senders for tag, to in s.maybe.items()}
        assert len(refused) > 10, "too few mails were refused for this to say anything"
        assert not any(s.taken for s in senders), "a mail that is to be refused was taken"

        rows = escrow(h)
        kept = collections.Counter(row["subject"] for row in rows)
        lost = [tag for tag in refused if kept[tag] != 1]
        assert not lost, f"answered 550 and not kept once: {lost}"
        assert all(n == 1 for n in kept.values()) and set(kept) <= set(refused) | set(maybe)
        assert not mailboxes(h), "what was refused was delivered"
        by_id = {row["id"]: row["subject"] for row in rows}
        for s in senders:
            for tag, name in s.ids.items():
                assert by_id.get(name) in (tag, None), "an id leads to another mail"

        over = threading.Event()

        def release():
            while not over.is_set():
                h.cli("escrow", "release", "all", check=False, timeout=120)
                if not escrow_left(h):
                    over.set()

        def escrow_left(h):
            listed = h.cli("escrow", "list", "--json", check=False, timeout=120)
            return listed.returncode != 0 or listed.stdout != ""

        worker = threading.Thread(target=release, daemon=True)
        worker.start()
        for _ in range(KILLS - KILLS // 2):
            time.sleep(dice.uniform(0.05, 0.5))
            if over.is_set():
                break
            kill_one(h, dice, ("store",))
        worker.join(120)
        assert over.is_set(), "the release came to no end"
        h.cli("escrow", "release", "all", check=False)  # once more: nothing is left
        assert settled(h)
        found = mailboxes(h)
        for tag in kept:
            for user in refused.get(tag) or maybe[tag]:
                assert found.pop((user, tag), 0) == 1, f"{tag} is not once in {user}'s mailbox"
        assert not found, f"delivered to somebody else, or twice: {found}"
        h.stop()
        print(f"{len(refused)} refused, {len(maybe)} in doubt, {len(kept)} kept and released")
