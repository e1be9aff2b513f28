"""`~/` is the home folder and `${NAME}` no path: in recipes, overrides and arguments of every command."""
import os
import unittest

import cli


class TypedPathTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.home = self.folder / "home"
        self.home.mkdir()
        self.env = {"HOME": str(self.home)}
        (self.home / "text.txt").write_text("rope walks in the yard\n" * 200)

    def ropewalk(self, *args):
        return cli.run(*args, cwd=self.folder, env=self.env)

    def test_a_run_from_text_to_report(self):
        self.assert_ok(self.ropewalk("data", "build", "--tokenizer", "bytes", "--out=~/c.h5", "~/text.txt"))
        self.assert_ok(self.ropewalk("data", "inspect", "~/c.h5"))
        recipe = self.recipe(output_dir="~/run", data="{sources: [{path: ~/c.h5}]}",
                             train="{seq_len: 16, max_steps: 2}", checkpoint="{interval: 1}")
        recipe.rename(self.home / "r.yaml")
        self.assert_ok(self.ropewalk("train", "~/r.yaml", "log.interval=1"))
        self.assert_ok(self.ropewalk("ckpt", "ls", "~/run"))
        self.assert_ok(self.ropewalk("ckpt", "export", "~/run", "--out", "~/hf"))
        self.assert_ok(self.ropewalk("eval", "--model", "~/hf", "--text", "~/text.txt", "--seq-len", "16"))
        self.assert_ok(self.ropewalk("report", "~/run", "--out", "~/page.html"))
        self.assert_ok(self.ropewalk("train", "~/r.yaml", "output_dir=~/other", "--resume", "never"))
        self.assertEqual(sorted(os.listdir(self.home)), ["c.h5", "hf", "other", "page.html", "r.yaml", "run", "text.txt"])
        self.assertEqual(os.listdir(self.folder), ["home"])
        resolved = (self.home / "run" / "recipe.resolved.yaml").read_text()
        self.assertIn(str(self.home / "run"), resolved)

    def test_variables_are_refused_with_their_place(self):
        recipe = self.recipe(output_dir="${HOME}/run", data="{sources: [{path: \"$HOME/c.h5\"}]}")
        done = self.ropewalk("train", recipe)
        self.assert_refused(done, 2, "recipe.yaml:3:13: output_dir: got '${HOME}/run'", "data.sources[0].path: got '$HOME/c.h5'")
        for args in (("check", "${HOME}/r.yaml"), ("data", "build", "--tokenizer", "bytes", "--out", "${X}/c.h5", "~/text.txt"),
                     ("data", "build", "--tokenizer", "bytes", "--out", "c.h5", "$HOME/text.txt"),
                     ("eval", "--model", "~eve/m", "--text", "x"), ("report", "run/${X}"), ("ckpt", "ls", "${RUN}"),
                     ("plan", "--problem", "${P}")):
            self.assert_refused(self.ropewalk(*args), 2, "got '", "want ")
        self.assertEqual(sorted(os.listdir(self.folder)), ["home", "recipe.yaml"])

    def test_texts_are_left_alone(self):
        done = self.ropewalk("generate", "--model", "nowhere", "--prompt", "~/x ${HOME}")
        self.assertEqual(done.returncode, 66, done.stderr)  # of the model

    def test_without_a_home_the_system_knows_it(self):
        done = cli.run("data", "inspect", "~/no such corpus.h5", env={"HOME": ""})
        self.assertEqual(done.returncode, 66, done.stderr)
        self.assertNotIn("~", done.stderr)


if __name__ == "__main__":
    unittest.main()
