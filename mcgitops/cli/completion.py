"""`mcgitops completion`: the completion script of a shell."""

from __future__ import annotations

import click


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script for a shell.

    bash: eval "$(mcgitops completion bash)", in ~/.bashrc.
    """
    from click.shell_completion import get_completion_class

    from mcgitops.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101
    click.echo(kind(cli, {}, "mcgitops", "_MCGITOPS_COMPLETE").source())
    return 0
