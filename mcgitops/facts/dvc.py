"""What a DVC project says of its data: `.dvc` files and where its remote is. Only reads.

Formats: DVC 3, ".dvc files", "dvc config" and "internal directories" in its reference; DVC 2 left
out `hash: md5`, hashed text files with their line ends as on Unix, and had no `files/md5/` in its
remotes.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError

SUFFIX = ".dvc"
_LARGEST = 1024 * 1024
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_KEYS = {
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
}


@dataclass(frozen=True)
class Out:
    """Data that DVC tracks. `path` and `file` (its `.dvc`) are relative to the project folder.

    md5: of the content, or of the list of a folder's files (it ends in `.dir`).
    size: bytes, and files: of a folder; 0 where the file doesn't say.
    legacy: written by DVC 2.
    """

    path: str
    file: str
    md5: str
    size: int = 0
    files: int = 0
    legacy: bool = False
    executable: bool = False
    remote: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.md5.endswith(".dir")

    @property
    def base(self) -> str:
        """The folder that relative paths of its content are below; "." for the project's own."""
        return self.path if self.is_folder else posixpath.dirname(self.path) or "."


@dataclass(frozen=True)
class Remote:
    """Where DVC keeps its data. `place`: a folder, or an `s3://` URL as a store's.

    keys: credentials that the configuration holds, as boto3 calls them; never shown.
    """

    name: str
    place: str
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)


def outs(folder: Path, names: Iterable[str]) -> tuple[Out, ...]:
    """What the `.dvc` files among `names` track, sorted by path."""
    found: list[Out] = []
    for name in names:
        if not name.endswith(SUFFIX):
            continue
        try:
            with (folder / name).open("rb") as stream:
                text = stream.read(_LARGEST)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        found += parse(text, name)
    return tuple(sorted(found, key=lambda out: out.path.split("/")))


def parse(text: bytes, file: str) -> tuple[Out, ...]:
    """Read a `.dvc` file. Raises `UsageError` where it is damaged, or names no content."""
    import yaml  # most projects have no .dvc file

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(text.decode("utf-8"), Loader=loader)  # noqa: S506  (a safe loader)
    except (ValueError, RecursionError, yaml.YAMLError):
        hint = "Take it from git again, or write it anew: dvc add."
        if b"<<<<<<<" in text:
            hint = "It has conflict markers of a merge: keep one side, then dvc checkout."
        raise UsageError(f"{file} can't be read as a .dvc file.", hint) from None
    entries = data.get("outs") if isinstance(data, Mapping) else None
    if not isinstance(entries, list):
        return ()
    home = posixpath.join(posixpath.dirname(file), str(data.get("wdir") or "."))
    return tuple(
        out
        for entry in entries
        if isinstance(entry, Mapping) and (out := _out(entry, home, file)) is not None
    )


def _out(entry: Mapping[Any, Any], home: str, file: str) -> Out | None:
    if entry.get("cache") is False:
        return None  # git has it
    path = posixpath.normpath(posixpath.join(home, str(entry.get("path") or "")))
    md5 = entry.get("md5")
    if path.startswith(("/", "..")) or path == ".":
        return None  # of another project
    if md5 is None:
        return None  # a version-aware remote has it: what lies in the folder counts
    if not isinstance(md5, str) or not _MD5.fullmatch(md5):
        raise UsageError(
            f"{file} gives an MD5 of {path} that is none.", "Take it from git again, or dvc add."
        )
    return Out(
        path,
        file,
        md5,
        _number(entry.get("size")),
        _number(entry.get("nfiles")),
        entry.get("hash") != "md5",
        bool(entry.get("isexec")),
        str(entry.get("remote") or ""),
    )


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


@dataclass(frozen=True)
class Config:
    """DVC's configuration: its folder, and what is said in which of its files, last one first."""

    root: Path
    sections: Mapping[str, Mapping[str, tuple[str, Path]]]

    @property
    def cache(self) -> Path:
        """Where DVC keeps data on this machine."""
        if (said := self.sections.get("cache", {}).get("dir")) is not None:
            return said[1] / os.path.expanduser(said[0])  # noqa: PTH111
        return self.root / ".dvc" / "cache"

    def remote(self, name: str = "") -> Remote | None:
        """The remote of that name, or the default one; None where there is none.

        Raises `UsageError` for a kind of remote that isn't read.
        """
        name = name or self.sections.get("core", {}).get("remote", ("", self.root))[0]
        said = self.sections.get(f'remote "{name}"') if name else None
        if said is None or "url" not in said:
            return None
        values = {key: value for key, (value, _) in said.items()}
        url, home = said["url"]
        if "true" in (values.get("version_aware"), values.get("worktree")):
            raise UsageError(
                f"DVC's remote {name} is version-aware, which is not read.",
                "Fetch the data with dvc pull first.",
            )
        if url.startswith("remote://"):
            other, _, rest = url.removeprefix("remote://").partition("/")
            above = self.remote(other) if other != name else None
            if above is None:
                return None
            base, mark, query = above.place.partition("?")
            place = f"{base.rstrip('/')}/{rest}{mark}{query}"
            return Remote(name, place, above.keys)
        if url.startswith("s3://"):
            return Remote(name, _bucket(url, values), _keys(values))
        scheme, mark, rest = url.partition("://")
        if mark and scheme not in ("file", "local"):
            raise UsageError(
                f"DVC's remote {name} is at {scheme}://, which is not read.",
                "Fetch the data with dvc pull first: what is in DVC's cache is used.",
            )
        return Remote(name, str(home / os.path.expanduser(rest if mark else url)))  # noqa: PTH111


def _bucket(url: str, values: Mapping[str, str]) -> str:
    from urllib.parse import quote

    query = {
        "endpoint_url": values.get("endpointurl", ""),
        "region": values.get("region", ""),
        "profile": values.get("profile", ""),
        "anonymous": "true" if values.get("allow_anonymous_login") == "true" else "",
    }
    words = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items() if value)
    bucket, slash, prefix = url.removeprefix("s3://").partition("/")
    return f"s3://{bucket}{slash}{quote(prefix)}" + (f"?{words}" if words else "")


def _keys(values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[key] for key, name in _KEYS.items() if values.get(key)}


def config(folder: Path) -> Config | None:
    """The configuration of the DVC project that holds `folder`; None where there is none."""
    root = next((one for one in (folder, *folder.parents) if (one / ".dvc").is_dir()), None)
    if root is None:
        return None
    home = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or os.path.join(  # noqa: PTH118
        os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"),  # noqa: PTH111
        "dvc",
    )
    sections: dict[str, dict[str, tuple[str, Path]]] = {}
    for file in (Path(home, "config"), root / ".dvc/config", root / ".dvc/config.local"):
        try:
            text = file.read_text("utf-8", "replace")
        except OSError:
            continue
        for section, key, value in lines(text):
            sections.setdefault(section, {})[key] = (value, file.parent)
    return Config(root, sections)


def lines(text: str) -> list[tuple[str, str, str]]:
    """Section, key and value of each line of a configuration; a section's quotes are undone.

    >>> lines("['remote \\"a\\"']\\n    url = s3://b")
    [('remote "a"', 'url', 's3://b')]
    """
    section = ""
    found: list[tuple[str, str, str]] = []
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = _unquoted(line[1:-1].strip())
        elif line and line[0] not in "#;" and "=" in line:
            key, _, value = line.partition("=")
            found.append((section, _unquoted(key.strip()).lower(), _unquoted(value.strip())))
    return found


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text
