"""Starts Compose without `docker` in front of it, for questions that the files alone answer.

`docker compose` is three processes: docker, the plugin saying what it is, and the plugin. Where it
is certain which plugin that would be, it is started as docker starts it, with the same words, in a
third of the CPU time. Everything that acts on an engine goes through `docker`, as it is shown.

Source: docker/cli, `cli-plugins/manager`: the order of the folders, and the variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcgitops.facts.resolved import compose_plugin

_STARTED_BY = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"
"""Tells a plugin that docker has started it; without it, it would read its words differently."""


def direct(
    argv: Sequence[str], environ: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str]] | None:
    """`docker compose … config …`, also behind `env -u NAME …`, as a call of the plugin itself.

    Gives its words and its whole environment; None where it is another command, or where the
    plugin isn't certain.
    """
    words, own = list(argv), dict(environ)
    if words[:1] == ["env"]:
        del words[0]
        while words[:1] == ["-u"] and len(words) > 1:
            own.pop(words[1], None)
            del words[:2]
    if words[:2] != ["docker", "compose"] or "config" not in words:
        return None
    plugin = compose_plugin(own)
    if plugin is None:
        return None
    return (plugin, *words[1:]), {**own, _STARTED_BY: "docker"}
