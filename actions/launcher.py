"""Starts mcgitops for the actions: makes its environment once per runner, then only looks it up.

The environment holds the dependencies that `requirements/main.lock` pins by hash; mcgitops itself
is imported from this checkout, so that the commit that an action is pinned to covers all code.
Only the standard library is used here, and what only the first start needs is imported there.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "main.lock"
READY = "mcgitops-ready"
KEPT_DAYS = 30
INPUT = "MCGITOPS_INPUT_"

# Run with -I: neither the working folder nor PYTHONPATH may put modules in front of ours. The
# folder is a repository, whose files are somebody else's.
START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from mcgitops.cli.main import main; main()"
)


def main() -> None:
    """Become mcgitops, with the arguments that this was given."""
    python = interpreter_of(find(cache_folder(os.environ)))
    take_inputs(os.environ)
    arguments = [*project_options(os.environ), *sys.argv[1:]]
    # UTF-8 whatever the runner's locale is: a log with a check mark must not end the job.
    command = [str(python), "-I", "-X", "utf8", "-c", START, str(ROOT), *arguments]
    os.execv(python, command)  # noqa: S606


def take_inputs(environ: MutableMapping[str, str]) -> None:
    """An input that was given sets its variable; one that was left empty leaves the job's own."""
    for name in [name for name in environ if name.startswith(INPUT)]:
        value = environ.pop(name)
        if value.strip():
            environ["MCGITOPS_" + name.removeprefix(INPUT)] = value


def project_options(environ: Mapping[str, str]) -> list[str]:
    """The compose files that the action's `files` input names, one a line, as options."""
    lines = environ.get("MCGITOPS_FILES", "").splitlines()
    return [f"--file={line.strip()}" for line in lines if line.strip()]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where environments are kept: the runner's tool cache, else the user's cache."""
    for variable, parts in (
        ("MCGITOPS_TOOL_CACHE", ()),
        ("RUNNER_TOOL_CACHE", ("mcgitops",)),
        ("XDG_CACHE_HOME", ("mcgitops", "actions")),
        ("HOME", (".cache", "mcgitops", "actions")),
        ("RUNNER_TEMP", ("mcgitops",)),
    ):
        folder = Path(environ.get(variable, ""), *parts)
        if not folder.is_absolute():
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise failure(
        "mcgitops found no folder to keep its environment in. "
        "Set MCGITOPS_TOOL_CACHE to one that the runner may write to."
    )


def key() -> str:
    """What an environment depends on: the pinned dependencies and the interpreter."""
    digest = hashlib.sha256(LOCK.read_bytes())
    interpreter = (os.path.realpath(sys.executable), sys.version, os.uname().machine)
    digest.update(repr(interpreter).encode())
    return f"{sys.version_info[0]}.{sys.version_info[1]}-{digest.hexdigest()[:20]}"


def find(cache: Path) -> Path:
    """The environment's folder; made if this is the first start."""
    environment = cache / key()
    if is_ready(environment):
        return environment
    import fcntl

    with environment.with_name(environment.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two jobs of one runner make it once
        if not is_ready(environment):
            make(environment)
            forget_unused(cache, environment)
    return environment


def is_ready(environment: Path) -> bool:
    """Whether the environment is whole and its interpreter still exists."""
    try:
        os.utime(environment / READY)  # remembers that it is in use
    except OSError:
        return False
    return os.access(interpreter_of(environment), os.X_OK)


def interpreter_of(environment: Path) -> Path:
    """The environment's Python."""
    return environment / "bin" / "python"


def make(environment: Path) -> None:
    """Make it beside its place, then move it there in one step."""
    import shutil
    import tempfile

    say(f"::group::mcgitops: install its dependencies into {environment}")
    cache = environment.parent
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=cache))
    try:
        install(building)
        (building / READY).touch()
        if os.path.lexists(environment):  # a damaged one, or one whose interpreter has gone
            broken = Path(tempfile.mkdtemp(prefix=".broken-", dir=cache))
            environment.rename(broken / "old")
            shutil.rmtree(broken, ignore_errors=True)
        building.rename(environment)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    say("::endgroup::")


def install(folder: Path) -> None:
    """The dependencies, each with the hash that the lock file gives; with uv where there is one."""
    import shutil
    import subprocess

    python = str(interpreter_of(folder))
    if uv := shutil.which("uv"):
        create = [uv, "venv", "--quiet", "--no-project", "--clear", "--python", sys.executable]
        fill = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        create = [sys.executable, "-I", "-m", "venv"]
        fill = [python, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        fill += ["install", "--quiet", "--no-deps", "--no-compile"]
    for step in ([*create, str(folder)], [*fill, "--require-hashes", "--requirement", str(LOCK)]):
        if subprocess.run(step, stdin=subprocess.DEVNULL, check=False).returncode:
            raise failure(
                "The dependencies of mcgitops could not be installed: "
                f"{Path(step[0]).name} failed, its messages are above. The runner needs to reach "
                "a Python package index (see PIP_INDEX_URL, UV_INDEX_URL)."
            )


def forget_unused(cache: Path, environment: Path) -> None:
    """Remove the environments of other versions that no job has used for a month."""
    import shutil
    import time

    oldest = time.time() - KEPT_DAYS * 86_400
    for other in cache.iterdir():
        ready = other / READY
        try:
            if other != environment and ready.stat().st_mtime < oldest:
                ready.unlink()  # first: nobody starts from a half-removed one
                shutil.rmtree(other, ignore_errors=True)
        except OSError:  # it is no environment, or another job was faster
            continue


def say(line: str) -> None:
    """A line for the log, at once: what is started next writes to it too."""
    sys.stdout.write(line.replace("%", "%25") + "\n")
    sys.stdout.flush()


def failure(message: str) -> SystemExit:
    """What ends the start; the message is shown on the run's page."""
    say(f"::error title=mcgitops::{message}")
    return SystemExit(1)


if __name__ == "__main__":
    main()
