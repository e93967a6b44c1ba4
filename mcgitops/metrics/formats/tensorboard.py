"""TensorBoard's event files: `*.tfevents.*`, a sequence of frames with protocol buffers.

A frame is `length u64, crc of the length u32, data, crc of the data u32` (TFRecord); the crc is
crc32c, rotated and shifted (tensorflow/core/lib/hash/crc32c.h). Data is an `Event` (event.proto):
of its summary's values those that are scalars count, `simple_value` or a tensor of one number, and
the hyperparameters that the plugin `hparams` keeps. Every checksum is checked.

Most frames of a file differ in time, step and value only. What is between step and value is decoded
once and looked up from then on: that is what makes reading fast.
"""

from __future__ import annotations

import math
import posixpath
import struct
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import BinaryIO

from mcgitops.deferred import dataclass
from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head, matching
from mcgitops.metrics.formats.protobuf import bytes_of, fields, signed, string, varint
from mcgitops.metrics.formats.runs import History, Keeper, Run, common_folder, findings, lasting
from mcgitops.metrics.values import MAX_NAME, Findings, Scalar, Warnings, text

PATTERNS = ("*tfevents*",)
CHUNK = 1 << 20
LARGEST = 64 << 20
"""Bytes of a frame that is looked at; a larger one, of pictures or sound, is passed over."""
MAX_TAGS = 10_000
MAX_LAYOUTS = 100_000

_FIRST = b"brain.Event:2"
_TENSORS: dict[int, tuple[int, str]] = {
    # DataType (types.proto): field of TensorProto with the values one by one, struct's letter
    1: (5, "f"),
    2: (6, "d"),
    3: (7, "i"),
    4: (7, "B"),
    5: (7, "h"),
    6: (7, "b"),
    9: (10, "q"),
    10: (11, "?"),
    14: (13, "bf16"),
    19: (13, "e"),
}


@dataclass
class _Log:
    """What the event files of one folder have told so far. `layouts`: bytes → history."""

    keeper: Keeper
    histories: dict[str, History] = field(default_factory=dict)
    single: set[str] = field(default_factory=set)  # tags whose values are all of 32 bits
    params: dict[str, Scalar] = field(default_factory=dict)
    is_session: bool = False  # a folder of its own for hyperparameters
    kinds: dict[str, str] = field(default_factory=dict)  # tag → plugin
    layouts: dict[bytes, Callable[[float, float], None]] = field(default_factory=dict)
    frames: int = 0
    left_out: int = 0  # tags


def claims(files: Files) -> Iterable[Claim]:
    """All event files together: each folder is a run."""
    logs = _logs(files)
    if logs:
        yield Claim(lasting(common_folder(logs)) or "tensorboard", tuple(logs))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """Every run: last values, histories, hyperparameters."""
    logs: dict[str, _Log] = {}
    keeper = Keeper()
    paths = _logs(files)
    common = common_folder(paths)
    for path in paths:
        own = Warnings()
        log = logs.setdefault(posixpath.dirname(path), _Log(keeper))
        try:
            with files.open(path) as stream:
                _read_frames(stream, log, own)
        except OSError as error:
            own.add(f"can't be read: {error.strerror or error}.")
        for sentence in own.all():
            warnings.add(f"{posixpath.relpath(path, common or '.')} {sentence}")
    runs: dict[str, Run] = {}
    for folder, log in logs.items():
        if log.left_out:
            shown = posixpath.relpath(folder or ".", common or ".")
            warnings.add(f"{shown} holds more than {MAX_TAGS} scalars; the rest is left out.")
        parent = posixpath.dirname(folder)
        if log.is_session and parent in logs and not logs[parent].is_session:
            folder = (
                parent  # hyperparameters get a run of their own, which belongs to the one above
            )
        run = runs.setdefault(folder, Run(posixpath.relpath(folder or ".", common or ".")))
        run.params |= log.params
        run.histories |= log.histories
        run.metrics |= {
            tag: _shortest(history.last) if tag in log.single else history.last
            for tag, history in log.histories.items()
        }
    kept = [run for run in runs.values() if run.metrics or run.params]
    if not kept and not warnings.all():
        warnings.add("holds no scalars.")
    return findings(claim.source, kept, keeper, "step", warnings)


def _logs(files: Files) -> list[str]:
    return sorted(
        matching(files, *PATTERNS)
        or [path for path in files.sizes if _FIRST in head(files, path, 64)]
    )


def _read_frames(stream: BinaryIO, log: _Log, warnings: Warnings) -> None:
    """All frames of one file; what is wrong is said, and what is whole counts."""
    from google_crc32c import value as crc32c

    buffer = b""
    position = 0
    offset = 0  # of the buffer in the file
    damaged = misunderstood = large = 0
    headers: dict[bytes, int] = {}  # length and its crc → length; most frames have one of a few
    layouts = log.layouts
    decode = struct.Struct("<f").unpack
    checksum = struct.Struct("<I").unpack_from
    find = layouts.get
    while True:
        header = buffer[position : position + 12]
        size = headers.get(header)
        if size is None:
            if len(header) < 12:
                size = 0  # more is needed
            else:
                size, crc = struct.unpack("<QI", header)
                if _masked(crc32c(header[:8])) != crc:
                    warnings.add(
                        f"is damaged at byte {offset + position} (wrong checksum of a length); "
                        "what is before it counts."
                    )
                    break
                if len(headers) < 10_000:
                    headers[header] = size
        end = position + size + 16
        if size > LARGEST:
            missing = end - len(buffer)
            passed = _pass(stream, missing)
            offset += len(buffer) + passed
            buffer, position = b"", 0
            large += 1
            if passed < missing:
                warnings.add(f"is cut off in its frame {log.frames + 1}; what is whole counts.")
                break
            continue
        if end > len(buffer):
            offset += position
            rest = buffer[position:]
            more = _read(stream, max(CHUNK, size + 16 - len(rest)))
            buffer, position = rest + more, 0
            if not more:
                if rest:
                    warnings.add(f"is cut off in its frame {log.frames + 1}; what is whole counts.")
                break
            continue
        data = buffer[position + 12 : end - 4]
        crc = crc32c(data)
        if ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF != checksum(buffer, end - 4)[0]:
            damaged += 1
            position = end
            continue
        position = end
        log.frames += 1
        # wall_time = 1 (eight bytes), step = 2 (varint), then what is the same each time, then f32
        if size > 24 and data[0] == 0x09 and data[9] == 0x10:
            byte = data[10]
            start = 11
            step = byte & 0x7F
            shift = 7
            while byte >= 0x80 and shift < 63:
                byte = data[start]
                step |= (byte & 0x7F) << shift
                shift += 7
                start += 1
            add = find(data[start:-4])
            if add is not None:
                add(step, decode(data[-4:])[0])
                continue
        try:
            _take(data, log)
        except (ValueError, IndexError, struct.error):
            misunderstood += 1
    if offset + position == 0 and not buffer:
        warnings.add("is empty.")
    if damaged:
        warnings.add(f"has {damaged} damaged frames (wrong checksum), which are left out.")
    if large:
        warnings.add(f"has {large} frames of over {LARGEST >> 20} MiB, which are left out.")
    if misunderstood:
        warnings.add(f"has {misunderstood} frames that can't be understood.")


def _read(stream: BinaryIO, size: int) -> bytes:
    parts = []
    while size > 0 and (part := stream.read(min(size, CHUNK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _pass(stream: BinaryIO, size: int) -> int:
    """Read without keeping anything; gives how many bytes there were."""
    passed = 0
    while passed < size and (part := stream.read(min(size - passed, CHUNK))):
        passed += len(part)
    return passed


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _take(event: bytes, log: _Log) -> None:
    """Any event. Raises `ValueError` and `struct.error` where it isn't one."""
    step = 0
    summary: bytes | None = None
    for number, value in fields(event):
        if number == 2 and isinstance(value, int):
            step = signed(value)
        elif number == 5 and isinstance(value, bytes):
            summary = value
    if summary is None:
        return
    values = bytes_of(summary, 1)
    for value in values:
        _value(value, step, log)
    if len(values) == 1 and step >= 0 and len(log.layouts) < MAX_LAYOUTS:
        _remember(event, summary, values[0], log)


def _value(message: bytes, step: int, log: _Log) -> None:
    tag, plugin, content = "", "", b""
    simple: float | None = None
    tensor: bytes | None = None
    for number, value in fields(message):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            tag = value.decode("utf-8", "replace")
        elif number == 2:
            (simple,) = struct.unpack("<f", value)
        elif number == 8:
            tensor = value
        elif number == 9:
            for data in bytes_of(value, 1):
                plugin, content = string(data, 1), b"".join(bytes_of(data, 2))
    if plugin:
        log.kinds[tag] = plugin  # only the first value of a tag says it
    if log.kinds.get(tag) == "hparams":
        _hyperparameters(content, log)
        return
    if simple is not None:
        if history := _history(tag, log):
            if not history.count:
                log.single.add(text(tag, MAX_NAME))
            history.add(step, simple)
    elif tensor is not None and log.kinds.get(tag) == "scalars":
        number_, is_single = _scalar_of(tensor)
        if number_ is not None and (history := _history(tag, log)):
            if is_single and not history.count:
                log.single.add(text(tag, MAX_NAME))
            history.add(step, number_)


def _history(tag: str, log: _Log) -> History | None:
    name = text(tag, MAX_NAME)
    found = log.histories.get(name)
    if found is None and name:
        if len(log.histories) >= MAX_TAGS:
            log.left_out += 1
            return None
        found = log.histories[name] = History(log.keeper)
    return found


def _remember(event: bytes, summary: bytes, value: bytes, log: _Log) -> None:
    """The bytes between step and value, where the next event with the same ones is as simple."""
    numbers = [number for number, _ in fields(event)]
    inner = [number for number, _ in fields(value)]
    # one value, which ends the event, and nothing after it that a look at the end would miss
    if numbers != [1, 2, 5] or inner != [1, 2] or not event.endswith(value):
        return
    if event[0] != 0x09 or event[9] != 0x10:
        return
    tag = bytes_of(value, 1)[0].decode("utf-8", "replace")
    history = log.histories.get(text(tag, MAX_NAME))
    if history is None or log.kinds.get(tag):
        return
    position = 10
    while event[position] >= 0x80:
        position += 1
    log.layouts[event[position + 1 : -4]] = history.add


def _scalar_of(tensor: bytes) -> tuple[float | None, bool]:
    """The number of a tensor that is one, and whether it is a float of 32 bits or less."""
    kind, content, listed = 0, b"", {}
    for number, value in fields(tensor):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and isinstance(value, bytes):
            if any(_size(dimension) != 1 for dimension in bytes_of(value, 2)):
                return None, False
        elif number == 4 and isinstance(value, bytes):
            content = value
        else:
            listed[number] = value
    if kind not in _TENSORS:
        return None, False
    where, letter = _TENSORS[kind]
    is_single = kind in (1, 14, 19)
    if content:
        if letter == "bf16":
            content, letter = b"\0\0" + content, "f"
        return float(struct.unpack(f"<{letter}", content)[0]), is_single
    given = listed.get(where)
    if given is None:
        return (0.0, is_single) if not listed else (None, False)  # zero isn't written
    if isinstance(given, bytes) and where in (5, 6):  # packed floats
        return float(struct.unpack(f"<{letter}", given)[0]), is_single
    if isinstance(given, bytes):  # packed varints
        given, _ = varint(given, 0)
    if where == 13:  # the bits of a float of 16 bits
        raw = struct.pack("<H", given & 0xFFFF)
        if letter == "bf16":
            raw, letter = b"\0\0" + raw, "f"
        return float(struct.unpack(f"<{letter}", raw)[0]), is_single
    return float(signed(given)), False


def _size(dimension: bytes) -> int:
    sizes = [value for number, value in fields(dimension) if number == 1]
    return signed(sizes[-1]) if sizes and isinstance(sizes[-1], int) else 0


def _hyperparameters(content: bytes, log: _Log) -> None:
    """`HParamsPluginData.session_start_info` (3): a map (1) of names to `google.protobuf.Value`."""
    for session in bytes_of(content, 3):
        log.is_session = True
        for entry in bytes_of(session, 1):
            for raw in bytes_of(entry, 2):
                log.params[text(string(entry, 1), MAX_NAME)] = _parameter(raw)


def _parameter(raw: bytes) -> Scalar:
    for number, value in fields(raw):
        if number == 2 and isinstance(value, bytes):
            (found,) = struct.unpack("<d", value)
            # numbers of any kind are kept as doubles
            return int(found) if math.isfinite(found) and found == int(found) else float(found)
        if number == 3 and isinstance(value, bytes):
            return text(value.decode("utf-8", "replace"), 500)
        if number == 4 and isinstance(value, int):
            return bool(value)
    return None


def _shortest(value: float) -> float:
    """A float of 32 bits as the shortest number that stands for it: 0.1 and not 0.10000000149."""
    if not math.isfinite(value):
        return value
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("<f", value) == struct.pack("<f", short):
            return short
    return value
