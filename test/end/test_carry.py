"""Mail going out to scripted hosts: what each fault of theirs leads to. Destinations are reached by `route` sections, so that no DNS
is needed; what the DNS, DANE and MTA-STS change is in test_carry_dns.py."""
import contextlib
import itertools
import random
import re
import smtplib
import socket
import threading
import time

import pytest
from instance import port_free, wait_for
from sink import CLOSE, DRIP, HALF, RESET, STALL, Sink
from talk import PASSWORD

HOSTS = 80
NUMBERS = itertools.count(1)


def free_port():
    while not port_free(port := random.randrange(32050, 32700)):
        pass
    return port


class Out:
    """An instance whose destinations N.test (n0.test, n1.test ...) are hosts 127.0.1.N on one port; each test takes its own."""

    def __init__(self, fresh, settings="", hosts=HOSTS, more=""):
        self.port = free_port()
        routes = "".join(f"route n{i} {{\n\tto n{i}.test\n\thost 127.0.1.{i + 1}\n\tport {self.port}\n\ttls may\n}}\n"
                         for i in range(hosts))
        self.h = fresh(settings=f"""
carry {{ port {self.port}  allow-networks 127.0.0.0/8  reply-timeout 2s  data-timeout 2s  connect-timeout 2s  {settings} }}
queue {{ retry-first 1s  retry-last 2s }}
sending {{ messages-hour 0  messages-day 0  recipients-hour 0  recipients-day 0  watch off }}
{routes}{more}""")
        self.hosts = iter(range(hosts))

    def destination(self):
        n = next(self.hosts)
        return f"n{n}.test", f"127.0.1.{n + 1}"

    @contextlib.contextmanager
    def host(self, **options):
        domain, ip = self.destination()
        with Sink(self.port, ip, **options) as s:
            s.domain = domain
            yield s

    def send(self, *recipients, sender="ken@example.test", text="hello", options=(), rcpt_options=()):
        """Submits a mail and returns its token, which stands in its subject."""
        token = f"token-{next(NUMBERS)}"
        with smtplib.SMTP("127.0.0.1", self.h.port("submission"), timeout=30) as c:
            c.login("ken@example.test", PASSWORD)
            c.sendmail(sender, list(recipients),
                       f"From: {sender}\r\nTo: x@y.test\r\nSubject: {token}\r\n\r\n{text}\r\n", list(options),
                       list(rcpt_options))
        return token

    def queue(self, subject=""):
        return self.h.cli("queue", "list", *([subject] if subject else []), "--json").stdout.splitlines()

    def left(self, seconds=15):
        """Nothing is queued any more."""
        return wait_for(lambda: not self.queue(), seconds, 0.1)

    def carried(self, domain):
        return re.findall(rf" carried .*destination={re.escape(domain)} .*", self.h.log_text())


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    import instance
    made = []

    def make(settings="", **options):
        h = instance.Instance(tmp_path_factory.mktemp("carry") / "h", settings=settings, **options)
        made.append(h)
        h.setup().start()
        h.account("ken", PASSWORD)
        return h
    yield Out(make, "idle 1s")
    for h in made:
        h.stop()


def got(sink, token):
    return [m for m in list(sink.mails) if f"Subject: {token}".encode() in m.content]


def arrives(sink, token, seconds=15):
    assert wait_for(lambda: got(sink, token), seconds), "it did not arrive"
    return got(sink, token)


# ---- the ordinary way


@pytest.mark.asan
def test_a_mail_arrives_once_and_leaves_the_queue(shared):
    with shared.host() as s:
        token = shared.send(f"mari@{s.domain}")
        mail, = arrives(s, token)
        assert mail.sender == "ken@example.test" and mail.recipients == [f"mari@{s.domain}"]
        assert mail.helo == "mx.example.test" and mail.content.endswith(b"\r\n\r\nhello\r\n")
        assert shared.left()
        assert len(got(s, token)) == 1


def test_a_forwarded_mail_has_no_return_path(shared):
    with shared.host() as s:
        shared.h.write("virtual", f"away{s.port}@example.test mari@{s.domain}\n")
        assert shared.h.reload().returncode == 0
        with smtplib.SMTP("127.0.0.1", shared.h.port("smtp"), timeout=30) as c:
            c.sendmail("far@else.test", [f"away{s.port}@example.test"], "Subject: token-away\r\n\r\nhello\r\n")
        mail, = arrives(s, "token-away")
        assert mail.sender == "far@else.test" and b"Return-Path" not in mail.content
        assert mail.content.startswith(b"Received:") or mail.content.startswith(b"Delivered-To")


def test_recipients_of_a_destination_share_one_transaction(shared):
    with shared.host() as s, shared.host() as t:
        token = shared.send(*(f"r{i}@{s.domain}" for i in range(30)), f"one@{t.domain}")
        mail, = arrives(s, token)
        assert sorted(mail.recipients) == sorted(f"r{i}@{s.domain}" for i in range(30))
        other, = arrives(t, token)
        assert other.recipients == [f"one@{t.domain}"]


def test_a_connection_is_used_again(shared):
    with shared.host() as s:
        tokens = [shared.send(f"mari@{s.domain}") for _ in range(10)]
        for token in tokens:
            assert len(arrives(s, token)) == 1
        assert s.connections < 5, f"{s.connections} connections for 10 mails"


def test_a_kept_connection_that_the_host_closed_costs_nothing(shared):
    """The host goes away after each mail, as some do: the next mail finds a dead connection, and must not wait for it."""
    def hang_up(session, argument):
        return "421 4.4.2 idle too long" if session.mails else None
    with shared.host(script={"mail": hang_up}) as s:
        for _ in range(3):
            token = shared.send(f"mari@{s.domain}")
            arrives(s, token, 5)
        assert shared.left()


def test_dots_and_long_lines_survive(shared):
    text = ".\r\n..\r\n.x\r\n" + "long " * 180 + "\r\nend."
    with shared.host() as s:
        mail, = arrives(s, shared.send(f"mari@{s.domain}", text=text))
        assert mail.content.partition(b"\r\n\r\n")[2] == text.encode() + b"\r\n"


def test_a_large_mail(shared):
    text = "\r\n".join(f"line {i} of many" for i in range(200000))
    with shared.host() as s:
        mail, = arrives(s, shared.send(f"mari@{s.domain}", text=text), 30)
        assert mail.content.partition(b"\r\n\r\n")[2] == text.encode() + b"\r\n"


def test_dsn_parameters_go_along(shared):
    with shared.host() as s:
        token = shared.send(f"mari@{s.domain}", options=["RET=HDRS", "ENVID=abc"], rcpt_options=["NOTIFY=SUCCESS,FAILURE"])
        mail, = arrives(s, token)
        assert "ENVID=abc" in mail.parameters and "RET=HDRS" in mail.parameters
        assert "NOTIFY=SUCCESS,FAILURE" in mail.rcpt_parameters[0]


def test_an_old_host_without_ehlo(shared):
    with shared.host(script={"ehlo": "502 5.5.1 not implemented"}) as s:
        mail, = arrives(s, shared.send(f"mari@{s.domain}"))
        assert mail.parameters == ""


# ---- refusals


def test_an_unknown_user_bounces_the_others_arrive(shared):
    def rcpt(session, address):
        return "550 5.1.1 no such user" if address.startswith("nobody") else None
    with shared.host(script={"rcpt": rcpt}) as s:
        token = shared.send(f"nobody@{s.domain}", f"mari@{s.domain}")
        mail, = arrives(s, token)
        assert mail.recipients == [f"mari@{s.domain}"]
        assert shared.left()
        assert wait_for(lambda: "failed=1" in "".join(shared.carried(s.domain)))


@pytest.mark.parametrize("stage", ["mail", "data", "content"])
def test_a_5xx_to_the_mail_bounces(shared, stage):
    with shared.host(script={stage: "554 5.6.0 not this mail"}) as s:
        shared.send(f"mari@{s.domain}")
        assert shared.left()
        assert "failed=1" in shared.carried(s.domain)[0]


def test_greylisting_is_waited_out(shared):
    """The host is asked again when greylists usually open (policy/replies.def), not sooner; an operator may be impatient."""
    seen = {}

    def rcpt(session, address):
        first = seen.setdefault(address, time.monotonic())
        return "450 4.2.0 Greylisted, see http://x.test" if time.monotonic() - first < 1 else None
    with shared.host(script={"rcpt": rcpt}) as s:
        token = shared.send(f"mari@{s.domain}")
        assert wait_for(lambda: shared.carried(s.domain), 10)
        assert "deferred=1" in shared.carried(s.domain)[0] and "class=greylist" in shared.carried(s.domain)[0]
        time.sleep(1)
        assert not got(s, token)
        shared.h.cli("queue", "retry", f"mari@{s.domain}")
        assert len(arrives(s, token)) == 1
        assert shared.left()


# ---- faults of the host, one by one: nothing lost, nothing doubled, delivered when it is well again

BREAKS = {"421": "421 4.3.2 shutting down", "451": "451 4.3.0 local trouble", "close": CLOSE, "reset": RESET, "half-closed": HALF,
          "stall": STALL}
STAGES = ("greeting", "ehlo", "mail", "rcpt", "data", "content")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("how", BREAKS)
def test_a_fault_at_a_stage(shared, stage, how):
    broken = threading.Event()

    def script(session, argument):
        if broken.is_set():
            return None
        broken.set()
        return BREAKS[how]
    with shared.host(script={stage: script}) as s:
        token = shared.send(f"mari@{s.domain}")
        assert len(arrives(s, token, 30)) == 1
        assert broken.is_set()
        assert shared.left(), shared.queue()
        assert len(got(s, token)) == 1
        # a host may be spoken to again at once only where EHLO is not understood (HELO)
        assert "deferred=1" in shared.carried(s.domain)[0] or stage == "ehlo"


def test_a_reset_in_the_middle_of_content(shared):
    text = "\r\n".join(f"line {i}" for i in range(100000))
    with shared.host(content_limit=(200000, RESET)) as s:
        token = shared.send(f"mari@{s.domain}", text=text)
        assert wait_for(lambda: shared.carried(s.domain), 15)
        assert "deferred=1" in shared.carried(s.domain)[0] and not got(s, token)
        s.content_limit = None
        assert len(arrives(s, token, 30)) == 1


def test_a_reply_in_drops_is_waited_for(shared):
    with shared.host(script={"greeting": DRIP, "content": DRIP}) as s:
        arrives(s, shared.send(f"mari@{s.domain}"), 30)


@pytest.mark.parametrize("banner", ["SSH-2.0-OpenSSH_9.2", "HTTP/1.1 400 Bad Request", "999 what", "2 2 0", "220"])
def test_a_banner_that_is_none(shared, banner):
    with shared.host(script={"greeting": banner}) as s:
        token = shared.send(f"mari@{s.domain}")
        if banner == "220":  # short, and good
            arrives(s, token)
            return
        assert wait_for(lambda: shared.carried(s.domain), 10)
        assert "deferred=1" in shared.carried(s.domain)[0]
        s.script.clear()
        arrives(s, token, 30)


def test_an_endless_line(shared):
    def flood(session, argument):
        with contextlib.suppress(OSError):
            for _ in range(100):
                session.sock.sendall(b"220 " + b"x" * 65536)
        return CLOSE
    with shared.host(script={"greeting": flood}) as s:
        token = shared.send(f"mari@{s.domain}")
        assert wait_for(lambda: shared.carried(s.domain), 10)
        s.script.clear()
        arrives(s, token, 30)


def test_nobody_listens(shared):
    domain, ip = shared.destination()
    token = shared.send(f"mari@{domain}")
    assert wait_for(lambda: shared.carried(domain), 10)
    assert "Connection refused" in shared.carried(domain)[0]
    with Sink(shared.port, ip) as s:
        arrives(s, token, 30)


# ---- the courier itself


def test_a_killed_courier_loses_nothing(shared):
    with shared.host(script={"content": STALL}) as s:
        token = shared.send(f"mari@{s.domain}")
        assert wait_for(lambda: any("DATA" in line for _, line in s.lines), 10)
        import os
        import signal
        os.kill(shared.h.role_pids("courier")[0], signal.SIGKILL)
        s.script.clear()
        arrives(s, token, 30)
        assert shared.left()


def test_other_mail_flows_while_one_host_stalls(shared):
    with shared.host(script={"greeting": STALL}) as slow, shared.host() as s:
        for _ in range(20):
            shared.send(f"mari@{slow.domain}")
        begun = time.monotonic()
        arrives(s, shared.send(f"mari@{s.domain}"), 10)
        assert time.monotonic() - begun < 5
        slow.script.clear()


# ---- ways out


def test_helo_and_source_by_sender(fresh):
    out = Out(fresh, hosts=3, more="""
source one { domain example.test  address 127.0.0.77  helo out.example.test }
""")
    with out.host() as s:
        mail, = arrives(s, out.send(f"mari@{s.domain}"))
        assert mail.helo == "out.example.test" and mail.peer == "127.0.0.77"


def test_a_smarthost_with_a_password(fresh):
    port = free_port()
    h = fresh(settings=f"""
route relay {{ host 127.0.0.9  port {port}  user ken }}
queue {{ retry-first 1s  retry-last 2s }}
carry {{ reply-timeout 2s }}
""")
    folder = h.dir / "keys" / "smarthost"
    with Sink(port, "127.0.0.9", extensions=["PIPELINING", "AUTH PLAIN"]) as s:
        with smtplib.SMTP("127.0.0.1", h.port("submission"), timeout=30) as c:
            c.login("ken@example.test", PASSWORD)
            c.sendmail("ken@example.test", ["a@far.test"], "Subject: token-x\r\n\r\nhello\r\n")
        assert wait_for(lambda: "smarthost" in h.cli("incidents", check=False).stdout, 10)
        assert not s.mails
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "relay").write_text("secret word\n")
        (folder / "relay").chmod(0o600)
        assert h.reload().returncode == 0
        arrives(s, "token-x", 30)
        import base64
        assert base64.b64decode(s.auths[0].split()[1]) == b"\0ken\0secret word"


# ---- a block


APPLE = "550 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1"


def test_a_block_is_held_told_and_released_by_a_probe(fresh):
    out = Out(fresh, "probe-first 1s  probe-last 2s", hosts=3)
    with out.host(script={"mail": APPLE}) as s:
        tokens = [out.send(f"m{i}@{s.domain}") for i in range(5)]
        assert wait_for(lambda: "blocked" in out.h.cli("incidents", check=False).stdout, 15)
        shown = out.h.cli("incidents", "--json", check=False).stdout
        assert "ipcheck.proofpoint.com" in shown
        assert not re.search("failed=", "".join(out.carried(s.domain)))
        del s.script["mail"]
        for token in tokens:
            arrives(s, token, 30)
        assert out.left()
        assert wait_for(lambda: "blocked" not in out.h.cli("incidents", check=False).stdout, 10)


# ---- much mail


def pipelined(h, recipients, connections=4):
    """Hands many mails in, fast."""
    def run(part):
        with socket.create_connection(("127.0.0.1", h.port("submission")), 60) as sock:
            f = sock.makefile("rb")

            def reply():
                while True:
                    line = f.readline()
                    if line[3:4] != b"-":
                        return line
            reply()
            import base64
            sock.sendall(b"EHLO x.test\r\nAUTH PLAIN " +
                         base64.b64encode(f"\0ken@example.test\0{PASSWORD}".encode()) + b"\r\n")
            reply()
            assert reply().startswith(b"235")
            for n, rcpt in part:
                sock.sendall(f"MAIL FROM:<ken@example.test>\r\nRCPT TO:<{rcpt}>\r\nDATA\r\n".encode())
                reply(), reply()
                assert reply().startswith(b"354")
                sock.sendall(f"From: ken@example.test\r\nSubject: many {n}\r\n\r\nx\r\n.\r\n".encode())
                assert reply().startswith(b"250")
    parts = [list(enumerate(recipients))[i::connections] for i in range(connections)]
    threads = [threading.Thread(target=run, args=(p,)) for p in parts]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def test_a_dead_host_delays_nobody(fresh):
    """10,000 mails for a host that answers nothing and 1,000 for a living one, behind them in the queue."""
    out = Out(fresh, "idle 4s", hosts=3)
    dead, ip = out.destination()
    with socket.socket() as closed, out.host() as s:
        # a listener with a full backlog: connects to it get no answer at all
        closed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        closed.bind((ip, out.port))
        closed.listen(0)
        fill = [socket.socket() for _ in range(4)]
        for x in fill:
            x.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                x.connect((ip, out.port))
        pipelined(out.h, [f"r{i}@{dead}" for i in range(10000)] + [f"r{i}@{s.domain}" for i in range(1000)])
        assert wait_for(lambda: len(s.mails) >= 1000, 60, 0.1), f"{len(s.mails)} of 1,000 arrived"
        assert len({r for m in s.mails for r in m.recipients}) == 1000
        tries = len(out.carried(dead))
        assert tries < 300, f"{tries} tries at a dead host"
        for x in fill:
            x.close()
