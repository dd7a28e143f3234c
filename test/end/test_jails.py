"""hikyaku check ban over other services' logs: real lines of 17 services with known answers (615 expectations, many of them attacks that
want another address to be banned), and two filters of a university lab. The data is copyleft and is read from where it lies."""
import json
import os
import pathlib
import re
import subprocess

import pytest
from instance import binary

pytestmark = pytest.mark.asan
DATA = pathlib.Path(os.environ.get("HIKYAKU_TESTDATA", pathlib.Path(__file__).resolve().parents[3] / "shared" / "testdata"))
LOGS = DATA / "intrusion-logs" / "logs"
# What a log's expectations without a mode are about.
NORMAL = {"postfix": "more"}
SERVICES = sorted(p.name for p in LOGS.iterdir()) if LOGS.is_dir() else []


def check(*args, lines=(), code=0):
    text = "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")
    done = subprocess.run([str(binary()), "check", "ban", *args], input=text, capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr.decode()
    out = (done.stdout if code == 0 else done.stderr).decode("utf-8", "surrogateescape")
    return out.split("\n")[:-1]


def blocks(service):
    """Lines with what is expected of each (None: not to match), by the modes that they are for."""
    modes, lines, expected = [""], [], None
    for raw in (LOGS / service).read_text(errors="surrogateescape").splitlines():
        if m := re.match(r"#.*filterOptions:\s*(.*)$", raw):
            if lines:
                yield modes, lines
            options = json.loads(m[1])
            modes = [o.get("mode", "") for o in (options if isinstance(options, list) else [options])]
            lines = []
        elif m := re.match(r"#\s*failJSON:\s*(.*)$", raw):
            expected = json.loads(m[1])
        elif raw.strip() and not raw.startswith("#"):
            lines.append((raw, expected))
            expected = None
    if lines:
        yield modes, lines


def applies(expected, mode):
    constraint = expected.get("constraint", "")
    if "mode" not in constraint:
        return True
    return (mode == "aggressive") == ("==" in constraint.split("'mode')")[1])


def wrong(expected, got):
    if not expected or not expected["match"]:
        return got != "-"
    return got == "-" if expected.get("host") is None else got.lower() != expected["host"].lower()


@pytest.mark.skipif(not SERVICES, reason="the intrusion logs are not there")
@pytest.mark.parametrize("service", SERVICES)
def test_each_expectation(service):
    count, bad = 0, []
    for modes, lines in blocks(service):
        missed = set()
        for mode in modes:
            got = check(service, "--mode", mode or NORMAL.get(service, "normal"), lines=[line for line, _ in lines])
            assert len(got) == len(lines)
            for n, ((line, expected), host) in enumerate(zip(lines, got)):
                if (not expected or applies(expected, mode)) and wrong(expected, host):
                    missed.add(n)
                    bad.append((mode, expected, host, line))
        count += sum(1 for _, expected in lines if expected)
    print(f"{service}: {count} expectations, {len(bad)} missed")
    assert not bad, bad


@pytest.mark.skipif(not SERVICES, reason="the intrusion logs are not there")
def test_there_are_615_and_most_hold_without_a_mode():
    """`check ban SERVICE` alone uses every rule: what only a mode leaves out is matched, nothing else differs."""
    count, missed = 0, []
    for service in SERVICES:
        lines = [pair for _, some in blocks(service) for pair in some]
        for (line, expected), host in zip(lines, check(service, lines=[line for line, _ in lines])):
            count += expected is not None
            if expected and wrong(expected, host):
                missed.append((service, expected, host, line))
    assert count == 615
    assert len(missed) <= 19
    assert all(not expected["match"] for _, expected, _, _ in missed), missed


def test_every_filter_of_ours_proves_itself():
    for service in SERVICES or ["sshd", "dovecot", "postfix"]:
        line, = check(service, "--prove")
        assert re.fullmatch(r"proven: \d+ rules", line)


def test_a_filter_that_cannot_be_says_why(tmp_path):
    (tmp_path / "mine.conf").write_text("[Definition]\nfailregex = ^login (failed from <HOST>$\n")
    line, = check("--filter", str(tmp_path / "mine.conf"), code=1)
    assert "filter mine: failregex 1, character" in line and "parenthesis" in line
    (tmp_path / "mine.conf").write_text("[INCLUDES]\nbefore = base.conf\n[Definition]\nfailregex = ^<_begin> from <HOST>$\n")
    (tmp_path / "base.conf").write_text("[DEFAULT]\n_begin = login failed\n")
    assert check("--filter", str(tmp_path / "mine.conf"), lines=["login failed from 192.0.2.1", "x"]) == ["192.0.2.1", "-"]
    line, = check("--filter", str(tmp_path / "mine.conf"), "--prove", code=1)
    assert "has no samples" in line
    assert "there is no filter" in check("nothing", code=1)[0]


LAB = DATA / "jails"
APACHE = ['[Thu Dec 09 15:20:27.583 2021] [auth_basic:error] [pid 2213] [client 192.0.2.45:51312] AH01618: user nobody not found: /hiki/index.cgi',
          '[Thu Dec 09 15:20:31.102 2021] [auth_basic:error] [pid 2213] [client 192.0.2.46:51318] AH01617: user ken: authentication failure '
          'for "/hiki/index.cgi": Password Mismatch',
          '[Thu Dec 09 15:20:31.102 2021] [auth_basic:error] [pid 2213] [client 192.0.2.47:51318] AH01617: user ken: authentication failure '
          'for "/hiki/index.cgi": Password Mismatch, referer: https://www.example.test/']


@pytest.mark.skipif(not LAB.is_dir(), reason="the lab's jails are not there")
def test_a_labs_filters(tmp_path):
    """They include a file that the lab did not publish; with an empty one they compile, flags in the middle of an expression too. That the
    password rule never sees a browser without referer shows: the line looks like a failure, and no rule matched."""
    for name in ("apache-auth", "apache-ddos"):
        (tmp_path / f"{name}.conf").write_bytes((LAB / f"{name}.conf").read_bytes())
    (tmp_path / "apache-common.conf").write_text("[DEFAULT]\n_apache_error_client = \\[client <HOST>(?::\\d+)?\\]\n")
    assert check("--filter", str(tmp_path / "apache-auth.conf"), lines=APACHE) == ["192.0.2.45", "-", "192.0.2.47"]
    explained = check("--filter", str(tmp_path / "apache-auth.conf"), "--explain", lines=APACHE)
    assert explained[1] == "-\t0\tlooks like a failure"
    check("--filter", str(tmp_path / "apache-ddos.conf"), lines=APACHE)
    assert "no samples" in check("--filter", str(tmp_path / "apache-auth.conf"), "--prove", code=1)[0]
