"""`ropewalk data …` on inputs that are not what they seem: damaged, packed otherwise, endless, no files at all."""
import bz2
import gzip
import json
import lzma
import os
import pathlib
import resource
import subprocess
import unittest
import zipfile

import cli

LINES = [json.dumps({"text": f"document {i} of a few"}) + "\n" for i in range(40)]


class DataTest(cli.CliTestCase):
    def put(self, name, data):
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def build(self, *args, tokenizer="bytes", **more):
        return cli.run("data", "build", "--tokenizer", tokenizer, "--out", self.folder / "c.h5", "--json", *args, **more)

    def documents(self, *args):
        done = self.build(*args)
        self.assert_ok(done)
        return json.loads(done.stdout)["documents"]

    def assert_nothing_left(self):
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith("c.h5")], [])

    def test_gzip_is_read_whole_or_refused_with_its_place(self):
        members = [gzip.compress("".join(LINES[i:i + 10]).encode()) for i in range(0, 40, 10)]
        self.assertEqual(self.documents(self.put("a.jsonl.gz", b"".join(members))), 40)
        self.assertEqual(self.documents(self.put("a.jsonl.gz", (b"\0" * 700).join(members))), 40)
        os.remove(self.folder / "c.h5")
        second = len(members[0])
        flipped = bytearray(b"".join(members))
        flipped[second] ^= 1
        cut = b"".join(members)[:-5]
        for data, place in ((bytes(flipped), second), (members[0] + LINES[0].encode(), second), (cut, len(cut))):
            path = self.put("a.jsonl.gz", data)
            self.assert_refused(self.build(path), 65, str(path), f"at byte {place}")
            self.assert_nothing_left()

    def test_what_is_no_text_is_named_whatever_its_name_and_tokenizer(self):
        text = "words and words\n" * 50
        packed = self.folder / "z.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("a.txt", text)
        tokenizer = self.folder / "tok.json"
        self.assert_ok(cli.run("data", "train-tokenizer", "--vocab-size", 260, "--out", tokenizer, self.put("t.txt", text)))
        wrong = {"bzip2": bz2.compress(text.encode()), "xz": lzma.compress(text.encode()), "zip": packed.read_bytes(),
                 "zstd": b"\x28\xb5\x2f\xfd\x04\x00", "parquet": b"PAR1\x15\x04", "HDF5": b"\x89HDF\r\n\x1a\n\0",
                 "UTF-16": text.encode("utf-16"), "UTF-16LE": text.encode("utf-16-le"), "a JSON array": b'[{"text": "a"}]',
                 "a NUL byte at byte 4": b"four\0"}
        for name, data in wrong.items():
            for path in (self.put("a.txt", data), self.put("b.gz", gzip.compress(data))):
                for kind in ("bytes", tokenizer):
                    with self.subTest(name=name, path=path.name, kind=str(kind)):
                        self.assert_refused(self.build(path, tokenizer=kind), 65, path.name, name, "--raw")
            self.assertEqual(self.documents("--raw", self.put("a.txt", data)), 1)

    def test_bad_lines_stop_or_are_skipped_and_counted(self):
        lines = LINES[:3] + ['{"text": 7}\n', "no json\n", '{"other": "x"}\n', '{"text": "a\\u0000"}\n'] + LINES[3:5]
        path = self.put("a.jsonl", "".join(lines).encode() + b'{"text": "\xff"}\n')
        self.assert_refused(self.build(path), 65, f"{path}:4: ")
        self.assert_nothing_left()
        done = self.build("--on-bad-line", "skip", path)
        self.assert_ok(done)
        self.assertEqual(json.loads(done.stdout)["documents"], 5)
        self.assertEqual(json.loads(done.stdout)["skipped_lines"], 5)
        self.assertIn(f"5 lines skipped, the first: {path}:4: ", done.stderr)
        said = cli.run("data", "build", "--tokenizer", "bytes", "--out", self.folder / "c.h5", "--on-bad-line", "skip", path)
        self.assertIn("5 lines skipped\n", said.stdout)
        self.assert_refused(self.build("--on-bad-line", "pass", path), 2, "--on-bad-line")

    def test_json_lines_named_json_are_lines(self):
        self.assertEqual(self.documents(self.put("a.json", "".join(LINES))), 40)
        self.assertEqual(self.documents(self.put("a.json.gz", gzip.compress("".join(LINES).encode()))), 40)
        self.assertEqual(self.documents(self.put("b.json", json.dumps({"text": "one"}, indent=1))), 1)

    def test_what_is_no_file_is_refused_at_once(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        text = self.put("t.txt", "some text")
        for command in (("data", "build", "--tokenizer", "bytes", "--out", self.folder / "c.h5"),
                        ("data", "encode", "--tokenizer", "bytes"), ("data", "decode", "--tokenizer", "bytes"),
                        ("data", "train-tokenizer", "--vocab-size", 300, "--out", self.folder / "o.json"), ("data", "inspect")):
            for path in (pipe, "/dev/zero", "/dev/tty"):
                with self.subTest(command=command, path=path):
                    self.assert_refused(cli.run(*command, path, timeout=20), 65, str(path), "want a regular file")
        for path in (pipe, "/dev/zero"):
            self.assert_refused(self.build(text, tokenizer=path, timeout=20), 65, "want a regular file")
        self.assert_refused(self.build(text, tokenizer=self.folder, timeout=20), 66, "is a folder")

    def test_huge_files_are_bounded(self):
        sparse = self.folder / "sparse"
        for name in ("tok.json", "ids", "c.txt", "lines.jsonl", "x.h5"):
            path = self.put(name, "")
            os.truncate(path, 1 << 40)
        os.rename(self.folder / "tok.json", sparse)
        text = self.put("t.txt", "some text")
        zeros = self.put("bomb.jsonl.gz", gzip.compress(b'{"text": "' + b"x" * (1 << 27), 1))
        limit = 1 << 30

        def small(*args):
            return subprocess.run([cli.BINARY, *map(str, args)], capture_output=True, text=True, timeout=60, check=False,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))
        out = ("--out", self.folder / "c.h5")
        self.assert_refused(small("data", "build", "--tokenizer", sparse, *out, text), 65, "1099511627776 bytes, want at most")
        self.assert_refused(small("data", "build", "--tokenizer", "bytes", *out, self.folder / "c.txt"), 65, "c.txt", "NUL bytes")
        self.assert_refused(small("data", "build", "--tokenizer", "bytes", *out, self.folder / "lines.jsonl"), 65, "lines.jsonl")
        endless = self.put("endless.jsonl", '{"text": "x')
        os.truncate(endless, 1 << 40)
        self.assert_refused(small("data", "build", "--tokenizer", "bytes", *out, endless), 65, "endless.jsonl:1: got a line")
        endless = self.put("endless.txt", "words")
        os.truncate(endless, 1 << 40)
        self.assert_refused(small("data", "build", "--tokenizer", "bytes", *out, endless), 65, "a NUL byte at byte 5")
        self.assert_refused(small("data", "build", "--tokenizer", "bytes", *out, zeros), 65, "bomb.jsonl.gz:1: got a line")
        self.assert_refused(small("data", "inspect", self.folder / "x.h5"), 65, "x.h5")
        self.assert_nothing_left()

    def test_encode_takes_json_and_nul_bytes_but_no_container(self):
        def encode(data, *more):
            return cli.run("data", "encode", "--tokenizer", "bytes", "--json", *more, self.put("a.json", data))
        two = '{"a": 1}\n{"a": 2}\n'
        self.assertEqual(bytes(json.loads(encode(two).stdout)), two.encode())
        self.assertEqual(json.loads(encode(b"[1]\0").stdout), list(b"[1]\0"))
        self.assert_refused(encode(bz2.compress(b"x" * 100)), 65, "bzip2")
        self.assertEqual(json.loads(encode(b"\x28\xb5\x2f\xfd", "--raw").stdout), [0x28, 0xb5, 0x2f, 0xfd])

    def test_planted_links_are_not_followed_and_left_overs_go(self):
        victim = self.folder / "victim"
        for name in ("c.h5", "c.h5.writing", "c.h5.tokens", "c.h5.part"):
            os.symlink(victim, self.folder / name)
        left = self.put("c.h5.part-0123456789abcdef", "of a job that died")
        self.assertEqual(self.documents(self.put("t.txt", "text")), 1)
        self.assertFalse(victim.exists())
        self.assertFalse(left.exists())
        self.assertFalse((self.folder / "c.h5").is_symlink())

    def test_a_disk_that_fills_is_an_error_wherever_it_fills(self):
        small = self.folder / "small"
        small.mkdir()
        text = self.put("t.txt", "hello world " * 100000)
        unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
        script = ('mount -t tmpfs -o size=$1 tmpfs "$2" || exit 99; "$3" data build --tokenizer bytes --out "$2/c.h5" "$4" 2> "$5";'
                  ' code=$?; ls -A "$2" >> "$5.left"; exit $code')
        probe = subprocess.run([*unshare, "true"], capture_output=True, check=False)
        self.assertEqual(probe.returncode, 0, "no mount namespace here: " + probe.stderr.decode())
        for size in ("64k", "1500k", "2400k", "3m", "4700k"):
            errors = self.folder / "errors"
            done = subprocess.run([*unshare, "sh", "-c", script, "sh", size, small, cli.BINARY, text, errors], check=False)
            self.assertEqual(done.returncode, 74, size + errors.read_text())
            self.assertIn("No space left", errors.read_text())
            self.assertEqual(pathlib.Path(f"{errors}.left").read_text(), "", size)


if __name__ == "__main__":
    unittest.main()
