"""`x-mcgitops.environments` as typed models: where releases go, and how they get there."""

from __future__ import annotations

import re
import shlex
from typing import Literal
from urllib.parse import urlsplit

from mcgitops.project.base import Duration, Spec
from mcgitops.project.nearest import nearest
from mcgitops.typed.model import after, key, whole


class Trigger(Spec):
    """When an environment is deployed: a push to a branch, or a tag. Shell patterns."""

    branch: str | None = key(default=None, min_length=1, description="A branch name or pattern.")
    tag: str | None = key(
        default=None, min_length=1, description="A tag name or pattern, such as `v*`."
    )

    @whole
    def _exactly_one(self) -> None:
        if (self.branch is None) == (self.tag is None):
            raise ValueError("takes exactly one of branch and tag.")


class Hook(Spec, strip=False):  # an argument is what it is
    """A command that is run before or after a phase of a rollout."""

    run: str | tuple[str, ...] = key(
        description="The program and its arguments. Text is split into words as a shell would, but "
        "no shell runs it."
    )
    on: Literal["local", "host", "service"] = key(
        default="service",
        description="Where it runs: `local` is where mcgitops runs, `host` is each host, `service` "
        "is a container of `service` on each host.",
    )
    service: str | None = key(
        default=None,
        description="The service in which it runs: `after_prepare` and `before_activate` in a "
        "container of its own made of the new release, afterwards in one that runs.",
    )
    once: bool = key(
        default=False,
        description="`true`: on the first host of the rollout only, as for a migration.",
    )
    timeout: Duration = key(default="10m", description="How long it may take. Then it has failed.")

    @after("run")
    @staticmethod
    def _names_a_program(run: str | tuple[str, ...]) -> str | tuple[str, ...]:
        try:
            words = shlex.split(run) if isinstance(run, str) else run
        except ValueError as error:
            raise ValueError(f"{run!r} can't be split into words: {error}.") from None
        if not words or not words[0]:
            raise ValueError("names no program. Write it as [program, argument].")
        return run

    @whole
    def _service_is_named(self) -> None:
        if self.on == "service" and self.service is None:
            raise ValueError("names no service. Add service, or on: host.")
        if self.on != "service" and self.service is not None:
            raise ValueError(f"names a service, but runs on: {self.on}. Remove one of them.")

    @property
    def argv(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return tuple(shlex.split(self.run)) if isinstance(self.run, str) else self.run


Phase = Literal[
    "before_prepare", "after_prepare", "before_activate", "after_activate",
    "before_commit", "after_commit", "before_rollback", "after_rollback",
]  # fmt: skip
"""When a hook runs. `prepare` changes nothing that runs, `activate` replaces what runs, `commit`
makes it final; `rollback` is the way back after a failure."""


class Hooks(Spec):
    """Commands around the phases of a rollout. One that fails fails the rollout."""

    before_prepare: tuple[Hook, ...] = key(default=(), description="Before anything is sent.")
    after_prepare: tuple[Hook, ...] = key(default=(), description="Everything is on the hosts.")
    before_activate: tuple[Hook, ...] = key(
        default=(), description="Before the first service is replaced: the place of migrations."
    )
    after_activate: tuple[Hook, ...] = key(default=(), description="The new release is healthy.")
    before_commit: tuple[Hook, ...] = key(default=(), description="The last chance to refuse.")
    after_commit: tuple[Hook, ...] = key(
        default=(), description="The release is final. Only warns."
    )
    before_rollback: tuple[Hook, ...] = key(
        default=(), description="Before a host goes back. Only warns."
    )
    after_rollback: tuple[Hook, ...] = key(
        default=(), description="The host is as before. Only warns."
    )


TEMPLATES = ("slack", "discord", "teams", "json")
"""The messages that mcgitops knows how to write."""


class Notify(Spec):
    """A message to a webhook when a rollout starts or ends. One that can't be sent only warns."""

    url_from: str = key(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="The environment variable that holds the webhook's URL: it is a secret.",
    )
    template: str = key(
        default="slack",
        description="`slack`, `discord`, `teams`, `json`, or the path of a Jinja2 template in the "
        "project folder that gives JSON.",
    )
    on: tuple[Literal["started", "succeeded", "rolled-back", "needs-attention"], ...] = key(
        default=("succeeded", "rolled-back", "needs-attention"), description="When it is sent."
    )

    @after("template")
    @staticmethod
    def _template_is_known(template: str) -> str:
        if template in TEMPLATES:
            return template
        if not template.endswith(".j2"):
            near = nearest(template, TEMPLATES)
            hint = f"Did you mean {near}?" if near else "Write the path of a file: notify.j2."
            raise ValueError(f"{template!r} is no template. {hint}")
        if template.startswith(("/", "~")) or ".." in template.split("/"):
            raise ValueError(f"{template!r} is outside the project folder. Write a path inside it.")
        return template


class Environment(Spec):
    """Where releases go: hosts and a trigger."""

    hosts: tuple[str, ...] = key(
        min_length=1,
        description="`ssh://user@host[:port]`, or `local://` for the engine of this machine.",
    )
    trigger: Trigger | None = key(
        default=None,
        description="What deploys it. Without one: only `mcgitops deploy ENV` by hand.",
    )
    services: tuple[str, ...] | None = key(
        default=None, description="Deploy only these services. Default: all that are not stages."
    )
    health_timeout: Duration = key(
        default="2m", description="How long a host may take to become healthy."
    )
    known_hosts: str | None = key(
        default=None,
        description="A file with the hosts' pinned SSH keys, in the repository. Default: the "
        "variable `MCGITOPS_KNOWN_HOSTS`, then `~/.ssh/known_hosts`.",
    )
    registry: str | None = key(
        default=None,
        description="Ship images through this registry prefix, such as `ghcr.io/acme`. Default: "
        "over SSH, without a registry.",
    )

    pull: bool = key(
        default=False,
        description="`true`: its hosts deploy themselves with `mcgitops agent`; pushes and tags "
        "deploy nothing from CI.",
    )
    parallel: int | Literal["all"] = key(
        default=1, description="How many hosts are changed at a time: a number, or `all`."
    )
    canary: int | None = key(
        default=None,
        ge=1,
        description="So many hosts go first; the rest waits until `monitor` is over.",
    )
    monitor: Duration = key(
        default="30s",
        description="How long the canary hosts must stay healthy before the rest follows.",
    )
    retain: int = key(
        default=5, ge=2, description="How many releases a host keeps, the current one included."
    )
    values: tuple[str, ...] = key(
        default=(),
        description="Files with values of variables, encrypted with SOPS or age (`*.age`), or "
        "plain dotenv. They win over `.env`; the caller's environment wins over them.",
    )
    hooks: Hooks = key(default_factory=Hooks, description="Commands before and after each phase.")
    notify: tuple[Notify, ...] = key(default=(), description="Webhooks that hear of a rollout.")
    url: str | None = key(
        default=None,
        description="Where it is served: shown at GitHub's deployment of the environment.",
    )

    @after("parallel")
    @staticmethod
    def _parallel_is_a_count(parallel: int | str) -> int | str:
        if isinstance(parallel, int) and parallel < 1:
            raise ValueError(f"{parallel} hosts at a time is none. Write 1 or more, or all.")
        return parallel

    @after("values")
    @staticmethod
    def _values_are_inside(paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not path or path.startswith(("/", "~")) or ".." in path.split("/"):
                raise ValueError(f"{path!r} is outside the project folder. Write a path inside it.")
        return paths

    @after("url")
    @staticmethod
    def _url_is_one(url: str | None) -> str | None:
        if url is not None and not re.match(r"https?://[^\s/]+", url):
            raise ValueError(f'"{url}" is not a web address. Write https://….')
        return url

    @after("hosts")
    @staticmethod
    def _hosts_are_urls(hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            parts = urlsplit(host)
            if parts.scheme not in ("ssh", "local"):
                bare = host.split("://")[-1]
                raise ValueError(f'"{host}" is not a URL. Write ssh://{bare}.')
            try:
                port_is_fine = parts.port is None or parts.port > 0
            except ValueError:
                port_is_fine = False
            if not port_is_fine:
                raise ValueError(f'"{host}" has no valid port. Write ssh://user@host:22.')
            if parts.scheme == "local":
                if host not in ("local://", "local:///"):
                    raise ValueError(f'"{host}" names a host, local:// takes none.')
                continue
            if not parts.hostname or parts.hostname.startswith("-"):
                raise ValueError(f'"{host}" names no host. Write ssh://user@host.')
            if (parts.username or "").startswith("-"):
                raise ValueError(f'"{host}" has a user that starts with -. Write ssh://user@host.')
            if parts.password is not None:
                raise ValueError("holds a password. Use a key, and write ssh://user@host.")
            if parts.path not in ("", "/") or parts.query or parts.fragment:
                raise ValueError(f'"{host}" has a path. Write ssh://user@host[:port].')
        if len(set(hosts)) != len(hosts):
            raise ValueError("names a host twice. Remove the repetition.")
        return hosts
