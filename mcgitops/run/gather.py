"""Gathers the facts for a plan and asks the planner until it has no more questions."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from mcgitops.errors import UsageError
from mcgitops.facts import base as bases
from mcgitops.facts import dvc, git
from mcgitops.facts.context import skip_ignored
from mcgitops.facts.dvc import Out
from mcgitops.facts.files import Skip, keep_all, tree
from mcgitops.facts.program import in_background
from mcgitops.plan.fingerprint import content_digest
from mcgitops.plan.model import Facts, Known, Plan, Questions, Read, Revision, Scalar
from mcgitops.plan.planner import all_reads, plan
from mcgitops.plan.reads import reads
from mcgitops.project.model import STATE_FOLDER, Project, Service, is_within
from mcgitops.project.pin import SUFFIX, Pin
from mcgitops.project.tree import Tree
from mcgitops.run.data import LARGEST_MANIFEST, Need, Seen, in_words
from mcgitops.run.workspace import Workspace
from mcgitops.store.records import RunRecord
from mcgitops.store.store import Store

_ANCESTORS = 50


def make_plan(
    workspace: Workspace,
    stages: Sequence[str] = (),
    *,
    only: bool = False,
    force: bool = False,
    built: frozenset[str] = frozenset(),
) -> Plan:
    """Look, and decide. Raises `UsageError` for a stage that isn't there."""
    check_stages(workspace, stages)
    facts = look(workspace, stages, built=built)
    while True:
        answer = plan(workspace.project, facts, stages=stages, only=only, force=force)
        if isinstance(answer, Plan):
            return answer
        facts = _answered(workspace, facts, answer)


def check_stages(workspace: Workspace, stages: Sequence[str]) -> None:
    """Refuse names that aren't stages, with the nearest that is."""
    names = [stage.name for stage in workspace.project.stages]
    for name in stages:
        if name in names:
            continue
        import difflib

        near = difflib.get_close_matches(name, names, n=1)
        if near:
            hint = f"Did you mean {near[0]}?"
        elif name in workspace.project.services:
            hint = f"Add x-mcgitops to the service {name} to make it one."
        else:
            hint = f"The stages are: {', '.join(names)}." if names else "There is none."
        raise UsageError(f"{name} is not a stage.", hint)


def look(
    workspace: Workspace, stages: Sequence[str] = (), *, built: frozenset[str] = frozenset()
) -> Facts:
    """All facts that can be known before any decision."""
    project = workspace.project
    workspace.data.begin()
    revisions = in_background(lambda: _revisions(workspace))
    seen = {read: workspace.data.seen(read, _skip(read)) for read in all_reads(project, stages)}
    trees = {read: one.tree for read, one in seen.items()}
    _check_params(workspace, trees)
    head, base = revisions()
    edited = sorted({pin.path: pin for one in seen.values() for pin in one.edited}.items())
    previous = _previous(workspace, base)
    return Facts(
        trees=trees,
        previous=previous,
        manifests=_manifests(workspace.local, previous, trees.values()),
        params=_Params(workspace),
        folder=_produced_now(workspace),
        head=Revision(head.commit, head.branch, head.dirty or bool(edited)),
        base=base,
        recorded=_recorded(workspace, head.commit),
        needs=_needs(project, seen),
        warnings=tuple(_edited(pin) for _, pin in edited),
        unpushed=_unpushed(workspace),
        remote=workspace.remote.url if workspace.remote is not None else "",
        built=built,
    )


def look_at(workspace: Workspace, read: Read) -> Tree:
    """The content of one thing that a stage reads."""
    return workspace.data.seen(read, _skip(read)).tree


def files_at(workspace: Workspace, read: Read) -> Tree:
    """The files that lie there now, as far as they count; all that is pinned has been fetched."""
    return tree(Path(read.path), workspace.index, _skip(read))


def needs_of(workspace: Workspace, stage: Service) -> tuple[Need, ...]:
    """The pinned data that a stage reads and that isn't here as its pin says."""
    seen = (workspace.data.seen(read, _skip(read)) for read in reads(workspace.project, stage))
    return tuple(need for one in seen for need in one.needs)


def _needs(project: Project, seen: Mapping[Read, Seen]) -> dict[str, str]:
    """By stage, in words."""
    found: dict[str, str] = {}
    for stage in project.stages:
        if any(read not in seen for read in reads(project, stage)):
            continue  # it isn't planned
        needs = (need for read in reads(project, stage) for need in seen[read].needs)
        if words := list(dict.fromkeys(in_words(need) for need in needs)):
            found[stage.name] = "; ".join(words)
    return found


def _edited(pin: Pin | Out) -> str:
    named = shlex.quote(pin.path)
    if isinstance(pin, Out):
        return (
            f"{pin.path} is not as {pin.file} says: what lies here counts, and no commit gets its "
            f"runs. dvc add {named} takes it up; dvc checkout --force brings back what is tracked."
        )
    return (
        f"{pin.path} is not as {pin.file} says: what lies here counts, and no commit gets its "
        f"runs. mcgitops data add {named} pins it; mcgitops data pull --force {named} brings back "
        "what is pinned."
    )


def _skip(read: Read) -> Skip:
    """What of it doesn't count."""
    is_context = read.kind == "context"
    inner: Skip = skip_ignored(Path(read.path), read.dockerfile) if is_context else keep_all
    exclude, only = read.exclude, read.only
    if not exclude and only is None:
        return inner

    def skip(relative: str, is_folder: bool) -> bool:
        if any(is_within(relative, path_) for path_ in exclude):
            return True
        if only is not None:
            inside = any(is_within(relative, path_) for path_ in only)
            leads_there = is_folder and any(is_within(path_, relative) for path_ in only)
            if not inside and not leads_there:
                return True
        return inner(relative, is_folder)

    return skip


def _check_params(workspace: Workspace, trees: Mapping[Read, Tree]) -> None:
    for read, found in trees.items():
        if read.kind == "params" and not found.entries:
            raise UsageError(
                f"{read.name}: the parameter file does not exist.",
                "Create it, or correct x-mcgitops.params.",
            )


def _revisions(workspace: Workspace) -> tuple[git.Head, Revision]:
    head = _git_head(workspace)
    return head, base_of(workspace, head)


def head_of(workspace: Workspace) -> git.Head:
    """What is checked out, and whether what is read is what the commit says it is."""
    head = _git_head(workspace)
    if head.dirty or not head.commit:
        return head
    seen = (workspace.data.seen(read, _skip(read)) for read in all_reads(workspace.project))
    if workspace.data.paths and any(one.edited for one in seen):
        return replace(head, dirty=True)
    return head


def _git_head(workspace: Workspace) -> git.Head:
    """What git says. Outputs that are tracked don't make it dirty, what is read does.

    A file that a stage reads and that git doesn't know is not in the commit: runs that saw it must
    not be found under it. Files that git is told to ignore (data, mostly) are none of its business.
    """
    head = workspace.checked_out or git.head(workspace.folder, workspace.project.produced())
    if not head.commit or head.dirty:
        return head
    unknown = git.untracked(workspace.folder)
    if not unknown:
        return head
    # a pin that git doesn't know stands for the data, which git never knows
    ends = (SUFFIX, dvc.SUFFIX)
    unknown += tuple(name.rpartition(".")[0] for name in unknown if name.endswith(ends))
    if any(is_read(workspace, unknown, read) for read in all_reads(workspace.project)):
        return replace(head, dirty=True)
    return head


def is_read(workspace: Workspace, paths: Iterable[str], read: Read) -> bool:
    """Whether one of the project-relative paths is in what a stage reads."""
    base = workspace.project.relative(read.path)
    if base is None:
        return False
    skip = _skip(read)

    def counts(path: str) -> bool:
        if path == base or not is_within(path, base):
            return path == base
        below = path if base == "." else path[len(base) + 1 :]
        parts = below.split("/")
        folders = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return not (any(skip(folder, True) for folder in folders) or skip(below, False))

    return any(counts(path) for path in paths)


def base_of(workspace: Workspace, head: git.Head) -> Revision:
    """What the head is compared with, before anybody looked whether it has runs."""
    found = bases.wanted(workspace.folder, head, workspace.environ)
    return Revision(found.commit, found.name or found.why) if found is not None else Revision()


def lookup(workspace: Workspace, stage: str, fingerprint: str) -> RunRecord | None:
    """A run by its fingerprint, wherever it is."""
    name = workspace.project.name
    found = workspace.local.run(name, stage, fingerprint)
    if found is None and workspace.remote is not None:
        found = workspace.remote.run(name, stage, fingerprint)
    return found


def known(record: RunRecord) -> Known:
    """A record as far as planning cares."""
    metrics: dict[str, Scalar] = {}
    for values in record.metrics.values():
        metrics |= values
    return Known(
        stage=record.stage,
        fingerprint=record.fingerprint,
        variables={**record.matrix, **record.replicate},
        content=content_digest({file.path: file.digest for file in record.files}),
        facts=record.facts,
        params=record.params,
        metrics=metrics,
        files={file.path: file.digest for file in record.files},
        wall_seconds=record.resources.wall_seconds,
        commit=record.commit,
    )


def _answered(workspace: Workspace, facts: Facts, questions: Questions) -> Facts:
    runs = dict(facts.runs)
    for stage, fingerprint in questions.fingerprints:
        record = lookup(workspace, stage, fingerprint)
        if record is not None:
            runs[fingerprint] = known(record)
    asked = facts.asked | {fingerprint for _, fingerprint in questions.fingerprints}
    return replace(facts, runs=runs, asked=asked)


def _previous(workspace: Workspace, base: Revision) -> dict[str, tuple[Known, ...]]:
    """The last runs of each stage: of this folder, else of the base commit."""
    result: dict[str, tuple[Known, ...]] = {}
    name = workspace.project.name
    for stage in workspace.project.stages:
        fingerprints = last_runs(workspace, stage.name)
        if not fingerprints and base.commit:
            for store in (workspace.local, workspace.remote):
                commit = store.commit(base.commit, name, stage.name) if store is not None else None
                if commit is not None:
                    fingerprints = commit.runs
                    break
        records = (lookup(workspace, stage.name, fingerprint) for fingerprint in fingerprints)
        result[stage.name] = tuple(known(record) for record in records if record is not None)
    return result


def last_runs(workspace: Workspace, stage: str) -> tuple[str, ...]:
    """The fingerprints that this folder's last training left for a stage."""
    file = workspace.folder / STATE_FOLDER / "last.json"
    try:
        data = json.loads(file.read_text())
        found = data.get(stage) or []
    except (OSError, ValueError, AttributeError):
        return ()
    return tuple(f for f in found if isinstance(f, str) and re.fullmatch(r"[0-9a-f]{64}", f))


def remember_runs(workspace: Workspace, runs: Mapping[str, Sequence[str]]) -> None:
    """Note the stages' fingerprints for the next plan's reasons; atomically."""
    file = workspace.state / "last.json"
    try:
        data = json.loads(file.read_text())
    except (OSError, ValueError):
        data = {}
    data = (data if isinstance(data, dict) else {}) | {k: list(v) for k, v in runs.items()}
    from mcgitops.run.output import write_atomically

    write_atomically(file, json.dumps(data).encode())


def _manifests(
    store: Store, previous: Mapping[str, tuple[Known, ...]], trees: Iterable[Tree]
) -> dict[str, Tree]:
    """The trees that earlier runs read and that are different now, where they were kept."""
    current = {tree_.digest for tree_ in trees}
    wanted = {
        digest
        for runs in previous.values()
        for run in runs[:1]
        for digest in run.facts.values()
        if digest.startswith("sha256:") and digest not in current
    }
    result = {}
    for digest in wanted - store.missing(wanted):
        text = store.read_bytes(digest, LARGEST_MANIFEST).decode("utf-8", "surrogateescape")
        result[digest] = Tree.parse(text)
    return result


class _Params(Mapping[str, Mapping[str, Mapping[str, Scalar]]]):
    """The stages' parameters by file, read when a reason is looked for: most plans need none."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @cached_property
    def _read(self) -> dict[str, dict[str, dict[str, Scalar]]]:
        from mcgitops.metrics.readers import read_params

        result: dict[str, dict[str, dict[str, Scalar]]] = {}
        for stage in self._workspace.project.stages:
            for path in stage.spec.params:
                file = self._workspace.folder / path
                if file.is_file():
                    with file.open("rb") as stream:
                        values = dict(read_params(path, stream).values)
                    result.setdefault(stage.name, {})[path] = values
        return result

    def __getitem__(self, stage: str) -> Mapping[str, Mapping[str, Scalar]]:
        return self._read[stage]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


def _produced_now(workspace: Workspace) -> dict[str, str]:
    """The declared files as they are in the folder: path → digest."""
    found: dict[str, str] = {}
    for path in sorted(workspace.project.produced()):
        base = workspace.folder / path
        prefix = path if base.is_dir() else path.rpartition("/")[0]
        for entry in tree(base, workspace.index).entries:
            found[f"{prefix}/{entry.path}" if prefix else entry.path] = entry.digest
    return found


def _recorded(workspace: Workspace, commit: str) -> frozenset[str]:
    if not commit:
        return frozenset()
    name = workspace.project.name
    return frozenset(
        stage.name
        for stage in workspace.project.stages
        if workspace.local.commit(commit, name, stage.name) is not None
    )


def _unpushed(workspace: Workspace) -> bool:
    if workspace.remote is None:
        return False
    from mcgitops.run.data_push import unpushed
    from mcgitops.store.sync import Pushed

    if unpushed(workspace):
        return True
    given = Pushed(workspace.folder / STATE_FOLDER / "cache", workspace.remote.url).read()
    return not given.issuperset(workspace.local.record_keys(workspace.project.name))


def current_runs(workspace: Workspace) -> dict[str, list[RunRecord]]:
    """The runs that the folder's present state has, by stage; only those that are in a store.

    A stage after one that was not run is left out: its runs can't be known.
    """
    found: dict[str, list[RunRecord]] = {}
    for stage in make_plan(workspace).stages:
        records = [lookup(workspace, stage.name, run.fingerprint) for run in stage.runs]
        if any(records):
            found[stage.name] = [record for record in records if record is not None]
    return found
