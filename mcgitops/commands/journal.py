"""A host's journal: who did what with its releases, one JSON object a line, written by the host.

Who it was is what the host's lock says, and when is the host's own clock, so that a line belongs to
the same instant as what it tells of, whoever carries out the plan.
"""

from __future__ import annotations

import json
import shlex
from typing import Literal

LINES = 500
"""How many of the newest lines a host keeps."""

What = Literal["deployed", "returned", "healed", "rolled back", "rejected", "taken down"]


def entry(what: What, release: str, digest: str = "") -> str:
    """Shell: one line more; runs in the environment's folder, and never fails."""
    fields = json.dumps({"what": what, "release": release, "digest": digest})[:-1]
    return (
        "{ by=$(cat lock/owner.json 2>/dev/null);"
        f' printf \'%s, "when": %s, "lock": %s}}\\n\' {shlex.quote(fields)}'
        ' "$(date +%s)" "${by:-null}" >> journal;'
        f' if [ "$(wc -l < journal)" -gt {LINES} ]; then'
        f" tail -n {LINES} journal > journal.new && mv -f journal.new journal; fi; }}"
        " 2>/dev/null || true"
    )


def read(root: str) -> str:
    """Shell: print the journal; nothing where there is none."""
    return f"cd {root} 2>/dev/null && [ -f journal ] && cat journal; date '+@now %s'"
