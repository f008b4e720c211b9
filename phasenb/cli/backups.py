"""The commands ``backup`` and ``restore``: the configured store in one file, and a store made from one.

Rules: they work on this machine's store, whether hosts run or not; no file is ever replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phasenb.cli.exits import Exit
from phasenb.cli.frame import Call, command
from phasenb.errors import StoreUnavailable
from phasenb.errors.base import counted

if TYPE_CHECKING:
    from phasenb.store.backup import Copied


def add(app: typer.Typer) -> None:
    command(app)(backup)
    command(app)(restore)


def backup(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make, a .zip; never one that exists.")],
) -> Exit:
    """Copy the store and all that it names into one file, also while hosts run.

    It ends with 1 where objects that the store names are not there any more; the file holds all else.

    With --json: {"path", "store", "tasks", "objects", "missing"}.
    """
    from phasenb.config.jupyter_files import settings_here
    from phasenb.store.backup import back_up
    from phasenb.store.location import locate

    settings = settings_here()
    location = locate(settings.store_url)
    if location.path is None or not location.path.exists():
        raise StoreUnavailable(location.shown, "there is none to back up: see store.url (PHASENB_STORE_URL)")
    copied = back_up(settings.store_url, settings.store.artifacts, file.absolute())
    code = Exit.FAILED if copied.missing else Exit.DONE
    if call.json:
        about = {"tasks": copied.tasks, "objects": copied.objects, "missing": copied.missing}
        call.line({"path": str(file), "store": location.shown, **about})
        return code
    typer.echo(f"phasenb: {file} holds {location.shown}: {what_is_in(copied)}")
    if copied.missing:
        call.say(f"phasenb: {counted(copied.missing, 'object')} that the store names can't be found any more")
    return code


def restore(
    call: Call, file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `phasenb backup` made.")]
) -> None:
    """Make the configured store from a backup, where there is none yet. Its live tasks come back paused.

    With --json: {"path", "store", "tasks", "objects", "paused"}.
    """
    from phasenb.config.jupyter_files import settings_here
    from phasenb.config.settings import make_data_dir
    from phasenb.store import backup as backups
    from phasenb.store.location import locate

    settings = settings_here()
    make_data_dir(settings)
    made = backups.restore(file, settings.store_url, settings.store.artifacts)
    store = locate(settings.store_url).shown
    if call.json:
        about = {"tasks": made.tasks, "objects": made.objects, "paused": made.paused}
        call.line({"path": str(file), "store": store, **about})
        return
    typer.echo(f"phasenb: {store} is made from {file}: {what_is_in(made)}")
    if made.paused:
        call.say(f"phasenb: {made.paused:,} of them were live and are paused: `phasenb resume TASK` goes on")


def what_is_in(copied: Copied) -> str:
    return f"{counted(copied.tasks, 'task')} and {counted(copied.objects, 'object')}"
