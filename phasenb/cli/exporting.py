"""The command ``export``: what is kept of a task, as files for other programs.

Rules: a file is written whole or not at all (a temporary name, then a rename); a file that exists is replaced with
``--force`` only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import orjson
import typer

from phasenb.cli.frame import Call, command
from phasenb.cli.listing import TaskArgument
from phasenb.cli.places import reading
from phasenb.dto.values import Artifact, ObjectRef, as_reference

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.client.client import Client
    from phasenb.client.handle import TaskHandle
    from phasenb.client.values import Values


class What(StrEnum):
    RESULTS = "results"
    EVENTS = "events"
    LOGS = "logs"


def add(app: typer.Typer) -> None:
    command(app)(export)


def export(
    call: Call,
    task: TaskArgument,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A .csv, .parquet or .json file; or a folder, for everything.")
    ],
    what: Annotated[What, typer.Option(help="What a file holds.")] = What.RESULTS,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:
    """Write a task's results, events or logs to a file; or all of them and its artifacts into a folder.

    With --json: {"path": ...} for each file that was written.
    """
    write = _WRITERS.get(path.suffix)
    if write is None and path.suffix:
        raise typer.BadParameter(f"{path.suffix} is none of {', '.join(_WRITERS)}", param_hint="PATH")
    with reading(call) as client:
        handle = client.task(task)
        files: dict[Path, Callable[[Path], None]] = {}
        if write is not None:
            files[path] = _frame_writer(write, _frame(handle, what))
        else:
            files = _everything(client, handle, path)
        taken = [str(file) for file in files if file.exists() and not force]
        if taken:
            raise typer.BadParameter(f"{taken[0]} exists: --force replaces it", param_hint="PATH")
        for file, save in files.items():
            _whole(file, save)
            _told(call, file)


def _everything(client: Client, handle: TaskHandle, folder: Path) -> dict[Path, Callable[[Path], None]]:
    """``task.json``, a .json file of each frame, and the bytes as stored of large outputs (``outputs/PHASE/ATTEMPT``)
    and of artifacts (``artifacts/PHASE/ATTEMPT/NAME``).
    """
    from phasenb.client.outcome import results_of

    snapshot = orjson.dumps(handle.snapshot.as_json(), option=orjson.OPT_INDENT_2)
    files: dict[Path, Callable[[Path], None]] = {folder / "task.json": partial(_save, snapshot)}
    for what in What:
        files[folder / f"{what}.json"] = _frame_writer(_write_json, _frame(handle, what))
    results = results_of(client.run(client.on_loop.backend.results(task_id=handle.task_id)))
    for result in results:
        output = as_reference(result.output)
        if output is not None:
            revised = f"-{result.revision}" if result.revision > 1 else ""
            place = folder / "outputs" / result.phase / f"{result.attempt}{revised}{_SUFFIXES.get(output.codec, '')}"
            files[place] = partial(_copy, client.values, output)
        for artifact in result.artifacts:
            place = folder / "artifacts" / result.phase / str(result.attempt) / _file_name(artifact)
            while place in files:  # `note` as JSON and `note.json` are two
                place = place.with_name(f"_{place.name}")
            files[place] = partial(_copy, client.values, artifact)
    return files


_SUFFIXES = {"json": ".json", "parquet": ".parquet", "png": ".png", "npy": ".npy", "pickle": ".pkl", "text": ".txt"}


def _file_name(artifact: Artifact) -> str:
    """Its name as one part of a path, never a hidden file, with the suffix of its format where it has none."""
    name = quote(artifact.name, safe=" ")
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    return name if Path(name).suffix else name + _SUFFIXES.get(artifact.codec, "")


def _copy(values: Values, kept: ObjectRef, file: Path) -> None:
    with values.open(kept.hash) as source, file.open("wb") as target:
        shutil.copyfileobj(source, target)


def _frame(handle: TaskHandle, what: What) -> pd.DataFrame:
    if what is What.RESULTS:
        return handle.results()
    return handle.events() if what is What.EVENTS else handle.logs()


# --- formats -----------------------------------------------------------------------------------------------------


def _frame_writer(write: Callable[[pd.DataFrame, Path], None], frame: pd.DataFrame) -> Callable[[Path], None]:
    return partial(write, frame)


def _write_csv(frame: pd.DataFrame, file: Path) -> None:
    _as_text(frame).to_csv(file, index=False)


def _write_parquet(frame: pd.DataFrame, file: Path) -> None:
    try:
        _as_text(frame).to_parquet(file, index=False)
    except ImportError:
        raise typer.BadParameter("Parquet needs pyarrow: pip install 'phasenb[parquet]'", param_hint="PATH") from None


def _write_json(frame: pd.DataFrame, file: Path) -> None:
    """An array of one object a row, values as they are on the wire."""
    rows = [{name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]
    _save(orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY, default=str), file)


_WRITERS: dict[str, Callable[[Any, Path], None]] = {
    ".csv": _write_csv, ".parquet": _write_parquet, ".json": _write_json,
}  # fmt: skip


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of any values (outputs, bodies) as JSON text: a table's cell has one type."""
    import pandas as pd

    copy = frame.copy()
    for name in copy.select_dtypes("object"):
        texts = [None if value is None else _json_text(value) for value in copy[name]]
        copy[name] = pd.Series(texts, dtype="string", index=copy.index)
    return copy


def _json_text(value: Any) -> str:
    return orjson.dumps(_plain(value), default=str).decode()


def _plain(value: Any) -> Any:
    """A cell as JSON: a lazy value as its reference, what is missing as null."""
    from phasenb.store.lazy import LazyValue

    if isinstance(value, LazyValue):
        return value.reference.as_json()
    if isinstance(value, dict | list | str | bool) or value is None:
        return value
    import pandas as pd

    if pd.isna(value):
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


def _save(data: bytes, file: Path) -> None:
    file.write_bytes(data)


def _whole(file: Path, save: Callable[[Path], None]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        save(temporary)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _told(call: Call, file: Path) -> None:
    if call.json:
        call.line({"path": str(file)})
    else:
        typer.echo(str(file))
