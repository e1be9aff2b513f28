"""Traces of ranks that are processes: slices of one track nest or lie apart."""
import unittest

import cli
from trace_test import overlaps


class TraceMpiTest(cli.CliTestCase):
    def test_two_stages_two_replicas(self):
        self.corpus()
        done = cli.run("train", self.recipe(), "parallel.dp=2", "parallel.pp=2", "train.max_steps=10", ranks=4)
        self.assert_ok(done)
        files = sorted((self.folder / "run" / "trace").glob("*.json"))
        self.assertEqual(len(files), 4)
        for path in files:
            self.assertEqual(overlaps(path)[0], [], path)


if __name__ == "__main__":
    unittest.main()
