/* SPDX-License-Identifier: MIT */
/* The printed interleaving: one line per operation, one column per thread, and the place in the source at the end. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

#define EVENTS_MAX MODEL_STEPS_MAX
#define COLUMN 42
#define SHOWN 150 /* lines at the beginning and at the end of a long one */

typedef struct {
    const void *pc;
    unsigned thread;
    char text[112];
} event;

static event events[EVENTS_MAX];
static unsigned event_count;

void trace_reset(void)
{
    event_count = 0;
}

void trace_add(const void *pc, const char *format, ...)
{
    va_list args;
    event *e = &events[event_count];

    if (!engine.tracing || event_count == EVENTS_MAX)
        return;
    event_count++;
    e->pc = pc;
    e->thread = engine.self;
    va_start(args, format);
    (void)vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
}

/* --- Places in the source, by addr2line, once for each address ------------------------------------------------------------ */

#define PLACES_MAX 1024

static struct {
    const void *pc;
    char text[96];
} places[PLACES_MAX];
static unsigned place_count;

/* Reads one result of addr2line -i: `FILE:LINE`, and one more line for each function that it is inlined in, each ending with
 * " (inlined by) ". Keeps the first two. */
static void find_place(const void *pc, char *text, size_t size)
{
    char command[256];
    char line[512];
    char program[160];
    size_t used = 0;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    FILE *output;

    (void)snprintf(text, size, "%p", pc);
    if (length <= 0)
        return;
    program[length] = '\0';
    (void)snprintf(command, sizeof command, "addr2line -i -e '%s' %p 2>/dev/null", program, (const void *)((const char *)pc - 1));
    output = popen(command, "r");
    if (output == NULL)
        return;
    for (int i = 0; i < 2 && fgets(line, sizeof line, output) != NULL; i++) {
        const char *name = strrchr(line, '/') == NULL ? line : strrchr(line, '/') + 1;
        if (strchr(line, '?') != NULL)
            break;
        used += (size_t)snprintf(text + used, size - used, "%s%.*s", i > 0 ? " < " : "", (int)strcspn(name, " \n"), name);
    }
    (void)pclose(output);
}

const char *trace_place(const void *pc)
{
    unsigned i = 0;

    if (!engine.tracing)
        return "?"; /* a replay will find it */
    while (i < place_count && places[i].pc != pc)
        i++;
    if (i == PLACES_MAX)
        return "?";
    if (i == place_count) {
        places[i].pc = pc;
        find_place(pc, places[i].text, sizeof places[i].text);
        place_count++;
    }
    return places[i].text;
}

void trace_print(void)
{
    bool used[MODEL_THREADS] = {0};

    for (unsigned i = 0; i < event_count; i++)
        used[events[i].thread] = true;
    printf("     ");
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        if (used[t])
            printf("| T%u %-*.*s", t, COLUMN - 3, COLUMN - 3, engine.threads[t].name != NULL ? engine.threads[t].name : "");
    printf("\n");
    for (unsigned i = 0; i < event_count; i++) {
        if (event_count > 2 * SHOWN && i == SHOWN) {
            printf("     | ... %u more\n", event_count - 2 * SHOWN);
            i = event_count - SHOWN;
        }
        printf("%4u ", i);
        for (unsigned t = 0; t < MODEL_THREADS; t++)
            if (used[t])
                printf("| %-*s", COLUMN, t == events[i].thread ? events[i].text : "");
        printf("| %s\n", trace_place(events[i].pc));
    }
}
