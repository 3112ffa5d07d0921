# SPDX-License-Identifier: MIT
# tournant_admin: a server that shows what a runtime is doing, a library of its own. It uses the public headers of tournant
# alone, and the parser of HTTP that the examples use.
find_path(TN_HTTP_PARSER_INCLUDE http_parser.h)
find_library(TN_HTTP_PARSER_LIBRARY http_parser)
if(NOT TN_HTTP_PARSER_INCLUDE OR NOT TN_HTTP_PARSER_LIBRARY)
    message(STATUS "tournant: no tournant_admin, because http_parser.h is missing (Debian: libhttp-parser-dev)")
    return()
endif()

set(TN_ADMIN_FOLDER "${PROJECT_SOURCE_DIR}/net/admin")
file(GLOB TN_ADMIN_SOURCES CONFIGURE_DEPENDS "${TN_ADMIN_FOLDER}/*.c")
add_library(tournant_admin_objects OBJECT ${TN_ADMIN_SOURCES})
set_target_properties(tournant_admin_objects PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_compile_options(tournant_admin_objects PRIVATE "SHELL:-iquote \"${PROJECT_SOURCE_DIR}/net\"")
target_include_directories(tournant_admin_objects SYSTEM PRIVATE ${TN_HTTP_PARSER_INCLUDE})
target_include_directories(tournant_admin_objects PUBLIC ${TN_PUBLIC_INCLUDES} "${TN_ADMIN_FOLDER}/include")
target_link_libraries(tournant_admin_objects PRIVATE tn_flags Threads::Threads)

# Each on its kind of the library below.
add_library(tournant_admin SHARED $<TARGET_OBJECTS:tournant_admin_objects>)
add_library(tournant_admin_static STATIC $<TARGET_OBJECTS:tournant_admin_objects>)
add_library(tournant::tournant_admin ALIAS tournant_admin)
add_library(tournant::tournant_admin_static ALIAS tournant_admin_static)
target_link_libraries(tournant_admin PUBLIC tournant PRIVATE $<BUILD_INTERFACE:tn_flags> http_parser)
target_link_libraries(tournant_admin_static PUBLIC tournant_static PRIVATE $<BUILD_INTERFACE:tn_flags> http_parser)
foreach(target IN ITEMS tournant_admin tournant_admin_static)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME tournant_admin LINKER_LANGUAGE C)
    target_include_directories(${target} PUBLIC "$<BUILD_INTERFACE:${TN_ADMIN_FOLDER}/include>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
endforeach()
set_target_properties(tournant_admin PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${TN_ABI})

file(CONFIGURE OUTPUT tournant_admin.map CONTENT "TOURNANT_ADMIN_@TN_ABI@ { global: tn_admin_*; local: *; };\n" @ONLY)
set_target_properties(tournant_admin PROPERTIES LINK_DEPENDS "${CMAKE_CURRENT_BINARY_DIR}/tournant_admin.map")
target_link_options(tournant_admin PRIVATE LINKER:-Bsymbolic-functions
    "LINKER:--version-script,${CMAKE_CURRENT_BINARY_DIR}/tournant_admin.map")
if(PROJECT_IS_TOP_LEVEL AND NOT TN_SANITIZE)
    target_link_options(tournant_admin PRIVATE LINKER:-z,defs)
endif()

# --- Installation, as a component of its own ------------------------------------------------------------------------------------

if(NOT TN_INSTALL)
    return()
endif()

set(TN_ADMIN_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/tournant-${PROJECT_VERSION})
install(DIRECTORY "${TN_ADMIN_FOLDER}/include/" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT Admin
    FILES_MATCHING PATTERN "*.h")
install(TARGETS tournant_admin EXPORT tournant_admin LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Admin)
install(TARGETS tournant_admin_static EXPORT tournant_admin_static
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Admin)
install(EXPORT tournant_admin NAMESPACE tournant:: FILE tournant-admin-targets.cmake
    DESTINATION ${TN_ADMIN_PACKAGE_DIR} COMPONENT Admin)
install(EXPORT tournant_admin_static NAMESPACE tournant:: FILE tournant-admin-static-targets.cmake
    DESTINATION ${TN_ADMIN_PACKAGE_DIR} COMPONENT Admin)
file(RELATIVE_PATH TN_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" TN_PC_PREFIX "${TN_PC_PREFIX}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/tournant_admin.pc.in" tournant_admin.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/tournant_admin.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT Admin)
