"""Whether a push has anything to do, told without reading the project: most have not.

A push that left nothing to do notes what it was made of: what Compose says of the files, the
variables that name the store, the pins in the folder, and what was noted of pins that went. Where
all of that is the same, the project's name and its store are, too; then the store has everything if
the note of what it was given has all local records. Where anything differs, or can't be told, the
push goes the long way: a wrong "nothing to do" would be far worse than a slow one.

The notes hold digests, a project's name and a store's address, and are taken only from where this
program wrote them.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mcgitops import __version__
from mcgitops.errors import McgitopsError
from mcgitops.facts.compose import find_files
from mcgitops.facts.resolved import kept
from mcgitops.project import STATE_FOLDER

NAMING = (
    "MCGITOPS_STORE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)  # fmt: skip
"""The variables that decide which store it is, and how it is called."""
LARGEST = 64 * 1024
PINS = "*.mcgitops"


class Unchanged:
    """What one push found before it began."""

    def __init__(self, folder: Path, files: Sequence[str], environ: Mapping[str, str]) -> None:
        """folder: where it was called; files: those that were named. Never raises."""
        self._home: Path | None = None
        self._said = ""
        self._git: subprocess.Popen[bytes] | None = None
        self._names: list[bytes] = []
        self._pins: str | None = None
        if environ.get("MCGITOPS_PROJECT"):
            return  # beside an agent there may be no file at all
        try:
            found = find_files(folder, files, environ)
            home = found[0].parent
            said = kept(home, found, environ)
        except (McgitopsError, OSError):
            return
        if said is None:
            return
        parts = [*map(str, found), *(environ.get(name, "") for name in NAMING)]
        name = _digest(parts)
        self._home = home
        self._said = _digest([__version__, *parts, said.text])
        self._note = home / STATE_FOLDER / "cache" / f"nothing-{name[:16]}"
        # A note of these that came along with a repository would send what is pushed elsewhere.
        named = [str(file) for file in found]
        self._file_says = _digest([__version__, *named, *said])
        self._project = home / STATE_FOLDER / "cache" / f"project-{_digest(named)[:16]}"
        with suppress(OSError):
            # as `facts.pins` asks; in the background, since starting it takes most of the time
            self._git = subprocess.Popen(
                ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", PINS),
                cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def store(self) -> str:
        """The store's address, where it has everything; "" where that is to be looked at."""
        home = self._home
        noted = self._noted()
        if home is None or noted is None or noted["said"] != self._said:
            return ""
        from mcgitops.store.folder import FolderBackend
        from mcgitops.store.pushed import Pushed, record_keys

        url = noted["url"]
        given = Pushed(home / STATE_FOLDER / "cache", url).read()
        try:
            keys = record_keys(FolderBackend(home / STATE_FOLDER / "store"), noted["project"])
        except McgitopsError:
            return ""
        if not given.issuperset(keys) or noted["data"] != self._data(url):
            return ""
        return url

    def project(self) -> tuple[Path, str, str] | None:
        """The project's folder, its name and the store that its file names, as noted; or None.

        A push that loaded the project noted it, of the same files: so it is a sound one.
        """
        noted = _read(self._project, {"said", "project", "store"}) if self._home else None
        if self._home is None or noted is None or noted["said"] != self._file_says:
            return None
        return self._home, noted["project"], noted["store"]

    def remember_project(self, project: str, store: str) -> None:
        """What the project is called, and the store that its file names."""
        if self._home is not None and self.project() is None:
            loose = {"said": self._file_says, "project": project, "store": store}
            _write(self._project, loose)

    @property
    def pins_nothing(self) -> bool:
        """Whether no data was pinned here; False where git doesn't tell."""
        if self._home is None or self._present_pins(self._home) is None:
            return False
        return not self._names and not (self._home / STATE_FOLDER / "data" / "added").exists()

    def remember(self, project: str, url: str) -> None:
        """Nothing is left to do, as this push began and as it ended; not to note it is no error."""
        if self._home is None or (data := self._data(url)) is None:
            return
        loose = {"said": self._said, "project": project, "url": url, "data": data}
        if self._noted() == loose:
            return
        _write(self._note, loose)

    def end(self) -> None:
        """Nothing more will be asked."""
        if self._git is not None:
            self._git.kill()
            self._git.communicate()
            self._git = None

    def _noted(self) -> dict[str, str] | None:
        return _read(self._note, {"said", "project", "url", "data"}) if self._home else None

    def _data(self, url: str) -> str | None:
        """A digest of all that says which data is pinned, and was given to the store."""
        if self._home is None or (pins := self._present_pins(self._home)) is None:
            return None
        from mcgitops.store.pushed import Pushed

        state = self._home / STATE_FOLDER
        made = hashlib.sha256(pins.encode())
        for file in (state / "data" / "added", Pushed(state / "cache" / "data", url).path):
            with suppress(FileNotFoundError):
                made.update(hashlib.sha256(file.read_bytes()).digest())
            made.update(b";")
        return made.hexdigest()

    def _present_pins(self, home: Path) -> str | None:
        """A digest of the pins in the folder as they were; None where git doesn't tell."""
        if self._pins is None and self._git is not None:
            git, self._git = self._git, None
            said = git.communicate()[0]
            if git.returncode:
                return None
            made = hashlib.sha256(said)
            self._names = sorted(set(said.split(b"\0")) - {b""})
            for name in self._names:
                made.update(b"\0")
                with suppress(OSError), open(os.path.join(os.fsencode(home), name), "rb") as pin:  # noqa: PTH118, PTH123
                    made.update(hashlib.sha256(pin.read()).digest())
            self._pins = made.hexdigest()
        return self._pins


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(note: Path, fields: set[str]) -> dict[str, str] | None:
    """A note; None where there is none, or none that we can have written."""
    try:
        loose = json.loads(note.read_bytes()[:LARGEST])
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(loose, dict) or loose.keys() != fields:
        return None
    sound = all(isinstance(value, str) and value.isprintable() for value in loose.values())
    return loose if sound else None


def _write(note: Path, loose: Mapping[str, str]) -> None:
    temporary = note.with_name(f".{note.name}-{os.getpid()}")
    with suppress(OSError):
        temporary.write_text(json.dumps(loose))
        temporary.replace(note)
