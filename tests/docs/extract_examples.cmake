# Turns the blocks "```cpp runnable" of GUIDE into the functions of one program, OUTPUT:
#   cmake -DGUIDE=docs/guide.md -DOUTPUT=guide_examples.cpp -P extract_examples.cmake
# Strings are only found and cut, never taken apart as lists: semicolons stay what they are.
file(READ "${GUIDE}" REST)
set(FENCE "```cpp runnable\n")
string(LENGTH "${FENCE}" FENCE_LENGTH)
set(LINE 1)
set(COUNT 0)
set(FUNCTIONS "")
set(CALLS "")

function(count_lines TEXT RESULT)
  string(REGEX REPLACE "[^\n]" "" NEWLINES "${TEXT}")
  string(LENGTH "${NEWLINES}" LINES)
  set(${RESULT} ${LINES} PARENT_SCOPE)
endfunction()

string(FIND "${REST}" "${FENCE}" BEGIN)
while(NOT BEGIN EQUAL -1)
  math(EXPR BEGIN "${BEGIN} + ${FENCE_LENGTH}")
  string(SUBSTRING "${REST}" 0 ${BEGIN} SKIPPED)
  string(SUBSTRING "${REST}" ${BEGIN} -1 REST)
  string(FIND "${REST}" "\n```" END)
  math(EXPR END "${END} + 1")
  string(SUBSTRING "${REST}" 0 ${END} BODY)
  string(SUBSTRING "${REST}" ${END} -1 REST)

  count_lines("${SKIPPED}" SKIPPED_LINES)
  count_lines("${BODY}" BODY_LINES)
  math(EXPR LINE "${LINE} + ${SKIPPED_LINES}")
  string(APPEND FUNCTIONS "int example_at_line_${LINE}() {\n#line ${LINE} \"${GUIDE}\"\n${BODY}"
                          "return EXIT_SUCCESS;\n}\n\n")
  string(APPEND CALLS "    {\"line ${LINE}\", example_at_line_${LINE}},\n")
  math(EXPR LINE "${LINE} + ${BODY_LINES}")
  math(EXPR COUNT "${COUNT} + 1")
  string(FIND "${REST}" "${FENCE}" BEGIN)
endwhile()
if(COUNT EQUAL 0)
  message(FATAL_ERROR "${GUIDE} has no runnable C++ example")
endif()

file(WRITE "${OUTPUT}" "// Made from ${GUIDE}.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stop_token>
#include <thread>
#include <vector>

#include \"flux2/flux2.h\"

namespace {

${FUNCTIONS}struct Example {
  const char* name;
  int (*run)();
};

constexpr Example kExamples[] = {
${CALLS}};

}  // namespace

int main() {
  int failures = 0;
  for (const Example& example : kExamples) {
    try {
      if (example.run() == EXIT_SUCCESS) continue;
      std::fprintf(stderr, \"docs/guide.md, %s: wrong result\\n\", example.name);
    } catch (const flux2::Error& error) {
      std::fprintf(stderr, \"docs/guide.md, %s: %s\\n\", example.name, error.what());
    }
    ++failures;
  }
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
")
