"""The steps of a plan when each is called as a program of its own, by an exported script.

A step is named by stage and run id. It plans the stage again and goes on only if that very run is
still what the present state asks for; the fingerprint makes sure of it.
"""

from __future__ import annotations

from mcgitops.errors import PlanChanged
from mcgitops.plan.model import RunPlan
from mcgitops.project.model import Service
from mcgitops.run.execute import Session, call_step, default_jobs, run_stage
from mcgitops.run.gather import check_stages, make_plan
from mcgitops.run.prepare import prepare
from mcgitops.run.progress import Reporter
from mcgitops.run.train import cancelled_by_signals
from mcgitops.run.workspace import Workspace


def find(workspace: Workspace, stage: str, run_id: str) -> tuple[Service, RunPlan]:
    """The run with this id, as planned from the present state. Raises `PlanChanged`."""
    check_stages(workspace, [stage])
    plan = make_plan(workspace, [stage], only=True, force=True)
    for run in plan.stage(stage).runs:
        if run.id == run_id:
            return workspace.project.services[stage], run
    raise PlanChanged(
        f"{stage} has no run {run_id} in the present state: something that it reads has changed.",
        "Plan again.",
    )


def prepare_step(
    workspace: Workspace, reporter: Reporter, stage: str, run_id: str, process: int
) -> int:
    """`mcgitops step prepare`."""
    service, run = find(workspace, stage, run_id)
    prepare(workspace, service, run, reporter, process)
    return 0


def collect_step(workspace: Workspace, reporter: Reporter, stage: str, run_id: str) -> int:
    """`mcgitops step collect`."""
    service, run = find(workspace, stage, run_id)
    session = Session(workspace, reporter, 1)
    reporter.started(run)
    with cancelled_by_signals(session.cancel):
        try:
            call_step(session, service, run, run.commands[-1])
        finally:
            session.settle()
    return 0


def context_step(workspace: Workspace, stage: str, run_id: str, name: str) -> int:
    """`mcgitops step context`."""
    from mcgitops.run.prepare import write_context

    service, run = find(workspace, stage, run_id)
    write_context(workspace, service, run, name)
    return 0


def dockerfile_step(workspace: Workspace, stage: str, run_id: str) -> int:
    """`mcgitops step dockerfile`."""
    from mcgitops.run.prepare import write_dockerfile

    service, run = find(workspace, stage, run_id)
    write_dockerfile(workspace, service, run)
    return 0


def run_step(workspace: Workspace, reporter: Reporter, stage: str, *, force: bool = False) -> int:
    """`mcgitops step run`."""
    check_stages(workspace, [stage])
    session = Session(workspace, reporter, default_jobs())
    with cancelled_by_signals(session.cancel):
        try:
            run_stage(session, stage, force=force)
        finally:
            session.settle()
    return 0
