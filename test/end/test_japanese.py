"""Japanese mail, all the way: in by SMTP, listed, searched and read by IMAP in the charsets that people still use."""
import email.header
import imaplib

import pytest
from talk import find, imap, parse, send, token

pytestmark = pytest.mark.asan

WORD = "飛脚便"
BODY = "明日の会議は十時からです。資料を持ってきてください。\r\n"


def japanese(h, charset, body=BODY, subject=WORD):
    """A mail in this charset; the token that its subject begins with."""
    mark = token("ja")
    encoded = email.header.Header(f"{mark} {subject}", charset, header_name="Subject").encode()
    octets = body.encode({"iso-2022-jp": "iso-2022-jp"}.get(charset, charset))
    head = (f"From: =?utf-8?B?6aOb6ISa?= <someone@example.org>\r\nTo: <ken@example.test>\r\nSubject: {encoded}\r\n"
            f"Message-ID: <{mark}@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\n"
            f"Content-Transfer-Encoding: {'7bit' if charset == 'iso-2022-jp' else '8bit'}\r\n\r\n")
    import smtplib
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), timeout=20) as s:
        s.ehlo()
        s.sendmail("someone@example.org", ["ken@example.test"], head.encode() + octets, mail_options=["BODY=8BITMIME"])
    return mark


CHARSETS = ["iso-2022-jp", "shift_jis", "euc-jp", "utf-8"]


@pytest.mark.parametrize("charset", CHARSETS)
def test_arrives_as_sent(hikyaku, charset):
    mark = japanese(hikyaku, charset)
    c = imap(hikyaku)
    c.select("INBOX")
    uid = c.uid("SEARCH", "HEADER", "MESSAGE-ID", mark)[1][0].decode()
    assert uid
    mail = parse(c.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1])
    assert mail["subject"] == f"{mark} {WORD}"
    assert mail.get_content().replace("\n", "\r\n") == BODY or mail.get_content() == BODY
    c.logout()


@pytest.mark.parametrize("searched", CHARSETS)
@pytest.mark.parametrize("stored", CHARSETS)
def test_search_across_charsets(hikyaku, stored, searched):
    """Two-character words in subject and body, asked in any charset, found in any."""
    mark = japanese(hikyaku, stored)
    c = imap(hikyaku)
    c.select("INBOX")
    wanted = c.uid("SEARCH", "HEADER", "MESSAGE-ID", mark)[1][0].split()
    assert len(wanted) == 1
    for key, word in (("SUBJECT", "飛脚"), ("BODY", "会議"), ("TEXT", "資料")):
        c.literal = word.encode(searched)
        kind, got = c.uid("SEARCH", "CHARSET", searched.upper(), "HEADER", "MESSAGE-ID", mark, key)
        assert kind == "OK" and got[0].split() == wanted, (key, kind, got)
    c.literal = "存在しない".encode(searched)
    assert c.uid("SEARCH", "CHARSET", searched.upper(), "HEADER", "MESSAGE-ID", mark, "TEXT")[1] == [b""]
    c.logout()


def test_unknown_charset_is_told(hikyaku):
    c = imap(hikyaku)
    c.select("INBOX")
    c.literal = b"x"
    with pytest.raises(imaplib.IMAP4.error):
        kind, got = c.uid("SEARCH", "CHARSET", "X-KLINGON", "SUBJECT")
        assert kind == "NO" and b"BADCHARSET" in got[0], got
        raise imaplib.IMAP4.error("NO, as it should be")
    c.logout()


def test_raw_eight_bit_headers(hikyaku):
    """A program that never heard of RFC 2047: raw Shift_JIS or UTF-8 in the subject still arrives and is found."""
    mark = token("raw")
    send(hikyaku, subject=f"{mark} 生の件名")
    c = imap(hikyaku)
    c.select("INBOX")
    c.literal = "件名".encode()
    assert c.uid("SEARCH", "CHARSET", "UTF-8", "HEADER", "MESSAGE-ID", mark, "SUBJECT")[1][0]
    c.logout()


def test_mailbox_names(hikyaku):
    """Modified UTF-7 (RFC 3501, 5.1.3) by imaplib; UTF-8 for who enables rev2 (RFC 9051)."""
    c = imap(hikyaku)
    name = "&kPVO9g-"  # 郵件
    assert c.create(name)[0] == "OK"
    assert any(name.encode() in row for row in c.list()[1])
    assert c.select(name)[0] == "OK"
    c.close()
    c.send(b"x ENABLE IMAP4rev2\r\n")
    line = c.readline()
    while not line.startswith(b"x "):
        line = c.readline()
    assert line.startswith(b"x OK"), line
    c.send(b'y LIST "" "*"\r\n')
    rows = []
    while not rows or not rows[-1].startswith(b"y "):
        rows.append(c.readline())
    assert any("郵件".encode() in row for row in rows), rows
    c.shutdown()
    c = imap(hikyaku)
    assert c.delete(name)[0] == "OK"
    c.logout()


def test_attachment_name_rfc2231(hikyaku):
    from talk import message
    mark = token("att")
    head = ("MIME-Version: 1.0\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment;\r\n"
            " filename*0*=iso-2022-jp''%1B%24B;q;q%1B%28B;\r\n filename*1=.pdf\r\n")
    import smtplib
    with smtplib.SMTP("127.0.0.1", hikyaku.port("smtp"), timeout=20) as s:
        s.sendmail("someone@example.org", ["ken@example.test"], message(mark, "x\r\n", headers=head).encode())
    c = imap(hikyaku)
    c.select("INBOX")
    uid = c.uid("SEARCH", "SUBJECT", mark)[1][0].decode()
    kind, got = c.uid("FETCH", uid, "(BODYSTRUCTURE)")
    assert kind == "OK" and b"attachment" in got[0].lower() if isinstance(got[0], bytes) else True
    assert find(hikyaku, mark)
    c.logout()
