# Shared by the scripts of this folder. PREFIX is where the installation lies after it was moved.
cmake_minimum_required(VERSION 3.22)
set(WORK ${BUILD}/install_test)
set(PREFIX ${WORK}/moved)

# What is drawn here is not to be found in the user's prompt cache.
set(ENV{FLUX2_PROMPT_CACHE_MB} 0)

# Runs a command; anything but success ends the test with what it said. OUTPUT is what it printed.
macro(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE STATUS OUTPUT_VARIABLE OUTPUT
                  ERROR_VARIABLE ERRORS OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT STATUS EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nended with ${STATUS}:\n${OUTPUT}\n${ERRORS}")
  endif()
endmacro()

# A program outside the tree was linked as STATIC says and draws nano's picture into FOLDER.
function(check_drawing PROGRAM FOLDER)
  run(ldd ${PROGRAM})
  if(OUTPUT MATCHES "libflux2" AND STATIC OR NOT OUTPUT MATCHES "libflux2" AND NOT STATIC)
    message(FATAL_ERROR "linked against the wrong library (STATIC=${STATIC}):\n${OUTPUT}")
  endif()
  set(PICTURE ${FOLDER}/picture.png)
  file(REMOVE ${PICTURE})
  run(${CMAKE_COMMAND} -E env --unset=FLUX2_MODELS
      ${PROGRAM} "a red circle" ${PICTURE} ${PREFIX}/share/flux2/models/nano)
  check_png(${PICTURE})
endfunction()

function(check_png PICTURE)
  if(NOT EXISTS ${PICTURE})
    message(FATAL_ERROR "${PICTURE} was not written")
  endif()
  file(READ ${PICTURE} MAGIC LIMIT 8 HEX)
  file(SIZE ${PICTURE} BYTES)
  if(NOT MAGIC STREQUAL "89504e470d0a1a0a" OR BYTES LESS 500)
    message(FATAL_ERROR "${PICTURE} (${BYTES} bytes) is no picture")
  endif()
endfunction()
