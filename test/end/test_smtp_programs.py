"""Mail comes in from programs that nobody here wrote: swaks, smtp-source, curl, Python's smtplib."""
import smtplib
import subprocess

import pytest
from talk import Smtp, count, find, insecure, message, parse, subjects, token

pytestmark = pytest.mark.asan


def swaks(path, h, host, *more, to="ken@example.test", subject):
    done = subprocess.run(
        [path, "--server", host, *(["-6"] if ":" in host else []), "--port", str(h.port("smtp")), "--from", "someone@example.org", "--to", to,
         "--header", f"Subject: {subject}", "--helo", "client.example.org", *more],
        capture_output=True, text=True, timeout=60)
    if "not available: requires" in done.stderr:
        pytest.skip(done.stderr.strip())
    return done


@pytest.mark.parametrize("more", [(), ("--tls",), ("--pipeline",), ("--protocol", "SMTP"), ("--tls", "--pipeline"),
                                  ("--attach-type", "image/png", "--attach", "/dev/null")], ids=" ".join)
def test_swaks(hikyaku, program, loopback, more):
    subject = token("swaks")
    done = swaks(program("swaks"), hikyaku, loopback, *more, subject=subject)
    assert done.returncode == 0, done.stdout
    mail = parse(find(hikyaku, subject))
    assert mail["return-path"] == "<someone@example.org>"
    received = mail.get_all("received")[0]
    assert ("ESMTPS" in received) == ("--tls" in more), received
    assert ("::1" if loopback == "::1" else "127.0.0.1") in received


def test_swaks_is_told_what_we_can(hikyaku, program):
    done = swaks(program("swaks"), hikyaku, "127.0.0.1", "--quit-after", "EHLO", subject="none")
    for word in ("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "STARTTLS",
                 "ENHANCEDSTATUSCODES", "DSN", "LIMITS"):
        assert word in done.stdout, f"{word} missing:\n{done.stdout}"


def test_swaks_unknown_recipient(hikyaku, program):
    done = swaks(program("swaks"), hikyaku, "127.0.0.1", to="nobody@example.test", subject="none")
    assert done.returncode == 24, done.stdout  # swaks: all recipients refused
    assert "550 5.1.1" in done.stdout


def test_swaks_several_recipients(hikyaku, program):
    subject = token("many")
    done = swaks(program("swaks"), hikyaku, "127.0.0.1", to="ken@example.test,mari@example.test,ken@example.test",
                 subject=subject)
    assert done.returncode == 0, done.stdout
    assert find(hikyaku, subject, "mari")
    assert count(hikyaku, subject, "ken") == 1  # named twice, one copy


@pytest.mark.parametrize("more", [(), ("-d",)], ids=["connection-each", "connection-kept"])
def test_smtp_source(hikyaku, smtp_source, loopback, more):
    argv, env = smtp_source
    host = f"[{loopback}]" if ":" in loopback else loopback
    subject = token("source")
    before = len(subjects(hikyaku, "taro"))
    to = "taro@example.test"
    done = subprocess.run([*argv, "-s", "10", "-m", "200", "-l", "5000", "-f", "s@example.org", *more,
                           "-t", to, "-S", subject, f"{host}:{hikyaku.port('smtp')}"],
                          env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert len(subjects(hikyaku, "taro")) == before + 200
    assert count(hikyaku, subject, "taro") == 200


@pytest.mark.parametrize("more", [(), ("--ssl-reqd", "-k")], ids=["plain", "starttls"])
def test_curl(hikyaku, program, loopback, more, tmp_path):
    subject = token("curl")
    mail = tmp_path / "mail"
    mail.write_bytes(message(subject, "Line\r\n.\r\n..dots\r\n").encode())
    host = f"[{loopback}]" if ":" in loopback else loopback
    done = subprocess.run(
        [program("curl"), "-sS", *more, "--url", f"smtp://{host}:{hikyaku.port('smtp')}/client.example.org",
         "--mail-from", "someone@example.org", "--mail-rcpt", "ken@example.test", "-T", str(mail)],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert find(hikyaku, subject).endswith(b"\r\n\r\nLine\r\n.\r\n..dots\r\n")


def test_smtplib_extensions(hikyaku, loopback):
    subject = token("lib")
    with smtplib.SMTP(loopback, hikyaku.port("smtp"), timeout=20) as s:
        s.starttls(context=insecure())
        s.ehlo("client.example.org")
        content = message(subject, "8 bit: é 飛脚\r\n", headers="MIME-Version: 1.0\r\nContent-Type: text/plain; "
                                                               "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n")
        refused = s.sendmail("someone@example.org", ["ken@example.test", "mari@example.test"], content.encode(),
                             mail_options=["BODY=8BITMIME", "RET=HDRS", "ENVID=abc+2B1"],
                             rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;ken@example.test"])
        assert refused == {}
    assert "飛脚".encode() in find(hikyaku, subject)
    assert find(hikyaku, subject, "mari")


def test_smtplib_smtputf8(hikyaku):
    subject = token("utf8")
    with smtplib.SMTP("127.0.0.1", hikyaku.port("smtp"), timeout=20) as s:
        s.ehlo("client.example.org")
        s.sendmail("飛脚@例え.example", ["ken@example.test"], message(subject, sender="飛脚@例え.example").encode(),
                   mail_options=["SMTPUTF8"])
    mail = find(hikyaku, subject)
    assert mail.startswith("Return-Path: <飛脚@例え.example>\r\n".encode())
    assert b"UTF8SMTP" in mail.split(b"\r\n\r\n")[0]


def test_smtputf8_sender_without_the_parameter_is_refused(hikyaku):
    s = Smtp(hikyaku)
    s.say("EHLO client.example.org")
    assert s.code("MAIL FROM:<飛脚@example.org>") in (550, 553, 501)


def test_chunking_and_binary(hikyaku):
    subject = token("bdat")
    body = bytes(range(256)) * 300
    content = message(subject, "", headers="MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
                                           "Content-Transfer-Encoding: binary\r\n").encode() + body
    s = Smtp(hikyaku)
    s.say("EHLO client.example.org")
    assert s.code("MAIL FROM:<someone@example.org> BODY=BINARYMIME") == 250
    assert s.code("RCPT TO:<ken@example.test>") == 250
    half = len(content) // 2
    s.raw(b"BDAT %d\r\n" % half + content[:half])
    assert s.reply()[0] == 250
    s.raw(b"BDAT %d LAST\r\n" % (len(content) - half) + content[half:])
    code, text = s.reply()
    assert code == 250, text
    assert s.code("QUIT") == 221
    mail = find(hikyaku, subject)
    assert mail is not None and mail.endswith(body)


def test_body_arrives_octet_for_octet(hikyaku):
    """Dots, long lines, bare blanks at the end, no empty body: what went in comes out."""
    for body in ("", ".\r\n", "..\r\n.x\r\n", "x" * 900 + "\r\n", "trailing   \r\n\r\n\r\n", "\tタブ\r\n" * 3000):
        subject = token("octets")
        content = message(subject, body)
        with smtplib.SMTP("127.0.0.1", hikyaku.port("smtp"), timeout=20) as s:
            s.ehlo()
            s.sendmail("someone@example.org", ["ken@example.test"], content.encode())
        mail = find(hikyaku, subject)
        assert mail.endswith(b"\r\n" + content.encode()), body[:40]
        head = mail[:-len(content.encode())]
        assert head.startswith(b"Return-Path: <someone@example.org>\r\nReceived: from ")


def test_big_mail(hikyaku):
    subject = token("big")
    body = ("x" * 76 + "\r\n") * 120000  # over 9 MiB: a blob of its own
    with smtplib.SMTP("127.0.0.1", hikyaku.port("smtp"), timeout=60) as s:
        s.sendmail("someone@example.org", ["ken@example.test"], message(subject, body).encode())
    assert find(hikyaku, subject).endswith(body.encode())


def test_pipelined_session_by_hand(hikyaku):
    subject = token("pipe")
    s = Smtp(hikyaku)
    s.raw(b"EHLO client.example.org\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@example.test>\r\n"
          b"RCPT TO:<KEN@EXAMPLE.TEST>\r\nDATA\r\n")
    assert [s.reply()[0] for _ in range(5)] == [250, 250, 550, 250, 354]
    s.raw(message(subject).encode() + b".\r\nRSET\r\nNOOP\r\nQUIT\r\n")
    assert [s.reply()[0] for _ in range(4)] == [250, 250, 250, 221]
    assert s.closed()
    assert find(hikyaku, subject).startswith(b"Return-Path: <>\r\n")


def test_telnet_by_hand(hikyaku):
    """Old clients work: HELO, lower case, blanks after the colon, no brackets."""
    subject = token("telnet")
    s = Smtp(hikyaku)
    assert s.code("helo me") == 250
    assert s.code("mail from: <someone@example.org>") == 250
    assert s.code("rcpt to: <ken@example.test>") == 250
    assert s.code("data") == 354
    s.raw(message(subject).encode())
    assert s.code(".") == 250
    assert s.code("quit") == 221
    assert find(hikyaku, subject)
