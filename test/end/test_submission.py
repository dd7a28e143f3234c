"""Our own people send: ports 587 and 465, with programs nobody here wrote (smtplib, swaks, curl, msmtp). What each refusal says, what
becomes of a header, and that nobody sends as somebody else."""
import base64
import hashlib
import hmac
import os
import re
import smtplib
import subprocess

import pytest
from talk import PASSWORD, find, insecure, parse, token

SETTINGS = """
connections { per-address 500 }
login { failures 50 }
sending { messages-hour 0  messages-day 0  recipients-hour 0  recipients-day 0  watch off }
route far {
	to far.test
	host 127.0.0.1
	port 9
}
"""


@pytest.fixture(scope="module")
def h(tmp_path_factory):
    import instance
    h = instance.Instance(tmp_path_factory.mktemp("submission") / "h", settings=SETTINGS)
    h.setup()
    h.write("virtual", "sales@example.test ken@example.test\nteam@example.test ken@example.test, mari@example.test\n"
                       "boss@example.test mari@example.test\n")
    h.start()
    for name in ("ken", "mari"):
        h.account(name, PASSWORD)
    yield h
    code = h.stop()
    assert code == 0, h.log_text()[-3000:]


def session(h, tls="starttls", host="127.0.0.1", login=True, user="ken"):
    if tls == "implicit":
        s = smtplib.SMTP_SSL(host, h.port("submissions"), context=insecure(), timeout=20)
    else:
        s = smtplib.SMTP(host, h.port("submission"), timeout=20)
        if tls == "starttls":
            s.starttls(context=insecure())
    if login:
        s.login(f"{user}@example.test", PASSWORD)
    return s


def mail(subject, sender="ken@example.test", headers="", body="Hello.\r\n"):
    return f"From: <{sender}>\r\nTo: <mari@example.test>\r\nSubject: {subject}\r\n{headers}\r\n{body}"


def refused(s, content, sender="ken@example.test", to="mari@example.test"):
    """The code and the text of the last reply."""
    with pytest.raises(smtplib.SMTPResponseException) as e:
        s.sendmail(sender, [to], content)
    return e.value.smtp_code, e.value.smtp_error.decode()


# ---- ways in


@pytest.mark.asan
@pytest.mark.parametrize("tls", ["starttls", "implicit", "clear"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_mail_to_a_colleague(h, tls, host):
    subject = token("colleague")
    with session(h, tls, host) as s:
        s.sendmail("ken@example.test", ["mari@example.test"], mail(subject))
    got = parse(find(h, subject, "mari"))
    received = got.get_all("received")[0]
    assert ("ESMTPSA" if tls != "clear" else "ESMTPA") in received, received
    assert "127.0.0.1" not in received and "::1" not in received, "the client's address is nobody's business"
    assert got["date"] and re.fullmatch(r"<[^@<>]+@mx\.example\.test>", got["message-id"])
    assert got["return-path"] == "<ken@example.test>"


def test_nothing_without_a_login(h):
    with session(h, login=False) as s:
        s.ehlo()
        assert s.mail("ken@example.test")[0] == 530
        assert s.docmd("RCPT", "TO:<mari@example.test>")[0] == 503


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_mechanisms_of_smtplib(h, mechanism):
    with session(h, login=False) as s:
        s.user, s.password = "ken@example.test", PASSWORD
        s.ehlo()
        assert mechanism in s.esmtp_features["auth"].split()
        code, _ = s.auth(mechanism, getattr(s, "auth_" + mechanism.lower().replace("-", "_")))
        assert code == 235


def test_scram(h):
    """RFC 5802, 7677 by hand."""
    with session(h, login=False) as s:
        s.ehlo()
        first = b"n=ken@example.test,r=rOprNGfwEbeRWgbNEkqO"
        code, got = s.docmd("AUTH SCRAM-SHA-256", base64.b64encode(b"n,," + first).decode())
        assert code == 334
        server = base64.b64decode(got)
        fields = dict(f.split("=", 1) for f in server.decode().split(","))
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        without_proof = b"c=biws,r=" + fields["r"].encode()
        key = hmac.new(salted, b"Client Key", "sha256").digest()
        signature = hmac.new(hashlib.sha256(key).digest(), first + b"," + server + b"," + without_proof, "sha256").digest()
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature)))
        code, got = s.docmd(base64.b64encode(without_proof + b",p=" + proof).decode())
        if code == 334:
            code, got = s.docmd("")
        assert code == 235, got


def test_wrong_password(fresh):
    """In an instance of its own: failed logins from an address slow down all that follow."""
    h = fresh()
    with session(h, login=False) as s:
        with pytest.raises(smtplib.SMTPAuthenticationError) as e:
            s.login("ken@example.test", "not " + PASSWORD)
        assert e.value.smtp_code == 535
        with pytest.raises(smtplib.SMTPAuthenticationError):
            s.login("nobody@example.test", PASSWORD)


@pytest.mark.parametrize("more", [("--tls",), ("--tlsc",), ("--tls", "--auth", "LOGIN"), ("--tls", "--auth", "CRAM-MD5"),
                                  ("--tls", "--pipeline"), ()], ids=" ".join)
def test_swaks(h, program, more):
    subject = token("swaks")
    port = "submissions" if "--tlsc" in more else "submission"
    auth = () if "--auth" in more else ("--auth", "PLAIN")
    done = subprocess.run([program("swaks"), "--server", "127.0.0.1", "--port", str(h.port(port)), "--from", "ken@example.test",
                           "--to", "mari@example.test", "--header", f"Subject: {subject}", *auth, "--auth-user", "ken@example.test",
                           "--auth-password", PASSWORD, *more], capture_output=True, text=True, timeout=60)
    if "not available: requires" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout
    assert find(h, subject, "mari")


def test_curl(h, program, tmp_path):
    subject = token("curl")
    (tmp_path / "m").write_bytes(mail(subject).encode())
    subprocess.run([program("curl"), "-sS", "--insecure", "--url", f"smtps://127.0.0.1:{h.port('submissions')}", "--user",
                    f"ken@example.test:{PASSWORD}", "--mail-from", "ken@example.test", "--mail-rcpt", "mari@example.test",
                    "--upload-file", str(tmp_path / "m")], check=True, timeout=60)
    assert find(h, subject, "mari")


def test_msmtp(h, program):
    subject = token("msmtp")
    subprocess.run([program("msmtp"), "--host=127.0.0.1", f"--port={h.port('submission')}", "--auth=scram-sha-256", "--tls=on",
                    "--tls-certcheck=off", "--user=ken@example.test", f"--passwordeval=echo {PASSWORD}",
                    "--from=ken@example.test", "mari@example.test"], input=mail(subject), text=True, check=True, timeout=60)
    assert find(h, subject, "mari")


# ---- who may send as whom


@pytest.mark.parametrize("sender", ["ken@example.test", "KEN@Example.Test", "ken+news@example.test", "sales@example.test",
                                    "team@example.test"])
def test_own_addresses(h, sender):
    subject = token("own")
    with session(h) as s:
        s.sendmail(sender, ["mari@example.test"], mail(subject, sender))
    assert parse(find(h, subject, "mari"))["from"] == sender


@pytest.mark.parametrize("sender", ["mari@example.test", "boss@example.test", "nobody@example.test", "ken@far.test", "ken@example.test.far.test"])
def test_not_as_others(h, sender):
    with session(h) as s:
        code, text = refused(s, mail("x"), sender)
        assert (code, text[:5]) == (550, "5.7.1") and "ken@example.test" in text
        s.rset()
        code, text = refused(s, mail("x", sender))
        assert (code, text[:5]) == (550, "5.7.1") and sender in text
        s.rset()
        code, text = refused(s, mail("x", headers=f"Sender: {sender}\r\n"))
        assert code == 550
        s.rset()
        code, text = refused(s, mail("x", f"ken@example.test>, <{sender}"))
        assert code == 550


@pytest.mark.parametrize("header", ["From: mari@example.test\r\n", "FROM : mari@example.test\r\n", "from:\r\n mari@example.test\r\n"])
def test_two_from_fields(h, header):
    with session(h) as s:
        assert refused(s, mail("x", headers=header))[0] == 554


def test_notices_have_no_sender(h):
    subject = token("notice")
    with session(h) as s:
        s.sendmail("", ["mari@example.test"], mail(subject))
    assert parse(find(h, subject, "mari"))["return-path"] == "<>"


# ---- recipients


def test_recipients(h):
    with session(h) as s:
        s.mail("ken@example.test")
        assert s.rcpt("nobody@example.test")[0] == 550
        assert s.rcpt("mari@example.test")[0] == 250
        assert s.rcpt("somebody@far.test")[0] == 250
        assert s.docmd("RCPT", "TO:<mari>")[0] == 501
        s.rset()


def test_remote_mail_is_queued_and_not_for_strangers(h):
    subject = token("remote")
    with session(h) as s:
        s.sendmail("ken@example.test", ["somebody@far.test"], mail(subject))
    assert "somebody@far.test" in h.cli("queue", "list", "--json").stdout
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), timeout=20) as s:
        s.ehlo()
        s.mail("ken@example.test")
        assert s.rcpt("somebody@far.test")[0] == 550
    h.cli("queue", "remove", "somebody@far.test")


# ---- the header


def test_header(h):
    subject = token("header")
    headers = ("Bcc: secret@far.test\r\nbcc:\r\n\tother@far.test\r\nResent-Bcc: third@far.test\r\n"
               "Return-Path: <evil@far.test>\r\nX-Kept:  as  it is \r\n")
    with session(h) as s:
        s.sendmail("ken@example.test", ["mari@example.test"], mail(subject, headers=headers, body="Bcc: text\r\n\r\n.dot\r\n"))
    raw = find(h, subject, "mari")
    assert b"secret@" not in raw and b"other@" not in raw and b"third@" not in raw and b"evil@" not in raw
    assert b"X-Kept:  as  it is \r\n" in raw and raw.endswith(b"\r\n\r\nBcc: text\r\n\r\n.dot\r\n")


def test_imap_shows_the_right_part_of_a_completed_mail(h):
    """The summary was made while the mail passed, before anything was put in front of it: its offsets must fit."""
    from talk import imap
    subject = token("parts")
    content = mail(subject, headers='MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n',
                   body="--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--b--\r\n")
    with session(h) as s:
        s.sendmail("ken@example.test", ["mari@example.test"], content)
    find(h, subject, "mari")
    c = imap(h, "mari")
    c.select("INBOX", readonly=True)
    uid = c.uid("search", None, "SUBJECT", subject)[1][0].split()[-1]
    parts = [c.uid("fetch", uid, f"(BODY.PEEK[{n}])")[1][0][1] for n in (1, 2)]
    assert parts == [b"one", b"<p>two"]
    size = int(re.search(rb"RFC822.SIZE (\d+)", c.uid("fetch", uid, "(RFC822.SIZE)")[1][0])[1])
    assert size == len(c.uid("fetch", uid, "(BODY.PEEK[])")[1][0][1])
    c.logout()


def test_big_mail(h):
    subject = token("big")
    body = "".join(f"line {i} {os.urandom(24).hex()}\r\n" for i in range(40000))
    with session(h, "implicit") as s:
        s.sendmail("ken@example.test", ["mari@example.test"], mail(subject, body=body))
    assert find(h, subject, "mari").endswith(body.encode())


# ---- what a client may ask for


def test_offers(h):
    with session(h) as s:
        s.ehlo()
        for word in ("futurerelease", "mt-priority", "deliverby", "requiretls", "dsn", "chunking"):
            assert s.has_extn(word), word
    with session(h, "clear", login=False) as s:
        s.ehlo()
        assert not s.has_extn("requiretls")


def test_hold_for(h):
    """Held mail is in the queue and not in the mailbox."""
    subject = token("later")
    with session(h) as s:
        s.sendmail("ken@example.test", ["mari@example.test"], mail(subject), mail_options=["HOLDFOR=3600"])
    assert subject.encode() not in b"".join(everything(h, "mari"))
    assert "mari@example.test" in h.cli("queue", "list", "--json").stdout
    h.cli("queue", "remove", "mari@example.test")


def everything(h, user):
    from talk import imap
    c = imap(h, user)
    c.select("INBOX", readonly=True)
    numbers = c.search(None, "ALL")[1][0].split()
    got = [c.fetch(n, "(BODY.PEEK[HEADER])")[1][0][1] for n in numbers]
    c.logout()
    return got
