"""Signatures on port 25, and those who would get around them: what dkimpy signed is believed, and nothing that only looks like it."""
import base64
import smtplib
import subprocess
import time

import pytest
from talk import find, parse, token
from zones import Zones

pytestmark = pytest.mark.asan
dkim = pytest.importorskip("dkim", reason="python3-dkim is not installed")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from instance import Instance
    pem = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=pem, capture_output=True, check=True).stdout
    key = base64.b64encode(der).decode()
    record = " ".join(f'"{part}"' for part in ["v=DKIM1; p=", key[:250], key[250:]])
    with Zones(tmp_path_factory.mktemp("zones")) as dns:
        # bank.test asks for refusal; evil.test is a stranger with everything in order; a selector of bank.test leads to a dead server
        dns.zone("bank.test", f'@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=reject"\ns._domainkey TXT {record}\n'
                              "dead._domainkey NS ns.dead._domainkey\nns.dead._domainkey A 127.0.0.99")
        dns.zone("evil.test", f'@ TXT "v=spf1 ip4:127.0.5.0/24 -all"\n_dmarc TXT "v=DMARC1; p=none"\ns._domainkey TXT {record}')
        dns.zone("test", "")
        dns.zone("127.in-addr.arpa", "")
        dns.start()
        h = Instance(tmp_path_factory.mktemp("signed") / "h", settings="judge { trust 127.0.0.1 }\n" + dns.settings(timeout="2s"))
        h.setup().start()
        h.account("ken", "correct horse")
        h.key = pem
        yield h
        assert h.stop() == 0, h.log_text()[-3000:]


def mail(subject, sender="ceo@bank.test", extra=""):
    return (f"From: {sender}\r\nTo: ken@example.test\r\nSubject: {subject}\r\nDate: Tue, 24 Nov 2026 01:00:00 +0900\r\n"
            f"Message-ID: <{subject}@x.test>\r\n{extra}\r\nhello\r\n").encode()


def signed(h, octets, domain="bank.test", **options):
    return dkim.sign(octets, b"s", domain.encode(), h.key, **options) + octets


def deliver(h, octets, sender="x@evil.test", source="127.0.5.1"):
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), "mail.evil.test", timeout=60, source_address=(source, 0)) as s:
        s.helo("mail.evil.test")
        assert s.mail(sender)[0] == 250
        assert s.rcpt("ken@example.test")[0] == 250
        return s.data(octets)


def results(got):
    return " ".join(got.get_all("authentication-results")[0].split())


def test_a_signature_carries_a_mail_from_anywhere(world):
    subject = token("signed")
    code, text = deliver(world, signed(world, mail(subject)))
    assert code == 250, text
    got = results(parse(find(world, subject)))
    assert "dkim=pass" in got and "header.d=bank.test" in got and "dmarc=pass" in got and "smtp.mailfrom=x@evil.test" in got, got


@pytest.mark.parametrize("change", [
    lambda m: m.replace(b"hello", b"hullo"),
    lambda m: m.replace(b"Subject: ", b"Subject: Re: "),
    lambda m: b"From: other@bank.test\r\n" + m.replace(b"From: ceo", b"X-From: ceo"),
], ids=["body", "subject", "from"])
def test_what_was_changed_is_refused(world, change):
    code, text = deliver(world, change(signed(world, mail(token("changed")))))
    assert code == 550 and b"dmarc" in text, text


def test_a_stranger_proves_himself_and_nobody_else(world):
    code, text = deliver(world, signed(world, mail(token("spoof")), "evil.test"))
    assert code == 550 and b"dmarc" in text, text


def test_octets_after_l_are_not_signed(world):
    octets = signed(world, mail(token("longer")), length=True)
    assert deliver(world, octets)[0] == 250
    assert deliver(world, octets + b"and an invoice\r\n")[0] == 550


def test_a_second_from_is_no_way_around(world):
    subject = token("twofroms")
    code, _ = deliver(world, b"From: x@evil.test\r\n" + signed(world, mail(subject), "evil.test"))
    assert code == 250
    assert parse(find(world, subject, mailbox="Junk"))
    subject = token("twoauthors")
    assert deliver(world, mail(subject, "ceo@bank.test, x@evil.test"))[0] == 250
    assert parse(find(world, subject, mailbox="Junk"))


def test_a_dead_selector_is_no_way_around(world):
    """Anybody can name one: the mail has to come again, and is refused when the DNS answers."""
    fake = (b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=bank.test; s=dead; h=from;\r\n"
            b"\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n")
    code, text = deliver(world, fake + mail(token("dead")))
    assert code == 451, text


@pytest.mark.parametrize("forged", [
    "this is no field\r\nAuthentication-Results: {0}; dmarc=pass header.from=bank.test\r\n",
    "Authentication-Results" + " " * 400 + ": {0}; dmarc=pass\r\n",
    "Authentication-Results: (c) \"{0}\"; dmarc=pass\r\n",
    "Authentication-Results: ({0}; dmarc=pass\r\n",
    "X-Hikyaku-Verdict: accept forged\r\n",
], ids=["no field", "blanks", "quoted", "open comment", "verdict"])
def test_nobody_speaks_in_our_name(world, forged):
    host = world.cli("config", "get", "hostname", check=False).stdout.strip() or "mx.example.test"
    subject = token("forged")
    octets = mail(subject, "x@evil.test", forged.format(host))
    assert deliver(world, octets)[0] == 250
    raw = find(world, subject)
    raw = raw if isinstance(raw, bytes) else bytes(raw)
    assert b"dmarc=pass header.from=bank.test" not in raw and b"accept forged" not in raw
    assert len(parse(raw).get_all("authentication-results")) == 1


def test_the_dearest_header_costs_little_and_is_taken(world):
    subject = token("dear")
    names = ":".join(["from"] + ["x"] * 399)
    fields = "".join(f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={'a' * 60}.{'b' * 60}.evil.test; s={n}{'c' * 60};\r\n h={names};\r\n"
                     f" l={n}; bh=AAAA; b=AAAA\r\n" for n in range(30))
    fields += "".join(f"X-Filler: {'y' * 900}\r\n" for _ in range(150))
    begin = time.time()
    code, text = deliver(world, mail(subject, "x@evil.test", fields))
    assert code == 250, text
    assert time.time() - begin < 20
    got = results(parse(find(world, subject)))
    assert "dmarc=pass" in got and "dkim=permerror" in got and len(got) < 3000
