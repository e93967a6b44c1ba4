"""Links among outputs: against what the file system itself finds through them."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.run import links
from mcgitops.run.links import followed, where
from mcgitops.store.records import FileRef


def files(*paths: str) -> dict[str, FileRef]:
    return {
        path: FileRef(path=path, digest=f"sha256:{n:064x}", size=n) for n, path in enumerate(paths)
    }


names = st.sampled_from("abc")
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
targets = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=4).map(
    "/".join
)


def real_files(root: Path, inside: tuple[str, ...] = ()) -> dict[str, str]:
    """Path → inode of all files that are found through links, none through a folder in itself."""
    found: dict[str, str] = {}
    for place in sorted(root.iterdir()):
        real = os.path.realpath(place)
        if place.is_dir():
            above = (*inside, str(root.resolve() / place.name))
            if place.is_symlink() and any((one + "/").startswith(real + "/") for one in above):
                continue
            below = real_files(place, (*inside, str(place.parent.resolve() / place.name), real))
            found |= {f"{place.name}/{path}": inode for path, inode in below.items()}
        elif place.is_file():
            found[place.name] = real
    return found


@given(st.lists(paths, max_size=4), st.dictionaries(paths, targets, max_size=3))
def test_links_stand_for_what_the_file_system_finds(
    made: list[str], linked: dict[str, str]
) -> None:
    with TemporaryDirectory() as folder:
        root = Path(os.path.realpath(folder)) / "top" / "out"
        root.mkdir(parents=True)
        regular: list[str] = []
        for path in made:
            place = root / path
            if not place.exists() and all(not p.is_file() for p in place.parents):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(path)
                regular.append(path)
        said: dict[str, str] = {}
        for path, to in linked.items():
            place = root / path
            free = not os.path.lexists(place) and place.parent.is_dir()
            # a link's own folder is none that is reached through another link
            if free and place.parent == Path(os.path.realpath(place.parent)):
                place.symlink_to(to)
                said[path] = where(f"out/{path}", to, "out", "/app/out")
        if any(".." in linked[path].split("/") for path in said):
            return  # `..` behind a link is taken from the link's folder, not from where it leads
        ours = files(*(f"out/{path}" for path in regular))
        found, nowhere = followed({f"out/{path}": to for path, to in said.items()}, ours)
        everything = {path.removeprefix("out/"): file for path, file in {**ours, **found}.items()}
        there = real_files(root)
        assert set(everything) == set(there)
        for path, real in there.items():
            same = os.path.relpath(real, root)
            assert everything[path].digest == ours[f"out/{same}"].digest
        assert all(path == file.path for path, file in found.items())
        assert set(nowhere) <= {f"out/{path}" for path in said}


@pytest.mark.parametrize(
    ("link", "to", "base", "expected"),
    [
        ("out/a", "b", "out", "out/b"),
        ("out/deep/a", "../b", "out", "out/b"),
        ("out/a", "../b", "out", ""),
        ("out/a", "../../../etc/passwd", "out", ""),
        ("out/a", "/app/out/b c/d", "out", "out/b c/d"),
        ("out/a", "/app/output/b", "out", ""),
        ("out/a", "/etc/passwd", "out", ""),
        ("out/a", ".", "out", "out"),
        ("a", "b", ".", "b"),
        ("a", "..", ".", ""),
        ("a", "/app/out", ".", "."),
    ],
)
def test_where_a_link_leads(link: str, to: str, base: str, expected: str) -> None:
    assert where(link, to, base, "/app/out/") == expected


def test_links_that_multiply_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MOST", 1000)
    pairs = {f"out/{n}/{side}": f"out/{n + 1}" for n in range(40) for side in "lr"}
    found, nowhere = followed(pairs, files("out/40/file"))
    assert len(found) <= 1000
    assert "out/0/l" in nowhere
    assert all(link in nowhere or any(p.startswith(f"{link}/") for p in found) for link in pairs)
    # and where nothing is found at all
    found, nowhere = followed(pairs, {})
    assert found == {}
    assert len(nowhere) == 80


def test_a_file_of_another_folder_with_a_like_name_is_not_below_it() -> None:
    found, nowhere = followed({"out/l": "out/ab"}, files("out/abc", "out/ab/c"))
    assert set(found) == {"out/l/c"}
    assert nowhere == []
