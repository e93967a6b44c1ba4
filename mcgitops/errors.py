"""The few ways in which mcgitops fails, each with its exit code and a hint on what to do next.

Nothing here is raised for a bug: an exception that is not a `McgitopsError` is one.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcgitops.deferred import dataclass


class McgitopsError(Exception):
    """Something that the user can act on. `message` says what and where, `hint` how to mend it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class UsageError(McgitopsError):
    """Wrong usage or a wrong file: exit 2, nothing was started."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One mistake in a file: where it is, what it is, how to mend it."""

    message: str
    hint: str = ""
    file: str = ""
    line: int | None = None
    service: str = ""
    key: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else self.file
        parts = [place, f"service {self.service}" if self.service else "", self.key]
        prefix = ": ".join(part for part in parts if part)
        text = f"{self.message} {self.hint}".strip()
        return f"{prefix}: {text}" if prefix else text


class ProjectError(UsageError):
    """The compose file has problems; all that were found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class GateFailed(McgitopsError):
    """A gate failed: exit 3, after the report was made and posted."""

    exit_code = 3


class TrainingFailed(McgitopsError):
    """A stage failed or timed out: exit 4."""

    exit_code = 4


class DeploymentRolledBack(McgitopsError):
    """A rollout failed; every host runs again what it ran before: exit 5."""

    exit_code = 5


class HostNeedsAttention(McgitopsError):
    """A rollout failed and a host could not be put back: exit 6."""

    exit_code = 6


class EngineError(McgitopsError):
    """Docker, Compose or buildx could not be used, or answered with an error."""


class StoreError(McgitopsError):
    """The store could not be reached, refused us, or holds something damaged."""


class PlanChanged(UsageError):
    """A saved plan no longer fits: a fact that it was made from has changed."""
