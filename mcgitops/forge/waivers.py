"""Who waived which gate in a pull request: by a label, or by a comment of one line.

    mcgitops/waive-METRIC, mcgitops/waive-all      a label
    /mcgitops waive METRIC why it may pass         a comment

Both count only from somebody who may write to the repository; that is asked of the server, since a
comment's `author_association` says less (a member of an organisation need not have the right).

A label holds until it is removed. A comment holds for the head that it was made for: it must be
younger than the first report on that head. That moment stands in the marker of our own comment, by
the server's clock. A commit's date would not do: its author chooses it, so a push with an old date
would inherit what was waived for another model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from typing import TYPE_CHECKING

from github.GithubException import GithubException

from mcgitops.compare.model import Waiver
from mcgitops.compare.waive import EVERY
from mcgitops.deferred import dataclass
from mcgitops.forge.comment import Comment, Marker, our_comments
from mcgitops.forge.github import GitHub, answers
from mcgitops.forge.sticky import comment_of

if TYPE_CHECKING:
    from github.Issue import Issue
    from github.Repository import Repository

LABEL = "mcgitops/waive-"
ALL = "all"
KNOWN = ("OWNER", "MEMBER", "COLLABORATOR")
"""Whose comments are looked at first. It isn't what decides."""
MOST_PEOPLE = 20
"""How many people's rights are asked for; each is a request."""
MOST_REASON = 200

_COMMAND = re.compile(r'/mcgitops[ \t]+waive[ \t]+(?:"([^"]{1,200})"|(\S{1,200}))(?:[ \t]+(.*))?')
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True)
class Waived:
    """What counts, and what was said without counting: sentences for the log."""

    waivers: tuple[Waiver, ...] = ()
    notes: tuple[str, ...] = ()


def commands(body: str) -> Iterator[tuple[str, str]]:
    """The metric and the reason of each command in a comment.

    A command stands at the beginning of a line; quotes and code blocks hold none.
    """
    fence = ""
    for line in body.splitlines():
        if match := _FENCE.match(line):
            if not fence:
                fence = match[1]
            elif match[1].startswith(fence):
                fence = ""
            continue
        if not fence and (match := _COMMAND.fullmatch(line.rstrip())):
            name = (match[1] or match[2]).strip("`").strip()
            if name:
                yield _gate(name), " ".join((match[3] or "").split())[:MOST_REASON]


def label_gate(label: str) -> str:
    """The gate that a label waives; "" for other labels."""
    return _gate(label.removeprefix(LABEL)) if label.startswith(LABEL) else ""


def waived(github: GitHub, number: int, marker: Marker) -> Waived:
    """The waivers of a pull request that count for the head that the marker names.

    Raises `ForgeError` where the pull request can't be read.
    """
    with answers(f"the waivers of pull request {number}"):
        issue = github.repository.get_issue(number)
        rights = Rights(github.repository)
        labels, said = _of_labels(issue, rights)
        comments, said_too = _of_comments(_said(issue), github.login(), marker, rights)
        return Waived((*labels, *comments), (*said, *said_too))


@dataclass
class Rights:
    """Who may write to a repository; each person is asked for once."""

    repository: Repository
    _known: dict[str, bool] = field(default_factory=dict)

    def may_write(self, login: str) -> bool:
        """Whether a person may; False where that can't be told."""
        if login not in self._known:
            self._known[login] = len(self._known) < MOST_PEOPLE and self._ask(login)
        return self._known[login]

    def _ask(self, login: str) -> bool:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", login):  # a bot, or nobody any more
            return False
        try:
            permission = self.repository.get_collaborator_permission(login)
        except GithubException as error:
            if error.status in (403, 404):
                return False
            raise
        return permission in ("owner", "admin", "write")  # owner: Forgejo and Gitea


def _gate(name: str) -> str:
    return EVERY if name in (ALL, EVERY) else name


def _of_labels(issue: Issue, rights: Rights) -> tuple[list[Waiver], list[str]]:
    wanted = [label.name for label in issue.get_labels() if label_gate(label.name)]
    if not wanted:
        return [], []
    who: dict[str, str] = {}
    for event in issue.get_events():
        if event.event == "labeled" and event.label is not None:
            who[event.label.name] = getattr(event.actor, "login", "")  # the last one counts
    waivers, notes = [], []
    for label in wanted:
        by = who.get(label, "")
        if by and rights.may_write(by):
            waivers.append(Waiver(label_gate(label), by, "label"))
        else:
            notes.append(
                f"The label {label} waives nothing: {by or 'who set it'} may not write to the "
                "repository, as far as can be told."
            )
    return waivers, notes


def _said(issue: Issue) -> list[Comment]:
    """The comments; those whom GitHub knows come first: strangers must not use up the questions."""
    listed = [(comment_of(raw), raw) for raw in issue.get_comments()]
    known = {
        comment.id
        for comment, raw in listed
        if any(commands(comment.body)) and raw.author_association in KNOWN
    }
    return sorted((c for c, _ in listed), key=lambda c: (c.id not in known, c.id))


def _of_comments(
    comments: list[Comment], author: str, marker: Marker, rights: Rights
) -> tuple[list[Waiver], list[str]]:
    since = max((c.since(marker.sha) for c in our_comments(comments, author, marker)), default=0)
    waivers, notes = [], []
    for comment in comments:
        for gate, reason in commands(comment.body) if comment.author != author else ():
            what = f"{comment.author}'s waiver of {'all gates' if gate == EVERY else gate}"
            if not since or comment.created <= since:
                notes.append(f"{what} was made before the report on this head and doesn't count.")
            elif not rights.may_write(comment.author):
                notes.append(f"{what} doesn't count: only people who may write can waive.")
            else:
                waivers.append(Waiver(gate, comment.author, "comment", reason, comment.url))
    return waivers, notes
