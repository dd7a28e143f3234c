"""The sendmail command: its flags, what becomes of stdin, exit codes, and what it says when it cannot."""
import os
import re
import subprocess
import time

import pytest
from instance import wait_for
from local_mail import (CONFIG, DATAERR, NOBODY, NOHOST, NOPERM, NOUSER, OK, TEMPFAIL, UNAVAILABLE, USAGE, Scripted,
                        commands, local, open_folder, scripted)
from talk import find, imap, parse, subjects, token

pytestmark = pytest.mark.asan
__all__ = ("commands", "local", "open_folder", "scripted", "Scripted")


def content(s, n=-1):
    return s.mails[n][1].decode("utf-8", "replace")


def rcpts(s, n=-1):
    return [re.search("<(.*?)>", line)[1] for line in s.mails[n][0] if line.startswith("RCPT")]


# ---- flags


@pytest.mark.parametrize("args", [
    ("-t", "-i"), ("-ti",), ("-i", "-t", "-f", "ken@example.test"), ("-fken@example.test", "-ti"), ("-oi", "-t"), ("-t", "-oem", "-oi"),
    ("-FCronDaemon", "-i", "-B8BITMIME", "-oem", "-t"), ("-odb", "-oeq", "-i", "-t"), ("-G", "-i", "-t"), ("-O", "DeliveryMode=b", "-t", "-i"),
    ("-r", "ken@example.test", "-ti"), ("-bm", "-ti"), ("-tivF", "A Name"), ("-L", "tag", "-ti"), ("-X", "/nonexistent/log", "-ti"),
    ("-e", "m", "-ti"), ("-oee", "-oi", "-t"), ("-h", "3", "-ti"), ("-p", "ESMTP:host", "-ti"), ("-d0.1", "-ti"), ("-Am", "-ti")],
    ids=" ".join)
def test_flags_that_programs_use(scripted, commands, args):
    s = scripted()
    done = commands.run(s.folder, *args, stdin="To: mari@example.test\nSubject: x\n\nHello\n.\nmore\n")
    assert done.returncode == OK, done.stderr
    assert rcpts(s) == ["mari@example.test"]
    assert content(s).endswith("\r\n\r\nHello\r\n.\r\nmore\r\n")
    sender = "ken@example.test" if any("ken@example.test" in a for a in args) else "root@mx.example.test"
    if os.geteuid() == 0:
        assert s.mails[0][0][0].startswith(f"MAIL FROM:<{sender}>")


@pytest.mark.parametrize("args,text", [
    (("-Z",), "-Z"), (("-t", "--nonsense"), "--nonsense"), (("-f",), "-f needs"), (("-bd",), "hikyaku serve"), (("-bt",), "-bt"),
    ((), "no recipients"), (("-R", "some", "a@b.test"), "-R"), (("-f", "a@b.test, c@d.test", "x@y.test"), "one address"), (("--wait", "soon", "x@y.test"), "--wait"),
    (("a b c",), "is no address"), (("x\ny@example.test",), "address")])
def test_flags_that_are_refused(scripted, commands, args, text):
    s = scripted()
    done = commands.run(s.folder, *args, stdin="Subject: x\n\nHello\n")
    assert done.returncode == USAGE
    assert text in done.stderr.decode() and done.stderr.startswith(b"sendmail: ")
    assert not s.mails


def test_a_recipient_that_looks_like_a_flag(scripted, commands):
    s = scripted()
    assert commands.run(s.folder, "-i", "--", "-x@example.test", "ken").returncode == OK
    assert rcpts(s) == ["-x@example.test", "ken@example.test"]


def test_delivery_reports(scripted, commands):
    s = scripted()
    done = commands.run(s.folder, "-N", "success,delay", "-R", "hdrs", "-V", "my id+1", "ken@example.test", stdin="Subject: x\n\n")
    assert done.returncode == OK
    assert "RET=hdrs" in s.mails[0][0][0] and "ENVID=my+20id+2B1" in s.mails[0][0][0]
    assert s.mails[0][0][1].endswith("NOTIFY=success,delay")


def test_verbose_prints_the_id(scripted, commands):
    s = scripted()
    done = commands.run(s.folder, "-v", "ken", stdin="Subject: x\n\n")
    assert (done.returncode, done.stdout) == (OK, b"0badcafe\n")
    assert commands.run(s.folder, "ken", stdin="Subject: x\n\n").stdout == b""


# ---- what stdin becomes


@pytest.mark.parametrize("stdin,args,want", [
    (b"Subject: a\n\nb\n", (), b"\r\n\r\nb\r\n"),
    (b"Subject: a\r\n\r\nb\r\n", (), b"\r\n\r\nb\r\n"),
    (b"Subject: a\n\nno end", (), b"\r\n\r\nno end\r\n"),
    (b"Subject: a\n\n1\n.\n2\n", (), b"\r\n\r\n1\r\n"),
    (b"Subject: a\n\n1\n.\r\n2\n", (), b"\r\n\r\n1\r\n"),
    (b"Subject: a\n\n1\n.\n2\n", ("-i",), b"\r\n\r\n1\r\n.\r\n2\r\n"),
    (b"Subject: a\n\n.x\n..\n", (), b"\r\n\r\n.x\r\n..\r\n"),
    (b"Subject: a\n\n10%\r20%\r30%\n", (), b"\r\n\r\n10%\r\n20%\r\n30%\r\n"),
    (b"Subject: a\n\nx\r\r\ny\n", (), b"\r\n\r\nx\r\ny\r\n"),
    (b"Subject: a\n\nx\r", (), b"\r\n\r\nx\r\n"),
    (b"Subject: a\n\n.\ry\n", (), b"\r\n\r\n.\r\ny\r\n"),
    (b"Subject: a\n", (), b"\r\n\r\n"),
    (b"", (), b"\r\n\r\n"),
    (b"\nbody\n", (), b"\r\n\r\nbody\r\n"),
    (b"no header at all\n", (), b"\r\n\r\nno header at all\r\n"),
    (b"From root Mon Nov 23 12:00:00 2026\nSubject: a\n\nb\nFrom here\n", (), b"\r\n\r\nb\r\nFrom here\r\n"),
    (b"Subject: a\nnot a field\n\nb\n", (), b"\r\n\r\nnot a field\r\n\r\nb\r\n"),
    (b"Subject: a\n\n\x00\xff\xfe\x01\n", (), b"\r\n\r\n\x00\xff\xfe\x01\r\n"),
    (b"x" * 5000 + b"\n", (), b"\r\n\r\n" + b"x" * 5000 + b"\r\n"),
])
def test_line_ends(scripted, commands, stdin, args, want):
    """Bytes in, bytes out: the content as the server gets it ends so."""
    s = scripted()
    assert commands.run(s.folder, *args, "ken@example.test", stdin=stdin).returncode == OK
    assert s.mails[0][1].endswith(want), s.mails[0][1][-200:]
    assert b"\r\n\r\n" not in s.mails[0][1][:-len(want)]


def test_a_cr_makes_no_header(scripted, commands):
    """What a web form passes on as a subject must not add a recipient or a field."""
    s = scripted()
    done = commands.run(s.folder, "-t", stdin=b"To: ken@example.test\nSubject: hi\rBcc: evil@example.org\r\rX-Evil: 1\n\nb\n")
    assert done.returncode == OK
    assert rcpts(s) == ["ken@example.test"]
    assert "Subject: hi Bcc: evil@example.org X-Evil: 1\r\n" in content(s).replace("  ", " ")


def test_recipients_from_the_header(scripted, commands):
    s = scripted()
    done = commands.run(s.folder, "-t", "extra@example.org", stdin=(
        "To: ken, \"Mari (M)\" <mari>,\n\tTeam: yuki, taro@example.org;\nCc: =?utf-8?q?x?= <foo@example.net>\n"
        "Bcc: hidden@example.org,\n hidden2\nSubject: x\n\nb\n"))
    assert done.returncode == OK, done.stderr
    want = ["extra@example.org", "ken@example.test", "mari@example.test", "yuki@example.test", "taro@example.org", "foo@example.net",
            "hidden@example.org", "hidden2@example.test"]
    assert rcpts(s, 0) + rcpts(s, 1) == want  # this server takes five a mail
    for n in (0, 1):
        assert "hidden" not in content(s, n)
        assert content(s, n).startswith(
            'To: ken@example.test, "Mari (M)" <mari@example.test>,\r\n\tTeam: yuki@example.test, taro@example.org;\r\n'
            "Cc: =?utf-8?q?x?= <foo@example.net>\r\nSubject: x\r\n")
    keys = [re.search("XKEY=(\\w+)", m[0][0])[1] for m in s.mails]
    assert len(set(keys)) == 2  # or the server would take the second for the first again


def test_resent(scripted, commands):
    s = scripted()
    assert commands.run(s.folder, "-t", stdin="Resent-To: mari\nResent-Bcc: yuki\nTo: ken\nBcc: taro\n\nb\n").returncode == OK
    assert rcpts(s) == ["mari@example.test", "yuki@example.test"]
    assert "Bcc" not in content(s)


@pytest.mark.parametrize("header,want", [
    ("From: root (Cron Daemon)\n", "From: root@mx.example.test (Cron Daemon)\r\n"),
    ("From: other\n", "From: other@mx.example.test\r\n"),
    ("From: \"A, B\" <other>\n", "From: \"A, B\" <other@mx.example.test>\r\n"),
    ("From: a@b.test\n", "From: a@b.test\r\n"),
    ("From: a (b@c) <d@e.test>\n", "From: a (b@c) <d@e.test>\r\n"),
])
def test_from_gets_a_domain(scripted, commands, header, want):
    s = scripted()
    assert commands.run(s.folder, "ken", stdin=header + "\nb\n").returncode == OK
    assert want in content(s)


@pytest.mark.parametrize("name,want", [
    ("Ken Suzuki", "From: Ken Suzuki <"), ("a \"b\" c.d", 'From: "a \\"b\\" c.d" <'), ("鈴木", "From: =?UTF-8?"), ("", "From: ")])
def test_from_is_added(scripted, commands, name, want):
    s = scripted()
    assert commands.run(s.folder, "-F", name, "-f", "ken@example.test", "mari", stdin="Subject: x\n\nb\n").returncode == OK
    assert want in content(s) and "ken@example.test" in content(s)


def test_configured_sender(scripted, commands, root):
    """The operator gave this user an address: it is in the envelope and in From."""
    s = scripted()
    with open(s.folder / "etc" / "hikyaku.conf", "a", encoding="utf-8") as f:
        f.write("sendmail {\nsender root=ops@example.test 65534=web@example.test\n}\n")
    assert commands.run(s.folder, "ken", stdin="From: root (Cron Daemon)\n\nb\n").returncode == OK
    assert s.mails[0][0][0].startswith("MAIL FROM:<ops@example.test>")
    assert "From: ops@example.test (Cron Daemon)\r\n" in content(s)


def test_null_sender(scripted, commands):
    s = scripted()
    for args in (("-f", ""), ("-f", "<>"), ("-f<>",)):
        assert commands.run(s.folder, *args, "ken", stdin="Subject: x\n\n").returncode == OK
        assert s.mails[-1][0][0].startswith("MAIL FROM:<> ")


def test_international_addresses(scripted, commands):
    s = scripted()
    assert commands.run(s.folder, "-t", stdin="To: 健@example.test\nSubject: 件名\n\n本文\n").returncode == OK
    assert " SMTPUTF8" in s.mails[0][0][0] and " BODY=8BITMIME" in s.mails[0][0][0]
    assert rcpts(s) == ["健@example.test"]


# ---- exit codes


@pytest.mark.parametrize("plan,code", [
    ({"RCPT": "550 5.1.1 nobody"}, NOUSER), ({"RCPT": "550 5.1.2 no such host"}, NOHOST), ({"RCPT": "501 5.1.3 syntax"}, DATAERR),
    ({"RCPT": "550 5.7.1 no"}, NOPERM), ({"MAIL": "553 5.7.1 not yours"}, NOPERM), ({"MAIL": "552 5.3.4 too big"}, DATAERR),
    ({".": "554 5.6.0 bad"}, DATAERR), ({".": "550 nothing more"}, UNAVAILABLE), ({"MAIL": "452 4.3.1 disk"}, TEMPFAIL),
    ({"RCPT": "450 4.7.1 limit of the hour"}, TEMPFAIL), ({".": "452 4.3.1 disk"}, TEMPFAIL)])
def test_what_the_server_refuses(scripted, commands, plan, code):
    s = scripted(plan)
    start = time.monotonic()
    done = commands.run(s.folder, "--wait", "40s", "ken", "mari", stdin="Subject: x\n\n")
    assert done.returncode == code
    assert list(plan.values())[0].split(" ", 1)[1] in done.stderr.decode()  # the server's own words
    assert time.monotonic() - start < 30  # these are not waited for
    assert s.commands[-1] != "QUIT"


def test_one_refused_recipient_sends_nothing(local, commands):
    subject = token("partly")
    done = commands.run(local.dir, "ken@example.test", "nobody@example.test", stdin=f"Subject: {subject}\n\n")
    assert done.returncode == NOUSER and b"nobody@example.test" in done.stderr
    after = token("after")
    assert commands.run(local.dir, "ken@example.test", stdin=f"Subject: {after}\n\n").returncode == OK
    assert find(local, after)
    assert subject not in subjects(local)


def test_no_folder(commands, tmp_path):
    done = commands.run(tmp_path / "missing", "ken", stdin="x")
    assert done.returncode == CONFIG
    for word in ("-C", "HIKYAKU_DIR", "/etc/hikyaku/dir"):
        assert word in done.stderr.decode()


# ---- a server that comes and goes


@pytest.mark.parametrize("trouble", ["drop-at-once", "drop-deaf", "drop-in-data", {"EHLO": "421 4.3.2 stopping"}, {"MAIL": "451 4.3.0 starting"},
                                     {".": "451 4.3.0 the store is away"}], ids=str)
def test_trouble_is_tried_again(scripted, commands, trouble):
    s = scripted(trouble, trouble, "take")
    done = commands.run(s.folder, "-v", "ken", stdin="Subject: x\n\nb\n")
    assert (done.returncode, done.stdout) == (OK, b"0badcafe\n"), done.stderr
    assert s.connections == 3  # each is made use of


def test_a_big_mail_is_tried_again(scripted, commands):
    """Where the socket was full when the connection broke: the next one is as good as any."""
    s = scripted("drop-in-data", "take")
    done = commands.run(s.folder, "--wait", "20s", "ken", stdin="Subject: x\n\n" + ("x" * 70 + "\n") * 40000)
    assert done.returncode == OK, done.stderr
    assert s.connections == 2 and len(s.mails[0][1]) > 40000 * 72


def test_a_lost_answer_is_asked_for_again_under_the_same_key(scripted, commands):
    """The server may have taken it: the key lets it know the mail again."""
    s = scripted("drop-after-dot", "drop-in-data", "take")
    assert commands.run(s.folder, "ken", stdin="Subject: x\n\nb\n").returncode == OK
    keys = [re.search("XKEY=(\\w+)", c)[1] for c in s.commands if c.startswith("MAIL")]
    assert len(keys) == 3 and len(set(keys)) == 1 and len(keys[0]) == 32
    assert s.mails[0] == s.mails[1]


def test_without_keys_nothing_is_sent_twice(scripted, commands):
    s = scripted("drop-after-dot", "take", features=("SIZE 1000000", "8BITMIME"))
    done = commands.run(s.folder, "ken", stdin="Subject: x\n\nb\n")
    assert done.returncode == TEMPFAIL and b"may have been taken" in done.stderr
    assert len(s.mails) == 1


def test_an_unknown_end_is_said(scripted, commands):
    s = scripted("drop-after-dot")
    done = commands.run(s.folder, "--wait", "1s", "ken", stdin="Subject: x\n\nb\n")
    assert done.returncode == TEMPFAIL and b"may have been taken" in done.stderr


def test_absent_server_is_waited_for(fresh, open_folder, commands):
    """75 after --wait; a server that starts meanwhile takes the mail."""
    h = fresh(folder=open_folder / token("absent"), start=False)
    start = time.monotonic()
    done = commands.run(h.dir, "--wait", "2s", "ken", stdin="Subject: x\n\n")
    assert done.returncode == TEMPFAIL and b"no server runs" in done.stderr
    assert time.monotonic() - start >= 2
    subject = token("early")
    p = commands.start(h.dir, "-v", "--wait", "60s", "postmaster", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdin.write(f"Subject: {subject}\n\n".encode())
    p.stdin.close()
    time.sleep(0.5)
    assert p.poll() is None
    h.start()
    code = p.wait(90)  # the first account may not be there yet: then there is nobody, and that is said
    assert code in (OK, NOUSER), p.stdout.read()
    h.stop()
    h.append("hikyaku.conf", "sendmail { wait 1s }")
    start = time.monotonic()
    assert commands.run(h.dir, "ken", stdin="Subject: x\n\n").returncode == TEMPFAIL
    assert time.monotonic() - start < 40  # the option's second, not the default's minute


# ---- the real server


def test_local_user(local, commands, root):
    """Any user of the machine may send, is known by his uid, and reaches neither admin.sock nor the queue."""
    subject = token("nobody")
    done = commands.run(local.dir, "-v", "ken@example.test", stdin=f"Subject: {subject}\n\nb\n", user=NOBODY)
    assert done.returncode == OK, done.stderr
    assert re.fullmatch(r"[0-9a-f]{8,}\n", done.stdout.decode())
    mail = parse(find(local, subject))
    assert mail["return-path"] == "<nobody@mx.example.test>"
    assert mail["from"].addresses[0].addr_spec == "nobody@mx.example.test"
    assert mail["date"] and mail["message-id"]
    assert "uid=65534" in local.log_text()
    for name, code in (("mailq", NOPERM), ("newaliases", OK)):
        got = commands.run(local.dir, name=name, user=NOBODY)
        assert got.returncode == code
        assert b"owner" in got.stdout + got.stderr
    got = commands.run(local.dir, "-q", user=NOBODY)
    assert got.returncode == NOPERM
    admin = local.dir / "run" / "admin.sock"
    assert admin.stat().st_mode & 0o077 == 0


def test_bare_names_and_aliases(local, commands):
    """cron mails to `root`: the first domain's, where an alias leads to ken; user@hostname comes back as well."""
    for to in ("root", "root@mx.example.test"):
        subject = token("root")
        assert commands.run(local.dir, to, stdin=f"To: root\nSubject: {subject}\n\nb\n").returncode == OK
        assert find(local, subject)


def test_sender_rights(fresh, open_folder, commands, root):
    """`own`: nobody else's address, in the envelope or in From; `ours` (the default): our domains only."""
    h = fresh(folder=open_folder / token("rights"), settings="sendmail { senders own }")
    for args, header in ((("-f", "ken@example.test"), ""), ((), "From: ken@example.test\n"), (("-f", "root@mx.example.test"), "")):
        done = commands.run(h.dir, *args, "ken@example.test", stdin=header + "Subject: x\n\n", user=NOBODY)
        assert done.returncode == NOPERM, (args, header, done.stderr)
    assert commands.run(h.dir, "ken@example.test", stdin="Subject: x\n\n", user=NOBODY).returncode == OK
    conf = h.dir / "etc" / "hikyaku.conf"
    conf.write_text(conf.read_text().replace("senders own", "senders ours"))
    assert h.reload().returncode == 0
    assert commands.run(h.dir, "-f", "ken@example.test", "ken@example.test", stdin="Subject: x\n\n", user=NOBODY).returncode == OK
    done = commands.run(h.dir, "-f", "x@example.org", "ken@example.test", stdin="Subject: x\n\n", user=NOBODY)
    assert done.returncode == NOPERM
    conf.write_text(conf.read_text().replace("senders ours", "senders any"))
    assert h.reload().returncode == 0
    assert commands.run(h.dir, "-f", "x@example.org", "ken@example.test", stdin="Subject: x\n\n", user=NOBODY).returncode == OK


def test_limits_of_a_user(fresh, open_folder, commands, root):
    """One user's limit is said on stderr and is his alone."""
    h = fresh(folder=open_folder / token("limits"), settings="sending { messages-hour 3  watch off }")
    codes = []
    for _ in range(5):
        done = commands.run(h.dir, "ken@example.test", stdin="Subject: x\n\n", user=NOBODY)
        codes.append(done.returncode)
    assert codes[:3] == [OK] * 3 and set(codes[3:]) == {TEMPFAIL}, codes
    assert b"3" in done.stderr
    assert commands.run(h.dir, "ken@example.test", stdin="Subject: x\n\n", user=1).returncode == OK


def test_connections_of_a_user(fresh, open_folder, commands, root):
    """One user's open connections are counted by his uid; another one still gets through."""
    import socket
    h = fresh(folder=open_folder / token("crowd"), settings="connections { per-address 5 }")
    held = []
    for _ in range(8):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(h.dir / "run" / "submit.sock"))
        held.append((s, s.recv(200)))
    assert sum(greeting.startswith(b"220") for _, greeting in held) == 5
    assert sum(greeting.startswith(b"421") for _, greeting in held) == 3
    assert commands.run(h.dir, "--wait", "1s", "ken@example.test", stdin="x").returncode == TEMPFAIL
    assert commands.run(h.dir, "ken@example.test", stdin="x", user=NOBODY).returncode == OK
    for s, _ in held:
        s.close()
    assert commands.run(h.dir, "ken@example.test", stdin="x").returncode == OK


def test_smtp_on_stdin(local, commands):
    subject = token("bs")
    session = (f"EHLO localhost\r\nMAIL FROM:<root@mx.example.test>\r\nRCPT TO:<ken@example.test>\r\nDATA\r\n"
               f"From: <root@mx.example.test>\r\nSubject: {subject}\r\n\r\nb\r\n.\r\nQUIT\r\n")
    done = commands.run(local.dir, "-bs", stdin=session)
    assert done.returncode == OK
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("220 ") and lines[-1].startswith("221 ")
    assert find(local, subject)


def test_smtp_on_stdin_without_server(commands, tmp_path):
    (tmp_path / "etc").mkdir()
    done = commands.run(tmp_path, "-bs", "--wait", "1s")
    assert done.returncode == TEMPFAIL and done.stdout.startswith(b"421 ")


def test_mailq_and_newaliases(local, commands):
    got = commands.run(local.dir, name="mailq")
    assert got.returncode == OK
    assert re.search(rb"Mail queue is empty|-- \d+ Kbytes in \d+ Requests?\.", got.stdout)
    assert commands.run(local.dir, "-bp").returncode == OK
    assert commands.run(local.dir, name="newaliases").returncode == OK
    assert commands.run(local.dir, "-q").returncode == OK
    good = (local.dir / "etc" / "virtual").read_text()
    try:
        local.append("virtual", "a@example.test b@example.test\nb@example.test a@example.test")
        got = commands.run(local.dir, "-bi")
        assert got.returncode == DATAERR and b"virtual" in got.stderr
    finally:
        local.write("virtual", good)


def test_mail_to_others_is_queued(local, commands, root):
    """A local user's mail to the world is taken, and shown to who may see it."""
    done = commands.run(local.dir, "-v", "someone@elsewhere.org", stdin="Subject: out\n\n", user=NOBODY)
    assert done.returncode == OK, done.stderr
    listed = commands.run(local.dir, name="mailq").stdout.decode()
    assert "someone@elsewhere.org" in listed and done.stdout.decode().strip() in listed
    assert re.search(r"-- \d+ Kbytes in [1-9]\d* Requests?\.\n$", listed)
    assert listed.splitlines()[0].split() == ["mail", "state", "size", "queued", "sender", "recipient", "reason"]


def test_a_bounce_comes_back(local, commands, root):
    """Sent as root@hostname to a domain that is none (.test, RFC 6761): the bounce finds the alias root."""
    subject = token("bounced")
    assert commands.run(local.dir, "someone@missing.test", stdin=f"Subject: {subject}\n\n").returncode == OK

    def bounce():
        c = imap(local)
        c.select()
        got = c.uid("SEARCH", "FROM", "MAILER-DAEMON", "TEXT", subject)[1][0]
        c.logout()
        return got

    assert wait_for(bounce, 30, 0.3)


def test_the_same_by_hikyaku(local):
    """`hikyaku -C DIR sendmail` where no links were installed."""
    subject = token("hikyaku")
    done = subprocess.run([str(local.binary), "-C", str(local.dir), "sendmail", "-v", "ken"], input=f"Subject: {subject}\n\n", text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == OK, done.stderr
    assert find(local, subject)
