# The shared library exports namespace flux2, only what the public headers declare, and all of it
# that a program may call.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
run(${NM} --dynamic --defined-only --demangle --format=posix ${PREFIX}/${LIBDIR}/libflux2.so)
string(REPLACE ";" "," OUTPUT "${OUTPUT}")
string(REPLACE "\n" ";" SYMBOLS "${OUTPUT}")

# What the interface is: the names in the tables of docs/reference.md.
file(STRINGS ${SOURCE}/docs/reference.md INTERFACE REGEX "^\\| `[A-Za-z_0-9]+` \\|")
list(TRANSFORM INTERFACE REPLACE "^\\| `([A-Za-z_0-9]+)`.*" "\\1")

set(SURPLUS "")
foreach(SYMBOL IN LISTS SYMBOLS)
  set(KIND "^(vtable for |typeinfo for |typeinfo name for )?")
  if(NOT SYMBOL MATCHES "${KIND}flux2::([A-Za-z_0-9]+)" OR NOT CMAKE_MATCH_2 IN_LIST INTERFACE
     OR SYMBOL MATCHES "${KIND}flux2::[A-Za-z_0-9]+::Impl")
    string(APPEND SURPLUS "${SYMBOL}\n")
  endif()
endforeach()
if(SURPLUS)
  message(FATAL_ERROR "exported, though no part of the interface:\n${SURPLUS}")
endif()
foreach(NEEDED "flux2::Pipeline::load(" "flux2::Pipeline::generate(" "flux2::save_image("
               "flux2::version()" "flux2::Error::Error(" "typeinfo for flux2::Error")
  string(FIND "${OUTPUT}" "${NEEDED}" FOUND)
  if(FOUND EQUAL -1)
    message(FATAL_ERROR "${NEEDED} is not exported")
  endif()
endforeach()
list(LENGTH SYMBOLS COUNT)
message(STATUS "${COUNT} symbols")
