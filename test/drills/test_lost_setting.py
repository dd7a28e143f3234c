"""The mother's client: an update lost its SMTP setting, and her mail comes in under our own domain from her internet provider's
relay. Beside it somebody forges the same address from elsewhere.

Mails lost 0: where our domain's DMARC policy refuses it, the copy that was kept is released by the command that the incident
names. The incident stands within a minute, says which host it was, and has a letter to her in English and Japanese; the forgery
raises none. It is over when she sends through us again."""
import imaplib
import json
import re
import smtplib
import socket
import time

import pytest
from instance import wait_for
from talk import PASSWORD, find, token
from zones import Zones

pytestmark = pytest.mark.asan
HOME, NEAR_HOME, RELAY, ELSEWHERE = "203.0.113.9", "203.0.113.25", "198.18.5.25", "198.51.100.77"
SETTINGS = """
judge {{ trust 192.0.2.0/24  own-domain refuse }}
login {{ plaintext always }}
listener smtp {{ protocol smtp  address 127.0.0.1 }}
listener imap {{ protocol imap  address 127.0.0.1 }}
listener pop3 {{ protocol pop3  address 127.0.0.1 }}
listener submission {{ protocol submission  address 127.0.0.1 }}
listener world {{ protocol smtp  address 127.0.0.1  port {smtp}  proxy-from 127.0.0.0/8 }}
listener home {{ protocol imap  address 127.0.0.1  port {imap}  proxy-from 127.0.0.0/8 }}
"""


def behind_proxy(client, port):
    s = socket.create_connection(("127.0.0.1", port), 20)
    s.sendall(f"PROXY TCP4 {client} 192.0.2.1 4711 25\r\n".encode())
    return s


class Smtp(smtplib.SMTP):
    def __init__(self, client, port):
        self.client = client
        super().__init__("127.0.0.1", port, "relay.isp.test", timeout=60)

    def _get_socket(self, host, port, timeout):
        return behind_proxy(self.client, port)


class Imap(imaplib.IMAP4):
    def __init__(self, client, port):
        self.client = client
        super().__init__("127.0.0.1", port)

    def _create_socket(self, timeout=None):
        return behind_proxy(self.client, self.port)


class World:
    def __init__(self, fresh, tmp_path, policy):
        self.zones = Zones(tmp_path / "zones")
        self.zones.zone("test", "")
        self.zones.zone("example.test", f"@ TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n_dmarc TXT \"v=DMARC1; p={policy}\"")
        self.zones.zone("113.0.203.in-addr.arpa", "")
        self.zones.zone("5.18.198.in-addr.arpa", "25 PTR relay.isp.test.")
        self.zones.zone("isp.test", "relay A 198.18.5.25")
        self.zones.zone("100.51.198.in-addr.arpa", "")
        self.zones.start()
        self.h = fresh(start=False)
        self.smtp, self.imap = self.h.base + 60, self.h.base + 61
        self.h.append("hikyaku.conf", SETTINGS.format(smtp=self.smtp, imap=self.imap) + self.zones.settings(timeout="2s"))
        self.h.start()
        for name in ("mother", "ken"):
            self.h.account(name, PASSWORD)

    def log_in_from(self, address):
        c = Imap(address, self.imap)
        c.login("mother@example.test", PASSWORD)
        c.logout()

    def deliver(self, client, subject, received=""):
        with Smtp(client, self.smtp) as c:
            c.helo("relay.isp.test")
            assert c.mail("mother@example.test")[0] == 250
            assert c.rcpt("ken@example.test")[0] == 250
            code, text = c.data(f"{received}From: Mother <mother@example.test>\r\nTo: ken@example.test\r\n"
                                f"Message-ID: <{subject}@isp.test>\r\nSubject: {subject}\r\n\r\nhello\r\n")
            return code, text.decode()

    def send(self, subject):
        with smtplib.SMTP("127.0.0.1", self.h.port("submission"), timeout=30) as c:
            c.login("mother@example.test", PASSWORD)
            c.sendmail("mother@example.test", ["ken@example.test"], f"From: mother@example.test\r\nSubject: {subject}\r\n\r\nhello\r\n")

    def incidents(self):
        listed = self.h.cli("incidents", "--json", check=False).stdout
        rows = [json.loads(line) for line in listed.splitlines() if line.startswith("{")]
        return [i for i in rows if i.get("kind") == "own-address"]


@pytest.fixture
def world(fresh, tmp_path, request):
    w = World(fresh, tmp_path, getattr(request, "param", "none"))
    yield w
    w.zones.stop()


def received_from(client):
    return f"Received: from [192.168.1.5] (p9.isp.test [{client}])\r\n\tby relay.isp.test; Mon, 1 Jan 2024 00:00:00 +0900\r\n"


@pytest.mark.parametrize("way", ["its own network", "a relay that says who handed it in"])
def test_a_lost_setting_is_told_from_a_forgery(world, way):
    world.log_in_from(HOME)
    time.sleep(0.5)
    code, text = world.deliver(ELSEWHERE, token("forged"), received_from("198.51.100.3"))
    assert code == 550 and "own-address" in text, text
    lost = token("lost")
    began = time.monotonic()
    code, text = world.deliver(NEAR_HOME, lost) if way == "its own network" else world.deliver(RELAY, lost, received_from(HOME))
    assert code == 250, text
    incident, = wait_for(world.incidents, 60) or [None]
    assert incident, world.h.log_text()[-3000:]
    assert time.monotonic() - began < 60
    assert find(world.h, lost) is not None
    shown = world.h.cli("incidents", "show", str(incident["id"]), check=False).stdout
    for word in ("mother@example.test", "set the outgoing (SMTP) server again", "設定し直してください"):
        assert word in shown, shown
    assert ("relay.isp.test" in shown) == (way != "its own network")
    world.send(token("again"))
    assert wait_for(lambda: not world.incidents(), 20), "it is not over"


@pytest.mark.parametrize("world", ["reject"], indirect=True)
def test_what_our_own_policy_refuses_is_kept_and_released(world):
    world.log_in_from(HOME)
    time.sleep(0.5)
    lost = token("lost")
    code, text = world.deliver(RELAY, lost, received_from(HOME))
    assert code == 550, text
    incident, = wait_for(world.incidents, 60) or [None]
    assert incident, world.h.log_text()[-3000:]
    shown = world.h.cli("incidents", "show", str(incident["id"]), check=False).stdout
    command = re.search(r"hikyaku -C \S+ (escrow release \S+)", shown)
    assert command, shown
    assert find(world.h, lost, seconds=1) is None
    world.h.cli(*command[1].split())
    assert find(world.h, lost) is not None
