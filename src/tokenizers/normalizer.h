#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flux2 {

enum class NormalForm { nfc, nfd, nfkc, nfkd };

/// Unicode normal forms, applied one after the other; none leaves a text as it is.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalForm> forms) : forms_(std::move(forms)) {}

  /// @param text  well-formed UTF-8
  std::string normalize(std::string_view text) const;

 private:
  std::vector<NormalForm> forms_;
};

}  // namespace flux2
