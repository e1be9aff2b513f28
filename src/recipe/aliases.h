// Part of Ropewalk, MIT licence.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "recipe/book.h"

namespace rw::recipe {

/// What another trainer calls a key, or a matter that is none here.
struct Alias {
  const char* theirs;           // with underscores
  const char* ours = "";        // "": no key answers to it
  const char* conversion = "";  // "": the same number. Factors with " * " and " / " between them:
                                // VALUE, theirs; keys; TOKENS, of the corpora; plain numbers
  const char* note = "";        // said behind it
  const char* when_false = "";  // of a switch: `note` is what to write when it is on, this when not
};

/// Those of Hugging Face's Trainer, Axolotl, LLaMA-Factory, DeepSpeed, Megatron-LM, torchtitan,
/// MosaicML, OLMo, llm.c and nanoGPT.
std::span<const Alias> aliases();
/// `name` in the writing of aliases(): "--micro-batch-size" is micro_batch_size.
std::string plain_name(std::string name);
/// nullptr: nobody calls anything so.
const Alias* find_alias(const std::string& name);

/// Complains about book.foreign_keys(): what each is here, in the numbers of this recipe.
void explain_aliases(const Facts& facts, Book& book);

}  // namespace rw::recipe
