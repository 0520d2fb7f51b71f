"""Plain data with sigils, as a module for Nix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.inventory.sigils import decode
from clanpy.modules.deferred import NixData
from clanpy.modules.errors import ConversionError
from clanpy.modules.nix_encoding import to_nix_module


def nix_data(data: Mapping[str, Any]) -> NixData:
    """The data as Nix gets it, priorities and order in Nix's own encoding.

    Raises:
        ValueError: a table looks like a sigil and is none, or something has no form in Nix.
    """
    misused: list[str] = []
    decoded = decode(data, (), lambda _, why: misused.append(why))
    if misused:
        raise ValueError(misused[0])
    try:
        return NixData(to_nix_module(decoded))
    except ConversionError as error:
        raise ValueError(error.message.replace("`", "'")) from error
