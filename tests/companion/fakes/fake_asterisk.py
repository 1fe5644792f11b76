"""An Asterisk as far as its manager interface shows it, for tests and benchmarks.

    async with FakeAsterisk() as asterisk:
        asterisk.add(Channel("PJSIP/a-1", "1.1", "call-1"))
        asterisk.on_refresh = lambda channel, refresh: 200    # here the edge's record would move

It speaks the protocol on a real socket of 127.0.0.1, and misbehaves on demand: see the attributes.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.companion.fakes.fake_channel import STATES, Channel, Refresh

WITHOUT_CHANNEL = {"CHANNEL(state)": "Down", "CONNECTEDLINE(pres)": "unavailable"}
CAUSES = {16: "Normal Clearing", 31: "Normal, unspecified", 102: "Recovery on timer expire"}
ENTRIES_A_WRITE = 200
LINE_LIMIT = 1024
"""Bytes, CR LF included: what Asterisk 22 takes of one line."""


@dataclass(frozen=True, slots=True)
class Received:
    """An action as it came."""

    name: str
    headers: Mapping[str, str]
    longest_line: int = 0

    def __getitem__(self, header: str) -> str:
        return self.headers.get(header.lower(), "")


@dataclass(eq=False, slots=True)
class Session:
    """One client connection."""

    writer: asyncio.StreamWriter
    classes: frozenset[str] = frozenset()
    """Event classes asked for at login; `all` for every one."""
    logged_in: bool = False
    challenge: str = ""
    open: bool = True
    held: bytearray = field(default_factory=bytearray)
    """What is still to be written in chunks."""

    def hears(self, event_class: str) -> bool:
        return self.logged_in and not self.classes.isdisjoint((event_class, "all"))


@dataclass(eq=False)
class FakeAsterisk:
    """Started by `async with` or `start`; every attribute may be changed at any time."""

    username: str = "session-timer"
    secret: str = "s3cret"  # noqa: S105
    tls: ssl.SSLContext | None = None
    port: int = 0
    """0 before the start: any free one. It stays the same over a `stop` and `start`."""
    record: bool = True
    """Keep every action in `received`; off for benchmarks."""

    on_refresh: Callable[[Channel, Refresh], int] = lambda _channel, _refresh: 200
    """Called for each refresh that leaves; returns the peer's final status. 408 and 481 end the call."""
    on_action: Callable[[Received], bytes | None] = lambda _action: None
    """Returns frames to send instead of the usual answer; `{id}` in them becomes the ActionID line."""

    greeting: bytes = b"Asterisk Call Manager/11.0.0\r\n"
    release: str = "221001"
    """VERSION(ASTERISK_VERSION_NUM); empty where func_version is not loaded."""
    lacks: frozenset[str] = frozenset()
    """Functions that it does not have: what is read of them is empty, what is written refused."""
    silent: bool = False
    """Reads on and never answers."""
    drop_on: frozenset[str] = frozenset()
    """Actions at which the connection is cut instead of an answer."""
    stuck: set[str] = field(default_factory=set)
    """Channels whose serializer hangs: a connection that asks about one gets no answer meanwhile."""
    pace: float = 0.0
    """Seconds that it takes for each variable."""
    chunk: int = 0
    """Bytes a write, each read by the client on its own; 0 for whole frames."""

    channels: dict[str, Channel] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    """Accepted so far."""

    def __post_init__(self) -> None:
        self._sessions: set[Session] = set()
        self.serving: set[asyncio.Task[None]] = set()
        """One task a connection; a test that counts the tasks left over takes these off."""
        self._server: asyncio.Server | None = None
        self._reading = asyncio.Event()
        self._reading.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self.tls, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut every connection and listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()
        self._reading.set()
        for task in list(self.serving):
            task.cancel()
        await asyncio.gather(*self.serving, return_exceptions=True)

    # What a test looks at

    def seen(self, name: str) -> list[Received]:
        """The actions of this name received so far."""
        return [action for action in self.received if action.name == name]

    @property
    def logged_in(self) -> int:
        """Clients that are logged in now."""
        return sum(session.logged_in for session in self._sessions)

    # What a test does to it

    def add(self, channel: Channel) -> Channel:
        self.channels[channel.name] = channel
        self.emit("Newchannel", _shown(channel))
        return channel

    def answer(self, channel: Channel) -> None:
        channel.state = 6
        self.emit("Newstate", _shown(channel))

    def hangup(self, channel: Channel, cause: int = 16) -> None:
        del self.channels[channel.name]
        told = _shown(channel) | {"Cause": str(cause), "Cause-txt": CAUSES.get(cause, "Unknown")}
        self.emit("Hangup", told)

    def rename(self, channel: Channel, name: str) -> None:
        """What a masquerade shows: the dialog lives on under another channel name."""
        del self.channels[channel.name]
        self.emit("Rename", {"Channel": channel.name, "Newname": name, "Uniqueid": channel.uniqueid})
        channel.name = name
        self.channels[name] = channel

    def emit(self, name: str, headers: Mapping[str, str], event_class: str = "call") -> None:
        """An event, to every client that asked for its class."""
        listening = [session for session in self._sessions if session.hears(event_class)]
        if listening:
            frame = _frame({"Event": name, "Privilege": f"{event_class},all", **headers})
            for session in listening:
                self._write(session, frame)

    def send(self, data: bytes) -> None:
        """Bytes as they are, to every client."""
        for session in self._sessions:
            self._write(session, data)

    def drop(self) -> None:
        """Cut every connection."""
        for session in list(self._sessions):
            self._cut(session)

    def stop_reading(self) -> None:
        """Leave what clients send in the socket, as a session thread does that waits for a lock."""
        self._reading.clear()

    def read_again(self) -> None:
        self._reading.set()

    # The protocol

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        self.connections += 1
        session = Session(writer)
        self._sessions.add(session)
        try:
            self._write(session, self.greeting)
            unread = b""
            while data := await reader.read(65536):
                await self._reading.wait()
                *frames, unread = (unread + data).split(b"\r\n\r\n")
                for frame in frames:
                    if session.open:
                        await self._act(session, _parsed(frame))
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            self._cut(session)
            self.serving.discard(task)

    def _cut(self, session: Session) -> None:
        session.open = session.logged_in = False
        self._sessions.discard(session)
        session.writer.transport.abort()

    def _write(self, session: Session, data: bytes) -> None:
        if not session.open:
            return
        if not self.chunk:
            session.writer.write(data)
            return
        idle = not session.held
        session.held += data
        if idle:
            self._trickle(session)

    def _trickle(self, session: Session) -> None:
        if session.open and session.held:
            session.writer.write(bytes(session.held[: self.chunk]))
            del session.held[: self.chunk]
            # two turns of the event loop: in the one between, the client reads this chunk alone
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._trickle, session)

    async def _act(self, session: Session, action: Received) -> None:
        if self.record:
            self.received.append(action)
        if action.name in self.drop_on:
            self._cut(session)
            return
        if self.silent:
            return
        while action["Channel"] in self.stuck and action.name in ("Getvar", "Setvar"):
            await asyncio.sleep(1)
        if self.pace and action.name == "Getvar":
            await asyncio.sleep(self.pace)
        tag = f"ActionID: {action['ActionID']}\r\n" if action["ActionID"] else ""
        if action.longest_line > LINE_LIMIT:
            self._write(session, _answer("Error", tag, Message="Failed to parse message: line too long"))
            return
        special = self.on_action(action)
        if special is not None:
            self._write(session, special.replace(b"{id}", tag.encode()))
        elif action.name in ("Login", "Challenge"):
            self._authenticate(session, action, tag)
        elif not session.logged_in:
            self._write(session, _answer("Error", tag, Message="Permission denied"))
        elif action.name in ("Status", "CoreShowChannels"):
            await self._status(session, action, tag)
        else:
            self._write(session, self._carry_out(action, tag))

    def _authenticate(self, session: Session, action: Received, tag: str) -> None:
        if action.name == "Challenge":
            session.challenge = f"{self.connections:09d}"
            self._write(session, _answer("Success", tag, Challenge=session.challenge))
            return
        proof = hashlib.md5((session.challenge + self.secret).encode(), usedforsecurity=False).hexdigest()
        proven = bool(session.challenge) and action["AuthType"].upper() == "MD5" and action["Key"] == proof
        if action["Username"] != self.username or not (proven or action["Secret"] == self.secret):
            self._write(session, _answer("Error", tag, Message="Authentication failed"))
            session.open = False
            session.writer.close()
            return
        asked = action["Events"].lower()
        session.classes = frozenset({"on": "all", "": "all", "off": "none"}.get(asked, asked).split(","))
        session.logged_in = True
        self._write(session, _answer("Success", tag, Message="Authentication accepted"))
        if session.hears("system"):
            booted = {"Event": "FullyBooted", "Privilege": "system,all", "Status": "Fully Booted"}
            self._write(session, _frame(booted))

    def _carry_out(self, action: Received, tag: str) -> bytes:
        if action.name == "Ping":
            return _answer("Success", tag, Ping="Pong", Timestamp="1795340000.000000")
        if action.name == "CoreSettings" and self.release:
            major, minor, patch = (int(self.release[at : at + 2]) for at in (0, 2, 4))
            return _answer("Success", tag, AsteriskVersion=f"{major}.{minor}.{patch}~dfsg-1")
        if action.name not in ("Setvar", "Getvar", "Hangup"):
            return _answer("Error", tag, Message="Invalid/unknown command: " + action.name)
        if action["Variable"] == "VERSION(ASTERISK_VERSION_NUM)":
            return _answer("Success", tag, Variable=action["Variable"], Value=self.release)
        lacking = action["Variable"].partition("(")[0] in self.lacks
        if lacking and action.name == "Getvar":
            return _answer("Success", tag, Value="")
        if lacking:
            return _answer("Error", tag, Message="Variable not set")
        if not action["Channel"] and action.name == "Getvar":
            return _answer("Success", tag, Value=WITHOUT_CHANNEL.get(action["Variable"], ""))
        channel = self.channels.get(action["Channel"])
        if channel is None:
            return _answer("Error", tag, Message="No such channel")
        if action.name == "Getvar":
            variable = action["Variable"]
            return _answer("Success", tag, Variable=variable, Value=channel.read(variable))
        if action.name == "Hangup":
            self.hangup(channel, int(action["Cause"] or 16))
            return _answer("Success", tag, Message="Channel Hungup")
        return self._set(channel, action, tag)

    def _set(self, channel: Channel, action: Received, tag: str) -> bytes:
        done, refresh = channel.write(action["Variable"], action["Value"])
        if refresh is not None and self.on_refresh(channel, refresh) in (408, 481):
            self.hangup(channel)
        if not done:
            return _answer("Error", tag, Message="Variable not set")
        return _answer("Success", tag, Message="Variable Set")

    async def _status(self, session: Session, action: Received, tag: str) -> None:
        asked = re.findall(r"[^,(]+(?:\([^)]*\))?", action["Variables"])
        chosen = list(self.channels.values())
        if action["Channel"]:
            if action["Channel"] not in self.channels:
                self._write(session, _answer("Error", tag, Message="No such channel"))
                return
            chosen = [self.channels[action["Channel"]]]
        told = _answer("Success", tag, EventList="start", Message="Channel status will follow")
        self._write(session, told)
        entries: list[str] = []
        for channel in chosen:
            entries.append(
                _status_entry(
                    channel,
                    asked,
                    tag,
                    action.name.removesuffix("s") if action.name != "Status" else "Status",
                )
            )
            if len(entries) == ENTRIES_A_WRITE:
                self._write(session, "".join(entries).encode())
                entries.clear()
                await session.writer.drain()
        end = f"Event: {action.name}Complete\r\n{tag}EventList: Complete\r\nListItems: {len(chosen)}\r\n\r\n"
        self._write(session, ("".join(entries) + end).encode())
        await session.writer.drain()


def _parsed(frame: bytes) -> Received:
    lines = frame.split(b"\r\n")
    pairs = (line.decode().partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Received(headers.get("action", ""), headers, max(map(len, lines)) + 2)


def _frame(headers: Mapping[str, str]) -> bytes:
    return ("".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()


def _answer(response: str, tag: str, **headers: str) -> bytes:
    return f"Response: {response}\r\n{tag}".encode() + _frame(headers)


def _shown(channel: Channel) -> dict[str, str]:
    return {
        "Channel": channel.name,
        "ChannelState": str(channel.state),
        "ChannelStateDesc": STATES[channel.state],
        "CallerIDNum": channel.caller_number,
        "CallerIDName": "<unknown>",
        "ConnectedLineNum": channel.connected_number,
        "ConnectedLineName": "<unknown>",
        "Language": "en",
        "AccountCode": "",
        "Context": "default",
        "Exten": "100",
        "Priority": "2",
        "Uniqueid": channel.uniqueid,
        "Linkedid": channel.uniqueid,
    }


def _status_entry(channel: Channel, asked: Iterable[str], tag: str, event: str) -> str:
    variables = "".join([f"Variable: {name}={channel.read(name)}\r\n" for name in asked])
    return (
        f"Event: {event}\r\nPrivilege: Call\r\nChannel: {channel.name}\r\nChannelState: {channel.state}\r\n"
        f"ChannelStateDesc: {STATES[channel.state]}\r\nCallerIDNum: {channel.caller_number}\r\n"
        f"CallerIDName: <unknown>\r\nConnectedLineNum: {channel.connected_number}\r\n"
        "ConnectedLineName: <unknown>\r\nLanguage: en\r\nAccountCode: \r\nContext: default\r\nExten: 100\r\n"
        "Priority: 2\r\n"
        f"Uniqueid: {channel.uniqueid}\r\nLinkedid: {channel.uniqueid}\r\nType: PJSIP\r\nDNID: 100\r\n"
        "TimeToHangup: 0\r\nBridgeID: \r\nApplication: Echo\r\nData: \r\n"
        f"Nativeformats: ({channel.codecs})\r\nReadformat: {channel.codecs}\r\nReadtrans: \r\n"
        f"Writeformat: {channel.codecs}\r\nWritetrans: \r\nCallgroup: 0\r\nPickupgroup: 0\r\nSeconds: 1\r\n"
        f"{variables}{tag}\r\n"
    )
