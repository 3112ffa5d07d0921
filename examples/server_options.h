/* SPDX-License-Identifier: MIT */
/* The command line of the example servers. */
#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

typedef struct server_options {
    const char *name;           /* of the program */
    const char *summary;        /* what it does, one line for --help */
    const char *workers_option; /* "workers" or "threads"; NULL: it has no such option */
    const char *workers_help;
    void *(*beside)(void *arg); /* a task that runs beside the server, and is cancelled at its end; NULL: none */
    void *beside_arg;
    unsigned port;    /* in: the default; 0: the kernel chooses */
    unsigned workers; /* in: the default; 0: one per CPU */
} server_options;

/* Reads --port N, --workers N (named by workers_option) and --help. Help ends the program with status 0. An invalid command
 * line ends it with a message and status 2. */
void server_options_parse(server_options *options, int argc, char **argv);

/* Prints why listening failed (`reason`) and what to do. The program then ends with status 1. */
void server_cannot_listen(const server_options *options, const char *reason);

#endif
