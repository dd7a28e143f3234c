"""ENVELOPE and BODYSTRUCTURE of every mail in test/data/mime against what Python's email package makes of it.

structure.py PROGRAM: the program is print_structure. Where the two differ and Python is the one that is wrong, or no RFC
says who is right, the mail stands in OTHERS with what is then not compared, and why.
"""
import email
import email.header
import email.policy
import email.utils
import pathlib
import re
import subprocess
import sys

DATA = pathlib.Path(__file__).resolve().parents[2] / "data" / "mime"

BOUNDARIES = "boundaries are broken, and a parser's choice; test/unit/mail holds ours to others' trees"
ENCODED = "message/rfc822 in base64, which RFC 2046, 5.2.1 forbids: shown with an empty body, for there are no octets of it"
HEADER = "Python ends the header at the first line that is no field; RFC 9051 clients then miss the fields after it"
NO_PARTS = "a multipart without a part that can be found is shown as text, so that a client can open it"
CHARSET = "Python replaces the octets that are not ASCII"
OTHERS = {
    "mail-parser/legacy/016.eml": ("params", CHARSET),
    "mail-parser/legacy/026.eml": ("params", CHARSET),
    "mail-parser/malformed/000.eml": ("tree", BOUNDARIES),
    "mail-parser/malformed/003.eml": ("tree", BOUNDARIES),
    "mail-parser/malformed/005.eml": ("tree", BOUNDARIES),
    "mail-parser/malformed/006.eml": ("tree", BOUNDARIES),
    "mail-parser/malformed/008.eml": ("tree", BOUNDARIES),
    "mail-parser/malformed/012.eml": ("tree", BOUNDARIES),
    "mail-parser/malformed/016.eml": ("tree", BOUNDARIES),
    "mail-parser/malformed/020.eml": ("tree", NO_PARTS),
    "mail-parser/malformed/021.eml": ("tree", NO_PARTS),
    "mail-parser/rfc/001.eml": ("tree", "Python makes a message of message/external-body, which is a leaf (RFC 2046, 5.2.3)"),
    "mail-parser/rfc/008.eml": ("tree", ENCODED),
    "mime4j/bad-newlines-multiple-parts-base64.msg": ("tree", ENCODED),
    "mime4j/base64encoded-rfc822message-nested.msg": ("tree", ENCODED),
    "mime4j/base64encoded-rfc822message.msg": ("tree", ENCODED),
    "mime4j/basic-plain-with-bad-header-separator.msg": ("tree", HEADER),
    "mime4j/ending-boundaries.msg": ("tree", BOUNDARIES),
    "mime4j/malformedHeader-nocrlfcrlf.msg": ("tree", HEADER),
    "mime4j/malformedHeaderStartsBody-nocrlfcrlf.msg": ("tree", HEADER),
    "mime4j/missing-boundary.msg": ("tree", NO_PARTS),
    "mime4j/missing-inner-boundary.msg": ("tree", NO_PARTS),
    "mime4j/missing-inner-start-boundary.msg": ("tree", NO_PARTS),
    "mime4j/multipartemptypart.msg": ("tree", "Python takes the boundary's end for text of the part"),
    "mime4j/multipartnopart.msg": ("tree", NO_PARTS),
    "mime4j/obsolete.msg": ("tree date subject", "Python knows no blank before the colon (RFC 5322, 4.5)"),
    "mime4j/very-long-boundary.msg": ("tree", "Python takes a longer line for the boundary"),
    "mime4j/very-very-long-boundary.msg": ("tree", "Python takes a longer line for the boundary"),
    "mime4j/weird-boundary.msg": ("tree", "Python takes a longer line for the boundary"),
}


# ---- reading the program's output ----

class Reader:
    def __init__(self, octets):
        self.octets, self.at = octets, 0

    def block(self):
        end = self.octets.index(b"\n", self.at)
        size = int(self.octets[self.at:end])
        self.at = end + 1 + size
        return self.octets[end + 1:self.at]

    def value(self):
        while self.octets[self.at:self.at + 1] == b" ":
            self.at += 1
        c = self.octets[self.at:self.at + 1]
        if c == b"(":
            self.at += 1
            found = []
            while True:
                while self.octets[self.at:self.at + 1] == b" ":
                    self.at += 1
                if self.octets[self.at:self.at + 1] == b")":
                    self.at += 1
                    return found
                found.append(self.value())
        if c == b'"':
            m = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*)"').match(self.octets, self.at)
            self.at = m.end()
            return re.sub(rb"\\(.)", rb"\1", m[1])
        m = re.compile(rb"\{(\d+)\}\r\n").match(self.octets, self.at)
        if m:
            self.at = m.end() + int(m[1])
            return self.octets[m.end():self.at]
        m = re.compile(rb"[^\s()]+").match(self.octets, self.at)
        self.at = m.end()
        return None if m[0] == b"NIL" else int(m[0])


# ---- what Python makes of a mail ----

def raw(text):
    return str(text).encode("utf-8", "surrogateescape")


def unfolded(text):
    return re.sub(rb"\r?\n", b"", raw(text)).strip(b" \t") if text is not None else None


def field(part, name):
    """The field as it stands: Message's own access replaces octets."""
    return next((v for k, v in part.raw_items() if k.lower() == name), None)


def python_tree(part):
    kind = part.get_content_type()
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        return [kind, [python_tree(p) for p in part.get_payload()]]
    if part.is_multipart() and kind in ("message/rfc822", "message/global"):
        return [kind, [python_tree(part.get_payload()[0])]]
    if part.is_multipart():
        return [kind, []]
    return [kind, len(raw(part._payload or ""))]


def our_tree(value):
    if isinstance(value[0], list):
        children = [v for v in value if isinstance(v, list)]
        count = next(i for i, v in enumerate(value) if not isinstance(v, list))
        return ["multipart/" + value[count].decode().lower(), [our_tree(v) for v in children[:count]]]
    kind = (value[0] + b"/" + value[1]).decode().lower()
    if kind in ("message/rfc822", "message/global") and isinstance(value[7], list):
        return [kind, [our_tree(value[8])]]
    return [kind, value[6]]


def walk(value):
    """Parts of a BODYSTRUCTURE in order: (params, disposition)."""
    if isinstance(value[0], list):
        count = next(i for i, v in enumerate(value) if not isinstance(v, list))
        yield value[count + 1], value[count + 2]
        for v in value[:count]:
            yield from walk(v)
        return
    message = (value[0] + b"/" + value[1]).lower() in (b"message/rfc822", b"message/global")
    at = 7 + (3 if message else 1 if value[0].lower() == b"text" else 0)
    yield value[2], value[at + 1]
    if message:
        yield from walk(value[8])


def python_walk(part):
    yield part
    if part.is_multipart():
        for p in part.get_payload():
            yield from python_walk(p)


def plain(params):
    pairs = params or []
    return {pairs[i].lower(): pairs[i + 1] for i in range(0, len(pairs), 2)}


def addresses(part, name):
    values = [re.sub(r"\r?\n", "", str(v)) for k, v in part.raw_items() if k.lower() == name]
    return [raw(a) for _, a in email.utils.getaddresses(values) if a]


def our_addresses(value):
    return [a[2] + b"@" + a[3] for a in value or [] if a[2] is not None and a[3]]


# ---- comparing ----

def differences(part, envelope, structure, passed_over):
    python, ours = python_tree(part), our_tree(structure)
    if "tree" not in passed_over and python != ours:
        yield f"tree: Python {python}, ours {ours}"
        return
    if "params" not in passed_over and "tree" not in passed_over:
        for p, (params, disposition) in zip(python_walk(part), walk(structure)):
            for name in ("charset", "boundary", "name"):
                theirs = p.get_param(name)
                if isinstance(theirs, str) and theirs and "=?" not in theirs:
                    if plain(params).get(name.encode()) != unfolded(theirs):
                        yield f"{name}: Python {theirs!r}, ours {params}"
            theirs = p.get_content_disposition()
            if theirs and (disposition is None or disposition[0].decode().lower() != theirs):
                yield f"disposition: Python {theirs!r}, ours {disposition}"
    for at, name in ((0, "date"), (1, "subject"), (9, "message-id")):
        if name in passed_over:
            continue
        theirs = unfolded(field(part, name))
        if re.sub(rb"\s+", b" ", theirs or b"") != re.sub(rb"\s+", b" ", envelope[at] or b""):
            yield f"{name}: Python {theirs!r}, ours {envelope[at]!r}"
    for at, name in ((2, "from"), (5, "to"), (6, "cc"), (7, "bcc")):
        if name in passed_over:
            continue
        theirs = [a for a in addresses(part, name) if b"@" in a]
        if theirs != our_addresses(envelope[at]):
            yield f"{name}: Python {theirs}, ours {our_addresses(envelope[at])}"


def main():
    files = sorted(p for p in DATA.rglob("*") if p.suffix in (".eml", ".msg"))
    done = subprocess.run([sys.argv[1]] + [str(f) for f in files], stdout=subprocess.PIPE, check=True)
    output = Reader(done.stdout)
    failed = 0
    for n, file in enumerate(files, 1):
        name = str(file.relative_to(DATA))
        envelope, structure = Reader(output.block()).value(), Reader(output.block()).value()
        part = email.message_from_bytes(file.read_bytes(), policy=email.policy.compat32)
        passed_over = OTHERS.get(name, ("",))[0].split()
        found = list(differences(part, envelope, structure, passed_over)) if "all" not in passed_over else []
        failed += bool(found)
        print(f"{'not ok' if found else 'ok'} {n} - {name}")
        for line in found:
            print("#", line)
    print(f"1..{len(files)}")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
