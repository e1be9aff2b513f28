"""Control characters of any input are shown escaped: in complaints, errors, logs, results, pages."""
import json
import unittest

import cli

RED = "\x1b[31mred\x1b]0;title\x07"
SHOWN = "\\x1b[31mred\\x1b]0;title\\x07"


class ControlCharactersTest(cli.CliTestCase):
    def assert_shown(self, done, *words):
        """Nothing that a terminal obeys, and each word, in what was printed."""
        text = done.stdout + done.stderr
        for control in ("\x1b", "\x07", "\x9b", "\u202e", "\x7f", "\r"):
            self.assertNotIn(control, text)
        for word in words:
            self.assertIn(word, text)

    def test_keys_and_values_of_a_recipe(self):
        path = self.folder / "r.yaml"
        for text, word in (('"\\e[31mred\\e]0;title\\x07": 3', SHOWN),
                           ('method: "a\\x9bb\\u202ec"', "a\\u009bb\\u202ec"),
                           ('"two\\nlines\\r": {a: 1}', "two\\nlines\\x0d"),
                           ("seed: a\x1bb", "seed: a\\x1bb"),
                           ("precision: b\u009b\u202ef", "'b\\u009b\\u202ef'")):
            path.write_text(text + "\n")
            done = cli.run("check", path)
            self.assert_refused(done, 2, word)
            self.assert_shown(done)

    def test_the_caret_stands_below_what_is_shown(self):
        path = self.folder / "r.yaml"
        path.write_text("model: {name: \"\u202e\u202e\", x: 1}\n")
        lines = cli.run("check", path).stderr.splitlines()
        at = next(i for i, line in enumerate(lines) if "unknown key 'x'" in line)
        self.assertIn("model: {name: \"\\u202e\\u202e\", x: 1}", lines[at + 1])
        self.assertEqual(lines[at + 2].index("^"), lines[at + 1].index("x: 1"))

    def test_overrides(self):
        self.corpus()
        for word in (f"seed={RED}", f"{RED}=1", f"train.{RED}=1", RED):
            done = cli.run("check", self.recipe(), word)
            self.assert_refused(done, 2, SHOWN)
            self.assert_shown(done)

    def test_words_of_the_command_line(self):
        for words in ((RED,), ("check", "r.yaml", f"--{RED}"), ("eval", "--model", RED, "--seq-len", RED),
                      ("generate", "--model", RED, "--prompt", "x"), ("ckpt", "ls", RED)):
            done = cli.run(*words)
            self.assertEqual(done.returncode, 66 if words[0] in ("generate", "ckpt") else 2, done.stderr)
            self.assert_shown(done, SHOWN)

    def test_names_of_files(self):
        name = "a" + RED + ".yaml"
        (self.folder / name).write_text("x: 1\n")
        done = cli.run("check", name, cwd=self.folder)
        self.assert_refused(done, 2, "a" + SHOWN + ".yaml:1:1: ")
        self.assert_shown(done)

    def test_names_within_json(self):
        (self.folder / "config.json").write_text(json.dumps({"model_type": RED + "\x9b"}))
        (self.folder / "ids").write_text("1 2 3")
        done = cli.run("eval", "--model", self.folder, "--token-ids", self.folder / "ids", "--seq-len", "4")
        self.assertIn(done.returncode, (2, 65), done.stderr)
        self.assert_shown(done, SHOWN)

    def test_a_log_and_the_resolved_recipe(self):
        self.corpus()
        recipe = self.recipe()
        recipe.write_text(recipe.read_text() + 'run_name: "\\e[31mred\\e]0;title\\x07\\x9b\\u202e\\x7f\\r"\n')
        done = cli.run("train", recipe, "train.max_steps=2")
        self.assert_ok(done)
        self.assert_shown(done, SHOWN)
        for file in ("recipe.resolved.yaml", "log/rank-0.txt"):
            text = (self.folder / "run" / file).read_text()
            for control in ("\x1b", "\x9b", "\u202e", "\x7f"):
                self.assertNotIn(control, text)
        again = cli.run("check", self.folder / "run" / "recipe.resolved.yaml")  # the same name
        self.assert_ok(again)
        self.assertIn('"\\x1b[31mred\\x1b]0;title\\x07\\u009b\\u202e\\x7f\\x0d"', again.stdout)

    def test_a_page(self):
        run = self.folder / ("run" + RED)
        (run / "plan").mkdir(parents=True)
        (run / "metrics.jsonl").write_text('{"step": 1, "loss": 2}\n')
        (run / "recipe.resolved.yaml").write_text(f"run_name: {RED}\n")
        self.assert_ok(cli.run("report", run, "--out", self.folder / "page.html"))
        page = (self.folder / "page.html").read_text()
        self.assertNotIn("\x1b", page)
        self.assertIn(SHOWN, page)


if __name__ == "__main__":
    unittest.main()
