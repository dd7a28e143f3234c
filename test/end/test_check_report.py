"""`hikyaku check report` as a program behind its walls: DMARC aggregate reports of many makers, and what is sent to do harm."""
import gzip
import io
import json
import subprocess
import time
import zipfile

import instance
import pytest
from conftest import HERE

DATA = HERE.parents[0] / "data" / "reports"
GOOD = sorted(p for p in [*(DATA / "aggregate").iterdir(), *(DATA / "extract_report").iterdir(),
                          *(DATA / "mail-auth").glob("*.xml"), *(DATA / "mail-auth").glob("*.eml")]
              if not p.name.startswith("invalid"))


def check(octets):
    began = time.monotonic()
    done = subprocess.run([str(instance.binary()), "check", "report"], input=octets, capture_output=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert time.monotonic() - began < 20
    return [line.split("\t") for line in done.stdout.decode().splitlines()], done.stderr.decode()


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.name[:40])
def test_every_maker_is_understood(path):
    rows, said = check(path.read_bytes())
    assert len(rows) >= 2, said
    domain, begin, end, organisation, _ = rows[0]
    assert "." in domain and int(begin) <= int(end) and (organisation or path.name.startswith("_"))
    assert all(len(r) == 6 and int(r[1]) > 0 for r in rows[1:])


@pytest.mark.parametrize("path", sorted((DATA / "mail-auth").glob("*.json")), ids=lambda p: p.name)
def test_values_are_those_that_another_reader_found(path):
    wanted = json.loads(path.read_text())
    source = path.with_suffix(".xml") if path.with_suffix(".xml").exists() else path.with_suffix(".eml")
    rows, _ = check(source.read_bytes())
    head = wanted["report_metadata"]
    assert rows[0] == [wanted["policy_published"]["domain"], str(head["date_range"]["begin"]), str(head["date_range"]["end"]),
                       head["org_name"], head["report_id"]]
    found = [(r[0], int(r[1]), r[2], r[3] == "dkim", r[4] == "spf", r[5]) for r in rows[1:]]
    assert found == [(x["row"]["source_ip"], x["row"]["count"], x["row"]["policy_evaluated"]["disposition"].lower().replace("pass", "none")
                      .replace("unspecified", "none"),
                      x["row"]["policy_evaluated"]["dkim"] == "Pass", x["row"]["policy_evaluated"]["spf"] == "Pass",
                      x["identifiers"]["header_from"]) for x in wanted["record"]]


@pytest.mark.parametrize("name", ["invalid_xml.xml", "invalid_utf_8.xml"])
def test_broken_ones_are_refused_by_line(name):
    rows, said = check((DATA / "aggregate" / name).read_bytes())
    assert not rows and "line " in said


ROW = (b"<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row>"
       b"<identifiers><header_from>example.test</header_from></identifiers></record>")


def report(rows, before=b"", inside=b""):
    return before + b"<feedback><policy_published><domain>example.test</domain></policy_published>" + inside + rows + b"</feedback>"


def zipped(name, octets, **how):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **how) as z:
        z.writestr(name, octets)
    return out.getvalue()


BIG = b" " * (300 * 1024 * 1024)

HOSTILE = {
    "laughs": report(ROW, b'<!DOCTYPE f [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>', b"<x>&b;</x>"),
    "external entity": report(ROW, b'<!DOCTYPE f [<!ENTITY a SYSTEM "file:///etc/passwd">]>', b"<x>&a;</x>"),
    "gzip bomb": gzip.compress(report(ROW, b"", BIG)),
    "zip bomb": zipped("a.xml", report(ROW, b"", BIG)),
    "gzip in gzip": gzip.compress(gzip.compress(report(ROW))),
    "empty gzips": gzip.compress(b"") * 200000,
    "cut gzip": gzip.compress(report(ROW * 1000))[:-30],
    "cut zip": zipped("a.xml", report(ROW * 1000))[:60],
    "empty zip": zipped("a.xml", b""),
    "deep": report(ROW, b"", b"<a>" * 100000),
    "long name": report(ROW, b"", b"<" + b"a" * 1000000 + b"/>")[:-3],
    "another XML": b"<html><body>feedback</body></html>",
    "nothing": b"",
    "octets": bytes(range(256)) * 100,
    "no domain": b"<feedback>" + ROW + b"</feedback>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_ones_are_refused(name):
    rows, said = check(HOSTILE[name])
    assert not rows and said


def test_very_many_rows_are_bounded():
    rows, _ = check(gzip.compress(report(ROW * 60000)))
    assert len(rows) == 5001


def test_text_cannot_make_lines_or_columns():
    octets = report(ROW, b"", b"<report_metadata><org_name>a\tb&#10;c&#9;d" + b"x" * 5000 + b"</org_name></report_metadata>")
    rows, _ = check(octets)
    assert len(rows) == 2 and rows[0][3].startswith("a b c dxxx") and len(rows[0][3]) == 255


def test_a_report_inside_a_mail_with_other_parts():
    packed = gzip.compress(report(ROW))
    import base64
    mail = (b"From: a@b.test\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/html\n\n"
            b"<html><p>hello</html>\n--x\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n"
            b"--x\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(packed) + b"--x--\n")
    rows, _ = check(mail)
    assert rows[1][0] == "192.0.2.1"
