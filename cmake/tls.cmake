# SPDX-License-Identifier: MIT
# tournant_tls: sessions of TLS over OpenSSL 3, a library of its own.
pkg_check_modules(TN_OPENSSL IMPORTED_TARGET GLOBAL libssl>=3.0 libcrypto>=3.0)
if(NOT TN_OPENSSL_FOUND)
    message(STATUS "tournant: no tournant_tls, because pkg-config does not find OpenSSL >= 3.0 (Debian: libssl-dev)")
    return()
endif()
tn_add_side_library(tls Tls PkgConfig::TN_OPENSSL)
