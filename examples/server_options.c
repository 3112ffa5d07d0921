/* SPDX-License-Identifier: MIT */
/* The command line of the example servers; see server_options.h. */
#include "server_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { PORT_MAX = 65535, WORKERS_MAX = 1024 };

static void print_help(const server_options *options)
{
    printf("%s: %s\n\nusage: %s [options]\n\n", options->name, options->summary, options->name);
    printf("  --port N      listen on port N of 127.0.0.1 (0: any free one); default %u\n", options->port);
    if (options->workers_option != NULL)
        printf("  --%s N   %s; default: one per CPU\n", options->workers_option, options->workers_help);
    printf("  --help        show this\n");
}

static unsigned parse_number(const server_options *options, const char *option, const char *text, unsigned min, unsigned max)
{
    char *end;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    /* strtoul takes signs and spaces too: "-1" would be a large number. */
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < min || value > max) {
        fprintf(stderr, "%s: --%s %s: give a number from %u to %u, such as --%s %u\n", options->name, option, text, min, max,
                option, max > 8080 ? 8080 : 2);
        exit(2);
    }
    return (unsigned)value;
}

void server_options_parse(server_options *options, int argc, char **argv)
{
    struct option known[] = {
        {"help", no_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {options->workers_option, required_argument, NULL, 'w'}, /* without a name it is the end of the list */
        {NULL, 0, NULL, 0},
    };
    const char *problem = NULL;
    int c;

    opterr = 0; /* the messages below replace those of getopt_long */
    while (problem == NULL && (c = getopt_long(argc, argv, ":", known, NULL)) != -1) {
        switch (c) {
        case 'h':
            print_help(options);
            exit(0);
        case 'p':
            options->port = parse_number(options, "port", optarg, 0, PORT_MAX);
            break;
        case 'w':
            options->workers = parse_number(options, options->workers_option, optarg, 1, WORKERS_MAX);
            break;
        case ':':
            problem = "needs a number after it";
            break;
        default:
            problem = "is no option of this program";
            break;
        }
    }
    if (problem == NULL && optind < argc) {
        problem = "is not an option";
        optind++;
    }
    if (problem != NULL) {
        fprintf(stderr, "%s: %s %s; %s --help shows the options\n", options->name, argv[optind - 1], problem, options->name);
        exit(2);
    }
}

void server_cannot_listen(const server_options *options, const char *reason)
{
    fprintf(stderr, "%s: cannot listen on 127.0.0.1:%u: %s; choose another port with --port N (0: any free one)\n", options->name,
            options->port, reason);
}
