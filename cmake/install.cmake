# Where everything goes. A package builds with -DCMAKE_INSTALL_PREFIX=/usr.
include(CMakePackageConfigHelpers)

install(TARGETS allotd RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
install(TARGETS allotctl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/allot)
install(TARGETS allot allot_embedded EXPORT allotTargets FILE_SET HEADERS)
install(TARGETS allot_log allot_new EXPORT allotTargets)
install(EXPORT allotTargets NAMESPACE allot:: DESTINATION ${package})
configure_package_config_file(cmake/allotConfig.cmake.in ${PROJECT_BINARY_DIR}/allotConfig.cmake
  INSTALL_DESTINATION ${package} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/allotConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/allotConfig.cmake ${PROJECT_BINARY_DIR}/allotConfigVersion.cmake
  DESTINATION ${package})

set(pkgconfig ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH ALLOT_PC_PREFIX /prefix/${pkgconfig} /prefix)
configure_file(cmake/allot.pc.in ${PROJECT_BINARY_DIR}/allot.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/allot.pc DESTINATION ${pkgconfig})

# The units name the daemon by its full path.
allot_glob(units systemd/*.service systemd/*.socket)
foreach(unit IN LISTS units)
  get_filename_component(name ${unit} NAME)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${unit})
  file(READ ${unit} text)
  string(REPLACE /usr/sbin/allotd ${CMAKE_INSTALL_FULL_SBINDIR}/allotd text "${text}")
  file(CONFIGURE OUTPUT systemd/${name} CONTENT "${text}" @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/systemd/${name} DESTINATION lib/systemd/system)
  # The prefix may be another one when it is installed.
  install(CODE "
    set(unit \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/systemd/system/${name}\")
    file(READ \${unit} text)
    string(REPLACE ${CMAKE_INSTALL_FULL_SBINDIR}/allotd
      \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SBINDIR}/allotd text \"\${text}\")
    file(WRITE \${unit} \"\${text}\")")
endforeach()
foreach(kind sysusers tmpfiles)
  install(FILES systemd/allot.${kind} DESTINATION lib/${kind}.d RENAME allot.conf)
endforeach()
install(FILES systemd/allotd.toml DESTINATION ${CMAKE_INSTALL_DOCDIR})

allot_glob(pages docs/man/*.[1-9])
foreach(page IN LISTS pages)
  string(REGEX MATCH "[1-9]$" section ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
