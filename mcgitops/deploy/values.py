"""The values that a deployment takes from its caller: variables, env files, secret files.

They are read at the moment of deploying, from the caller's environment and project folder, and go
to the hosts only: never into a release, a plan, a command line or a log.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.deploy import composefile, private, sealed
from mcgitops.deploy.composefile import Needs
from mcgitops.errors import EngineError, UsageError
from mcgitops.facts.program import Output, output

OF_THE_HOST = frozenset({
    "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST", "HOME", "HOSTNAME", "LOGNAME", "PATH", "PWD",
    "SHELL", "TMPDIR", "UID", "USER", "XDG_DATA_HOME",
})  # fmt: skip
"""Variables that mean something on the machine where Compose runs: a host's own are taken there."""
SHORTEST_SECRET = 6
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?[A-Za-z_][\w.-]*\s*[=:]")


@dataclass(frozen=True, repr=False)
class SecretFile:
    """A file of the caller's: content and mode."""

    content: bytes
    mode: int


@dataclass(frozen=True, repr=False)
class Values:
    """Everything secret that a release folder will hold. Has no readable form."""

    variables: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()  # of all variables that may have a value, for taking them away
    env_files: dict[str, SecretFile] = field(default_factory=dict)
    secret_files: dict[str, SecretFile] = field(default_factory=dict)
    env_values: frozenset[str] = frozenset()  # of the env files, as a container gets them


def gather(
    folder: Path, needs: Needs, *, files: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Values:  # fmt: skip
    """Read what a release needs.

    `files` are an environment's `values:`. The caller's environment wins over them, the last of
    them over the others, and they over `.env`. Raises `UsageError` where a required file is
    missing, or an encrypted one can't be opened.
    """
    environ = os.environ if environ is None else environ
    env_files: dict[str, SecretFile] = {}
    names = set(needs.variables)
    for path, required in needs.env_files:
        found = _read(folder / path)
        if found is None and required:
            raise UsageError(
                f"env_file {path} does not exist in {folder}.",
                "It is not part of a release, since it may hold secrets: put it there before "
                "deploying.",
            )
        if found is not None:
            env_files[path] = found
            names |= composefile.variables(found.content.decode("utf-8", "replace"))
    secret_files: dict[str, SecretFile] = {}
    for path in needs.secret_files:
        found = _read(folder / path)
        if found is None:
            raise UsageError(
                f"The secret's file {path} does not exist in {folder}.",
                "Secrets are not part of a release: put it there before deploying.",
            )
        if sealed.is_age(path):
            found = SecretFile(sealed.open_age(folder / path, path, environ), 0o600)
        secret_files[path] = found
    names -= OF_THE_HOST
    given = {path: _dotenv_text(folder, path, environ) for path in files}
    variables, env_values = _resolve(folder, sorted(names), given, env_files, environ)
    return Values(variables, tuple(sorted(names)), env_files, secret_files, env_values)


def sensitive(values: Values, shown: Iterable[str]) -> frozenset[str]:
    """What no message may show. Short values (a port, a flag) and names that messages are made of
    (`shown`) are no secrets, and would blot out half of them.
    """
    names = " ".join(shown)
    texts = {*values.variables.values(), *values.env_values}
    for file in values.env_files.values():
        texts |= texts_of_dotenv(file.content.decode("utf-8", "replace"))
    texts |= {file.content.decode("utf-8", "replace") for file in values.secret_files.values()}
    for text in tuple(texts):
        texts |= {line.strip() for line in text.splitlines()}  # messages are masked line by line
        texts |= set(re.findall(r"://[^/\s:@]*:([^/\s@]+)@", text))  # the password in a URL
    return frozenset(text for text in texts if len(text) >= SHORTEST_SECRET and text not in names)


def texts_of_dotenv(text: str) -> frozenset[str]:
    """The values in a dotenv file that no message may show; as it is read without Compose."""
    found: set[str] = set()
    for line in text.splitlines():
        # whole lines too: they may be the further ones of a quoted value, or a secret's file
        value = _ASSIGNMENT.sub("", line, count=1).strip()
        for shown in (line.strip(), value, value.strip("'\"")):
            found |= {shown, *unescaped(shown).splitlines()}
    return frozenset(text for text in found if len(text) >= SHORTEST_SECRET)


def masked(text: str, texts: Iterable[str]) -> str:
    """Text of another program without what no message may show."""
    for secret in sorted(texts, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def reason(stderr: str) -> str:
    """Compose's last line, without what it quotes of a file that it can't read."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = lines[-1] if lines else "docker compose gave no reason"
    if unread := re.match(r"(failed to read .+?): (?:(line \d+): )?(.*)", said):
        if "missing a value" in unread[3]:
            said = f"{unread[1]}: {unread[3]}"
        else:
            said = f"{unread[1]}: {unread[2] or 'it'} is not of the form NAME=value"
    return said.rstrip(".")


def _read(path: Path) -> SecretFile | None:
    if not path.is_file():
        return None
    return SecretFile(path.read_bytes(), path.stat().st_mode & 0o777)


def _dotenv_text(folder: Path, path: str, environ: Mapping[str, str]) -> str:
    found = sealed.read_values(folder / path, path, environ)
    return found if isinstance(found, str) else dotenv(found)


def _resolve(
    folder: Path, names: Sequence[str], given: Mapping[str, str],
    env_files: Mapping[str, SecretFile], environ: Mapping[str, str],
) -> tuple[dict[str, str], frozenset[str]]:  # fmt: skip
    """The variables' values, and those in the env files, as Compose itself sees them."""
    if not names and not env_files:
        return {}, frozenset()
    document = {
        "x-values": {name: f"${{{name}-}}" for name in names},
        "x-set": {name: f"${{{name}+1}}" for name in names},
    }
    none = {"none": {"image": "none"}}
    with private.folder() as place:
        sources = {str(place / f"values-{n}"): path for n, path in enumerate(given)}
        for target, path in sources.items():
            _write(Path(target), given[path].encode())
        options = [word for file in _dotenv_files(folder, sources, environ)
                   for word in ("--env-file", file)]  # fmt: skip
        readers: dict[str, object] = {}
        for number, file in enumerate(env_files.values()):
            target = str(place / f"env-{number}")
            _write(Path(target), file.content)
            readers[f"env-{number}"] = {"image": "none", "env_file": [target]}

        def ask(services: Mapping[str, object]) -> Output:
            file = place / "values.json"
            file.write_text(json.dumps({**document, "services": services}))
            return output(
                ("docker", "compose", "--project-directory", str(folder), *options,
                 "--file", str(file), "config", "--format", "json"),
                folder, env=environ, check=False,
            )  # fmt: skip

        answer = ask({**none, **readers})
        if answer.code != 0 and readers:
            # an env file may be of a form that only its service's `format:` makes sense of
            answer = ask(none)
    if answer.code != 0:
        said = reason(answer.stderr)
        for target, path in sources.items():
            said = said.replace(target, path)
        if said.startswith("failed to read"):
            raise UsageError(f"The values can't be read: {said}.", "Correct that file.")
        raise EngineError(f"The variables of the compose file can't be read: {said}.")
    shown = json.loads(answer.stdout)
    values = {
        name: shown["x-values"][name].replace("$$", "$") for name in names if shown["x-set"][name]
    }
    of_files = {
        value.replace("$$", "$")
        for service in shown["services"].values()
        for value in (service.get("environment") or {}).values()
        if value
    }
    return values, frozenset(of_files)


def _dotenv_files(
    folder: Path, given: Iterable[str], environ: Mapping[str, str]
) -> list[str]:  # fmt: skip
    """What Compose is to read, weakest first. Naming one file makes it forget the usual ones."""
    files = list(given)
    if not files:
        return []
    if named := environ.get("COMPOSE_ENV_FILES"):
        usual = named.split(",")
    elif environ.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "true"):
        usual = []
    else:
        usual = [".env"] if (folder / ".env").is_file() else []
    return [*(str(folder / file) for file in usual), *files]


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def dotenv(variables: dict[str, str]) -> str:
    """A `.env` file from which Compose reads exactly these values."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in sorted(variables.items()))


def unescaped(value: str) -> str:
    """What `_quoted` wrote between double quotes."""
    ends = {"n": "\n", "r": "\r"}
    return re.sub(r"\\(.)", lambda found: ends.get(found[1], found[1]), value)


def _quoted(value: str) -> str:
    """Single quotes keep everything but themselves and backslashes before them; double ones
    need escapes for what Compose would expand."""
    if "'" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'
