"""What is typed: overrides in both forms, commands that are none, ranks that say a thing once."""
import json

import cli


class OverridesTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()

    def seed(self, *words):
        done = cli.run("check", self.recipe(), *words, "--json")
        self.assert_ok(done)
        resolved = json.loads(done.stdout)["resolved"]
        return next(line for line in resolved.splitlines() if line.startswith("seed:"))

    def test_words_and_set_together(self):
        done = cli.run("check", self.recipe(), "train.max_steps=7", "--set", "optimizer.lr=0.5", "seed=3", "--json")
        self.assert_ok(done)
        resolved = json.loads(done.stdout)["resolved"]
        for line in ("  max_steps: 7\n", "  lr: 0.5\n", "seed: 3\n"):
            self.assertIn(line, resolved)

    def test_the_last_one_typed_holds(self):
        self.assertEqual(self.seed("seed=1", "--set", "seed=2", "seed=3"), "seed: 3")
        self.assertEqual(self.seed("seed=1", "seed=3", "--set", "seed=2"), "seed: 2")
        self.assertEqual(self.seed("--set", "seed=1", "--set=seed=5"), "seed: 5")

    def test_mistakes_of_both_forms_are_said(self):
        done = cli.run("check", self.recipe(), "train.max_stepz=3", "--set", "optimizer.lrr=1", "seed=010")
        self.assert_refused(done, 2, "train.max_stepz", "optimizer.lrr", "seed: got '010'")

    def test_data_order_takes_both(self):
        words = ("data", "order", self.recipe(), "--steps", "1..2", "--json", "train.global_batch_size=6", "--set", "seed=2")
        done = cli.run(*words)
        self.assert_ok(done)
        self.assertEqual(len(done.stdout.splitlines()), 12)
        self.assertNotEqual(done.stdout, cli.run(*words[:-2]).stdout)


class CommandsTest(cli.CliTestCase):
    def test_a_command_that_is_none(self):
        self.assert_refused(cli.run("trian", "r.yaml"), 2, "'trian'", "try train")
        self.assert_refused(cli.run("frobnicate"), 2, "'frobnicate'", "generate")

    def test_an_option_that_is_none(self):
        for words in (("--resum", "auto"), ("--resum=auto",)):
            self.assert_refused(cli.run("train", self.recipe(), *words), 2, "--resum", "did you mean --resume?")
        self.assert_refused(cli.run("plan", "--evaluation", "5"), 2, "did you mean --evaluations?")
        self.assertNotIn("did you mean", cli.run("schema", "--zzzzzzzzz").stderr)

    def test_commands_of_later_versions(self):
        for name in ("merge", "boom", "spsa", "launch", "top", "doctor"):
            self.assert_refused(cli.run(name, "x.yaml", "--any", "1"), 2, name, "not in this version")

    def test_help_and_version(self):
        for words in (("--help",), ("train", "--help"), ("--version",)):
            done = cli.run(*words)
            self.assert_ok(done)
            self.assertIn("ropewalk", done.stdout)
            self.assertEqual(done.stderr, "")
