"""How logging is set up, and how it is put back: handlers, filters, levels, ``logging.disable`` and its global hooks.

Rules: a logger that was not there when it was taken is as a new one afterwards, whoever set it up: the phase, or a
library at its import. A handler that goes is closed, as it is at the end of a process, so that it writes what it holds.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple


class _Setup(NamedTuple):
    """Of one logger."""

    level: int = logging.NOTSET
    propagate: bool = True
    disabled: bool = False
    handlers: tuple[logging.Handler, ...] = ()
    filters: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class _Taken:
    setups: dict[str, _Setup]
    disabled: int
    factory: Any
    logger_class: type[logging.Logger]
    raises: bool
    last_resort: logging.Handler | None


_NEW = _Setup()


def take() -> _Taken:
    return _Taken(
        {logger.name: _setup(logger) for logger in _loggers()},
        logging.root.manager.disable,
        logging.getLogRecordFactory(),
        logging.getLoggerClass(),
        logging.raiseExceptions,
        logging.lastResort,
    )


def put_back(taken: _Taken) -> None:
    logging.captureWarnings(False)
    logging.disable(taken.disabled)
    logging.setLogRecordFactory(taken.factory)
    logging.setLoggerClass(taken.logger_class)
    logging.raiseExceptions = taken.raises
    logging.lastResort = taken.last_resort
    for logger in _loggers():
        wanted = taken.setups.get(logger.name, _NEW)
        if _setup(logger) != wanted:
            _set_up(logger, wanted)


def _loggers() -> Iterator[logging.Logger]:
    yield logging.root
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger


def _setup(logger: logging.Logger) -> _Setup:
    return _Setup(logger.level, logger.propagate, logger.disabled, tuple(logger.handlers), tuple(logger.filters))


def _set_up(logger: logging.Logger, wanted: _Setup) -> None:
    gone = [handler for handler in logger.handlers if handler not in wanted.handlers]
    logger.handlers[:] = wanted.handlers
    logger.filters[:] = wanted.filters
    logger.propagate = wanted.propagate
    logger.disabled = wanted.disabled
    if logger.level != wanted.level:
        logger.setLevel(wanted.level)
    for handler in gone:
        with contextlib.suppress(OSError, ValueError):  # what it wrote to is closed or full: as logging.shutdown does
            handler.flush()
            handler.close()
