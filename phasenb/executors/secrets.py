"""Variables of an attempt: set where it runs, and the secret ones taken out of all that it tells.

Rules:

* A secret is looked for at each attempt, where it runs: a launch names only the place (``env:NAME``, ``file:PATH``).
  ``env:`` names a variable of the host as it is at that moment: a warm worker's own are those of its start. What the
  launcher gave is in a file of its host (``launcher:PATH``; see secret_files).
* What a phase prints, logs, raises, reports and returns as JSON shows ``***`` instead, and so do previews. A value that
  is stored by codec (a DataFrame, a pickle, an artifact) is not searched: its author put the secret there. No hash, no
  name and no key of a reference is ever taken for a secret; the name of a class may be made of one, and is searched.
* A secret that can't be found, or is too short to be told from other text, is SecretUnavailable: a person's to mend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import orjson

from phasenb.dto.launch import LAUNCHER, SHORTEST_SECRET
from phasenb.dto.values import Json
from phasenb.errors import SecretUnavailable

SHOWN = "***"
_LARGEST_BYTES = 65_536


def named_in(sources: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """What ``resolved`` needs of an environment."""
    places = (source.partition(":") for source in sources.values())
    return {where: environment[where] for kind, _, where in places if kind == "env" and where in environment}


def resolved(sources: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """{variable: secret}. ``environment``: the host's, where ``env:`` looks. Raises SecretUnavailable."""
    found = {}
    for name, source in sources.items():
        kind, _, where = source.partition(":")
        if kind == LAUNCHER:
            found[name] = _given(name, Path(where))
            continue
        value = environment.get(where) if kind == "env" else _read(name, source, Path(where))
        if value is None:
            problem = f"the variable {where} is not set in the process that carries the task (the server); "
            raise SecretUnavailable(name, source, f'{problem}secrets=["{where}"] takes the launcher\'s')
        if len(value) < SHORTEST_SECRET or "\0" in value:
            raise SecretUnavailable(name, source, f"what is there is no text of at least {SHORTEST_SECRET} characters")
        found[name] = value
    return found


def _given(name: str, path: Path) -> str:
    """What its launcher gave, as it was checked then."""
    try:
        return path.read_bytes().decode()
    except OSError:
        problem = (
            "the value that its launcher gave is not kept any more, or not on this machine: set "
            f'os.environ["{name}"] in the notebook, then task.resume() gives it again (task.retry() where it has ended)'
        )
        raise SecretUnavailable(name, LAUNCHER, problem) from None


def _read(name: str, source: str, path: Path) -> str:
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        text = data.decode()
    except (OSError, RuntimeError, UnicodeDecodeError) as error:  # RuntimeError: there is no such home
        told = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise SecretUnavailable(name, source, f"{path} can't be read where the phase runs ({told})") from None
    if len(data) > _LARGEST_BYTES:
        raise SecretUnavailable(name, source, f"{path} has more than {_LARGEST_BYTES:,} bytes")
    return text.rstrip("\r\n")


class Masker:
    """Takes secrets out of texts, once it has learned them. Any thread may ask it."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._pattern: re.Pattern[str] | None = None

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these from now on, instead of what was known."""
        told = {form for secret in secrets for form in _forms(secret)}
        # The longest first: of two that begin alike, the whole of the longer one is hidden.
        self._told = sorted(told, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, self._told))) if self._told else None

    def text(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(SHOWN, text)

    def unfinished(self, text: str) -> str:
        """``text``, which may go on: without what may be the beginning of a secret at its end."""
        text = self.text(text)
        begun = max((_begun(form, text) for form in self._told), default=0)
        return text[: len(text) - begun]

    def value(self, value: Json) -> Json:
        """JSON with every text in it masked; the value itself where nothing is to be hidden."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(each) for name, each in value.items()}
        return value


def _begun(form: str, text: str) -> int:
    """How much of ``form`` stands at the end of ``text``."""
    return next((size for size in range(min(len(form) - 1, len(text)), 0, -1) if text.endswith(form[:size])), 0)


def _forms(secret: str) -> set[str]:
    """How a secret shows in texts: as it is, in a URL, inside a repr or a JSON text, and line by line."""
    in_urls = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    whole = {secret, *in_urls, repr(secret)[1:-1], orjson.dumps(secret).decode()[1:-1]}
    lines = {line.strip() for line in secret.splitlines()}
    return {form for form in whole | lines if len(form) >= SHORTEST_SECRET}
