"""Which engine is good enough, and what is installed where one is missing."""

from __future__ import annotations

from tests.lab import engine, images


def test_new_enough_versions_pass() -> None:
    versions = {
        "engine": "26.1.5+dfsg1",
        "compose": "v2.40.3-desktop.1",
        "buildx": "github.com/docker/buildx 0.29.1+ds1 1.2",
    }
    assert engine.too_old(versions) == ""


def test_old_parts_are_named_with_what_is_needed() -> None:
    sentence = engine.too_old({"engine": "20.10.24", "compose": "2.40.3", "buildx": "v0.9.0"})
    assert sentence == (
        "Docker Engine 20.10.24 is too old: 25.0 is needed. "
        "Docker buildx 0.9.0 is too old: 0.12 is needed. Please upgrade."
    )


def test_only_what_is_missing_is_installed() -> None:
    assert engine.packages_for(("compose", "buildx"), "debian") == [
        "docker-compose/sid",
        "docker-buildx/sid",
    ]


def test_a_package_that_brings_two_parts_is_named_once() -> None:
    assert engine.packages_for(("client", "engine"), "ubuntu") == ["docker.io", "iptables"]


def test_a_client_without_a_daemon_still_misses_the_engine() -> None:
    found = engine.Found("Docker version 28.2.2", "", "", "")
    assert found.missing == ("engine", "compose", "buildx")


def test_the_image_uses_the_machines_mirror_for_its_own_suite() -> None:
    entries = [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian-security trixie-security main",
    ]
    assert images.image_sources(entries) == [
        "deb http://mirror.example/debian bookworm main",
        "deb http://mirror.example/debian bookworm-updates main",
    ]


def test_only_settings_of_the_mirror_are_taken_from_apt() -> None:
    dump = 'APT::Install-Recommends "1";\nAcquire::Check-Valid-Until "false";\n'
    assert images.apt_settings(dump) == 'Acquire::Check-Valid-Until "false";\n'
