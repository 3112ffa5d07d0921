/* SPDX-License-Identifier: MIT */
/* Starting a child process: the options, the pipes, the files to try, and the call on a thread that may block. */
#include <limits.h>
#include <string.h>

#include "base/fork.h"
#include "base/log.h"
#include "base/options.h"
#include "fs/fs.h"
#include "os/os_process.h"
#include "os/os_socket.h"
#include "process/process.h"
#include "sched/runtime.h"
#include "scope/scope.h"

#define FDS_MAX 1024
#define LIMITS_MAX 64

/* In the caller's frame. */
typedef struct {
    tn_scope scope; /* around the start; if the fiber is abandoned there, its end frees all of this */
    tn_process_options options;
    const tni_log *log;
    tn_process *process;
    tni_os_process_program how;
    tni_os_process_user user;
    tni_os_process_limit limits[LIMITS_MAX];
    int child_ends[3]; /* of pipes, and /dev/null; -1: none */
    void *memory;      /* of the files to try, and of how.fds */
    size_t memory_size;
    const char *failed;
    bool reserved; /* tni_reaper_reserve */
} starting;

/* --- Options ---------------------------------------------------------------------------------------------------------------- */

static int check_options(const starting *self, const char *const *argv)
{
    const tn_process_options *options = &self->options;
    const char *problem = NULL;

    if (argv == NULL || argv[0] == NULL) {
        tni_log_write(self->log, TN_LOG_ERROR, "tn_process_start: argv is empty: pass the name of the program as its first text");
        return TN_EINVAL;
    }
    if (options->in > TN_PROCESS_PIPE || options->out > TN_PROCESS_PIPE || options->err > TN_PROCESS_STDOUT)
        problem = "in, out or err is no tn_process_stream that is allowed there";
    else if (options->fd_count > FDS_MAX || options->limit_count > LIMITS_MAX)
        problem = "fd_count is above 1024, or limit_count above 64";
    else if (options->group_ends && !options->new_group && !options->new_session)
        problem = "group_ends needs new_group or new_session";
    else if (options->group < 0 || (options->group != 0 && (options->new_group || options->new_session)))
        problem = "group is negative, or set together with new_group or new_session";
    else if (options->reserved != 0)
        problem = "reserved is not 0";
    for (size_t i = 0; problem == NULL && i < options->fd_count; i++)
        if (options->fds[i].to < 0 || options->fds[i].from < 0)
            problem = "fds has a negative number";
        else if (options->fds[i].to == INT_MAX)
            problem = "fds has a number that no process can have";
    return problem != NULL ? tni_options_refuse(self->log, "tn_process_start", problem) : 0;
}

static int read_options(starting *self, const char *const *argv, const tn_process_options *given)
{
    tn_runtime *runtime = given != NULL && given->runtime != NULL ? given->runtime : tn_runtime_current();
    int rc;

    self->log = runtime != NULL ? &runtime->log : NULL;
    if (runtime == NULL) {
        tni_log_write(NULL, TN_LOG_ERROR, "tn_process_start: called outside a task: set options.runtime");
        return TN_EINVAL;
    }
    self->options = tn_process_options_default();
    rc = tni_options_read(&self->options, failed, given, self->log, "tn_process_start");
    if (rc == 0)
        rc = check_options(self, argv);
    self->options.runtime = runtime;
    if (rc == 0 && tni_runtime_is_inherited(runtime)) {
        tni_fork_log_refusal("tn_process_start");
        rc = TN_ESHUTDOWN;
    }
    return rc;
}

/* --- Files to try ----------------------------------------------------------------------------------------------------------- */

static size_t count_folders(const char *search)
{
    size_t count = 1;

    for (; *search != '\0'; search++)
        count += *search == ':';
    return count;
}

/* Writes FOLDER/FILE for each folder of `search`, and ends the list. An empty folder is the current one. */
static void write_paths(const char **paths, char *text, const char *search, const char *file)
{
    size_t length = strlen(file) + 1;

    for (;;) {
        size_t folder = strcspn(search, ":");
        *paths++ = text;
        memcpy(text, folder > 0 ? search : ".", folder > 0 ? folder : 1);
        text += folder > 0 ? folder : 1;
        *text++ = '/';
        memcpy(text, file, length);
        text += length;
        if (search[folder] == '\0')
            break;
        search += folder + 1;
    }
    *paths = NULL;
}

/* One block for the list of files and for the descriptors. */
static int make_lists(starting *self, const char *file)
{
    const char *search = strchr(file, '/') == NULL ? tni_os_process_search_path() : NULL;
    size_t folders = search != NULL ? count_folders(search) : 1;
    size_t fds = (self->options.fd_count + 3) * sizeof(tni_os_process_fd);
    size_t paths = (folders + 1) * sizeof(char *);
    const char **list;

    self->memory_size = paths + fds;
    if (search != NULL)
        self->memory_size += strlen(search) + folders * (strlen(file) + 3);
    self->memory = tni_alloc(&self->options.runtime->allocator, self->memory_size, _Alignof(max_align_t));
    if (self->memory == NULL)
        return TN_ENOMEM;
    list = self->memory;
    self->how.paths = list;
    self->how.fds = (void *)((char *)self->memory + paths);
    if (search != NULL) {
        write_paths(list, (char *)self->memory + paths + fds, search, file);
    } else {
        list[0] = file;
        list[1] = NULL;
    }
    return file[0] != '\0' ? 0 : -ENOENT;
}

/* --- Descriptors ------------------------------------------------------------------------------------------------------------ */

static bool is_given(const starting *self, int to)
{
    for (size_t i = 0; i < self->options.fd_count; i++)
        if (self->options.fds[i].to == to)
            return true;
    return false;
}

static void add_fd(starting *self, int from, int to)
{
    self->how.fds[self->how.fd_count++] = (tni_os_process_fd){.from = from, .to = to};
}

static int open_pipe(starting *self, int number)
{
    int ends[2];
    int rc = tni_os_process_pipe(ends);

    self->failed = "pipe2";
    if (rc != 0)
        return rc;
    self->child_ends[number] = ends[number == 0 ? 0 : 1];
    return tni_pipe_make(&self->process->pipes[number], self->options.runtime, ends[number == 0 ? 1 : 0]);
}

static int open_stream(starting *self, int number, tn_process_stream kind)
{
    int rc = 0;

    if (is_given(self, number))
        return 0;
    if (kind == TN_PROCESS_PIPE) {
        rc = open_pipe(self, number);
    } else if (kind == TN_PROCESS_NULL) {
        self->failed = "/dev/null";
        self->child_ends[number] = tni_os_process_null();
        rc = self->child_ends[number] < 0 ? self->child_ends[number] : 0;
    }
    if (rc == 0 && self->child_ends[number] >= 0)
        add_fd(self, self->child_ends[number], number);
    return rc;
}

/* Where the output goes. */
static int output_fd(const starting *self)
{
    for (size_t i = 0; i < self->how.fd_count; i++)
        if (self->how.fds[i].to == 1)
            return self->how.fds[i].from;
    return 1;
}

static int open_streams(starting *self)
{
    const tn_process_options *options = &self->options;
    int rc;

    for (size_t i = 0; i < options->fd_count; i++)
        add_fd(self, options->fds[i].from, options->fds[i].to);
    rc = open_stream(self, 0, options->in);
    if (rc == 0)
        rc = open_stream(self, 1, options->out);
    if (rc == 0)
        rc = open_stream(self, 2, options->err);
    if (rc == 0 && options->err == TN_PROCESS_STDOUT && !is_given(self, 2))
        add_fd(self, output_fd(self), 2);
    return rc;
}

/* --- The start -------------------------------------------------------------------------------------------------------------- */

static void fill_in(starting *self, const char *const *argv)
{
    const tn_process_options *options = &self->options;

    self->how.argv = argv;
    self->how.environment = options->environment;
    self->how.folder = options->folder;
    if (options->user != NULL) {
        self->user = (tni_os_process_user){options->user->user, options->user->group, options->user->groups,
                                           options->user->group_count};
        self->how.user = &self->user;
    }
    for (size_t i = 0; i < options->limit_count; i++)
        self->limits[i] = (tni_os_process_limit){options->limits[i].resource, options->limits[i].soft, options->limits[i].hard};
    self->how.limits = self->limits;
    self->how.limit_count = options->limit_count;
    self->how.inherit_fds = options->inherit_fds;
    self->how.new_session = options->new_session;
    self->how.new_group = options->new_group;
    self->how.group = options->group;
    self->how.default_signals = options->default_signals;
    self->how.clear_mask = !options->inherit_mask;
    self->process->kill_on_close = options->kill_on_close;
    self->process->child->leads_group = options->new_group || options->new_session;
    self->process->child->group_ends = options->group_ends;
}

/* On a thread that may block. The reaper has the child before this returns, so it is never lost. */
static int call_start(void *arg)
{
    starting *self = arg;
    tn_process *process = self->process;
    int rc = tni_os_process_start(&self->how, &process->child->process, &self->failed);

    if (rc != 0)
        return rc;
    process->id = process->child->process.id;
    tni_reaper_adopt(process->reaper, process->child);
    self->reserved = false;
    return 0;
}

static void close_all(starting *self)
{
    for (unsigned i = 0; i < 3; i++)
        if (self->child_ends[i] >= 0)
            tni_os_close(self->child_ends[i]);
    tni_free(&self->options.runtime->allocator, self->memory, self->memory_size);
    if (self->reserved)
        tni_reaper_unreserve(self->process->reaper);
}

static void start_end(tn_scope *scope, bool abandoned)
{
    starting *self = tni_container_of(scope, starting, scope);

    close_all(self);
    if (abandoned && self->process->id != 0)
        tn_process_close(self->process);
    else if (abandoned)
        tni_process_free(self->process);
}

static int make_process(starting *self)
{
    tn_process *process = tni_reclaim_alloc(self->options.runtime, sizeof *process, _Alignof(tn_process));

    if (process == NULL)
        return TN_ENOMEM;
    memset(process, 0, sizeof *process);
    process->runtime = self->options.runtime;
    process->child = tni_child_make();
    self->process = process;
    return process->child != NULL ? 0 : TN_ENOMEM;
}

static int prepare(starting *self, const char *const *argv)
{
    const char *file = self->options.file != NULL ? self->options.file : argv[0];
    int rc;

    self->failed = "malloc";
    rc = make_lists(self, file);
    if (rc != 0) {
        self->failed = rc == -ENOENT ? "execve" : self->failed;
        return rc;
    }
    self->failed = "the thread for children";
    rc = tni_reaper_reserve(&self->process->reaper);
    if (rc != 0)
        return rc;
    self->reserved = true;
    fill_in(self, argv);
    return open_streams(self);
}

int tn_process_start(tn_process **out, const char *const *argv, const tn_process_options *options)
{
    starting self = {.child_ends = {-1, -1, -1}, .failed = "tn_process_start"};
    int rc = read_options(&self, argv, options);

    *out = NULL;
    if (rc == 0)
        rc = make_process(&self);
    if (rc == 0) {
        tn_scope_enter(&self.scope, TN_NEVER);
        tni_scope_on_end(&self.scope, start_end);
        rc = prepare(&self, argv);
        if (rc == 0) {
            self.failed = "tn_process_start";
            rc = tni_fs_run(call_start, &self);
        }
        tn_scope_leave(&self.scope);
    }
    if (rc == 0)
        *out = self.process;
    else if (self.process != NULL)
        tni_process_free(self.process);
    if (rc != 0 && self.options.failed != NULL)
        *self.options.failed = self.failed;
    return rc;
}
