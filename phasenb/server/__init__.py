"""The Jupyter server extension. Tornado and jupyter_server are imported when a server asks for the extension only."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from phasenb.server.app import PhaseNB

    return [{"module": "phasenb.server.app", "app": PhaseNB}]
