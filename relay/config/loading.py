"""From a file to a configuration, or to a report of everything that is wrong with it."""

import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from relay import places
from relay.config.relations import Examine, Surroundings, errors_in, holds_none, may_exist, unexamined, warnings_in
from relay.config.schema import ConfigTable
from relay.config.secrets import Secret, SecretMalformed, SecretUnreadable, is_reference
from relay.config.settings import build
from relay.config.signing import reader_of
from relay.config.sources import FilePart, Sources, variables
from relay.config.templates import template_doubts
from relay.config.values import Config
from relay.core.errors import RelayError
from relay.diagnostics import InvalidToml, Level, Problem, TomlSource, problems_of
from relay.diagnostics import Path as KeyPath

_LIMIT = 1024 * 1024
_SECRETIVE = {
    "api_key", "base_url", "hash", "headers", "password", "previous_secrets", "proxy", "secret", "secrets",
    "signing_key", "url",
}  # fmt: skip
"""Keys whose values are not shown, because they are secrets or, mistakenly, might be."""
_HARMLESS = re.compile(r"[\w .:/\[\]-]{0,80}")
"""What values look like that are shown: a quote or an equals sign in one means that it swallowed its neighbours."""
_SHOWN = {
    "listen", "socket", "grace", "level", "format", "name", "scopes", "allow_http", "allow_networks", "allow_hosts",
    "first", "max_gap", "give_up_after", "preset", "spec", "min_interval", "max_interval", "rate", "concurrency",
    "detection_lag", "typical_duration", "deadline", "not_found_grace", "type", "payload", "raw", "user", "thread",
    "digest", "status", "provider", "event", "model", "longer_than", "shorter_than", "to", "watches", "every",
    "from", "timezone", "except",
}  # fmt: skip


class ConfigInvalid(RelayError):
    """The configuration cannot be used; `report` tells every problem with its place."""

    def __init__(self, report: str) -> None:
        super().__init__(report)
        self.report = report


def find(explicit: Path | None = None, env: Mapping[str, str] = os.environ, cwd: Path | None = None) -> Path:
    """Return the configuration file to use: the one named, else $RELAY_CONFIG, ./config.toml, /etc/relay/config.toml.

    Raises ConfigInvalid, which lists the places, where there is none.  A file
    that was named is returned whether it is there or not.
    """
    if explicit is not None:
        return explicit
    if env.get("RELAY_CONFIG"):
        return Path(env["RELAY_CONFIG"])
    candidates = ((cwd or Path()) / "config.toml", places.CONFIGURATION)
    for place in candidates:
        if may_exist(place):
            return place
    tried = " and no ".join(map(str, candidates))
    raise ConfigInvalid(
        f"error: no configuration: no --config was given, $RELAY_CONFIG is not set, there is no {tried}"
    )


def load(
    path: Path,
    *,
    presets: Collection[str],
    env: Mapping[str, str] = os.environ,
    examine: Examine = unexamined,
    holds_tokens: Callable[[Path], bool] = holds_none,
) -> Config:
    """Return the configuration in the file `path`, in `conf.d` beside it, and in the environment.

    `presets` are the names of the provider files that come with relay, `examine`
    tells what such a file has to say about what is configured for it, and
    `holds_tokens` whether a database holds tokens of the API.  Raises
    ConfigInvalid with everything that is wrong.
    """
    path = path.absolute()
    sources = read_sources(path, env)
    problems = list(errors_in(sources.data, Surroundings(presets, path, env, examine, holds_tokens)))
    try:
        table = ConfigTable.model_validate(sources.data)
    except ValidationError as error:
        problems += problems_of(error, ConfigTable)
    if problems or sources.clashing:
        raise ConfigInvalid(f"{sources.render(problems)}\n{sources.count(problems)}")
    config = build(table, path, env)
    unreadable = _unreadable(config)
    malformed = [problem for problem in unreadable if problem.level is Level.ERROR]
    if malformed:
        raise ConfigInvalid(f"{sources.render(malformed)}\n{sources.count(malformed)}")
    doubts = [*warnings_in(table), *template_doubts(config), *_examined(config, examine), *unreadable]
    return replace(config, warnings=tuple(sources.render([doubt]) for doubt in doubts))


def read_sources(path: Path, env: Mapping[str, str]) -> Sources:
    """Return what the file `path`, those of `conf.d` beside it in the order of their names, and `env` say.

    Raises ConfigInvalid with what keeps any of the files from being read.
    """
    sources, wrong = Sources(), []
    for place in (path, *_drop_ins(path.parent / "conf.d")):
        try:
            sources.add(FilePart(read_source(place)))
        except ConfigInvalid as error:
            wrong.append(error.report)
    if wrong:
        raise ConfigInvalid("\n".join(wrong))
    for variable in variables(env, sources.data):
        sources.override(variable)
    return sources


def _drop_ins(folder: Path) -> list[Path]:
    try:
        return sorted(place for place in folder.iterdir() if place.suffix == ".toml" and not place.name.startswith("."))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"{folder}: error: cannot be read: {getattr(error, 'strerror', error)}") from None


def _examined(config: Config, examine: Examine) -> Iterator[Problem]:
    for provider in config.providers.values():
        yield from examine(provider, config.schedule.detection_lag_s)


def read_source(path: Path) -> TomlSource:
    """Return the file as TOML; raises ConfigInvalid where it is none, or cannot be read."""
    try:
        path = path.absolute()
        text = _read(path).decode("utf-8-sig")
        return TomlSource.parse(text.replace("\r\n", "\n"), str(path), shows=_shows)
    except InvalidToml as error:
        raise ConfigInvalid(str(error)) from None
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path}: error: not UTF-8 text (byte {error.start + 1})") from None
    except OSError as error:
        raise ConfigInvalid(f"{path}: error: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigInvalid(f"{path}: error: {error}") from None


def _read(path: Path) -> bytes:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ValueError("is a folder; name the file in it")
    if not stat.S_ISREG(mode):  # a pipe could block for ever
        raise ValueError("is not a regular file")
    with path.open("rb") as file:
        data = file.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise ValueError("is larger than 1 MiB, so it is hardly a configuration")
    return data


def _shows(path: KeyPath, value: str) -> bool:
    """Tell whether a report may show the value at `path`: where the key is known to hold no secret."""
    names = [part for part in path if isinstance(part, str)]
    if not _HARMLESS.fullmatch(value):
        return False
    if names == ["store", "url"]:
        return True
    secretive = bool(_SECRETIVE.intersection(names))
    if names[-1] in ("env", "file", "credential") and secretive:
        return is_reference({names[-1]: value})
    return names[-1] in _SHOWN and not secretive and "://" not in value


def _unreadable(config: Config) -> list[Problem]:
    """Return a warning for each secret that cannot be read from here; the service may see more.

    One that was to sign and is there, but cannot, is an error: no service starts with it.
    """
    signing = [config.callbacks.signing, *(item.signing for item in config.destinations.values() if item.signing)]
    signs = {secret.key for one in signing for secret in one.secrets}
    problems = []
    for secret in config.secrets:
        if secret is config.callbacks.signing.secret and secret.absent:
            continue  # made at the first start
        try:
            (reader_of(secret) if secret.key in signs else Secret.read)(secret)
        except SecretUnreadable as error:
            fatal = secret.key in signs and isinstance(error, SecretMalformed)
            problems.append(Problem(secret.place, str(error), level=Level.ERROR if fatal else Level.WARNING))
    return problems
