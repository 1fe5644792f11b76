"""One stack for all end-to-end tests, a carrier that does what each test says, and eyes on the edge.

The stack has a name and a network of its own, so that it stands beside one that `make up` started. What a
run that was killed has left of it is removed. With COMPOSE_PROJECT_NAME and LAB_NET set, that stack is used;
if it is up already it is left up.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab.parts import several_asterisks
from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.native_edge import NATIVE, tell_gateway
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import Call, Originate, Peer, UserAgent
from tests.lab.sip import SipMessage
from tests.lab.stack import ROOT, SERVICES, LabError, Stack
from tests.lab.together import Playing, Stage, Together

if NATIVE:
    # They bring a script, or need one that names the peer, knows the lab's extensions, checks Proxy-Require,
    # calls whoever has not registered.
    collect_ignore_glob = [
        "edge/outbound/test_named_peer.py",
        "edge/outbound/test_dns_failover.py",
        "edge/install/test_hidden_numbers.py",
        "edge/install/test_ways_of_installing.py",
        "edge/hostile/test_stream.py",
        "edge/hiding/test_hiding.py",
        "edge/functions/test_functions.py",
        "chaos/test_quick.py",
        "platform/test_before_the_answer.py",
        "platform/test_descriptions.py",
        "platform/test_proxy_require.py",
        "stacks/test_quick.py",
        "edge/two_edges/test_failover.py",
        "edge/two_edges/test_far_asterisk.py",
    ]
else:
    # The lab's script calls one place at a time.
    collect_ignore_glob = ["edge/outbound/test_forks.py"]
if NATIVE and os.environ.get("EDGE_SUITE", "trixie") != "trixie":
    collect_ignore_glob.append("edge/transports/test_transports.py")  # its lines are those of one release
if os.environ.get("EDGE_SUITE") == "bookworm":
    collect_ignore_glob.append("edge/functions/test_functions.py")  # Debian's 5.6 has no app_python3s
if os.environ.get("ASTERISK_SUITE") == "bullseye":
    # 16.28 makes no offer anew, and repeats the session instead, twice in a row; the demo shows an offer.
    collect_ignore_glob += ["platform/test_offers.py", "demo/test_acts.py"]

OWN = Stack("session-timer-e2e", "198.19.77", "0")


def _remove_leftovers(stack: Stack) -> None:
    """Of tests that were killed: the containers that they had put beside those of the stack."""
    listed = ["docker", "ps", "--all", "--filter", f"network={stack.project}_sip", "--format", "{{.Names}}"]
    names = set(subprocess.check_output(listed, text=True).split())
    if left := names - {stack.container(service) for service in SERVICES}:
        subprocess.run(["docker", "rm", "-f", "-v", *left], check=True, capture_output=True)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack, healthy. Without Docker every test that needs it fails."""
    found = Stack.from_environment() if os.environ.get("COMPOSE_PROJECT_NAME") else OWN
    try:
        was_up = found.is_up()
        _remove_leftovers(found)
        if was_up and found is OWN:
            found.down()
            was_up = False
        found.up()
    except LabError as error:
        pytest.fail(f"end-to-end tests need the container stack: {error}", pytrace=False)
    yield found
    if not was_up:
        found.down()


@pytest.fixture(scope="session")
def sockets(stack: Stack) -> Iterator[LabSockets]:
    opened = LabSockets(stack)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def wire(stack: Stack, sockets: LabSockets) -> Iterator[Wire]:
    """What passes the edge, from the first test to the last; kept in out/e2e/."""
    seen = Wire(stack, sockets, ROOT / "out" / "e2e" / f"{stack.project}.pcap")
    seen.begin()
    yield seen
    seen.close()


@pytest.fixture(scope="session")
def edge(stack: Stack, sockets: LabSockets) -> Kamailio:
    return Kamailio.of(sockets, stack)


@pytest.fixture(scope="session", autouse=True)
def gateway(request: pytest.FixtureRequest) -> None:
    """Numbers go to Asterisk; a test that needs no stack starts none."""
    if NATIVE:
        tell_gateway(request.getfixturevalue("edge"), request.getfixturevalue("stack"))


@pytest.fixture(scope="session")
def peer(stack: Stack, sockets: LabSockets, wire: Wire) -> Peer:
    """A user agent at one of the carrier's addresses, by the last number; docker/config has the profiles."""
    agents: dict[int, UserAgent] = {}

    def at(host: int) -> UserAgent:
        if host not in agents:
            agents[host] = UserAgent(sockets, stack.address(host), stack.edge, wire, NATIVE)
        return agents[host]

    return at


@pytest.fixture(scope="session")
def originate(stack: Stack) -> Originate:
    """Make Asterisk call a user agent; gives the call and its INVITE as they come in there."""
    numbers = itertools.count(1)

    def to(agent: UserAgent, prefix: str = "callee") -> tuple[Call, SipMessage]:
        user = f"{prefix}{os.getpid()}x{next(numbers)}"
        stack.place_call(agent.reachable(user))
        return agent.called(user)

    return to


@pytest.fixture(scope="session")
def stack_rpc(stack: Stack) -> str:
    """Where the edge says that it can be asked."""
    return f"udp:{stack.edge}:8090"


@pytest.fixture
def nothing_learned(edge: Kamailio) -> None:
    """What destinations have told us in a 422 is forgotten."""
    edge.rpc("htable.flush", "session_timer_min_se")


@pytest.fixture(scope="session")
def companion(stack: Stack) -> Iterator[Companion]:
    found = Companion(stack)
    yield found
    found.close()


@pytest.fixture(scope="session")
def of_both(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companion]:
    """A companion that has two more Asterisks, which are started with it."""
    with several_asterisks.both(stack, tmp_path_factory.mktemp("both")) as found:
        yield found


@pytest.fixture(scope="session")
def stage(
    stack: Stack, peer: Peer, originate: Originate, edge: Kamailio, wire: Wire, companion: Companion
) -> Stage:
    """What calls that are played together are played with."""
    return Stage(stack, peer, originate, edge, wire, companion)


@pytest.fixture(scope="module")
def playing(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Playing]:
    """Every selected call of the module's group ``together``, started."""
    module = request.module
    together: Together = module.together
    names = [item.name for item in request.session.items if getattr(item, "module", None) is module]
    under_way = together.play(names, stage)
    yield under_way
    under_way.close()
