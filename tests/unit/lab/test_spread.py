"""The order in which processes share the tests."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from tests.spread import spread

FILES = st.lists(
    st.tuples(
        st.sampled_from(["tests/integration/deploy/", "tests/integration/store/", "tests/unit/"]),
        st.sampled_from(["a.py", "b.py", "c.py", "d.py"]),
    ).map("".join),
    max_size=60,
).map(sorted)


@given(FILES, st.integers(1, 5))
def test_every_test_runs_once_and_long_files_stay_together(files, processes):
    order = spread(files, processes)
    assert sorted(order) == list(range(len(files)))
    runs = [file for file, _ in groupby(files[place] for place in order)]
    long = [file for file in runs if "/integration/" in file]
    assert len(long) == len(set(long))


def test_each_part_begins_with_what_takes_long_and_ends_with_what_does_not():
    files = [f"tests/integration/deploy/{name}.py" for name in "abcdef"]
    files += ["tests/integration/store/g.py"] * 6 + ["tests/unit/h.py"] * 18
    said = [files[place].split("/")[-1][0] for place in spread(files, 3)]
    assert ["".join(said[start : start + 10]) for start in (0, 10, 20)] == [
        "adgggggghh", "behhhhhhhh", "cfhhhhhhhh",
    ]  # fmt: skip
