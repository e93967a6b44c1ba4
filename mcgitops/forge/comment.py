"""The one comment of a pull request: its marker, its length, and what to do about it. Pure.

The first line of the comment is a hidden marker with a key and the run that wrote it. Given the
comments that are there, `decide` says whether to create, edit or leave alone, and
`mcgitops.forge.sticky` does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from mcgitops.deferred import dataclass

LIMIT = 65_536
"""GitHub's limit for a comment, in characters. It refuses longer ones with a 422."""

QUIET = "nothing changed in the model, and comments are wanted only for changes"
"""Why there is no comment."""

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a key may be: it stands inside an HTML comment, so neither `>` nor blanks."""


Way = Literal["edit", "hide", "recreate"]
"""What becomes of an earlier comment: edited in place, minimised as outdated, or deleted; after
the last two a new one is made at the end of the conversation."""


@dataclass(frozen=True)
class Marker:
    """The hidden first line: `<!-- mcgitops:report:KEY run=… attempt=… sha=… -->`.

    since: when the first report on this `sha` was posted, by the server's clock, in seconds since
           the epoch; 0 where that is when the comment was made. What people say after it, they say
           of this head.
    """

    key: str
    run: int = 0
    attempt: int = 0
    sha: str = ""
    since: int = 0

    @property
    def prefix(self) -> str:
        """What the comments of this key begin with."""
        return f"<!-- mcgitops:report:{self.key} "

    def __str__(self) -> str:
        since = f" since={self.since}" if self.since else ""
        return f"{self.prefix}run={self.run} attempt={self.attempt} sha={self.sha}{since} -->"

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
    created: int = 0
    node: str = ""  # its id in the GraphQL API

    @property
    def age(self) -> tuple[int, int]:
        """The age of the run that wrote it last."""
        found = read_marker(self.body)
        return found.age if found else (0, 0)

    def since(self, sha: str) -> int:
        """When the first report on this head was posted here; 0 where it is on another head."""
        found = read_marker(self.body)
        return (found.since or self.created) if found and found.sha == sha else 0


@dataclass(frozen=True)
class Decision:
    """What to do, with which comment, and which others are to go."""

    action: Literal["create", "edit", "keep"]
    comment: Comment | None = None
    reason: str = ""
    extras: tuple[int, ...] = ()
    since: int = 0  # of a comment that is made anew for a head that was reported on already


def read_marker(body: str) -> Marker | None:
    """The marker that a comment begins with."""
    line = body.partition("\n")[0].strip()
    match = re.fullmatch(r"<!-- mcgitops:report:(\S+) (.*?)-->", line)
    if not match:
        return None
    fields = dict(word.partition("=")[::2] for word in match[2].split())
    return Marker(
        match[1],
        _number(fields.get("run")),
        _number(fields.get("attempt")),
        fields.get("sha", ""),
        _number(fields.get("since")),
    )


def compose(marker: Marker, report: str, limit: int = LIMIT) -> str:
    """The comment's text: the marker, then the report, never longer than GitHub takes."""
    first = f"{marker}\n"
    return first + clamp(report.strip("\n"), limit - length(first))


def decide(
    comments: Iterable[Comment],
    author: str,
    marker: Marker,
    body: str,
    made: int = 0,
    *,
    way: Way = "edit",
    quiet: bool = False,
) -> Decision:
    """What becomes of `body`, given all comments of the pull request.

    Edited in place, the oldest comment of ours stays; otherwise the newest run's. Others of ours
    are what runs that started at once left behind. `made` is the comment that this run has created
    itself. `quiet`: there is nothing worth a new comment, only one that is there must not be stale.
    """
    ours = our_comments(comments, author, marker)
    if not ours:
        return Decision(
            "keep" if quiet else "create", reason=QUIET if quiet else "there is none yet"
        )
    newest = max(ours, key=lambda comment: (comment.age, comment.id))
    stays = ours[0] if way == "edit" else newest
    if newest.age > marker.age:
        # That run tidies up what was there when it looked. Only what this one made since is not
        # known to it; all else would race with it.
        late = (made,) if made in {comment.id for comment in ours if comment is not stays} else ()
        reason = f"run {newest.age[0]} is newer and has reported already"
        return Decision("keep", newest, reason, late)
    extras = tuple(comment.id for comment in ours if comment is not stays)
    if same(stays.body, body):
        return Decision("keep", stays, "nothing changed", extras)
    if way == "edit":
        return Decision("edit", stays, "the report changed", extras)
    if quiet:
        return Decision("keep", None, QUIET, (*extras, stays.id))
    return Decision("create", None, "the report changed", since=newest.since(marker.sha))


def our_comments(comments: Iterable[Comment], author: str, marker: Marker) -> list[Comment]:
    """Those of our author that begin with the key's marker, oldest first."""
    ours = (c for c in comments if c.author == author and c.body.startswith(marker.prefix))
    return sorted(ours, key=lambda comment: comment.id)


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
    # The artifacts of the earlier run are still there, and of the same head they say the same.
    rest = re.sub(r"/actions/runs/\d+#artifacts\b", "", rest)
    return re.sub(r" (run|attempt|since)=\d*", "", first) + newline + rest


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"\d{1,18}", text) else 0
