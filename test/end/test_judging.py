"""Mail from strangers is judged as it comes: authentication, lists, and a refusal that is explained and kept."""
import re
import smtplib

import pytest
from instance import wait_for
from talk import find, parse, token
from zones import Zones

pytestmark = pytest.mark.asan

SENDERS = {
    "good.test": "@ TXT \"v=spf1 ip4:127.0.5.0/24 -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\nmail A 127.0.5.1",
    "quarantine.test": "@ TXT \"v=spf1 -all\"\n_dmarc TXT \"v=DMARC1; p=quarantine\"",
    "plain.test": "@ A 127.0.0.1",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from instance import Instance
    with Zones(tmp_path_factory.mktemp("zones")) as dns:
        for name, text in SENDERS.items():
            dns.zone(name, text)
        dns.zone("test", "")
        dns.zone("127.in-addr.arpa", "")
        dns.zone("5.0.127.in-addr.arpa", "1 PTR mail.good.test.\n2 PTR nowhere.good.test.")
        dns.start()
        h = Instance(tmp_path_factory.mktemp("judging") / "h", settings="judge { trust 127.0.0.1 }\n" + dns.settings(timeout="2s"))
        h.setup().start()
        h.account("ken", "correct horse")
        yield h
        assert h.stop() == 0, h.log_text()[-3000:]


def deliver(h, sender, subject, source="127.0.5.1", header_from=None, header="", to="ken@example.test"):
    """The reply to the end of the mail."""
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), "mail.good.test", timeout=60, source_address=(source, 0)) as s:
        s.helo("mail.good.test")
        assert s.mail(sender)[0] == 250
        assert s.rcpt(to)[0] == 250
        return s.data(f"{header}From: {header_from or sender}\r\nTo: {to}\r\nMessage-ID: <{subject}@x.test>\r\nSubject: {subject}\r\n\r\nhello\r\n")


def taken(h, sender, folder="INBOX", **options):
    subject = token("judged")
    code, text = deliver(h, sender, subject, **options)
    assert code == 250, text
    return parse(find(h, subject, mailbox=folder))


def test_what_was_found_out_stands_in_the_mail(world):
    mail = taken(world, "a@good.test")
    results = mail["authentication-results"]
    assert results.startswith("mx.example.test;") or world.domain in results, results
    for word in ("spf=pass", "smtp.mailfrom=a@good.test", "dkim=none", "dmarc=pass", "header.from=good.test", "iprev=pass"):
        assert word in " ".join(results.split()), results
    assert mail["x-hikyaku-verdict"].startswith("accept")
    assert "mail.good.test" in mail.get_all("received")[0]


def test_a_forged_field_in_our_name_goes(world):
    host = world.cli("config", "get", "hostname", check=False).stdout.strip() or "mx.example.test"
    mail = taken(world, "a@plain.test", source="127.0.5.9",
                 header=f"Authentication-Results: {host}; dmarc=pass\r\nAuthentication-Results: other.test; spf=pass\r\n")
    all_of_them = mail.get_all("authentication-results")
    assert len(all_of_them) == 2 and all_of_them[1] == "other.test; spf=pass"
    assert "dmarc=none" in " ".join(all_of_them[0].split())


def test_a_domain_that_asks_for_quarantine_gets_it(world):
    mail = taken(world, "a@quarantine.test", folder="Junk")
    assert "dmarc=fail" in " ".join(mail["authentication-results"].split())
    assert mail["x-hikyaku-verdict"].startswith("junk")


def test_a_refusal_is_explained_and_kept(world):
    subject = token("forged")
    code, text = deliver(world, "b@good.test", subject, source="127.0.6.1")
    text = text.decode()
    assert code == 550 and text.startswith("5.7.1") and "dmarc" in text, text
    name = re.search(r"\[([0-9A-Za-z]{6,})\]", text)
    assert name, text
    assert wait_for(lambda: "b@good.test" in world.cli("trace", name[1], check=False).stdout), "trace does not know the id"
    kept = world.cli("escrow", "list", "--json").stdout
    assert "b@good.test" in kept
    assert find(world, subject, seconds=1) is None
    world.cli("escrow", "release", name[1])
    assert parse(find(world, subject))["subject"] == subject


def test_a_host_that_is_trusted_is_not_judged(world):
    mail = taken(world, "a@quarantine.test", source="127.0.0.1")
    assert mail["authentication-results"] is None


def test_a_dead_name_server_refuses_nobody(world):
    code, text = deliver(world, "a@unknown.invalid", token("dead"))
    assert code == 250, text
