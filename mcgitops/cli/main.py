"""The program's entry: global options, the list of verbs, and how errors end.

Verbs are imported only when they are called, so that `--version` and `--help` stay fast and no verb
pays for what another one needs.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import threading
from typing import Any, NoReturn

import click

from mcgitops import __version__

# Our models need nobody's plugins, and to look for some reads what every installed package says of
# itself: a third of the time that a verb takes to start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

VERBS: dict[str, tuple[str, str]] = {
    # verb: (module in mcgitops.cli, one line of help; held equal to the verb's own by a test)
    "init": ("init", "Propose the x-mcgitops keys and write a workflow, or scaffold a project."),
    "check": ("check", "Check the compose file and its x-mcgitops keys; starts nothing."),
    "schema": ("schema", "Print the JSON Schema of the file, for editors."),
    "docs": ("docs", "Explain a key of the file, such as replicates or metrics.gate."),
    "plan": ("plan", "Show the exact commands that the verbs would execute, and why."),
    "train": ("train", "Build and run the stages whose inputs changed; publish their runs."),
    "push": ("push", "Copy this commit's runs and their artifacts to the project's store."),
    "pull": ("pull", "Bring runs and their artifacts from the project's store."),
    "data": ("data", "Keep data that is too large for git in the store, pinned in git."),
    "verify": ("verify", "Read all that the stores hold; name what is damaged, and mend it."),
    "gc": ("gc", "Remove from the store what nothing needs any more."),
    "runs": ("runs", "List the runs that the store has."),
    "show": ("show", "Show one run or release in full."),
    "compare": ("compare", "Show runs or revisions side by side."),
    "metrics": ("metrics", "Show metrics, compare two revisions, or see how one went."),
    "report": ("report", "Compare the model with the base's and judge the gates."),
    "ci": ("ci", "Do what the CI event asks for: train, report, release, deploy."),
    "hand-over": ("hand_over", "Comment with the report that a fork's own run handed over."),
    "rerun": ("rerun", "Run a pull request's workflow again, as somebody waived a gate of it."),
    "release": ("release", "Pin images, artifacts and configuration under a tag, immutably."),
    "deploy": ("deploy", "Take a release to the hosts of an environment."),
    "rollback": ("rollback", "Return an environment to an earlier release."),
    "heal": ("heal", "Finish what was interrupted: bring all hosts to one release."),
    "lock": ("lock", "Freeze an environment: rollouts are refused until it ends."),
    "unlock": ("unlock", "Show the locks of an environment and take them away."),
    "audit": ("audit", "List who deployed what, when, and how it ended."),
    "diff": ("diff", "Show what a deploy would change on the hosts, before it does."),
    "status": ("status", "Say what runs where."),
    "agent": ("agent", "Deploy on this host what its environment's trigger allows."),
    "store": (
        "store",
        "Look after the store: try what its service can do, say who may do what.",
    ),
    "completion": ("completion", "Print the completion script for a shell."),
    "step": ("step", "One step of a plan; used by exported plans."),
}
COLLECT = (200_000, 20, 20)
"""When the garbage collector looks: what is imported lives to the end, and so do the million
objects that a report makes. A look at 50,000 takes as long as importing a tenth of the program.
"""
HIDDEN = {"step"}


class Verbs(click.Group):
    """A group that imports a verb's module when it is called, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of their use."""
        return [name for name in VERBS if name not in HIDDEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"mcgitops.cli.{VERBS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest verb where one is misspelt."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]}?" if near else " See mcgitops --help."
            raise click.UsageError(f"no such verb: {args[0]}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs' lines from the table: help imports no verb."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, VERBS[name][1]) for name in self.list_commands(ctx)])


@click.group(
    cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "-f", "--file", "files", multiple=True, metavar="FILE",
    help="Compose file; may be repeated. Default: as docker compose finds it.",
)  # fmt: skip
@click.option(
    "-C", "--directory", default="", metavar="DIR", help="The project folder. Default: this one."
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(__version__, message="mcgitops %(version)s")
@click.pass_context
def cli(ctx: click.Context, files: tuple[str, ...], directory: str, debug: bool) -> None:
    """GitOps for models, out of your compose file.

    Exit codes: 0 done, 1 failed, 2 wrong usage or file, 3 a gate failed, 4 training failed,
    5 deployment failed and was rolled back, 6 deployment failed and a host needs attention.
    """
    from mcgitops.cli.app import App

    ctx.obj = App(files=files, directory=directory, debug=debug)


def main(argv: list[str] | None = None) -> None:
    """Run the program and exit with one of the documented codes."""
    _leave(run(argv))


def _leave(code: int) -> NoReturn:
    """Exit without taking apart, object by object, what ends with the process anyway: that takes a
    fifth of a short call. What was registered for the end is done, and all that was said is
    written. Whoever still works, traces or profiles gets the ordinary end.
    """
    others = [one for one in threading.enumerate() if one is not threading.main_thread()]
    if all(one.daemon for one in others) and not (sys.gettrace() or sys.getprofile()):
        atexit._run_exitfuncs()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # the ordinary end has its own words for it
            sys.exit(code)
        os._exit(code)
    sys.exit(code)


def run(argv: list[str] | None = None) -> int:
    """Run the program; returns the exit code. Mistakes are sentences, never tracebacks."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    gc.set_threshold(*COLLECT)
    try:
        result: Any = cli.main(args=arguments, prog_name="mcgitops", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        from mcgitops.cli.interrupt import INTERRUPTED

        click.echo(INTERRUPTED, err=True)
        return 130
    except BrokenPipeError:  # the reader (such as head) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        from mcgitops.errors import McgitopsError

        if debug:
            raise
        if isinstance(error, McgitopsError):
            click.echo(_harmless(str(error)), err=True)
            return error.exit_code
        click.echo(
            f"mcgitops failed unexpectedly: {type(error).__name__}: {_harmless(str(error))}\n"
            "This is a bug. Run it again as mcgitops --debug …, and report what that prints.",
            err=True,
        )
        return 1
    return result if isinstance(result, int) else 0


def _harmless(text: str) -> str:
    """An error's words quote names of files and answers of services: none may steer a terminal."""
    text = click.unstyle(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
