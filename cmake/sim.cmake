# SPDX-License-Identifier: MIT
# tournant_sim: the sources above the OS layer, unchanged, with the simulated OS layer in runtime/sim. TNI_SIM selects its
# variants of base/atomic.h and base/thread.h. A function of the OS layer without a twin or a refusal there is an undefined
# symbol.
if(TN_SANITIZE MATCHES "thread")
    return() # one thread of the process runs all simulated threads
endif()

file(GLOB TN_SIM_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/runtime/sim/*.c")
set(TN_SIM_SHIPPED ${TN_SOURCES})
list(FILTER TN_SIM_SHIPPED EXCLUDE REGEX "/os_(borrowed|event|exceptions|file|loop|memory|names|ready|socket|splice)\\.c$")
list(FILTER TN_SIM_SHIPPED EXCLUDE REGEX "/os_(pipe_signal|process|sigaction|signal|sleeper|systemd|thread|thread_signal)\\.c$")
list(FILTER TN_SIM_SHIPPED EXCLUDE REGEX "/(cpus|stack_overflow)\\.c$")
list(FILTER TN_SIM_SHIPPED EXCLUDE REGEX "/base/(atomic|thread|tls|alloc)\\.c$")

add_library(tournant_sim_objects OBJECT ${TN_SIM_SHIPPED} ${TN_SIM_SOURCES})
set_target_properties(tournant_sim_objects PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_include_directories(tournant_sim_objects PRIVATE ${TN_CK_INCLUDE} "${PROJECT_SOURCE_DIR}/runtime/sim/include")
target_compile_definitions(tournant_sim_objects PRIVATE TNI_SIM)
target_compile_options(tournant_sim_objects PRIVATE "SHELL:-iquote \"${PROJECT_SOURCE_DIR}/runtime/sim\"")
target_link_libraries(tournant_sim_objects PRIVATE tn_flags tn_internals PkgConfig::TN_LIBUV)

add_library(tournant_sim SHARED $<TARGET_OBJECTS:tournant_sim_objects>)
add_library(tournant_sim_static STATIC $<TARGET_OBJECTS:tournant_sim_objects>)
add_library(tournant::tournant_sim ALIAS tournant_sim)
add_library(tournant::tournant_sim_static ALIAS tournant_sim_static)
foreach(target IN ITEMS tournant_sim tournant_sim_static)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME tournant_sim LINKER_LANGUAGE C)
    target_include_directories(${target} PUBLIC
        "$<BUILD_INTERFACE:${TN_PUBLIC_INCLUDES};${PROJECT_SOURCE_DIR}/runtime/sim/include>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:tn_flags> ${CMAKE_DL_LIBS})
    target_compile_options(${target} INTERFACE ${TN_PROBES})
endforeach()
set_target_properties(tournant_sim PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${TN_ABI})
if(PROJECT_IS_TOP_LEVEL AND NOT TN_SANITIZE)
    target_link_options(tournant_sim PRIVATE LINKER:-z,defs)
endif()

# A target that links both libraries is refused by CMake: they define the same functions.
foreach(target IN ITEMS tournant tournant_static tournant_sim tournant_sim_static)
    set_property(TARGET ${target} APPEND PROPERTY COMPATIBLE_INTERFACE_STRING TOURNANT_MACHINE)
endforeach()
set_property(TARGET tournant_sim PROPERTY INTERFACE_TOURNANT_MACHINE simulated)
set_property(TARGET tournant_sim_static PROPERTY INTERFACE_TOURNANT_MACHINE simulated)
set_property(TARGET tournant PROPERTY INTERFACE_TOURNANT_MACHINE real)
set_property(TARGET tournant_static PROPERTY INTERFACE_TOURNANT_MACHINE real)

# --- Installation, as a component of its own ------------------------------------------------------------------------------------

if(NOT TN_INSTALL)
    return()
endif()

set(TN_SIM_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/tournant-${PROJECT_VERSION})
install(DIRECTORY "${PROJECT_SOURCE_DIR}/runtime/sim/include/" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT Simulator
    FILES_MATCHING PATTERN "*.h")
install(TARGETS tournant_sim tournant_sim_static EXPORT tournant_sim
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Simulator
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Simulator)
install(EXPORT tournant_sim NAMESPACE tournant:: FILE tournant-sim-targets.cmake DESTINATION ${TN_SIM_PACKAGE_DIR}
    COMPONENT Simulator)
configure_file("${PROJECT_SOURCE_DIR}/cmake/tournant_sim.pc.in" tournant_sim.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/tournant_sim.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT Simulator)
