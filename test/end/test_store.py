"""The disk fills, a sync fails, a record is damaged, the index is gone: what was answered is still true."""
import glob
import imaplib
import os
import pathlib
import re
import shutil
import smtplib
import subprocess
import time

import pytest

from instance import wait_for
from talk import Smtp, find, imap, message, send, subjects, token

RANDOM_BODY_LINES = 40


def noise(lines=RANDOM_BODY_LINES):
    """A body that does not compress to nothing."""
    import base64
    return "".join(base64.b64encode(os.urandom(57)).decode() + "\r\n" for _ in range(lines))


def index_files(h):
    found = [p for p in (h.dir / "data").rglob("*") if p.is_file() and re.search(r"index|\.db|sqlite", p.name)]
    assert found, list((h.dir / "data").rglob("*"))
    return found


def segments(h):
    """Log files, oldest first: files of data/ that are neither the index nor blobs."""
    index = set(index_files(h))
    found = [p for p in sorted((h.dir / "data").rglob("*")) if p.is_file() and p not in index]
    logs = [p for p in found if re.search(r"seg|log", str(p.relative_to(h.dir / "data")))]
    assert logs, found
    return logs


def picture(h, user="ken", mailboxes=("INBOX",)):
    """All that a client sees: UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ, per mail UID, flags, date, size and octets."""
    c = imap(h, user)
    seen = {}
    for box in mailboxes:
        status = c.status(box, "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)")[1][0]
        c.select(box, readonly=True)
        kind, got = c.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
        assert kind == "OK", got
        rows = []
        for part in got:
            if isinstance(part, tuple):
                rows.append(part)
            elif rows and part not in (b")", None):
                rows.append(part)
        seen[box] = (status, rows)
    c.logout()
    return seen


def fill_mailbox(h, count=20):
    sent = [send(h, body=noise()) for _ in range(count)]
    c = imap(h)
    c.select("INBOX")
    c.store("1:5", "+FLAGS", r"(\Flagged $Work)")
    c.store("6", "+FLAGS", r"(\Deleted)")
    c.expunge()
    c.create("Other")
    c.copy("1:3", "Other")
    c.logout()
    return sent


def test_index_deleted_by_hand(fresh):
    h = fresh()
    fill_mailbox(h)
    before = picture(h, mailboxes=("INBOX", "Other"))
    assert h.stop() == 0
    for path in index_files(h):
        path.unlink()
    h.start(seconds=60)
    assert picture(h, mailboxes=("INBOX", "Other")) == before
    subject = send(h)
    assert find(h, subject)
    h.stop()
    done = h.cli("fsck", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_index_torn(fresh):
    """The index is overwritten with nonsense in the middle: it is made anew, nothing is missing."""
    h = fresh()
    fill_mailbox(h)
    before = picture(h, mailboxes=("INBOX", "Other"))
    h.stop()
    for path in index_files(h):
        if path.stat().st_size > 8192:
            with open(path, "r+b") as f:
                f.seek(4096)
                f.write(os.urandom(path.stat().st_size - 4096))
    h.start(seconds=60)
    assert picture(h, mailboxes=("INBOX", "Other")) == before


def test_fsck_of_a_healthy_store(fresh):
    h = fresh()
    fill_mailbox(h)
    h.stop()
    done = h.cli("fsck", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    h.start()
    assert len(subjects(h)) == 19


def test_fsck_while_serving_is_refused_or_harmless(fresh):
    h = fresh()
    sent = [send(h) for _ in range(5)]
    h.cli("fsck", check=False)
    sent.append(send(h))
    assert sorted(subjects(h)) == sorted(sent)


def damage(path, offset, length=1):
    with open(path, "r+b") as f:
        f.seek(offset)
        octets = f.read(length)
        f.seek(offset)
        f.write(bytes(b ^ 0x55 for b in octets))


@pytest.mark.parametrize("index", ["kept", "deleted"])
def test_damaged_record_costs_that_record_only(fresh, index):
    h = fresh()
    sent = [send(h, body=noise(100)) for _ in range(20)]
    h.stop()
    log = max(segments(h), key=lambda p: used_octets(p))
    used = used_octets(log)
    damage(log, used // 2)
    if index == "deleted":
        for path in index_files(h):
            path.unlink()
    h.start(seconds=60)
    c = imap(h)
    c.select("INBOX")
    uids = c.uid("SEARCH", "ALL")[1][0].split()
    good, bad = [], []
    for uid in uids:
        kind, got = c.uid("FETCH", uid.decode(), "(BODY.PEEK[])")
        if kind == "OK" and isinstance(got[0], tuple):
            good.append(got[0][1])
        else:
            assert kind == "NO", got
            bad.append(uid)
    assert len(good) >= 19, f"{len(good)} of 20 readable, {len(bad)} refused"
    for mail in good:
        assert any(f"Subject: {s}\r\n".encode() in mail for s in sent)
    assert c.noop()[0] == "OK"
    c.logout()
    subject = send(h)
    assert find(h, subject)
    text = h.log_text().lower()
    if len(good) == 19 and index == "deleted":
        assert "damage" in text or "checksum" in text, "not reported"
    h.stop()
    done = h.cli("fsck", check=False)
    said = (done.stdout + done.stderr).lower()
    assert "damage" in said or done.returncode == 1, said


def used_octets(path):
    """Segments may be preallocated: octets up to the last that is not zero."""
    octets = path.read_bytes()
    return len(octets.rstrip(b"\0"))


def test_torn_end(fresh):
    """The last record half written, as a power cut leaves it: cut off, everything before it is there."""
    h = fresh()
    sent = [send(h) for _ in range(10)]
    h.kill()
    log = max(segments(h), key=lambda p: p.stat().st_mtime_ns)
    with open(log, "r+b") as f:
        f.seek(used_octets(log))
        f.write(os.urandom(700))
    h.start(seconds=60)
    assert sorted(subjects(h)) == sorted(sent)
    sent.append(send(h))
    h.stop()
    h.start()
    assert sorted(subjects(h)) == sorted(sent)


def test_uids_are_never_used_again(fresh):
    h = fresh()
    [send(h) for _ in range(5)]
    c = imap(h)
    c.select("INBOX")
    c.store("4:5", "+FLAGS", r"(\Deleted)")
    c.expunge()
    c.logout()
    for how in (h.stop, h.kill):
        how()
        h.start()
        send(h)
    h.stop()
    for path in index_files(h):
        path.unlink()
    h.start(seconds=60)
    send(h)
    c = imap(h)
    c.select("INBOX")
    assert c.uid("SEARCH", "ALL")[1][0].split() == [b"1", b"2", b"3", b"6", b"7", b"8"]
    c.logout()


# ---- a full disk


@pytest.fixture(params=["tmpfs", "ext4"])
def small_disk(request, tmp_path, root):
    """A file system of 80 MiB of its own."""
    where = tmp_path / "small"
    where.mkdir()
    if request.param == "tmpfs":
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "hikyaku-test", str(where)],
                                 capture_output=True, text=True)
    else:
        image = tmp_path / "image"
        with open(image, "wb") as f:
            f.truncate(80 * 1024 * 1024)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], capture_output=True, text=True)
        if made.returncode:
            pytest.skip("no mkfs.ext4")
        mounted = subprocess.run(["mount", "-o", "loop", str(image), str(where)], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.strip()}")
    where.chmod(0o755)
    yield where
    if subprocess.run(["umount", str(where)], capture_output=True).returncode:
        time.sleep(1)
        subprocess.run(["umount", "-l", str(where)], capture_output=True)


def test_full_disk(fresh, small_disk):
    """452 and NO; reading, flagging and expunging go on; with space again mail comes in again, by itself."""
    h = fresh(settings="store { reserve 8m  segment-size 4m }", folder=small_disk / "h")
    kept = send(h)
    filler = small_disk / "filler"
    with open(filler, "wb") as f:  # somebody else's file takes all but a little
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        f.write(b"\1" * max(0, free - 16 * 1024 * 1024))
    answered, code = [], 250
    deadline = time.monotonic() + 60
    while code == 250 and time.monotonic() < deadline:
        subject = token("full")
        try:
            code, text = Smtp(h).mail("ken@example.test", message(subject, noise(6000)))
        except AssertionError:  # refused at MAIL or RCPT already
            s = Smtp(h)
            s.say("EHLO client.example.org")
            code, text = s.say("MAIL FROM:<someone@example.org>")
            if code == 250:
                code, text = s.say("RCPT TO:<ken@example.test>")
            assert code == 452, text
            break
        if code == 250:
            answered.append(subject)
    assert code == 452, text
    c = imap(h)
    c.select("INBOX")
    kind, got = c.append("INBOX", None, None, message(token(), noise(6000)).encode())
    assert kind == "NO" and (b"OVERQUOTA" in got[0] or b"UNAVAILABLE" in got[0]), got
    kind, got = c.fetch("1", "(BODY.PEEK[])")
    assert kind == "OK" and kept.encode() in got[0][1]
    kind, got = c.store("1", "+FLAGS", r"(\Flagged)")
    assert kind == "OK", got
    for subject in answered:
        assert c.uid("SEARCH", "SUBJECT", subject)[1][0], "answered 250 and missing"
    kind, got = c.store("2", "+FLAGS", r"(\Deleted)")
    assert kind == "OK", got
    kind, got = c.expunge()
    assert kind == "OK", got
    c.logout()
    filler.unlink()
    healed = wait_for(lambda: try_send(h), 30, 0.5)
    assert healed, h.log_text()[-2000:]
    assert find(h, healed)
    assert find(h, kept)
    assert h.stop() == 0


def try_send(h):
    try:
        return send(h, body=noise(1000))
    except smtplib.SMTPException:
        return None


def test_restart_on_a_full_disk(fresh, small_disk):
    """It starts with no space left, and people can read and delete."""
    h = fresh(settings="store { reserve 8m  segment-size 4m }", folder=small_disk / "h")
    kept = send(h)
    h.stop()
    filler = small_disk / "filler"
    with open(filler, "wb") as f:
        try:
            while True:
                f.write(b"\1" * 65536)
        except OSError:
            pass
    h.start()
    c = imap(h)
    c.select("INBOX")
    kind, got = c.fetch("1", "(BODY.PEEK[])")
    assert kind == "OK" and kept.encode() in got[0][1]
    c.logout()
    with pytest.raises(smtplib.SMTPException):
        send(h, body=noise(6000))
    filler.unlink()
    assert wait_for(lambda: try_send(h), 30, 0.5)


# ---- a failing sync


def inject(h, what, expression):
    """strace on the running store; its errors are the kernel's as far as the store can tell."""
    path = shutil.which("strace")
    if not path:
        pytest.skip("strace is not installed")
    pid = h.role_pids("store")[0]
    out = h.dir.parent / "strace.out"
    tracer = subprocess.Popen([path, "-f", "-qq", "-o", str(out), "-e", f"trace={what}", "-e",
                               f"inject={expression}", "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    time.sleep(1)
    if tracer.poll() is not None:
        pytest.skip(f"strace cannot attach: {tracer.stderr.read().strip()}")
    return tracer, out


def release(tracer):
    if tracer.poll() is None:
        tracer.terminate()
        tracer.wait(10)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_failing_sync_is_never_a_250(fresh, root, error):
    h = fresh()
    before = [send(h) for _ in range(3)]
    store = h.role_pids("store")[0]
    tracer, out = inject(h, "fsync,fdatasync", f"fsync,fdatasync:error={error}:when=1")
    subject = token("unsynced")
    try:
        try:
            code, text = Smtp(h, timeout=30).mail("ken@example.test", message(subject))
        except (EOFError, ConnectionError):
            code, text = -1, "closed"
    finally:
        release(tracer)
    if "INJECTED" not in out.read_text():
        pytest.skip("the sync was not reached by strace")
    wait_for(lambda: h.greets(), 10)
    time.sleep(0.5)
    if code == 250:  # only if the store asked again after it was synced for good by another process
        assert h.role_pids("store")[0] != store
        h.kill()
        h.start()
        assert find(h, subject)
    else:
        assert code in (451, 452, -1), text
    after = send(h)
    there = subjects(h)
    assert set(before) | {after} <= set(there)
    if 400 <= code < 500:
        assert subject not in there
    assert len(there) == len(set(there))


def test_failing_read_costs_that_mail_only(fresh, root):
    """A read error (EIO) on one piece: NO for that mail, the session and the others go on."""
    h = fresh()
    sent = [send(h, body=noise()) for _ in range(5)]
    h.stop()
    h.start()
    c = imap(h, timeout=30)
    c.select("INBOX")
    tracer, out = inject(h, "pread64,preadv", "pread64,preadv:error=EIO:when=1+3")
    try:
        for n in range(1, 6):
            kind, got = c.fetch(str(n), "(BODY.PEEK[])")
            if kind == "OK":
                assert isinstance(got[0], tuple) and sent[n - 1].encode() in got[0][1]
            else:
                assert kind == "NO", got
        with pytest.raises((imaplib.IMAP4.error, OSError)) as refused:
            for _ in range(5):
                imap(h, timeout=30).logout()
            raise OSError("the right answer each time")
        assert "AUTHENTICATIONFAILED" not in str(refused.value)  # nobody could know that
    finally:
        release(tracer)
    assert wait_for(lambda: h.role_pids("store"), 5)
    time.sleep(0.5)
    c = imap(h)
    c.select("INBOX")
    for n in range(1, 6):
        kind, got = c.fetch(str(n), "(BODY.PEEK[])")
        assert kind == "OK" and sent[n - 1].encode() in got[0][1]


def test_hot_copy(fresh, tmp_path):
    """Segments copied while mail comes in, oldest first: the copy opens, and holds all that was answered before."""
    h = fresh()
    sent = [send(h, body=noise()) for _ in range(20)]
    copy = tmp_path / "copy"
    shutil.copytree(h.dir, copy, ignore=shutil.ignore_patterns("run", "*index*", "*-wal", "*-shm", "*.sock"))
    for path in glob.glob(str(copy / "data" / "**" / "*"), recursive=True):
        relative = pathlib.Path(path).relative_to(copy)
        stat = (h.dir / relative).stat() if (h.dir / relative).exists() else None
        if stat and os.geteuid() == 0:
            os.chown(path, stat.st_uid, stat.st_gid)
    for name in ("data", "keys", "etc", "."):
        for path in [copy / name, *(copy / name).rglob("*")]:
            origin = h.dir / path.relative_to(copy)
            if origin.exists() and os.geteuid() == 0:
                stat = origin.stat()
                os.chown(path, stat.st_uid, stat.st_gid)
    h.stop()
    import instance
    other = instance.Instance(copy, base=h.base)
    other.start(seconds=60)
    try:
        assert set(sent) <= set(subjects(other))
    finally:
        other.stop()
