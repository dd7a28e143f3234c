"""What people move into Junk and whom they write to changes how mail is judged; conversation scam is seen for what it is."""
import imaplib
import smtplib

import pytest
from instance import wait_for
from talk import PASSWORD, find, parse, token
from zones import Zones

pytestmark = pytest.mark.asan
SETTINGS = """
judge { trust 127.0.0.1 }
judge-for strict { for mie@example.test  junk 3.0 }
login { plaintext always }
"""
JUNK_WORDS = "最高の副業で毎日稼げる秘密の方法を無料公開します。今すぐ登録して高収入を手に入れましょう。"
GOOD_WORDS = "明日の研究会の資料を送ります。会議室の予約もお願いします。発表の順番は後で相談しましょう。"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from instance import Instance
    with Zones(tmp_path_factory.mktemp("zones")) as dns:
        dns.zone("friend.test", "@ TXT \"v=spf1 ip4:127.0.5.0/24 -all\"\n@ MX 0 .")
        dns.zone("test", "")
        dns.zone("127.in-addr.arpa", "")
        dns.start()
        h = Instance(tmp_path_factory.mktemp("learning") / "h", settings=SETTINGS + dns.settings(timeout="2s"))
        h.setup()
        h.append("virtual", "kenkyu@example.test ken, mie\n")
        h.start()
        for name in ("ken", "mie"):
            h.account(name, PASSWORD)
        yield h
        assert h.stop() == 0, h.log_text()[-3000:]


def deliver(h, sender, subject, body, source, to="ken@example.test", shown=None, also=None):
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), "mail.sender.test", timeout=60, source_address=(source, 0)) as s:
        s.helo("mail.sender.test")
        assert s.mail(sender)[0] == 250
        for rcpt in filter(None, (to, also)):
            assert s.rcpt(rcpt)[0] == 250
        mail = (f"From: {shown or sender}\r\nTo: {to}\r\nMessage-ID: <{token('m')}@x.test>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
                f"Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n")
        return s.data(mail.encode())


def session(h, user="ken"):
    c = imaplib.IMAP4("127.0.0.1", h.port("imap"))
    c.login(f"{user}@example.test", PASSWORD)
    return c


def move(h, subject, to):
    c = session(h)
    c.select("INBOX")
    uids = c.uid("SEARCH", "SUBJECT", f'"{subject}"')[1][0].split()
    assert uids
    assert c.uid("MOVE", b",".join(uids).decode(), to)[0] == "OK"
    c.logout()


def verdict(octets):
    return " ".join(str(parse(octets)["x-hikyaku-verdict"]).split())


def judged(h, body, source, **options):
    """The verdict on a new mail with these words, wherever it was put."""
    subject = token("probe")
    code, text = deliver(h, "somebody@other.test", subject, body, source, **options)
    assert code == 250, text
    return verdict(find(h, subject, seconds=3) or find(h, subject, mailbox="Junk"))


def test_junk_is_learnt_from_moves(world):
    with smtplib.SMTP("127.0.0.1", world.port("submission"), timeout=30) as c:
        c.login("ken@example.test", PASSWORD)
        c.sendmail("ken@example.test", ["ann@friend.test"], "From: ken@example.test\r\nSubject: hello\r\n\r\nhello\r\n")
    assert "bayes" not in judged(world, JUNK_WORDS, "127.0.6.200")

    junk = token("junk")
    for i in range(12):
        assert deliver(world, f"seller{i}@other.test", junk, f"{JUNK_WORDS} {i}", f"127.0.{i + 10}.1")[0] == 250
        assert deliver(world, "ann@friend.test", token("good"), f"{GOOD_WORDS} {i}", "127.0.5.1")[0] == 250
    move(world, junk, "Junk")

    assert wait_for(lambda: "bayes" in judged(world, JUNK_WORDS, "127.0.6.201"), 30)
    bad, good = judged(world, JUNK_WORDS, "127.0.6.202"), judged(world, GOOD_WORDS, "127.0.6.203")
    assert "junk 0.9" in bad or "junk 1.0" in bad, bad
    assert "bayes -" in good, good


def test_whom_our_people_wrote_to_is_known(world):
    subject = token("known")
    assert deliver(world, "ann@friend.test", subject, GOOD_WORDS, "127.0.5.1")[0] == 250
    assert "history -6.00" in verdict(find(world, subject))
    # the same name from elsewhere proves nothing
    subject = token("forged")
    assert deliver(world, "ann@friend.test", subject, GOOD_WORDS, "127.0.200.1")[0] == 250
    assert "history -" not in verdict(find(world, subject, seconds=3) or find(world, subject, mailbox="Junk"))


def test_conversation_scam_goes_to_junk(world):
    subject = token("notice")
    letter = "以前お送りしたお知らせに、まだお返事をいただいておりません。至急ご返信をお願いいたします。"
    code, text = deliver(world, "jeanine@outlook.com", f"kenkyu, {subject}", letter, "127.0.7.7", to="kenkyu@example.test")
    assert code == 250, text
    for user in ("ken", "mie"):
        got = find(world, subject, user=user, mailbox="Junk", seconds=15)
        assert got is not None, f"not in the Junk folder of {user}"
    assert "scam" in verdict(got)
    # an ordinary first letter to the same people
    subject = token("visit")
    code, text = deliver(world, "student@gmail.com", subject, "はじめまして。来月の見学をお願いしたく、ご連絡いたしました。",
                         "127.0.7.8", to="kenkyu@example.test")
    assert code == 250, text
    assert find(world, subject, seconds=15) is not None


def test_each_recipient_has_thresholds_of_his_own(world):
    subject = token("spoof")
    code, text = deliver(world, "x@other.test", subject, "hello", "127.0.8.8", shown='"service@bank.test" <x@other.test>',
                         also="mie@example.test")
    assert code == 250, text
    assert find(world, subject) is not None
    assert find(world, subject, user="mie", mailbox="Junk") is not None
    assert find(world, subject, user="mie", seconds=0.5) is None
