#include "pipeline/embedded_tokenizer.h"

#include <fmt/format.h>

#include <cstring>
#include <string>
#include <vector>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::int64_t kMostBytes = 256 << 20;  // a tekken.json has 15 MB

[[noreturn]] void refuse(const StoredTensor& tensor, const std::string& what) {
  throw Error(ErrorCode::bad_file, fmt::format("tensor {} {}", tensor.name, what), tensor.file,
              "give the tokenizer itself: --tokenizer FILE");
}

// One byte an element, either as it is or as a number of a floating type (GGUF has no bytes).
std::string bytes_of(const StoredTensor& tensor) {
  const std::int64_t count = tensor.shape.elements();
  if (count > kMostBytes) refuse(tensor, fmt::format("of {} bytes is no tokenizer", count));
  std::string bytes(static_cast<std::size_t>(count), '\0');
  if (tensor.decoder == nullptr && size_of(tensor.dtype) == 1 && !is_floating(tensor.dtype)) {
    std::memcpy(bytes.data(), tensor.bytes.data(), bytes.size());
    return bytes;
  }
  if (!holds_numbers(tensor)) refuse(tensor, "does not hold bytes");
  std::vector<float> values(bytes.size());
  read_rows(tensor, 0, tensor.shape.rank() == 0 ? 1 : tensor.shape[0], values.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<int>(values[i] >= 0 && values[i] <= 255 ? values[i] : -1);
    if (static_cast<float>(value) != values[i]) refuse(tensor, "does not hold bytes");
    bytes[i] = static_cast<char>(value);
  }
  return bytes;
}

// llama.cpp's lists, where the file has them.
std::optional<Tokenizer> listed_tokenizer(const Checkpoint& weights) {
  const Metadata& metadata = weights.metadata();
  const std::vector<std::string>* tokens = metadata.texts("tokenizer.ggml.tokens");
  const std::string* model = metadata.text("tokenizer.ggml.model");
  if (tokens == nullptr || model == nullptr) return std::nullopt;
  const std::string* pre = metadata.text("tokenizer.ggml.pre");
  const std::vector<std::int64_t>* types = metadata.integers("tokenizer.ggml.token_type");
  const std::vector<std::string>* merges = metadata.texts("tokenizer.ggml.merges");
  TokenLists lists{.model = *model, .pre = {}, .tokens = *tokens, .types = {}, .merges = {}};
  if (pre != nullptr) lists.pre = *pre;
  if (types != nullptr) lists.types = *types;
  if (merges != nullptr) lists.merges = *merges;
  return Tokenizer::from_token_lists(lists, weights.path().string());
}

}  // namespace

std::optional<std::string> embedded_tekken(const Checkpoint& text_encoder) {
  const StoredTensor* tekken = text_encoder.aside("tekken_model");
  return tekken == nullptr ? std::nullopt : std::optional(bytes_of(*tekken));
}

std::optional<Tokenizer> embedded_tokenizer(const Checkpoint& text_encoder) {
  const std::optional<std::string> tekken = embedded_tekken(text_encoder);
  if (!tekken) return listed_tokenizer(text_encoder);
  return Tokenizer::from_json(*tekken,
                              fmt::format("tekken_model in {}", text_encoder.path().string()));
}

}  // namespace flux2
