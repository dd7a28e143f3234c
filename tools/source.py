"""What the house's tools know of C sources: files, includes, text without comments."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent


def c_files(*folders):
    """All .c, .h and .def files below these folders of the repository, in order."""
    return sorted(p for f in folders for p in (ROOT / f).rglob("*") if p.suffix in (".c", ".h", ".def"))


def name(path):
    return str(path.relative_to(ROOT))


def without_comments(text, strings=True):
    """The text with comments (and the contents of strings) blanked; lines stay where they are."""
    def blank(m):
        s = m.group(0)
        if s.startswith("/"):
            return re.sub(r"[^\n]", " ", s)
        return s[0] + " " * (len(s) - 2) + s[-1] if strings else s
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def line_of(text, at):
    return text.count("\n", 0, at) + 1
