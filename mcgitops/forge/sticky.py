"""Writes the one comment of a pull request and looks again until it is what it should be.

GitHub knows no conditional writes: between looking and writing another run may write. What is there
twice is taken away afterwards, and the newest run has the last word, as it looks again after the
moment that a slower one needs. What to do is decided in `mcgitops.forge.comment`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Literal

from github.GithubException import GithubException

from mcgitops.deferred import dataclass
from mcgitops.forge.comment import (
    Comment,
    Decision,
    Marker,
    Way,
    compose,
    decide,
    our_comments,
    read_marker,
    same,
)

if TYPE_CHECKING:
    from github.Issue import Issue
    from github.IssueComment import IssueComment

ROUNDS = 40
"""How often the comment is looked at again after writing, where several runs report at once: each
of the others may write over it once."""
SLOWEST = 10.0
"""Seconds. The longest that a slower run is waited for."""
RECENT = 120.0
"""Seconds. A comment that another run wrote so recently may be about to be written once more: it is
looked at again after a moment."""
AT_ONCE = 100
"""How many nodes one question of the GraphQL API may name."""


@dataclass(frozen=True)
class Outcome:
    """What became of a comment or a status, and why."""

    action: Literal["created", "edited", "kept", "refused", "removed", "not needed"]
    url: str = ""
    reason: str = ""

    @property
    def posted(self) -> bool:
        """Whether it stands there now."""
        return self.action not in ("refused", "removed", "not needed")


@dataclass
class Sticky:
    """The comment of one key on one pull request.

    settle: seconds that a slower run is given at least, where several report at once.
    quiet:  make no comment, but let none that is there be stale.
    """

    issue: Issue
    marker: Marker
    report: str
    author: str
    settle: float
    way: Way = "edit"
    quiet: bool = False

    def post(self) -> Outcome:
        """Do what is to be done; returns how it ended."""
        outcome: Outcome | None = None
        body = compose(self.marker, self.report)
        made = 0
        crowded = settled = False
        slowest = 0.0
        for _ in range(ROUNDS):
            begun = monotonic()
            comments = list(comments_of(self.issue, nodes=self.way == "hide"))
            decision = decide(
                comments, self.author, self.marker, body, made, way=self.way, quiet=self.quiet
            )
            crowded = crowded or self._is_crowded(comments, decision)
            if decision.action == "create":
                created = self.issue.create_comment(self._body(decision.since))
                # Tokens of other Apps may not ask who they are either: the answer tells.
                made, self.author = created.id, created.user.login
                outcome = Outcome("created", created.html_url, decision.reason)
                continue
            if decision.action == "edit" and (url := self._edit(decision)):
                outcome = outcome or Outcome("edited", url, decision.reason)
                settled = False
            self._retire(comments, decision.extras)
            slowest = max(slowest, monotonic() - begun)
            if decision.action == "edit":
                continue
            if outcome is None or settled or not crowded:
                return outcome or _as_it_is(decision)
            settled = True
            # Where the server is slow for us, it is for a run that is about to write, too.
            sleep(min(max(self.settle, 4 * slowest), SLOWEST))
        return outcome or Outcome("refused", reason="other runs kept on changing the comment.")

    def _body(self, since: int) -> str:
        return compose(replace(self.marker, since=since), self.report)

    def _edit(self, decision: Decision) -> str:
        """Edit the comment unless a newer run has since; its address, `""` if it is gone."""
        assert decision.comment is not None  # noqa: S101 - decide() gives one
        try:
            comment = self.issue.get_comment(decision.comment.id)
            found = read_marker(comment.body)
            if found and found.age > self.marker.age:
                return ""
            # The same head keeps the time of its first report; another one's begins now.
            kept = found is not None and found.sha == self.marker.sha
            since = found.since if found and kept else server_time(comment.raw_headers)
            body = self._body(since)
            if not same(comment.body, body):
                comment.edit(body)
            return comment.html_url
        except GithubException as error:
            if error.status == 404 and not is_refusal(error):
                return ""
            raise

    def _retire(self, comments: Iterable[Comment], extras: Sequence[int]) -> None:
        """Take away what isn't to be read any more: deleted, or minimised as outdated."""
        if not extras:
            return
        left = extras
        if self.way == "hide":
            nodes = {c.node: c.id for c in comments if c.id in extras and c.node}
            try:
                self._hide(list(nodes))
                return
            except GithubException:
                # Forgejo and Gitea hide nothing, and an outdated report must not stand there.
                left = tuple(nodes.values())
        for identifier in left:
            try:
                self.issue.get_comment(identifier).delete()
            except GithubException as error:
                if error.status != 404 or is_refusal(error):
                    raise

    def _hide(self, nodes: Sequence[str]) -> None:
        """Minimise those that aren't yet."""
        question = (
            "query($ids: [ID!]!) { nodes(ids: $ids) { ... on IssueComment { id isMinimized } } }"
        )
        for start in range(0, len(nodes), AT_ONCE):
            asked = list(nodes[start : start + AT_ONCE])
            _, answer = self.issue.requester.graphql_query(question, {"ids": asked})
            for node in answer["data"]["nodes"]:
                if node and not node["isMinimized"]:
                    self.issue.requester.graphql_named_mutation(
                        mutation_name="minimizeComment",
                        mutation_input={"subjectId": node["id"], "classifier": "OUTDATED"},
                        output_schema="minimizedComment { isMinimized }",
                    )

    def _is_crowded(self, comments: Iterable[Comment], decision: Decision) -> bool:
        """Whether other runs report on the same pull request at this moment."""
        if self.way == "edit" and decision.extras:
            return True
        ours = our_comments(comments, self.author, self.marker)
        others = (comment for comment in ours if comment.age != self.marker.age)
        return any(time() - comment.updated < RECENT for comment in others)


def comments_of(issue: Issue, *, nodes: bool = False) -> Iterator[Comment]:
    """All comments of a pull request, oldest first; with their `nodes` where they are wanted."""
    return (comment_of(listed, node=nodes) for listed in issue.get_comments())


def comment_of(listed: IssueComment, *, node: bool = False) -> Comment:
    """A comment as the server lists it.

    What a list lacks PyGithub asks for comment by comment, and Forgejo's have no node.
    """
    return Comment(
        listed.id,
        getattr(listed.user, "login", ""),  # none once an account is gone
        listed.body or "",
        listed.html_url,
        listed.updated_at.timestamp(),
        int(listed.created_at.timestamp()),
        (listed.node_id or "") if node else "",
    )


def is_refusal(error: GithubException) -> bool:
    """Whether the token lacks the right, as GitHub words it (403, or 404 where it hides things)."""
    text = message_of(error).lower()
    return error.status in (403, 404) and (
        "resource not accessible" in text or "must have" in text or "permission" in text
    )


def message_of(error: GithubException) -> str:
    """What the server said, on one line."""
    data = error.data
    message = data.get("message", "") if isinstance(data, dict) else data
    return " ".join(str(message or "no message").split())[:200].rstrip(".")


def server_time(headers: Mapping[str, str | int]) -> int:
    """The server's clock, by which comments are dated; ours where it says nothing."""
    try:
        return int(parsedate_to_datetime(str(headers.get("date", ""))).timestamp())
    except ValueError:
        return int(time())


def _as_it_is(decision: Decision) -> Outcome:
    if decision.comment is not None:
        return Outcome("kept", decision.comment.url, decision.reason)
    return Outcome("removed" if decision.extras else "not needed", reason=decision.reason)
