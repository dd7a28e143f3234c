"""`hikyaku check spf` as a program behind its walls: the openspf suite for RFC 7208, each scenario's zone on a name server of ours."""
import concurrent.futures
import json
import subprocess

import instance
import pytest
from conftest import HERE
from scripted_dns import TIMEOUT, ScriptedDns

SUITE = json.loads((HERE.parents[0] / "data" / "spf" / "rfc7208-tests.json").read_text())
CASES = 203

# Where we differ, and why. Nothing yet: a case that comes here must say which sentence of RFC 7208 allows it.
DIFFERENT = {}


def zone_of(scenario):
    """As README.md there says: SPF records stand for TXT where there is no TXT; TIMEOUT and RCODE for what is not listed."""
    zone = {}
    for name, records in scenario["zonedata"].items():
        entry, spf, copy = {}, [], True
        for record in records:
            if record == TIMEOUT:
                entry["*"] = TIMEOUT
                continue
            for kind, value in record.items():
                if kind == "RCODE":
                    entry["*"] = value
                elif kind == "SPF":
                    spf.append(value)
                elif value == TIMEOUT:
                    entry["*"] = TIMEOUT
                elif value == "NONE":
                    copy = False
                else:
                    entry.setdefault(kind, []).append(value)
        if spf and copy and "TXT" not in entry:
            entry["TXT"] = spf
        if "*" in entry and set(entry) == {"*"}:
            entry = entry["*"]
        zone[name] = entry
    return zone


def check(dns, *args):
    done = subprocess.run([str(instance.binary()), "check", "spf", "--dns", dns.address, "--explain", *args],
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    result, why = done.stdout.decode("utf-8", "replace").split("\n")[:2]
    return result, why


def judge(dns, name, case):
    result, why = check(dns, "--ip", case["host"], "--helo", case["helo"], "--from", case["mailfrom"],
                        "--hostname", "receiver.test", "--now", "1700000000")
    wanted = case["result"] if isinstance(case["result"], list) else [case["result"]]
    if result not in wanted:
        return f"{name}: {result} ({why}), not {' or '.join(wanted)}"
    explanation = case.get("explanation")
    if explanation not in (None, "DEFAULT", "postmaster") and why != explanation:
        return f"{name}: said {why!r}, not {explanation!r}"
    return None


@pytest.mark.parametrize("scenario", SUITE, ids=lambda s: s["description"].replace(" ", "-")[:40])
def test_openspf(scenario):
    with ScriptedDns(zone_of(scenario)) as dns, concurrent.futures.ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda item: judge(dns, *item), scenario["tests"].items()))
    wrong = [v for v in verdicts if v and v.split(":")[0] not in DIFFERENT]
    assert not wrong, "\n".join(wrong)


def test_all_cases_are_there():
    assert sum(len(s["tests"]) for s in SUITE) == CASES


def test_long_records_come_over_tcp():
    hosts = " ".join(f"ip4:192.0.2.{i}" for i in range(1, 150))
    with ScriptedDns({"long.test": {"TXT": [f"v=spf1 {hosts} -all"]}}) as dns:
        assert check(dns, "--ip", "192.0.2.149", "--from", "a@long.test")[0] == "pass"
        assert check(dns, "--ip", "192.0.2.151", "--from", "a@long.test") == ("fail", "-all")
        assert dns.asked.count(("long.test", "TXT")) == 4  # each time once by UDP, once by TCP


def test_who_asks_wrongly_is_told():
    def run(*args):
        return subprocess.run([str(instance.binary()), "check", "spf", *args], capture_output=True, timeout=60, check=False)
    assert b"--ip" in run("--dns", "127.0.0.1", "--from", "a@example.test").stderr
    assert run("--dns", "nonsense", "--ip", "192.0.2.1", "--from", "a@example.test").returncode == 1
    assert run("--ip").returncode == 2 and run("--unknown", "x").returncode == 2


def test_a_dead_name_server_is_no_verdict():
    dns = ScriptedDns({}).start()
    dns.stop()
    assert check(dns, "--ip", "192.0.2.1", "--from", "a@example.test")[0] == "temperror"
