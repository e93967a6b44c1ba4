"""Fixtures that all tests share: a clean environment, projects, our program, the lab's components.

A component that can't be had fails the test that asks for it; nothing is skipped.
"""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from tests.lab import ceph, down, hosts, images, s3, seaweed, writers
from tests.lab import engine as lab_engine
from tests.lab.program import CACHE, LabError
from tests.spread import spread

# No property is a matter of time. In CI hypothesis has a profile of its own: untimed, and the same
# examples each time.
settings.register_profile("untimed", deadline=None)
if not os.environ.get("CI"):
    settings.load_profile("untimed")


def pytest_configure() -> None:
    """A shell that starts tests in the background has them, and all they start, ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# What of the caller's environment could change a result. DOCKER_* stays: it names the engine.
FOREIGN = (
    "ACTIONS_", "AWS_", "BUILDKIT_", "COMPOSE_", "GIT_", "GITHUB_", "GITEA_", "FORGEJO_",
    "INPUT_", "MCGITOPS_", "RUNNER_",
)  # fmt: skip
FOREIGN_NAMES = (
    "BUILDX_BUILDER",
    "CI",
    "NO_COLOR",
    "FORCE_COLOR",
    "COLUMNS",
    "SSH_AUTH_SOCK",
    "PROXY_IMAGE",
)
OURS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_TERMINAL_PROMPT": "0",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "XDG_DATA_HOME": str(CACHE / "data-home"),  # where local:// keeps its releases
    "TERM": "xterm",
    "TZ": "UTC",
}


@pytest.fixture(autouse=True)
def clean_env(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Hide the caller's CI, cloud and git settings; returns the environment for subprocesses."""
    hide_caller(monkeypatch)
    return dict(os.environ)


def hide_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for what is set up once for many tests: before any of them."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name in FOREIGN_NAMES:
            monkeypatch.delenv(name)
    for name, value in OURS.items():
        monkeypatch.setenv(name, value)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where processes share the tests: in an order in which all of them end at the same time."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        files = [item.nodeid.partition("::")[0] for item in items]
        items[:] = [items[place] for place in spread(files, worker["workercount"])]


def pytest_collection_finish() -> None:
    """What was collected lives to the end: thousands of tests, and all that they import. The
    garbage collector needn't look at it again and again, which was a tenth of the unit tests' time.
    """
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Result:
    """How a program ended and what it printed."""

    code: int
    stdout: str
    stderr: str


T = TypeVar("T")
Runner = Callable[..., Result]


@pytest.fixture
def run_mcgitops() -> Runner:
    """Run the real program as a subprocess. `check=True` fails the test on any exit code but 0."""
    return run_program


def run_program(
    *arguments: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    stdin: str | None = None,
    timeout: float = 120,
) -> Result:
    """What `run_mcgitops` gives."""
    done = subprocess.run(
        [sys.executable, "-m", "mcgitops", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    result = Result(done.returncode, done.stdout, done.stderr)
    if check and result.code:
        shown = " ".join(map(str, arguments))
        pytest.fail(f"mcgitops {shown}: exit {result.code}\n{result.stdout}\n{result.stderr}")
    return result


class ProjectFactory:
    """Makes project folders: `project_factory({"compose.yml": "…"})`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(
        self, files: Mapping[str, str | bytes], *, git: bool = True, name: str | None = None
    ) -> Path:
        """A new folder with these files, committed on branch main where `git`."""
        self._count += 1
        folder = self._folder / (name or f"project{self._count}")
        folder.mkdir()
        self.write(folder, files)
        if git:
            self.git(folder, "init", "--quiet", "--initial-branch=main")
            self.commit(folder, {}, "Start")
        return folder

    def write(self, folder: Path, files: Mapping[str, str | bytes]) -> None:
        """Write files; parents are made."""
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            else:
                target.write_text(content)

    def commit(
        self, folder: Path, files: Mapping[str, str | bytes], message: str = "Change"
    ) -> str:
        """Write files and commit everything; returns the commit's id."""
        self.write(folder, files)
        self.git(folder, "add", "--all")
        self.git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
        return self.git(folder, "rev-parse", "HEAD")

    def git(self, folder: Path, *arguments: str) -> str:
        """Run git in the folder; returns what it printed."""
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()


@pytest.fixture
def project_factory(tmp_path: Path) -> ProjectFactory:
    """Make project folders with files and, by default, a git repository."""
    folder = tmp_path / "projects"
    folder.mkdir()
    return ProjectFactory(folder)


def _or_fail(bring_up: Callable[[], T]) -> T:
    try:
        return bring_up()
    except LabError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def engine() -> lab_engine.Engine:
    """The real engine: found, started or installed."""
    return _or_fail(lab_engine.bring_up)


@pytest.fixture(scope="session")
def base_image(engine: lab_engine.Engine) -> str:
    """A local image: Debian 12 with Python, scikit-learn, joblib and PyYAML."""
    return _or_fail(images.base_image)


@pytest.fixture(scope="session")
def mini_image(engine: lab_engine.Engine) -> str:
    """A local image of 2 MB: busybox (sh, httpd, wget, sleep, …)."""
    return _or_fail(images.mini_image)


@pytest.fixture(scope="session")
def mlflow_image(engine: lab_engine.Engine) -> str:
    """A local image with Python and the real MLflow."""
    return _or_fail(writers.mlflow_image)


@pytest.fixture(scope="session")
def proxy_image(engine: lab_engine.Engine) -> str:
    """The same with HAProxy, 20 MB."""
    return _or_fail(images.proxy_image)


@pytest.fixture
def unique_name(engine: lab_engine.Engine) -> Iterator[Callable[..., str]]:
    """Hand out names for the engine; what carries them is removed after the test."""
    handed: list[str] = []

    def name(prefix: str = "test") -> str:
        handed.append(f"mclab-{prefix}-{secrets.token_hex(4)}")
        return handed[-1]

    yield name
    for each in handed:
        down.remove_named(each)


@pytest.fixture(scope="session")
def many_clients() -> None:
    """Clients of S3 services cost next to nothing from the second one on."""
    s3.read_descriptions_once()


@pytest.fixture(scope="session")
def rclone_s3(
    tmp_path_factory: pytest.TempPathFactory, many_clients: None
) -> Iterator[s3.S3Server]:
    """`rclone serve s3`: SigV4 and multipart, no conditional writes."""
    with s3.rclone(tmp_path_factory.mktemp("rclone") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def moto_s3(tmp_path_factory: pytest.TempPathFactory, many_clients: None) -> Iterator[s3.S3Server]:
    """moto's server: the semantics of AWS."""
    with s3.moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def ceph_s3(many_clients: None) -> Iterator[ceph.Ceph]:
    """Ceph's gateway, as its administrator: users, policies, conditional writes, tokens."""
    with contextlib.ExitStack() as stack:
        yield _or_fail(lambda: stack.enter_context(ceph.running()))


@pytest.fixture(scope="session")
def seaweed_s3(
    tmp_path_factory: pytest.TempPathFactory, many_clients: None
) -> Iterator[s3.S3Server]:
    """SeaweedFS: SigV4, multipart and conditional writes."""
    with seaweed.running(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(params=["rclone", "moto", "ceph", "seaweed"])
def s3_server(request: pytest.FixtureRequest) -> s3.S3Server:
    """Each of the S3 servers, one after the other: the test runs four times."""
    server = request.getfixturevalue(f"{request.param}_s3")
    assert isinstance(server, s3.S3Server)
    return server


@pytest.fixture(scope="session")
def ssh_hosts(engine: lab_engine.Engine) -> Iterator[hosts.Hosts]:
    """Three SSH hosts with engines of their own, for the whole session."""
    with hosts.running(3) as fleet:
        yield fleet


@pytest.fixture
def fresh_hosts(ssh_hosts: hosts.Hosts) -> hosts.Hosts:
    """Two of the hosts with nothing on them: enough for most tests, and quicker."""
    return _wiped(hosts.Hosts(ssh_hosts.hosts[:2], ssh_hosts.env))


@pytest.fixture
def three_hosts(ssh_hosts: hosts.Hosts) -> hosts.Hosts:
    """All three with nothing on them."""
    return _wiped(ssh_hosts)


def _wiped(fleet: hosts.Hosts) -> hosts.Hosts:
    for host in fleet:
        host.wipe()
    return fleet
