"""The cloud provider throttles outbound port 25: some connects are answered, some time out, across hosts that have nothing to do with
each other. Mail comes from a web form, by the sendmail command.

Every form gets its 0, and no mail is lost or bounced. The incident stands within a minute and says that it is the network; mail to
hosts that answer goes on; the fallback route that it names, once configured and reloaded, takes the rest along."""
import contextlib
import re
import socket
import subprocess
import time

from instance import wait_for
from sink import Sink
from zones import Zones

SILENT, ANSWERING = 8, 2


class Silent:
    """A host that answers no connect: a listener whose backlog is full."""

    def __init__(self, ip, port):
        self.sockets = [socket.socket()]
        self.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sockets[0].bind((ip, port))
        self.sockets[0].listen(0)
        for _ in range(3):
            s = socket.socket()
            s.setblocking(False)
            self.sockets.append(s)
            with contextlib.suppress(BlockingIOError):
                s.connect((ip, port))

    def close(self):
        for s in self.sockets:
            s.close()


def form(h, to, n):
    """What a web form does: a program of PHP's, and a page that shows whether it worked."""
    done = subprocess.run([str(h.binary), "sendmail", "-C", str(h.dir), "-i", "-f", "form@example.test", "--", to], text=True,
                          input=f"From: form@example.test\nSubject: form {n}\n\nhello\n", capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_throttled_port_is_said_and_loses_nothing(fresh, tmp_path):
    with Zones(tmp_path / "zones") as zones, contextlib.ExitStack() as stack:
        for i in range(SILENT + ANSWERING):
            zones.zone(f"d{i}.test", f"@ MX 10 mx\nmx A 127.{40 + i}.0.1")
        zones.start()
        h = fresh(start=False)
        port, spare = h.base + 77, h.base + 78
        h.append("hikyaku.conf", f"""
carry {{ port {port}  allow-networks 127.0.0.0/8  connect-timeout 1s }}
queue {{ retry-first 1s  retry-last 2s }}
{zones.settings()}""")
        h.start()
        h.account("form")
        for i in range(SILENT):
            stack.callback(Silent(f"127.{40 + i}.0.1", port).close)
        hosts = [stack.enter_context(Sink(port, f"127.{40 + i}.0.1")) for i in range(SILENT, SILENT + ANSWERING)]
        began = time.monotonic()
        for i in range(SILENT + ANSWERING):
            form(h, f"x@d{i}.test", i)
        assert wait_for(lambda: all(s.mails for s in hosts), 20), "hosts that answer wait, too"
        assert wait_for(lambda: "25" in h.cli("incidents", check=False).stdout, 60), h.log_text()[-2000:]
        stood = time.monotonic() - began
        shown = h.cli("incidents", "--json").stdout
        number = re.search(r'"id":(\d+)', shown).group(1)
        text = h.cli("incidents", "show", number).stdout
        assert "fallback-route" in text and "hikyaku" in text, text
        assert re.search("[぀-ヿ]", h.cli("incidents", "show", number, "--lang", "ja").stdout)
        assert h.cli("queue", "list", "--json").stdout.count('"recipient"') == SILENT, "all of it is in sight"

        smarthost = stack.enter_context(Sink(spare, "127.0.0.51"))
        h.append("hikyaku.conf", f"route spare {{ host 127.0.0.51  port {spare} }}")
        conf = (h.dir / "etc" / "hikyaku.conf").read_text()
        h.write("hikyaku.conf", conf.replace("\tconnect-timeout 1s", "\tconnect-timeout 1s\n\tfallback-route spare"))
        assert h.reload().returncode == 0
        assert wait_for(lambda: len({r for m in list(smarthost.mails) for r in m.recipients}) == SILENT, 60), \
            h.cli("queue", "list").stdout + h.log_text()[-2000:]
        assert wait_for(lambda: not h.cli("queue", "list", "--json").stdout.strip(), 20)
        assert len(smarthost.mails) == SILENT and all(len(s.mails) == 1 for s in hosts)
        assert "failed=" not in h.log_text()
        print(f"mails lost 0, bounced 0; incident after {stood:.1f} s; mended by `fallback-route` and reload")
