"""What was refused after DATA is kept: why, for whom, and delivering it after all, by id, check, time and recipient; who has no forward DNS."""
import json
import re
import smtplib
import time

import pytest
from instance import wait_for
from talk import count, find, parse, token
from zones import Zones

pytestmark = pytest.mark.asan


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from instance import Instance
    with Zones(tmp_path_factory.mktemp("zones")) as dns:
        dns.zone("good.test", '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=reject"')
        dns.zone("test", "")
        dns.zone("127.in-addr.arpa", "")
        dns.zone("7.0.127.in-addr.arpa", "1 PTR out1.isp.test.\n2 PTR out2.isp.test.")
        dns.start()
        h = Instance(tmp_path_factory.mktemp("escrow") / "h", settings="judge { trust 127.0.0.1 }\n" + dns.settings(timeout="2s"))
        h.setup().start()
        h.account("ken", "correct horse")
        h.account("mari", "correct horse")
        yield h
        assert h.stop() == 0, h.log_text()[-3000:]


def forge(h, to=("ken@example.test",), sender="b@good.test", source="127.0.7.1", size=10):
    """(subject, the refusal's id, or None: it was taken)"""
    subject = token("forged")
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), "mail.isp.test", timeout=60, source_address=(source, 0)) as s:
        s.helo("mail.isp.test")
        s.mail(sender)
        for one in to:
            assert s.rcpt(one)[0] == 250
        code, text = s.data(f"From: {sender}\r\nTo: {to[0]}\r\nSubject: {subject}\r\n\r\n{'hello ' * size}\r\n")
    name = re.search(r"\[(\w{8})\]", text.decode())
    assert code == 550 and name or code == 250, text
    return subject, name[1] if code == 550 else None


def rows(h, *options):
    return [json.loads(row) for row in h.cli("escrow", "list", "--json", *options).stdout.splitlines()]


def test_show_says_why_and_gives_the_mail(world):
    subject, name = forge(world, size=20000)
    for what in (name, name.upper(), rows(world, name)[0]["mail"]):
        text = world.cli("escrow", "show", what, "--lang=en").stdout
        assert "b@good.test" in text and "127.0.7.1" in text and "ken@example.test" in text
        assert re.search(r"dmarc +bad", text), text
    assert "拒否した時刻" in world.cli("escrow", "show", name, "--lang=ja").stdout
    one = json.loads(world.cli("escrow", "show", name, "--json").stdout)
    assert any(e["check"] == "dmarc" and e["says"] == "bad" for e in one["evidence"]), one
    assert one["forgotten_ms"] - one["time_ms"] == 14 * 24 * 3600 * 1000
    mail = parse(world.cli("escrow", "show", "--mail", name).stdout.encode())
    assert mail["subject"] == subject and mail.get_payload().strip() == ("hello " * 20000).strip()
    assert world.cli("escrow", "show", "00ABCDEF", check=False).returncode == 1
    assert world.cli("escrow", "show", "nonsense", check=False).returncode == 1
    assert count(world, subject) == 0


def test_release_is_once_and_by_recipient(world):
    subject, name = forge(world, to=("ken@example.test", "mari@example.test"))
    world.cli("escrow", "release", name, "--to=mari@example.test")
    assert find(world, subject, user="mari")
    assert find(world, subject, seconds=1) is None
    assert rows(world, name)[0]["state"] == "partly"
    assert "1 mails delivered after all, to 1 recipients" in world.cli("escrow", "release", name, "--lang=en").stdout
    assert find(world, subject)
    assert world.cli("escrow", "release", name, check=False).returncode == 1
    assert rows(world, name) == [] and rows(world, name, "--all")[0]["state"] == "released"
    assert count(world, subject) == 1 and count(world, subject, user="mari") == 1
    told = wait_for(lambda: (t := world.cli("trace", name).stdout).count("escrow-released") == 2 and t)
    assert told and "escrowed" in told and "dmarc=" in told, world.cli("trace", name).stdout


def test_which(world):
    before, _ = forge(world)
    time.sleep(1.1)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S")
    time.sleep(1.1)
    after, name = forge(world, to=("mari@example.test",))

    def found(*options):
        return {row["subject"] for row in rows(world, *options)} & {before, after}

    assert found() == {before, after}
    assert found("--since=" + moment) == {after} and found("--until=" + moment) == {before}
    assert found("--to=MARI@example.test") == {after}
    assert found("--from=b@good.test", "--check=dmarc", "--since=1h") == {before, after}
    assert found("--check=list.nothing") == set()
    assert world.cli("escrow", "list", "--since=yesterday", check=False).returncode == 2
    assert world.cli("escrow", "release", check=False).returncode == 2
    assert world.cli("escrow", "release", "--check=list.nothing", check=False).returncode == 1
    world.cli("escrow", "release", "--check=dmarc", "--since=" + moment)
    assert find(world, after, user="mari") and find(world, before, seconds=1) is None
    assert name in world.cli("escrow", "list", "--all", "--since=" + moment).stdout


def test_several_at_once(world):
    made = [forge(world) for _ in range(3)]
    assert {row["id"] for row in rows(world, *(name for _, name in made))} == {name for _, name in made}
    world.cli("escrow", "release", made[0][1], made[1][1])
    assert find(world, made[0][0]) and find(world, made[1][0])
    assert find(world, made[2][0], seconds=1) is None


def test_a_restart_keeps_it(world):
    subject, name = forge(world)
    world.kill()
    world.start()
    assert rows(world, name)[0]["subject"] == subject
    world.cli("escrow", "release", name)
    assert find(world, subject)


def test_senders_without_forward_dns(world):
    for source in ("127.0.7.1", "127.0.7.1", "127.0.7.2"):
        forge(world, source=source)

    def networks():
        found = [json.loads(row) for row in world.cli("senders", "--json").stdout.splitlines()]
        return {row["network"]: row for row in found}

    assert wait_for(lambda: networks().get("isp.test", {}).get("hosts") == 2), networks()
    row = networks()["isp.test"]
    assert row["mails"] >= 3 and row["named"] == 2 and row["known"] == 0 and row["refused"] >= 3
    letter = world.cli("senders", "isp.test", "--lang=en").stdout
    assert "To: postmaster@isp.test" in letter and "127.0.7.2  out2.isp.test" in letter and "逆引き" in letter
    assert "isp.test" in world.cli("senders").stdout
    assert world.cli("senders", "other.test", check=False).returncode == 1
