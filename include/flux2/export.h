#pragma once

/// @file
/// What the shared library exports: every declaration of include/flux2, and nothing else.
///
/// The library is compiled with hidden visibility. A public header opens its namespace with
/// `namespace FLUX2_API flux2`, which makes what it declares visible; a declaration of the same
/// namespace elsewhere stays hidden. See docs/decisions/exported-symbols.md.

/// Makes what a namespace block declares visible to users of the shared library.
#define FLUX2_API [[gnu::visibility("default")]]
/// For a nested class that a public header has to declare and keeps to itself.
#define FLUX2_PRIVATE [[gnu::visibility("hidden")]]
