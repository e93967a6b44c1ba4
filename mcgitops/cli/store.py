"""`mcgitops store doctor` and `mcgitops store policy`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App

if TYPE_CHECKING:
    from mcgitops.store.doctor import Diagnosis, Finding
    from mcgitops.store.store import Store

ROLES = ("reader", "trainer", "releaser", "keeper")  # as in store/policy.py, which a test holds
MARKS = {"works": "ok", "limited": "limited", "missing": "MISSING", "untried": "not tried"}


@click.group(name="store")
def command() -> None:
    """Look after the store: try what its service can do, say who may do what."""


@click.command(name="doctor")
@click.option(
    "--store", "url", default="", metavar="URL", help="Another store than the project's own."
)
@click.option("--read-only", is_flag=True, help="Write nothing; try only what reading needs.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def doctor(app: App, url: str, read_only: bool, as_json: bool) -> int:
    """Try everything that is needed of a store, and say what is missing and how to mend it.

    What is written for it lies below doctor/ and is removed again. Exit 1 where something that
    mcgitops needs is missing; what merely works less well is named.
    """
    store = _opened(app, url)
    from mcgitops.store.doctor import examine

    diagnosis = examine(store.backend, read_only=read_only)
    click.echo(json.dumps(data(diagnosis), indent=2) if as_json else text(diagnosis))
    return 0 if diagnosis.healthy else 1


@click.command(name="policy")
@click.argument("role", metavar="ROLE", type=click.Choice(ROLES))
@click.option(
    "--store", "url", default="", metavar="URL", help="Another store than the project's own."
)
@click.option(
    "--principal", "principals", multiple=True, metavar="ARN",
    help="Whom it is for: makes it a policy of the bucket rather than of an identity.",
)  # fmt: skip
@click.pass_obj
def policy(app: App, role: str, url: str, principals: tuple[str, ...]) -> None:
    """Print what a reader, trainer, releaser or keeper of the store's bucket needs, and no more.

    The policy is JSON in the language of AWS IAM, which other services speak as well. Nothing is
    contacted.
    """
    from mcgitops.errors import UsageError
    from mcgitops.store import policy as policies

    chosen = url or app.store_url
    if not chosen.startswith("s3://"):
        raise UsageError(
            f"{chosen} is a folder, and policies are of buckets.",
            "Name one: --store s3://bucket/prefix. A folder has the rights of its file system.",
        )
    from mcgitops.store.s3_url import parse

    place = parse(chosen, {})
    made = policies.policy(policies.role(role), place.bucket, place.prefix, principals)
    click.echo(json.dumps(made, indent=2))


command.add_command(doctor)
command.add_command(policy)


def data(diagnosis: Diagnosis) -> dict[str, object]:
    """For `--json`. Seconds, and bytes per second."""
    return {
        "store": diagnosis.url,
        "healthy": diagnosis.healthy,
        "latency_seconds": diagnosis.latency,
        "upload_bytes_per_second": diagnosis.upload,
        "download_bytes_per_second": diagnosis.download,
        "findings": [vars(finding) for finding in diagnosis.findings],
    }


def text(diagnosis: Diagnosis) -> str:
    """For people: a line for each trial, and what follows from it below."""
    from mcgitops.compare import numbers

    width = max(len(finding.name) for finding in diagnosis.findings)
    lines, remedy = [diagnosis.url, ""], ""
    for finding in diagnosis.findings:
        lines.append(f"{finding.name:<{width}}  {MARKS[finding.state]:<9}{_seen(finding)}".rstrip())
        said = (finding.without, "" if finding.remedy == remedy else finding.remedy)
        remedy = finding.remedy or remedy  # one that helps with several is said once
        lines += [f"{'':<{width}}  {more}" for more in said if more]
    if diagnosis.latency is not None:
        rates = [
            f"{numbers.size(rate)}/s {word}"
            for word, rate in (("up", diagnosis.upload), ("down", diagnosis.download))
            if rate is not None
        ]
        took = f"One request takes {diagnosis.latency * 1000:.1f} ms"
        lines += ["", f"{', '.join([took, *rates])}."]
    return "\n".join([*lines, "", _verdict(diagnosis)])


def _seen(finding: Finding) -> str:
    return f"  {finding.detail}" if finding.detail else ""


def _verdict(diagnosis: Diagnosis) -> str:
    missing = [finding.name for finding in diagnosis.findings if finding.state == "missing"]
    limited = [finding.name for finding in diagnosis.findings if finding.state == "limited"]
    if missing:
        return f"mcgitops can't use this store as it is: {', '.join(missing)}."
    if limited:
        return f"Everything that is needed works; less well than it could: {', '.join(limited)}."
    return "Everything works."


def _opened(app: App, url: str) -> Store:
    if not url:
        return app.store
    from mcgitops.errors import UsageError
    from mcgitops.project.store_url import check_store_url
    from mcgitops.store.store import open_store

    try:
        check_store_url(url)
    except ValueError as error:
        raise UsageError(f"--store: {error}") from None
    return open_store(url if "://" in url else str((app.folder / url).resolve()))
