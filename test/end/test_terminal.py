"""What strangers write never reaches an operator's terminal as control characters: whoever looks at a mail's life must not have
his screen, or his clipboard, written by its sender."""
import re
import socket

from instance import wait_for

EVIL = b"\x1b]0;owned\x07\x1b[2J\xc2\x9b31m\xe2\x80\xae"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def say(port, lines, mail=None):
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        f = s.makefile("rb")
        said = [f.readline()]
        for line in lines:
            s.sendall(line + b"\r\n")
            while True:
                answer = f.readline()
                said.append(answer)
                if not answer or answer[3:4] != b"-":
                    break
        if mail is not None:
            s.sendall(mail)
            said.append(f.readline())
        return said


def test_strangers_text_is_clean_on_the_terminal(fresh):
    house = fresh(base=29000)
    said = say(house.port("smtp"), [
        b"EHLO client.example", b"MAIL FROM:<a@remote.example>", b"RCPT TO:<ken@example.test>", b"DATA"],
        b"From: a@remote.example\r\nMessage-ID: <one" + EVIL + b"@remote.example>\r\nSubject: x\r\n\r\nx\r\n.\r\n")
    assert said[-1].startswith(b"250"), said
    say(house.port("smtp"), [
        b"EHLO client.example", b"MAIL FROM:<a@remote.example> SMTPUTF8",
        "RCPT TO:<nobody\u009b31m\u202e@example.test>".encode(), b"QUIT"])
    raw = wait_for(lambda: "one" in (t := house.cli("trace", "ken@example.test", "--json", check=False).stdout) and t)
    assert raw, "the trace knows the mail"
    for args in (["trace", "ken@example.test"], ["trace", "a@remote.example"], ["trace", "127.0.0.1"],
                 ["trace", "ken@example.test", "--lang", "ja"]):
        shown = house.cli(*args, check=False).stdout
        assert shown.count("\n") > 1, args
        assert not CONTROL.search(shown), (args, shown)
