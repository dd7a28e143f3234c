"""DKIM keys from the command line: made at setup, listed, rotated; a server that runs takes them at once. What is printed for
the DNS is compared with what openssl says of the key."""
import base64
import json
import os
import re
import subprocess

import instance
from instance import wait_for
from zones import Zones


def keys(h, *args):
    return {row["selector"]: row for row in map(json.loads, h.cli("dkim", "list", *args, "--json").stdout.splitlines())}


def states(h):
    return sorted((row["algorithm"], row["state"]) for row in keys(h).values())


def record_in_zone(text, selector):
    """The record of a selector from printed zone lines; its strings are one text."""
    line = next(one for one in text.splitlines() if one.startswith(f"{selector}._domainkey."))
    strings = re.findall(r'"([^"]*)"', line)
    assert all(len(one) <= 255 for one in strings)
    return "".join(strings)


def public_of(h, selector):
    der = subprocess.run(["openssl", "pkey", "-pubout", "-outform", "DER", "-in",
                          str(h.dir / "keys" / "dkim" / h.domain / f"{selector}.key")],
                         capture_output=True, check=True).stdout
    return der


def test_setup_makes_both_kinds(tmp_path):
    h = instance.Instance(tmp_path / "h").setup()
    made = keys(h)
    assert states(h) == [("ed25519", "signs"), ("rsa", "signs")]
    for selector, row in made.items():
        published = base64.b64decode(row["record"].split("p=")[1])
        if row["algorithm"] == "rsa":
            assert row["record"].startswith("v=DKIM1; k=rsa; p=")
            assert published == public_of(h, selector)
        else:  # RFC 8463, 4.2: the 32 octets alone
            assert row["record"].startswith("v=DKIM1; k=ed25519; p=")
            assert published == public_of(h, selector)[-32:] and len(published) == 32
        path = h.dir / "keys" / "dkim" / h.domain / f"{selector}.key"
        assert os.stat(path).st_mode & 0o777 == 0o600


def test_rotation(fresh):
    """Two steps: nothing new signs before the second. A running server reads the folder again at each."""
    h = fresh()
    first = set(keys(h))
    said = h.cli("dkim", "rotate", h.domain).stdout
    fresh_ones = set(keys(h)) - first
    assert states(h) == [("ed25519", "new"), ("ed25519", "signs"), ("rsa", "new"), ("rsa", "signs")]
    for selector in fresh_ones:
        assert record_in_zone(said, selector) == keys(h)[selector]["record"]
    assert "--finish" in said
    assert wait_for(lambda: "dkim=4" in h.log_text())
    # Said again it makes no third pair.
    assert h.cli("dkim", "rotate", h.domain).stdout == said
    assert set(keys(h)) == first | fresh_ones
    # No DNS shows these: the old keys go on.
    assert h.cli("dkim", "rotate", h.domain, "--finish", check=False).returncode == 1
    assert {s for s, row in keys(h).items() if row["state"] == "signs"} == first
    h.cli("dkim", "rotate", h.domain, "--finish", "--unchecked")
    assert {s for s, row in keys(h).items() if row["state"] == "signs"} == fresh_ones
    assert {s for s, row in keys(h).items() if row["state"] == "old"} == first
    for selector in first:
        h.cli("dkim", "remove", h.domain, selector)
    assert set(keys(h)) == fresh_ones
    assert wait_for(lambda: h.log_text().rstrip().count("dkim=2") >= 2)


def test_rotation_completes_what_add_began(fresh):
    """A new key of one kind is there already: rotate makes the other, so that --finish replaces both."""
    h = fresh()
    h.cli("dkim", "add", h.domain, "--ed25519")
    h.cli("dkim", "rotate", h.domain)
    assert states(h) == [("ed25519", "new"), ("ed25519", "signs"), ("rsa", "new"), ("rsa", "signs")]


def test_finish_asks_the_dns(fresh, tmp_path):
    """The lines that rotate prints go into a zone as they are; only what the DNS then shows is signed with."""
    with Zones(tmp_path / "zones") as zones:
        zones.zone("example.test", "@ A 127.0.0.1", denial=1)
        zones.start()
        h = fresh(settings=zones.settings())
        first = set(keys(h))
        lines = [one for one in h.cli("dkim", "rotate", h.domain).stdout.splitlines() if "_domainkey" in one]
        assert len(lines) == 2
        done = h.cli("dkim", "rotate", h.domain, "--finish", check=False)
        assert done.returncode == 1 and "does not show this key yet" in done.stderr
        # One of two is not enough.
        zones.zone("example.test", "@ A 127.0.0.1\n" + lines[0], denial=1)
        zones.reload()
        # The denial of the first one runs out; then it is the second one that is missed.
        assert wait_for(lambda: lines[1].split(".")[0] in
                        h.cli("dkim", "rotate", h.domain, "--finish", check=False).stderr, 20, 0.3)
        assert {s for s, row in keys(h).items() if row["state"] == "signs"} == first
        zones.zone("example.test", "@ A 127.0.0.1\n" + "\n".join(lines), denial=1)
        zones.reload()
        assert wait_for(lambda: h.cli("dkim", "rotate", h.domain, "--finish", check=False).returncode == 0, 20, 0.3)
        assert {s for s, row in keys(h).items() if row["state"] == "signs"} == set(keys(h)) - first


def test_one_kind_is_enough(tmp_path):
    h = instance.Instance(tmp_path / "h").setup()
    said = h.cli("dkim", "add", "mail." + h.domain, "--ed25519").stdout
    assert "k=ed25519" in said and "k=rsa" not in said
    (selector,) = keys(h, "mail." + h.domain)
    assert keys(h, "mail." + h.domain)[selector]["state"] == "new"
    h.cli("dkim", "use", "mail." + h.domain, selector)
    assert keys(h, "mail." + h.domain)[selector]["state"] == "signs"


def test_refusals(tmp_path):
    h = instance.Instance(tmp_path / "h").setup()
    signing = next(iter(keys(h)))
    for args, words in ((("add", "else.test"), "not ours"), (("add", "../../etc"), "no domain name"),
                        (("use", h.domain, "none"), "no such key"), (("use", h.domain), "no new key"),
                        (("remove", h.domain, signing), "signs"), (("remove", h.domain, "../seal"), "no key"),
                        (("rotate", h.domain, "--finish"), "not run")):
        done = h.cli("dkim", *args, check=False)
        assert done.returncode == 1 and words in done.stderr, (args, done.stderr)
    h.cli("dkim", "remove", h.domain, signing, "--force")
    assert signing not in keys(h)
