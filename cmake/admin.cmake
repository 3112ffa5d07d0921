# SPDX-License-Identifier: MIT
# tournant_admin: a server that shows what a runtime is doing, a library of its own, with the parser of HTTP that the examples
# use.
find_path(TN_HTTP_PARSER_INCLUDE http_parser.h)
find_library(TN_HTTP_PARSER_LIBRARY http_parser)
if(NOT TN_HTTP_PARSER_INCLUDE OR NOT TN_HTTP_PARSER_LIBRARY)
    message(STATUS "tournant: no tournant_admin, because http_parser.h is missing (Debian: libhttp-parser-dev)")
    return()
endif()
tn_add_side_library(admin Admin http_parser)
target_include_directories(tournant_admin_objects SYSTEM PRIVATE ${TN_HTTP_PARSER_INCLUDE})
