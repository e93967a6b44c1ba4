"""What a person should know or decide about a proposal: one sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from mcgitops.adopt import names
from mcgitops.adopt.look import Seen, writable
from mcgitops.adopt.model import Stage
from mcgitops.project.model import Service, is_within


def at(seen: Seen, name: str) -> Service:
    """The service of this name."""
    return seen.project.services[name]


def inside(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is in one of the folders."""
    return any(is_within(path, folder) for folder in folders)


def nothing_to_declare(name: str, why: str, seen: Seen) -> str:
    """Why a service that looks like a stage isn't proposed, and what would change that."""
    folders = list(writable(seen.project, at(seen, name)))
    if not folders:
        return (
            f"{name} looks like a stage ({why}), but it can write in no folder of the project: "
            "what it makes can't be taken out. Add a volume such as ./out:/app/out."
        )
    shown = ", ".join(folder + "/" for folder in folders)
    return (
        f"{name} looks like a stage ({why}), but nothing in {shown} looks like metrics or a "
        "model, and its script names no such file. Run it once and call mcgitops init again, or "
        "write its metrics: and outputs: yourself."
    )


def notes(stages: list[Stage], seen: Seen) -> Iterator[str]:
    """What is to be known of the proposed stages."""
    project = seen.project
    chosen = {stage.service: stage for stage in stages}
    for stage in stages:
        service = project.services[stage.service]
        if stage.waits_for:
            upstream = " and ".join(stage.waits_for)
            yield (
                f"{stage.service} reads what {upstream} writes, but doesn't depend on it: a run "
                "of it would start without. Its lines have the depends_on; since that changes "
                "what Compose does, they are for you to paste."
            )
        if not service.definition.get("profiles"):
            yield (
                f"{stage.service} has no profile, so a plain docker compose up starts it, as it "
                "does today. profiles: [train] would keep it out; that is yours to decide."
            )
        for upstream, condition in service.depends_on.items():
            if upstream in chosen and condition != "service_completed_successfully":
                yield (
                    f"{stage.service} waits for {upstream} with condition {condition}; both are "
                    "stages, and mcgitops runs it when that one is done."
                )
    yield from _undecided(stages, seen)
    shown = [path for stage in stages for path in stage.spec.produced]
    kept = [path for path in shown if path in seen.files and not seen.files[path].ignored]
    if kept and (project.folder / ".git").exists():
        folders = sorted({path.split("/")[0] for path in kept})
        yield (
            f"git doesn't ignore {', '.join(kept[:4])}. Runs keep them in the store, so "
            f"{' and '.join(f'/{folder}/' for folder in folders)} can go into .gitignore."
        )
    for folder in seen.crowded:
        yield f"{folder}/ holds more than 2,000 files; only the first were looked at."


def _undecided(stages: list[Stage], seen: Seen) -> Iterator[str]:
    """Files that a stage may write, whose names don't say what they are."""
    read = {PurePosixPath(path).name for stage in stages for path in stage.spec.params}
    mounted = {
        PurePosixPath(mount.target).name
        for service in seen.project.services.values()
        for mount in service.mounts
    }
    asked: set[str] = set()
    for stage in stages:
        folders = list(writable(seen.project, at(seen, stage.service)))
        named = [item.path for item in seen.named.get(stage.service, ())]
        there = [file.path for file in seen.files.values() if file.ignored]
        unclear = [
            path
            for path in dict.fromkeys((*named, *there))
            if names.kind(path) is None
            and inside(path, folders)
            and PurePosixPath(path).name not in read | mounted
            and path not in asked
        ]
        asked.update(unclear)
        if unclear:
            more = f" and {len(unclear) - 5} more" if len(unclear) > 5 else ""
            yield (
                f"What of {', '.join(unclear[:5])}{more}? If {stage.service} makes it, add it to "
                "its outputs:."
            )
