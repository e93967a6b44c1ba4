"""The scripts for hosts, executed by the shells that hosts have."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from mcgitops.deploy.shipping import incoming
from mcgitops.deploy.shipping.meter import Amount, Meter, duration, progress

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SHELLS = [("sh",), ("bash", "--posix")]


def run(
    shell: tuple[str, ...], script: str, stdin: bytes = b"", path: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    assert shutil.which(shell[0])
    env = {"PATH": path} if path else None
    return subprocess.run([*shell, "-c", script], input=stdin, capture_output=True, env=env)


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "it's $HOME"


def test_a_layer_grows_by_what_is_sent(shell: tuple[str, ...], root: Path) -> None:
    assert incoming.parts(run(shell, incoming.look(str(root), [A, B])).stdout.decode()) == ()
    first = run(shell, incoming.receive(str(root), A, anew=True), b"hello ")
    second = run(shell, incoming.receive(str(root), A, anew=False), b"world")
    assert incoming.received(first.stdout.decode()) == hashlib.sha256(b"hello ").hexdigest()
    whole = hashlib.sha256(b"hello world").hexdigest()
    assert incoming.received(second.stdout.decode()) == whole
    looked = run(shell, incoming.look(str(root), [A, B])).stdout.decode()
    assert incoming.parts(looked) == (incoming.Part(A, 11, whole),)
    again = run(shell, incoming.receive(str(root), A, anew=True), b"new")
    assert incoming.received(again.stdout.decode()) == hashlib.sha256(b"new").hexdigest()


def test_what_nobody_wants_any_more_is_removed(shell: tuple[str, ...], root: Path) -> None:
    run(shell, incoming.look(str(root), [A, B]))
    for layer in (A, B):
        run(shell, incoming.receive(str(root), layer, anew=True), b"x")
    (root / "incoming" / "image.77").mkdir()
    looked = run(shell, incoming.look(str(root), [B]))
    assert [part.layer for part in incoming.parts(looked.stdout.decode())] == [B]
    left = {str(one.relative_to(root)) for one in root.rglob("*") if one.name != "parts"}
    assert left == {"incoming", f"incoming/parts/{B[7:]}"}
    run(shell, incoming.forget(str(root)))
    assert list(root.iterdir()) == []


def test_a_writer_of_a_broken_connection_no_longer_reaches_the_file(
    shell: tuple[str, ...], root: Path
) -> None:
    run(shell, incoming.look(str(root), [A]))
    run(shell, incoming.receive(str(root), A, anew=True), b"begin ")
    part = root / "incoming" / "parts" / A[7:]
    with part.open("ab") as stale:
        run(shell, incoming.look(str(root), [A]))
        stale.write(b"late")
    assert part.read_bytes() == b"begin "


def test_what_can_not_be_written_is_no_success(shell: tuple[str, ...], root: Path) -> None:
    run(shell, incoming.look(str(root), [A]))
    (root / "incoming" / "parts" / A[7:]).symlink_to("/dev/full")
    done = run(shell, incoming.receive(str(root), A, anew=False), b"x")
    assert done.returncode != 0
    assert incoming.no_room(done.stderr.decode())
    assert incoming.received(done.stdout.decode()) == ""


def test_a_layer_is_named_by_a_digest_and_by_nothing_else(root: Path) -> None:
    with pytest.raises(ValueError, match="etc"):
        incoming.receive(str(root), "sha256:../../etc/passwd", anew=True)


@pytest.mark.parametrize(
    ("there", "sent", "total", "seconds", "said"),
    [
        (0, 45_200_000, Amount(120_000_000), 5.0, "45.2 MB of 120 MB sent, 9.0 MB/s, 8 s left"),
        (60_000_000, 10_000_000, Amount(120_000_000, False), 5.0,
         "70.0 MB of about 120 MB sent, 2.0 MB/s, 25 s left"),
        (0, 0, Amount(120_000_000), 5.0, "0.0 MB of 120 MB sent, nothing moves yet"),
        (0, 11_000_000, Amount(10_000_000, False), 1.0,
         "11.0 MB of about 11.0 MB sent, 11.0 MB/s, 0 s left"),
    ],
)  # fmt: skip
def test_how_far_it_is_for_people(
    there: int, sent: int, total: Amount, seconds: float, said: str
) -> None:
    assert progress(there, sent, total, seconds) == said


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (125, "2 min 5 s"), (3780, "1 h 3 min")]
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_there_is_a_sign_of_life_as_long_as_it_lasts() -> None:
    lines: list[str] = []
    twice = threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            twice.set()

    meter = Meter(say, "a", lambda: Amount(1000), first=0.001)
    meter.add(1000)
    with meter.running():
        assert twice.wait(60)
    assert all(line.startswith("a   1 kB of 1 kB sent") for line in lines)
    meter.loading()
    assert "the engine unpacks the layers" in meter.line(meter._began + 1)
