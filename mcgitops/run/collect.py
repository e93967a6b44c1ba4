"""Follows a run's container to its end and turns it into a record: the log, what it used, what it
made.

Outputs come out through the engine's API in one stream a folder, and are hashed and stored on the
way; nothing is written into the project folder here.
"""

from __future__ import annotations

import posixpath
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mcgitops import __version__
from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError, TrainingFailed
from mcgitops.facts.lint import base_images
from mcgitops.plan.model import RunPlan
from mcgitops.plan.override import container_name, project_name, volumes
from mcgitops.plan.reads import reads
from mcgitops.project.base import seconds
from mcgitops.project.load import writable_mount
from mcgitops.project.model import Service, is_within, normalised
from mcgitops.run.engine import SAMPLE_SECONDS, Ended, Usage
from mcgitops.run.gather import look_at
from mcgitops.run.links import followed, where
from mcgitops.run.progress import TAIL, Reporter
from mcgitops.run.workspace import Workspace
from mcgitops.store.files import StoredFiles
from mcgitops.store.gathering import Gathering
from mcgitops.store.records import FileRef, ImageRef, Resources, RunRecord, Scalar
from mcgitops.store.store import check_size

if TYPE_CHECKING:
    from docker.models.containers import Container

    from mcgitops.metrics.values import Findings

_LARGEST_LOG = 64 * 1024 * 1024
_CUT = b"mcgitops: the log is longer than 64 MiB; the rest was not kept.\n"


@dataclass
class Made:
    """What a run's container left behind."""

    files: dict[str, FileRef] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def collect(
    workspace: Workspace,
    stage: Service,
    run: RunPlan,
    reporter: Reporter,
    cancel: threading.Event,
    commit: str = "",
    dirty: bool = False,
    later: Callable[[Callable[[], None]], None] = lambda work: work(),
) -> RunRecord:
    """Follow, take, publish, clean up. Raises `TrainingFailed`, with a record kept, on failure.

    later: does the cleaning up, which nobody has to wait for before the process ends.
    """
    engine = workspace.engine
    container = engine.container(container_name(workspace.project, run))
    if container is None:
        finished = workspace.local.run(workspace.project.name, stage.name, run.fingerprint)
        if finished is not None:
            return finished  # a second call, or another training was first
        raise TrainingFailed(
            f"the container of {run.label} is gone.", "Something else removed it; train again."
        )
    try:
        log, tail, usage, state = _follow(workspace, stage, run, container, reporter, cancel)
        ended = engine.ended(container)
        if state == "succeeded" and (ended.exit_code != 0 or ended.error):
            state = "failed"
        made, complaint = Made(), ("", "")
        if state == "succeeded" and (changed := changed_reads(workspace, stage, run, live=True)):
            state = "failed"
            complaint = (f"{changed} changed while it was being read.", "Train again.")
        if state == "succeeded":
            made = _take(workspace, stage, run, container)
            if missing := _missing(stage, made):
                state = "failed"
                complaint = (
                    f"it ended without writing {missing}.",
                    "Write it there, or correct x-mcgitops; the path is inside the mounted folder.",
                )
        if complaint[0]:
            tail.append(f"mcgitops: {complaint[0]}")
        record = _record(workspace, stage, run, ended, usage, state, made, log, tail)
        if state == "succeeded" and (complaint := _too_large(record)) != ("", ""):
            state = "failed"
            tail.append(f"mcgitops: {complaint[0]}")
            made = Made(warnings=made.warnings)
            record = _record(workspace, stage, run, ended, usage, state, made, log, tail)
        record = record.model_copy(update={"commit": commit, "dirty": dirty})
        if state == "succeeded":
            record = _published(workspace, run, record, reporter)
        else:
            workspace.local.attempt(record)
    except BaseException:
        clean_up(workspace, stage, run)
        raise
    if state != "succeeded":
        clean_up(workspace, stage, run)
        reporter.finished(run, record)
        raise failure(run, record, ended, stage, complaint)
    later(lambda: clean_up(workspace, stage, run))
    reporter.finished(run, record)
    return record


def _too_large(record: RunRecord) -> tuple[str, str]:
    """What is to be said of a run with more files than a record takes, and the remedy."""
    try:
        check_size(record)
    except StoreError as error:
        return error.message, error.hint
    return "", ""


def changed_reads(workspace: Workspace, stage: Service, run: RunPlan, *, live: bool) -> str:
    """What no longer is what the run's fingerprint says, named; "" where all is as planned.

    live: look only at what the container sees directly, through a read-only bind mount. Everything
    else was copied before it started, so a change of it doesn't matter any more.
    """
    mounted = {mount.source for mount in stage.mounts if mount.kind == "bind" and mount.read_only}
    if live and (workspace.engine.is_remote or stage.spec.inputs is not None):
        return ""
    return " and ".join(
        read.name
        for read in reads(workspace.project, stage)
        if (not live or read.path in mounted)
        and look_at(workspace, read).digest != run.facts.get(read.name)
    )


def _published(
    workspace: Workspace, run: RunPlan, record: RunRecord, reporter: Reporter
) -> RunRecord:
    """Publish; where the store has the run already, the first one stays, and differences are said.

    That happens with `--force`, and where two machines made the same run: a chance to see whether
    the training is reproducible.
    """
    first = workspace.local.publish(record)
    if first.started != record.started:
        before = {file.path: file.digest for file in first.files}
        differ = [file.path for file in record.files if before.get(file.path) != file.digest]
        said = f"gave other content: {', '.join(differ[:3])}" if differ else "gave the same again"
        reporter.note(f"{run.label} {said}. The store keeps the first run {run.id}.")
    return first


def clean_up(workspace: Workspace, stage: Service, run: RunPlan) -> None:
    """Remove everything of the run from the engine; harmless when there is nothing."""
    remote = workspace.engine.is_remote
    names = [v.name for v in volumes(workspace.project, stage, run, engine_is_remote=remote)]
    name = project_name(workspace.project, run)
    workspace.engine.remove_container(container_name(workspace.project, run))
    workspace.engine.remove_project(name, names)


def failure(
    run: RunPlan, record: RunRecord, ended: Ended, stage: Service, complaint: tuple[str, str]
) -> TrainingFailed:
    """What to say of a failed run, and what to do about it.

    complaint: what we hold against a container that ended well, and the remedy.
    """
    if complaint[0]:
        return TrainingFailed(f"{run.label} failed: {complaint[0]}", complaint[1])
    if record.state == "timed-out":
        return TrainingFailed(
            f"{run.label} was stopped after {stage.spec.timeout}.",
            "Raise x-mcgitops.timeout, or make it faster.",
        )
    if record.state == "interrupted":
        return TrainingFailed(f"{run.label} was interrupted.", "Train again.")
    if ended.out_of_memory:
        return TrainingFailed(
            f"{run.label} ran out of memory (exit code {ended.exit_code}).",
            "Give it more, or let it use less.",
        )
    said = f" ({ended.error})" if ended.error else ""
    return TrainingFailed(
        f"{run.label} failed with exit code {ended.exit_code}{said}.",
        f"Its log is above; mcgitops show {run.id} shows it again.",
    )


def _follow(
    workspace: Workspace,
    stage: Service,
    run: RunPlan,
    container: Container,
    reporter: Reporter,
    cancel: threading.Event,
) -> tuple[FileRef | None, deque[str], Usage, str]:
    """Until the container ends: its log, its last lines, its use, and how it went."""
    tail: deque[str] = deque(maxlen=TAIL)
    usage = Usage()
    limit = seconds(stage.spec.timeout) if stage.spec.timeout else None
    grace = int(seconds(_grace(stage)))
    began = time.monotonic()
    state = "succeeded"
    folder = workspace.state / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as log:
        size, full = 0, False

        def on_line(text: str) -> None:
            nonlocal size, full
            data = text.encode("utf-8", "replace") + b"\n"
            if not full:
                full = size + len(data) > _LARGEST_LOG
                size += log.write(_CUT if full else data)
            tail.append(text)
            reporter.line(run, text)

        follower = threading.Thread(
            target=workspace.engine.follow, args=(container, on_line), daemon=True
        )
        follower.start()
        while follower.is_alive() or workspace.engine.is_running(container):
            workspace.engine.sample(container, usage)
            reporter.usage(run, usage)
            if follower.is_alive():
                follower.join(SAMPLE_SECONDS)
            else:
                cancel.wait(SAMPLE_SECONDS)  # the log was cut off, and the container goes on
            if cancel.is_set():
                # what it would still write is thrown away, so there is little to wait for
                state, grace = "interrupted", min(grace, 1)
            elif limit is not None and time.monotonic() - began > limit:
                state = "timed-out"
            else:
                continue
            container.stop(timeout=grace)
            follower.join(10)
            break
        container.wait()
        log.flush()
        log.seek(0)
        reference: FileRef | None = None
        if size:
            digest, size = workspace.local.put_stream(log)
            reference = FileRef(path=f"{run.stage}-{run.id}.log", digest=digest, size=size)
    return reference, tail, usage, state


def _grace(stage: Service) -> str:
    text = str(stage.definition.get("stop_grace_period") or "10s")
    # Compose prints durations as 1m30s; fractions such as 500ms become a second
    return text if not text.endswith(("ms", "us")) else "1s"


def _take(workspace: Workspace, stage: Service, run: RunPlan, container: Container) -> Made:
    """Everything declared, out of the container into the store."""
    made = Made()
    gathering = Gathering(workspace.local)
    mounts = {
        mount.target: mount
        for path in stage.spec.produced
        if (mount := writable_mount(workspace.project, stage, path)) is not None
    }
    declared = tuple(normalised(path) for path in stage.spec.produced)
    folders = tuple(normalised(path) for path in stage.spec.metrics)
    undeclared: list[str] = []
    seeds = _seeded(workspace, stage)
    links: dict[str, str] = {}
    for target, mount in mounts.items():
        base = workspace.project.relative(mount.source) or "."
        name = posixpath.basename(target.rstrip("/"))
        same: dict[str, FileRef] = {}
        for entry, content in workspace.engine.archive(container, target):
            below = entry.name[len(name) :].strip("/") if entry.name.startswith(name) else ""
            if not below or entry.isdir():
                continue
            path = below if base == "." else f"{base}/{below}"
            if not _plain(path):
                made.warnings.append(f"{path!r} has no usable name and was left out.")
                continue
            if not any(is_within(path, d) for d in declared):
                others = any(is_within(path, p) for p in workspace.project.produced())
                if path not in seeds and not others:
                    undeclared.append(path)
                continue
            if entry.islnk():
                original = same.get(entry.linkname)
                if original is not None:
                    made.files[path] = original.model_copy(update={"path": path})
                continue
            if entry.issym() and any(is_within(path, f) and path != f for f in folders):
                continue  # a tracker's convenience, such as latest-run; the files are what is read
            if entry.issym():
                links[path] = where(path, entry.linkname, base, target)
                continue
            if content is None:
                made.warnings.append(f"{path} is a device or a socket and was left out.")
                continue
            digest, size = gathering.put(content, entry.size)
            reference = FileRef(
                path=path, digest=digest, size=size, executable=bool(entry.mode & 0o100)
            )
            same[entry.name] = made.files[path] = reference
    gathering.finish()
    found, nowhere = followed(links, made.files)
    made.files |= found
    for path in nowhere:
        leads = "round or to no file that is kept" if links[path] else "out"
        made.warnings.append(f"{path} is a link that leads {leads}, and was left out.")
    if undeclared:
        more = f" and {len(undeclared) - 5} more" if len(undeclared) > 5 else ""
        made.warnings.append(
            f"{', '.join(sorted(undeclared)[:5])}{more} written but not declared: not kept. "
            "Add it to outputs to keep it."
        )
    return made


def _seeded(workspace: Workspace, stage: Service) -> frozenset[str]:
    """Files that were in the volumes before the run."""
    found: set[str] = set()
    for read in reads(workspace.project, stage):
        base = workspace.project.relative(read.path)
        if read.kind == "volume" and base is not None:
            prefix = "" if base == "." else f"{base}/"
            found |= {prefix + entry.path for entry in look_at(workspace, read).entries}
    return frozenset(found)


def _plain(path: str) -> bool:
    """Whether a path can be a record's: valid text without control characters or `..`."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return path.isprintable() and ".." not in path.split("/")


def _missing(stage: Service, made: Made) -> str:
    missing = [
        path
        for path in map(normalised, stage.spec.produced)
        if not any(is_within(found, path) for found in made.files)
    ]
    return " and ".join(missing)


def _record(
    workspace: Workspace,
    stage: Service,
    run: RunPlan,
    ended: Ended,
    usage: Usage,
    state: str,
    made: Made,
    log: FileRef | None,
    tail: deque[str],
) -> RunRecord:
    digest, size = workspace.engine.image(run.image)
    found = _found(workspace, stage, made)
    params, param_warnings = _params(workspace, stage)
    of = _by_kind(stage, made)
    return RunRecord.model_validate(
        {
            "project": workspace.project.name,
            "stage": stage.name,
            "fingerprint": run.fingerprint,
            "state": state,
            "matrix": dict(run.combination.matrix),
            "replicate": dict(run.combination.replicate),
            "exit_code": ended.exit_code,
            "started": datetime.now(UTC) if ended.started.startswith("0001") else ended.started,
            "image": ImageRef(
                reference=run.image, digest=digest, size=size, base=_base(workspace, stage)
            ),
            "resources": Resources(
                wall_seconds=ended.wall_seconds,
                cpu_seconds=usage.cpu_seconds,
                peak_memory_bytes=usage.peak_memory_bytes,
                peak_memory_sampled=usage.sampled and usage.peak_memory_bytes is not None,
            ),
            "facts": dict(run.facts),
            "metrics": found.metrics,
            "params": {**found.params, **params},
            "checks": [asdict(check) for check in found.checks],
            "plots": of["plots"],
            "outputs": of["outputs"],
            "metric_files": of["metrics"],
            "predictions": of["predictions"],
            "manifests": _manifests(workspace, stage, run) if state == "succeeded" else (),
            "upstream": dict(run.upstream),
            "warnings": (*made.warnings, *found.warnings, *param_warnings),
            "log": log,
            "log_tail": tuple(tail),
            "tool": f"mcgitops {__version__}",
        }
    )


def _base(workspace: Workspace, stage: Service) -> str:
    """What the last base image is at present: its reference, and its id where the engine has it."""
    references = base_images(workspace.project, stage)
    if not references:
        return ""
    digest, _ = workspace.engine.image(references[-1])
    return f"{references[-1]}@{digest}" if digest and "@" not in references[-1] else references[-1]


def _by_kind(stage: Service, made: Made) -> dict[str, tuple[FileRef, ...]]:
    """The files by what they were declared as; each file once."""
    rest = dict(made.files)
    result: dict[str, tuple[FileRef, ...]] = {}
    for kind in ("metrics", "plots", "outputs", "predictions"):
        declared = [normalised(path) for path in getattr(stage.spec, kind)]
        chosen = [path for path in rest if any(is_within(path, d) for d in declared)]
        result[kind] = tuple(rest.pop(path) for path in sorted(chosen))
    return result


def _found(workspace: Workspace, stage: Service, made: Made) -> Findings:
    """What the readers find in what the stage declared as metrics."""
    from mcgitops.metrics import detect

    declared = tuple(dict.fromkeys(normalised(path) for path in stage.spec.metrics))
    files = [f for p, f in made.files.items() if any(is_within(p, d) for d in declared)]
    stored = StoredFiles.of((workspace.local,), files)
    readers = stage.spec.readers_of(stored.sizes)
    return detect.find(stored, readers, declared, plain=detect.values)


def _params(workspace: Workspace, stage: Service) -> tuple[dict[str, dict[str, Scalar]], list[str]]:
    from mcgitops.metrics.readers import read_params

    values: dict[str, dict[str, Scalar]] = {}
    warnings: list[str] = []
    for path in stage.spec.params:
        file = workspace.folder / path
        with file.open("rb") as stream:
            reading = read_params(path, stream)
        values[path] = dict(reading.values)
        warnings += reading.warnings
    return values, warnings


def _manifests(workspace: Workspace, stage: Service, run: RunPlan) -> tuple[FileRef, ...]:
    """What the run read, as objects, so that a later plan can say which file has changed."""
    result = []
    for read in reads(workspace.project, stage):
        tree = look_at(workspace, read)
        if tree.digest != run.facts.get(read.name):
            continue  # edited since; the manifest of what was read is gone, the digest is not
        digest, size = workspace.local.put_bytes(tree.encoded())
        result.append(FileRef(path=read.name, digest=digest, size=size))
    return tuple(result)
