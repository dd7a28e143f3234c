"""What we sign, others verify: dkimpy both signatures of submitted mails as their readers get them, OpenDKIM the RSA one."""
import json
import pathlib
import re
import smtplib
import subprocess

import pytest
from talk import PASSWORD, imap, insecure, token

dkim = pytest.importorskip("dkim", reason="python3-dkim is not installed")
HERE = pathlib.Path(__file__).resolve().parent

BODIES = {
    "plain": b"Hello.\r\n",
    "empty": b"",
    "blank lines": b"\r\n\r\none\r\n\r\n\r\n",
    "blanks": b"  two   words \t\r\n \r\n\ttab\t \r\n \r\n",
    "dots": b".\r\n..\r\n.dot\r\n",
    "long": b"x" * 5000 + b"\r\n" + b"y " * 3000 + b"\r\n",
    "japanese": "飛脚は走る。\r\n".encode("iso-2022-jp"),
    "utf-8": "飛脚は走る。 \r\n".encode(),
    "big": b"".join(b"line %d  of many \r\n" % i for i in range(20000)),
}
HEADERS = {
    "usual": b"Subject: Hi\r\nTo: mari@example.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n",
    "folded": b"Subject:  a\r\n\tfolded  \r\n one\r\nTo: a@far.test,\r\n\tb@far.test\r\nReferences: <a@b>\r\n <c@d>\r\n",
    "twice": b"Subject: one\r\nsubject: two\r\nSUBJECT: three\r\nTo: x@far.test\r\nTo: y@far.test\r\n",
    "bcc": b"Bcc: hidden@far.test\r\nSubject: x\r\nReturn-Path: <evil@far.test>\r\n",
    "bare names": b"To: mari, \"A, B\" <b@far.test>\r\nSubject: =?ISO-2022-JP?B?GyRCSHQ1ckIbKEI=?=\r\n",
    "raw": "Subject: 飛脚\r\nX-Comment: 〒\r\n".encode(),
    "list": b"List-Id: <l.example.test>\r\nList-Unsubscribe: <https://example.test/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
}


@pytest.fixture(scope="module")
def h(tmp_path_factory):
    import instance
    h = instance.Instance(tmp_path_factory.mktemp("dkim") / "h", settings="""
connections { per-address 500 }
sending { messages-hour 0  messages-day 0  recipients-hour 0  recipients-day 0  watch off }
""")
    h.setup().start()
    for name in ("ken", "mari"):
        h.account(name, PASSWORD)
    yield h
    h.stop()


@pytest.fixture(scope="module")
def records(h):
    """What the DNS would say: selector and domain to the TXT record that `hikyaku dkim list` prints."""
    done = h.cli("dkim", "list", "--json", check=False)
    if done.returncode:
        pytest.skip("hikyaku dkim is not there")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {f"{r['selector']}._domainkey.example.test.": r["record"] for r in rows}


def submitted(h, content, sender="ken@example.test"):
    word = token("dkim")
    with smtplib.SMTP("127.0.0.1", h.port("submission"), timeout=30) as s:
        s.starttls(context=insecure())
        s.login("ken@example.test", PASSWORD)
        s.sendmail(sender, ["mari@example.test"], b"X-Word: %s\r\n" % word.encode() + content)
    c = imap(h, "mari")
    c.select("INBOX", readonly=True)
    uid = c.uid("SEARCH", "HEADER", "X-Word", word)[1][0].decode()
    raw = c.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1]
    c.logout()
    return raw


def signatures(raw):
    """How many there are, by algorithm."""
    header = raw.split(b"\r\n\r\n")[0]
    return sorted(re.findall(rb"DKIM-Signature: v=1; a=([\w-]+);", header))


def verify_all(raw, records):
    def ask(name, timeout=5):
        return records[name.decode() if isinstance(name, bytes) else name].encode()
    results = []
    for nth in range(len(signatures(raw))):
        try:
            results.append(dkim.DKIM(raw).verify(idx=nth, dnsfunc=ask))
        except dkim.ValidationError:  # the body's hash
            results.append(False)
    return results


@pytest.mark.parametrize("body", BODIES)
def test_bodies(h, records, body):
    raw = submitted(h, b"From: Ken <ken@example.test>\r\n" + HEADERS["usual"] + b"\r\n" + BODIES[body])
    assert signatures(raw) == [b"ed25519-sha256", b"rsa-sha256"]
    assert verify_all(raw, records) == [True, True]


@pytest.mark.parametrize("header", HEADERS)
def test_headers(h, records, header):
    raw = submitted(h, b"From: Ken <ken@example.test>\r\n" + HEADERS[header] + b"\r\nHello.\r\n")
    assert verify_all(raw, records) == [True, True]


def test_all_made_by_us(h, records):
    raw = submitted(h, b"\r\nno header at all\r\n")
    assert verify_all(raw, records) == [True, True]
    for name in (b"From", b"Date", b"Message-ID"):
        assert re.search(rb"h=[^;]*\b" + name, raw)


@pytest.mark.parametrize("change", [(b"Hello", b"Hullo"), (b"Subject: Hi", b"Subject: Ho"), (b"\r\nFrom: ", b"\r\nFrom: x@y.test\r\nFrom: "),
                                    (b"\r\nTo: ", b"\r\nSubject: second\r\nTo: "), (b"\r\nTo: ", b"\r\nCc: added@far.test\r\nTo: ")],
                         ids=lambda c: c[1].decode().strip())
def test_changes_are_found(h, records, change):
    """Also a field that is added: each is signed once more than it occurs."""
    raw = submitted(h, b"From: Ken <ken@example.test>\r\n" + HEADERS["usual"] + b"\r\nHello.\r\n")
    assert verify_all(raw.replace(*change), records) == [False, False]


def test_a_list_may_add_its_fields(h, records):
    raw = submitted(h, b"From: Ken <ken@example.test>\r\n" + HEADERS["usual"] + b"\r\nHello.\r\n")
    added = raw.replace(b"\r\nTo: ", b"\r\nList-Id: <l.far.test>\r\nSender: l-bounces@far.test\r\nTo: ")
    assert verify_all(added, records) == [True, True]


# ---- OpenDKIM, which asks the DNS on port 53: in a network namespace of its own


SCRIPT = """
ip link set lo up
mount --bind "$1/resolv.conf" /etc/resolv.conf
/usr/bin/python3 "$2" 53 "$3" >"$1/ready" &
stub=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do grep -q ready "$1/ready" && break; sleep 0.1; done
opendkim-testmsg <"$1/mail"
code=$?
kill $stub
exit $code
"""


def opendkim(tmp_path, raw, record):
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")
    (tmp_path / "mail").write_bytes(raw)
    (tmp_path / "ready").touch()
    return subprocess.run(["unshare", "--net", "--mount", "sh", "-c", SCRIPT, "sh", str(tmp_path), str(HERE / "dns_stub.py"), record],
                          capture_output=True, text=True, timeout=60)


def only_rsa(raw):
    """Without the Ed25519 signature, which OpenDKIM of Debian 12 does not know."""
    return re.sub(rb"DKIM-Signature: v=1; a=ed25519-sha256;(?:[^\r]|\r\n[ \t])*\r\n", b"", raw)


@pytest.mark.parametrize("body", BODIES)
def test_opendkim(h, records, root, program, tmp_path, body):
    program("opendkim-testmsg"), program("unshare")
    raw = only_rsa(submitted(h, b"From: Ken <ken@example.test>\r\n" + HEADERS["folded"] + b"\r\n" + BODIES[body]))
    assert signatures(raw) == [b"rsa-sha256"]
    record = next(r for r in records.values() if "k=rsa" in r)
    good = opendkim(tmp_path, raw, record)
    if "propagation" in good.stderr:
        pytest.skip("no mount namespace here: " + good.stderr.strip())
    assert good.returncode == 0 and not good.stdout + good.stderr, good.stdout + good.stderr
    bad = opendkim(tmp_path, raw.replace(b"\r\nSubject: ", b"\r\nSubject: changed "), record)
    assert bad.returncode != 0 or bad.stdout + bad.stderr
