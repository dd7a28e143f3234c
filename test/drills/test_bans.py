"""Drills of keeping attackers out: a dictionary attack from 1,000 addresses, a stale password in an office that never bans, and ban
rules that are dead. Addresses are those of 127.0.0.0/8, which is why the allow list is emptied."""
import json
import os
import shutil
import smtplib
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from instance import port_free, wait_for
from talk import PASSWORD

pytestmark = pytest.mark.asan
BANS = "ban { allow 127.0.0.1  %s }\nconnections { per-address 1000  total 4000 }\nlogin { plaintext always }\n"


def serve(fresh, more="half-life 30m"):
    return fresh(settings=BANS % more)


def connect(h, protocol, source, timeout=20):
    return socket.create_connection(("127.0.0.1", h.port(protocol)), timeout, source_address=(source, 0))


def lines_of(s):
    f = s.makefile("rb")
    while True:
        line = f.readline()
        if not line:
            return
        yield line


def guess(h, source, user, passwords):
    """One POP3 connection; how many guesses were answered."""
    done = 0
    try:
        with connect(h, "pop3", source, 60) as s:
            answers = lines_of(s)
            if not next(answers).startswith(b"+OK"):
                return done
            for password in passwords:
                s.sendall(f"USER {user}\r\nPASS {password}\r\n".encode())
                next(answers), next(answers)
                done += 1
    except (OSError, StopIteration):
        pass
    return done


def is_dropped(h, source, protocol="pop3"):
    """No greeting: closed, or with a word that it is kept out."""
    try:
        with connect(h, protocol, source) as s:
            s.settimeout(10)
            first = s.recv(200)
            return not first or b"kept out" in first
    except ConnectionError:
        return True


def rows(h, *args):
    return [json.loads(line) for line in h.cli(*args, "--json", check=False).stdout.splitlines() if line.startswith("{")]


def test_who_guesses_is_kept_out_of_every_service_and_let_in_again(fresh):
    h = serve(fresh)
    bad = "127.0.7.7"
    for n in range(4):
        guess(h, bad, "ken@example.test", [f"guess{n}a", f"guess{n}b"])
    assert wait_for(lambda: [r for r in rows(h, "ban", "list") if r["address"] == bad])
    for protocol in ("pop3", "imap", "smtp", "submission"):
        assert is_dropped(h, bad, protocol), protocol
        assert not is_dropped(h, "127.0.8.8", protocol), protocol
    assert h.cli("ban", "test", bad, check=False).returncode == 1
    assert h.cli("ban", "test", "127.0.8.8").returncode == 0
    why = h.cli("ban", "why", bad).stdout
    assert "is kept out" in why and "wrong-password" in why and "ken@example.test" in why
    assert "締め出されています" in h.cli("ban", "why", bad, "--lang", "ja").stdout
    # Over a restart, too.
    h.stop()
    h.start()
    assert is_dropped(h, bad)
    h.cli("ban", "lift", bad)
    assert not is_dropped(h, bad)
    h.stop()
    h.start()
    assert not is_dropped(h, bad)


def test_the_operator_bans_a_network(fresh):
    h = serve(fresh)
    h.cli("ban", "add", "127.9.0.0/16", "--for", "1h", "--why", "their abuse desk is asleep")
    assert is_dropped(h, "127.9.3.3") and not is_dropped(h, "127.10.3.3")
    row, = [r for r in rows(h, "ban", "list") if r["address"] == "127.9.0.0/16"]
    assert row["reason"] == "operator" and row["detail"] == "their abuse desk is asleep"
    h.cli("ban", "add", "127.9.1.1", "--for", "1h")
    h.cli("ban", "add", "2001:db8:1:2::7", "--for", "1h")
    nft = h.cli("ban", "list", "--nft").stdout
    assert "add element inet hikyaku banned4 { 127.9.0.0/16 timeout 3" in nft and "127.9.1.1" not in nft
    assert "add element inet hikyaku banned6 { 2001:db8:1:2::/64 timeout 3" in nft
    if shutil.which("nft") and os.geteuid() == 0:
        subprocess.run(["unshare", "-n", "nft", "-f", "-"], input=nft, text=True, check=True)
    h.cli("ban", "lift", "2001:db8:1:2::7")
    h.cli("ban", "lift", "127.9.3.3")
    assert not is_dropped(h, "127.9.3.3")
    assert h.cli("ban", "lift", "127.9.3.3", check=False).returncode == 1
    assert h.cli("ban", "add", "0.0.0.0/0", check=False).returncode == 1


def test_a_stale_password_in_an_office_never_bans(fresh):
    """Behind one address: somebody works, and his colleagues' clients have the passwords of yesterday."""
    h = serve(fresh)
    office = "127.0.20.20"
    staff = [f"staff{i}@example.test" for i in range(8)]
    for one in staff:
        h.cli("account", "add", one, "--password-stdin", stdin="the new one\n")

    def works():
        with connect(h, "pop3", office, 60) as s:
            answers = lines_of(s)
            next(answers)
            s.sendall(f"USER ken@example.test\r\nPASS {PASSWORD}\r\n".encode())
            return next(answers).startswith(b"+OK") and next(answers).startswith(b"+OK")

    assert works()
    begin = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(6):
            list(pool.map(lambda one: guess(h, office, one, ["the old one"]), staff))
    assert rows(h, "ban", "list") == []
    why = rows(h, "ban", "why", office)
    assert not why[0]["banned"] and why[0]["own_network"]
    record = next(r for r in why if r.get("offences", {}).get("wrong-password"))
    assert record["offences"]["wrong-password"] >= 40 and record["points"] == 0
    # Nor does anybody else there wait for it.
    begin = time.monotonic()
    assert works()
    assert time.monotonic() - begin < 3
    assert rows(h, "incidents") == []


def test_a_dictionary_attack_from_a_thousand_addresses(fresh):
    """Two guesses from each address: on a quiet day none does enough to be banned."""
    h = serve(fresh)
    sources = [f"127.{1 + i // 200}.{i % 200 // 4 * 5 % 250}.{1 + i % 250}" for i in range(1000)]
    assert len(set(sources)) == 1000
    begin = time.monotonic()
    raised = []

    def attack(nth):
        if not raised and [r for r in rows(h, "incidents") if r["kind"] == "guessing"] if nth % 50 == 49 else False:
            raised.append(time.monotonic() - begin)
        return guess(h, sources[nth], f"user{nth}@example.test", ["summer", "winter"])

    with ThreadPoolExecutor(16) as pool:
        answered = sum(pool.map(attack, range(1000)))
    incident, = wait_for(lambda: [r for r in rows(h, "incidents") if r["kind"] == "guessing"])
    assert raised and raised[0] < 60
    bans = rows(h, "ban", "list")
    assert len(bans) > 800
    # Their next round is not answered any more.
    with ThreadPoolExecutor(16) as pool:
        again = sum(pool.map(lambda n: guess(h, sources[n], f"user{n}@example.test", ["autumn"]), range(900, 1000)))
    assert again < 20, again
    print(f"{answered} guesses answered, {len(bans)} bans, incident after {raised[0]:.1f} s")
    # Who is not one of them logs in; mail comes in.
    with connect(h, "pop3", "127.200.0.1") as s:
        answers = lines_of(s)
        next(answers)
        s.sendall(f"USER ken@example.test\r\nPASS {PASSWORD}\r\n".encode())
        next(answers)
        assert next(answers).startswith(b"+OK")
    with smtplib.SMTP("127.0.0.1", h.port("smtp"), timeout=30) as s:
        s.sendmail("friend@far.test", ["ken@example.test"], "Subject: still here\r\n\r\nhello\r\n")
    english = h.cli("incidents", "show", str(incident["id"])).stdout
    japanese = h.cli("incidents", "show", str(incident["id"]), "--lang", "ja").stdout
    assert "ban list" in english and "ban list" in japanese and "パスワード" in japanese


def test_a_dictionary_of_recipients_and_probes(fresh):
    h = serve(fresh)
    bad, probe, friend, early = "127.0.30.30", "127.0.31.31", "127.0.32.32", "127.0.33.33"

    def rcpts(source, names, take=None):
        with smtplib.SMTP("127.0.0.1", h.port("smtp"), timeout=30, source_address=(source, 0)) as s:
            s.ehlo("somebody.test")
            for i, name in enumerate(names):
                s.mail("friend@far.test")
                s.rcpt(name)
                if take and i % 2:
                    s.rcpt(take)
                    s.data("Subject: news\r\n\r\nhello\r\n")
                s.rset()

    for _ in range(3):
        try:
            rcpts(bad, [f"nobody{i}@example.test" for i in range(12)])
        except (smtplib.SMTPException, OSError):
            break
    assert wait_for(lambda: is_dropped(h, bad, "smtp"))
    for _ in range(4):
        try:
            with connect(h, "smtp", probe) as s:
                s.recv(200)
                s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                s.recv(500)
        except OSError:
            pass
    assert wait_for(lambda: is_dropped(h, probe, "smtp"))
    # Who does not wait for the greeting, now and then: a bot.
    for _ in range(60):
        try:
            with connect(h, "smtp", early) as s:
                s.sendall(b"EHLO somebody.test\r\n")
                if b"kept out" in s.recv(200):
                    break
        except OSError:
            break
    record = [r for r in rows(h, "ban", "why", early) if "offences" in r]
    assert record and record[0]["offences"]["early-talker"] >= 1
    # A list server with members that are gone is a guest all the same.
    for n in range(4):
        rcpts(friend, [f"gone{n}{i}@example.test" for i in range(10)], take="ken@example.test")
    assert not is_dropped(h, friend, "smtp")


def test_the_address_behind_a_balancer_counts(fresh):
    """Not the balancer's, which stays everybody's way in."""
    port = next(p for p in range(32910, 33000) if port_free(p))
    h = fresh(settings=BANS % "half-life 30m" + f"""
listener one {{
	protocol smtp
}}
listener two {{
	protocol imap
}}
listener three {{
	protocol pop3
}}
listener balanced {{
	protocol pop3
	port {port}
	proxy-from 127.0.0.0/8
}}
""")

    def first_words(client):
        with socket.create_connection(("127.0.0.1", port), 20, source_address=("127.0.40.40", 0)) as s:
            s.sendall(f"PROXY TCP4 {client} 203.0.113.1 4711 110\r\n".encode())
            return s.recv(200)

    h.cli("ban", "add", "198.51.100.7")
    assert b"kept out" in first_words("198.51.100.7")
    assert first_words("198.51.100.8").startswith(b"+OK")
    h.cli("ban", "lift", "198.51.100.7")
    h.cli("ban", "add", "127.0.40.40")
    assert first_words("198.51.100.7").startswith(b"+OK")


def test_the_drill_proves_that_bans_work(fresh):
    h = serve(fresh)
    done = h.cli("ban", "test")
    assert "Bans work" in done.stdout
    row, = rows(h, "ban", "test")
    assert row["works"] and row["passwords_until_banned"] == 6
    assert rows(h, "ban", "list") == []


FILTER = """[INCLUDES]
before = common.conf
[DEFAULT]
_daemon = thing
[Definition]
prefregex = ^<__prefix_line><F-CONTENT>.+</F-CONTENT>$
failregex = ^login of <F-USER>.*</F-USER> refused for <ADDR>, referer: .*$
[Samples]
hit = 192.0.2.9 Jan  2 03:04:05 mx thing[1]: login of eve refused for 192.0.2.9, referer: x
	- Jan  2 03:04:05 mx thing[1]: login of eve
"""


def test_rules_that_never_match_are_an_incident(fresh, tmp_path):
    """The lab's filter: proven once, then the service's words changed. Failures are seen and nobody is banned: it is said within
    seconds, and over with the first match."""
    h = serve(fresh)
    (tmp_path / "thing.conf").write_text(FILTER)
    begin = time.monotonic()
    dead = "".join(f"Jan  2 03:04:05 mx thing[1]: login of eve refused for 127.0.50.{n}\n" for n in range(30))
    h.cli("ban", "watch", "thing", "--filter", str(tmp_path / "thing.conf"), stdin=dead)
    incident, = wait_for(lambda: [r for r in rows(h, "incidents") if r["kind"] == "jail"])
    assert time.monotonic() - begin < 60
    assert incident["key"] == "thing" and "suspicious=30" in incident["facts"] and "refused for 127.0.50.0" in incident["facts"]
    text = h.cli("incidents", "show", str(incident["id"])).stdout
    assert "hikyaku check ban thing" in text and "refused for 127.0.50.0" in text
    assert rows(h, "ban", "list") == []
    live = "".join("Jan  2 03:04:06 mx thing[1]: login of eve refused for 127.0.51.1, referer: x\n" for _ in range(5))
    h.cli("ban", "watch", "thing", "--filter", str(tmp_path / "thing.conf"), stdin=live)
    assert wait_for(lambda: not [r for r in rows(h, "incidents") if r["kind"] == "jail"])
    row, = rows(h, "ban", "list")
    assert row["address"] == "127.0.51.1" and row["reason"] == "jail"
    assert is_dropped(h, "127.0.51.1") and not is_dropped(h, "127.0.50.1")
    jail, = rows(h, "ban", "jails")
    assert jail["lines"] == 35 and jail["matched"] == 5


def test_ssh_s_log_bans(fresh):
    """With our own filter: for every day where no mode is said."""
    h = serve(fresh)
    log = "".join(f"Jan  2 03:04:05 mx sshd[{n}]: Invalid user eve{n} from 127.0.60.1 port 4711\n"
                  f"Jan  2 03:04:05 mx sshd[{n}]: Did not receive identification string from 127.0.60.2 port 4711\n" for n in range(9))
    h.cli("ban", "watch", "sshd", stdin=log)
    assert [r["address"] for r in rows(h, "ban", "list")] == ["127.0.60.1"]
    h.cli("ban", "watch", "sshd", "--mode", "aggressive", stdin=log)
    assert len(rows(h, "ban", "list")) == 2
    assert h.cli("ban", "watch", "sshd", "--mode", "bogus", stdin=log, check=False).returncode == 1


def test_rules_that_are_not_proven_are_not_used(fresh, tmp_path):
    h = serve(fresh)
    (tmp_path / "thing.conf").write_text(FILTER.partition("[Samples]")[0])
    done = h.cli("ban", "watch", "thing", "--filter", str(tmp_path / "thing.conf"), stdin="x\n", check=False)
    assert done.returncode == 1 and "has no samples" in done.stderr
