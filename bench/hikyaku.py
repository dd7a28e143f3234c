"""Hikyaku as the bench runs it: the release build with its walls, 100 accounts and one for the big mailbox."""
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "test" / "end"))
import imap  # noqa: E402
import instance  # noqa: E402
from peers import PASSWORD, USERS, Absent, Daemon  # noqa: E402

SETTINGS = """
connections { per-address 100000  total 100000 }
smtp { mails 1000000 }
"""
BIG = "big@example.test"


class Hikyaku(Daemon):
    name = "Hikyaku"

    def __init__(self, folder, base):
        if not instance.binary().exists():
            raise Absent(f"no {instance.binary()}: run make first")
        self.folder = folder
        self.server = instance.Instance(folder / "hikyaku", base=base, settings=SETTINGS)
        self.port, self.imap, self.imaps = (self.server.port(p) for p in ("smtp", "imap", "imaps"))
        self.readers, self.before = [], 0

    def start(self):
        stamp = self.folder / "hikyaku.ready"
        fresh = not stamp.exists()
        if fresh:
            shutil.rmtree(self.server.dir, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            self.server.setup()
        self.server.start()
        self.process = self.server.process
        if fresh:
            for name in [f"user{i}" for i in range(USERS)] + [BIG]:
                self.server.account(name, PASSWORD)
            stamp.write_text("")

    def stop(self):
        for reader in self.readers:
            reader.close()
        self.readers = []
        if self.process:
            self.server.stop(60)
            self.process = None

    def restart(self):
        self.stop()
        self.start()

    def placed(self):
        """Mails in all mailboxes since clear(), as IMAP's STATUS tells them."""
        if not self.readers:
            for i in range(USERS):
                reader = imap.Imap(self.imap)
                reader.login(f"user{i}@example.test", PASSWORD)
                self.readers.append(reader)
        return sum(reader.status() for reader in self.readers) - self.before

    def clear(self):
        """Nothing is deleted between rows: the log goes on, as it does in life."""
        self.before += self.placed()

    def disk_octets(self):
        total = 0
        for path, _, names in os.walk(self.server.dir / "data"):
            total += sum(os.path.getsize(os.path.join(path, name)) for name in names)
        return total
