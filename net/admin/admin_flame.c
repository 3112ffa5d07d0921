/* SPDX-License-Identifier: MIT */
/* A flame graph: one rectangle for each function at each place in the paths, as wide as the time that was seen there.
 *
 * The stacks are sorted by their paths, so those that begin alike come one after the other. A frame is open from the first stack
 * that has it to the last. Its rectangle is written when it is closed, when its width is known. So no tree is built. Positions
 * are integers, in thousandths of a pixel: the decimal point of printf is that of the program's locale. */
#include "admin/admin_flame.h"

#include <string.h>

#define WIDTH 1200    /* pixels */
#define ROW 17        /* height of a frame with its border */
#define TOP 40        /* above the frames */
#define BOTTOM 10     /* below them */
#define LETTER 7      /* width of a letter */
#define NARROWEST 300 /* thousandths of a pixel; narrower frames are left out */

typedef struct {
    tni_admin_response *response;
    const tni_admin_stacks *stacks;
    unsigned height;
    unsigned depth;                         /* frames that are open */
    uint16_t name[TNI_ADMIN_DEPTH_MAX];     /* of each */
    uint64_t begin_ns[TNI_ADMIN_DEPTH_MAX]; /* where each begins */
    uint64_t at_ns;                         /* where the present stack begins */
} graph;

static void print_escaped(tni_admin_response *r, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '<')
            tni_admin_http_print(r, "&lt;");
        else if (c == '>')
            tni_admin_http_print(r, "&gt;");
        else if (c == '&')
            tni_admin_http_print(r, "&amp;");
        else if (c == '"')
            tni_admin_http_print(r, "&quot;");
        else
            tni_admin_http_print(r, "%c", c);
    }
}

/* In thousandths of a pixel. */
static uint64_t position(const graph *g, uint64_t ns)
{
    uint64_t total_ns = g->stacks->total_ns > 0 ? g->stacks->total_ns : 1;

    return (uint64_t)((double)ns * WIDTH * 1000 / (double)total_ns);
}

static void print_share(const graph *g, uint64_t ns)
{
    uint64_t tenths = position(g, ns) / (WIDTH);

    tni_admin_http_print(g->response, " (%llu ms, %llu.%llu %%)", (unsigned long long)(ns / TN_MS),
                         (unsigned long long)(tenths / 10), (unsigned long long)(tenths % 10));
}

/* A warm color, by the name. */
static void print_color(const graph *g, const char *name)
{
    unsigned hash = 5381;

    for (; *name != '\0'; name++)
        hash = hash * 33 + (unsigned char)*name;
    tni_admin_http_print(g->response, "rgb(%u,%u,%u)", 205 + hash % 50, 90 + hash / 50 % 120, 40 + hash / 6000 % 40);
}

static void print_frame(const graph *g, unsigned level, uint64_t begin_ns, uint64_t end_ns, const char *name)
{
    uint64_t x = position(g, begin_ns);
    uint64_t width = position(g, end_ns) - x;
    unsigned y = g->height - BOTTOM - (level + 1) * ROW;
    size_t length = strlen(name);
    size_t letters = (size_t)(width / 1000 / LETTER);

    if (width < NARROWEST)
        return;
    tni_admin_http_print(g->response, "<g><title>");
    print_escaped(g->response, name, length);
    print_share(g, end_ns - begin_ns);
    tni_admin_http_print(g->response, "</title><rect x=\"%llu.%03llu\" y=\"%u\" width=\"%llu.%03llu\" height=\"%u\" fill=\"",
                         (unsigned long long)(x / 1000), (unsigned long long)(x % 1000), y, (unsigned long long)(width / 1000),
                         (unsigned long long)(width % 1000), ROW - 1);
    print_color(g, name);
    tni_admin_http_print(g->response, "\"/>");
    if (letters >= 3) {
        tni_admin_http_print(g->response, "<text x=\"%llu\" y=\"%u\">", (unsigned long long)x / 1000 + 3, y + 12);
        print_escaped(g->response, name, length < letters ? length : letters - 2);
        tni_admin_http_print(g->response, length < letters ? "</text>" : "..</text>");
    }
    tni_admin_http_print(g->response, "</g>\n");
}

/* Closes the frames above the lowest `keep`. */
static void close_frames(graph *g, unsigned keep)
{
    while (g->depth > keep) {
        g->depth--;
        /* Level 0 is the frame of all. */
        print_frame(g, g->depth + 1, g->begin_ns[g->depth], g->at_ns, g->stacks->names[g->name[g->depth]]);
    }
}

static void add(graph *g, const tni_admin_stack *stack)
{
    unsigned same = 0;

    while (same < g->depth && same < stack->depth && g->name[same] == stack->path[same])
        same++;
    close_frames(g, same);
    for (; g->depth < stack->depth; g->depth++) {
        g->name[g->depth] = stack->path[g->depth];
        g->begin_ns[g->depth] = g->at_ns;
    }
    g->at_ns += stack->ns;
}

static unsigned deepest(const tni_admin_stacks *stacks)
{
    unsigned depth = 0;

    for (unsigned i = 0; i < stacks->used; i++)
        if (tni_admin_stacks_at(stacks, i)->depth > depth)
            depth = tni_admin_stacks_at(stacks, i)->depth;
    return depth;
}

void tni_admin_flame_print(tni_admin_response *r, const tni_admin_stacks *stacks, const char *title)
{
    graph g = {.response = r, .stacks = stacks};

    g.height = TOP + (deepest(stacks) + 1) * ROW + BOTTOM;
    tni_admin_http_print(
        r,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" "
        "height=\"%u\" viewBox=\"0 0 %u %u\">\n<style>text{font:12px monospace}rect:hover{stroke:black}</style>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#fafafa\"/>\n<text x=\"10\" y=\"24\">",
        WIDTH, g.height, WIDTH, g.height);
    print_escaped(r, title, strlen(title));
    tni_admin_http_print(r, "</text>\n");
    for (unsigned i = 0; i < stacks->used; i++)
        add(&g, tni_admin_stacks_at(stacks, i));
    close_frames(&g, 0);
    g.at_ns += stacks->left_out_ns;
    if (g.at_ns > 0)
        print_frame(&g, 0, 0, g.at_ns, "all");
    tni_admin_http_print(r, "</svg>\n");
}
