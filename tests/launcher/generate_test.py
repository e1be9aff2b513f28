"""generate from the outside: one prompt, several, files of prompts, precision."""
import json

import cli


class GenerateTest(cli.CliTestCase):
    def setUp(self):
        super().setUp()
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe(), "train.max_steps=2"))
        self.model = self.folder / "run" / "final"

    def generate(self, *args):
        done = cli.run("generate", "--model", self.model, "--max-new-tokens", 12, "--ignore-eos", "--json", *args)
        self.assert_ok(done)
        return done.stdout

    def test_one_prompt_is_one_object(self):
        out = json.loads(self.generate("--prompt", "Once upon"))
        self.assertEqual(list(out), ["token_ids", "text"])
        self.assertEqual(len(out["token_ids"]), 12)
        self.assertTrue(out["text"])

    def test_several_prompts_are_a_line_each_as_alone(self):
        prompts = ["Once", "upon a time there was", "", "a"]
        for more in ([], ["--temperature", 1, "--top-p", "0.9", "--seed", 4], ["--precision", "bf16"]):
            alone = [self.generate("--prompt", prompt, *more) for prompt in prompts]
            several = [word for prompt in prompts for word in ("--prompt", prompt)]
            self.assertEqual(self.generate(*several, *more), "".join(alone))
            self.assertEqual(self.generate(*several, *more, "--batch-size", 3), "".join(alone))

    def test_prompt_ids_repeat_too(self):
        alone = self.generate("--prompt-ids", "72 101 108") + self.generate("--prompt-ids", "9")
        self.assertEqual(self.generate("--prompt-ids", "72 101 108", "--prompt-ids", "9"), alone)

    def test_file_of_prompts(self):
        path = self.folder / "prompts.jsonl"
        path.write_text('{"prompt": "two\\nlines"}\n\n{"prompt_ids": [72, 101, 108]}\n')
        alone = self.generate("--prompt", "two\nlines") + self.generate("--prompt-ids", "72 101 108")
        self.assertEqual(self.generate("--prompts", path), alone)

    def test_bad_lines_of_a_file_have_a_place(self):
        path = self.folder / "prompts.jsonl"
        for line, word in (("Once upon", "2:1: got `Once`"), ('["a"]', "an object with one key"), ('{"prompt": 3}', "prompt: got 3"),
                           ('{"prompt_ids": [1.5]}', "prompt_ids[0]: got 1.5"), ('{"prompt_ids": [99999999999]}', "99999999999")):
            path.write_text('{"prompt": "a"}\n' + line + "\n")
            done = cli.run("generate", "--model", self.model, "--prompts", path)
            self.assert_refused(done, 65, "prompts.jsonl:2:", word)
        path.write_text("\n")
        self.assert_refused(cli.run("generate", "--model", self.model, "--prompts", path), 65, "no prompts")
        self.assert_refused(cli.run("generate", "--model", self.model, "--prompts", path, "--prompt", "a"), 2)

    def test_precision_is_f32_or_bf16(self):
        done = cli.run("generate", "--model", self.model, "--prompt", "a", "--precision", "f16")
        self.assert_refused(done, 2, "--precision", "f16", "want f32 or bf16")
        self.assertEqual(len(json.loads(self.generate("--prompt", "a", "--precision", "bf16"))["token_ids"]), 12)

    def test_no_prompt_is_refused(self):
        self.assert_refused(cli.run("generate", "--model", self.model), 2, "--prompt TEXT", "--prompts FILE")
