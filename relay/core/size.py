"""Sizes as people write them: "512KiB", "16MiB"."""

import re

_UNIT = {"KiB": 1024, "MiB": 1024 * 1024}
_WHOLE = re.compile(r"([1-9][0-9]{0,8})(KiB|MiB)")


def parse_size(text: str) -> int:
    """Return the bytes that `text` says; raises ValueError unless it is a whole number with a unit."""
    found = _WHOLE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'"{text}" is not a size; write a whole number with a unit, as in "512KiB" or "16MiB"')
    return int(found[1]) * _UNIT[found[2]]
