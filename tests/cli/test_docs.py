"""docs/cli.md says what the app does: its made part, its JSON fields, its examples."""

import re

from typer.main import get_command

from phasenb.cli.app import app
from phasenb.cli.exits import MEANINGS, Exit
from phasenb.cli.reference import PAGE, page
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.task_state import TaskState

TEXT = PAGE.read_text()
COMMANDS = {
    "launch", "watch", "tasks", "show", "results", "logs", "agents", "cancel", "pause", "resume", "give-up", "retry",
    "approve", "deny", "events", "source", "resume-launches", "export", "serve", "doctor", "backup", "restore",
}  # fmt: skip


def test_the_made_part_is_current():
    assert page(TEXT) == TEXT, "run `make documents`"


def test_every_command_and_option_is_there():
    commands = get_command(app).commands
    assert set(commands) == COMMANDS
    for name, command in commands.items():
        section = TEXT.partition(f"### `phasenb {name}")[2].partition("\n### ")[0]
        own = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        for option in set(own) - {"--url", "--token", "--session", "--json", "--help"}:
            assert f"`{option}" in section, (name, option)
        assert command.help
        assert all(parameter.help for parameter in command.params if parameter.name != "ctx"), name
    assert all(f"| {int(code)} |" in TEXT for code in Exit)
    assert set(MEANINGS) == set(Exit)


def test_the_fields_of_json_lines_are_the_models():
    task, result = set(TaskState.model_fields), set(PhaseResult.model_fields)
    row = next(line for line in TEXT.splitlines() if line.startswith("| `results`"))
    assert set(re.findall(r"\w+", row.split("`")[3])) - {"task_id"} <= result
    row = next(line for line in TEXT.splitlines() if line.startswith("| `tasks`, `show`"))
    listed = set(re.findall(r"\w+", row.split("a task's snapshot: ")[1]))
    assert listed <= task
    assert task - listed <= {"rolling_back", "recent"}


def test_the_examples_parse():
    for line in re.findall(r"^\$ phasenb (.*?)(?:\s+#.*)?$", TEXT, re.MULTILINE):
        name, *arguments = line.split()
        get_command(app).commands[name].make_context(name, arguments)
