#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace flux2 {

/// A tokenizer as llama.cpp's files carry it: GGUF's tokenizer.ggml.*.
struct TokenLists {
  std::string_view model;               ///< tokenizer.ggml.model: "gpt2" is byte-level BPE
  std::string_view pre;                 ///< tokenizer.ggml.pre: "qwen2", "tekken"
  std::span<const std::string> tokens;  ///< by id
  std::span<const std::int64_t> types;  ///< of each token, llama.cpp's llama_token_type
  std::span<const std::string> merges;  ///< "a b", in the order of their ranks
};

}  // namespace flux2
