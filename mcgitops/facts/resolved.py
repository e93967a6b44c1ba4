"""Keeps what `docker compose config` said, for as long as nothing that decides it has changed.

Compose takes a process and a tenth of a second of CPU each time, and most calls find the files as
they were. A wrong answer would be far worse than a slow one, so an answer is kept only where it
follows from the files alone:

- No file but the named ones and `.env` is read: nothing is included, extended from elsewhere, or
  taken from an `env_file` (see `_FOREIGN`).
- No value comes from outside: none of the variables that are set, in the environment or in `.env`,
  is so much as mentioned in the files. So no secret of theirs can be in what is kept.
- It is the same program: `docker` and its plugin are known by path, inode, size and times.
- The variables by which Compose and Docker themselves are told what to do are the same.

Whatever is unusual isn't kept, and Compose is asked. What is kept is taken only from a file that
was written here: one that came along with a repository has another inode and other times.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat as stat_
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mcgitops import __version__
from mcgitops.deferred import dataclass

if TYPE_CHECKING:
    import yaml

FORMAT = 1
LARGEST = 4 * 1024 * 1024
"""Bytes of a file, and of an answer, that is worth to be kept."""

_FOREIGN = frozenset({"include", "env_file", "label_file", "provider", "develop"})
"""Keys that make Compose read another file, ask another program, or follow links of the disk."""
_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("str", "int", "float", "bool", "null", "map", "seq", "merge", "timestamp")
)
_DECIDING = re.compile(r"(?:COMPOSE_|DOCKER_|BUILDX_|BUILDKIT_).*|HOME|PWD")
_ELSEWHERE = "COMPOSE_ENV_FILES"
"""Names files that are read like `.env`."""
_WORD = re.compile(r"[A-Za-z0-9_]+")
_ASSIGNED = re.compile(r"^[ \t]*(?:export[ \t]+)?([^\s=:#]+)|([^\s=:#]+)[ \t]*[=:]", re.MULTILINE)
"""What may be a variable's name in a `.env`: rather too much than too little."""
_PLUGINS = (
    "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins",
)  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """All that decides the answer; equal where the answer is.

    key:     a digest of it.
    names:   the variables that are set outside of the files.
    texts:   the compose files, as they are now.
    touched: inode and times of the files: no part of the key, but the same while Compose reads.
    """

    key: str
    names: frozenset[str]
    texts: tuple[str, ...]
    touched: tuple[tuple[int, ...], ...]


def resolved(
    home: Path,
    files: Sequence[Path],
    ask: Callable[[], Callable[[], str]],
    environ: Mapping[str, str] = os.environ,
) -> Callable[[], str]:
    """What Compose says of the files: kept from before, or asked.

    ask: starts to ask Compose, and gives what waits for its answer.
    """
    before = inputs(home, files, environ)
    place = _place(home, files)
    if before is None:
        return ask()
    if (earlier := _kept(place, before)) is not None:
        return lambda: earlier.text
    answer = ask()

    def answered() -> str:
        text = answer()
        # what it says belongs to these inputs only if they were the same all along
        if inputs(home, files, environ) == before:
            _keep(place, before, text)
        return text

    return answered


class Kept(NamedTuple):
    """What Compose said, as it was kept.

    mark: which file of this machine it was taken from; nobody else can know it, and it is another
    one whenever Compose was asked again.
    """

    text: str
    mark: str


def kept(home: Path, files: Sequence[Path], environ: Mapping[str, str]) -> Kept | None:
    """What Compose said of the files, where that was kept and still holds; asks nobody."""
    now = inputs(home, files, environ)
    return _kept(_place(home, files), now) if now is not None else None


def inputs(home: Path, files: Sequence[Path], environ: Mapping[str, str]) -> Inputs | None:
    """What decides the answer now; None where that can't be said."""
    program = _program(environ)
    read = [_read(file) for file in files]
    dotenv = _read(home / ".env", missing=("", (0,)))
    if program is None or dotenv is None or _ELSEWHERE in environ or _ELSEWHERE in dotenv[0]:
        return None
    known = [one for one in read if one is not None]
    if len(known) < len(read):
        return None
    texts = [text for text, _ in known]
    deciding = sorted((k, v) for k, v in environ.items() if _DECIDING.fullmatch(k))
    parts = [
        FORMAT,
        __version__,
        str(home),
        [*map(str, files)],
        texts,
        dotenv[0],
        deciding,
        program,
    ]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    names = set(environ)
    for match in _ASSIGNED.finditer(dotenv[0]):
        names.update(name.strip("\"'") for name in match.groups() if name)
    touched = tuple(stat for _, stat in (*known, dotenv))
    return Inputs(key, frozenset(names), tuple(texts), touched)


_Read = tuple[str, tuple[int, ...]]


def _read(path: Path, missing: _Read | None = None) -> _Read | None:
    """A regular file's text, and by what it is told from another one of that name."""
    try:
        with path.open("rb") as stream:
            stat = os.fstat(stream.fileno())
            if not stat_.S_ISREG(stat.st_mode) or stat.st_size > LARGEST:
                return None
            text = stream.read().decode()
            return text, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    except FileNotFoundError:
        return missing
    except (OSError, UnicodeDecodeError):
        return None


_Identity = tuple[str, int, int, int, int]


def compose_plugin(environ: Mapping[str, str]) -> str | None:
    """The path of the plugin that `docker compose` would start; None where that isn't certain."""
    found = _program(environ)
    if found is None:
        return None
    _, (docker, *_), (plugin, *_), *_ = found  # of several plugins docker takes the first
    # a link to another program (a snap's, say) may bring its own plugins
    sure = plugin.startswith("/") and Path(docker).resolve().name == "docker"
    return plugin if sure else None


def _program(environ: Mapping[str, str]) -> list[_Identity] | None:
    """Which `docker` and which plugin would answer; None where that isn't certain."""
    docker: _Identity | None = None
    for folder in environ.get("PATH", "").split(os.pathsep):
        if not folder.startswith("/"):
            return None  # it depends on where the program is started
        docker = _identity(f"{folder}/docker")
        if docker is not None:
            break
    home = environ.get("HOME", "")
    if docker is None or not home or "DOCKER_CLI_PLUGIN_EXTRA_DIRS" in environ:
        return None
    own = environ.get("DOCKER_CONFIG") or f"{home}/.docker"
    settings = Path(own, "config.json")
    try:
        with settings.open("rb") as stream:
            stat = os.fstat(stream.fileno())
            if b"cliPluginsExtraDirs" in stream.read():
                return None
        told = (str(settings), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    except FileNotFoundError:
        told = (str(settings), 0, 0, 0, 0)
    except OSError:
        return None
    found = [_identity(f"{folder}/docker-compose") for folder in (f"{own}/cli-plugins", *_PLUGINS)]
    plugins = [plugin for plugin in found if plugin is not None]
    programs = [docker, *plugins]
    # a script may do anything, and without a plugin it is another program that is called docker
    if not plugins or not all(_is_binary(path) for path, *_ in programs):
        return None
    return [told, *programs]


def _identity(path: str) -> _Identity | None:
    try:
        stat = os.stat(path)  # noqa: PTH116  (there are a dozen of them at each start)
    except OSError:
        return None
    if not os.access(path, os.X_OK):
        return None
    return path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _is_binary(path: str) -> bool:
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
            return stream.read(4) == b"\x7fELF"
    except OSError:
        return False


# the file


def _place(home: Path, files: Sequence[Path]) -> Path:
    name = hashlib.sha256("\0".join(map(str, files)).encode("utf-8", "surrogateescape"))
    return home / ".mcgitops" / "cache" / f"compose-{name.hexdigest()[:16]}"


def _kept(place: Path, wanted: Inputs) -> Kept | None:
    """The answer, if it was kept here for these inputs."""
    try:
        with place.open("rb") as stream:
            stat = os.fstat(stream.fileno())
            head, _, body = stream.read(2 * LARGEST).partition(b"\n")
        data = json.loads(head)
        fits = (
            data["key"] == wanted.key
            and data["file"] == [stat.st_ino, stat.st_mtime_ns]
            and stat.st_uid == os.geteuid()
            and data["digest"] == hashlib.sha256(body).hexdigest()
            and not mentions(wanted.names, frozenset(data["words"]))
        )
        return Kept(body.decode(), f"{stat.st_ino}-{stat.st_mtime_ns}") if fits else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(place: Path, given: Inputs, text: str) -> None:
    """Keep an answer where that is safe; not being able to is no error.

    The folder `.mcgitops` isn't made for it: a verb that only looks leaves none behind.
    """
    words = self_contained(given.texts)
    if words is None or mentions(given.names, words) or len(text) > LARGEST:
        return
    body = text.encode()
    temporary = place.with_name(f".{place.name}-{os.getpid()}")
    try:
        if not place.parent.parent.is_dir():
            return
        place.parent.mkdir(exist_ok=True)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as stream:  # noqa: PTH123  (a descriptor has no path)
            stat = os.fstat(descriptor)
            head = {
                "key": given.key,
                "file": [stat.st_ino, stat.st_mtime_ns],
                "digest": hashlib.sha256(body).hexdigest(),
                "words": sorted(words),
            }
            stream.write(json.dumps(head).encode() + b"\n" + body)
            stream.flush()
            os.utime(descriptor, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
        temporary.replace(place)
    except OSError:
        with suppress(OSError):
            temporary.unlink()


# what the files say


def mentions(names: Iterable[str], words: frozenset[str]) -> bool:
    """Whether a variable may be meant by one of the words, or by several with signs between."""
    return any(name in words or words.issuperset(_WORD.findall(name)) for name in names)


def self_contained(texts: Iterable[str]) -> frozenset[str] | None:
    """All words of compose files that read no other file; None of those that do, or may."""
    from mcgitops.project.source import parse

    words: set[str] = set()
    for text in texts:
        root = parse(text, Path(), Path(), "file", "").root
        if root is None:
            return None
        for node, key in _nodes(root):
            if node.tag not in _TAGS or key in _FOREIGN or not _stays(node, key):
                return None
            if isinstance(node.value, str):
                words.update(_WORD.findall(node.value))
    return frozenset(words)


def _nodes(root: yaml.Node) -> Iterator[tuple[yaml.Node, str]]:
    """All nodes, keys as well, each with the key that it stands under."""
    from yaml import MappingNode, SequenceNode

    seen: set[tuple[int, str]] = set()
    pending = [(root, "")]
    while pending:
        node, key = pending.pop()
        if (id(node), key) in seen:  # an alias
            continue
        seen.add((id(node), key))
        yield node, key
        if isinstance(node, MappingNode):
            for name, value in node.value:
                pending.append((name, ""))
                pending.append((value, name.value if isinstance(name.value, str) else ""))
        elif isinstance(node, SequenceNode):
            pending.extend((item, "") for item in node.value)


def _stays(node: yaml.Node, key: str) -> bool:
    """Whether an `extends` names a service of the same file."""
    if key != "extends" or isinstance(node.value, str):
        return True
    return all(isinstance(item, tuple) and item[0].value == "service" for item in node.value)
