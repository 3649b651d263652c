"""Where everything stands in a TOML text, which `tomllib` does not tell.

A tolerant scan: what is not TOML is read as values of no key, so that a text
with errors can still be shown in part.
"""

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field

Path = tuple[str | int, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\[^\n])*"|'[^'\n]*')"""
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY}){{0,30}}"
_PART = re.compile(_KEY)
_ASSIGNMENT = re.compile(rf"({_DOTTED})[ \t]*=")
_HEADER = re.compile(rf"(\[\[?)[ \t]*({_DOTTED})[ \t]*\]\]?[ \t]*(?=#|\r?\n|\Z)")
_BLANK = re.compile(r"[ \t\r]+|#[^\n]*")
_SCALAR = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\\?\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*+(?:"|\\?(?=\n)|\\?\Z)'
    r"|'[^'\n]*+(?:'|(?=\n)|\Z)"
    r"|[^\s,\[\]{}#\"']+",
    re.DOTALL,
)


_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of one line; `line` and `column` count from 1."""

    line: int
    column: int
    length: int = 1


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value, or a comment, which has no path: where it stands as offsets in the text."""

    path: Path | None
    start: int
    end: int


@dataclass(slots=True)
class _Frame:
    """An open table (`index` is None) or array; `key` is the path whose value is due, or was just read."""

    path: Path
    index: int | None = None
    key: Path | None = None
    filled: bool = False

    @property
    def due(self) -> Path | None:
        return self.key if self.index is None else (*self.path, self.index)


@dataclass(slots=True)
class Scan:
    """A text, the place of each key and array item, and its scalars in order.

    After a value where none belongs, as a missing quote brings about, nothing
    up to the end of the line has a path.
    """

    text: str
    places: dict[Path, Place] = field(default_factory=dict)
    scalars: list[Scalar] = field(default_factory=list)
    _lost: bool = False
    _starts: list[int] = field(default_factory=list)
    _arrays: dict[Path, int] = field(default_factory=dict)
    _frames: list[_Frame] = field(default_factory=lambda: [_Frame(())])

    @classmethod
    def of(cls, text: str) -> "Scan":
        """Scan `text`, whatever it is."""
        scan = cls(text)
        scan._starts = [0, *(newline.end() for newline in re.finditer("\n", text))]
        position = 0
        while position < len(text):
            position = scan._step(position)
        return scan

    def _step(self, position: int) -> int:
        """Read one token and return where the next begins."""
        frame = self._frames[-1]
        if blank := _BLANK.match(self.text, position):
            if blank[0].startswith("#"):
                self.scalars.append(Scalar(None, position, blank.end()))
            return blank.end()
        if self.text[position] == "\n":
            self._lost = False
            if frame.index is None:
                frame.key, frame.filled = None, False
            return position + 1
        if len(self._frames) == 1 and frame.key is None and (header := _HEADER.match(self.text, position)):
            self._enter(header)
            return header.end()
        if (frame.index is not None or frame.key is None) and (key := _ASSIGNMENT.match(self.text, position)):
            self._assign(key)
            return key.end()
        if scalar := _SCALAR.match(self.text, position):
            self._value(scalar)
            return scalar.end()
        self._punctuation(position)
        return position + 1

    def _enter(self, header: re.Match[str]) -> None:
        path: Path = ()
        parts = list(_PART.finditer(header[2]))
        for part in parts:
            path = (*path, _unquoted(part[0]))
            self._mark(path, header.start(2) + part.start(), len(part[0]))
            if part is parts[-1] and header[1] == "[[":
                self._arrays[path] = self._arrays.get(path, -1) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path])
        self.places[path] = self._place(header.start(2), len(header[2]))
        self._frames = [_Frame(path)]

    def _assign(self, key: re.Match[str]) -> None:
        if self._frames[-1].index is not None:  # never in an array: a bracket before was left open
            del self._frames[1:]
        frame = self._frames[-1]
        path = frame.path
        for part in _PART.finditer(key[1]):
            path = (*path, _unquoted(part[0]))
            self._mark(path, key.start(1) + part.start(), len(part[0]))
        frame.key, frame.filled = path, False

    def _value(self, scalar: re.Match[str]) -> None:
        path = self._fill()
        self.scalars.append(Scalar(path, scalar.start(), scalar.end()))
        if path is not None:
            self._mark(path, scalar.start(), len(scalar[0].partition("\n")[0]))

    def _fill(self) -> Path | None:
        """Return the path of the value that begins here."""
        frame = self._frames[-1]
        self._lost = self._lost or frame.filled or frame.due is None
        frame.filled = True
        return None if self._lost else frame.due

    def _punctuation(self, position: int) -> None:
        frame, character = self._frames[-1], self.text[position]
        if character in "[{" and len(self._frames) < _DEEPEST:
            path = self._fill()
            if path is not None:
                self._mark(path, position, 1)
                self._frames.append(_Frame(path, 0 if character == "[" else None))
        elif character == ",":
            frame.key, frame.filled = None, False
            frame.index = None if frame.index is None else frame.index + 1
        elif character in "]}" and len(self._frames) > 1 and (character == "]") == (frame.index is not None):
            self._frames.pop()

    def _mark(self, path: Path, start: int, length: int) -> None:
        self.places.setdefault(path, self._place(start, length))

    def _place(self, start: int, length: int) -> Place:
        line = bisect_right(self._starts, start)
        return Place(line, start - self._starts[line - 1] + 1, length)


def _unquoted(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] != '"':
        return key
    try:
        return str(tomllib.loads(f"k = {key}")["k"])
    except tomllib.TOMLDecodeError:
        return key
