"""Making text fit the limits of chats, which count after escaping."""

from collections.abc import Iterable, Mapping


def units(text: str) -> int:
    """Return the length of `text` in UTF-16 units, the strictest of the units that chats count in."""
    return len(text) + sum(character > "\uffff" for character in text)


def fit(text: str, limit: int, escapes: Mapping[str, str]) -> str:
    """Return `text` escaped, and cut with an ellipsis so that it holds at most `limit` units.

    The cut falls between characters, never inside what one was escaped to.
    """
    pieces = [escapes.get(character, character) for character in text]
    if sum(map(units, pieces)) <= limit:
        return "".join(pieces)
    room = limit - 1
    kept: list[str] = []
    for piece in pieces:
        room -= units(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept).rstrip() + "…"


def packed(lines: Iterable[str], room: int) -> list[str]:
    """Return those of `lines`, in order, that fit into `room` units, each with its line break."""
    kept: list[str] = []
    for line in lines:
        if units(line) + 1 <= room:
            kept.append(line)
            room -= units(line) + 1
    return kept
