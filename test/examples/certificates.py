# SPDX-License-Identifier: MIT
"""Certificates for the tests of TLS, made by openssl."""
import os
import subprocess


def openssl(*arguments, data=None):
    subprocess.run(["openssl", *arguments], check=True, input=data, capture_output=True, timeout=60)


def make(folder, name, host, days=30, signed=True):
    """FOLDER/NAME.crt and .key for `host`; signed by the authority, or an authority itself."""
    def path(end):
        return os.path.join(folder, name + end)

    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path(".key"))
    if not signed:
        openssl("req", "-x509", "-key", path(".key"), "-out", path(".crt"), "-days", str(days), "-subj", "/CN=" + host)
        return
    openssl("req", "-new", "-key", path(".key"), "-out", path(".csr"), "-subj", "/CN=" + host)
    with open(path(".ext"), "w", encoding="utf-8") as file:
        file.write("subjectAltName=DNS:%s,IP:127.0.0.1\n" % host)
    authority = os.path.join(folder, "authority")
    openssl("x509", "-req", "-in", path(".csr"), "-CA", authority + ".crt", "-CAkey", authority + ".key", "-CAcreateserial",
            "-out", path(".crt"), "-days", str(days), "-extfile", path(".ext"))


def make_all(folder):
    make(folder, "authority", "the authority", signed=False)
    make(folder, "server", "localhost")
    make(folder, "client", "a client")
    make(folder, "other", "another authority", signed=False)
