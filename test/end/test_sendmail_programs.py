"""Programs that nobody here wrote hand mail in: PHP, cron, git, mailx, msmtp, swaks, Python; many at once."""
import os
import pathlib
import shutil
import smtplib
import subprocess
import threading

import peers
import pytest
from local_mail import OK, commands, local, open_folder
from talk import PASSWORD, count, find, insecure, parse, token

__all__ = ("commands", "local", "open_folder")


def env(local, **more):
    return dict(os.environ, HIKYAKU_DIR=str(local.dir), **more)


def unpacked(name, packages):
    """A program whose package would bring a mail server of its own, or start a daemon: installed, or unpacked into a folder."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path:
        return path
    folder = pathlib.Path(__file__).resolve().parents[2] / "build-bench" / name
    try:
        root = peers.fetch(folder, packages, libraries=False)
    except Exception as e:  # apt, the network, a full disk
        pytest.skip(f"no {name}: {e}")
    path = next((p for p in (root / "usr/bin" / name, root / "usr/sbin" / name) if p.exists()), None)
    if not path or "not found" in subprocess.run(["ldd", str(path)], capture_output=True, text=True).stdout:
        pytest.skip(f"{name} lacks a library")
    return str(path)


# ---- through sendmail


def test_php(local, commands, program):
    """mail() with its default flags, and with a sender; true means durable."""
    subject, second = token("php"), token("phpf")
    script = f"""var_dump(mail('ken@example.test', '{subject}', "line one\\nline two\\n", "From: ken@example.test\\r\\nX-Test: 1"));
                 var_dump(mail('ken@example.test', '{second}', "body", ['Cc' => 'mari@example.test'], '-fken@example.test'));
                 var_dump(mail('nobody-there@example.test', '{subject}n', "body"));"""
    done = subprocess.run([program("php"), "-d", f"sendmail_path={commands.path()} -t -i", "-r", script], capture_output=True, text=True,
                          env=env(local), timeout=60)
    assert done.stdout.split() == ["bool(true)", "bool(true)", "bool(false)"], done.stdout + done.stderr
    mail = parse(find(local, subject))
    assert mail["x-test"] == "1" and mail.get_content().split() == ["line", "one", "line", "two"]
    assert parse(find(local, second))["return-path"] == "<ken@example.test>"
    assert find(local, second, user="mari")


def test_php_japanese(local, commands, program):
    subject = token("mb")
    script = f"""mb_language('uni'); mb_internal_encoding('UTF-8');
                 var_dump(mb_send_mail('ken@example.test', '件名 {subject}', "本文\\n", 'From: ken@example.test'));"""
    done = subprocess.run([program("php"), "-d", f"sendmail_path={commands.path()} -t -i", "-r", script], capture_output=True, text=True,
                          env=env(local), timeout=60)
    if "mb_language" in done.stdout + done.stderr:
        pytest.skip("php without mbstring")
    assert done.stdout.split() == ["bool(true)"]
    mail = parse(find(local, subject))
    assert mail["subject"] == f"件名 {subject}" and mail.get_content().strip() == "本文"


def test_the_line_of_cron(local, commands):
    """Debian's cron, do_command.c: this command line, these headers."""
    subject = token("cron")
    done = commands.run(local.dir, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root", stdin=(
        f"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> {subject}\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\n\n結果 10%\r20%\n"))
    assert done.returncode == OK, done.stderr
    mail = parse(find(local, subject))
    assert mail["from"].addresses[0].addr_spec == "root@mx.example.test"
    assert mail.get_content().split() == ["結果", "10%", "20%"]


def test_cron_itself(local, commands, root, tmp_path):
    """Debian's cron in a mount namespace of its own, where /usr/sbin/sendmail is ours."""
    cron, subject = unpacked("cron", ["cron"]), token("realcron")
    if not all(map(os.path.exists, ("/var/spool/cron", "/etc/cron.d", "/etc/crontab"))):
        pytest.skip("no folders of cron on this machine")
    table = tmp_path / "crontab"
    table.write_text(f"SHELL=/bin/sh\nMAILTO=root\n@reboot root echo output of {subject}; printf '1\\r2\\n'\n")
    script = f"""set -e
mount --make-rprivate /
mkdir {tmp_path}/up {tmp_path}/work
mount -t overlay -o lowerdir=/usr/sbin,upperdir={tmp_path}/up,workdir={tmp_path}/work none /usr/sbin
ln -sf {commands.path()} /usr/sbin/sendmail
mount -t tmpfs none /run
mount -t tmpfs none /var/spool/cron; mkdir -p /var/spool/cron/crontabs
mount -t tmpfs none /etc/cron.d
mount --bind {table} /etc/crontab
{cron} -f & cron=$!
sleep 4
kill $cron"""
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], env=env(local), capture_output=True, text=True, timeout=60)
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr:
        pytest.skip(done.stderr.strip())
    mail = parse(find(local, subject))
    assert mail["from"].addresses[0].addr_spec == "root@mx.example.test"
    assert f"output of {subject}" in mail.get_content()


def test_git_send_email(local, commands, program, tmp_path):
    program("git")
    if subprocess.run(["git", "send-email", "--git-completion-helper"], capture_output=True).returncode:
        pytest.skip("no git send-email")
    repo, subject = tmp_path / "repo", token("git")
    run = dict(cwd=repo, check=True, capture_output=True, text=True, timeout=60,
               env=env(local, HOME=str(tmp_path), GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="鈴木 ken", GIT_AUTHOR_EMAIL="ken@example.test",
                       GIT_COMMITTER_NAME="ken", GIT_COMMITTER_EMAIL="ken@example.test"))
    repo.mkdir()
    subprocess.run(["git", "init", "-q"], **run)
    (repo / "f").write_text(".\n..\nFrom here\n")
    subprocess.run(["git", "add", "f"], **run)
    subprocess.run(["git", "commit", "-q", "-m", subject], **run)
    subprocess.run(["git", "send-email", "--quiet", "--confirm=never", "--suppress-cc=all", f"--smtp-server={commands.path()}", "--from=ken@example.test",
                    "--envelope-sender=ken@example.test", "--to=mari@example.test", "--root", "HEAD"], **run)
    mail = find(local, subject, user="mari")
    patch = tmp_path / "patch"
    patch.write_bytes(mail)
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    subprocess.run(["git", "am", "-q", str(patch)], **dict(run, cwd=other))  # it applies: nothing was changed on the way
    assert (other / "f").read_text() == ".\n..\nFrom here\n"


def test_bsd_mailx(local, commands, tmp_path):
    subject = token("mailx")
    rc = tmp_path / "mailrc"
    rc.write_text(f"set sendmail={commands.path()}\n")
    done = subprocess.run([unpacked("bsd-mailx", ["bsd-mailx", "liblockfile1", "libbsd0"]), "-s", subject, "-c", "mari", "-b", "root", "ken"], input="hello\n.\nafter the dot\n", text=True,
                          capture_output=True, env=env(local, MAILRC=str(rc), HOME=str(tmp_path)), timeout=60)
    assert done.returncode == 0, done.stderr
    mail = parse(find(local, subject))
    assert mail.get_content().startswith("hello")
    assert find(local, subject, user="mari")


def test_python_as_cgi_scripts_do(local, commands):
    subject = token("popen")
    with os.popen(f"HIKYAKU_DIR={local.dir} {commands.path()} -t -oi -oeq -odi", "w") as p:
        p.write(f"To: ken@example.test\nFrom: ken@example.test\nSubject: {subject}\n\n.\nbody\n")
    assert parse(find(local, subject)).get_content().splitlines() == [".", "body"]


def test_fifty_at_once(local, commands):
    """Fifty processes, ten mails each: every exit 0 is there, once."""
    subject, codes = token("fifty"), []

    def sender(n):
        for i in range(10):
            codes.append(commands.run(local.dir, "ken@example.test", stdin=f"Subject: {subject}-{n}-{i}-\n\n" + "x" * 3000).returncode)

    threads = [threading.Thread(target=sender, args=(n,)) for n in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert codes == [OK] * 500
    assert find(local, f"{subject}-49-9-")
    assert count(local, subject) == 500


# ---- submission: the same mail over 587 and 465


@pytest.fixture
def ports(local):
    import instance
    if "submission" not in instance.STANDARD or not instance.listening(local.port("submission")):
        pytest.skip("this server has no submission ports")
    return local


@pytest.mark.parametrize("port,tls", [("submission", ("--tls",)), ("submissions", ("--tls-on-connect",))])
def test_swaks_submits(ports, program, port, tls):
    subject = token("swaks")
    done = subprocess.run([program("swaks"), "--server", "127.0.0.1", "--port", str(ports.port(port)), *tls, "--auth", "PLAIN", "--auth-user",
                           "ken@example.test", "--auth-password", PASSWORD, "--from", "ken@example.test", "--to", "mari@example.test", "--header",
                           f"Subject: {subject}"], capture_output=True, text=True, timeout=60)
    if "not available: requires" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout
    assert find(ports, subject, user="mari")


@pytest.mark.parametrize("port,starttls", [("submission", "on"), ("submissions", "off")])
@pytest.mark.parametrize("auth", ["plain", "scram-sha-256", "cram-md5", "login"])
def test_msmtp(ports, program, tmp_path, port, starttls, auth):
    subject, rc = token("msmtp"), tmp_path / "msmtprc"
    rc.write_text(f"account a\nhost 127.0.0.1\nport {ports.port(port)}\nfrom ken@example.test\nauth {auth}\nuser ken@example.test\n"
                  f"password {PASSWORD}\ntls on\ntls_starttls {starttls}\ntls_certcheck off\naccount default : a\n")
    rc.chmod(0o600)
    done = subprocess.run([program("msmtp"), "-C", str(rc), "mari@example.test"], input=f"From: ken@example.test\nSubject: {subject}\n\nb\n",
                          capture_output=True, text=True, timeout=60)
    if "not support" in done.stderr and "authentication" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert find(ports, subject, user="mari")


@pytest.mark.parametrize("tls", [False, True])
def test_smtplib_submits(ports, tls):
    subject = token("smtplib")
    if tls:
        s = smtplib.SMTP_SSL("127.0.0.1", ports.port("submissions"), context=insecure(), timeout=20)
    else:
        s = smtplib.SMTP("127.0.0.1", ports.port("submission"), timeout=20)
        s.starttls(context=insecure())
    with s:
        s.login("ken@example.test", PASSWORD)
        s.sendmail("ken@example.test", ["mari@example.test"], f"From: ken@example.test\r\nBcc: x@example.org\r\nSubject: {subject}\r\n\r\nb\r\n")
    mail = parse(find(ports, subject, user="mari"))
    assert mail["bcc"] is None and mail["date"] and mail["message-id"]
