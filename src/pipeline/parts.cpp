#include "pipeline/parts.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "flux2/error.h"
#include "pipeline/memory.h"

namespace flux2 {
namespace {

using Residency = PipelineOptions::Residency;

// Activations, scratch memory and everything else that is not a weight.
constexpr std::int64_t kHeadroom = std::int64_t{1} << 30;

constexpr const char* kTextEncoder = "text_encoder";
constexpr const char* kTransformer = "transformer";

LoadProgress reporting_to(Monitor& monitor) {
  return [&monitor](std::size_t done, std::size_t total) {
    monitor.advance(static_cast<std::int64_t>(done), static_cast<std::int64_t>(total));
  };
}

using Generation = DecoderUse::Generation;

std::string fingerprint_of(const PartConfig& config, const Checkpoint& weights) {
  return config.file.to_json() + "\n" + fingerprint(weights);
}

// While it lives, layers that are prepared are streamed to that share.
class Streaming {
 public:
  Streaming(StreamingOps& ops, double share) : ops_(ops) { ops_.stream(share); }
  ~Streaming() { ops_.stream(0); }
  Streaming(const Streaming&) = delete;
  Streaming& operator=(const Streaming&) = delete;

 private:
  StreamingOps& ops_;
};

// Whether a model that was loaded for `loaded` can do what `wanted` asks for.
bool covers(const DecoderUse& loaded, const DecoderUse& wanted) {
  const auto last = [](const DecoderUse& use) {
    return use.taps.empty() ? -1 : *std::max_element(use.taps.begin(), use.taps.end());
  };
  if (loaded.generation == Generation::yes) return true;
  return wanted.generation == Generation::no && last(wanted) <= last(loaded);
}

}  // namespace

Parts::Parts(const ModelFolder& model, Backend& backend, Residency residency,
             std::int64_t memory_limit)
    : model_(model), backend_(backend), residency_(residency), memory_limit_(memory_limit) {}

void Parts::follow(const Plan* plan) {
  plan_ = plan;
  // What is held in another way than the plan says is loaded anew.
  const bool anew = is_released(kTransformer) || is_released(kTextEncoder);
  if (anew || text_streamed_ != streamed_share(kTextEncoder)) text_encoder_.reset();
  if (anew || transformer_streamed_ != streamed_share(kTransformer)) transformer_.reset();
  backend_.ops->release();
}

double Parts::streamed_share(const char* part) const {
  const PartPlan* planned = plan_ == nullptr ? nullptr : plan_->part(part);
  return planned == nullptr ? 0 : planned->streamed_share;
}

bool Parts::is_released(const char* part) const {
  const PartPlan* planned = plan_ == nullptr ? nullptr : plan_->part(part);
  return planned != nullptr && planned->afterwards == PartPlan::Afterwards::released;
}

std::int64_t Parts::free_memory() const {
  const std::int64_t available = available_memory();
  return memory_limit_ <= 0 ? available : std::min(available, memory_limit_ - anonymous_memory());
}

// What the system can give, and what lies idle in the backend: tensors get that first.
std::int64_t Parts::obtainable_memory() const {
  return free_memory() + static_cast<std::int64_t>(backend_.ops->idle_bytes());
}

// Text encoder and transformer are the large parts: what is not needed now goes first. Its memory
// is not given back but becomes the next part's, since clearing new pages takes longer than
// packing.
void Parts::make_room(std::int64_t needed, const std::string& what) {
  if (plan_ != nullptr) return;  // which has seen to it
  const bool fits = needed + kHeadroom <= obtainable_memory();
  if (residency_ == Residency::release || !fits) drop_models();
  const auto idle = static_cast<std::int64_t>(backend_.ops->idle_bytes());
  require(needed - idle, what,
          backend_.compute == Compute::int8
              ? "close other programs or use a smaller model"
              : "a smaller compute type (bf16, int8) halves it; close other programs");
}

void Parts::require(std::int64_t bytes, const std::string& what, const std::string& hint) const {
  require_memory({.bytes = bytes, .available = free_memory()}, what, hint);
}

bool Parts::has_room(std::int64_t bytes) {
  if (bytes <= free_memory()) return true;
  backend_.ops->trim();
  return bytes <= free_memory();
}

void Parts::drop_models() {
  if (residency_ == Residency::keep) return;
  text_encoder_.reset();
  transformer_.reset();
  backend_.ops->release();
}

void Parts::end_text() {
  if (!is_released(kTextEncoder)) return;
  text_encoder_.reset();
  backend_.ops->release();
}

void Parts::end_steps() {
  if (is_released(kTransformer)) release_models();
}

void Parts::release_models() {
  if (residency_ == Residency::keep) return;
  drop_models();
  backend_.ops->trim();
}

const Tokenizer& Parts::tokenizer() {
  if (!tokenizer_) tokenizer_ = model_.tokenizer();
  return *tokenizer_;
}

void Parts::use(const CallAdapters& adapters) {
  wanted_text_change_ = adapters.text_encoder;
  wanted_transformer_change_ = adapters.transformer;
}

void Parts::change(const WeightsTable& table, const Checkpoint& weights, PartChange& applied,
                   const PartChange& wanted, Ops& ops, Monitor& monitor) {
  std::set<std::string> names = applied.names;
  names.insert(wanted.names.begin(), wanted.names.end());
  table.reload(names, weights, ops, reporting_to(monitor), wanted.change.get());
  applied = wanted;
}

const LanguageModel& Parts::text_encoder(const DecoderUse& use, Ops& ops, Monitor& monitor) {
  const bool same = text_change_.key == wanted_text_change_.key;
  // Of what is streamed nothing is prepared yet: it is rather loaded anew than changed.
  const bool loaded =
      text_encoder_ && covers(text_encoder_use_, use) && (same || text_streamed_ == 0);
  if (loaded && same) return *text_encoder_;
  monitor.begin(Stage::load_text);
  // Until all of it is as it should be it is not kept: a call may end on the way.
  std::unique_ptr<LanguageModel> encoder = std::exchange(text_encoder_, nullptr);
  const Checkpoint weights = model_.weights_of("text_encoder");
  if (loaded) {
    change(encoder->weights(weights), weights, text_change_, wanted_text_change_, ops, monitor);
  } else {
    encoder.reset();
    const PartConfig config = model_.config_of(PartKind::text_encoder);
    encoder = make_language_model(config.file, use);
    const WeightsTable table = encoder->weights(weights);
    make_room(table.packed_bytes(weights, *backend_.ops), "the text encoder");
    const Streaming streaming(*backend_.ops, text_streamed_ = streamed_share(kTextEncoder));
    table.load(weights, ops, reporting_to(monitor), wanted_text_change_.change.get());
    text_change_ = wanted_text_change_;
    text_encoder_use_ = use;
    text_encoder_fingerprint_ = fingerprint_of(config, weights);
  }
  text_encoder_ = std::move(encoder);
  return *text_encoder_;
}

std::string Parts::text_encoder_fingerprint() const {
  if (text_encoder_) return text_encoder_fingerprint_;
  return fingerprint_of(model_.config_of(PartKind::text_encoder),
                        model_.weights_of("text_encoder"));
}

const Transformer& Parts::transformer(Ops& ops, Monitor& monitor) {
  const bool same = transformer_change_.key == wanted_transformer_change_.key;
  const bool loaded = transformer_.has_value() && (same || transformer_streamed_ == 0);
  if (loaded && same) return *transformer_;
  monitor.begin(Stage::load_transformer);
  expected_.reset();  // loading reads ahead by itself
  const Checkpoint weights = model_.weights_of("transformer");
  std::optional<Transformer> transformer = std::exchange(transformer_, std::nullopt);
  if (loaded) {
    change(transformer->weights(), weights, transformer_change_, wanted_transformer_change_, ops,
           monitor);
  } else {
    transformer.reset();
    transformer.emplace(model_.transformer);
    const WeightsTable table = transformer->weights();
    make_room(table.packed_bytes(weights, *backend_.ops), "the transformer");
    const Streaming streaming(*backend_.ops, transformer_streamed_ = streamed_share(kTransformer));
    table.load(weights, ops, reporting_to(monitor), wanted_transformer_change_.change.get());
    transformer_change_ = wanted_transformer_change_;
  }
  transformer_ = std::move(transformer);
  return *transformer_;
}

// No more than half of what is free: the text encoder still needs its own.
void Parts::expect_transformer() {
  if (transformer_ || model_.made) return;
  const Checkpoint weights = model_.weights_of("transformer");
  std::vector<StoredTensor> tensors;
  for (const auto& [name, tensor] : weights.tensors())
    tensors.push_back(tensor);
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::less<>()(a.bytes.data(), b.bytes.data());  // as they lie in their files
  });
  expected_.emplace();
  std::int64_t left = free_memory() / 2;
  for (StoredTensor& tensor : tensors) {
    left -= static_cast<std::int64_t>(tensor.bytes.size());
    if (left < 0) return;
    expected_->ask(std::move(tensor));
  }
}

const Autoencoder& Parts::autoencoder(CoderSides sides, Ops& ops, Monitor& monitor) {
  if (autoencoder_ && (sides == CoderSides::decoder || autoencoder_->can_encode())) {
    return *autoencoder_;
  }
  monitor.begin(Stage::load_vae);
  const Checkpoint weights = model_.weights_of("vae");
  if (sides == CoderSides::both && weights.find("encoder.conv_in.weight") == nullptr) {
    throw Error(ErrorCode::bad_file, "holds no encoder, and there are pictures to encode",
                weights.path().string(), "give a whole VAE: --vae FILE");
  }
  autoencoder_.reset();
  autoencoder_ = Autoencoder::load(weights, model_.vae, ops, sides, reporting_to(monitor));
  return *autoencoder_;
}

}  // namespace flux2
