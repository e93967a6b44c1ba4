"""Takes away what a host no longer needs: release folders, what only they mount, and their images.

Which folders can go is decided in `plan/history.py`. What else can go the host sees itself: a file
that no release folder left there names, an image of this project that no release of any environment
of that user names and that no container uses. Other images are never touched.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from mcgitops.deploy.connection import Connections
from mcgitops.deploy.names import image_folder
from mcgitops.errors import McgitopsError
from mcgitops.project.hosts import HostFacts


def prune(connections: Connections, facts: HostFacts, project: str, folders: Iterable[str]) -> None:
    """Remove release folders (below `releases/`) and what nobody else needs. May be repeated."""
    text = prune_script(facts.root, project, folders)
    done = connections.script(facts.host, text, timeout=300, check=False)
    if done.code != 0:
        said = [line for line in done.stdout.splitlines() if line.strip()]
        raise McgitopsError(
            f"{facts.host.label}: not all that is old could be removed: "
            f"{'; '.join(said[:3]) or 'it gave no reason'}",
            f"Look into {facts.root} there.",
        )


def prune_script(root: str, project: str, folders: Iterable[str]) -> str:
    """Shell: exit 1 where something could not be removed, with a line on each."""
    gone = " ".join(shlex.quote(f"releases/{folder}") for folder in folders)
    images = f"{image_folder(project)}/"
    return "\n".join((
        f"cd {shlex.quote(root)} || exit 1",
        # without these, "no release needs it" would be true of everything
        "[ -f current/release.json ] && [ -f current/compose.yml ] || exit 0",
        "failed=0",
        "away() { rm -rf -- \"$1\" 2>/dev/null || { failed=1; echo \"$1\"; }; }",
        *((f'for folder in {gone}; do away "$folder"; done',) if gone else ()),
        "for folder in releases/*; do rmdir \"$folder\" 2>/dev/null; done",
        "for item in files/* secrets/*; do",
        '  [ -e "$item" ] || continue',
        '  grep -qF -e "$item" releases/*/*/compose.yml 2>/dev/null',
        # 1 is "not found"; any other answer is no reason to remove it
        '  [ $? -eq 1 ] && away "$item"',
        "done",
        # another environment's rollout may have sent an image that no folder of its names yet
        "now=$(date +%s)",
        "for lock in ../*/lock/owner.json; do",
        '  [ -f "$lock" ] && ! [ "$lock" -ef lock/owner.json ] || continue',
        "  expires=$(sed -n 's/.*\"expires\": *\\([0-9][0-9]*\\).*/\\1/p' \"$lock\")",
        '  [ "${expires:-0}" -gt "$now" ] && exit $failed',
        "done",
        "used=$(docker ps --all --no-trunc --format '{{.Image}}') || exit 1",
        "for image in $(docker image ls --format '{{.Repository}}:{{.Tag}}'"
        f" | grep -E {shlex.quote(f'^{images}[a-z0-9-]+:sha256-[0-9a-f]{{16}}$')}); do",
        "  printf '%s\\n' \"$used\" | grep -qxF -e \"$image\" && continue",
        # folders of projects side by side: names of images may be the same for two of them
        '  grep -qF -e "\\"$image\\"" ../../*/*/releases/*/*/release.json 2>/dev/null',
        "  [ $? -eq 1 ] || continue",
        "  docker image rm \"$image\" >/dev/null 2>&1 || echo \"$image is still used\" >&2",
        "done",
        "exit $failed",
    ))  # fmt: skip
