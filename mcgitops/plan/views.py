"""A plan as people read it, as JSON, and as a bash script that does the same."""

from __future__ import annotations

import shlex
from typing import Any

from mcgitops.commands.command import Command, Secret
from mcgitops.plan.model import Plan, RunPlan, Section, StagePlan

FORMAT = 1


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-ready data: the form that `--out` saves and `--plan` reads."""
    return {
        "format": FORMAT,
        "project": plan.project,
        "head": _revision(plan.head.commit, plan.head.name, plan.head.dirty),
        "base": _revision(plan.base.commit, plan.base.name, plan.base.dirty),
        "stages": [_stage_json(stage) for stage in plan.stages],
        "sections": [
            {
                "name": section.name,
                "reason": section.reason,
                "notes": list(section.notes),
                "commands": [command.to_json() for command in section.commands],
                "undo": [command.to_json() for command in section.undo],
            }
            for section in plan.sections
        ],
        "commands": len(plan.commands),
        "facts": dict(plan.facts),
        "warnings": list(plan.warnings),
    }


def _revision(commit: str, name: str, dirty: bool) -> dict[str, Any] | None:
    return {"commit": commit, "name": name, "dirty": dirty} if commit else None


def _stage_json(stage: StagePlan) -> dict[str, Any]:
    return {
        "name": stage.name,
        "state": stage.state,
        "reason": stage.reason,
        "after": list(stage.after),
        "selected": stage.selected,
        "runs": [
            {
                "fingerprint": run.fingerprint,
                "matrix": dict(run.combination.matrix),
                "replicate": dict(run.combination.replicate),
                "cached": run.cached,
                "reason": run.reason,
                "image": run.image,
                "expected_seconds": run.expected_seconds,
            }
            for run in stage.runs
        ],
        "commands": [command.to_json() for command in stage.commands],
    }


def to_text(plan: Plan, *, verbose: bool = True) -> str:
    """The plan for people: a block a stage, commands numbered, reasons beside the names."""
    lines = [_comment(_headline(plan)), ""]
    number = 0
    names = [*(s.name for s in plan.stages), *(s.name for s in plan.sections)]
    width = max(map(len, names), default=0) + 2

    def numbered(commands: tuple[Command, ...], reason: str) -> None:
        nonlocal number
        for command in commands:
            number += 1
            why = f"  # {_comment(command.reason)}" if command.reason not in ("", reason) else ""
            lines.append(f"{number:>3}  {command.shell_line()}{why}")

    for stage in plan.stages:
        reason = _comment(stage.reason)
        lines.append(f"{stage.name:<{width}}{_state(stage):<9} {reason}".rstrip())
        numbered(stage.commands, stage.reason)
        hint = _duration_hint(stage.runs)
        if hint:
            lines.append(f"     {hint}")
    for section in plan.sections:
        lines.append(f"{section.name:<{width}}{section.reason}".rstrip())
        lines += [f"     {note}" for note in section.notes]
        numbered(section.commands, section.reason)
        if section.undo:
            lines.append("     should one of these fail:")
        lines += [f"  ↩  {c.shell_line()}  # {_comment(c.reason)}" for c in section.undo]
    lines.append("")
    for warning in plan.warnings:
        lines.append(f"warning: {_comment(warning)}")
    if plan.nothing_to_do:
        lines.append("Nothing to do.")
    else:
        noun = "command" if number == 1 else "commands"
        lines.append(f"{number} {noun}, nothing executed.")
    return "\n".join(lines)


def _headline(plan: Plan) -> str:
    if not plan.head.commit:
        return f"{plan.project} · not a commit yet"
    on = f" on {plan.head.name}" if plan.head.name else ""
    dirty = " with uncommitted changes" if plan.head.dirty else ""
    against = ""
    if plan.base.commit:
        name = f"{plan.base.name} at " if plan.base.name else ""
        against = f", compared with {name}{plan.base.commit[:7]}"
    return f"{plan.project} · {plan.head.commit[:7]}{on}{dirty}{against}"


def _state(stage: StagePlan) -> str:
    if stage.state != "run":
        return stage.state
    todo = sum(not run.cached for run in stage.runs)
    if todo == len(stage.runs):
        return f"run ×{todo}" if todo > 1 else "run"
    return f"run {todo}/{len(stage.runs)}"


def _duration_hint(runs: tuple[RunPlan, ...]) -> str:
    expected = [r.expected_seconds for r in runs if not r.cached and r.expected_seconds is not None]
    if not expected:
        return ""
    each = max(expected)
    times = f" ×{len(expected)}" if len(expected) > 1 else ""
    shown = f"{each:.1f} s" if each < 10 else f"{each:.0f} s"
    return f"last time {shown}{times}"


def to_shell(plan: Plan, *, files: tuple[str, ...] = (), folder: str = "") -> str:
    """The plan as a bash script: every command, its reason above it, ended by the first failure.

    Our own verbs find the same compose files through `COMPOSE_FILE`.
    """
    lines = [
        "#!/usr/bin/env bash",
        f"# {_comment(_headline(plan))}",
        "# Made by mcgitops plan --shell. Does what the verbs would do; run it by hand.",
        "set -euo pipefail",
        # read as a whole, and nothing to read for the commands: ssh would take the rest of a script
        # that comes through a pipe for its own input
        "{",
    ]
    if folder:
        lines.append(f"cd {shlex.quote(folder)}")
    if files:
        lines.append(f"export COMPOSE_FILE={shlex.quote(':'.join(files))}")
    secrets = {
        value.name
        for command in plan.commands
        for value in command.env.values()
        if isinstance(value, Secret)
    }
    lines += [f': "${{{name}:?set this variable first}}"' for name in sorted(secrets)]
    for stage in plan.stages:
        lines += ["", f"# {stage.name}: {_state(stage)}, {_comment(stage.reason)}"]
        lines += _script(stage.commands)
    for section in plan.sections:
        lines += ["", f"# {section.name} {_comment(section.reason)}".rstrip()]
        if section.undo:
            lines += _guarded_script(section)
        elif section.only_warns:
            lines += [
                line if line.startswith("#") else f'{line} || echo "That failed: see above." >&2'
                for line in _script(section.commands)
            ]
        else:
            lines += _script(section.commands)
    if plan.nothing_to_do:
        lines += ["", "# Nothing to do.", ":"]
    return "\n".join((*lines, "} </dev/null")) + "\n"


def _guarded_script(section: Section) -> list[str]:
    """The commands, and the way back when one fails: every step of it is tried.

    The exit codes are the verb's own: 5 when all is as it was, 6 when something is not.
    """
    undo = [
        f"  {line}" if line.startswith("#") else f"  {line} || failed=1"
        for line in _script(section.undo)
    ]
    return [
        "undo() {",
        "  trap - ERR",
        "  failed=0",
        *undo,
        "  exit $((failed ? 6 : 5))",
        "}",
        "trap undo ERR",
        *_script(section.commands),
        "trap - ERR",
    ]


def _script(commands: tuple[Command, ...]) -> list[str]:
    lines = []
    for command in commands:
        if command.reason:
            lines.append(f"# {_comment(command.reason)}")
        lines.append(command.shell_line())
    return lines


def _comment(text: str) -> str:
    """Text that can't leave its comment: parameter values are not ours."""
    return "".join(c if c.isprintable() else " " for c in text)
