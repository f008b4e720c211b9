"""The client's loop runs the embedded host too: pandas, which takes seconds to import, is never used there."""

FRAMES = """
import threading
import pandas

seen = {}
make = pandas.DataFrame.__init__

def noted(self, *args, **options):
    seen.setdefault(threading.current_thread().name, asked)
    make(self, *args, **options)

pandas.DataFrame.__init__ = noted
task = flow.launch(n=3)
task.result()
for asked, ask in {
    "logs": task.logs, "events": task.events, "artifacts": task.artifacts, "results": task.results, "tasks": pn.tasks
}.items():
    print(asked, len(ask()))
assert seen and "phasenb" not in seen, seen
"""


def test_frames_are_made_in_other_threads(script):
    assert script(FRAMES).stdout.split("\n")[:5] == ["logs 1", "events 8", "artifacts 1", "results 3", "tasks 1"]
