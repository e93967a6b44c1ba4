"""What webhooks hear of one rollout: that it starts, and how it ended or why it was refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from mcgitops.deploy.lock import owner_name
from mcgitops.deploy.notify import Notice, Notifier, State, of_report
from mcgitops.deploy.outcome import NeedsAttention, Report, RolledBack
from mcgitops.errors import HostNeedsAttention, McgitopsError
from mcgitops.project.environment import Environment


class Told:
    """`with Told(…) as told: told.of(deploy(…))`.

    log: the page of the CI run. Whatever goes wrong with a message is said as a warning.
    """

    def __init__(
        self, project: str, environment: str, spec: Environment, release: str, folder: Path,
        environ: Mapping[str, str], say: Callable[[str], None], *, commit: str = "", log: str = "",
    ) -> None:  # fmt: skip
        self.start = Notice(
            project, environment, release, "started",
            by=owner_name(environ), commit=commit, url=spec.url or "", log=log,
        )  # fmt: skip
        self._specs = spec.notify
        self._notifier = Notifier(spec.notify, folder, environ, say)
        self._report: Report | None = None

    def of(self, report: Report) -> Report:
        """Take the report of a rollout that went well."""
        self._report = report
        return report

    def end(self, error: BaseException | None) -> Notice:
        """How it ended, given what it raised."""
        return end_of(self.start, self._report, error)

    def __enter__(self) -> Told:
        self._notifier.tell(self.start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        specs = self._specs
        if error is None and self._report is not None and _nothing_done(self._report):
            # only who heard of a start waits for an end
            specs = tuple(spec for spec in specs if "started" in spec.on)
        self._notifier.tell(self.end(error), specs)
        self._notifier.wait()


def end_of(start: Notice, report: Report | None, error: BaseException | None) -> Notice:
    """The last notice of a rollout: what the hosts run now counts."""
    if isinstance(error, RolledBack | NeedsAttention):
        report = error.report
    report = report or Report(start.environment, start.release, {})
    ended = of_report(
        report, _state(error), project=start.project, problem=_problem(error),
        by=report.by or start.by, commit=report.commit or start.commit,
    )  # fmt: skip
    return replace(ended, url=start.url, log=start.log)


def _state(error: BaseException | None) -> State:
    if error is None:
        return "succeeded"
    if isinstance(error, HostNeedsAttention):
        return "needs-attention"
    # what else we foresee has changed nothing, or has brought everything back
    foreseen = isinstance(error, McgitopsError | KeyboardInterrupt)
    return "rolled-back" if foreseen else "needs-attention"


def _problem(error: BaseException | None) -> str:
    if isinstance(error, McgitopsError):
        return error.message
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted."
    return "mcgitops itself failed; the log says how." if error is not None else ""


def _nothing_done(report: Report) -> bool:
    return all(one.outcome == "nothing to do" for one in report.hosts.values())
