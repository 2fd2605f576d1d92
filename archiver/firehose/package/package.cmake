# The client library as a package: `cmake --install DIR --component library`, then
# find_package(standpipe) with standpipe::firehose and standpipe::schema, or pkg-config
# standpipe-firehose. Included by the top CMakeLists.txt.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_CURRENT_LIST_DIR})
set(package_include_dir ${CMAKE_INSTALL_INCLUDEDIR}/standpipe)
set(package_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/standpipe)

foreach(name IN ITEMS schema net_impl firehose)
  target_include_directories(standpipe_${name} INTERFACE
    $<INSTALL_INTERFACE:${package_include_dir}>)
  target_compile_features(standpipe_${name} PUBLIC cxx_std_20)
  set_target_properties(standpipe_${name} PROPERTIES EXPORT_NAME ${name})
  add_library(standpipe::${name} ALIAS standpipe_${name})
endforeach()

install(TARGETS standpipe_schema standpipe_net_impl standpipe_firehose EXPORT standpipe
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(EXPORT standpipe NAMESPACE standpipe:: FILE standpipe-targets.cmake
  DESTINATION ${package_cmake_dir} COMPONENT library)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/schema
  DESTINATION ${package_include_dir} COMPONENT library FILES_MATCHING PATTERN "*.h")
# What no public header includes stays here.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/archiver/firehose
  DESTINATION ${package_include_dir}/archiver COMPONENT library FILES_MATCHING PATTERN "*.h"
  PATTERN package EXCLUDE
  PATTERN client_core.h EXCLUDE
  PATTERN control_writer.h EXCLUDE
  PATTERN resolver.h EXCLUDE
  PATTERN server_frames.h EXCLUDE
  PATTERN ws_connection.h EXCLUDE
  PATTERN ws_handshake.h EXCLUDE
  PATTERN tls_client.h EXCLUDE)

configure_package_config_file(${package_dir}/standpipe-config.cmake.in
  ${PROJECT_BINARY_DIR}/package/standpipe-config.cmake
  INSTALL_DESTINATION ${package_cmake_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/standpipe-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/standpipe-config.cmake
  ${PROJECT_BINARY_DIR}/package/standpipe-config-version.cmake
  DESTINATION ${package_cmake_dir} COMPONENT library)

# From the .pc files up to the prefix, which then may be moved.
file(RELATIVE_PATH package_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
foreach(name IN ITEMS schema firehose)
  configure_file(${package_dir}/standpipe-${name}.pc.in
    ${PROJECT_BINARY_DIR}/package/standpipe-${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/package/standpipe-${name}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
endforeach()

if(TARGET standpipe)
  install(TARGETS standpipe RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
endif()
