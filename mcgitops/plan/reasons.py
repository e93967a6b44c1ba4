"""Why a run is needed, in one line: what is different from the last run of the same stage."""

from __future__ import annotations

from collections.abc import Mapping

from mcgitops.plan.model import Facts, Known, Scalar
from mcgitops.project.model import Combination
from mcgitops.project.tree import Tree, difference

_SHOWN = 3


def nearest(previous: tuple[Known, ...], combination: Combination) -> Known | None:
    """The earlier run to compare with: of the same combination, else any."""
    same = [run for run in previous if dict(run.variables) == combination.variables]
    return (same or list(previous) or [None])[0]  # type: ignore[list-item]


def why(
    now: Mapping[str, str],
    before: Known | None,
    facts: Facts,
    stage: str,
    trees: Mapping[str, Tree],
    *,
    beside: bool = False,
) -> str:
    """The reason to run: `params.yaml: lr 0.1 → 0.05; train.py changed`.

    now:    the run's facts.  trees: the trees that these facts are digests of, by fact.
    beside: the earlier run is of a combination that goes on to be: this one is new beside it.
    """
    if before is None:
        return "first run"
    changes: list[str] = []
    named: set[str] = set()
    for file, values in facts.params.get(stage, {}).items():
        if now.get(file) != before.facts.get(file):
            changes += param_changes(file, before.params.get(file, {}), values)
            named.add(file)
    for name in [*now, *(n for n in before.facts if n not in now)]:
        if now.get(name) == before.facts.get(name) or name in named:
            continue
        if beside and name.startswith("variable ") and name in now:
            changes.append(f"{name.removeprefix('variable ')}={now[name]} is new")
            continue
        changes.append(_change(name, now, before, facts, trees, named))
    changes = [change for change in dict.fromkeys(changes) if change]
    if not changes:
        return "not in the store"
    more = len(changes) - _SHOWN
    return "; ".join(changes[:_SHOWN]) + (f"; {more} more" if more > 0 else "")


def _change(
    name: str,
    now: Mapping[str, str],
    before: Known,
    facts: Facts,
    trees: Mapping[str, Tree],
    named: set[str],
) -> str:
    if name.startswith("variable "):
        variable = name.removeprefix("variable ")
        if name not in before.facts:
            return f"{variable} is new"
        return f"{variable} {before.facts[name]} → {now.get(name, 'no longer set')}"
    if name.startswith("upstream "):
        return f"{name.removeprefix('upstream ')} gave something else"
    tree = trees.get(name)
    if tree is not None and name in before.facts:
        old = facts.manifests.get(before.facts[name])
        if old is None:
            return f"{name} changed"
        paths = difference(old, tree).paths
        if len(tree.entries) == 1 == len(old.entries) and paths == (name.rsplit("/", 1)[-1],):
            return f"{name} changed"
        # a parameter file within a build context is named by its parameters already
        paths = tuple(path for path in paths if path not in named)
        if not paths:
            return ""
        folder = "" if name.startswith("build context") else f"{name}/"
        shown = ", ".join(folder + path for path in paths[:2])
        return f"{shown} changed" + (f" (+{len(paths) - 2} more)" if len(paths) > 2 else "")
    if name not in before.facts:
        return f"{name} is new"
    if name not in now:
        return f"{name} is gone"
    return f"{name} changed"


def param_changes(file: str, before: Mapping[str, Scalar], now: Mapping[str, Scalar]) -> list[str]:
    """`params.yaml: lr 0.1 → 0.05`, one text a parameter."""
    texts = []
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            texts.append(f"{file}: {name} removed")
        elif name not in before:
            texts.append(f"{file}: {name} = {shown(now[name])}")
        elif before[name] != now[name]:
            texts.append(f"{file}: {name} {shown(before[name])} → {shown(now[name])}")
    return texts or [f"{file} changed"]


def shown(value: Scalar) -> str:
    """A parameter's value on one line."""
    text = str(value).replace("\n", " ")
    return text if len(text) <= 40 else text[:39] + "…"
