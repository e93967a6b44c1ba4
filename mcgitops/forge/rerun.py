"""Runs a pull request's own workflow again once a gate is waived, or a waiver is taken back.

The run happens where the first one did, with its rights and its code; this only asks for it. So a
comment, which starts a workflow with the rights of the default branch, never executes anything of
the pull request, and the check that failed is the one that turns green.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from mcgitops.deferred import dataclass
from mcgitops.forge.event import Word
from mcgitops.forge.github import GitHub, answers
from mcgitops.forge.waivers import Rights, commands, label_gate


@dataclass(frozen=True)
class Rerun:
    """The run to do again, and how; a reason where there is none."""

    run: int = 0
    url: str = ""
    how: Literal["", "rerun", "rerun-failed-jobs"] = ""
    reason: str = ""


def is_waiver(word: Word) -> bool:
    """Whether what was said waives anything. Pure: a job for every comment must be cheap."""
    return bool(label_gate(word.label)) or any(commands(word.comment))


def chosen(runs: Iterable[Mapping[str, Any]], *, taken_back: bool) -> Rerun:
    """What to ask for of a head's runs: the newest's, where that can change something. Pure."""
    mine = [run for run in runs if run["event"] in ("pull_request", "push")]
    if not mine:
        return Rerun(reason="this workflow has no run for the pull request's head")
    newest = max(mine, key=lambda run: int(run["id"]))
    if newest["status"] != "completed":
        return Rerun(reason="its run hasn't ended yet, and asks for waivers when it reports")
    found = Rerun(int(newest["id"]), str(newest["html_url"]))
    if newest["conclusion"] == "failure":
        return replace(found, how="rerun-failed-jobs")
    if taken_back:
        return replace(found, how="rerun")
    return Rerun(reason=f"its run didn't fail ({newest['conclusion']})")


def rerun(github: GitHub, word: Word, workflow: str) -> Rerun:
    """Ask for the run, if who said it may write and there is something to run again."""
    repository = github.repository
    with answers(f"pull request {word.number}", "actions"):
        if not Rights(repository).may_write(word.by):
            return Rerun(reason=f"{word.by} may not write to the repository, and so waives nothing")
        pull = repository.get_pull(word.number)
        if pull.state != "open":
            return Rerun(reason="the pull request is closed")
        asked = {"head_sha": pull.head.sha, "per_page": 100}
        runs_of = f"{repository.url}/actions/workflows/{workflow}/runs"
        _, found = repository.requester.requestJsonAndCheck("GET", runs_of, parameters=asked)
        runs = [run for run in found["workflow_runs"] if run["head_sha"] == pull.head.sha]
        wanted = chosen(runs, taken_back=word.taken_back)
        if wanted.how:
            ask = f"{repository.url}/actions/runs/{wanted.run}/{wanted.how}"
            repository.requester.requestJsonAndCheck("POST", ask)
        return wanted


def workflow_file(text: str) -> str:
    """The file name of a workflow; raises `ValueError`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.ya?ml", text):
        raise ValueError(f"{text!r} is no workflow's file name. Write mcgitops.yml.")
    return text
