"""Executes a plan's stages: the DAG in order, independent runs side by side, each whole or not.

The commands are exactly the plan's. Programs are started; our own `step` verbs are called within
the process, by the same functions that `mcgitops step …` calls.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import field

from mcgitops.commands.command import Command
from mcgitops.deferred import dataclass
from mcgitops.errors import McgitopsError, TrainingFailed
from mcgitops.facts import git
from mcgitops.plan.model import Plan, RunPlan, StagePlan
from mcgitops.project.model import Service
from mcgitops.run.collect import clean_up, collect
from mcgitops.run.data import in_words
from mcgitops.run.engine import engine_errors
from mcgitops.run.gather import head_of, lookup, make_plan, needs_of
from mcgitops.run.prepare import prepare, write_context, write_dockerfile
from mcgitops.run.process import Cancelled, CommandFailed, execute
from mcgitops.run.progress import Reporter
from mcgitops.run.workspace import Workspace, lock_folder
from mcgitops.store.records import RunRecord
from mcgitops.store.threads import waited


@dataclass
class Session:
    """One execution: what it works on, who is told, whether it is to stop, what it has built."""

    workspace: Workspace
    reporter: Reporter
    jobs: int
    keep_going: bool = False
    cancel: threading.Event = field(default_factory=threading.Event)
    failing: threading.Event = field(default_factory=threading.Event)
    built: set[str] = field(default_factory=set)
    trained: list[RunRecord] = field(default_factory=list)
    failures: list[McgitopsError] = field(default_factory=list)
    slots: threading.Semaphore = field(init=False)
    gpu: threading.Lock = field(default_factory=threading.Lock)
    building: threading.Lock = field(default_factory=threading.Lock)
    head: Callable[[], git.Head] | None = None  # what was checked out when it began
    engine_ready: Callable[[], object] = lambda: None  # waits for it; raises where none answers
    published: Callable[[RunRecord], object] = lambda record: None  # within the run's lock
    cleaning: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = threading.Semaphore(self.jobs)

    def later(self, work: Callable[[], None]) -> None:
        """Do the work beside what comes next; `execute_stages` waits for it at its end."""

        def told() -> None:
            try:
                with engine_errors("removing what a run left"):
                    work()
            except McgitopsError as error:
                self.reporter.note(str(error))

        thread = threading.Thread(target=told, name="clean up")
        thread.start()
        self.cleaning.append(thread)

    def settle(self) -> None:
        """Wait until everything that was left for later is done."""
        while self.cleaning:
            self.cleaning.pop().join()


def default_jobs() -> int:
    """How many runs at a time: one a core."""
    return max(1, os.cpu_count() or 1)


def execute_stages(session: Session, plan: Plan) -> None:
    """Run all stages of the plan. Raises the first failure after the others have come to an end.

    A stage whose upstream failed is not started. Ctrl-C stops the containers and removes them.
    """
    done: set[str] = set()
    running: dict[Future[None], str] = {}
    waiting = {stage.name: stage for stage in plan.stages}
    with ThreadPoolExecutor(max_workers=max(1, len(waiting)), thread_name_prefix="stage") as pool:
        try:
            while waiting or running:
                for name in [n for n, s in waiting.items() if _is_ready(session, s, plan, done)]:
                    stage = waiting.pop(name)
                    running[pool.submit(_stage, session, stage)] = name
                if not running:
                    break  # what is left waits for something that failed
                finished, _ = wait(running, return_when=FIRST_COMPLETED, timeout=0.2)
                for future in finished:
                    name = running.pop(future)
                    error = future.exception()
                    if error is None:
                        done.add(name)
                    elif isinstance(error, McgitopsError):
                        session.failures.append(error)
                        if not session.keep_going:
                            waiting.clear()
                    else:
                        raise error
        except BaseException as error:
            session.cancel.set()
            waited(lambda: wait(running), error)  # what moves data ends now, too
            raise
    if session.failures:
        raise combined(session.failures)


def combined(failures: Sequence[McgitopsError]) -> McgitopsError:
    """One error for several failures; a training failure wins, since it decides the exit code."""
    chosen = next((f for f in failures if isinstance(f, TrainingFailed)), failures[0])
    if len(failures) > 1 and isinstance(chosen, TrainingFailed):
        return TrainingFailed("\n".join(dict.fromkeys(str(failure) for failure in failures)))
    return chosen


def _is_ready(session: Session, stage: StagePlan, plan: Plan, done: set[str]) -> bool:
    """Whether all stages of the plan that it depends on are done."""
    project = session.workspace.project
    upstream = {s.name for s in project.upstream(project.services[stage.name])}
    return upstream & {s.name for s in plan.stages} <= done


def _stage(session: Session, stage: StagePlan) -> None:
    """Execute one stage's part of the plan."""
    workspace = session.workspace
    if stage.state == "pending":
        run_stage(session, stage.name, force="--force" in stage.pending[0].argv)
        return
    todo = [run for run in stage.runs if not run.cached]
    if not todo:
        return
    service = workspace.project.services[stage.name]
    if stage.fetch:
        fetch_data(session, service)
    with session.building:
        try:
            _build(session, service, stage)
        finally:
            session.engine_ready()  # where none answers, that is said, and not that a build failed
    with ThreadPoolExecutor(max_workers=min(len(todo), session.jobs)) as pool:
        futures = [pool.submit(_run, session, service, run) for run in todo]
        try:
            _raise_first(futures, session)
        except BaseException:
            if not session.keep_going:
                for future in futures:
                    future.cancel()
            raise


def fetch_data(session: Session, service: Service) -> None:
    """`mcgitops data pull --for STAGE`: what it reads of pinned data, as far as it isn't here."""
    needs = needs_of(session.workspace, service)
    for need in needs:
        session.reporter.note(f"{service.name} reads data that is fetched: {in_words(need)}")
    brought = session.workspace.data.fetch(needs)
    for path in brought.aside:
        session.reporter.note(
            f"{path} was in no store and is not pinned any more; it is kept in .mcgitops/replaced/."
        )


def _raise_first(futures: Sequence[Future[None]], session: Session) -> None:
    """Wait for all; then raise what went wrong, all of it in one."""
    pending = set(futures)
    while pending:
        finished, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
        if not session.keep_going and any(f.exception() for f in finished if not f.cancelled()):
            for future in pending:
                future.cancel()
    errors = [error for f in futures if not f.cancelled() and (error := f.exception())]
    for error in errors:
        if not isinstance(error, McgitopsError):
            raise error
    if errors:
        raise combined([error for error in errors if isinstance(error, McgitopsError)])


def run_stage(session: Session, name: str, *, force: bool = False) -> None:
    """`mcgitops step run STAGE`: decide and execute one stage whose upstream is there by now."""
    built = frozenset(session.built)
    plan = make_plan(session.workspace, [name], only=True, force=force, built=built)
    stage = plan.stage(name)
    if stage.state == "pending":
        raise TrainingFailed(
            f"{name} waits for {' and '.join(stage.after)}, which has no run.", "Train it first."
        )
    _stage(session, stage)


def _build(session: Session, service: Service, stage: StagePlan) -> None:
    if not stage.build or stage.runs[0].image in session.built:
        return
    began = time.monotonic()
    run = next(run for run in stage.runs if not run.cached)
    session.reporter.building(stage.name, stage.build[-1].shell_line())
    for command in stage.build:
        if command.is_ours:
            call_step(session, service, run, command)
            continue
        try:
            execute(command, session.workspace.folder, cancel=session.cancel)
        except CommandFailed as error:
            raise TrainingFailed(
                f"the image of {stage.name} could not be built.\n{error.message}",
                "Correct the Dockerfile or the build section.",
            ) from None
    session.built.add(run.image)
    session.reporter.built(stage.name, time.monotonic() - began)


def _run(session: Session, service: Service, run: RunPlan) -> None:
    """One run: its commands in order, under the machine's lock for its fingerprint."""
    with session.slots, _exclusive(session.gpu, service.uses_gpu):
        if session.cancel.is_set():
            raise Cancelled("Interrupted.")
        if session.failing.is_set() and not session.keep_going:
            raise Cancelled(f"{run.label} was not started, since another run failed.")
        with lock(run, session):
            # another training on this machine may have made it while we waited
            there = lookup(session.workspace, run.stage, run.fingerprint)
            if there is not None and run.reason != "forced":
                session.reporter.note(f"{run.label}   made by another training: run {run.id}")
                return
            session.reporter.started(run)
            try:
                for command in run.commands:
                    if session.cancel.is_set():
                        raise Cancelled("Interrupted.")
                    _run_command(session, service, run, command)
            except CommandFailed as error:
                session.failing.set()
                _clean_after_failure(session, service, run)
                raise TrainingFailed(f"{run.label} could not be started.\n{error}") from None
            except BaseException:
                session.failing.set()
                _clean_after_failure(session, service, run)
                raise


def _clean_after_failure(session: Session, service: Service, run: RunPlan) -> None:
    """Leave nothing of the run in the engine; what went wrong before is what matters."""
    try:
        with engine_errors(f"removing what {run.label} left"):
            clean_up(session.workspace, service, run)
    except McgitopsError as error:
        session.reporter.note(str(error))


def _run_command(session: Session, service: Service, run: RunPlan, command: Command) -> None:
    if command.is_ours:
        call_step(session, service, run, command)
    else:
        execute(command, session.workspace.folder, cancel=session.cancel)


def call_step(session: Session, service: Service, run: RunPlan, command: Command) -> None:
    """Do what `mcgitops step …` does, within this process."""
    step = command.argv[2]
    steps: dict[str, Callable[[], object]] = {
        "prepare": lambda: prepare(session.workspace, service, run, session.reporter),
        "collect": lambda: _collect(session, service, run),
        "context": lambda: write_context(session.workspace, service, run, command.argv[5]),
        "dockerfile": lambda: write_dockerfile(session.workspace, service, run),
    }
    with engine_errors(f"{step} of {run.label}"):
        steps[step]()


def _collect(session: Session, service: Service, run: RunPlan) -> None:
    head = session.head() if session.head is not None else head_of(session.workspace)
    record = collect(
        session.workspace,
        service,
        run,
        session.reporter,
        session.cancel,
        head.commit,
        head.dirty,
        session.later,
    )
    session.trained.append(record)
    session.published(record)


@contextmanager
def _exclusive(lock_: threading.Lock, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    with lock_:
        yield


@contextmanager
def lock(run: RunPlan, session: Session) -> Iterator[None]:
    """One training of a fingerprint at a time on this machine. Dies with the process."""
    path = lock_folder() / f"{run.fingerprint}.lock"
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    session.reporter.note(f"{run.label} is being trained here already; waiting.")
                    told = True
                if session.cancel.wait(0.2):
                    raise Cancelled("Interrupted.") from None
        yield
    finally:
        os.close(handle)
