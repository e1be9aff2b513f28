#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""Text or JSONL -> a Ropewalk corpus (docs/formats/corpus.md) with any tokenizer that the Hugging Face `tokenizers`
package reads, for those that `ropewalk data build` refuses. Needs: pip install tokenizers h5py numpy; libxxhash, which
scripts/setup.sh installs.

tokenize_hf.py --tokenizer tokenizer.json --out C.h5 [--end-token TOKEN] [--jsonl-field text] FILES…"""
import argparse
import ctypes
import ctypes.util
import gzip
import hashlib
import json
import os
import pathlib
import sys
import tempfile
import zlib

try:
    import h5py
    import numpy
    import tokenizers
except ImportError as missing:
    absent = missing.name
else:
    absent = None


def document_hash():
    """XXH3, 64 bits, as the builder in C++ has it."""
    function = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0").XXH3_64bits
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return lambda data: function(data, len(data))


def text_files(paths):
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            found = (one for one in path.rglob("*") if one.is_file())
            visible = (one for one in found if not any(part.startswith(".") for part in one.relative_to(path).parts))
            yield from sorted(visible, key=lambda one: os.fsencode(one))
        else:
            yield path


def documents(paths, field):
    for path in text_files(paths):
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("utf-8")
        except (OSError, EOFError, zlib.error) as error:
            sys.exit(f"{path}: cannot be read: {error}")
        except UnicodeDecodeError as error:
            sys.exit(f"{path}: invalid UTF-8 at byte {error.start}; correct the file")
        if not path.name.removesuffix(".gz").endswith(".jsonl"):
            yield text
            continue
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                sys.exit(f"{path}:{number}: {error}; want a JSON object per line")
            found = value.get(field) if isinstance(value, dict) else None
            if not isinstance(found, str):
                sys.exit(f"{path}:{number}: want a JSON object with a text in field `{field}` (--jsonl-field)")
            yield found


def refuse(path, got):
    sys.exit(f"{path}: got {got}; want a tokenizer.json of the Hugging Face `tokenizers` package, the one file that "
             "holds `model`, `pre_tokenizer` and `added_tokens`")


def what_it_is(data):
    """What a file that is no tokenizer.json seems to be."""
    if data.startswith(b"\n") and b"\x15" in data[:256]:
        return "a sentencepiece model"
    if data.startswith(b"#version"):
        return "the merges of a BPE alone (merges.txt)"
    if data.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself (git lfs pull)"
    return "no JSON object"


def require_tokenizer_json(path):
    """The bytes of a tokenizer.json; ends the program with what the file is instead."""
    try:
        data = pathlib.Path(path).read_bytes()
    except IsADirectoryError:
        refuse(path, "a folder")
    except OSError as error:
        sys.exit(f"{path}: cannot be read: {error.strerror}")
    if not data:
        refuse(path, "an empty file")
    if not data.lstrip().removeprefix(b"\xef\xbb\xbf").startswith((b"{", b"[")):
        refuse(path, what_it_is(data))
    try:
        root = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        refuse(path, f"invalid UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        sys.exit(f"{path}:{error.lineno}:{error.colno}: is no JSON: {error.msg}")
    except RecursionError:
        refuse(path, "JSON that is nested too deeply")
    if not isinstance(root, dict):
        refuse(path, "JSON that is no object")
    if isinstance(root.get("model"), dict):
        return data
    if root.keys() & {"tokenizer_class", "added_tokens_decoder", "model_max_length"}:
        refuse(path, "a tokenizer_config.json, which holds no tokens")
    if root.keys() & {"model_type", "architectures", "hidden_size"}:
        refuse(path, "a model's config.json")
    if root and all(isinstance(value, int) for value in root.values()):
        refuse(path, "a vocabulary alone (vocab.json)")
    refuse(path, "a model without what is around it" if root.keys() & {"vocab", "merges"} else "an object without `model`")


def load(path, data):
    try:
        tokenizer = tokenizers.Tokenizer.from_str(data.decode("utf-8"))
    except BaseException as error:  # the package throws Exception, and panics of Rust that are none
        if isinstance(error, KeyboardInterrupt):
            raise
        sys.exit(f"{path}: the `tokenizers` package {tokenizers.__version__} does not read it: {error}")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def configured_end(path):
    """eos_token of the tokenizer_config.json beside the tokenizer, or ""."""
    config = pathlib.Path(path).parent / "tokenizer_config.json"
    if not config.exists():
        return ""
    try:
        root = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        sys.exit(f"{config}: cannot be read as JSON: {error}")
    token = root.get("eos_token") if isinstance(root, dict) else None
    token = token.get("content") if isinstance(token, dict) else token
    if token is not None and not isinstance(token, str):
        sys.exit(f"{config}: eos_token: got {json.dumps(token)[:60]}, want a string or {{\"content\": …}}")
    return token or ""


def end_id(tokenizer, path, name):
    if not name and tokenizer.token_to_id("<|endoftext|>") is None:
        name = configured_end(path)
    found = tokenizer.token_to_id(name or "<|endoftext|>")
    if found is None:
        special = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
        sys.exit(f"{path}: no end token; name one with --end-token; special tokens here: {', '.join(special) or 'none'}")
    return found


def fixed_text(value):
    """Attributes are strings of fixed length, UTF-8, with a zero byte behind them."""
    data = value.encode("utf-8") + b"\0"
    return numpy.array(data, dtype=h5py.string_dtype("utf-8", len(data)))


def write(path, arrays, attributes):
    try:
        # A name that nobody can foresee, made exclusively.
        opened, aside = tempfile.mkstemp(prefix=f"{pathlib.Path(path).name}.", suffix=".writing",
                                         dir=pathlib.Path(path).parent)
    except OSError as error:
        sys.exit(f"{path}: cannot be written: {error.strerror}")
    try:
        with os.fdopen(opened, "rb+") as file:
            with h5py.File(file, "w", libver="earliest") as corpus:
                for name, value in attributes.items():
                    corpus.attrs.create(name, fixed_text(value) if isinstance(value, str) else numpy.int64(value))
                for name, array in arrays.items():
                    corpus.create_dataset(name, data=array)  # contiguous: no chunks, no filters
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        os.replace(aside, path)
    except OSError as error:
        os.unlink(aside)
        sys.exit(f"{path}: cannot be written: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--end-token", default="")
    parser.add_argument("--jsonl-field", default="text")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()

    source = require_tokenizer_json(options.tokenizer)
    if absent:
        sys.exit(f"tokenize_hf.py: the Python package {absent} is missing; pip install tokenizers h5py numpy")
    tokenizer = load(options.tokenizer, source)
    end = end_id(tokenizer, options.tokenizer, options.end_token)
    vocab_size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    kind = numpy.dtype("<u2" if vocab_size <= 65536 else "<u4")
    pieces, offsets, hashes, text_bytes = [], [0], [], 0
    xxh3 = document_hash()
    for text in documents(options.files, options.jsonl_field):
        data = text.encode("utf-8")
        ids = tokenizer.encode(text, add_special_tokens=False).ids + [end]
        pieces.append(numpy.array(ids, dtype=kind))
        offsets.append(offsets[-1] + len(ids))
        hashes.append(xxh3(data))
        text_bytes += len(data)
    if not text_bytes:
        sys.exit("no text; nothing was written")
    tokens, offsets = numpy.concatenate(pieces), numpy.array(offsets, dtype="<u8")
    arrays = {"/docs/tokens": tokens, "/docs/offsets": offsets, "/docs/hash": numpy.array(hashes, dtype="<u8"),
              "/tokenizer/json": numpy.frombuffer(source, dtype="u1")}
    attributes = {"schema_version": 1, "endian": "little", "builder": f"tokenize_hf.py, tokenizers {tokenizers.__version__}",
                  "tokenizer_name": pathlib.Path(options.tokenizer).name,
                  "tokenizer_sha256": hashlib.sha256(source).hexdigest(), "vocab_size": vocab_size, "end_of_text": end,
                  "text_bytes": text_bytes, "content_sha256": hashlib.sha256(tokens.tobytes() + offsets.tobytes()).hexdigest()}
    write(options.out, arrays, attributes)
    print(f"{options.out}: {len(tokens)} tokens, {len(hashes)} documents, {text_bytes} bytes of text")


if __name__ == "__main__":
    main()
