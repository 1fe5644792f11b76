"""The companion dies, stands still, lives twice, has another time of day, or cannot write its log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.chaos.faults.fault import Fault, docker, done_to, frozen
from tests.chaos.world import World
from tests.lab.parts.companion_once import companion_once, set_clock
from tests.lab.parts.companion_run import RUN
from tests.lab.parts.killed_parts import kill, start

CLOCK_IMAGE = "session-timer/clock:trixie"
CACHED = ("-e", "FAKETIME_NO_CACHE=0", "-e", "FAKETIME_CACHE_DURATION=1")
"""The file with the time of day is read once a second, and not at each question."""
HOUR = 3600
PLACE, SECOND = 32, 33
"""The last numbers of the addresses at which another companion stands."""
LOGGED = f"exec {' '.join(RUN)} run 2>>/logs/log"
PIPED = (
    "mkfifo /logs/pipe; cat /logs/pipe >/dev/null & echo $! >/logs/reader; "
    f"exec {' '.join(RUN)} run 2>/logs/pipe"
)


@contextmanager
def _killed(world: World) -> Iterator[None]:
    kill(world.stack, "companion")
    try:
        yield
    finally:
        start(world.stack, "companion")


@contextmanager
def _frozen(world: World) -> Iterator[None]:
    with frozen(world.stack.container("companion")):
        yield


@contextmanager
def _leader_killed(world: World) -> Iterator[None]:
    """Another one stands by, and has the lead while the first one is away."""
    with companion_once(world.stack, world.settings(), SECOND, "companion-2", patience=90) as second:
        kill(world.stack, "companion")
        try:
            yield
            status, report = second.get("/readyz")
            world.note(
                f"the second companion: {status} {'leading' if 'leading' in report else 'standing by'}"
            )
        finally:
            start(world.stack, "companion")
            world.companion.ready()


@contextmanager
def _in_its_place(
    world: World, *, image: str = "", command: Sequence[str] = (*RUN, "run"), options: Sequence[str] = ()
) -> Iterator[str]:
    """Another companion instead of the lab's, on a host of its own; gives what its container is called."""
    service = "companion-other"
    settings, own = world.settings(), world.companion
    kill(world.stack, "companion")
    try:
        with companion_once(
            world.stack, settings, PLACE, service, image, command=command, options=options, patience=90
        ) as other:
            world.companion = other
            yield service
    finally:
        world.companion = own
        start(world.stack, "companion")


@contextmanager
def _an_hour_ahead(world: World) -> Iterator[None]:
    set_clock(world.folder / "clock", HOUR)
    with _in_its_place(world, image=CLOCK_IMAGE, options=CACHED):
        yield


@contextmanager
def _clock_jumps(world: World) -> Iterator[None]:
    clock = world.folder / "clock"
    set_clock(clock, 0)
    with _in_its_place(world, image=CLOCK_IMAGE, options=CACHED):
        for seconds in (HOUR, -HOUR, 24 * HOUR, 0):
            world.wait(4)
            set_clock(clock, seconds)
        yield


@contextmanager
def _disk_full(world: World) -> Iterator[None]:
    options = ("--tmpfs", "/logs:size=4m")
    with _in_its_place(world, command=("sh", "-c", LOGGED), options=options) as service:
        world.stack.exec(service, "sh", "-c", "cat /dev/zero >/logs/fill 2>/dev/null || true")
        yield
        lost = world.companion.metric("session_timer_log_lines_lost_total")
        world.note(f"{lost:g} log lines were lost, and counted")
        world.stack.exec(service, "rm", "/logs/fill")
        world.companion.ready()


@contextmanager
def _reader_stalled(world: World) -> Iterator[None]:
    options = ("--tmpfs", "/logs:size=4m")
    with _in_its_place(world, command=("sh", "-c", PIPED), options=options) as service:
        world.stack.exec(service, "sh", "-c", "kill -STOP $(cat /logs/reader)")
        yield
        world.stack.exec(service, "sh", "-c", "kill -CONT $(cat /logs/reader)")
        world.companion.ready()


@contextmanager
def _broken_on_reload(world: World) -> Iterator[None]:
    """Both are told to read a file that cannot be used, and then the one that can."""
    stack = world.stack
    good = stack.exec("companion", "cat", "/run/session-timer.yaml")
    broken = "session_timer: {default_expires: soon\n"

    def reload(text: str) -> None:
        for service in ("companion", "edge"):
            stack.exec(service, "sh", "-c", "cat >/run/session-timer.yaml", given=text)
        docker("kill", "-s", "HUP", stack.container("companion"))
        stack.exec("edge", "kamcmd", "app_python.reload")

    reload(broken)
    try:
        yield
    finally:
        reload(good)


FAULTS = (
    Fault(
        "companion killed",
        "kill -9, and started again after 10 seconds",
        done_to("companion"),
        _killed,
        lasts=10,
    ),
    Fault(
        "companion frozen",
        "its process stands still for 30 seconds",
        done_to("companion"),
        _frozen,
        lasts=30,
    ),
    Fault(
        "leader killed",
        "of two companions the leader dies by kill -9 and is away for 20 seconds, then the other one dies",
        done_to("companion"),
        _leader_killed,
        begins_first=True,
        lasts=20,
        recovery=15,
        why="the lead passes within ten seconds",
    ),
    Fault(
        "clocks an hour apart",
        "the wall clock of the companion's host is an hour ahead of all others",
        done_to("companion"),
        _an_hour_ahead,
        begins_first=True,
        lasts=30,
    ),
    Fault(
        "wall clock jumps",
        "the companion's wall clock jumps by an hour to and fro, then by a day, every 4 seconds",
        done_to("companion"),
        _clock_jumps,
        begins_first=True,
        lasts=20,
    ),
    Fault(
        "disk full",
        "there is no room for the companion's log for 20 seconds",
        done_to("companion"),
        _disk_full,
        begins_first=True,
        lasts=20,
    ),
    Fault(
        "log reader stalled",
        "whoever reads the companion's log by a pipe stands still for 30 seconds",
        done_to("companion"),
        _reader_stalled,
        begins_first=True,
        lasts=30,
    ),
    Fault(
        "configuration broken",
        "edge and companion are told to reload a file that is no YAML; 20 seconds later it is mended",
        done_to("companion", "edge"),
        _broken_on_reload,
        lasts=20,
    ),
)
