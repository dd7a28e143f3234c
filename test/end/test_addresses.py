"""Where an address leads: aliases, whole domains, catch-all, plus, postmaster, dot files, quotas; end to end."""
import smtplib

import pytest
from talk import Smtp, count, find, imap, message, send, token

pytestmark = pytest.mark.asan


def rcpt(h, address):
    s = Smtp(h)
    s.envelope([])
    code, text = s.say(f"RCPT TO:<{address}>")
    s.close()
    return code, text


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """An instance with aliases of every kind."""
    import instance
    from conftest import PASSWORD
    h = instance.Instance(tmp_path_factory.mktemp("town") / "h", settings="domain example.test second.test xn--r8jz45g.test")
    conf = h.setup().dir / "etc" / "hikyaku.conf"
    lines = conf.read_text().splitlines()
    conf.write_text("\n".join(line for line in lines if line.split() != ["domain", "example.test"]) + "\n")
    h.write("virtual", """# aliases, as in virtual(5)
info@example.test       ken@example.test, mari@example.test
one@example.test        ken@example.test
chain@example.test      one@example.test
twice@example.test      ken@example.test
        one@example.test info@example.test
away@example.test       someone@elsewhere.example
sales                   mari@example.test
@second.test            ken@example.test
named@second.test       mari@example.test
""")
    h.start()
    for name in ("ken", "mari", "dot"):
        h.account(name, PASSWORD)
    yield h
    h.stop()


@pytest.mark.parametrize("to,ken,mari", [
    ("ken@example.test", 1, 0), ("KEN@Example.Test", 1, 0), ("ken+tag@example.test", 1, 0),
    ("info@example.test", 1, 1), ("one@example.test", 1, 0), ("chain@example.test", 1, 0), ("twice@example.test", 1, 1),
    ("sales@example.test", 0, 1), ("anything@second.test", 1, 0), ("named@second.test", 0, 1),
    ("one+tag@example.test", 1, 0), ('"ken"@example.test', 1, 0)])
def test_aliases(town, to, ken, mari):
    subject = send(town, to, token("alias"))
    if ken:
        assert find(town, subject, "ken")
    if mari:
        assert find(town, subject, "mari")
    assert count(town, subject, "ken") == ken
    assert count(town, subject, "mari") == mari


@pytest.mark.parametrize("to", ["nobody@example.test", "sales@second.example", "ken@sub.example.test", "ken-tag@example.test"])
def test_nobody_there(town, to):
    code, text = rcpt(town, to)
    assert 550 <= code <= 554, text


@pytest.mark.parametrize("to", ["postmaster@example.test", "postmaster@second.test", "abuse@example.test", "postmaster",
                                "Postmaster@EXAMPLE.test"])
def test_postmaster_and_abuse_are_always_reachable(town, to):
    assert rcpt(town, to)[0] == 250
    subject = token("post")
    code, text = Smtp(town).mail(to, message(subject))
    assert code == 250, text
    assert find(town, subject, "ken"), "not with the first account"


def test_idna_domains(town):
    """例え.test is xn--r8jz45g.test, in either form."""
    s = Smtp(town)
    s.say("EHLO client.example.org")
    assert s.code("MAIL FROM:<someone@example.org> SMTPUTF8") == 250
    for to in ("postmaster@例え.test", "postmaster@xn--r8jz45g.test", "postmaster@XN--R8JZ45G.test"):
        code, text = s.say(f"RCPT TO:<{to}>")
        assert code == 250, text


def test_forwarding_elsewhere_is_held_visibly(town):
    """There is no courier yet: what an alias sends away stays in the queue, where the operator sees it."""
    subject = send(town, "away@example.test", token("away"))
    import instance
    listed = instance.wait_for(lambda: (lambda out: out if "elsewhere.example" in out else None)(
        town.cli("queue", "list").stdout), 10)
    assert listed, (subject, town.cli("queue", "list").stdout)
    assert "courier" in listed, listed  # the reason stands beside it


def test_a_broken_alias_file_keeps_the_old(town):
    path = town.dir / "etc" / "virtual"
    before = path.read_text()
    try:
        path.write_text(before + "a@example.test b@example.test\nb@example.test a@example.test\n")
        done = town.reload()
        said = done.stdout + done.stderr
        assert done.returncode == 1 and "virtual:" in said, said
        assert rcpt(town, "info@example.test")[0] == 250
        assert rcpt(town, "a@example.test")[0] == 550
        path.write_text(before + "broken line without target@\n")
        done = town.reload()
        assert done.returncode == 1 and f"virtual:{len(before.splitlines()) + 1}" in done.stdout + done.stderr
    finally:
        path.write_text(before)
    assert town.reload().returncode == 0


def test_dot_files(town):
    """./Mailbox-like keep, &address, an extension's own file, default for others."""
    town.cli("status", check=False)
    town.write("dot/dot@example.test/default", "# keep one, send one on\n./Maildir/\n&mari@example.test\n")
    town.write("dot/dot@example.test/lists", "./Lists/\n")
    done = town.reload()
    assert done.returncode == 0, done.stdout + done.stderr
    subject = send(town, "dot@example.test", token("dot"))
    assert find(town, subject, "dot") or find(town, subject, "dot", mailbox="Maildir", seconds=1)
    assert find(town, subject, "mari")
    assert count(town, subject, "mari") == 1
    subject = send(town, "dot+lists@example.test", token("dot"))
    assert find(town, subject, "dot", mailbox="Lists")


def test_a_program_in_a_dot_file_is_refused_clearly(town):
    path = town.dir / "etc" / "dot" / "ken@example.test" / "default"
    town.write("dot/ken@example.test/default", "./Maildir/\n|/bin/cat\n")
    try:
        done = town.reload()
        said = done.stdout + done.stderr
        assert done.returncode == 1 and "dot/ken@example.test/default:2" in said and "program" in said, said
    finally:
        path.unlink()
        path.parent.rmdir()
    assert town.reload().returncode == 0


def test_quota(fresh):
    h = fresh()
    h.cli("account", "quota", "ken@example.test", "300k")
    kept = send(h, body=("x" * 70 + "\r\n") * 2000)  # 140 KiB
    c = imap(h)
    big = message(token(), ("y" * 70 + "\r\n") * 5000).encode()
    kind, got = c.append("INBOX", None, None, big)
    assert kind == "NO" and b"OVERQUOTA" in got[0], got
    s = Smtp(h)
    s.envelope([], ehlo=True)
    s.say("RSET")
    s.say(f"MAIL FROM:<someone@example.org> SIZE={len(big)}")
    code, _ = s.say("RCPT TO:<ken@example.test>")
    held = token("held")
    if code == 250:  # then it is taken and waits in the queue
        assert s.code("DATA") == 354
        s.raw(message(held, ("z" * 70 + "\r\n") * 5000).encode())
        code, text = s.say(".")
        assert code == 250, text
        assert find(h, held, seconds=0.5) is None
    else:
        assert code in (452, 552), code
    assert find(h, kept)
    c.select("INBOX")
    c.store("1:*", "+FLAGS", r"(\Deleted)")
    assert c.expunge()[0] == "OK"
    kind, got = c.append("INBOX", None, None, message(token()).encode())
    assert kind == "OK", got
    c.logout()


def test_forty_recipients_of_many_kinds(town):
    """One mail to everybody: each account once, whatever led there."""
    subject = token("all")
    to = ["ken@example.test", "mari@example.test", "info@example.test", "twice@example.test"] + \
        [f"x{i}@second.test" for i in range(36)]
    with smtplib.SMTP("127.0.0.1", town.port("smtp"), timeout=20) as s:
        assert s.sendmail("someone@example.org", to, message(subject).encode()) == {}
    assert find(town, subject, "ken") and find(town, subject, "mari")
    assert count(town, subject, "ken") == 1
