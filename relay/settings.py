"""The configuration, held against what the providers' own descriptions say."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from relay import config
from relay.config import Config
from relay.core.budget import Rate
from relay.core.duration import format_duration, parse_duration
from relay.core.errors import InvalidValue, RelayError
from relay.core.hazard import prior
from relay.core.outlook import Contention, Outlook
from relay.core.schedule import Bounds, next_poll
from relay.core.watch import Following
from relay.diagnostics import Level, Problem
from relay.providers import DefaultValues, blueprint, names
from relay.store.upkeep import holds_tokens


def load_settings(config_path: Path | None) -> Config:
    """Find and load the configuration and the provider files that it names; raises ConfigInvalid."""
    return _load(config_path, holds_tokens)


def store_of(config_path: Path | None) -> Path:
    """Return where the database of a configuration is, also where only a token is missing for it to be valid."""
    return _load(config_path, lambda _database: True).store.path


def _load(config_path: Path | None, holds_tokens: Callable[[Path], bool]) -> Config:
    path = config.find(config_path, env=os.environ, cwd=Path.cwd())
    return config.load(path, presets=names(), env=os.environ, examine=examine, holds_tokens=holds_tokens)


def examine(provider: config.Provider, detection_lag_s: float) -> Iterator[Problem]:
    """Yield what a provider's description says against its settings: errors and doubts."""
    path = ("providers", provider.name)
    try:
        made = blueprint(provider.preset, provider.spec)
    except RelayError as error:
        first, *more = str(error).splitlines()
        hint = f"relay providers lint {provider.spec} tells all" if more else None
        yield Problem((*path, "spec") if provider.spec else path, first, hint)
        return
    try:
        made.build(provider.name, provider.base_url)
    except InvalidValue as error:
        yield Problem((*path, error.field), f'"{error.field}" {error.message}')
    for name in made.secrets:
        if name not in provider.secrets:
            key = name if name == "api_key" else f"secrets.{name}"
            yield Problem((*path, key), f"{made.title} needs {key}", f'as in {key} = {{ env = "NAME" }}')
    yield from _pacing_doubts(provider, made.defaults, detection_lag_s)


def _pacing_doubts(provider: config.Provider, defaults: DefaultValues, detection_lag_s: float) -> Iterator[Problem]:
    """Yield doubts about how often a provider is asked, against what it documents."""
    path, bounds = ("providers", provider.name), following(provider, defaults, detection_lag_s).bounds
    if "min_interval" in defaults.model_fields_set and provider.min_interval_s is not None:
        floor_s = parse_duration(defaults.min_interval)
        if provider.min_interval_s < floor_s:
            yield _doubt((*path, "min_interval"), f"the provider asks for {format_duration(floor_s)} between polls")
    if provider.max_interval_s is not None and provider.max_interval_s < bounds.min_interval_s:
        shown = format_duration(bounds.min_interval_s)
        yield _doubt((*path, "max_interval"), f"is shorter than the {shown} that are kept between polls")
    if defaults.rate and provider.rate:
        limit = Rate.parse(defaults.rate)
        if provider.rate.limit / provider.rate.window_s > limit.limit / limit.window_s:
            yield _doubt((*path, "rate"), f"the provider allows {defaults.rate}")
    yield from _deadline_doubts(provider, defaults, detection_lag_s)


def _deadline_doubts(provider: config.Provider, defaults: DefaultValues, detection_lag_s: float) -> Iterator[Problem]:
    """Yield a doubt about a deadline, the provider's or its description's, that comes before the first look."""
    path, followed = ("providers", provider.name), following(provider, defaults, detection_lag_s)
    expected = Outlook(prior(followed.typical_s), age_s=0.0)
    first_s = next_poll(expected, followed.bounds, Contention(), now=0.0, deadline=math.inf, hint_s=None, sample=0.5)
    shown = format_duration(first_s)
    if provider.deadline_s is not None:
        if provider.deadline_s < first_s:
            yield _doubt((*path, "deadline"), f"is shorter than the {shown} after which a job is first looked at")
    elif parse_duration(defaults.deadline) < first_s:
        message = f"a job is first looked at after {shown}, but its watch ends after {defaults.deadline}"
        yield _doubt((*path, "min_interval"), message)


def _doubt(path: tuple[str, ...], message: str) -> Problem:
    return Problem(path, message, level=Level.WARNING)


def inherited(provider: config.Provider) -> tuple[str, Mapping[str, object]]:
    """Return how a provider's description is called, and the settings that it brings."""
    origin = f"preset {provider.preset}" if provider.spec is None else str(provider.spec)
    defaults = blueprint(provider.preset, provider.spec).defaults
    return origin, {key: value for key, value in defaults if value is not None}


def following(provider: config.Provider, defaults: DefaultValues, detection_lag_s: float) -> Following:
    """Return how a provider's jobs are followed: its own settings, and the description's where there are none.

    A shortest interval that a description names is the provider's wish; the one
    that holds without is relay's, and gives way to the lag that is wanted.
    """
    lag_s = provider.detection_lag_s or detection_lag_s
    floor_s = parse_duration(defaults.min_interval)
    if "min_interval" not in defaults.model_fields_set:
        floor_s = min(floor_s, lag_s)
    least_s = provider.min_interval_s or floor_s
    most_s = provider.max_interval_s or parse_duration(defaults.max_interval)
    grace_s = provider.not_found_grace_s
    return Following(
        typical_s=provider.typical_duration_s or parse_duration(defaults.typical_duration),
        bounds=Bounds(lag_s, least_s, max(most_s, least_s)),
        not_found_grace_s=parse_duration(defaults.not_found_grace) if grace_s is None else grace_s,
    )
