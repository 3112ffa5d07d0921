/* SPDX-License-Identifier: MIT */
/* loader PLUGIN...: loads each plugin, runs it and unloads it, three times; then once all of them, at the same time in threads.
 * Prints a line for each: the file that has the functions it calls, and whether it is still loaded at the end. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 3
#define PLUGINS_MAX 4

static void *load(const char *name)
{
    void *plugin = dlopen(name, RTLD_NOW | RTLD_LOCAL);

    if (plugin == NULL) {
        printf("%s\n", dlerror());
        exit(1);
    }
    return plugin;
}

static void *run(void *plugin)
{
    int (*plugin_run)(int *) = NULL;
    int ran = 0;

    *(void **)&plugin_run = dlsym(plugin, "plugin_run");
    if (plugin_run == NULL || plugin_run(&ran) != 0 || ran != 1) {
        printf("a plugin does not run\n");
        exit(1);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[PLUGINS_MAX];
    void *plugins[PLUGINS_MAX];
    int count = argc - 1 < PLUGINS_MAX ? argc - 1 : PLUGINS_MAX;

    for (int i = 0; i < ROUNDS * count; i++) {
        void *plugin = load(argv[1 + i % count]);

        run(plugin);
        dlclose(plugin);
    }
    for (int i = 0; i < count; i++)
        plugins[i] = load(argv[1 + i]);
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, run, plugins[i]);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < count; i++) {
        const char *(*plugin_library)(void) = NULL;
        const char *name;

        *(void **)&plugin_library = dlsym(plugins[i], "plugin_library");
        name = realpath(plugin_library(), NULL);
        dlclose(plugins[i]);
        plugins[i] = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
        printf("%s %s\n", name, plugins[i] != NULL ? "stays" : "goes");
    }
    return 0;
}
