"""A world without a disk or an engine: the planner is given facts, and what it planned is "done".

A fixture says in YAML what the project is and what there is to read; the world answers the
planner's questions, and makes runs of what it decides, as the executor would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mcgitops.plan.fingerprint import content_digest
from mcgitops.plan.model import Facts, Known, Plan, Questions, Revision, RunPlan
from mcgitops.plan.planner import all_reads, plan
from mcgitops.project.load import load
from mcgitops.project.model import Project, is_within, normalised
from mcgitops.project.source import Sources
from mcgitops.project.tree import Entry, Tree

FOLDER = Path("/p")


def project(text: str, files: Sequence[str] = ("compose.yml",)) -> Project:
    """A project out of what Compose would print for it."""
    return load(text, Sources(), FOLDER, tuple(FOLDER / file for file in files))


def sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass
class World:
    """files: path → content, of all that there is to read.  params: as they would be read."""

    project: Project
    files: dict[str, str] = field(default_factory=dict)
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)  # variables of a run → its metrics
    runs: dict[str, Known] = field(default_factory=dict)
    previous: dict[str, tuple[Known, ...]] = field(default_factory=dict)
    manifests: dict[str, Tree] = field(default_factory=dict)
    folder: dict[str, str] = field(default_factory=dict)
    recorded: frozenset[str] = frozenset()
    head: Revision = field(default_factory=Revision)
    remote: str = ""
    unpushed: bool = False
    keep_manifests: bool = True

    def facts(self) -> Facts:
        """What looking gives."""
        return Facts(
            trees={read: self._tree(read) for read in all_reads(self.project)},
            previous=dict(self.previous),
            manifests=dict(self.manifests),
            params={
                stage.name: {p: self.params[p] for p in stage.spec.params if p in self.params}
                for stage in self.project.stages
                if stage.spec.params
            },
            folder=dict(self.folder),
            head=self.head,
            recorded=self.recorded,
            remote=self.remote,
            unpushed=self.unpushed,
        )

    def _tree(self, read: Any) -> Tree:
        found = []
        for path, content in self.files.items():
            absolute = str(FOLDER / path) if not path.startswith("/") else path
            if absolute == read.path:
                relative = Path(path).name
            elif absolute.startswith(read.path + "/"):
                relative = absolute[len(read.path) + 1 :]
                if any(is_within(relative, p) for p in read.exclude):
                    continue
                if read.only is not None and not any(is_within(relative, p) for p in read.only):
                    continue
            else:
                continue
            found.append(Entry(relative, sha(content), len(content), False))
        return Tree.of(found)

    def plan(self, *stages: str, only: bool = False, force: bool = False) -> Plan:
        """The planner's decision, its questions answered."""
        facts = self.facts()
        for _ in range(len(self.project.stages) + 2):
            answer = plan(self.project, facts, stages=stages, only=only, force=force)
            if isinstance(answer, Plan):
                return answer
            facts = self._answered(facts, answer)
        raise AssertionError("the planner keeps asking")

    def _answered(self, facts: Facts, questions: Questions) -> Facts:
        asked = {fingerprint for _, fingerprint in questions.fingerprints}
        assert asked - facts.asked, "the planner asks the same again"
        return replace(
            facts,
            asked=facts.asked | asked,
            runs={**facts.runs, **{f: self.runs[f] for f in asked if f in self.runs}},
        )

    def do(self, decided: Plan) -> None:
        """Make what was decided so: runs, and then outputs, records, pushed objects."""
        for stage in decided.stages:
            planned = stage
            if stage.state == "pending":
                planned = self.plan(stage.name, only=True).stage(stage.name)
                assert planned.state != "pending", f"{stage.name} never comes to be decided"
            for run in planned.runs:
                if not run.cached:
                    self.runs[run.fingerprint] = self._made(run)
        self.finish()

    def _made(self, run: RunPlan) -> Known:
        stage = self.project.services[run.stage]
        key = str(run.combination)
        content = self.metrics.get(key, {})
        files = {
            normalised(path): sha(f"{run.stage} {path} {key} {run.facts} {run.upstream}")
            for path in stage.spec.produced
        }
        if self.keep_manifests:
            self.manifests |= {tree.digest: tree for tree in self.facts().trees.values()}
        return Known(
            stage=run.stage, fingerprint=run.fingerprint, variables=run.combination.variables,
            content=content_digest(files), facts=run.facts, metrics=content, files=files,
            params={p: self.params.get(p, {}) for p in stage.spec.params}, wall_seconds=41.0,
        )  # fmt: skip

    def finish(self) -> None:
        """Outputs of the selected runs into the folder, runs under the commit, all pushed."""
        decided = self.plan()
        for stage in decided.stages:
            if stage.state != "cached":
                return
        for stage in decided.stages:
            self.folder |= self.runs[stage.selected].files
            self.previous[stage.name] = tuple(self.runs[run.fingerprint] for run in stage.runs)
        if self.head.commit and not self.head.dirty:
            self.recorded = frozenset(stage.name for stage in decided.stages)
        self.unpushed = False


def of_fixture(fixture: Mapping[str, Any]) -> World:
    """The world that a fixture describes, before its changes."""
    return World(
        project=project(fixture["project"], fixture.get("compose_files", ["compose.yml"])),
        files=dict(fixture.get("files") or {}),
        params=dict(fixture.get("params") or {}),
        metrics=dict(fixture.get("metrics") or {}),
        head=Revision(**(fixture.get("head") or {})),
        remote=fixture.get("remote", ""),
        keep_manifests=fixture.get("manifests", True),
    )


def shown(decided: Plan) -> str:
    """A plan as text whose digests are replaced by what they stand for."""
    lines = []
    for stage in decided.stages:
        lines.append(f"{stage.name}: {stage.state}: {stage.reason}")
        lines += [_line(command) for command in stage.commands]
        if stage.selected:
            lines.append(f"  selected {stage.selected[:12]}")
    for section in decided.sections:
        lines.append(f"{section.name}: {section.reason}".rstrip(": "))
        lines += [_line(command) for command in section.commands]
    text = "\n".join(lines) + "\n"
    images: dict[str, str] = {}
    for stage in decided.stages:
        for run in stage.runs:
            text = text.replace(run.id, f"<{run.label}>")
            images.setdefault(run.image, stage.name)
    for image, name in images.items():
        if image.startswith("mcgitops/"):
            text = text.replace(image, f"<image of {name}>")
    return text


def _line(command: Any) -> str:
    reason = f"  # {command.reason}" if command.reason else ""
    return f"  {command.shell_line()}{reason}"
