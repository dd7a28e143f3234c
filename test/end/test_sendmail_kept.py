"""0 from sendmail means that the mail is durable, once: processes are killed, the disk is full, the input is hostile."""
import collections
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest
from instance import wait_for
from local_mail import DATAERR, OK, TEMPFAIL, commands, local, open_folder
from talk import find, imap, subjects, token
from test_store import small_disk

__all__ = ("commands", "local", "open_folder", "small_disk")


class Killer(threading.Thread):
    """Kills roles and sometimes all of the server, which is started again."""

    def __init__(self, h, seed):
        super().__init__()
        self.h, self.random, self.over, self.kills = h, random.Random(seed), threading.Event(), collections.Counter()

    def run(self):
        while not self.over.wait(self.random.uniform(0.05, 0.6)):
            role = self.random.choice(["store", "access", "store", "access", "keeper", "sorter", "master"])
            if role == "master":
                self.h.kill()
                self.h.start(wait=False)
            for pid in [] if role == "master" else self.h.role_pids(role):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.kills[role] += 1

    def stop(self):
        self.over.set()
        self.join()


def test_kill_9(fresh, open_folder, commands):
    """Roles and master die while sendmail runs, again and again: each exit 0 is there exactly once."""
    h = fresh(folder=open_folder / token("killed"),
              settings="sending { messages-hour 0  messages-day 0  recipients-hour 0  recipients-day 0  watch off }")
    killer, codes, said, numbers, lock = Killer(h, seed=3), {}, [], iter(range(10**6)), threading.Lock()
    end = time.monotonic() + 120

    def sender():
        while True:
            with lock:
                n = next(numbers)
            # until enough of both have happened; at least 200 mails
            if time.monotonic() > end or (n >= 200 and sum(killer.kills.values()) >= 30):
                return
            body = f"Subject: n{n}-\n\n" + "x" * random.choice([10, 5000, 300000])
            done = commands.run(h.dir, "-i", "--wait", "100s", "ken@example.test", stdin=body, timeout=150)
            codes[n] = done.returncode
            said.extend(done.stderr.splitlines())

    senders = [threading.Thread(target=sender) for _ in range(6)]
    killer.start()
    for s in senders:
        s.start()
    for s in senders:
        s.join()
    killer.stop()
    if h.process.poll() is not None:
        h.start()
    assert wait_for(h.ready, 30)
    assert wait_for(lambda: imap(h), 30)
    found = collections.Counter(int(m[1]) for m in (re.match(r"n(\d+)-", s) for s in subjects(h)) if m)
    assert set(codes.values()) == {OK}, (collections.Counter(codes.values()), said, killer.kills)
    wrong = {n: found[n] for n in codes if found[n] != 1}
    assert not wrong, f"{wrong} after {dict(killer.kills)}"
    assert killer.kills["store"] and killer.kills["access"] and killer.kills["master"], killer.kills


def test_restart_in_the_middle(local, commands):
    """The server is stopped and started again while a program still writes its mail: the program notices nothing."""
    subject = token("restart")
    p = commands.start(local.dir, "-v", "ken@example.test", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdin.write(f"Subject: {subject}\n\nfirst\n".encode())
    p.stdin.flush()
    assert local.stop() == 0
    p.stdin.write(b"second\n")
    p.stdin.close()
    time.sleep(0.3)
    assert p.poll() is None  # it waits
    local.start()
    assert p.wait(60) == OK
    assert b"first\r\nsecond" in find(local, subject)


def test_full_disk(fresh, small_disk, commands):
    """No space: 75 at once, with the reason; with space again, 0."""
    h = fresh(settings="store { reserve 8m  segment-size 4m }\nsending { messages-hour 0  messages-day 0  recipients-hour 0  recipients-day 0 }",
              folder=small_disk / "h")
    filler = small_disk / "filler"
    with open(filler, "wb") as f:
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        f.write(b"\1" * max(0, free - 12 * 1024 * 1024))
    body = os.urandom(150000).hex()
    body = "\n".join(body[i:i + 70] for i in range(0, len(body), 70))
    answered = []
    for n in range(100):
        done = commands.run(h.dir, "ken@example.test", stdin=f"Subject: full{n}-\n\n{body}\n")
        if done.returncode != OK:
            break
        answered.append(f"full{n}-")
    assert done.returncode == TEMPFAIL, (n, done.stderr)
    assert done.stderr
    os.unlink(filler)

    def again():
        return commands.run(h.dir, "ken@example.test", stdin="Subject: again-\n\nb\n").returncode == OK

    assert wait_for(again, 30, 0.5)
    assert set(answered) <= set(subjects(h))


def in_namespace(script, **options):
    done = subprocess.run(["unshare", "-m", "sh", "-ec", "mount --make-rprivate /\n" + script], capture_output=True, text=True, timeout=90,
                          **options)
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(done.stderr.strip())
    return done


def test_full_tmp(local, commands, tmp_path, root):
    """Where a big message cannot be kept on disk it is kept in memory: what the server takes is bounded anyhow."""
    subject = token("tmp")
    done = in_namespace(f"mount -t tmpfs -o size=1500k none {tmp_path}\nexport TMPDIR={tmp_path}\n"
                        f"{{ printf 'Subject: {subject}\\n\\n'; yes 0123456789 | head -n 500000; }} | {commands.path()} -C {local.dir} mari")
    assert done.returncode == OK, done.stderr
    assert find(local, subject, user="mari", seconds=30).count(b"0123456789\r\n") == 500000


def test_folder_of_the_machine(local, commands, tmp_path, root):
    """/etc/hikyaku/dir names the server's folder for programs that know nothing of it."""
    subject = token("etc")
    for name in ("up", "work"):
        (tmp_path / name).mkdir()
    env = {k: v for k, v in os.environ.items() if k != "HIKYAKU_DIR"}
    done = in_namespace(f"mount -t overlay -o lowerdir=/etc,upperdir={tmp_path}/up,workdir={tmp_path}/work none /etc\n"
                        f"mkdir /etc/hikyaku; echo {local.dir} > /etc/hikyaku/dir\n"
                        f"printf 'Subject: {subject}\\n\\n' | {commands.path()} ken", env=env)
    assert done.returncode == OK, done.stderr
    assert find(local, subject)


# ---- hostile input


def test_nul_octets(local, commands):
    """They arrive or are refused; nothing is cut off and called sent."""
    subject = token("nul")
    done = commands.run(local.dir, "ken@example.test", stdin=f"Subject: {subject}\n\nbefore\0after\0\nend\n".encode())
    if done.returncode == OK:
        mail = find(local, subject)
        assert b"after" in mail and b"end" in mail
    else:
        assert done.returncode == DATAERR and done.stderr


def test_hundred_megabytes(local, commands):
    """Above the server's limit: refused by its name, without a hundred megabytes of memory or disk."""
    p = commands.start(local.dir, "ken@example.test", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    peak = 0
    try:
        p.stdin.write(b"Subject: big\n\n")
        for _ in range(1600):
            p.stdin.write(b"x" * 65535 + b"\n")
            with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
                peak = max([peak] + [int(line.split()[1]) for line in f if line.startswith("VmRSS")])
        p.stdin.close()
    except (BrokenPipeError, FileNotFoundError):
        pass
    assert p.wait(60) == DATAERR
    assert b"too big" in p.stderr.read()
    assert peak < 64 * 1024, f"{peak} kB"


def test_endless_input(local, commands):
    with open("/dev/zero", "rb") as zero:
        p = commands.start(local.dir, "-t", stdin=zero, stderr=subprocess.PIPE)
        assert p.wait(120) == DATAERR


def test_forty_megabytes(local, commands):
    """Below the limit: whole, and memory stays bounded while it is kept and sent."""
    subject = token("forty")
    line = b"0123456789" * 7 + b"\n"
    p = commands.start(local.dir, "mari@example.test", stdin=subprocess.PIPE)
    p.stdin.write(f"Subject: {subject}\n\n".encode() + line * (40 * 1024 * 1024 // 72))
    p.stdin.close()
    assert p.wait(120) == OK
    mail = find(local, subject, user="mari", seconds=60)
    assert mail.count(b"0123456789" * 7 + b"\r\n") == 40 * 1024 * 1024 // 72


def test_a_header_line_of_a_megabyte(local, commands):
    subject = token("wide")
    done = commands.run(local.dir, "ken@example.test", stdin=f"X-Wide: {'x' * 1024 * 1024}\nSubject: {subject}\n\nb\n")
    if done.returncode == OK:
        assert find(local, subject)
    else:
        assert done.returncode == DATAERR and done.stderr


def test_closed_descriptors(local, commands):
    """cron and daemons close what they do not use: the mail must not go to a descriptor that took its place."""
    subject = token("closed")
    done = subprocess.run(["sh", "-c", f"printf 'Subject: {subject}\\n\\nb\\n' | {commands.path()} -C {local.dir} ken@example.test >&- 2>&-"],
                          timeout=60)
    assert done.returncode == OK
    assert find(local, subject)
