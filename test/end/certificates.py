"""Certificates for tests, by the openssl command: a CA of our own, and hosts' certificates good and bad."""
import datetime
import hashlib
import pathlib
import ssl
import subprocess
import tempfile


class Authority:
    def __init__(self, folder):
        self.dir = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                 "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test Authority")
        # where the courier, another user, may read it
        self.public = tempfile.TemporaryDirectory(prefix="hikyaku-roots-")
        pathlib.Path(self.public.name).chmod(0o755)
        self.roots = pathlib.Path(self.public.name) / "ca.pem"
        self.roots.write_bytes((folder / "ca.pem").read_bytes())
        self.roots.chmod(0o644)

    def run(self, *args):
        return subprocess.run(["openssl", *args], cwd=self.dir, check=True, capture_output=True).stdout

    def host(self, *names, expired=False, self_signed=False):
        """A certificate for these names: a server-side SSL context, and the TLSA data of its key (3 1 1)."""
        base = f"h{len(list(self.dir.glob('h*.pem')))}"
        self.run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{base}.key",
                 "-out", f"{base}.csr", "-subj", f"/CN={names[0]}")
        (self.dir / f"{base}.ext").write_text("subjectAltName=" + ",".join((f"IP:{n}" if n[0].isdigit() else f"DNS:{n}") for n in names) + "\n")
        now = datetime.datetime.now(datetime.timezone.utc)
        begin, end = (now - datetime.timedelta(days=20), now - datetime.timedelta(days=10)) if expired else \
                     (now - datetime.timedelta(days=1), now + datetime.timedelta(days=10))
        if self_signed:
            self.run("x509", "-req", "-in", f"{base}.csr", "-key", f"{base}.key", "-out", f"{base}.pem", "-days", "10",
                     "-extfile", f"{base}.ext")
        else:
            (self.dir / "index.txt").touch()
            (self.dir / "ca.cnf").write_text(
                f"[ca]\ndefault_ca=a\n[a]\ndatabase={self.dir}/index.txt\nnew_certs_dir={self.dir}\ndefault_md=sha256\n"
                "policy=p\nrand_serial=yes\nunique_subject=no\n[p]\ncommonName=supplied\n")
            stamp = "%Y%m%d%H%M%SZ"
            self.run("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", f"{base}.csr",
                     "-out", f"{base}.pem", "-notext", "-startdate", begin.strftime(stamp), "-enddate", end.strftime(stamp),
                     "-extfile", f"{base}.ext")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.dir / f"{base}.pem", self.dir / f"{base}.key")
        key = subprocess.run(f"openssl x509 -in {base}.pem -noout -pubkey | openssl pkey -pubin -outform DER", shell=True,
                             cwd=self.dir, check=True, capture_output=True).stdout
        context.tlsa = "3 1 1 " + hashlib.sha256(key).hexdigest()
        return context
