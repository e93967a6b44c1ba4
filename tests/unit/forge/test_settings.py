"""The runner's variables: each is checked, and the error names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcgitops.errors import UsageError
from mcgitops.forge.settings import Settings, comment_key, key_from, read_settings

RUNNER = {
    "GITHUB_API_URL": "http://127.0.0.1:5/",
    "GITHUB_SERVER_URL": "https://git.example.com",
    "GITHUB_REPOSITORY": "octo/wine",
    "GITHUB_TOKEN": "ghs_secret",
    "GITHUB_RUN_ID": "812",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_ACTIONS": "true",
    "GITHUB_STEP_SUMMARY": "/tmp/summary",
}


def test_the_runners_variables_become_a_value() -> None:
    settings = read_settings(RUNNER)
    assert settings.api_url == "http://127.0.0.1:5"
    assert settings.run_url == "https://git.example.com/octo/wine/actions/runs/812"
    assert (settings.run_id, settings.run_attempt, settings.in_actions) == (812, 2, True)
    assert settings.summary == Path("/tmp/summary")
    assert settings.output is None


def test_outside_a_run_everything_has_a_default() -> None:
    assert read_settings({"GITHUB_TOKEN": "", "GITHUB_RUN_ID": " "}) == Settings()
    assert Settings().run_url == ""


def test_the_token_is_never_printed() -> None:
    assert "ghs_secret" not in repr(read_settings(RUNNER))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GITHUB_API_URL", "api.github.com"),
        ("GITHUB_API_URL", "https://me:secret@host"),
        ("GITHUB_REPOSITORY", "octo"),
        ("GITHUB_REPOSITORY", "octo/wine/../x"),
        ("GITHUB_TOKEN", "two words"),
        ("GITHUB_RUN_ID", "-1"),
    ],
)
def test_a_wrong_value_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"^{variable}: ") as caught:
        read_settings({variable: value})
    assert "secret" not in str(caught.value)


def test_the_event_is_read_and_a_damaged_one_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text('{"ref": "x"}')
    assert Settings(event_path=path).payload() == {"ref": "x"}
    assert Settings().payload() is None
    path.write_text("{")
    with pytest.raises(UsageError, match="is not JSON"):
        Settings(event_path=path).payload()
    with pytest.raises(UsageError, match="GITHUB_EVENT_PATH"):
        Settings(event_path=tmp_path / "none").payload()


def test_a_key_cant_leave_its_marker() -> None:
    assert comment_key("wine.gpu-1") == "wine.gpu-1"
    for bad in ("", "a b", "x-->", "-x", "a" * 65):
        with pytest.raises(ValueError, match="is not a key"):
            comment_key(bad)
    assert key_from("My wine/α --> ") == "My-wine"
    assert key_from("///") == "project"
