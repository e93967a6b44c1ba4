"""Files of the real trackers, cut off anywhere or with a bit flipped: never a crash, and what is no
longer as it was is said.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.metrics import detect
from mcgitops.metrics.values import Findings
from tests.lab import writers


@dataclass(frozen=True)
class InMemory:
    contents: Mapping[str, bytes]

    @property
    def sizes(self) -> Mapping[str, int]:
        return {path: len(content) for path, content in sorted(self.contents.items())}

    def open(self, path: str) -> io.BytesIO:
        return io.BytesIO(self.contents[path])


@functools.cache
def whole(script: str, part: str) -> tuple[Mapping[str, bytes], Findings]:
    """The files of a part, and what is in them."""
    folder = writers.written(script) / part
    contents = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    findings = detect.find(InMemory(contents))
    assert findings.warnings == ()
    return contents, findings


def shown(findings: Findings) -> dict[str, object]:
    """All numbers as text, so that NaN equals itself."""
    metrics = {
        f"{source} {name}": repr(value)
        for source, values in findings.metrics.items()
        for name, value in values.items()
    }
    return {**metrics, **{plot.name: repr(plot.series) for plot in findings.plots}}


def logged(findings: Findings) -> set[bytes]:
    """All values that a metric ever had, as floats of 32 bits: several texts stand for one."""
    values = [value for metrics in findings.metrics.values() for value in metrics.values()]
    curves = [value for plot in findings.plots for line in plot.series.values() for value in line]
    return {struct.pack("<f", value) for value in (*values, *curves)}


def files_of(contents: Mapping[str, bytes], *patterns: str) -> list[str]:
    return [
        path for path, data in contents.items() if data and any(part in path for part in patterns)
    ]


def cut(contents: Mapping[str, bytes], path: str, data: st.DataObject) -> tuple[int, Findings]:
    size = data.draw(st.integers(0, len(contents[path]) - 1))
    return size, detect.find(InMemory({**contents, path: contents[path][:size]}))


def flipped(contents: Mapping[str, bytes], path: str, data: st.DataObject) -> Findings:
    position = data.draw(st.integers(0, 8 * len(contents[path]) - 1))
    damaged = bytearray(contents[path])
    damaged[position // 8] ^= 1 << position % 8
    return detect.find(InMemory({**contents, path: bytes(damaged)}))


def frames(content: bytes) -> set[int]:
    """Where the frames of an event file end."""
    ends, position = {0}, 0
    while position < len(content):
        position += struct.unpack_from("<Q", content, position)[0] + 16
        ends.add(position)
    return ends


@given(part=st.sampled_from(["single", "hparams", "tf"]), data=st.data())
def test_events_that_are_cut_off(part: str, data: st.DataObject) -> None:
    contents, before = whole("tensorboard_runs", part)
    path = data.draw(st.sampled_from(files_of(contents, "tfevents")))
    size, after = cut(contents, path, data)
    assert logged(after) <= logged(before)
    # an event file has no end: one that ends with a frame can't be told from a shorter one
    assert after.warnings or size in frames(contents[path]) - {0}


@given(part=st.sampled_from(["single", "hparams", "tf"]), data=st.data())
def test_events_with_a_bit_flipped(part: str, data: st.DataObject) -> None:
    contents, before = whole("tensorboard_runs", part)
    after = flipped(contents, data.draw(st.sampled_from(files_of(contents, "tfevents"))), data)
    assert logged(after) <= logged(before)
    assert after.warnings  # there is a checksum over every byte


@given(part=st.sampled_from(["single", "wandb"]), data=st.data())
def test_a_log_of_wandb_that_is_cut_off(part: str, data: st.DataObject) -> None:
    contents, before = whole("wandb_runs", part)
    (path,) = files_of(contents, ".wandb")
    _, after = cut(contents, path, data)
    assert logged(after) <= logged(before)
    assert after.warnings


@given(part=st.sampled_from(["single", "wandb"]), data=st.data())
def test_a_log_of_wandb_with_a_bit_flipped(part: str, data: st.DataObject) -> None:
    contents, before = whole("wandb_runs", part)
    (path,) = files_of(contents, ".wandb")
    after = flipped(contents, path, data)
    assert logged(after) <= logged(before)
    assert after.warnings or shown(after) == shown(before)


@settings(max_examples=40)
@given(which=st.sampled_from(["mlflow.db", "mlflow.db-wal"]), data=st.data())
def test_a_database_of_mlflow_that_is_cut_off(which: str, data: st.DataObject) -> None:
    contents, before = whole("mlflow_runs", "killed")
    size, after = cut(contents, which, data)
    # without a log beside it a database is as it was before the log
    gone = which.endswith("-wal") and size == 0
    assert after.warnings or shown(after) == shown(before) or gone


@settings(max_examples=40)
@given(which=st.sampled_from(["mlflow.db", "mlflow.db-wal"]), data=st.data())
def test_a_database_of_mlflow_with_a_bit_flipped(which: str, data: st.DataObject) -> None:
    contents, before = whole("mlflow_runs", "killed")
    after = flipped(contents, which, data)
    assert after.warnings or shown(after) == shown(before)


@given(data=st.data())
def test_a_file_store_of_mlflow_that_is_cut_off(data: st.DataObject) -> None:
    contents, before = whole("mlflow_runs", "alone")
    path = data.draw(st.sampled_from(files_of(contents, "/metrics/", "meta.yaml")))
    size, after = cut(contents, path, data)
    assert logged(after) <= logged(before)
    ends_with_a_line = contents[path][:size].endswith(b"\n")
    assert after.warnings or shown(after) == shown(before) or ends_with_a_line


@given(data=st.data())
def test_a_file_store_of_mlflow_with_a_bit_flipped_is_read_or_said(data: st.DataObject) -> None:
    contents, _ = whole("mlflow_runs", "alone")
    path = data.draw(st.sampled_from(files_of(contents, "mlruns")))
    flipped(contents, path, data)  # text has no checksums: it only must not raise
