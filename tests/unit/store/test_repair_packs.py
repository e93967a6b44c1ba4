"""Packs that lost their index, or themselves: once they are mended, nothing speaks of them."""

from __future__ import annotations

import pytest

from mcgitops.store import journal, layout
from mcgitops.store.repair import repair
from mcgitops.store.store import Store, open_store
from mcgitops.store.verify import verify
from tests.unit.store.conftest import a_run
from tests.unit.store.test_packed_objects import write_pack


@pytest.mark.parametrize("lost", ["", ".index"])
def test_a_mended_store_is_whole_at_the_next_look(store: Store, other: Store, lost: str) -> None:
    run = a_run(other, 3)
    other.publish(run)
    pack = write_pack(store, [b"model 3", b"something else"])
    store.publish(run)
    journal.Journal(store.backend).append(packs=[pack.name], records=store.record_keys("wine"))
    assert verify(store).findings == ()
    key = layout.pack_key(pack.name)
    assert store.path is not None
    if lost:  # and the pack itself is damaged
        value = bytearray((store.path / key).read_bytes())
        value[3] ^= 1
        (store.path / key).write_bytes(value)
    (store.path / f"{key}{lost}").unlink()

    again = open_store(str(store.path))
    assert repair(again, verify(again), [other]).is_sound
    assert verify(open_store(str(store.path))).findings == ()
