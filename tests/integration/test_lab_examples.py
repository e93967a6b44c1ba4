"""The examples work as what they are: compose files that people run by hand."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.program import ROOT
from tests.lab.s3 import free_port

pytestmark = pytest.mark.engine
EXAMPLES = ROOT / "examples"


class Compose:
    """`docker compose` in a copy of an example, under a name and ports of its own."""

    def __init__(self, folder: Path, name: str, **env: str) -> None:
        self.folder = folder
        self.env = {"COMPOSE_PROJECT_NAME": name, **env}

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            ["docker", "compose", *arguments], cwd=self.folder, env={**os.environ, **self.env},
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}: {done.stderr[-3000:]}"
        return done.stdout


def copy(example: str, target: Path) -> Path:
    """The example as git has it: no outputs of earlier runs."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=EXAMPLES / example, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(EXAMPLES / example / name, path)
    return target


def ask(url: str, body: object = None) -> Any:
    """GET, or POST where there is a body; the JSON that came back."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as answer:
        return json.load(answer)


def test_wine_trains_and_serves_by_hand(
    base_image: str, unique_name: Callable[..., str], tmp_path: Path
) -> None:
    port = str(free_port())
    folder = copy("wine", tmp_path / "wine")
    compose = Compose(folder, unique_name("wine"), BASE_IMAGE=base_image, PORT=port)
    assert "accuracy" in compose("run", "--rm", "--build", "train")
    assert "test_accuracy" in compose("run", "--rm", "--build", "--no-deps", "evaluate")
    assert json.loads((folder / "out/metrics.json").read_text())["accuracy"] > 0.9

    compose("up", "--build", "--detach", "--wait")
    with (folder / "data" / "wine.csv").open() as file:
        sample: dict[str, str] = next(csv.DictReader(file))
    truth = sample.pop("cultivar")
    answer = ask(f"http://127.0.0.1:{port}/predict", sample)
    assert answer["cultivar"] == truth
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    services = compose("ps", "--format", "{{.Service}}").split()
    assert sorted(services) == ["api", "api", "proxy"]  # no stage among them


def test_adoption_changes_nothing_that_compose_sees(tmp_path: Path) -> None:
    before, after = copy("shop", tmp_path / "before"), copy("shop", tmp_path / "after")
    undo = ["git", "apply", "--reverse", "adoption.diff"]
    subprocess.run(undo, cwd=before, check=True)
    assert "x-mcgitops" not in (before / "compose.yaml").read_text()

    # JSON leaves nested x- keys out by itself; the folder's own path is the one difference.
    def seen(folder: Path) -> Any:
        compose = Compose(folder, "shop")
        text = compose("--profile", "*", "config", "--format", "json")
        return json.loads(text.replace(str(folder), "FOLDER"))

    adopted = seen(after)
    assert adopted.pop("x-mcgitops")["metrics"]["hit_rate"]["goal"] == "maximize"
    assert adopted == seen(before)


def test_the_shop_is_up_as_before(
    base_image: str, unique_name: Callable[..., str], tmp_path: Path
) -> None:
    folder = copy("shop", tmp_path / "shop")
    port = str(free_port())
    compose = Compose(folder, unique_name("shop"), BASE_IMAGE=base_image, WEB_PORT=port)
    compose("up", "--build", "--detach", "--wait")
    shop = f"http://127.0.0.1:{port}"
    assert ask(f"{shop}/health")["shop"] == "The corner shop"
    assert ask(f"{shop}/recommendations/7") == []

    order = ask(f"{shop}/orders", {"customer": 7, "product": "honey"})["order"]
    end = time.monotonic() + 20
    while ask(f"{shop}/orders/{order}")["state"] != "confirmed":
        assert time.monotonic() < end, compose("logs", "worker")
        time.sleep(0.2)

    compose("run", "--rm", "--build", "recommender")
    assert len(ask(f"{shop}/recommendations/7")) == 5


def test_the_shops_job_trains_on_a_database_of_its_own(
    base_image: str,
    unique_name: Callable[..., str],
    run_mcgitops: Callable[..., Any],
    tmp_path: Path,
) -> None:
    folder = copy("shop", tmp_path / "shop")
    name = unique_name("shopjob")
    env = {"COMPOSE_PROJECT_NAME": name, "BASE_IMAGE": base_image}
    run_mcgitops("train", cwd=folder, env=env, timeout=200)
    assert json.loads((folder / "models/metrics.json").read_text())["hit_rate"] > 0.5

    runs = json.loads(run_mcgitops("runs", "--json", cwd=folder, env=env).stdout)
    assert len(runs) == 3
    left = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", f"name={name}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert left.stdout == "", "the run's own database is still there"
