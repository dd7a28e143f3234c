"""Zones for tests: an authoritative server (Debian's nsd) on loopback, zones signed on the spot by ldns, and the lines of
hikyaku.conf that make an instance ask it.

    with Zones(folder) as z:
        z.zone("signed.test", "@ MX 10 mx\\nmx A 127.0.0.11", sign=True)
        z.zone("plain.test", "@ A 127.0.0.1")
        z.start()
        h = fresh(settings=z.settings())

Every zone gets a SOA (negative TTL `denial`) and an NS by itself. Keys and signatures are made at each run, so nothing expires
in the repository. `proxy(name=)` puts a counter, a delay or silence between.
"""
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

FIRST_PORT = int(os.environ.get("HIKYAKU_DNS_PORT", "25300"))


def tool(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


def free_port(host="127.0.0.1", start=FIRST_PORT, count=600):
    """A port free for TCP and UDP."""
    ports = list(range(start, start + count))
    random.shuffle(ports)
    for port in ports:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as s:
                    s.bind((host, port))
        except OSError:
            continue
        return port
    raise RuntimeError("no free port for a name server")


class Zone:
    def __init__(self, name, text, sign, nsec3, denial, serial=1, server="127.0.0.1", whole=False):
        self.name, self.sign, self.nsec3, self.server = name.rstrip("."), sign, nsec3, server
        self.text, self.denial, self.serial, self.whole = text, denial, serial, whole
        self.keys = None  # names of key files, once made

    def source(self):
        if self.whole:
            return self.text
        below = f"{self.name}." if self.name else ""
        return (f"$ORIGIN {below or '.'}\n$TTL 60\n"
                f"@ 60 SOA ns.{below} host.{below} {self.serial} 3600 600 86400 {self.denial}\n"
                f"@ NS ns.{below}\nns A {self.server}\n{self.text}\n")


class Zones:
    def __init__(self, folder, host="127.0.0.1", port=None, more_hosts=(), wrapper=()):
        """wrapper: before nsd's argv, as `ip netns exec NAME`."""
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.host, self.port = host, port or free_port(host)
        self.more_hosts, self.wrapper = more_hosts, list(wrapper)
        self.zones, self.process, self.proxies = {}, None, []
        self.ports = {}  # zone: port to ask, where it is not nsd's own

    # ---- zones

    def zone(self, name, text, sign=False, nsec3=True, denial=30, whole=False):
        """Adds or replaces one; reload() tells a server that runs. whole: the text has SOA and NS itself."""
        former = self.zones.get(name)
        z = Zone(name, text, sign, nsec3, denial, former.serial + 1 if former else 1, self.host, whole)
        z.keys = former.keys if former else None
        self.zones[name] = z
        return self.write(z)

    def file(self, name):
        return self.dir / f"{name.rstrip('.') or 'root'}.zone"

    def run(self, *argv):
        done = subprocess.run([str(a) for a in argv], cwd=self.dir, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def write(self, z):
        plain = self.dir / f"{z.name or 'root'}.plain"
        plain.write_text(z.source())
        if not z.sign:
            self.file(z.name).write_text(z.source())
            return z
        if not z.keys:
            keygen = tool("ldns-keygen")
            z.keys = [self.run(keygen, "-a", "ECDSAP256SHA256", *more, z.name or ".") for more in (["-k"], [])]
        self.run(tool("ldns-signzone"), *(["-n"] if z.nsec3 else []), "-f", self.file(z.name), plain, *z.keys)
        return z

    def anchor(self, name):
        """The DS record that an instance trusts this zone by."""
        ds = (self.dir / (self.zones[name].keys[0] + ".ds")).read_text().split()
        return " ".join(ds)

    def damage(self, name, old, new):
        """Changes the served text of a signed zone, its signatures left as they are: the zone is bogus there."""
        text = self.file(name).read_text()
        assert old in text, text
        self.file(name).write_text(text.replace(old, new))

    # ---- the server

    def start(self):
        conf = self.dir / "nsd.conf"
        addresses = "\n".join(f"\tip-address: {h}@{self.port}" for h in (self.host, *self.more_hosts))
        conf.write_text(f"""server:
{addresses}
\tusername: ""
\tchroot: ""
\tzonesdir: "{self.dir}"
\tdatabase: ""
\tpidfile: "{self.dir}/nsd.pid"
\txfrdfile: "{self.dir}/xfrd.state"
\tzonelistfile: "{self.dir}/zone.list"
\txfrdir: "{self.dir}"
\tserver-count: 1
\tipv4-edns-size: 1232
\trrl-ratelimit: 0
remote-control:
\tcontrol-enable: no
""" + "".join(f'zone:\n\tname: "{n}"\n\tzonefile: "{self.file(n)}"\n' for n in self.zones))
        with open(self.dir / "nsd.log", "ab") as log:
            self.process = subprocess.Popen([*self.wrapper, tool("nsd"), "-d", "-c", str(conf)], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + 10
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("nsd: " + (self.dir / "nsd.log").read_text())
            time.sleep(0.05)
        return self

    def answers(self):
        if self.wrapper:
            return "nsd started" in (self.dir / "nsd.log").read_text()
        try:
            with socket.create_connection((self.host, self.port), 1):
                return True
        except OSError:
            return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
        self.process = None

    def reload(self):
        self.stop()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for p in self.proxies:
            p.close()
        self.stop()

    # ---- between

    def proxy(self, name, **how):
        """A Proxy that instances ask for this zone from now on (settings())."""
        p = Proxy((self.host, self.port), **how)
        self.proxies.append(p)
        self.ports[name] = p.port
        return p

    # ---- what an instance needs

    def address(self, name):
        return f"{self.host}@{self.ports.get(name, self.port)}"

    def settings(self, anchors=None, timeout="5s", more=""):
        """A `resolver` section: a stub for each zone; signed ones trusted by their DS (anchors: name to line, to say
        otherwise), others insecure."""
        lines = [f"stub {' '.join(f'{n}={self.address(n)}' for n in self.zones)}", f"timeout {timeout}"]
        trusted = [f'"{(anchors or {}).get(n, self.anchor(n))}"' for n, z in self.zones.items() if z.sign]
        if trusted:
            lines.append("anchor " + " ".join(trusted))
        plain = [n for n, z in self.zones.items() if not z.sign]
        if plain:
            lines.append("insecure " + " ".join(plain))
        return "resolver {\n" + "".join(f"\t{line}\n" for line in lines + ([more] if more else [])) + "}"


class Proxy:
    """UDP and TCP to a server, counted by question; `silent` swallows them all."""

    def __init__(self, to, silent=False, delay=0.0, host="127.0.0.1", port=None):
        self.to, self.silent, self.delay = to, silent, delay
        self.port, self.asked, self.tcp = port or free_port(), [], 0
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, self.port))
        self.listener = socket.create_server((host, self.port))
        for run in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    def count(self, name, kind):
        """How often this question came, whatever the case of its letters."""
        return sum(1 for q in self.asked if q == (name.lower().rstrip("."), kind))

    def note(self, packet):
        labels, at = [], 12
        while at < len(packet) and packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii", "replace").lower())
            at += 1 + packet[at]
        self.asked.append((".".join(labels), int.from_bytes(packet[at + 1:at + 3], "big")))

    def serve_udp(self):
        while True:
            try:
                packet, peer = self.udp.recvfrom(65535)
            except OSError:
                return
            self.note(packet)
            if not self.silent:
                threading.Thread(target=self.pass_on, args=(packet, peer), daemon=True).start()

    def pass_on(self, packet, peer):
        time.sleep(self.delay)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.sendto(packet, self.to)
            try:
                self.udp.sendto(s.recv(65535), peer)
            except OSError:
                pass

    def serve_tcp(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.tcp += 1
            if self.silent:
                continue
            server = socket.create_connection(self.to, 5)
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=pump, args=(a, b), daemon=True).start()

    def close(self):
        self.udp.close()
        self.listener.close()


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def resolve(h, name, kind="A", **options):
    """`hikyaku resolve --json` as a dict."""
    import json
    done = h.cli("resolve", name, kind, "--json", check=False, **options)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)
