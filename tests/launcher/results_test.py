"""Results that cannot be written: exit code 74 and a message; the log of a training may be lost."""
import json
import os
import resource
import signal
import subprocess
import unittest

import cli


def limited(bytes_of_files):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_of_files, bytes_of_files))


class ResultsTest(cli.CliTestCase):
    def start(self, *args, **more):
        return subprocess.run([cli.BINARY, *map(str, args)], stderr=subprocess.PIPE, text=True, timeout=60, check=False,
                              **more)

    def assert_unwritten(self, done, what):
        self.assertEqual(done.returncode, 74, f"{what}: {done.stderr}")
        self.assertIn("stdout: cannot write the results", done.stderr, what)

    def commands(self):
        """One of each command that has results, on a finished run."""
        self.corpus()
        recipe = self.recipe()
        self.assert_ok(cli.run("train", recipe))
        run, text = self.folder / "run", self.folder / "corpus.h5.txt"
        ids = self.folder / "ids"
        ids.write_text("72 105")
        problem = self.folder / "problem.json"
        problem.write_text(json.dumps({
            "format": "ropewalk-problem/1", "nodes": [{"forward_s": 1, "memory_micro_batches": 4}] * 2,
            "transfer_s": [[0.0] * 2] * 2, "backward_factor": 2, "loss_factor": 0, "gap_s": 0, "gap_first_forward_s": 0,
            "stage_sizes": [1, 1], "path_length": 2, "micro_batches_per_source": 4,
            "rules": {"max_swaps": 0, "max_jump": 2, "stage_quota": 4},
            "reduce": {"latency_s": [[0] * 2] * 2, "bandwidth_bytes_per_s": [[1e6] * 2] * 2, "gradient_bytes": 1}}))
        checkpoint = next((run / "checkpoints").glob("step-*"))
        return [["--help"], ["--version"], ["train", "--help"], ["schema"], ["schema", "--markdown"],
                ["check", recipe], ["check", recipe, "--json"],
                ["data", "order", recipe, "--steps", "1..2"], ["data", "inspect", self.folder / "corpus.h5", "--json"],
                ["data", "encode", "--tokenizer", "bytes", text], ["data", "decode", "--tokenizer", "bytes", ids],
                ["data", "build", "--tokenizer", "bytes", "--out", self.folder / "again.h5", text],
                ["data", "train-tokenizer", "--vocab-size", "300", "--out", self.folder / "tok.json", text],
                ["eval", "--model", run / "final", "--text", text, "--seq-len", "32"],
                ["generate", "--model", run / "final", "--prompt", "a", "--max-new-tokens", "2", "--json"],
                ["ckpt", "ls", run], ["ckpt", "verify", run, "--json"], ["ckpt", "diff", checkpoint, checkpoint],
                ["ckpt", "gc", run], ["ckpt", "export", checkpoint, "--out", self.folder / "hf"],
                ["report", run, "--json"], ["plan", "--problem", problem, "--evaluations", "9", "--json"],
                ["bench", "train", recipe, "--steps", "1", "--json"]]

    def test_every_command_says_that_stdout_is_full_closed_or_left(self):
        commands = self.commands()
        for words in commands:
            with open("/dev/full", "w") as full:
                self.assert_unwritten(self.start(*words, stdout=full), words)
        for words in commands[::3]:
            self.assert_unwritten(self.start(*words, preexec_fn=lambda: os.close(1)), words)
        for words in commands[1::3]:
            reader, writer = os.pipe()
            os.close(reader)
            self.assert_unwritten(self.start(*words, stdout=writer), words)
            os.close(writer)

    def test_a_command_ends_when_its_reader_leaves(self):
        self.corpus()
        words = [cli.BINARY, "data", "order", str(self.recipe(train="{seq_len: 32, micro_batch_size: 2, "
                 "global_batch_size: 8, max_steps: 900000000}")), "--steps", "1..900000000"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as order:
            self.addCleanup(order.kill)
            order.stdout.readline()
            order.stdout.close()
            self.assertEqual(order.wait(60), 74)
            self.assertIn("stdout: cannot write the results", order.stderr.read())

    def test_files_that_grow_too_large(self):
        self.corpus()
        run = self.folder / "run"
        self.assert_ok(cli.run("train", self.recipe()))
        text = self.folder / "corpus.h5.txt"
        for words in (["data", "build", "--tokenizer", "bytes", "--out", self.folder / "big.h5", text],
                      ["data", "train-tokenizer", "--vocab-size", "300", "--out", self.folder / "tok.json", text],
                      ["report", run, "--out", self.folder / "page.html"]):
            done = self.start(*words, stdout=subprocess.DEVNULL, preexec_fn=limited(2000))
            self.assertEqual(done.returncode, 74, f"{words}: {done.stderr}")
            self.assertIn("File too large", done.stderr)
        for name in ("big.h5", "tok.json", "page.html"):
            self.assertFalse((self.folder / name).exists(), name)

    def test_training_outlives_readers_of_its_log(self):
        self.corpus()
        words = [cli.BINARY, "train", str(self.recipe())]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as train:
            train.stdout.readline()
            train.stdout.close()
            self.assertEqual(train.wait(60), 0)
        wanted = cli.losses(self.folder / "run")
        self.assertEqual(len(wanted), 12)
        streams = {"full": {"stdout": open("/dev/full", "w"), "stderr": open("/dev/full", "w")},
                   "closed": {"preexec_fn": lambda: os.closerange(0, 3)}}
        for name, more in streams.items():
            done = subprocess.run([*words, f"output_dir={self.folder / name}"], timeout=60, check=False, **more)
            self.assertEqual(done.returncode, 0, name)
            self.assertEqual(cli.losses(self.folder / name), wanted)
            for file in (self.folder / name).glob("log/*"):
                self.assertIn("done: ", file.read_text())
        for stream in streams["full"].values():
            stream.close()

    def test_training_whose_files_grow_too_large_keeps_its_last_checkpoint(self):
        self.corpus()
        self.assert_ok(cli.run("train", self.recipe()))
        before = sorted((self.folder / "run" / "checkpoints").iterdir())
        done = self.start("train", self.recipe(), "--resume", "auto", "train.max_steps=24", stdout=subprocess.DEVNULL,
                          preexec_fn=limited(100_000))
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertIn("File too large", done.stderr)
        self.assert_ok(cli.run("ckpt", "verify", self.folder / "run"))
        self.assertTrue(set(before) <= set((self.folder / "run" / "checkpoints").iterdir()))

    def test_signals_of_writes_are_ignored_from_the_start(self):
        self.corpus()
        job = self.job("train", self.recipe(), "train.max_steps=1000000", "checkpoint.interval=0")
        self.assertTrue(cli.wait_until(lambda: cli.metrics(self.folder / "run")))
        job.process.send_signal(signal.SIGPIPE)
        job.process.send_signal(signal.SIGXFSZ)
        job.process.send_signal(signal.SIGUSR1)
        job.wait()
        self.assertEqual(job.process.returncode, 75)


if __name__ == "__main__":
    unittest.main()
