"""An instance of Hikyaku for tests and the bench: its folder, its ports, its processes."""
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLES = ("keeper", "store", "resolver", "mx", "access", "sorter", "web", "courier", "watch")
STANDARD = {"smtp": 25, "imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995, "submission": 587, "submissions": 465}


def binary():
    """HIKYAKU names it; otherwise what `make` built."""
    return pathlib.Path(os.environ.get("HIKYAKU", ROOT / "build" / "hikyaku")).resolve()


def free_base(start=28000, end=31900):
    """A --ports BASE whose ports nobody listens on; by chance, so that two runs at once rarely meet."""
    bases = list(range(start, end, 100))
    random.shuffle(bases)
    for base in bases:
        if all(port_free(base + p) for p in STANDARD.values()):
            return base
    raise RuntimeError(f"no free ports between {start} and {end}")


def port_free(port):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((host, port))
            except OSError:
                return False
    return True


def wait_for(what, seconds=10.0, step=0.02):
    """Asks until what() is true; its value, or None when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            return value or None
        time.sleep(step)


def listening(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 2).close()
        return True
    except OSError:
        return False


def blocks(text):
    """`section { key value  key value }` in one line, as tests write it, becomes the lines of hikyaku.conf."""
    def open_up(m):
        return m[1].strip() + " {\n" + "".join(f"\t{pair}\n" for pair in re.split(r"\s{2,}", m[2].strip())) + "}"
    return re.sub(r"^([^\n{#]*)\{ (.*) \}$", open_up, text, flags=re.M)


class Instance:
    """`with Instance(dir) as h:` sets DIR up, serves it, and stops it in order."""

    def __init__(self, folder, base=None, domain="example.test", hostname="mx.example.test", settings="",
                 wrapper=(), env=None):
        self.dir = pathlib.Path(folder)
        self.base = base if base is not None else free_base()
        self.domain, self.hostname = domain, hostname
        self.settings = settings
        self.wrapper = list(wrapper)  # strace and the like, before the server's argv
        self.env = dict(os.environ, **(env or {}))
        self.process = None
        self.binary = binary()
        self.log_path = self.dir.parent / (self.dir.name + ".log")

    def port(self, protocol):
        return self.base + STANDARD[protocol]

    # ---- its folder

    def setup(self):
        subprocess.run(
            [str(self.binary), "setup", str(self.dir), "--hostname", self.hostname, "--domain", self.domain,
             "--ports", str(self.base)], check=True, capture_output=True, text=True, env=self.env, timeout=60)
        if self.settings:
            self.append("hikyaku.conf", self.settings)
        return self

    def append(self, name, text):
        path = self.dir / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as f:
            f.write("\n" + blocks(text.strip()) + "\n")

    def write(self, name, text):
        path = self.dir / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    # ---- its life

    def start(self, wait=True, seconds=20):
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [*self.wrapper, str(self.binary), "serve", str(self.dir)], stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, env=self.env, start_new_session=True)
        if wait and not wait_for(lambda: self.process.poll() is not None or self.ready(), seconds):
            self.kill()
            raise RuntimeError(f"not serving after {seconds} s:\n{self.log_text()[-3000:]}")
        if wait and self.process.poll() is not None:
            code, self.process = self.process.returncode, None
            raise RuntimeError(f"serve ended with {code}:\n{self.log_text()[-3000:]}")
        return self

    def ready(self):
        return ((self.dir / "run" / "admin.sock").exists() and self.greets()
                and all(listening(self.port(p)) for p in ("imap", "pop3")))

    def greets(self):
        """A greeting, and a store behind it that knows the recipient or that it does not."""
        try:
            with socket.create_connection(("127.0.0.1", self.port("smtp")), 2) as s:
                s.settimeout(5)
                return s.recv(4096).startswith(b"220")
        except OSError:
            return False

    def stop(self, seconds=15):
        """SIGTERM to master, in order; the exit code."""
        if self.process is None:
            return None
        code = self.process.poll()
        if code is None:
            os.kill(self.master(), signal.SIGTERM)
            try:
                code = self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError(f"no end {seconds} s after SIGTERM:\n{self.log_text()[-3000:]}") from None
        self.process = None
        self.log.close()
        return code

    def kill(self):
        """All of it at once, as a power cut would."""
        for pid in self.pids():  # master first: it would start the others again
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process = None

    def __enter__(self):
        return self.setup().start() if not self.dir.exists() else self.start()

    def __exit__(self, *exc):
        if self.process is not None:
            self.stop()

    # ---- its processes

    def master(self):
        if not self.wrapper:
            return self.process.pid
        for pid in self.pids():
            args = cmdline(pid)
            if args[1:2] == ["serve"]:
                return pid
        return self.process.pid

    def pids(self):
        return tree(self.process.pid) if self.process else []

    def role_pids(self, role):
        """Processes of one role. Their argv is `hikyaku role NAME ...`."""
        return [pid for pid in self.pids() if cmdline(pid)[1:3] == ["role", role] or role_of(pid) == role]

    def log_text(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    # ---- its command line

    def cli(self, *args, stdin=None, check=True, timeout=60):
        done = subprocess.run([str(self.binary), "-C", str(self.dir), *args], input=stdin, capture_output=True, text=True,
                              env=self.env, timeout=timeout)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(args)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def account(self, name, password="secret"):
        address = name if "@" in name else f"{name}@{self.domain}"
        self.cli("account", "add", address, "--password-stdin", stdin=password + "\n")
        return address

    def reload(self):
        return self.cli("reload", check=False)


def cmdline(pid):
    try:
        return pathlib.Path("/proc", str(pid), "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def role_of(pid):
    """By the process's name, `hikyaku-store` or `store`."""
    try:
        comm = pathlib.Path("/proc", str(pid), "comm").read_text().strip()
    except OSError:
        return ""
    return re.sub(r"^(hikyaku[-:/]|hk[-:])", "", comm)


def tree(root):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    todo, found = [root], []
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, []))
    return found
