"""What senders are told about mail that went out: bounces from what a host said, success notices, in their language, signed for those
elsewhere; read by Python's email, dkimpy and our own `check bounce`."""
import email
import email.policy
import json
import smtplib
import subprocess

import instance
import pytest
from instance import wait_for
from talk import PASSWORD, imap
from test_carry import Out

NO_SUCH_USER = "550 5.1.1 <nobody> unknown here"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    made = []

    def make(settings="", **options):
        h = instance.Instance(tmp_path_factory.mktemp("notices") / "h", settings=settings, **options)
        made.append(h)
        h.setup()
        h.append("virtual", "mixed@example.test ken, missing@example.test")
        h.start()
        for name in ("ken", "mari", "taro"):
            h.account(name, PASSWORD)
        return h
    yield Out(make, hosts=10)
    for h in made:
        h.stop()


def parse(octets):
    return email.message_from_bytes(octets, policy=email.policy.default)


def submit(out, user, recipient, headers="", options=(), rcpt_options=()):
    with smtplib.SMTP("127.0.0.1", out.h.port("submission"), timeout=30) as c:
        c.login(f"{user}@example.test", PASSWORD)
        c.sendmail(f"{user}@example.test", [recipient],
                   f"From: {user}@example.test\r\nTo: x@y.test\r\nSubject: hello\r\n{headers}\r\nbody\r\n", list(options),
                   list(rcpt_options))


def newest(out, user):
    c = imap(out.h, f"{user}@example.test")
    try:
        _, count = c.select("INBOX", readonly=True)
        return c.fetch(count[0].decode(), "(BODY.PEEK[])")[1][0][1] if count[0] != b"0" else None
    finally:
        c.logout()


def notice(out, user):
    octets = wait_for(lambda: newest(out, user), 30, 0.2)
    assert octets, out.h.log_text()[-3000:]
    return octets


def fields(report):
    _, status, _ = report.iter_parts()
    return [dict(block.items()) for block in status.get_payload()]


def refuse(session, address):
    return NO_SUCH_USER if address.startswith("nobody") else None


def test_a_hosts_refusal_comes_back_word_by_word(out):
    with out.host(script={"rcpt": refuse}) as s:
        submit(out, "ken", f"nobody@{s.domain}", rcpt_options=[f"ORCPT=rfc822;Nobody@{s.domain}"], options=["ENVID=QQ1"])
        octets = notice(out, "ken")
    report = parse(octets)
    assert report.get_content_type() == "multipart/report" and report["Auto-Submitted"] == "auto-replied"
    person, _, original = report.iter_parts()
    about, failed = fields(report)[:2]
    assert about["Reporting-MTA"] == "dns; mx.example.test" and about["Original-Envelope-Id"] == "QQ1"
    assert failed["Action"] == "failed" and failed["Status"] == "5.1.1"
    assert failed["Original-Recipient"] == f"rfc822;Nobody@{s.domain}"
    assert failed["Final-Recipient"] == f"rfc822; nobody@{s.domain}"
    assert failed["Diagnostic-Code"] == "smtp; " + NO_SUCH_USER
    assert failed["Remote-MTA"].startswith("dns; ") and failed["Last-Attempt-Date"]
    text = person.get_content()
    assert "There is no such mailbox." in text and NO_SUCH_USER in text and "hello" in text
    assert original.get_content()["Subject"] == "hello"
    read = subprocess.run([str(instance.binary()), "check", "bounce"], input=octets, capture_output=True, timeout=30)
    assert read.stdout.decode() == f"nobody@{s.domain}\t5.1.1\thard\n"


def test_a_japanese_mail_gets_japanese_words(out):
    with out.host(script={"rcpt": refuse}) as s:
        submit(out, "mari", f"nobody@{s.domain}", "Content-Type: text/plain; charset=iso-2022-jp\r\n")
        report = parse(notice(out, "mari"))
    text = next(report.iter_parts()).get_content()
    assert "メールを配信できませんでした" in report["Subject"]
    assert "このアドレスは存在しません" in text and "There is no such mailbox." in text


def test_success_is_told_when_the_host_has_no_dsn(out):
    with out.host(script={"ehlo": "502 5.5.1 not implemented"}) as s:
        submit(out, "taro", f"mari@{s.domain}", rcpt_options=["NOTIFY=SUCCESS"])
        report = parse(notice(out, "taro"))
    assert fields(report)[1]["Action"] == "relayed"
    assert [p.get_content_type() for p in report.iter_parts()][2] == "text/rfc822-headers"


def test_a_bounce_for_elsewhere_is_signed(out):
    dkim = pytest.importorskip("dkim", reason="dkimpy is not installed")
    keys = [json.loads(line) for line in out.h.cli("dkim", "list", "--json").stdout.splitlines()]
    records = {f"{k['selector']}._domainkey.{k['domain']}.": k["record"] for k in keys}
    with out.host() as s:
        with smtplib.SMTP("127.0.0.1", out.h.port("smtp"), timeout=20) as c:
            c.sendmail(f"sender@{s.domain}", "mixed@example.test", "Subject: to nobody\r\n\r\nbody\r\n")
        assert wait_for(lambda: s.mails, 20)
        mail = s.mails[0]
    assert mail.sender == "" and mail.recipients == [f"sender@{s.domain}"]
    assert mail.content.count(b"DKIM-Signature:") == len(keys) > 0

    def txt(name, timeout=5):
        return records.get(name.decode() if isinstance(name, bytes) else name, "").encode()
    for n in range(len(keys)):
        assert dkim.verify(mail.content, dnsfunc=txt) if n == 0 else dkim.DKIM(mail.content).verify(n, dnsfunc=txt)


def test_a_bounce_that_fails_is_not_bounced(out):
    """The sender's host does not know it: the notice goes to our postmaster, the first account, and nowhere else."""
    with out.host(script={"rcpt": NO_SUCH_USER}) as s:
        with smtplib.SMTP("127.0.0.1", out.h.port("smtp"), timeout=20) as c:
            c.sendmail(f"forged@{s.domain}", "mixed@example.test", "Subject: forged\r\n\r\nbody\r\n")
        assert out.left(20)
        assert not s.mails
    assert b"forged" in notice(out, "ken")


def test_a_sorter_makes_any_number_of_bounces(fresh):
    """Each is a mail that the sorter spools; the store lets it have as many at once as connections and some, and must forget
    those that are over."""
    h = fresh(settings="connections { total 20  per-address 500 }")
    h.cli("alias", "add", "gone@example.test", *[f"nobody{n}@example.test" for n in range(150)])
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), timeout=30) as c:
        c.sendmail("ken@example.test", ["gone@example.test"], "Subject: many bounces\r\n\r\nx\r\n")

    assert wait_for(lambda: h.log_text().count(" refused=5.1.1 ") >= 150, 60, 0.2), h.log_text()[-2000:]
    assert "could not answer" not in h.log_text()
