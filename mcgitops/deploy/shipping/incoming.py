"""What happens on a host while an image arrives: scripts for its shell, and what they answer.

Below the environment's folder:

    incoming/parts/DIGEST    a layer (named by its diff-id) as gzip, whole or as far as it came
    incoming/image.PID/      the archive that is loaded, put together from the parts

Nothing but a POSIX shell, the core utilities and tar is asked of a host; busybox has all of them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from mcgitops.commands import image as image_commands
from mcgitops.deferred import dataclass

# macOS and BSD call it shasum
_SUM = 'sum() { sha256sum "$@" 2>/dev/null || shasum -a 256 "$@"; }'
_NO_ROOM = re.compile(r"no space left on device|disk quota exceeded|not enough space", re.I)


@dataclass(frozen=True)
class Part:
    """How much of a layer lies on a host."""

    layer: str  # its diff-id
    size: int
    digest: str  # SHA-256 of these bytes


def look(root: str, layers: Iterable[str]) -> str:
    """Shell: tell what is there of these layers, and remove everything else.

    What is there is copied first: the sender of a broken connection may still write to the file
    that it has open, and must not write into ours.
    """
    names = " ".join(_hexadecimal(layer) for layer in layers)
    return "\n".join((
        "umask 077",
        _SUM,
        f"mkdir -p {_folder(root)}/parts && cd {_folder(root)} || exit 1",
        "rm -rf image.* taken",
        "for part in parts/*; do",
        '  [ -f "$part" ] || continue',
        f'  case " {names} " in *" ${{part#parts/}} "*) ;; *) rm -f "$part"; continue;; esac',
        '  cp "$part" taken 2>/dev/null && mv -f taken "$part" || rm -f taken',
        '  printf "@part %s %s %s\\n" "${part#parts/}" "$(wc -c <"$part")" "$(sum <"$part")"',
        "done",
        "true",
    ))  # fmt: skip


def parts(text: str) -> tuple[Part, ...]:
    """What `look` printed."""
    found = re.findall(r"^@part ([0-9a-f]{64})\s+(\d+)\s+([0-9a-f]{64})", text, re.M)
    return tuple(Part(f"sha256:{name}", int(size), digest) for name, size, digest in found)


def receive(root: str, layer: str, *, anew: bool) -> str:
    """Shell: append standard input to what is there of a layer, then tell the whole's digest."""
    part = f"{_folder(root)}/parts/{_hexadecimal(layer)}"
    how = ">" if anew else ">>"
    return f"umask 077; {_SUM}\ncat {how}{part} && printf '@sum %s\\n' \"$(sum <{part})\""


def received(text: str) -> str:
    """The digest that `receive` printed."""
    found = re.search(r"^@sum ([0-9a-f]{64})", text, re.M)
    return found[1] if found else ""


def load(root: str, layers: Iterable[str]) -> str:
    """Shell: put the image together and load it; standard input is its tar without layers.

    The layers go in unpacked: then a layer has the same name in every image, and the containerd
    store finds those that it has (it leaves out of its lists what lacks one).
    """
    names = " ".join(_hexadecimal(layer) for layer in layers)
    return "\n".join((
        "umask 077",
        f"cd {_folder(root)} || exit 1",
        "image=image.$$",
        'mkdir "$image" && tar -xf - -C "$image" || exit 1',
        f"for layer in {names}; do" if names else "for layer; do",
        '  gzip -dc <"parts/$layer" >"$image/blobs/sha256/$layer" ||'
        ' { code=$?; rm -rf "$image"; exit $code; }',
        "done",
        f'tar -cf - -C "$image" . | {shlex.join(image_commands.load())}',
        "code=$?",
        'rm -rf "$image"',
        "exit $code",
    ))  # fmt: skip


def forget(root: str) -> str:
    """Shell: remove what has arrived."""
    return f"rm -rf {_folder(root)}"


def no_room(text: str) -> bool:
    """Whether a program on the host said that its disk is full."""
    return bool(_NO_ROOM.search(text))


def _folder(root: str) -> str:
    return shlex.quote(f"{root}/incoming")


def _hexadecimal(digest: str) -> str:
    name = digest.removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", name):
        raise ValueError(digest)
    return name
