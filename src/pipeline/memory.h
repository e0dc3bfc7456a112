#pragma once

#include <cstdint>
#include <string>

namespace flux2 {

/// Bytes that this process may still take without being killed: free memory of the machine and of
/// its control group, whichever is less.
std::int64_t available_memory();

/// Most resident memory that this process has had, mapped files included.
std::int64_t peak_memory();

/// @param what  what needs the memory: "the transformer"
/// @throws Error out_of_memory if `bytes` are more than available_memory()
void require_memory(std::int64_t bytes, const std::string& what, const std::string& hint);

/// "7.4 GB"
std::string format_bytes(std::int64_t bytes);

}  // namespace flux2
