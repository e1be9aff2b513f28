// Part of Ropewalk, MIT licence.
#include "model/resolve.h"

#include <gtest/gtest.h>

#include "model/flops.h"
#include "support/numbers.h"

namespace rw::model {
namespace {

Options small() {
  Options out;
  out.hidden_size = 100;
  out.num_hidden_layers = 2;
  out.num_attention_heads = 5;
  out.vocab_size = 50;
  return out;
}

std::string refusal(const Options& options, std::int64_t seq_len = 8) {
  Options copy = options;
  return test::message_of([&] { resolve(copy, seq_len); });
}

TEST(ResolveTest, FillsWhatIsDerived) {
  Options model = small();
  resolve(model, 64);
  EXPECT_EQ(model.num_key_value_heads, 5);
  EXPECT_EQ(model.head_dim, 20);
  EXPECT_EQ(model.intermediate_size, 320);  // 266.67 -> a multiple of 64
  EXPECT_EQ(model.max_position_embeddings, 64);
}

TEST(ResolveTest, Qwen3HasHeadsOf128) {
  Options model = small();
  model.name = "qwen3";
  resolve(model, 0);
  EXPECT_EQ(model.head_dim, 128);
}

TEST(ResolveTest, KeepsWhatIsGiven) {
  Options model = small();
  model.num_key_value_heads = 1;
  model.head_dim = 6;
  model.intermediate_size = 7;
  model.max_position_embeddings = 99;
  resolve(model, 64);
  EXPECT_EQ(model.num_key_value_heads, 1);
  EXPECT_EQ(model.head_dim, 6);
  EXPECT_EQ(model.intermediate_size, 7);
  EXPECT_EQ(model.max_position_embeddings, 99);
}

TEST(ResolveTest, NamesTheKeyThatIsMissing) {
  Options model = small();
  model.vocab_size = 0;
  EXPECT_EQ(refusal(model), "model.vocab_size: got 0, want a whole number >= 1");
  model = small();
  model.num_hidden_layers = -1;
  EXPECT_EQ(refusal(model), "model.num_hidden_layers: got -1, want a whole number >= 1");
  model = small();
  model.name = "gpt2";
  EXPECT_EQ(refusal(model), "model.name: got gpt2, want one of llama, qwen3");
}

TEST(ResolveTest, HeadsMustDivide) {
  Options model = small();
  model.num_key_value_heads = 2;
  EXPECT_EQ(refusal(model),
            "model.num_key_value_heads: got 2, want a divisor of model.num_attention_heads (5); "
            "try 5");
  model = small();
  model.num_attention_heads = 3;
  EXPECT_EQ(refusal(model),
            "model.hidden_size: got 100, want a multiple of model.num_attention_heads (3); try "
            "102");
  model.head_dim = 20;  // as transformers: the same with a head_dim of its own
  EXPECT_NE(refusal(model).find("model.hidden_size: got 100"), std::string::npos);
  model.name = "qwen3";
  EXPECT_EQ(refusal(model), "no error");
  model = small();
  model.head_dim = 7;
  EXPECT_EQ(refusal(model),
            "model.head_dim: got 7, want an even number (rotary embedding turns pairs); try 8");
}

TEST(ResolveTest, SequencesMustFit) {
  Options model = small();
  model.max_position_embeddings = 4;
  EXPECT_EQ(refusal(model),
            "model.max_position_embeddings: got 4, want at least train.seq_len (8); try 8");
}

TEST(ResolveTest, RopeParameters) {
  Options model = small();
  model.rope_parameters.rope_type = "yarn";
  EXPECT_EQ(refusal(model),
            "model.rope_parameters.rope_type: got yarn, want one of default, linear, llama3");
  model.rope_parameters.rope_type = "linear";
  model.rope_parameters.factor = 0.5;
  EXPECT_EQ(refusal(model), "model.rope_parameters.factor: got 0.5, want a number >= 1");
  model.rope_parameters.rope_type = "llama3";
  model.rope_parameters.factor = 8;
  EXPECT_NE(refusal(model).find("original_max_position_embeddings"), std::string::npos);
  model.rope_parameters.original_max_position_embeddings = 8192;
  EXPECT_EQ(refusal(model), "no error");
  model.rope_parameters.rope_theta = 0;
  EXPECT_EQ(refusal(model), "model.rope_parameters.rope_theta: got 0, want a number > 0");
}

TEST(ResolveTest, OtherNumbers) {
  Options model = small();
  model.rms_norm_eps = 0;
  EXPECT_EQ(refusal(model), "model.rms_norm_eps: got 0, want a number > 0");
  model = small();
  model.initializer_range = -1;
  EXPECT_EQ(refusal(model), "model.initializer_range: got -1, want a number > 0");
}

TEST(FlopsTest, HandWorked) {
  Options model = small();
  model.intermediate_size = 10;
  resolve(model, 64);
  // Per layer q, k, v, o: 4 * 100 * 100; gate, up, down: 3 * 100 * 10. Head: 100 * 50.
  const double matrices = 2 * (40000 + 3000) + 5000;
  EXPECT_DOUBLE_EQ(flops_per_token(model, 7), 6 * matrices + 6 * 2 * 5 * 20 * 8);
}

}  // namespace
}  // namespace rw::model
