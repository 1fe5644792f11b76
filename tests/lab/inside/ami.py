"""AMI actions: ``ami.py HOST PORT USER SECRET JSON``; prints the messages of each action's answer as JSON.

Its own few lines and not the companion's client, so that a test does not ask the code it tests.
"""

import json
import socket
import sys
from io import BufferedRWPair

_END = b"\r\n"


def act(
    host: str, port: int, user: str, secret: str, actions: list[dict[str, str]]
) -> list[list[dict[str, str]]]:
    """For each action the response, and for a list all its events up to the completing one."""
    with socket.create_connection((host, port), timeout=20) as connection:
        stream = connection.makefile("rwb")
        stream.readline()  # the greeting
        _send(stream, {"Action": "Login", "Username": user, "Secret": secret, "Events": "off"})
        login = _answer(stream, "login")[0]
        if login.get("Response") != "Success":
            raise OSError(f"login refused: {login.get('Message')}")
        answers = []
        for action in actions:
            _send(stream, action)
            answers.append(_answer(stream, "action"))
        return answers


def _send(stream: BufferedRWPair, action: dict[str, str]) -> None:
    fields = {**action, "ActionID": "login" if action["Action"] == "Login" else "action"}
    for name, value in fields.items():
        stream.write(f"{name}: {value}".encode() + _END)
    stream.write(_END)
    stream.flush()


def _answer(stream: BufferedRWPair, action_id: str) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = []
    while True:
        message = _message(stream)
        if message.get("ActionID") != action_id:
            continue
        messages.append(message)
        listing = "EventList" in messages[0]
        if not listing or message.get("EventList", "").lower() == "complete":
            return messages


def _message(stream: BufferedRWPair) -> dict[str, str]:
    fields: dict[str, str] = {}
    while row := stream.readline():
        if row == _END:
            return fields
        name, _, value = row.decode(errors="replace").strip().partition(": ")
        # Variables and Output come in several rows of one name.
        fields[name] = f"{fields[name]}\n{value}" if name in fields else value
    raise OSError("the connection was closed")


if __name__ == "__main__":
    try:
        print(
            json.dumps(act(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], json.loads(sys.argv[5])))
        )
    except OSError as error:
        sys.exit(f"AMI: {error}")
