"""`hikyaku check dkim` and `check arc` as programs behind their walls: the corpus of Mail::DKIM, the example of RFC 8463, the ARC
suite of ValiMail, each with its keys on a name server of ours; and what dkimpy signs."""
import base64
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess

import instance
import pytest
from conftest import HERE
from scripted_dns import TIMEOUT, ScriptedDns

DATA = HERE.parents[0] / "data"
ARC = json.loads((DATA / "arc" / "arc-validation.json").read_text())
# Under Perl's licence: read from where it lies.
CORPUS = pathlib.Path(os.environ.get("HIKYAKU_TESTDATA", HERE.parents[1].parent / "shared" / "testdata")) / "dkim"
NOW = "1300000000"

G_TAG = "the key's g= says who may sign; RFC 6376 took it out (appendix C), and it is passed over like any unknown tag"
DKIM_DIFFERENT = {name: ("pass", G_TAG) for name in ("badkey_8.txt", "badkey_9.txt", "badkey_12.txt", "badkey_13.txt")}
ARC_DIFFERENT = {
    "ams_fields_c_na": ("fail", "signed relaxed/relaxed without saying so: RFC 8617, 4.1.2 takes c= from RFC 6376, where what is not said "
                                "is simple/simple"),
}
INVALID = {"permerror", "neutral", "policy", "temperror"}


def crlf(octets):
    return re.sub(rb"\r?\n", b"\r\n", octets)


def check(kind, dns, mail, *args):
    done = subprocess.run([str(instance.binary()), "check", kind, "--dns", dns.address, *args], input=mail, capture_output=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().splitlines()


def results(dns, mail, *args):
    return [line.split()[0] for line in check("dkim", dns, mail, *args)]


# ---- DKIM ----

def corpus_rows():
    if not (CORPUS / "expected.tsv").exists():
        pytest.skip("the corpus of Mail::DKIM is not here")
    lines = (CORPUS / "expected.tsv").read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def corpus_zone():
    zone = {}
    for line in (CORPUS / "dns.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, value = line.split(" ", 1)
        if value == "~~Query timed out~~":
            zone[name] = TIMEOUT
        elif value == "~~SERVFAIL~~":
            zone[name] = 2
        elif value != "NXDOMAIN":
            zone[name] = {"TXT": ["" if value == '""' else value]}
    return zone


def agrees(wanted, got):
    """The corpus says what holds of the mail: one good signature is enough, and all must be bad."""
    if wanted == "pass":
        return "pass" in got
    return bool(got) and set(got) <= ({"fail"} if wanted == "fail" else INVALID)


def test_corpus_by_its_own_rules():
    rows = corpus_rows()
    assert len(rows) == 57
    with ScriptedDns(corpus_zone()) as dns, concurrent.futures.ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda row: results(dns, crlf((CORPUS / "corpus" / row[0]).read_bytes()), "--now", NOW, "--old-rules"),
                            rows))
    wrong = []
    for row, result in zip(rows, got):
        wanted = DKIM_DIFFERENT.get(row[0], (row[1],))[0]
        if not agrees(wanted, result):
            wrong.append(f"{row[0]}: {result}, not {wanted}")
    assert not wrong, "\n".join(wrong)


def test_corpus_by_todays_rules():
    """rsa-sha1 and short keys never pass (RFC 8301); drafts of DKIM without v=1 neither (RFC 6376, 3.5); the rest is as it was."""
    rows = corpus_rows()
    passed = set()
    with ScriptedDns(corpus_zone()) as dns:
        for row in rows:
            got = results(dns, crlf((CORPUS / "corpus" / row[0]).read_bytes()), "--now", NOW)
            assert got
            if "pass" in got:
                passed.add(row[0])
            if row[4]:
                assert "pass" not in got, row
            elif "ietf" not in row[0]:
                assert agrees(row[1], got), (row, got)
    assert passed == {"goodkey_ed25519.txt"}


def test_lines_name_result_domain_and_selector_topmost_first():
    corpus_rows()
    with ScriptedDns(corpus_zone()) as dns:
        mail = (CORPUS / "corpus" / "multiple_2.txt").read_bytes()
        assert check("dkim", dns, crlf(mail), "--now", NOW, "--old-rules") == [
            "neutral messiah.edu selector1", "pass messiah.edu selector1", "fail messiah.edu selector1", "permerror - -"]
        # the same as it lies in a Maildir
        assert results(dns, mail.replace(b"\r\n", b"\n"), "--now", NOW, "--old-rules") == ["neutral", "pass", "fail", "permerror"]
        assert check("dkim", dns, b"Subject: nothing signed\r\n\r\n") == []


def rfc8463():
    zone = {}
    text = (DATA / "dkim" / "rfc8463" / "rfc8463.dns").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            zone[name] = {"TXT": [re.sub(r"\s+", " ", value).strip()]}
    return zone, crlf((DATA / "dkim" / "rfc8463" / "rfc8463.msg").read_bytes())


def test_example_of_rfc8463():
    zone, mail = rfc8463()
    with ScriptedDns(zone) as dns:
        assert check("dkim", dns, mail) == ["pass football.example.com brisbane", "pass football.example.com test"]
        assert results(dns, mail.replace(b"hungry", b"angry")) == ["fail", "fail"]
        assert results(dns, mail.replace(b"Subject:", b"Subject: Re:")) == ["fail", "fail"]


# ---- ARC ----

@pytest.mark.parametrize("scenario", ARC, ids=lambda s: s["description"].replace(" ", "-"))
def test_arc(scenario):
    zone = {name: {"TXT": [text]} for name, text in scenario["txt-records"].items() if text is not None}

    def judge(item):
        name, case = item
        # An empty cv: the newest seal says itself that the chain is broken.
        wanted = ARC_DIFFERENT.get(name, ((case["cv"] or "Fail").lower(),))[0]
        got = check("arc", dns, crlf((case["message"] or "").encode()))
        return None if got == [wanted] else f"{name}: {got}, not {wanted}"

    with ScriptedDns(zone) as dns, concurrent.futures.ThreadPoolExecutor(4) as pool:
        wrong = [v for v in pool.map(judge, scenario["tests"].items()) if v]
    assert not wrong, "\n".join(wrong)


def test_all_arc_cases_are_there():
    assert sum(len(s["tests"]) for s in ARC) == 122


def test_arc_without_an_answer():
    scenario = ARC[0]
    mail = crlf(scenario["tests"]["cv_pass_i2_1"]["message"].encode())
    with ScriptedDns({name: 2 for name in scenario["txt-records"]}) as dns:
        assert check("arc", dns, mail) == ["temperror"]
    with ScriptedDns({}) as dns:
        assert check("arc", dns, mail) == ["fail"]


# ---- what others sign ----

MAIL = (b"From: Ken <ken@d.test>\r\nTo: mari@e.test,\r\n\tyuki@e.test\r\nSubject:  =?UTF-8?B?6aOb6ISa?= \r\nDate: Tue, 24 Nov 2026 01:00:00 +0900\r\n"
        b"Message-ID: <1@d.test>\r\n\r\nHello  there \t\r\n\r\n\r\n.\r\nlast\r\n\r\n")


@pytest.fixture(scope="module")
def signer():
    dkim = pytest.importorskip("dkim", reason="python3-dkim is not installed")
    key = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout
    public = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
    zone = {"s._domainkey.d.test": {"TXT": ["v=DKIM1; p=" + base64.b64encode(public).decode()]}}
    return dkim, key, zone


@pytest.mark.parametrize("form", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"])
def test_dkimpy_signs(signer, form):
    dkim, key, zone = signer
    forms = tuple(word.encode() for word in form.split("/"))
    field = dkim.sign(MAIL, b"s", b"d.test", key, canonicalize=forms)
    long_field = dkim.sign(MAIL, b"s", b"d.test", key, canonicalize=forms, length=True)
    with ScriptedDns(zone) as dns:
        assert results(dns, field + MAIL) == ["pass"]
        assert results(dns, long_field + MAIL) == ["pass"]
        assert results(dns, long_field + MAIL + b"added\r\n") == ["policy"]
        assert results(dns, field + MAIL + b"added\r\n") == ["fail"]
        assert results(dns, field + field + MAIL) == ["pass", "pass"]
        assert results(dns, b"From: evil@x.test\r\n" + field + MAIL) in (["policy"], ["fail"])
