"""DMARC reports that come by mail: read on the way, shown by `hikyaku dmarc`, and still delivered."""
import gzip
import imaplib
import json
import smtplib
import sqlite3
import time
from email import policy
from email.message import EmailMessage

import pytest
from instance import Instance, wait_for
from talk import PASSWORD
from zones import Zones

REPORT = """<?xml version="1.0"?>
<feedback><report_metadata><org_name>{org}</org_name><email>p@{org}</email><report_id>{id}</report_id>
<date_range><begin>1764000000</begin><end>1764086399</end></date_range></report_metadata>
<policy_published><domain>example.test</domain><p>none</p></policy_published>
<record><row><source_ip>192.0.2.7</source_ip><count>{good}</count><policy_evaluated><disposition>none</disposition>
<dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><envelope_from>example.test</envelope_from>
<header_from>example.test</header_from></identifiers><auth_results/></record>
<record><row><source_ip>203.0.113.9</source_ip><count>{bad}</count><policy_evaluated><disposition>reject</disposition>
<dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers><envelope_from>spoof.test</envelope_from>
<header_from>example.test</header_from></identifiers><auth_results/></record></feedback>
"""


@pytest.fixture
def server(fresh):
    return fresh(settings="dmarc { reports dmarc@example.test }\n", accounts=("ken", "dmarc"))


def send(h, to, content, name="report.xml.gz"):
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = "noreply@reporter.test", to, "Report Domain: example.test"
    m.set_content("see the attachment")
    m.add_attachment(content, maintype="application", subtype="gzip", filename=name)
    with smtplib.SMTP("127.0.0.1", h.port("smtp")) as s:
        s.sendmail("noreply@reporter.test", [to], m.as_bytes(policy=policy.SMTP))


def rows(h, *args):
    return [json.loads(line) for line in h.cli("--json", "dmarc", *args).stdout.splitlines()]


def inbox(h, user):
    with imaplib.IMAP4("127.0.0.1", h.port("imap")) as i:
        i.login(f"{user}@example.test", PASSWORD)
        return int(i.select("INBOX")[1][0])


def report(org="reporter.test", ident="1", good=5, bad=2):
    return gzip.compress(REPORT.format(org=org, id=ident, good=good, bad=bad).encode())


def test_reports_are_read_shown_and_delivered(server):
    assert "No reports" in server.cli("dmarc").stdout
    assert "届いたレポートはありません" in server.cli("dmarc", "--lang=ja").stdout
    send(server, "dmarc@example.test", report())
    wait_for(lambda: len(rows(server)) == 2)
    worst, best = rows(server)
    assert (worst["ip"], worst["mails"], worst["failed"], worst["rejected"]) == ("203.0.113.9", 2, 2, 2)
    assert (best["ip"], best["mails"], best["failed"], best["dkim"], best["spf"]) == ("192.0.2.7", 5, 0, 5, 0)
    assert worst["envelope_from"] == "spoof.test" and worst["reporter"] == "reporter.test"
    wait_for(lambda: inbox(server, "dmarc") == 1)
    # The same one again counts once; another host's is added.
    send(server, "dmarc@example.test", report())
    send(server, "dmarc@example.test", report("other.test", "2", 1, 10))
    wait_for(lambda: rows(server)[0]["mails"] == 12)
    assert [r["mails"] for r in rows(server)] == [12, 6]
    assert len(rows(server, "--reports")) == 2 and rows(server, "example.test") == rows(server)
    assert rows(server, "other.test") == [] and "203.0.113.9" in server.cli("dmarc").stdout
    wait_for(lambda: inbox(server, "dmarc") == 3)


def test_what_is_no_report_is_just_mail(server):
    send(server, "dmarc@example.test", b"not gzip at all")
    send(server, "dmarc@example.test", gzip.compress(b"\0" * 40000000))
    send(server, "ken@example.test", report())  # nobody said that reports go there
    wait_for(lambda: inbox(server, "dmarc") == 2 and inbox(server, "ken") == 1)
    assert rows(server) == []


def test_reports_outlive_a_restart(server):
    send(server, "dmarc@example.test", report())
    wait_for(lambda: len(rows(server)) == 2)
    server.kill()
    server.start()
    assert len(rows(server)) == 2


def test_mail_that_was_judged_is_reported_the_day_after(tmp_path):
    """The whole circle: mail of a domain that wants reports is counted; when the day is over the report leaves; its address is ours
    here, so that what it says can be read with `hikyaku dmarc`."""
    with Zones(tmp_path / "zones") as dns:
        dns.zone("good.test", '@ TXT "v=spf1 ip4:127.0.5.0/24 -all"\n_dmarc TXT "v=DMARC1; p=none; rua=mailto:dmarc@example.test"')
        dns.zone("example.test", 'good.test._report._dmarc TXT "v=DMARC1"')
        dns.zone("test", "")
        dns.zone("127.in-addr.arpa", "")
        dns.start()
        h = Instance(tmp_path / "h", settings="judge { trust 127.0.0.1 }\ndmarc { reports dmarc@example.test }\n"
                     "carry { tls-reports-within 200ms }\n" + dns.settings(timeout="2s"))
        h.setup().start()
        for name in ("ken", "dmarc"):
            h.account(name, PASSWORD)
        for source, sender in (("127.0.5.1", "a@good.test"), ("127.0.5.1", "b@good.test"), ("127.0.6.1", "a@good.test")):
            with smtplib.SMTP("127.0.0.1", h.port("smtp"), source_address=(source, 0)) as s:
                s.sendmail(sender, ["ken@example.test"], f"From: {sender}\r\nSubject: x\r\n\r\nhello\r\n")
            time.sleep(1.2)  # it is written once a second, and with the next mail
        assert h.stop() == 0
        # Nobody can wait for tomorrow: what was counted is made a day older.
        index = sqlite3.connect(tmp_path / "h" / "data" / "index.db")
        assert index.execute("SELECT SUM(count) FROM dmarc_count").fetchone() == (3,)
        index.execute("UPDATE dmarc_count SET day = day - 86400000")
        index.commit()
        index.close()
        h.start()
        wait_for(lambda: rows(h, "good.test"), 30)
        found = {r["ip"]: r for r in rows(h)}
        assert (found["127.0.5.1"]["mails"], found["127.0.5.1"]["spf"], found["127.0.5.1"]["failed"]) == (2, 2, 0)
        assert (found["127.0.6.1"]["mails"], found["127.0.6.1"]["failed"]) == (1, 1)
        assert [r["reporter"] for r in rows(h, "--reports")] == ["example.test"]
        wait_for(lambda: inbox(h, "dmarc") == 1)
        assert "dmarc-reported" in h.log_text()
        assert h.stop() == 0
