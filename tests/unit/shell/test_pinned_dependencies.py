"""What is installed is what was tested: pins by name and version, within the bounds that pyproject.toml gives."""

import re
import tomllib
from collections import Counter
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIN = re.compile(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)")
FILES = [path.name for path in sorted(ROOT.glob("requirements*.txt"))]


def pins_of(file: str) -> dict[str, str]:
    """Return the pins of one file, those of the files that it includes left out."""
    found = (PIN.fullmatch(line) for line in (ROOT / file).read_text().splitlines() if not line.startswith("-r "))
    return {canonicalize_name(pin[1]): pin[2] for pin in found if pin}


RUNTIME = pins_of("requirements.txt")
EVERYTHING = {name: version for file in FILES for name, version in pins_of(file).items()}


@pytest.mark.parametrize("file", FILES)
def test_each_line_names_one_package_and_one_version_and_no_address(file: str) -> None:
    lines = (ROOT / file).read_text().splitlines()

    assert [line for line in lines if not PIN.fullmatch(line) and line != "-r requirements.txt"] == []


@pytest.mark.parametrize("file", FILES)
def test_no_package_is_pinned_twice(file: str) -> None:
    names = Counter(canonicalize_name(line.partition("==")[0]) for line in (ROOT / file).read_text().splitlines())

    assert [name for name, times in names.items() if times > 1] == []
    assert {name: version for name, version in pins_of(file).items() if RUNTIME.get(name, version) != version} == {}


def test_the_pins_are_what_the_program_needs_and_nothing_else() -> None:
    """Asked of the installed packages, each of which names what it needs here."""
    needed, new = set[str](), [Requirement(text) for text in PROJECT["dependencies"]]
    while new:
        wanted = new.pop()
        name = canonicalize_name(wanted.name)
        if name in needed or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        assert name in RUNTIME, f"{wanted} has no pin"
        assert wanted.specifier.contains(RUNTIME[name]), f"{wanted}, but {RUNTIME[name]} is pinned"
        needed.add(name)
        new += map(Requirement, requires(name) or ())

    assert RUNTIME.keys() - needed == set()


@pytest.mark.parametrize(
    "text",
    [*PROJECT["dependencies"], *(text for texts in PROJECT["optional-dependencies"].values() for text in texts)],
)
def test_the_bounds_of_the_project_admit_the_pin(text: str) -> None:
    wanted = Requirement(text)

    assert wanted.url is None
    assert wanted.specifier.contains(EVERYTHING[canonicalize_name(wanted.name)])
