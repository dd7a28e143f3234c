"""Recursion from the root, as on the Internet: in a network namespace the root servers' own addresses are ours, and stand over a
small tree of signed zones. Nothing is configured but the key of this root."""
import ctypes
import os
import subprocess
import threading

import pytest

from instance import Instance, wait_for
from zones import Proxy, Zones, resolve

ROOTS = ["198.41.0.4", "199.9.14.201", "170.247.170.2", "192.33.4.12", "199.7.91.13", "192.203.230.10", "192.5.5.241",
         "192.112.36.4", "198.97.190.53", "192.36.148.17", "192.58.128.30", "193.0.14.129", "199.7.83.42", "202.12.27.33"]
ORG, EXAMPLE, BEHIND = "192.0.2.1", "192.0.2.2", "192.0.2.101"


def ip(*argv):
    subprocess.run(["ip", *argv], check=True, capture_output=True, timeout=10)


def inside(namespace, make):
    """Runs make() on a thread that has entered the namespace; its sockets and threads stay there."""
    result = {}

    def run():
        fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        assert ctypes.CDLL(None, use_errno=True).setns(fd, 0) == 0
        os.close(fd)
        result["made"] = make()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result["made"]


@pytest.fixture(scope="module")
def internet(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    name = f"hikyaku-dns-{os.getpid()}"
    try:
        ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as e:
        pytest.skip(f"no network namespaces: {e}")
    try:
        ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as e:  # a chroot may make one and not enter it
        ip("netns", "del", name)
        pytest.skip(f"no network namespaces: {e.stderr.decode().strip()}")
    try:
        for address in (*ROOTS, ORG, EXAMPLE, BEHIND):
            ip("-n", name, "addr", "add", f"{address}/32", "dev", "lo")
        yield name
    finally:
        ip("netns", "del", name)


@pytest.fixture(scope="module")
def tree(internet, tmp_path_factory):
    """., org. (behind a proxy that writes down what it is asked), example.org, all signed; plain.org, which is not."""
    folder, wrapper = tmp_path_factory.mktemp("tree"), ("ip", "netns", "exec", internet)
    with Zones(folder / "example", EXAMPLE, 53, wrapper=wrapper) as example, \
            Zones(folder / "org", BEHIND, 53, wrapper=wrapper) as org, \
            Zones(folder / "root", ROOTS[0], 53, more_hosts=ROOTS[1:], wrapper=wrapper) as root:
        example.zone("example.org", "@ MX 10 mx\nmx A 127.0.0.11", sign=True)
        example.zone("quiet.org", "deep.down.there A 127.0.0.12", sign=True)
        example.zone("plain.org", "@ A 127.0.0.13")
        org.zone("org", f"ns A {ORG}\nexample NS ns.example\nns.example A {EXAMPLE}\n{example.anchor('example.org')}\n"
                        f"quiet NS ns.quiet\nns.quiet A {EXAMPLE}\n{example.anchor('quiet.org')}\n"
                        f"plain NS ns.plain\nns.plain A {EXAMPLE}", sign=True)
        root.zone(".", "".join(f". NS {c}.root-servers.net.\n{c}.root-servers.net. A {a}\n"
                               for c, a in zip("abcdefghijklm", ROOTS)) + f"org. NS ns.org.\nns.org. A {ORG}\n{org.anchor('org')}",
                  sign=True)
        for z in (example, org, root):
            z.start()
        org.seen = inside(internet, lambda: Proxy((BEHIND, 53), host=ORG, port=53))
        org.proxies.append(org.seen)
        yield root, org


@pytest.fixture(scope="module")
def server(internet, tree, tmp_path_factory):
    root, _ = tree
    h = Instance(tmp_path_factory.mktemp("root") / "h", wrapper=("ip", "netns", "exec", internet),
                 settings=f'resolver {{ anchor "{root.anchor(".")}"  timeout 10s }}')
    h.setup().start(wait=False)
    assert wait_for(lambda: h.cli("status", check=False).returncode == 0, 20), h.log_text()
    yield h
    assert h.stop() == 0


def test_from_the_root_with_proof_all_the_way(server):
    mx = resolve(server, "example.org", "MX")
    assert (mx["status"], mx["secure"], mx["records"]) == ("found", True, ["10 mx.example.org."]), (mx, server.log_text())
    denial = resolve(server, "nothing.example.org", "MX")
    assert (denial["status"], denial["secure"]) == ("no such name", True)
    denial = resolve(server, "nothing.org", "MX")
    assert (denial["status"], denial["secure"]) == ("no such name", True)


def test_a_delegation_without_ds_is_insecure(server):
    a = resolve(server, "plain.org", "A")
    assert (a["status"], a["secure"], a["records"]) == ("found", False, ["127.0.0.13"])


def test_a_parent_is_not_told_the_whole_name(server, tree):
    """QNAME minimisation (RFC 9156): org's server sees quiet.org, never what is below it."""
    _, org = tree
    a = resolve(server, "deep.down.there.quiet.org", "A")
    assert (a["secure"], a["records"]) == (True, ["127.0.0.12"])
    names = {name for name, _ in org.seen.asked}
    assert "quiet.org" in names
    assert not [name for name in names if name.endswith("there.quiet.org")], names


def test_health_is_known(server):
    assert wait_for(lambda: " dns-works " in server.log_text(), 20), server.log_text()
    row = next(line for line in server.cli("status", "--json").stdout.splitlines() if '"dns"' in line)
    assert '"dns":"works"' in row and '"dnssec":true' in row
