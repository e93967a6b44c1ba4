"""What a deployment would change before it does: asks the hosts, compares, changes nothing.

The placed release folder is fetched into memory, values included: they are compared and never
shown. `plan/difference.py` decides what to say.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mcgitops.deferred import dataclass
from mcgitops.deploy import composefile, yamlfile
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.target import Target, look, side_by_side
from mcgitops.deploy.values import unescaped
from mcgitops.errors import McgitopsError
from mcgitops.facts import git
from mcgitops.plan.difference import HostDifference, Leaf, host_difference, leaf_changes
from mcgitops.project.hosts import CONFIGURATION_LABEL, Host, HostFacts
from mcgitops.store.records import FileRef, ReleaseRecord
from mcgitops.store.store import Store

Files = Mapping[str, bytes]
_SET = re.compile(r"""^([A-Za-z_][\w.-]*)=(?:'([^']*)'|"((?:\\.|[^"\\])*)")$""", re.M | re.S)
_TELLING = re.compile(r"pass|token|secret|key|credential|auth", re.I)
# told by other means: pins, counts of containers, the rollout itself
_SKIPPED = frozenset({
    "configs", "depends_on", "env_file", "environment", "image", "labels", "networks", "scale",
    "secrets", "volumes",
})  # fmt: skip


@dataclass(frozen=True)
class ArtifactChange:
    """A file of the release record: path, and the object before and after."""

    path: str
    before: FileRef | None
    after: FileRef | None


@dataclass(frozen=True)
class Step:
    """From one release to another: what the records and git say of it."""

    before: str
    before_commit: str
    commits: tuple[str, ...] | None  # None: not known here
    artifacts: tuple[ArtifactChange, ...] | None


@dataclass(frozen=True)
class Group:
    """Hosts with the same difference."""

    hosts: tuple[Host, ...]
    difference: HostDifference
    bytes: int | None  # of the layers to send, before compression; None: not known


@dataclass(frozen=True)
class Difference:
    """The whole answer."""

    environment: str
    release: str
    commit: str
    groups: tuple[Group, ...]
    steps: tuple[Step, ...]  # one for each release that hosts have

    @property
    def is_empty(self) -> bool:
        """Whether a deployment would do nothing on every host."""
        return all(group.difference.is_empty for group in self.groups)


def difference(aim: Target) -> Difference:
    """What deploying the target would change now. Only looks."""
    with Connections(aim.project.folder, aim.environ, aim.spec.known_hosts) as connections:
        facts = {one.host.url: one for one in look(aim.hosts, connections, aim.wanted)}

        def ask(host: Host) -> tuple[Host, HostDifference]:
            return host, _of_host(aim, connections, facts[host.url])

        found = side_by_side(ask, aim.hosts)
    together: dict[HostDifference, list[Host]] = {}
    for host, one in found:
        together.setdefault(one, []).append(host)
    groups = tuple(
        Group(tuple(hosts), one, _size(aim.store, one.layers)) for one, hosts in together.items()
    )
    names = dict.fromkeys(one.before for one in together if one.before != aim.wanted.release)
    commits = {one.current.release: one.current.commit for one in facts.values() if one.current}
    new = aim.store.release(aim.project.name, aim.wanted.release)
    steps = tuple(_step(aim, name, commits.get(name, ""), new) for name in names if name)
    return Difference(aim.environment, aim.wanted.release, aim.commit, groups, steps)


def leaves(files: Files, hidden: Iterable[str] = ()) -> dict[str, dict[str, Leaf]]:
    """What each service of a release folder is made from, key by key.

    hidden: texts that nobody may see, wherever they stand.
    """
    document = yamlfile.read(files.get("compose.yml", b"services: {}").decode("utf-8", "replace"))
    values = _values(files)
    secret = tuple({*values_of(files), *hidden})
    return {
        name: dict(_leaves(document, service or {}, files, values, secret))
        for name, service in (document.get("services") or {}).items()
    }


def values_of(files: Files) -> frozenset[str]:
    """The values of a release folder's variables."""
    return frozenset(value for value in _values(files).values() if value)


def _of_host(aim: Target, connections: Connections, facts: HostFacts) -> HostDifference:
    changes: dict[str, tuple[str, ...]] = {}
    if facts.current and aim.prepared:
        placed = _placed(connections, facts)
        prepared = {path: data for path, (data, _) in aim.prepared.entries.items()}
        # a value of one side may stand in the file of the other
        hidden = aim.prepared.sensitive.union(values_of(placed), values_of(prepared))
        old, new = leaves(placed, hidden), leaves(prepared, hidden)
        changes = {name: leaf_changes(old[name], new[name]) for name in new if name in old}
    return host_difference(aim.wanted, facts, changes)


def _placed(connections: Connections, facts: HostFacts) -> dict[str, bytes]:
    """The files of the current release folder that make its containers."""
    text = (
        f"cd {shlex.quote(facts.root)}/current || exit 0\n"
        'for file in compose.yml .env env/*; do [ -f "$file" ] &&'
        " { printf '%s ' \"$file\"; base64 < \"$file\" | tr -d '\\n'; echo; }; done\ntrue\n"
    )
    done = connections.script(facts.host, text)
    lines = (line.rpartition(" ") for line in done.stdout.splitlines() if " " in line)
    return {path: base64.b64decode(data) for path, _, data in lines}


def _leaves(
    document: Mapping[str, Any], service: Mapping[str, Any], files: Files,
    values: Mapping[str, str], secret: tuple[str, ...],
) -> Iterator[tuple[str, Leaf]]:  # fmt: skip
    def leaf(key: str, value: Any, *, show: bool = True) -> tuple[str, Leaf]:
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
        used = tuple((name, values.get(name)) for name in sorted(composefile.variables(value)))
        open_ = show and not used and not _TELLING.search(key)
        open_ = open_ and not any(each in said for each in secret for said in _texts(value))
        return key, Leaf((text, used), text if open_ else "")

    for key, value in service.items():
        if key == "deploy" and isinstance(value, Mapping):
            yield from (leaf(f"deploy.{k}", v) for k, v in value.items() if k != "replicas")
        elif key not in _SKIPPED:
            yield leaf(key, value)
    for name, value in _pairs(service.get("environment")):
        passed = values.get(name) if value is None else None
        _, one = leaf(name, value, show=False)
        yield f"environment.{name}", Leaf((one.identity, passed))
    for name, value in _pairs(service.get("labels")):
        if name != CONFIGURATION_LABEL:
            yield leaf(f"labels.{name}", value)
    entries = service.get("env_file") or ()
    for entry in [entries] if isinstance(entries, str) else entries:
        path = str(entry.get("path") if isinstance(entry, Mapping) else entry)
        name = re.sub(r"^\d+-", "", posixpath.basename(path))
        yield f"env_file {name}", Leaf(files.get(posixpath.normpath(path), path.encode()))
    for mount in service.get("volumes") or ():
        source = str(mount.get("source", "")) if isinstance(mount, Mapping) else str(mount)
        target = str(mount.get("target", "")) if isinstance(mount, Mapping) else str(mount)
        if "/files/" in source and source.startswith("../"):
            yield f"content of {target}", Leaf(source)
        else:
            yield leaf(f"volume {target}", mount)
    for kind, word in (("configs", "config"), ("secrets", "secret"), ("networks", "network")):
        for item in service.get(kind) or ():
            name = str(item.get("source") if isinstance(item, Mapping) else item)
            definition = (document.get(kind) or {}).get(name)
            used = composefile.variables({kind: {name: definition}})
            texts = json.dumps([item, definition], sort_keys=True, default=str)
            yield f"{word} {name}", Leaf((texts, tuple((n, values.get(n)) for n in sorted(used))))


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, as a container gets it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from (*_texts(key), *_texts(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    else:
        yield str(value).replace("$$", "$")


def _pairs(given: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(given, Mapping):
        yield from ((str(name), value) for name, value in given.items())
    else:
        for entry in given or ():
            name, equals, value = str(entry).partition("=")
            yield name, value if equals else None


def _values(files: Files) -> dict[str, str]:
    """The variables of a `.env` as `values.dotenv` writes it."""
    text = files.get(".env", b"").decode("utf-8", "replace")
    return {
        match[1]: match[2] if match[2] is not None else unescaped(match[3])
        for match in _SET.finditer(text)
    }


def _size(store: Store, layers: Iterable[str]) -> int | None:
    try:
        return sum(store.size(layer) for layer in layers)
    except McgitopsError:
        return None


def _step(aim: Target, before: str, commit: str, new: ReleaseRecord | None) -> Step:
    old = aim.store.release(aim.project.name, before)
    commit = commit or (old.commit if old else "")
    return Step(
        before, commit, git.commits_between(aim.project.folder, commit, aim.commit),
        _artifacts(old, new) if old and new else None,
    )  # fmt: skip


def _artifacts(old: ReleaseRecord, new: ReleaseRecord) -> tuple[ArtifactChange, ...]:
    before = {one.path: one for one in old.artifacts}
    after = {one.path: one for one in new.artifacts}
    return tuple(
        ArtifactChange(path, before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if path not in before or path not in after or before[path].digest != after[path].digest
    )
