"""Compose files as text: read what Compose printed, write what Compose will read the same way.

Compose reads YAML 1.2 with a few words of 1.1, PyYAML writes 1.1: text such as `1e3` or `010` would
change its type on the way. So all text that could be anything else is quoted.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from mcgitops.project.yamltext import ComposeLoader

_PLAIN = re.compile(r"[A-Za-z_/.][A-Za-z0-9_/.-]*")
_WORDS = frozenset(
    ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", ".nan", ".inf", ".", "..")
)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that isn't plainly a word; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Written out each time: easier to read, and Compose limits aliases."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def read(text: str) -> dict[str, Any]:
    """A document as `docker compose config` prints it."""
    value = yaml.load(text, Loader=ComposeLoader)  # noqa: S506  (a safe loader)
    return value if isinstance(value, dict) else {}


def write(document: dict[str, Any]) -> str:
    """The document as text."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
