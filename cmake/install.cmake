# What `cmake --install` puts where: the command, libmp and libmpc, their headers, a CMake package and pkg-config files.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

foreach(library mp mpc)
    set_target_properties(${library} PROPERTIES INSTALL_RPATH "$ORIGIN")
    target_include_directories(${library} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
set_target_properties(mpc-cli PROPERTIES EXPORT_NAME command)

install(TARGETS mp mpc mpc-cli EXPORT mpc
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/include/mp.h ${PROJECT_SOURCE_DIR}/include/mpc.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/mpc)
install(EXPORT mpc NAMESPACE mpc:: FILE mpc-targets.cmake DESTINATION ${package})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/mpc-config.cmake.in ${PROJECT_BINARY_DIR}/cmake/mpc-config.cmake
                              INSTALL_DESTINATION ${package} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/mpc-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cmake/mpc-config.cmake ${PROJECT_BINARY_DIR}/cmake/mpc-config-version.cmake
              ${CMAKE_CURRENT_LIST_DIR}/mpc-add-layer.cmake
        DESTINATION ${package})

foreach(library mp mpc)
    configure_file(${CMAKE_CURRENT_LIST_DIR}/${library}.pc.in ${PROJECT_BINARY_DIR}/cmake/${library}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/cmake/${library}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
