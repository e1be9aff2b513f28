"""report ends within seconds and little memory, whatever numbers a run's files hold: a page, or 65."""
import json
import resource
import subprocess
import unittest

import cli

MOST_BYTES = 300 << 20  # of memory
MOST_SECONDS = 60  # a hang never ends; the machine may be slow


class ReportNumbersTest(cli.CliTestCase):
    def report(self, *runs):
        command = [cli.BINARY, "report", *map(str, runs), "--out", str(self.folder / "page.html")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
        self.assertIn(done.returncode, (0, 65), done.stderr)
        self.assertNotIn("a bug", done.stderr)
        if done.returncode == 0:
            page = (self.folder / "page.html").read_text()
            self.assertNotIn("nan", page)
            self.assertLess(len(page), 8 << 20)
        return done

    def run_of(self, *records, name="run"):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "metrics.jsonl").write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
        return folder

    def losses(self, *values, name="run"):
        return self.run_of(*({"step": i + 1, "loss": value} for i, value in enumerate(values)), name=name)

    def test_losses(self):
        for values in ((1e17, 1.0000000000000002e17), (1.0, 1.0000000000000002), (-1e308, 1e308), (1.7e308, -1.7e308, 0),
                       (5e-324, 1e-323), (0, 5e-324), (-1e-310, 1e-310), (1e15, 1e15 + 0.125), (3e-300, 4e-300),
                       (-5.5, -1e300), (1e308,), (0, 0, 0), (1e-320, 1e308)):
            with self.subTest(values=values):
                self.assertEqual(self.report(self.losses(*values)).returncode, 0)

    def test_losses_that_are_no_numbers(self):
        for value in ("NaN", "Infinity", "-Infinity", "1e999", "null", '"two"', "true", "[1]", "{}"):
            with self.subTest(value=value):
                self.report(self.run_of('{"step": 1, "loss": 2.5}', '{"step": 2, "loss": ' + value + "}"))

    def test_steps(self):
        for steps in ((9, 8, 7), (1, 1, 1), (1, 9007199254740992), (9007199254740992, 9007199254740993), (1, 10**18),
                      (1, 10**30), (-5, 5), (1.5, 2.5), (0, 1), (1, 2, 10**6, 3)):
            with self.subTest(steps=steps):
                self.report(self.run_of(*({"step": step, "loss": 2.0 + i} for i, step in enumerate(steps))))
        self.report(self.run_of('{"step": "one", "loss": 1}', '{"loss": 1}', "[]", "7", "torn {"))

    def test_other_fields(self):
        for key in ("validation_loss", "step_ms", "tokens_per_s", "bubble_pct", "bubble_pct_planned"):
            for value in (1e308, -1e308, 5e-324, "text", None, [1]):
                with self.subTest(key=key, value=value):
                    self.report(self.run_of({"step": 1, "loss": 2}, {"step": 2, "loss": 1, key: value}, {"step": 3, "loss": 1, key: value}))

    def test_a_million_steps(self):
        folder = self.folder / "run"
        folder.mkdir()
        with open(folder / "metrics.jsonl", "w", encoding="ascii") as file:
            for step in range(1, 1_000_001):
                file.write(f'{{"step":{step},"loss":{step % 977},"validation_loss":{step % 7}}}\n')
        self.report(folder)
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        self.assertLess(most, MOST_BYTES)

    def test_a_line_without_an_end(self):
        folder = self.run_of({"step": 1, "loss": 1})
        with open(folder / "metrics.jsonl", "r+b") as file:
            file.truncate(1 << 40)
        done = self.report(folder)
        self.assertEqual(done.returncode, 65)
        self.assertIn("metrics.jsonl:2", done.stderr)

    def test_side_by_side(self):
        first = self.losses(1e17, 1.0000000000000002e17, name="a")
        second = self.losses(-1e308, 1e308, name="b")
        self.assertEqual(self.report(first, second).returncode, 0)

    def test_timelines_and_plans(self):
        folder = self.losses(2, 1)
        other = self.losses(2, 1, name="other")
        (folder / "plan").mkdir()
        timeline = folder / "plan" / "timeline.jsonl"
        plan = folder / "plan" / "plan.json"
        for begin, end in ((0, 1), (1e308, -1e308), (0, 1e308), (5e-324, 1e-323), (1e17, 1.0000000000000002e17)):
            operation = ["forward", 0, 0, begin, end, end, begin]
            record = {"step": 2, "ranks": [{"elapsed_s": end, "operations": [operation] * 3,
                                            "waits": [["reduce", -1, -1, 0, begin, end]]}]}
            timeline.write_text(json.dumps(record) + "\n")
            with self.subTest(begin=begin, end=end):
                self.report(folder)
                self.report(folder, other)
        for text in ("[" * 100_000, '{"step": 2}', '{"step": 1e300, "ranks": []}', "\0" * 1000, '{"step": 2, "ranks": [[]]}'):
            timeline.write_text(text + "\n")
            with self.subTest(text=text[:20]):
                self.assertEqual(self.report(folder).returncode, 65)
        timeline.unlink()
        for text in ("[" * 100_000, "{}", "[]", '{"version": 1e999}', "\0" * 1000, "not JSON"):
            plan.write_text(text)
            with self.subTest(text=text[:20]):
                self.assertEqual(self.report(folder, other).returncode, 65)


if __name__ == "__main__":
    unittest.main()
