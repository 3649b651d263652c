"""Where provider files come from: the presets in the package, and files of one's own."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from relay.core.errors import RelayError
from relay.diagnostics import InvalidToml, TomlSource, problems_of
from relay.providers.spec import ProviderSpec

_LARGEST_FILE = 256 * 1024


class SpecInvalid(RelayError):
    """A provider file cannot be used; the message is the whole report."""


@cache
def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, sorted."""
    entries = (files(__package__) / "presets").iterdir()
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml")))


@cache
def load_preset(name: str) -> ProviderSpec:
    """Return the preset of this name; raises KeyError where there is none."""
    if name not in preset_names():
        raise KeyError(name)
    return parse((files(__package__) / "presets" / f"{name}.toml").read_text("utf-8"), f"{name}.toml")


def load_file(path: Path) -> ProviderSpec:
    """Return the description in a file; raises SpecInvalid."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise SpecInvalid(f"{path}: is larger than {_LARGEST_FILE // 1024} KiB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SpecInvalid(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SpecInvalid(f"{path}: is not UTF-8") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> ProviderSpec:
    """Return the description in a text; raises SpecInvalid with every problem, its line and a caret."""
    try:
        source = TomlSource.parse(text, name)
    except InvalidToml as error:
        raise SpecInvalid(str(error)) from error
    try:
        return ProviderSpec.model_validate(source.data)
    except ValidationError as error:
        raise SpecInvalid(source.render(problems_of(error, ProviderSpec))) from error
