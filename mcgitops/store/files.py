"""Files of a run whose contents lie in stores, opened by path: what readers of metrics look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store.records import FileRef
from mcgitops.store.store import Store


@dataclass(frozen=True)
class StoredFiles:
    """Files by path. The first of the stores that has a content gives it."""

    stores: Sequence[Store]
    references: Mapping[str, FileRef]

    @staticmethod
    def of(stores: Sequence[Store], references: Iterable[FileRef]) -> StoredFiles:
        """These files, sorted by path."""
        by_path = {reference.path: reference for reference in references}
        return StoredFiles(stores, dict(sorted(by_path.items())))

    @property
    def sizes(self) -> Mapping[str, int]:
        """Path → size in bytes, sorted by path."""
        return {path: reference.size for path, reference in self.references.items()}

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """The content as a stream that can't seek.

        Raises `OSError` where no store has it, or its bytes are not those that were stored.
        """
        digest = self.references[path].digest
        *others, last = self.stores
        try:
            store = next((s for s in others if not s.missing([digest])), last)
            with store.open_object(digest) as stream:
                yield stream
        except StoreError as error:
            raise OSError(error.message) from error
