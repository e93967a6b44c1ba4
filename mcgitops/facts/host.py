"""What one host has and runs, found with a single read-only script. Decides nothing.

The caller says how the script gets to the host (`to_argv`: through ssh, or a local shell), so that
this module needs to know neither keys nor connections.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mcgitops.facts.program import Output, output
from mcgitops.project.hosts import (
    CONFIGURATION_LABEL,
    ContainerFact,
    Host,
    HostFacts,
    ImageFact,
    LockFact,
    Pin,
    Placement,
    ProxyFact,
    WantedService,
)
from mcgitops.typed.convert import convert

ToArgv = Callable[[str], Sequence[str]]
"""A POSIX shell script → the argument list that runs it on the host."""

_CONTAINER = "@container " + "\t".join(
    "{{json " + field + "}}"
    for field in (
        ".Name", ".Image", ".Config.Image", ".Config.Labels", ".State", ".RestartCount",
        ".HostConfig.RestartPolicy.Name", ".NetworkSettings.Networks",
    )
)  # fmt: skip
_MADE = (
    '{{if ne (index .Config.Labels "com.docker.compose.oneoff") "True"}}@made {{.State.Status}}'
    ' {{json (index .Config.Labels "com.docker.compose.service")}}'
    ' {{json (index .Config.Labels "com.docker.compose.config-hash")}} {{.Name}}{{end}}'
)
"""The same for the script's own use: state, "service", "Compose's hash", /name."""
IMAGE = "\t".join((
    "{{json .Id}}", "{{json .RepoTags}}", "{{json .RootFS.Layers}}",
    '{{with .GraphDriver}}{{json .Name}}{{else}}""{{end}}',  # newer engines leave it out
))  # fmt: skip
"""A template for `docker image inspect`; `image_fact` reads what it prints."""


def root_of(project: str, environment: str) -> str:
    """Shell: where an environment's folder lies on a host, in that user's own data folder."""
    below = shlex.quote(f"mcgitops/{project}/{environment}")
    return f'"${{XDG_DATA_HOME:-$HOME/.local/share}}"/{below}'


def containers_script(compose_project: str) -> str:
    """The part of the script that looks at containers; polled while a rollout waits."""
    return _containers(compose_project, _CONTAINER)


def _containers(compose_project: str, template: str) -> str:
    label = shlex.quote(f"label=com.docker.compose.project={compose_project}")
    return (
        f"date '+@now %s'\n"
        f"ids=$(docker ps --all --quiet --filter {label}) || exit 3\n"
        f'[ -z "$ids" ] || docker inspect --format {shlex.quote(template)}'
        " $ids 2>/dev/null\n"
        "true\n"
    )


def host_script(
    project: str, environment: str, compose_project: str, more: str = "", *, again: bool = False,
    settled: str = "",
) -> str:  # fmt: skip
    """Everything that a rollout or `status` needs to know, one fact a line.

    more: shell that looks at what programs inside containers say, run in the environment's folder
    where there is a current release; `$seen` holds the containers, as lines
    `@made STATE "SERVICE" "HASH" /NAME` among others.
    again: leave out what only changes with what is looked at all the same, and takes long.
    settled: shell that waits until nothing is under way there any more.
    """
    slow = "" if again else _FOLDER + _outdated_script(compose_project) + more
    both = _containers(compose_project, f"{_CONTAINER}\n{_MADE}")
    seen = "" if again else f"seen=$({both}) || exit 3\n"
    return (
        f"root={root_of(project, environment)}\n"
        "printf '@root %s\\n' \"$root\"\n"
        + ("" if again else _PROGRAMS)
        + settled
        + seen
        + _RECORDS
        + (f"  if [ -f current/release.json ]; then\n{slow}  fi\n" if slow else "")
        + "fi\n"
        "ids=$(docker image ls --all --quiet --no-trunc | sort -u)\n"
        f'[ -z "$ids" ] || docker image inspect --format {shlex.quote("@image " + IMAGE)}'
        " $ids 2>/dev/null\n"
        + (containers_script(compose_project) if again else "printf '%s\\n' \"$seen\"\n")
    )


_PROGRAMS = (
    "command -v docker >/dev/null || { echo '@problem docker'; exit 0; }\n"
    # not `docker info`, which starts every plugin to list it
    "docker version --format '@engine {{.Server.Version}}' 2>&1 ||"
    " { echo '@problem engine'; exit 0; }\n"
    # the plugin itself, where docker would find it: one process, not three
    "compose=\n"
    'case "$(readlink -f "$(command -v docker)" 2>/dev/null)" in */docker)\n'
    '  for folder in "${DOCKER_CONFIG:-$HOME/.docker}" /usr/local/lib/docker'
    " /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do\n"
    '    [ -x "$folder/cli-plugins/docker-compose" ] || continue\n'
    "    compose=$(DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND=docker"
    ' "$folder/cli-plugins/docker-compose" compose version --short 2>/dev/null)\n'
    "    break\n"
    "  done;;\n"
    "esac\n"
    '[ -n "$compose" ] || compose=$(docker compose version --short 2>/dev/null)\n'
    '[ -z "$compose" ] || printf \'@compose %s\\n\' "$compose"\n'
    "for tool in flock timeout; do"
    ' command -v $tool >/dev/null && echo "@tool $tool"; done\n'
)
_RECORDS = (
    'if [ -d "$root" ]; then cd "$root" || exit 0\n'
    "  for which in current previous; do\n"
    '    [ -f "$which/release.json" ] &&'
    ' { printf "@%s " "$which"; cat "$which/release.json"; echo; }\n'
    "  done\n"
    '  [ -L current ] && { stat -c "@since %Y" current 2>/dev/null ||'
    ' stat -f "@since %m" current; }\n'
    "  [ -f attempt ] && { printf '@attempt '; cat attempt; echo; }\n"
    "  [ -f lock/owner.json ] && { printf '@lock '; cat lock/owner.json; echo; }\n"
    "  for manifest in releases/*/*/release.json; do"
    ' [ -f "$manifest" ] && { printf "@placed "; cat "$manifest"; echo; }; done\n'
    "  set -- releases/*/*/committed\n"
    '  [ -e "$1" ] && { stat -c "@committed %Y %n" "$@" 2>/dev/null ||'
    ' stat -f "@committed %m %N" "$@"; }\n'
    '  for name in rejected/*; do [ -e "$name" ] && echo "@rejected $name"; done\n'
    '  for file in files/*; do [ -e "$file" ] && echo "@file $file"; done\n'
)


_FOLDER = (
    "command -v sha256sum >/dev/null && { echo '@sums yes'; (cd -P current &&"
    " find . -type f ! -name release.json -exec sha256sum {} +) 2>/dev/null"
    " | sed 's/^/@sum /'; }\n"
)


def _outdated_script(compose_project: str) -> str:
    """Shell: name the containers that Compose itself would make anew.

    The label with the configuration's digest is part of the file, so a container that was made by
    hand with other values has it, too. Compose's own hash covers the values; it is taken of the
    resolved file, since that of the file forgets what env files say.
    """
    project = shlex.quote(compose_project)
    return (
        "(folder=$root/$(readlink current)\n"
        "made=$(printf '%s\\n' \"$seen\" | sed -n 's|^@made [^ ]* \\([^ ]* [^ ]*\\) .*|\\1|p')\n"
        # what was noted at the commit spares the question, where it is one answer for each service
        '[ -s current/committed ] && [ -z "$(cut -d" " -f1 current/committed | uniq -d)" ] &&'
        " ! printf '%s\\n' \"$made\" | grep -vxF -f current/committed | grep -q . && exit 0\n"
        # the folder's values count, not those of whoever asks
        "unset COMPOSE_PROFILES $(sed -n 's/.*\"variables\": \\[\\([^]]*\\)\\].*/\\1/p'"
        " current/release.json | tr -d '\",')\n"
        f"compose() {{ docker compose --ansi never --project-name {project}"
        ' --project-directory "$folder" --env-file "$folder/.env" "$@"; }\n'
        'hashes=$(compose --file "$folder/compose.yml" config'
        " | compose --file - config --hash '*') || exit 0\n"
        '[ -n "$hashes" ] && printf \'%s\\n\' "$made" | tr -d \'"\' |'
        ' grep -vxF -e "$hashes" | grep -q .'
        " || exit 0\n"
        'compose --file "$folder/compose.yml" --dry-run up --no-start --no-build --pull never'
        " </dev/null 2>&1 | sed -n 's/^.*Container  *\\(.*[^ ]\\)  *Recreate$/@outdated \\1/p'"
        ") 2>/dev/null\n"
    )


def look(
    host: Host, to_argv: ToArgv, cwd: Path, project: str, environment: str, compose_project: str,
    *, timeout: float = 120, more: str = "", known: HostFacts | None = None, settled: str = "",
) -> tuple[HostFacts, Output]:  # fmt: skip
    """The host's facts, and the raw answer for whoever must explain a failed connection.

    known: what was seen a moment ago; where releases and containers are still the same, so is what
    follows from them, and isn't asked for again.
    settled: shell that waits until nothing is under way there any more; for a host that is locked.
    """
    if known is not None and known.engine:
        script = host_script(project, environment, compose_project, again=True, settled=settled)
        answer = output(to_argv(script), cwd, check=False, timeout=timeout)
        if (facts := _still(known, parse(host, answer.stdout))) is not None:
            return facts, answer
    script = host_script(project, environment, compose_project, more, settled=settled)
    answer = output(to_argv(script), cwd, check=False, timeout=timeout)
    return parse(host, answer.stdout), answer


def _still(known: HostFacts, seen: HostFacts) -> HostFacts | None:
    """The facts of a shorter look, completed by an earlier one; None where it no longer holds."""

    def state(facts: HostFacts) -> tuple[object, ...]:
        containers = [
            (one.name, one.image_id, one.configuration, one.state, one.started)
            for one in facts.containers
        ]
        return (facts.root, facts.current, facts.previous, facts.attempt, facts.since, containers)

    if state(known) != state(seen):
        return None
    damaged = known.current.folder if known.current and known.edited else ""
    return replace(
        seen,
        engine=known.engine,
        compose=known.compose,
        tools=known.tools,
        placements=tuple(one for one in seen.placements if one.folder != damaged),
        edited=known.edited,
        outdated=known.outdated,
        proxies=known.proxies,
    )


def parse(host: Host, text: str) -> HostFacts:
    """The script's answer as facts."""
    lines = _by_name(text)
    current = _placement(_first(lines, "current"))
    edited = _edited(current, lines["sum"]) if current and lines["sums"] else ()
    damaged = current.folder if current and edited else ""
    facts = HostFacts(
        host=host,
        root=_first(lines, "root"),
        now=float(_first(lines, "now") or 0),
        engine=_first(lines, "engine"),
        compose=_first(lines, "compose").removeprefix("v"),
        tools=frozenset(lines["tool"]),
        current=current,
        previous=_placement(_first(lines, "previous")),
        attempt=_first(lines, "attempt"),
        since=float(_first(lines, "since") or 0),
        placements=tuple(
            one
            for one in (_placement(line) for line in lines["placed"])
            if one is not None and one.folder != damaged  # it is to be placed anew
        ),
        committed=_committed(lines["committed"]),
        rejected=frozenset(unquote(line.removeprefix("rejected/")) for line in lines["rejected"]),
        files=frozenset(line.removeprefix("files/") for line in lines["file"]),
        images=tuple(image_fact(line) for line in lines["image"]),
        containers=parse_containers(text)[1],
        lock=lock_fact(_first(lines, "lock")),
        edited=edited,
        outdated=frozenset(lines["outdated"]),
        proxies=_proxies(lines["proxy"]),
    )
    problem, hint = _problem(facts, _first(lines, "problem"), text)
    return replace(facts, problem=problem, hint=hint)


def parse_containers(text: str) -> tuple[float, tuple[ContainerFact, ...]]:
    """The host's clock and the containers, sorted by name; one-off ones (`run`) are not counted."""
    lines = _by_name(text)
    found = (_container(line) for line in lines["container"])
    kept = (container for container in found if container is not None)
    now = float(_first(lines, "now") or 0)
    return now, tuple(sorted(kept, key=lambda container: container.name))


def _by_name(text: str) -> Mapping[str, list[str]]:
    lines: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        if match := re.match(r"@(\w+) (.*)", line):
            lines[match[1]].append(match[2].strip())
    return lines


def _first(lines: Mapping[str, list[str]], name: str) -> str:
    return lines[name][0] if lines[name] else ""


def _problem(facts: HostFacts, problem: str, text: str) -> tuple[str, str]:
    if problem == "docker":
        return "docker is not installed there.", "Install Docker Engine with its compose plugin."
    if problem == "engine":
        said = [line for line in text.splitlines() if line and not line.startswith("@")]
        return (
            f"its Docker engine does not answer: {said[-1] if said else 'no reason given'}.",
            "Start it there, and let the user reach it (group docker).",
        )
    if facts.engine and not facts.compose:
        return (
            "docker has no compose plugin there.",
            "Install docker-compose or docker-compose-plugin, version 2.17 or newer.",
        )
    return "", ""


def _edited(current: Placement, sums: Sequence[str]) -> tuple[str, ...]:
    """How the files of a release folder differ from those that were placed."""
    found: dict[str, str] = {}
    for line in sums:
        digest, _, path = line.partition(" ")
        found[path.strip().removeprefix("*").removeprefix("./")] = digest
    return tuple(
        f"{path} is missing" if path not in found else f"{path} was changed"
        for path, digest in current.files
        if found.get(path) != digest
    )


def _proxies(lines: Sequence[str]) -> tuple[ProxyFact, ...]:
    said: dict[str, list[str]] = {}
    for line in lines:
        name, _, text = line.partition(" ")
        said.setdefault(name, []).append(text)
    return tuple(ProxyFact(name, "\n".join(text).strip()) for name, text in said.items())


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # cut off, or not ours
        return None


def _placement(text: str) -> Placement | None:
    value = _json(text) if text else None
    if not isinstance(value, dict) or "release" not in value:
        return None
    try:
        return Placement(
            release=str(value["release"]),
            digest=str(value.get("digest", "")),
            services=tuple(
                convert({"name": name, **wanted}, WantedService)
                for name, wanted in sorted((value.get("services") or {}).items())
            ),
            variables=tuple(value.get("variables") or ()),
            placed=_time(value.get("placed")),
            images=tuple(convert(pin, Pin) for pin in value.get("images") or ()),
            commit=str(value.get("commit", "")),
            files=tuple((str(p), str(d)) for p, d in (value.get("files") or {}).items()),
        )
    except (ValueError, TypeError, AttributeError):
        return None  # written by another version, or by somebody else


def _committed(lines: Sequence[str]) -> tuple[str, ...]:
    """Folders of placements by the time of their last commit."""
    found: list[tuple[float, str]] = []
    for line in lines:
        when, _, path = line.partition(" ")
        folder = path.removeprefix("releases/").removesuffix("/committed")
        if when.isdigit() and folder.count("/") == 1:
            found.append((float(when), folder))
    return tuple(folder for _, folder in sorted(found))


def lock_fact(text: str) -> LockFact | None:
    """A lock's file as a fact, or None where it isn't one."""
    value = _json(text) if text else None
    if not isinstance(value, dict):
        return None
    return LockFact(
        owner=str(value.get("owner", "")),
        token=str(value.get("token", "")),
        machine=str(value.get("machine", "")),
        pid=int(value.get("pid", 0)),
        started=str(value.get("started", "")),
        expires=float(value.get("expires", 0)),
        reason=str(value.get("reason", "")),
        since=float(value.get("since", 0)),
    )


def image_fact(line: str) -> ImageFact:
    """One image, as the template `IMAGE` prints it."""
    fields = [_json(part) for part in line.strip().split("\t")]
    identifier, references, layers, driver = (*fields, None, None, None, None)[:4]
    return ImageFact(
        str(identifier or ""), tuple(references or ()), tuple(layers or ()), str(driver or "")
    )


def _container(line: str) -> ContainerFact | None:
    fields = [_json(part) for part in line.split("\t")]
    if len(fields) != 8 or not isinstance(fields[3], dict) or not isinstance(fields[4], dict):
        return None
    name, image_id, image, labels, state, restarts, policy, networks = fields
    if labels.get("com.docker.compose.oneoff") == "True":
        return None
    health = state.get("Health") or {}
    log = health.get("Log") or []
    return ContainerFact(
        name=str(name).lstrip("/"),
        service=str(labels.get("com.docker.compose.service", "")),
        image_id=str(image_id),
        image=str(image),
        state=str(state.get("Status", "")),
        health=str(health.get("Status", "")).replace("none", ""),
        exit_code=int(state.get("ExitCode", 0)),
        restarts=int(restarts or 0),
        restart_policy=str(policy or "no"),
        started=_time(state.get("StartedAt")),
        finished=_time(state.get("FinishedAt")),
        said=_last_words(str(log[-1].get("Output", ""))) if log else "",
        configuration=str(labels.get(CONFIGURATION_LABEL, "")),
        number=int(labels.get("com.docker.compose.container-number", 0)),
        addresses=tuple(
            str(network["IPAddress"])
            for network in (networks or {}).values()
            if network and network.get("IPAddress")
        ),
    )


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _time(text: Any) -> datetime | None:
    if not text or str(text).startswith("0001-"):
        return None
    # the engine writes nanoseconds, which datetime can't hold
    trimmed = re.sub(r"(\.\d{6})\d+", r"\1", str(text)).replace("Z", "+00:00")
    try:
        return datetime.fromisoformat(trimmed)
    except ValueError:
        return None
