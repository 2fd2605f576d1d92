# The program as a Debian package: `./go package`, or cpack in a build of preset release. Included
# by the top CMakeLists.txt.
#
# Component program is what a person installs anywhere (cmake --install DIR --component program);
# component service is what a system needs to run it, with places that are absolute, so it is
# installed only by name or in the package.
include(GNUInstallDirs)

# Pages and completion are made of the table of options, by the program itself.
set(pages_dir ${PROJECT_BINARY_DIR}/pages)
install(CODE "
  file(MAKE_DIRECTORY ${pages_dir})
  foreach(page IN ITEMS --manual=standpipe.1 --completion=bash=standpipe --completion=zsh=_standpipe)
    string(REGEX REPLACE \"=[^=]*$\" \"\" option \${page})
    string(REGEX REPLACE \".*=\" \"\" file \${page})
    execute_process(COMMAND $<TARGET_FILE:standpipe> \${option}
      OUTPUT_FILE ${pages_dir}/\${file} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  execute_process(COMMAND gzip -9nf ${pages_dir}/standpipe.1 COMMAND_ERROR_IS_FATAL ANY)
" COMPONENT program)
install(FILES ${pages_dir}/standpipe.1.gz
  DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
install(FILES ${pages_dir}/standpipe
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT program)
install(FILES ${pages_dir}/_standpipe
  DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT program)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/LICENSE-MIT
  ${PROJECT_SOURCE_DIR}/LICENSE-APACHE
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/standpipe COMPONENT program)

install(FILES ${CMAKE_CURRENT_LIST_DIR}/standpipe.service ${CMAKE_CURRENT_LIST_DIR}/standpipe.socket
  DESTINATION /usr/lib/systemd/system COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/sysusers.conf RENAME standpipe.conf
  DESTINATION /usr/lib/sysusers.d COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/standpipe.toml
  DESTINATION /etc/standpipe COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE-MIT RENAME copyright
  DESTINATION /usr/share/doc/standpipe COMPONENT service EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME standpipe)
set(CPACK_PACKAGE_VENDOR standpipe)
set(CPACK_PACKAGE_CONTACT "the standpipe authors <standpipe@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "archive and replay server for the atproto firehose")
set(CPACK_PACKAGE_DESCRIPTION "Keeps every frame of a relay, PDS or labeler stream byte for byte,
and serves the stream again from any cursor: for consumers that restart or
fall behind, for history with its proofs, for fixtures in tests.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL program service)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/postinst
  ${CMAKE_CURRENT_LIST_DIR}/prerm ${CMAKE_CURRENT_LIST_DIR}/postrm
  ${CMAKE_CURRENT_LIST_DIR}/conffiles)
include(CPack)
