"""A stolen password: guessed addresses go out, hosts say that they do not exist, and the account is held, its queue with it, until
somebody says that it is well. Nothing of it is lost."""
import json
import smtplib

import pytest
from instance import port_free, wait_for
from sink import Sink
from talk import PASSWORD

pytestmark = pytest.mark.asan
HOST = "127.0.2.77"


def free_port():
    return next(p for p in range(32710, 32900) if port_free(p))


def submit(h, to, subject):
    with smtplib.SMTP("127.0.0.1", h.port("submission"), timeout=30) as s:
        s.login("ken@example.test", PASSWORD)
        s.sendmail("ken@example.test", [to], f"From: ken@example.test\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nhello\r\n")


def rows(h, *args):
    return [json.loads(line) for line in h.cli(*args, "--json", check=False).stdout.splitlines() if line.startswith("{")]


def events(h, what):
    return [r["event"] for r in rows(h, "trace", what) if "event" in r]


def test_a_stolen_password_is_stopped_and_what_it_held_goes_on(fresh):
    port = free_port()
    busy = {"yes": True}

    def rcpt(_, argument):
        if "guess" in argument:
            return "550 5.1.1 no such user here"
        return "450 4.2.1 later" if busy["yes"] and "friend" in argument else None

    h = fresh(settings=f"""
carry {{ port {port}  allow-networks 127.0.0.0/8  idle 1s }}
queue {{ retry-first 1s  retry-last 1s }}
route there {{
	to far.test
	host {HOST}
	port {port}
	tls may
}}
""")
    with Sink(port, HOST, script={"rcpt": rcpt}) as sink:
        submit(h, "friend@far.test", "an honest mail that waits")
        refused = None
        for i in range(60):
            try:
                submit(h, f"guess{i}@far.test", "buy this")
            except smtplib.SMTPException as e:
                refused = e
                break
        # It may take all sixty before the answers are back; then the next is refused.
        incident, = wait_for(lambda: [r for r in rows(h, "incidents") if r["kind"] == "sending"], 20)
        if not refused:
            with pytest.raises(smtplib.SMTPException) as e:
                submit(h, "anybody@far.test", "refused")
            refused = e.value
        assert incident["key"] == "ken@example.test" and "reason=unknown" in incident["facts"]
        number = str(incident["id"])
        # The journal has it, and a person is told what to do, in both languages.
        assert wait_for(lambda: " incident number=" in h.log_text())
        english, japanese = h.cli("incidents", "show", number).stdout, h.cli("incidents", "show", number, "--lang", "ja").stdout
        for text in (english, japanese):
            assert "ken@example.test" in text and f"incidents close {number}" in text
        assert "対処" in japanese and "WHAT TO DO" in english
        # What is queued is held, and stays.
        held = wait_for(lambda: [r for r in rows(h, "queue", "list", f"incident:{number}")
                                  if r["recipient"] == "friend@far.test" and r["state"] == "held"], 20)
        assert held and held[0]["state"] == "held"
        assert rows(h, "sending")[0]["held_by"] == incident["id"]
        # Also over a restart.
        h.stop()
        h.start()
        with pytest.raises(smtplib.SMTPException):
            submit(h, "anybody@far.test", "refused")
        assert not [m for m in sink.mails if b"honest" in m.content]
        # It was its owner: all of it goes on.
        busy["yes"] = False
        h.cli("incidents", "close", number)
        assert wait_for(lambda: [m for m in sink.mails if b"honest" in m.content], 20)
        submit(h, "friend@far.test", "the next")
        assert wait_for(lambda: [m for m in sink.mails if b"the next" in m.content], 20)
        assert len([m for m in sink.mails if b"honest" in m.content]) == 1
        assert not [r for r in rows(h, "incidents") if r["kind"] == "sending"]
        # The whole life can be read.
        life = wait_for(lambda: [e for e in [events(h, "friend@far.test")] if e.count("carried") == 2], 10)
        assert life, events(h, "friend@far.test")
        for event in ("accepted", "deferred", "held", "released", "carried"):
            assert event in life[0], (event, life[0])
        assert {"failed", "bounced"} <= set(events(h, "guess1@far.test"))
