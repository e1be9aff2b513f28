"""Runs the built program for the tests of tests/launcher: standard library only.

ROPEWALK_BINARY is the program, ROPEWALK_SOURCE the checkout; ctest sets both.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BINARY = os.environ["ROPEWALK_BINARY"]
SOURCE = pathlib.Path(os.environ["ROPEWALK_SOURCE"])
TINY_MODEL = ("{name: llama, hidden_size: 32, num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 2,"
              " intermediate_size: 64, vocab_size: 320}")


def mpirun(ranks):
    return ["mpirun", "--oversubscribe", "--allow-run-as-root", "-np", str(ranks)]


def run(*args, ranks=0, cwd=None, env=None, timeout=120):
    """Runs ropewalk to its end (under mpirun when ranks > 0); returns CompletedProcess with text."""
    return run_command((mpirun(ranks) if ranks else []) + [BINARY, *map(str, args)], cwd, env, timeout)


def run_command(command, cwd=None, env=None, timeout=120):
    """The same of any command."""
    return subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, timeout=timeout, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def metrics(folder):
    """The whole lines of a run's metrics.jsonl."""
    path = pathlib.Path(folder) / "metrics.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def losses(folder):
    return [record["loss"] for record in metrics(folder)]


def wait_until(true, seconds=60):
    """Polls a condition that another process brings about; the test fails when it stays false."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False


class Job:
    """A training that runs in the background, in a process group of its own."""

    def __init__(self, *args, ranks=0, cwd=None, env=None):
        command = (mpirun(ranks) if ranks else []) + [BINARY, *map(str, args)]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **(env or {})}, stdout=self.log,
                                        stderr=subprocess.STDOUT, start_new_session=True)

    def rank_pids(self):
        """Process ids of the ranks: this process's children when it is mpirun, otherwise itself.

        A child counts once it runs the program: mpirun waits for that, and hangs when a child is stopped before.
        """
        listing = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(self.process.pid)], check=False,
                                 stdout=subprocess.PIPE, text=True).stdout.splitlines()
        children = [line.split(maxsplit=1) for line in listing]
        name = pathlib.Path(BINARY).name
        return [int(pid) for pid, command in children if command == name] if children else [self.process.pid]

    def kill_all(self):
        if self.process.poll() is None:
            for pid in self.rank_pids():  # of process groups of their own
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.wait()

    def wait(self, timeout=120):
        self.process.wait(timeout)
        self.log.seek(0)
        return self.log.read()


class CliTestCase(unittest.TestCase):
    """Each test gets a folder of its own with a small corpus and a recipe to change."""

    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ropewalk-test-"))
        self.addCleanup(shutil.rmtree, self.folder, True)

    def job(self, *args, **more):
        """A Job that is over when the test is, however that ends."""
        job = Job(*args, **more)
        self.addCleanup(job.kill_all)
        return job

    def corpus(self, name="corpus.h5", copies=1, text=None):
        """A corpus of bytes from the design of this project's own README."""
        source = self.folder / (name + ".txt")
        source.write_text((text or (SOURCE / "README.md").read_text() * 4) * copies)
        done = run("data", "build", "--tokenizer", "bytes", "--out", self.folder / name, source)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.folder / name

    def recipe(self, name="recipe.yaml", **changes):
        """Writes a recipe of top-level sections; `changes` replaces whole sections, None drops one."""
        sections = {
            "seed": "7", "method": "pipeline", "output_dir": str(self.folder / "run"), "model": TINY_MODEL,
            "parallel": "{dp: 1, pp: 1}",
            "train": "{seq_len: 32, micro_batch_size: 2, global_batch_size: 8, max_steps: 12}",
            "optimizer": "{name: adamw, lr: 0.003}",
            "data": "{sources: [{path: " + str(self.folder / "corpus.h5") + "}]}",
            "checkpoint": "{interval: 4}",
        }
        sections.update({key: value for key, value in changes.items()})
        path = self.folder / name
        path.write_text("".join(f"{key}: {value}\n" for key, value in sections.items() if value is not None))
        return path

    def assert_ok(self, done):
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])

    def assert_refused(self, done, code, *words):
        """Exit code, every word in stderr, and no trace of a crash."""
        self.assertEqual(done.returncode, code, done.stdout[-2000:] + done.stderr[-3000:])
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertNotIn("a bug, please report", done.stderr)
