"""Weights & Biases, offline: `offline-run-*/run-ID.wandb`, a log of protocol buffers.

The container is LevelDB's log format with a header of 7 bytes and zlib's crc32 (wandb's
core/pkg/leveldb): blocks of 32 KiB, records `crc u32, length u16, type u8, data` where the type is
full, first, middle or last, and the crc is that of type and data. A message is a `Record` of
wandb_internal.proto. There is no summary file offline (wandb#9646), so metrics are the last values
of the history, and the summary's where it has others.
"""

from __future__ import annotations

import json
import math
import posixpath
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, BinaryIO, cast

from mcgitops.deferred import dataclass
from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head, matching
from mcgitops.metrics.formats.protobuf import bytes_of, fields, signed
from mcgitops.metrics.formats.runs import History, Keeper, Run, common_folder, findings, lasting
from mcgitops.metrics.values import (
    MAX_TEXT,
    Findings,
    Scalar,
    UnreadableError,
    Warnings,
    flatten,
    text,
)

PATTERNS = ("*.wandb",)
MAGIC = b":W&B"
VERSION = b"\xe1\xbe\x00"
HEADER = 7
BLOCK = 32 * 1024
LARGEST = 64 << 20
"""Bytes of one message; a larger one is left out."""
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
_HISTORY, _SUMMARY, _CONFIG, _RUN, _EXIT = 2, 3, 5, 17, 18


@dataclass
class _Log:
    """What a run's log has told so far."""

    keeper: Keeper
    run: Run = field(default_factory=lambda: Run(""))
    history: dict[str, Scalar] = field(default_factory=dict)
    summary: dict[str, Scalar] = field(default_factory=dict)
    started: tuple[int, int] = (0, 0)  # seconds, nanoseconds
    ended: int | None = None
    rows: int = 0


def claims(files: Files) -> Iterable[Claim]:
    """All runs' logs together, with what lies in their folders."""
    logs = matching(files, *PATTERNS) or [
        path for path in files.sizes if head(files, path, len(MAGIC)) == MAGIC
    ]
    if not logs:
        return
    folders = {posixpath.dirname(path) for path in logs}
    own = [one for one in folders if posixpath.basename(one).startswith(("offline-run-", "run-"))]
    beside = (path for path in files.sizes if any(path.startswith(f"{one}/") for one in own))
    source = lasting(common_folder(logs)) if len(logs) > 1 else lasting(logs[0])
    yield Claim(source or "wandb", tuple(dict.fromkeys((*logs, *beside))))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """Every run: last values, config, history."""
    logs = matching(files, *PATTERNS) or [
        path for path in files.sizes if head(files, path, len(MAGIC)) == MAGIC
    ]
    found: list[_Log] = []
    keeper = Keeper()
    for path in sorted(logs):
        own = Warnings()
        log = _Log(keeper)
        try:
            with files.open(path) as stream:
                for message in _messages(stream, own):
                    _take(message, log, own)
        except UnreadableError as error:
            own.add(str(error))
        except OSError as error:
            own.add(f"can't be read: {error.strerror or error}.")
        else:
            if log.ended is None:
                own.add("has no end, as if the process was killed; what is there counts.")
            elif log.ended:
                own.add(f"is of a run that failed with exit code {log.ended}.")
        log.run.metrics = dict(sorted({**log.history, **log.summary}.items()))
        log.run.histories = dict(sorted(log.run.histories.items()))
        found.append(log)
        for sentence in own.all():
            name = posixpath.basename(path)
            warnings.add(f"{name} {sentence}" if claim.source != path else sentence)
    found.sort(key=lambda log: log.started)
    return findings(claim.source, [log.run for log in found], keeper, "step", warnings)


def _messages(stream: BinaryIO, warnings: Warnings) -> Iterator[bytes]:
    """Whole messages. A damaged piece takes its message with it, and a lost length its block."""
    parts: list[bytes] | None = None
    size, skipped, damaged = 0, 0, 0
    first = True
    cut = False
    while block := _block(stream):
        position = 0
        if first:
            first = False
            if block[: len(MAGIC)] != MAGIC:
                raise UnreadableError("is not a log of W&B.")
            if block[len(MAGIC) : HEADER] != VERSION:
                warnings.add("is of an unknown version, or its header is damaged.")
            position = HEADER
        while position + 7 <= len(block):
            crc, length, kind = struct.unpack_from("<IHB", block, position)
            if not crc and not length and not kind:
                break  # the rest of the block is filled up
            end = position + 7 + length
            if end > len(block):
                if len(block) < BLOCK:
                    cut = True
                else:
                    damaged += 1
                parts = None
                position = len(block)
                break
            data = block[position + 7 : end]
            if zlib.crc32(data, zlib.crc32(block[position + 6 : position + 7])) != crc:
                damaged += 1
                parts = None
            elif kind == FULL:
                parts = None
                yield data
            elif kind == FIRST:
                parts, size = [data], length
            elif kind in (MIDDLE, LAST) and parts is not None:
                size += length
                if size > LARGEST:
                    parts, skipped = None, skipped + 1
                else:
                    parts.append(data)
                    if kind == LAST:
                        yield b"".join(parts)
                        parts = None
            position = end
        if len(block) < BLOCK and position < len(block):
            cut = True
    if first:
        raise UnreadableError("is empty.")
    if cut or parts is not None:
        warnings.add("is cut off; what is whole counts.")
    if damaged:
        warnings.add(f"has {damaged} damaged records (wrong checksum), which are left out.")
    if skipped:
        warnings.add(f"has {skipped} records of over {LARGEST >> 20} MiB, which are left out.")


def _block(stream: BinaryIO) -> bytes:
    """The next 32 KiB, or what is left."""
    parts = []
    missing = BLOCK
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _take(message: bytes, log: _Log, warnings: Warnings) -> None:
    try:
        for number, value in fields(message):
            if not isinstance(value, bytes):
                continue
            if number == _HISTORY:
                _history(value, log, warnings)
            elif number == _SUMMARY:
                for item in bytes_of(value, 1):
                    key, raw = _item(item)
                    _keep(log.summary, key, raw, warnings)
                for item in bytes_of(value, 2):
                    key, _ = _item(item)
                    log.summary.pop(".".join(key), None)
            elif number == _CONFIG:
                _config(value, log, warnings)
            elif number == _RUN:
                _run(value, log, warnings)
            elif number == _EXIT:
                codes = [v for n, v in fields(value) if n == 1 and isinstance(v, int)]
                log.ended = signed(codes[-1]) if codes else 0
    except ValueError as error:
        warnings.add(f"has a record that can't be understood: {error}.")


def _run(message: bytes, log: _Log, warnings: Warnings) -> None:
    for number, value in fields(message):
        if number == 4 and isinstance(value, bytes):
            _config(value, log, warnings)
        elif number == 8 and isinstance(value, bytes):
            log.run.name = text(value.decode("utf-8", "replace"), 100)
        elif number == 17 and isinstance(value, bytes):
            time = {n: v for n, v in fields(value) if isinstance(v, int)}
            log.started = (time.get(1, 0), time.get(2, 0))


def _config(message: bytes, log: _Log, warnings: Warnings) -> None:
    for item in bytes_of(message, 1):
        key, raw = _item(item)
        if key and key[0] != "_wandb":
            _keep(log.run.params, key, raw, warnings, numbers_only=False)


def _history(message: bytes, log: _Log, warnings: Warnings) -> None:
    row: dict[str, Scalar] = {}
    step: float = log.rows
    for number, value in fields(message):
        if number == 2 and isinstance(value, bytes):
            steps = [v for n, v in fields(value) if n == 1 and isinstance(v, int)]
            step = signed(steps[-1]) if steps else step
        elif number == 1 and isinstance(value, bytes):
            key, raw = _item(value)
            if key == ("_step",) and isinstance(raw, (int, float)):
                step = raw
            _keep(row, key, raw, warnings)
    log.rows += 1
    for name, found in sorted(row.items()):  # the log has no order of keys
        log.history[name] = found
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            continue
        history = log.run.histories.get(name)
        if history is None:
            history = log.run.histories[name] = History(log.keeper)
        history.add(float(step), float(found))


def _item(message: bytes) -> tuple[tuple[str, ...], Any]:
    """A key, which may be nested, and the value that its JSON stands for."""
    key, nested, raw = "", [], b""
    for number, value in fields(message):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            key = value.decode("utf-8", "replace")
        elif number == 2:
            nested.append(value.decode("utf-8", "replace"))
        elif number == 16:
            raw = value
    try:
        data = json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        raise ValueError(f"the value of {key or '.'.join(nested)} is not JSON") from None
    return tuple(nested) or (key,), data


_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How the log's writer puts what JSON has no number for."""


def _keep(
    into: dict[str, Scalar],
    key: tuple[str, ...],
    raw: Any,
    warnings: Warnings,
    *,
    numbers_only: bool = True,
) -> None:
    """One item's scalars. Of metrics no media, tables and texts, and nothing of W&B's own."""
    if not key or not key[0] or key[0].startswith("_"):
        return
    name = text(".".join(key), 200)
    if isinstance(raw, str) and numbers_only:
        raw = _SPECIAL.get(raw, raw)
    if isinstance(raw, dict) and "_type" in raw:
        return  # a picture, a histogram, a table
    values = flatten(raw, warnings, root="") if isinstance(raw, (dict, list)) else {"": raw}
    for below, value in values.items():
        if numbers_only and (isinstance(value, str) or value is None):
            continue
        if not numbers_only and isinstance(value, str):
            value = text(value, MAX_TEXT)
        into[f"{name}.{below}" if below else name] = cast(Scalar, value)
