"""Logging in by every mechanism, with Japanese passwords too; what is refused; what old clients still need."""
import base64
import hmac
import imaplib
import poplib
import socket
import unicodedata

import pytest
from conftest import JAPANESE_PASSWORD, PASSWORD
from talk import Scram, imap, insecure, pop, scram_imap

pytestmark = pytest.mark.asan

WHO = [("ken@example.test", PASSWORD), ("yuki@example.test", JAPANESE_PASSWORD)]
ids = ["ascii", "japanese"]


def connect(h, tls=False, host="127.0.0.1"):
    if tls:
        return imaplib.IMAP4_SSL(host, h.port("imaps"), ssl_context=insecure(), timeout=20)
    return imaplib.IMAP4(host, h.port("imap"), timeout=20)


def steps(*answers):
    turn = iter(answers)
    return lambda _: next(turn)


@pytest.mark.parametrize("user,password", WHO, ids=ids)
def test_imap_plain(hikyaku, user, password, loopback):
    c = connect(hikyaku, host=loopback)
    assert "SASL-IR" in c.capabilities and "AUTH=PLAIN" in c.capabilities
    c.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
    assert c.select()[0] == "OK"
    c.logout()


@pytest.mark.parametrize("user,password", WHO, ids=ids)
def test_imap_plain_at_once(hikyaku, user, password):
    c = connect(hikyaku)
    c.send(b"x AUTHENTICATE PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()) + b"\r\n")
    line = c.readline()
    while line.startswith(b"*"):
        line = c.readline()
    assert line.startswith(b"x OK"), line


@pytest.mark.parametrize("user,password", WHO, ids=ids)
def test_imap_login_mechanism(hikyaku, user, password):
    c = connect(hikyaku)
    c.authenticate("LOGIN", steps(user.encode(), password.encode()))
    c.logout()


@pytest.mark.parametrize("user,password", WHO, ids=ids)
def test_imap_cram_md5(hikyaku, user, password):
    c = connect(hikyaku)
    c.authenticate("CRAM-MD5", lambda challenge: f"{user} {hmac.new(password.encode(), challenge, 'md5').hexdigest()}"
                   .encode())
    c.logout()


@pytest.mark.parametrize("user,password", WHO, ids=ids)
@pytest.mark.parametrize("plus", [False, True], ids=["plain", "plus"])
def test_imap_scram(hikyaku, user, password, plus):
    c = connect(hikyaku, tls=plus)
    assert ("AUTH=SCRAM-SHA-256-PLUS" in c.capabilities) == plus
    scram_imap(c, user, password, plus)
    assert c.select()[0] == "OK"
    c.logout()


def test_scram_plus_with_another_certificate_is_refused(hikyaku):
    """A man in the middle has another certificate: the binding does not agree."""
    c = connect(hikyaku, tls=True)
    s = Scram("ken@example.test", PASSWORD, b"\1" * 32)
    turn = iter((lambda _: s.first(), s.final))
    with pytest.raises(imaplib.IMAP4.error):
        c.authenticate("SCRAM-SHA-256-PLUS", lambda challenge: next(turn)(challenge))


def test_scram_downgrade_is_noticed(hikyaku):
    """gs2 flag y over TLS says: I can bind but you did not offer it. We did, so somebody took it away (RFC 5802, 6)."""
    c = connect(hikyaku, tls=True)
    s = Scram("ken@example.test", PASSWORD)
    s.gs2 = "y,,"
    turn = iter((lambda _: s.first(), s.final))
    with pytest.raises(imaplib.IMAP4.error):
        c.authenticate("SCRAM-SHA-256", lambda challenge: next(turn)(challenge))


@pytest.mark.parametrize("user,password", WHO, ids=ids)
def test_pop3_mechanisms(hikyaku, user, password, loopback):
    p = poplib.POP3(loopback, hikyaku.port("pop3"), timeout=20)
    p.encoding = "utf-8"
    if password.isascii():
        p.user(user)
        p.pass_(password)
        p.quit()
        p = poplib.POP3(loopback, hikyaku.port("pop3"), timeout=20)
    p.encoding = "utf-8"
    p.apop(user, password)
    p.quit()
    p = poplib.POP3(loopback, hikyaku.port("pop3"), timeout=20)
    assert p._shortcmd("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()).startswith(b"+OK")
    p.quit()


def test_pop3_scram(hikyaku):
    s = Scram("ken@example.test", PASSWORD)
    sock = socket.create_connection(("127.0.0.1", hikyaku.port("pop3")), 20)
    f = sock.makefile("rwb")

    def say(octets):
        f.write(octets + b"\r\n")
        f.flush()
        return f.readline().rstrip(b"\r\n")

    f.readline()
    first = say(b"AUTH SCRAM-SHA-256 " + base64.b64encode(s.first()))
    assert first.startswith(b"+ "), first
    final = say(base64.b64encode(s.final(base64.b64decode(first[2:]))))
    if final.startswith(b"+ "):
        s.verify(base64.b64decode(final[2:]))
        final = say(b"")
    assert final.startswith(b"+OK"), final


def test_japanese_passwords_in_other_shapes(hikyaku):
    """The same word composed otherwise (NFD, as macOS types it) is the same password (RFC 8265, OpaqueString)."""
    c = connect(hikyaku)
    other = unicodedata.normalize("NFD", JAPANESE_PASSWORD)
    assert other != JAPANESE_PASSWORD
    c.authenticate("PLAIN", lambda _: f"\0yuki@example.test\0{other}".encode())
    c.logout()


def test_user_names_fold(hikyaku):
    for name in ("KEN@EXAMPLE.TEST", "ken", "Ken"):
        c = connect(hikyaku)
        c.login(name, PASSWORD)
        c.logout()


def test_wrong_passwords_are_refused_everywhere(fresh):
    h = fresh(settings="login { failures 50 }")
    with pytest.raises(imaplib.IMAP4.error) as wrong:
        imap(h, password="wrong")
    with pytest.raises(imaplib.IMAP4.error) as unknown:
        imap(h, user="nobody", password="wrong")
    assert str(wrong.value) == str(unknown.value)  # nobody may learn which users there are
    with pytest.raises(poplib.error_proto) as wrong:
        pop(h, password="wrong")
    with pytest.raises(poplib.error_proto) as unknown:
        pop(h, user="nobody", password="wrong")
    assert str(wrong.value) == str(unknown.value)
    with pytest.raises(imaplib.IMAP4.error):
        scram_imap(connect(h), "ken@example.test", "wrong")
    with pytest.raises(imaplib.IMAP4.error):
        connect(h).authenticate("CRAM-MD5", lambda c: b"ken@example.test " + b"0" * 32)
    with pytest.raises(poplib.error_proto):
        poplib.POP3("127.0.0.1", h.port("pop3"), timeout=30).apop("ken@example.test", "wrong")
    imap(h).logout()
    log = h.log_text()
    assert "ken@example.test" in log and "127.0.0.1" in log
    assert "wrong" not in [word for line in log.splitlines() for word in line.split() if "password" in line]


def test_unknown_user_gets_a_steady_scram_salt(hikyaku):
    """The same made-up salt each time, or a guesser learns that nobody is there."""
    def salt():
        c = connect(hikyaku)
        s = Scram("nobody-at-all@example.test", "x")
        c.send(b"x AUTHENTICATE SCRAM-SHA-256 " + base64.b64encode(s.first()) + b"\r\n")
        first = base64.b64decode(c.readline().strip()[2:]).decode()
        c.send(b"*\r\n")
        c.shutdown()
        return dict(p.split("=", 1) for p in first.split(","))["s"]

    assert salt() == salt()


def test_failures_are_slowed(fresh):
    """A guesser gets slower: ten wrong passwords take longer than ten right ones by far, and the session ends."""
    h = fresh(settings="login { failures 3 }")
    c = connect(h)
    replies = []
    try:
        for _ in range(5):
            try:
                c.login("ken@example.test", "wrong")
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as e:
                replies.append(str(e))
    except (imaplib.IMAP4.abort, OSError):
        pass
    assert 1 <= len(replies) <= 3, replies


def test_cram_md5_off(fresh):
    h = fresh(settings="login { cram-md5 off  apop off }")
    c = connect(h)
    assert "AUTH=CRAM-MD5" not in c.capabilities
    c.logout()
    p = poplib.POP3("127.0.0.1", h.port("pop3"), timeout=20)
    with pytest.raises(poplib.error_proto):
        p.apop("ken@example.test", PASSWORD)


def test_old_mechanisms_are_recorded(fresh):
    h = fresh()
    c = connect(h)
    c.authenticate("CRAM-MD5", lambda ch: b"ken@example.test " + hmac.new(PASSWORD.encode(), ch, "md5").hexdigest().encode())
    c.logout()
    assert "cram-md5" in h.log_text().lower()


def test_plaintext_never(fresh):
    h = fresh(settings="login { plaintext never }")
    c = connect(h)
    assert "LOGINDISABLED" in c.capabilities and "AUTH=PLAIN" not in c.capabilities
    with pytest.raises(imaplib.IMAP4.error):
        c.login("ken@example.test", PASSWORD)
    c = connect(h)
    c.starttls(insecure())
    c.login("ken@example.test", PASSWORD)
    c.logout()
    p = poplib.POP3("127.0.0.1", h.port("pop3"), timeout=20)
    with pytest.raises(poplib.error_proto):
        p.user("ken@example.test")
        p.pass_(PASSWORD)


def test_change_suspend_remove(fresh):
    h = fresh()
    h.cli("account", "password", "ken@example.test", "--password-stdin", stdin="another one\n")
    with pytest.raises(imaplib.IMAP4.error):
        imap(h)
    imap(h, password="another one").logout()
    h.cli("account", "suspend", "ken@example.test")
    with pytest.raises(imaplib.IMAP4.error):
        imap(h, password="another one")
    assert "ken@example.test" in h.cli("account", "list").stdout
    h.account("short", "p")
    h.cli("account", "remove", "short@example.test")
    assert "short@example.test" not in h.cli("account", "list").stdout
