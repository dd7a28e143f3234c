"""master.py and commands.py once more against the release binary, with its walls up."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
HIKYAKU = os.environ.get("HIKYAKU", str(HERE.parents[1] / "build" / "hikyaku"))


@pytest.mark.parametrize("script", ["master.py", "commands.py"])
def test_with_walls(script):
    if not os.path.exists(HIKYAKU):
        pytest.skip("no release build")
    env = {k: v for k, v in os.environ.items() if k != "HIKYAKU_WALLS"}
    r = subprocess.run([sys.executable, HERE / script, HIKYAKU], capture_output=True, text=True, timeout=180, env=env)
    failed = [line for line in r.stdout.splitlines() if line.startswith(("not ok", "#"))]
    assert r.returncode == 0, "\n".join(failed)
