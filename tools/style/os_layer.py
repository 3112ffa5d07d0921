# SPDX-License-Identifier: MIT
"""Banned functions, and what only the files of the OS layer may name."""

import re


# A call by its own name, not a member's (x.read, ops->poll) nor part of a longer name.
def calls(names):
    return re.compile(r"(?<![\w.>])(?<!->)(" + names + r")\s*\(")


BANNED = calls(
    r"strcpy|strcat|v?sprintf|gets|strtok|rand|srand|atoi|atol|atoll|atof|signal|alloca|usleep|select|gethostbyname|"
    r"_?setjmp|sigsetjmp|_?longjmp|siglongjmp"
)

# (rule, what may be named only in the files of the OS layer, the names of these files in runtime/). For the layers alone.
OS_LAYER = [
    (
        "os-threads",
        re.compile(
            r"#\s*include\s*<(stdatomic|pthread|threads|time|sys/time|semaphore|linux/futex|linux/membarrier|sys/random)\.h>"
        ),
        r"(atomic|thread)\.[ch]",
    ),
    (
        "os-threads",
        re.compile(
            r"(?<![\w.>])((pthread|atomic|__atomic|__sync|sem|mtx|thrd|cnd)_\w+|_Atomic|clock_\w+|gettimeofday|time|nanosleep|"
            r"getrandom|membarrier)\s*\(|\bSYS_(futex|membarrier)\b|\b_Atomic\b"
        ),
        r"(atomic|thread)\.[ch]",
    ),
    (
        "os-system",
        re.compile(
            r"#\s*include\s*<(uv|sys/(socket|mman|epoll|eventfd|stat|sendfile|ioctl|un|syscall)|netinet/\w+|arpa/inet|netdb|poll|"
            r"fcntl|unistd)\.h>"
        ),
        r"os_\w+\.[ch]|(atomic|thread|log)\.c|stack_overflow\.c|cpus\.c",
    ),
    (
        "os-system",
        calls(
            r"uv_\w+|socket|socketpair|bind|listen|accept4?|connect|shutdown|[gs]etsockopt|getsockname|getpeername|sendfile|"
            r"recv(from|msg)?|send(to|msg)?|(pre?|pw)?(read|write)v?|pread|pwrite|splice|openat?|close|dup[23]?|pipe2?|eventfd|"
            r"epoll_\w+|poll|ppoll|fcntl|ioctl|unlink(at)?|f?stat|mmap|munmap|mremap|mprotect|madvise"
        ),
        r"os_\w+\.[ch]|(log|stack_overflow)\.c",
    ),
    ("os-system", calls(r"syscall|sysconf"), r"os_\w+\.[ch]|(atomic|thread)\.c|stack_overflow\.c|cpus\.c"),
    ("os-files", calls(r"fopen|fdopen|fclose|fgets|fgetc|getline|fread|fwrite|sched_\w+"), r"(os_\w+|cpus|thread)\.[ch]"),
    (
        "os-signals",
        re.compile(r"#\s*include\s*<signal\.h>|(?<![\w.>])(sigaction|sigaltstack|sigprocmask|pthread_sigmask|raise|kill)\s*\("),
        r"(stack_overflow|thread|os_\w+)\.[ch]",
    ),
    (
        "os-memory",
        calls(r"malloc|calloc|realloc|reallocarray|free|posix_memalign|aligned_alloc|memalign|strn?dup|v?asprintf"),
        r"(alloc|cpus)\.c",  # cpus.c: the line that getline(3) reads into
    ),
    (
        "os-messages",
        re.compile(r"\b(stderr|stdout)\b|(?<![\w.>])(v?f?printf|v?dprintf|f?puts|f?putc|putchar|perror|syslog)\s*\("),
        r"(log|stack_overflow)\.c",
    ),
    ("os-ck", re.compile(r"#\s*include\s*<ck_\w+\.h>"), r"ck\.h"),
    ("errno", re.compile(r"\berrno\b(?!\.h)"), r"(os_\w+|cpus|thread|stack_overflow)\.[ch]"),
]

RULES = ("banned", *sorted({rule for rule, _, _ in OS_LAYER}))


def check(tree, report):
    for source in tree.sources.values():
        if source.name.endswith(".S"):
            continue
        check_banned(source, report)
        if source.in_layer:
            check_os_layer(source, report)


def check_banned(source, report):
    for number, line in enumerate(source.code_lines, 1):
        for match in BANNED.finditer(line):
            report(source.path, number, "banned", f"{match.group(1)}() is not used here")


def check_os_layer(source, report):
    for rule, expression, allowed in OS_LAYER:
        if source.layer == "runtime" and re.fullmatch(allowed, source.name):
            continue
        for number, line in enumerate(source.code_lines, 1):
            match = expression.search(line)
            if match:
                report(source.path, number, rule, f"`{match.group(0).strip()}` belongs into runtime's {allowed}")
