"""A provider blocks our address: 550 5.7.0 Blocked - see URL, whatever the mail. Two domains have their mail behind that filter, a
third has not.

Mails lost 0, bounced 0. The incident stands within a minute, with the link, our address and a request in English and Japanese. The
block ends: a probe finds out, or the operator says `hikyaku queue retry incident:N`, and everything goes out."""
import re
import smtplib
import time

import pytest
from instance import wait_for
from sink import Sink
from talk import PASSWORD
from zones import Zones

BLOCKED = "550 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.7"


class World:
    def __init__(self, fresh, tmp_path, probe):
        self.zones = Zones(tmp_path / "zones")
        self.zones.zone("filter.test", "mx A 127.0.0.31")
        self.zones.zone("one.test", "@ MX 10 mx.filter.test.")
        self.zones.zone("two.test", "@ MX 10 mx.filter.test.")
        self.zones.zone("else.test", "@ MX 10 mx\nmx A 127.0.0.32")
        self.zones.start()
        self.h = fresh(start=False)
        self.port = self.h.base + 77
        self.h.append("hikyaku.conf", f"""
carry {{ port {self.port}  allow-networks 127.0.0.0/8  probe-first {probe}  probe-last {probe} }}
queue {{ retry-first 1s  retry-last 2s }}
{self.zones.settings()}""")
        self.h.start()
        self.h.account("ken", PASSWORD)
        self.filter = Sink(self.port, "127.0.0.31", script={"mail": BLOCKED}).__enter__()
        self.other = Sink(self.port, "127.0.0.32").__enter__()

    def send(self, to, subject):
        with smtplib.SMTP("127.0.0.1", self.h.port("submission"), timeout=30) as c:
            c.login("ken@example.test", PASSWORD)
            c.sendmail("ken@example.test", [to], f"From: ken@example.test\r\nSubject: {subject}\r\n\r\nhello\r\n")

    def incidents(self, *words):
        return self.h.cli("incidents", *words, check=False).stdout

    def end(self):
        for s in (self.filter, self.other):
            s.__exit__(None, None, None)
        self.zones.stop()


@pytest.fixture
def world(fresh, tmp_path):
    made = []

    def make(probe):
        made.append(World(fresh, tmp_path, probe))
        return made[0]
    yield make
    for w in made:
        w.end()


def block(w):
    """Five mails each to the two domains, and what stands a minute later at most."""
    began = time.monotonic()
    for i in range(5):
        w.send(f"a{i}@one.test", f"one-{i}")
    assert wait_for(lambda: "filter" in w.incidents(), 60), w.h.log_text()[-2000:]
    stood = time.monotonic() - began
    for i in range(5):
        w.send(f"b{i}@two.test", f"two-{i}")
    w.send("c@else.test", "elsewhere")
    assert wait_for(lambda: len(w.other.mails) == 1, 30), "mail to others waits, too"
    assert wait_for(lambda: len(held(w)) == 10, 30), w.h.cli("queue", "list").stdout
    return stood


def held(w):
    """What the operator sees: every mail to the two domains, and which incident holds it."""
    lines = w.h.cli("queue", "list", "--json").stdout.splitlines()
    return [line for line in lines if '"incident":0' not in line and ("one.test" in line or "two.test" in line)]


def number(w):
    return re.search(r'"id":(\d+)', w.incidents("--json")).group(1)


def nothing_was_lost_or_bounced(w):
    assert wait_for(lambda: len(w.filter.mails) >= 10, 60), f"{len(w.filter.mails)} of 10 arrived"
    assert sorted(m.recipients[0] for m in w.filter.mails) == sorted([f"a{i}@one.test" for i in range(5)] +
                                                                     [f"b{i}@two.test" for i in range(5)])
    assert wait_for(lambda: not w.h.cli("queue", "list", "--json").stdout.strip(), 20)
    assert "bounce" not in w.h.log_text() and "failed=" not in w.h.log_text()


def test_the_operator_knows_and_the_probe_mends_it(world):
    w = world("2s")
    stood = block(w)
    shown = w.incidents("show", number(w))
    assert "ipcheck.proofpoint.com" in shown and "5.7.0 Blocked" in shown
    japanese = w.incidents("show", number(w), "--lang", "ja")
    assert re.search("[぀-ヿ]", japanese), japanese
    tries = w.filter.connections
    del w.filter.script["mail"]  # they have let us go
    nothing_was_lost_or_bounced(w)
    assert wait_for(lambda: "filter" not in w.incidents(), 20), "the incident did not close by itself"
    print(f"mails lost 0, bounced 0; incident after {stood:.1f} s; {tries} connections while blocked; mended by a probe")


def test_the_named_command_releases_at_once(world):
    w = world("1h")
    block(w)
    command = f"queue retry incident:{number(w)}"
    assert command in w.incidents("show", number(w))
    tries = w.filter.connections
    time.sleep(3)
    assert w.filter.connections == tries, "a blocked provider is hammered"
    del w.filter.script["mail"]
    w.h.cli(*command.split())
    nothing_was_lost_or_bounced(w)
