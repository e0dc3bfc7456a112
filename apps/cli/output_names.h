#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace flux2::cli {

/// The names of `count` pictures, all different, after `pattern`:
///  - "%d" (or "%03d", ...) in the file name becomes the picture's number from 0;
///  - "{seed}" in it becomes the picture's seed;
///  - where that leaves several pictures with one name, the number is put before the ending:
///    "cat0.png", "cat1.png"; after a digit with a dash: "flux2-0.png", "flux2-1.png".
///
/// @param seeds  none, one for all, or one a picture
/// @throws Error invalid_request: "{seed}" without a seed, a pattern without a file name
std::vector<std::filesystem::path> output_names(const std::string& pattern, std::size_t count,
                                                const std::vector<std::uint64_t>& seeds);

/// Finds out before the work whether all of `pictures` and `tensors` can be written.
/// @throws Error invalid_request: an unknown ending (.png .jpg .jpeg .webp; .safetensors is not
///               demanded of tensors), two outputs of one name; bad_file: a folder that is missing
///               or not writable, a name that is a folder's
void check_outputs(const std::vector<std::filesystem::path>& pictures,
                   const std::vector<std::filesystem::path>& tensors);

/// Finds out before the work whether the prompts fit into what a JPEG can say about itself.
/// @throws Error invalid_request: one of `pictures` is a JPEG and a prompt is too long for it
void check_text_fits(const std::vector<std::filesystem::path>& pictures,
                     const std::vector<std::string>& prompts);

}  // namespace flux2::cli
