"""Large JSON values that come inline are objects before the log names them."""

import asyncio

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.codecs import decode, encode
from phasenb.codecs.objects import ObjectFolder
from phasenb.dto.values import is_reference
from phasenb.testing import FakeStore
from phasenb.web.keeping import kept

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=20,
).filter(lambda value: not is_reference(value))  # fmt: skip


@given(st.dictionaries(st.sampled_from("abcdef"), json_values), st.integers(0, 60))
def test_what_stays_inline_is_bounded_and_every_value_is_had_again(tmp_path_factory, values, bound):
    async def main():
        store = FakeStore()
        found = await kept(store, "ada", values, bound)
        inline = {name: value for name, value in found.items() if not is_reference(value)}
        assert sum(len(orjson.dumps(value)) for value in inline.values()) <= bound
        assert list(found) == list(values)
        folder = ObjectFolder(str(tmp_path_factory.mktemp("objects")))
        for name, value in found.items():
            if is_reference(value):
                data = b"".join([chunk async for chunk in store.open_object("ada", value["$object"])])
                assert folder.put(data) == (value["$object"], value["bytes"])
            assert decode(value, folder) == values[name]

    asyncio.run(main())


@pytest.mark.parametrize("value", ["a" * 50, ["a"] * 50, {"a": list(range(50))}])
def test_its_reference_is_the_one_that_a_python_client_would_have_made(value, tmp_path):
    found = asyncio.run(kept(FakeStore(), "ada", {"value": value}, 10))
    assert found["value"] == encode(value, ObjectFolder(str(tmp_path)), inline_bytes=10).value


def test_snapshots_events_and_lists_stay_small(make_world):
    async def main():
        world = make_world()
        client = await world.client().hello()
        task_id = await client.launch(inputs={"text": "x" * 3_000_000, "week": 47, "rows": [1] * 200_000})
        await client.until_event(task_id, "task_created")
        created = client.wire.of("task_created")[0]["inputs"]
        assert created["week"] == 47
        assert {name: created[name]["type"] for name in ("text", "rows")} == {"text": "str", "rows": "list"}
        assert await world.store.has_object("ada", created["text"]["$object"])
        assert not await world.store.has_object("eve", created["text"]["$object"])
        listed = (await client.ask("list"))["tasks"][0]
        assert listed["inputs"] == created
        assert len(orjson.dumps(listed)) < 10_000

    asyncio.run(main())


def test_a_large_edit_is_an_object_too(make_world):
    async def main():
        world = make_world()
        client = await world.client().hello()
        options = {"approve_before": ["planning"], "phases": ["research", "planning", "implementation"]}
        task_id = await client.launch(options=options)
        await client.until_event(task_id, "approval_requested")
        gate = client.wire.of("approval_requested")[0]
        answer = await client.ask(
            "approve", task_id=task_id, phase="planning", if_seq=gate["seq"], edit={"plan": "x" * 1_000_000}
        )
        assert answer["type"] == "ok", answer
        await client.until_event(task_id, "approval_given")
        assert client.wire.of("approval_given")[0]["edited"]["type"] == "dict"

    asyncio.run(main())
