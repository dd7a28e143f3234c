"""Block and allow lists by their zones (test/data/dns), asked through nsd and the server's own resolver: every trap in them is told
apart. Clients' addresses come in PROXY headers."""
import json
import pathlib
import re
import socket

import pytest
from instance import Instance, wait_for
from talk import PASSWORD, find, parse, token
from zones import Zones

pytestmark = pytest.mark.asan
DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "dns"

LISTS = """
list bl { zone dnsbl.test  codes 127.0.0.2=spam 127.0.0.3 127.0.0.4 127.0.0.10=dynamic  points 6 }
list strict { zone dnsbl.test  use refuse  points 13 }
list names { zone dbl.test  kind domain  codes 127.0.1.2=spam 127.0.1.4@50=phishing  use junk }
list good { zone allow.test  kind allow  codes 127.0.*.1@50 127.0.*.2-3=trusted }
judge { trust 127.0.0.1/32 }
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory, request):
    with Zones(tmp_path_factory.mktemp("zones")) as dns:
        dns.zone("test", "")
        for name in ("dnsbl.test", "dbl.test", "allow.test"):
            dns.zone(name, (DATA / f"{name}.zone").read_text(), whole=True)
        dns.zone("in-addr.arpa", "")
        dns.zone("ip6.arpa", "")
        dns.zone("example", "sender A 127.0.0.1\nbad A 127.0.0.1")
        dns.start()
        h = Instance(tmp_path_factory.mktemp("lists") / "h")
        h.settings = f"""{LISTS}
listener smtp {{ protocol smtp  address 127.0.0.1 }}
listener world {{ protocol smtp  address 127.0.0.1  port {h.base + 90}  proxy-from 127.0.0.0/8 }}
listener submission {{ protocol submission  address 127.0.0.1 }}
listener imap {{ protocol imap  address 127.0.0.1 }}
listener pop3 {{ protocol pop3  address 127.0.0.1 }}
{dns.settings(timeout="2s")}"""
        h.setup()
        request.addfinalizer(h.stop)
        h.start()
        h.account("ken", PASSWORD)
        states = {}

        def proven():
            states.update({r["check"]: r["state"] for r in map(json.loads, h.cli("--json", "checks").stdout.splitlines())})
            return all(states.get(f"list.{n}") == "proven" for n in ("bl", "strict", "names", "good"))
        assert wait_for(proven, 20), states
        yield h
        assert h.stop() == 0, h.log_text()[-3000:]


def talk(h, client, sender, subject, body):
    """The last reply of one mail."""
    six = ":" in client
    with socket.create_connection(("127.0.0.1", h.base + 90), timeout=60) as s:
        f = s.makefile("rwb")
        f.write(f"PROXY TCP{6 if six else 4} {client} {'::1' if six else '127.0.0.1'} 4321 25\r\n".encode())
        f.flush()
        for line in (None, "HELO client.example", f"MAIL FROM:<{sender}>", "RCPT TO:<ken@example.test>", "DATA",
                     f"From: {sender}\r\nTo: ken@example.test\r\nMessage-ID: <{subject}@x.example>\r\nSubject: {subject}\r\n\r\n{body}\r\n."):
            if line:
                f.write(line.encode() + b"\r\n")
                f.flush()
            reply = f.readline().decode()
            if reply[:1] in "45":
                return reply
        return reply


def said(h, client, sender="a@sender.example", folder="INBOX", body="hello"):
    """What the verdict says of each list, by the mail's own header."""
    subject = token("list")
    reply = talk(h, client, sender, subject, body)
    assert reply.startswith("250"), reply
    mail = parse(find(h, subject, mailbox=folder))
    return " ".join(mail["x-hikyaku-verdict"].split())


def test_a_stranger_in_no_list(world):
    words = said(world, "203.0.113.77")
    assert words.startswith("accept") and "list." not in words, words


def test_listed_for_three_reasons(world):
    reply = talk(world, "198.51.100.7", "a@sender.example", token("l"), "x")
    assert reply.startswith("550"), reply
    assert "198.51.100.7 in dnsbl.test" in reply, reply


def test_a_range(world):
    reply = talk(world, "192.0.2.200", "a@sender.example", token("l"), "x")
    assert reply.startswith("550") and "127.0.0.3" in reply, reply


def test_ipv6(world):
    assert talk(world, "2001:db8::25", "a@sender.example", token("l"), "x").startswith("550")
    assert said(world, "2001:db8::26").startswith("accept")


@pytest.mark.parametrize("client", ["203.0.113.9", "203.0.113.10", "203.0.113.11"])
def test_answers_that_are_no_listing(world, client):
    """Outside 127/8; asked through a public resolver; wrong name of the zone."""
    assert said(world, client).startswith("accept")
    row = json.loads(world.cli("--json", "checks", "list.strict").stdout)
    assert re.search(r"parked or expired|refuses us", row["doubt"]), row
    assert row["state"] in ("proven", "blind")


def test_domains_of_the_sender_and_of_links(world):
    assert "list.names" in said(world, "203.0.113.78", sender="x@bad.example", folder="Junk")
    assert "list.names" in said(world, "203.0.113.78", folder="Junk", body="see http://www.bad.example/offer now")
    assert "list.names" in said(world, "203.0.113.78", body="see http://xn--wgv71a119e.example/ now")


def test_an_allow_list(world):
    """It speaks for the mail; 198.51.100.20 is in no block list."""
    assert "list.good -2" in said(world, "198.51.100.20")


def test_what_the_operator_sees(world):
    talk(world, "198.51.100.7", "a@sender.example", token("l"), "x")
    table = world.cli("checks").stdout
    assert "list.strict" in table and "proven" in table and "spf" in table, table
    english, japanese = (world.cli("checks", "list.strict", f"--lang={lang}").stdout for lang in ("en", "ja"))
    assert "last hour: asked for" in english and "test entries: well" in english, english
    assert "直近 1 時間" in japanese, japanese
    assert world.cli("checks", "list.none", check=False).returncode == 1
    assert "is not demoted" in world.cli("checks", "restore", "list.strict", check=False).stderr
