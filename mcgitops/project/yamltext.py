"""YAML as Compose prints it: of version 1.2, where `1e+06` is a number, not text as in 1.1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    _SafeLoader = yaml.SafeLoader
else:
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ComposeLoader(_SafeLoader):
    """Safe. Text that looks like such a number is quoted by Compose, so it stays text."""


ComposeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)
