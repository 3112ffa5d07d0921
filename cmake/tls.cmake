# SPDX-License-Identifier: MIT
# tournant_tls: sessions of TLS over OpenSSL 3, a library of its own. It uses the public headers of tournant alone.
pkg_check_modules(TN_OPENSSL IMPORTED_TARGET GLOBAL libssl>=3.0 libcrypto>=3.0)
if(NOT TN_OPENSSL_FOUND)
    message(STATUS "tournant: no tournant_tls, because pkg-config does not find OpenSSL >= 3.0 (Debian: libssl-dev)")
    return()
endif()

set(TN_TLS_FOLDER "${PROJECT_SOURCE_DIR}/net/tls")
file(GLOB TN_TLS_SOURCES CONFIGURE_DEPENDS "${TN_TLS_FOLDER}/*.c")
add_library(tournant_tls_objects OBJECT ${TN_TLS_SOURCES})
set_target_properties(tournant_tls_objects PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_compile_options(tournant_tls_objects PRIVATE "SHELL:-iquote \"${PROJECT_SOURCE_DIR}/net\"")
target_include_directories(tournant_tls_objects PUBLIC ${TN_PUBLIC_INCLUDES} "${TN_TLS_FOLDER}/include")
target_link_libraries(tournant_tls_objects PRIVATE tn_flags PkgConfig::TN_OPENSSL Threads::Threads)

# Each on its kind of the library below.
add_library(tournant_tls SHARED $<TARGET_OBJECTS:tournant_tls_objects>)
add_library(tournant_tls_static STATIC $<TARGET_OBJECTS:tournant_tls_objects>)
add_library(tournant::tournant_tls ALIAS tournant_tls)
add_library(tournant::tournant_tls_static ALIAS tournant_tls_static)
target_link_libraries(tournant_tls PUBLIC tournant PRIVATE $<BUILD_INTERFACE:tn_flags> PkgConfig::TN_OPENSSL)
target_link_libraries(tournant_tls_static PUBLIC tournant_static PRIVATE $<BUILD_INTERFACE:tn_flags> PkgConfig::TN_OPENSSL)
foreach(target IN ITEMS tournant_tls tournant_tls_static)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME tournant_tls LINKER_LANGUAGE C)
    target_include_directories(${target} PUBLIC "$<BUILD_INTERFACE:${TN_TLS_FOLDER}/include>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
endforeach()
set_target_properties(tournant_tls PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${TN_ABI})

file(CONFIGURE OUTPUT tournant_tls.map CONTENT "TOURNANT_TLS_@TN_ABI@ { global: tn_tls_*; local: *; };\n" @ONLY)
set_target_properties(tournant_tls PROPERTIES LINK_DEPENDS "${CMAKE_CURRENT_BINARY_DIR}/tournant_tls.map")
target_link_options(tournant_tls PRIVATE LINKER:-Bsymbolic-functions
    "LINKER:--version-script,${CMAKE_CURRENT_BINARY_DIR}/tournant_tls.map")
if(PROJECT_IS_TOP_LEVEL AND NOT TN_SANITIZE)
    target_link_options(tournant_tls PRIVATE LINKER:-z,defs)
endif()

# --- Installation, as a component of its own ------------------------------------------------------------------------------------

if(NOT TN_INSTALL)
    return()
endif()

set(TN_TLS_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/tournant-${PROJECT_VERSION})
install(DIRECTORY "${TN_TLS_FOLDER}/include/" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT Tls
    FILES_MATCHING PATTERN "*.h")
install(TARGETS tournant_tls EXPORT tournant_tls LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Tls)
install(TARGETS tournant_tls_static EXPORT tournant_tls_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Tls)
install(EXPORT tournant_tls NAMESPACE tournant:: FILE tournant-tls-targets.cmake DESTINATION ${TN_TLS_PACKAGE_DIR} COMPONENT Tls)
install(EXPORT tournant_tls_static NAMESPACE tournant:: FILE tournant-tls-static-targets.cmake DESTINATION ${TN_TLS_PACKAGE_DIR}
    COMPONENT Tls)
file(RELATIVE_PATH TN_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" TN_PC_PREFIX "${TN_PC_PREFIX}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/tournant_tls.pc.in" tournant_tls.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/tournant_tls.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT Tls)
