"""Turns run records into the two sides of a comparison, and that into a report.

The head is the working tree, through the fingerprints that planning gives it, or a commit. The base
is a commit. Records are looked up in the local store first, then in the project's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mcgitops import __version__
from mcgitops.cli.app import App
from mcgitops.cli.paired import policy
from mcgitops.cli.past import history
from mcgitops.compare import Gate, MetricRule, RunView, Side, compare
from mcgitops.compare.model import Artifact, FactChange, FileChanges
from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError, UsageError
from mcgitops.facts import base as bases
from mcgitops.facts import git
from mcgitops.metrics import detect
from mcgitops.metrics.values import Check, Findings
from mcgitops.project.spec import BestBy, MetricSpec
from mcgitops.project.tree import Tree, difference
from mcgitops.report.build import build
from mcgitops.report.model import Report
from mcgitops.store.files import StoredFiles

if TYPE_CHECKING:
    from mcgitops.run.workspace import Workspace
    from mcgitops.store.records import CommitRecord, FileRef, RunRecord
    from mcgitops.store.store import Store

MOST_PLOTS = 100
MOST_FILES = 50
MANIFEST_LIMIT = 16 << 20
SHALLOW = (
    "this clone is shallow and holds no base: fetch its history (git fetch --unshallow; in a "
    "workflow, actions/checkout with fetch-depth: 0)"
)


def make_report(
    app: App,
    *,
    base: str | bases.Base = "",
    head: str = "",
    shown_head: str = "",
    name: str = "",
    with_history: bool = True,
) -> Report:
    """The report of the working tree, or of the commit `head`, against its base.

    base, head: revisions; "" chooses the base, and takes the working tree. A `Base` needn't be in
                this clone.
    shown_head: of a pull request: the head that people know, where its merge was trained.
    name:       what the head is called, such as its branch.
    with_history: whether the metrics' earlier values are looked up, too.
    """
    evidence = Evidence(app)
    for revision in (base, head):
        if revision and isinstance(revision, str):
            evidence.resolve(revision)  # a typo is said before anything else
    after = evidence.commit(head) if head else evidence.working_tree()
    before = evidence.base(after.commit if head else "", base)
    if shown_head or name:
        after = _known_as(after, shown_head or after.commit, name or after.name)
    rules = evidence.rules()
    comparison = compare(before, after, rules, policy(evidence, before, after, rules))
    facts = tuple(evidence.with_files(fact) for fact in comparison.facts)
    commit = "" if after.dirty else after.commit
    if before is None and git.is_shallow(app.project.folder):
        comparison = replace(comparison, warnings=(*comparison.warnings, SHALLOW))
    return build(
        app.project.name,
        replace(comparison, facts=facts),
        history=history(evidence, before, comparison.metrics) if with_history else (),
        reproduce=f"mcgitops train --rev {commit[:12]}" if commit else "mcgitops train",
        tool=f"mcgitops {__version__}",
    )


def _known_as(side: Side, commit: str, name: str) -> Side:
    """The side under the commit that people know; runs that were made from it go with it."""
    runs = tuple(replace(r, commit=commit) if r.commit == side.commit else r for r in side.runs)
    return Side(commit, name, "", side.dirty, runs)


@dataclass
class Evidence:
    """The project's records, as sides of a comparison."""

    app: App
    _commits: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> str:
        """The commit of a revision; git is asked once for each."""
        if revision not in self._commits:
            self._commits[revision] = git.resolve(self.app.project.folder, revision)
        return self._commits[revision]

    @cached_property
    def stores(self) -> tuple[Store, ...]:
        """The local store, and the project's where that is another."""
        local = self.app.local_store
        return (local,) if self.app.store is local else (local, self.app.store)

    @cached_property
    def git_head(self) -> git.Head:
        """What is checked out; files that stages produce don't make it dirty."""
        return git.head(self.app.project.folder, self.app.project.produced())

    def rules(self) -> tuple[MetricRule, ...]:
        """What the file says of metrics."""
        return tuple(_rule(key, spec) for key, spec in self.app.project.spec.metrics.items())

    def working_tree(self) -> Side:
        """The present state of the folder, with those of its runs that a store has.

        Runs that failed, or haven't been made, are in it as such, so that no gate overlooks them.
        """
        from mcgitops.run.gather import lookup, make_plan

        workspace = self._workspace()
        views: list[RunView] = []
        plan = make_plan(workspace)
        for stage in plan.stages:
            if not stage.runs:
                views.append(RunView(stage.name, "", state="missing"))
            for run in stage.runs:
                record = lookup(workspace, stage.name, run.fingerprint)
                record = record or self._attempt(stage.name, run.fingerprint)
                if record is not None:
                    views.append(self._view(record, stage.selected))
                    continue
                combination = run.combination
                views.append(
                    RunView(
                        stage.name,
                        run.fingerprint,
                        state="missing",
                        matrix=dict(combination.matrix),
                        replicate=dict(combination.replicate),
                    )
                )
        if all(view.state == "missing" for view in views):
            raise UsageError(
                "Nothing has been trained from the present state of the folder.",
                "Run mcgitops train, or name a commit that was trained.",
            )
        head = self.git_head
        # data that was changed by hand isn't what the commit pins, though git sees no change
        dirty = head.dirty or (bool(workspace.data.paths) and plan.head.dirty)
        return Side(head.commit, head.branch, "", dirty, self._with_files(views))

    def commit(self, revision: str) -> Side:
        """A commit with the runs that it has."""
        sha = self.resolve(revision)
        runs = self._runs_of(sha)
        if not runs:
            raise UsageError(
                f"{revision} has no runs in {self.stores[-1].url}.",
                "Train it, pull its runs, or name another commit.",
            )
        name = revision if not sha.startswith(revision) else ""
        return Side(sha, name, "", False, self._with_files(runs))

    def base(self, head: str = "", given: str | bases.Base = "") -> Side | None:
        """The base of the working tree, or of the commit `head`; None where there is none."""
        folder = self.app.project.folder
        current = self._head_of(head) if head else self.git_head
        if isinstance(given, bases.Base):
            found: bases.Base | None = given
        elif given:
            found = bases.Base(self.resolve(given), given, bases.AS_ASKED)
        else:
            found = bases.wanted(folder, current, self.app.environ)
        chosen = bases.with_runs(folder, found, self._has_runs) if found else None
        if chosen is None and given and isinstance(given, str):
            raise UsageError(
                f"{given} has no runs in {self.stores[-1].url}, nor has any of the "
                f"{bases.ANCESTORS} commits before it.",
                "Train it, pull its runs, or name another revision.",
            )
        if chosen is None:
            return None
        runs = self._with_files(self._runs_of(chosen.commit))
        return Side(chosen.commit, chosen.name, chosen.why, False, runs)

    def with_files(self, fact: FactChange) -> FactChange:
        """The fact with the files that differ, where the store kept what both sides read."""
        before, after = self._tree(fact.base), self._tree(fact.head)
        if before is None or after is None:
            return fact
        found = difference(before, after)
        groups = (found.added, found.removed, found.changed)
        added, removed, changed = (paths[:MOST_FILES] for paths in groups)
        old, new = ({e.path: e.size for e in tree.entries} for tree in (before, after))
        files = FileChanges(
            added,
            removed,
            changed,
            count=len(found.paths),
            base_size=before.size,
            head_size=after.size,
            sizes={p: (old.get(p), new.get(p)) for p in (*added, *removed, *changed)},
        )
        return replace(fact, files=files)

    def _tree(self, digest: str) -> Tree | None:
        """The tree of this digest; facts that aren't trees, or weren't kept, have none."""
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            return None
        store = next((store for store in self.stores if not store.missing([digest])), None)
        if store is None:
            return None
        try:
            return Tree.parse(store.read_bytes(digest, MANIFEST_LIMIT).decode(errors="replace"))
        except (StoreError, ValueError):  # too large, damaged, or something else of that digest
            return None

    def _head_of(self, sha: str) -> git.Head:
        if sha == self.git_head.commit:
            return git.Head(sha, parents=self.git_head.parents)
        parents = git.first_parents(self.app.project.folder, sha, 2)[1:]
        return git.Head(sha, parents=tuple(parents))

    def _has_runs(self, sha: str) -> bool:
        name = self.app.project.name
        return any(
            store.commit(sha, name, stage.name) is not None
            for store in self.stores
            for stage in self.app.project.stages
        )

    def _runs_of(self, sha: str) -> list[RunView]:
        project = self.app.project
        views: list[RunView] = []
        for stage in project.stages:
            records = (store.commit(sha, project.name, stage.name) for store in self.stores)
            commit = next((record for record in records if record is not None), None)
            if commit is None:
                continue
            for fingerprint in commit.runs:
                run = self._run(stage.name, fingerprint)
                views.append(self._view(run, commit.selected))
        return views

    def record(self, view: RunView) -> RunRecord:
        """The record of a run that there is."""
        return self._run(view.stage, view.fingerprint)

    def commit_record(self, sha: str, stage: str) -> CommitRecord | None:
        """Which runs a commit has for a stage; None where no store knows of any."""
        name = self.app.project.name
        found = (store.commit(sha, name, stage) for store in self.stores)
        return next((record for record in found if record is not None), None)

    def run_view(self, stage: str, fingerprint: str) -> RunView:
        """A run by its fingerprint."""
        return self._view(self._run(stage, fingerprint), "")

    def _run(self, stage: str, fingerprint: str) -> RunRecord:
        *others, last = self.stores
        for store in others:
            if (found := store.run(self.app.project.name, stage, fingerprint)) is not None:
                return found
        return last.existing_run(self.app.project.name, stage, fingerprint)

    def _attempt(self, stage: str, fingerprint: str) -> RunRecord | None:
        """The last failed attempt at a run on this machine."""
        attempts = self.stores[0].attempts(self.app.project.name, stage)
        return next((record for record in attempts if record.fingerprint == fingerprint), None)

    def _workspace(self) -> Workspace:
        from mcgitops.run.workspace import Workspace

        local, *remote = self.stores
        return Workspace(
            self.app.project, local, remote[0] if remote else None, checked_out=self.git_head
        )

    def _view(self, record: RunRecord, selected: str) -> RunView:
        return RunView(
            stage=record.stage,
            fingerprint=record.fingerprint,
            state=record.state,
            matrix=record.matrix,
            replicate=record.replicate,
            selected=record.fingerprint == selected,
            selection=self._selection(record) if record.fingerprint == selected else "",
            commit=record.commit,
            exit_code=record.exit_code,
            metrics=record.metrics,
            params=record.params,
            checks=tuple(Check(c.source, c.name, c.state, c.text) for c in record.checks),
            facts=record.facts,
            upstream=record.upstream,
            wall_seconds=record.resources.wall_seconds,
            cpu_seconds=record.resources.cpu_seconds,
            peak_memory_bytes=record.resources.peak_memory_bytes,
            peak_memory_sampled=record.resources.peak_memory_sampled,
            image=record.image.reference,
            image_digest=record.image.digest,
            image_size=record.image.size,
            outputs=tuple(Artifact(f.path, f.digest, f.size) for f in record.outputs),
            warnings=record.warnings,
            log_tail=record.log_tail,
        )

    def _selection(self, record: RunRecord) -> str:
        """The best of several by the metric that is reported flatters, and the report says so."""
        service = self.app.project.services.get(record.stage)
        select = service.stage.select if service and service.stage else None
        return f"the best by {select.best}: optimistic" if isinstance(select, BestBy) else ""

    def _with_files(self, views: Iterable[RunView]) -> tuple[RunView, ...]:
        """The same runs; of those that are shown, what is in the files that the store kept.

        Of each variant one run has tables and matrices; of each stage one has its curves drawn.
        """
        views = list(views)
        made = [view for view in views if view.state == "succeeded"]
        shown = {(view.stage, view.variant): view for view in reversed(made)}
        shown |= {(view.stage, view.variant): view for view in made if view.selected}
        drawn = {view.stage: view for view in reversed(made)}
        drawn |= {view.stage: view for view in made if view.selected}
        return tuple(
            self._filled(view, curves=view is drawn[view.stage])
            if view is shown.get((view.stage, view.variant)) or view is drawn.get(view.stage)
            else view
            for view in views
        )

    def _filled(self, view: RunView, *, curves: bool) -> RunView:
        """The run with what its stored files hold beside metrics, which its record has."""
        record = self._run(view.stage, view.fingerprint)
        service = self.app.project.services.get(view.stage)
        spec = service.stage if service else None

        def read(references: tuple[FileRef, ...], plain: detect.Plain) -> Findings:
            files = StoredFiles.of(self.stores, references)
            declared = spec.readers_of(files.sizes) if spec else {}
            asked = (path for path in (spec.plots if spec else ()) if plain is detect.series)
            return detect.find(files, declared, asked, plain)

        plots = read(record.plots, detect.series)
        metrics = read(record.metric_files, detect.series_if_any)
        found = detect.merged((plots, metrics))
        said = tuple(text for text in found.warnings if text not in view.warnings)
        return replace(
            view,
            plots=found.plots[:MOST_PLOTS] if curves else (),
            tables=found.tables,
            matrices=found.matrices,
            checks=(*view.checks, *plots.checks),
            warnings=(*view.warnings, *said),
        )


def _rule(key: str, spec: MetricSpec) -> MetricRule:
    gate = spec.gate
    return MetricRule(
        key,
        spec.goal,
        Gate(
            gate.min,
            gate.max,
            gate.max_drop,
            gate.max_drop_percent,
            gate.level,
            gate.non_inferiority,
            gate.outside_noise,
        )
        if gate
        else None,
        spec.equivalence,
    )
