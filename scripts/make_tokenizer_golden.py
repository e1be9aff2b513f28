#!/usr/bin/env python3
# Part of Ropewalk, MIT licence.
"""Writes tests/golden/tokenizers/: one small tokenizer.json per style, odd texts, and the ids that the Hugging Face
`tokenizers` package gives them, with what it decodes them to where that is another text (pip install tokenizers; made with 0.23.3). Run: make_tokenizer_golden.py [FOLDER]."""
import json
import pathlib
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

SAMPLE = """The rope walk is a long straight lane where hemp was laid into rope. It's old; they've said we'll see, I'd say.
the the and and of of in in to to rope ropes roped walking walked walker there their then 1234 2024 3.14 100,000
for (int i = 0; i < n; ++i) { sum += x[i] * y[i]; }  return sum;\n    if (a == b) { return nullptr; }\n\tdef f(x):\n
café naïve façade Ångström über straße El niño corrió. Привет мир, как дела. 日本語のテキスト 中文文本 한국어 שלום עולם مرحبا بالعالم
=== --- ... !!! ??? 🙂🙂 👍🏽 👩‍👩‍👧 é ñ ¿qué? “quoted” – dash — em…
"""

TEXTS = [
    "", " ", "  ", "\n", "a", "The rope walk.", " leading and trailing ", "It's we'll THEY'VE I'D 'S 't 'ſ x'sy",
    "café naïve façade", "cafe\u0301 nai\u0308ve A\u030angstro\u0308m", "\u0301 lone mark", "q\u0323\u0307 q\u0307\u0323",
    "\u212b \u2126 \ufb01 \uf900 \u0344", "\u1100\u1161\u11a8 \uac00\u11a8", "日本語のテキスト。中文文本，和标点！", "한국어 텍스트",
    "🙂👍🏽👩‍👩‍👧🏳️‍🌈 🇩🇪", "שלום עולם مرحبا بالعالم", "\u202eright to left\u202c \u200f\u200e", "Привет, мир!",
    "for (int i = 0; i < n; ++i) {\n\tsum += x[i];\n}\n", "    if x:\r\n        return 1\r\n\r\n\r\n", "a\r\rb\n\n\nc",
    "0 12 123 1234 12345678901234567890 ½ ² ١٢٣ Ⅷ", "\x00\x01\x02\x07\x08\x0b\x0c\x1b\x1c\x1f\x7f", "a\x00b\x00",
    "\u0080\u0085\u00a0\u00ad\u1680\u180e\u2000\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff", "a\u0085b\u00a0c\u180ed",
    "\u00a0\u00a0x \u3000 y", "a" * 300, " " * 200, " " * 199 + "x", "ab" * 150, "\n" * 99, "é" * 120, "🙂" * 60, "!" * 130,
    "rope" * 80, "1" * 100, "\t \t \t x", "x \n y \n\n z  \n", "<|endoftext|>", "a<|endoftext|>b <|endoftext|> c",
    "<|endoftext|", "<|im_start|>user\nhi<|im_end|>", "<tool> a <tool>  b", "xrope_word rope_word. rope_wordy (rope_word)",
    "a   <strip>   b<strip><strip> c", "norme\u0301 norm\u00e9 abnorm\u00e9d", "_under_score __init__ snake_case CamelCase",
    "http://example.org/a?b=c&d=%20", "\ud7ff\ue000\uffff\U00010000\U0010ffff", "ǅ ǈ ẞ ß İ ı", "x\u0300\u0301\u0302\u0303\u0304y",
    "①ⓐ🅰 ‿ _ ⁀", "मुझे हिंदी ไทย မြန်မာ", "{\"key\": [1, 2.5e-3, null]}", "'", "''", "'l 'll 'LL 'Ll",
]


def byte_level(use_regex, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use_regex}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def digits(individual):
    return {"type": "Digits", "individual_digits": individual}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def added(number, content, **flags):
    token = {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
    return token | flags


def learnt():
    """A vocabulary of 420 entries, taught from SAMPLE; written in the file's own terms."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator([SAMPLE] * 3, trainer)
    return json.loads(tokenizer.to_str())["model"]


def styles():
    model = learnt()
    size = len(model["vocab"])
    base = {"version": "1.0", "truncation": None, "padding": None, "post_processor": None, "decoder": byte_level(True)}
    pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
    strings = [" ".join(pair) for pair in pairs]
    extra = [added(size, "<|endoftext|>"), added(size + 1, "<|im_start|>"), added(size + 2, "<|im_end|>")]
    flags = [added(size + 3, "<tool>", special=False), added(size + 4, "rope_word", single_word=True, special=False),
             added(size + 5, "<strip>", lstrip=True, rstrip=True),
             added(size + 6, "normé", normalized=True, special=False)]
    # LLaMA-3 has tokens that no merge makes: ignore_merges finds them all the same.
    whole = dict(model["vocab"])
    for token in ("Ġunreachable", "ropeĠwalk", "corriÃ³", "100", "12"):
        whole.setdefault(token, len(whole))
    shifted = [token | {"id": token["id"] + len(whole) - size} for token in extra + flags]
    template = {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [len(whole)],
                                                     "tokens": ["<|endoftext|>"]}}}
    yield "gpt2", base | {"added_tokens": extra[:1], "normalizer": None, "pre_tokenizer": byte_level(True),
                          "model": model | {"merges": strings}}
    yield "llama3", base | {"added_tokens": shifted, "normalizer": None, "pre_tokenizer": sequence(split(LLAMA3), byte_level(False)),
                            "post_processor": template,
                            "model": model | {"vocab": whole, "merges": pairs, "ignore_merges": True}}
    yield "qwen", base | {"added_tokens": extra + flags, "normalizer": {"type": "NFC"}, "pre_tokenizer": sequence(split(QWEN), byte_level(False)),
                          "model": model | {"merges": strings}}
    plain = base | {"added_tokens": extra[:1], "normalizer": None, "model": model | {"merges": strings}}
    yield "digits", plain | {"pre_tokenizer": sequence(digits(True), byte_level(True))}
    yield "digit_runs", plain | {"pre_tokenizer": sequence(digits(False), byte_level(True, prefix=True))}
    yield "removed", plain | {"pre_tokenizer": sequence(split(r"\s+", "Removed"), split(QWEN, "Removed", invert=True),
                                                        byte_level(False, prefix=True))}
    yield "merged", plain | {"pre_tokenizer": sequence(split("[A-Z]|(?=o)", "MergedWithNext"), split("[.,;]|e*", "MergedWithPrevious"),
                                                       split("[a-z ]", "Contiguous", invert=True), byte_level(False))}
    yield "nfkc", plain | {"normalizer": {"type": "NFKC"}, "pre_tokenizer": byte_level(True),
                           "added_tokens": extra[:1] + [added(size + 1, "ｎorm", normalized=True, special=False)]}
    yield "nfd", plain | {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKD"}, {"type": "NFD"}]},
                          "pre_tokenizer": byte_level(True)}
    # Bytes that the vocabulary lacks: dropped, one unknown token each, one for all that touch.
    known = [token for token in model["vocab"] if token not in ("w", "Ã", "ð", "Ċ", "1", "Ł", "Ģ", "Ġ")]
    vocab = {token: number for number, token in enumerate(known + ["<unk>"])}
    merges = [pair for pair in pairs if all(token in vocab for token in (*pair, "".join(pair)))]
    lacking = plain | {"pre_tokenizer": byte_level(True), "added_tokens": [added(len(vocab), "<|endoftext|>")]}
    for name, more in (("dropped", {}), ("unknown", {"unk_token": "<unk>"}), ("fused", {"unk_token": "<unk>", "fuse_unk": True})):
        yield name, lacking | {"model": model | {"vocab": vocab, "merges": merges} | more}


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "tests/golden/tokenizers"
    folder.mkdir(parents=True, exist_ok=True)
    texts = [text for text in TEXTS if not any(0xD800 <= ord(c) < 0xE000 for c in text)]
    ids, decoded = {}, {}
    for name, file in styles():
        text = json.dumps(file, ensure_ascii=False, separators=(",", ":"))
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        tokenizer = Tokenizer.from_str(text)
        ids[name] = [tokenizer.encode(one, add_special_tokens=False).ids for one in texts]
        back = tokenizer.decode_batch(ids[name], skip_special_tokens=False)
        decoded[name] = {i: text for i, text in enumerate(back) if text != texts[i]}
    lines = [json.dumps({"text": text} | {name: ids[name][i] for name in ids} |
                        {"decoded": {name: decoded[name][i] for name in ids if i in decoded[name]}}, separators=(",", ":"))
             for i, text in enumerate(texts)]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{folder}: {len(texts)} texts, {len(ids)} styles")


if __name__ == "__main__":
    main()
