"""Everything that can become a provider: presets, files of one's own, and Python packages.

A package joins by an entry point of the group ``relay.providers`` that names a
`Blueprint`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from relay.core.http import MAX_BODY, Request, Response
from relay.core.observation import Answer, Job, Trouble, TroubleKind
from relay.core.ports import Provider
from relay.core.size import parse_size
from relay.providers.catalogue import SpecInvalid, load_file, load_preset, preset_names
from relay.providers.interpret import DeclaredProvider
from relay.providers.spec import DefaultValues, ProviderSpec
from relay.providers.veil import discreetly

GROUP = "relay.providers"


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What makes a provider: `build` takes the configured name and, where given, another base URL.

    `secrets` are the names of the secrets that its requests need; of an answer
    to them no more than `max_body` bytes are read.
    """

    title: str
    secrets: tuple[str, ...]
    defaults: DefaultValues
    build: Callable[[str, str | None], Provider]
    max_body: int = MAX_BODY


def names() -> tuple[str, ...]:
    """Return every name that a configuration may use as a preset."""
    return tuple(sorted({*preset_names(), *_plugins()}))


def blueprint(preset: str | None, file: Path | None) -> Blueprint:
    """Return the blueprint of a preset, a plugin or a file; raises SpecInvalid."""
    if file is not None:
        return _declared(load_file(file))
    name = str(preset)
    return _loaded(_plugins()[name]) if name in _plugins() else _declared(load_preset(name))


def _declared(spec: ProviderSpec) -> Blueprint:
    return Blueprint(
        spec.title, spec.auth.secrets, spec.defaults, partial(DeclaredProvider, spec), parse_size(spec.max_body)
    )


@cache
def _plugins() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _loaded(point: EntryPoint) -> Blueprint:
    try:
        found = point.load()
    except Exception as error:
        raise SpecInvalid(f"the provider package {point.value} cannot be loaded: {error!r}") from error
    if not isinstance(found, Blueprint):
        raise SpecInvalid(f"{point.value} is not a relay.providers.Blueprint")

    def build(name: str, base_url: str | None) -> Provider:
        return _Guarded(found.build(name, base_url))

    return Blueprint(found.title, found.secrets, found.defaults, build, found.max_body)


class _Guarded:
    """Holds a plugin to the promises that `interpret` never raises, and tells no secret that it was given."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    @property
    def name(self) -> str:
        return self._provider.name

    def check(self, job: Job) -> Job:
        return self._provider.check(job)

    def request(self, job: Job, secrets: Mapping[str, str], now: float) -> Request:
        return self._provider.request(job, secrets, now)

    def interpret(
        self, job: Job, answers: Sequence[Response], secrets: Mapping[str, str], now: float
    ) -> Answer | Request:
        try:
            return discreetly(
                lambda told: self._provider.interpret(job, told, secrets, now), answers, frozenset(secrets.values())
            )
        except Exception as error:  # noqa: BLE001 - one plugin's bug must not stop the polls of all providers
            return Trouble(TroubleKind.MALFORMED, f"the provider package failed: {type(error).__name__}")
