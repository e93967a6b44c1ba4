"""What goes, what is marked and what stays: facts → decisions."""

from __future__ import annotations

import pytest

from mcgitops.store.reach import Item, Place, Plan, Roots, decide
from mcgitops.store.survey import Noted

NOW, DAY = 1_000_000.0, 86_400.0
GRACE = 10 * DAY
OLD, YOUNG = NOW - 20 * DAY, NOW - DAY
RUN = "runs/wine/train/1.json"
OTHER_RUN = "runs/wine/train/2.json"


def run(key: str = RUN, digest: str = "a", *, at: float = OLD, **changes: object) -> Noted:
    values: dict[str, object] = {
        "key": key, "kind": key.split("/")[0], "project": "wine", "stage": "train", "label": key,
        "at": at, "modified": OLD, "files": ((digest, 5, "out/model"),),
    }  # fmt: skip
    return Noted(**{**values, **changes})  # type: ignore[arg-type]


def naming(kind: str, *runs: str, commit: str = "", project: str = "wine") -> Noted:
    return Noted(
        f"{kind}/x.json", kind, project, "train", kind, OLD, modified=OLD,
        commits=(commit,) if commit else (), runs=runs,
    )  # fmt: skip


def place(digest: str = "a", *, modified: float = OLD) -> Place:
    return Place(f"objects/{digest}", 5, ((digest, 5),), modified)


def plan(
    records: list[Noted], places: list[Place], roots: Roots | None = None, *,
    marked: dict[str, float] | None = None, is_folder: bool = True, pages: tuple[Item, ...] = (),
) -> Plan:  # fmt: skip
    return decide(
        records, places, pages, roots or Roots("wine"), marked or {},
        now=NOW, grace=GRACE, is_folder=is_folder,
    )  # fmt: skip


def keys(items: tuple[Item, ...]) -> set[str]:
    return {item.key for item in items}


BOTH = {RUN, "objects/a"}
FOREIGN = Noted("runs/beer/t/1.json", "runs", "beer", "t", "run", OLD, files=(("b", 5, "x"),))


@pytest.mark.parametrize(
    ("records", "places", "roots", "gone"),
    [
        pytest.param([run()], [place()], Roots("wine"), BOTH, id="nobody needs it"),
        pytest.param([], [place()], Roots("wine"), {"objects/a"}, id="no record names it"),
        pytest.param([run()], [place()], Roots("wine", keep_runs=1), set(), id="last run"),
        pytest.param(
            [run(), run(OTHER_RUN, "b", at=OLD + 1)], [place(), place("b")],
            Roots("wine", keep_runs=1), BOTH, id="last but one",
        ),
        pytest.param([run(at=YOUNG)], [place()], Roots("wine"), set(), id="began lately"),
        pytest.param([run(modified=YOUNG)], [place()], Roots("wine"), set(), id="written lately"),
        pytest.param(
            [run()], [place(modified=YOUNG)], Roots("wine"), {RUN}, id="object written lately"
        ),
        pytest.param(
            [run(), naming("commits", RUN, commit="c")], [place()],
            Roots("wine", frozenset({"c"})), set(), id="a branch has its commit",
        ),
        pytest.param(
            [run(), naming("commits", RUN, commit="c")], [place()],
            Roots("wine", frozenset({"d"})), {*BOTH, "commits/x.json"}, id="its branch is gone",
        ),
        pytest.param(
            [run(), naming("releases", RUN)], [place()], Roots("wine"), set(), id="released"
        ),
        pytest.param(
            [run(), run(OTHER_RUN, "b", runs=(RUN,)), naming("releases", OTHER_RUN)],
            [place(), place("b")], Roots("wine"), set(), id="a released run read it",
        ),
        pytest.param(
            [run(project="beer")], [place()], Roots("wine"), set(), id="another project's"
        ),
        pytest.param(
            [FOREIGN], [place()], Roots("wine"), set(), id="maybe another project's data"
        ),
        pytest.param(
            [], [place()], Roots("wine", digests=frozenset({"a"})), set(), id="pinned in git"
        ),
        pytest.param([], [place()], Roots("wine", orphans=True), set(), id="maybe pinned in git"),
        pytest.param(
            [run("attempts/wine/train/1/2.json")], [place()], Roots("wine"),
            {"attempts/wine/train/1/2.json", "objects/a"}, id="failed long ago",
        ),
        pytest.param([naming("deployments")], [], Roots("wine"), set(), id="rollouts are kept"),
    ],
)  # fmt: skip
def test_what_goes_from_a_folder(
    records: list[Noted], places: list[Place], roots: Roots, gone: set[str]
) -> None:
    assert keys(plan(records, places, roots).remove) == gone


def test_in_a_bucket_it_is_marked_first_and_goes_when_that_is_long_ago() -> None:
    fresh = plan([run()], [place()], is_folder=False)
    assert (keys(fresh.mark), fresh.remove) == (BOTH, ())
    waiting = plan([run()], [place()], marked=dict.fromkeys(BOTH, YOUNG), is_folder=False)
    assert (keys(waiting.waiting), waiting.mark, waiting.remove) == (BOTH, (), ())
    ripe = plan([run()], [place()], marked=dict.fromkeys(BOTH, OLD), is_folder=False)
    assert keys(ripe.remove) == BOTH


def test_what_is_needed_again_loses_its_mark() -> None:
    found = plan(
        [run()], [place()], Roots("wine", keep_runs=1), marked={RUN: OLD, "objects/gone": OLD},
        is_folder=False,
    )  # fmt: skip
    assert (found.cancel, found.remove) == ((RUN,), ())


def test_of_several_copies_one_stays_and_all_choose_the_same() -> None:
    pack = Place("packs/p", 100, (("a", 5), ("b", 5)), OLD, is_pack=True)
    found = plan([run()], [pack, place()], Roots("wine", keep_runs=1))
    assert keys(found.remove) == {"packs/p"}
    marked = plan(
        [run()], [pack, place()], Roots("wine", keep_runs=1), marked={"objects/a": OLD},
        is_folder=False,
    )  # fmt: skip
    assert (keys(marked.remove), marked.mark) == ({"objects/a"}, ())


def test_a_pack_of_which_most_is_unneeded_is_written_anew() -> None:
    sparse = Place("packs/p", 110, (("a", 5), ("b", 95)), OLD, is_pack=True)
    dense = Place("packs/q", 110, (("c", 95), ("d", 5)), OLD, is_pack=True)
    needed = Roots("wine", digests=frozenset({"a", "c"}))
    found = plan([], [sparse, dense], needed)
    assert found.rewrite == ((sparse, ("a",)),)
    assert (found.remove, found.kept_objects) == ((), 2)


def test_a_report_stays_as_long_as_its_commit() -> None:
    pages = tuple(
        Item(f"reports/{project}/{sha}/k.html", 1, "reports", OLD)
        for project, sha in (("wine", "c"), ("wine", "d"), ("beer", "d"))
    )
    found = plan([], [], Roots("wine", frozenset({"c"})), pages=pages)
    assert keys(found.remove) == {"reports/wine/d/k.html"}
