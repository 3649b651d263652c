"""Sizes as people write them."""

import pytest

from relay.core.size import parse_size


@pytest.mark.parametrize(("text", "size"), [("1KiB", 1024), ("512KiB", 524_288), (" 16MiB ", 16_777_216)])
def test_a_size_is_a_whole_number_with_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "16", "0MiB", "1.5MiB", "16MB", "16 MiB", "-1KiB", "1GiB", "9999999999KiB"])
def test_anything_else_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write a whole number with a unit"):
        parse_size(text)
