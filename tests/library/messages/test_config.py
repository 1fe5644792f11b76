"""The configuration that edge and companion share."""

from __future__ import annotations

from typing import Any

import pytest
from session_timer import (
    Config,
    ConfigError,
    EdgeSettings,
    ExpiryAction,
    Mode,
    Peer,
    Policy,
    Role,
    is_door_address,
    validate,
)

FULL: dict[str, Any] = {
    "session_timer": {
        "enabled": True,
        "default_expires": 3600,
        "min_se": 120,
        "max_expires": 7200,
        "prefer_refresher": "uas",
        "use_update": False,
    },
    "asterisk": ["198.18.0.20", "PBX.example"],
    "peers": [
        {
            "name": "carrier-a",
            "match": {"address": ["198.18.0.41/32"], "domain": ["Carrier-A.example"], "name": ["a", "b"]},
            "session_timer": {"min_se": 300, "mode": "proxy", "expiry": "report", "expiry_guard": 10},
        },
        {"name": "carrier-b", "match": {"address": ["198.18.0.0/24", "2001:db8::/32"]}},
        {"name": "carrier-c"},
    ],
    "edge": {
        "name": "edge-1",
        "door": "http://198.18.0.10:8090",
        "key_file": "key",
        "header": "X-Timer",
        "learned_min_se": 60,
        "bye_on_expiry": True,
    },
    "companion": {"ami": [{"name": "ast1"}]},
}


def problems(data: object) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        validate(data, "etc/session-timer.yaml")
    assert all(line.startswith("etc/session-timer.yaml: ") for line in str(caught.value).splitlines())
    return {problem.path: problem.reason for problem in caught.value.problems}


@pytest.mark.requirement("SE-4-04", "SE-4-06", "UAC-7.1-05", "PRX-8.1-23", "MSE-5-03")
@pytest.mark.parametrize("data", [None, {}, {"session_timer": None, "edge": None, "companion": None}])
def test_without_a_word_the_rfcs_values_hold(data: object) -> None:
    config = validate(data, "x")
    assert config == Config()
    policy = config.policy
    assert (policy.default_expires, policy.min_se, policy.floor) == (1800, 90, 90)
    assert (policy.require_timer, policy.proxy_require_timer, policy.prefer_refresher) == (
        False,
        False,
        Role.UAC,
    )


@pytest.mark.requirement("DEF-2-02")
def test_every_key() -> None:
    config = validate(FULL, "x")
    general = Policy(
        default_expires=3600, min_se=120, max_expires=7200, prefer_refresher=Role.UAS, use_update=False
    )
    assert config.policy == general
    assert config.asterisk == {"198.18.0.20", "pbx.example"}
    assert config.edge == EdgeSettings(
        "edge-1", "http://198.18.0.10:8090", "key", "", "X-Timer", 60, bye_on_expiry=True
    )
    assert config.anchors
    assert config.companion == {"ami": [{"name": "ast1"}]}
    first, second, third = config.peers
    assert first.policy == Policy(
        default_expires=3600, min_se=300, max_expires=7200, prefer_refresher=Role.UAS, use_update=False,
        mode=Mode.PROXY, expiry=ExpiryAction.REPORT, expiry_guard=10,
    )  # fmt: skip
    assert second.policy == third.policy == general


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"name": "carrier-c"}, "carrier-c"),
        ({"name": "b", "address": "198.18.0.9"}, "carrier-a"),
        ({"address": "198.18.0.41"}, "carrier-a"),
        ({"address": "198.18.0.42"}, "carrier-b"),
        ({"address": "[2001:db8::7]"}, "carrier-b"),
        ({"address": "192.0.2.1"}, ""),
        ({"domain": "CARRIER-A.example"}, "carrier-a"),
        ({"domain": "carrier-a.example", "address": "198.18.0.42"}, "carrier-a"),
        ({"name": "nobody", "address": "198.18.0.42"}, "carrier-b"),
        ({"address": "no address", "domain": "elsewhere.example"}, ""),
        ({}, ""),
    ],
)
def test_the_first_profile_that_matches(asked: dict[str, str], found: str) -> None:
    config = validate(FULL, "x")
    peer = config.peer(**asked)
    assert peer.name == found
    if not found:
        assert peer == Peer("", config.policy)


@pytest.mark.requirement("SE-4-03", "MSE-5-02", "PRX-8.1-12", "UAS-9-04")
@pytest.mark.parametrize("name", ["default_expires", "min_se", "max_expires"])
@pytest.mark.parametrize("value", [89, 0, -1, 2**32, pytest.param(10**5000, id="10^5000")])
def test_an_interval_below_90_is_refused(name: str, value: int) -> None:
    assert (
        "expected 90 to 4294967295 seconds"
        in problems({"session_timer": {name: value}})[f"session_timer.{name}"]
    )


@pytest.mark.requirement("SE-4-03")
def test_the_lab_says_that_it_is_unsafe() -> None:
    config = validate(
        {"unsafe_lab_intervals": True, "session_timer": {"default_expires": 6, "min_se": 4}}, "x"
    )
    assert (config.policy.default_expires, config.policy.min_se, config.policy.floor) == (6, 4, 1)
    assert problems({"unsafe_lab_intervals": "yes"}) == {
        "unsafe_lab_intervals": "expected true or false, got 'yes'"
    }
    assert "session_timer.min_se" in problems({"unsafe_lab_intervals": False, "session_timer": {"min_se": 4}})


@pytest.mark.requirement("UAC-7.1-09")
def test_intervals_must_fit_each_other() -> None:
    found = problems(
        {
            "session_timer": {"default_expires": 600, "max_expires": 300},
            "peers": [{"name": "a", "session_timer": {"min_se": 601}}],
        }
    )
    assert "below default_expires 600" in found["session_timer.max_expires"]
    assert "600 is below min_se 601" in found["peers[0].session_timer.default_expires"]


def test_every_problem_at_once_with_its_path() -> None:
    found = problems(
        {
            "session_timers": {},
            "session_timer": {"enabled": 1, "min_se": True, "prefer_refresher": "us", "mode": None, "sse": 1},
            "asterisk": "198.18.0.20",
            "peers": [
                {"match": {"address": ["198.18.0.300", "198.18.0.1/24"], "domian": []}},
                {"name": "a"},
                {"name": "a", "match": []},
                7,
                {"name": ""},
                {"name": "b", "match": {"domain": [3], "name": "x"}},
            ],
            "edge": {
                "name": "a b",
                "door": "tcp:here",
                "key_file": 7,
                "rpc": "udp:198.18.0.10:8090",
                "header": "X Y",
                "learned_min_se": 0,
                "bye_on_expiry": "no",
                "x": 1,
            },
            "companion": ["ami"],
        }
    )
    assert set(found) == {
        "session_timers", "session_timer.enabled", "session_timer.min_se", "session_timer.prefer_refresher",
        "session_timer.mode", "session_timer.sse", "asterisk", "peers[0].name", "peers[0].match.address[0]",
        "peers[0].match.address[1]", "peers[0].match.domian", "peers[2].name", "peers[2].match", "peers[3]",
        "peers[3].name", "peers[4].name", "peers[5].match.domain[0]", "peers[5].match.name", "edge.rpc",
        "edge.name", "edge.door", "edge.key_file", "edge.header", "edge.learned_min_se", "edge.bye_on_expiry",
        "edge.x", "companion",
    }  # fmt: skip
    assert found["session_timers"].startswith("unknown key; known here: asterisk, companion, edge")
    assert found["session_timer.prefer_refresher"] == "expected uac or uas, got 'us'"
    assert found["peers[0].name"].startswith("a profile needs a name")
    assert found["peers[2].name"] == "'a' is taken by an earlier profile"
    assert found["companion"] == "expected keys and values, got a list"


@pytest.mark.parametrize("data", [[], "text", 7, True])
def test_a_file_that_holds_something_else(data: object) -> None:
    assert problems(data)["(top level)"].startswith("expected keys and values, got")


@pytest.mark.parametrize("data", [None, {}, "x"])
def test_peers_that_are_no_list(data: object) -> None:
    assert problems({"peers": data})["peers"].startswith("expected a list of profiles, got")


@pytest.mark.parametrize(
    "door",
    [
        "http://198.18.0.10:8090",
        "http://198.18.0.10",
        "https://[2001:db8::1]:65535",
        "https://edge.example/",
        "http://edge:1",
    ],
)
def test_doors_of_the_edge(door: str) -> None:
    assert is_door_address(door)
    assert validate({"edge": {"door": door}}, "x").edge.door == door


@pytest.mark.parametrize(
    "door",
    [
        "", "198.18.0.10", "udp:198.18.0.10:8090", "http://a:0", "http://a:65536", "http://a:b", "http://",
        "http://0.0.0.0:8090", "http://[::]:8090", "http://a b", "http://user@a:1", "http://a/rpc", "http://-a:1",
    ],
)  # fmt: skip
def test_what_is_no_door_of_the_edge(door: str) -> None:
    assert not is_door_address(door)
    assert set(problems({"edge": {"door": door}})) == {"edge.door"}


@pytest.mark.parametrize(
    ("rpc", "line"),
    [
        ("udp:198.18.0.10:8090", 'door: "http://198.18.0.10:5060"'),
        ("unix:/run/k", 'door: "http://<address of this Kamailio>:5060"'),
        (7, 'door: "http://<address of this Kamailio>:5060"'),
    ],
)
def test_the_socket_of_release_0_1_is_answered_with_the_line_to_write(rpc: object, line: str) -> None:
    reason = problems({"edge": {"rpc": rpc}})["edge.rpc"]
    assert reason.startswith("is of release 0.1")
    assert line in reason


def test_watch_is_accepted_for_one_release_and_said() -> None:
    config = validate({"peers": [{"name": "a", "session_timer": {"mode": "watch"}}]}, "x")
    assert config.peers[0].policy.mode is Mode.ENDPOINT_TIMERS
    (warning,) = config.warnings
    assert warning.path == "peers[0].session_timer.mode"
    assert "mode: endpoint_timers" in warning.reason


def test_asterisk_is_addresses_networks_and_names() -> None:
    config = validate({"asterisk": ["198.18.0.20", "2001:DB8:0::20", "198.19.0.0/24", "PBX.example"]}, "x")
    assert config.asterisk_names == {"pbx.example"}
    assert all(map(config.is_asterisk, ["198.18.0.20", "[2001:db8::20]", "198.19.0.7", "pbx.EXAMPLE"]))
    assert not any(map(config.is_asterisk, ["198.18.0.21", "198.19.1.7", "other.example", "203.0.113.5", ""]))
    resolved = config.with_addresses({"pbx.example": ("203.0.113.5", "2001:db8::5")})
    assert all(map(resolved.is_asterisk, ["203.0.113.5", "2001:db8:0::5", "pbx.example"]))


@pytest.mark.parametrize(
    "host",
    [
        "198.18.0.20:5060",
        "sip:198.18.0.20",
        "0.0.0.0",  # noqa: S104  # what is refused
        "::",
        "198.18.0.20/24",
        "198.18.0.0/33",
        "a b",
        "-a.example",
    ],
)
def test_an_asterisk_that_can_match_nothing_is_an_error(host: str) -> None:
    assert set(problems({"asterisk": [host]})) == {"asterisk[0]"}


def test_a_wrong_entry_is_named_by_its_place_in_the_list() -> None:
    found = problems(
        {
            "asterisk": [5, "a b"],
            "peers": [
                {"name": "a", "match": {"address": [None, "1.2.3"], "domain": ["", "a b"], "name": [1]}}
            ],
        }
    )
    match = "peers[0].match"
    assert set(found) == {
        "asterisk[0]",
        "asterisk[1]",
        f"{match}.address[0]",
        f"{match}.address[1]",
        f"{match}.domain[0]",
        f"{match}.domain[1]",
        f"{match}.name[0]",
    }
    assert "'a b'" in found["asterisk[1]"]


def test_the_digest_names_what_edge_and_companion_must_agree_on() -> None:
    one = validate(FULL, "x")
    elsewhere = {**FULL, "edge": {**FULL["edge"], "name": "edge-2", "door": "http://other:1"}, "asterisk": []}
    assert validate(elsewhere, "y").digest() == one.digest()
    assert len(one.digest()) == 16
    for key, value in (
        ("session_timer", {"default_expires": 3601, "min_se": 120, "max_expires": 7200}),
        ("peers", FULL["peers"][:2]),
        ("edge", {"header": "X-Other"}),
    ):
        assert validate({**FULL, key: value}, "x").digest() != one.digest()


@pytest.mark.parametrize(
    "domain", ["sip:a.example", "a.example:5060", "*.example", "a@b.example", "a b", "192.0.2.0/24"]
)
def test_a_domain_that_no_uri_can_have_is_a_problem(domain: str) -> None:
    """Its profile would hold for nobody, without a word."""
    found = problems({"peers": [{"name": "a", "match": {"domain": ["a.example", domain]}}]})
    assert found["peers[0].match.domain[1]"].startswith("expected the host of a URI")


def test_a_domain_may_be_an_address_however_it_is_written() -> None:
    config = validate({"peers": [{"name": "a", "match": {"domain": ["192.0.2.7", "[2001:DB8:0::7]"]}}]}, "x")
    for domain in ("192.0.2.7", "[2001:db8::7]", "2001:db8::7"):
        assert config.peer(domain=domain).name == "a"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "0.0.0.0/32"])  # noqa: S104 - nobody binds to it
@pytest.mark.parametrize("of", ["asterisk", "peers"])
def test_an_address_that_no_host_has_is_a_problem(of: str, address: str) -> None:
    data = {"asterisk": [address], "peers": [{"name": "a", "match": {"address": [address]}}]}
    (reason,) = problems({of: data[of]}).values()
    assert "the address of no host" in reason


@pytest.mark.parametrize("header", ["X+Timer", "X-Timer*", "X'Timer", "X~Timer", "X Timer", "X(T)", ""])
def test_a_header_name_that_a_regular_expression_reads_otherwise_is_a_problem(header: str) -> None:
    """A native kamailio.cfg searches for it."""
    assert set(problems({"edge": {"header": header}})) == {"edge.header"}
