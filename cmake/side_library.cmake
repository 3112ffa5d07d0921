# SPDX-License-Identifier: MIT
# tn_add_side_library(NAME COMPONENT DEPENDENCY): the library tournant_NAME, shared and static, from the sources in net/NAME. It
# uses the public headers of tournant, and DEPENDENCY, which another library exports. It is installed as the component
# COMPONENT, with cmake/tournant_NAME.pc.in.
function(tn_add_side_library name component dependency)
    set(library tournant_${name})
    set(folder "${PROJECT_SOURCE_DIR}/net/${name}")
    file(GLOB sources CONFIGURE_DEPENDS "${folder}/*.c")
    add_library(${library}_objects OBJECT ${sources})
    set_target_properties(${library}_objects PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
    target_compile_options(${library}_objects PRIVATE "SHELL:-iquote \"${PROJECT_SOURCE_DIR}/net\"")
    target_include_directories(${library}_objects PUBLIC ${TN_PUBLIC_INCLUDES} "${folder}/include")
    target_link_libraries(${library}_objects PRIVATE tn_flags ${dependency} Threads::Threads)

    # Each on its kind of the library below.
    add_library(${library} SHARED $<TARGET_OBJECTS:${library}_objects>)
    add_library(${library}_static STATIC $<TARGET_OBJECTS:${library}_objects>)
    add_library(tournant::${library} ALIAS ${library})
    add_library(tournant::${library}_static ALIAS ${library}_static)
    target_link_libraries(${library} PUBLIC tournant)
    target_link_libraries(${library}_static PUBLIC tournant_static)
    foreach(target IN ITEMS ${library} ${library}_static)
        set_target_properties(${target} PROPERTIES OUTPUT_NAME ${library} LINKER_LANGUAGE C)
        target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:tn_flags> ${dependency})
        target_include_directories(${target} PUBLIC "$<BUILD_INTERFACE:${folder}/include>"
            "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
    endforeach()
    string(TOUPPER ${library} map_name)
    tn_finish_shared(${library} ${map_name} tn_${name}_)
    tn_hide_static(${library}_static)

    if(NOT TN_INSTALL)
        return()
    endif()
    set(package ${CMAKE_INSTALL_LIBDIR}/cmake/tournant-${PROJECT_VERSION})
    install(DIRECTORY "${folder}/include/" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT ${component}
        FILES_MATCHING PATTERN "*.h")
    install(TARGETS ${library} EXPORT ${library} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${component})
    install(TARGETS ${library}_static EXPORT ${library}_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        COMPONENT ${component})
    install(EXPORT ${library} NAMESPACE tournant:: FILE tournant-${name}-targets.cmake DESTINATION ${package}
        COMPONENT ${component})
    install(EXPORT ${library}_static NAMESPACE tournant:: FILE tournant-${name}-static-targets.cmake DESTINATION ${package}
        COMPONENT ${component})
    configure_file("${PROJECT_SOURCE_DIR}/cmake/${library}.pc.in" ${library}.pc @ONLY)
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${library}.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT ${component})
endfunction()
