"""The scripted tests of ImapTest, each a test of its own (imap_scripts.py plays them)."""
import imap_scripts
import pytest
from talk import PASSWORD

NAMES = imap_scripts.names() if imap_scripts.folder().exists() else []


@pytest.mark.parametrize("name", NAMES or [None])
def test_script(hikyaku, name):
    if name is None:
        pytest.skip(f"no {imap_scripts.folder()}")
    result = imap_scripts.run("127.0.0.1", hikyaku.port("imap"), "taro@example.test", PASSWORD, (name,))[0]
    if result.state in ("skip", "known"):
        pytest.skip(result.reason)
    assert result.state == "ok", result.reason
