"""The example with the real MLServer: a model that is ready but answers wrongly gets no traffic."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ProjectFactory, Result, Runner
from tests.lab.program import ROOT
from tests.lab.s3 import free_port

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # the first build fetches packages
EXAMPLE = ROOT / "examples" / "mlserver"
FIRST_OF_EACH = [
    [14.23, 1.71, 2.43, 15.6, 127, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065],
    [12.37, 0.94, 1.36, 10.6, 88, 1.98, 0.57, 0.28, 0.42, 1.95, 1.05, 1.82, 520],
    [12.86, 1.35, 2.32, 18, 122, 1.51, 1.25, 0.21, 0.94, 4.1, 0.76, 1.29, 630],
]


def predicted(port: int) -> Any:
    """What the served model says of a bottle of each cultivar."""
    question = {
        "inputs": [{"name": "x", "shape": [3, 13], "datatype": "FP64", "data": FIRST_OF_EACH}]
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v2/models/wine/infer",
        json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["outputs"][0]["data"]


def containers(name: str) -> dict[str, str]:
    """Service → container id."""
    shown = '{{.Label "com.docker.compose.service"}} {{.ID}}'
    mine = f"label=com.docker.compose.project={name}-production"
    done = subprocess.run(
        ["docker", "ps", "--no-trunc", "--filter", mine, "--format", shown],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return dict(line.split() for line in done.stdout.splitlines())


def test_a_ready_model_that_predicts_wrongly_never_gets_a_request(
    base_image: str,
    unique_name: Callable[..., str],
    project_factory: ProjectFactory,
    run_mcgitops: Runner,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "mlserver"
    shutil.copytree(
        EXAMPLE, folder, ignore=shutil.ignore_patterns(".mcgitops", "*.joblib", "metrics.json")
    )
    port = free_port()
    name = unique_name("mlserver")
    env = {
        "BASE_IMAGE": base_image, "COMPOSE_PROJECT_NAME": name, "PORT": str(port),
        "XDG_DATA_HOME": str(tmp_path / "host"),
    }  # fmt: skip

    def mcgitops(*arguments: str, check: bool = True) -> Result:
        return run_mcgitops(*arguments, cwd=folder, env=env, check=check, timeout=600)

    def release(tag: str, files: dict[str, str]) -> None:
        project_factory.commit(folder, files, tag)
        mcgitops("train")
        project_factory.git(folder, "tag", tag)
        mcgitops("release", tag)

    project_factory.git(folder, "init", "--quiet", "--initial-branch=main")
    release("v1", {})
    mcgitops("deploy", "production", "--release", "v1")
    assert predicted(port) == [0, 1, 2]
    served = containers(name)

    # trained on columns in another order: as accurate, as ready, and wrong for those who ask
    params = (folder / "params.yaml").read_text()
    release("v2", {"params.yaml": params.replace("columns: dataset", "columns: alphabetical")})
    mcgitops("report", "--base", "v1")  # no gate on the metrics sees it
    refused = mcgitops("deploy", "production", "--release", "v2", check=False)
    assert refused.code == 5, refused
    assert "POST /v2/models/wine/infer: outputs.0.data." in refused.stderr
    assert ", expected " in refused.stderr
    assert predicted(port) == [0, 1, 2]
    assert containers(name) == served, "what served was not touched"
