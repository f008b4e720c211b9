"""How logging is set up, and how it is put back: handlers, filters, levels, ``logging.disable`` and its global hooks.

Rules: only what differs from a new logger is taken, as most are new. A handler that goes is closed, as it is at the end
of a process, so that it writes what it holds. Libraries set levels, and handlers that write nothing, when they are
imported. Any other handler, and a filter, may hold what its task gave it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from phasenb.executors.probes import Entries, Probe, additions, only_adds

_NEW: dict[str, Any] = {
    "level": logging.NOTSET,
    "propagate": True,
    "disabled": False,
    "handlers": Entries(),
    "filters": Entries(),
}


def _loggers() -> dict[str, dict[str, Any]]:
    """The loggers that are not as new ones."""
    found = {}
    for name, logger in logging.root.manager.loggerDict.copy().items():
        if isinstance(logger, logging.Logger) and (
            logger.level or logger.handlers or logger.filters or logger.disabled or not logger.propagate
        ):
            found[name] = {field: value for field, value in _setup(logger).items() if value != _NEW[field]}
    return found


def _put_loggers(taken: Mapping[str, Mapping[str, Any]]) -> None:
    now = _loggers()
    if now == taken:
        return
    for name in now.keys() | taken.keys():
        wanted = taken.get(name, {})
        if now.get(name, {}) != wanted:
            _set_up(logging.getLogger(name), {**_NEW, **wanted})


def _writes_nothing(taken: Mapping[str, Any], wanted: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    def added(name: str, field: str) -> list[Any]:
        known = taken.get(name, {}).get(field, ())
        return [entry for entry in wanted[name].get(field, ()) if entry not in known]

    return only_adds(taken, wanted) and not any(
        added(name, "filters") or any(type(handler) is not logging.NullHandler for handler in added(name, "handlers"))
        for name in wanted
    )


def _logging() -> dict[str, Any]:
    return {
        "root": _setup(logging.root),
        "disabled": logging.root.manager.disable,
        "factory": logging.getLogRecordFactory(),
        "class": logging.getLoggerClass(),
        "raises": logging.raiseExceptions,
        "last resort": logging.lastResort,
    }


def _put_logging(taken: Mapping[str, Any]) -> None:
    logging.captureWarnings(False)
    logging.disable(taken["disabled"])
    logging.setLogRecordFactory(taken["factory"])
    logging.setLoggerClass(taken["class"])
    logging.raiseExceptions = taken["raises"]
    logging.lastResort = taken["last resort"]
    if _setup(logging.root) != taken["root"]:
        _set_up(logging.root, taken["root"])


def _setup(logger: logging.Logger) -> dict[str, Any]:
    return {
        "level": logger.level,
        "propagate": logger.propagate,
        "disabled": logger.disabled,
        "handlers": Entries(logger.handlers),
        "filters": Entries(logger.filters),
    }


def _set_up(logger: logging.Logger, wanted: Mapping[str, Any]) -> None:
    gone = [handler for handler in logger.handlers if handler not in wanted["handlers"]]
    logger.handlers[:] = wanted["handlers"]
    logger.filters[:] = wanted["filters"]
    logger.propagate = wanted["propagate"]
    logger.disabled = wanted["disabled"]
    if logger.level != wanted["level"]:
        logger.setLevel(wanted["level"])
    for handler in gone:
        with contextlib.suppress(OSError, ValueError):  # what it wrote to is closed or full: as logging.shutdown does
            handler.flush()
            handler.close()


LOGGING: tuple[Probe, ...] = (
    Probe("loggers", _loggers, _put_loggers, may_stay=_writes_nothing),
    Probe("logging", _logging, _put_logging),
    Probe(
        "names of levels",
        logging.getLevelNamesMapping,
        lambda taken: bool(logging.getLevelNamesMapping() == taken),
        may_stay=additions,
    ),
)
