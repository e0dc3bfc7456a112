# Compiler settings, dependencies, and the two functions that every folder uses:
#   flux2_layer(NAME DEPENDS ...)        one folder of src/, with what is below it, as a library
#   flux2_test(NAME SOURCES ... DEPENDS) one gtest program, its cases registered with ctest
include(GNUInstallDirs)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED)
find_package(dnnl REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(PNG REQUIRED)
find_package(JPEG REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc)
find_package(ZLIB REQUIRED)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.85)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)

# What every target of the project compiles with.
add_library(flux2_options INTERFACE)
target_include_directories(flux2_options INTERFACE ${PROJECT_SOURCE_DIR}/include
                                                   ${PROJECT_SOURCE_DIR}/src)
target_compile_options(flux2_options INTERFACE -Wall -Wextra -Wpedantic -Wconversion)
if(FLUX2_WERROR)
  target_compile_options(flux2_options INTERFACE -Werror)
endif()
# x86-64-v2 is the floor of the common code; kernels choose AVX2 and above at run time. Fusing a
# multiply and an add behind the source's back would make results depend on the compiler.
target_compile_options(flux2_options INTERFACE -ffp-contract=off)
target_link_libraries(flux2_options INTERFACE Threads::Threads)
if(FLUX2_SANITIZE)
  target_compile_options(flux2_options INTERFACE -fsanitize=${FLUX2_SANITIZE}
                         -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_link_options(flux2_options INTERFACE -fsanitize=${FLUX2_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented, std::function and std::regex look uninitialised to GCC 12.
    target_compile_options(flux2_options INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(FLUX2_SANITIZE STREQUAL "thread")
  # libgomp is not instrumented: its barriers look like races. One thread a call, no OpenMP.
  target_compile_definitions(flux2_options INTERFACE FLUX2_SERIAL=1)
endif()
if(FLUX2_BUILD_FUZZERS)
  target_compile_options(flux2_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(flux2_layer NAME)
  cmake_parse_arguments(ARG "" "" "DEPENDS;PRIVATE" ${ARGN})
  file(GLOB_RECURSE SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  add_library(flux2_${NAME} OBJECT ${SOURCES})
  target_link_libraries(flux2_${NAME} PUBLIC flux2_options ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE})
  set_property(GLOBAL APPEND PROPERTY FLUX2_LAYERS flux2_${NAME})
endfunction()

include(GoogleTest)

# Test code is compiled once and run once: most of a build would otherwise go into optimising it and
# into reading the same headers again.
function(flux2_test_options TARGET)
  target_compile_options(${TARGET} PRIVATE $<$<CONFIG:Release>:-O1>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC bug 105329: with little inlining it takes "text" + std::string for an overflow.
    target_compile_options(${TARGET} PRIVATE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow)
  endif()
  # Programs and the library that carries the headers have to agree on this.
  set_target_properties(${TARGET} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_definitions(${TARGET} PRIVATE
    FLUX2_SOURCE_DIR="${PROJECT_SOURCE_DIR}" FLUX2_BINARY_DIR="${PROJECT_BINARY_DIR}")
endfunction()

function(flux2_test NAME)
  cmake_parse_arguments(ARG "" "TIMEOUT;LABEL" "SOURCES;DEPENDS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if(NOT TARGET flux2_test_headers)
    file(WRITE ${PROJECT_BINARY_DIR}/test_headers.cpp "// Carries the precompiled headers.\n")
    add_library(flux2_test_headers OBJECT ${PROJECT_BINARY_DIR}/test_headers.cpp)
    target_link_libraries(flux2_test_headers PRIVATE flux2_options GTest::gtest)
    flux2_test_options(flux2_test_headers)
    target_precompile_headers(flux2_test_headers PRIVATE
      <gtest/gtest.h> <algorithm> <filesystem> <functional> <map> <memory> <string> <vector>)
  endif()
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE flux2_static flux2_options GTest::gtest GTest::gtest_main
                                        ${ARG_DEPENDS})
  flux2_test_options(${NAME})
  target_precompile_headers(${NAME} REUSE_FROM flux2_test_headers)
  # What a test sees must not depend on what an earlier one left in the user's prompt cache.
  gtest_discover_tests(${NAME} DISCOVERY_TIMEOUT 120
                       PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABEL}"
                                  ENVIRONMENT FLUX2_PROMPT_CACHE_MB=0)
endfunction()
