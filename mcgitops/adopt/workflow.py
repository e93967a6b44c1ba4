"""The workflow file that calls the action, rendered for one project.

The action is named by its repository and full commit. A program that was installed from git, or
runs from a checkout, knows them; otherwise they must be given, or a placeholder says so.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from mcgitops.errors import UsageError
from mcgitops.facts.program import output

_PLACEHOLDER = "mcgitops/mcgitops@" + "0" * 40
_GITHUB = re.compile(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$")


@dataclass(frozen=True)
class Action:
    """`OWNER/REPO@COMMIT`; `known` is False for the placeholder."""

    reference: str
    known: bool = True


def path(directory: str = "") -> str:
    """Where the workflow stands; each project of a repository has its own."""
    suffix = re.sub(r"[^A-Za-z0-9._]+", "-", directory).strip("-.")
    return f".github/workflows/mcgitops{f'-{suffix}' if suffix else ''}.yml"


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


def render(reference: str, directory: str = "") -> str:
    """The workflow's text. `directory` is the project's folder below the repository's top."""
    from mcgitops import __version__
    from mcgitops.adopt.templates import environment

    template = environment("workflows").get_template("github.yml.j2")
    name = f"mcgitops {directory}".strip()
    return template.render(
        action=reference,
        directory=json.dumps(directory) if directory else "",
        name=json.dumps(name) if directory else name,
        version=__version__,
    )


def render_forks(reference: str) -> str:
    """The workflow that comments with what the runs of forks hand over."""
    return _render("github-forks.yml.j2", reference, "hand-over")


def render_waivers(reference: str) -> str:
    """The workflow that has a pull request judged again when a gate is waived."""
    return _render("github-waivers.yml.j2", reference, "rerun")


def _render(template: str, reference: str, verb: str) -> str:
    from mcgitops import __version__
    from mcgitops.adopt.templates import environment

    repository, _, commit = reference.partition("@")
    action = f"{repository}/actions/{verb}@{commit}"
    return (
        environment("workflows").get_template(template).render(action=action, version=__version__)
    )
