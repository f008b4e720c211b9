"""Every list, map and text of every command: it has a bound, past which a clear error says what to do, and the largest
that is taken costs no more than twice what half of it costs.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from functools import reduce

import pytest

from phasenb.dto import bounds
from phasenb.dto.agent_spec import AgentSpec, FunctionSpec
from phasenb.dto.problems import PATTERNS
from phasenb.testing import ScriptedExecutor
from phasenb.web.documents.schemas import COMMANDS as MODELS
from phasenb.web.documents.schemas import COMPONENTS, all_schemas, type_of

SCHEMAS = all_schemas()
TASK = "0" * 26
# The rest of a command that one field is put into, as the model asks for it.
BASES = {
    "hello": {"protocol": 1, "session": "s"},
    "launch": {"code": "aGk=", "options": {"phases": ["p0"]}},
    "approve": {"phase": "p0", "if_seq": 1},
    "deny": {"phase": "p0", "if_seq": 1, "reason": ""},
    "resume": {"task_id": TASK},
    "unsubscribe": {"task_id": TASK},
}
RUNTIME = {"python": "3.11.7", "executable": "/python", "cwd": "/", "host": "h"}
SHAPES = {  # what fits a pattern, `size` characters long, the n-th of its kind
    r"^[A-Za-z_][A-Za-z0-9_]{0,63}$": lambda size, n: f"p{n}".ljust(size, "_")[: max(size, 4)],
    r"^[A-Za-z_][A-Za-z0-9_]{0,254}$": lambda size, n: f"V{n}".ljust(size, "_")[: max(size, 5)],
    r"^[A-Za-z_][\w.]*$": lambda size, n: f"E{n}".ljust(size, "x")[: max(size, 5)],
    r"^(launcher|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$": lambda size, n: f"file:/{n}".ljust(size, "x"),
    r"^[A-Za-z0-9._:/@-]{1,128}$": lambda size, n: f"s{n}".ljust(size, "s"),
    r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$": lambda size, n: f"{n + 1}s".rjust(size),
    r"^sha256:[0-9a-f]{64}$": lambda size, n: "sha256:" + f"{n:064x}",
    r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$": lambda size, n: f"00-{n:032x}-{n:016x}-00",
}
BY_PATTERN = {r"{0,63}$": 64, r"{0,254}$": 255, r"{1,128}$": 128}


@dataclass(frozen=True)
class Field:
    """``path``: of names; ``*`` for the entries of a list or a map. ``kind``: text, list, map or key."""

    command: str
    path: tuple[str, ...]
    kind: str
    most: int | None
    schema_of: dict

    def __str__(self):
        return f"{self.command}.{'.'.join(self.path)} ({self.kind})"

    __hash__ = object.__hash__


def whole(schema):
    """A schema without references, and without the null that stands beside it."""
    if "$ref" in schema:
        return whole(SCHEMAS[schema["$ref"].removeprefix(COMPONENTS)])
    several = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    texts = [each for each in several if each.get("type") == "string"]
    return whole((texts or several)[0]) if several else schema


def entries(schema):
    """(schema of the keys, schema of the values) of a map."""
    if "patternProperties" in schema:
        [(pattern, values)] = schema["patternProperties"].items()
        return {"type": "string", "pattern": pattern, **schema.get("propertyNames", {})}, values
    values = schema.get("additionalProperties", True)
    return {"type": "string", **schema.get("propertyNames", {})}, {} if values is True else values


def longest(schema):
    """The bound of a text: said, or what its pattern allows."""
    pattern = schema.get("pattern", "")
    by_pattern = next((most for end, most in BY_PATTERN.items() if pattern.endswith(end)), None)
    return schema.get("maxLength", by_pattern)


def fields(command, schema, path=()):
    schema = whole(schema)
    if schema.get("type") == "string" and not {"const", "enum"} & schema.keys():
        if not schema.get("pattern", "").startswith(("^sha256", "^[0-9a-f]{2}-")):  # of one length
            yield Field(command, path, "text", longest(schema), schema)
    elif schema.get("type") == "array":
        yield Field(command, path, "list", schema.get("maxItems"), schema)
        yield from fields(command, schema["items"], (*path, "*"))
    elif schema.get("type") == "object" and "properties" in schema:
        for name, inner in schema["properties"].items():
            if name != "type":
                yield from fields(command, inner, (*path, name))
    elif schema.get("type") == "object":
        keys, values = entries(schema)
        yield Field(command, path, "map", schema.get("maxProperties"), schema)
        yield Field(command, path, "key", longest(keys), keys)
        yield from fields(command, values, (*path, "*"))


ALL = [each for model in MODELS for each in fields(type_of(model), SCHEMAS[model.__name__])]


def small(schema, n=0):
    """The n-th small value that fits."""
    schema = whole(schema)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type")
    if kind == "string":
        return text(schema, min(longest(schema) or 8, 8), n)
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    if kind == "array":
        return [small(schema["items"], 0)]
    if kind == "object":
        return {name: small(schema["properties"][name], n) for name in schema.get("required", ())}
    return 1


def text(schema, size, n=0):
    shape = SHAPES.get(schema.get("pattern"))
    return shape(size, n) if shape else f"{n}".ljust(size, "x")


def sized(field, size):
    """A value of the field that has ``size``."""
    schema = field.schema_of
    if field.kind == "text":
        return text(schema, size)
    if field.kind == "key":
        return {text(schema, size): None}
    if field.kind == "list":
        return [small(schema["items"], n) for n in range(size)]
    keys, values = entries(schema)
    return {text(keys, 8 if "pattern" in keys else 6, n): small(values, n) for n in range(size)}


def command_with(field, size):
    """The command with nothing else in it than what it needs."""
    message = json.loads(json.dumps({"id": "c", "type": field.command, **BASES.get(field.command, {})}))
    model = SCHEMAS[next(each.__name__ for each in MODELS if type_of(each) == field.command)]
    for name in model.get("required", ()):
        message.setdefault(name, TASK if name == "task_id" else None)
    if field.path[0] == "agent":
        del message["code"]
    if field.command == "resume" and field.path[0] != "task_id":
        message["task_id"] = TASK
    put(message, model, field.path, field, size)
    options = message.get("options")
    if options:
        named = [*options.get("approve_before", ()), *(options.get("recovery") or {}).get("phases", ())]
        fits = [name for name in dict.fromkeys(named) if len(name) <= 64][: bounds.PHASES]
        if fits:
            options["phases"] = fits
        if options.get("secrets"):
            options["secrets"] = {f"S{name[1:]}": where for name, where in options["secrets"].items()}
    return message


def put(holder, schema, path, field, size):
    """Put the field's value at its path, with what the objects on the way need."""
    schema, name, rest = whole(schema), path[0], path[1:]
    inner = schema["properties"][name]
    value = sized(field, size) if not rest else holder.get(name)
    if not rest and field.kind == "key":
        keys, values = entries(whole(inner))
        value = {text(keys, size): small(values)}
    holder[name] = value if not rest else into(value, inner, rest, field, size)


def into(value, schema, path, field, size):
    schema = whole(schema)
    if path[0] != "*":
        value = {**small(schema), **(RUNTIME if "executable" in schema["properties"] else {}), **(value or {})}
        put(value, schema, path, field, size)
        return value
    of_list = schema.get("type") == "array"
    keys, values = (None, schema["items"]) if of_list else entries(schema)
    if len(path) == 1:
        key = sized(field, size)
        inner = small(values) if field.kind == "key" else key
    else:
        inner = into(None, values, path[1:], field, size)
    return [inner] if of_list else {text(keys, 6): inner}


def steps_of(work):
    """How many lines Python runs, and functions of C it calls: the same each time, on every machine."""
    count = 0

    def line(frame, event, arg):
        nonlocal count
        count += event == "line"
        return line

    def call(frame, event, arg):
        nonlocal count
        count += event == "c_call"

    async def counted():
        sys.settrace(line)
        sys.setprofile(call)
        try:
            return await work()
        finally:
            sys.settrace(None)
            sys.setprofile(None)

    return counted, lambda: count


def open_spec(names):
    return AgentSpec(name="a", phases=names, functions={name: FunctionSpec(name=name, open=True) for name in names})


async def taken(make_world, message, steps=True):
    """(the answer, the steps) of a command to a host: all that its loop does until it answers."""
    names = tuple((message.get("options") or {}).get("phases") or ("p0",))
    executor = ScriptedExecutor()
    executor.spec = open_spec(tuple(name for name in names if len(name) <= 64))
    for name in names:
        executor.hold(name)
    world = make_world(executor=executor)
    client = world.client(limited=False)
    if message["type"] != "hello":
        await client.hello()

    before = len(client.wire.frames)

    def answers():
        return [frame for frame in client.wire.frames[before:] if "reply_to" in frame]

    async def work():
        await client.handler.take(message)
        while not answers():
            await asyncio.sleep(0)

    counted, count = steps_of(work)
    async with asyncio.timeout(20):
        await (counted() if steps else work())
    [answer, *_] = answers()
    await world.manager.stop()
    client.handler.closed()
    return answer, count()


@pytest.mark.parametrize("field", ALL, ids=str)
def test_it_has_a_bound(field):
    assert field.most is not None


@pytest.mark.parametrize("field", ALL, ids=str)
def test_the_largest_costs_at_most_twice_the_steps_of_half_of_it(make_world, field):
    async def main():
        half, most = [(await taken(make_world, command_with(field, size))) for size in (field.most // 2, field.most)]
        assert field.path == ("after",) or most[0].get("code") != "bad_message", most[0]["message"]
        assert most[0].get("code") != "internal", most[0]
        assert most[1] <= 2.2 * half[1]

    asyncio.run(main())


@pytest.mark.parametrize("field", ALL, ids=str)
def test_what_is_larger_is_refused_with_the_field_the_bound_and_what_to_do(make_world, field):
    if "secret_values" in field.path:
        told = [str(bounds.SECRETS), f"{bounds.VARIABLE:,}", "required"]
    elif "pattern" in field.schema_of and "maxLength" not in field.schema_of:
        told = [PATTERNS[field.schema_of["pattern"]]]
    elif r"\d" in field.schema_of.get("pattern", ""):
        told = ["is not a duration"]
    else:
        told = [f"at most {field.most:,} ", "shorten it" if field.kind in ("text", "key") else "leave some out"]

    async def main():
        answer, _ = await taken(make_world, command_with(field, field.most + 1), steps=False)
        assert answer["type"] == "error"
        where = "recovery" if "recovery" in field.path else field.path[-1 if field.path[-1] != "*" else -2]
        if field.path != ("id",):
            assert where in answer["message"], answer["message"]
            assert all(each in answer["message"] for each in told), answer["message"]
        assert len(answer["message"]) < 2000

    asyncio.run(main())


def nested(depth, inner=1):
    return reduce(lambda value, _: [value], range(depth), inner)


@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize(
    ("command", "fields"),
    [
        ("launch", {"agent": "penguins", "inputs": {"x": nested(bounds.DEPTH + 1)}}),
        ("launch", {"agent": "penguins", "inputs": {"x": nested(800)}}),
        ("launch", {"agent": "penguins", "options": {"recovery": {"defaults": nested(800)}}}),
        ("launch", {"code": nested(400)}),
        ("approve", {"task_id": TASK, "phase": "p", "if_seq": 1, "edit": nested(400)}),
        ("retry", {"task_id": TASK, "code": nested(400)}),
    ],
)
def test_what_is_nested_deeper_than_it_can_be_written_is_a_bad_message(make_world, command, fields, limited):
    async def main():
        client = await make_world().client(limited=limited).hello()
        answer = await client.ask(command, **fields)
        assert (answer["code"], list(answer["details"]["fields"])) == ("bad_message", [list(fields)[-1]])
        assert f"{bounds.DEPTH} deep" in answer["message"]
        assert (await client.ask("ping"))["type"] == "pong"

    asyncio.run(main())


def test_what_is_nested_as_deep_as_it_may_be_is_taken(make_world):
    async def main():
        client = await make_world().client().hello()
        assert await client.launch(inputs={"x": nested(bounds.DEPTH - 3)})

    asyncio.run(main())


def test_the_rules_of_all_phases_are_counted_before_they_are_read(make_world):
    async def main():
        client = await make_world().client().hello()
        rules = [{"exception": f"E{n}", "action": "abort"} for n in range(bounds.RULES)]
        phases = {f"p{n}": {"rules": rules} for n in range(bounds.RULES_OF_ALL // bounds.RULES + 1)}
        answer = await client.ask(
            "launch", code="aGk=", options={"phases": list(phases), "recovery": {"phases": phases}}
        )
        assert answer["code"] == "invalid_launch"
        assert (
            f"at most {bounds.RULES_OF_ALL} rules together, and {bounds.RULES_OF_ALL + bounds.RULES}"
            in answer["message"]
        )

    asyncio.run(main())


def test_the_errors_of_many_fields_are_told_in_a_few_words(make_world):
    async def main():
        client = await make_world().client().hello()
        labels = {f"{n}".ljust(5000, "k"): n for n in range(60)}
        answer = await client.ask("launch", agent="penguins", options={"labels": labels})
        assert answer["code"] == "bad_message"
        assert len(json.dumps(answer)) < 10_000
        assert "and 40 more" in answer["message"]

    asyncio.run(main())
