"""Training and eval in bf16, from the outside."""
import json

import cli


class Bf16Test(cli.CliTestCase):
    def test_bf16_training_resumes_bit_for_bit(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe(), "precision=bf16"))
        half = self.folder / "half"
        first = ("precision=bf16", f"output_dir={half}")
        self.assert_ok(cli.run("train", self.recipe(), *first, "train.max_steps=7"))
        self.assert_ok(cli.run("train", self.recipe(), *first, "--resume", "auto"))
        self.assertEqual(cli.losses(self.folder / "run"), cli.losses(half))
        left, right = (folder / "final" / "model.safetensors" for folder in (self.folder / "run", half))
        self.assertEqual(left.read_bytes(), right.read_bytes())

    def test_bf16_follows_f32_and_goes_on_from_its_checkpoint(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe(), "train.max_steps=7"))
        self.assert_ok(cli.run("train", self.recipe(), "precision=bf16", "--resume", "auto"))
        other = self.folder / "f32"
        self.assert_ok(cli.run("train", self.recipe(), f"output_dir={other}"))
        mixed, exact = cli.losses(self.folder / "run"), cli.losses(other)
        self.assertEqual(mixed[:7], exact[:7])
        self.assertNotEqual(mixed[7:], exact[7:])
        for a, b in zip(mixed, exact):
            self.assertLess(abs(a - b), 0.01 * b)

    def test_eval_in_bf16_is_near_eval_in_f32(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe()))
        ids = self.folder / "ids.txt"
        ids.write_text(" ".join(str(i * 7 % 251) for i in range(300)))
        losses = []
        for precision in ("f32", "bf16"):
            done = cli.run("eval", "--model", self.folder / "run" / "final", "--token-ids", ids, "--seq-len", 32,
                           "--precision", precision, "--json")
            self.assert_ok(done)
            losses.append(json.loads(done.stdout)["loss"])
        self.assertNotEqual(losses[0], losses[1])
        self.assertLess(abs(losses[0] - losses[1]), 0.01 * losses[0])

    def test_another_precision_is_refused(self):
        self.corpus()
        self.assert_refused(cli.run("train", self.recipe(), "precision=fp8"), 2, "precision", "bf16")
