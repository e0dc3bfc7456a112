#pragma once

#include <cstddef>

#include "flux2/pipeline.h"
#include "generate_options.h"

namespace flux2::cli {

/// What `generate` will ask of the library, with every input file read.
struct BuiltRequest {
  ModelSource model;  ///< for Pipeline::load
  Request request;
  bool seed_drawn = false;            ///< the seed was drawn here
  std::vector<std::string> warnings;  ///< options that have no effect
};

/// Starts from the picture's recorded request where `from` is given, puts the other options over
/// it, reads their files, and draws a seed where one is needed and none was given.
/// @throws Error bad_file: an input that cannot be read; invalid_request: no prompt
BuiltRequest build_request(const GenerateOptions& options);

/// How many pictures `request` makes.
/// @throws Error invalid_request: more than one call can make
std::size_t picture_count(const Request& request);

}  // namespace flux2::cli
