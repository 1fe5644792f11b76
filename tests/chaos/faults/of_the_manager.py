"""The connection between the companion and Asterisk's manager is cut, silent, slow, refused or flooded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.chaos.faults.fault import Fault, beside, done_to, filtered
from tests.chaos.world import AMI_SECRET, AMI_USER, World

PORT = 5038
SLOW = 2.0
EVENTS = 50_000
ACCOUNT = "/etc/asterisk/lab-secret.conf"


@contextmanager
def _cut(world: World) -> Iterator[None]:
    with _reset(world):
        yield


@contextmanager
def _reset(world: World) -> Iterator[None]:
    """Whatever the companion sends to the manager is answered by a reset."""
    reset = f"INPUT -p tcp --dport {PORT} -s {{}} -j REJECT --reject-with tcp-reset"
    with filtered(world.stack, "asterisk", *(reset.format(each) for each in world.companions())):
        yield


@contextmanager
def _half_open(world: World) -> Iterator[None]:
    rules = [
        rule
        for own in world.companions()
        for rule in (
            f"INPUT -p tcp --dport {PORT} -s {own} -j DROP",
            f"OUTPUT -p tcp --sport {PORT} -d {own} -j DROP",
        )
    ]
    with filtered(world.stack, "asterisk", *rules):
        yield


@contextmanager
def _slow(world: World) -> Iterator[None]:
    """Each piece that the manager says comes through a relay, two seconds late."""
    stack, relay = world.stack, world.stack.address(40)
    words = ("tests.chaos.inside.slow_relay", relay, str(PORT), stack.asterisk, str(SLOW))
    redirected = f"OUTPUT -p tcp -d {stack.asterisk} --dport {PORT} -j DNAT --to-destination {relay}"
    with ExitStack() as under_way:
        under_way.enter_context(beside(stack, *words))
        under_way.enter_context(filtered(stack, "companion", redirected))
        with _reset(world):
            world.wait(3)
        yield


@contextmanager
def _account(world: World, text: str) -> Iterator[None]:
    """The companion's account is changed, and its connection dropped so that it must log in again."""
    stack = world.stack
    before = stack.exec("asterisk", "cat", ACCOUNT)

    def write(settings: str) -> None:
        stack.exec("asterisk", "sh", "-c", f"cat >{ACCOUNT}", given=settings)
        stack.asterisk_cli("manager reload")
        with _reset(world):
            world.wait(3)

    write(text.format(before=before))
    try:
        yield
    finally:
        write(before)


@contextmanager
def _wrong_password(world: World) -> Iterator[None]:
    with _account(world, "{before}secret = changed-by-somebody\n"):
        yield


@contextmanager
def _flooded(world: World) -> Iterator[None]:
    """The account hears of all events meanwhile, as with an Asterisk that knows no filter."""
    hears = "{before}read = call,user\neventfilter(action(include),name(UserEvent)) =\n"
    with _account(world, hears):
        arguments = (world.stack.asterisk, AMI_USER, AMI_SECRET, str(EVENTS))
        with beside(world.stack, "tests.chaos.inside.event_flood", *arguments) as flood:
            yield
            world.note(f"{EVENTS} events: {flood.told(within=60)}")


FAULTS = (
    Fault(
        "AMI cut",
        "the connection is reset, and refused for 10 seconds",
        done_to("ami"),
        _cut,
        lasts=10,
        recovery=15,
        why="the pauses between two attempts to connect grow to 10 seconds",
    ),
    Fault(
        "AMI half-open",
        "every packet between companion and manager is lost for 20 seconds",
        done_to("ami"),
        _half_open,
        lasts=20,
        recovery=20,
        why="a Ping without answer ends the connection (`ping_interval`, `ping_timeout`); it is made anew",
    ),
    Fault(
        "AMI slow",
        "whatever the manager says comes two seconds late, for 40 seconds",
        done_to("ami", "companion"),
        _slow,
        lasts=40,
        recovery=15,
        why="the connection is made anew at the end",
    ),
    Fault(
        "wrong password",
        "the account's password is changed, the connection dropped, and 15 seconds later it is changed back",
        done_to("ami", "asterisk"),
        _wrong_password,
        lasts=15,
        recovery=15,
        why="the pauses between two logins grow to 10 seconds",
    ),
    Fault(
        "event flood",
        "50,000 events at once to the companion's account",
        done_to("ami", "asterisk"),
        _flooded,
        lasts=15,
        recovery=15,
        why="the account is changed back, and the connection made anew",
    ),
)
