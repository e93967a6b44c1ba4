"""Looks for what is wrong with the files around the compose file: build contexts, base images."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mcgitops.errors import Problem
from mcgitops.facts.compose import read_sources
from mcgitops.facts.context import skip_ignored
from mcgitops.project.model import Project, Service


def build_context_problems(project: Project) -> tuple[Problem, ...]:
    """Declared outputs that reach a stage's build context: the stage would feed on itself."""
    problems: list[Problem] = []
    sources = None
    for stage in project.stages:
        if stage.build is None:
            continue
        context = str(stage.build.get("context") or "")
        if not Path(context).is_absolute():
            continue
        dockerfile = str(stage.build.get("dockerfile") or "Dockerfile")
        skip = skip_ignored(Path(context), dockerfile)
        for path in sorted(project.produced()):
            relative = os.path.relpath(project.folder / path, context)
            if relative.startswith("..") or _is_skipped(skip, relative):
                continue
            sources = sources or read_sources(project.folder, project.files)
            file, line = sources.place("services", stage.name, "build")
            problems.append(
                Problem(
                    f"{path} is a declared output and in the build context.",
                    f"Add {relative.split('/')[0]} to "
                    f"{os.path.relpath(Path(context) / '.dockerignore', project.folder)}.",
                    file,
                    line,
                    stage.name,
                    "build",
                )
            )
            break  # one line a stage is enough
    return tuple(problems)


def _is_skipped(skip: object, path: str) -> bool:
    """Whether the path or a folder that leads to it is left out of the context."""
    assert callable(skip)  # noqa: S101
    parts = path.split("/")
    folders = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
    return any(skip(folder, True) for folder in folders) or bool(skip(path, False))


def unpinned_images(project: Project) -> tuple[str, ...]:
    """Warnings for base images that a registry may change under the same name."""
    warnings: list[str] = []
    for stage in project.stages:
        for reference in base_images(project, stage):
            if "@sha256:" not in reference and reference != "scratch":
                warnings.append(
                    f"service {stage.name}: the base image {reference} isn't pinned by digest: a "
                    "later build may differ, and the fingerprint doesn't notice."
                )
    return tuple(dict.fromkeys(warnings))


def base_images(project: Project, stage: Service) -> tuple[str, ...]:
    """The `FROM` references of a stage's Dockerfile, with default arguments filled in."""
    build = stage.build
    if build is None:
        return (stage.image,) if stage.image else ()
    text = str(build.get("dockerfile_inline") or "")
    if not text:
        path = Path(str(build.get("context") or ".")) / str(build.get("dockerfile") or "Dockerfile")
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:
            return ()
    arguments = dict(re.findall(r"^\s*ARG\s+(\w+)=(\S+)", text, flags=re.MULTILINE | re.I))
    arguments |= {k: str(v) for k, v in (build.get("args") or {}).items() if v is not None}
    names: set[str] = set()
    found: list[str] = []
    for line in re.finditer(
        r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", text, flags=re.MULTILINE | re.I
    ):
        reference = re.sub(r"\$\{?(\w+)(?::-[^}]*)?\}?", lambda m: arguments.get(m[1], ""), line[1])
        if reference and reference.lower() not in names:
            found.append(reference)
        if line[2]:
            names.add(line[2].lower())
    return tuple(dict.fromkeys(found))
