"""``make bench``: phasenb and its peers, interleaved in one run; medians of several rounds; ratios beside targets.

An absolute time means little on a shared machine: the ratio of two medians from the same minutes does.
usage: python -m tests.benchmarks [GROUP or SUBJECT ...]; groups are the modules beside this one
"""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass

ROUNDS = int(os.environ.get("PHASENB_BENCH_ROUNDS", "5"))


@dataclass(frozen=True)
class Comparison:
    """``ratio`` = ours / theirs (``inverse``: theirs / ours, where less is better); it should be at most ``target``
    (``least``: at least). Subjects are functions of ``tests.benchmarks.<group>``.
    """

    group: str
    title: str
    ours: str
    theirs: str
    n: int
    target: float
    least: bool = False
    inverse: bool = False
    unit: str = "ms/task"


@dataclass(frozen=True)
class Limit:
    """What one subject tells, or its ``part`` of that; it should be at most ``target``."""

    group: str
    title: str
    subject: str
    n: int
    target: float
    unit: str
    part: str | None = None


def faster(title, ours, theirs, n, target):
    return Comparison("subjects", title, ours, theirs, n, target, least=True, inverse=True)


COMPARISONS = [
    Comparison("subjects", "inline, one at a time / five bare FULL commits", "phasenb_inline", "commits", 200, 2.5),
    faster("inline, one at a time, against LangGraph SqliteSaver sync", "phasenb_inline", "langgraph", 200, 2.5),
    faster("64 in flight, against LangGraph on 8 threads", "phasenb_inline_64", "langgraph_8_threads", 960, 5),
    faster("process, one at a time, against a Dask 3-chain", "phasenb_process", "dask", 100, 3),
    Comparison("subjects", "ctx.track / tqdm, per iteration", "track", "tqdm", 3_000_000, 1.2, unit="ns"),
    Comparison("subjects", "import phasenb / import pandas", "import_phasenb", "import_pandas", 5, 0.5, unit="ms"),
    Comparison(
        "subjects", "import phasenb.Workflow / import pandas", "import_workflow", "import_pandas", 5, 0.5, unit="ms"
    ),
    *(
        Comparison(
            "wire", f"fan-out to {n} clients / bare Tornado", "hub", "bare", n, 0.8, least=True, unit="deliveries/s"
        )
        for n in (1, 20, 200)
    ),
]
LIMITS = [
    Limit("subjects", "an idle subscribed client: frames in 3 s", "idle_frames", 30, 0, "frames"),
    Limit("subjects", "1 million ctx.update: server memory", "million_updates", 1_000_000, 10, "MB", "mb"),
    Limit("subjects", "1 million ctx.update: ping p99", "million_updates", 1_000_000, 20, "ms", "ping_p99_ms"),
    Limit("wire", "ctx.update to a client's callback, p50", "update_latency", 30, 3, "ms"),
    Limit("wire", "a phase's end to its phase_complete at the client, p50", "end_latency", 50, 5, "ms"),
    Limit("wire", "10,000 missed events replayed", "replay", 10_000, 0.5, "s"),
    Limit("wire", "500 idle clients: memory of each", "idle_clients", 500, 50, "KB", "kb_each"),
    Limit("wire", "500 idle clients: frames in 5 s", "idle_clients", 500, 0, "frames", "frames"),
    Limit("largest", "the loop stands for the largest launch that is taken ", "launch", 5, 250, "ms"),
    Limit("browser", "panel with 5,000 past tasks: opened", "panel_open", 5000, 300, "ms"),
    Limit("browser", "50 live tasks, 10 updates/s each: main thread busy", "live_tasks", 50, 20, "%", "busy_percent"),
    Limit("browser", "50 live tasks: longest task of the main thread", "live_tasks", 50, 50, "ms", "longest_ms"),
    Limit("browser", "labextension beyond what JupyterLab shares, gzipped", "bundle", 1, 250, "KB"),
    Limit("recovery", "host killed: start of the next one to the resumed phase", "resume", 5, 1, "s"),
    Limit("recovery", "the same where its death can't be known (lease_s 10)", "resume_elsewhere", 1, 11, "s"),
    Limit("recovery", "cancel of a busy Python loop (kill_grace_s 5)", "cancel_python", 3, 5.5, "s"),
    Limit("recovery", "cancel of a busy C loop (kill_grace_s 5)", "cancel_c", 3, 5.5, "s"),
    Limit("recovery", "durable inline task with leases and fences / without", "leases", 1000, 1.05, "x"),
]
# Not comparable, and so without a target: it resumes when someone invokes it again, in the caller's own process.
BESIDE = [Limit("recovery", "LangGraph, invoked again by hand: to the resumed node", "resume_langgraph", 3, 0, "s")]


broken = set()  # subjects that could not be measured: the others are, and the run fails in the end


def measure(group, subject, n):
    """What the subject tells; None where it broke, which its own stderr explains."""
    command = [sys.executable, "-m", f"tests.benchmarks.{group}", subject, str(n)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode != 0:
        broken.add(f"{group}.{subject}")
        return None
    return json.loads(done.stdout.splitlines()[-1])


def compare(comparisons):
    """All subjects of all comparisons in turn, round after round, so that they share good and bad minutes."""
    subjects = list(
        dict.fromkeys((each.group, name, each.n) for each in comparisons for name in (each.ours, each.theirs))
    )
    found = {subject: [] for subject in subjects}
    for turn in range(ROUNDS if subjects else 0):
        print(f"round {turn + 1} of {ROUNDS}", file=sys.stderr, flush=True)
        for subject in subjects:
            value = measure(*subject)
            if value is not None:
                found[subject].append(value)
    for each in comparisons:
        if not all(found[each.group, name, each.n] for name in (each.ours, each.theirs)):
            print(f"BROKEN {each.title}", flush=True)
            continue
        ours, theirs = (statistics.median(found[each.group, name, each.n]) for name in (each.ours, each.theirs))
        ratio = theirs / ours if each.inverse else ours / theirs
        met = ratio >= each.target if each.least else ratio <= each.target
        bound = "at least" if each.least else "at most"
        tell(
            met,
            f"{each.title}: {ratio:.2f} x (target: {bound} {each.target} x); {ours:.3g} and {theirs:.3g} {each.unit}",
        )


def limit(limits):
    """Each subject once; a limit's ratio is to its target."""
    found = {}
    for each in limits:
        subject = (each.group, each.subject, each.n)
        if subject not in found:
            found[subject] = measure(*subject)
        if found[subject] is None:
            print(f"BROKEN {each.title}", flush=True)
            continue
        value = found[subject][each.part] if each.part else found[subject]
        share = f", {value / each.target:.2f} of it" if each.target else ""
        tell(value <= each.target, f"{each.title}: {value:.3g} {each.unit} (target: at most {each.target:g}{share})")


def tell(met, text):
    print(f"{'met   ' if met else 'MISSED'} {text}", flush=True)


def main(wanted):
    def asked(*names):
        return not wanted or not wanted.isdisjoint(names)

    known = {name for each in COMPARISONS for name in (each.group, each.ours, each.theirs)}
    known |= {name for each in (*LIMITS, *BESIDE) for name in (each.group, each.subject)}
    if wanted - known:
        raise SystemExit(
            f"no such benchmark: {', '.join(sorted(wanted - known))}; there are {', '.join(sorted(known))}"
        )
    compare([each for each in COMPARISONS if asked(each.group, each.ours, each.theirs)])
    limit([each for each in LIMITS if asked(each.group, each.subject)])
    for each in BESIDE:
        if asked(each.group, each.subject):
            value = measure(each.group, each.subject, each.n)
            told = "BROKEN" if value is None else f"{value:.3g} {each.unit}"
            print(f"beside {each.title}: {told}", flush=True)
    if broken:
        raise SystemExit(f"could not be measured: {', '.join(sorted(broken))}")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
