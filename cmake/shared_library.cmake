# SPDX-License-Identifier: MIT
# What every shared library of this project that is installed for programs has in common.

# tn_finish_shared(TARGET MAP_NAME PREFIX): versions of the file and of its symbols, which are those that begin with PREFIX.
# Two versions may be in one process: each calls its own functions, and its callers name the version that they mean. It is never
# unloaded, because threads, signal handlers, thread-local memory and callbacks in other libraries outlive its last use.
function(tn_finish_shared target map_name prefix)
    set_target_properties(${target} PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${TN_ABI})
    # Before the installation it finds other libraries of this project beside itself, whatever folder that is.
    set_target_properties(${target} PROPERTIES BUILD_RPATH_USE_ORIGIN ON)
    file(CONFIGURE OUTPUT ${target}.map CONTENT "@map_name@_@TN_ABI@ { global: @prefix@*; local: *; };\n" @ONLY)
    set_target_properties(${target} PROPERTIES LINK_DEPENDS "${CMAKE_CURRENT_BINARY_DIR}/${target}.map")
    target_link_options(${target} PRIVATE LINKER:-Bsymbolic-functions LINKER:-z,nodelete
        "LINKER:--version-script,${CMAKE_CURRENT_BINARY_DIR}/${target}.map")
    # Every object of the library is compatible with indirect branch tracking, but the C library's start file may not be, and
    # then the linker drops the note. The flag keeps it, and the only entry of that file, _init, is left out: nothing calls it
    # then.
    if(TN_PROCESSOR STREQUAL "x86_64")
        check_linker_flag(C "LINKER:-z,ibt" TN_HAS_z_ibt)
        if(TN_HAS_z_ibt)
            target_link_options(${target} PRIVATE LINKER:-z,ibt LINKER:-init=tni_no_init LINKER:-fini=tni_no_fini)
        endif()
    endif()
    # A sanitizer's functions are in the program. The project that contains this one may have asked for one in its own flags.
    if(PROJECT_IS_TOP_LEVEL AND NOT TN_SANITIZE)
        target_link_options(${target} PRIVATE LINKER:-z,defs)
    endif()
endfunction()

# tn_hide_static(TARGET): a shared library with the static library TARGET in it does not export its functions, and is never
# unloaded.
function(tn_hide_static target)
    get_target_property(name ${target} OUTPUT_NAME)
    target_link_options(${target} INTERFACE LINKER:--exclude-libs,lib${name}.a LINKER:-z,nodelete)
endfunction()
