"""Reports of several runs: the table of their plans, held against numbers worked out here from traces and timelines."""
import html.parser
import itertools
import json
import re
import shutil
import sys
import unittest

import cli

sys.path.insert(0, str(cli.SOURCE / "benchmarks/network"))
import traces  # noqa: E402

COLUMNS = ["run", "schedule", "ranks of each stage", "skipped", "held at most", "planned", "measured", "off", "idle, mean",
           "idle, worst rank", "steps"]
RANKS = {"gpipe": 2, "1f1b": 2, "skips": 4}


class FirstTable(html.parser.HTMLParser):
    """Rows of cells of the first table of a page, as text."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.in_cell, self.ended = [], False, False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if self.ended:
            return
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.ended = self.ended or tag == "table"
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data):
        if self.in_cell and not self.ended:
            self.rows[-1][-1] += data


def seconds(text):
    """"12.3 ms, by pace" -> 0.0123"""
    number, unit = re.match(r"([0-9.e+]+) (µs|ms|s)\b", text).groups()
    return float(number) * {"µs": 1e-6, "ms": 1e-3, "s": 1}[unit]


def percent(text):
    return float(text.split(" %")[0]) / 100


def upper_median(values):
    return sorted(values)[len(values) // 2]


def worked_out(run, ranks):
    """The figures of a row. What operations took is read from the traces, and when; a step's begin on a rank and the plan's
    times are from timeline.jsonl, as no trace has them."""
    steps = traces.of_ranks(run, ranks)
    lines = [json.loads(line) for line in (run / "plan" / "timeline.jsonl").read_text().splitlines()]
    lines = [line for line in lines if any(op[6] > 0 for rank in line["ranks"] for op in rank["operations"])]
    measured, planned, busy, whole = [], [], [0] * ranks, [0] * ranks
    for line in lines:
        ends = []
        for rank, told in enumerate(line["ranks"]):
            ops = [op for op in steps[rank][line["step"] - 1] if op["name"] in traces.PASSES]
            first = min(op[3] for op in told["operations"])
            ends.append(first + max(map(traces.end_of, ops)) - min(op["begin"] for op in ops))
            busy[rank] += sum(op["seconds"] for op in ops)
            whole[rank] += told["elapsed_s"]
        measured.append(max(ends))
        planned.append(max(op[6] for rank in line["ranks"] for op in rank["operations"]))
    idle = [1 - b / w for b, w in zip(busy, whole)]
    return {"measured_s": upper_median(measured), "predicted_s": upper_median(planned),
            "off": upper_median([m / p - 1 for m, p in zip(measured, planned)]), "idle_mean": sum(idle) / ranks,
            "idle_worst": max(idle), "worst_rank": idle.index(max(idle)), "steps": len(lines)}


def most_held(operations, stages):
    """Most micro-batches that a rank has forwarded through a stage with layers and not passed back."""
    turns = {"forward": 1, "backward": -1, "backward_weight": -1}
    counts = itertools.accumulate(turns.get(op[0], 0) for op in operations if len(op) > 2 and op[2] < stages)
    return max(counts)


class ReportTest(cli.CliTestCase):
    @classmethod
    def setUpClass(cls):
        """One training for each schedule, for all tests; they copy what they change."""
        super().setUpClass()
        maker = cls()
        maker.setUp()
        cls.addClassCleanup(maker.doCleanups)
        maker.corpus()
        cls.runs = {name: maker.folder / name for name in RANKS}
        keys = {"gpipe": ["pipeline.schedule=gpipe"], "1f1b": ["pipeline.schedule=1f1b"],
                "skips": ["pipeline.schedule=skippipe", "pipeline.skip_fraction=0.25"]}
        for name, run in cls.runs.items():
            maker.assert_ok(cli.run("train", maker.recipe(), f"output_dir={run}", f"parallel.pp={RANKS[name]}", *keys[name],
                                    "train.max_steps=9", "log.timeline_interval=1"))

    def table(self, *args):
        """(rows of the table, what --json tells) of a report."""
        done = cli.run("report", *args, "--json")
        self.assert_ok(done)
        told = json.loads(done.stdout)
        with open(told["report"], encoding="utf-8") as page:
            rows = FirstTable(page.read()).rows
        self.assertEqual(rows[0], COLUMNS)
        return rows[1:], told

    def copy(self, name, to):
        return shutil.copytree(self.runs[name], self.folder / to)

    def test_the_table_says_what_traces_say(self):
        rows, told = self.table(*self.runs.values(), "--out", self.folder / "page.html")
        self.assertEqual(told["report"], str(self.folder / "page.html"))
        self.assertEqual([row[:5] for row in rows],
                         [["gpipe", "gpipe", "1 1", "0 %", "4"], ["1f1b", "1f1b", "1 1", "0 %", "2"],
                          ["skips", "skippipe", "1 1 1 1", "25 %", rows[2][4]]])
        plan = json.loads((self.runs["skips"] / "plan" / "plan.json").read_text())
        self.assertEqual(int(rows[2][4]), max(most_held(ops, stages=4) for ops in plan["operations"]))
        for (name, run), row, one in zip(self.runs.items(), rows, told["runs"], strict=True):
            wanted = worked_out(run, RANKS[name])
            self.assertEqual(wanted["steps"], 5)  # from the fifth on
            for key, value in wanted.items():
                self.assertAlmostEqual(one[key], value, delta=1e-6 * max(1, abs(value)), msg=key)
            self.assertAlmostEqual(seconds(row[5]), wanted["predicted_s"], delta=0.006 * wanted["predicted_s"])
            self.assertTrue(row[5].endswith(", by pace"), row[5])
            self.assertAlmostEqual(seconds(row[6]), wanted["measured_s"], delta=0.006 * wanted["measured_s"])
            self.assertAlmostEqual(percent(row[7]), wanted["off"], delta=0.00051)
            self.assertAlmostEqual(percent(row[8]), wanted["idle_mean"], delta=0.00051)
            self.assertAlmostEqual(percent(row[9]), wanted["idle_worst"], delta=0.00051)
            self.assertTrue(row[9].endswith(f"(rank {wanted['worst_rank']})"), row[9])
            self.assertEqual(row[10], str(wanted["steps"]))

    def test_one_run_has_no_table_of_plans_and_several_leave_its_page_alone(self):
        first, second = self.copy("gpipe", "first"), self.copy("1f1b", "second")
        self.assert_ok(cli.run("report", first))
        page = (first / "report.html").read_text()
        self.assertNotIn("Plans side by side", page)
        done = cli.run("report", first, second)
        self.assert_ok(done)
        self.assertEqual(done.stdout, f"{first / 'side_by_side.html'}\n")
        self.assertEqual((first / "report.html").read_text(), page)
        both = (first / "side_by_side.html").read_text()
        body = page[page.index("</h1>"):page.index("</body>")]
        self.assertIn(body, both)  # all that the page of one has
        self.assertEqual(both.count("<svg"), 4)

    def test_what_a_run_lacks_is_said(self):
        no_plan, no_steps, bare = self.copy("1f1b", "no-plan"), self.copy("1f1b", "no <steps>"), self.copy("1f1b", "bare")
        (no_plan / "plan" / "plan.json").unlink()
        (no_steps / "plan" / "timeline.jsonl").unlink()
        shutil.rmtree(bare / "plan")
        (bare / "recipe.resolved.yaml").unlink()
        rows, told = self.table(self.runs["1f1b"], no_plan, no_steps, bare)
        whole, planless, stepless, nothing = rows
        self.assertEqual(planless[:3], ["no-plan", "1f1b", "no plan/plan.json"])
        # Whether the plan had times of its own is not known.
        self.assertEqual([cell.replace(", by pace", "") for cell in whole[5:]], planless[3:])
        self.assertEqual(stepless, ["no <steps>", *whole[1:5], "no step was recorded (log.timeline_interval)"])
        self.assertEqual(nothing, ["bare", "no plan, no recipe.resolved.yaml", "no plan/plan.json", stepless[5]])
        self.assertEqual(told["runs"][3], {"run": str(bare), "name": "bare", "steps": 0})

    def test_folders_of_one_name_are_told_apart(self):
        one, other = self.copy("gpipe", "a/run"), self.copy("1f1b", "b/run")
        rows, _ = self.table(one, other)
        self.assertEqual([row[0] for row in rows], [str(one), str(other)])

    def test_what_is_no_run_or_damaged_is_refused_and_nothing_is_written(self):
        page, damaged = self.folder / "page.html", self.copy("gpipe", "damaged")
        plan = damaged / "plan" / "plan.json"
        sound = plan.read_text()

        def refused(other, code, *words):
            self.assert_refused(cli.run("report", self.runs["gpipe"], other, "--out", page), code, *words)
            self.assertFalse(page.exists())

        refused(self.folder / "none", 66, "none/metrics.jsonl", "output_dir of a training")
        for text in (sound[:len(sound) // 2], "{}", "[]", sound.replace('"reduce"', '"update"', 1)):
            plan.write_text(text)
            refused(damaged, 65, "damaged/plan/plan.json")
        plan.write_text(sound)
        with (damaged / "plan" / "timeline.jsonl").open("a") as lines:
            lines.write('{"step": 10}\n')
        refused(damaged, 65, "timeline.jsonl:10", "no `ranks`")


if __name__ == "__main__":
    unittest.main()
