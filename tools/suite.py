"""What `make test` runs, and how it counts.

    tools/test                 everything
    tools/test house unit      only these parts

    house   floors, longest functions, ask table, RFC list, format
    unit    meson's tests with ASan, UBSan and leak checks: unit, talk, facts, simulator
    end     pytest with the release build behind its walls: others' programs, walls, drills, kill -9
    asan    pytest's tests marked `asan`, once more, with the sanitizers and without the walls
    fuzz    each fuzz target for a short time

Counted are single checks: TAP lines, pytest's tests, one for each of the house's tools and fuzz targets. What cannot
run here is counted as skipped and named with its reason. The last line is plain: N passed, N failed, N skipped.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEST, RELEASE, FUZZ = ROOT / "build-test", ROOT / "build", ROOT / "build-fuzz"
PARTS = ("house", "unit", "end", "asan", "fuzz")
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "100"))
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


class Count:
    """Passed, failed and skipped, by part; and the sentences about what did not pass."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures, self.left_out = [], []
        self.lock = threading.Lock()

    def add(self, passed=0, failed=0, skipped=0):
        with self.lock:
            self.passed += passed
            self.failed += failed
            self.skipped += skipped

    def fail(self, what, text=""):
        self.add(failed=1)
        self.failures.append(what)
        say(f"FAIL {what}")
        for line in text.strip().splitlines()[-40:]:
            say("     " + line)

    def skip(self, what, why, count=1):
        self.add(skipped=count)
        self.left_out.append(f"{what}: {why}")


total = Count()
begin = time.monotonic()


def say(text):
    print(text, flush=True)


def run(command, timeout=900, env=None):
    """Exit code and all output."""
    try:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, env={**os.environ, **(env or {})})
        return done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as e:
        return 124, (e.stdout or b"").decode(errors="replace") + f"\nnot done after {timeout} s"


def part(name, function):
    started, before = time.monotonic(), (total.passed, total.failed, total.skipped)
    try:
        function()
    except Exception as e:  # a broken runner is a failure, never silence
        total.fail(f"{name}: {type(e).__name__}: {e}")
    now = (total.passed, total.failed, total.skipped)
    p, f, s = (b - a for a, b in zip(before, now))
    say(f"{name}: {p} passed, {f} failed, {s} skipped in {time.monotonic() - started:.0f} s")


# ---- house

def house():
    checks = [
        ("tools/floors", "floors"), ("tools/longest --check", "readable lengths"), ("tools/asks --check", "ask table"),
        ("tools/rfc --check", "RFC list"), ("tools/roles --check", "role table"), ("tools/replies --check", "reply table"),
        ("tools/reasons --check", "reasons of the ledger"),
        ("tools/format --check", "format"),
    ]
    for command, what in checks:
        if "format" in command and not shutil.which("clang-format"):
            total.skip(what, "clang-format is not installed")
            continue
        code, out = run(command.split())
        if code:
            total.fail(f"{what} ({command})", out)
        else:
            total.add(passed=1)


# ---- meson's tests

def tap(text):
    """(passed, failed names, skipped) of a TAP stream."""
    passed, failed, skipped = 0, [], 0
    for m in re.finditer(r"^\s*(not )?ok\b\s*\d*\s*-?\s*(.*)$", text, re.M):
        if re.search(r"#\s*skip", m.group(2), re.I):
            skipped += 1
        elif m.group(1) and not re.search(r"#\s*todo", m.group(2), re.I):
            failed.append(m.group(2).strip())
        else:
            passed += 1
    return passed, failed, skipped


def unit():
    log = TEST / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    code, out = run(["meson", "test", "-C", str(TEST), "--no-rebuild", "--num-processes", "2"], 900, SANITIZERS)
    if not log.exists():
        total.fail("meson test did not run", out)
        return
    for line in log.read_text(errors="replace").splitlines():
        one = json.loads(line)
        count_one(one)


def count_one(one):
    passed, failed, skipped = tap(one.get("stdout") or "")
    name, result = one["name"], one["result"]
    total.add(passed=passed, skipped=skipped)
    for f in failed:
        total.fail(f"{name}: {f}")
    if result == "SKIP" and not passed + len(failed) + skipped:
        total.skip(name, (one.get("stdout") or "skipped").strip().splitlines()[-1:] or "skipped")
    elif skipped:
        total.left_out.append(f"{name}: {skipped} skipped: {skip_reasons(one.get('stdout') or '')}")
    if result in ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS") and not failed:
        total.fail(f"{name} ({result.lower()})", (one.get("stdout") or "") + (one.get("stderr") or ""))
    elif failed:
        say_failing((one.get("stdout") or "").splitlines(), (one.get("stderr") or "").splitlines())
    elif result == "OK" and not passed + skipped:
        total.add(passed=1)


def say_failing(out, err):
    """Each `not ok` with what stands around it, and the end of stderr."""
    shown = set()
    for i, line in enumerate(out):
        if re.match(r"\s*not ok", line):
            shown |= set(range(max(0, i - 4), min(len(out), i + 6)))
    for text in [out[i] for i in sorted(shown)][:60] + err[-15:]:
        say("     " + text)


def skip_reasons(text):
    reasons = sorted(set(re.findall(r"#\s*skip\S*\s*(.*)", text, re.I)) - {""})
    return "; ".join(reasons[:3]) or "no reason given"


# ---- pytest

def pytest(name, folders, env, more=()):
    present = [f for f in folders if (ROOT / f).is_dir() and list((ROOT / f).glob("test_*.py"))]
    if not present:
        total.skip(name, "no tests here")
        return
    if run(["/usr/bin/python3", "-c", "import pytest"])[0]:
        total.skip(name, "python3-pytest is not installed")
        return
    report = TEST / f"{name}.xml"
    report.unlink(missing_ok=True)
    code, out = run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "-rs",
                     f"--junitxml={report}", *more, *present], 2400, env)
    (TEST / f"{name}.log").write_text(out)
    if not report.exists():
        total.fail(f"pytest {name} (exit {code})", out)
        return
    cases = list(xml.parse(report).getroot().iter("testcase"))
    for case in cases:
        title = f"{case.get('classname')}.{case.get('name')}"
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped")
        if problem is not None:
            total.fail(title, problem.text or problem.get("message") or "")
        elif skipped is not None:
            total.skip(title, skipped.get("message") or "skipped")
        else:
            total.add(passed=1)
    if code not in (0, 1, 5) or (code == 124):
        total.fail(f"pytest {name} ended with {code}", out)


def end():
    """Two at once: most of the time they wait."""
    env = {"HIKYAKU": str(RELEASE / "hikyaku")}
    beside = threading.Thread(target=pytest, args=("kill", ["test/walls", "test/drills", "test/kill"], env))
    beside.start()
    pytest("end", ["test/end"], env)
    beside.join()


def asan():
    pytest("asan", ["test/end"], {"HIKYAKU": str(TEST / "hikyaku"), "HIKYAKU_WALLS": "off", **SANITIZERS,
                                  "ASAN_OPTIONS": SANITIZERS["ASAN_OPTIONS"] + ":log_path=" + str(TEST / "asan-report")},
           ["-m", "asan"])
    for report in TEST.glob("asan-report*"):
        total.fail(f"sanitizer report {report.name}", report.read_text(errors="replace"))


# ---- fuzzing

def fuzz():
    if not (FUZZ / "build.ninja").exists():
        total.skip("fuzz", "clang with libFuzzer is not installed")
        return
    code, out = run(["tools/fuzz", str(FUZZ_SECONDS), "--built"], FUZZ_SECONDS * 3 + 120)
    passed, failed, skipped = tap(out)
    total.add(passed=passed, skipped=skipped)
    for f in failed:
        total.fail(f"fuzz {f}", out)
    if code and not failed:
        total.fail(f"tools/fuzz ended with {code}", out)


# ---- all of it

def build(kind, folder):
    started = time.monotonic()
    code, out = run(["tools/build", kind], 900)
    if code:
        total.fail(f"build {kind}", out)
    else:
        total.add(passed=1)
        say(f"built {folder.name} in {time.monotonic() - started:.0f} s")
    return code == 0


def main():
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [w for w in wanted if w not in PARTS]
    if unknown:
        sys.exit(f"tools/test: no part {unknown[0]}; there are: {' '.join(PARTS)}")
    if "house" in wanted:
        part("house", house)
    tests = ("unit" in wanted or "asan" in wanted) and build("test", TEST)
    release = "end" in wanted and build("release", RELEASE)
    has_clang = shutil.which("clang") is not None and not run(["tools/packages", "--missing", "fuzz"])[1].strip()
    fuzzing = "fuzz" in wanted and has_clang and build("fuzz", FUZZ)
    TEST.mkdir(exist_ok=True)
    if "unit" in wanted and tests:
        part("unit", unit)
    beside = None
    if "fuzz" in wanted and (fuzzing or not has_clang):
        beside = threading.Thread(target=part, args=("fuzz", fuzz))  # one core; the end-to-end tests mostly wait
        beside.start()
    if release:
        part("end", end)
    if "asan" in wanted and tests:
        part("asan", asan)
    if beside:
        beside.join()
    if total.left_out:
        say("\nLeft out:")
        for what in total.left_out:
            say(f"  {what}")
    if total.failures:
        say("\nFailed:")
        for what in total.failures:
            say(f"  {what}")
    say(f"\nTook {time.monotonic() - begin:.0f} s.")
    say(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
