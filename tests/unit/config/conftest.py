"""A configuration in a folder of its own, and what loading it says."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from relay.config import Config, ConfigInvalid, load

PRESETS = ("getimg", "lumenfall", "nanogpt", "nanogpt-unified")

Load = Callable[..., Config]
Report = Callable[[str], str]


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Load a text as the file config.toml."""

    def load_it(text: str, env: Mapping[str, str] | None = None) -> Config:
        path = tmp_path / "config.toml"
        path.write_bytes(text.encode())
        return load(path, presets=PRESETS, env=env or {})

    return load_it


@pytest.fixture
def report(tmp_path: Path, load_text: Load) -> Report:
    """Return the report on a text that is refused, with the file's folder left out."""

    def report_it(text: str) -> str:
        with pytest.raises(ConfigInvalid) as caught:
            load_text(text)
        return caught.value.report.replace(f"{tmp_path}/", "")

    return report_it
