"""Makes a release: pins what a commit's runs, images and configuration are, in one record.

Nothing is trained here, and a release that exists is never changed.
"""

from __future__ import annotations

import json
import posixpath
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcgitops import __version__
from mcgitops.commands.build import UnsupportedBuildKey, buildx_build
from mcgitops.commands.command import Command, Secret
from mcgitops.deferred import dataclass
from mcgitops.deploy import composefile, source, yamlfile
from mcgitops.deploy.composefile import Document
from mcgitops.deploy.names import build_tag, check_release_name, commit_of_branch_release
from mcgitops.deploy.shipping import images
from mcgitops.errors import EngineError, McgitopsError, UsageError
from mcgitops.facts import git
from mcgitops.facts.program import output
from mcgitops.project.load import unescape
from mcgitops.project.model import Project
from mcgitops.run.process import execute
from mcgitops.store.records import FileRef, ReleaseImage, ReleaseRecord, RunRecord
from mcgitops.store.store import Store

Say = Callable[[str], None]
# an argument of one of these names must not become part of buildx's own environment
_OF_THE_PROCESS = frozenset({"PATH", "HOME", "USER", "SHELL", "TMPDIR"})
_PROCESS_PREFIXES = ("DOCKER_", "BUILDX_", "BUILDKIT_", "LD_", "COMPOSE_")


@dataclass(frozen=True)
class Made:
    """A release, and whether it was there already."""

    record: ReleaseRecord
    is_new: bool
    warnings: tuple[str, ...] = ()


def make_release(
    project: Project, store: Store, local: Store, name: str, *, say: Say = lambda _: None
) -> Made:
    """Make the release of a tag (or of `branch-sha12`); one that exists is given back.

    store: where it goes and where its runs must be. local: the folder's own store, to tell apart
    runs that don't exist from ones that were not pushed.
    """
    commit = commit_of(project.folder, name)
    if existing := store.release(project.name, name):
        if existing.commit == commit:
            return Made(existing, is_new=False)
        raise UsageError(
            f"Release {name} was made of commit {existing.commit[:12]}, and {name} is now "
            f"{commit[:12]}.",
            "A release never changes: give the new commit a new tag.",
        )
    with source.checkout(project.folder, commit) as place:
        record, warnings = _record(project, store, local, name, commit, place, say)
    if not store.publish_release(record):
        raise McgitopsError(
            f"Another job made release {name} at the same time, with other contents.",
            f"That one stays: mcgitops show {name}.",
        )
    return Made(store.release(project.name, name) or record, is_new=True, warnings=warnings)


def commit_of(folder: Path, name: str) -> str:
    """The commit that a release's name stands for: the tag's, or the one in `branch-sha12`."""
    check_release_name(name)
    if commit := git.tag_commit(folder, name):
        return commit
    if (abbreviated := commit_of_branch_release(name)) and git.exists(folder, abbreviated):
        return git.resolve(folder, abbreviated)
    if git.root(folder) is None:
        raise UsageError(f"{folder} is not in a git repository.", "A release is made of a tag.")
    raise UsageError(
        f"There is no tag {name} here.",
        f"Make it with git tag {name}; in CI fetch it with git fetch origin tag {name}.",
    )


def runs_of(project: str, stages: Sequence[str], commit: str, name: str, store: Store, local: Store
            ) -> dict[str, RunRecord]:  # fmt: skip
    """The selected run of each stage for a commit. Raises where one is missing."""
    found: dict[str, RunRecord] = {}
    for stage in stages:
        recorded = store.commit(commit, project, stage)
        run = store.run(project, stage, recorded.selected) if recorded else None
        if run is not None:
            found[stage] = run
            continue
        if local is not store and local.commit(commit, project, stage):
            raise UsageError(
                f"The run of {stage} for {name} ({commit[:12]}) is only in this folder, not in "
                f"{store.url}.",
                "Run mcgitops push first.",
            )
        raise UsageError(
            f"{store.url} has no run of {stage} for {name} ({commit[:12]}). A release never "
            "trains.",
            f"Check {name} out and run mcgitops train, then mcgitops push.",
        )
    return found


def _record(
    project: Project, store: Store, local: Store, name: str, commit: str, place: Path, say: Say
) -> tuple[ReleaseRecord, tuple[str, ...]]:
    files = source.moved(project.files, project.folder, place)
    document = resolved(place, files, project.name)
    runs = runs_of(project.name, composefile.stages_of(document), commit, name, store, local)
    produced = {file.path: file for run in runs.values() for file in run.files}
    source.materialise(store, tuple(produced.values()), place)
    kept = composefile.release_form(document)
    if not kept["services"]:
        raise UsageError(
            f"{project.name} has no service to deploy: all of them are stages.",
            "Add a service without x-mcgitops.",
        )
    needed = composefile.needs(kept)
    contents, empty = source.contents(store, place, needed.mounts, produced)
    warnings = (*_warnings(kept, empty, place), *_secret_warnings(needed.secret_files, contents))
    pinned = _images(project, store, commit, place, document, kept, say)
    digest, size = store.put_bytes(yamlfile.write(kept).encode())
    artifacts = tuple(
        file for stage in sorted(runs) for file in sorted(runs[stage].outputs, key=_path)
    )
    record = ReleaseRecord(
        project=project.name,
        name=name,
        commit=commit,
        created=datetime.now(UTC),
        runs={stage: run.fingerprint for stage, run in sorted(runs.items())},
        artifacts=artifacts,
        images=pinned,
        compose=FileRef(path="compose.yml", digest=digest, size=size),
        files=contents,
        tool=__version__,
    )
    return record, warnings


def _path(file: FileRef) -> str:
    return file.path


def resolved(place: Path, files: Sequence[Path], project: str) -> Document:
    """The compose file, merged and included, without a single value in it.

    Only this pair of options leaves `env_file` and variables alone; every other form of `config`
    prints what they hold.
    """
    argv = ["docker", "compose", "--profile", "*", "--project-name", project]
    argv += ["--project-directory", str(place)]
    for file in files:
        argv += ["--file", str(file)]
    done = output((*argv, "config", "--no-interpolate", "--no-path-resolution"), place, check=False)
    if done.code != 0:
        lines = done.stderr.strip().splitlines() or ["docker compose gave no reason"]
        raise UsageError(f"The commit's compose file is not valid: {lines[-1]}.")
    return yamlfile.read(done.stdout)


def _warnings(document: Document, empty: Sequence[str], place: Path) -> tuple[str, ...]:
    found = [
        f"{path} is mounted, but is not in the commit: on hosts it is an empty folder that is kept "
        "from release to release."
        for path in empty
        if not (place / path).is_dir()
    ]
    found += [
        f"Service {service} mounts {mounted}, which is a variable: its content is not part of the "
        "release."
        for service, mounted in composefile.undecided_sources(document)
    ]
    return tuple(found)


def _secret_warnings(secrets: Sequence[str], contents: Sequence[FileRef]) -> tuple[str, ...]:
    mounted = {file.path for file in contents}
    return tuple(
        f"{path} is a secret, but a service also mounts it: its content is now in the store."
        for path in secrets
        if path in mounted
    )


def _images(
    project: Project, store: Store, commit: str, place: Path, document: Document, kept: Document,
    say: Say,
) -> tuple[ReleaseImage, ...]:  # fmt: skip
    definitions = _interpolated(project, place, document, tuple(kept["services"]))
    all_found = []
    for name in sorted(kept["services"]):
        definition = definitions["services"][name]
        build = definition.get("build")
        if build:
            reference = build_tag(project.name, name, commit)
            say(f"building {name}")
            _build(project, place, name, build, document, definitions, reference)
            found = images.find(reference, place)
            if found is None:
                raise EngineError(
                    f"The image of {name} was built, but is not in the engine.",
                    "Use a builder that loads into the engine: docker buildx use default.",
                )
        else:
            reference = str(definition.get("image") or "")
            if not reference:
                raise UsageError(f"Service {name} has neither image nor build.")
            found = images.find_or_pull(reference, place)
        all_found.append((name, reference, found))
    say(f"storing {', '.join(name for name, _, _ in all_found)}")
    return images.store_images(store, all_found, place)


def _interpolated(
    project: Project, place: Path, document: Document, services: Sequence[str]
) -> Document:
    """The build and image keys with their values: for the builder only, never kept."""
    keys = ("build", "image", "platform")
    reduced: Document = {
        "name": project.name,
        "services": {
            name: {key: value for key, value in document["services"][name].items() if key in keys}
            for name in services
        },
    }
    if document.get("secrets"):
        reduced["secrets"] = document["secrets"]
    with tempfile.TemporaryDirectory(prefix="mcgitops-") as folder:
        file = Path(folder) / "build.json"
        file.write_text(json.dumps(reduced))
        argv = ["docker", "compose", "--project-directory", str(place), "--file", str(file)]
        own = project.folder / ".env"
        if own.is_file():
            argv += ["--env-file", str(own)]
        done = output((*argv, "config", "--format", "json"), place, check=False)
    if done.code != 0:
        lines = done.stderr.strip().splitlines() or ["docker compose gave no reason"]
        raise UsageError(
            f"The images can't be named or built: {lines[-1].rstrip('.')}.",
            "Set the missing variables in the environment or in .env.",
        )
    return dict(unescape(json.loads(done.stdout)))


def _build(
    project: Project, place: Path, name: str, build: Mapping[str, Any], document: Document,
    definitions: Document, tag: str,
) -> None:  # fmt: skip
    arguments, environment = _secret_arguments(
        build.get("args"), (document["services"][name].get("build") or {}).get("args")
    )
    section = {**build, "args": arguments, "tags": None}
    with tempfile.TemporaryDirectory(prefix="mcgitops-") as folder:
        inline = ""
        if text := build.get("dockerfile_inline"):
            inline = str(Path(folder) / "Dockerfile")
            Path(inline).write_text(str(text))
        try:
            command = buildx_build(
                section, tags=(tag,), secrets=_secrets(project, place, definitions),
                inline_dockerfile=inline, reason=f"the image of {name} for the release",
            )  # fmt: skip
        except UnsupportedBuildKey as error:
            raise UsageError(
                f"Service {name}: build.{error} can't be passed to docker buildx build.",
                "Remove it, or build the image elsewhere and name it with image.",
            ) from None
        execute(Command(command.argv, env=environment, reason=command.reason), place)


def _secret_arguments(
    values: Any, written: Any
) -> tuple[dict[str, str | None], dict[str, str | Secret]]:
    """Arguments whose value came from a variable go through the environment, not through argv."""
    texts = _as_mapping(written)
    arguments: dict[str, str | None] = {}
    environment: dict[str, str | Secret] = {}
    for name, value in _as_mapping(values).items():
        taken = name in _OF_THE_PROCESS or name.startswith(_PROCESS_PREFIXES)
        if value is not None and "$" in str(texts.get(name, "")) and not taken:
            environment[name] = Secret(name, str(value))
            arguments[name] = None
        else:
            arguments[name] = None if value is None else str(value)
    return arguments, environment


def _as_mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    pairs = (str(entry).partition("=") for entry in value or ())
    return {name: text if separator else None for name, separator, text in pairs}


def _secrets(project: Project, place: Path, definitions: Document) -> dict[str, dict[str, Any]]:
    """Build secrets: their files are the caller's, and not part of a commit."""
    result: dict[str, dict[str, Any]] = {}
    for name, secret in (definitions.get("secrets") or {}).items():
        file = str(secret.get("file") or "")
        if file and not Path(file).is_file() and Path(file).is_relative_to(place):
            own = project.folder / posixpath.relpath(file, str(place))
            secret = {**secret, "file": str(own)}
        result[name] = secret
    return result
