# SPDX-License-Identifier: MIT
"""gdb commands for programs on tournant, alive or as a core file: tn tasks, tn tree, tn bt, tn cores, tn waits.

gdb loads this file by itself when the library is installed with its debug information (docs/debugging.md); otherwise:
source tournant-gdb.py. It reads memory alone, and calls nothing in the program.
"""

import gdb
import gdb.unwinder

FREE, CANCELLED, ACTIVE, WAITS_FOR_STACK = 4, 8, 1, 128  # flags of the state word (runtime/task/task.h)
KINDS = {0: "fiber", 1: "stackless"}

# Where a suspended fiber has saved its registers, in bytes from its stack pointer, and where the stack pointer is after the
# switch (runtime/fiber/fiber_x86_64.S, fiber_aarch64.S).
SAVED = {
    "i386:x86-64": (
        {"r15": 8, "r14": 16, "r13": 24, "r12": 32, "rbx": 40, "rbp": 48, "rip": 56},
        "rsp",
        64,
    ),
    "aarch64": (
        {"x29": 0, "x30": 8, "pc": 8, "x19": 16, "x20": 24, "x21": 32, "x22": 40, "x23": 48, "x24": 56, "x25": 64, "x26": 72,
         "x27": 80, "x28": 88},
        "sp",
        176,
    ),
}  # fmt: skip


def fail(message):
    raise gdb.GdbError(message)


def word(value):
    """The value of an atomic word."""
    return value["value"]


def number(value):
    return int(word(value))


def pointer(value, type_name):
    return word(value).cast(gdb.lookup_type(type_name).pointer())


def name_of(address):
    """The function at a code address, or the address."""
    address = int(address)
    block = gdb.block_for_pc(address)
    while block is not None and block.function is None:
        block = block.superblock
    if block is None:
        return f"{address:#x}"
    where = gdb.find_pc_line(address)
    place = f" ({where.symtab.filename}:{where.line})" if where.symtab is not None and where.line else ""
    return f"{block.function.name}{place}"


def text(value):
    try:
        return value.string(errors="replace")
    except gdb.error:
        return "?"


def each_thread():
    """Selects each thread of the program in turn, and puts back the selection."""
    selected, frame = gdb.selected_thread(), None
    if selected is None:
        fail("tn: no program: start one, attach to one, or load a core file")
    frame = gdb.selected_frame()
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
            thread.switch()
            yield thread
    finally:
        selected.switch()
        frame.select()


def worker_of_frames():
    """The worker of the selected thread, from the frame of its main function, where thread-local variables cannot be read."""
    frame = gdb.newest_frame()
    while frame is not None:
        if frame.name() == "tni_worker_main":
            try:
                return frame.read_var("arg").cast(gdb.lookup_type("tni_worker").pointer())
            except (gdb.error, ValueError):
                return None
        frame = frame.older()
    return None


def worker_of_thread():
    try:
        worker = gdb.parse_and_eval("'tls.c'::local")["worker"]
        return worker if int(worker) else None
    except gdb.error:
        return worker_of_frames()


def runtimes():
    """All runtimes that have a worker, by the address; and the gdb thread of each worker."""
    try:
        gdb.lookup_type("tn_runtime")
    except gdb.error:
        fail("tn: no debug information of tournant (install the library unstripped)")
    found, threads = {}, {}
    for thread in each_thread():
        worker = worker_of_thread()
        if worker is not None and int(worker["runtime"]):
            found[int(worker["runtime"])] = worker["runtime"].dereference()
            threads[int(worker)] = thread
    if not found:
        fail("tn: no thread of this program is a worker of tournant")
    return list(found.values()), threads


def tasks_of_cache(cache):
    block = pointer(cache["blocks"], "tni_slab_block")
    count = int(gdb.parse_and_eval("'slab.c'::tasks_per_block"))
    while int(block):
        if not number(block["blank"]):
            for i in range(count):
                task = block["tasks"][i]
                if not number(task["state"]) & FREE and int(task["runtime"]):
                    yield task
        block = block["next"]


def tasks_of(runtime):
    for i in range(int(runtime["core_count"])):
        yield from tasks_of_cache(runtime["cores"][i]["slabs"])
    yield from tasks_of_cache(runtime["external_slabs"])


def workers_of(runtime):
    worker = runtime["workers"]
    while int(worker):
        yield worker
        worker = worker["next_worker"]


def running(runtime):
    """The worker that is inside each task, by the address of the task."""
    return {number(w["current"]): w for w in workers_of(runtime) if number(w["current"])}


def is_fiber(task):
    return int(task["kind"]) == 0


def future_of(task):
    return task["awaited"] if is_fiber(task) else task["body"]["future"]


def waits_for(task):
    future = future_of(task)
    if not int(future):
        return "?"
    ops = future["ops"]
    return text(ops["name"]) if int(ops["name"]) else name_of(ops["poll"])


def state_of(task, workers):
    flags = number(task["state"])
    if int(task.address) in workers:
        return "runs on " + text(workers[int(task.address)]["name"])
    if flags & WAITS_FOR_STACK:
        return "waits for a stack"
    if flags & ACTIVE:
        return "is queued"
    return "waits for " + waits_for(task)


def find_task(id_):
    all_runtimes, threads = runtimes()
    for runtime in all_runtimes:
        for task in tasks_of(runtime):
            if int(task["id"]) == id_:
                return task, running(runtime), threads
    fail(f"tn: no task {id_}: `tn tasks` lists them")
    return None


class FiberUnwinder(gdb.unwinder.Unwinder):
    """While `saved` is set, the frames of the selected thread continue with those of a suspended fiber: the caller of the
    innermost one is the place where the fiber was left."""

    def __init__(self):
        super().__init__("tournant-fiber")
        self.saved = None
        self.at = None

    def __call__(self, pending_frame):
        if self.saved is None:
            return None
        pc = pending_frame.read_register("pc")
        sp = pending_frame.read_register("sp")
        if (int(pc), int(sp)) != self.at:
            return None
        info = pending_frame.create_unwind_info(FrameId(sp, pc))
        for register, value in self.saved.items():
            info.add_saved_register(register, gdb.Value(value).cast(pending_frame.read_register(register).type))
        return info


class FrameId:
    """What gdb asks for: values, not numbers."""

    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


unwinder = FiberUnwinder()


def saved_registers(task):
    architecture = gdb.selected_frame().architecture().name()
    if architecture not in SAVED:
        fail(f"tn: no layout of saved registers for {architecture}")
    offsets, sp_name, size = SAVED[architecture]
    sp = int(task["body"]["fiber"]["context"]["sp"])
    if not sp:
        return None
    memory = gdb.selected_inferior()
    saved = {r: int.from_bytes(memory.read_memory(sp + at, 8).tobytes(), "little") for r, at in offsets.items()}
    saved[sp_name] = sp + size
    return saved


def print_fiber(task, arguments):
    """Prints gdb's own backtrace of a fiber that no thread is inside of."""
    saved = saved_registers(task)
    if not int(task["body"]["fiber"]["stack"]) or saved is None:
        gdb.write(f"it has not begun: {name_of(task['body']['fiber']['entry'])}\n")
        return
    gdb.newest_frame().select()
    unwinder.at = (int(gdb.parse_and_eval("$pc")), int(gdb.parse_and_eval("$sp")))
    unwinder.saved = saved
    gdb.invalidate_cached_frames()
    try:
        lines = gdb.execute(f"backtrace {arguments}", to_string=True).splitlines()
    finally:
        unwinder.saved = None
        gdb.invalidate_cached_frames()
        gdb.newest_frame().select()
    first = next((i for i, line in enumerate(lines) if line.startswith("#1 ")), len(lines))
    for line in lines[first:]:
        if line.startswith("Backtrace stopped"):
            continue
        if line.startswith("#"):
            level, rest = line[1:].split(" ", 1)
            line = f"#{int(level) - 1:<3}{rest.lstrip()}"
        gdb.write(line + "\n")


def describe_without_id(task, workers):
    return f'"{text(task["name"])}" ({KINDS.get(int(task["kind"]), "?")}) {state_of(task, workers)}'


def describe(task, workers):
    return f'task {int(task["id"])} {describe_without_id(task, workers)}'


def some_of(ids):
    return ", ".join(str(i) for i in sorted(ids)[:8]) + (", …" if len(ids) > 8 else "")


class Tn(gdb.Command):
    """Tasks, cores and waits of a program on tournant: tn tasks, tn tree, tn bt ID, tn cores, tn waits."""

    def __init__(self):
        super().__init__("tn", gdb.COMMAND_STACK, prefix=True)


class Tasks(gdb.Command):
    """tn tasks [TEXT]: one line for each task, or for those whose line contains TEXT: its number, name, kind, state, where it was
    spawned."""

    def __init__(self):
        super().__init__("tn tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        shown = total = 0
        for runtime in runtimes()[0]:
            gdb.write(f'runtime "{text(runtime["name"])}"\n')
            workers = running(runtime)
            for task in tasks_of(runtime):
                line = describe(task, workers) + f", spawned in {name_of(task['spawn_site'])}"
                total += 1
                if argument in line:
                    shown += 1
                    gdb.write(line + "\n")
        gdb.write(f"{shown} of {total} tasks\n" if argument else f"{total} tasks\n")


class Bt(gdb.Command):
    """tn bt ID [ARGUMENT...]: the stack of a task, by gdb's own backtrace, which gets the further arguments, such as full."""

    def __init__(self):
        super().__init__("tn bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split(None, 1)
        if not words or not words[0].isdigit():
            fail("tn bt: which task? tn bt ID; `tn tasks` lists the numbers")
        rest = words[1] if len(words) > 1 else ""
        task, workers, threads = find_task(int(words[0]))
        gdb.write(describe(task, workers) + "\n")
        worker = workers.get(int(task.address))
        if worker is not None:
            self.print_running(threads.get(int(worker)), rest)
        elif is_fiber(task):
            print_fiber(task, rest)
        else:
            gdb.write(f"it has no stack; its future is polled by {name_of(future_of(task)['ops']['poll'])}\n")

    @staticmethod
    def print_running(thread, rest):
        if thread is None:
            fail("tn bt: the thread of its worker was not found")
        selected = gdb.selected_thread()
        thread.switch()
        try:
            gdb.execute(f"backtrace {rest}")
        finally:
            selected.switch()


class Cores(gdb.Command):
    """tn cores: for each core its worker, whether that is parked or searches, the lengths of the run queue and of the queue of
    tasks that have yielded, and what it has done."""

    def __init__(self):
        super().__init__("tn cores", gdb.COMMAND_STACK)

    @staticmethod
    def length(deque):
        return max(0, number(deque["bottom"]) - number(deque["top"]))

    def print_core(self, runtime, core):
        index = int(core["index"])
        marks = number(runtime["idle"]["marks"][index // 32])
        parked, searching = marks >> index % 32 & 1, marks >> 32 + index % 32 & 1
        worker = pointer(core["worker"], "tni_worker")
        serving = number(core["serving"])
        counts = core["counts"]
        gdb.write(
            f"core {index}: {text(worker['name']) if int(worker) else 'no worker'}"
            f"{', parked' if parked else ''}{', searches' if searching else ''}"
            f", {self.length(core['queues'][serving])} queued, {self.length(core['queues'][1 - serving])} yielded"
            f"{', one in the LIFO slot' if number(core['lifo_slot']) else ''}"
            f", {number(core['driver']['registrations'])} descriptors, {number(counts['polls'])} runs\n"
        )

    def invoke(self, argument, from_tty):
        for runtime in runtimes()[0]:
            gdb.write(f'runtime "{text(runtime["name"])}", {number(runtime["injector"]["length"])} in the injector\n')
            for i in range(int(runtime["core_count"])):
                self.print_core(runtime, runtime["cores"][i])


class Waits(gdb.Command):
    """tn waits: how many tasks wait for what, and a few of their numbers for tn bt."""

    def __init__(self):
        super().__init__("tn waits", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        groups = {}
        for runtime in runtimes()[0]:
            workers = running(runtime)
            for task in tasks_of(runtime):
                groups.setdefault(state_of(task, workers), []).append(int(task["id"]))
        for state, ids in sorted(groups.items(), key=lambda g: -len(g[1])):
            gdb.write(f"{len(ids):8} {state}: {some_of(ids)}\n")


class Tree(gdb.Command):
    """tn tree: which task has spawned which. A task is below the one that has spawned it, or at the left if that has ended. Those
    of one spawner that have spawned none, and differ in nothing but the number, are one line."""

    def __init__(self):
        super().__init__("tn tree", gdb.COMMAND_STACK)

    @staticmethod
    def lines_below(ids, children, shown):
        """A line for each task or group of tasks below one spawner, and the one task whose children follow it, or None."""
        groups = {}
        for id_ in sorted(ids):
            groups.setdefault((shown[id_], id_ if id_ in children else None), []).append(id_)
        for (line, spawner), same in groups.items():
            if len(same) == 1:
                yield f"task {same[0]} {line}", spawner
            else:
                yield f"{len(same)} tasks {line}: {some_of(same)}", None

    def invoke(self, argument, from_tty):
        for runtime in runtimes()[0]:
            gdb.write(f'runtime "{text(runtime["name"])}"\n')
            workers = running(runtime)
            shown, parents, children = {}, {}, {}
            for task in tasks_of(runtime):
                shown[int(task["id"])] = describe_without_id(task, workers)
                parents[int(task["id"])] = int(task["parent"])
            for id_, parent in parents.items():
                children.setdefault(parent if parent in shown else 0, []).append(id_)
            stack = [self.lines_below(children.get(0, []), children, shown)]
            while stack:
                line, spawner = next(stack[-1], (None, None))
                if line is None:
                    stack.pop()
                    continue
                gdb.write("  " * (len(stack) - 1) + line + "\n")
                if spawner is not None:
                    stack.append(self.lines_below(children[spawner], children, shown))


gdb.unwinder.register_unwinder(None, unwinder, replace=True)
for command in (Tn, Tasks, Tree, Bt, Cores, Waits):
    command()
