"""Providers as data: one interpreter for files that describe polling APIs."""

from relay.providers.catalogue import SpecInvalid, load_file, load_preset, preset_names
from relay.providers.interpret import DeclaredProvider
from relay.providers.spec import ProviderSpec

__all__ = ["DeclaredProvider", "ProviderSpec", "SpecInvalid", "load_file", "load_preset", "preset_names"]
