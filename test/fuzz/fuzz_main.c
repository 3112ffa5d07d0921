/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target with the files of a corpus, where there is no libFuzzer: fuzz_NAME FOLDER. So each file is a regression test
 * in every build. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz.h"

static int run_file(const char *path)
{
    struct stat status;
    FILE *file = fopen(path, "rb");
    uint8_t *bytes;
    size_t size;

    if (file == NULL || fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode)) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        return 1;
    }
    bytes = malloc((size_t)status.st_size + 1); /* exactly: an access behind the end is an error */
    size = bytes != NULL ? fread(bytes, 1, (size_t)status.st_size, file) : 0;
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    struct dirent **files;
    int failed = 0;
    int count = argc == 2 ? scandir(argv[1], &files, NULL, alphasort) : -1;
    int run = 0;

    for (int i = 0; i < count; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], files[i]->d_name);
        if (files[i]->d_name[0] != '.') {
            failed += run_file(path);
            run++;
        }
        free(files[i]);
    }
    if (count >= 0)
        free(files);
    printf("%d files\n", run);
    return failed == 0 && run > 0 ? 0 : 1;
}
