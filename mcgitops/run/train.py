"""`train` as a function: plan, execute, publish under the commit, bring outputs into the folder."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mcgitops.deferred import dataclass
from mcgitops.errors import McgitopsError, PlanChanged, StoreError, TrainingFailed
from mcgitops.facts import git
from mcgitops.facts.program import in_background
from mcgitops.plan.model import Plan
from mcgitops.plan.planner import changed_facts
from mcgitops.run.execute import Session, default_jobs, execute_stages
from mcgitops.run.gather import head_of, lookup, make_plan, remember_runs
from mcgitops.run.output import restore
from mcgitops.run.prepare import sweep
from mcgitops.run.progress import Reporter
from mcgitops.run.workspace import Workspace
from mcgitops.store.records import CommitRecord, RunRecord


@dataclass(frozen=True)
class Trained:
    """What a training did.

    plan:    what was decided at its beginning.
    trained: the runs that were executed, in the order of their end.
    runs:    all runs of the present state, by stage; the selected one first.
    """

    plan: Plan
    trained: tuple[RunRecord, ...]
    runs: dict[str, tuple[RunRecord, ...]]
    aside: tuple[str, ...] = ()
    pushed: bool = False


def train(
    workspace: Workspace,
    reporter: Reporter,
    stages: Sequence[str] = (),
    *,
    jobs: int = 0,
    force: bool = False,
    keep_going: bool = False,
    saved: Plan | None = None,
    expected_facts: dict[str, str] | None = None,
    push: bool = True,
) -> Trained:
    """Make the stages' runs, publish them, write the outputs, push.

    expected_facts: those of a saved plan; raises `PlanChanged` where one is different now.
    Raises `TrainingFailed` (exit 4) after everything that could succeed was published.
    """
    plan = saved or make_plan(workspace, stages, force=force)
    if expected_facts is not None:
        refuse_changes(plan, expected_facts)
    session = Session(workspace, reporter, jobs or default_jobs(), keep_going)
    with cancelled_by_signals(session.cancel):
        if any(stage.state != "cached" for stage in plan.stages):
            # the SDK is imported and the engine asked while the first image is built
            session.engine_ready = in_background(lambda: sweep(workspace))
            session.head = in_background(lambda: head_of(workspace))
        if push and workspace.remote is not None:
            session.published = lambda record: share(workspace, record, reporter)
        try:
            try:
                execute_stages(session, plan)
            except McgitopsError:
                _push(workspace, push)
                raise
            head = session.head() if session.head is not None else head_of(workspace)
            runs, aside = _finish(workspace, plan, head)
        finally:
            session.settle()
    pushed = _push(workspace, push)
    return Trained(plan, tuple(session.trained), runs, tuple(aside), pushed)


def share(workspace: Workspace, record: RunRecord, reporter: Reporter) -> None:
    """Give a new run to the project's store at once: who waits for it elsewhere finds it there.

    A store that can't be reached costs the run nothing: it is in the local one, and the push at
    the end says what is wrong.
    """
    from mcgitops.store.transfer import copy_runs

    assert workspace.remote is not None  # noqa: S101
    try:
        copy_runs(workspace.local, workspace.remote, [record])
    except StoreError as error:
        reporter.note(f"{record.stage} {record.fingerprint[:12]} is not shared yet: {error}")


def refuse_changes(plan: Plan, expected: dict[str, str]) -> None:
    """Raise `PlanChanged` where the facts aren't those of the saved plan, naming them."""
    changed = changed_facts(expected, plan.facts)
    if changed:
        shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if changed[3:] else "")
        verb = "has" if len(changed) == 1 else "have"
        raise PlanChanged(
            f"{shown} {verb} changed since the plan was made. Nothing was started.", "Plan again."
        )


def _finish(
    workspace: Workspace, plan: Plan, head: git.Head
) -> tuple[dict[str, tuple[RunRecord, ...]], list[str]]:
    if not plan.commands:
        return _runs_of(workspace, plan), []
    if all(stage.state != "pending" and stage.selected for stage in plan.stages):
        # nothing was left open when it was planned, so the plan itself names the runs
        return _write(workspace, plan, head)
    return finish(workspace, [stage.name for stage in plan.stages])


def finish(
    workspace: Workspace, stages: Sequence[str] = ()
) -> tuple[dict[str, tuple[RunRecord, ...]], list[str]]:
    """`mcgitops step finish`: outputs into the folder, runs under the commit.

    Every stage must have its runs by now: nothing is written otherwise.
    """
    # the head first: the outputs that are about to be written may be tracked by git
    head = head_of(workspace)
    plan = make_plan(workspace, stages)
    lacking = [stage.name for stage in plan.stages if stage.state != "cached"]
    if lacking:
        raise TrainingFailed(
            f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no run for the "
            "present state of the folder.",
            "Something changed while it trained; train again.",
        )
    return _write(workspace, plan, head)


def _write(
    workspace: Workspace, plan: Plan, head: git.Head
) -> tuple[dict[str, tuple[RunRecord, ...]], list[str]]:
    """Outputs of the selected runs into the folder, all runs under the commit."""
    runs = _runs_of(workspace, plan)
    aside: list[str] = []
    for stage in plan.stages:
        selected = runs[stage.name][0]
        aside += restore(workspace, selected, workspace.project.services[stage.name].spec.produced)
    for stage in plan.stages:
        if head.commit and not head.dirty:
            workspace.local.publish_commit(
                CommitRecord(
                    project=workspace.project.name,
                    stage=stage.name,
                    commit=head.commit,
                    tree=head.tree,
                    head=workspace.head_sha,
                    runs=tuple(run.fingerprint for run in stage.runs),
                    selected=stage.selected,
                )
            )
    remember_runs(workspace, {s.name: [run.fingerprint for run in s.runs] for s in plan.stages})
    return runs, aside


def _runs_of(workspace: Workspace, plan: Plan) -> dict[str, tuple[RunRecord, ...]]:
    """All records of a plan whose stages are all cached, the selected one first."""
    result: dict[str, tuple[RunRecord, ...]] = {}
    for stage in plan.stages:
        records = [lookup(workspace, stage.name, run.fingerprint) for run in stage.runs]
        found = [record for record in records if record is not None]
        found.sort(key=lambda record: record.fingerprint != stage.selected)
        result[stage.name] = tuple(found)
    return result


def _push(workspace: Workspace, wanted: bool) -> bool:
    if not wanted or workspace.remote is None:
        return False
    from mcgitops.run.data_push import push as push_data
    from mcgitops.store.sync import push

    result = push(
        workspace.local, workspace.remote, workspace.project.name, workspace.state / "cache"
    )
    data = push_data(workspace)
    return bool(result.records or data.objects)


@contextmanager
def cancelled_by_signals(cancel: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the work in order; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()
        raise KeyboardInterrupt

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
