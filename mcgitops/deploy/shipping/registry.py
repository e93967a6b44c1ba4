"""Images through a registry: pushed from here, pulled on hosts by digest.

Who may do so is what `docker login` left on each side; or a user and a password in the environment
of whoever deploys. These reach docker in a private file that lives as long as the command, and a
host through standard input: no argument, plan or log has them.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mcgitops.commands import image as image_commands
from mcgitops.commands.command import Command, Secret
from mcgitops.commands.ssh import script
from mcgitops.deferred import dataclass
from mcgitops.deploy import private
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.shipping import images
from mcgitops.deploy.shipping.meter import Say
from mcgitops.errors import EngineError, UsageError
from mcgitops.facts.program import output
from mcgitops.project.hosts import Host, Pin
from mcgitops.run.process import CommandFailed, execute

USER, PASSWORD = "MCGITOPS_REGISTRY_USER", "MCGITOPS_REGISTRY_PASSWORD"
PULL_SECONDS = 1800
_REFUSED = re.compile(r"no basic auth|unauthorized|authentication required|denied", re.I)


@dataclass(frozen=True)
class Login:
    """Who pushes and pulls."""

    user: str
    password: Secret

    def config(self, server: str) -> bytes:
        """Docker's configuration file with nothing but this login."""
        text = base64.b64encode(f"{self.user}:{self.password.reveal()}".encode()).decode()
        return json.dumps({"auths": {server: {"auth": text}}}).encode()


def login(environ: Mapping[str, str]) -> Login | None:
    """The login of the environment, or None: then docker's own counts."""
    user, password = environ.get(USER, ""), environ.get(PASSWORD, "")
    if bool(user) != bool(password):
        missing = PASSWORD if user else USER
        raise UsageError(f"{missing} is not set.", f"{USER} and {PASSWORD} belong together.")
    return Login(user, Secret(PASSWORD, password)) if user else None


def server(registry: str) -> str:
    """The registry's name in docker's configuration, out of a prefix such as `ghcr.io/acme`."""
    first = registry.split("/")[0]
    if first in ("docker.io", "index.docker.io") or not re.search(r"[.:]|^localhost$", first):
        return "https://index.docker.io/v1/"
    return first


def through_registry(
    connections: Connections, host: Host, pins: Sequence[Pin], registry: str, say: Say,
    *, load: Callable[[Pin], None],
) -> None:  # fmt: skip
    """Have images on a host under their names. load: brings one into the engine of this machine."""
    who = login(connections.environ)
    for pin in pins:
        remote = f"{registry.rstrip('/')}/{pin.reference.removeprefix('mcgitops/')}"
        by_digest = push(connections.folder, pin, remote, server(registry), who, load)
        say(f"{host.label}   pulls {pin.service} from {registry}")
        text = pull_script(by_digest, pin.reference, private=who is not None)
        try:
            connections.execute(
                host, script(host.url, text, connections.options), timeout=PULL_SECONDS,
                data=who.config(server(registry)) if who else None,
            )  # fmt: skip
        except CommandFailed as error:
            raise _refused(error, host.label, registry) from None


def push(
    folder: Path, pin: Pin, remote: str, server: str, who: Login | None,
    load: Callable[[Pin], None],
) -> str:  # fmt: skip
    """Have the image in the registry; gives its reference by digest."""
    local = images.find(pin.reference, folder)
    # the name tells the configuration, so that the layers are what is left to compare
    if local is None or local.diff_ids != pin.diff_ids:
        load(pin)
    execute(Command(image_commands.tag(pin.reference, remote)), folder)
    with _private(who, server, folder) as env:
        command = Command(image_commands.push(remote), env=env, reason="hosts pull it by digest")
        try:
            execute(command, folder)
        except CommandFailed as error:
            raise _refused(error, "this machine", remote.rpartition("/")[0]) from None
    answer = output(image_commands.inspect(remote, template="{{json .RepoDigests}}"), folder)
    name = remote.rpartition(":")[0]
    found = [digest for digest in json.loads(answer.stdout) if digest.startswith(name + "@")]
    if not found:
        raise EngineError(f"The registry gave no digest for {remote}.", "Push it by hand to see.")
    return str(found[0])


def pull_script(remote: str, reference: str, *, private: bool) -> str:
    """Shell: pull an image and give it its name. private: the login comes on standard input."""
    act = " && ".join(
        shlex.join(argv)
        for argv in (image_commands.pull(remote), image_commands.tag(remote, reference))
    )
    if not private:
        return act
    return "\n".join((
        "umask 077",
        "own=${DOCKER_CONFIG:-$HOME/.docker}",
        "context=$(docker context show 2>/dev/null)",
        "private=$(mktemp -d) || exit 1",
        "trap 'rm -rf \"$private\"' EXIT",
        "trap 'exit 1' HUP INT TERM",
        'cat >"$private/config.json" || exit 1',
        # the engine of a user without root is a context of docker's own configuration
        '[ -d "$own/contexts" ] && ln -s "$own/contexts" "$private/contexts"',
        '[ "${context:-default}" = default ] || export DOCKER_CONTEXT="$context"',
        'export DOCKER_CONFIG="$private"',
        act,
    ))  # fmt: skip


@contextmanager
def _private(who: Login | None, server: str, folder: Path) -> Iterator[dict[str, str]]:
    """Variables with which docker knows the login; its other settings stay as they are."""
    if who is None:
        yield {}
        return
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    kept = output(("docker", "context", "show"), folder, check=False).stdout.strip()
    with private.folder() as place:
        (place / "config.json").touch(mode=0o600)
        (place / "config.json").write_bytes(who.config(server))
        if (own / "contexts").is_dir():
            (place / "contexts").symlink_to(own / "contexts")
        context = {"DOCKER_CONTEXT": kept} if kept not in ("", "default") else {}
        yield {"DOCKER_CONFIG": str(place), **context}


def _refused(error: CommandFailed, where: str, registry: str) -> EngineError:
    said = error.lines[-1].strip() if error.lines else f"exit code {error.code}"
    hint = "Try the same with docker by hand."
    if _REFUSED.search(said):
        hint = (
            f"Log in there with docker login {server(registry)}, or set {USER} and {PASSWORD} "
            "where the deployment runs."
        )
    return EngineError(
        f"{where}: {registry} refused, or could not be reached: {said.rstrip('.')}.", hint
    )
