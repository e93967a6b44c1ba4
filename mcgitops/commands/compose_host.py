"""`docker compose` on a host, out of a release folder: start it, take it down, make it current.

Each function returns an argument list; `commands.ssh.on_host` takes it to the host.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

Argv = tuple[str, ...]

GUARD = "compose.lock"
SETTLED = (
    f'if [ -e "$root/{GUARD}" ] && command -v flock >/dev/null;'
    f' then flock -w 60 "$root/{GUARD}" true; fi\n'
)
"""Shell: wait for what `guarded` started below `$root` and nobody waits for any more."""


def compose(folder: str, project_name: str, variables: Iterable[str], *arguments: str) -> Argv:
    """`docker compose … ARGUMENT…` with exactly the values of the release folder.

    The release's variables are taken out of the environment first: otherwise a value of whoever
    calls would win over the folder's `.env`, and a rollback would not bring the old one back.
    """
    unset = [word for name in ("COMPOSE_PROFILES", *variables) for word in ("-u", name)]
    return (
        "env", *unset, "docker", "compose", "--ansi", "never",
        "--project-name", project_name,
        "--project-directory", folder,
        "--env-file", f"{folder}/.env",
        "--file", f"{folder}/compose.yml",
        *arguments,
    )  # fmt: skip


def up(folder: str, project_name: str, variables: Iterable[str]) -> Argv:
    """Start what the folder says and remove what it no longer names; never builds or pulls.

    It doesn't `--wait`: that exits 1 for a service that ends with 0, and takes a crash loop for
    health. `mcgitops step healthy` judges instead.
    """
    return compose(
        folder, project_name, variables,
        "up", "--detach", "--no-build", "--pull", "never", "--remove-orphans",
    )  # fmt: skip


def up_service(
    folder: str, project_name: str, variables: Iterable[str], service: str, *, anew: bool = False
) -> Argv:
    """Replace one service's containers in place: Compose stops the old ones, then starts anew.

    anew: also where nothing has changed, since what runs is not well.
    """
    return compose(
        folder, project_name, variables,
        "up", "--detach", "--no-build", "--pull", "never", "--no-deps",
        *(("--force-recreate",) if anew else ()), service,
    )  # fmt: skip


def surge(
    folder: str, project_name: str, variables: Iterable[str], service: str, scale: int
) -> Argv:
    """Start further containers of a service beside those that run, until there are `scale`.

    `--no-recreate` leaves the old ones alone, whatever they were made from.
    """
    return compose(
        folder, project_name, variables,
        "up", "--detach", "--no-build", "--pull", "never", "--no-deps", "--no-recreate",
        "--scale", f"{service}={scale}", service,
    )  # fmt: skip


def retire(names: Iterable[str], grace: float) -> str:
    """Shell: stop containers by name, with their time to end, and remove them with their own
    volumes."""
    chosen = shlex.join(names)
    return (
        f"docker container stop --time {max(0, round(grace))} {chosen} &&"
        f" docker container rm --volumes --force {chosen}"
    )


def down(folder: str, project_name: str, variables: Iterable[str]) -> Argv:
    """Remove the project's containers and networks; named volumes hold data and stay."""
    return compose(folder, project_name, variables, "down", "--remove-orphans")


def guarded(root: str, argv: Argv, *, seconds: int, tools: Iterable[str]) -> Argv:
    """`argv` on the host itself one at a time (flock) and bounded (timeout), where it has these.

    A compose that outlives its broken connection is waited for, and ends: it never runs beside the
    one that puts things right again.
    """
    known = set(tools)
    if "timeout" in known:
        argv = ("timeout", str(seconds), *argv)
    if "flock" in known:
        argv = ("flock", f"{root}/{GUARD}", *argv)
    return argv


def logs(
    folder: str, project_name: str, variables: Iterable[str], service: str, lines: int
) -> Argv:
    """The last lines that a service wrote."""
    return compose(
        folder, project_name, variables,
        "logs", "--no-color", "--no-log-prefix", "--tail", str(lines), service,
    )  # fmt: skip


def loose_ends(project_name: str) -> str:
    """Shell: remove what containers that are gone left in the project's networks.

    An engine whose disk was full when a container went forgets the container, but not its place in
    the network: the name stays taken ("endpoint with name … already exists"), and is still found.
    Such a place shows as `ep-…`. A container that was only created keeps us from it, so it goes
    first; the engine wants to be asked twice.
    """
    label = shlex.quote(f"label=com.docker.compose.project={project_name}")
    template = shlex.quote(
        "{{range $id, $one := .Containers}}{{$id}} {{$one.Name}}{{println}}{{end}}"
    )
    return (
        f"for network in $(docker network ls --quiet --filter {label}); do\n"
        "  for try in 1 2 3; do\n"
        f"    docker network inspect --format {template} $network | sed -n 's/^ep-[^ ]* //p' |"
        " while read -r name; do\n"
        "      state=$(docker container inspect --format '{{.State.Status}}' \"$name\")\n"
        '      [ "$state" = created ] && docker container rm "$name"\n'
        '      docker network disconnect --force $network "$name"\n'
        "    done\n"
        "  done\n"
        "done >/dev/null 2>&1\n"
        "true\n"
    )


def begin(root: str, placement: str) -> str:
    """Shell: note what is being rolled out, so that an interrupted rollout is seen afterwards."""
    return (
        f"cd {shlex.quote(root)} && printf '%s\\n' {shlex.quote(placement)} > attempt.new"
        " && mv -f attempt.new attempt"
    )


def commit(
    root: str, placement: str, before: str, rejected: str = "", *, leaving: str = "",
    note: str = "", project_name: str = "",
) -> str:  # fmt: skip
    """Shell: make a placement the current one, remember the former, end the attempt.

    rejected: the name of the mark that the release has where it was rolled back before.
    leaving: the mark of the release that is left since it is bad. note: for the journal.
    project_name: the Compose project, whose containers' hashes the placement then remembers.

    `mv -T` replaces a symlink in one step (GNU, busybox); BSD calls the same `-h`.
    """
    lines = [f"cd {shlex.quote(root)}"]
    if before and before != placement:
        lines.append(_link(before, "previous"))
    mark = shlex.quote(f"releases/{placement}/committed")
    lines += [_link(placement, "current"), f"touch {mark}"]
    if project_name:
        lines.append(_remember(project_name, mark))
    if leaving:
        lines.append(_mark(leaving))
    lines.append("rm -f attempt")
    if rejected:
        lines.append(f"rm -f {shlex.quote(f'rejected/{rejected}')}")
    return " && ".join(lines) + (f" || exit 1\n{note}" if note else "")


def _remember(project_name: str, mark: str) -> str:
    """Shell: write down Compose's own hash of each service, as its containers have it.

    It says later whether a container was made from other values, without Compose being asked to
    resolve the folder anew. Only an aid: nothing fails without it.
    """
    filters = " ".join(
        f"--filter {shlex.quote(f'label=com.docker.compose.{label}')}"
        for label in (f"project={project_name}", "oneoff=False")
    )
    template = shlex.quote(
        '{{json (.Label "com.docker.compose.service")}}'
        ' {{json (.Label "com.docker.compose.config-hash")}}'
    )
    listed = f"docker ps --all {filters} --format {template}"
    return f"{{ {listed} 2>/dev/null | sort -u > {mark} || true; }}"


def end_attempt(root: str) -> str:
    """Shell: what was being rolled out is gone again."""
    return f"cd {shlex.quote(root)} && rm -f attempt"


def reject(root: str, mark: str, note: str = "") -> str:
    """Shell: remember that a release was rolled back, so that nothing deploys it by itself."""
    text = f"cd {shlex.quote(root)} && {_mark(mark)}"
    return text + (f" || exit 1\n{note}" if note else "")


def _mark(mark: str) -> str:
    return f"mkdir -p rejected && : > {shlex.quote(f'rejected/{mark}')}"


def _link(placement: str, name: str) -> str:
    target = shlex.quote(f"releases/{placement}")
    return (
        f"ln -sfn {target} {name}.new"
        f" && {{ mv -fT {name}.new {name} 2>/dev/null || mv -fh {name}.new {name}; }}"
    )
