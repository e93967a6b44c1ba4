"""What the verbs of `mcgitops data` show: how data stands to its pins, and how it changed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import Any

from mcgitops.compare.numbers import size
from mcgitops.deferred import dataclass
from mcgitops.errors import McgitopsError, StoreError
from mcgitops.facts import git
from mcgitops.facts import pins as found_pins
from mcgitops.facts.dvc import Out
from mcgitops.project.pin import Joined, Pin
from mcgitops.project.tree import Entry, Tree, difference
from mcgitops.report.escape import clean
from mcgitops.run.data import Brought, files_of
from mcgitops.run.data_add import Added
from mcgitops.run.data_push import is_pushed
from mcgitops.run.workspace import Workspace

CHANGED = "changed here"
MOST_FILES = 50
"""Of each path, where a person reads it."""


@dataclass(frozen=True)
class State:
    """How the folder stands to one pin. `what`: in words; `joined` where it was looked into.

    in_store: None where the project's store could not be asked.
    """

    pin: Pin
    what: str
    is_well: bool
    in_store: bool | None
    is_local: bool = True
    joined: Joined = field(default_factory=Joined)
    before: dict[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """All pins, what DVC tracks, and what was found out about the descriptions of data."""

    states: tuple[State, ...]
    tracked: tuple[tuple[Out, str], ...]
    store: str
    verified: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    silent: StoreError | None = None  # why the store could not be asked

    @property
    def is_well(self) -> bool:
        """Whether nothing has to be mended."""
        good = all(one.is_well and one.in_store for one in self.states)
        return good and not self.wrong and all(what != CHANGED for _, what in self.tracked)

    @property
    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "store": self.store,
            "pins": [
                {
                    "path": one.pin.path,
                    "pin": one.pin.file,
                    "digest": one.pin.digest,
                    "files": one.pin.files,
                    "bytes": one.pin.size,
                    "state": one.what,
                    "in_store": one.in_store,
                    "added": list(one.joined.added),
                    "removed": list(one.joined.removed),
                    "changed": list(one.joined.changed),
                }
                for one in self.states
            ],
            "dvc": [
                {
                    "path": out.path,
                    "pin": out.file,
                    "digest": f"md5:{out.md5}",
                    "files": out.files or None if out.is_folder else 1,
                    "bytes": out.size or None,
                    "state": what,
                }
                for out, what in self.tracked
            ],
            "croissant": {
                "verified": list(self.verified),
                "wrong": list(self.wrong),
                "notes": list(self.notes),
            },
        }


def status_of(workspace: Workspace, chosen: Callable[[str], bool]) -> Status:
    """Look at the chosen pins, and hold the data against its Croissant descriptions.

    A store that can't be asked hides nothing of what the folder alone says.
    """
    silent: StoreError | None = None
    states = []
    for pin in workspace.data.pins:
        if chosen(pin.path):
            in_store = None
            if silent is None:
                try:
                    in_store = is_pushed(workspace, pin.digest)
                except StoreError as error:
                    silent = error
            states.append(_state(workspace, pin, in_store))
    tracked = tuple(
        (out, workspace.data.dvc.state(out).what) for out in workspace.data.outs if chosen(out.path)
    )
    verified, wrong, notes = _croissant(workspace)
    store = workspace.remote or workspace.local
    return Status(tuple(states), tracked, store.url, verified, wrong, notes, silent)


def _state(workspace: Workspace, pin: Pin, in_store: bool | None) -> State:
    data = workspace.data
    pushed = (in_store, not workspace.local.missing([pin.digest]))
    if not os.path.lexists(workspace.folder / pin.path):
        return State(pin, "not here", True, *pushed)
    here = data.here(pin)
    if here.digest == pin.tree:
        return State(pin, "as pinned", True, *pushed)
    try:
        joined = data.joined(pin, here)
    except StoreError:
        return State(pin, "not as pinned", False, *pushed)
    before = {entry.path: entry for entry in data.manifest(pin).entries}
    if joined.edits:
        return State(pin, CHANGED, False, *pushed, joined, before)
    there = {entry.path for entry in here.entries}
    older = joined.discard or any(entry.path in there for entry in joined.fetch)
    return State(pin, "older" if older else "partly here", True, *pushed, joined, before)


def _croissant(
    workspace: Workspace,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Which descriptions hold, what doesn't, and what couldn't be checked."""
    from mcgitops.run.croissant import verify

    verified: list[str] = []
    wrong: list[str] = []
    notes: list[str] = []
    named = dict.fromkeys(p for s in workspace.project.stages for p in s.spec.croissant)
    for path in named:
        try:
            notes += verify(workspace.folder, (path,), workspace.index, workspace.data.digest_of)
        except McgitopsError as error:
            wrong.append(str(error))
        else:
            verified.append(path)
    return tuple(verified), tuple(wrong), tuple(notes)


def status_in_words(found: Status) -> str:
    """The same for people."""
    lines = []
    paths = (*(s.pin.path for s in found.states), *(out.path for out, _ in found.tracked))
    width = max((len(clean(path)) for path in paths), default=0)
    for one in found.states:
        pin, joined = one.pin, one.joined
        place = f", not in {found.store}" if one.in_store is False else ""
        lines.append(f"{clean(pin.path):<{width}}  {one.what}, {_content(pin)}{place}")
        lines += _edits(one)
        if one.in_store is False:
            here = "mcgitops push brings it there"
            there = "push it from the machine where it was added: mcgitops push"
            lines.append(f"    {here if one.is_local else there}")
        if joined.edits:
            lines.append(
                f"    mcgitops data add {pasted(pin.path)} pins it as it is here; "
                f"mcgitops data pull --force {pasted(pin.path)} brings back what is pinned"
            )
        elif one.what == "not as pinned":
            known = "could be asked" if one.in_store is None else "has it"
            lines.append(f"    which files are pinned is not known, as no store {known}")
        elif joined.fetch or joined.discard or one.what == "not here":
            lines.append(f"    mcgitops data pull {pasted(pin.path)} brings it; so does training")
    for out, what in found.tracked:
        content = f", {size(out.size)}" if out.size else ""
        lines.append(f"{clean(out.path):<{width}}  {what}{content}, by DVC ({clean(out.file)})")
        if what == CHANGED:
            lines.append(f"    dvc add {pasted(out.path)} takes it up, dvc checkout goes back")
        elif what != "as pinned":
            lines.append(f"    mcgitops data pull {pasted(out.path)} brings it; so does training")
    if not (found.states or found.tracked):
        lines.append("No data is pinned here. mcgitops data add PATH pins some.")
    lines += [f"{clean(path)}  describes the data as it is" for path in found.verified]
    lines += [f"note: {clean(text, 400)}" for text in found.notes]
    lines += [clean(text, 600) for text in found.wrong]
    return "\n".join(lines)


def _content(pin: Pin) -> str:
    noun = "file" if pin.files == 1 else "files"
    return f"{pin.files:,} {noun}, {size(pin.size)}"


def _edits(one: State) -> list[str]:
    joined = one.joined
    rows = [("+", path) for path in joined.added]
    rows += [("-", path) for path in joined.removed]
    rows += [("~", path) for path in joined.changed]
    lines = []
    for sign, path in sorted(rows, key=lambda row: row[1])[:MOST_FILES]:
        old, new = one.before.get(path), joined.counts.get(path)
        lines.append(f"    {sign} {clean(path)}  {_sizes(old, new)}")
    if len(rows) > MOST_FILES:
        lines.append(f"    and {len(rows) - MOST_FILES:,} more")
    return lines


def _sizes(old: Entry | None, new: Entry | None) -> str:
    if old is not None and new is not None:
        return f"{size(old.size)} → {size(new.size)}"
    one = old or new
    return size(one.size) if one is not None else ""


# diff


@dataclass(frozen=True)
class Change:
    """How the data at one path changed. None: it wasn't pinned there."""

    path: str
    before: Tree | None
    after: Tree | None

    @property
    def rows(self) -> list[tuple[str, str, Entry | None, Entry | None]]:
        """Sign, path and both entries of each file that differs, sorted by path."""
        before, after = self.before or Tree(), self.after or Tree()
        found = difference(before, after)
        old = {entry.path: entry for entry in before.entries}
        new = {entry.path: entry for entry in after.entries}
        signs = {"+": found.added, "-": found.removed, "~": found.changed}
        rows = [(s, p, old.get(p), new.get(p)) for s, paths in signs.items() for p in paths]
        return sorted(rows, key=lambda row: row[1])


def changes_between(workspace: Workspace, a: str, b: str) -> list[Change]:
    """What differs between two revisions; an empty `b` is the folder as it is."""
    folder, data = workspace.folder, workspace.data
    before = {pin.path: pin for pin in found_pins.at(folder, git.resolve(folder, a))}
    if b:
        after = {pin.path: pin for pin in found_pins.at(folder, git.resolve(folder, b))}
    else:
        after = {pin.path: pin for pin in data.pins}
    changes = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        edited = not b and new is not None and data.edits(new)
        if old is not None and new is not None and old.tree == new.tree and not edited:
            continue
        then = Tree(files_of(data.manifest(old))) if old is not None else None
        if edited and new is not None:
            now: Tree | None = Tree.of(data.joined(new).counts.values())
        else:
            now = Tree(files_of(data.manifest(new))) if new is not None else None
        changes.append(Change(path, then, now))
    return changes


def as_json(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """All of it, for programs."""
    kinds = {"+": "added", "-": "removed", "~": "changed"}
    return [
        {
            "path": change.path,
            "before": _total(change.before),
            "after": _total(change.after),
            "files": [
                {
                    "path": path,
                    "change": kinds[sign],
                    "before": old.size if old else None,
                    "after": new.size if new else None,
                }
                for sign, path, old, new in change.rows
            ],
        }
        for change in changes
    ]


def _total(tree: Tree | None) -> dict[str, int] | None:
    return {"files": len(tree.entries), "bytes": tree.size} if tree is not None else None


def in_words(changes: Sequence[Change], *, everything: bool = False) -> str:
    """The same for people: a block a path, its first files, and what they come to."""
    if not changes:
        return "No data changed."
    lines = []
    for change in changes:
        rows = change.rows
        lines.append(f"{clean(change.path)}  {_summary(change, rows)}")
        shown = rows if everything else rows[:MOST_FILES]
        lines += [f"  {sign} {clean(p)}  {_sizes(old, new)}" for sign, p, old, new in shown]
        if len(rows) > len(shown):
            lines.append(f"  and {len(rows) - len(shown):,} more: --all lists them")
    return "\n".join(lines)


def _summary(change: Change, rows: Sequence[tuple[str, str, Entry | None, Entry | None]]) -> str:
    counts = [
        f"{count:,} {word}"
        for sign, word in (("+", "added"), ("-", "removed"), ("~", "changed"))
        if (count := sum(row[0] == sign for row in rows))
    ]
    before, after = (size(tree.size) if tree else "" for tree in (change.before, change.after))
    if change.before is None:
        whole = f"is new, {after}"
    elif change.after is None:
        whole = f"is no longer pinned, {before}"
    else:
        whole = f"{before} → {after}" if before != after else after
    return ", ".join([*counts, whole])


# add and pull


def added_in_words(one: Added) -> str:
    """What was pinned, and how it differs from before."""
    change = Change(one.pin.path, _tree(one.before), _tree(one.after))
    text = f"{clean(one.pin.path)}: {_content(one.pin)}, pinned in {clean(one.pin.file)}"
    if one.before:
        rows = change.rows
        text += f" ({_summary(change, rows) if rows else 'as it was'})"
    return text


def added_as_json(one: Added) -> dict[str, Any]:
    """The same for programs."""
    change = Change(one.pin.path, _tree(one.before) if one.before else None, _tree(one.after))
    return {
        "path": one.pin.path,
        "pin": one.pin.file,
        "digest": one.pin.digest,
        "files": one.pin.files,
        "bytes": one.pin.size,
        "stored": {"files": one.stored[0], "bytes": one.stored[1]},
        "gitignore": one.ignore,
        "warnings": list(one.warnings),
        "change": as_json([change])[0],
    }


def _tree(entries: dict[str, Entry] | Any) -> Tree:
    return Tree(files_of(Tree.of(entries.values())))


def pasted(path: str) -> str:
    """As a word of a command line, whatever the name holds."""
    quoted = shlex.quote(path)
    return quoted if quoted.isprintable() else clean(quoted)


def pulled_in_words(brought: Sequence[Brought], edited: int = 0) -> str:
    """What came, and what went; `edited` pins' data stays as it was changed here."""
    written = sum(one.written for one in brought)
    removed = sum(one.removed for one in brought)
    if not written and not removed:
        rest = "Nothing else was to be fetched."
        return (rest if edited else "All data is here as it is pinned.") + linked_in_words(brought)
    text = f"{written:,} {'file' if written == 1 else 'files'} written"
    text += f" ({size(sum(one.size for one in brought))})"
    return text + (f", {removed:,} removed." if removed else ".") + linked_in_words(brought)


def linked_in_words(brought: Sequence[Brought]) -> str:
    """What takes no second place on the disk any more, as a sentence to be added; or nothing."""
    count = sum(one.linked for one in brought)
    if not count:
        return ""
    total = size(sum(one.linked_size for one in brought))
    return f" {count:,} {'file is' if count == 1 else 'files are'} linked to the store ({total})."
