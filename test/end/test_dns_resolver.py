"""The resolver against Debian's nsd with zones signed on the spot: what is proven is said to be, what is forged is bogus, what
nobody answers is a failure and never a denial."""
import concurrent.futures
import json
import os
import re
import signal
import socket
import time

import pytest

from instance import wait_for
from zones import Zones, resolve

pytestmark = pytest.mark.asan

SIGNED = """@ MX 10 mx
mx A 127.0.0.11
mx AAAA ::1
_25._tcp.mx TLSA 3 1 1 """ + "ab" * 32 + """
alias CNAME alias2
alias2 CNAME mx
loop1 CNAME loop2
loop2 CNAME loop1
away CNAME www.plain.test.
nomail MX 0 .
big TXT """ + " ".join('"' + c * 250 + '"' for c in "abcdefgh") + """
*.wild A 127.0.0.12
"""


@pytest.fixture(scope="module")
def zones(tmp_path_factory):
    with Zones(tmp_path_factory.mktemp("zones")) as z:
        z.zone("signed.test", SIGNED, sign=True)
        z.zone("nsec.test", "@ MX 10 mx\nmx A 127.0.0.13", sign=True, nsec3=False)
        z.zone("plain.test", "@ A 127.0.0.1\nwww A 127.0.0.14\nlong TXT \"x\"", denial=2)
        z.zone("broken.test", "@ A 127.0.0.99\nwww A 127.0.0.98", sign=True)
        z.damage("broken.test", "127.0.0.99", "127.0.0.97")
        z.zone("wrong.test", "@ A 127.0.0.15", sign=True)
        z.zone("silent.test", "@ A 127.0.0.16")
        z.proxy("plain.test")
        z.proxy("silent.test", silent=True)
        z.start()
        yield z


@pytest.fixture(scope="module")
def server(zones, tmp_path_factory):
    from instance import Instance
    wrong = zones.anchor("signed.test").replace("signed.test", "wrong.test")
    h = Instance(tmp_path_factory.mktemp("dns") / "h",
                 settings=zones.settings(anchors={"wrong.test": wrong}, timeout="2s"))
    h.setup().start()
    yield h
    assert h.stop() == 0, h.log_text()[-3000:]


def test_mx_and_tlsa_of_a_signed_zone_are_secure(server):
    mx = resolve(server, "signed.test", "MX")
    assert (mx["status"], mx["secure"], mx["records"]) == ("found", True, ["10 mx.signed.test."])
    assert 0 < mx["ttl"] <= 60
    tlsa = resolve(server, "_25._tcp.mx.signed.test", "TLSA")
    assert (tlsa["status"], tlsa["secure"], tlsa["records"]) == ("found", True, ["3 1 1 " + "ab" * 32])


def test_names_in_any_case_and_with_a_dot_are_one(server):
    for name in ("SIGNED.test", "signed.test."):
        assert resolve(server, name, "MX")["records"] == ["10 mx.signed.test."]


@pytest.mark.parametrize("zone", ["signed.test", "nsec.test"])
def test_a_denial_is_proven_too(server, zone):
    for name, kind, status in ((f"nothing.{zone}", "A", "no such name"), (f"mx.{zone}", "TXT", "no data")):
        a = resolve(server, name, kind)
        assert (a["status"], a["secure"], a["records"]) == (status, True, [])
        assert 0 < a["ttl"] <= 30  # the SOA's last field


def test_an_unsigned_zone_is_insecure_and_answers(server):
    a = resolve(server, "plain.test", "A")
    assert (a["status"], a["secure"], a["records"]) == ("found", False, ["127.0.0.1"])


def test_cnames_lead_to_the_canonical_name(server):
    a = resolve(server, "alias.signed.test", "A")
    assert (a["status"], a["secure"], a["canonical"], a["records"]) == ("found", True, "mx.signed.test", ["127.0.0.11"])
    a = resolve(server, "alias.signed.test", "TXT")
    assert (a["status"], a["canonical"]) == ("no data", "mx.signed.test")
    # Out of the signed zone into one that is not: no longer proven.
    a = resolve(server, "away.signed.test", "A")
    assert (a["status"], a["secure"], a["canonical"]) == ("found", False, "www.plain.test")
    a = resolve(server, "loop1.signed.test", "A")
    assert a["status"] == "failed" and a["reason"]


def test_a_wildcard_is_found_and_secure(server):
    a = resolve(server, "any.wild.signed.test", "A")
    assert (a["status"], a["secure"], a["records"]) == ("found", True, ["127.0.0.12"])


def test_null_mx(server):
    assert resolve(server, "nomail.signed.test", "MX")["records"] == ["0 ."]


def test_a_changed_record_is_bogus_and_its_neighbour_is_not(server):
    a = resolve(server, "broken.test", "A")
    assert (a["status"], a["secure"], a["records"]) == ("bogus", False, [])
    assert "signature" in a["reason"]
    # Again, from the cache.
    assert resolve(server, "broken.test", "A")["status"] == "bogus"
    assert resolve(server, "www.broken.test", "A")["secure"]


def test_a_wrong_anchor_makes_all_bogus(server):
    a = resolve(server, "wrong.test", "A")
    assert (a["status"], a["records"]) == ("bogus", [])
    assert a["reason"]


def test_an_answer_too_large_for_udp_comes_over_tcp(server, zones):
    a = resolve(server, "big.signed.test", "TXT")
    assert (a["status"], a["secure"]) == ("found", True)
    assert [r.split('"')[1][0] for r in a["records"]] == ["a"] and a["records"][0].count('"') == 16


def test_silence_is_a_failure_and_not_a_denial(server):
    begun = time.monotonic()
    a = resolve(server, "silent.test", "A")
    assert (a["status"], a["records"]) == ("failed", [])
    assert "in time" in a["reason"]
    assert time.monotonic() - begun < 30
    # Others are answered meanwhile.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waits = pool.submit(resolve, server, "www.silent.test", "A")
        assert resolve(server, "signed.test", "MX")["status"] == "found"
        assert waits.result()["status"] == "failed"


def test_a_denial_is_kept_for_its_ttl_and_no_longer(server, zones):
    """Counted at the server, which has 2 seconds for denials in this zone."""
    proxy = zones.proxies[0]
    first = resolve(server, "later.plain.test", "A")
    assert (first["status"], first["ttl"]) == ("no such name", 2)
    asked = proxy.count("later.plain.test", 1)
    assert asked >= 1
    for _ in range(3):
        again = resolve(server, "later.plain.test", "A")
        assert again["ttl"] <= 2
        if again["ttl"] < 1:
            break
    assert proxy.count("later.plain.test", 1) in (asked, asked + 1)
    zones.zone("plain.test", "@ A 127.0.0.1\nwww A 127.0.0.14\nlater A 127.0.0.17", denial=2)
    zones.reload()
    found = wait_for(lambda: resolve(server, "later.plain.test", "A")["status"] == "found", 15, 0.5)
    assert found and proxy.count("later.plain.test", 1) > asked


def test_the_same_question_from_many_is_asked_once(server, zones):
    proxy = zones.proxies[0]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: resolve(server, "long.plain.test", "MX"), range(12)))
    assert {a["status"] for a in answers} <= {"no data", "no such name"}
    assert proxy.count("long.plain.test", 15) <= 3  # with retries of its own, but not 12


def test_a_killed_resolver_comes_back_and_nobody_hears_a_wrong_no(fresh, zones):
    h = fresh(settings=zones.settings(timeout="10s"), accounts=())
    (pid,) = h.role_pids("resolver")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(h.cli, "resolve", f"{n}.silent.test", "A", "--json", check=False) for n in range(4)]
        time.sleep(0.5)
        os.kill(pid, signal.SIGKILL)
        for w in waiting:
            done = w.result()
            # Nothing is said about the name: not even a row.
            assert done.returncode == 1 and not done.stdout and done.stderr, done
    assert wait_for(lambda: [p for p in h.role_pids("resolver") if p != pid], 20)
    assert wait_for(lambda: h.cli("resolve", "signed.test", "MX", check=False).returncode == 0, 20)
    assert resolve(h, "signed.test", "MX")["secure"]


def test_a_new_configuration_is_a_new_context(fresh, zones):
    """Stubs that the first one does not know, with another port: the resolver starts again where the walls demand it."""
    h = fresh(settings="resolver { timeout 2s }", accounts=())
    assert resolve(h, "signed.test", "MX")["status"] != "found"
    h.append("hikyaku.conf", "")
    path = h.dir / "etc" / "hikyaku.conf"
    path.write_text(path.read_text().replace("resolver {\n\ttimeout 2s\n}", zones.settings()))
    assert h.reload().returncode == 0
    assert wait_for(lambda: h.cli("resolve", "signed.test", "MX", check=False).returncode == 0, 20)
    found = resolve(h, "signed.test", "MX")
    assert (found["status"], found["secure"]) == ("found", True)
    # The same ports, another anchor: the same process.
    (pid,) = h.role_pids("resolver")
    wrong = zones.anchor("nsec.test").replace("nsec.test", "signed.test")
    path.write_text(path.read_text().replace(zones.anchor("signed.test"), wrong))
    assert h.reload().returncode == 0
    assert resolve(h, "signed.test", "MX")["status"] == "bogus"
    assert h.role_pids("resolver") == [pid]


def test_without_dnssec_by_configuration_nothing_is_secure(fresh, zones):
    h = fresh(settings=zones.settings(more="dnssec off"), accounts=())
    a = resolve(h, "signed.test", "MX")
    assert (a["status"], a["secure"]) == ("found", False)
    assert resolve(h, "broken.test", "A")["status"] == "found"


def test_a_forwarder_is_asked_instead_of_the_root(fresh, zones):
    """nsd knows nothing but its zones, so as a forwarder it refuses: which is a failure that names itself, at once."""
    h = fresh(settings=f"resolver {{ forward {zones.host}@{zones.port}  timeout 5s }}", accounts=())
    a = resolve(h, "example.org", "A")
    assert a["status"] == "failed" and a["reason"]


def test_when_nothing_is_answered_any_more_it_is_an_incident(fresh, zones):
    """Twelve questions in a row fail: the operator is told which and why; the next answer closes it."""
    h = fresh(settings=zones.settings(timeout="1s"))

    def open_ones():
        rows = [json.loads(line) for line in h.cli("incidents", "--json", check=False).stdout.splitlines() if line]
        return [r for r in rows if r["kind"] == "dns"]
    for n in range(14):
        resolve(h, f"n{n}.silent.test", "A")
    assert wait_for(open_ones, 20), h.log_text()[-2000:]
    text = h.cli("incidents", "show", str(open_ones()[0]["id"])).stdout
    assert ".silent.test" in text and "in time" in text, text
    assert resolve(h, "mx.signed.test", "A")
    assert wait_for(lambda: not open_ones(), 10)


def test_a_machine_without_network_starts_and_says_so(fresh):
    h = fresh(settings="resolver { forward 127.0.0.1@9  timeout 1s }", accounts=("ken",))
    assert wait_for(lambda: " dns-failed " in h.log_text(), 20)
    assert resolve(h, "health.hikyaku.invalid", "TXT")["status"] == "failed"
    assert "dns" in h.cli("status", "--json").stdout
    with socket.create_connection(("127.0.0.1", h.port("smtp")), 5) as s:
        assert s.recv(100).startswith(b"220")


def test_what_is_no_name_is_refused(server):
    for name in ("a..b", "x" * 64 + ".test", "a b"):
        done = server.cli("resolve", name, "A", check=False)
        assert done.returncode == 1 and "no domain name" in done.stderr, done
    assert server.cli("resolve", "a.test", "NOSUCHTYPE", check=False).returncode == 2


def test_its_process_has_no_files_and_no_listeners(server):
    """Beside what all roles have (channels, the loop): sockets for questions, and nothing that listens."""
    (pid,) = server.role_pids("resolver")
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    files = [link for link in links if link.startswith("/") and not link.startswith(("/dev/", str(server.log_path)))
             and not re.search(r"/(run/)?lock$|\.log$", link)]
    assert not [f for f in files if not f.endswith("master.lock")], links
    inodes = {m[1] for link in links if (m := re.match(r"socket:\[(\d+)\]", link))}
    for table in ("tcp", "tcp6"):
        for line in open(f"/proc/net/{table}", encoding="ascii").readlines()[1:]:
            fields = line.split()
            assert not (fields[3] == "0A" and fields[9] in inodes), line
