"""Every message of the test data through IMAP: kept octet for octet, and told about without contradiction.

Nobody's parser is the judge here: what BODYSTRUCTURE says of a part (octets, lines) is compared with what BODY[n] gives,
BODY[HEADER] and BODY[TEXT] with BODY[], partial fetches with whole ones. Python's email package is asked about
envelopes of well-formed mails only.
"""
import email
import email.policy
import email.utils
import os
import pathlib
import re

import pytest
from conftest import HERE, PASSWORD
from talk import imap

DATA = pathlib.Path(os.environ.get("HIKYAKU_TESTDATA", HERE.parents[1].parent / "shared" / "testdata"))
FOLDERS = ("mime/mail-parser/rfc", "mime/mail-parser/legacy", "mime/mail-parser/malformed", "mime/mime4j",
           "charsets-ja/eml", "bounces")
MOST = 60  # of a folder


def corpus():
    for folder in FOLDERS:
        found = sorted(p for p in (DATA / folder).rglob("*") if p.suffix in (".eml", ".msg"))
        yield from found[:MOST]


FILES = list(corpus())


def crlf(octets):
    """As imaplib's append does it: any line end becomes CRLF."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", octets)


# ---- a small reader of IMAP's parentheses


class Data:
    def __init__(self, octets):
        self.octets, self.at = octets, 0

    def peek(self):
        return self.octets[self.at:self.at + 1]

    def value(self):
        if self.peek() == b"(":
            self.at += 1
            out = []
            while self.peek() != b")":
                if self.peek() == b" ":
                    self.at += 1
                    continue
                out.append(self.value())
            self.at += 1
            return out
        if self.peek() == b'"':
            m = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*)"').match(self.octets, self.at)
            assert m, self.octets[self.at:self.at + 80]
            self.at = m.end()
            return re.sub(rb"\\(.)", rb"\1", m[1])
        m = re.compile(rb"~?\{(\d+)\}\r\n").match(self.octets, self.at)
        if m:
            start = m.end()
            self.at = start + int(m[1])
            return self.octets[start:self.at]
        m = re.compile(rb"[^\s()\"{]+(?:\[[^\]]*\])?(?:<\d+>)?").match(self.octets, self.at)
        assert m, self.octets[self.at:self.at + 80]
        self.at = m.end()
        word = m[0]
        return None if word.upper() == b"NIL" else int(word) if word.isdigit() else word


def items(h, c, command):
    """One FETCH of one mail: {item: value}."""
    tag = c._new_tag()
    c.send(tag + b" " + command.encode() + b"\r\n")
    raw = b""
    while True:
        line = c.readline()
        raw += line
        m = re.search(rb"\{(\d+)\}\r\n$", line)
        while m:
            raw += c.read(int(m[1]))
            line = c.readline()
            raw += line
            m = re.search(rb"\{(\d+)\}\r\n$", line)
        if line.startswith(tag):
            break
    assert line.startswith(tag + b" OK"), line
    m = re.search(rb"\* \d+ FETCH ", raw)
    assert m, raw[:200]
    row = Data(raw[m.end():]).value()
    return {row[i].upper(): row[i + 1] for i in range(0, len(row), 2)}


def leaves(structure, path=""):
    """(section, structure) of all leaves and messages."""
    if isinstance(structure[0], list):
        children = [s for s in structure if isinstance(s, list)]
        count = next(i for i, s in enumerate(structure) if not isinstance(s, list))
        for n, child in enumerate(children[:count], 1):
            yield from leaves(child, f"{path}.{n}" if path else str(n))
        return
    section = path or "1"
    yield section, structure
    if structure[0].upper() == b"MESSAGE" and structure[1].upper() == b"RFC822" and len(structure) > 9:
        inner = structure[8]
        if inner and isinstance(inner[0], list):
            yield from leaves(inner, section)
        elif inner:
            yield from leaves(inner, f"{section}.1")


@pytest.fixture(scope="module")
def box(hikyaku):
    if not FILES:
        pytest.skip(f"no test data at {DATA}")
    c = imap(hikyaku, "taro", PASSWORD)
    c.create("Corpus")
    yield c
    c.logout()


@pytest.mark.parametrize("path", FILES or [None], ids=lambda p: str(p.relative_to(DATA)) if p else "none")
def test_message(hikyaku, box, path):
    octets = crlf(path.read_bytes())
    if not octets.strip():
        pytest.skip("an empty file")
    kind, got = box.append("Corpus", None, None, octets)
    assert kind == "OK", got
    uid = re.search(rb"APPENDUID \d+ (\d+)", got[0])[1].decode()
    box.select("Corpus")
    whole = items(hikyaku, box, f"UID FETCH {uid} (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] "
                                "ENVELOPE BODYSTRUCTURE BODY)")
    assert whole[b"BODY[]"] == octets
    assert whole[b"RFC822.SIZE"] == len(octets)
    assert whole[b"BODY[HEADER]"] + whole[b"BODY[TEXT]"] == octets
    envelope = whole[b"ENVELOPE"]
    assert len(envelope) == 10
    for addresses in envelope[2:8]:
        assert addresses is None or all(len(a) == 4 for a in addresses)
    check_parts(hikyaku, box, uid, whole)
    middle = len(octets) // 2
    part = items(hikyaku, box, f"UID FETCH {uid} (BODY.PEEK[]<{middle}.1000> BODY.PEEK[TEXT]<0.10>)")
    assert part[b"BODY[]<%d>" % middle] == octets[middle:middle + 1000]
    assert part[b"BODY[TEXT]<0>"] == whole[b"BODY[TEXT]"][:10]
    check_envelope(octets, envelope)


def check_parts(h, c, uid, whole):
    found = list(leaves(whole[b"BODYSTRUCTURE"]))
    for section, s in found[:40]:
        got = items(h, c, f"UID FETCH {uid} (BODY.PEEK[{section}])")[b"BODY[%s]" % section.encode()]
        assert (got or b"") == b"" and s[6] == 0 or len(got) == s[6], f"{section}: {len(got or b'')} octets, told {s[6]}"
        assert got is None or got in whole[b"BODY[]"]
        kind = (s[0].upper(), s[1].upper())
        if kind[0] == b"TEXT" and got is not None:
            assert s[7] in (got.count(b"\n"), got.count(b"\n") + (0 if got.endswith(b"\n") or not got else 1)), section
        mime = items(h, c, f"UID FETCH {uid} (BODY.PEEK[{section}.MIME])")[b"BODY[%s.MIME]" % section.encode()]
        assert mime is None or mime in whole[b"BODY[]"] or mime == b"\r\n"


def check_envelope(octets, envelope):
    """Where Python finds nothing wrong, its envelope is ours."""
    mail = email.message_from_bytes(octets, policy=email.policy.compat32)
    if mail.defects or any(ord(ch) > 126 for ch in str(mail.get("Subject", ""))):
        return
    subject = mail.get("Subject")
    if subject is not None and mail.get_all("Subject") == [subject]:
        plain = re.sub(r"\r?\n(?=[ \t])", "", subject).strip().encode("ascii", "surrogateescape")
        assert (envelope[1] or b"").split() == plain.split()
    sent = mail.get("Message-ID")
    if sent is not None and re.fullmatch(r"<[^<>\s]+@[^<>\s]+>", sent.strip()) and len(mail.get_all("Message-ID")) == 1:
        assert envelope[9].strip() == sent.strip().encode()
