"""The agent on a host that nobody reaches: it follows the store over HTTP, on a real engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.integration.deploy.conftest import ENV, App, MakeApp, get, points
from tests.lab import down, images
from tests.lab.hosts import Hosts
from tests.lab.program import ROOT
from tests.lab.s3 import S3Server, free_port

pytestmark = pytest.mark.engine

FAILING = {"serve/healthy.sh": "exit 1\n"}
PUSHED = "health_timeout: 20s"
PULLED = "pull: true, health_timeout: 20s"


class Line:
    """The way to a server, which can be cut and mended; counts what comes along."""

    def __init__(self, endpoint: str, address: str = "127.0.0.1") -> None:
        parts = urlsplit(endpoint)
        self._address = address
        self._target = (parts.hostname or "", parts.port or 80)
        self.port = free_port()
        self.endpoint = f"http://{address}:{self.port}"
        self.connections = 0
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    def mend(self) -> None:
        self._listener = socket.create_server((self._address, self.port))
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._listener, self._open = None, []

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self._target)
            self._open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(moto_s3: S3Server) -> Iterator[Line]:
    made = Line(moto_s3.endpoint)
    made.mend()
    yield made
    made.cut()


@dataclass
class Edge:
    """The host: a folder with values, a data folder, and no checkout of the project."""

    app: App
    folder: Path
    env: dict[str, str]

    @property
    def root(self) -> Path:
        return Path(self.env["XDG_DATA_HOME"]) / "mcgitops" / self.app.name / "production"

    def argv(self, *options: str) -> list[str]:
        start = [sys.executable, "-m", "mcgitops", "-C", str(self.folder)]
        return [*start, "agent", "production", "--project", self.app.name, *options]

    def once(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv("--once", *options), cwd="/", env={**os.environ, **self.env}, text=True,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip

    @contextmanager
    def agent(self, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
        """The agent at work, and its log so far."""
        log = self.folder.parent / "agent.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                self.argv("--every", "1s", *options), cwd="/", env={**os.environ, **self.env},
                stdout=sink, stderr=sink,
            )  # fmt: skip
        try:
            yield process, log.read_text
        finally:
            process.kill()
            process.wait()

    def answer(self) -> str:
        return get(f"http://127.0.0.1:{self.env['PORT']}/cgi-bin/predict?x=3")


@pytest.fixture
def edge(make_app: MakeApp, tmp_path: Path) -> Edge:
    app = make_app(["ssh://deploy@unreachable.invalid"])
    file = app.folder / "compose.yml"
    file.write_text(file.read_text().replace(PUSHED, PULLED))
    values = tmp_path / "edge" / "values"
    values.mkdir(parents=True)
    port = str(free_port())
    (values / ".env").write_text("TOKEN=canary-in-dotenv\n")
    (values / "api.env").write_text(ENV)
    app.env["MCGITOPS_STORE"] = str(tmp_path / "store")
    env = {
        "MCGITOPS_STORE": app.env["MCGITOPS_STORE"],
        "XDG_DATA_HOME": str(tmp_path / "edge" / "data"),
        "PORT": port,
    }
    return Edge(app, values, env)


def release(app: App, tag: str, files: dict[str, str] | None = None) -> str:
    """What CI does for a tag."""
    train(app, tag, files)
    return app("release", tag).stderr


def train(app: App, tag: str, files: dict[str, str] | None = None) -> None:
    """What comes before; the first training is the same in all tests here."""
    app.factory.commit(app.folder, files or {}, tag)
    local = app.folder / ".mcgitops" / "store"
    if app.trained.exists() and not local.exists():
        shutil.copytree(app.trained, local)
    app("train")
    if not app.trained.exists():
        shutil.copytree(local, app.trained)
    app.factory.git(app.folder, "tag", tag)
    app("push")


def wait(condition: Callable[[], bool], told: Callable[[], str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, told()
        time.sleep(0.1)


@pytest.mark.s3
def test_an_agent_follows_the_store(edge: Edge, moto_s3: S3Server, line: Line) -> None:
    app = edge.app
    app.env |= {**moto_s3.env, "MCGITOPS_STORE": moto_s3.url(f"{app.name}-agent")}
    edge.env |= {
        **moto_s3.env,
        "MCGITOPS_STORE": replace(moto_s3, endpoint=line.endpoint).url(f"{app.name}-agent"),
        "AWS_MAX_ATTEMPTS": "1",
    }
    with edge.agent() as (process, log):
        wait(lambda: "no release is wanted yet" in log(), log)
        assert "production pulls v1" in release(app, "v1")
        wait(lambda: edge.answer() == "6.00", log)
        wait(lambda: "v1 runs, healthy" in log(), log)
        # a bad one: back to v1, and never again
        release(app, "v2", FAILING)
        wait(lambda: "v2 failed here: waiting for another release" in log(), log)
        assert edge.answer() == "6.00"
        before = line.connections
        looked = edge.root / "agent" / "alive"
        for _ in range(3):  # further looks at the store
            seen = looked.stat().st_mtime_ns
            wait(lambda seen=seen: looked.stat().st_mtime_ns > seen, log)  # type: ignore[misc]
        assert line.connections >= before
        # the store is away while v3 is released
        train(app, "v3", {"data/points.csv": points(5), "serve/healthy.sh": "exit 0\n"})
        line.cut()
        wait(lambda: "Trying again until it answers" in log(), log)
        app("release", "v3")
        assert edge.answer() == "6.00"
        line.mend()
        wait(lambda: edge.answer() == "15.00", log)
        wait(lambda: "v3 runs, healthy" in log(), log)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        text = log()
    assert text.count("Trying again until it answers") == 1
    assert text.count("answers again") == 1
    assert text.count("v2 failed here") == 1
    assert text.count("is marked rejected") == 1
    assert "canary" not in text
    # others see in the store what happened here
    client = moto_s3.client()
    found = client.list_objects_v2(Bucket=moto_s3.bucket, Prefix=f"{app.name}-agent/deployments/")
    records = [
        json.loads(client.get_object(Bucket=moto_s3.bucket, Key=one["Key"])["Body"].read())
        for one in found["Contents"]
    ]
    ended = sorted((one["release"], one["state"]) for one in records)
    assert ended == [("v1", "succeeded"), ("v2", "rolled-back"), ("v3", "succeeded")]
    shown = subprocess.run(
        edge.argv("--status"), env={**os.environ, **edge.env}, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    assert "wanted  v3" in shown
    assert "not running" in shown


def test_an_agent_that_is_killed_heals_at_its_next_start_and_leaves_hands_alone(
    edge: Edge,
) -> None:
    app = edge.app
    release(app, "v1")
    (edge.folder / ".env").rename(edge.folder / "away")
    refused = edge.once()
    assert (refused.returncode, edge.root.joinpath("attempt").exists()) == (2, False)
    assert "TOKEN" in refused.stdout
    (edge.folder / "away").rename(edge.folder / ".env")
    # the first release comes by way of the repository's tags
    git = ("--from", "git", "--remote", f"file://{app.folder}")
    app.factory.git(app.folder, "tag", "v9")  # newer, but not released
    first = edge.once(*git)
    assert (first.returncode, edge.answer()) == (0, "6.00"), first.stdout + first.stderr
    away = edge.once("--from", "git", "--remote", f"file://{app.folder}/none")
    assert (away.returncode, "can't be read" in away.stdout) == (1, True)
    release(app, "v2", {"data/points.csv": points(5), "serve/healthy.sh": "sleep 1\n"})
    with edge.agent() as (process, log):
        wait((edge.root / "attempt").exists, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert "Asked to end" in log()
    assert edge.answer() == "6.00"
    assert not (edge.root / "attempt").exists()
    with edge.agent("--json") as (process, log):
        wait((edge.root / "attempt").exists, log)
        assert edge.once().returncode == 2  # one agent is enough
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (edge.root / "attempt").exists()
    events = {json.loads(text)["event"] for text in log().splitlines()}
    assert events == {"started", "rollout"}
    alive = subprocess.run(edge.argv("--alive"), env={**os.environ, **edge.env}, check=False)
    assert alive.returncode == 0  # until its last promise has passed
    healed = edge.once()
    assert (healed.returncode, edge.answer()) == (0, "15.00"), healed.stdout + healed.stderr
    assert not (edge.root / "attempt").exists()
    assert not (edge.root / "lock").exists()
    # somebody goes back by hand, from a checkout on this host: that stays
    file = app.folder / "compose.yml"
    text = file.read_text()
    file.write_text(text.replace("ssh://deploy@unreachable.invalid", "local://"))
    app("deploy", "--release", "v1", **edge.env, TOKEN="canary-in-dotenv")
    assert edge.answer() == "6.00"
    left = edge.once()
    assert (left.returncode, edge.answer()) == (0, "6.00")
    assert "v1 was deployed here by hand after v2" in left.stdout


def test_ci_says_what_it_leaves_to_the_hosts(edge: Edge) -> None:
    app = edge.app
    app.factory.commit(app.folder, {}, "v1")
    app.factory.git(app.folder, "tag", "v1")
    said = app("ci", "--event", "tag", "--dry-run").stdout
    assert "production: the hosts pull it themselves" in said
    assert "mcgitops deploy" not in said
    planned = app("plan", "--event", "tag", "--tag", "v1").stdout
    assert "its hosts pull the release" in planned
    assert "mcgitops deploy" not in planned
    # whoever may only push tags can't make the hosts take what nobody has merged
    app.factory.git(app.folder, "switch", "--quiet", "--create", "unmerged")
    app.factory.commit(app.folder, {}, "v2")
    app.factory.git(app.folder, "tag", "v2")
    refused = app(
        "ci", "--event", "tag", "--only", "deploy", check=False,
        GITHUB_API_URL=f"http://127.0.0.1:{free_port()}",
    )  # fmt: skip
    assert refused.code == 2
    assert "on the default branch" in refused.stdout + refused.stderr
    assert app("show", "v2", check=False).code != 0


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program for the lab's Debian, as `pip install --target` makes it."""
    folder = tmp_path_factory.mktemp("installed")
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python-version", "3.11", "--target", folder,
         "--only-binary", ":all:", "--require-hashes",
         "--requirement", ROOT / "requirements" / "main.lock"],
        check=True,
    )  # fmt: skip
    shutil.copytree(ROOT / "mcgitops", folder / "mcgitops")
    shutil.copytree(ROOT / "templates", folder / "mcgitops" / "templates")
    return folder


@pytest.mark.s3
@pytest.mark.hosts
def test_a_host_deploys_itself_from_the_bucket_alone(
    edge: Edge, installed: Path, moto_s3: S3Server, fresh_hosts: Hosts
) -> None:
    """A host with an engine of its own, an ordinary user, and nothing but a way to the bucket."""
    app, host = edge.app, fresh_hosts[0]
    app.env |= {**moto_s3.env, "MCGITOPS_STORE": moto_s3.url(f"{app.name}-host")}
    release(app, "v1")
    gateway = subprocess.run(
        ["docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}",
         host.network], check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    line = Line(moto_s3.endpoint, gateway)
    line.mend()
    env = {
        **moto_s3.env,
        "MCGITOPS_STORE": replace(moto_s3, endpoint=line.endpoint).url(f"{app.name}-host"),
        "MCGITOPS_PROJECT": app.name,
        "PYTHONPATH": "/opt/mcgitops",
        "HOME": f"/home/{host.user}",
        "PORT": "18080",
    }

    def on_host(*options: str) -> subprocess.CompletedProcess[str]:
        words = ["docker", "exec", "--user", host.user, "--workdir", f"/home/{host.user}/values"]
        for name, value in env.items():
            words += ["--env", f"{name}={value}"]
        words += [host.name, "python3", "-m", "mcgitops", *options]
        return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)

    def agent(*options: str) -> subprocess.CompletedProcess[str]:
        return on_host("agent", "production", *options)

    def copy(source: Path, target: str) -> None:
        subprocess.run(["docker", "cp", source, f"{host.name}:{target}"], check=True)

    copy(installed, "/opt/mcgitops")
    copy(edge.folder, f"/home/{host.user}/values")
    host.root("chown", "-R", host.user, "/opt/mcgitops", f"/home/{host.user}/values")
    try:
        done = agent("--once")
        assert done.returncode == 0, done.stdout + done.stderr
        assert get(f"{host.http(18080)}/cgi-bin/predict?x=3") == "6.00"
        assert agent("--status").returncode == 0
        release(app, "v2", FAILING)
        for _ in range(2):  # it fails once, and is not tried again
            assert agent("--once").returncode == 5
        assert get(f"{host.http(18080)}/cgi-bin/predict?x=3") == "6.00"
        # whoever is logged in there needs no checkout either
        release(app, "v3", {"data/points.csv": points(5), "serve/healthy.sh": "exit 0\n"})
        assert agent("--once").returncode == 0
        assert get(f"{host.http(18080)}/cgi-bin/predict?x=3") == "15.00"
        seen = on_host("status")
        assert (seen.returncode, "v3" in seen.stdout) == (0, True), seen
        line.cut()  # not even the store
        back = on_host("rollback")
        assert (back.returncode, "runs v1 again" in back.stdout) == (0, True), back
        assert get(f"{host.http(18080)}/cgi-bin/predict?x=3") == "6.00"
        line.mend()
        assert agent("--once").returncode == 5  # what is wanted was rolled back: it leaves it so
        assert get(f"{host.http(18080)}/cgi-bin/predict?x=3") == "6.00"
        healed = on_host("heal", "production")
        assert (healed.returncode, "v1" in healed.stdout) == (0, True), healed
    finally:
        line.cut()
        host.root("rm", "-rf", "/opt/mcgitops")


def test_the_compose_service_deploys_beside_itself(
    edge: Edge, installed: Path, tmp_path: Path, unique_name: Callable[..., str]
) -> None:
    """The shipped file, with an image of the lab instead of the one that it builds."""
    app = edge.app
    release(app, "v1", {"pages/index.html": "from the release\n"})
    place = tmp_path / "agent"
    subprocess.run(
        edge.argv("--write", str(place)), env={**os.environ, **edge.env}, check=True,
        capture_output=True,
    )  # fmt: skip
    settings = (place / "agent.env.example").read_text()
    assert "MCGITOPS_ENVIRONMENT=production" in settings
    data = edge.env["XDG_DATA_HOME"]
    settings += f"AGENT_DATA={data}\nAGENT_EVERY=1s\nPORT={edge.env['PORT']}\n"
    (place / "agent.env").write_text(settings)
    shutil.copytree(edge.folder, place / "values")
    override = {
        "services": {
            "agent": {
                "image": images.host_image(),
                "entrypoint": ["python3", "-m", "mcgitops"],
                "environment": {"PYTHONPATH": "/opt/mcgitops"},
                "volumes": [f"{installed}:/opt/mcgitops:ro", f"{tmp_path}/store:{tmp_path}/store"],
                "healthcheck": {
                    "test": ["CMD", "python3", "-m", "mcgitops", "agent", "production", "--alive"],
                    "start_interval": "500ms",
                },
            }
        }
    }
    (place / "override.yml").write_text(yaml.safe_dump(override))
    name = unique_name("agent")
    compose = [
        "docker", "compose", "--project-name", name, "--env-file", "agent.env",
        "--file", "compose.yml", "--file", "override.yml",
    ]  # fmt: skip

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*compose, *arguments], cwd=place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def logs() -> str:
        return str(down.api().logs(f"{name}-agent-1").decode())

    try:
        run("up", "--detach", "--no-build", "--wait", "--wait-timeout", "60")
        wait(lambda: edge.answer() == "6.00", logs)
        wait(lambda: "v1 runs, healthy" in logs(), logs)
        # what the release mounts was found by the engine, which knows only the host's paths
        mounted = subprocess.run(
            ["docker", "exec", f"{app.name}-production-proxy-1", "cat", "/pages/index.html"],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        assert mounted == "from the release\n"
        run("exec", "agent", "sh", "-c", f"rm -rf {data}/mcgitops/*")
    finally:
        run("down", "--timeout", "5")


def test_the_systemd_unit_is_one_that_systemd_takes(tmp_path: Path, edge: Edge) -> None:
    if not shutil.which("systemd-analyze"):
        from tests.lab import debian

        debian.install(["systemd"])
    subprocess.run(edge.argv("--write", str(tmp_path)), env={**os.environ, **edge.env}, check=True)
    unit = tmp_path / "mcgitops-agent@.service"
    text = unit.read_text()
    assert "ExecStart=/opt/mcgitops/bin/mcgitops agent %i" in text
    unit.write_text(text.replace("/opt/mcgitops/bin/mcgitops", sys.executable))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "mcgitops-agent@edge.service"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (verified.returncode, verified.stderr) == (0, "")
