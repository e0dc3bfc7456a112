#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "flux2/request.h"
#include "images/geometry.h"

namespace flux2 {

/// The references of a request as the VAE takes them: rgb or rgb_float, sides a multiple of 16.
struct References {
  std::vector<Image> shared;  ///< condition every sample
  /// One list for each sample; empty: none. The k-th pictures of all lists are equally large.
  std::vector<std::vector<Image>> per_sample;

  /// Pixels of the first one, from which a call without a size takes it.
  std::optional<Size> first_size(const Request& request) const;
  /// Tokens of a sample, those of Request::image_latents included.
  std::int64_t tokens(const Request& request) const;
};

/// @param prompts         of the request
/// @param batch           pictures that are drawn
/// @param latent_channels of a token
/// @throws Error invalid_request: names the argument or the picture
References prepare_references(const Request& request, std::int64_t prompts, std::int64_t batch,
                              std::int64_t latent_channels);

}  // namespace flux2
