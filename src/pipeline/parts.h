#pragma once

#include <memory>
#include <optional>
#include <string>

#include "checkpoint/read_ahead.h"
#include "flux2/plan.h"
#include "models/autoencoder/autoencoder.h"
#include "models/flux2/transformer.h"
#include "models/language/language_model.h"
#include "pipeline/adapters.h"
#include "pipeline/backend.h"
#include "pipeline/model_folder.h"
#include "pipeline/monitor.h"
#include "tokenizers/tokenizer.h"

namespace flux2 {

/// The parts of a model that are in memory: loaded when a stage asks, released when memory does not
/// hold them all.
class Parts {
 public:
  /// @param memory_limit  see PipelineOptions
  Parts(const ModelFolder& model, Backend& backend, PipelineOptions::Residency residency,
        std::int64_t memory_limit = 0);

  /// The adapters that text encoder and transformer are given with from now on. What is loaded is
  /// changed when it is asked for, weight by weight.
  void use(const CallAdapters& adapters);

  /// From here on parts are held as the plan of a call says, until nullptr comes: then parts that
  /// are loaded are held whole, and room is made where a limit is met.
  /// @param plan  must outlive the call
  void follow(const Plan* plan);
  const Plan* plan() const { return plan_; }

  const Tokenizer& tokenizer();
  /// @param use  decides how many layers are read; a model that can continue a text can also encode
  const LanguageModel& text_encoder(const DecoderUse& use, Ops& ops, Monitor& monitor);
  /// What tells the text encoder's weights and configuration from others: of the one that is
  /// loaded, else of the one that the files hold now.
  std::string text_encoder_fingerprint() const;
  /// The key of the change that the text encoder is given with.
  const std::string& text_encoder_change() const { return wanted_text_change_.key; }
  const Transformer& transformer(Ops& ops, Monitor& monitor);
  /// Reads the transformer's files ahead while something else computes, unless it is loaded.
  void expect_transformer();
  const Autoencoder& autoencoder(CoderSides sides, Ops& ops, Monitor& monitor);

  /// Bytes of a matmul input.
  std::int64_t operand_size() const { return backend_.operand_size(); }
  /// Whether `bytes` of activations fit. Where they don't, scratch memory that lies idle is given
  /// back first.
  bool has_room(std::int64_t bytes);
  /// @throws Error out_of_memory if `bytes` for `what` do not fit
  void require(std::int64_t bytes, const std::string& what, const std::string& hint) const;
  /// Lets go of text encoder and transformer, unless the caller wants to keep them.
  void release_models();
  /// The text is encoded: a plan may want the memory for what follows.
  void end_text();
  /// The steps are done, likewise.
  void end_steps();

 private:
  std::int64_t free_memory() const;
  std::int64_t obtainable_memory() const;
  double streamed_share(const char* part) const;
  bool is_released(const char* part) const;
  /// Before the weights of `table` are loaded.
  /// @throws Error out_of_memory if they fit even less
  void make_room(std::int64_t needed, const std::string& what);
  void drop_models();
  /// Brings a model that is loaded with `applied` to `wanted`.
  void change(const WeightsTable& table, const Checkpoint& weights, PartChange& applied,
              const PartChange& wanted, Ops& ops, Monitor& monitor);

  const ModelFolder& model_;
  Backend& backend_;
  PipelineOptions::Residency residency_;
  std::int64_t memory_limit_;
  const Plan* plan_ = nullptr;
  std::optional<Tokenizer> tokenizer_;
  DecoderUse text_encoder_use_;
  std::unique_ptr<LanguageModel> text_encoder_;
  std::string text_encoder_fingerprint_;  ///< of the one that is loaded
  std::optional<Transformer> transformer_;
  double text_streamed_ = 0;         ///< of the text encoder that is loaded
  double transformer_streamed_ = 0;  ///< of the transformer that is loaded
  std::optional<Autoencoder> autoencoder_;
  std::optional<ReadAhead> expected_;  ///< reads what will be loaded next
  PartChange wanted_text_change_;
  PartChange text_change_;  ///< of the text encoder that is loaded
  PartChange wanted_transformer_change_;
  PartChange transformer_change_;  ///< of the transformer that is loaded
};

}  // namespace flux2
