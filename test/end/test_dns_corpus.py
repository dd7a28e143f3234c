"""The zones of ../shared/testdata/dns: a mail domain with MX of every odd shape, signed, and block lists by RFC 5782."""
import os
import pathlib

import pytest

from instance import ROOT, Instance
from zones import Zones, resolve

FOLDER = pathlib.Path(os.environ.get("HIKYAKU_TESTDATA", ROOT.parent / "shared" / "testdata")) / "dns"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if not FOLDER.is_dir():
        pytest.skip(f"no {FOLDER}")
    with Zones(tmp_path_factory.mktemp("zones")) as z:
        for path in sorted(FOLDER.glob("*.zone")):
            name = path.name[:-len(".zone")]
            z.zone(name, path.read_text(), sign=name == "mailtest", whole=True)
        z.start()
        h = Instance(tmp_path_factory.mktemp("corpus") / "h", settings=z.settings())
        h.setup().start()
        yield h
        assert h.stop() == 0


MAIL = [
    ("mailtest", "MX", "found", ["10 mx1.mailtest.", "20 mx2.mailtest."]),
    ("nomail.mailtest", "MX", "found", ["0 ."]),
    ("implicit.mailtest", "MX", "no data", []),
    ("implicit.mailtest", "A", "found", ["127.0.0.13"]),
    ("cnamemx.mailtest", "MX", "found", ["10 alias.mailtest."]),
    ("alias.mailtest", "A", "found", ["127.0.0.11"]),
    ("nothere.mailtest", "A", "no such name", []),
    ("_mta-sts.mailtest", "TXT", "found", ['"v=STSv1; id=20260101;"']),
    ("_25._tcp.mx1.mailtest", "TLSA", "found", ["3 1 1 " + "00" * 32]),
    ("_submissions._tcp.mailtest", "SRV", "found", ["0 1 465 mx1.mailtest."]),
    ("_imap._tcp.mailtest", "SRV", "found", ["0 0 0 ."]),
]


@pytest.mark.parametrize("name,kind,status,records", MAIL, ids=lambda v: v if isinstance(v, str) else None)
def test_the_mail_domain(server, name, kind, status, records):
    a = resolve(server, name, kind)
    assert (a["status"], a["secure"], sorted(a["records"])) == (status, True, records)
    assert a["canonical"] == ("mx1.mailtest" if name == "alias.mailtest" else "")


def test_block_lists_have_their_test_points(server):
    """RFC 5782, 5: 127.0.0.2 is listed, 127.0.0.1 is not."""
    listed = resolve(server, "2.0.0.127.dnsbl.test", "A")
    assert listed["status"] == "found" and all(r.startswith("127.") for r in listed["records"])
    assert resolve(server, "1.0.0.127.dnsbl.test", "A")["status"] == "no such name"
