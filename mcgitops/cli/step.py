"""`mcgitops step`: the steps of an exported plan, one at a time. Each may be repeated."""

from __future__ import annotations

import os

import click

from mcgitops.cli.app import App


@click.group(name="step")
def command() -> None:
    """One step of a plan; used by exported plans."""


@command.command(name="prepare")
@click.argument("stage")
@click.argument("run")
@click.pass_obj
def prepare(app: App, stage: str, run: str) -> int:
    """Make the run's volumes and fill them with what it reads."""
    from mcgitops.run.steps import prepare_step

    # the script that called us is what the run's life hangs on
    return prepare_step(app.workspace, app.reporter(), stage, run, os.getppid())


@command.command(name="collect")
@click.argument("stage")
@click.argument("run")
@click.pass_obj
def collect(app: App, stage: str, run: str) -> int:
    """Follow the run to its end, take what it made, publish it."""
    from mcgitops.run.steps import collect_step

    return collect_step(app.workspace, app.reporter(), stage, run)


@command.command(name="context")
@click.argument("stage")
@click.argument("run")
@click.argument("name")
@click.pass_obj
def context(app: App, stage: str, run: str, name: str) -> int:
    """Materialise an additional build context with upstream's outputs."""
    from mcgitops.run.steps import context_step

    return context_step(app.workspace, stage, run, name)


@command.command(name="dockerfile")
@click.argument("stage")
@click.argument("run")
@click.pass_obj
def dockerfile(app: App, stage: str, run: str) -> int:
    """Write an inline Dockerfile to where the build command reads it."""
    from mcgitops.run.steps import dockerfile_step

    return dockerfile_step(app.workspace, stage, run)


@command.command(name="run")
@click.argument("stage")
@click.option("--force", is_flag=True, help="Even if the store has its runs.")
@click.pass_obj
def run(app: App, stage: str, force: bool) -> int:
    """Decide and execute one stage whose upstream is done."""
    from mcgitops.run.steps import run_step

    reporter = app.reporter()
    try:
        return run_step(app.workspace, reporter, stage, force=force)
    finally:
        reporter.close()


@command.command(name="finish")
@click.argument("stages", nargs=-1)
@click.pass_obj
def finish(app: App, stages: tuple[str, ...]) -> int:
    """Write outputs into the folder and name the runs under the commit."""
    from mcgitops.run.train import finish as finish_stages

    _, aside = finish_stages(app.workspace, stages)
    for path in aside:
        click.echo(f"{path} was not in the store; it is kept in .mcgitops/replaced/.", err=True)
    return 0


def _rollout_step(name: str, about: str) -> None:
    """Add one step of an exported rollout: each acts on one host of one environment."""

    @command.command(name=name, help=about)
    @click.argument("environment")
    @click.option("--release", default="", metavar="NAME")
    @click.option("--current", is_flag=True, help="The release that is current on the host.")
    @click.option("--host", "url", required=True, metavar="URL")
    @click.option("--service", default="", metavar="NAME")
    @click.option("--new", default=0, metavar="N", help="Containers of the new generation.")
    @click.option("--old", default=0, metavar="N", help="Containers of the old one.")
    @click.option("--seconds", default=0.0, metavar="S")
    @click.pass_obj
    def step(
        app: App, environment: str, release: str, current: bool, url: str, service: str, new: int,
        old: int, seconds: float,
    ) -> int:  # fmt: skip
        from mcgitops.deploy.steps import About, Steps

        if bool(release) == current:
            raise click.UsageError("Give one of --release and --current.")
        # the script that called us is what the lock belongs to
        Steps(
            app.project,
            app.store,
            environment,
            url,
            app.environ,
            say=lambda line: click.echo(line, err=True),
        ).run(name, release, About(service, new, old, seconds), os.getppid())
        return 0


_rollout_step("lock", "Lock a host for a rollout.")
_rollout_step("ship", "Bring the images that a host lacks.")
_rollout_step("place", "Write a release folder on a host.")
_rollout_step("healthy", "Wait until what a host was given is healthy.")
_rollout_step("hold", "Let a proxy send nothing to containers that start from now on.")
_rollout_step("surge", "Start containers of a release beside those that run.")
_rollout_step("gate", "Ask new containers what they must answer.")
_rollout_step("switch", "Send requests to the new containers, and let the old ones finish theirs.")
_rollout_step("drain", "Send no requests to a service, and let it finish those that it has.")
_rollout_step("retire", "Stop the containers that were replaced.")
_rollout_step("watch", "Wait for a while whether a host stays well.")
_rollout_step("proxies", "Check that proxies can be switched by the next release.")
_rollout_step("open", "Let a proxy find containers by name again.")
_rollout_step("prune", "Remove what no release on a host needs any more.")
_rollout_step("unlock", "Give a host's lock back.")
