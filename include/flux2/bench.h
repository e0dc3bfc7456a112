#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "flux2/pipeline.h"

namespace FLUX2_API flux2 {

/// What is measured, and on what.
struct BenchOptions {
  std::string model = "nano";  ///< see Pipeline::load; not used where `random` is given
  /// A published model with random weights, made in memory: "klein-4b", "klein-base-4b",
  /// "klein-9b", "klein-base-9b", "klein-9b-kv" or "dev". Same shapes, same speed, noise for
  /// pictures.
  std::string random = {};
  /// Of a random model, keep at most so many blocks of each kind and so many layers of the text
  /// encoder (at least 3), 1 or more.
  std::optional<int> layers = {};
  std::optional<int> width = {};        ///< pixels, a multiple of 16; default: the model's
  std::optional<int> height = {};       ///< pixels, a multiple of 16; default: the model's
  std::optional<int> steps = {};        ///< 1 or more; default: the model's
  std::optional<int> text_tokens = {};  ///< padding included; default: the model's
  PipelineOptions pipeline = {};        ///< compute type, threads, ...
  /// Whether the machine's ceilings are measured too, which takes some ten seconds and 1 GiB.
  enum class Ceilings { measure, skip };
  Ceilings ceilings = Ceilings::measure;               ///< skip: ratios are left out
  std::stop_token stop = {};                           ///< ends with Error cancelled
  std::function<void(const Progress&)> progress = {};  ///< called often
};

/// What a machine can do at most, measured with oneDNN's matmuls and plain loops. FLOP count a
/// multiplication and an addition as two.
struct MachineCeilings {
  double matmul_f32_flops = 0;                   ///< FLOP/s
  std::optional<double> matmul_bf16_flops = {};  ///< FLOP/s; none: no such instructions
  double matmul_int8_flops = 0;                  ///< the same count of bytes
  double convolution_flops = 0;                  ///< FLOP/s, bf16 where there is, else f32
  double read_bytes = 0;                         ///< bytes/s out of memory
  double copy_bytes = 0;                         ///< bytes/s in and out of memory
};

/// All calls of one operation in a stage.
struct OpCost {
  std::string name;        ///< as in ops.h: "linear", "attention"
  std::int64_t calls = 0;  ///< in the whole stage
  double seconds = 0;      ///< of all calls together
  double bytes = 0;        ///< least memory traffic: every input, weight and output once
  double flops = 0;        ///< of matmuls, convolutions and attention; 0 for others
  /// Time at the ceiling over the time taken: of FLOP, or of bytes where there are none.
  std::optional<double> ceiling_share = {};
};

/// One stage: encoding the text, a step (all of them together), decoding.
struct StageCost {
  double seconds = 0;            ///< wall clock
  double flops = 0;              ///< of matmuls, convolutions and attention
  std::vector<OpCost> ops = {};  ///< the most expensive first
  /// The seconds that its FLOP take at the ceilings.
  std::optional<double> floor_seconds = {};
};

/// What a benchmark measured. Times are wall clock.
struct BenchReport {
  std::string model;                        ///< "random klein-4b"
  std::string backend;                      ///< see Pipeline::backend
  Compute compute = Compute::f32;           ///< what matrices were multiplied in, never automatic
  int threads = 1;                          ///< that computed
  int width = 0;                            ///< pixels
  int height = 0;                           ///< pixels
  int text_tokens = 0;                      ///< padding included
  double seconds_load_text = 0;             ///< reading and packing the text encoder
  double seconds_load_transformer = 0;      ///< the transformer
  double seconds_load_vae = 0;              ///< the VAE
  std::vector<double> step_seconds;         ///< one a step
  StageCost text;                           ///< encoding the prompt
  StageCost denoise;                        ///< all steps
  StageCost decode;                         ///< latents to pixels
  std::int64_t peak_memory_bytes = 0;       ///< resident, mapped files included
  std::int64_t peak_anonymous_bytes = 0;    ///< what the process made itself, sampled
  std::int64_t planned_peak_bytes = 0;      ///< what the plan had predicted of it
  std::optional<MachineCeilings> ceilings;  ///< none: they were not asked for

  /// Of all parts together.
  double seconds_load() const {
    return seconds_load_text + seconds_load_transformer + seconds_load_vae;
  }
  /// Median of the steps after the first; the first where there is no other.
  double seconds_per_step() const;
};

/// Loads every part of a model as a call would, runs the stages of text to image on one picture,
/// and times them.
/// @throws Error as Pipeline::load and generate; invalid_request: a model that is not published,
///         a number out of range
BenchReport bench(const BenchOptions& options);

/// What bench would do, without doing it: no weight is read, and of a random model none is made.
/// @throws Error as bench; out_of_memory: no way of doing it fits
Plan plan_bench(const BenchOptions& options);

}  // namespace flux2
