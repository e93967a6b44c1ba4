"""Looks for what is wrong with the files around the compose file: build contexts, base images."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mcgitops.errors import Problem
from mcgitops.facts.compose import read_sources
from mcgitops.facts.context import ignore_file, skip_ignored
from mcgitops.project.model import STATE_FOLDER, Project, Service


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
                    f"Add {_to_ignore(project, Path(context), relative)} to "
                    f"{_ignore_file(project, Path(context), dockerfile)}.",
                    file,
                    line,
                    stage.name,
                    "build",
                )
            )
            break  # one line a stage is enough
    return tuple(problems)


def _to_ignore(project: Project, context: Path, path: str) -> str:
    """What to write for an output: its top folder, unless something else lies there too."""
    top = path.split("/")[0]
    produced = [Path(os.path.relpath(project.folder / p, context)) for p in project.produced()]
    others = (
        file
        for file in (context / top).rglob("*")
        if not file.is_dir()
        and not any(file.relative_to(context).is_relative_to(output) for output in produced)
    )
    return top if next(others, None) is None else path


def _ignore_file(project: Project, context: Path, dockerfile: str) -> str:
    """The ignore file that the builder takes, or would take, as people would name it."""
    file = ignore_file(context, dockerfile) or context / ".dockerignore"
    return os.path.relpath(file, project.folder)


def state_in_context(project: Project) -> tuple[str, ...]:
    """Warnings for build contexts that send our own folder, and all runs in it, to the builder."""
    warnings: list[str] = []
    for service in project.services.values():
        context = Path(str((service.build or {}).get("context") or ""))
        state = os.path.relpath(project.folder / STATE_FOLDER, context)
        if not context.is_absolute() or state.startswith(".."):
            continue
        dockerfile = str((service.build or {}).get("dockerfile") or "Dockerfile")
        if not skip_ignored(context, dockerfile)(f"{state}/store", False):
            warnings.append(
                f"service {service.name}: {STATE_FOLDER} is in the build context: the image would "
                "hold every run, and be built anew after each. "
                f"Add {state} to {_ignore_file(project, context, dockerfile)}."
            )
    return tuple(warnings)


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
        reference = re.sub(
            r"\$\{?(\w+)(?::?-([^}]*))?\}?",
            lambda m: arguments.get(m[1]) or m[2] or "",
            line[1],
        )
        if reference and reference.lower() not in names:
            found.append(reference)
        if line[2]:
            names.add(line[2].lower())
    return tuple(dict.fromkeys(found))
