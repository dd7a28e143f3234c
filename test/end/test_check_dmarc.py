"""`hikyaku check dmarc` as a program behind its walls: which record applies, whose organisation it is, what is aligned (RFC 9989)."""
import subprocess

import instance
import pytest
from scripted_dns import TIMEOUT, ScriptedDns

ZONE = {
    "_dmarc.example.com": {"TXT": ["v=DMARC1; p=reject; sp=quarantine; np=reject; rua=mailto:d@example.com"]},
    "mail.example.com": {"A": ["192.0.2.1"]},
    "_dmarc.strict.test": {"TXT": ["v=DMARC1; p=reject; adkim=s; aspf=s"]},
    "_dmarc.testing.test": {"TXT": ["v=DMARC1; p=reject; t=y"]},
    "_dmarc.old.test": {"TXT": ["v=DMARC1; p=quarantine; pct=0"]},
    "_dmarc.two.test": {"TXT": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]},
    "_dmarc.noise.test": {"TXT": ["some=thing", "v=DMARC1; p=reject"]},
    "_dmarc.broken.test": {"TXT": ["v=DMARC1; p=perhaps"]},
    "_dmarc.reports.test": {"TXT": ["v=DMARC1; p=perhaps; rua=mailto:d@reports.test"]},
    "_dmarc.nop.test": {"TXT": ["v=DMARC1"]},
    "_dmarc.slow.test": TIMEOUT,
    # A registry that speaks for those below it, and one of them who has his own.
    "_dmarc.bank": {"TXT": ["v=DMARC1; p=reject; psd=y"]},
    "_dmarc.own.bank": {"TXT": ["v=DMARC1; p=none"]},
    "a.bank": {"A": ["192.0.2.1"]},
    # A department that stands for itself.
    "_dmarc.university.test": {"TXT": ["v=DMARC1; p=none"]},
    "_dmarc.physics.university.test": {"TXT": ["v=DMARC1; p=reject; psd=n"]},
    "_dmarc.a.b.c.d.e.f.g.h.i.j.long.test": {"TXT": []},
    "_dmarc.g.h.i.j.long.test": {"TXT": ["v=DMARC1; p=quarantine"]},
}


@pytest.fixture(scope="module")
def dns():
    with ScriptedDns(ZONE) as server:
        yield server


def check(dns, sender, spf="none", domain="", header=None):
    mail = header if header is not None else f"From: Ken <ken@{sender}>\n"
    done = subprocess.run([str(instance.binary()), "check", "dmarc", "--dns", dns.address, "--spf-result", spf, "--spf-domain", domain],
                          input=(mail + "Subject: x\n\nhello\n").encode(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


@pytest.mark.parametrize("sender,spf,domain,said", [
    ("example.com", "pass", "example.com", "pass reject example.com"),
    ("EXAMPLE.com", "pass", "bounce.Example.com", "pass reject example.com"),
    ("example.com", "pass", "other.test", "fail reject example.com"),
    ("example.com", "pass", "notexample.com", "fail reject example.com"),
    ("example.com", "softfail", "example.com", "fail reject example.com"),
    ("mail.example.com", "none", "", "fail quarantine example.com"),  # sp
    ("gone.example.com", "none", "", "fail reject example.com"),  # np: the name does not exist
    ("mail.example.com", "pass", "gone.example.com", "pass quarantine example.com"),
    ("strict.test", "pass", "www.strict.test", "fail reject strict.test"),
    ("strict.test", "pass", "strict.test", "pass reject strict.test"),
    ("testing.test", "none", "", "fail quarantine testing.test"),
    ("old.test", "none", "", "fail none old.test"),
    ("two.test", "none", "", "none none two.test"),
    ("noise.test", "none", "", "fail reject noise.test"),
    ("broken.test", "none", "", "none none broken.test"),
    ("reports.test", "none", "", "fail none reports.test"),
    ("nop.test", "none", "", "fail none nop.test"),
    ("nothing.test", "pass", "nothing.test", "none none nothing.test"),
    ("a.bank", "none", "", "fail reject a.bank"),  # the registry's record; the organisation is one label below
    ("a.bank", "pass", "b.bank", "fail reject a.bank"),
    ("x.a.bank", "pass", "a.bank", "pass reject a.bank"),
    ("own.bank", "pass", "x.own.bank", "pass none own.bank"),
    ("bank", "pass", "a.bank", "fail reject bank"),
    ("physics.university.test", "pass", "university.test", "fail reject physics.university.test"),
    ("x.physics.university.test", "pass", "physics.university.test", "pass reject physics.university.test"),
    ("university.test", "pass", "physics.university.test", "fail none university.test"),
    ("chem.university.test", "pass", "university.test", "pass none university.test"),
    ("a.b.c.d.e.f.g.h.i.j.long.test", "none", "", "fail quarantine g.h.i.j.long.test"),
])
def test_policies(dns, sender, spf, domain, said):
    assert check(dns, sender, spf, domain) == said


def test_a_walk_has_at_most_eight_questions(dns):
    dns.asked.clear()
    check(dns, "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.deep.test")
    names = [n for n, kind in dns.asked if kind == "TXT"]
    assert len(names) == len(set(names)) == 8
    assert "_dmarc.test" in names and "_dmarc.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.deep.test" not in names


def test_what_the_dns_does_not_say_is_no_failure(dns):
    assert check(dns, "slow.test") == "temperror none slow.test"


@pytest.mark.parametrize("header", ["", "From: a@example.com\nFrom: b@other.test\n", "From: a@example.com, b@other.test\n", "From: nobody\n"])
def test_without_one_author(dns, header):
    assert check(dns, "", header=header).split()[0] == "permerror"
