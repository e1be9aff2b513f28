"""What the traces of a job say: trace/rank-R.json of every rank, all on one clock as all ranks are on one machine."""
import json

PASSES = ("forward", "backward", "backward_input", "backward_weight")


def steps_of(path):
    """A rank's operations, one list per step; a step ends with its update. Predictions are left out, and of waits all but
    those in the midst of a forward, for values that other replicas have updated: "values"."""
    steps = [[]]
    for event in json.loads(path.read_text()):
        values = event.get("cat") == "wait" and event["name"].startswith("forward")
        if event.get("ph") != "X" or not (values or event["cat"] in ("compute", "comm")):
            continue
        steps[-1].append({"name": "values" if values else event["name"], "begin": event["ts"] * 1e-6, "seconds": event["dur"] * 1e-6,
                          "stage": event["args"].get("stage", -1)})
        if event["name"] == "update":
            steps.append([])
    return steps[:-1]


def of_ranks(out, ranks):
    """Per rank the operations of every step of the job in `out`."""
    return [steps_of(out / "trace" / f"rank-{rank}.json") for rank in range(ranks)]


def end_of(op):
    return op["begin"] + op["seconds"]


def passes_s(ranks, step):
    """From the first forward of any rank to the end of the last backward: the step without sums, update and their waits."""
    ops = [op for one in ranks for op in one[step] if op["name"] in PASSES]
    return max(map(end_of, ops)) - min(op["begin"] for op in ops)
