"""The index of file digests: an unchanged file costs one `stat`, not a read.

A row holds (path, inode, size, mtime_ns, ctime_ns) → digest, and when the digest was taken. A row
is trusted only if the file was last changed clearly before that moment: a file that changed within
the clock's granularity of being hashed is read again ("racy clean", as in git's index). The ctime
catches a content change whose mtime was set back. The index is a cache: losing it costs time only.

Of a large folder all of whose rows could be trusted, the index also holds what they came to: a
signature of all paths and stats → the tree's digest. The next look needs no row.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mcgitops.facts.walking import Stat

if TYPE_CHECKING:
    import sqlite3

    from mcgitops.facts.ahead import Ahead

GRANULARITY_NS = 50_000_000
"""Changes this close to the hashing may carry the same time stamp; ext4's tick is 4 to 10 ms."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
  root TEXT NOT NULL, path TEXT NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, seen_ns INTEGER NOT NULL,
  digest TEXT NOT NULL, PRIMARY KEY (root, path)) WITHOUT ROWID
"""
_SUMMARIES = """
CREATE TABLE IF NOT EXISTS summary (
  root TEXT NOT NULL, signature BLOB NOT NULL, digest TEXT NOT NULL, taken_ns INTEGER NOT NULL,
  PRIMARY KEY (root, signature)) WITHOUT ROWID
"""
MOST_SUMMARIES = 8
"""A root's: several stages may leave out different files of it."""


class Row(NamedTuple):
    """What the index knows of one file."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    seen_ns: int
    digest: str


Known = tuple[str, int, int, int, int, int, str]
"""A path and the fields of its `Row`, as SQLite gives them: there may be very many."""


def fits(known: Known, stat: Stat) -> bool:
    """Whether the digest is still that of the file with this `stat`."""
    _, inode, size, mtime_ns, ctime_ns, seen_ns, _ = known
    return (
        size == stat[1]
        and mtime_ns == stat[2]
        and ctime_ns == stat[3]
        and inode == stat[0]
        and mtime_ns + GRANULARITY_NS < seen_ns
        and ctime_ns + GRANULARITY_NS < seen_ns
    )


class Index:
    """Digests by root folder and path below it, in one SQLite file; shared by processes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.ahead: Ahead | None = None
        """Who looks at large folders while others are still at work, where somebody does."""

    def _connect(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        import sqlite3  # not every verb that looks at files needs the index

        connection = sqlite3.connect(self._file, timeout=30)
        # a lost row costs one hash, so nothing waits for the disk
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(_SCHEMA)
        connection.execute(_SUMMARIES)
        return connection

    def load(self, root: str) -> dict[str, Known]:
        """All rows below a root, by path. A damaged index is an empty one."""
        if not self._file.exists() or not _is_text(root):
            return {}
        import sqlite3

        try:
            connection = self._connect()
            try:
                rows = connection.execute(
                    "SELECT path, inode, size, mtime_ns, ctime_ns, seen_ns, digest FROM file "
                    "WHERE root = ?",
                    (root,),
                )
                return {row[0]: row for row in rows}
            finally:
                connection.close()
        except sqlite3.OperationalError:
            return {}  # busy, or not ours to open
        except sqlite3.DatabaseError:
            self._file.unlink(missing_ok=True)
            return {}

    def summary(self, root: str, signature: bytes) -> str:
        """The digest of the tree of this signature; "" where it isn't known."""
        if not self._file.exists() or not _is_text(root):
            return ""
        import sqlite3

        try:
            connection = self._connect()
            try:
                row = connection.execute(
                    "SELECT digest FROM summary WHERE root = ? AND signature = ?",
                    (root, signature),
                ).fetchone()
                return str(row[0]) if row else ""
            finally:
                connection.close()
        except (sqlite3.DatabaseError, OSError):
            return ""  # whoever needs the rows finds out what is wrong with it

    def summarise(self, root: str, signature: bytes, digest: str) -> None:
        """Note what the rows of a root came to. A busy index is left as it is."""
        if not _is_text(root):
            return
        import sqlite3

        try:
            connection = self._connect()
            try:
                with connection:
                    connection.execute(
                        "INSERT OR REPLACE INTO summary VALUES (?, ?, ?, ?)",
                        (root, signature, digest, time.time_ns()),
                    )
                    connection.execute(
                        "DELETE FROM summary WHERE root = ?1 AND signature NOT IN (SELECT signature"
                        " FROM summary WHERE root = ?1 ORDER BY taken_ns DESC LIMIT ?2)",
                        (root, MOST_SUMMARIES),
                    )
            finally:
                connection.close()
        except (sqlite3.DatabaseError, OSError):
            return

    def save(self, root: str, rows: Iterable[tuple[str, Row]], gone: Iterable[str] = ()) -> None:
        """Add or replace rows, and forget paths that are gone. A busy index is left as it is."""
        if not _is_text(root):
            return
        import sqlite3

        try:
            connection = self._connect()
            try:
                with connection:
                    connection.executemany(
                        "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        ((root, path, *row) for path, row in rows if _is_text(path)),
                    )
                    connection.executemany(
                        "DELETE FROM file WHERE root = ? AND path = ?",
                        ((root, path) for path in gone),
                    )
            finally:
                connection.close()
        except (sqlite3.OperationalError, OSError):
            return
        except sqlite3.DatabaseError:
            self._file.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget everything: a file was found that isn't what its `stat` says."""
        self._file.unlink(missing_ok=True)


class Unknowing(Index):
    """Knows nothing and learns nothing: everything is read."""

    def __init__(self) -> None:
        super().__init__(Path("/dev/null"))

    def load(self, root: str) -> dict[str, Known]:
        """Nothing."""
        return {}

    def summary(self, root: str, signature: bytes) -> str:
        """Nothing."""
        return ""

    def summarise(self, root: str, signature: bytes, digest: str) -> None:
        """Nothing is noted."""

    def save(self, root: str, rows: Iterable[tuple[str, Row]], gone: Iterable[str] = ()) -> None:
        """Nothing is noted."""


def _is_text(path: str) -> bool:
    """Whether a path is valid Unicode; SQLite takes no other, so such files are read each time."""
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
