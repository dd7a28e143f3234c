"""Relaying: mail comes in by SMTP and goes out to one host, Postfix's smtp-sink, over 1, 10 or 100 connections.

Postfix and OpenSMTPD relay what 127.0.0.1 brings; Hikyaku relays for nobody, so its load logs in (AUTH PLAIN) and its
way out is a `route` to the same sink, as Postfix's relayhost is. A rate counts from the first connect until the sink has
everything. Each server keeps its own syncs; OpenSMTPD makes none.
"""
import base64
import json
import subprocess
import time

import hikyaku
import instance
import peers

DOMAIN = "far.test"
SENDER = "sender@example.test"
SETTINGS = """
connections { per-address 100000  total 100000 }
smtp { mails 1000000 }
sending { messages-hour 0  messages-day 0  recipients-hour 0  recipients-day 0  watch off }
dkim { sign off }
carry { per-destination %d  connections 1000 }
route sink { to far.test  host 127.0.0.1  port %d  tls may }
"""


class HikyakuRelay(hikyaku.Hikyaku):
    """An instance of its own, whose route leads to the sink."""

    def __init__(self, folder, base, sink, connections):
        super().__init__(folder, base)
        self.server = instance.Instance(folder / f"relay-{connections}", base=base, settings=SETTINGS % (connections, sink))
        self.port = base + 587
        login = f"\0{SENDER}\0{peers.PASSWORD}".encode()
        self.flags = ["-p", "-f", SENDER, "-a", base64.b64encode(login).decode()]

    def start(self):
        fresh = not self.server.dir.exists()
        if fresh:
            self.server.setup()
        self.server.start()
        self.process = self.server.process
        if fresh:
            self.server.account(SENDER, peers.PASSWORD)


def measure(server, sink, load, sessions, size, mails):
    before, cpu = sink.count(), peers.cpu_seconds(server.pids())
    began = time.monotonic()
    done = subprocess.run([load, "-s", str(sessions), "-m", str(mails), "-l", str(size), "-d", DOMAIN, "-k",
                           *getattr(server, "flags", ["-p"]), "127.0.0.1", str(server.port)], capture_output=True, text=True)
    if not done.stdout:
        raise RuntimeError(done.stderr.strip())
    got = json.loads(done.stdout)
    last, moved = sink.count(), time.monotonic()
    while sink.count() - before < got["accepted"] and time.monotonic() - moved < 20:
        if sink.count() != last:
            last, moved = sink.count(), time.monotonic()
        time.sleep(0.02)
    taken = sink.count() - before
    ended = time.monotonic() if taken >= got["accepted"] else moved
    return {"accept": got["rate"], "relay": taken / (ended - began),
            "cpu": (peers.cpu_seconds(server.pids()) - cpu) / max(taken, 1) * 1000,
            "missing": got["accepted"] - taken, "failed": got["failed"], "error": got["error"]}


def syncs(server, sink, load, sessions, mails, trace):
    counter = peers.Syncs(server.pids(), trace)
    measure(server, sink, load, sessions, 10240, mails)
    count = counter.count()
    return None if count is None else count / mails
