"""The peers we are measured against: Postfix and Dovecot, out of Debian's packages, in a folder of their own.

Nothing is installed. The packages and the libraries that they name are fetched with `apt-get download`, unpacked with
`dpkg -x` into one folder, and run there by chroot: so every path, user and library is their own, and a machine's
own mail server is not touched. Both listen on 127.0.0.1 only, on ports of their own. Their syncs stay as their
authors set them.
"""
import glob
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

PACKAGES = ["postfix", "dovecot-core", "dovecot-imapd", "dovecot-lmtpd"]
SMTPD_PACKAGES = ["opensmtpd", "dash"]
USERS = 100
DOMAIN = "example.test"
PASSWORD = "bench"
IMAP_BIG = {"sdbox": "big-sdbox", "mdbox": "big-mdbox"}


class Absent(Exception):
    """A peer cannot run here; the reason is for the reader of the table."""


def closure(packages):
    """The packages and the libraries below them; perl and debconf are not needed to run."""
    out = subprocess.run(
        ["apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
         "--no-breaks", "--no-replaces", "--no-enhances", *packages],
        capture_output=True, text=True, check=True).stdout
    names = {line for line in out.splitlines() if re.match(r"lib[a-z0-9]|zlib1g", line)}
    names = {n for n in names if "perl" not in n and "debian-installer" not in n and "newt" not in n}
    return sorted(names)


def fetch(folder, packages, libraries=True):
    """Unpack packages (and libraries) into folder/root, once."""
    root = folder / "root"
    stamp = folder / "unpacked"
    want = " ".join(packages)
    if stamp.exists() and stamp.read_text() == want:
        return root
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Absent("no apt-get here: the peers come from Debian's packages")
    debs = folder / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    names = packages + (closure(packages) if libraries else [])
    got = subprocess.run(["apt-get", "download", "-q", *names], cwd=debs, capture_output=True, text=True)
    if got.returncode:
        for name in names:  # one that does not exist must not cost the others
            subprocess.run(["apt-get", "download", "-q", name], cwd=debs, capture_output=True)
    for name in packages:
        if not glob.glob(str(debs / f"{name}_*.deb")):
            raise Absent(f"apt-get download {name} failed: {got.stderr.strip().splitlines()[-1:]}")
    (root / "usr" / "lib").mkdir(parents=True, exist_ok=True)
    for name in ("lib", "lib64", "bin", "sbin"):  # one /usr, as Debian has had it since 12
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    for deb in sorted(debs.glob("*.deb")):
        tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", str(root)], stdin=tar.stdout, check=True)
        if tar.wait():
            raise Absent(f"{deb.name} does not unpack")
    stamp.write_text(want)
    return root


def library_path(root):
    """For running smtp-source and smtp-sink outside of the chroot, without root."""
    return ":".join([str(root / "usr/lib/postfix"), *glob.glob(str(root / "usr/lib/*-linux-gnu"))])


def command(root, name):
    """argv and environment of one of Postfix's programs, run from the folder with its own libraries."""
    env = dict(os.environ, LD_LIBRARY_PATH=str(root / "usr/lib/postfix"))
    path = root / "usr/sbin" / name
    probe = subprocess.run([str(path), "-?"], env=env, capture_output=True, text=True)
    if "error while loading" in probe.stderr:
        env["LD_LIBRARY_PATH"] = library_path(root)
    return [str(path)], env


def wait_port(port, seconds=15, host="127.0.0.1"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), 1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


POSTFIX_IDS = "postfix:x:2001:2001::/var/spool/postfix:/usr/sbin/nologin"
PASSWD = f"""root:x:0:0:root:/:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/:/usr/sbin/nologin
{POSTFIX_IDS}
dovecot:x:2003:2003::/:/usr/sbin/nologin
dovenull:x:2004:2004::/:/usr/sbin/nologin
vmail:x:2005:2005::/mail:/usr/sbin/nologin
"""
GROUP = """root:x:0:
nogroup:x:65534:
postfix:x:2001:
postdrop:x:2002:
dovecot:x:2003:
dovenull:x:2004:
vmail:x:2005:
"""


def prepare_root(root):
    """What a chroot needs besides packages."""
    write(root / "etc/passwd", PASSWD)
    write(root / "etc/group", GROUP)
    write(root / "etc/hosts", "127.0.0.1 localhost mx.example.test\n::1 localhost\n")
    write(root / "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\n")
    write(root / "etc/resolv.conf", "nameserver 127.0.0.1\n")
    write(root / "etc/services", "smtp 25/tcp\nimap2 143/tcp imap\nimaps 993/tcp\n")
    for name in ("tmp", "var/tmp", "var/log", "run", "var/lib", "mail", "dev", "proc"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name, major, minor in (("null", 1, 3), ("zero", 1, 5), ("urandom", 1, 9), ("random", 1, 8)):
        node = root / "dev" / name
        if not node.exists():
            try:
                os.mknod(node, 0o666 | 0o020000, os.makedev(major, minor))
                node.chmod(0o666)
            except OSError as e:
                raise Absent(f"cannot make {node}: {e.strerror}; the peers need root") from None
    os.chown(root / "mail", 2005, 2005)


MAIN_CF = """compatibility_level = 3.6
queue_directory = /var/spool/{name}
data_directory = /var/lib/{name}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = /var/log/{name}.log
maillog_file_prefixes = /var/log
myhostname = mx.example.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
default_process_limit = 200
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
in_flow_delay = 0
disable_dns_lookups = yes
biff = no
default_destination_concurrency_limit = 20
initial_destination_concurrency = 20
virtual_destination_concurrency_limit = 20
lmtp_destination_concurrency_limit = 20
message_size_limit = 52428800
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = example.test
virtual_mailbox_base = /mail
virtual_mailbox_maps = texthash:/etc/{name}/mailboxes
virtual_minimum_uid = 1000
virtual_uid_maps = static:2005
virtual_gid_maps = static:2005
virtual_transport = {transport}
"""

MASTER_CF = """{port}  inet  n - n - -  smtpd
pickup    unix  n - n 60 1  pickup
cleanup   unix  n - n - 0   cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - -   trivial-rewrite
bounce    unix  - - n - 0   bounce
defer     unix  - - n - 0   bounce
trace     unix  - - n - 0   bounce
verify    unix  - - n - 1   verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - -   proxymap
proxywrite unix - - n - 1   proxymap
smtp      unix  - - n - -   smtp
relay     unix  - - n - -   smtp
showq     unix  n - n - -   showq
error     unix  - - n - -   error
retry     unix  - - n - -   error
discard   unix  - - n - -   discard
local     unix  - n n - -   local
virtual   unix  - n n - -   virtual
lmtp      unix  - - n - -   lmtp
anvil     unix  - - n - 1   anvil
scache    unix  - - n - 1   scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Daemon:
    """A server whose processes are counted together."""

    process = None
    extra = ()  # pids of further trees that belong to it

    def pids(self):
        return tree([self.process.pid, *self.extra]) if self.process else []

    def stop(self):
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in reversed(self.pids()):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


class Postfix(Daemon):
    """Postfix 3.7, into maildirs by virtual(8) or into Dovecot by LMTP."""

    def __init__(self, root, port, lmtp=False):
        self.root, self.port, self.lmtp = root, port, lmtp
        self.conf = "postfix-lmtp" if lmtp else "postfix"
        self.name = "Postfix + LMTP" if lmtp else "Postfix"
        self.mail = root / "mail" / ("lmtp" if lmtp else "virtual")
        self.dovecot = None

    address = "127.0.0.1"

    def configure(self):
        root, conf = self.root, self.conf
        transport = "lmtp:unix:private/dovecot-lmtp" if self.lmtp else "virtual"
        write(root / "etc" / conf / "main.cf", MAIN_CF.format(name=conf, transport=transport))
        write(root / "etc" / conf / "master.cf", MASTER_CF.format(port=f"127.0.0.1:{self.port}"))
        write(root / "etc" / conf / "mailboxes",
              "".join(f"user{i}@{DOMAIN} {self.mail.name}/user{i}/\n" for i in range(USERS)))

    def start(self):
        root, conf = self.root, self.conf
        self.configure()
        spool = root / "var/spool" / conf
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop",
                     "pid", "private", "public", "saved", "trace"):
            (spool / name).mkdir(parents=True, exist_ok=True)
            os.chown(spool / name, 0 if name == "pid" else 2001, 2002 if name in ("maildrop", "public") else 0)
        (spool / "private").chmod(0o700)
        (spool / "maildrop").chmod(0o730)
        (spool / "public").chmod(0o710)
        data = root / "var/lib" / conf
        data.mkdir(parents=True, exist_ok=True)
        os.chown(data, 2001, 2001)
        (data / "master.lock").unlink(missing_ok=True)
        self.mail.mkdir(parents=True, exist_ok=True)
        os.chown(self.mail, 2005, 2005)
        self.process = subprocess.Popen(
            ["chroot", str(root), "/usr/lib/postfix/sbin/master", "-c", f"/etc/{conf}", "-s"],
            stdout=subprocess.DEVNULL, stderr=open(root / "var/log" / f"{conf}.start", "w"),
            env={"PATH": "/usr/sbin:/usr/bin", "MAIL_CONFIG": f"/etc/{conf}", "MAIL_LOGTAG": "postfix"},
            start_new_session=True)
        if not wait_port(self.port, host=self.address):
            log = (root / "var/log" / f"{conf}.start").read_text() + tail(root / "var/log" / f"{conf}.log")
            raise Absent(f"{self.name} did not start: {log.strip()[-400:]}")

    def pids(self):
        return super().pids() + (self.dovecot.pids() if self.dovecot else [])

    def placed(self):
        """How many mails are in the mailboxes."""
        return sum(count_maildir(self.mail / f"user{i}") for i in range(USERS))

    def clear(self):
        """Empty mailboxes and queue between rows, so that directories stay as small as they begin."""
        for i in range(USERS):
            shutil.rmtree(self.mail / f"user{i}", ignore_errors=True)


class PostfixHost(Postfix):
    """Postfix as the host of a domain on an address of its own: all mail into one maildir, TLS, and what `extra` adds
    to main.cf (a policy service that greylists, for example)."""

    def __init__(self, root, port, domain, certificate, key, address="127.0.0.1", extra=""):
        super().__init__(root, port)
        self.domain, self.address, self.extra = domain, address, extra
        self.certificate, self.key = certificate, key
        self.conf = self.name = f"postfix-{domain}"
        self.mail = root / "mail" / domain

    def configure(self):
        root, conf = self.root, self.conf
        write(root / "etc" / conf / "cert.pem", pathlib.Path(self.certificate).read_text())
        write(root / "etc" / conf / "key.pem", pathlib.Path(self.key).read_text(), 0o600)
        text = MAIN_CF.format(name=conf, transport="virtual").replace("= example.test", f"= {self.domain}")
        text = text.replace("mynetworks = 127.0.0.0/8", "mynetworks =")
        text = text.replace("inet_interfaces = 127.0.0.1", "inet_interfaces = all")
        text += (f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /etc/{conf}/cert.pem\n"
                 f"smtpd_tls_key_file = /etc/{conf}/key.pem\nsmtpd_tls_loglevel = 1\nsmtpd_tls_received_header = yes\n{self.extra}\n")
        write(root / "etc" / conf / "main.cf", text)
        write(root / "etc" / conf / "master.cf", MASTER_CF.format(port=f"{self.address}:{self.port}"))
        write(root / "etc" / conf / "mailboxes", f"@{self.domain} {self.domain}/\n")

    def placed(self):
        return count_maildir(self.mail)

    def mails(self):
        return [p.read_bytes() for sub in ("new", "cur") for p in sorted((self.mail / sub).glob("*"))]

    def log(self):
        return tail(self.root / "var/log" / f"{self.conf}.log", 20000)


class PostfixRelay(Postfix):
    """Postfix that hands everything on to one host: what relaying costs."""

    def __init__(self, root, port, sink_port, connections=20):
        super().__init__(root, port)
        self.conf, self.name, self.sink_port, self.connections = "postfix-relay", "Postfix", sink_port, connections

    def configure(self):
        root, conf = self.root, self.conf
        text = MAIN_CF.format(name=conf, transport="virtual")
        text = re.sub(r"^virtual_mailbox_(domains|maps) =.*\n", "", text, flags=re.M)
        text = re.sub(r"^(default|initial)_destination_concurrency(_limit)? = .*$",
                      lambda m: f"{m[1]}_destination_concurrency{m[2] or ''} = {self.connections}", text, flags=re.M)
        text += f"relayhost = [127.0.0.1]:{self.sink_port}\n"
        write(root / "etc" / conf / "main.cf", text)
        write(root / "etc" / conf / "master.cf", MASTER_CF.format(port=f"127.0.0.1:{self.port}"))


def count_maildir(path):
    total = 0
    for sub in ("new", "cur"):
        try:
            with os.scandir(path / sub) as entries:
                total += sum(1 for _ in entries)
        except FileNotFoundError:
            pass
    return total


def tail(path, octets=2000):
    try:
        return path.read_text(errors="replace")[-octets:]
    except OSError:
        return ""


DOVECOT_CONF = """protocols = imap lmtp
base_dir = /run/dovecot
state_dir = /var/lib/dovecot
listen = 127.0.0.1
log_path = /var/log/dovecot.log
instance_name = bench
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 10M
auth_verbose = no
ssl = yes
ssl_cert = </etc/dovecot/cert.pem
ssl_key = </etc/dovecot/key.pem
ssl_client_ca_dir =
ssl_dh =
mail_location = maildir:/mail/lmtp/%n
mail_uid = 2005
mail_gid = 2005
first_valid_uid = 1000
mail_max_userip_connections = 0
mail_fsync = optimized
auth_username_format = %Ln
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n /etc/dovecot/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%n /etc/dovecot/users
  default_fields = uid=2005 gid=2005 home=/mail/home/%n
}}
namespace inbox {{
  inbox = yes
}}
default_process_limit = 2000
default_client_limit = 10000
default_vsz_limit = 1G
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
  service_count = 0
  process_min_avail = 1
}}
service imap {{
  process_limit = 2000
  service_count = 100
}}
service lmtp {{
  process_min_avail = 4
  unix_listener /var/spool/postfix-lmtp/private/dovecot-lmtp {{
    mode = 0600
    user = postfix
    group = postfix
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
protocol imap {{
  imap_idle_notify_interval = 29 mins
}}
"""


class Dovecot(Daemon):
    """Dovecot 2.3: LMTP into maildirs (100 accounts), IMAP over sdbox and mdbox (one big account each)."""

    name = "Dovecot"

    def __init__(self, root, imap, imaps):
        self.root, self.imap, self.imaps = root, imap, imaps

    def start(self):
        root = self.root
        write(root / "etc/dovecot/dovecot.conf", DOVECOT_CONF.format(imap=self.imap, imaps=self.imaps))
        users = [f"user{i}:{{PLAIN}}{PASSWORD}::::::\n" for i in range(USERS)]
        for kind, user in IMAP_BIG.items():
            users.append(f"{user}:{{PLAIN}}{PASSWORD}::::::userdb_mail={kind}:/mail/{user}\n")
        write(root / "etc/dovecot/users", "".join(users))
        if not (root / "etc/dovecot/key.pem").exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-days", "30", "-subj", "/CN=mx.example.test", "-keyout", str(root / "etc/dovecot/key.pem"),
                 "-out", str(root / "etc/dovecot/cert.pem")], check=True, capture_output=True)
        for name in ("run/dovecot", "var/lib/dovecot", "mail/home", "var/spool/postfix-lmtp/private"):
            (root / name).mkdir(parents=True, exist_ok=True)
        os.chown(root / "mail/home", 2005, 2005)
        (root / "run/dovecot/master.pid").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["chroot", str(root), "/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/dovecot.conf"],
            stdout=subprocess.DEVNULL, stderr=open(root / "var/log/dovecot.start", "w"),
            env={"PATH": "/usr/sbin:/usr/bin"}, start_new_session=True)
        if not wait_port(self.imap):
            log = tail(root / "var/log/dovecot.start") + tail(root / "var/log/dovecot.log")
            raise Absent(f"Dovecot did not start: {log.strip()[-400:]}")


SMTPD_RELAY_CONF = """listen on 127.0.0.1 port {port}
action "out" relay host "smtp://127.0.0.1:{sink}"
match from any for any action "out"
"""
SMTPD_CONF = """pki host1 cert "/etc/smtpd-cert.pem"
pki host1 key "/etc/smtpd-key.pem"
table boxes {{ "@{domain}" = "vmail" }}
listen on {address} port {port} tls pki host1 hostname "mx.{domain}"
action "in" maildir "/mail/opensmtpd" virtual <boxes>
match from any for domain "{domain}" action "in"
"""


class OpenSMTPD(Daemon):
    """OpenSMTPD as the host of a domain: everything goes into one maildir. It offers STARTTLS; with Debian 12's 6.8 and
    OpenSSL 3 every handshake then fails ("EVP lib"), with any client."""

    name = "OpenSMTPD"
    flags = ()  # it wants no pipelining

    def __init__(self, root, port, domain="", certificate="/dev/null", key="/dev/null", address="127.0.0.1", sink=None):
        """sink: a port that it relays everything to, instead of being a domain's host."""
        self.root, self.port, self.domain, self.address, self.sink = root, port, domain, address, sink
        self.certificate, self.key = certificate, key
        self.mail = root / "mail" / "opensmtpd"

    def start(self):
        root = self.root
        prepare_root(root)
        write(root / "etc/passwd", PASSWD + "opensmtpd:x:2006:2006::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n"
              "opensmtpq:x:2007:2007::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n")
        write(root / "etc/group", GROUP + "opensmtpd:x:2006:\nopensmtpq:x:2007:\n")
        conf = SMTPD_RELAY_CONF if self.sink else SMTPD_CONF
        write(root / "etc/smtpd.conf", conf.format(address=self.address, port=self.port, domain=self.domain,
                                                   sink=self.sink))
        write(root / "etc/mailname", f"mx.{self.domain}\n")
        write(root / "etc/smtpd-cert.pem", pathlib.Path(self.certificate).read_text())
        write(root / "etc/smtpd-key.pem", pathlib.Path(self.key).read_text(), 0o600)
        if not (root / "usr/bin/sh").exists():
            (root / "usr/bin/sh").symlink_to("dash")
        shutil.rmtree(root / "var/spool/smtpd", ignore_errors=True)
        for name in ("var/lib/opensmtpd/empty", "var/spool/smtpd", "run/opensmtpd", "var/run", "mail/opensmtpd"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "var/spool/smtpd").chmod(0o711)
        os.chown(root / "mail/opensmtpd", 2005, 2005)
        self.process = subprocess.Popen(
            ["chroot", str(root), "/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"], stdout=subprocess.DEVNULL,
            stderr=open(root / "var/log/smtpd.log", "w"), env={"PATH": "/usr/sbin:/usr/bin:/bin"}, start_new_session=True)
        if not wait_port(self.port, host=self.address):
            raise Absent(f"OpenSMTPD did not start: {tail(root / 'var/log/smtpd.log').strip()[-400:]}")

    def placed(self):
        return count_maildir(self.mail)

    def mails(self):
        return [p.read_bytes() for sub in ("new", "cur") for p in sorted((self.mail / sub).glob("*"))]


class SmtpSink(Daemon):
    """Postfix's smtp-sink: takes everything and keeps nothing. Its counter misses mails on kept connections."""

    name = "smtp-sink"

    def __init__(self, root, port, address="127.0.0.1", flags=()):
        self.root, self.port, self.address, self.flags = root, port, address, list(flags)

    def start(self):
        argv, env = command(self.root, "smtp-sink")
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen([*argv, *user, *self.flags, f"{self.address}:{self.port}", "1000"], env=env,
                                        stdout=subprocess.DEVNULL, start_new_session=True)
        if not wait_port(self.port, host=self.address):
            raise Absent("smtp-sink did not start")


class Sink(Daemon):
    """sink.c: smtp-sink that counts."""

    name = "sink"

    def __init__(self, program, folder, port):
        self.program, self.file, self.port = program, folder / "sink.count", port

    def start(self):
        self.process = subprocess.Popen([str(self.program), str(self.port), str(self.file)])
        if not wait_port(self.port):
            raise Absent("sink did not start")

    def counts(self):
        """mails, connections made, open, most open at once"""
        return struct.unpack("4Q", self.file.read_bytes()[:32])

    def count(self):
        return self.counts()[0]


class Limit(Daemon):
    """limit.c: SMTP and one fdatasync for all that wait, nothing else."""

    name = "limit"

    def __init__(self, program, folder, port):
        self.program, self.file, self.port = program, folder / "limit.log", port

    def start(self):
        self.process = subprocess.Popen([str(self.program), str(self.port), str(self.file)])
        if not wait_port(self.port):
            raise Absent("the limit program did not start")

    def stop(self):
        super().stop()
        self.file.unlink(missing_ok=True)

    def placed(self):
        return float("inf")

    def clear(self):
        os.truncate(self.file, 0)


# ---- what a server costs -------------------------------------------------------------------------------


def children_map():
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            found.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    return found


def tree(roots):
    """The processes and all their descendants."""
    children, todo, found = children_map(), list(roots), []
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.append(pid)
            todo.extend(children.get(pid, []))
    return found


def cpu_seconds(pids):
    """User and system time of these and of their children that ended."""
    ticks = 0
    for pid in pids:
        try:
            fields = pathlib.Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(x) for x in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_kib(pids):
    """Proportional set size: shared pages are counted once over all who share them."""
    total = 0
    for pid in pids:
        try:
            for line in pathlib.Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return total


class Syncs:
    """Counts fsync, fdatasync and the like of a server while it works (strace slows it: no times are taken)."""

    def __init__(self, pids, out):
        self.out = out
        self.process = None
        if not shutil.which("strace"):
            return
        args = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,msync,sync,syncfs", "-o", str(out)]
        for pid in pids:
            args += ["-p", str(pid)]
        self.process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(1.0)

    def count(self):
        if not self.process:
            return None
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        lines = self.out.read_text(errors="replace").splitlines() if self.out.exists() else []
        return sum(1 for line in lines if re.search(r"\b(f(data)?sync|sync_file_range|msync|syncfs)\(", line))
