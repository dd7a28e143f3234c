"""Fixtures: an instance that most tests share, fresh ones for those that break things, and programs nobody here wrote.

HIKYAKU names the binary (default build/hikyaku). A test that needs a program, root or a kernel's help which this
machine lacks is skipped, with the reason.
"""
import os
import pathlib
import shutil
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1] / "bench"))
import instance  # noqa: E402
import peers  # noqa: E402
from talk import PASSWORD  # noqa: E402

# Some clients look their own host's name up; where no name server answers, they must not wait a minute for it.
os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:1")

LOOPBACKS = ("127.0.0.1", "::1")
JAPANESE_PASSWORD = "秘密のパスワード"


def pytest_configure(config):
    config.addinivalue_line("markers", "asan: run once more with the sanitizers and without the walls")


def pytest_collection_modifyitems(items):
    if not instance.binary().exists():
        raise pytest.UsageError(f"no {instance.binary()}: run make first")


@pytest.fixture(scope="session")
def hikyaku(tmp_path_factory):
    """Shared by the tests that leave it as they found it: accounts ken, mari and yuki (a Japanese password)."""
    h = instance.Instance(tmp_path_factory.mktemp("shared") / "try",
                          settings="connections { per-address 500 }\nlogin { failures 50 }")
    h.setup().start()
    for name in ("ken", "mari", "taro"):
        h.account(name, PASSWORD)
    h.account("yuki", JAPANESE_PASSWORD)
    yield h
    code = h.stop()
    assert code == 0, h.log_text()[-3000:]


@pytest.fixture
def fresh(tmp_path):
    """Makes instances of a test's own: fresh(settings=..., accounts=(...)), served; stopped or killed afterwards."""
    made = []

    def make(settings="", accounts=("ken",), start=True, folder=None, **options):
        h = instance.Instance(folder or tmp_path / f"h{len(made)}", settings=settings, **options)
        made.append(h)
        if not h.dir.exists() or folder:
            h.setup()
        if start:
            h.start()
            for name in accounts:
                h.account(name, PASSWORD)
        return h

    yield make
    for h in made:
        if h.process is not None:
            try:
                h.stop()
            except RuntimeError:
                h.kill()
        # What is allocated ahead is a quarter of a gigabyte each; the log lies beside it and stays.
        shutil.rmtree(h.dir / "data", ignore_errors=True)


@pytest.fixture
def program():
    """program("swaks") is its path, or the test is skipped."""

    def find(name):
        path = shutil.which(name)
        if not path:
            pytest.skip(f"{name} is not installed")
        return path

    return find


@pytest.fixture
def root():
    if os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture(scope="session")
def smtp_source():
    """Postfix's smtp-source as argv and environment: installed, or out of Debian's package in a folder of its own."""
    path = shutil.which("smtp-source") or shutil.which("smtp-source", path="/usr/sbin")
    if path:
        return [path], dict(os.environ)
    folder = HERE.parents[1] / "build-bench" / "peers"
    try:
        unpacked = peers.fetch(folder, peers.PACKAGES)
    except Exception as e:  # apt, the network, a full disk: whatever it is, there is no smtp-source
        pytest.skip(f"no smtp-source: {e}")
    return peers.command(unpacked, "smtp-source")


@pytest.fixture(params=LOOPBACKS)
def loopback(request):
    return request.param
