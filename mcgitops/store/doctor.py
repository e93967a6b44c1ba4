"""What a store's service can do: all that the program needs of it is tried, on keys made for it.

They lie below `doctor/<random>/`, and are removed at the end. Nothing else in the store is written,
and nothing of it is read unless that is all that may be tried.
"""

from __future__ import annotations

import io
import os
import secrets
import ssl
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store.backend import Backend, Entry
from mcgitops.store.layout import DOCTOR
from mcgitops.store.s3_errors import SKEW_SECONDS, Denied
from mcgitops.store.streams import read_fully

State = Literal["works", "limited", "missing", "untried"]

LARGE = 8 * 1024 * 1024
ASKED = 5  # times, for the latency
SECONDS = 30
LITTLE_SPACE = 1024**3
LOOKED_AT = 100  # keys, for one that can be read whole
LARGEST_READ = 1024 * 1024
NAMES = ("wine%2Fv1~x.json", "Wine%2Fv1~x.json", "_-.%C3%A4")
"""Segments of keys as `layout` makes them; two differ in case only."""


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    `detail`: what was seen; `without`: what of the program doesn't work, or not as well, then.
    A store with nothing `missing` is one that mcgitops can work with.
    """

    name: str
    state: State
    detail: str = ""
    without: str = ""
    remedy: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Diagnosis:
    """All findings. Seconds of one small request; bytes per second of one stream of 8 MiB."""

    url: str
    findings: tuple[Finding, ...]
    latency: float | None = None
    upload: float | None = None
    download: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing that is needed is missing."""
        return all(finding.state != "missing" for finding in self.findings)


class Limited(Exception):
    """It works, but not as well as it could."""

    def __init__(self, detail: str, without: str = "", remedy: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.without = without
        self.remedy = remedy


class Untried(Exception):
    """There is nothing to try, and that is no fault."""


@dataclass(frozen=True)
class Trial:
    """Something to try. `act` says in a few words what was seen; an error is what is missing."""

    name: str
    without: str
    act: Callable[[], str]


def examine(backend: Backend, *, read_only: bool = False) -> Diagnosis:
    """Try everything, or only what reading needs. Never raises for what the store can't do."""
    doctor = Doctor(backend)
    try:
        findings = list(doctor.findings(doctor.reading() if read_only else doctor.everything()))
    finally:
        stays = doctor.clean()
    if stays:
        remedy = f"Remove {doctor.folder}/ by hand, or let a rule of the bucket remove {DOCTOR}."
        findings.append(Finding("cleaning up", "limited", f"{len(stays)} keys stay", "", remedy))
    return Diagnosis(backend.url, tuple(findings), doctor.latency, doctor.upload, doctor.download)


class Doctor:
    """Tries one store."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.folder = f"{DOCTOR}{secrets.token_hex(8)}"
        self.latency: float | None = None
        self.upload: float | None = None
        self.download: float | None = None
        self._written: set[str] = set()
        root = backend.path
        self._new = (root / "tmp", root) if root is not None and not root.exists() else ()
        self._small = os.urandom(1000)
        self._large = os.urandom(LARGE)

    def findings(self, trials: Iterator[Trial]) -> Iterator[Finding]:
        """What each trial shows. Where the service can't be used at all, one says enough."""
        for trial in trials:
            began = time.monotonic()
            finding, error = _outcome(trial)
            yield replace(finding, seconds=time.monotonic() - began)
            if trial.name == "list" and error is not None and not isinstance(error, Denied):
                return

    def everything(self) -> Iterator[Trial]:
        """All trials, each of which may rely on those before it."""
        reads = "Nothing can be read: pull, runs, show, report and deploy fail."
        writes = "Nothing can be published: push, train in CI, release and deploy fail."
        yield Trial("list", "pull, runs, verify and gc don't find what is there.", self._list)
        yield Trial("absent", "What isn't there can't be told from what is denied.", self._absent)
        yield Trial("write", writes, self._write)
        if not self._written:
            yield Trial("read", reads, self._read_any)
            return
        yield Trial("read", reads, self._read)
        yield Trial("size", "push can't tell what is there already.", self._size)
        yield Trial("range", "Small files that travel packed can't be read.", self._range)
        yield Trial("names", "Names of projects, stages and tags would get mixed up.", self._names)
        yield Trial("seen at once", "Others may miss what was just pushed.", self._seen)
        yield Trial("folders", "runs, pull and agents don't find what is there.", self._folders)
        yield Trial("replace", "Reports of a commit can't be renewed.", self._replace)
        yield Trial("create", "Releases could be overwritten.", self._create)
        yield Trial("large", "Files over 8 MiB can't be pushed and pulled.", self._large_value)
        yield from self._own()
        yield Trial("link", "Comments can't link the HTML report in the store.", self._link)
        yield Trial("move", "gc can't remove, and verify can't set aside, anything.", self._move)
        yield Trial("delete", "gc can't remove anything.", self._delete)
        yield Trial("speed", "", self._speed)

    def reading(self) -> Iterator[Trial]:
        """What can be tried without writing."""
        yield Trial("list", "pull, runs, verify and gc don't find what is there.", self._list)
        yield Trial("absent", "What isn't there can't be told from what is denied.", self._absent)
        yield Trial("read", "pull, runs, show, report and deploy fail.", self._read_any)

    def clean(self) -> list[str]:
        """Remove what was written; gives the keys that had to stay."""
        stays = []
        for key in sorted(self._written):
            try:
                self.backend.delete(key)
            except StoreError:
                stays.append(key)
        if self.backend.path is not None:
            top = self.backend.path / DOCTOR
            for name, _, _ in os.walk(self.backend.path / self.folder, topdown=False):
                with suppress(OSError):
                    Path(name).rmdir()
            for folder in (top, *self._new):
                with suppress(OSError):  # something of somebody else's may be in it
                    folder.rmdir()
        return stays

    def key(self, name: str) -> str:
        """A key of the trial's, to be removed at the end."""
        key = f"{self.folder}/{name}"
        self._written.add(key)
        return key

    # trials

    def _list(self) -> str:
        found = sum(1 for _ in self.backend.entries(f"{self.folder}/"))
        return _expect(found == 0, "a folder that can't be there has something in it")

    def _absent(self) -> str:
        return _expect(
            self.backend.size(f"{self.folder}/absent") is None
            and self.backend.get(f"{self.folder}/absent") is None,
            "a key that can't be there has a value",
        )

    def _write(self) -> str:
        self.backend.put(f"{self.folder}/small", self._small)
        self.key("small")
        return ""

    def _read(self) -> str:
        """At once and as a stream; also what is empty, of which there is no part to ask for."""
        self.backend.put(self.key("empty"), b"")
        for name, written in (("small", self._small), ("empty", b"")):
            opened = self.backend.open(self.key(name))
            if opened is None or self.backend.get(self.key(name)) != written:
                return _expect(False, "what came back isn't what was written")
            with opened as stream:
                whole = read_fully(stream, len(self._small) + 1) == written
            _expect(whole, "what came back as a stream isn't what was written")
        return ""

    def _size(self) -> str:
        size = self.backend.size(self.key("small"))
        return _expect(size == len(self._small), f"{size} bytes instead of {len(self._small)}")

    def _range(self) -> str:
        part = self.backend.read_range(self.key("small"), 100, 50)
        if part == self._small[100:150]:
            return ""
        if part == self._small:
            raise StoreError("The whole value comes back instead of a part.", _OTHER_SERVICE)
        raise StoreError("Another part comes back than the one that was asked for.", _OTHER_SERVICE)

    def _names(self) -> str:
        for name in NAMES:
            self.backend.put(self.key(f"names/{name}"), name.encode())
        found = {entry.key for entry in self.backend.entries(f"{self.folder}/names/")}
        wanted = {f"{self.folder}/names/{name}" for name in NAMES}
        whole = all(self.backend.get(f"{self.folder}/names/{n}") == n.encode() for n in NAMES)
        return _expect(found == wanted and whole, "names change, or differ in case only in vain")

    def _seen(self) -> str:
        key = self.key("seen/now")
        self.backend.put(key, b"1")
        below = f"{self.folder}/seen/"
        listed = [entry.key for entry in self.backend.entries(below)]
        _expect(listed == [key], "a listing doesn't show what was just written")
        found = [[entry.key for entry in self.backend.entries(below, name)] for name in ("n", "x")]
        return _expect(found == [[key], []], "a listing doesn't go by how names begin")

    def _folders(self) -> str:
        names = self.backend.folders(f"{self.folder}/")
        return _expect(names == ["names", "seen"], "the folders that keys are in aren't listed")

    def _replace(self) -> str:
        key = self.key("replaced")
        self.backend.put(key, b"first")
        try:
            self.backend.put(key, b"second")
        except StoreError as error:
            raise Limited(
                f"what is there can't be replaced: {error.message}",
                "The report of a commit can't be renewed.",
                "Nothing else needs it: objects and records never change.",
            ) from None
        return _expect(self.backend.get(key) == b"second", "the old value comes back")

    def _create(self) -> str:
        key = self.key("created")
        created = self.backend.create(key, b"first")
        again = self.backend.create(key, b"second")
        kept = self.backend.get(key) == b"first"
        return _expect(created and not again and kept, "what is there is overwritten")

    def _large_value(self) -> str:
        key = self.key("large")
        began = time.monotonic()
        self.backend.put_stream(key, io.BytesIO(self._large), LARGE)
        written = time.monotonic()
        whole = self.backend.get(key) == self._large
        self.upload = LARGE / (written - began)
        self.download = LARGE / (time.monotonic() - written)
        return _expect(whole, "what came back isn't what was written")

    def _own(self) -> Iterator[Trial]:
        from mcgitops.store.folder import FolderBackend

        if isinstance(self.backend, FolderBackend):
            yield Trial("space", "", self._space)
            yield Trial("clock", "Ages of files are wrong, by which gc decides.", self._file_clock)
        elif self.backend.path is None:
            from mcgitops.store.s3 import S3Backend
            from mcgitops.store.s3_doctor import trials

            if isinstance(self.backend, S3Backend):
                yield from trials(self.backend, self.key)

    def _space(self) -> str:
        assert self.backend.path is not None  # noqa: S101
        state = os.statvfs(self.backend.path)
        free = state.f_bavail * state.f_frsize
        said = f"{free / 1e9:.1f} GB free"
        if free < LITTLE_SPACE:
            raise Limited(said, "Larger artifacts won't fit.", "Free some space.")
        return said

    def _file_clock(self) -> str:
        assert self.backend.path is not None  # noqa: S101
        self.backend.put(self.key("clock"), b"")
        ahead = time.time() - (self.backend.path / self.folder / "clock").stat().st_mtime
        return clock(ahead, "the file server")

    def _link(self) -> str:
        """A page, as a browser is shown it, and one that is to be saved under a name."""
        key = self.key("page.html")
        if not self.backend.signed_link(key, 60):
            raise Untried("a folder has no links")
        self.backend.put(key, self._small, "text/html; charset=utf-8")
        value, kind, _ = self._followed(self.backend.signed_link(key, 60))
        _expect(value == self._small, "a signed link leads to something else")
        if not kind.startswith("text/html"):
            raise Limited(
                f"a page comes back as {kind[:60] or 'nothing that is named'}",
                "Browsers don't show the HTML report in the store, but save it.",
                "Leave report.link unset, or see whether the service keeps Content-Type.",
            )
        value, _, named = self._followed(self.backend.signed_link(key, 60, "page.html"))
        _expect(value == self._small, "a signed link with a name leads to something else")
        return "" if "attachment" in named else "without the name of what is to be saved"

    def _followed(self, link: str) -> tuple[bytes, str, str]:
        """What a link gives: the value, its kind, and how a browser is to take it."""
        try:
            with urllib.request.urlopen(link, timeout=SECONDS, context=_trust(link)) as answer:  # noqa: S310
                value: bytes = answer.read(2 * len(self._small))
                said = answer.headers
                return value, said.get("Content-Type", ""), said.get("Content-Disposition", "")
        except (urllib.error.URLError, OSError) as error:
            code = (
                f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else "nothing"
            )
            raise Limited(
                f"a signed link gives {code}",
                "Comments can't link the HTML report in the store.",
                "Leave report.link unset, or see whether the service knows presigned addresses.",
            ) from None

    def _move(self) -> str:
        """As garbage collection moves things to its trash: the service copies, we delete."""
        here, there = self.key("moved/here"), self.key("moved/there")
        self.backend.put(here, self._small)
        try:
            self.backend.move(here, there)
        except Denied as error:
            raise Limited(
                error.message, "gc can't remove, and verify can't set aside, anything.", error.hint
            ) from None
        whole = self.backend.get(there) == self._small and self.backend.get(here) is None
        return _expect(whole, "what was moved isn't there, or still where it was")

    def _delete(self) -> str:
        key = f"{self.folder}/small"
        try:
            self.backend.delete(key)
        except Denied as error:
            raise Limited(
                error.message, "gc can't remove anything; the trial's files stay.", error.hint
            ) from None
        if self.backend.size(key) is not None:
            raise StoreError("A key that was deleted is still there.", _OTHER_SERVICE)
        self.backend.delete(key)  # what isn't there is no error
        return ""

    def _speed(self) -> str:
        times = []
        for _ in range(ASKED):
            began = time.monotonic()
            self.backend.size(f"{self.folder}/created")
            times.append(time.monotonic() - began)
        self.latency = statistics.median(times)
        return ""

    def _read_any(self) -> str:
        found = self._some_entry()
        if found is None:
            raise Untried("the store has no record, and no other small value")
        value = self.backend.get(found.key)
        part = self.backend.read_range(found.key, 1, 10)
        same = value is not None and len(value) == found.size and part == value[1:11]
        return _expect(same, f"{found.key} isn't read as it is listed")

    def _some_entry(self) -> Entry | None:
        """A record; else, where only data was pushed, the smallest of the first things there."""
        for top in ("releases/", "commits/", "runs/"):
            for folder in self.backend.folders(top)[:1]:
                for entry in self.backend.entries(f"{top}{folder}/"):
                    return entry
        for top in ("journal/", "packs/", "objects/"):
            first = islice(self.backend.entries(top), LOOKED_AT)
            fitting = [entry for entry in first if 11 <= entry.size <= LARGEST_READ]
            if fitting:
                return min(fitting, key=lambda entry: entry.size)
        return None


def _outcome(trial: Trial) -> tuple[Finding, StoreError | None]:
    try:
        return Finding(trial.name, "works", trial.act()), None
    except Limited as seen:
        return Finding(trial.name, "limited", seen.detail, seen.without, seen.remedy), None
    except Untried as seen:
        return Finding(trial.name, "untried", str(seen)), None
    except StoreError as error:
        return Finding(trial.name, "missing", error.message, trial.without, error.hint), error


def _trust(link: str) -> ssl.SSLContext | None:
    """The authorities of the store's client, for a link to the same service."""
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if not bundle or not link.startswith("https:"):
        return None
    return ssl.create_default_context(cafile=bundle)


def clock(ahead: float, whose: str) -> str:
    """This machine's clock against another one's, in seconds; says how far off it is."""
    said = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} {whose}"
    if abs(ahead) > SKEW_SECONDS:
        raise StoreError(f"This machine's clock is {said}.", _SET_CLOCK)
    if abs(ahead) > SKEW_SECONDS / 5:
        raise Limited(said, "Ages, by which gc decides, are off by that.", _SET_CLOCK)
    return ""


_SET_CLOCK = "Set the clock (timedatectl set-ntp true)."
_OTHER_SERVICE = "Use another service, or a newer version of this one."


def _expect(fine: bool, otherwise: str) -> str:
    if not fine:
        raise StoreError(f"{otherwise[:1].upper()}{otherwise[1:]}.", _OTHER_SERVICE)
    return ""
