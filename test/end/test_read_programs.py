"""Mail is read by programs that nobody here wrote: curl, imaplib, poplib, fetchmail, getmail, neomutt."""
import imaplib
import os
import poplib
import re
import shutil
import subprocess
import time

import pytest
from talk import PASSWORD
from talk import find, imap, insecure, message, parse, pop, send, subjects, token


def url(h, scheme, host, path=""):
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{h.port(scheme)}/{path}"


def curl(program, *args, user="ken@example.test", password=PASSWORD):
    done = subprocess.run([program("curl"), "-sS", "-k", "--max-time", "30", "-u", f"{user}:{password}", *args],
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("scheme", ["imap", "imaps"])
def test_curl_imap(hikyaku, program, loopback, scheme, tmp_path):
    subject = send(hikyaku, host=loopback)
    listed = curl(program, url(hikyaku, scheme, loopback)).decode()
    for name in ("INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"):
        assert name in listed
    found = curl(program, url(hikyaku, scheme, loopback, "INBOX?SUBJECT%20" + subject)).decode()
    uid_line = curl(program, url(hikyaku, scheme, loopback, "INBOX"), "-X", f"UID SEARCH SUBJECT {subject}").decode()
    uid = uid_line.split()[-1]
    assert found.startswith("* SEARCH ")
    mail = curl(program, url(hikyaku, scheme, loopback, f"INBOX;UID={uid}"))
    assert parse(mail)["subject"] == subject
    upload = tmp_path / "upload"
    other = token("upload")
    upload.write_bytes(message(other).encode())
    curl(program, "-T", str(upload), url(hikyaku, scheme, loopback, "Drafts"))
    assert find(hikyaku, other, mailbox="Drafts")


def test_curl_imap_starttls(hikyaku, program):
    assert b"INBOX" in curl(program, "--ssl-reqd", url(hikyaku, "imap", "127.0.0.1"))


@pytest.mark.parametrize("scheme", ["pop3", "pop3s"])
def test_curl_pop3(hikyaku, program, loopback, scheme):
    subject = send(hikyaku, "mari@example.test")
    rows = curl(program, url(hikyaku, scheme, loopback), user="mari@example.test").decode().split("\r\n")
    last = [r.split()[0] for r in rows if r][-1]
    mail = curl(program, url(hikyaku, scheme, loopback, last), user="mari@example.test")
    assert parse(mail)["subject"] == subject


def test_curl_pop3_stls(hikyaku, program):
    curl(program, "--ssl-reqd", url(hikyaku, "pop3", "127.0.0.1"))


@pytest.mark.parametrize("option", ["AUTH=PLAIN", "AUTH=LOGIN", "AUTH=CRAM-MD5", "AUTH=SCRAM-SHA-256", "AUTH=+APOP"])
@pytest.mark.parametrize("scheme", ["imap", "pop3"])
def test_curl_mechanisms(hikyaku, program, scheme, option):
    if option == "AUTH=+APOP" and scheme == "imap":
        pytest.skip("APOP is POP3's")
    if "SCRAM" in option:
        version = subprocess.run(["curl", "-V"], capture_output=True, text=True).stdout
        if "gsasl" not in version.lower():
            pytest.skip("this curl has no SCRAM (no gsasl in curl -V)")
    curl(program, "--login-options", option, url(hikyaku, scheme, "127.0.0.1"))


def test_imaplib_a_day(hikyaku, loopback):
    """What a mail program does in a day, by imaplib."""
    box = token("Box")
    subject = send(hikyaku)
    c = imap(hikyaku, host=loopback)
    assert c.create(box)[0] == "OK"
    assert c.create(f"{box}/Sub")[0] == "OK"
    assert c.subscribe(box)[0] == "OK"
    assert any(box.encode() in row for row in c.lsub()[1])
    listed = [row.decode() for row in c.list()[1]]
    assert any(re.search(r'\\Sent\b.* "?Sent"?$', row) for row in listed), listed
    assert c.select("INBOX")[0] == "OK"
    uid = c.uid("SEARCH", "SUBJECT", subject)[1][0].split()[-1].decode()
    assert c.uid("STORE", uid, "+FLAGS", r"(\Flagged $Todo)")[0] == "OK"
    assert uid in c.uid("SEARCH", "KEYWORD", "$Todo")[1][0].decode().split()
    assert c.uid("COPY", uid, box)[0] == "OK"
    assert c.uid("MOVE", uid, f"{box}/Sub")[0] == "OK"
    assert c.uid("SEARCH", "SUBJECT", subject)[1] == [b""]
    assert c.select(f"{box}/Sub")[0] == "OK"
    flags = imaplib.ParseFlags(c.fetch("1", "(FLAGS)")[1][0])
    assert b"\\Flagged" in flags and b"$Todo" in flags
    kind, got = c.fetch("1", "(UID RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE BODY[TEXT])")
    assert kind == "OK" and subject.encode() in got[0][0] and got[0][1] == b"Hello.\r\n"
    assert b"\\Seen" in imaplib.ParseFlags(c.fetch("1", "(FLAGS)")[1][0])
    assert c.append(box, r"(\Seen \Draft)", '"01-Jan-2020 10:00:00 +0900"', message(token()).encode())[0] == "OK"
    kind, got = c.status(box, "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)")
    assert b"MESSAGES 2" in got[0] and b"UNSEEN 1" in got[0]
    assert c.select(box)[0] == "OK"
    assert b'"01-Jan-2020 10:00:00 +0900"' in c.fetch("2", "(INTERNALDATE)")[1][0] \
        or b'" 1-Jan-2020 10:00:00 +0900"' in c.fetch("2", "(INTERNALDATE)")[1][0] \
        or b"01-Jan-2020 01:00:00 +0000" in c.fetch("2", "(INTERNALDATE)")[1][0]
    assert c.store("1:2", "+FLAGS", r"\Deleted")[0] == "OK"
    assert c.expunge()[1] == [b"1", b"1"] or len(c.expunge()[1]) >= 1
    assert c.close()[0] == "OK"
    assert c.rename(box, f"{box}-neu")[0] == "OK"
    assert c.delete(f"{box}-neu/Sub")[0] == "OK" and c.delete(f"{box}-neu")[0] == "OK"
    assert not any(box.encode() in row for row in c.list()[1] if row)
    c.logout()


def test_imaplib_starttls(hikyaku, loopback):
    c = imaplib.IMAP4(loopback, hikyaku.port("imap"), timeout=20)
    c.starttls(insecure())
    c.login("ken@example.test", PASSWORD)
    assert c.noop()[0] == "OK"
    c.logout()


@pytest.mark.parametrize("protocol,line,end", [("imap", b"a STARTTLS\r\nb NOOP\r\n", b"b OK"),
                                               ("pop3", b"STLS\r\nNOOP\r\n", b"+OK\r\n+OK")])
def test_starttls_injection(hikyaku, protocol, line, end):
    import socket
    s = socket.create_connection(("127.0.0.1", hikyaku.port(protocol)), 10)
    s.settimeout(10)
    s.recv(4096)
    s.sendall(line)
    got = b""
    try:
        while True:
            more = s.recv(4096)
            if not more:
                break
            got += more
    except ConnectionError:
        pass
    assert end not in got and got.count(b"\n") <= 1, got


def test_idle_tells_new_mail(hikyaku):
    c = imap(hikyaku)
    c.select("INBOX")
    c.send(b"x1 IDLE\r\n")
    assert c.readline().startswith(b"+")
    send(hikyaku)
    line = c.readline()
    while b"EXISTS" not in line:
        line = c.readline()
    c.send(b"DONE\r\n")
    while not line.startswith(b"x1 OK"):
        line = c.readline()
    c.shutdown()


def test_two_sessions_see_each_other(hikyaku):
    subject = send(hikyaku)
    a, b = imap(hikyaku), imap(hikyaku)
    a.select("INBOX")
    b.select("INBOX")
    uid = a.uid("SEARCH", "SUBJECT", subject)[1][0].split()[-1].decode()
    a.uid("STORE", uid, "+FLAGS", r"(\Answered)")
    b.noop()
    seen = b.response("FETCH")[1]
    assert any(b"\\Answered" in (row if isinstance(row, bytes) else row[0]) for row in seen if row), seen
    a.uid("STORE", uid, "+FLAGS", r"(\Deleted)")
    a.uid("EXPUNGE", uid)
    b.noop()
    assert b.response("EXPUNGE")[1][0] is not None
    a.logout()
    b.logout()


def test_poplib(hikyaku, loopback):
    first, second = send(hikyaku, "mari@example.test"), send(hikyaku, "mari@example.test", body="..x\r\n.\r\n" * 5)
    p = pop(hikyaku, "mari", host=loopback)
    n, octets = p.stat()
    assert n >= 2 and octets > 0
    assert len(p.list()[1]) == n and len(set(p.uidl()[1])) == n
    assert f"Subject: {first}".encode() in p.retr(n - 1)[1]
    assert p.retr(n)[1][-10:] == [b"..x", b"."] * 5
    assert p.top(n, 0)[1][-1] == b""
    p.dele(n)
    p.rset()
    assert p.stat()[0] == n
    p.dele(n)
    p.quit()
    assert not any(second in s for s in subjects(hikyaku, "mari"))
    p = pop(hikyaku, "mari", host=loopback)
    assert p.stat()[0] == n - 1
    p.quit()


def test_poplib_secure(hikyaku, loopback):
    p = poplib.POP3(loopback, hikyaku.port("pop3"), timeout=20)
    assert "STLS" in p.capa()
    p.stls(insecure())
    p.user("ken@example.test")
    p.pass_(PASSWORD)
    p.quit()
    p = pop(hikyaku, tls=True, host=loopback)
    p.noop()
    p.quit()


def test_pop3_deletes_nothing_without_quit(hikyaku):
    subject = send(hikyaku, "mari@example.test")
    p = pop(hikyaku, "mari")
    p.dele(p.stat()[0])
    p.close()
    assert find(hikyaku, subject, "mari")


def own_account(h, name):
    """An account for one program, made once."""
    try:
        return h.account(name, PASSWORD)
    except RuntimeError:
        return f"{name}@{h.domain}"


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
@pytest.mark.parametrize("ssl", [False, True], ids=["plain", "tls"])
def test_fetchmail(hikyaku, program, tmp_path, protocol, ssl):
    path = program("fetchmail")
    user = own_account(hikyaku, "fetch")
    wanted = [send(hikyaku, user) for _ in range(3)]
    port = hikyaku.port(protocol + ("s" if ssl else ""))
    rc = tmp_path / "fetchmailrc"
    out = tmp_path / "out"
    rc.write_text(f'set no bouncemail\npoll 127.0.0.1 protocol {protocol} port {port} no dns '
                  f'username "{user}" password "{PASSWORD}" {"ssl no sslcertck" if ssl else "sslproto " + repr("")} '
                  f'fetchall no keep mda "cat >> {out}; echo >> {out}"\n'.replace("''", '""'))
    rc.chmod(0o600)
    env = dict(os.environ, HOME=str(tmp_path), FETCHMAILHOME=str(tmp_path))
    done = subprocess.run([path, "-f", str(rc), "--nosyslog", "-v"], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    text = out.read_text()
    for subject in wanted:
        assert text.count(f"Subject: {subject}") == 1
    assert subjects(hikyaku, "fetch") == []


@pytest.mark.parametrize("retriever", ["SimplePOP3Retriever", "SimplePOP3SSLRetriever", "SimpleIMAPRetriever",
                                       "SimpleIMAPSSLRetriever"])
def test_getmail(hikyaku, program, tmp_path, retriever):
    path = program("getmail")
    user = own_account(hikyaku, "getmail")
    wanted = [send(hikyaku, user) for _ in range(3)]
    kind = ("imap" if "IMAP" in retriever else "pop3") + ("s" if "SSL" in retriever else "")
    for sub in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / sub).mkdir(parents=True)
    (tmp_path / "rc").write_text(
        f"[retriever]\ntype = {retriever}\nserver = 127.0.0.1\nport = {hikyaku.port(kind)}\nusername = {user}\n"
        f"password = {PASSWORD}\n[destination]\ntype = Maildir\npath = {tmp_path}/Maildir/\n"
        "[options]\ndelete = true\nread_all = true\n")
    argv = [path, "--getmaildir", str(tmp_path), "--rcfile", "rc"]
    if os.geteuid() == 0:  # it delivers nothing as root
        for p in [tmp_path, *tmp_path.rglob("*")]:
            os.chown(p, 65534, 65534)
        for p in list(tmp_path.parents)[:2]:
            p.chmod(0o755)
        argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *argv]
    # -s ABRT with the fault handler: one that hangs says where.
    done = subprocess.run(["timeout", "-s", "ABRT", "120", *argv], capture_output=True, text=True,
                          env=dict(os.environ, HOME=str(tmp_path), PYTHONFAULTHANDLER="1"), timeout=180)
    if "root" in done.stderr and "refuse" in done.stderr.lower():
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    got = [parse(f.read_bytes())["subject"] for f in (tmp_path / "Maildir" / "new").iterdir()]
    assert sorted(got) == sorted(wanted)
    assert subjects(hikyaku, "getmail") == []


MUTTRC = """set folder = "imap://127.0.0.1:{imap}/"
set spoolfile = "imap://127.0.0.1:{imap}/INBOX"
set imap_user = "ken@example.test"
set imap_pass = "{password}"
set ssl_starttls = no
set ssl_force_tls = no
set smtp_url = "smtp://127.0.0.1:{smtp}/"
set from = "someone@example.org"
set hostname = "example.org"
set use_envelope_from = yes
set copy = no
set header_cache = ""
set sort = date
set charset = utf-8
set wait_key = no
"""


def muttrc(h, tmp_path):
    rc = tmp_path / "muttrc"
    rc.write_text(MUTTRC.format(imap=h.port("imap"), smtp=h.port("smtp"), password=PASSWORD))
    return rc


def test_neomutt_sends(hikyaku, program, tmp_path):
    subject = token("mutt") + " 飛脚"
    done = subprocess.run([program("neomutt"), "-n", "-F", str(muttrc(hikyaku, tmp_path)), "-s", subject, "--",
                           "ken@example.test"], input="こんにちは\n", capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, HOME=str(tmp_path), LANG="C.UTF-8", LC_ALL="C.UTF-8"))
    assert done.returncode == 0, done.stdout + done.stderr
    mail = parse(find(hikyaku, subject.split()[0]))
    assert mail["subject"] == subject
    assert mail.get_body().get_content().strip() == "こんにちは"


def test_neomutt_reads_in_a_terminal(hikyaku, program, tmp_path):
    """neomutt in tmux: the list shows the mail, Enter shows its text, flagging and deleting reach the server."""
    tmux, mutt = program("tmux"), program("neomutt")
    subject = send(hikyaku, body="The text of the mail.\r\n")
    name = f"hikyaku{os.getpid()}"
    run = lambda *a: subprocess.run([tmux, "-L", name, *a], capture_output=True, text=True, timeout=20)  # noqa: E731
    env = dict(os.environ, HOME=str(tmp_path), LANG="C.UTF-8", LC_ALL="C.UTF-8", TERM="screen-256color")
    subprocess.run([tmux, "-L", name, "-f", "/dev/null", "new-session", "-d", "-x", "150", "-y", "40",
                    f"{mutt} -n -F {muttrc(hikyaku, tmp_path)}"], env=env, check=True, timeout=20)
    try:
        def shows(text):
            for _ in range(150):
                screen = run("capture-pane", "-p").stdout
                if text in screen:
                    return True
                time.sleep(0.1)
            raise AssertionError(f"{text!r} not shown:\n{screen}")

        shows(subject)
        run("send-keys", "/", f"~s {subject}", "Enter")
        run("send-keys", "Enter")
        shows("The text of the mail.")
        run("send-keys", "F")
        run("send-keys", "q")
        shows("NeoMutt")
        run("send-keys", "q")
        time.sleep(1)
    finally:
        run("kill-server")
    c = imap(hikyaku)
    c.select("INBOX")
    uid = c.uid("SEARCH", "SUBJECT", subject)[1][0].split()[-1].decode()
    flags = imaplib.ParseFlags(c.uid("FETCH", uid, "(FLAGS)")[1][0])
    assert b"\\Seen" in flags and b"\\Flagged" in flags
    c.logout()


# ---- isync: two-way


def mbsync(path, rc):
    done = subprocess.run([path, "-c", str(rc), "-a", "-q"], capture_output=True, text=True, timeout=180,
                          env=dict(os.environ, HOME=str(rc.parent)))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def mbsync_rc(h, user, tmp_path, tls=False):
    security = f"SSLType IMAPS\nPort {h.port('imaps')}\nCertificateFile {tmp_path}/cert.pem" if tls else \
        f"SSLType None\nPort {h.port('imap')}"
    rc = tmp_path / "mbsyncrc"
    (tmp_path / "mail").mkdir()
    rc.write_text(f"""IMAPAccount a
Host 127.0.0.1
{security}
User {user}
Pass "{PASSWORD}"
AuthMechs LOGIN

IMAPStore far
Account a

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
""")
    return rc


def maildir(folder):
    return [f for sub in ("new", "cur") for f in (folder / sub).iterdir()]


def maildir_subject(f):
    return re.search(rb"^Subject: (.*?)\r?$", f.read_bytes(), re.M)[1].decode()


def test_mbsync_two_ways(hikyaku, program, tmp_path):
    """1,000 mails to a Maildir, then changes on both sides, then nothing left to do."""
    path = program("mbsync")
    user = own_account(hikyaku, "sync")
    c = imap(hikyaku, "sync")
    mark = token("s")
    for n in range(1000):
        assert c.append("INBOX", r"(\Seen)" if n % 2 else None, None, message(f"{mark}-{n:04}").encode())[0] == "OK"
    rc = mbsync_rc(hikyaku, user, tmp_path)
    mbsync(path, rc)
    box = tmp_path / "mail" / "INBOX"
    files = {maildir_subject(f): f for f in maildir(box)}
    assert len(files) == 1000
    assert sum("S" in f.name.partition(":2,")[2] for f in files.values()) == 500
    assert (tmp_path / "mail" / "Sent").is_dir()
    # here: 50 deleted, 50 flagged, 20 new; there: 50 deleted, 50 flagged, 20 new
    for n in range(0, 50):
        files[f"{mark}-{n:04}"].unlink()
    for n in range(50, 100):
        f = files[f"{mark}-{n:04}"]
        base, _, flags = f.name.partition(":2,")
        f.rename(box / "cur" / (base + ":2," + "".join(sorted(set(flags) | {"F"}))))
    for n in range(20):
        (box / "new" / f"{1800000000 + n}.{os.getpid()}_{n}.here").write_bytes(
            message(f"{mark}-near-{n:02}").replace("\r\n", "\n").encode())
    c.select("INBOX")
    c.store("101:150", "+FLAGS", r"(\Deleted)")
    c.expunge()
    c.store("101:150", "+FLAGS", r"(\Answered)")
    for n in range(20):
        c.append("INBOX", None, None, message(f"{mark}-far-{n:02}").encode())
    mbsync(path, rc)
    here = {maildir_subject(f) for f in maildir(box)}
    c.noop()
    there = set(subjects(hikyaku, "sync"))
    assert len(here) == 1000 - 100 + 40
    assert here == there
    c.select("INBOX")
    assert len(c.search(None, "FLAGGED")[1][0].split()) == 50
    assert len(c.search(None, "ANSWERED")[1][0].split()) == 50
    assert sum("R" in f.name.partition(":2,")[2] for f in maildir(box)) == 50
    names = {f.name for f in maildir(box)}
    before = c.status("INBOX", "(UIDNEXT MESSAGES)")[1]
    mbsync(path, rc)
    assert {f.name for f in maildir(box)} == names
    assert c.status("INBOX", "(UIDNEXT MESSAGES)")[1] == before
    c.logout()
    shutil.rmtree(tmp_path / "mail")
