"""Providers as data: one interpreter for files that describe polling APIs, and a door for code."""

from relay.providers.blueprints import Blueprint, blueprint, names
from relay.providers.catalogue import SpecInvalid, load_file, load_preset, preset_names
from relay.providers.explain import explain
from relay.providers.interpret import DeclaredProvider
from relay.providers.sketch import sketch
from relay.providers.spec import DefaultValues, ProviderSpec

__all__ = [
    "Blueprint",
    "DeclaredProvider",
    "DefaultValues",
    "ProviderSpec",
    "SpecInvalid",
    "blueprint",
    "explain",
    "load_file",
    "load_preset",
    "names",
    "preset_names",
    "sketch",
]
