"""The fake GitHub: an HTTP server with the state of one repository.

It does what GitHub does with comments, labels, pull requests, statuses, deployments, runs and their
artifacts, token by token, and can be told to fail as GitHub fails. Everything that passes is held
against GitHub's own description; leaving the `with` block raises where something didn't fit. Of the
GraphQL API, which that description leaves out, it knows hiding a comment.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.lab.github.description import Description, Operation, Violation, load_description

MAX_BODY = 65_536  # characters of a comment; one more is a 422
MAX_STATUS_DESCRIPTION = 140
DOCUMENTATION = "https://docs.github.com/rest"
REFUSED = "Resource not accessible by integration"

REPOSITORY = "/repos/{owner}/{repo}"
ISSUE_COMMENTS = REPOSITORY + "/issues/{issue_number}/comments"
ISSUE_COMMENT = REPOSITORY + "/issues/comments/{comment_id}"
ARTIFACT = REPOSITORY + "/actions/artifacts/{artifact_id}/{archive_format}"
WORKFLOW_RUNS = REPOSITORY + "/actions/workflows/{workflow_id}/runs"
RUN = REPOSITORY + "/actions/runs/{run_id}"
BLOBS = "/storage/"
CLASSIFIERS = ("SPAM", "ABUSE", "OFF_TOPIC", "OUTDATED", "DUPLICATE", "RESOLVED", "LOW_QUALITY")
DEPLOYMENT_STATUSES = REPOSITORY + "/deployments/{deployment_id}/statuses"


@dataclass(frozen=True)
class Account:
    """Who a token belongs to and what it may do."""

    login: str
    kind: str = "User"  # User | Bot
    may_write: bool = True
    may_read_user: bool = True
    may_deploy: bool = True


@dataclass
class Fault:
    """Answer `times` matching requests with this instead of doing what they ask."""

    method: str
    path: str  # a regular expression that the path contains
    status: int
    message: str = "Server Error"
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    after: bool = False  # the request is carried out, only its answer is lost

    @property
    def answer(self) -> Answer:
        """What goes back instead."""
        body = {"message": self.message, "documentation_url": DOCUMENTATION}
        return Answer(self.status, body, self.headers)


@dataclass(frozen=True)
class Request:
    """A request that arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    login: str


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """An answer of 4xx, raised from wherever it is noticed."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = Answer(
            status,
            {"message": message, "documentation_url": "https://docs.github.com/rest", **more},
        )


ACCOUNTS = {
    "actions-token": Account("github-actions[bot]", "Bot", may_read_user=False),
    "fork-token": Account("github-actions[bot]", "Bot", may_write=False, may_read_user=False),
    "no-deployments-token": Account(
        "github-actions[bot]", "Bot", may_read_user=False, may_deploy=False
    ),
    "someone-token": Account("someone"),
    "app-token": Account("release-helper[bot]", "Bot", may_read_user=False),
}


class FakeGitHub:
    """`with FakeGitHub() as github:` serves one repository at `github.url`."""

    def __init__(
        self,
        repository: str = "octo/wine",
        *,
        default_branch: str = "main",
        prefix: str = "",
        accounts: Mapping[str, Account] = ACCOUNTS,
        git: Path | None = None,
        description: Description | None = None,
    ) -> None:
        self.repository = repository
        self.default_branch = default_branch
        self.prefix = prefix  # /api/v3 on an enterprise server
        self.accounts = dict(accounts)
        self.git = git  # a clone that answers the questions about commits
        self.description = description or load_description()
        self.comments: dict[int, dict[str, Any]] = {}
        self.pulls: dict[int, dict[str, Any]] = {}
        self.statuses: list[dict[str, Any]] = []
        self.deployments: dict[int, dict[str, Any]] = {}
        self.deployment_statuses: dict[int, list[dict[str, Any]]] = {}
        self.locked: set[int] = set()
        self.labels: dict[int, dict[str, str]] = {}  # of a pull request: name, and who set it
        self.permissions: dict[str, str] = {}  # of people: admin | write | read
        self.hidden: set[int] = set()  # comments that are minimised
        self.has_graphql = True
        self.runs: dict[int, dict[str, Any]] = {}
        self.rerun: list[tuple[str, int]] = []  # how, and which run
        self.artifacts: dict[int, dict[str, Any]] = {}
        self.blobs: dict[int, Iterable[bytes]] = {}
        self.requests: list[Request] = []
        self.violations: list[Violation] = []
        self.faults: list[Fault] = []
        self.before: Callable[[Request], None] = lambda request: None  # races are arranged here
        self._lock = threading.RLock()
        self._ids = 1000
        fake = self

        class Handler(_Handler):
            github = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        """What `GITHUB_API_URL` is set to."""
        return f"http://127.0.0.1:{self._server.server_port}{self.prefix}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise where a request or an answer didn't fit GitHub's description."""
        if self.violations:
            raise AssertionError("\n".join(str(violation) for violation in self.violations))

    # What a test prepares and looks at

    def add_pull(
        self,
        number: int,
        *,
        head_sha: str = "",
        head_repository: str = "",
        head_ref: str = "feature",
        base_ref: str = "",
    ) -> None:
        """An open pull request."""
        head_sha = head_sha or f"{number:040x}"
        pull = self.description.sample("pull-request-simple")
        url = f"{self.url}/repos/{self.repository}"
        pull |= {
            "id": 9000 + number,
            "number": number,
            "state": "open",
            "url": f"{url}/pulls/{number}",
        }
        head_repository = head_repository or self.repository
        owner = head_repository.partition("/")[0]
        pull["head"] |= {"sha": head_sha, "ref": head_ref, "label": f"{owner}:{head_ref}"}
        pull["base"] |= {"ref": base_ref or self.default_branch}
        # the description's samples share what they are made of
        pull["head"]["repo"] = {**pull["head"]["repo"], "full_name": head_repository}
        pull["base"]["repo"] = {**pull["base"]["repo"], "full_name": self.repository}
        self.pulls[number] = pull

    def add_comment(
        self, number: int, body: str, *, login: str = "someone", kind: str = "User", later: int = 0
    ) -> int:
        """A comment that is there already, made `later` seconds from now; returns its id."""
        with self._lock:
            comment = self._new_comment(number, body, Account(login, kind))
            comment |= {"created_at": _now(later), "updated_at": _now(later)}
            return int(comment["id"])

    def add_run(
        self, identifier: int, head_sha: str, *, event: str = "pull_request", workflow: str,
        status: str = "completed", conclusion: str | None = "failure",
    ) -> None:  # fmt: skip
        """A run of a workflow."""
        with self._lock:
            made = self.description.sample("workflow-run")
            self.runs[identifier] = made | {
                "id": identifier,
                "event": event,
                "head_sha": head_sha,
                "status": status,
                "conclusion": conclusion,
                "path": f".github/workflows/{workflow}",
                "html_url": f"{self.url}/{self.repository}/actions/runs/{identifier}",
            }

    def add_artifact(
        self, run_id: int, head_sha: str, content: bytes | Iterable[bytes], *, size: int = -1,
        name: str = "mcgitops-report", expired: bool = False, listed_under: int = 0,
    ) -> int:  # fmt: skip
        """What a run uploaded. `size` is what GitHub says of it; `content` is what comes."""
        with self._lock:
            number = self._id()
            made = self.description.sample("artifact")
            url = f"{self.url}/repos/{self.repository}/actions/artifacts/{number}"
            self.artifacts[number] = made | {
                "id": number,
                "name": name,
                "size_in_bytes": len(content) if isinstance(content, bytes) else size,
                "expired": expired,
                "url": url,
                "archive_download_url": f"{url}/zip",
                "workflow_run": {"id": run_id, "head_sha": head_sha},
                "_listed_under": listed_under or run_id,
            }
            if size >= 0:
                self.artifacts[number]["size_in_bytes"] = size
            self.blobs[number] = [content] if isinstance(content, bytes) else content
            return number

    def blob(self, target: str, headers: Mapping[str, str]) -> Iterable[bytes] | None:
        """What the storage beside the API answers; it isn't GitHub's, and must see no token."""
        with self._lock:
            self.requests.append(Request("GET", target, {}, None, ""))
            if "authorization" in {name.lower() for name in headers}:
                self._violate("GET", target, "request", "sends the token to the storage")
            return self.blobs.get(int(target.removeprefix(BLOBS)))

    def comments_of(self, number: int) -> list[dict[str, Any]]:
        """The comments of a pull request, oldest first."""
        suffix = f"/issues/{number}"
        with self._lock:
            return [
                dict(comment)
                for _, comment in sorted(self.comments.items())
                if comment["issue_url"].endswith(suffix)
            ]

    def writes(self) -> list[Request]:
        """The requests that wanted to change something."""
        return [request for request in self.requests if request.method != "GET"]

    def visible(self, number: int) -> list[str]:
        """The texts of the comments that nobody has hidden, oldest first."""
        return [c["body"] for c in self.comments_of(number) if c["id"] not in self.hidden]

    # Serving

    def serve(
        self, method: str, target: str, headers: Mapping[str, str], raw: bytes
    ) -> tuple[Answer, Operation | None]:
        """Answer one request, and hold both against the description."""
        parts = urlsplit(target.removeprefix(self.prefix))
        if not target.startswith(self.prefix):
            self._violate(method, target, "request", f"is not below {self.prefix}")
        body = json.loads(raw) if raw else None
        login = ""
        if method == "POST" and parts.path.endswith("/graphql"):
            return self._graphql(headers, body), None
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        operation = self.description.find(method, parts.path)
        if operation is None:
            self._violate(method, parts.path, "request", "GitHub has no such operation")
            return Answer(404, {"message": "Not Found"}), None
        for problem in self.description.request(operation, query, body):
            self._violate(method, parts.path, "request", problem)
        if "user-agent" not in {name.lower() for name in headers}:
            self._violate(method, parts.path, "request", "has no User-Agent")
        try:
            account = self._account(headers.get("Authorization", ""))
            login = account.login if account else ""
            request = Request(method, parts.path, query, body, login)
            with self._lock:
                self.requests.append(request)
            self.before(request)
            with self._lock:
                answer = self._answer(request, operation, account)
        except Refusal as refusal:
            answer = refusal.answer
        for problem in self.description.response(
            operation, answer.status, "application/json; charset=utf-8", answer.body
        ):
            self._violate(method, parts.path, "response", f"{answer.status}: {problem}")
        return answer, operation

    def _answer(self, request: Request, operation: Operation, account: Account | None) -> Answer:
        fault = self._fault(request)
        if fault and not fault.after:
            return fault.answer
        handler = self._routes().get((operation.method, operation.template))
        if handler is None:
            raise Refusal(501, f"the fake doesn't do {operation.method} {operation.template}")
        parameters = {name: unquote(value) for name, value in operation.parameters.items()}
        of_repository = operation.template.startswith(REPOSITORY)
        if of_repository and f"{parameters['owner']}/{parameters['repo']}" != self.repository:
            raise Refusal(404, "Not Found")
        if request.method != "GET":
            if account is None:
                raise Refusal(401, "Requires authentication")
            about_deployments = operation.template.startswith(REPOSITORY + "/deployments")
            if not account.may_write or (about_deployments and not account.may_deploy):
                raise Refusal(403, REFUSED)
        answer = handler(request, parameters, account or Account("", may_write=False))
        if fault:
            return fault.answer
        return answer

    def _routes(self) -> dict[tuple[str, str], Callable[..., Answer]]:
        return {
            ("get", "/user"): self._get_user,
            ("get", REPOSITORY): self._get_repository,
            ("get", ISSUE_COMMENTS): self._list_comments,
            ("post", ISSUE_COMMENTS): self._create_comment,
            ("get", ISSUE_COMMENT): self._get_comment,
            ("patch", ISSUE_COMMENT): self._edit_comment,
            ("delete", ISSUE_COMMENT): self._delete_comment,
            ("get", REPOSITORY + "/pulls"): self._list_pulls,
            ("get", REPOSITORY + "/pulls/{pull_number}"): self._get_pull,
            ("get", REPOSITORY + "/commits/{commit_sha}/pulls"): self._pulls_of_commit,
            ("get", REPOSITORY + "/issues/{issue_number}/labels"): self._list_labels,
            ("get", REPOSITORY + "/issues/{issue_number}/events"): self._list_events,
            ("get", REPOSITORY + "/collaborators/{username}/permission"): self._permission,
            ("get", WORKFLOW_RUNS): self._list_runs,
            ("get", RUN + "/artifacts"): self._list_artifacts,
            ("get", ARTIFACT): self._get_artifact,
            ("post", RUN + "/rerun"): self._rerun,
            ("post", RUN + "/rerun-failed-jobs"): self._rerun,
            ("get", REPOSITORY + "/compare/{basehead}"): self._compare,
            ("post", REPOSITORY + "/statuses/{sha}"): self._create_status,
            ("get", REPOSITORY + "/deployments"): self._list_deployments,
            ("post", REPOSITORY + "/deployments"): self._create_deployment,
            ("get", DEPLOYMENT_STATUSES): self._list_deployment_statuses,
            ("post", DEPLOYMENT_STATUSES): self._create_deployment_status,
        }

    # One method an operation

    def _get_user(self, request: Request, parameters: dict[str, str], account: Account) -> Answer:
        if not account.login:
            raise Refusal(401, "Requires authentication")
        if not account.may_read_user:
            raise Refusal(403, REFUSED)
        user = self.description.sample("public-user") | {"user_view_type": "public"}
        return Answer(200, user | {"login": account.login, "type": account.kind})

    def _get_repository(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        owner, name = self.repository.split("/")
        made = self.description.sample("full-repository")
        made |= {"name": name, "full_name": self.repository, "default_branch": self.default_branch}
        return Answer(200, made | {"owner": self._user(Account(owner))})

    def _list_comments(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        return self._page(request, self.comments_of(self._issue(parameters)))

    def _create_comment(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        number = self._issue(parameters)
        if number in self.locked:
            raise Refusal(403, "Unable to create comment because issue is locked.")
        self._check_body(request.body["body"])
        return Answer(201, self._new_comment(number, request.body["body"], account))

    def _get_comment(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        return Answer(200, self._comment(parameters))

    def _edit_comment(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        comment = self._comment(parameters)
        if comment["user"]["login"] != account.login:
            raise Refusal(403, REFUSED)
        self._check_body(request.body["body"])
        comment |= {"body": request.body["body"], "updated_at": _now()}
        return Answer(200, comment)

    def _delete_comment(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        comment = self._comment(parameters)
        del self.comments[comment["id"]]
        return Answer(204)

    def _list_pulls(self, request: Request, parameters: dict[str, str], account: Account) -> Answer:
        head = request.query.get("head", "")
        owner, _, branch = head.partition(":")
        found = [
            pull
            for pull in self.pulls.values()
            if not head
            or (
                pull["head"]["ref"] == branch
                and pull["head"]["repo"]["full_name"].startswith(f"{owner}/")
            )
        ]
        return self._page(request, found)

    def _pulls_of_commit(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        sha = parameters["commit_sha"]
        found = [pull for pull in self.pulls.values() if pull["head"]["sha"] == sha]
        return self._page(request, found)

    def _get_pull(self, request: Request, parameters: dict[str, str], account: Account) -> Answer:
        number = int(parameters["pull_number"])
        if number not in self.pulls:
            raise Refusal(404, "Not Found")
        made = self.description.sample("pull-request")
        known = self.pulls[number]
        for side in ("head", "base"):
            made[side] |= {key: known[side][key] for key in ("sha", "ref", "label")}
        return Answer(200, made | {key: known[key] for key in ("id", "number", "state", "url")})

    def _list_labels(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        names = self.labels.get(self._issue(parameters), {})
        sample = self.description.sample("label")
        return self._page(request, [sample | {"name": name} for name in names])

    def _list_events(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        sample = self.description.sample("labeled-issue-event")
        events = [
            sample
            | {
                "id": number,
                "event": "labeled",
                "label": {"name": name, "color": "ededed"},
                "actor": self._user(Account(by)),
                "performed_via_github_app": None,
            }
            for number, (name, by) in enumerate(
                self.labels.get(self._issue(parameters), {}).items()
            )
        ]
        return self._page(request, events)

    def _permission(self, request: Request, parameters: dict[str, str], account: Account) -> Answer:
        login = parameters["username"]
        if login not in self.permissions:
            raise Refusal(404, f"{login} is not a user")
        made = self.description.sample("repository-collaborator-permission")
        permission = self.permissions[login]
        return Answer(200, made | {"permission": permission, "role_name": permission, "user": None})

    def _list_runs(self, request: Request, parameters: dict[str, str], account: Account) -> Answer:
        found = [
            run
            for run in self.runs.values()
            if run["path"].endswith("/" + parameters["workflow_id"])
            and run["head_sha"] == request.query.get("head_sha", run["head_sha"])
        ]
        return Answer(200, {"total_count": len(found), "workflow_runs": found})

    def _rerun(self, request: Request, parameters: dict[str, str], account: Account) -> Answer:
        number = int(parameters["run_id"])
        if number not in self.runs:
            raise Refusal(404, "Not Found")
        if self.runs[number]["status"] != "completed":
            raise Refusal(403, "This workflow is already running")
        self.rerun.append((request.path.rpartition("/")[2], number))
        return Answer(201, {})

    def _list_artifacts(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        run = int(parameters["run_id"])
        found = [
            {key: value for key, value in artifact.items() if key != "_listed_under"}
            for artifact in self.artifacts.values()
            if artifact["_listed_under"] == run
            and artifact["name"] == request.query.get("name", artifact["name"])
        ]
        return Answer(200, {"total_count": len(found), "artifacts": found})

    def _get_artifact(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        number = int(parameters["artifact_id"])
        if not account.login:
            raise Refusal(401, "Requires authentication")
        if number not in self.artifacts or parameters["archive_format"] != "zip":
            raise Refusal(404, "Not Found")
        root = self.url.removesuffix(self.prefix)
        return Answer(302, None, {"Location": f"{root}{BLOBS}{number}"})

    def _graphql(self, headers: Mapping[str, str], body: Any) -> Answer:
        """Whether comments are hidden, and hiding one; anything else is a violation."""
        account = self._account(headers.get("Authorization", ""))
        query, variables = body["query"], body["variables"]
        request = Request("POST", "/graphql", {}, body, account.login if account else "")
        with self._lock:
            self.requests.append(request)
            if not self.has_graphql:
                return Answer(404, {"message": "Not Found"})
            by_node = {comment["node_id"]: number for number, comment in self.comments.items()}
            if "minimizeComment(input: $input)" in query:
                wanted = variables["input"]
                if wanted.keys() != {"subjectId", "classifier"} or (
                    wanted["classifier"] not in CLASSIFIERS
                ):
                    self._violate("POST", "/graphql", "request", f"minimizeComment: {wanted}")
                if account is None or not account.may_write:
                    return Answer(200, {"errors": [{"type": "FORBIDDEN", "message": REFUSED}]})
                self.hidden.add(by_node[wanted["subjectId"]])
                done = {"minimizeComment": {"minimizedComment": {"isMinimized": True}}}
                return Answer(200, {"data": done})
            if "nodes(ids: $ids)" in query and "isMinimized" in query:
                nodes = [
                    {"id": node, "isMinimized": by_node[node] in self.hidden}
                    if node in by_node
                    else None
                    for node in variables["ids"]
                ]
                return Answer(200, {"data": {"nodes": nodes}})
            self._violate("POST", "/graphql", "request", f"the fake doesn't know {query}")
            return Answer(200, {"errors": [{"message": "unknown query"}]})

    def _compare(self, request: Request, parameters: dict[str, str], account: Account) -> Answer:
        base, _, head = parameters["basehead"].partition("...")
        if self.git is None:
            raise Refusal(404, "Not Found")
        counts = self._git("rev-list", "--left-right", "--count", f"{base}...{head}").split()
        behind, ahead = (int(count) for count in counts)
        status = {(0, 0): "identical", (1, 0): "behind", (0, 1): "ahead", (1, 1): "diverged"}
        made = self.description.sample("commit-comparison")
        made |= {"status": status[bool(behind), bool(ahead)], "ahead_by": ahead}
        made |= {"behind_by": behind, "total_commits": ahead}
        made["merge_base_commit"] |= {"sha": self._git("merge-base", base, head)}
        return Answer(200, made)

    def _create_status(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        if len(request.body.get("description") or "") > MAX_STATUS_DESCRIPTION:
            raise Refusal(422, "Validation Failed: description is too long", errors=[])
        status = self.description.sample("status") | {
            "context": "default",
            **request.body,
            "id": self._id(),
            "creator": self._user(account),
        }
        self.statuses.append(status | {"sha": parameters["sha"]})
        return Answer(201, status)

    def _list_deployments(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        wanted = {
            key: value for key, value in request.query.items() if key not in ("per_page", "page")
        }
        found = [
            deployment
            for deployment in reversed(self.deployments.values())
            if all(deployment[key] == value for key, value in wanted.items())
        ]
        return self._page(request, found)

    def _create_deployment(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        if request.body.get("required_contexts") != []:
            raise Refusal(409, "Conflict: Commit status checks failed for main.")
        number = self._id()
        environment = request.body.get("environment", "production")
        is_production = request.body.get("production_environment", environment == "production")
        made = self.description.sample("deployment") | {
            "id": number,
            "production_environment": is_production,
            "transient_environment": request.body.get("transient_environment", False),
            "url": f"{self.url}/repos/{self.repository}/deployments/{number}",
            "sha": request.body["ref"],
            "ref": request.body["ref"],
            "environment": environment,
            "description": request.body.get("description"),
            "creator": self._user(account),
        }
        made["statuses_url"] = made["url"] + "/statuses"
        self.deployments[number] = made
        self.deployment_statuses[number] = []
        return Answer(201, made)

    def _list_deployment_statuses(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        return self._page(request, list(self._deployment(parameters)))

    def _create_deployment_status(
        self, request: Request, parameters: dict[str, str], account: Account
    ) -> Answer:
        statuses = self._deployment(parameters)
        deployment = self.deployments[int(parameters["deployment_id"])]
        if len(request.body.get("description", "")) > MAX_STATUS_DESCRIPTION:
            raise Refusal(422, "Validation Failed: description is too long", errors=[])
        log = request.body.get("log_url", request.body.get("target_url", ""))
        made = self.description.sample("deployment-status") | {
            "id": self._id(),
            "state": request.body["state"],
            "description": request.body.get("description", ""),
            "creator": self._user(account),
            "environment": deployment["environment"],
            "deployment_url": deployment["url"],
            "target_url": log,
            "log_url": log,
            "environment_url": request.body.get("environment_url", ""),
        }
        statuses.insert(0, made)
        if made["state"] == "success" and request.body.get("auto_inactive", True):
            self._others_are_inactive(deployment)
        return Answer(201, made)

    def _others_are_inactive(self, deployment: Mapping[str, Any]) -> None:
        """What `auto_inactive` does to the earlier deployments of the same environment."""
        for number, other in self.deployments.items():
            same = other["environment"] == deployment["environment"]
            lasting = other["production_environment"] or other["transient_environment"]
            statuses = self.deployment_statuses[number]
            succeeded = bool(statuses) and statuses[0]["state"] == "success"
            if number < deployment["id"] and same and not lasting and succeeded:
                statuses.insert(0, statuses[0] | {"id": self._id(), "state": "inactive"})

    # Helpers

    def _account(self, authorization: str) -> Account | None:
        if not authorization:
            return None
        token = authorization.split(" ")[-1]
        if token not in self.accounts:
            raise Refusal(401, "Bad credentials")
        return self.accounts[token]

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if (
                fault.times
                and fault.method == request.method
                and re.search(fault.path, request.path)
            ):
                fault.times -= 1
                return fault
        return None

    def _issue(self, parameters: Mapping[str, str]) -> int:
        number = int(parameters["issue_number"])
        if number not in self.pulls:
            raise Refusal(404, "Not Found")
        return number

    def _comment(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        comment = self.comments.get(int(parameters["comment_id"]))
        if comment is None:
            raise Refusal(404, "Not Found")
        return comment

    def _deployment(self, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        number = int(parameters["deployment_id"])
        if number not in self.deployment_statuses:
            raise Refusal(404, "Not Found")
        return self.deployment_statuses[number]

    def _check_body(self, body: str) -> None:
        if len(body) > MAX_BODY:
            message = f"body is too long (maximum is {MAX_BODY} characters)"
            raise Refusal(
                422,
                "Validation Failed",
                errors=[
                    {
                        "resource": "IssueComment",
                        "code": "unprocessable",
                        "field": "data",
                        "message": message,
                    }
                ],
            )
        if not body.strip():
            raise Refusal(422, "Validation Failed", errors=[])

    def _new_comment(self, number: int, body: str, account: Account) -> dict[str, Any]:
        identifier = self._id()
        url = f"{self.url}/repos/{self.repository}"
        now = _now()
        comment = self.description.sample("issue-comment") | {
            "id": identifier,
            "node_id": f"IC_{identifier}",
            "url": f"{url}/issues/comments/{identifier}",
            "html_url": f"{self.url}/{self.repository}/pull/{number}#issuecomment-{identifier}",
            "issue_url": f"{url}/issues/{number}",
            "body": body,
            "user": self._user(account),
            "created_at": now,
            "updated_at": now,
            "author_association": "NONE",
        }
        self.comments[identifier] = comment
        return comment

    def _user(self, account: Account) -> dict[str, Any]:
        made = self.description.sample("simple-user")
        return made | {"login": account.login, "type": account.kind}

    def _page(self, request: Request, items: list[Any]) -> Answer:
        size = min(int(request.query.get("per_page", "30")), 100)
        page = int(request.query.get("page", "1"))
        headers = {}
        if page * size < len(items):
            link = f"{self.url}{request.path}?per_page={size}&page={{}}"
            last = -(-len(items) // size)
            headers["Link"] = (
                f'<{link.format(page + 1)}>; rel="next", <{link.format(last)}>; rel="last"'
            )
        return Answer(200, items[(page - 1) * size : page * size], headers)

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.git, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Refusal(404, "Not Found")
        return done.stdout.strip()

    def _id(self) -> int:
        self._ids += 1
        return self._ids

    def _violate(self, method: str, path: str, side: str, message: str) -> None:
        with self._lock:
            self.violations.append(Violation(method, path, side, message))


class _Handler(BaseHTTPRequestHandler):
    """Bytes in and out; all meaning is in `FakeGitHub.serve`."""

    protocol_version = "HTTP/1.1"
    github: FakeGitHub

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        headers = {name.title(): value for name, value in self.headers.items()}
        if self.path.startswith(BLOBS):
            self._send_blob(self.github.blob(self.path, headers))
            return
        try:
            answer, _ = self.github.serve(self.command, self.path, headers, raw)
        except Exception:  # noqa: BLE001 - a bug of the fake must fail the test, not hang the client
            self.github._violate(self.command, self.path, "response", traceback.format_exc())
            answer = Answer(500, {"message": "the fake failed"})
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _send_blob(self, chunks: Iterable[bytes] | None) -> None:
        self.send_response(200 if chunks is not None else 404)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Connection", "close")  # how much comes is said by its end only
        self.end_headers()
        try:
            for chunk in chunks or ():
                self.wfile.write(chunk)
        except OSError:  # the client has seen enough
            pass
        self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Quiet: `FakeGitHub.requests` is the log."""


def _now(later: int = 0) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=later)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
