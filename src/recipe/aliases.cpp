// Part of Ropewalk, MIT licence.
// What Megatron, DeepSpeed, torchtitan, transformers, llm.c and nanoGPT call our keys.
#include <algorithm>
#include <array>

#include "recipe/keys.h"

namespace rw::recipe {
namespace {

struct Alias {
  const char* theirs;
  const char* ours;
};
constexpr std::array kAliases{
    Alias{"max_grad_norm", "train.clip_grad_norm"},
    Alias{"grad_clip", "train.clip_grad_norm"},
    Alias{"clip_grad", "train.clip_grad_norm"},
    Alias{"gradient_clipping", "train.clip_grad_norm"},
    Alias{"learning_rate", "optimizer.lr"},
    Alias{"adam_beta1", "optimizer.betas"},
    Alias{"adam_beta2", "optimizer.betas"},
    Alias{"adam_eps", "optimizer.eps"},
    Alias{"adam_epsilon", "optimizer.eps"},
    Alias{"min_learning_rate", "lr_scheduler.min_lr"},
    Alias{"lr_decay_style", "lr_scheduler.name"},
    Alias{"lr_scheduler_type", "lr_scheduler.name"},
    Alias{"lr_warmup_iters", "lr_scheduler.warmup_steps"},
    Alias{"warmup_iters", "lr_scheduler.warmup_steps"},
    Alias{"warmup_ratio", "lr_scheduler.warmup_steps"},
    Alias{"seq_length", "train.seq_len"},
    Alias{"sequence_length", "train.seq_len"},
    Alias{"block_size", "train.seq_len"},
    Alias{"max_seq_len", "train.seq_len"},
    Alias{"per_device_train_batch_size", "train.micro_batch_size"},
    Alias{"train_micro_batch_size_per_gpu", "train.micro_batch_size"},
    Alias{"local_batch_size", "train.micro_batch_size"},
    Alias{"train_batch_size", "train.global_batch_size"},
    Alias{"total_batch_size", "train.global_batch_size"},
    Alias{"batch_size", "train.global_batch_size"},
    Alias{"gradient_accumulation_steps", "train.global_batch_size"},
    Alias{"num_train_epochs", "train.max_tokens"},
    Alias{"train_iters", "train.max_steps"},
    Alias{"max_iters", "train.max_steps"},
    Alias{"steps", "train.max_steps"},
    Alias{"n_layer", "model.num_hidden_layers"},
    Alias{"n_layers", "model.num_hidden_layers"},
    Alias{"num_layers", "model.num_hidden_layers"},
    Alias{"n_head", "model.num_attention_heads"},
    Alias{"n_heads", "model.num_attention_heads"},
    Alias{"n_kv_heads", "model.num_key_value_heads"},
    Alias{"num_query_groups", "model.num_key_value_heads"},
    Alias{"n_embd", "model.hidden_size"},
    Alias{"d_model", "model.hidden_size"},
    Alias{"dim", "model.hidden_size"},
    Alias{"ffn_hidden_size", "model.intermediate_size"},
    Alias{"norm_eps", "model.rms_norm_eps"},
    Alias{"rope_theta", "model.rope_parameters.rope_theta"},
    Alias{"rope_scaling", "model.rope_parameters"},
    Alias{"eos_token_id", "model.eos_token_ids"},
    Alias{"pipeline_model_parallel_size", "parallel.pp"},
    Alias{"pipeline_parallel_degree", "parallel.pp"},
    Alias{"data_parallel_size", "parallel.dp"},
    Alias{"save_interval", "checkpoint.interval"},
    Alias{"save_steps", "checkpoint.interval"},
    Alias{"save_total_limit", "checkpoint.keep_latest_k"},
    Alias{"eval_interval", "data.validation_interval"},
    Alias{"eval_steps", "data.validation_interval"},
    Alias{"logging_steps", "log.interval"},
    Alias{"log_interval", "log.interval"},
    Alias{"output_path", "output_dir"},
    Alias{"dtype", "precision"},
    Alias{"torch_dtype", "precision"},
    Alias{"gradient_checkpointing", "train.recompute"},
    Alias{"activation_checkpoint", "train.recompute"},
    Alias{"activation_checkpointing", "train.recompute"},
    Alias{"recompute_granularity", "train.recompute"},
    Alias{"recompute_num_layers", "train.recompute_full_layers"},
    Alias{"random_seed", "seed"},
    Alias{"n_kv_head", "model.num_key_value_heads"},
    Alias{"num_kv_heads", "model.num_key_value_heads"},
    Alias{"num_heads", "model.num_attention_heads"},
    Alias{"n_inner", "model.intermediate_size"},
    Alias{"intermediate_dim", "model.intermediate_size"},
    Alias{"hidden_dim", "model.intermediate_size"},
    Alias{"padded_vocab_size", "model.vocab_size"},
    Alias{"n_positions", "model.max_position_embeddings"},
    Alias{"n_ctx", "model.max_position_embeddings"},
    Alias{"tied_embeddings", "model.tie_word_embeddings"},
    Alias{"model_name_or_path", "model.from"},
    Alias{"context_length", "train.seq_len"},
    Alias{"max_length", "train.seq_len"},
    Alias{"num_epochs", "train.max_tokens"},
    Alias{"epochs", "train.max_tokens"},
    Alias{"train_tokens", "train.max_tokens"},
    Alias{"num_train_steps", "train.max_steps"},
    Alias{"wd", "optimizer.weight_decay"},
    Alias{"beta1", "optimizer.betas"},
    Alias{"beta2", "optimizer.betas"},
    Alias{"num_warmup_steps", "lr_scheduler.warmup_steps"},
    Alias{"scheduler", "lr_scheduler.name"},
    Alias{"num_microbatches", "train.global_batch_size"},
    Alias{"gradient_clip_val", "train.clip_grad_norm"},
    Alias{"keep_last_n", "checkpoint.keep_latest_k"},
    Alias{"save_every", "checkpoint.interval"},
    Alias{"checkpoint_interval", "checkpoint.interval"},
    Alias{"eval_every", "data.validation_interval"},
    Alias{"train_data", "data.sources"},
    Alias{"datasets", "data.sources"},
    Alias{"dataset", "data.sources"},
    Alias{"num_workers", "data.loader_threads"},
    Alias{"virtual_pipeline_model_parallel_size", "pipeline.chunks"},
};

}  // namespace

std::string alias_of(const std::string& name) {
  const auto found = std::find_if(kAliases.begin(), kAliases.end(),
                                  [&](const Alias& alias) { return name == alias.theirs; });
  return found == kAliases.end() ? "" : found->ours;
}

}  // namespace rw::recipe
