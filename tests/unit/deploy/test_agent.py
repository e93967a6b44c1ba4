"""What an agent does next, and what it takes for the newest release."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.deploy import yamlfile
from mcgitops.deploy.agents.decide import (
    LONGEST_PAUSE,
    MOST_TRIES,
    Memory,
    Seen,
    decide,
    judge,
    pause,
)
from mcgitops.deploy.agents.place import AgentPlace, root
from mcgitops.deploy.agents.pulled import pulled
from mcgitops.deploy.agents.wanted import (
    FromGit,
    FromStore,
    Want,
    allows,
    announce,
    newest_first,
    shown_url,
    tags_of,
)
from mcgitops.deploy.execution import Paused
from mcgitops.deploy.outcome import HostReport, NeedsAttention, Report, RolledBack
from mcgitops.errors import HostNeedsAttention, McgitopsError, StoreError, UsageError
from mcgitops.facts.compose import load_project
from mcgitops.project.environment import Trigger
from mcgitops.project.hosts import LOCAL
from mcgitops.store.records import FileRef, ReleaseRecord
from mcgitops.store.store import Store, open_store
from tests.conftest import ProjectFactory
from tests.unit.deploy.notes import NOON, note

V1, V2 = Want("v1", "1" * 40), Want("v2", "2" * 40)


def remembered(want: Want, state: str, tries: int = 0) -> Memory:
    return Memory(want.release, want.commit, 0, state, tries)  # type: ignore[arg-type]


def test_what_is_wanted_anew_is_deployed() -> None:
    assert decide(V1, Seen(), Memory()).action == "deploy"
    assert decide(V2, Seen("v1"), remembered(V1, "deployed")).release == "v2"
    # and also after the last one failed
    assert decide(V2, Seen("v0"), remembered(V1, "rolled-back")).action == "deploy"


def test_nothing_is_done_while_nothing_is_wanted_or_it_runs() -> None:
    assert decide(None, Seen(), Memory(), starting=True).action == "rest"
    assert decide(V1, Seen("v1"), remembered(V1, "deployed")).action == "rest"


@pytest.mark.parametrize("state", ["rolled-back", "needs-attention"])
def test_a_release_that_failed_waits_for_another_one(state: str) -> None:
    for starting in (True, False):
        decision = decide(V2, Seen("v1"), remembered(V2, state), starting=starting)
        assert (decision.action, decision.failed) == ("rest", True)


def test_a_release_that_somebody_rolled_back_is_left_alone() -> None:
    seen = Seen("v1", rejected=frozenset({"v2"}))
    for memory in (Memory(), remembered(V2, "deployed"), remembered(V1, "deployed")):
        assert decide(V2, seen, memory, starting=True).action == "rest"


def test_what_was_deployed_by_hand_stays_until_something_newer_is_wanted() -> None:
    memory = remembered(V2, "deployed")
    assert decide(V2, Seen("v1"), memory, starting=True).action == "rest"
    assert decide(Want("v3", "3" * 40), Seen("v1"), memory).action == "deploy"


def test_a_start_looks_after_containers_and_values() -> None:
    assert decide(V1, Seen("v1"), remembered(V1, "deployed"), starting=True).action == "deploy"


def test_a_rollout_that_was_cut_off_is_finished_or_taken_back() -> None:
    killed = remembered(V2, "trying", 1)
    assert decide(V2, Seen("v1", "v2"), killed, starting=True).action == "deploy"
    for memory in (remembered(V2, "needs-attention"), remembered(V2, "trying", MOST_TRIES)):
        decision = decide(V2, Seen("v1", "v2"), memory)
        assert (decision.action, decision.release, decision.failed) == ("mend", "v1", True)
    # a hand's rollout that broke off, while nothing new is wanted
    assert decide(V1, Seen("v1", "v9"), remembered(V1, "deployed")).action == "deploy"
    # nothing ran before: there is nothing to return to
    assert decide(V2, Seen("", "v2"), remembered(V2, "needs-attention")).action == "rest"


def test_a_moved_release_name_is_another_release() -> None:
    assert decide(Want("v1", "9" * 40), Seen("v1"), remembered(V1, "rolled-back")).action == (
        "deploy"
    )


@given(
    st.sampled_from([None, V1, V2]),
    st.sampled_from(["", "v1", "v2"]),
    st.sampled_from(["", "v1", "v2"]),
    st.frozensets(st.sampled_from(["v1", "v2"])),
    st.sampled_from(["", "trying", "deployed", "rolled-back", "needs-attention", "paused"]),
    st.integers(0, MOST_TRIES),
    st.booleans(),
)
def test_no_release_that_was_rejected_or_failed_is_ever_deployed(
    want: Want | None, current: str, attempt: str, rejected: frozenset[str], state: str, tries: int,
    starting: bool,
) -> None:  # fmt: skip
    memory = remembered(V2, state, tries)
    decision = decide(want, Seen(current, attempt, rejected), memory, starting=starting)
    if decision.action == "deploy":
        assert want is not None
        assert decision.release == want.release
        assert want.release not in rejected
        assert not (want == V2 and state in ("rolled-back", "needs-attention", "paused"))
    if decision.action == "mend":
        assert decision.release == current != ""


def report(outcome: str) -> Report:
    return Report("edge", "v2", {LOCAL: HostReport("local", "v1", outcome)})


def caused(error: McgitopsError, cause: McgitopsError) -> McgitopsError:
    error.__cause__ = cause
    return error


def test_a_failure_of_the_surroundings_is_not_the_releases() -> None:
    away = StoreError("away")
    assert judge(caused(RolledBack("x", report("untouched")), away)) == "again"
    assert judge(RolledBack("x", report("untouched"))) == "counted"
    assert judge(RolledBack("x", report("rolled back"))) == "rolled-back"
    assert judge(caused(RolledBack("x", report("rolled back")), away)) == "rolled-back"
    assert judge(NeedsAttention("x", "", report("untouched"))) == "again"
    assert judge(NeedsAttention("x", "", report("needs attention"))) == "needs-attention"
    assert (
        judge(caused(NeedsAttention("x", "", report("needs attention")), Paused("x"))) == "paused"
    )
    assert decide(V2, Seen("v1", "v2"), remembered(V2, "paused")).action == "rest"
    for error in (away, UsageError("no value"), HostNeedsAttention("no engine")):
        assert judge(error) == "again"


def test_pauses_grow_to_five_minutes_and_differ() -> None:
    assert pause(30, 0, 0.3) == 30
    assert [pause(30, n, 1) for n in (1, 2, 3, 4, 50)] == [60, 120, 240, LONGEST_PAUSE, 300]
    assert pause(30, 3, 0) == 120
    assert pause(600, 5, 1) == 600


def test_a_trigger_allows_tags_or_releases_of_a_branch() -> None:
    tag, branch = Trigger(tag="v*"), Trigger(branch="main")
    assert allows(tag, "v1.2")
    assert not allows(tag, "w1")
    assert allows(branch, "main-1a2b3c4d5e6f")
    assert not allows(branch, "main")
    assert not allows(branch, "dev-1a2b3c4d5e6f")
    assert not allows(None, "v1")


def test_versions_are_newest_first() -> None:
    tags = ["v1.9", "v1.10", "v2.0-rc1", "v2.0-rc10", "v2.0-rc9", "v2.0", "v0.1", "nightly"]
    assert newest_first(tags) == [
        "v2.0", "v2.0-rc10", "v2.0-rc9", "v2.0-rc1", "v1.10", "v1.9", "v0.1", "nightly",
    ]  # fmt: skip
    assert newest_first(["2026-02-10", "2026-11-02"]) == ["2026-11-02", "2026-02-10"]


def test_an_annotated_tag_is_the_commit_that_it_is_on() -> None:
    lines = ["aa\trefs/tags/v1", "bb\trefs/tags/v2", "cc\trefs/tags/v2^{}", "dd\trefs/heads/v3"]
    assert tags_of(lines) == {"v1": "aa", "v2": "cc"}


def test_a_password_in_a_url_is_not_shown() -> None:
    assert shown_url("https://me:pass@git.example.com/x.git") == "https://git.example.com/x.git"
    assert shown_url("git@example.com:x.git") == "git@example.com:x.git"


# the store's note


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def test_a_late_job_for_an_older_commit_takes_nothing_back(store: Store) -> None:
    assert store.want(note("v1", 1)).number == 1
    assert store.want(note("v3", 3)).number == 2
    assert store.want(note("v2", 2)).release == "v3"
    assert store.want(note("v3", 3)).number == 2  # said again
    assert store.want(note("v3.1", 3, released=1)).number == 3  # another tag of the same commit
    newest = store.wanted("wine", "edge")
    assert newest is not None
    assert newest.release == "v3.1"
    assert store.wanted("wine", "edge", 3) is None
    assert store.wanted("wine", "staging") is None


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9, 100])
def test_the_newest_note_is_found_without_a_list(store: Store, count: int) -> None:
    for number in range(1, count + 1):
        store.add(note(f"v{number}", number).model_copy(update={"number": number}))
    asked = 0
    get = store.backend.get

    def counted(key: str, limit: int | None = None) -> bytes | None:
        nonlocal asked
        asked += 1
        return get(key, limit)

    store.backend.get = counted  # type: ignore[method-assign]
    source = FromStore(store, "wine", "edge")
    assert source.newest() == Want(f"v{count}", "1" * 40, count)
    assert asked <= 2 * count.bit_length() + 1
    asked = 0
    assert source.newest() == Want(f"v{count}", "1" * 40, count)
    assert asked == 1


def test_a_store_that_was_made_anew_is_followed_from_its_beginning(store: Store) -> None:
    store.want(note("v1", 1))
    assert FromStore(store, "wine", "edge", known=57).newest() == Want("v1", "1" * 40, 1)


def test_writers_at_once_lose_nothing(store: Store) -> None:
    program = (
        "import sys; from mcgitops.store.store import open_store\n"
        "from tests.unit.deploy.notes import note\n"
        "store = open_store(sys.argv[1])\n"
        "for minute in range(int(sys.argv[2]), 40, 4): store.want(note(f'v{minute}', minute))\n"
    )
    import sys

    started = [
        subprocess.Popen([sys.executable, "-c", program, str(store.path), str(first)])
        for first in range(4)
    ]
    assert [process.wait() for process in started] == [0, 0, 0, 0]
    newest = store.wanted("wine", "edge")
    assert newest is not None
    assert newest.release == "v39"


# the git repository's tags


def release_record(name: str, commit: str, compose: FileRef | None = None) -> ReleaseRecord:
    return ReleaseRecord(
        project="wine", name=name, commit=commit, created=NOON,
        compose=compose or FileRef(path="compose.yml", digest="sha256:" + "0" * 64, size=0),
    )  # fmt: skip


def test_the_newest_tag_that_is_released_and_fits_is_wanted(
    project_factory: ProjectFactory,
) -> None:
    folder = project_factory({"a": "1"})
    git = project_factory.git
    commits = {}
    for name in ("v1.9", "v1.10", "v2.0", "test-9"):
        commits[name] = project_factory.commit(folder, {"a": name})
        git(folder, "tag", "--annotate", "--message", name, name)
    released = {name: release_record(name, commits[name]) for name in ("v1.9", "test-9")}
    source = FromGit(str(folder), folder, released.get, lambda _: Trigger(tag="v*"))
    assert source.newest() == Want("v1.9", commits["v1.9"])  # CI is still at work on the others
    released["v1.10"] = release_record("v1.10", commits["v1.10"])
    assert source.newest() == Want("v1.10", commits["v1.10"])
    # a release of another commit than the tag's is not the tag's
    released["v2.0"] = release_record("v2.0", commits["v1.9"])
    assert source.newest() == Want("v1.10", commits["v1.10"])
    with pytest.raises(StoreError, match="can't be read"):
        FromGit(str(folder / "none"), folder, released.get, lambda _: None).newest()


# telling, and what a release says itself

COMPOSE = """
name: wine
services:
  api: {image: busybox}
x-mcgitops:
  environments:
    edge:
      trigger: {tag: "v*"}
      hosts: ["ssh://deploy@a.example.com", "ssh://deploy@b.example.com"]
      pull: true
      known_hosts: ops/known_hosts
      registry: registry.example.com
      health_timeout: ${LIMIT:-7s}
    rolling: {trigger: {branch: main}, hosts: ["local://"], pull: true}
    pushed: {trigger: {tag: "v*"}, hosts: ["local://"]}
"""


def test_a_release_tells_the_environments_that_pull_it(
    project_factory: ProjectFactory, store: Store
) -> None:
    folder = project_factory({"compose.yml": COMPOSE})
    project = load_project(folder)
    commit = project_factory.git(folder, "rev-parse", "HEAD")
    project_factory.git(folder, "tag", "v1")
    told = announce(project, store, release_record("v1", commit))
    assert [str(one) for one in told] == ["edge pulls v1: its agent deploys it."]
    # a tag that looks like a branch's release is a tag
    project_factory.git(folder, "tag", f"main-{commit[:12]}")
    assert announce(project, store, release_record(f"main-{commit[:12]}", commit)) == ()
    project_factory.git(folder, "tag", "--delete", f"main-{commit[:12]}")
    told = announce(project, store, release_record(f"main-{commit[:12]}", commit))
    assert [one.environment for one in told] == ["rolling"]
    assert store.wanted("wine", "pushed") is None


def kept(store: Store, document: dict[str, object]) -> ReleaseRecord:
    digest, size = store.put_bytes(yamlfile.write(document).encode())
    return release_record("v1", "1" * 40, FileRef(path="compose.yml", digest=digest, size=size))


@pytest.mark.engine
def test_a_host_takes_the_environment_from_the_release_and_deploys_on_itself(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = kept(store, yamlfile.read(COMPOSE))
    monkeypatch.setenv("LIMIT", "9s")
    spec = pulled(store, record, "edge", tmp_path).spec.environments["edge"]
    assert spec.hosts == (LOCAL,)
    assert (spec.known_hosts, spec.registry) == (None, None)
    assert spec.health_timeout == "9s"
    assert spec.trigger == Trigger(tag="v*")
    with pytest.raises(UsageError, match=r"has no environment nowhere.*edge, pushed, rolling"):
        pulled(store, record, "nowhere", tmp_path)


def test_a_release_of_another_version_is_said_so_or_taken_as_it_is(
    store: Store, tmp_path: Path
) -> None:
    newer = kept(store, {"x-mcgitops": {"environments": {"edge": {"teleport": True}}}})
    with pytest.raises(UsageError, match="upgrade"):
        pulled(store, newer, "edge", tmp_path)
    older = kept(store, {"services": {}})
    assert pulled(store, older, "edge", tmp_path).spec.environments["edge"].hosts == (LOCAL,)


# its files


def test_one_agent_for_each_environment_and_a_sign_of_life(tmp_path: Path) -> None:
    folder = root("wine", "edge", {"XDG_DATA_HOME": str(tmp_path)})
    assert folder == tmp_path / "mcgitops" / "wine" / "edge"
    assert root("w", "e", {"HOME": "/home/me"}) == Path("/home/me/.local/share/mcgitops/w/e")
    place = AgentPlace(folder)
    assert not place.is_alive()
    with place.locked():
        with pytest.raises(UsageError, match="Another agent"), AgentPlace(folder).locked():
            pass
        place.beat(60)
        assert place.is_alive()
        place.beat(-1)
        assert not place.is_alive()
        place.beat(60)
    assert not place.is_alive()  # it ended
    assert folder.stat().st_mode & 0o077 == 0
    with place.locked():
        place.remember(remembered(V1, "deployed"))
    assert AgentPlace(folder).memory() == remembered(V1, "deployed")
    (folder / "agent" / "memory.json").write_text(json.dumps({"state": "odd"}))
    assert place.memory() == Memory()
