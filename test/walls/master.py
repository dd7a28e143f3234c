#!/usr/bin/python3
"""Master over the real binary: every role is back within a second after kill -9 while the others keep their processes; a second
serve names the first; a broken configuration keeps the old one and names file and line; SIGTERM stops in order.

    master.py HIKYAKU        TAP on stdout
"""
import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HIKYAKU = os.path.abspath(sys.argv[1])
PORTS = "21600"
failures = count = 0


def check(name, right, what=""):
    global failures, count
    count += 1
    failures += not right
    print(f"{'ok' if right else 'not ok'} {count} - {name}", flush=True)
    if not right and what:
        print("# " + str(what).replace("\n", "\n# "))


def run(*args, **more):
    return subprocess.run([HIKYAKU, *args], capture_output=True, text=True, timeout=60, **more)


def status(folder):
    """role -> row; empty while web is away."""
    r = run("-C", folder, "--json", "status")
    rows = [json.loads(line) for line in r.stdout.splitlines() if line.startswith("{")]
    return {row["role"]: row for row in rows if "role" in row}


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.01)
    return False


def all_ready(folder):
    rows = status(folder)
    return rows and all(row["state"] == "ready" for row in rows.values())


def read_log(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def alive(pid):
    """A zombie that nobody has collected is not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def field(pid, name):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return next(line.split()[1:] for line in f if line.startswith(name + ":"))


def walls(folder):
    """Who each role is, as the kernel sees it."""
    pids = {name: row["pid"] for name, row in status(folder).items()}
    if os.environ.get("HIKYAKU_WALLS") != "off":
        check("every role has a seccomp filter", all(field(pid, "Seccomp") == ["2"] for pid in pids.values()))
        check("and no new privileges", all(field(pid, "NoNewPrivs") == ["1"] for pid in pids.values()))
    else:
        print("# the walls are off: a sanitizer build")
    if os.geteuid() == 0:
        uids = {name: tuple(field(pid, "Uid")) for name, pid in pids.items()}
        check("each role has a user of its own", len(set(uids.values())) == len(uids) and
              all("0" not in uid for uid in uids.values()), uids)
        check("and no groups but its own", all(field(pid, "Groups") == [field(pid, "Gid")[0]] for pid in pids.values()))
        check("and no capabilities", all(int(field(pid, "CapEff")[0], 16) == 0 for pid in pids.values()))
    else:
        print("# not root: the roles share a user")


def kill_each(folder, log):
    before = status(folder)
    for name, row in sorted(before.items()):
        mark = len(read_log(log))
        start = time.monotonic()
        os.kill(row["pid"], signal.SIGKILL)
        back = wait_for(lambda: f"role-ready {name} " in read_log(log)[mark:])
        took = time.monotonic() - start
        # The promise is a second; the bound here is wide, since a test must not depend on the machine's mood.
        check(f"{name} is back after kill -9", back and took < 10, f"{took:.3f} s")
        print(f"# {name} took {took * 1000:.0f} ms")
        wait_for(lambda: all_ready(folder))
        now = status(folder)
        others = {k: v["pid"] for k, v in now.items() if k != name}
        check(f"{name}'s death leaves the others alone",
              others == {k: v["pid"] for k, v in before.items() if k != name}, now)
        check(f"{name} is a new process", name in now and now[name]["pid"] != row["pid"], now)
        before = now


def reload_keeps_the_old(folder, log):
    conf = os.path.join(folder, "etc/hikyaku.conf")
    old = read_log(conf)
    generation = status(folder)["web"]["generation"]
    with open(conf, "a", encoding="utf-8") as f:
        f.write("\nno-such-option 1\n")
    line = old.count("\n") + 2
    r = run("-C", folder, "reload")
    check("a broken configuration is refused", r.returncode == 1, r)
    check("with file and line", f"hikyaku.conf:{line}" in r.stderr, r.stderr)
    check("and the old one stays", status(folder)["web"]["generation"] == generation)
    with open(conf, "w", encoding="utf-8") as f:
        f.write(old)
    r = run("-C", folder, "reload")
    check("a right one is taken", r.returncode == 0 and status(folder)["web"]["generation"] == generation + 1, r)


def hangup_reloads(folder, pid, log):
    mark = len(read_log(log))
    os.kill(pid, signal.SIGHUP)
    check("SIGHUP reloads", wait_for(lambda: " reloaded " in read_log(log)[mark:]), read_log(log)[mark:])


def master_dies(folder, log, server):
    """kill -9 of master takes all with it, and the next one starts at once."""
    pids = [row["pid"] for row in status(folder).values()]
    server.kill()
    server.wait()
    with open(log, "a", encoding="utf-8") as out:
        again = subprocess.Popen([HIKYAKU, "serve", folder], stderr=out, stdout=out)
    check("a new master starts right after kill -9 of the old one", wait_for(lambda: all_ready(folder)), read_log(log))
    check("and no role of the old one is left", not any(alive(pid) for pid in pids), pids)
    return again


def without_landlock():
    """In a child, before it executes: Landlock's first call is not there, as on an older kernel."""
    lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    lib.seccomp_init.restype = ctypes.c_void_p
    allow, enosys = 0x7FFF0000, 0x00050000 | errno.ENOSYS
    f = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(allow)))
    call = lib.seccomp_syscall_resolve_name(b"landlock_create_ruleset")
    if lib.seccomp_rule_add(f, ctypes.c_uint32(enosys), call, 0) or lib.seccomp_load(f):
        os._exit(99)


def missing_walls(folder, log):
    if os.environ.get("HIKYAKU_WALLS") == "off":
        return
    conf = os.path.join(folder, "etc/hikyaku.conf")
    old = read_log(conf)
    with open(conf, "w", encoding="utf-8") as f:
        f.write("sandbox require\n" + old)
    r = subprocess.run([HIKYAKU, "serve", folder], capture_output=True, text=True, timeout=60, preexec_fn=without_landlock)
    check("`sandbox require` refuses without Landlock and names it", r.returncode == 1 and "Landlock" in r.stderr, r)
    with open(conf, "w", encoding="utf-8") as f:
        f.write(old)
    with open(log, "a", encoding="utf-8") as out:
        server = subprocess.Popen([HIKYAKU, "serve", folder], stderr=out, stdout=out, preexec_fn=without_landlock)
    check("otherwise it goes on", wait_for(lambda: all_ready(folder)), read_log(log))
    rows = status(folder)
    check("and status names the missing wall", rows and all("Landlock" in row["missing_wall"] for row in rows.values()), rows)
    server.terminate()
    check("and it stops", server.wait(60) == 0, read_log(log))


def main():
    folder = tempfile.mkdtemp(prefix="hikyaku-master-")
    log = os.path.join(folder, "log")
    r = run("setup", folder, "--hostname", "mx.example.test", "--domain", "example.test", "--ports", PORTS)
    check("setup", r.returncode == 0, r)
    check("a second setup is refused", run("setup", folder, "--hostname", "a.test", "--domain", "a.test").returncode == 1)
    with open(log, "w", encoding="utf-8") as out:
        server = subprocess.Popen([HIKYAKU, "serve", folder], stderr=out, stdout=out)
    try:
        check("all roles get ready", wait_for(lambda: all_ready(folder)), read_log(log))
        second = run("serve", folder)
        check("a second serve names the first's pid", second.returncode == 1 and f"pid {server.pid}" in second.stderr, second)
        walls(folder)
        kill_each(folder, log)
        reload_keeps_the_old(folder, log)
        hangup_reloads(folder, server.pid, log)
        server = master_dies(folder, log, server)
        pids = [row["pid"] for row in status(folder).values()]
        server.send_signal(signal.SIGTERM)
        check("SIGTERM ends it with 0", server.wait(60) == 0, read_log(log))
        check("and no role is left", not any(alive(pid) for pid in pids), pids)
        stops = [line.split()[3] for line in read_log(log).splitlines() if " role-stopped " in line]
        phase = {"sorter": 1, "courier": 1, "watch": 1, "keeper": 2, "resolver": 2, "store": 3}
        phases = [phase.get(name, 0) for name in stops]
        check("fronts first, store last", phases == sorted(phases) and phases[-1:] == [3], stops)
        missing_walls(folder, log)
        check("no sanitizer has complained", "Sanitizer" not in read_log(log), read_log(log))
        check("nothing had to be killed", "did not stop in time" not in read_log(log), read_log(log))
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        if failures:
            print("# " + read_log(log).replace("\n", "\n# "))
        shutil.rmtree(folder, ignore_errors=True)
    print(f"1..{count}")
    return 1 if failures else 0


sys.exit(main())
