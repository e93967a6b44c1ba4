"""Nothing tells of a name in a listing that it was harmed on its way but that nothing is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mcgitops.store import marks
from mcgitops.store.backend import Entry
from mcgitops.store.records import CommitRecord
from mcgitops.store.store import Store
from mcgitops.store.survey import survey
from mcgitops.store.verify import verify
from tests.unit.store.conftest import a_run
from tests.unit.store.memory import MemoryBucket

COMMIT = "c0ffee" * 6 + "c0ff"


class Harmed(MemoryBucket):
    """A bucket of which one listing has another name in place of that of a key."""

    harm: tuple[str, str] | None = None
    listings = 0

    def entries(self, prefix: str, starting: str = "") -> Iterator[Entry]:
        self.listings += 1
        for entry in super().entries(prefix, starting):
            if self.harm is not None and self.harm[0] in entry.key:
                entry, self.harm = replace(entry, key=entry.key.replace(*self.harm)), None
            yield entry


@pytest.fixture
def bucket() -> Harmed:
    bucket = Harmed()
    store = Store(bucket)
    for stage in ("train", "test"):
        run = a_run(store, stage=stage)
        store.publish(run)
        store.publish_commit(
            CommitRecord(
                project="wine", stage=stage, commit=COMMIT,
                runs=(run.fingerprint,), selected=run.fingerprint,
            )
        )  # fmt: skip
    return bucket


HARMS = [("train.json", "trajn.json"), ("train.json", "train.jsom"), ("train.json", "tr\nin.json")]


@pytest.mark.parametrize("harm", HARMS)
def test_a_record_whose_name_was_harmed_is_read_all_the_same(
    bucket: Harmed, harm: tuple[str, str]
) -> None:
    bucket.harm, bucket.listings = harm, 0
    found = Store(bucket).commits(COMMIT, "wine")
    assert {record.stage for record in found} == {"train", "test"}
    assert bucket.listings == 2
    assert len(Store(bucket).commits(COMMIT, "wine")) == 2
    assert bucket.listings == 3  # once, where nothing is odd


@pytest.mark.parametrize("harm", HARMS)
def test_who_looks_after_a_store_misses_no_record_either(
    bucket: Harmed, harm: tuple[str, str]
) -> None:
    sound = survey(Store(bucket))
    bucket.harm = harm
    again = survey(Store(bucket))
    assert len(sound.records) == 4
    assert again.by_key() == sound.by_key()


@pytest.mark.parametrize("harm", [("Z-", "Z+"), (".json", ".jsom")])
def test_no_mark_is_missed(bucket: Harmed, harm: tuple[str, str]) -> None:
    marks.write(bucket, 1e9, marked=["objects/sha256/ab/abc"])
    bucket.harm = harm
    assert set(marks.MarkReader(bucket).read().since()) == {"objects/sha256/ab/abc"}


@pytest.mark.parametrize(
    "harm", [("objects/sha256/", "objects/sha256/Q"), ("journal/", "journal/x")]
)
def test_a_harmed_name_is_nothing_that_others_put_there(
    bucket: Harmed, harm: tuple[str, str]
) -> None:
    Store(bucket).objects.catalogue.say(["runs/wine/train/some.json"])
    sound = verify(Store(bucket))
    bucket.harm = harm
    assert verify(Store(bucket)).findings == sound.findings
    assert bucket.harm is None  # it was listed
    bucket.put("objects/sha256/strange", b"of somebody else")
    assert "objects/sha256/strange" in {one.key for one in verify(Store(bucket)).findings}
