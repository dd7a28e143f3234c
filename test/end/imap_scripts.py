#!/usr/bin/env python3
"""Plays the scripted tests of ImapTest (../shared/testdata/imap-scripts: scripted_test.md is their format) against a server.

    imap_scripts.py HOST PORT USER PASSWORD [SCRIPT...]     all scripts when none is named; --tls for implicit TLS
    results = imap_scripts.run(host, port, user, password)   the same from a test: a list of Result

A script passes, or is skipped because the server does not announce what it needs, or fails. What is known not to pass
stands in KNOWN with the reason; a known one that passes is reported too, so that the table stays true.
HIKYAKU_TESTDATA names the folder of test data (default ../shared/testdata beside the source).
"""
import dataclasses
import os
import pathlib
import re
import socket
import ssl
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]

# Script -> why it does not pass here.
KNOWN = {}

# \Recent is not kept: IMAP4rev2 has no such flag (RFC 9051, appendix E), and IMAP4rev1 clients are told "0 RECENT"
# always. What scripts expect of it is taken out of them; everything else in them still counts.
NO_RECENT = "without what it expects of \\Recent"
RECENT_SEARCHES = ("search new", "search old", "search recent")


def folder():
    data = os.environ.get("HIKYAKU_TESTDATA")
    return (pathlib.Path(data) if data else SOURCE.parent / "shared" / "testdata") / "imap-scripts"


@dataclasses.dataclass
class Result:
    script: str
    state: str  # "ok", "skip", "known" or "FAIL"
    reason: str = ""


class Failure(Exception):
    pass


# ---- tokens: str for atoms and numbers, Text for strings, list for (...) and [...] at a word's beginning ----

class Text(str):
    """A quoted string or literal."""


class Bracket(list):
    """[...] of a response code."""


class Parser:
    def __init__(self, data):
        self.data, self.at = data, 0

    def end(self):
        while self.at < len(self.data) and self.data[self.at] in " ":
            self.at += 1
        return self.at >= len(self.data)

    def tokens(self, closing=""):
        found = []
        while not self.end():
            if closing and self.data[self.at] == closing:
                self.at += 1
                return found
            found.append(self.token(closing))
        return found

    def token(self, closing):
        c = self.data[self.at]
        if c == "(":
            self.at += 1
            return self.tokens(")")
        if c == "[":
            self.at += 1
            return Bracket(self.tokens("]"))
        if c == '"':
            return self.quoted()
        literal = re.match(r"~?\{(\d+)\+?\}\r\n", self.data[self.at:self.at + 24])
        if literal:
            start = self.at + literal.end()
            self.at = start + int(literal[1])
            return Text(self.data[start:self.at])
        return self.atom(closing)

    def quoted(self):
        out = ""
        self.at += 1
        while self.at < len(self.data) and self.data[self.at] != '"':
            if self.data[self.at] == "\\":
                self.at += 1
            out += self.data[self.at]
            self.at += 1
        self.at += 1
        return Text(out)

    def atom(self, closing):
        start, depth = self.at, 0
        while self.at < len(self.data):
            c = self.data[self.at]
            if c == "[":
                depth += 1
            elif c == "]" and depth:
                depth -= 1
            elif depth == 0 and (c in " ()" or (closing and c == closing)):
                break
            self.at += 1
        if self.at == start:
            self.at += 1
        return self.data[start:self.at]


def parse(data):
    return Parser(data).tokens()


# ---- one connection ----

class Connection:
    def __init__(self, host, port, tls=False):
        self.socket = socket.create_connection((host, port), timeout=30)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.buffer = b""
        self.count = 0
        self.numbers = list(range(1, 20001))
        self.line()

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Failure("the server closed the connection")
        self.buffer += data

    def line(self):
        """A response with its literals, without the last CRLF."""
        at = 0
        while True:
            end = self.buffer.find(b"\r\n", at)
            if end < 0:
                self.more()
                continue
            literal = re.search(rb"\{(\d+)\}$", self.buffer[at:end])
            if not literal:
                line, self.buffer = self.buffer[:end], self.buffer[end + 2:]
                return line.decode("latin-1")
            at = end + 2 + int(literal[1])
            while len(self.buffer) < at:
                self.more()

    def send(self, text):
        self.socket.sendall(text.encode("latin-1"))

    def tag(self):
        self.count += 1
        return f"a{self.count}"

    def command(self, text):
        """Plain use: returns (untagged lines, tagged line)."""
        tag = self.tag()
        self.send(f"{tag} {text}\r\n")
        untagged = []
        while True:
            line = self.line()
            if line.startswith(tag + " "):
                return untagged, line[len(tag) + 1:]
            untagged.append(line)

    def good(self, text):
        untagged, tagged = self.command(text)
        if not tagged.upper().startswith("OK"):
            raise Failure(f"{text.splitlines()[0]}: {tagged}")
        return untagged

    def close(self):
        self.socket.close()


# ---- scripts ----

def read_mbox(path):
    """Messages as CRLF text; the blank line before the next "From " belongs to a message, as in ImapTest."""
    messages = []
    for line in path.read_bytes().decode("latin-1").split("\n")[:-1]:
        if line.startswith("From "):
            messages.append("")
        elif messages:
            messages[-1] += line + "\r\n"
    return messages


# ~{{{ is taken as it stands, {{{ with CRLF line ends.
LITERAL = re.compile(r"(~?)\{\{\{\n(.*?)\n?\}\}\}", re.S)


def literal(match, plus=""):
    content = match[2] if match[1] else match[2].replace("\n", "\r\n")
    return f"{{{len(content)}{plus}}}\r\n{content}"


def logical_lines(text):
    """Lines, where {{{ ... }}} may span several; literals become {n} CRLF octets."""
    lines, current = [], ""
    for line in text.split("\n"):
        current = current + "\n" + line if current else line
        if current.count("{{{") > current.count("}}}"):
            continue
        lines.append(current)
        current = ""
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def literals(line):
    return LITERAL.sub(literal, line)


class Script:
    def __init__(self, path, server):
        self.path, self.server = path, server
        header, _, body = path.read_bytes().decode("latin-1").partition("\n\n")
        self.header = dict(re.findall(r"^([a-z_]+):\s*(.*?)\s*$", header, re.M))
        if not self.header:
            body = header + "\n\n" + body
        self.lines = logical_lines(body)
        mbox = path.with_name(path.name + ".mbox")
        self.messages = read_mbox(mbox if mbox.exists() else path.with_name("default.mbox"))
        self.next_message = 0
        self.state = self.header.get("state", "selected")
        self.wanted = int(self.header.get("connections", "1"))
        user = server["user"]
        self.variables = {"user": user, "username": user.partition("@")[0], "domain": user.partition("@")[2],
                          "password": server["password"], "mailbox": server["mailbox"],
                          "mailbox_url": server["mailbox"]}
        self.connections = []
        self.recent = False

    # -- setting up --

    def message(self):
        text = self.messages[self.next_message % len(self.messages)]
        self.next_message += 1
        return f"{{{len(text)}+}}\r\n{text}"

    def connect(self):
        c = Connection(self.server["host"], self.server["port"], self.server["tls"])
        self.connections.append(c)
        return c

    def login(self, c):
        c.good(f'LOGIN "{self.server["user"]}" "{self.server["password"]}"')

    def clean(self, c):
        box = self.variables["mailbox"]
        for pattern in (box, box + "*"):
            for line in c.good(f'LIST "" {pattern}'):
                tokens = parse(line)
                if len(tokens) > 4 and tokens[1].upper() == "LIST":
                    c.command(f'DELETE "{tokens[-1]}"')
            for line in c.good(f'LSUB "" {pattern}'):
                tokens = parse(line)
                if len(tokens) > 4 and tokens[1].upper() == "LSUB":
                    c.command(f'UNSUBSCRIBE "{tokens[-1]}"')

    def append_all(self, c):
        count = self.header.get("messages", "all")
        for _ in range(len(self.messages) if count == "all" else int(count)):
            c.good(f'APPEND {self.variables["mailbox"]} {self.message()}')

    def prepare(self):
        """False with the reason when the server lacks a capability."""
        first = self.connect()
        states = ("nonauth", "auth", "created", "appended", "selected")
        level = states.index(self.state)
        if level >= 1:
            self.login(first)
        have = " ".join(first.good("CAPABILITY")).upper().split()
        missing = [w for w in self.header.get("capabilities", "").upper().split() if w not in have]
        if missing:
            return "no " + " ".join(missing)
        for _ in range(self.wanted - 1):
            c = self.connect()
            if level >= 1:
                self.login(c)
        if level >= 1:
            self.clean(first)
        if level >= 2:
            first.good(f'CREATE {self.variables["mailbox"]}')
        if level >= 3:
            self.append_all(first)
        if level >= 4:
            for c in self.connections:
                c.good(f'SELECT {self.variables["mailbox"]}')
        return ""

    # -- playing --

    def substitute(self, text):
        def one(match):
            if match[0] == "$$":
                return "$"
            name = match[1] or match[2]
            return self.variables.get(name, match[0])
        return re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", one, text)

    def play(self):
        at = 0
        while at < len(self.lines):
            at = self.step(at)

    def split_connection(self, line):
        if self.wanted < 2:
            return self.connections[0], line
        number, _, rest = line.partition(" ")
        return self.connections[int(number) - 1], rest

    def step(self, at):
        """One command, or a group of pipelined ones, with its expectations."""
        connection, line = self.split_connection(self.lines[at])
        if re.match(r"tag\d+ ", line):
            return self.pipelined(at)
        status, _, rest = line.partition(" ")
        prefix = None
        if status.lower() in ("ok", "no", "bad", '""'):
            command = rest
        else:
            status, command = None, line
        at += 1
        expected = []
        while at < len(self.lines) and self.lines[at][0] in "*!":
            expected.append(self.lines[at])
            at += 1
        if status is None:
            _, line = self.split_connection(self.lines[at])
            status, _, prefix = line.partition(" ")
            at += 1
        self.exchange(connection, command, expected, status, prefix)
        return at

    def make_command(self, command):
        words = command.split()
        if words[0].lower() == "append":
            if len(words) == 1:
                command += " $mailbox"
            if "{{{" not in command and "catenate" not in command.lower():
                return self.substitute(command) + " " + self.message()
        return LITERAL.sub(lambda match: literal(match, "+"), self.substitute(command))

    def exchange(self, connection, command, expected, status, prefix):
        tag = connection.tag()
        self.variables["tag"] = tag
        connection.numbers = list(range(1, 20001))
        connection.send(f"{tag} {self.make_command(command)}\r\n")
        untagged = []
        while True:
            line = connection.line()
            if line.startswith(tag + " "):
                break
            untagged.append(self.numbered(connection, line))
        self.check(command, expected, untagged)
        self.check_tagged(command, line[len(tag) + 1:], status, prefix)

    def pipelined(self, at):
        sent, statuses, expected, untagged = {}, {}, [], []
        connection = self.split_connection(self.lines[at])[0]
        while at < len(self.lines):
            line = self.lines[at]
            if line[0] in "*!":
                expected.append(line)
            else:
                name, _, rest = self.split_connection(line)[1].partition(" ")
                word = rest.partition(" ")[0].lower()
                if word in ("ok", "no", "bad", '""'):
                    statuses[name] = rest
                elif statuses:
                    break
                else:
                    sent[name] = rest
            at += 1
        connection.send("".join(f"{name} {self.make_command(rest)}\r\n" for name, rest in sent.items()))
        done = {}
        while len(done) < len(sent):
            line = connection.line()
            tag = line.partition(" ")[0]
            if tag in sent:
                done[tag] = line.partition(" ")[2]
            else:
                untagged.append(self.numbered(connection, line))
        self.check("pipelined commands", expected, untagged)
        for name, wanted in statuses.items():
            status, _, prefix = wanted.partition(" ")
            self.check_tagged(sent[name], done[name], status, prefix)
        return at

    @staticmethod
    def numbered(connection, line):
        """(tokens, number at the command's beginning)"""
        tokens = parse(line)[1:]
        original = None
        if len(tokens) > 1 and isinstance(tokens[0], str) and tokens[0].isdigit():
            at = int(tokens[0]) - 1
            if tokens[1].upper() == "EXPUNGE":
                original = connection.numbers.pop(at)
            elif tokens[1].upper() == "FETCH":
                original = connection.numbers[at]
        return tokens, original

    # -- matching --

    def check_tagged(self, command, line, status, prefix):
        if status != '""' and not line.lower().startswith(status.lower()):
            raise Failure(f"{command!r}: wanted {status}, got {line!r}")
        if prefix and not self.match(parse(literals(prefix)), parse(line)[1:], "prefix"):
            raise Failure(f"{command!r}: wanted {status} {prefix}, got {line!r}")

    def without_recent(self, command, text):
        words = text[1:].split()
        lowered = command.lower()
        if len(words) == 2 and words[1].lower() == "recent":
            return None
        if any(lowered.startswith(search) for search in RECENT_SEARCHES):
            return None
        if re.search(r"\\?recent", text, re.I):
            text = re.sub(r"\\recent ?", "", text, flags=re.I)
            text = re.sub(r"\brecent \d+ ?", "", text, flags=re.I)
        return text

    def check(self, command, expected, untagged):
        for line in expected:
            kept = self.without_recent(command, line)
            if kept != line:
                self.recent = True
            if kept is None:
                continue
            wanted = parse(literals(kept[1:].strip()))
            found = any(self.match_untagged(wanted, tokens, original) for tokens, original in untagged)
            if found == (line[0] == "!"):
                came = "\n    ".join(repr(tokens) for tokens, _ in untagged)
                raise Failure(f"{command!r}: wanted {line!r}, got\n    {came}")

    def match_untagged(self, wanted, tokens, original):
        saved = dict(self.variables)
        wanted = list(wanted)
        if isinstance(wanted[0], str) and re.match(r"\$\d+$", wanted[0]):
            if original is None or int(wanted[0][1:]) != original:
                return False
            wanted[0], tokens = "n", ["n"] + tokens[1:]
        word = wanted[0].lower() if isinstance(wanted[0], str) else ""
        kind = "prefix" if word in ("ok", "no", "bad", "bye") else "exact"
        if self.match(wanted, tokens, kind, top=True):
            return True
        self.variables = saved
        return False

    def match(self, wanted, got, kind, top=False):
        """Lists of tokens in order; "prefix" lets more follow."""
        if len(got) < len(wanted) or (kind == "exact" and len(got) != len(wanted)):
            return False
        context = ""
        if top and len(wanted) > 1:
            words = [w.lower() for w in wanted[:2] if isinstance(w, str)]
            context = words[-1] if words and words[-1] == "fetch" else (words[0] if words else "")
        return all(self.match_one(w, g, context if top else "") for w, g in zip(wanted, got))

    def match_one(self, wanted, got, context):
        if wanted == "$":
            return True
        if isinstance(wanted, list):
            return isinstance(got, list) and self.match_list(list(wanted), list(got), context)
        if isinstance(got, list):
            return False
        if type(wanted) is str and re.match(r"\$(\w+|\{\w+\})$", wanted):
            name = wanted[1:].strip("{}")
            if name not in self.variables:
                self.variables[name] = str(got)
                return True
        return self.substitute(str(wanted)).lower() == str(got).lower()

    def match_list(self, wanted, got, context):
        directives = [w for w in wanted if isinstance(w, str) and w.startswith("$!")]
        wanted = [w for w in wanted if w not in directives]
        chain, extra, ignore = 0, False, []
        if not directives:
            if context in ("fetch", "status"):
                chain, extra = 2, True
            elif context in ("list", "lsub"):
                chain, extra = 1, True
            elif context == "flags":
                chain, ignore = 1, ["\\recent"]
        for word in directives:
            name, _, value = word[2:].lower().partition("=")
            if name == "unordered":
                chain, extra = int(value or 1), True
            elif name == "noextra":
                extra = False
            elif name == "extra":
                extra = True
            elif name == "ignore":
                ignore.append(value)
        if not chain:
            return self.match(wanted, got, "prefix" if isinstance(wanted, Bracket) else "exact")
        return self.match_unordered(wanted, got, chain, extra, ignore, context)

    def match_unordered(self, wanted, got, chain, extra, ignore, context):
        left = [got[i:i + chain] for i in range(0, len(got), chain)]
        for i in range(0, len(wanted), chain):
            group = wanted[i:i + chain]
            inner = "flags" if context == "fetch" and str(group[0]).lower() == "flags" else ""
            for candidate in left:
                if len(candidate) == len(group) and all(
                        self.match_one(w, g, inner if n else "") for n, (w, g) in enumerate(zip(group, candidate))):
                    left.remove(candidate)
                    break
            else:
                return False
        left = [g for g in left if not (len(g) == 1 and str(g[0]).lower() in ignore)]
        return extra or not left


# ---- all of them ----

def names():
    """Scripts: files without a suffix that have commands."""
    return sorted(p.name for p in folder().iterdir()
                  if "." not in p.name and p.name not in ("COPYING",) and p.is_file())


def play(name, server):
    script = Script(folder() / name, server)
    try:
        missing = script.prepare()
        if missing:
            return Result(name, "skip", missing)
        script.play()
    except (Failure, OSError, IndexError, ValueError) as error:
        state = "known" if name in KNOWN else "FAIL"
        return Result(name, state, f"{KNOWN[name]}: {error}" if name in KNOWN else f"{error}")
    finally:
        for c in script.connections:
            c.close()
    if name in KNOWN:
        return Result(name, "FAIL", "it passes, but stands in KNOWN")
    return Result(name, "ok", NO_RECENT if script.recent else "")


def run(host, port, user, password, only=(), tls=False, mailbox="imaptest"):
    server = {"host": host, "port": port, "user": user, "password": password, "tls": tls, "mailbox": mailbox}
    return [play(name, server) for name in names() if not only or name in only]


def main(arguments):
    tls = "--tls" in arguments
    arguments = [a for a in arguments if a != "--tls"]
    if len(arguments) < 4:
        print(__doc__)
        return 2
    if not folder().exists():
        print(f"skip: no {folder()}")
        return 0
    results = run(arguments[0], int(arguments[1]), arguments[2], arguments[3], arguments[4:], tls)
    for r in results:
        print(f"{r.state:5} {r.script}{': ' + r.reason if r.reason else ''}")
    return 1 if any(r.state == "FAIL" for r in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
