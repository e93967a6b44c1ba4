"""Releases on two SSH hosts with engines of their own."""

from __future__ import annotations

import json

import pytest

from tests.integration.deploy.conftest import MakeApp, get, points
from tests.lab.hosts import Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]


def test_a_released_model_answers_on_both_hosts_and_a_bad_release_goes_back(
    make_app: MakeApp, fresh_hosts: Hosts
) -> None:
    app = make_app([host.url for host in fresh_hosts], fresh_hosts.env)
    app.release("v1")

    dry = app("deploy", "--dry-run", "--release", "v1")
    assert "docker compose" in dry.stdout
    assert "nothing executed" in dry.stdout
    assert fresh_hosts[0].docker("ps", "-q").stdout == ""

    done = app("deploy", "production", "--release", "v1")
    assert "✔" in done.stderr
    for host in fresh_hosts:
        assert get(host.http(18080) + "/cgi-bin/predict?x=3") == "6.00"
        assert get(host.http(18080) + "/banner.txt") == "served by nobody"

    # the same again has nothing to do
    before = fresh_hosts[0].docker("ps", "--format", "{{.ID}}").stdout
    assert "Nothing to do" in app("deploy", "production", "--release", "v1").stdout
    assert fresh_hosts[0].docker("ps", "--format", "{{.ID}}").stdout == before

    # a better model replaces it
    app.release("v2", {"data/points.csv": points(5)})
    app("deploy", "--release", "v2")
    for host in fresh_hosts:
        assert get(host.http(18080) + "/cgi-bin/predict?x=3") == "15.00"

    # one that never gets healthy leaves the former one on both
    app.release("v3", {"data/points.csv": points(7), "healthy.sh": "echo no model; exit 1\n"})
    failed = app("deploy", "--release", "v3", "--json", check=False)
    assert failed.code == 5, failed
    report = json.loads(failed.stdout)
    assert report["state"] == "rolled-back"
    assert [host["outcome"] for host in report["hosts"]] == ["rolled back", "untouched"]
    assert "no model" in failed.stderr
    for host in fresh_hosts:
        assert get(host.http(18080) + "/cgi-bin/predict?x=3") == "15.00"
        assert host.docker("volume", "ls", "-q").stdout == ""
    status = json.loads(app("status", "--json").stdout)
    assert [host["release"] for host in status] == ["v2", "v2"]
    assert [host["drift"] for host in status] == [[], []]
    table = app("status").stdout.splitlines()
    assert len(table) == 3
    assert "api 1/1 proxy 1/1" in table[1]
