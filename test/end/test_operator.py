"""What an operator reads when something waits: an incident tells what it costs now, `queue why` says what is true of held mail, and
the command it names is the one that helps."""
import json
import smtplib

import pytest
import zones as dns_zones
from instance import port_free, wait_for
from sink import Sink
from talk import PASSWORD

HOST = "127.0.2.91"
BLOCKED = "550 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=203.0.113.9"


def free_port():
    return next(p for p in range(32900, 32990) if port_free(p))


def submit(h, to):
    with smtplib.SMTP("127.0.0.1", h.port("submission"), timeout=30) as s:
        s.login("ken@example.test", PASSWORD)
        s.sendmail("ken@example.test", [to], f"From: ken@example.test\r\nTo: {to}\r\nSubject: hello\r\n\r\nhello\r\n")


def rows(h, *args):
    return [json.loads(line) for line in h.cli(*args, "--json", check=False).stdout.splitlines() if line.startswith("{")]


@pytest.fixture
def blocked(fresh, tmp_path):
    """An instance, and a provider that refuses its address: mail to two of the provider's domains and to another waits."""
    port = free_port()
    with dns_zones.Zones(tmp_path / "zones") as z:
        z.zone("icloud.com", "@ MX 10 mx01.mail.icloud.com.")
        z.zone("me.com", "@ MX 10 mx02.mail.icloud.com.")
        z.zone("mail.icloud.com", f"mx01 A {HOST}\nmx02 A {HOST}")
        z.zone("dead.test", "@ MX 10 mx\nmx A 127.0.2.92")
        z.start()
        h = fresh(settings=f"""
carry {{ port {port}  allow-networks 127.0.0.0/8  idle 1s  probe-first 1h }}
{z.settings()}""")
        with Sink(port, HOST, script={"mail": BLOCKED}) as sink:
            submit(h, "a@icloud.com")
            assert wait_for(lambda: rows(h, "incidents"), 20)
            submit(h, "b@me.com")
            submit(h, "c@icloud.com")
            submit(h, "d@dead.test")
            assert wait_for(lambda: len(rows(h, "queue", "list", "incident:1")) == 3, 20), h.cli("queue", "list").stdout
            yield h, sink


def test_an_incident_tells_what_waits_for_it_now(blocked):
    h, _ = blocked
    waits = rows(h, "queue", "list", "incident:1")
    assert sorted(r["recipient"] for r in waits) == ["a@icloud.com", "b@me.com", "c@icloud.com"]
    english, japanese = (h.cli("incidents", "show", "1", "--lang", lang).stdout for lang in ("en", "ja"))
    assert "waits here: 3 so far" in english and "現在 3 通" in japanese
    for text in (english, japanese):
        assert "icloud.com, me.com" in text
        assert "203.0.113.9" in text.splitlines()[0], "it names loopback, and not the address that Apple saw"
    shown, = rows(h, "incidents", "show", "1")
    assert "3 so far" in shown["cost"]
    assert f"hikyaku -C {h.dir} dns example.test" in english


def test_why_says_what_is_true_of_held_mail(blocked):
    h, sink = blocked
    why = h.cli("queue", "why", "b@me.com").stdout
    assert "Filtered by: Apple (iCloud Mail)" in why and "While it is held it does not go back." in why
    assert "Next try" not in why and "Goes back to its sender" not in why
    h.cli("queue", "hold", "d@dead.test")
    why = h.cli("queue", "why", "d@dead.test").stdout
    command = next(line.split("hikyaku -C ")[1].split()[1:] for line in why.splitlines() if "Let it go on:" in line)
    h.cli(*command)
    assert rows(h, "queue", "list", "d@dead.test")[0]["state"] in ("carry", "carrying")
    assert "Next try" in h.cli("queue", "why", "d@dead.test").stdout
    # What it says to do about the block helps, too, once the block is over.
    sink.script.pop("mail")
    why = h.cli("queue", "why", "a@icloud.com").stdout
    h.cli(*next(line.split("hikyaku -C ")[1].split()[1:] for line in why.splitlines() if "Try now:" in line))
    assert wait_for(lambda: len([m for m in sink.mails if m.content]) == 3, 20)
    assert not rows(h, "incidents")


def test_one_entry_is_shown_with_its_age_and_aligned(blocked):
    h, _ = blocked
    shown = h.cli("queue", "show", "d@dead.test").stdout
    age, = [line.split() for line in shown.splitlines() if line.startswith("age ")]
    assert age[1][:-1].isdigit() and age[1][-1] in "sm"
    columns = {len(line) - len(line[line.index(" "):].lstrip()) for line in shown.splitlines() if line.split()[1:]}
    assert len(columns) == 1, shown


def test_after_a_stolen_password_the_named_commands_lead_back(fresh):
    """Guessed addresses go out until the account is held; what the incident says to do, in its order, leaves nothing of the thief's
    mail and lets the owner send again."""
    port = free_port()
    sent = 0
    h = fresh(settings=f"""
carry {{ port {port}  allow-networks 127.0.0.0/8  idle 1s }}
queue {{ retry-first 1h  retry-last 1h }}
route there {{
	to far.test
	host {HOST}
	port {port}
	tls may
}}
""")
    answers = {"guess": "550 5.1.1 no such user here", "late": "450 4.2.1 later"}
    script = {"rcpt": lambda _, to: next((v for k, v in answers.items() if k in to), None)}
    with Sink(port, HOST, script=script) as sink:
        submit(h, "late@far.test")
        with pytest.raises(smtplib.SMTPException) as refused:
            for sent in range(200):
                submit(h, f"guess{sent}@far.test")
        assert "450" in str(refused.value) and "held" in str(refused.value)
        incident, = wait_for(lambda: [r for r in rows(h, "incidents") if r["kind"] == "sending"], 10)
        number = str(incident["id"])
        assert wait_for(lambda: "late@far.test" in str(rows(h, "queue", "list", f"incident:{number}")), 10)
        late, = rows(h, "queue", "list", "late@far.test")
        assert late["incident"] == incident["id"] and f"held by incident {number}" in late["reason"]
        text = h.cli("incidents", "show", number).stdout
        steps = [line.split("hikyaku -C ")[1].split()[1:] for line in text.splitlines() if "hikyaku -C " in line]
        assert [s[:2] for s in steps[:4]] == [["queue", "list"], ["account", "password"], ["queue", "remove"], ["incidents", "close"]]
        h.cli(*steps[1], "--password-stdin", stdin=PASSWORD + "\n")
        h.cli(*steps[2])
        h.cli(*steps[3])
        answers.clear()
        submit(h, "mari@far.test")
        assert wait_for(lambda: sink.got("mari@far.test"), 20)
        assert not sink.got("late@far.test") and not rows(h, "queue", "list", "late@far.test")
        assert not rows(h, "incidents")


def test_the_examples_in_a_new_configuration_are_right(fresh):
    """Who takes the comment signs off the route and the source that `setup` wrote gets what they say."""
    h = fresh()
    path = h.dir / "etc" / "hikyaku.conf"
    inside, lines = False, []
    for line in path.read_text().splitlines():
        inside = inside or line.startswith(("# route ", "# source "))
        lines.append(line[2:] if inside else line)
        inside = inside and line != "# }"
    assert any(line.startswith("route ") for line in lines) and any(line.startswith("source ") for line in lines)
    path.write_text("\n".join(lines) + "\n")
    done = h.reload()
    assert done.returncode == 0, done.stderr
