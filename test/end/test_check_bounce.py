"""`hikyaku check bounce` as a program, behind its walls: on real bounces, on mail that is none."""
import collections
import subprocess

import instance
import pytest
from conftest import HERE

BOUNCES = HERE.parents[0] / "data" / "bounces"


def judge(octets):
    done = subprocess.run([str(instance.binary()), "check", "bounce"], input=octets, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return [tuple(line.split("\t")) for line in done.stdout.decode("utf-8", "replace").splitlines()]


def expected():
    rows = collections.OrderedDict()
    for line in (BOUNCES / "expected.tsv").read_text().splitlines():
        if not line.startswith("#"):
            columns = line.split("\t")
            if columns[2]:
                rows.setdefault(columns[0], []).append((columns[2].lower(), columns[3], columns[6]))
    return rows


def test_recipients_and_weights_of_real_bounces():
    rows = list(expected().items())[::8]
    wanted = found = right = 0
    for name, recipients in rows:
        got = {r[0].lower(): r for r in judge((BOUNCES / "eml" / name).read_bytes())}
        for address, _, hard in recipients:
            wanted += 1
            if address in got:
                found += 1
                right += (got[address][2] == "hard") == (hard == "1")
    assert wanted > 40
    assert found / wanted >= 0.95 and right / found >= 0.9, (wanted, found, right)


@pytest.mark.parametrize("name,line", [
    ("lhost-ezweb-04.eml", ("this-local-part-does-not-exist-on-the-server@ezweb.ne.jp", "hard")),
    ("rhost-nttdocomo-02.eml", None),
    ("lhost-mfilter-02.eml", ("kijitora@example.co.jp", "hard")),
    ("lhost-kddi-01.eml", ("kijitora@x0000000000000.dion.ne.jp", "soft")),
    ("lhost-notes-02.eml", ("kijitora@u1.example.co.jp", None)),
])
def test_japanese_providers(name, line):
    got = judge((BOUNCES / "eml" / name).read_bytes())
    assert got
    if line:
        assert got[0][0] == line[0] and line[1] in (None, got[0][2])


def test_line_ends_and_mail_that_is_none():
    for folder in ("eml-dos", "eml-mac"):
        for path in sorted((BOUNCES / folder).iterdir()):
            assert judge(path.read_bytes()) == judge((BOUNCES / "eml" / path.name).read_bytes()) != []
    for path in (BOUNCES / "not-bounce").iterdir():
        assert judge(path.read_bytes()) == []
    assert judge(b"") == []
    assert judge(b"Subject: hello\r\n\r\nken@example.test is here\r\n") == []
