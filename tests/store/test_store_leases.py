"""Hosts, leases, adoption and what is collected, on a real store."""

import asyncio
import os
import time
from dataclasses import replace

import pytest
from pydantic import ValidationError

from phasenb.codecs import encode
from phasenb.codecs.objects import ObjectFolder
from phasenb.core.launching import plan_of, policy_of
from phasenb.core.ports import HostInfo, Taking
from phasenb.dto import bounds
from phasenb.dto import events as ev
from phasenb.dto.launch import Launch
from phasenb.dto.policies import RecoveryPolicy
from phasenb.errors import LaunchError, LeaseLost, StoreUnavailable
from phasenb.store import statements as sql
from phasenb.store.saver import MemorySaver

A, B = HostInfo("a", "m", 1, "now"), HostInfo("b", "m", 2, "now")


def test_only_the_host_with_the_newest_fence_may_write(saver, story):
    async def scenario():
        await saver.join(A)
        await saver.join(B)
        one = story()
        born = await saver.append(replace(one.created(), take=Taking("a", "process")))
        assert (born.lease.host, born.lease.fence) == ("a", 1)
        await saver.append(replace(one.started(), lease=born.lease))
        await saver.add_checkpoint(one.task_id, "research", 1, 5, born.lease)
        (adopted,) = await saver.adopt("b", ("process",), dead="a")
        assert (adopted.lease.host, adopted.lease.fence) == ("b", 2)
        assert (adopted.task.task_id, adopted.launch.agent) == (one.task_id, "fit")
        late = one.complete(output=1)
        with pytest.raises(LeaseLost):
            await saver.append(replace(late, lease=born.lease))
        with pytest.raises(LeaseLost):
            await saver.add_checkpoint(one.task_id, "research", 1, 6, born.lease)
        assert (await saver.checkpoint(one.task_id, "research")).value == 5
        await saver.append(replace(late, lease=adopted.lease))
        with pytest.raises(LeaseLost):
            await saver.beat("a")
        await saver.beat("b")
        assert [(host.host, host.counter) for host in await saver.hosts()] == [("b", 1)]

    asyncio.run(scenario())


def test_what_is_adopted_is_not_terminal_of_an_executor_that_is_offered_and_comes_in_order(saver, story):
    async def scenario():
        await saver.join(A)
        stories = [story() for _ in range(4)]
        for each, executor in zip(stories, ("process", "inline", "process", "process"), strict=True):
            await saver.append(replace(each.created(), take=Taking("a", executor)))
        await saver.append(stories[2].cancelled())
        await saver.leave("a")
        await saver.join(B)
        assert [each.task.task_id for each in await saver.adopt("b", ("process",))] == [
            stories[0].task_id,
            stories[3].task_id,
        ]
        assert await saver.adopt("b", ("process",)) == []
        assert [each.task.task_id for each in await saver.adopt("b", ("inline",))] == [stories[1].task_id]

    asyncio.run(scenario())


def test_a_launch_that_is_more_than_is_taken_today_is_adopted_as_it_is(saver, story):
    """Bounds are for what clients send: a task of an earlier release, or of a larger bound, goes on."""
    said = {
        "code": "aGk=",
        "source": {f"p{n}": "x" for n in range(300)},
        "inputs": {f"{n}".ljust(300, "x"): n for n in range(1100)},
        "options": {
            "name": "n" * 300,
            "key": "k" * 300,
            "phases": [f"p{n}" for n in range(300)],
            "approve_before": [f"p{n}" for n in range(300)],
            "retry": {f"p{n}": 2 for n in range(300)},
            "timeout": {f"p{n}": 2.0 for n in range(300)},
            "env": {f"V{n}": "x" * (70_000 if n == 0 else 1) for n in range(300)},
            "secrets": {f"S{n}": "file:/" + "x" * 5000 for n in range(100)},
            "labels": {f"{n}".ljust(300, "x"): "x" * 2000 for n in range(100)},
            "recovery": {
                "defaults": {"rules": [{"exception": f"E{n}".ljust(300, "x"), "action": "abort"} for n in range(200)]},
                "phases": {f"p{n}": {"rules": [{"exception": "E", "action": "abort"}] * 2} for n in range(300)},
            },
        },
        "runtime": {
            "python": "3" * 300,
            "executable": "/" * 5000,
            "cwd": "/" * 5000,
            "host": "h" * 300,
            "sys_path": ["/" * 5000, *["/"] * 1100],
            "notebook": "/" * 5000,
        },
    }
    with pytest.raises(ValidationError) as refused:
        Launch.model_validate(said)
    too_much = [error for error in refused.value.errors() if error["type"] in ("too_long", "string_too_long")]
    assert len(too_much) >= 15
    launch = Launch.model_validate(said, context=bounds.STORED)

    async def scenario():
        await saver.join(A)
        one, other = story(), story()
        one.launch = launch
        for each in (one, other):
            await saver.append(replace(each.created(), take=Taking("a", "process")))
        await saver.join(B)
        adopted = await saver.adopt("b", ("process",), dead="a")
        assert [each.task.task_id for each in adopted] == [one.task_id, other.task_id]
        assert adopted[0].launch.changed(source={}) == launch.changed(source={})
        with pytest.raises(LaunchError):
            policy_of(launch, RecoveryPolicy(), ())
        policy = policy_of(adopted[0].launch, RecoveryPolicy(), (), bounds.STORED)
        assert len(policy.defaults.rules) == 200
        assert plan_of(launch, policy, launch.options.phases, bounds.STORED).policy == policy

    asyncio.run(scenario())


def test_a_command_of_another_host_needs_no_lease(saver, story):
    async def scenario():
        await saver.join(A)
        one = story()
        await saver.append(replace(one.created(), take=Taking("a", "process")))
        await saver.append(one.cancelled())
        assert (await saver.find(one.task_id)).task.state == "cancelled"

    asyncio.run(scenario())


def test_changes_are_told_in_the_order_of_commits_across_tasks(saver, story):
    async def scenario():
        one, two = story(owner="ada"), story(owner="bob")
        await saver.append(one.created())
        (newest,) = await saver.changes(None, 1)
        await saver.append(two.created())
        await saver.append(one.started())
        found = await saver.changes(newest.number)
        assert [change.owner for change in found] == ["bob", "ada"]
        assert ['"phase_started"' in change.event for change in found] == [False, True]
        assert await saver.changes(found[-1].number) == []

    asyncio.run(scenario())


def test_a_store_is_quiet_until_somebody_else_commits(file_saver, story, tmp_path):
    async def scenario():
        other = MemorySaver.open(tmp_path / "phasenb.db")
        assert await file_saver.quiet_until() is None, "before the first look anything may have happened"
        assert await file_saver.quiet_until() == 0
        one = story()
        await file_saver.append(one.created())
        await file_saver.append(one.started())
        assert await file_saver.quiet_until() == 2, "its own commits don't count"
        await other.append(story().created())
        await file_saver.append(one.complete(output=1))
        assert await file_saver.quiet_until() is None, "an own commit hides no other's"
        assert await file_saver.quiet_until() == 4
        await other.close()

    asyncio.run(scenario())


def test_a_host_that_is_forgotten_takes_nothing_any_more(saver, story):
    async def scenario():
        await saver.join(A)
        await saver.join(B)
        ended = story()
        await saver.append(replace(ended.created(), take=Taking("a", "process")))
        await saver.append(ended.cancelled())
        await saver.adopt("b", ("process",), dead="a")
        with pytest.raises(LeaseLost):
            await saver.append(replace(story().created(), take=Taking("a", "process")))
        retried = ended.decide(ended._event(ev.TaskRetried, from_phase="research", by="ada"))
        with pytest.raises(LeaseLost):
            await saver.append(replace(retried, take=Taking("a", "process")))
        with pytest.raises(LeaseLost):
            await saver.adopt("a", ("process",))
        assert len(await saver.tasks("ada")) == 1
        await saver.append(replace(retried, take=Taking("b", "process")))

    asyncio.run(scenario())


def test_tasks_of_a_host_that_nobody_knows_are_left_behind_too(file_saver, story):
    async def scenario():
        await file_saver.join(A)
        await file_saver.join(B)
        one, others = story(), story()
        await file_saver.append(replace(one.created(), take=Taking("a", "process")))
        await file_saver.append(replace(others.created(), take=Taking("b", "process")))
        # A release without these rules, or a person's hand, forgot the host and left the task.
        await file_saver._database.writer.run(lambda cursor: sql.FORGET_HOST.run(cursor, of_host="a"))
        assert [each.task.task_id for each in await file_saver.adopt("b", ("process",))] == [one.task_id]
        assert await file_saver.adopt("b", ("process",)) == []

    asyncio.run(scenario())


# --- what is collected -----------------------------------------------------------------------------------------------


def age(folder, hours):
    then = time.time() - hours * 3600
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def test_only_old_objects_that_nothing_names_are_removed(file_saver, story, tmp_path):
    big = list(range(100_000))

    async def scenario():
        folder = ObjectFolder(file_saver.objects_url("ada"))
        values = {name: encode([name, *big], folder).value for name in ("input", "output", "kept", "left", "young")}
        one = story(inputs={"data": values["input"]})
        await file_saver.append(one.created())
        await file_saver.append(one.started())
        await file_saver.add_checkpoint(one.task_id, "research", 1, values["kept"])
        await file_saver.append(one.complete(output=values["output"]))
        age(tmp_path, hours=30)
        folder.put(b"x")  # young
        encode(["young", *big], folder)  # renewed
        assert await file_saver.collect(86_400) == 1
        there = {name: await file_saver.has_object("ada", value["$object"]) for name, value in values.items()}
        assert there == {"input": True, "output": True, "kept": True, "left": False, "young": True}
        assert await file_saver.collect(86_400) == 0

    asyncio.run(scenario())


def test_the_leftovers_of_a_broken_write_go_too(file_saver, tmp_path):
    async def scenario():
        folder = ObjectFolder(file_saver.objects_url("ada"))
        folder.put(b"something")
        (incoming,) = tmp_path.rglob("incoming")
        (incoming / ("4f" * 16)).write_bytes(b"hal")
        age(tmp_path, hours=30)
        await file_saver.collect(86_400)
        assert list(incoming.iterdir()) == []

    asyncio.run(scenario())


def test_what_a_running_attempt_may_have_kept_is_spared_however_long_it_runs(file_saver, story, tmp_path):
    async def scenario():
        await file_saver.join(A)
        folder = ObjectFolder(file_saver.objects_url("ada"))
        before, kept = folder.put(b"left before it began")[0], folder.put(b"an artifact of the first hour")[0]
        one = story()
        born = await file_saver.append(replace(one.created(), take=Taking("a", "process")))
        await file_saver.append(replace(one.started(), lease=born.lease))
        # The story's clock says when it started: 30 hours ago, as the store's folder sees it.
        began = one.task.running.started_at.timestamp()
        (path,) = tmp_path.rglob(kept.removeprefix("sha256:"))
        os.utime(path, (began + 3600, began + 3600))
        (path,) = tmp_path.rglob(before.removeprefix("sha256:"))
        os.utime(path, (began - 30 * 3600, began - 30 * 3600))
        assert await file_saver.collect(86_400) == 1
        assert (await file_saver.has_object("ada", before), folder.has(kept)) == (False, True)
        await file_saver.append(replace(one.failed(), lease=born.lease))
        assert await file_saver.collect(86_400) == 1, "nothing names it, and no attempt runs that will"

    asyncio.run(scenario())


def test_an_object_that_a_launcher_was_told_of_is_as_new(file_saver, tmp_path):
    async def scenario():
        name = ObjectFolder(file_saver.objects_url("ada")).put(b"uploaded long ago")[0]
        age(tmp_path, hours=30)
        assert await file_saver.has_object("ada", name)
        assert await file_saver.collect(86_400) == 0
        assert await file_saver.has_object("ada", name)

    asyncio.run(scenario())


def test_files_of_others_are_left_alone(tmp_path):
    artifacts = tmp_path / "shared"
    name = "ab" * 32
    strange = [
        artifacts / "photos" / "ab" / name,  # a folder that is no owner's
        artifacts / ("ada-" + "0" * 16) / "ab" / "notes.txt",
        artifacts / ("ada-" + "0" * 16) / "cd" / name,  # not where an object of this name lies
        artifacts / ("ada-" + "0" * 16) / "incoming" / "half",
        artifacts / "ab" / name,
    ]
    for path in strange:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    age(artifacts, hours=1000)

    async def scenario():
        saver = MemorySaver.open(tmp_path / "store.db", artifacts=str(artifacts))
        assert await saver.collect(86_400) == 0
        await saver.close()

    asyncio.run(scenario())
    assert all(path.read_text() == "mine" for path in strange)


def test_a_folder_is_one_stores_alone(tmp_path):
    async def scenario():
        for _ in range(2):  # its own store may come again
            one = MemorySaver.open(tmp_path / "one.db", artifacts=str(tmp_path / "kept"))
            await one.close()
        with pytest.raises(StoreUnavailable, match=r"belongs to another store: set store\.artifacts"):
            MemorySaver.open(tmp_path / "two.db", artifacts=str(tmp_path / "kept"))
        (tmp_path / "file").touch()
        with pytest.raises(StoreUnavailable, match=r"can't be used .*see store\.artifacts"):
            MemorySaver.open(tmp_path / "three.db", artifacts=str(tmp_path / "file"))

    asyncio.run(scenario())
