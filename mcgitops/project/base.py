"""What all `x-mcgitops` models have in common."""

from __future__ import annotations

import re
from typing import Annotated

from mcgitops.typed.convert import Limits
from mcgitops.typed.model import Model


class Spec(Model, unknown=False, strip=True):
    """Base of all `x-mcgitops` models: immutable, no unknown keys."""


DURATION = r"^(\d+(h|m|s))+$"
Duration = Annotated[str, Limits(pattern=DURATION)]
"""`90s`, `15m`, `1h30m`."""


def seconds(duration: str) -> int:
    """`1h30m` → 5400."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(n) * units[u] for n, u in re.findall(r"(\d+)([hms])", duration))
