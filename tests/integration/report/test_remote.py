"""A clone that trained nothing reports from the project's store alone."""

from __future__ import annotations

import json
import subprocess

import pytest

from mcgitops.report.json_view import from_data


@pytest.mark.s3
def test_a_fresh_clone_reports_from_the_bucket(wine, run_mcgitops, s3_server, tmp_path):
    env = {**s3_server.env, "MCGITOPS_STORE": s3_server.url("report")}
    wine.train(0.97)
    run_mcgitops("push", cwd=wine.folder, env=env)
    wine.branch("feature")
    wine.commit({"params.yaml": "lr: 0.05\ndepth: 3\n"})
    wine.train(0.94)
    run_mcgitops("push", cwd=wine.folder, env=env)

    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", wine.folder, clone], check=True)
    for arguments in (["--head", "HEAD"], []):
        result = run_mcgitops("report", "--json", *arguments, cwd=clone, env=env, check=False)
        assert result.code == 3, result.stderr
        report = from_data(json.loads(result.stdout))
        assert report.headline == "accuracy fell below its gate"
        assert [(c.label, c.base, c.head) for c in report.params] == [("lr", 0.1, 0.05)]
        (curve,) = report.curves
        assert (curve.series, len(curve.xs)) == ("val_loss", 5)
        assert report.warnings == ()


@pytest.mark.s3
def test_a_store_that_does_not_answer_is_an_error_and_not_a_missing_base(
    wine, run_mcgitops, moto_s3
):
    wine.commit({"train.py": "print('next')\n"})  # its parent has no runs here
    wine.train(0.97)
    url = "s3://models/wine?endpoint_url=http://127.0.0.1:9"
    result = run_mcgitops(
        "report", cwd=wine.folder, env={**moto_s3.env, "MCGITOPS_STORE": url}, check=False
    )
    assert result.code == 1
    assert "127.0.0.1:9" in result.stderr
    assert "Traceback" not in result.stderr
