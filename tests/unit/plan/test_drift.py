"""What is told of a host that differs from its release."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mcgitops.plan.drift import drift
from mcgitops.project.hosts import (
    Behind,
    ContainerFact,
    Host,
    HostFacts,
    ImageFact,
    Pin,
    ProxyFact,
    WantedService,
)

NOW = 1_700_000_000.0
LONG_AGO = datetime.fromtimestamp(NOW - 600, UTC)
JUST_NOW = datetime.fromtimestamp(NOW - 5, UTC)
ID = "sha256:" + "1" * 64
PIN = Pin("api", "mcgitops/p/api:1", ID, ("sha256:a",))
SERVICES = (
    WantedService("api", 2, PIN.reference, ID, "c1", behind=Behind("proxy", "127.0.0.1:9999")),
    WantedService("proxy", 1, configuration="c2"),
)
COLUMNS = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state"


def api(number: int) -> ContainerFact:
    return ContainerFact(
        f"api-{number}", "api", ID, PIN.reference, "running", "healthy", started=LONG_AGO,
        configuration="c1", number=number, addresses=(f"172.18.0.{number}",),
    )  # fmt: skip


PROXY = ContainerFact(
    "proxy-1", "proxy", state="running", health="healthy", started=LONG_AGO, configuration="c2",
    addresses=("172.18.0.9",),
)  # fmt: skip


def said(*servers: tuple[str, int]) -> ProxyFact:
    """(address, admin state) of each server of the backend."""
    rows = [f"3 api {n} api{n} {address} 2 {admin}" for n, (address, admin) in enumerate(servers)]
    return ProxyFact("proxy-1", "\n".join(["1", f"# {COLUMNS}", *rows]))


GOOD = HostFacts(
    Host.parse("ssh://deploy@a"), now=NOW,
    images=(ImageFact(ID, (PIN.reference,), PIN.diff_ids, "overlay2"),),
    containers=(api(1), api(2), PROXY),
    proxies=(said(("172.18.0.1", 0), ("172.18.0.2", 0), ("-", 32)),),
)  # fmt: skip
OTHER = ImageFact("sha256:" + "2" * 64, (PIN.reference,), ("sha256:b",), "overlay2")


def test_a_host_that_is_as_it_should_be_has_no_drift() -> None:
    assert drift(GOOD, SERVICES, (PIN,)).findings == ()


@pytest.mark.parametrize(
    ("facts", "sentence", "mends"),
    [
        (replace(GOOD, images=(replace(GOOD.images[0], references=()), OTHER)),
         "the image name of api was given to another image", True),
        (replace(GOOD, images=(replace(GOOD.images[0], references=()),)),
         "the image of api is not there under its name", True),
        (replace(GOOD, outdated=frozenset({"api-2", "of-another-project"})),
         "api-2 was not made from the release folder's values", True),
        (replace(GOOD, edited=(".env was changed",)),
         "the release folder: .env was changed", True),
        (replace(GOOD, proxies=(said(("172.18.0.1", 0), ("172.18.0.2", 1), ("-", 32)),)),
         "api-2 gets no requests: its server in proxy-1 is in maintenance", True),
        (replace(GOOD, proxies=(said(("172.18.0.1", 8), ("172.18.0.2", 0), ("-", 32)),)),
         "api-1 gets no requests: its server in proxy-1 is drained", True),
        (replace(GOOD, proxies=(said(("172.18.0.1", 0), ("-", 32)),)),
         "api-2 gets no requests: proxy-1 does not find it", False),
        (replace(GOOD, proxies=(said(("172.18.0.1", 0), ("172.18.0.2", 0), ("-", 33), ("-", 33)),)),
         "proxy-1 keeps 2 free servers of api closed", True),
        (replace(GOOD, proxies=(ProxyFact("proxy-1"),)),
         "proxy-1 says nothing of a backend api: whether it gets requests is not known", False),
        (replace(GOOD, containers=(api(1), replace(api(2), configuration="c0"), PROXY)),
         "api-2 has another configuration than the release's", True),
        (replace(GOOD, containers=(*GOOD.containers, replace(api(3), addresses=()))),
         "api: 3 containers, 2 wanted", True),
    ],
)  # fmt: skip
def test_each_difference_has_its_sentence(facts: HostFacts, sentence: str, mends: bool) -> None:
    found = drift(facts, SERVICES, (PIN,))
    assert found.sentences == (sentence,)
    assert found.to_mend == ((sentence,) if mends else ())


def test_a_proxy_has_some_time_to_find_what_has_just_started() -> None:
    young = replace(api(2), started=JUST_NOW)
    proxies = (said(("172.18.0.1", 0), ("-", 32)),)
    facts = replace(GOOD, containers=(api(1), young, PROXY), proxies=proxies)
    assert drift(facts, SERVICES, (PIN,)).findings == ()
    starting = replace(PROXY, started=JUST_NOW)
    facts = replace(GOOD, containers=(api(1), api(2), starting), proxies=(ProxyFact("proxy-1"),))
    assert drift(facts, SERVICES, (PIN,)).findings == ()
