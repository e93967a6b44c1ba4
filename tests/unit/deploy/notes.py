"""A note of what is wanted; also for processes that a test starts, and that need no test tools."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mcgitops.store.records import WantedRecord

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def note(release: str, minute: int, released: int = 0) -> WantedRecord:
    return WantedRecord(
        project="wine", environment="edge", release=release, commit="1" * 40,
        committed=NOON + timedelta(minutes=minute), released=NOON + timedelta(minutes=released),
    )  # fmt: skip
