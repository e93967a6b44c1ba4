"""A rollout as GitHub shows it: a deployment of an environment, in progress, then how it ended.

Nothing here may fail a rollout: the first refusal becomes a warning, and the rest is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mcgitops.forge.github import ForgeError, GitHub
from mcgitops.forge.settings import Settings

if TYPE_CHECKING:
    from github.Deployment import Deployment

PATIENCE = 5.0
"""The longest wait that GitHub may ask for, in seconds: a rollout doesn't wait for it."""


class DeploymentOnGitHub:
    """One rollout's deployment."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._github = GitHub(
            settings.api_url, settings.token, settings.repository, patience=PATIENCE
        )
        self._deployment: Deployment | None = None
        self._url = ""

    def begin(self, sha: str, environment: str, release: str, url: str = "") -> None:
        """Show that a release is being deployed; `url` is where the environment is served."""
        self._url = url
        run = self._settings.run_url
        try:
            deployment = self._github.deployment(sha, environment, f"mcgitops: {release}", run)
            self._github.deployment_state(
                deployment, "in_progress", f"deploying {release}", run, url
            )
            self._deployment = deployment
        except ForgeError as error:
            self._say(f"Not shown as a deployment on GitHub: {error}")

    def end(self, headline: str, *, succeeded: bool) -> None:
        """Show how it ended."""
        if self._deployment is None:
            return
        try:
            self._github.deployment_state(
                self._deployment, "success" if succeeded else "failure", headline,
                self._settings.run_url, self._url,
            )  # fmt: skip
        except ForgeError as error:
            self._say(f"Its end is not shown on GitHub: {error}")


def is_shown(settings: Settings, environ: dict[str, str]) -> bool:
    """Whether this job can show deployments: those of GitHub can, Forgejo and Gitea have none."""
    others = environ.get("GITEA_ACTIONS") or environ.get("FORGEJO_ACTIONS")
    return bool(settings.in_actions and settings.token and settings.repository and not others)
