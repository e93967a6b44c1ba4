"""The containers and messages of trackers' logs: hostile ones behind right checksums, too."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

from google_crc32c import value as crc32c
from hypothesis import example, given
from hypothesis import strategies as st

from mcgitops.metrics import detect
from mcgitops.metrics.formats import sqlite_log
from mcgitops.metrics.formats.protobuf import fields, signed, varint
from mcgitops.metrics.formats.runs import History, Keeper, Run, distinct, findings, lasting
from mcgitops.metrics.formats.series import MAX_POINTS, MAX_SERIES
from mcgitops.metrics.values import Findings, Warnings


class InMemory:
    def __init__(self, path: str, content: bytes) -> None:
        self.sizes = {path: len(content)}
        self._content = content

    def open(self, path: str) -> io.BytesIO:
        return io.BytesIO(self._content)


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def number(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def field(index: int, data: bytes) -> bytes:
    return number(index << 3 | 2) + number(len(data)) + data


def event(tag: bytes, step: int, value: float) -> bytes:
    scalar = field(1, tag) + b"\x15" + struct.pack("<f", value)
    time = b"\x09" + struct.pack("<d", 1.0)
    return time + b"\x10" + number(step & (1 << 64) - 1) + field(5, field(1, scalar))


def events(*data: bytes) -> Findings:
    return detect.find(InMemory("x/e.tfevents.1", b"".join(map(frame, data))))


def wandb(*messages: bytes) -> Findings:
    content = b":W&B\xe1\xbe\x00"
    for message in messages:
        kind = b"\x01"
        crc = zlib.crc32(message, zlib.crc32(kind))
        content += struct.pack("<IH", crc, len(message)) + kind + message
    return detect.find(InMemory("x/run-1.wandb", content))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b/c"]), st.integers(-(2**63), 2**63 - 1), st.floats(width=32)
        ),
        min_size=1,
        max_size=20,
    )
)
@example([(b"a", 1, 0.5), (b"a", -1, 0.25), (b"a", 2**62, 0.5), (b"a", 300, 1.0)])
def test_events_are_read_the_same_whether_their_layout_is_known_or_not(
    logged: list[tuple[bytes, int, float]],
) -> None:
    found = events(*(event(*one) for one in logged))
    assert found.warnings == ()
    last = {tag.decode(): value for tag, _, value in logged}
    (metrics,) = found.metrics.values()
    assert set(metrics) == set(last)
    for tag, value in last.items():
        assert struct.pack("<f", metrics[tag]) == struct.pack("<f", value)
    for plot in found.plots:
        (tag,) = plot.series
        assert plot.xs == tuple(float(s) for t, s, _ in logged if t.decode() == tag)


@given(st.lists(st.binary(max_size=80), max_size=5))
@example([event(b"a", 1, 0.5)[:-2]])
@example([event(b"a", 1, 0.5), event(b"a", 2, 0.5) + b"\x00"])
@example([b"\x09" + b"\x00" * 8 + b"\x10" + b"\xff" * 40])
def test_any_bytes_in_whole_frames(data: list[bytes]) -> None:
    found = events(*data)
    assert all(said.startswith("x: ") for said in found.warnings)


def test_a_length_beyond_the_end_is_a_cut() -> None:
    length = struct.pack("<Q", 1 << 62)
    content = frame(event(b"a", 1, 0.5)) + length + struct.pack("<I", masked(length))
    found = detect.find(InMemory("x/e.tfevents.1", content + b"rest"))
    assert found.metrics == {"x": {"a": 0.5}}
    assert any("is cut off in its frame 2" in said for said in found.warnings)


def test_a_length_without_its_checksum_ends_the_reading() -> None:
    content = frame(event(b"a", 1, 0.5)) + struct.pack("<QI", 5, 0) + b"more than five bytes"
    found = detect.find(InMemory("x/e.tfevents.1", content))
    assert found.metrics == {"x": {"a": 0.5}}
    (said,) = found.warnings
    assert "is damaged at byte" in said


@given(st.lists(st.binary(max_size=60), max_size=5))
@example([field(2, field(1, field(1, b"a") + field(16, b"[" * 100)))])
@example([field(2, field(1, field(1, b"a") + field(16, b'{"b": {"c": 1}, "d": [1, "x"]}')))])
@example([field(2, b"\x12\x03\x08\xff\xff")])
def test_any_messages_in_whole_records(messages: list[bytes]) -> None:
    found = wandb(*messages)
    assert all(said.startswith("x/run-1.wandb: ") for said in found.warnings)
    assert found.warnings  # without an end it was killed, or is none


def test_a_nested_value_is_joined_and_media_are_left_out() -> None:
    items = [
        field(1, field(2, b"val") + field(2, b"acc") + field(16, b"0.5")),
        field(1, field(1, b"dict") + field(16, b'{"b": {"c": 1}, "text": "x"}')),
        field(1, field(1, b"picture") + field(16, b'{"_type": "image-file", "size": 7}')),
        field(1, field(1, b"_step") + field(16, b"4")),
    ]
    found = wandb(field(2, b"".join(items)), field(18, b""))
    assert found.warnings == ()
    assert found.metrics == {"x/run-1.wandb": {"dict.b.c": 1, "val.acc": 0.5}}


@given(st.binary(max_size=60))
def test_any_bytes_as_a_message_are_fields_or_an_error(message: bytes) -> None:
    try:
        for _, value in fields(message):
            assert isinstance(value, (int, bytes))
    except ValueError:
        pass


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_come_back(value: int) -> None:
    encoded = number(value & (1 << 64) - 1)
    decoded, end = varint(encoded + b"\x01", 0)
    assert (signed(decoded), end) == (value, len(encoded))


@given(st.integers(2, 60_000), st.integers(1, MAX_POINTS))
@example(2 * MAX_POINTS + 1, MAX_POINTS)
@example(2 * MAX_POINTS + 2, MAX_POINTS)
def test_a_history_keeps_its_ends_and_stays_within_bounds(count: int, most: int) -> None:
    history = History(Keeper())
    for step in range(count):
        history.add(step, -step)
    xs, ys = history.points(most)
    assert xs[0] == 0
    assert xs[-1] == count - 1
    assert list(xs) == sorted(set(xs))
    assert ys == tuple(-x for x in xs)
    assert min(count, most) <= len(xs) <= 2 * most + 2


def test_only_so_many_histories_are_kept_and_the_last_values_of_all() -> None:
    keeper, warnings = Keeper(), Warnings()
    run = Run("one")
    for index in range(MAX_SERIES + 3):
        history = run.histories[f"h{index}"] = History(keeper)
        for step in range(3):
            history.add(step, step + index)
        run.metrics[f"h{index}"] = history.last
    found = findings("s", [run], keeper, "step", warnings)
    assert len(found.plots) == MAX_SERIES
    assert found.metrics["s"][f"h{MAX_SERIES + 2}"] == MAX_SERIES + 4
    assert warnings.all() == (
        f"holds 3 histories more than the {MAX_SERIES} that are kept as curves.",
    )


def test_names_of_runs_are_told_apart() -> None:
    assert distinct(["a", "", "a", "a 2", " "]) == ["a", "run 2", "a 2", "a 2 2", "run 5"]


def test_folders_named_after_a_time_are_left_out_of_a_source() -> None:
    assert lasting("runs/Nov21_16-34-56_host/x") == "runs"
    assert lasting("wandb/offline-run-20261121_163404-x/run-x.wandb") == "wandb"
    assert lasting("lightning_logs/version_0") == "lightning_logs/version_0"
    assert lasting("20261121") == "20261121"


@given(st.binary(max_size=300))
def test_any_bytes_as_a_log_of_sqlite(content: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        said = sqlite_log.fault(Path(file.name))
    assert said if content else not said
