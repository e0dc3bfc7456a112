# What `cmake --install` puts under the prefix besides the program and its model: the public
# headers, libflux2 as an archive and (BUILD_SHARED_LIBS) a shared library, a CMake package and a
# pkg-config file. Both find their folders from where they lie, so a prefix may be moved.
include(CMakePackageConfigHelpers)

set(FLUX2_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/flux2)
set(LIBRARY_DESTINATIONS
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

install(DIRECTORY include/flux2 DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)

# Two export sets, because only the archive drags its dependencies into the user's build.
install(TARGETS flux2_static EXPORT flux2StaticTargets ${LIBRARY_DESTINATIONS})
install(EXPORT flux2StaticTargets NAMESPACE flux2:: DESTINATION ${FLUX2_PACKAGE_DIR})
if(BUILD_SHARED_LIBS)
  install(TARGETS flux2_shared EXPORT flux2SharedTargets ${LIBRARY_DESTINATIONS})
  install(EXPORT flux2SharedTargets NAMESPACE flux2:: DESTINATION ${FLUX2_PACKAGE_DIR})
endif()

configure_package_config_file(cmake/flux2Config.cmake.in ${PROJECT_BINARY_DIR}/flux2Config.cmake
  INSTALL_DESTINATION ${FLUX2_PACKAGE_DIR}
  PATH_VARS CMAKE_INSTALL_DATADIR)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/flux2ConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/flux2Config.cmake
              ${PROJECT_BINARY_DIR}/flux2ConfigVersion.cmake
        DESTINATION ${FLUX2_PACKAGE_DIR})

set(FLUX2_PC_PRIVATE_REQUIRES "libpng libjpeg libwebp libpcre2-8 icu-uc zlib fmt")
# gomp or omp, by the compiler, and pthread.
list(TRANSFORM OpenMP_CXX_LIB_NAMES REPLACE "^lib" "" OUTPUT_VARIABLE OPENMP_LIBS)
list(TRANSFORM OPENMP_LIBS PREPEND "-l")
list(JOIN OPENMP_LIBS " " OPENMP_LIBS)
# Not as a requirement: pkg-config --static would go on to what libcurl.a needs, which distributions
# do not install, and libcurl.so is what is linked.
set(FLUX2_PC_PRIVATE_LIBS "-lcurl -lcrypto -ldnnl ${OPENMP_LIBS} -lstdc++ -lm")
if(BUILD_SHARED_LIBS)
  set(FLUX2_PC_REQUIRES "")
  set(FLUX2_PC_LIBS "")
else()
  # With the archive alone, what it needs is what every user needs.
  set(FLUX2_PC_REQUIRES ${FLUX2_PC_PRIVATE_REQUIRES})
  set(FLUX2_PC_LIBS " ${FLUX2_PC_PRIVATE_LIBS}")
endif()
# From <libdir>/pkgconfig back to the prefix.
file(RELATIVE_PATH FLUX2_PC_UP ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" FLUX2_PC_UP "${FLUX2_PC_UP}")
configure_file(cmake/flux2.pc.in ${PROJECT_BINARY_DIR}/flux2.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/flux2.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
