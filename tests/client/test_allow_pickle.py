"""A client that was told allow_pickle=False unpickles nothing, by whichever way a value is loaded."""

CODE = """
    import pathlib
    import pandas as pd
    import phasenb as pn
    from phasenb.errors import PickleRefused

    class Trap:
        def __reduce__(self):
            return (pathlib.Path("sprung").touch, ())

    flow = pn.Workflow("outputs", phases=("frame", "trap"))

    @flow.phase("frame")
    def frame():
        return pd.DataFrame({"a": [1, 2]})

    @flow.phase("trap")
    def trap(ctx, frame):
        ctx.artifact("note", {"kept": 1})
        return Trap()
"""


def test_a_pickled_value_is_refused_and_everything_else_loads(script, tmp_path):
    code = """
        task = flow.with_options(show=False).launch()
        task.wait()
        sprung = pathlib.Path("sprung")
        sprung.unlink(missing_ok=True)  # the worker reads what it wrote
        careful = pn.connect(session=task.snapshot.session, allow_pickle=False)
        read = careful.task(task.task_id)
        assert read.output("frame").equals(pd.DataFrame({"a": [1, 2]}))
        assert read.artifact("note") == {"kept": 1}
        lazy = careful.results()["output"].iloc[-1]
        for load in (read.result, lambda: read.output("trap"), lambda: careful.memory().output(read.task_id, "trap"),
                     lazy.load):
            try:
                load()
            except PickleRefused as error:
                assert "codec 'pickle'" in str(error) and "allow_pickle=False" in str(error), error
            else:
                raise AssertionError(load)
        assert not sprung.exists()
        task.output("trap")
        assert sprung.exists()
    """
    script(code, flow=CODE)
