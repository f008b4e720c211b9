"""The socket as an AsyncAPI 3 document (asyncapi.com/docs/reference/specification/v3.0.0)."""

from __future__ import annotations

from typing import Any

from phasenb.web import message_protocol as protocol
from phasenb.web.documents.schemas import (
    COMMANDS,
    COMPONENTS,
    EVENTS,
    LIVE,
    REPLIES,
    JsonSchema,
    Model,
    message_schemas,
    type_of,
)

_CHANNEL = "#/channels/socket"
_ANSWERS: dict[str, Model] = {
    "hello": protocol.Welcome,
    "launch": protocol.Launched,
    "subscribe": protocol.Subscribed,
    "subscribe_feed": protocol.Feed,
    "list": protocol.Tasks,
    "ping": protocol.Pong,
}
"""What a command is answered with, if it is neither ``ok`` nor an ``error``."""


def asyncapi() -> JsonSchema:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "phasenb",
            "version": str(protocol.PROTOCOL),
            "description": "Commands from a client, replies and events from a server, as JSON text frames. "
            "The first frame is `hello`. A server refuses fields it does not know; a client ignores them, and "
            "messages of a type that it does not know.",
            "license": {"name": "BSD-3-Clause"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "jupyter": {
                "host": "{host}",
                "protocol": "ws",
                "description": "A Jupyter server with the extension. `wss` where the server speaks TLS.",
                "variables": {"host": {"default": "localhost:8888"}},
                "security": [
                    {"type": "httpApiKey", "name": "Authorization", "in": "header", "description": "`token TOKEN`"},
                    {"type": "httpApiKey", "name": "token", "in": "query"},
                ],
            }
        },
        "channels": {
            "socket": {
                "address": "{base_url}phasenb/ws",
                "parameters": {"base_url": {"default": "/", "description": "The server's base URL"}},
                "messages": {type_of(model): _message_ref(model) for model in _all_models()},
            }
        },
        "operations": _operations(),
        "components": {
            "messages": {type_of(model): _message(model) for model in _all_models()},
            "schemas": message_schemas(),
        },
    }


def _all_models() -> tuple[Model, ...]:
    return (*COMMANDS, *REPLIES, *EVENTS, *LIVE)


def _message_ref(model: Model) -> JsonSchema:
    return {"$ref": f"#/components/messages/{type_of(model)}"}


def _message(model: Model) -> JsonSchema:
    return {"name": type_of(model), "payload": {"$ref": COMPONENTS + model.__name__}}


def _operations() -> dict[str, Any]:
    """The document is the server's: it receives commands, and sends the rest."""
    channel = {"$ref": _CHANNEL}
    operations: dict[str, Any] = {}
    for model in COMMANDS:
        name = type_of(model)
        answers = (_ANSWERS.get(name, protocol.Ok), protocol.ErrorMessage)
        operations[name] = {
            "action": "receive",
            "channel": channel,
            "messages": [_in_channel(model)],
            "reply": {"channel": channel, "messages": [_in_channel(answer) for answer in answers]},
        }
    operations["tell"] = {
        "action": "send",
        "channel": channel,
        "summary": "Events of the tasks that the connection follows, and live progress beside them",
        "messages": [_in_channel(model) for model in (*EVENTS, *LIVE)],
    }
    return operations


def _in_channel(model: Model) -> JsonSchema:
    return {"$ref": f"{_CHANNEL}/messages/{type_of(model)}"}
