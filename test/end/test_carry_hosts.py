"""Mail going out to servers nobody here wrote: Postfix (TLS, DANE in a signed zone, greylisting), OpenSMTPD, smtp-sink. Their
packages are unpacked into a folder and run there by chroot, so root is needed."""
import imaplib
import os
import pathlib
import shutil
import smtplib
import socketserver
import subprocess
import threading
import time

import pytest
import instance
import peers
import zones as dns_zones
from talk import PASSWORD

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "build-bench"
ADDRESS = {"tls.test": "127.0.0.21", "dane.test": "127.0.0.22", "wrong.test": "127.0.0.23", "grey.test": "127.0.0.24",
           "open.test": "127.0.0.25", "sink.test": "127.0.0.26"}
GREYLIST_S = 3


def unpacked(folder, packages):
    if os.geteuid() != 0:
        pytest.skip("needs root: the other servers run by chroot")
    try:
        root = peers.fetch(FOLDER / folder, packages)
        peers.prepare_root(root)
    except (peers.Absent, subprocess.SubprocessError, OSError) as e:
        pytest.skip(f"{packages[0]} cannot be had: {e}")
    return root


def certificate(folder, name):
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "30", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out",
                    str(pem)], check=True, capture_output=True)
    return pem, key


def tlsa(pem):
    """3 1 1: the SHA-256 of its public key."""
    public = subprocess.run(["openssl", "x509", "-in", str(pem), "-noout", "-pubkey"], capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, capture_output=True, check=True).stdout
    return "3 1 1 " + subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True,
                                     check=True).stdout.split()[0].decode()


class Greylist(socketserver.StreamRequestHandler):
    """A policy service as postgrey is one: the first try of a triplet is put off for some seconds."""

    def handle(self):
        asked = {}
        for line in self.rfile:
            name, _, value = line.decode().strip().partition("=")
            if name:
                asked[name] = value
                continue
            triplet = (asked.get("client_address"), asked.get("sender"), asked.get("recipient"))
            first = self.server.seen.setdefault(triplet, time.monotonic())
            late = time.monotonic() - first >= GREYLIST_S
            self.server.deferred += not late
            action = "DUNNO" if late else f"DEFER_IF_PERMIT Greylisted, try again in {GREYLIST_S} seconds"
            self.wfile.write(f"action={action}\n\n".encode())
            asked = {}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """All of them, their zones, and an instance that sends to them."""
    folder = tmp_path_factory.mktemp("hosts")
    postfix_root = unpacked("peers", peers.PACKAGES)
    smtpd_root = unpacked("smtpd", peers.SMTPD_PACKAGES)
    base = instance.free_base()
    port = base + 77
    policy = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greylist)
    policy.seen, policy.deferred, policy.daemon_threads = {}, 0, True
    threading.Thread(target=policy.serve_forever, daemon=True).start()
    grey = ("smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service "
            f"inet:127.0.0.1:{policy.server_address[1]}")
    servers = {}
    for domain in ("tls.test", "dane.test", "wrong.test", "grey.test"):
        pem, key = certificate(folder, f"mx.{domain}")
        servers[domain] = peers.PostfixHost(postfix_root, port, domain, pem, key, ADDRESS[domain],
                                            grey if domain == "grey.test" else "")
    pem, key = certificate(folder, "mx.open.test")
    servers["open.test"] = peers.OpenSMTPD(smtpd_root, port, "open.test", pem, key, ADDRESS["open.test"])
    servers["sink.test"] = peers.SmtpSink(postfix_root, port, ADDRESS["sink.test"])
    for server in servers.values():
        shutil.rmtree(getattr(server, "mail", folder / "none"), ignore_errors=True)
    good = tlsa(folder / "mx.dane.test.pem")
    other = tlsa(folder / "mx.tls.test.pem")
    h = None
    with dns_zones.Zones(folder / "zones") as z:
        try:
            for domain, address in ADDRESS.items():
                record = {"dane.test": good, "wrong.test": other}.get(domain)
                text = f"@ MX 10 mx\nmx A {address}\n" + (f"_25._tcp.mx TLSA {record}\n" if record else "")
                z.zone(domain, text, sign=bool(record))
            z.start()
            for server in servers.values():
                server.start()
            h = instance.Instance(folder / "h", base=base, settings=f"""
carry {{ port {port}  allow-networks 127.0.0.0/8 }}
queue {{ retry-first 2s  retry-last 3s }}
{z.settings()}""")
            h.setup().start()
            h.account("ken", PASSWORD)
            yield h, servers, policy
        finally:
            if h and h.process:
                h.stop()
            for server in servers.values():
                server.stop()
            policy.shutdown()


def arrives(server, token, seconds=30):
    found = instance.wait_for(lambda: [m for m in server.mails() if token.encode() in m], seconds, 0.1)
    assert found, "it did not arrive"
    assert len(found) == 1
    return found[0]


def send(h, to, token):
    with smtplib.SMTP("127.0.0.1", h.port("submission"), timeout=30) as c:
        c.login("ken@example.test", PASSWORD)
        c.sendmail("ken@example.test", to, f"From: ken@example.test\r\nSubject: {token}\r\n\r\nhello\r\n")


def log_of(h, domain):
    return [line for line in h.log_text().splitlines() if " carried " in line and f"destination={domain}" in line]


def test_postfix_takes_it_by_tls(hosts):
    h, servers, _ = hosts
    send(h, ["joe@tls.test"], "t-tls")
    mail = arrives(servers["tls.test"], "t-tls")
    assert b"DKIM-Signature:" in mail and b"using TLSv1." in mail
    assert "TLSv1." in log_of(h, "tls.test")[-1]


def test_dane_holds_a_host_to_its_key(hosts):
    h, servers, _ = hosts
    send(h, ["joe@dane.test"], "t-dane")
    arrives(servers["dane.test"], "t-dane")
    send(h, ["joe@wrong.test"], "t-wrong")
    waits = instance.wait_for(lambda: "carry" in h.cli("queue", "list", "wrong.test").stdout and log_of(h, "wrong.test"), 20)
    assert waits, h.log_text()[-2000:]
    assert not [m for m in servers["wrong.test"].mails() if b"t-wrong" in m], "it went out although TLSA forbids it"
    h.cli("queue", "remove", "wrong.test")


def test_greylisting_costs_a_retry_and_nothing_else(hosts):
    h, servers, policy = hosts
    before = policy.deferred
    send(h, ["joe@grey.test", "ann@grey.test"], "t-grey")
    both = instance.wait_for(
        lambda: sum(m.count(b"Delivered-To:") for m in servers["grey.test"].mails() if b"t-grey" in m) == 2, 40)
    assert both, h.log_text()[-2000:]
    assert policy.deferred > before, "nothing was greylisted"
    assert instance.wait_for(lambda: not h.cli("queue", "list", "grey.test", "--json").stdout.strip(), 10)


def test_opensmtpd_takes_it_although_its_tls_is_broken(hosts):
    """Debian 12's OpenSMTPD offers STARTTLS and fails every handshake; nothing demands TLS here, so the mail goes in the clear."""
    h, servers, _ = hosts
    send(h, ["joe@open.test"], "t-open")
    arrives(servers["open.test"], "t-open")


def test_smtp_sink_takes_it(hosts):
    h, _, _ = hosts
    send(h, ["joe@sink.test"], "t-sink")
    assert instance.wait_for(lambda: [line for line in log_of(h, "sink.test") if "delivered=1" in line], 20)


def test_what_postfix_refuses_comes_back(hosts):
    h, _, _ = hosts
    send(h, ["joe@elsewhere.tls.test"], "t-none")  # no such name in the zone
    bounce = instance.wait_for(lambda: find_bounce(h, b"t-none"), 20)
    assert bounce and b"5.1.2" in bounce, h.log_text()[-2000:]


def find_bounce(h, token):
    imap = imaplib.IMAP4("127.0.0.1", h.port("imap"), timeout=30)
    try:
        imap.login("ken@example.test", PASSWORD)
        imap.select("INBOX", readonly=True)
        _, data = imap.uid("FETCH", "1:*", "(BODY.PEEK[])")
        return next((d[1] for d in data if isinstance(d, tuple) and token in d[1]), None)
    finally:
        imap.logout()
