#!/usr/bin/python3
"""The command line over the real binary: exit codes, usage, the nearest command, --json, editing files through the server.

    commands.py HIKYAKU        TAP on stdout
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HIKYAKU = os.path.abspath(sys.argv[1])
PORTS = "21800"
failures = count = 0


def check(name, right, what=""):
    global failures, count
    count += 1
    failures += not right
    print(f"{'ok' if right else 'not ok'} {count} - {name}", flush=True)
    if not right:
        print("# " + str(what).replace("\n", "\n# "))


def run(*args, stdin="", timeout=60):
    return subprocess.run([HIKYAKU, *args], input=stdin, capture_output=True, text=True, timeout=timeout)


def rows(r):
    return [json.loads(line) for line in r.stdout.splitlines()]


def usage():
    r = run()
    check("no command is usage", r.returncode == 2, r)
    r = run("--help")
    check("--help is done", r.returncode == 0 and "account add" in r.stdout, r)
    r = run("acount", "add")
    check("a mistyped command names the nearest", r.returncode == 2 and '"account"' in r.stderr, r)
    r = run("-C", "/nowhere", "queue", "lsit")
    check("a mistyped verb too", r.returncode == 2 and '"queue list"' in r.stderr, r)
    r = run("queue", "list")
    check("without -C it asks which server", r.returncode == 2 and "-C DIR" in r.stderr, r)
    r = run("account", "add", "--help")
    check("each command has a page", r.returncode == 0 and r.stdout.startswith("NAME") and "SYNOPSIS" in r.stdout, r)
    r = run("account", "add", "--nonsense", "a@b")
    check("an unknown option is usage", r.returncode == 2 and "--nonsense" in r.stderr, r)
    r = run("setup", "/tmp/never")
    check("setup wants a hostname", r.returncode == 2 and "--hostname" in r.stderr, r)


def options():
    all_of_them = rows(run("--json", "config"))
    check("config lists every option with help", len(all_of_them) > 30 and all(row["help"] for row in all_of_them))
    r = run("config", "--json", "quota")
    check("config can be asked for one", [row["option"] for row in rows(r)] == ["store.quota"], r)
    check("config does not know others", run("config", "nonsense").returncode == 1)


def checks():
    r = run("check", "mime", stdin="Subject: x\n\nhi\n")
    check("check mime prints JSON", r.returncode == 0 and json.loads(r.stdout)["type"] == "text/plain", r)
    r = run("check", "charset", "no-such-charset", stdin="x")
    check("check fails with 1", r.returncode == 1 and r.stderr, r)
    check("check of nothing known is usage", run("check", "nonsense").returncode == 2)


def setup(folder):
    r = run("setup", folder, "--hostname", "mx.example.test", "--domain", "example.test", "--ports", PORTS)
    check("setup", r.returncode == 0, r)
    modes = {name: os.stat(os.path.join(folder, name)).st_mode & 0o777 for name in ("keys", "data", "keys/seal.key")}
    check("keys and data are closed", modes == {"keys": 0o700, "data": 0o700, "keys/seal.key": 0o600}, modes)
    r = run("setup", folder, "--hostname", "mx.example.test", "--domain", "example.test")
    check("a second setup is refused", r.returncode == 1, r)
    r = run("-C", folder, "status")
    check("without a server it says how to start one", r.returncode == 1 and "hikyaku serve" in r.stderr, r)
    r = run("-C", folder, "--json", "config", "ports")
    check("config -C shows the values in force", rows(r)[0]["value"] == PORTS, r)
    bad = folder + "-bad"
    r = run("setup", bad, "--hostname", "mx.example.test", "--domain", "not a domain")
    check("setup checks before it writes", r.returncode == 1 and not os.path.exists(bad + "/etc/hikyaku.conf"), r)
    shutil.rmtree(bad, ignore_errors=True)


def links(folder):
    """DIR's owner need not be root, who sets up and serves: a link that he left must not lead elsewhere."""
    theirs = folder + "-theirs"
    elsewhere = folder + "-elsewhere"
    os.mkdir(theirs)
    os.mkdir(elsewhere, 0o711)
    os.symlink(elsewhere, os.path.join(theirs, "data"))
    r = run("setup", theirs, "--hostname", "mx.example.test", "--domain", "example.test", "--ports", PORTS)
    check("setup follows no link", r.returncode == 1 and os.stat(elsewhere).st_mode & 0o777 == 0o711, r)
    os.unlink(os.path.join(theirs, "data"))
    run("setup", theirs, "--hostname", "mx.example.test", "--domain", "example.test", "--ports", PORTS)
    os.rmdir(os.path.join(theirs, "run"))
    os.symlink(elsewhere, os.path.join(theirs, "run"))
    try:
        r = run("serve", theirs, timeout=10)
        code = r.returncode
    except subprocess.TimeoutExpired as e:
        r, code = e, None
    check("serve follows no link", code == 1 and os.listdir(elsewhere) == [], (r, os.listdir(elsewhere)))
    shutil.rmtree(theirs)
    shutil.rmtree(elsewhere)


def domains(folder):
    def listed():
        return [row["domain"] for row in rows(run("-C", folder, "--json", "domain", "list"))]

    check("domain list", listed() == ["example.test"])
    r = run("-C", folder, "domain", "add", "second.test")
    check("domain add", r.returncode == 0 and listed() == ["example.test", "second.test"], r)
    check("domain add of one that is there", run("-C", folder, "domain", "add", "SECOND.test").returncode == 1)
    check("domain add of nonsense", run("-C", folder, "domain", "add", "a b").returncode == 1)
    r = run("-C", folder, "domain", "remove", "second.test")
    check("domain remove", r.returncode == 0 and listed() == ["example.test"], r)
    check("domain remove of one that is not", run("-C", folder, "domain", "remove", "second.test").returncode == 1)
    history = os.path.join(folder, "etc/.history")
    check("the old files are kept", os.path.isdir(history) and len(os.listdir(history)) >= 2, history)
    mode = os.stat(os.path.join(folder, "etc/hikyaku.conf")).st_mode & 0o777
    check("people can still read the configuration", mode == 0o644, oct(mode))


def accounts(folder):
    def listed():
        return [row["address"] for row in rows(run("-C", folder, "--json", "account", "list"))]

    r = run("-C", folder, "account", "add", "ken@example.test", "--password-stdin", stdin="geheim 秘密\n")
    check("account add", r.returncode == 0 and listed() == ["ken@example.test"], r)
    r = run("-C", folder, "account", "add", "ken@example.test", "--password-stdin", stdin="x\n")
    check("account add twice", r.returncode == 1 and r.stderr, r)
    r = run("-C", folder, "account", "add", "mai@example.test", "--password-stdin")
    check("account add without a password", r.returncode == 1, r)
    for args in (("password", "ken@example.test", "--password-stdin"), ("quota", "ken@example.test", "10m"),
                 ("suspend", "ken@example.test"), ("resume", "ken@example.test")):
        r = run("-C", folder, "account", *args, stdin="other\n")
        check(f"account {args[0]}", r.returncode == 0, r)
    check("account quota wants a size", run("-C", folder, "account", "quota", "ken@example.test", "big").returncode == 2)
    run("-C", folder, "domain", "add", "例え.test")
    r = run("-C", folder, "account", "add", "健@例え.test", "--password-stdin", stdin="x\n")
    check("account add in a Japanese domain", r.returncode == 0 and "健@xn--r8jz45g.test" in listed(), (r, listed()))
    r = run("-C", folder, "account", "remove", "健@例え.TEST")
    check("account remove there", r.returncode == 0 and listed() == ["ken@example.test"], (r, listed()))
    run("-C", folder, "domain", "remove", "例え.test")
    check("account add of what is no address", run("-C", folder, "account", "add", "a b@c", "--password-stdin",
                                                   stdin="x\n").returncode == 1)
    r = run("-C", folder, "account", "remove", "nobody@example.test")
    check("account remove of nobody", r.returncode == 1, r)


def aliases(folder):
    def listed():
        return {row["alias"]: row["targets"] for row in rows(run("-C", folder, "--json", "alias", "list"))}

    r = run("-C", folder, "alias", "add", "team@example.test", "ken@example.test", "mai@example.test")
    check("alias add", r.returncode == 0 and listed() == {"team@example.test": "ken@example.test, mai@example.test"}, r)
    r = run("-C", folder, "alias", "add", "team@example.test", "ken@example.test")
    check("alias add replaces", r.returncode == 0 and listed() == {"team@example.test": "ken@example.test"}, r)
    r = run("-C", folder, "alias", "add", "loop@example.test", "pool@example.test")
    r = run("-C", folder, "alias", "add", "pool@example.test", "loop@example.test")
    check("a circle is refused and says where", r.returncode == 1 and "virtual:" in r.stderr, r)
    r = run("-C", folder, "alias", "remove", "team@example.test")
    check("alias remove", r.returncode == 0 and "team@example.test" not in listed(), r)
    check("alias remove of none", run("-C", folder, "alias", "remove", "team@example.test").returncode == 1)


def served(folder):
    log = os.path.join(folder, "log")
    with open(log, "w", encoding="utf-8") as out:
        server = subprocess.Popen([HIKYAKU, "serve", folder], stderr=out, stdout=out)
    try:
        end = time.monotonic() + 20
        while run("-C", folder, "status").returncode != 0 and time.monotonic() < end:
            time.sleep(0.05)
        r = run("-C", folder, "status")
        check("status", r.returncode == 0 and "store" in r.stdout, r)
        domains(folder)
        accounts(folder)
        aliases(folder)
        r = run("-C", folder, "--json", "queue", "list")
        check("an empty queue is no rows", r.returncode == 0 and rows(r) == [], r)
        check("queue show of none", run("-C", folder, "queue", "show", "nonsense").returncode == 1)
        for verb in ("image", "sweep", "reload"):
            r = run("-C", folder, verb)
            check(verb, r.returncode == 0, r)
    finally:
        server.terminate()
        server.wait(60)
        with open(log, encoding="utf-8") as f:
            check("no sanitizer has complained", "Sanitizer" not in f.read())
        if failures:
            with open(log, encoding="utf-8") as f:
                print("# " + f.read().replace("\n", "\n# "))


def main():
    folder = tempfile.mkdtemp(prefix="hikyaku-commands-")
    try:
        usage()
        options()
        checks()
        setup(folder)
        links(folder)
        served(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"1..{count}")
    return 1 if failures else 0


sys.exit(main())
