"""Makes ready what a run needs: its second compose file, its volumes with what it reads, and build
contexts that hold outputs of earlier stages.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from mcgitops.errors import PlanChanged, UsageError
from mcgitops.plan.model import Read, RunPlan
from mcgitops.plan.override import (
    RunVolume,
    container_name,
    override,
    override_path,
    project_name,
    volumes,
)
from mcgitops.plan.planner import CONTEXT_FOLDER
from mcgitops.plan.reads import below, reads
from mcgitops.project.model import Service, is_within
from mcgitops.run.collect import changed_reads
from mcgitops.run.gather import files_at, lookup
from mcgitops.run.output import fetch, make_available, write_atomically
from mcgitops.run.progress import Reporter
from mcgitops.run.seeds import Stored, seed_stream
from mcgitops.run.workspace import Workspace, is_alive, owner
from mcgitops.store.records import FileRef, RunRecord


def prepare(
    workspace: Workspace,
    stage: Service,
    run: RunPlan,
    reporter: Reporter,
    process: int | None = None,
) -> None:
    """Write the override file; make and fill the run's volumes; away with what a dead one left.

    process: whose life the run's hangs on (default: ours).
    """
    engine, project = workspace.engine, workspace.project
    if changed := changed_reads(workspace, stage, run, live=False):
        raise PlanChanged(f"{changed} changed while {run.label} was prepared.", "Train again.")
    if stage.spec.croissant:
        from mcgitops.run.croissant import verify

        known = workspace.data.digest_of
        for sentence in verify(project.folder, stage.spec.croissant, workspace.index, known):
            reporter.note(sentence)
    wait_for_others(workspace, run, reporter)
    remote = engine.is_remote
    files = single_files(workspace, stage, remote=remote)
    made = volumes(project, stage, run, engine_is_remote=remote, single_files=frozenset(files))
    engine.remove_project(project_name(project, run), [volume.name for volume in made])
    text = override(project, stage, run, engine_is_remote=remote, owner=owner(process), files=files)
    write_atomically(
        workspace.state / Path(override_path(run)).relative_to(".mcgitops"), text.encode()
    )
    if not made:
        return
    if not engine.has_image(run.image):
        _pull(workspace, run.image)
    upstream = list(upstream_records(workspace, run))
    _refuse_single_outputs(workspace, stage, upstream)
    labels = {
        "com.docker.compose.project": project_name(project, run),
        "mcgitops.project": project.name,
        "mcgitops.run": run.fingerprint,
        "mcgitops.owner": owner(process),
    }
    each = {volume.name: volume for volume in reversed(made)}.values()  # the first of a name
    for service in dict.fromkeys(volume.service for volume in made):
        own = [volume for volume in each if volume.service == service]
        if not own:
            continue
        engine.make_volumes(
            run.image,
            {volume.name: volume.target for volume in own},
            (_seed(workspace, stage, volume, upstream) for volume in own),
            labels,
        )


def sweep(workspace: Workspace) -> None:
    """Remove what trainings of this project left that were killed on this machine, of any run."""
    engine, name = workspace.engine, workspace.project.name
    for label in engine.labels_of(f"mcgitops.project={name}"):
        who, of = label.get("mcgitops.owner", ""), label.get("com.docker.compose.project", "")
        if of.startswith(f"{name}-") and who and not is_alive(who):
            engine.remove_project(of)


def single_files(workspace: Workspace, stage: Service, *, remote: bool) -> dict[str, str]:
    """Bind mounts of single files that must be copied into the container: source → text.

    Those are the writable ones, and every one where the engine doesn't see our files. Raises
    `UsageError` for a file that can't be copied as text, or that an output should come from.
    """
    project = workspace.project
    found: dict[str, str] = {}
    for service in (stage, *project.companions(stage)):
        for mount in service.mounts:
            path = project.relative(mount.source)
            if mount.kind != "bind" or path is None or not Path(mount.source).is_file():
                continue
            if service is stage and not mount.read_only and path in project.produced():
                raise UsageError(
                    f"service {service.name}: {path} is an output and mounted as a single file.",
                    "Mount its folder instead.",
                )
            if mount.read_only and not remote:
                continue
            try:
                found[mount.source] = Path(mount.source).read_text("utf-8")
            except UnicodeDecodeError:
                raise UsageError(
                    f"service {service.name}: {path} is mounted as a single file and isn't text.",
                    "Mount its folder instead, or mount it read-only (:ro).",
                ) from None
    return found


def _refuse_single_outputs(
    workspace: Workspace, stage: Service, upstream: Iterable[RunRecord]
) -> None:
    """A volume is a folder: an output of upstream can't be mounted as the file that it is."""
    files = {file.path for record in upstream for file in record.files}
    for mount in stage.mounts:
        path = workspace.project.relative(mount.source) if mount.kind == "bind" else None
        if path in files:
            raise UsageError(
                f"service {stage.name}: {path} is another stage's output and mounted as a single "
                "file.",
                "Mount its folder instead.",
            )


def wait_for_others(workspace: Workspace, run: RunPlan, reporter: Reporter) -> None:
    """While another training has this very run in hand, wait; what a dead one left is removed."""
    name = container_name(workspace.project, run)
    told = False
    while (container := workspace.engine.container(name)) is not None:
        who = str(container.labels.get("mcgitops.owner", ""))
        if container.status not in ("running", "created") or not is_alive(who) or who == owner():
            workspace.engine.remove_container(name)
            return
        if not told:
            reporter.note(f"{run.label} is being trained by {who}; waiting for it.")
            told = True
        time.sleep(0.5)


def upstream_records(workspace: Workspace, run: RunPlan) -> Iterator[RunRecord]:
    """The selected runs that this one builds on, their files in the local store."""
    for name, fingerprint in run.upstream.items():
        record = lookup(workspace, name, fingerprint)
        if record is None:
            raise UsageError(f"run {fingerprint[:12]} of {name} is in no store.", "Train it first.")
        make_available(workspace, record)
        yield record


def write_context(workspace: Workspace, stage: Service, run: RunPlan, name: str) -> None:
    """Materialise an additional build context: the folder, with upstream's outputs in place."""
    source = str(((stage.build or {}).get("additional_contexts") or {})[name])
    target = workspace.state / Path(CONTEXT_FOLDER).relative_to(".mcgitops") / run.id / name
    read = next(r for r in reads(workspace.project, stage) if r.path == source)
    files = [f for record in upstream_records(workspace, run) for f in record.files]
    materialise(
        workspace, source, [e.path for e in files_at(workspace, read).entries], files, target
    )


def materialise(
    workspace: Workspace, source: str, paths: list[str], outputs: list[FileRef], target: Path
) -> None:
    """A copy of a folder, with files of the store instead of those that stages produce."""
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    for path in paths:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(source) / path, target / path, follow_symlinks=False)
    inside = below(workspace.project, source, frozenset(file.path for file in outputs))
    base = workspace.project.relative(source)
    for file in outputs:
        if base is None or not is_within(file.path, base):
            continue
        relative = file.path if base == "." else file.path[len(base) + 1 :]
        if relative in inside:
            fetch(workspace.local, file, target / relative)


def write_dockerfile(workspace: Workspace, stage: Service, run: RunPlan) -> None:
    """Write `dockerfile_inline` to the file that the build command names."""
    text = str((stage.build or {})["dockerfile_inline"])
    folder = workspace.state / Path(CONTEXT_FOLDER).relative_to(".mcgitops")
    write_atomically(folder / f"{run.id}.Dockerfile", text.encode())


def _seed(
    workspace: Workspace, stage: Service, volume: RunVolume, upstream: list[RunRecord]
) -> Iterator[bytes]:
    """The tar stream that fills one volume: the folder's own files, then upstream's outputs."""
    folder = Path(volume.source)
    read = next(
        (
            r
            for r in reads(workspace.project, stage)
            if r.kind == "volume" and r.path == str(folder)
        ),
        Read(volume.source, volume.source),
    )
    own = [entry.path for entry in files_at(workspace, read).entries]
    base = workspace.project.relative(volume.source)
    stored = [
        Stored(
            file.path if base == "." else file.path[len(base) + 1 :],
            file.size,
            file.executable,
            partial(workspace.local.open_object, file.digest),
        )
        for record in upstream
        for file in record.files
        if base is not None and is_within(file.path, base)
    ]
    expected = below(workspace.project, volume.source, frozenset(stage.spec.produced))
    return seed_stream(volume.target, folder, own, stored, sorted(expected - {"."}))


def _pull(workspace: Workspace, image: str) -> None:
    from docker.errors import APIError, DockerException

    from mcgitops.errors import EngineError

    try:
        workspace.engine.client.images.pull(image)
    except (APIError, DockerException) as error:
        raise EngineError(
            f"the image {image} is not there and can't be pulled: {str(error).splitlines()[0]}",
            "Check its name and your access to the registry.",
        ) from None
