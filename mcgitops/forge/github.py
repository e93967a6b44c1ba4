"""GitHub's API through PyGithub: the sticky comment, commit statuses, deployments, a few questions.

What GitHub refuses is a `ForgeError`; `report_comment` and `set_status` turn it into an outcome
instead, since a comment that can't be written must not fail a run whose report is in the summary.
Works with every server that speaks GitHub's API at `GITHUB_API_URL`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from time import time
from typing import TYPE_CHECKING, Any, Literal

import github
from github.GithubException import GithubException
from github.GithubRetry import GithubRetry
from requests.exceptions import RequestException, RetryError

from mcgitops.deferred import dataclass
from mcgitops.errors import McgitopsError
from mcgitops.forge.comment import Marker, Way
from mcgitops.forge.sticky import Outcome, Sticky, is_refusal, message_of

if TYPE_CHECKING:
    from github.Deployment import Deployment
    from github.PullRequest import PullRequest
    from github.Repository import Repository
    from urllib3 import BaseHTTPResponse, Retry

ACTIONS_BOT = "github-actions[bot]"
"""Who writes with the token of a job; that token may not ask who it is."""

TRIES = 3
PATIENCE = 60.0
"""The longest wait that a server may ask for, in seconds. Beyond it we give up and say so."""

SETTLE = 1.0
RECENT_DEPLOYMENTS = 5
"""How many deployments of a commit are asked whether they are this run's."""


@dataclass(frozen=True)
class Pull:
    """An open pull request, as the server knows it."""

    number: int
    head_sha: str
    head_ref: str
    head_repository: str  # "" where the fork has been deleted
    base_ref: str
    base_repository: str


class ForgeError(McgitopsError):
    """The forge could not be reached or refused us. `status` is 0 where no answer came."""

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


# PyGithub warns of each refusal; what matters of it is in the sentences that we make of it.
logging.getLogger("github").setLevel(logging.CRITICAL)


class GitHub:
    """One repository on one server, with one token."""

    def __init__(
        self,
        api_url: str,
        token: str,
        repository: str,
        *,
        author: str = "",
        patience: float = PATIENCE,
        settle: float = SETTLE,
    ) -> None:
        client = github.Github(
            base_url=api_url.rstrip("/"),
            auth=github.Auth.Token(token) if token else None,
            per_page=100,
            timeout=20,
            lazy=True,
            retry=_BoundedRetry(patience),
            seconds_between_requests=None,
            seconds_between_writes=None,
            user_agent="mcgitops",
        )
        self._client = client
        self._repository: Repository = client.get_repo(repository)
        self._author = author
        self._settle = settle
        self._has_token = bool(token)

    @property
    def repository(self) -> Repository:
        """PyGithub's own object, for what else asks this server."""
        return self._repository

    def report_comment(
        self, number: int, marker: Marker, report: str, *, way: Way = "edit", quiet: bool = False
    ) -> Outcome:
        """Make the pull request's one comment of this key say `report`.

        quiet: nothing in it is worth a new comment; one that is there is brought up to date.
        """
        if not self._has_token:
            return Outcome("refused", reason="there is no token (GITHUB_TOKEN)")
        try:
            with answers(f"the comment on pull request {number}"):
                issue = self._repository.get_issue(number)
                author = self.login()
                return Sticky(issue, marker, report, author, self._settle, way, quiet).post()
        except ForgeError as error:
            return Outcome("refused", reason=str(error))

    def set_status(
        self,
        sha: str,
        state: Literal["success", "failure", "error", "pending"],
        context: str,
        description: str,
        url: str = "",
    ) -> Outcome:
        """Put a status on a commit."""
        if not self._has_token:
            return Outcome("refused", reason="there is no token (GITHUB_TOKEN)")
        more = {"target_url": url} if url else {}
        try:
            with answers(f"the status of {sha[:7]}", "statuses"):
                commit = self._repository.get_commit(sha)
                made = commit.create_status(
                    state, description=_shortened(description, 140), context=context, **more
                )
                return Outcome("created", made.url)
        except ForgeError as error:
            return Outcome("refused", reason=str(error))

    def deployment(
        self, sha: str, environment: str, description: str, run_url: str = ""
    ) -> Deployment:
        """The deployment of a commit to an environment: the one that this run has, else a new one.

        GitHub makes one by itself for a job that names an environment; a second one for the same
        would show everything twice.
        """
        with answers(f"the deployment to {environment}", "deployments"):
            if run_url:
                made = self._repository.get_deployments(sha=sha, environment=environment)
                for deployment in islice(made, RECENT_DEPLOYMENTS):
                    last = next(iter(deployment.get_statuses()), None)
                    if last and f"{last.target_url or ''}/".startswith(f"{run_url}/"):
                        return deployment
            return self._repository.create_deployment(
                sha,
                auto_merge=False,
                required_contexts=[],  # whoever deploys has decided already
                environment=environment,
                description=_shortened(description, 140),
                production_environment=environment == "production",
            )

    def deployment_state(
        self,
        deployment: Deployment,
        state: Literal["in_progress", "success", "failure"],
        description: str,
        log_url: str = "",
        environment_url: str = "",
    ) -> None:
        """Add a state to a deployment. The ones before become inactive by themselves."""
        told = {"state": state, "description": _shortened(description, 140)}
        told |= {"log_url": log_url} if log_url else {}
        told |= {"environment_url": environment_url} if environment_url else {}
        with answers(f"the state of the deployment {deployment.id}", "deployments"):
            # PyGithub's create_status knows only the old name of log_url
            deployment.requester.requestJsonAndCheck(
                "POST", f"{deployment.url}/statuses", input=told
            )

    def default_branch(self) -> str:
        """The repository's default branch."""
        with answers("the repository"):
            return self._repository.default_branch

    def is_on_branch(self, sha: str, branch: str) -> bool:
        """Whether a commit is in a branch's history."""
        with answers(f"comparing {sha[:7]} with {branch}"):
            return self._repository.compare(branch, sha).status in ("behind", "identical")

    def merge_base(self, base: str, head: str) -> str:
        """The commit at which two revisions parted."""
        with answers(f"comparing {head[:7]} with {base}"):
            return self._repository.compare(base, head).merge_base_commit.sha

    def pulls_of(self, sha: str) -> tuple[int, ...]:
        """The open pull requests that a commit is the head of, oldest first."""
        return tuple(pull.number for pull in self.open_pulls(sha))

    def open_pulls(self, sha: str) -> tuple[Pull, ...]:
        """The same, with where they lead."""
        with answers(f"the pull requests of {sha[:7]}"):
            found = self._repository.get_commit(sha).get_pulls()
            pulls = [_pull(p) for p in found if p.state == "open" and p.head.sha == sha]
            return tuple(sorted(pulls, key=lambda pull: pull.number))

    def pulls_from(self, repository: str, branch: str) -> tuple[Pull, ...]:
        """The open pull requests from a branch, of a fork or of this repository, oldest first."""
        owner = repository.partition("/")[0]
        with answers(f"the pull requests from {owner}:{branch}"):
            found = self._repository.get_pulls(state="open", head=f"{owner}:{branch}")
            pulls = [_pull(p) for p in found if p.state == "open"]
            ours = [p for p in pulls if (p.head_repository, p.head_ref) == (repository, branch)]
            return tuple(sorted(ours, key=lambda pull: pull.number))

    def login(self) -> str:
        """Who this token writes as. Raises PyGithub's errors."""
        if self._author:
            return self._author
        try:
            return self._client.get_user().login
        except GithubException as error:
            if error.status in (403, 404):
                return ACTIONS_BOT
            raise


class _BoundedRetry(GithubRetry):
    """Retries what GitHub says may be retried, but never waits longer than `patience`.

    GitHub may ask to wait until the hour's quota is renewed; a job that sleeps for an hour to post
    a comment helps nobody.
    """

    def __init__(self, patience: float = PATIENCE, **more: Any) -> None:
        self.patience = patience
        more.setdefault("total", TRIES)
        more.setdefault("backoff_factor", min(1.0, patience / 8))
        more.setdefault("backoff_max", patience)
        more.setdefault("secondary_rate_wait", patience)
        more.setdefault("allowed_methods", {"GET", "POST", "PATCH", "PUT", "DELETE"})
        super().__init__(**more)

    def new(self, **more: Any) -> _BoundedRetry:
        return super().new(patience=self.patience, **more)

    def increment(  # type: ignore[override]
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Retry:
        if response is not None and (wait := _asked_to_wait(response)) > self.patience:
            raise ForgeError(
                f"GitHub asks to wait {wait:.0f} s before the next request (rate limit).",
                status=response.status,
            )
        return super().increment(method, url, response, error, _pool, _stacktrace)  # type: ignore[arg-type]


def _asked_to_wait(response: BaseHTTPResponse) -> float:
    """How long the server wants us to wait, by its headers; 0 where it says nothing."""
    after = response.headers.get("Retry-After", "")
    if after.isdigit():
        return float(after)
    reset = response.headers.get("X-RateLimit-Reset", "")
    if response.headers.get("X-RateLimit-Remaining") == "0" and reset.isdigit():
        return max(0.0, float(reset) - time())
    return 0.0


@contextmanager
def answers(what: str, right: str = "pull-requests") -> Iterator[None]:
    """Turn what PyGithub and the network raise into a sentence; `right` is what it takes."""
    try:
        yield
    except GithubException as error:
        raise _explained(what, error, right) from error
    except RetryError as error:
        raise ForgeError(f"GitHub failed on {what}, {TRIES + 1} times.") from error
    except RequestException as error:
        cause = type(error).__name__
        raise ForgeError(f"GitHub could not be reached for {what} ({cause}).") from error


def _explained(what: str, error: GithubException, right: str) -> ForgeError:
    message = message_of(error)
    if is_refusal(error):
        return ForgeError(
            f"the token may not write {what}: it is read-only, as in a fork's pull request.",
            f"Elsewhere give the job `permissions: {right}: write`.",
            error.status,
        )
    if error.status == 401:
        return ForgeError(f"GitHub doesn't accept the token ({message}).", status=401)
    if "locked" in message.lower():
        return ForgeError(f"{what} can't be written: the conversation is locked.", status=403)
    return ForgeError(f"GitHub refused {what}: {error.status} {message}.", status=error.status)


def _pull(pull: PullRequest) -> Pull:
    head, base = pull.head, pull.base
    return Pull(
        number=pull.number,
        head_sha=head.sha,
        head_ref=head.ref,
        head_repository=getattr(head.repo, "full_name", ""),
        base_ref=base.ref,
        base_repository=base.repo.full_name,
    )


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
