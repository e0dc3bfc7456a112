# The installed program finds its model beside itself, wherever it was moved, by any name.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
run(${PREFIX}/${BINDIR}/flux2 --version)
if(NOT OUTPUT MATCHES "${VERSION}")
  message(FATAL_ERROR "--version says ${OUTPUT}, the project is ${VERSION}")
endif()
file(CREATE_LINK ${PREFIX}/${BINDIR}/flux2 ${WORK}/linked-flux2 SYMBOLIC)
foreach(PROGRAM ${PREFIX}/${BINDIR}/flux2 ${WORK}/linked-flux2)
  file(REMOVE ${WORK}/program.png)
  run(${CMAKE_COMMAND} -E env --unset=FLUX2_MODELS ${PROGRAM} generate -p "a red circle"
      --steps 2 --progress none -o ${WORK}/program.png)
  check_png(${WORK}/program.png)
endforeach()
