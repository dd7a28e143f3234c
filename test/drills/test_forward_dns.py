"""A big provider's outbound hosts have a name, but the name does not lead back: a mother's mail to her son was refused for a week,
silently.

Here reverse DNS is evidence and never alone: mails lost 0, refused 0; the operator sees the provider's hosts as one row of
`hikyaku senders`, with a notice to its postmaster that is ready to send."""
import json
import smtplib
import time

import pytest
from instance import wait_for
from talk import PASSWORD, find
from zones import Zones

HOSTS = 12


@pytest.fixture
def world(fresh, tmp_path):
    with Zones(tmp_path / "zones") as dns:
        dns.zone("test", "")
        dns.zone("isp.test", "@ TXT \"v=spf1 ip4:127.0.7.0/24 -all\"")
        # Every host has a PTR; none of the names exists.
        dns.zone("7.0.127.in-addr.arpa", "\n".join(f"{n} PTR out{n}.isp.test." for n in range(1, HOSTS + 1)))
        dns.start()
        h = fresh(settings="judge { trust 127.0.0.1 }\n" + dns.settings(timeout="2s"))
        yield h


def send(h, sender, subject, host):
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), f"out{host}.isp.test", timeout=60, source_address=(f"127.0.7.{host}", 0)) as s:
        return s.sendmail(sender, ["ken@example.test"], f"From: {sender}\r\nTo: ken@example.test\r\nSubject: {subject}\r\n"
                          f"Message-ID: <{subject}@isp.test>\r\n\r\nHow are you?\r\n")


def test_the_mothers_provider_has_no_forward_dns(world):
    h = world
    for host in range(1, HOSTS + 1):
        assert send(h, "mother@isp.test", f"letter-{host}", host) == {}
    for host in range(1, HOSTS + 1):
        assert find(h, f"letter-{host}", seconds=30), f"mail {host} is not in the inbox"
    seen = wait_for(lambda: [line for line in h.cli("senders", check=False).stdout.splitlines() if "isp.test" in line or "127.0.7" in line], 30)
    assert seen, h.cli("senders", check=False).stdout
    assert str(HOSTS) in seen[0], seen


def test_somebody_our_users_wrote_to_is_known(world):
    h = world
    with smtplib.SMTP("127.0.0.1", h.port("submission"), timeout=30) as c:
        c.login("ken@example.test", PASSWORD)
        c.sendmail("ken@example.test", ["mother@isp.test"], "From: ken@example.test\r\nSubject: hi\r\n\r\nhello\r\n")
    assert send(h, "mother@isp.test", "an-answer", 3) == {}
    assert find(h, "an-answer", seconds=30)


def test_the_operator_is_told_of_those_whom_our_users_know(world):
    """Nothing is lost here, but others refuse such mail: an incident, with the letter to the provider."""
    h = world
    with smtplib.SMTP("127.0.0.1", h.port("submission"), timeout=30) as c:
        c.login("ken@example.test", PASSWORD)
        c.sendmail("ken@example.test", ["mother@isp.test"], "From: ken@example.test\r\nSubject: hi\r\n\r\nhello\r\n")
    began = time.monotonic()
    for host in range(1, 4):
        assert send(h, "mother@isp.test", f"told-{host}", host) == {}

    def incident():
        rows = [json.loads(line) for line in h.cli("incidents", "--json").stdout.splitlines()]
        return next((row for row in rows if row["kind"] == "senders" and row["key"] == "isp.test"), None)

    row = wait_for(incident, 60)
    assert row and time.monotonic() - began < 60, h.cli("incidents").stdout
    english = h.cli("incidents", "show", str(row["id"]), "--lang=en").stdout
    assert "senders isp.test" in english and "PTR" in english and "isp.test" in english.splitlines()[0], english
    assert "逆引き" in h.cli("incidents", "show", str(row["id"]), "--lang=ja").stdout
    letter = wait_for(lambda: h.cli("senders", "isp.test", check=False).stdout if "isp.test" in h.cli("senders").stdout else "", 10)
    assert "To: postmaster@isp.test" in letter and "PTR" in letter
    for host in range(1, 4):
        assert find(h, f"told-{host}", seconds=30)
