"""The one comment of a pull request: its marker, its length, and what to do about it. Pure.

The first line of the comment is a hidden marker with a key and the run that wrote it. Given the
comments that are there, `decide` says whether to create, edit or leave alone, and
`mcgitops.forge.github` does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

LIMIT = 65_536
"""GitHub's limit for a comment, in characters. It refuses longer ones with a 422."""

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a key may be: it stands inside an HTML comment, so neither `>` nor blanks."""


@dataclass(frozen=True)
class Marker:
    """The hidden first line: `<!-- mcgitops:report:KEY run=… attempt=… sha=… -->`."""

    key: str
    run: int = 0
    attempt: int = 0
    sha: str = ""

    @property
    def prefix(self) -> str:
        """What the comments of this key begin with."""
        return f"<!-- mcgitops:report:{self.key} "

    def __str__(self) -> str:
        return f"{self.prefix}run={self.run} attempt={self.attempt} sha={self.sha} -->"

    @property
    def age(self) -> tuple[int, int]:
        """Orders runs: GitHub numbers them upwards, and the attempts of a run."""
        return (self.run, self.attempt)


@dataclass(frozen=True)
class Comment:
    """A comment that is there."""

    id: int
    author: str
    body: str
    url: str = ""
    updated: float = 0.0  # seconds since the epoch

    @property
    def age(self) -> tuple[int, int]:
        """The age of the run that wrote it last."""
        found = read_marker(self.body)
        return found.age if found else (0, 0)


@dataclass(frozen=True)
class Decision:
    """What to do, with which comment, and which others to delete."""

    action: Literal["create", "edit", "keep"]
    comment: Comment | None = None
    reason: str = ""
    extras: tuple[int, ...] = ()


def read_marker(body: str) -> Marker | None:
    """The marker that a comment begins with."""
    line = body.partition("\n")[0].strip()
    match = re.fullmatch(r"<!-- mcgitops:report:(\S+) (.*?)-->", line)
    if not match:
        return None
    fields = dict(word.partition("=")[::2] for word in match[2].split())
    return Marker(
        match[1], _number(fields.get("run")), _number(fields.get("attempt")), fields.get("sha", "")
    )


def compose(marker: Marker, report: str, limit: int = LIMIT) -> str:
    """The comment's text: the marker, then the report, never longer than GitHub takes."""
    first = f"{marker}\n"
    return first + clamp(report.strip("\n"), limit - length(first))


def decide(
    comments: Iterable[Comment], author: str, marker: Marker, body: str, made: int = 0
) -> Decision:
    """What becomes of `body`, given all comments of the pull request.

    The oldest comment of ours stays and is edited; others of ours are what runs that started at
    once left behind. `made` is the comment that this run has created itself.
    """
    ours = sorted(
        (c for c in comments if c.author == author and c.body.startswith(marker.prefix)),
        key=lambda comment: comment.id,
    )
    if not ours:
        return Decision("create", reason="there is none yet")
    oldest = ours[0]
    newest = max(ours, key=lambda comment: comment.age)
    if newest.age > marker.age:
        # That run tidies up what was there when it looked. Only what this one made since is not
        # known to it; all else would race with it.
        late = (made,) if made in {comment.id for comment in ours[1:]} else ()
        reason = f"run {newest.age[0]} is newer and has reported already"
        return Decision("keep", newest, reason, late)
    extras = tuple(comment.id for comment in ours[1:])
    if same(oldest.body, body):
        return Decision("keep", oldest, "nothing changed", extras)
    return Decision("edit", oldest, "the report changed", extras)


def same(one: str, other: str) -> bool:
    """Whether two comments say the same, whichever runs wrote them."""
    return _without_run(one) == _without_run(other)


def length(text: str) -> int:
    """The length as the strictest reading of GitHub's limit counts it: UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def clamp(text: str, limit: int) -> str:
    """Cut Markdown to `limit`, at a line's end, closing what was open. The last resort.

    The report keeps to a budget of its own and drops whole sections; this only makes sure that
    whatever arrives here can be posted.
    """
    if length(text) <= limit:
        return text
    note = "\n\n*The report was too long and is cut here. The job's summary has all of it.*"
    lines = text.split("\n")
    room = limit - length(note)
    kept: list[str] = []
    used = 0
    for line in lines:
        used += length(line) + 1
        if used > room:
            break
        kept.append(line)
    while kept:
        cut = "\n".join([*kept, *_closing(kept)])
        if length(cut) <= room:
            return cut + note
        kept.pop()
    return note.strip("\n") if length(note) <= limit else ""


def _closing(lines: Sequence[str]) -> list[str]:
    """The lines that close the fence and the `<details>` that are open after `lines`."""
    fence = ""
    depth = 0
    for line in lines:
        if match := re.match(r" {0,3}(`{3,}|~{3,})", line):
            if not fence:
                fence = match[1]
            elif match[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif not fence:
            depth += len(re.findall(r"<details\b", line)) - line.count("</details>")
    closing = [fence] if fence else []
    if depth > 0:
        closing += ["", *["</details>"] * depth]
    return closing


def _without_run(body: str) -> str:
    text = body.replace("\r\n", "\n").rstrip()
    first, newline, rest = text.partition("\n")
    return re.sub(r" (run|attempt)=\d*", "", first) + newline + rest


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"\d{1,18}", text) else 0
