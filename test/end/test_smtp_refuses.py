"""What must not come in: relayed mail, smuggled mail, loops, too much of anything. Each with its own reply."""
import time

import pytest
from talk import Smtp, count, find, message, send, subjects, token

pytestmark = pytest.mark.asan


@pytest.mark.parametrize("rcpt", [
    "someone@elsewhere.example", "ken%elsewhere.example@other.example", "someone@[192.0.2.1]",
    "@example.test:someone@elsewhere.example", "someone@example.test.elsewhere.example", "someone@test",
    "ken@example.test@elsewhere.example", "elsewhere.example!ken@other.example"])
def test_never_a_relay(hikyaku, rcpt):
    s = Smtp(hikyaku)
    s.say("EHLO client.example.org")
    assert s.code("MAIL FROM:<ken@example.test>") == 250
    code, text = s.say(f"RCPT TO:<{rcpt}>")
    assert 500 <= code < 600, text
    assert s.code("DATA") in (503, 554)


@pytest.mark.parametrize("rcpt", ['"someone@elsewhere.example"@example.test', "someone%elsewhere.example@example.test",
                                  "elsewhere.example!someone@example.test"])
def test_no_old_routes_through_us(hikyaku, rcpt):
    s = Smtp(hikyaku)
    s.envelope([])
    assert s.code(f"RCPT TO:<{rcpt}>") == 550


def test_without_a_domain_everything_is_refused(fresh):
    h = fresh(start=False)
    conf = h.dir / "etc" / "hikyaku.conf"
    conf.write_text("".join(line + "\n" for line in conf.read_text().splitlines()
                            if not line.strip().startswith("domain")))
    h.start()
    s = Smtp(h)
    s.say("EHLO client.example.org")
    assert s.code("MAIL FROM:<someone@example.org>") == 250
    for rcpt in ("ken@example.test", "postmaster", "postmaster@example.test", "a@[127.0.0.1]"):
        code, text = s.say(f"RCPT TO:<{rcpt}>")
        assert 500 <= code < 600, (rcpt, text)


# Ends of data that some server takes for one (https://www.postfix.org/smtp-smuggling.html and the SEC Consult paper).
SMUGGLING = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n", b"\n\n.\r\n", b"\r\r\n.\r\r\n",
             b"\r\n.\r\r\n", b"\n.\r\r\n"]


@pytest.mark.parametrize("end", SMUGGLING, ids=repr)
def test_smuggling(hikyaku, end):
    outer, inner = token("outer"), token("inner")
    s = Smtp(hikyaku)
    s.envelope("ken@example.test")
    assert s.code("DATA") == 354
    s.raw(message(outer).encode() + b"text" + end + b"MAIL FROM:<ken@example.test>\r\nRCPT TO:<ken@example.test>\r\n"
          b"DATA\r\n" + message(inner).encode() + b"\r\n.\r\n")
    code, text = s.reply()
    if end in (b"\r\n\0.\r\n",):
        assert code in (250, 550, 554, 501), text  # a NUL before the dot: a line like any other, or refused
    else:
        assert 500 <= code < 600, text
    s.close()
    assert inner not in subjects(hikyaku)  # whatever the reply, never a second mail


@pytest.mark.parametrize("line", [b"NOOP\nNOOP\r\n", b"NOOP\rNOOP\r\n", b"NO\0OP\r\n"], ids=repr)
def test_bare_line_ends_in_commands(hikyaku, line):
    s = Smtp(hikyaku)
    s.say("EHLO client.example.org")
    s.raw(line)
    code, text = s.reply()
    assert 500 <= code < 600, text


def test_starttls_injection(hikyaku):
    """What came with STARTTLS before the handshake was in the clear: the session ends (CVE-2011-0411)."""
    s = Smtp(hikyaku)
    s.say("EHLO client.example.org")
    s.raw(b"STARTTLS\r\nMAIL FROM:<injected@example.org>\r\n")
    try:
        code, text = s.reply()
        assert code in (220, 421, 501, 503, 554), text
        assert b"250" not in s.left
        assert s.closed(), "the session went on"
    except EOFError:
        pass


def test_mail_loop(hikyaku):
    hops = "".join(f"Received: from a{i}.example.org by b{i}.example.org; Mon, 23 Nov 2026 12:00:00 +0900\r\n"
                   for i in range(120))
    subject = token("loop")
    code, text = Smtp(hikyaku).mail("ken@example.test", hops + message(subject))
    assert code == 554 and "5.4.6" in text, text
    assert count(hikyaku, subject) == 0


def test_size_announced_and_real(fresh):
    h = fresh(settings="smtp { message-size 100k }")
    s = Smtp(h)
    assert "SIZE 102400" in s.say("EHLO client.example.org")[1]
    code, text = s.say("MAIL FROM:<someone@example.org> SIZE=200000")
    assert code == 552 and "5.3.4" in text, text
    code, text = Smtp(h).mail("ken@example.test", message(token(), ("x" * 70 + "\r\n") * 3000))
    assert code == 552, text
    s = Smtp(h)
    s.envelope("ken@example.test")
    s.raw(b"BDAT 200000 LAST\r\n" + b"x" * 200000)
    assert s.reply()[0] == 552
    assert subjects(h) == []
    send(h)


def test_recipients_limit(fresh):
    h = fresh(settings="smtp { recipients 100 }")
    h.write("virtual", "@example.test ken@example.test\n")
    assert h.reload().returncode == 0
    s = Smtp(h)
    s.envelope([f"a{i}@example.test" for i in range(100)])
    code, text = s.say("RCPT TO:<a101@example.test>")
    assert code == 452 and "4.5.3" in text, text
    subject = token()
    assert s.code("DATA") == 354
    s.raw(message(subject).encode())
    assert s.code(".") == 250
    assert find(h, subject)
    assert count(h, subject) == 1  # a hundred names, one account, one copy


def test_errors_limit(fresh):
    h = fresh(settings="smtp { errors 5 }")
    s = Smtp(h)
    codes = []
    try:
        for _ in range(20):
            codes.append(s.code("XYZZY"))
    except (EOFError, ConnectionError):
        pass
    assert codes[-1] == 421 and len(codes) <= 7, codes
    assert s.closed()


def test_line_too_long(hikyaku):
    s = Smtp(hikyaku)
    s.say("EHLO client.example.org")
    code, text = s.say("NOOP " + "x" * 5000)
    assert code == 500, text
    assert s.code("NOOP") == 250
    s.raw(b"x" * 1000000)  # no line end ever: it must not be kept in memory, nor hang
    s.raw(b"\r\n")
    assert s.reply()[0] in (500, 421)


def test_silence_ends_a_session(fresh):
    h = fresh(settings="smtp { command-timeout 1s }", accounts=())
    s = Smtp(h)
    code, text = s.reply()
    assert code == 421 and "4.4.2" in text, text
    assert s.closed()


def test_silence_in_data_ends_it(fresh):
    h = fresh(settings="smtp { command-timeout 1s }")
    s = Smtp(h)
    s.envelope("ken@example.test")
    assert s.code("DATA") == 354
    s.raw(b"Subject: half\r\n\r\nand then")
    code, text = s.reply()
    assert code == 421, text
    assert subjects(h) == []


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3"])
def test_connections_per_address(fresh, protocol):
    import socket
    h = fresh(settings="connections { per-address 5 }", accounts=())
    time.sleep(0.2)  # those of the fixture's own look are gone
    greeted, socks = [], []
    for _ in range(9):
        s = socket.create_connection(("127.0.0.1", h.port(protocol)), 10)
        s.settimeout(10)
        socks.append(s)
        try:
            greeted.append(s.recv(200))
        except ConnectionError:
            greeted.append(b"")
    good = [g for g in greeted if g.startswith((b"220", b"* OK", b"+OK"))]
    assert len(good) == 5, greeted
    for refused in greeted[5:]:
        assert refused == b"" or refused.startswith((b"421", b"* BYE", b"-ERR")), greeted
    other = socket.create_connection(("::1", h.port(protocol)), 10)
    assert other.recv(200).startswith((b"220", b"* OK", b"+OK"))  # another address is not counted with them
    for s in socks:
        s.close()
    time.sleep(0.3)
    again = socket.create_connection(("127.0.0.1", h.port(protocol)), 10)
    assert again.recv(200).startswith((b"220", b"* OK", b"+OK"))


def test_refusals_are_recorded(fresh):
    h = fresh()
    s = Smtp(h)
    s.envelope([])
    s.say("RCPT TO:<nobody@example.test>")
    s.say("RCPT TO:<someone@elsewhere.example>")
    s.close()
    log = h.log_text()
    assert "nobody@example.test" in log and "someone@elsewhere.example" in log
    assert "127.0.0.1" in log


@pytest.mark.parametrize("version", [1, 2])
def test_proxy_protocol(fresh, version):
    import socket
    import struct
    h = fresh(start=False)
    extra = h.base + 26
    h.append("hikyaku.conf", f"""
judge {{ trust 127.0.0.0/8 ::1/128 192.0.2.0/24 }}
listener smtp {{ protocol smtp  address 127.0.0.1 ::1 }}
listener imap {{ protocol imap  address 127.0.0.1 ::1 }}
listener pop3 {{ protocol pop3  address 127.0.0.1 ::1 }}
listener proxied {{ protocol smtp  address 127.0.0.1  port {extra}  proxy-from 127.0.0.1/32 }}
""")
    h.start()
    h.account("ken", "correct horse")
    if version == 1:
        header = b"PROXY TCP4 192.0.2.77 127.0.0.1 40000 25\r\n"
    else:
        header = (b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", 12) + socket.inet_aton("192.0.2.77")
                  + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 40000, 25))
    s = Smtp(h, greet=False)
    s.close()
    s.sock = socket.create_connection(("127.0.0.1", extra), 10)
    s.left = b""
    s.raw(header)
    assert s.reply()[0] == 220
    subject = token("proxy")
    assert s.mail("ken@example.test", message(subject))[0] == 250
    assert b"[192.0.2.77]" in find(h, subject).split(b"\r\n\r\n")[0]
    s = Smtp(h, greet=False)
    s.sock = socket.create_connection(("127.0.0.1", extra), 10)
    s.raw(b"EHLO x\r\n")
    assert s.closed() and not s.left.startswith(b"220")  # no header, no service
