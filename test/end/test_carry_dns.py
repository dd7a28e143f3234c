"""Mail going out by the DNS: MX in all shapes, TLS, DANE in a signed zone, MTA-STS over HTTPS. nsd serves the zones; hosts are
scripted (sink.py) on addresses of the loopback range."""
import contextlib
import email
import gzip
import http.server
import itertools
import json
import random
import re
import smtplib
import socket
import sqlite3
import threading
import time

import pytest
from certificates import Authority
from instance import port_free, wait_for
from sink import Sink
from talk import PASSWORD
from zones import Zones

NUMBERS = itertools.count(1)
WRONG = "3 1 1 " + "f" * 64


def free_port(start):
    return next(p for p in iter(lambda: random.randrange(start, start + 300), None) if port_free(p))


class PolicyHost:
    """https://mta-sts.DOMAIN/.well-known/mta-sts.txt for the domains in `policies`."""

    def __init__(self, ip, port, context):
        self.policies, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                host = self.headers["Host"]
                outer.asked.append(host)
                text = outer.policies.get(host.removeprefix("mta-sts."))
                if self.path != "/.well-known/mta-sts.txt" or text is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer((ip, port), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class World:
    """Zones, an authority, an instance; hosts are added by tests."""

    def __init__(self, folder):
        import instance
        self.ca = Authority(folder / "ca")
        self.port, self.https = free_port(32700), free_port(33000)
        self.certificates = {}
        self.zones = Zones(folder / "dns")
        good, expired, other = (self.ca.host("mx.signed.test", "mx.sts.test"), self.ca.host("mx.signed.test", "mx.sts.test", expired=True),
                                self.ca.host("elsewhere.test"))
        self.certificates = {"good": good, "expired": expired, "other": other,
                             "self": self.ca.host("mx.plain.test", self_signed=True)}
        self.zones.zone("plain.test", f"""
two MX 10 a.plain.test.
two MX 20 b.plain.test.
a A 127.0.2.1
b A 127.0.2.2
six MX 10 v6.plain.test.
v6 AAAA ::1
implicit A 127.0.2.3
nomail MX 0 .
nowhere MX 10 gone.plain.test.
alias MX 10 c.plain.test.
c CNAME a.plain.test.
loop MX 10 mx.example.test.
private MX 10 p.plain.test.
p A 10.1.2.3
numeric MX 10 127.0.2.1.
both MX 10 ab.plain.test.
ab A 127.0.2.6
ab AAAA ::1
tls MX 10 t.plain.test.
t A 127.0.2.4
empty TXT "nothing else"
custom1 MX 10 mx01.mail.icloud.com.
custom2 MX 10 mx02.mail.icloud.com.
report MX 10 r.plain.test.
r A 127.0.2.5
_smtp._tls.report TXT "v=TLSRPTv1; rua=mailto:tls@report.plain.test"
equal MX 10 a.plain.test.
equal MX 10 b.plain.test.
""")
        def sts(name, ip):
            return (f"{name} MX 10 mx.{name}.sts.test.\nmx.{name} A {ip}\n_mta-sts.{name} TXT \"v=STSv1; id=1;\"\n"
                    f"mta-sts.{name} A 127.0.2.30\n")
        self.zones.zone("sts.test", "".join(sts(n, f"127.0.2.{20 + i}") for i, n in enumerate(
            ("good", "expired", "notmx", "testing", "nohttp", "clear", "other", "self"))))
        def dane(name, ip, record):
            return f"{name} MX 10 mx.{name}.signed.test.\nmx.{name} A {ip}\n_25._tcp.mx.{name} TLSA {record}\n"
        self.zones.zone("signed.test",
                        dane("right", "127.0.2.10", good.tlsa) + dane("wrong", "127.0.2.11", WRONG) +
                        dane("old", "127.0.2.12", expired.tlsa) + dane("unusable", "127.0.2.13", "0 0 1 " + "a" * 64) +
                        dane("clear", "127.0.2.14", good.tlsa) +
                        "none MX 10 mx.none.signed.test.\nmx.none A 127.0.2.15\n", sign=True)
        self.zones.zone("icloud.com", "mx01.mail A 127.0.2.40\nmx02.mail A 127.0.2.40\n")
        self.zones.zone("silent.test", "".join(f"s{i} MX 10 mx.s{i}.silent.test.\nmx.s{i} A 127.{10 + i}.0.1\n" for i in range(8)))
        self.zones.zone("bogus.test", "@ MX 10 mx.bogus.test.\nmx A 127.0.2.16\n", sign=True)
        self.zones.start()
        self.policy_host = PolicyHost("127.0.2.30", self.https, self.ca.host(
            *(f"mta-sts.{n}.sts.test" for n in ("good", "expired", "notmx", "testing", "clear", "other", "self"))))
        for n in ("good", "expired", "testing", "clear", "other", "self"):
            mode = "testing" if n == "testing" else "enforce"
            self.policy_host.policies[f"{n}.sts.test"] = \
                f"version: STSv1\nmode: {mode}\nmx: mx.{n}.sts.test\nmax_age: 86400\n"
        self.policy_host.policies["notmx.sts.test"] = "version: STSv1\nmode: enforce\nmx: other.test\nmax_age: 86400\n"
        self.h = instance.Instance(folder / "h", settings=self.zones.settings() + f"""
carry {{ port {self.port}  https-port {self.https}  allow-networks 127.0.0.0/8 ::1/128  reply-timeout 2s  data-timeout 2s  connect-timeout 2s  tls-reports-within 200ms  idle 4s  probe-first 1s  probe-last 2s  roots {self.ca.roots} }}
queue {{ retry-first 1s  retry-last 2s }}
sending {{ messages-hour 0  messages-day 0  recipients-hour 0  recipients-day 0  watch off }}
""")
        self.h.setup()
        self.zones.damage("bogus.test", "127.0.2.16", "127.0.2.17")
        self.zones.reload()
        self.h.start()
        self.h.account("ken", PASSWORD)

    def close(self):
        self.h.stop()
        self.policy_host.close()
        self.zones.stop()

    def host(self, ip, **options):
        return Sink(self.port, ip, **options)

    def send(self, rcpt):
        token = f"token-{next(NUMBERS)}-"
        with smtplib.SMTP("127.0.0.1", self.h.port("submission"), timeout=30) as c:
            c.login("ken@example.test", PASSWORD)
            c.sendmail("ken@example.test", [rcpt], f"From: ken@example.test\r\nSubject: {token}\r\n\r\nhello\r\n")
        return token

    def carried(self, domain):
        return re.findall(rf" carried .*destination={re.escape(domain)} .*", self.h.log_text())

    def first(self, domain, seconds=15):
        """What came of the first try."""
        found = wait_for(lambda: self.carried(domain), seconds)
        assert found, self.h.log_text()[-2000:]
        return found[0]

    def remove(self, domain):
        self.h.cli("queue", "remove", f"@{domain}", check=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("world"))
    yield w
    w.close()


def arrives(sink, token, seconds=15):
    found = wait_for(lambda: [m for m in list(sink.mails) if token.encode() in m.content], seconds)
    assert found, "it did not arrive"
    assert len(found) == 1
    return found[0]


# ---- MX


def test_the_lowest_preference_has_it(world):
    with world.host("127.0.2.1") as a, world.host("127.0.2.2") as b:
        arrives(a, world.send("x@two.plain.test"))
        assert not b.connections


def test_a_dead_first_host_leads_to_the_second(world):
    with world.host("127.0.2.2") as b:
        arrives(b, world.send("x@two.plain.test"))


def test_a_first_host_that_says_421_leads_to_the_second(world):
    with world.host("127.0.2.1", script={"greeting": "421 4.3.2 busy"}) as a, world.host("127.0.2.2") as b:
        arrives(b, world.send("x@two.plain.test"))
        assert a.connections


def test_equal_hosts_share(world):
    with world.host("127.0.2.1") as a, world.host("127.0.2.2") as b:
        for _ in range(3):
            token = world.send("x@equal.plain.test")
            assert wait_for(lambda: [m for m in a.mails + b.mails if token.encode() in m.content], 10)


def test_ipv6_only(world):
    with world.host("::1") as s:
        arrives(s, world.send("x@six.plain.test"))


def test_a_silent_family_hinders_nothing(world):
    """IPv6 comes first and stays silent; IPv4 is tried beside it (RFC 8305), within the first try."""
    silent = Silent("::1", world.port)
    try:
        with world.host("127.0.2.6") as s:
            arrives(s, world.send("x@both.plain.test"))
            assert "delivered=1" in world.first("both.plain.test")
    finally:
        silent.close()


def test_without_mx_the_domain_is_the_host(world):
    with world.host("127.0.2.3") as s:
        arrives(s, world.send("x@implicit.plain.test"))


def test_mx_to_an_alias(world):
    with world.host("127.0.2.1") as s:
        arrives(s, world.send("x@alias.plain.test"))


@pytest.mark.parametrize("name,words", [
    ("nomail.plain.test", "takes no mail"), ("nowhere.plain.test", "do not exist"), ("nosuch.plain.test", "no domain"),
    ("loop.plain.test", "come back"), ("private.plain.test", "private"), ("numeric.plain.test", "do not exist"),
    ("empty.plain.test", "neither MX nor address")])
def test_what_the_dns_forbids_goes_back_at_once(world, name, words):
    world.send(f"x@{name}")
    first = world.first(name)
    assert "failed=1" in first and words in first


def test_a_bogus_zone_waits(world):
    world.send("x@bogus.test")
    first = world.first("bogus.test")
    assert "deferred=1" in first and "DNS" in first
    world.remove("bogus.test")


# ---- TLS


def test_tls_with_whoever_offers_it(world):
    with world.host("127.0.2.4", tls=world.certificates["self"]) as s:
        mail = arrives(s, world.send("x@tls.plain.test"))
        assert mail.tls == "TLSv1.3"


def test_tls_with_an_expired_certificate_where_nothing_demands_more(world):
    with world.host("127.0.2.4", tls=world.certificates["expired"]) as s:
        assert arrives(s, world.send("x@tls.plain.test")).tls


def test_broken_tls_is_done_without_where_nothing_demands_it(world):
    with world.host("127.0.2.4", tls="garbage") as s:
        assert arrives(s, world.send("x@tls.plain.test")).tls == ""


# ---- DANE


def test_dane_with_the_right_key(world):
    with world.host("127.0.2.10", tls=world.certificates["good"]) as s:
        assert arrives(s, world.send("x@right.signed.test")).tls
        assert "delivered=1" in world.first("right.signed.test")


def test_dane_with_a_wrong_key_waits_and_is_told(world):
    with world.host("127.0.2.11", tls=world.certificates["good"]) as s:
        world.send("x@wrong.signed.test")
        assert "deferred=1" in world.first("wrong.signed.test")
        assert not s.mails
        assert "wrong.signed.test" in world.h.cli("incidents", check=False).stdout
    world.remove("wrong.signed.test")


def test_dane_without_starttls_waits(world):
    with world.host("127.0.2.14") as s:
        world.send("x@clear.signed.test")
        assert "deferred=1" in world.first("clear.signed.test")
        assert not s.mails
    world.remove("clear.signed.test")


def test_dane_by_key_does_not_mind_dates_and_names(world):
    """RFC 7672, 3.1.1."""
    with world.host("127.0.2.12", tls=world.certificates["expired"]) as s:
        assert arrives(s, world.send("x@old.signed.test")).tls


def test_unusable_records_want_encryption_alone(world):
    with world.host("127.0.2.13", tls=world.certificates["other"]) as s:
        assert arrives(s, world.send("x@unusable.signed.test")).tls


def test_a_signed_zone_without_tlsa_is_as_any(world):
    with world.host("127.0.2.15") as s:
        arrives(s, world.send("x@none.signed.test"))


# ---- MTA-STS


def sts_host(world, n, certificate):
    return world.host(f"127.0.2.{n}", tls=certificate)


def test_sts_with_a_good_certificate(world):
    with sts_host(world, 20, world.ca.host("mx.good.sts.test")) as s:
        assert arrives(s, world.send("x@good.sts.test")).tls
        assert "mta-sts.good.sts.test" in world.policy_host.asked
        arrives(s, world.send("x@good.sts.test"))
        assert world.policy_host.asked.count("mta-sts.good.sts.test") == 1, "a policy that is kept is not fetched again"


@pytest.mark.parametrize("how,n", [("expired", 21), ("other", 26), ("self", 27)])
def test_sts_with_a_bad_certificate_waits(world, how, n):
    with sts_host(world, n, world.certificates[how]) as s:
        world.send(f"x@{how}.sts.test")
        assert "deferred=1" in world.first(f"{how}.sts.test")
        assert not s.mails
    world.remove(f"{how}.sts.test")


def test_sts_that_does_not_name_the_mx_waits(world):
    with sts_host(world, 22, world.certificates["good"]) as s:
        world.send("x@notmx.sts.test")
        first = world.first("notmx.sts.test")
        assert "deferred=1" in first and "MTA-STS" in first
        assert not s.connections
    world.remove("notmx.sts.test")


def test_sts_in_testing_hinders_nothing(world):
    with sts_host(world, 23, world.certificates["expired"]) as s:
        arrives(s, world.send("x@testing.sts.test"))


def test_sts_whose_policy_cannot_be_fetched_hinders_nothing(world):
    with sts_host(world, 24, world.certificates["self"]) as s:
        arrives(s, world.send("x@nohttp.sts.test"))


def test_sts_without_starttls_waits(world):
    with world.host("127.0.2.25") as s:
        world.send("x@clear.sts.test")
        assert "deferred=1" in world.first("clear.sts.test")
        assert not s.mails
    world.remove("clear.sts.test")


# ---- what is not the mail's fault


def test_a_block_holds_all_behind_the_same_filter(world):
    """Apple's filter refuses our address: every domain behind it waits, nothing goes back, a probe sees the end of it."""
    with world.host("127.0.2.40", script={"mail": "550 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1"}) as s:
        one = world.send("x@custom1.plain.test")
        assert wait_for(lambda: "blocked" in world.h.cli("incidents", check=False).stdout, 10)
        lines = len([x for x in s.lines if x[1].startswith("MAIL")])
        two = [world.send("x@custom2.plain.test") for _ in range(3)]
        assert wait_for(lambda: sum("custom2" in x and '"provider":"icloud","incident":0' not in x for x in
                                    world.h.cli("queue", "list", "--json").stdout.splitlines()) == 3, 10), \
            world.h.cli("queue", "list", "--json").stdout
        assert len([x for x in s.lines if x[1].startswith("MAIL")]) <= lines + 3, "held mail is not tried but for probes"
        del s.script["mail"]
        for token in (one, *two):
            arrives(s, token, 20)
        assert "failed=" not in "".join(world.carried("custom1.plain.test") + world.carried("custom2.plain.test"))
        assert wait_for(lambda: "blocked" not in world.h.cli("incidents", check=False).stdout, 10)


class Silent:
    """A host that answers no connect: a listener whose backlog is full."""

    def __init__(self, ip, port):
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self.sockets = [socket.socket(family)]
        self.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sockets[0].bind((ip, port))
        self.sockets[0].listen(0)
        for _ in range(3):
            x = socket.socket(family)
            x.setblocking(False)
            self.sockets.append(x)
            with contextlib.suppress(BlockingIOError):
                x.connect((ip, port))

    def close(self):
        for x in self.sockets:
            x.close()


def test_a_throttled_port_turns_to_the_fallback_route(world, fresh):
    """Connects to unrelated networks stay silent: it is our port 25, the smarthost takes over, nothing waits for days."""
    spare = free_port(33400)
    h = fresh(settings=world.zones.settings() + f"""
carry {{ port {world.port}  allow-networks 127.0.0.0/8  connect-timeout 1s  fallback-route spare  tls-reports off }}
queue {{ retry-first 1s  retry-last 2s }}
route spare {{ host 127.0.2.50  port {spare} }}
""")
    silent = [Silent(f"127.{10 + i}.0.1", world.port) for i in range(8)]
    try:
        with Sink(spare, "127.0.2.50") as s:
            for i in range(8):
                with smtplib.SMTP("127.0.0.1", h.port("submission"), timeout=30) as c:
                    c.login("ken@example.test", PASSWORD)
                    c.sendmail("ken@example.test", [f"x@s{i}.silent.test"], "From: ken@example.test\r\nSubject: hi\r\n\r\nhello\r\n")
            assert wait_for(lambda: len({r for m in list(s.mails) for r in m.recipients}) == 8, 40), s.mails
            assert len(s.mails) == 8
            assert "network" in h.cli("incidents", check=False).stdout
    finally:
        for x in silent:
            x.close()


# ---- TLS reports (RFC 8460)


def test_a_report_on_tls_leaves_the_day_after(world):
    """Results are counted for who asks for them; when the day is over (its rows are made a day older here, with the server
    stopped) a signed mail with the compressed report goes to the address."""
    with world.host("127.0.2.5", tls=world.certificates["self"]) as s:
        for _ in range(3):
            arrives(s, world.send("x@report.plain.test"))
        assert wait_for(lambda: len(world.carried("report.plain.test")) == 3)
        time.sleep(0.3)
        world.h.stop()
        index, = world.h.dir.glob("data/**/index*.db") or world.h.dir.glob("data/**/*.sqlite")
        with sqlite3.connect(index) as db:
            assert db.execute("SELECT sum(sessions) FROM tls_result WHERE domain=CAST('report.plain.test' AS BLOB)").fetchone()[0] == 1
            db.execute("UPDATE tls_result SET day=day-86400000")
        world.h.start()
        mail = wait_for(lambda: [m for m in s.mails if m.recipients == ["tls@report.plain.test"]], 20)
        assert mail, world.h.log_text()[-2000:]
        message = email.message_from_bytes(mail[0].content)
        assert message.get_content_type() == "multipart/report" and message["DKIM-Signature"] and mail[0].sender == ""
        report = json.loads(gzip.decompress(message.get_payload()[1].get_payload(decode=True)))
        assert report["organization-name"] == "example.test"
        policy = report["policies"][0]
        assert policy["policy"] == {"policy-type": "no-policy-found", "policy-domain": "report.plain.test"}
        assert policy["summary"] == {"total-successful-session-count": 1, "total-failure-session-count": 0}


def test_the_courier_never_died(world):
    """Last: all of this behind its walls, HTTPS too."""
    assert world.h.log_text().count("role-ready courier") == world.h.log_text().count("role-ready store")
