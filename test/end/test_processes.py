"""Processes die and come back; the server stops, reloads and starts as it should. Nobody hangs, nobody is told a lie."""
import imaplib
import os
import re
import signal
import smtplib
import socket
import subprocess
import threading
import time

import instance
import pytest
from talk import PASSWORD
from instance import ROLES, binary, listening, wait_for
from talk import Smtp, count, find, imap, insecure, message, pop, send, subjects, token

RESTART_SECONDS = 10.0  # it takes 10 to 600 ms; the bound tells a restart from a hang, whatever else the machine does
PATIENCE_SECONDS = 15  # a client's reply after a kill: store's return plus the engines' ten seconds at most


def kill_role(h, role):
    """kill -9; the seconds until another process of that role is there."""
    before = wait_for(lambda: h.role_pids(role), 5)  # /proc may just be between two looks
    assert before, f"no {role} among {[instance.cmdline(p)[:3] for p in h.pids()]}"
    os.kill(before[0], signal.SIGKILL)
    began = time.monotonic()
    again = wait_for(lambda: [p for p in h.role_pids(role) if p not in before], 10, 0.005)
    assert again, f"{role} did not come back:\n{h.log_text()[-2000:]}"
    return time.monotonic() - began


@pytest.mark.parametrize("role", ROLES)
def test_killed_role_returns(fresh, role):
    """Each role, three times; the others' processes stay, and mail goes in and out afterwards."""
    h = fresh()
    others = {r: h.role_pids(r) for r in ROLES if r != role}
    for _ in range(3):
        assert kill_role(h, role) < RESTART_SECONDS
        subject = token(role)
        wait_for(lambda: h.greets(), 5)
        assert send_patiently(h, subject)
        assert find(h, subject)
    assert {r: h.role_pids(r) for r in ROLES if r != role} == others
    assert h.cli("account", "list").stdout.count("ken@example.test") == 1
    assert re.search(rf"{role}.*(killed|signal|died|ended|restart)", h.log_text()), "not in the log"


def send_patiently(h, subject, tries=40):
    """As a real client: 4xx or a lost connection means try again."""
    for _ in range(tries):
        try:
            send(h, subject=subject)
            return True
        except (smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected, smtplib.SMTPRecipientsRefused,
                ConnectionError) as e:
            code = getattr(e, "smtp_code", None) or next((c for c, _ in getattr(e, "recipients", {}).values()), 451)
            assert 400 <= code < 500 or code == -1, e
            time.sleep(0.1)
    return False


def test_sessions_outlive_the_store(fresh):
    """Open IMAP, POP3 and SMTP sessions go on over the store's death: NO [UNAVAILABLE] or the right answer, never a hang."""
    h = fresh()
    first = send(h)
    c = imap(h, timeout=PATIENCE_SECONDS)
    c.select("INBOX")
    p = pop(h, timeout=PATIENCE_SECONDS)
    s = Smtp(h, timeout=PATIENCE_SECONDS)
    s.say("EHLO client.example.org")
    for turn in range(3):
        kill_role(h, "store")
        code, text = s.say("MAIL FROM:<someone@example.org>")
        assert code in (250, 451), text
        code, text = s.say("RCPT TO:<ken@example.test>")
        assert code in (250, 451, 503), text
        s.say("RSET")
        for _ in range(100):
            kind, got = c.uid("FETCH", "1", "(FLAGS BODY.PEEK[])")
            if kind == "OK":
                break
            assert kind == "NO" and b"UNAVAILABLE" in got[0], got
            time.sleep(0.1)
        assert first.encode() in got[0][1]
        for _ in range(100):
            kind, got = c.store("1", "+FLAGS", f"(turn{turn})")
            if kind == "OK":
                break
            assert kind == "NO" and b"UNAVAILABLE" in got[0], got
            time.sleep(0.1)
    assert any(first.encode() in line for line in p.retr(1)[1])
    flags = imaplib.ParseFlags(c.fetch("1", "(FLAGS)")[1][0])
    assert {b"turn0", b"turn1", b"turn2"} <= set(flags)
    c.logout()


def test_idle_outlives_the_store(fresh):
    """An IDLE that began before the store's death still hears of new mail."""
    h = fresh()
    c = imap(h, timeout=20)
    c.select("INBOX")
    c.send(b"x IDLE\r\n")
    assert c.readline().startswith(b"+")
    kill_role(h, "store")
    assert send_patiently(h, token())
    line = c.readline()
    while b"EXISTS" not in line:
        assert line, "closed"
        line = c.readline()
    c.shutdown()


@pytest.mark.parametrize("role", ["store", "keeper", "mx", "access"])
def test_no_mail_lost_or_doubled_while_roles_die(fresh, role):
    """A stream of mails while a role is killed again and again: what got 250 is there exactly once."""
    h = fresh()
    stop, answered, refused = threading.Event(), [], []

    def stream(n):
        i = 0
        while not stop.is_set():
            subject = f"stream{n}-{i:05}"
            i += 1
            try:
                with smtplib.SMTP("127.0.0.1", h.port("smtp"), timeout=PATIENCE_SECONDS) as s:
                    s.ehlo("client.example.org")
                    s.mail("someone@example.org")
                    code, text = s.rcpt("ken@example.test")
                    if code == 250:
                        code, text = s.data(message(subject).encode())
                    (answered if code == 250 else refused).append((subject, code, text))
            except (ConnectionError, smtplib.SMTPException) as e:
                refused.append((subject, -1, str(e)))

    threads = [threading.Thread(target=stream, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for _ in range(8):
        time.sleep(0.25)
        kill_role(h, role)
    time.sleep(0.5)
    stop.set()
    for t in threads:
        t.join(60)
        assert not t.is_alive(), "a client hangs"
    wait_for(lambda: h.greets(), 5)
    there = subjects(h)
    assert len(answered) > 20
    assert sorted(set(there)) == sorted(there), "doubled"
    missing = {s for s, *_ in answered} - set(there)
    assert not missing, f"{len(missing)} answered 250 and missing"
    for subject, code, text in refused:
        assert code in (-1, 421, 451, 452), (subject, code, text)
        if code > 0:
            assert subject not in there, f"answered {code} and delivered: the sender will send it again"


def test_sorter_dies_over_its_work(fresh):
    """Aliased mail goes through the sorter: killed again and again, each mail arrives once in each mailbox."""
    h = fresh(accounts=("ken", "mari"))
    h.write("virtual", "all@example.test ken@example.test, mari@example.test\n")
    assert h.reload().returncode == 0
    sent = []
    for n in range(60):
        sent.append(send(h, "all@example.test"))
        if n % 10 == 5:
            kill_role(h, "sorter")
    for user in ("ken", "mari"):
        assert wait_for(lambda u=user: len(subjects(h, u)) >= 60, 20, 0.3)
        assert sorted(subjects(h, user)) == sorted(sent)


def test_sigterm_finishes_what_was_answered(fresh):
    h = fresh()
    sent = [send(h) for _ in range(10)]
    c = imap(h)
    s = Smtp(h)
    s.envelope("ken@example.test")
    assert h.stop() == 0
    try:
        assert s.reply()[0] == 421
    except (EOFError, ConnectionError):
        pass
    assert s.closed()
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        c.noop()
        c.noop()
    assert not listening(h.port("smtp"))
    h.start()
    assert sorted(subjects(h)) == sorted(sent)


def test_no_process_is_left(fresh):
    h = fresh()
    pids = h.pids()
    assert h.stop() == 0
    assert wait_for(lambda: not [p for p in pids if os.path.exists(f"/proc/{p}/status") and
                                 instance.cmdline(p)[1:2] in (["serve"], ["role"])], 5)


def test_master_killed(fresh):
    """kill -9 of master: no orphan serves on with half a house; the next start finds everything."""
    h = fresh()
    subject = send(h)
    pids = h.pids()
    os.kill(h.master(), signal.SIGKILL)
    h.process.wait(10)
    assert wait_for(lambda: not [p for p in pids if instance.cmdline(p)[1:2] == ["role"]], 10), "roles live on"
    h.process = None
    h.start()
    assert find(h, subject)


def test_power_cut(fresh):
    """Everything killed at once, again and again, under load: what got 250 is there, once."""
    h = fresh()
    answered = []
    for turn in range(5):
        stop = threading.Event()

        def stream(n, turn=turn, stop=stop):
            i = 0
            while not stop.is_set():
                subject = f"cut{turn}-{n}-{i:05}"
                i += 1
                try:
                    send(h, subject=subject)
                    answered.append(subject)
                except (OSError, smtplib.SMTPException):
                    pass

        threads = [threading.Thread(target=stream, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        time.sleep(0.4)
        h.kill()
        stop.set()
        for t in threads:
            t.join(30)
        h.start()
    there = subjects(h)
    assert len(answered) > 20
    assert not set(answered) - set(there)
    assert len(there) == len(set(there)), "doubled"


def test_second_serve_names_the_first(fresh):
    h = fresh()
    done = subprocess.run([str(binary()), "serve", str(h.dir)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert str(h.master()) in done.stderr, done.stderr
    send(h)


def test_setup_twice_keeps_what_is_there(fresh):
    h = fresh()
    subject = send(h)
    conf = (h.dir / "etc" / "hikyaku.conf").read_text()
    done = subprocess.run([str(binary()), "setup", str(h.dir), "--hostname", "other.example.test", "--domain",
                           "other.test"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1, done.stdout
    assert (h.dir / "etc" / "hikyaku.conf").read_text() == conf
    assert find(h, subject)


@pytest.mark.parametrize("how", ["reload", "SIGHUP"])
def test_broken_configuration_keeps_the_old(fresh, how):
    h = fresh()
    c = imap(h)
    path = h.dir / "etc" / "hikyaku.conf"
    before = path.read_text()
    path.write_text(before + "\nsmtp {\n\tmesage-size 10m\n}\n")
    line = len(before.splitlines()) + 3
    if how == "reload":
        done = h.reload()
        assert done.returncode == 1
        said = done.stdout + done.stderr
    else:
        os.kill(h.master(), signal.SIGHUP)
        assert wait_for(lambda: f"hikyaku.conf:{line}" in h.log_text(), 5), h.log_text()[-1000:]
        said = h.log_text()
    assert f"hikyaku.conf:{line}" in said and "message-size" in said, said  # it names the nearest known key
    assert c.noop()[0] == "OK"
    send(h)
    path.write_text(before + "\nsmtp {\n\tmessage-size 1m\n}\n")
    if how == "reload":
        assert h.reload().returncode == 0
    else:
        os.kill(h.master(), signal.SIGHUP)
    assert wait_for(lambda: "SIZE 1048576" in Smtp(h).say("EHLO x.example.org")[1], 5)
    assert c.noop()[0] == "OK"
    assert sorted(r for r in ROLES if h.role_pids(r)) == sorted(ROLES)


def test_a_broken_configuration_does_not_start(fresh):
    h = fresh(start=False)
    h.append("hikyaku.conf", "colour blue")
    done = subprocess.run([str(binary()), "serve", str(h.dir)], capture_output=True, text=True, timeout=20)
    assert done.returncode in (1, 2) and "hikyaku.conf:" in done.stderr, done.stderr


def test_config_lists_every_option(fresh):
    h = fresh(start=False)
    text = h.cli("config").stdout
    for key in ("hostname", "message-size", "per-address", "cram-md5", "segment-size"):
        assert key in text
    assert "1000" in text and "recipients of one mail" in text


def test_the_listener_that_setup_shows_is_one(fresh):
    """Its comment signs taken away, it is read as a listener; a key that there is not is refused with the line."""
    h = fresh(start=False)
    path = h.dir / "etc" / "hikyaku.conf"
    text = path.read_text()
    example = text[text.index("# listener "):].replace("# \t", "\t").replace("# listener", "listener").replace("# }", "}")
    path.write_text(text + example)
    assert h.cli("config").returncode == 0
    path.write_text(text + example.replace("proxy-from", "proxy-form"))
    done = h.cli("config", check=False)
    line = (text + example).splitlines().index("\tproxy-from 192.0.2.0/24") + 1
    assert done.returncode == 1 and f"hikyaku.conf:{line}:" in done.stderr, done.stderr


def test_status(hikyaku):
    text = hikyaku.cli("status").stdout
    for role in ROLES:
        assert role in text
    assert hikyaku.cli("status", "--json").stdout.strip().startswith(("{", "["))


def test_usage_errors():
    for args in ([], ["nonsense"], ["account"], ["setup"], ["-C"]):
        done = subprocess.run([str(binary()), *args], capture_output=True, text=True, timeout=20)
        assert done.returncode == 2, (args, done.returncode)
    assert "needs a folder" in done.stderr


def test_cli_without_a_server(fresh):
    h = fresh(start=False)
    done = h.cli("account", "list", check=False)
    assert done.returncode == 1 and done.stderr.strip(), "silent"


def test_no_listener_reads_two_at_once(fresh):
    """A thousand connections opened and dropped at once leave nothing behind."""
    h = fresh(settings="connections { per-address 2000 }")
    access = h.role_pids("access")[0]
    before = len(os.listdir(f"/proc/{access}/fd")) if os.geteuid() == 0 else None
    socks = [socket.create_connection(("127.0.0.1", h.port("imap")), 10) for _ in range(300)]
    for s in socks:
        s.close()
    send(h)
    imap(h).logout()
    if before is not None:
        assert wait_for(lambda: len(os.listdir(f"/proc/{access}/fd")) <= before + 2, 5)


# ---- certificates


def make_certificate(h, name, cn):
    """A new pair in place of the old one, owner and mode kept."""
    key, pem = h.dir / "keys" / "tls" / f"{name}.key", h.dir / "etc" / "tls" / f"{name}.pem"
    new_key, new_pem = h.dir.parent / "new.key", h.dir.parent / "new.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "30", "-subj", f"/CN={cn}", "-addext", f"subjectAltName=DNS:{cn}", "-keyout", str(new_key), "-out",
                    str(new_pem)], check=True, capture_output=True)
    for new, old in ((new_key, key), (new_pem, pem)):
        model = old if old.exists() else next(old.parent.iterdir())
        stat = model.stat()
        old.write_text(new.read_text())
        os.chmod(old, stat.st_mode & 0o777)
        if os.geteuid() == 0:
            os.chown(old, stat.st_uid, stat.st_gid)
    return pem


def presented(h, name=None, port="imaps"):
    sock = socket.create_connection(("127.0.0.1", h.port(port)), 10)
    tls = insecure().wrap_socket(sock, server_hostname=name)
    der = tls.getpeercert(binary_form=True)
    version = tls.version()
    tls.close()
    return der, version


def pem_der(path):
    import ssl
    text = path.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERT"):text.index("-----END CERTIFICATE-----") + 25] + "\n")


def test_renewed_certificate_without_dropping_a_session(fresh):
    h = fresh()
    name = next((h.dir / "etc" / "tls").glob("*.pem")).stem
    old = imap(h, tls=True)
    before, version = presented(h)
    assert version == "TLSv1.3"
    pem = make_certificate(h, name, "mx.example.test")
    done = h.reload()
    assert done.returncode == 0, done.stdout + done.stderr
    after, _ = presented(h)
    assert after != before and after == pem_der(pem)
    assert old.noop()[0] == "OK" and old.select()[0] == "OK"
    old.logout()
    imap(h, tls=True).logout()
    s = Smtp(h)
    s.say("EHLO x.example.org")
    s.starttls()
    assert s.sock.getpeercert(binary_form=True) == after


def test_certificate_by_name(fresh):
    h = fresh(start=False)
    other = make_certificate(h, "other", "imap.second.test")
    h.start()
    first, _ = presented(h, "mx.example.test")
    second, _ = presented(h, "imap.second.test")
    assert second == pem_der(other) and first != second
    assert presented(h)[0] in (first, second)


def test_a_key_that_root_copied_there(fresh, root):
    """Its owner is root and nobody else may read it, as cp leaves it: reload gives it to keeper, as a start does."""
    h = fresh()
    other = make_certificate(h, "other", "imap.second.test")
    key = h.dir / "keys" / "tls" / "other.key"
    os.chown(key, 0, 0)
    os.chmod(key, 0o600)
    assert h.reload().returncode == 0
    assert presented(h, "imap.second.test")[0] == pem_der(other)


def test_a_key_that_does_not_fit_keeps_the_old(fresh):
    h = fresh()
    name = next((h.dir / "etc" / "tls").glob("*.pem")).stem
    before, _ = presented(h)
    pem = h.dir / "etc" / "tls" / f"{name}.pem"
    kept = pem.read_text()
    make_certificate(h, name, "mx.example.test")
    pem.write_text(kept)  # the old certificate, the new key
    done = h.reload()
    said = done.stdout + done.stderr + h.log_text()
    assert done.returncode == 1 or "key" in said
    try:
        after, _ = presented(h)
        assert after == before
    except OSError:
        pytest.fail("TLS is gone because of one wrong key")
    send(h)


def test_keys_are_keepers_alone(fresh, root):
    h = fresh(start=False)
    h.start()
    keeper = h.role_pids("keeper")[0]
    owner = int(re.search(r"^Uid:\s+(\d+)", open(f"/proc/{keeper}/status").read(), re.M)[1])
    uids = {r: int(re.search(r"^Uid:\s+(\d+)", open(f"/proc/{h.role_pids(r)[0]}/status").read(), re.M)[1]) for r in ROLES}
    assert len(set(uids.values())) == len(ROLES), uids  # each its own, none of them root
    assert 0 not in uids.values()
    for path in (h.dir / "keys").rglob("*"):
        stat = path.stat()
        assert stat.st_mode & 0o077 == 0, path
        assert stat.st_uid in (owner, 0), path


@pytest.mark.skipif(os.environ.get("HIKYAKU_WALLS") == "off", reason="the walls are off")
def test_walls(hikyaku):
    """seccomp and no new privileges in every role; the walls test in test/unit says what each may not do."""
    for role in ROLES:
        status = open(f"/proc/{hikyaku.role_pids(role)[0]}/status").read()
        assert re.search(r"^Seccomp:\s+2", status, re.M), role
        assert re.search(r"^NoNewPrivs:\s+1", status, re.M), role
    assert PASSWORD not in hikyaku.log_text()
