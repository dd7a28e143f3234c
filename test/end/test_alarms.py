"""The operator is told of incidents over something that is not mail: webhooks signed and tried again, commands, mail in addition; `status` and `metrics`
say the same."""
import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import random
import re
import stat
import threading
import time

import pytest

from certificates import Authority
from conftest import PASSWORD
from instance import port_free, wait_for
from scripted_dns import ScriptedDns

SECRET = base64.b64encode(b"a secret of twenty-four.").decode()


def free_port(start=26700):
    return next(p for p in iter(lambda: random.randrange(start, start + 200), None) if port_free(p))


class Hook:
    """A receiver of webhooks over HTTPS: what came, and what it answers."""

    def __init__(self, context, port):
        self.got, self.answers, self.port = [], [], port
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.answers.pop(0) if outer.answers else 204
                outer.got.append((status, dict(self.headers), body, self.path))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def types(self):
        return [json.loads(body)["type"] for status, _, body, _ in self.got if status == 204]

    def wait(self, kind, seconds=30):
        found = wait_for(lambda: [json.loads(b) for s, _, b, _ in list(self.got) if s == 204 and json.loads(b)["type"] == kind],
                         seconds, 0.1)
        assert found, (kind, self.types())
        return found[-1]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def signature_is_right(headers, body, secret=b"a secret of twenty-four."):
    content = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    wanted = "v1," + base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == wanted


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@contextlib.contextmanager
def hooked(ca, fresh, url="https://127.0.0.1:{port}/in?team=ops", names=("127.0.0.1",), more="", secret=True):
    port, dead = free_port(), free_port(26900)
    hook = Hook(ca.host(*names), port)
    h = fresh(start=False, settings=f"""
carry {{ roots {ca.roots} }}
resolver {{ stub dead.test=127.0.0.1@{dead}  timeout 1s  dnssec off }}
alarm ops {{ webhook {url.format(port=port)} }}
{more}
""")
    if secret:
        path = h.dir / "keys" / "alarm" / "ops"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"whsec_{SECRET}\n")
    h.start()
    h.dead = dead
    try:
        yield h, hook
    finally:
        hook.close()


def break_dns(h):
    """Five questions in a row fail, for ten seconds and more."""
    end = time.monotonic() + 60
    while "dns" not in h.cli("incidents", check=False).stdout and time.monotonic() < end:
        h.cli("resolve", f"n{random.random()}.dead.test", "A", check=False)
    assert " dns " in h.cli("incidents").stdout, h.log_text()[-2000:]


def test_an_incident_is_told_signed_acknowledged_and_closed(ca, fresh):
    with hooked(ca, fresh) as (h, hook):
        assert h.cli("status").returncode == 0
        hook.answers = [500, 503]
        break_dns(h)
        begin = time.monotonic()
        raised = hook.wait("incident.raised", 45)
        print("seconds until the webhook had it, two refusals included:", round(time.monotonic() - begin, 1))
        status, headers, body, path = hook.got[-1]
        assert path == "/in?team=ops" and headers["Content-Type"] == "application/json"
        assert all(signature_is_right(x, b) for _, x, b, _ in hook.got)
        assert not signature_is_right(headers, body, b"another secret")
        assert len({x["webhook-id"] for _, x, _, _ in hook.got}) == 1, "tries of one alarm have one id"
        assert len(hook.got) == 3, "500 and 503 are not taken for 2xx"
        data = raised["data"]
        assert (data["server"], data["kind"], data["open"]) == ("mx.example.test", "dns", True)
        assert "hikyaku -C" in data["what_to_do"] and data["title"] in raised["text"]

        done = h.cli("status", check=False)
        assert done.returncode == 1 and " dns " in done.stdout
        assert max(len(line.replace(str(h.dir), "/srv/mail")) for line in done.stdout.splitlines()) < 80 and len(done.stdout.splitlines()) < 24
        metrics = h.cli("metrics").stdout
        assert re.search(r'^hikyaku_incident_open\{kind="dns",key="resolver",number="\d+",acknowledged="no"\} 1$', metrics, re.M)
        assert "hikyaku_up 1" in metrics and "hikyaku_incidents 1" in metrics

        number = str(data["incident"])
        h.cli("incidents", "ack", number, "--by", "aiko")
        assert hook.wait("incident.acknowledged")["data"]["acknowledged_by"] == "aiko"
        h.cli("incidents", "close", number)
        closed = hook.wait("incident.closed")
        assert not closed["data"]["open"] and "It lasted" in closed["data"]["summary"] and "is over" in closed["text"]
        assert h.cli("status").returncode == 0
        assert hook.types() == ["incident.raised", "incident.acknowledged", "incident.closed"]
        assert h.cli("alarms", "list", "--json").stdout == ""


def test_an_alarm_outlives_the_power(ca, fresh):
    """Nobody takes it, the server is killed, and it is told by the next one."""
    with hooked(ca, fresh) as (h, hook):
        hook.answers = [500] * 1000
        h.cli("alarms", "test", "ops")
        assert wait_for(lambda: hook.got, 20)
        assert wait_for(lambda: '"failed":"it answered HTTP status 500"' in h.cli("alarms", "list", "--json").stdout, 10)
        h.kill()
        hook.answers = []
        h.start()
        hook.wait("test", 60)
        assert wait_for(lambda: h.cli("alarms", "list", "--json").stdout == "", 10)


def test_a_name_is_resolved_and_its_certificate_must_fit(ca, fresh):
    with ScriptedDns({"hook.alarm.test": {"A": ["127.0.0.1"]}, "other.alarm.test": {"A": ["127.0.0.1"]}}) as dns:
        with hooked(ca, fresh, url="https://hook.alarm.test:{port}/", names=("hook.alarm.test",), secret=False,
                    more=f"resolver {{ stub alarm.test=127.0.0.1@{dns.port} }}") as (h, hook):
            h.cli("alarms", "test")
            hook.wait("test")
            assert "webhook-signature" not in hook.got[-1][1], "no secret, no signature"
            conf = h.dir / "etc" / "hikyaku.conf"
            conf.write_text(conf.read_text().replace("https://hook.alarm", "https://other.alarm"))
            assert h.reload().returncode == 0
            count = len(hook.got)
            h.cli("alarms", "test")
            failed = wait_for(lambda: re.search('"failed":"([^"]+)"', h.cli("alarms", "list", "--json").stdout), 20)
            assert failed and "certificate" in failed[1].lower() and len(hook.got) == count, failed


def test_a_command_and_a_mail(ca, fresh, tmp_path):
    h = fresh(settings="alarm pager { collect }\nalarm post { mail ken@example.test  language ja }")
    script = tmp_path / "page"
    script.write_text(f'#!/bin/sh\necho "$HIKYAKU_EVENT $HIKYAKU_TITLE" >> {tmp_path}/paged\ncat >> {tmp_path}/paged\n'
                      f'test -e {tmp_path}/works\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    h.cli("alarms", "test")
    h.cli("alarms", "run", "--once", "pager", "--", str(script))
    row = json.loads(h.cli("alarms", "list", "pager", "--json").stdout)
    assert row["tries"] == 1 and "ended with 1" in row["failed"]
    (tmp_path / "works").touch()
    assert wait_for(lambda: h.cli("alarms", "run", "--once", "pager", "--", str(script)).stdout, 15, 0.5)
    text = (tmp_path / "paged").read_text()
    assert text.startswith("test [mx.example.test] test alarm\n{") and h.cli("alarms", "list", "pager", "--json").stdout == ""

    def inbox():
        import imaplib
        with imaplib.IMAP4("127.0.0.1", h.port("imap")) as m:
            m.login("ken@example.test", PASSWORD)
            m.select()
            return m.fetch("1", "(BODY[])")[1][0]
    mail = wait_for(lambda: inbox(), 20, 0.5)
    import email
    import email.policy
    message = email.message_from_bytes(mail[1], policy=email.policy.default)
    assert message["Subject"] == "[mx.example.test] テスト通知" and message["Auto-Submitted"] == "auto-generated"
    assert "対応は不要です" in message.get_content()


class List(ScriptedDns):
    """A block list; `mad`: it answers everything with 127.255.255.254, as Spamhaus does to open resolvers."""
    mad = False

    def look_up(self, name, kind):
        if not self.mad or not name.lower().endswith(".bl.test"):
            return super().look_up(name, kind)
        return (0, [("A", bytes([127, 255, 255, 254]))]) if kind == "A" else (0, [])


def test_a_list_that_goes_mad_is_told_within_a_minute(ca, fresh):
    """By watch's own tests alone: no mail has to come, none has to be refused."""
    with List({"2.0.0.127.bl.test": {"A": ["127.0.0.2"]}}, ttl=1) as dns:
        with hooked(ca, fresh, more=f"""
resolver {{ stub bl.test=127.0.0.1@{dns.port} }}
list ours {{ zone bl.test  use refuse }}
watch {{ tests 10s }}
""") as (h, hook):
            assert wait_for(lambda: any(n == "2.0.0.127.bl.test" for n, _ in dns.asked), 20), dns.asked
            time.sleep(3)
            assert h.cli("status").returncode == 0, h.cli("incidents").stdout
            assert re.search(r'^hikyaku_check_covered_percent\{check="list.ours",state="proven"\} 100$', h.cli("metrics").stdout, re.M)
            dns.mad = True
            begin = time.monotonic()
            raised = hook.wait("incident.raised", 60)
            print("seconds until a webhook said that the list is mad, tested every 10 s:", round(time.monotonic() - begin, 1))
            assert raised["data"]["kind"] in ("blind", "check") and "ours" in raised["data"]["key"], raised
            assert "hikyaku -C" in raised["data"]["what_to_do"]
            dns.mad = False
            hook.wait("incident.closed", 60)


def test_what_the_dns_said_rightly_and_no_longer_says(fresh):
    zone = {"example.test": {"MX": [(10, "mx.example.test")], "TXT": ["v=spf1 mx -all"]},
            "_dmarc.example.test": {"TXT": ["v=DMARC1; p=none"]},
            "mx.example.test": {"A": ["192.0.2.1"]}, "1.2.0.192.in-addr.arpa": {"PTR": ["mx.example.test"]}}
    with ScriptedDns(zone, ttl=1) as dns:
        h = fresh(settings=f"""
resolver {{ stub example.test=127.0.0.1@{dns.port} 2.0.192.in-addr.arpa=127.0.0.1@{dns.port}  dnssec off  timeout 2s }}
watch {{ drift 1s }}
""")
        assert wait_for(lambda: len([x for x in dns.asked if x[1] == "PTR"]) >= 2, 20), dns.asked
        time.sleep(2)
        assert "drift" not in h.cli("incidents").stdout, h.cli("incidents", "show", "1").stdout
        del dns.zone["1.2.0.192.in-addr.arpa"]
        begin = time.monotonic()
        assert wait_for(lambda: "drift" in h.cli("incidents").stdout, 20), h.log_text()[-1500:]
        print("seconds from the change to the incident, with drift 1s and TTL 1:", round(time.monotonic() - begin, 1))
        row = json.loads(h.cli("incidents", "--json").stdout)
        assert row["key"] == "example.test" and "ptr-missing" in row["facts"], row
        dns.zone["1.2.0.192.in-addr.arpa"] = {"PTR": ["mx.example.test"]}
        assert wait_for(lambda: "drift" not in h.cli("incidents").stdout, 20)


def test_metrics_of_a_server_that_does_not_run(fresh):
    h = fresh()
    h.stop()
    done = h.cli("metrics", check=False)
    assert done.returncode == 1 and "hikyaku_up 0" in done.stdout
    assert h.cli("status", check=False).returncode == 1


def test_a_section_that_is_wrong_is_said(fresh):
    h = fresh()
    for bad, word in (("alarm a { webhook http://127.0.0.1/ }", "https://"), ("alarm a { }", "takes one of"),
                      ("alarm a { mail ken }", "address"), ("alarm a { collect  mail a@example.test }", "takes one of"),
                      ("alarm a { webhok x }", "unknown key"), ("alarm ../a { collect }", "name")):
        before = (h.dir / "etc" / "hikyaku.conf").read_text()
        h.append("hikyaku.conf", bad)
        done = h.reload()
        assert done.returncode == 1 and word in done.stderr, (bad, done.stderr)
        (h.dir / "etc" / "hikyaku.conf").write_text(before)
