#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "flux2/export.h"

namespace FLUX2_API flux2 {

/// In what order an adapter's rows for the last modulation are taken, where the adapter has BFL's
/// name for it (`final_layer.adaLN_modulation.1`): BFL's weight holds shift before scale,
/// Diffusers' scale before shift.
enum class AdaLnOrder {
  correct,    ///< the halves change places with the weight's
  reference,  ///< they stay, as Diffusers 0.42 leaves them: its pictures, not the trainer's
};

/// A LoRA, DoRA, LoKr, LoHa or a set of full differences, and how strongly it acts.
struct Adapter {
  /// A safetensors file, or a folder with `adapter_model.safetensors` (PEFT),
  /// `pytorch_lora_weights.safetensors` (Diffusers) or one such file alone.
  std::string path;
  double weight = 1;  ///< any number; 0 leaves the adapter out
  /// Go on without keys that are not understood and modules that do not fit; otherwise they are
  /// errors. An adapter of which nothing fits is an error in any case.
  bool lenient = false;
  AdaLnOrder adaln_order = AdaLnOrder::correct;  ///< of the last modulation
  /// Of the file, in lower-case hexadecimal. Where it is given, another file is refused.
  std::string sha256 = {};
};

/// What an adapter turned out to be.
struct AdapterReport {
  std::string name;                   ///< of its file, without the ending
  std::string file;                   ///< that was read
  std::string sha256;                 ///< of the file
  std::string kind;                   ///< "LoRA of rank 16", "DoRA, LoRA of rank up to 64", ...
  double weight = 1;                  ///< as it acts: of the adapter times Request::adapter_scale
  std::size_t matched = 0;            ///< modules that are this model's
  std::size_t modules = 0;            ///< modules in the file
  std::vector<std::string> left_out;  ///< keys and modules, where the adapter is `lenient`
};

}  // namespace flux2
