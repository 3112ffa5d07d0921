/* SPDX-License-Identifier: MIT */
/* tn_sim_main: a process for each seed, and what is printed about them.
 *
 * The parent runs nothing of the program. What a run writes goes to a file in memory, and is shown only if the run fails. The
 * process is started again without the randomization of addresses, so that a program that depends on addresses without knowing
 * it repeats its runs too, also in a debugger. */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tn/sim.h>

#include "sim/alloc_sim.h"
#include "sim/sim_options.h"
#include "sim/sim_refuse.h"

typedef struct {
    tni_sim_options options;
    const char *program;
    char **arguments; /* from "--" on */
    tn_sim_fn fn;
    void *arg;
    tni_sim_run_result *result; /* shared with the processes of the runs */
    int output;                 /* what a run writes */
    bool same;                  /* a run has passed in which nothing depended on the seed */
    uint64_t failed;
    uint64_t runs;
    uint64_t events;
    uint64_t virtual_ns;
    tni_sim_use use;              /* of the last run */
    tni_sim_choice_counts counts; /* of all runs; `met` of a kind: also in how many runs: */
    uint64_t runs_with[TNI_SIM_KINDS];
} session;

/* --- One run ---------------------------------------------------------------------------------------------------------------- */

static _Noreturn void run_child(const session *self, const tni_sim_run_options *options)
{
    if (self->output >= 0) {
        (void)dup2(self->output, STDOUT_FILENO);
        (void)dup2(self->output, STDERR_FILENO);
    }
    (void)alarm(self->options.real_seconds);
    tni_sim_run(options, self->fn, self->arg, self->result);
    exit(EXIT_SUCCESS);
}

/* Returns the status as waitpid(2) does. */
static int run_once(session *self, const tni_sim_run_options *options)
{
    pid_t child;
    int status;

    memset(self->result, 0, sizeof *self->result);
    if (self->output >= 0 && (ftruncate(self->output, 0) != 0 || lseek(self->output, 0, SEEK_SET) != 0))
        abort();
    (void)fflush(NULL);
    child = fork();
    if (child == 0)
        run_child(self, options);
    if (child < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* Whether a run has failed. `why`: of at least 64 bytes. */
static bool has_failed(const session *self, int status, char *why)
{
    if (self->result->failure[0] != '\0')
        (void)snprintf(why, 64, "%s", self->result->failure);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        (void)snprintf(why, 64, "hangs: longer than --real-seconds");
    else if (WIFSIGNALED(status))
        (void)snprintf(why, 64, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (!self->result->ended)
        (void)snprintf(why, 64, "exit(%d) in the run", WEXITSTATUS(status));
    else if (WEXITSTATUS(status) != 0)
        (void)snprintf(why, 64, "exit status %d after the run", WEXITSTATUS(status));
    else
        return false;
    return true;
}

static void show_output(const session *self)
{
    char buffer[4096];
    ssize_t n;

    if (self->output < 0 || lseek(self->output, 0, SEEK_SET) != 0)
        return;
    while ((n = read(self->output, buffer, sizeof buffer)) > 0)
        (void)fwrite(buffer, 1, (size_t)n, stderr);
}

static void count_run(session *self)
{
    self->runs++;
    self->events += self->result->events;
    self->virtual_ns += self->result->virtual_ns;
    for (unsigned kind = 0; kind < TNI_SIM_KINDS; kind++) {
        self->counts.asked[kind] += self->result->counts.asked[kind];
        self->counts.met[kind] += self->result->counts.met[kind];
        self->runs_with[kind] += self->result->counts.met[kind] > 0;
    }
}

static void print_run(const session *self, uint64_t seed, const char *why)
{
    (void)printf("run %llu %s digest %016llx events %llu virtual_ns %llu", (unsigned long long)seed,
                 why[0] == '\0' ? "ok" : "failed", (unsigned long long)self->result->digest,
                 (unsigned long long)self->result->events, (unsigned long long)self->result->virtual_ns);
    for (unsigned kind = 0; kind < TNI_SIM_KINDS; kind++)
        if (self->result->counts.met[kind] > 0)
            (void)printf(" %s %llu", tni_sim_choice_name(kind), (unsigned long long)self->result->counts.met[kind]);
    for (unsigned i = 0; i < TNI_SIM_SIZES_MAX && self->result->sizes[i].name[0] != '\0'; i++)
        (void)printf(" size:%s %llu", self->result->sizes[i].name, (unsigned long long)self->result->sizes[i].value);
    (void)printf("%s%s\n", why[0] == '\0' ? "" : " why ", why);
    (void)fflush(stdout);
}

/* Runs one seed, twice if asked. Returns whether it was as it should be. */
static bool run_seed(session *self, uint64_t seed)
{
    tni_sim_run_options options = self->options.run;
    char why[64] = "";
    uint64_t digest;
    bool failed;
    int status;

    options.seed = seed;
    options.expected = self->use;
    status = run_once(self, &options);
    failed = has_failed(self, status, why);
    count_run(self);
    self->use = self->result->use;
    digest = self->result->digest;
    if (!failed && self->options.twice) {
        status = run_once(self, &options);
        failed = has_failed(self, status, why);
        if (!failed && self->result->digest != digest) {
            failed = true;
            (void)snprintf(why, sizeof why, "two runs differ: compare the output of --trace");
        }
    }
    if (self->options.report)
        print_run(self, seed, why);
    if (!failed)
        return true;
    show_output(self);
    (void)fprintf(stderr, "seed %llu failed: %s\nrepeat it by: %s --seed %llu", (unsigned long long)seed, why, self->program,
                  (unsigned long long)seed);
    tni_sim_options_print(&self->options, stderr);
    (void)fprintf(stderr, " --trace");
    for (char **argument = self->arguments; *argument != NULL; argument++)
        (void)fprintf(stderr, " %s", *argument);
    (void)fputc('\n', stderr);
    return false;
}

/* --- All runs --------------------------------------------------------------------------------------------------------------- */

static double now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_summary(const session *self, double seconds)
{
    (void)printf("%llu runs, %llu failed; %.1f s, %.0f runs per minute; %llu events, %.3f virtual s\n",
                 (unsigned long long)self->runs, (unsigned long long)self->failed, seconds,
                 60 * (double)self->runs / (seconds > 0 ? seconds : 1e-9), (unsigned long long)self->events,
                 (double)self->virtual_ns / 1e9);
    if (self->same)
        (void)printf("  nothing depended on the seed: other seeds give the same run\n");
    for (unsigned kind = 0; kind < TNI_SIM_KINDS; kind++)
        if (self->counts.asked[kind] > 0)
            (void)printf("  %-11s %llu of %llu, in %llu runs\n", tni_sim_choice_name(kind),
                         (unsigned long long)self->counts.met[kind], (unsigned long long)self->counts.asked[kind],
                         (unsigned long long)self->runs_with[kind]);
}

static int run_all(session *self)
{
    double began_s = now_s();

    for (uint64_t i = 0; i < self->options.seeds; i++) {
        if (!run_seed(self, self->options.run.seed + i)) {
            self->failed++;
            if (!self->options.keep_going)
                break;
        } else if (!self->result->counts.seed_mattered) {
            self->same = true; /* the next seed would give this run again */
            break;
        }
    }
    if (!self->options.report)
        print_summary(self, now_s() - began_s);
    return self->failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- The beginning ---------------------------------------------------------------------------------------------------------- */

/* Whether the first definition of `name` that the loader finds is in another object than this function. */
static bool is_elsewhere(void *scope, const char *name)
{
    void *found = dlsym(scope, name);
    Dl_info here;
    Dl_info there;

    return found != NULL && dladdr((void *)(uintptr_t)is_elsewhere, &here) != 0 && dladdr(found, &there) != 0 &&
           here.dli_fbase != there.dli_fbase;
}

/* Both libraries define the same functions, and each call goes to one of them: nothing would be simulated, or a half. The other
 * one may be before this library or behind it. */
static void check_alone(void)
{
    if (!is_elsewhere(RTLD_DEFAULT, "tn_runtime_create") && !is_elsewhere(RTLD_NEXT, "tn_runtime_create"))
        return;
    (void)fprintf(stderr, "tournant_sim: this program is linked with the library tournant too: link tournant_sim alone\n");
    exit(2);
}

#define BIND_NOW "LD_BIND_NOW" /* a variable of the loader */

static void start_without_randomization(char **argv)
{
    int persona = personality(0xffffffff);

    if (persona < 0 || (persona & ADDR_NO_RANDOMIZE) || personality((unsigned)persona | ADDR_NO_RANDOMIZE) < 0)
        return;
    (void)setenv(BIND_NOW, "1", 1); /* otherwise each run would look up the same functions again */
    (void)execv("/proc/self/exe", argv);
    (void)personality((unsigned)persona);
}

static char **arguments_of(char **argv)
{
    while (*argv != NULL && strcmp(*argv, "--") != 0)
        argv++;
    return argv;
}

int tn_sim_main(int argc, char **argv, tn_sim_fn fn, void *arg)
{
    session self = {.program = argv[0], .arguments = arguments_of(argv), .fn = fn, .arg = arg, .output = -1};
    int rc = tni_sim_options_parse(&self.options, argc, argv);

    if (rc != 0)
        return rc == TNI_SIM_OPTIONS_HELP ? EXIT_SUCCESS : rc;
    check_alone();
    start_without_randomization(argv);
    (void)unsetenv(BIND_NOW);
    if (tni_sim_refuse_calls == 0)
        return EXIT_FAILURE;
    self.result = mmap(NULL, sizeof *self.result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (self.result == MAP_FAILED) {
        perror("mmap");
        return EXIT_FAILURE;
    }
    tni_sim_alloc_prepare();
    if (self.options.here) {
        tni_sim_run(&self.options.run, fn, arg, self.result);
        return EXIT_SUCCESS;
    }
    if (!self.options.run.print)
        self.output = memfd_create("tournant_sim", MFD_CLOEXEC);
    return run_all(&self);
}
