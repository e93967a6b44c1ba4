from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from mcgitops.store import journal, layout, seals
from mcgitops.store.folder import FolderBackend
from mcgitops.store.journal import Entry, Journal, Position, is_sound


@pytest.fixture
def backend(tmp_path: Path) -> FolderBackend:
    return FolderBackend(tmp_path / "store")


def key(number: int) -> str:
    return f"runs/wine/train/{number}.json"


def test_an_empty_store_has_no_news(backend: FolderBackend) -> None:
    news = Journal(backend).since()
    assert (news.position, news.entries, news.anew) == (Position(), (), False)


def test_who_knows_it_up_to_a_number_gets_what_came_after(backend: FolderBackend) -> None:
    ours, theirs = Journal(backend), Journal(backend)
    first = ours.append(packs=["a" * 64], records=[key(1)])
    assert first.entries == (Entry(packs=("a" * 64,), records=(key(1),)),)
    theirs.append(records=[key(2)])
    theirs.append(gone=[layout.pack_key("a" * 64)])
    news = ours.since(first.position)
    assert news.position.number == 3
    assert news.entries == (Entry(records=(key(2),)), Entry(gone=(layout.pack_key("a" * 64),)))
    assert ours.since(news.position).entries == ()
    assert ours.since().entries == first.entries + news.entries


def test_an_append_tells_what_others_wrote_meanwhile(backend: FolderBackend) -> None:
    ours, theirs = Journal(backend), Journal(backend)
    known = ours.append(records=[key(1)]).position
    theirs.append(records=[key(2)])
    news = ours.append(records=[key(3)], known=known)
    assert [entry.records for entry in news.entries] == [(key(2),), (key(3),)]
    assert news.position.number == 3


def test_a_store_that_was_begun_anew_is_told_from_the_start(backend: FolderBackend) -> None:
    for number in range(5):
        known = Journal(backend).append(records=[key(number)]).position
    for number in range(1, 6):
        backend.delete(layout.journal_key(number))
    assert Journal(backend).since(known) == journal.News(Position(), (), anew=True)
    for number in range(10, 17):
        Journal(backend).append(records=[key(number)])
    news = Journal(backend).since(known)
    assert news.anew
    assert [entry.records for entry in news.entries] == [(key(n),) for n in range(10, 17)]


def test_spans_spare_requests_and_nothing_depends_on_them(
    backend: FolderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SPAN", 4)
    monkeypatch.setattr(journal, "LENGTHS", (16, 4))
    known = journal.START
    for number in range(1, 40):
        known = Journal(backend).append(records=[key(number)], known=known).position
    spans = [entry.key for entry in backend.entries("journal/spans/")]
    assert spans == sorted(
        [layout.span_key(n, 4) for n in range(1, 37, 4)] + [layout.span_key(n, 16) for n in (1, 17)]
    )
    everything = [(key(number),) for number in range(1, 40)]
    asked: list[str] = []
    real = backend.get

    def get(key: str, limit: int | None = None) -> bytes | None:
        asked.append(key)
        return real(key, limit)

    monkeypatch.setattr(backend, "get", get)
    news = Journal(backend).since()
    assert [entry.records for entry in news.entries] == everything
    assert news.position == known
    assert len(asked) < 25
    for start in range(40):  # wherever somebody goes on from
        before = Journal(backend).since()
        seal = journal._sealed(real(layout.journal_key(start)) or b"") if start else ""
        after = Journal(backend).since(Position(start, seal))
        assert after.entries == before.entries[start:]
        assert after.position == before.position
    for damaged, span in enumerate(spans):
        path = Path(backend.url) / span
        path.write_bytes([b"", b"{}", b"[1]", b"\xff", path.read_bytes()[:-9]][damaged % 5])
    assert Journal(backend).since().entries == news.entries


def test_entries_that_a_span_says_go_when_they_are_old(
    backend: FolderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SPAN", 4)
    monkeypatch.setattr(journal, "LENGTHS", (16, 4))
    ours = Journal(backend)
    places = [journal.START]
    for number in range(1, 40):
        places.append(ours.append(records=[key(number)], known=places[-1]).position)
    for span in (layout.span_key(5, 4), layout.span_key(1, 16)):
        backend.delete(span)  # the writer was killed before them
    before = ours.since()
    assert before.position == places[-1]
    assert ours.trimmable() == ours.trim() == 0  # they are young
    backend.delete(layout.span_key(5, 4))
    old = layout.span_key(9, 4)  # as earlier versions wrote it
    entries = [{"records": [key(number)]} for number in range(9, 13)]
    value = json.dumps({"format": 1, "seal": "", "entries": entries}, separators=(",", ":"))
    backend.put(old, seals.sealed(value.encode()))
    before_it = sorted(entry.key for entry in backend.entries("journal/"))
    assert ours.trimmable(0) == 24
    assert sorted(entry.key for entry in backend.entries("journal/")) == before_it
    assert ours.trim(0) == 24  # and not the last ones, nor those whose span was just made
    assert ours.trimmable(0) == 8
    assert ours.trim(0) == 8
    assert ours.trimmable(0) == 0
    assert ours.trim(0) == 0
    left = [journal.number_of(entry.key) for entry in backend.entries("journal/")]
    assert [number for number in left if number] == list(range(33, 40))
    assert backend.get(layout.span_key(1, 16)) is not None
    for start in range(40):  # whoever knew it up to there finds his way
        after = ours.since(places[start])
        assert (after.entries, after.anew) == (before.entries[start:], False)
        assert after.position == before.position
    assert ours.since(Position(7, "another one's")).anew
    assert ours.append(records=[key(40)], known=places[3]).position.number == 40
    for start in (0, 3, 4, 39):
        assert ours.since(places[start]).entries[-1] == Entry(records=(key(40),))


def test_a_trim_that_was_killed_leaves_a_journal_that_is_whole(
    backend: FolderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SPAN", 4)
    monkeypatch.setattr(journal, "LENGTHS", (16, 4))
    monkeypatch.setattr(journal, "THREADS", 1)
    ours = Journal(backend)
    places = [journal.START]
    for number in range(1, 18):
        places.append(ours.append(records=[key(number)], known=places[-1]).position)
    before = ours.since()
    real = backend.delete
    for removed in range(13):
        left = [removed]

        def delete(key: str, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            real(key)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(backend, "delete", delete)
            if ours.trim(0) < 13:  # nothing more to be removed
                raise KeyboardInterrupt
        for start in range(18):
            assert ours.since(places[start]).entries == before.entries[start:]


def test_what_a_span_lacks_of_an_entry_is_said_anew(
    backend: FolderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SPAN", 4)
    monkeypatch.setattr(journal, "LENGTHS", (16, 4))
    ours = Journal(backend)
    for number in range(1, 10):
        ours.append(records=[key(number)])
    # two writers in one instant, where nothing is written only if it isn't there
    backend.put(layout.journal_key(2), journal.entry_of(records=[key(2), key(99)]))
    assert ours.trim(0) == 4
    news = ours.since()
    assert news.entries[1].records == (key(2),)
    assert news.entries[-1] == Entry(records=(key(99),))


def test_a_damaged_entry_is_skipped_and_ends_nothing(backend: FolderBackend) -> None:
    for number in range(1, 6):
        Journal(backend).append(records=[key(number)])
    for number, value in ((2, b""), (3, b'{"format":1,"packs":["x"]}'), (4, b'{"format":2}')):
        path = Path(backend.url) / layout.journal_key(number)
        path.chmod(0o644)
        path.write_bytes(value)
        assert not is_sound(value)
    news = Journal(backend).since()
    assert [entry.records for entry in news.entries] == [(key(1),), (), (), (), (key(5),)]
    assert news.position.number == 5


def test_an_entry_names_only_keys_and_packs() -> None:
    assert is_sound(b'{"format":1,"records":["runs/a/b/c.json"],"new field":1}')
    for wrong in (b'"../x"', b'"/etc"', b"1", b"null", b'""'):
        assert not is_sound(b'{"format":1,"records":[%s]}' % wrong)
        assert not is_sound(b'{"format":1,"packs":[%s]}' % wrong)


def test_writers_at_once_lose_nothing(backend: FolderBackend) -> None:
    def write(writer: int) -> None:
        for number in range(12):
            Journal(backend).append(records=[key(100 * writer + number)])

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    news = Journal(backend).since()
    found = [record for entry in news.entries for record in entry.records]
    assert sorted(found) == sorted(key(100 * writer + n) for writer in range(6) for n in range(12))
    assert news.position.number == 72
    assert backend.get(layout.span_key(1, 64)) is not None
