"""The workflow file that calls the action, rendered for one project.

The action is named by its repository and full commit. A program that was installed from git, or
runs from a checkout, knows them; otherwise they must be given, or a placeholder says so.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
from mcgitops.facts.program import output

_PLACEHOLDER = "mcgitops/mcgitops@" + "0" * 40
BESIDE = ("forks", "waivers")
"""Kinds of workflows that stand beside the one which trains and reports."""
_GITHUB = re.compile(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$")


@dataclass(frozen=True)
class Action:
    """`OWNER/REPO@COMMIT`; `known` is False for the placeholder."""

    reference: str
    known: bool = True


def path(directory: str = "", kind: str = "") -> str:
    """Where the workflow stands; each project of a repository has its own.

    kind: `forks` or `waivers`, for those that stand beside the one which trains and reports.
    """
    suffix = re.sub(r"[^A-Za-z0-9._]+", "-", directory).strip("-.")
    name = "-".join(part for part in ("mcgitops", suffix, kind) if part)
    return f".github/workflows/{name}.yml"


def action(given: str = "") -> Action:
    """The action to call: as given, as installed, or the placeholder. Raises `UsageError`."""
    if given:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+(/[\w./-]+)?@[0-9a-f]{40}", given):
            raise UsageError(
                f"--action {given}: not a pinned action.",
                "Write OWNER/REPO@ and the full commit of 40 hexadecimal digits.",
            )
        return Action(given)
    return _installed_from() or _checkout() or Action(_PLACEHOLDER, known=False)


def _installed_from() -> Action | None:
    """Where pip or uv fetched this installation from, if that was a repository on GitHub."""
    from importlib import metadata

    try:
        text = metadata.distribution("mcgitops").read_text("direct_url.json")
        data = json.loads(text or "{}")
        return _on_github(str(data.get("url")), str(data["vcs_info"]["commit_id"]))
    except (metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return None


def _checkout() -> Action | None:
    """The checkout that the package lies in, if it came from GitHub and its action.yml is there."""
    home = Path(__file__).parents[2]
    if not (home / "action.yml").is_file() or not (home / ".git").exists():
        return None
    url = output(("git", "remote", "get-url", "origin"), home, check=False)
    commit = output(("git", "rev-parse", "HEAD"), home, check=False)
    return _on_github(url.stdout.strip(), commit.stdout.strip()) if url.code == 0 else None


def _on_github(url: str, commit: str) -> Action | None:
    found = _GITHUB.search(url)
    if not found or not re.fullmatch(r"[0-9a-f]{40}", commit):
        return None
    return Action(f"{found[1]}@{commit}")


def render(reference: str, directory: str = "", *, forks: bool = False) -> str:
    """The workflow's text. `directory` is the project's folder below the repository's top.

    forks: the job of a fork's pull request uploads its report, which `render_forks` comments with.
    """
    return _render("github.yml.j2", reference, directory, forks=forks)


def render_forks(reference: str, directory: str = "") -> str:
    """The workflow that comments with what the runs of forks hand over."""
    return _render("github-forks.yml.j2", _part(reference, "hand-over"), directory)


def render_waivers(reference: str, directory: str = "") -> str:
    """The workflow that has a pull request judged again when a gate is waived."""
    return _render("github-waivers.yml.j2", _part(reference, "rerun"), directory)


def _part(reference: str, verb: str) -> str:
    repository, _, commit = reference.partition("@")
    return f"{repository}/actions/{verb}@{commit}"


def _render(template: str, action: str, directory: str, **values: bool) -> str:
    from mcgitops import __version__
    from mcgitops.adopt.templates import environment

    name = f"mcgitops {directory}".strip()
    return (
        environment("workflows")
        .get_template(template)
        .render(
            action=action,
            directory=json.dumps(directory) if directory else "",
            name=json.dumps(name) if directory else name,
            more={
                kind: json.dumps(f"{name} {kind}") if directory else f"{name} {kind}"
                for kind in BESIDE
            },
            file=path(directory).rpartition("/")[2],
            version=__version__,
            **values,
        )
    )
