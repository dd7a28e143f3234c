"""What our own people, strangers and other hosts write cannot become more than it is: a second mail, a header line of a notice, a
recipient elsewhere."""
import re
import smtplib
import socket

import pytest
from instance import wait_for
from talk import PASSWORD
from test_notices import fields, newest, notice, out, parse  # noqa: F401 (out is a fixture)
from test_terminal import CONTROL

SMUGGLED = b"MAIL FROM:<evil@bank.test>\r\nRCPT TO:<b@%s>\r\nDATA\r\nFrom: evil@bank.test\r\n\r\nowned\r\n.\r\n"


def submission(out, user="ken"):  # noqa: F811
    c = smtplib.SMTP("127.0.0.1", out.h.port("submission"), timeout=30)
    c.ehlo("client.example")
    c.login(f"{user}@example.test", PASSWORD)
    return c


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\r\n.\n", b"\n.\r\n", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n", b"\r\n.\r\n"])
def test_one_mail_by_bdat_stays_one_mail_by_data(out, end):  # noqa: F811
    with out.host() as s:
        content = b"From: ken@example.test\r\nSubject: one\r\n\r\nbefore" + end + SMUGGLED % s.domain.encode() + b"after\r\n"
        with submission(out) as c:
            assert c.docmd("MAIL FROM:<ken@example.test>")[0] == 250
            assert c.docmd(f"RCPT TO:<a@{s.domain}>")[0] == 250
            c.send(b"BDAT %d LAST\r\n" % len(content) + content)
            assert c.getreply()[0] == 250
        assert wait_for(lambda: s.mails, 20)
        assert not wait_for(lambda: len(s.mails) > 1, 1)
        mail = s.mails[0]
    assert mail.sender == "ken@example.test" and mail.recipients == [f"a@{s.domain}"]
    assert b"after" in mail.content
    assert b"\n" not in mail.content.replace(b"\r\n", b"") and b"\r" not in mail.content.replace(b"\r\n", b"")


def test_xtext_makes_no_line_in_a_notice(out):  # noqa: F811
    def refuse(session, address):
        return "550-5.1.1 first\n550 5.1.1 \x1b]0;owned\x07 \u009b31m no <b>one</b>"

    with out.host(script={"rcpt": refuse}) as s:
        with submission(out, "mari") as c:
            assert c.docmd("MAIL FROM:<mari@example.test> RET=HDRS ENVID=a+0D+0AX-Evil:+20b+1B[2J")[0] == 250
            assert c.docmd(f"RCPT TO:<a@{s.domain}> ORCPT=rfc822;x+0D+0A+0D+0AX-Evil:+20c+00@{s.domain}")[0] == 250
            c.data(b"From: mari@example.test\r\nSubject: =?utf-8?q?a=0D=0AX-Evil=3A_d=1B[2J?=\r\n\r\nx\r\n")
        octets = notice(out, "mari")
        for args in (["trace", f"a@{s.domain}"], ["trace", "mari@example.test"], ["queue", "list"], ["incidents"]):
            assert not CONTROL.search(out.h.cli(*args, check=False).stdout), args
    head, _, rest = octets.partition(b"\r\n\r\n")
    status = rest[rest.index(b"delivery-status"):]
    status = status[:status.index(b"\r\n--")]
    assert not re.search(rb"(?im)^X-Evil", head + b"\r\n" + status)
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head + status)
    assert len(fields(parse(octets))) == 2
    assert "X-Evil" not in parse(octets)


def test_strangers_carry_nothing_out(out):  # noqa: F811
    """Every way of writing a recipient elsewhere that once fooled a mail server."""
    with out.host() as s:
        ways = [f"a@{s.domain}", f"a%{s.domain}@example.test", f"@example.test:a@{s.domain}", f"{s.domain}!a@example.test",
                f'"a@{s.domain}"@example.test', f"a@{s.domain}@example.test", f"a@[{s.ip if hasattr(s, 'ip') else '127.0.0.11'}]",
                f"example.test!a@{s.domain}", f'"a"@{s.domain}', f"a@{s.domain}.", f"a@example.test@{s.domain}"]
        for port, hello in (("smtp", []), ("submission", [])):
            for way in ways:
                with smtplib.SMTP("127.0.0.1", out.h.port(port), timeout=20) as c:
                    c.ehlo("client.example")
                    mail = c.docmd("MAIL FROM:<ken@example.test>")
                    assert mail[0] == (250 if port == "smtp" else 530)
                    assert c.docmd(f"RCPT TO:<{way}>")[0] // 100 == 5, (port, way)
                    assert c.docmd("DATA")[0] // 100 == 5
        assert not s.mails


def test_what_is_local_stays_local(out):  # noqa: F811
    """XKEY is for run/submit.sock: a key that somebody else may use again would swallow his mail."""
    with submission(out, "taro") as c:
        assert c.docmd("MAIL FROM:<taro@example.test> XKEY=00112233445566778899aabbccddeeff")[0] == 555
        assert c.docmd("MAIL FROM:<mari@example.test>")[0] == 550
        assert c.docmd("MAIL FROM:<>")[0] == 250
        assert c.docmd("RCPT TO:<x@elsewhere.test>")[0] == 250
        assert c.data(b"From: mari@example.test\r\n\r\nx\r\n")[0] == 550


def test_plaintext_behind_starttls_is_not_heard(out):  # noqa: F811
    with socket.create_connection(("127.0.0.1", out.h.port("submission")), 20) as c:
        c.recv(4096)
        c.sendall(b"EHLO x.example\r\n")
        said = b""
        while b"250 " not in said:
            said += c.recv(4096)
        if b"STARTTLS" not in said:
            pytest.skip("no certificate")
        c.sendall(b"STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<ken@example.test>\r\n")
        c.settimeout(5)
        said = b""
        try:
            while (piece := c.recv(4096)):
                said += piece
        except (TimeoutError, ConnectionError):
            pass
        assert said.count(b"250") == 0 and said.count(b"530") == 0
