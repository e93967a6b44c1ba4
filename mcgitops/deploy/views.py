"""How a rollout's plan and a status look to people and to programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcgitops.deploy.difference import ArtifactChange, Difference, Step
from mcgitops.deploy.status import HostStatus
from mcgitops.plan.health import span
from mcgitops.plan.rollout import Rollout
from mcgitops.store.records import FileRef


def status_text(found: Sequence[HostStatus]) -> str:
    """One line a host, and one for each further difference; the environment only where it changes.

    Locks and rejected releases have a column only where there are some.
    """
    from tabulate import tabulate

    locks = any(one.locked for one in found)
    rejections = any(one.rejected for one in found)
    rows: list[tuple[str, ...]] = []
    last = ""
    for one in found:
        said = (one.problem,) if one.problem else one.drift or ("–",)
        rows.append((
            one.environment if one.environment != last else "",
            one.host.label,
            "?" if one.problem else one.release or "–",
            "" if one.seconds is None else span(one.seconds),
            " ".join(service.counts for service in one.services),
            *((one.locked,) if locks else ()),
            *((_some(one.rejected),) if rejections else ()),
            said[0],
        ))  # fmt: skip
        rows += [(*("",) * (len(rows[-1]) - 1), further) for further in said[1:]]
        last = one.environment
    headers = (
        "environment", "host", "release", "since", "services",
        *(("locked by",) if locks else ()), *(("rejected",) if rejections else ()), "drift",
    )  # fmt: skip
    return tabulate(rows, headers, tablefmt="plain", disable_numparse=True)


def _some(names: Sequence[str], most: int = 2) -> str:
    shown = ", ".join(names[-most:])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def status_line(one: HostStatus) -> str:
    """One host in one line, for a log of changes."""
    if one.problem:
        return f"{one.environment} {one.host.label}: {one.problem}"
    counts = " ".join(service.counts for service in one.services)
    said = "; ".join(one.drift) or "as it should be"
    locked = f", locked by {one.locked}" if one.locked else ""
    return (
        f"{one.environment} {one.host.label}: {one.release or 'nothing'} {counts}{locked}: {said}"
    )


def difference_text(found: Difference) -> str:
    """Per group of hosts a line for each service; then what changed between the releases."""
    if found.is_empty:
        return f"Nothing would change: {found.environment} runs {found.release}."
    lines: list[str] = []
    for group in found.groups:
        one = group.difference
        hosts = ", ".join(host.label for host in group.hosts)
        lines.append(
            f"{found.environment} on {hosts}: {one.before or 'nothing'} → {found.release}"
            + (", nothing would change" if one.is_empty else "")
        )
        lines += [f"  {note}" for note in one.notes]
        width = max((len(service.name) for service in one.services), default=0)
        for service in one.services:
            lines.append(f"  {service.name:{width}}  {service.action}")
            indent = " " * (width + 4)
            lines += [f"{indent}{reason}" for reason in service.reasons]
            if service.how:
                lines.append(f"{indent}{service.how}")
        if one.layers:
            size = "" if group.bytes is None else f", {_amount(group.bytes)} before compression"
            count = len(one.layers)
            lines.append(f"  {count} layer{'s' if count > 1 else ''} to send{size}")
        lines.append("")
    for step in found.steps:
        lines += _step_lines(step, found.release)
    return "\n".join(lines).rstrip("\n")


def _step_lines(step: Step, release: str) -> list[str]:
    lines = []
    if step.commits is not None:
        count = len(step.commits)
        lines.append(f"{step.before}..{release}: {count} commit{'s' if count != 1 else ''}")
        lines += [f"  {line}" for line in step.commits[:10]]
        if count > 10:
            lines.append(f"  and {count - 10} more")
    if step.artifacts is None:
        lines.append(f"The store does not have {step.before}: its artifacts can't be compared.")
    elif step.artifacts:
        lines.append("artifacts")
        lines += [f"  {_artifact(one)}" for one in step.artifacts]
    return [*lines, ""] if lines else []


def _artifact(change: ArtifactChange) -> str:
    def side(file: FileRef | None) -> str:
        if file is None:
            return "none"
        return f"{_amount(file.size)} {file.digest.removeprefix('sha256:')[:12]}"

    return f"{change.path}  {side(change.before)} → {side(change.after)}"


def _amount(size: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def difference_json(found: Difference) -> dict[str, Any]:
    """The same for programs."""

    def file(one: FileRef | None) -> dict[str, Any] | None:
        return {"digest": one.digest, "size": one.size} if one else None

    return {
        "environment": found.environment,
        "release": found.release,
        "commit": found.commit,
        "changes": not found.is_empty,
        "groups": [
            {
                "hosts": [host.url for host in group.hosts],
                "before": group.difference.before,
                "changes": not group.difference.is_empty,
                "notes": list(group.difference.notes),
                "services": {
                    one.name: {
                        "action": one.action, "reasons": list(one.reasons), "how": one.how,
                    }
                    for one in group.difference.services
                },
                "layers": list(group.difference.layers),
                "bytes": group.bytes,
            }
            for group in found.groups
        ],
        "releases": [
            {
                "before": step.before,
                "commit": step.before_commit,
                "commits": None if step.commits is None else list(step.commits),
                "artifacts": None if step.artifacts is None else [
                    {"path": one.path, "before": file(one.before), "after": file(one.after)}
                    for one in step.artifacts
                ],
            }
            for step in found.steps
        ],
    }  # fmt: skip


def rollout_text(rollout: Rollout) -> str:
    """The commands in the order of their execution, each with its reason; then the way back."""
    if rollout.nothing_to_do:
        return f"Nothing to do: {rollout.environment} runs {rollout.release}, healthy."
    lines: list[str] = []
    for host in rollout.hosts:
        lines.append(f"{rollout.environment} on {host.host.label}: {host.reason}")
    lines += [*order(rollout), ""]
    for number, step in enumerate(rollout.steps, 1):
        lines.append(f"{number:3}  {step.command.shell_line()}")
        if step.command.reason:
            lines.append(f"     # {step.command.reason}")
    lines += ["", "If a step fails, every host that was touched goes back:"]
    for host in rollout.hosts:
        if host.steps and not host.can_return:
            lines.append(f"     # {host.host.label}: there is nothing to return to")
        for step in host.undo:
            lines.append(f"     {step.command.shell_line()}")
    lines += ["", f"{len(rollout.steps)} commands, nothing executed."]
    return "\n".join(lines)


def order(rollout: Rollout) -> list[str]:
    """Which hosts are changed when, and how each service is replaced."""
    lines = []
    groups = rollout.groups
    if len(rollout.acting) > 1:
        lines.append("")
        for number, group in enumerate(groups, 1):
            hosts = " and ".join(one.host.label for one in group)
            last = group[0].of("monitor")
            watched = f": {last[-1].command.reason}" if last else ""
            lines.append(f"group {number} of {len(groups)}: {hosts}{watched}")
    hosts_by_way: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for one in rollout.acting:
        hosts_by_way.setdefault(one.ways, []).append(one.host.label)
    for ways, labels in hosts_by_way.items():
        if ways:
            on = f"on {', '.join(labels)} " if len(hosts_by_way) > 1 else ""
            width = max(len(name) for name, _ in ways)
            lines += ["", f"Containers that are replaced {on}".rstrip() + ":"]
            lines += [f"  {name:{width}}  {way}" for name, way in ways]
    return lines


def rollout_json(rollout: Rollout) -> dict[str, Any]:
    """The same for programs."""
    return {
        "environment": rollout.environment,
        "release": rollout.release,
        "groups": [[one.host.url for one in group] for group in rollout.groups],
        "hosts": [
            {
                "host": one.host.url,
                "before": one.before.release if one.before else "",
                "reason": one.reason,
                "ways": dict(one.ways),
                "steps": [
                    {"phase": step.phase, "name": step.name, **step.command.to_json()}
                    for step in one.steps
                ],
                "undo": [
                    {"phase": step.phase, "name": step.name, **step.command.to_json()}
                    for step in one.undo
                ],
            }
            for one in rollout.hosts
        ],
    }
