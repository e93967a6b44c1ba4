"""Files that the real packages wrote, cut off anywhere or with a byte changed: never a crash, and
never a value that nobody wrote without a sentence about it.
"""

from __future__ import annotations

import copy
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.metrics import detect
from mcgitops.metrics.values import Findings

FIXTURES = Path(__file__).parents[2] / "fixtures" / "readers"
FOLDERS = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir() and path.name != "write")

CHECK_STATES = ("passed", "failed", "warned", "error", "skipped")


@dataclass(frozen=True)
class InMemory:
    contents: Mapping[str, bytes]

    @property
    def sizes(self) -> Mapping[str, int]:
        return {path: len(content) for path, content in sorted(self.contents.items())}

    def open(self, path: str) -> io.BytesIO:
        return io.BytesIO(self.contents[path])


WHOLE = {
    folder: {
        path.relative_to(FIXTURES / folder).as_posix(): path.read_bytes()
        for path in (FIXTURES / folder).rglob("*")
        if path.is_file()
    }
    for folder in FOLDERS
}


def found(contents: Mapping[str, bytes], path: str) -> Findings:
    return detect.find(InMemory(contents), asked=(path,))


def values(findings: Findings) -> set[tuple[str, str, str, str]]:
    """Every value with its place, as text, so that NaN equals itself."""
    kinds = {"metric": findings.metrics, "param": findings.params}
    result = {
        (kind, source, name, repr(value))
        for kind, sources in kinds.items()
        for source, named in sources.items()
        for name, value in named.items()
    }
    for table in findings.tables:
        result |= {
            ("class", table.source, f"{row.name} {key}", repr(value))
            for row in table.rows
            for key, value in row.values.items()
        }
    for matrix in findings.matrices:
        result.add(("matrix", matrix.source, str(matrix.labels), repr(matrix.counts)))
    for check in findings.checks:
        result.add(("check", check.source, check.name, check.state))
    return result


@pytest.mark.parametrize("folder", FOLDERS)
@given(data=st.data())
def test_a_file_cut_off_anywhere_says_so_or_gives_what_was_whole(folder, data):
    whole = WHOLE[folder]
    path = data.draw(st.sampled_from(sorted(whole)))
    size = data.draw(st.integers(0, len(whole[path]) - 1))
    findings = found({**whole, path: whole[path][:size]}, path)
    if not findings.warnings:
        # a file of lines that ends with a line, or one that says nothing after this point
        before = values(found(whole, path))
        line = whole[path][:size].endswith((b"\n", b"\r"))
        invented = values(findings) - before
        assert not invented or (line and not path.endswith(".json")), invented


@pytest.mark.parametrize("folder", FOLDERS)
@given(data=st.data())
def test_a_changed_byte_never_crashes(folder, data):
    whole = WHOLE[folder]
    path = data.draw(st.sampled_from(sorted(whole)))
    content = bytearray(whole[path])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    findings = found({**whole, path: bytes(content)}, path)
    for source in (findings.metrics, findings.params):
        for named in source.values():
            for name, value in named.items():
                name.encode()
                assert value is None or isinstance(value, (bool, int, float, str))
    for plot in findings.plots:
        assert all(len(points) == len(plot.xs) for points in plot.series.values())
    for matrix in findings.matrices:
        assert all(len(row) == len(matrix.labels) == len(matrix.counts) for row in matrix.counts)


ODD: list[Any] = [
    None, True, 0, -1, math.nan, math.inf, 10**400, "", "x", "a\ud800b", "../..", [], {}, [[]],
    [{}], {"a": 1}, {"": None}, ["x", 1, None], {"x": {"y": ["z"]}}, "1" * 600,
]  # fmt: skip
NESTED = sorted(
    (folder, path)
    for folder, files in WHOLE.items()
    for path in files
    if path.endswith((".json", ".yaml"))
)


def places(data: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each value of nested data is."""
    yield above
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(value, (*above, key))


@pytest.mark.parametrize(("folder", "path"), NESTED)
@settings(max_examples=40)
@given(data=st.data())
def test_values_of_the_wrong_kind_never_crash(folder, path, data):
    whole = yaml.safe_load(WHOLE[folder][path])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(places(whole))))
        odd = copy.deepcopy(data.draw(st.sampled_from(ODD)))
        if not place:
            whole = odd
            continue
        at = whole
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = odd
    text = json.dumps(whole)  # which is YAML as well
    findings = found({**WHOLE[folder], path: text.encode()}, path)
    assert all(check.state in CHECK_STATES for check in findings.checks)
    for table in findings.tables:
        assert all(isinstance(value, float) for row in table.rows for value in row.values.values())


@pytest.mark.parametrize("folder", FOLDERS)
@given(junk=st.binary(max_size=200))
def test_junk_under_a_known_name_never_crashes(folder, junk):
    for path, content in WHOLE[folder].items():
        for start in (b"", content[:64]):
            found({path: start + junk}, path)
