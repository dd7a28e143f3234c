"""`hikyaku dns`: the records to publish are a zone that others' programs read; published, the check finds nothing; changed, it says
what, what it causes and what to do, in both languages."""
import json
import re
import subprocess

import pytest

from instance import Instance, free_base
from zones import Zones, tool

ADDRESS = "127.0.0.11"
HEAD = "$ORIGIN example.test.\n$TTL 60\n@ SOA ns host 1 3600 600 86400 30\n@ NS ns\nns A 127.0.0.1\n"


@pytest.fixture(scope="module")
def zones(tmp_path_factory):
    with Zones(tmp_path_factory.mktemp("zones")) as z:
        z.zone("example.test", "mx A 127.0.0.11", sign=True)
        z.zone("127.in-addr.arpa", "11.0.0 PTR mx.example.test.\n12.0.0 PTR a.test.\n12.0.0 PTR mx.example.test.")
        z.zone("other.test", "mx A 127.0.0.77\nalias CNAME mx")
        z.start()
        yield z


@pytest.fixture
def server(zones, tmp_path):
    """A fresh one for each: it must not remember the former zone."""
    h = Instance(tmp_path / "h", base=free_base(), settings=zones.settings())
    h.setup().start()
    yield h
    h.stop()


def fragment(h, *more):
    return h.cli("dns", "example.test", "--zone", "--address", ADDRESS, *more).stdout


def publish(zones, text):
    zones.zone("example.test", text, sign=True)
    zones.reload()


def check(h, *more, address=ADDRESS):
    done = h.cli("dns", "example.test", "--json", "--address", address, *more, check=False)
    assert not done.stderr, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        assert row["what"] and row["causes"] and row["do"]
    return done.returncode, {row["problem"]: row for row in rows}


def test_others_read_the_zone(server, tmp_path):
    path = tmp_path / "zone"
    for language in ("en", "ja"):
        path.write_text(HEAD + fragment(server, "--lang", language))
        done = subprocess.run([tool("ldns-read-zone"), str(path)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
        got = done.stdout
        assert re.search(r"^example\.test\.\s+3600\s+IN\s+MX\s+10 mx\.example\.test\.$", got, re.M)
        assert re.search(r"^_25\._tcp\.mx\.example\.test\.\s+3600\s+IN\s+TLSA\s+3 1 1 [0-9a-f]{64}$", got, re.M)
        assert got.count("_domainkey") == 2 and "p=none" in got and "v=spf1 mx -all" in got
        assert "_imaps._tcp" in got and "PTR" not in got and "mta-sts" not in got
        done = subprocess.run([tool("nsd-checkzone"), "example.test", str(path)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and "is ok" in done.stdout, done.stdout + done.stderr


def test_the_tlsa_record_is_of_the_certificate_that_is_shown(server):
    """By OpenSSL, not by us."""
    pem = next((server.dir / "etc" / "tls").glob("*.pem"))
    key = subprocess.run(["openssl", "x509", "-in", str(pem), "-pubkey", "-noout"], capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True).stdout.split()[0]
    assert f"TLSA 3 1 1 {digest.decode()}" in fragment(server)


def test_what_it_says_to_publish_satisfies_it(server, zones):
    publish(zones, fragment(server))
    status, found = check(server)
    assert status == 0, found
    assert set(found) <= {"mta-sts-missing"}, found
    people = server.cli("dns", "example.test", "--address", ADDRESS)
    assert "Nothing is wrong" in people.stdout


CHANGES = [
    # what is replaced in the zone, by what, what is found
    (r"example\.test\. 3600 IN MX .*", "example.test. MX 10 mx.other.test.", {"mx-other", "spf-not-us"}),
    (r"example\.test\. 3600 IN MX .*", "example.test. MX 0 .", {"mx-null", "spf-not-us"}),
    (r"example\.test\. 3600 IN MX .*", "example.test. MX 10 127.0.0.11.", {"mx-address", "spf-not-us"}),
    (r"example\.test\. 3600 IN MX .*", "example.test. MX 10 alias.other.test.", {"mx-cname", "mx-other", "spf-not-us"}),
    (r"(?m)^mx\.example\.test\. 3600 IN A .*", "", {"host-no-address", "spf-not-us"}),
    (r"(?m)^mx\.example\.test\. 3600 IN A .*", "mx A 127.0.0.78", {"host-other-address", "spf-not-us"}),
    (r'"v=spf1 mx -all"', '"v=spf1 mx -all"\n@ TXT "v=spf1 a ~all"', {"spf-two"}),
    (r'"v=spf1 mx -all"', '"v=spf1 ip4:10.0.0.0/8 -all"', {"spf-not-us"}),
    (r'"v=spf1 mx -all"', '"v=spf1 include:nothing.example.test mx -all"', {"spf-broken"}),
    (r'"v=spf1 mx -all"', '"v=spf1 mx ' + "a " * 10 + '-all"', {"spf-lookups"}),
    (r"(?m)^_dmarc.*", "", {"dmarc-missing"}),
    (r"(?m)^.*k=ed25519.*", "", {"dkim-missing"}),
    (r"p=[A-Za-z0-9+/=]{44}\"", 'p=AAAA"', {"dkim-other"}),
    (r"3 1 1 [0-9a-f]{64}", "3 1 1 " + "ab" * 32, {"tlsa-other"}),
    (r"\Z", '\n_mta-sts TXT "v=STSv1; id=1;"', {"mta-sts-no-host"}),
    (r"\Z", '\n_mta-sts TXT "v=STSv1; id=1;"\nmta-sts A 127.0.0.80', {"mta-sts-stale"}),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: "+".join(sorted(c[2])) + "-" + c[1].strip()[:16])
def test_each_difference_is_found(server, zones, change):
    pattern, replacement, expected = change
    text = fragment(server)
    changed, times = re.subn(pattern, lambda m: replacement, text, count=1)
    assert times == 1, text
    publish(zones, changed)
    status, found = check(server)
    wrong = {name for name, row in found.items() if row["level"] != "note"}
    assert status == 1 and wrong == expected, found


def test_a_ptr_that_disagrees(server, zones):
    publish(zones, fragment(server))
    zones_before = zones.zones["127.in-addr.arpa"].text
    try:
        zones.zone("127.in-addr.arpa", "11.0.0 PTR server7.provider.test.")
        zones.reload()
        status, found = check(server)
        assert status == 1 and set(found) - {"mta-sts-missing"} == {"ptr-other"}
        row = found["ptr-other"]
        assert (row["name"], row["published"], row["wanted"]) == (ADDRESS, "server7.provider.test", "mx.example.test")
        status, found = check(server, address="127.0.0.13")
        assert "ptr-missing" in found
    finally:
        zones.zone("127.in-addr.arpa", zones_before)
        zones.reload()


def test_in_japanese(server, zones):
    publish(zones, fragment(server).replace("mx -all", "ip4:10.0.0.0/8 -all"))
    said = server.cli("dns", "example.test", "--lang", "ja", "--address", ADDRESS, check=False).stdout
    assert "エラー: example.test の SPF は" in said and "影響:" in said and "対処:" in said


def test_a_zone_that_does_not_answer_is_not_called_wrong(server, zones):
    """Nothing that could not be looked up is called missing."""
    zones.stop()
    try:
        _, found = check(server)
        assert set(found) == {"lookup-failed"} or all(
            row["problem"] in ("lookup-failed", "bogus") for row in found.values() if row["level"] != "note"), found
    finally:
        zones.start()


def test_only_our_domains(server):
    done = server.cli("dns", "stranger.test", check=False)
    assert done.returncode == 1 and "not ours" in done.stderr
    assert server.cli("dns", "example.test", "--address", "nonsense", check=False).returncode == 2


def test_what_strangers_published_is_no_command_for_the_terminal(zones, server):
    publish(zones, 'mx A 127.0.0.11\n@ TXT "v=spf1 \\027[2J\\155\\255 -all"\n_dmarc TXT "v=DMARC1; p=\\027]0;x\\007"')
    shown = server.cli("dns", "example.test", "--address", ADDRESS, check=False).stdout
    assert "\x1b" not in shown and "\x07" not in shown
    assert "?[2J" in shown or "?]0;x" in shown, shown
    check(server)
