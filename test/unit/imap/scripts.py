"""ImapTest's scripts against fake_imapd (argument 1): the engine alone. Skipped (77) without the test data."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "end"))
import imap_scripts  # noqa: E402

if not imap_scripts.folder().exists():
    print(f"no {imap_scripts.folder()}")
    sys.exit(77)
server = subprocess.Popen([sys.argv[1], "0"], stdout=subprocess.PIPE, text=True)
try:
    port = server.stdout.readline().strip()
    sys.exit(imap_scripts.main(["127.0.0.1", port, "ken@example.test", "secret"]))
finally:
    server.terminate()
