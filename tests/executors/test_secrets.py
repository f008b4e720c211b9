"""Variables and secrets of attempts: where they come from, and where they must not show."""

import os

import pytest

from phasenb.dto.phase import Checkpoint
from phasenb.dto.values import as_reference
from phasenb.errors import LaunchError, SecretUnavailable
from phasenb.executors.secrets import Masker, resolved

KEY = "sk-Zq7/secret+key"


def tells(ctx):
    key = os.environ["API_KEY"]
    print("key", key)
    os.system(f"echo {key}")
    ctx.log(f"log {key}")
    ctx.update(0.5, message=f"using {key}")
    ctx.artifact("note", f"the key is {key}")
    ctx.checkpoint({"key": key})
    return {"key": key, "all": [f"https://x/?k={key}", 1, None], "mode": os.environ["MODE"]}


def raises(ctx):
    key = os.environ["API_KEY"]
    raise ValueError(f"refused: {key}")


def raises_a_class_that_is_called_so(ctx):
    class Base(ValueError):
        pass

    Base.__qualname__ = f"Of_{os.environ['API_KEY']}"
    raise type("Named_" + os.environ["API_KEY"], (Base,), {})("no")


def returns_one_of_a_class_that_is_called_so(ctx):
    from collections import UserDict

    kind = type("Named_" + os.environ["API_KEY"], (UserDict,), {"__module__": "__main__"})
    ctx.artifact("one", kind(), codec="pickle")
    return kind()


def crashes(ctx):
    os.write(2, os.environ["API_KEY"].encode() + b"\n")
    os.abort()


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    return {"API_KEY": f"file:{path}"}


def test_no_report_of_an_attempt_shows_a_secret(house, on_process, key_file):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        ran = await house.run(slot, tells, env={"MODE": "fast"}, secrets=key_file)
        assert ran.outcome.status == "complete"
        assert ran.value() == {"key": "***", "all": ["https://x/?k=***", 1, None], "mode": "fast"}
        assert [each.value for each in ran.reports if isinstance(each, Checkpoint)] == [{"key": "***"}]
        assert ran.said("stdout") == ["key ***", "***"]
        assert ran.said("log") == ["log ***"]
        assert [step.message for step in ran.steps] == ["using ***"]
        assert KEY not in repr(ran.reports)

        failed = await house.run(slot, raises, secrets=key_file)
        assert failed.outcome.error.message == "refused: ***"
        assert KEY not in repr(failed.reports)

        named = await house.run(slot, raises_a_class_that_is_called_so, secrets=key_file)
        assert named.outcome.error.type.endswith("Named_***")
        assert any("Of_***" in base for base in named.outcome.error.bases)
        assert KEY not in repr(named.reports)

        typed = await house.run(slot, returns_one_of_a_class_that_is_called_so, secrets=key_file)
        assert KEY not in repr(typed.reports)
        assert typed.outcome.output_type == "__main__.Named_***"

        lost = await house.run(slot, crashes, secrets=key_file)
        assert lost.outcome.status == "lost"
        assert KEY not in repr(lost.reports)
        await slot.release()

    on_process(scenario)


def test_a_reference_and_what_it_names_stay_as_they_are(house, on_process, tmp_path):
    (tmp_path / "key").write_text("object")  # a word of each reference, and of many a value

    def phase(ctx):
        ctx.artifact("object", "an object")
        print("an object")
        return ("an object",)  # no JSON: a reference, with a preview

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        told = await house.run(slot, phase, secrets={"API_KEY": f"file:{tmp_path / 'key'}"})
        await slot.release()
        return told

    told = on_process(scenario)
    assert told.outcome.status == "complete", told.outcome.error
    assert told.value() == ("an object",)
    assert as_reference(told.outcome.output).preview == "('an ***',)"
    (kept,) = told.outcome.artifacts
    assert (kept.name, house.folder.get(kept.hash)) == ("object", b"an object")
    assert told.said("stdout") == ["an ***"]


def test_the_next_task_does_not_have_them(house, on_process, key_file):
    def looks():
        return sorted({"API_KEY", "MODE"} & set(os.environ))

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        ran = await house.run(slot, looks, env={"MODE": "fast"}, secrets=key_file)
        assert ran.value() == ["API_KEY", "MODE"]
        worker = slot.worker
        await slot.release()
        slot = await executor.reserve("ada", None)
        assert slot.worker == worker
        assert (await house.run(slot, looks)).value() == []

    on_process(scenario, workers=1)


def test_a_secret_is_found_anew_for_each_attempt(house, on_process, key_file, tmp_path):
    def length():
        return len(os.environ["API_KEY"])

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        assert (await house.run(slot, length, secrets=key_file)).value() == len(KEY)
        (tmp_path / "key").write_text("another")
        assert (await house.run(slot, length, secrets=key_file)).value() == 7
        (tmp_path / "key").unlink()
        gone = await house.run(slot, length, secrets=key_file)
        assert gone.outcome.error.type == "phasenb.SecretUnavailable"
        assert "`API_KEY`" in gone.outcome.error.message
        assert "No such file" in gone.outcome.error.message

    on_process(scenario)


def test_a_variable_is_the_hosts_of_now_though_the_worker_is_an_old_one(house, on_process, monkeypatch):
    def length():
        return len(os.environ["API_KEY"])

    async def scenario(executor):
        secrets = {"API_KEY": "env:LATE_KEY"}
        slot = await executor.reserve("ada", None)
        missing = await house.run(slot, length, secrets=secrets)
        assert missing.outcome.error.type == "phasenb.SecretUnavailable"
        monkeypatch.setenv("LATE_KEY", KEY)
        assert (await house.run(slot, length, secrets=secrets)).value() == len(KEY)
        monkeypatch.setenv("LATE_KEY", KEY + "-2")
        assert (await house.run(slot, length, secrets=secrets)).value() == len(KEY) + 2
        monkeypatch.delenv("LATE_KEY")
        gone = await house.run(slot, length, secrets=secrets)
        assert gone.outcome.error.type == "phasenb.SecretUnavailable"

    on_process(scenario)


def test_an_agent_that_needs_its_secret_to_be_made_can_be_described(house, on_process, key_file):
    from phasenb.core.extended_agent import ExtendedAgent

    def factory():
        key = os.environ.get("API_KEY")
        if key is None:
            raise ValueError("no key")
        if key != KEY:
            raise ValueError(f"wrong key {key}")
        return tells

    agent = ExtendedAgent(factory=factory)

    async def scenario(executor):
        from phasenb.agents.packing import code_json, pack

        code = code_json(pack(agent))
        spec = await executor.describe("ada", None, None, code, house.url, secrets=key_file)
        assert spec.phases == ("implementation",)
        wrong = {"API_KEY": "env:PATH"}
        with pytest.raises(Exception) as refused:
            await executor.describe("ada", None, None, code, house.url, secrets=wrong)
        assert "wrong key ***" in str(refused.value)
        with pytest.raises(SecretUnavailable):
            await executor.describe("ada", None, None, code, house.url, secrets={"API_KEY": "env:NOT_SET_ANYWHERE"})

    on_process(scenario)


def test_the_last_words_of_a_worker_that_dies_of_a_description_do_not_show_a_secret(
    house, on_process, key_file, caplog
):
    from phasenb.agents.packing import code_json, pack
    from phasenb.core.extended_agent import ExtendedAgent

    def factory():
        import ctypes
        import sys

        words = os.environ["API_KEY"].encode() + b"\n"
        sys.setswitchinterval(60)  # and PyDLL keeps the GIL: the worker's own reader does not get to see them
        ctypes.PyDLL(None).write(2, words, len(words))
        os._exit(3)

    async def scenario(executor):
        code = code_json(pack(ExtendedAgent(factory=factory)))
        with pytest.raises(LaunchError, match=r"exit code 3, before it could answer: \(its last words") as refused:
            await executor.describe("ada", None, None, code, house.url, secrets=key_file)
        assert KEY not in f"{refused.value} {refused.value.details} {caplog.text}"

    on_process(scenario)


# --- pure ------------------------------------------------------------------------------------------------------------


def test_masking_hides_every_form_of_a_secret():
    masker = Masker()
    assert masker.value({"a": [KEY]}) == {"a": [KEY]}
    masker.learn([KEY, 'say "hi"\nthere', KEY + "-longer"])
    assert masker.text(f"{KEY}-longer {KEY}") == "*** ***"
    assert masker.text("sk-Zq7%2Fsecret%2Bkey") == "***"
    assert masker.text('{"k":"say \\"hi\\"\\nthere"}') == '{"k":"***"}'
    assert masker.text('line say "hi"') == "line ***"
    assert masker.value({"a": [KEY, 1.5, None, True]}) == {"a": ["***", 1.5, None, True]}


@pytest.mark.parametrize(
    ("source", "told"),
    [("env:NOWHERE", "NOWHERE is not set"), ("env:SHORT", "at least 6 characters"), ("file:/nowhere", "can't be read")],
)
def test_a_secret_that_can_not_be_had_says_where_it_was_looked_for(source, told):
    with pytest.raises(SecretUnavailable, match=told) as refused:
        resolved({"KEY": source}, {"SHORT": "abcde"})
    assert (refused.value.name, refused.value.source) == ("KEY", source)
