"""The whole job on examples/wine, in a temporary git repository with a real S3 server as its store.

`make demo` runs this. Each command is shown as it is executed; it can be typed like that in a
project of your own. Afterwards the containers, images and volumes it made are removed.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.lab import down, s3  # noqa: E402

NAME = "mcgitops-demo"  # of the compose project: nothing of the user's is called like that
GATE_FAILED = 3


class Demo:
    """A shell session that shows what it does, and stops where an exit code is a surprise."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env

    def say(self, text: str) -> None:
        """A heading."""
        print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)

    def run(self, line: str, *, expect: int = 0) -> None:
        """Show a command and execute it."""
        print(f"$ {line}", flush=True)
        started = time.monotonic()
        done = subprocess.run(shlex.split(line), cwd=self.folder, env=self.env, check=False)
        if (seconds := time.monotonic() - started) > 1:
            print(f"({seconds:.1f} s)", flush=True)
        if done.returncode != expect:
            sys.exit(f"The demo expected exit code {expect} and got {done.returncode}.")
        if expect:
            print(f"exit {done.returncode}", flush=True)

    def edit(self, **params: str) -> None:
        """Change values in params.yaml."""
        path = self.folder / "params.yaml"
        text = path.read_text()
        for name, value in params.items():
            print(f"$ sed -i 's/^{name}: .*/{name}: {value}/' params.yaml", flush=True)
            text = re.sub(rf"(?m)^{name}: .*$", f"{name}: {value}", text)
        path.write_text(text)

    def predict(self, url: str) -> None:
        """Ask the deployed model about the first bottle of the data set."""
        with (self.folder / "data" / "wine.csv").open() as file:
            sample = next(csv.DictReader(file))
        truth = sample.pop("cultivar")
        print(f"$ curl {url} -d '{json.dumps(sample)[:60]}…'", flush=True)
        request = urllib.request.Request(url, data=json.dumps(sample).encode())
        with urllib.request.urlopen(request, timeout=10) as reply:
            answer = json.load(reply)
        print(json.dumps(answer))
        if answer["cultivar"] != truth:
            sys.exit(f"The demo expected {truth}.")


def main() -> None:
    """Train, compare, fail the gate, mend, tag, deploy, predict."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mcgitops-demo-") as name:
        folder = Path(name)
        project = folder / "wine"
        shutil.copytree(
            ROOT / "examples" / "wine", project,
            ignore=shutil.ignore_patterns(".mcgitops", "__pycache__", "*.joblib", "*.json"),
        )  # fmt: skip
        with s3.rclone(folder / "s3") as store, removing():
            play(Demo(project, environment(folder, store)), folder)
    print(
        f"\nDone in {time.monotonic() - started:.0f} s. Containers, images and files are removed."
    )


def play(demo: Demo, folder: Path) -> None:
    """The story."""
    demo.say("A project is a compose file in a git repository")
    demo.run("git init --quiet --initial-branch main")
    demo.run("git add .")
    demo.run("git commit --quiet --message 'A wine classifier'")
    demo.run("mcgitops check")
    demo.run("mcgitops plan")

    demo.say("A push to main: train, and keep the runs in the bucket")
    demo.run("mcgitops train")

    demo.say("A branch tries a shorter training. The report shows what that costs: the gate fails")
    demo.run("git switch --quiet --create shorter")
    demo.edit(lr="0.001", epochs="5")
    demo.run("git commit --quiet --all --message 'Train for five epochs only'")
    demo.run("mcgitops train")
    demo.run("mcgitops report --base main", expect=GATE_FAILED)

    demo.say("The fix: larger steps make up for it")
    demo.edit(lr="0.1")
    demo.run("git commit --quiet --all --message 'Larger steps'")
    demo.run("mcgitops train")
    demo.run("mcgitops report --base main")

    demo.say("Merged and tagged: the tag deploys the runs that exist, nothing is trained again")
    demo.run("git switch --quiet main")
    demo.run("git merge --quiet --ff-only shorter")
    demo.run("git tag v1")
    demo.run("mcgitops release v1")
    demo.run("mcgitops deploy production --release v1")
    demo.run("mcgitops status")

    demo.say("The released model answers")
    demo.predict(f"http://127.0.0.1:{demo.env['PORT']}/predict")


def environment(folder: Path, store: s3.S3Server) -> dict[str, str]:
    """The caller's environment without its git and cloud settings, plus the demo's."""
    foreign = ("AWS_", "GIT_", "GITHUB_", "MCGITOPS_", "COMPOSE_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    return {
        **env,
        **store.env,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}",
        "MCGITOPS_STORE": store.url("wine"),
        "COMPOSE_PROJECT_NAME": NAME,
        "PORT": str(s3.free_port()),
        "XDG_DATA_HOME": str(folder / "data-home"),  # where local:// keeps its releases
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
    }  # fmt: skip


@contextmanager
def removing() -> Iterator[None]:
    """Remove what the demo made in the engine: before, in case one was interrupted, and after."""
    down.remove_named(NAME)
    try:
        yield
    finally:
        down.remove_named(NAME)


if __name__ == "__main__":
    main()
