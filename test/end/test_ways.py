"""Other ways to run it: several workers, without root, with an operator at the queue; and space given back."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import instance
import pytest
from talk import PASSWORD
from instance import wait_for
from talk import count, find, imap, send, subjects, token
from test_store import index_files, noise, picture, segments

NOBODY = 65534


def test_several_workers(fresh, smtp_source):
    """Two of each: mail comes in, IDLE hears of it whichever worker it sits on, one worker's death is not the other's."""
    h = fresh(settings="workers { mx 2  access 2  sorter 2 }", accounts=("ken", "mari"))
    assert [len(h.role_pids(r)) for r in ("mx", "access", "sorter")] == [2, 2, 2]
    argv, env = smtp_source
    done = subprocess.run([*argv, "-s", "10", "-m", "200", "-t", "ken@example.test", f"127.0.0.1:{h.port('smtp')}"],
                          env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert len(subjects(h)) == 200
    idlers = []
    for _ in range(6):
        c = imap(h)
        c.select("INBOX")
        c.send(b"x IDLE\r\n")
        assert c.readline().startswith(b"+")
        idlers.append(c)
    send(h)
    for c in idlers:
        line = c.readline()
        while b"201 EXISTS" not in line:
            assert line
            line = c.readline()
        c.shutdown()
    stays = imap(h)
    victim = h.role_pids("mx")[0]
    os.kill(victim, signal.SIGKILL)
    assert wait_for(lambda: len([p for p in h.role_pids("mx") if p != victim]) == 2, 5)
    wait_for(h.greets, 5)
    assert find(h, send(h))
    assert stays.noop()[0] == "OK"


def test_without_root(tmp_path, root):
    """An ordinary user sets it up and serves it, with its walls."""
    for p in [tmp_path, *list(tmp_path.parents)[:2]]:
        p.chmod(0o755)
    binary = tmp_path / "hikyaku"
    shutil.copy(instance.binary(), binary)
    where = tmp_path / "own"
    where.mkdir()
    os.chown(where, NOBODY, NOBODY)
    own = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    h = instance.Instance(where / "h", wrapper=own)
    h.binary = binary
    done = subprocess.run([*own, str(binary), "setup", str(h.dir), "--hostname", h.hostname, "--domain", h.domain, "--ports",
                                  str(h.base)], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    h.log_path = tmp_path / "log"
    h.start()
    try:
        subprocess.run([*own, str(binary), "-C", str(h.dir), "account", "add", "ken@example.test", "--password-stdin"],
                       input=PASSWORD + "\n", text=True, check=True, capture_output=True)
        subject = send(h)
        assert find(h, subject)
        for role in instance.ROLES:
            pid = h.role_pids(role)[0]
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            assert f"Uid:\t{NOBODY}" in status
            if os.environ.get("HIKYAKU_WALLS") != "off":
                assert "Seccomp:\t2" in status, role
    finally:
        assert h.stop() == 0


def test_others_may_not_command_it(fresh, root):
    """The admin socket is for root and the owner of DIR."""
    h = fresh()
    done = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
                           str(instance.binary()), "-C", str(h.dir), "account", "list"], capture_output=True, text=True)
    assert done.returncode == 1 and "ken@example.test" not in done.stdout


def sorted_away(h):
    """The queue's row once the sorter has followed the alias."""
    def look():
        row = h.cli("queue", "list", "--json").stdout
        return row if "someone@elsewhere.example" in row else None
    row = wait_for(look, 10)
    assert row, h.cli("queue", "list").stdout
    return row


def test_operator_at_the_queue(fresh):
    """What an alias sends away stays; the operator sees it, shows it, holds it, lets it go, removes it."""
    h = fresh()
    h.cli("alias", "add", "away@example.test", "someone@elsewhere.example")
    send(h, "away@example.test")
    row = sorted_away(h)
    number = str(json.loads(row.splitlines()[0])["id"])
    assert "someone@elsewhere.example" in h.cli("queue", "show", number).stdout
    # A courier may have it just now: then it says so, and is asked again.
    assert wait_for(lambda: h.cli("queue", "hold", number, check=False).returncode == 0, 20, 0.2)
    h.cli("queue", "release", number)
    h.stop()
    h.start()
    row = sorted_away(h)
    number = str(json.loads(row.splitlines()[0])["id"])  # released, it was sorted again
    h.cli("queue", "remove", number)
    assert "someone@elsewhere.example" not in h.cli("queue", "list").stdout
    assert h.cli("queue", "remove", number, check=False).returncode == 1


def test_aliases_and_domains_by_command(fresh):
    h = fresh()
    h.cli("domain", "add", "second.test")
    h.cli("alias", "add", "@second.test", "ken@example.test")
    subject = send(h, "anyone@second.test")
    assert find(h, subject)
    assert "second.test" in h.cli("domain", "list").stdout and "@second.test" in h.cli("alias", "list").stdout
    h.cli("alias", "remove", "@second.test")
    h.cli("domain", "remove", "second.test")
    from talk import Smtp
    s = Smtp(h)
    s.envelope([])
    assert s.code("RCPT TO:<anyone@second.test>") == 550
    assert list((h.dir / "etc" / ".history").iterdir()), "no copy of what was there before"
    assert h.cli("alias", "add", "a@example.test", "not an address@", check=False).returncode == 1


def test_sweep_gives_space_back_and_loses_nothing(fresh):
    h = fresh(settings="store { segment-size 1m }")
    kept = []
    for n in range(120):
        subject = send(h, body=noise(600))
        if n % 20 == 0:
            kept.append(subject)
    c = imap(h)
    c.select("INBOX")
    for n, subject in enumerate(kept):
        uid = c.uid("SEARCH", "SUBJECT", subject)[1][0].decode()
        c.uid("STORE", uid, "+FLAGS", r"(\Flagged)")
    c.store("1:*", "+FLAGS", r"(\Seen)")
    uids = c.uid("SEARCH", "UNFLAGGED")[1][0].replace(b" ", b",").decode()
    c.uid("STORE", uids, "+FLAGS.SILENT", r"(\Deleted)")
    assert c.expunge()[0] == "OK"
    c.logout()
    before = sum(p.stat().st_size for p in segments(h))
    seen = picture(h)
    h.cli("image")
    h.cli("sweep")
    wait_for(lambda: sum(p.stat().st_size for p in segments(h)) < before / 2, 20, 0.2)
    after = sum(p.stat().st_size for p in segments(h))
    assert after < before / 2, f"{before} octets before, {after} after"
    assert picture(h) == seen
    h.kill()
    for path in index_files(h):
        path.unlink()
    h.start(seconds=60)
    assert picture(h) == seen
    h.stop()
    done = h.cli("fsck", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    h.start()
    assert find(h, send(h)) and sorted(subjects(h))[: len(kept)]


def test_the_same_mail_twice_is_two_mails(fresh):
    """Nothing but the COMMIT's key makes two mails one: a sender may send the same octets twice."""
    h = fresh()
    subject = token("same")
    send(h, subject=subject)
    send(h, subject=subject)
    assert count(h, subject) == 2
