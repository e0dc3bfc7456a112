# Doxygen over the public headers, without a warning.
if(NOT DOXYGEN OR DOXYGEN MATCHES "NOTFOUND")
  message(STATUS "SKIPPED: Doxygen is not installed")
  return()
endif()
execute_process(COMMAND ${DOXYGEN} ${DOXYFILE} RESULT_VARIABLE STATUS OUTPUT_VARIABLE MESSAGES
                ERROR_VARIABLE MESSAGES)
if(NOT STATUS EQUAL 0 OR NOT MESSAGES STREQUAL "")
  message(FATAL_ERROR "Doxygen ended with ${STATUS} and said:\n${MESSAGES}")
endif()
