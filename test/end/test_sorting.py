"""What the sorter makes of queued mail: members of an alias who are full or suspended, bounces, a sorter that dies."""
import os
import signal
import smtplib
import subprocess

import instance
import pytest
from talk import PASSWORD
from talk import count, find, imap, message, parse, send, token

pytestmark = pytest.mark.asan


def queue(h):
    return h.cli("queue", "list").stdout


@pytest.fixture
def lab(fresh):
    h = fresh(start=False)
    h.write("virtual", "lab@example.test ken@example.test, mari@example.test\n"
                       "mixed@example.test mari@example.test, nobody@example.test\n")
    h.start()
    for name in ("ken", "mari"):
        h.account(name, PASSWORD)
    return h


def test_a_full_member_delays_nobody_else(lab):
    lab.cli("account", "quota", "mari@example.test", "100")
    subject = send(lab, "lab@example.test", token("full"))
    assert find(lab, subject, "ken")
    assert "the mailbox is full" in queue(lab)
    lab.cli("account", "quota", "mari@example.test", "0")
    lab.cli("queue", "retry")
    assert find(lab, subject, "mari")
    assert (count(lab, subject, "ken"), count(lab, subject, "mari")) == (1, 1)
    assert "mari@example.test" not in queue(lab)


def test_a_suspended_member_gets_it_later(lab):
    lab.cli("account", "suspend", "mari@example.test")
    subject = send(lab, "lab@example.test", token("susp"))
    assert find(lab, subject, "ken")
    assert "suspended" in queue(lab)
    lab.cli("account", "resume", "mari@example.test")
    assert find(lab, subject, "mari")
    assert (count(lab, subject, "ken"), count(lab, subject, "mari")) == (1, 1)


def bounce_of(h, sender_user, subject, header=""):
    """Sends to an alias with a member who is not there; the bounce that its sender gets."""
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), timeout=20) as s:
        s.sendmail(f"{sender_user}@example.test", "mixed@example.test",
                   message(subject, sender=f"{sender_user}@example.test", headers=header).encode())
    octets = instance.wait_for(lambda: newest(h, sender_user), 10)
    assert octets, h.log_text()[-2000:]
    return parse(octets)


def newest(h, user):
    c = imap(h, user)
    try:
        kind, got = c.select("INBOX", readonly=True)
        return c.fetch(got[0].decode(), "(BODY.PEEK[])")[1][0][1] if got != [b"0"] else None
    finally:
        c.logout()


def test_a_bounce_is_a_report_that_programs_and_people_read(lab):
    subject = token("bounce")
    report = bounce_of(lab, "ken", subject)
    assert report.get_content_type() == "multipart/report"
    assert report["Return-Path"] == "<>" and report["Auto-Submitted"] == "auto-replied"
    person, status, original = report.iter_parts()
    assert "nobody@example.test" in person.get_content() and "mixed@example.test" in person.get_content()
    fields = [dict(block.items()) for block in status.get_payload()]
    assert fields[0]["Reporting-MTA"] == "dns; mx.example.test"
    assert fields[1]["Action"] == "failed" and fields[1]["Status"] == "5.1.1"
    assert original.get_content_type() == "message/rfc822"
    assert original.get_content()["Subject"] == subject
    assert find(lab, subject, "mari"), "the other member has it"
    read = subprocess.run([str(instance.binary()), "check", "bounce"], input=newest(lab, "ken"), capture_output=True,
                          timeout=30)
    assert read.stdout.decode() == "nobody@example.test\t5.1.1\thard\n"


def test_a_japanese_sender_gets_a_japanese_bounce(lab):
    report = bounce_of(lab, "ken", token("ja"), "Content-Type: text/plain; charset=iso-2022-jp\r\n")
    assert "メールを配信できませんでした" in report["Subject"]
    text = next(report.iter_parts()).get_content()
    assert "このアドレスは存在しません" in text and "There is no such address" in text


def test_a_bounce_of_a_bounce_goes_to_postmaster(lab):
    subject = token("double")
    with smtplib.SMTP("127.0.0.1", lab.port("smtp"), timeout=20) as s:
        s.sendmail("", "mixed@example.test", message(subject).encode())
    assert find(lab, subject, "ken"), "the first account is postmaster"
    assert find(lab, subject, "mari")
    assert (count(lab, subject, "ken"), count(lab, subject, "mari")) == (1, 1)


def test_a_sorter_that_dies_costs_nothing(lab):
    subjects = []
    for _ in range(5):
        for pid in lab.role_pids("sorter"):
            os.kill(pid, signal.SIGKILL)
        subjects += [send(lab, "lab@example.test", token("kill")) for _ in range(4)]
    for subject in subjects:
        assert find(lab, subject, "ken") and find(lab, subject, "mari")
        assert (count(lab, subject, "ken"), count(lab, subject, "mari")) == (1, 1)
