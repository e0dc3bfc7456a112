#pragma once

#include <string>
#include <vector>

#include "flux2/image.h"
#include "program.h"

namespace flux2 {

/// `flux2 generate` of a small picture by the built-in model, with `more` at its end.
inline std::vector<std::string> nano_arguments(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"generate", "-p",         "a red circle", "--steps",
                                        "1",        "--width",    "64",           "--height",
                                        "64",       "--progress", "none"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

inline Finished run_nano(const std::vector<std::string>& more) {
  return run_flux2(nano_arguments(more));
}

/// A black picture.
inline Image black_image(int width, int height) {
  Image image;
  image.width = width;
  image.height = height;
  image.pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  return image;
}

}  // namespace flux2
