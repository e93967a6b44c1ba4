"""`mcgitops agent`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App
from mcgitops.cli.interrupt import ended_politely
from mcgitops.errors import UsageError

if TYPE_CHECKING:
    from mcgitops.deploy.agents.place import AgentPlace
    from mcgitops.deploy.agents.wanted import Source
    from mcgitops.store.store import Store


@click.command(name="agent")
@click.argument("environment", metavar="ENV")
@click.option(
    "--project", envvar="MCGITOPS_PROJECT", metavar="NAME",
    help="The project's name, where no compose file is here. The store is then MCGITOPS_STORE.",
)  # fmt: skip
@click.option(
    "--every", default="30s", show_default=True, metavar="TIME", help="How often to look."
)
@click.option("--once", is_flag=True, help="Look once, do what there is to do, and end.")
@click.option(
    "--from", "origin", type=click.Choice(("store", "git")), default="store", show_default=True,
    help="Where it learns of releases: the store's own note, or the tags of a git repository.",
)  # fmt: skip
@click.option("--remote", default="", metavar="URL", help="The git repository, for --from git.")
@click.option("--json", "as_json", is_flag=True, help="Print each line as JSON.")
@click.option("--status", "show", is_flag=True, help="Only say what is wanted and what runs.")
@click.option("--alive", is_flag=True, help="Only say by the exit code whether the agent works.")
@click.option(
    "--write", "target", metavar="DIR",
    help="Only write a compose file and a systemd unit that run the agent into a folder.",
)  # fmt: skip
@click.pass_obj
def command(
    app: App, environment: str, project: str | None, every: str, once: bool, origin: str,
    remote: str, as_json: bool, show: bool, alive: bool, target: str | None,
) -> int:  # fmt: skip
    """Deploy on this host what its environment's trigger allows.

    For hosts that CI can't reach. It asks the store every 30 s for the newest release of an
    environment with `pull: true`, and deploys it on the engine of this machine as `mcgitops deploy`
    does: healthy, or as it was before.
    Values come from the environment and from `.env`, env files and secrets in this folder; no
    checkout is needed. A release that failed here, or was rolled back, isn't tried again.

    With --once it exits as deploy does: 5 where the release failed, now or before; 6 where this
    host needs attention.
    """
    from mcgitops.deploy.agents.place import AgentPlace, root

    _check_names(environment, project)
    name = project or app.project.name
    if target is not None:
        return _write(Path(target), environment, name, app.environ.get("MCGITOPS_STORE", ""))
    place = AgentPlace(root(name, environment, app.environ))
    if alive:
        return 0 if place.is_alive() else 1
    store = _store(app, project)
    if show:
        return _show(app, name, environment, store, place, as_json)
    from mcgitops.deploy.agents.work import Agent, Job

    seconds = _seconds(every)
    with ended_politely(), place.locked():
        source = _source(app, name, environment, store, place, origin, remote)
        job = Job(name, environment, app.folder, store, source, app.environ)
        agent = Agent(job, place, _json_line if as_json else _line, seconds)
        if once:
            return agent.turn().code
        try:
            agent.run()
        except KeyboardInterrupt:
            (_json_line if as_json else _line)("ended", "Asked to end.")
    return 0


def _check_names(environment: str, project: str | None) -> None:
    for what, name in (("environment", environment), ("project", project)):
        if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            raise UsageError(f"{name!r} can't name a {what}.", "Use a-z, 0-9, - and _.")


def _seconds(text: str) -> float:
    from mcgitops.project.base import DURATION, seconds

    if not re.fullmatch(DURATION, text) or seconds(text) < 1:
        raise UsageError(f"--every {text} is not a time.", "Write 30s or 5m.")
    return seconds(text)


def _store(app: App, project: str | None) -> Store:
    if project is None:
        return app.store
    from mcgitops.store.store import open_store

    url = app.environ.get("MCGITOPS_STORE", "")
    if not url:
        raise UsageError(
            "With --project the store must be named.", "Set MCGITOPS_STORE, as s3://bucket/prefix."
        )
    return open_store(url if "://" in url else str((app.folder / url).resolve()))


def _source(
    app: App, project: str, environment: str, store: Store, place: AgentPlace, origin: str,
    remote: str,
) -> Source:  # fmt: skip
    from mcgitops.deploy.agents.wanted import FromGit, FromStore

    if bool(remote) != (origin == "git"):
        raise UsageError("--from git and --remote URL belong together.")
    if origin == "store":
        return FromStore(store, project, environment, place.memory().number)
    from mcgitops.deploy.agents.pulled import pulled

    return FromGit(
        remote,
        app.folder,
        lambda tag: store.release(project, tag),
        lambda record: (
            pulled(store, record, environment, app.folder).spec.environments[environment].trigger
        ),
    )


def _show(
    app: App, name: str, environment: str, store: Store, place: AgentPlace, as_json: bool
) -> int:
    from mcgitops.deploy.agents.pulled import bare
    from mcgitops.deploy.agents.wanted import FromStore
    from mcgitops.deploy.status import status
    from mcgitops.deploy.views import status_text

    memory = place.memory()
    wanted = FromStore(store, name, environment, memory.number).newest()
    found = status(bare(name, environment, app.folder), [environment], app.environ)
    if as_json:
        click.echo(json.dumps({
            "wanted": wanted.release if wanted else None,
            "last": {"release": memory.release, "state": memory.state},
            "alive": place.is_alive(),
            "hosts": [one.to_json() for one in found],
        }, indent=2))  # fmt: skip
    else:
        click.echo(f"wanted  {wanted.release if wanted else 'nothing yet'}")
        click.echo(f"last    {memory.release} {memory.state}" if memory.release else "last    –")
        click.echo(f"agent   {'at work' if place.is_alive() else 'not running'}\n")
        click.echo(status_text(found))
    return 0 if all(one.is_well for one in found) else 1


def _write(folder: Path, environment: str, project: str, store: str) -> int:
    """The files of `templates/agent`, with this environment's name in the example of settings."""
    from mcgitops.resources import templates

    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(templates("agent").iterdir()):
        text = source.read_text()
        if source.name == "agent.env.example":
            text = text.replace("=edge\n", f"={environment}\n").replace("=wine\n", f"={project}\n")
            text = text.replace("=s3://models/wine\n", f"={store or 's3://models/wine'}\n")
        if (folder / source.name).exists():
            click.echo(f"{folder / source.name} is there already, and stays as it is.")
            continue
        (folder / source.name).write_text(text)
        click.echo(f"Wrote {folder / source.name}.")
    return 0


def _line(event: str, text: str) -> None:
    """A line of the log: the time, and what happened; further lines are indented."""
    first, *rest = text.splitlines() or [""]
    click.echo("\n".join([f"{_now()}  {first}", *(f"    {line}" for line in rest)]))


def _json_line(event: str, text: str) -> None:
    click.echo(json.dumps({"time": _now(), "event": event, "message": text}))


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
