"""How a rollout ended, host by host; and the two errors that carry it."""

from __future__ import annotations

from dataclasses import field

from mcgitops.deferred import dataclass
from mcgitops.errors import DeploymentRolledBack, HostNeedsAttention


@dataclass
class HostReport:
    """What happened on one host, for people and for `--json`."""

    host: str
    before: str = ""
    outcome: str = ""  # nothing to do, deployed, rolled back, untouched, needs attention
    problem: str = ""
    parts: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Report:
    """How a deployment ended."""

    environment: str
    release: str
    hosts: dict[str, HostReport]
    state: str = "succeeded"
    seconds: float = 0.0
    by: str = ""
    commit: str = ""
    problem: str = ""

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "environment": self.environment,
            "release": self.release,
            "state": self.state,
            "seconds": round(self.seconds, 1),
            "hosts": [
                {"host": one.host, "before": one.before, "outcome": one.outcome,
                 "problem": one.problem, "seconds": round(one.seconds, 1)}
                for one in self.hosts.values()
            ],
        }  # fmt: skip


class RolledBack(DeploymentRolledBack):
    """The release did not start on some host; all hosts are as they were."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


class NeedsAttention(HostNeedsAttention):
    """A host is not as it was, and not as it should be."""

    def __init__(self, message: str, hint: str, report: Report) -> None:
        super().__init__(message, hint)
        self.report = report
