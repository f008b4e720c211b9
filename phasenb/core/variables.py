"""Which of a launcher's environment variables its phases have. Pure: an environment goes in, a decision comes out.

Rules (design.md, "The launcher's environment is the task's"):

* A phase has what the launcher's process has, variables that it set since its start included, and lacks what it lacks.
* What looks like a secret stays behind, as what goes along is stored. ``secrets=[...]`` is the way that stores nothing.
* Jupyter's and phasenb's own variables tell a process its place. A worker's place is its host's: it has the host's.
* A worker has no screen: colours are not forced on its log, and it has no windows to draw in.
* Some variables are read once, when a process starts or loads a library: other ones need another worker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from phasenb.dto.launch import SHORTEST_SECRET

# Of Jupyter and phasenb: where server, runtime folder and store are.
_PLACE = ("JPY_", "JUPYTER", "PHASENB_")
# ipykernel sets them for its cells' output: the inline backend, and colours though there is no terminal.
SCREEN = frozenset({"MPLBACKEND", "FORCE_COLOR", "CLICOLOR_FORCE"})
_LEFT = frozenset({"PWD", "SSH_AUTH_SOCK"})

# What looks like a secret, word by word of a name: docs/recovery.md has this list.
SECRET_PARTS = (
    "PASS", "PWD", "SECRET", "TOKEN", "APIKEY", "ACCESSKEY", "ACCOUNTKEY", "PRIVATE", "COOKIE", "AUTH", "SIGNATURE",
)  # fmt: skip
SECRET_WORDS = frozenset({"KEY", "KEYS", "PAT", "CREDENTIAL", "CREDENTIALS", "WEBHOOK", "WEBHOOKS", "SIG"})
OTHER_WORDS = frozenset({
    "AUTHOR", "AUTHORS", "AUTHORITY", "BYPASS", "COMPASS", "TRESPASS", "PASSED", "PASSENGER", "PASSENGERS", "PASSIVE",
    "PASSAGE", "PASSAGES", "PASSTHROUGH", "TOKENIZER", "TOKENIZERS", "TOKENISER", "TOKENISERS",
})  # fmt: skip
SWITCHES = frozenset({"", "0", "1", "true", "false", "yes", "no", "on", "off", "none", "null"})
MOST_DIGITS = 7  # of a number of tokens: a longer one may be a token itself

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # AccountKey and ACCOUNT_KEY2 have two
# Values may have 128 KB (a certificate): no pattern may read on from each character of one, so all take linear time.
_URL_PASSWORD = re.compile(r"://[^/?#\s@:]*:[^/?#\s@]+@")
_PEM = "PRIVATE KEY-----"
# Of name=value, "name": value and name: value; a colon alone is between the folders of a path. A word is read once, as
# the lookahead is never tried again (3.11 writes that as `\w++`).
_NAME = re.compile(r"""\b(?=(\w+))\1(?:\\*["']?\s*=|\\*["']\s*:|:(?=\s))""")
_VALUE = re.compile(r"""[\s"'\\]*([^\s"'\\;,&}\])]*)""")

# The loader's, the interpreter's, the locale's and time zone's, the temporary folder's (tempfile remembers it), and
# those of pools of threads, devices and memory, which libraries read when they are loaded.
_AT_START = (
    "LD_", "DYLD_", "PYTHON", "LC_", "MALLOC_", "GLIBC_",
    "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "VECLIB_", "NUMEXPR_", "NUMBA_", "POLARS_",
    "CUDA_", "NVIDIA_", "HIP_", "ROCR_",
)  # fmt: skip
_AT_START_NAMES = frozenset({"TZ", "LANG", "LANGUAGE", "TMPDIR", "TEMP", "TMP"})

AtStart = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """``variables`` go along; ``secret`` are the names of those that stay behind as they look like secrets, of which
    ``short`` are too short to be hidden in a log.
    """

    variables: dict[str, str]
    secret: tuple[str, ...]
    short: frozenset[str] = frozenset()


def carried(
    environment: Mapping[str, str], is_path: Callable[[str], bool], secrets: Collection[str] = frozenset()
) -> Carried:
    """What goes along of a launcher's environment. ``is_path`` tells whether a text is the path of something that is
    there; ``secrets`` are the variables that the launch names as such, which never go along, nor does what holds one.
    """
    told = {environment[name] for name in secrets if len(environment.get(name, "")) >= SHORTEST_SECRET}
    going, secret = {}, []
    for name, value in environment.items():
        if name in secrets or not travels(name):
            continue
        if looks_secret(name, value, is_path) or any(each in value for each in told):
            secret.append(name)
        else:
            going[name] = value
    short = frozenset(name for name in secret if len(environment[name]) < SHORTEST_SECRET)
    return Carried(going, tuple(sorted(secret)), short)


def of_worker(name: str) -> bool:
    """Whether a worker has this variable from its host, whoever launches."""
    return name.startswith(_PLACE) or name in SCREEN


def travels(name: str) -> bool:
    """Whether a variable of this name may go along at all."""
    return not of_worker(name) and name not in _LEFT


def looks_secret(name: str, value: str, is_path: Callable[[str], bool]) -> bool:
    """By its name, or as it holds a secret: a pair whose name looks so, a URL's password, a private key. The path of a
    file is no secret, whatever it is called; nor is a switch, or a number of tokens.
    """
    found = (
        (_named_secret(name) and not _is_setting(name, value))
        or _URL_PASSWORD.search(value) is not None
        or _PEM in value
        or _holds_pair(value, is_path)
    )
    return found and not is_path(value)


def _holds_pair(text: str, is_path: Callable[[str], bool]) -> bool:
    for pair in _NAME.finditer(text):
        if _named_secret(pair[1]):
            value = _value_at(text, pair.end())
            if not _is_setting(pair[1], value) and not is_path(value):
                return True
    return False


def _value_at(text: str, at: int) -> str:
    found = _VALUE.match(text, at)
    return found[1] if found else ""


def _named_secret(name: str) -> bool:
    words = [word for word in _words(name) if word not in OTHER_WORDS]
    return any(part in word for word in words for part in SECRET_PARTS) or not SECRET_WORDS.isdisjoint(words)


def _is_setting(name: str, value: str) -> bool:
    """Whether it is a switch or a number of tokens, which is no secret whatever its name."""
    count = "TOKENS" in _words(name) and value.isdecimal() and len(value) <= MOST_DIGITS
    return count or value.lower() in SWITCHES


def _words(name: str) -> list[str]:
    return [word.upper() for word in _WORD.findall(name)]


def at_start(environment: Mapping[str, str]) -> AtStart:
    """The variables that must be there when a worker is started, as a key."""
    return tuple(sorted(item for item in environment.items() if is_at_start(item[0]) and travels(item[0])))


def is_at_start(name: str) -> bool:
    return name.startswith(_AT_START) or name in _AT_START_NAMES


def stays_set(name: str, value: str, known: Collection[str]) -> bool:
    """Whether a variable that a library set when it was imported may stay in a worker, for other tasks. Only one that
    is read at a start, and not one that holds what a task gave: ``known`` are the values that its phase had then.
    """
    if not is_at_start(name):
        return False
    if value.lower() in SWITCHES:
        return True
    return not any(each == value or (len(each) >= SHORTEST_SECRET and each in value) for each in known)


def environment_of(own: Mapping[str, str], going: Mapping[str, str]) -> dict[str, str]:
    """A phase's environment: what went along, and what its worker has of its host (``own``)."""
    kept = {name: value for name, value in own.items() if of_worker(name)}
    return {**{name: value for name, value in going.items() if travels(name)}, **kept}


def note_of(secret: Sequence[str], short: Collection[str]) -> str:
    """What to tell a launcher of the variables that stay behind, with the line to write where phases need them."""
    options = {"secrets": [name for name in secret if name not in short], "env": [n for n in secret if n in short]}
    line = ", ".join(f"{option}=[{_quoted(names)}]" for option, names in options.items() if names)
    many = len(secret) > 1
    what = f"{', '.join(secret)} {'look like secrets and stay' if many else 'looks like a secret and stays'} behind"
    return f"{what}: phases that need {'them have them' if many else 'it have it'} by with_options({line})"


def _quoted(names: Collection[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
