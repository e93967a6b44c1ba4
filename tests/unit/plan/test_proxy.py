"""HAProxy's answers, as a real one gave them, and what to tell it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.commands import haproxy
from mcgitops.plan import proxy
from mcgitops.plan.proxy import Server

# HAProxy 2.6: `show servers state api;show stat api 4 -1`, columns that nothing reads left out
ANSWER = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight
4 api 1 api1 172.30.0.3 2 0 1 1
4 api 2 api2 172.30.0.4 2 8 1 1
4 api 3 api3 172.30.0.5 0 1 1 1
4 api 4 api4 - 0 32 1 1
4 api 5 api5 - 0 33 1 1
5 other 1 api1 172.30.0.9 2 0 1 1

# pxname,svname,qcur,qmax,scur,smax,slim,status,
api,api1,1,0,2,3,,UP,
api,api2,0,0,4,4,,DRAIN,
api,api3,0,0,0,0,,MAINT,
api,api4,0,0,0,0,,MAINT,

"""
SERVERS = (
    Server("api1", "172.30.0.3", 0, 3), Server("api2", "172.30.0.4", 8, 4),
    Server("api3", "172.30.0.5", 1), Server("api4", "", 32), Server("api5", "", 33),
)  # fmt: skip


def test_a_backend_s_servers_are_read_with_their_open_requests() -> None:
    assert proxy.parse(ANSWER, "api") == SERVERS
    assert proxy.parse("Can't find backend.\n\n", "api") == ()


def test_before_containers_start_all_free_servers_are_held() -> None:
    changes = proxy.hold(SERVERS, {"172.30.0.3", "172.30.0.4"})
    assert changes == (("api4", "maint"),)  # the others are held already


def test_a_switch_lets_the_new_in_before_the_old_go() -> None:
    changes = proxy.switch(SERVERS, {"172.30.0.5"}, {"172.30.0.3", "172.30.0.4"})
    assert changes == (("api3", "ready"), ("api1", "drain"))
    said = haproxy.set_states(proxy.pairs("api", changes))
    assert said == "set server api/api3 state ready;set server api/api1 state drain\n"
    assert proxy.busy(SERVERS, {"172.30.0.3", "172.30.0.4"}) == 7


def test_afterwards_free_servers_are_given_back_but_not_dead_addresses() -> None:
    changes = proxy.open_up(SERVERS, {"172.30.0.4"})
    assert changes == (("api3", "ready"), ("api5", "ready"))


def test_a_server_whose_dead_address_stays_is_checked_until_it_is_known_to_be_down() -> None:
    assert proxy.open_up(SERVERS, {"172.30.0.4", "172.30.0.5"}) == (
        ("api5", "ready"), ("api3", "drain"),
    )  # fmt: skip
    said = ANSWER.replace("172.30.0.5 0 1", "172.30.0.5 0 8")
    assert [one.is_down for one in proxy.parse(ANSWER, "api")] == [False] * 5
    assert [one.is_down for one in proxy.parse(said, "api")] == [False, False, True, False, False]


def test_an_address_that_no_server_has_is_named() -> None:
    assert proxy.lacking(SERVERS, {"172.30.0.3", "172.30.0.77"}) == ("172.30.0.77",)


ADDRESSES = st.sampled_from(["", "10.0.0.1", "10.0.0.2", "10.0.0.3"])


@given(
    st.lists(st.tuples(ADDRESSES, st.sampled_from([0, 1, 8, 32, 33])), max_size=6),
    st.sets(ADDRESSES.filter(bool)), st.sets(ADDRESSES.filter(bool)),
)  # fmt: skip
def test_after_a_switch_only_wanted_addresses_get_requests(
    drawn: list[tuple[str, int]], wanted: set[str], leaving: set[str]
) -> None:
    leaving -= wanted
    servers = [Server(f"s{n}", address, admin) for n, (address, admin) in enumerate(drawn)]
    states = {"ready": 0, "drain": 8, "maint": 1}
    told = dict(proxy.switch(servers, wanted, leaving))
    after = [
        Server(s.name, s.address, states[told[s.name]] if s.name in told else s.admin)
        for s in servers
    ]
    for server in after:
        if server.address in wanted:
            assert server.is_ready
        if server.address in leaving:
            assert not server.is_ready
    assert proxy.switch(after, wanted, leaving) == ()


@pytest.mark.parametrize(("known", "held"), [((), 2), (("10.0.0.1",), 1)])
def test_holding_twice_says_nothing_new(known: tuple[str, ...], held: int) -> None:
    servers = [Server("a", "10.0.0.1", 0), Server("b", "", 32)]
    changes = proxy.hold(servers, known)
    assert len(changes) == held
    assert proxy.hold([Server(name, "", 1) for name, _ in changes], known) == ()
