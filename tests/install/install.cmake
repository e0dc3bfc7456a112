# Installs into a prefix and moves it: nothing may depend on where it was.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
file(RENAME ${WORK}/first ${PREFIX})

foreach(FILE ${BINDIR}/flux2 include/flux2/flux2.h include/flux2/export.h ${LIBDIR}/libflux2.a
             ${LIBDIR}/pkgconfig/flux2.pc ${LIBDIR}/cmake/flux2/flux2Config.cmake
             share/flux2/models/nano/model_index.json)
  if(NOT EXISTS ${PREFIX}/${FILE})
    message(FATAL_ERROR "${FILE} was not installed")
  endif()
endforeach()

# Nothing that is installed as text names the source or the build.
file(GLOB_RECURSE TEXTS ${PREFIX}/${LIBDIR}/*.cmake ${PREFIX}/${LIBDIR}/*.pc ${PREFIX}/include/*.h)
foreach(FILE ${TEXTS})
  file(READ ${FILE} TEXT)
  foreach(PLACE ${BUILD} ${SOURCE}/)
    string(FIND "${TEXT}" "${PLACE}" FOUND)
    if(NOT FOUND EQUAL -1)
      message(FATAL_ERROR "${FILE} names ${PLACE}")
    endif()
  endforeach()
endforeach()
