"""What happened to a mail, what waits and why, who sent how much: as the operator asks it."""
import json
import smtplib
import ssl

import pytest
from instance import wait_for
from talk import PASSWORD, token

pytestmark = pytest.mark.asan


def rows(h, *args, **more):
    return [json.loads(line) for line in h.cli(*args, "--json", **more).stdout.splitlines()]


def trace(h, *what, event=None, **more):
    """The rows, when there are some (with this event): the ledger is written within a second."""
    def look():
        done = h.cli("trace", *what, "--json", check=False, **more)
        found = [json.loads(line) for line in done.stdout.splitlines()] if done.returncode == 0 else []
        return found if any(event in (None, r.get("event")) for r in found) else None
    return wait_for(look) or []


def submit(h, sender, to, subject, message_id=None, password=PASSWORD):
    context = ssl._create_unverified_context()
    with smtplib.SMTP("127.0.0.1", h.port("submission"), timeout=30) as s:
        s.starttls(context=context)
        s.login(sender, password)
        head = f"Message-ID: <{message_id}>\r\n" if message_id else ""
        return s.sendmail(sender, to, f"From: {sender}\r\nTo: x\r\n{head}Subject: {subject}\r\n\r\nhello\r\n")


def accept(h, sender, to, message_id):
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), timeout=30) as s:
        s.sendmail(sender, to, f"Message-ID: <{message_id}>\r\nSubject: x\r\n\r\nhello\r\n")


def test_a_mail_is_found_by_all_that_people_have(hikyaku):
    sender, message_id = f"{token('mother')}@{token('far')}.test", f"{token('id')}@{token('far')}.test"
    accept(hikyaku, sender, ["ken@example.test"], message_id)
    found = trace(hikyaku, sender)
    accepted = [r for r in found if r.get("event") == "accepted"]
    assert len(accepted) == 1 and accepted[0]["recipient"] == "ken@example.test" and accepted[0]["ip"] == "127.0.0.1"
    assert [r for r in found if r.get("now") == "mailbox" and r["account"] == "ken@example.test"]
    mail = accepted[0]["mail"]
    for question in (message_id, f"Message-ID: <{message_id}>", mail, sender.upper()):
        assert {r["mail"] for r in trace(hikyaku, question)} == {mail}, question
    bounce = f"<ken@example.test>: host mx.example.test said: 552\r\n\r\nMessage-Id: <{message_id}>\r\nFrom: {sender}\r\n"
    # What else the ledger knows of ken's address may stand beside it: he is in the bounce, too.
    assert mail in {r["mail"] for r in trace(hikyaku, "-", stdin=bounce)}
    # ... and told to a person, in both languages.
    assert "in ken@example.test's mailbox INBOX" in hikyaku.cli("trace", message_id).stdout
    assert "現在" in hikyaku.cli("trace", message_id, "--lang", "ja").stdout


def test_a_refusal_is_found_by_who_was_refused(hikyaku):
    nobody = f"{token('nobody')}@example.test"
    with smtplib.SMTP("127.0.0.1", hikyaku.port("smtp"), timeout=30) as s, pytest.raises(smtplib.SMTPRecipientsRefused):
        s.sendmail("stranger@remote.test", [nobody], "x")
    refused = trace(hikyaku, nobody, event="smtp-refused")
    assert refused and refused[0]["sender"] == "stranger@remote.test" and "550" in refused[0]["text"]


def test_nothing_known_is_said(hikyaku):
    done = hikyaku.cli("trace", f"{token('never')}@remote.test", check=False)
    assert done.returncode == 1 and "Nothing" in done.stdout
    assert hikyaku.cli("trace", "good", "morning", check=False).returncode == 1


def test_the_ledger_outlives_a_kill(fresh):
    h = fresh()
    accept(h, "mother@remote.test", ["ken@example.test"], "kept@remote.test")
    assert trace(h, "kept@remote.test", event="accepted")
    h.kill()
    h.start()
    assert trace(h, "kept@remote.test", event="accepted")


def test_queue_by_everything_and_what_to_do_with_it(fresh):
    routes = "".join(f"route {d} {{\n\tto {d}.test\n\thost 127.0.2.78\n\tport 9\n\ttls may\n}}\n" for d in ("one", "two"))
    h = fresh(settings=f"carry {{ allow-networks 127.0.0.0/8 }}\nqueue {{ retry-first 1h }}\n{routes}")  # nobody is there
    accept_to = [f"a@{d}.test" for d in ("one", "two")]
    submit(h, "ken@example.test", accept_to, "out")
    listed = wait_for(lambda: [r for r in [rows(h, "queue", "list")] if [e["state"] for e in r] == ["carry", "carry"]], 20)[0]
    assert {r["recipient"] for r in listed} == set(accept_to)
    mail = listed[0]["mail"]
    for which, count in ((mail, 2), ("a@one.test", 1), ("@two.test", 1), ("ken@example.test", 2), (f"entry:{listed[0]['id']}", 1),
                         ("state:held", 0)):
        assert len(rows(h, "queue", "list", which)) == count, which
    assert "1 queue entry" in h.cli("queue", "hold", "@one.test").stdout
    assert [r["recipient"] for r in rows(h, "queue", "list", "state:held")] == ["a@one.test"]
    why = h.cli("queue", "why", "a@one.test").stdout
    assert "is held" in why and "held by the operator" in why
    assert "保留" in h.cli("queue", "why", "a@one.test", "--lang", "ja").stdout
    assert {r["destination"]: r["count"] for r in rows(h, "queue", "summary")} == {"one.test": 1, "two.test": 1}
    assert "1 queue entry" in h.cli("queue", "release", "a@one.test").stdout
    assert rows(h, "queue", "list", "state:held") == []
    # Redirected to somebody here: delivered. Removed: gone. Both are found afterwards.
    assert wait_for(lambda: h.cli("queue", "redirect", "@one.test", "ken@example.test", check=False).returncode == 0)
    assert wait_for(lambda: h.cli("queue", "remove", "@two.test", check=False).returncode == 0)
    assert wait_for(lambda: rows(h, "queue", "list") == [])
    assert trace(h, "a@one.test", event="redirected") and trace(h, "a@two.test", event="removed")
    assert h.cli("queue", "show", "@one.test", check=False).returncode == 1
    assert h.cli("queue", "hold", "good morning", check=False).returncode == 1


def test_limits_are_said_and_shown(fresh):
    h = fresh(settings="sending { messages-hour 3 }")
    for i in range(3):
        submit(h, "ken@example.test", ["ken@example.test"], f"mail {i}")
    with pytest.raises(smtplib.SMTPException) as refused:
        submit(h, "ken@example.test", ["ken@example.test"], "one too many")
    assert "3 mails in an hour" in str(refused.value) or "4" in str(refused.value)[:6]
    row = next(r for r in rows(h, "sending") if r["sender"] == "ken@example.test")
    assert row["messages_hour"] == 3 and row["messages_hour_limit"] == 3
    assert "3/3" in h.cli("sending").stdout
    assert trace(h, "ken@example.test", event="sending-limit")


def test_no_incidents_is_said(fresh):
    h = fresh()
    assert "No open incidents" in h.cli("incidents").stdout
    assert "インシデントはありません" in h.cli("incidents", "--lang", "ja").stdout
    assert h.cli("incidents", "show", "7", check=False).returncode == 1
    assert h.cli("incidents", "show", "seven", check=False).returncode == 2
