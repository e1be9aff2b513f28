"""Traces: slices of one track nest or lie apart, whatever the machine does beside the training."""
import json
import pathlib
import subprocess
import sys
import unittest

import cli

METHODS = {
    "one_rank": [], "threads": ["parallel.pp=2"], "gpipe": ["parallel.pp=2", "pipeline.schedule=gpipe"],
    "interleaved": ["parallel.pp=2", "pipeline.schedule=interleaved"],
    "zero_bubble": ["parallel.pp=2", "pipeline.schedule=zero_bubble"],
    "zero": ["parallel.dp=2", "parallel.zero=1"],
    "skippipe": ["parallel.pp=4", "pipeline.schedule=skippipe", "pipeline.skip_fraction=0.5"],
    "in_turn": ["parallel.pp=4", "pipeline.schedule=skippipe", "pipeline.skip_fraction=0.5", "pipeline.rotation=3",
                "pipeline.full_every=3"],
}


def overlaps(path):
    """(tid, begin) of every slice that overlaps another of its track by more than 1 us without nesting; tracks."""
    tracks = {}
    for event in json.loads(pathlib.Path(path).read_text()):
        if event["ph"] == "X":
            tracks.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
    found = []
    for tid, slices in tracks.items():
        ends = []
        for begin, end in sorted(slices, key=lambda one: (one[0], -one[1])):
            while ends and ends[-1] <= begin + 1:
                ends.pop()
            if ends and end > ends[-1] + 1:
                found.append((tid, begin))
            ends.append(end)
    return found, set(tracks)


class TraceTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()

    def check(self, out, ranks):
        files = sorted((self.folder / out / "trace").glob("*.json"))
        self.assertEqual(len(files), ranks)
        for path in files:
            found, tracks = overlaps(path)
            self.assertEqual(found, [], path)
            self.assertIn(0, tracks)
            self.assertIn(5, tracks)

    def test_every_method(self):
        for name, words in METHODS.items():
            with self.subTest(name):
                done = cli.run("train", self.recipe(), f"output_dir={self.folder / name}", "train.max_steps=20", *words)
                self.assert_ok(done)
                ranks = 1
                for word in words:
                    if word.startswith(("parallel.pp=", "parallel.dp=")):
                        ranks *= int(word.split("=")[1])
                self.check(name, ranks)

    def test_steps_that_take_less_time_than_predicted(self):
        """Half of the time another process has the core; then it has not, and predictions are too long."""
        busy = subprocess.Popen([sys.executable, "-c", "import time\nwhile True:\n  pass"])
        self.addCleanup(busy.wait)
        self.addCleanup(busy.kill)
        self.assert_ok(cli.run("train", self.recipe(), "train.max_steps=60"))
        self.check("run", 1)

    def test_the_counter_counts(self):
        path = self.folder / "trace.json"
        for begin, count in ((60, 1), (10, 0), (100, 0), (99.5, 0)):
            events = [{"ph": "X", "tid": 5, "ts": 0, "dur": 100},
                      {"ph": "X", "tid": 5, "ts": begin, "dur": 60 if begin != 10 else 20}]
            path.write_text(json.dumps(events))
            self.assertEqual(len(overlaps(path)[0]), count)


if __name__ == "__main__":
    unittest.main()
