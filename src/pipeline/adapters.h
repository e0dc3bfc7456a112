#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "adapters/adapter.h"
#include "checkpoint/weights_change.h"
#include "flux2/adapter.h"
#include "pipeline/model_folder.h"

namespace flux2 {

/// What adapters make of one part of a model.
struct PartChange {
  /// Tells changes apart: equal for equal weights. Empty: there is none.
  std::string key;
  std::set<std::string> names;  ///< of the tensors that are changed, canonical
  std::shared_ptr<const WeightsChange> change;
};

/// The adapters of a call, held against the model.
struct CallAdapters {
  std::vector<AdapterReport> reports;
  PartChange transformer;
  PartChange text_encoder;
};

/// The adapters that a pipeline has seen: their files are read, hashed and checked once.
class AdapterShelf {
 public:
  explicit AdapterShelf(const ModelFolder& model) : model_(model) {}

  /// @param scale  multiplies every weight
  /// @throws Error bad_file: see read_adapter and match_adapter; another file than that of the
  ///         digest; cancelled
  CallAdapters prepare(const std::vector<Adapter>& adapters, double scale,
                       const std::stop_token& stop);

 private:
  struct Opened {
    std::filesystem::file_time_type time;
    std::uintmax_t bytes = 0;
    std::string sha256;
    AdapterFile file;
  };

  const Opened& open(const Adapter& adapter, const std::stop_token& stop);
  const std::vector<ModuleIndex>& parts();

  const ModelFolder& model_;
  std::map<std::filesystem::path, Opened> opened_;
  std::vector<ModuleIndex> parts_;
};

/// @throws Error invalid_request: a weight that is no number, too many adapters
void check_adapters(const std::vector<Adapter>& adapters, double scale);

/// @throws Error bad_file: the file of `adapter` has another digest than it says
std::string verified_digest(const Adapter& adapter, const std::filesystem::path& file,
                            const std::stop_token& stop);

}  // namespace flux2
