# examples/cpp, copied out of the tree, built with find_package and run.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(FOLDER ${WORK}/example-static-${STATIC})
file(REMOVE_RECURSE ${FOLDER})
file(COPY ${SOURCE}/examples/cpp/ DESTINATION ${FOLDER}/source)
run(${CMAKE_COMMAND} -S ${FOLDER}/source -B ${FOLDER}/build -G ${GENERATOR}
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${PREFIX} -DFLUX2_USE_STATIC_LIBS=${STATIC})
run(${CMAKE_COMMAND} --build ${FOLDER}/build)
check_drawing(${FOLDER}/build/draw ${FOLDER})

# A version that this is not is refused.
file(READ ${FOLDER}/source/CMakeLists.txt TEXT)
string(REPLACE "find_package(flux2 0.1" "find_package(flux2 9.9" TEXT "${TEXT}")
file(WRITE ${FOLDER}/future/CMakeLists.txt "${TEXT}")
file(COPY ${SOURCE}/examples/cpp/main.cpp DESTINATION ${FOLDER}/future)
execute_process(COMMAND ${CMAKE_COMMAND} -S ${FOLDER}/future -B ${FOLDER}/future/build
                        -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER}
                        -DCMAKE_PREFIX_PATH=${PREFIX}
                RESULT_VARIABLE STATUS OUTPUT_QUIET ERROR_VARIABLE ERRORS)
if(STATUS EQUAL 0 OR NOT ERRORS MATCHES "version: ${VERSION}")
  message(FATAL_ERROR "find_package(flux2 9.9) was not refused for its version: ${ERRORS}")
endif()
