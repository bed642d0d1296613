# SPDX-License-Identifier: MIT
"""Coroutines and tasks of juggle in gdb, of a live process or a core file.

    (gdb) source juggle-gdb.py
    (gdb) juggle tasks
    (gdb) juggle bt worker

The library needs debug information, but may be optimised. Core files must be made by the kernel:
those of gdb's generate-core-file lack the stacks that have guards without mappings of their own.

Loops are found in the table jg__loops; a loop knows its root scopes, and they know the rest. A
coroutine that is suspended has its registers in a frame on its stack, see platform/context.h. An
unwinder puts that frame behind the newest one of the thread for as long as a command runs, so
nothing is written, and all that gdb can do with a stack it can do with this one.
"""

import re

import gdb
import gdb.unwinder

OP_PENDING = 1
SCOPE_STOPS = 2

WORD = 8

# Where the registers of a suspended context are: (register, word of the frame), the stack pointer,
# the distance from the frame to its value, and the register that is the program counter.
LAYOUTS = {
    "i386:x86-64": (
        [("r15", 0), ("r14", 1), ("r13", 2), ("r12", 3), ("rbx", 4), ("rbp", 5), ("rip", 6)],
        "rsp", 7 * WORD, "rip"),
    "aarch64": (
        [("x29", 0), ("x30", 1), ("pc", 1)]
        + [("x%d" % (19 + i), 2 + i) for i in range(10)]
        + [("v%d" % (8 + i), 12 + i) for i in range(8)],
        "sp", 20 * WORD, "pc"),
    "riscv:rv64": (
        [("ra", 0), ("pc", 0), ("fp", 1), ("s1", 2)]
        + [("s%d" % i, 1 + i) for i in range(2, 12)]
        + [("fs%d" % i, 13 + i) for i in range(12)],
        "sp", 26 * WORD, "pc"),
}

# The same for contexts of the C library: words of a ucontext_t, the stack pointer among them.
UCONTEXT_LAYOUTS = {
    "i386:x86-64": (
        [("r12", 9), ("r13", 10), ("r14", 11), ("r15", 12), ("rbp", 15), ("rbx", 16), ("rsp", 20),
         ("rip", 21)],
        None, None, "rip"),
}


def number_of(value):
    """The address in a pointer, or an integer, as a Python number."""
    return int(value.cast(gdb.lookup_type("unsigned long")))


def word_at(address):
    memory = gdb.selected_inferior().read_memory(address, WORD)
    order = "big" if "big" in gdb.execute("show endian", to_string=True) else "little"
    return int.from_bytes(bytes(memory), order)


def container(link, type_name, member):
    """The struct that a jg_link is the member of, as a pointer."""
    outer = gdb.lookup_type(type_name)
    offset = next(f.bitpos // 8 for f in outer.fields() if f.name == member)
    return gdb.Value(number_of(link) - offset).cast(outer.pointer())


def links(head):
    """The links of a list. A list that something has destroyed ends where it repeats itself."""
    seen = {number_of(head.address)}
    link = head["next"]
    while number_of(link) != 0 and number_of(link) not in seen:
        seen.add(number_of(link))
        yield link
        link = link["next"]


def name_of(thing):
    return thing["name"].string(errors="replace") if number_of(thing["name"]) else "?"


def all_loops():
    try:
        table = gdb.parse_and_eval("jg__loops")
    except gdb.error:
        raise gdb.GdbError("There is no juggle here, or it has no debug information.")
    first, last = table.type.range()
    mask = (1 << (8 * WORD)) - 1
    for i in range(first, last + 1):
        if int(table[i]) != 0: # the complement of the address, see core/loop.c
            loop = gdb.Value(~int(table[i]) & mask)
            yield loop.cast(gdb.lookup_type("struct jg_loop").pointer())


class Threads:
    """What runs: the task of each thread, and the stack pointers."""

    def __init__(self):
        self.current = {}
        self.stacks = []
        selected = gdb.selected_thread()
        if selected is None:
            return
        frame = gdb.selected_frame()
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            self.stacks.append((int(gdb.newest_frame().read_register("sp")), thread.num))
            try:
                self.current[number_of(gdb.parse_and_eval("jg__current"))] = thread.num
            except gdb.error:
                pass # thread-local variables cannot be read from everywhere
        selected.switch()
        frame.select()

    def running(self, task):
        """The number of the thread that runs a task, or None."""
        if number_of(task) in self.current:
            return self.current[number_of(task)]
        if is_coroutine(task):
            coro = coro_of(task)
            low, high = number_of(coro["stack"]["low"]), number_of(coro)
            for stack_pointer, number in self.stacks:
                if low <= stack_pointer < high:
                    return number
        return None


def coroutine_source():
    return gdb.lookup_global_symbol("jg_spawn").symtab


def is_coroutine(task):
    """Whether the steps of a task are those of all coroutines."""
    symtab = gdb.find_pc_line(number_of(task["step"])).symtab
    return symtab is not None and symtab.filename == coroutine_source().filename


def coro_of(task):
    # Another struct may have this name, elsewhere in the program.
    coro = gdb.lookup_type("struct coro", coroutine_source().static_block())
    offset = next(f.bitpos // 8 for f in coro.fields() if f.name == "task")
    return gdb.Value(number_of(task) - offset).cast(coro.pointer())


def state_of(task, threads):
    thread = threads.running(task)
    if thread is not None:
        return "runs in thread %d" % thread
    op = task["awaiting"]
    if number_of(op) != 0 and int(op["flags"]) & OP_PENDING:
        return "waits for " + name_of(op["provider"])
    return "is ready"


def walk(scope, depth):
    """The scopes and tasks in a scope, itself first: (depth, task or None, scope or None)."""
    yield depth, None, scope
    for link in links(scope["tasks"]):
        yield depth + 1, container(link, "struct jg_task", "link"), None
    for link in links(scope["scopes"]):
        yield from walk(container(link, "struct jg_scope", "link"), depth + 1)


def walk_loop(loop):
    for link in links(loop["roots"]):
        yield from walk(container(link, "struct jg_scope", "link"), 1)


def walk_all():
    for loop in all_loops():
        yield from walk_loop(loop)


def find_task(text):
    """The task that has this number in the list, this name, or this address."""
    tasks = [task for _, task, _ in walk_all() if task is not None]
    if text.isdigit():
        if not 1 <= int(text) <= len(tasks):
            raise gdb.GdbError("There is no task %s." % text)
        return tasks[int(text) - 1]
    named = [i for i, task in enumerate(tasks) if name_of(task) == text]
    if len(named) > 1:
        numbers = ", ".join(str(i + 1) for i in named[:20])
        raise gdb.GdbError("Several tasks are called %s: %s." % (text, numbers))
    if named:
        return tasks[named[0]]
    try:
        address = number_of(gdb.parse_and_eval(text))
    except gdb.error:
        raise gdb.GdbError("There is no task %s." % text)
    for task in tasks:
        if number_of(task) == address:
            return task
    raise gdb.GdbError("There is no task at 0x%x." % address)


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class SuspendedUnwinder(gdb.unwinder.Unwinder):
    """Has the frame of a suspended context follow the newest one of the selected thread."""

    def __init__(self):
        super().__init__("juggle")
        self.enabled = False

    def prepare(self, context, newest):
        arch = newest.architecture().name()
        try:
            gdb.parse_and_eval("&jg__context_begin")
            layouts = LAYOUTS
        except gdb.error:
            layouts = UCONTEXT_LAYOUTS
        if arch not in layouts:
            raise gdb.GdbError("The frames of %s are not known." % arch)
        self.registers, self.stack_register, self.size, self.pc = layouts[arch]
        self.frame = number_of(context["sp"])
        self.newest_sp = int(newest.read_register("sp"))

    def __call__(self, pending_frame):
        if int(pending_frame.read_register("sp")) != self.newest_sp:
            return None

        # The frame below must not look as if it were above, or gdb suspects a corrupt stack.
        info = pending_frame.create_unwind_info(
            FrameId(gdb.Value(self.frame), pending_frame.read_register("pc")))
        for register, word in self.registers:
            value = word_at(self.frame + word * WORD)
            if register == self.pc:
                value &= (1 << 48) - 1 # it may be signed
            self.save(info, pending_frame, register, value)
        if self.stack_register:
            self.save(info, pending_frame, self.stack_register, self.frame + self.size)
        return info

    @staticmethod
    def save(info, pending_frame, register, value):
        kind = pending_frame.read_register(register).type
        info.add_saved_register(register, gdb.Value(value.to_bytes(kind.sizeof, "little"), kind))


unwinder = SuspendedUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


class Suspended:
    """Within this context the selected frame is the innermost one of a suspended coroutine."""

    def __init__(self, task):
        threads = Threads()
        if not is_coroutine(task):
            raise gdb.GdbError("Task %s is made of steps: it has no stack." % name_of(task))
        thread = threads.running(task)
        if thread is not None:
            raise gdb.GdbError("Task %s runs in thread %d: use backtrace there."
                               % (name_of(task), thread))
        if gdb.selected_thread() is None:
            raise gdb.GdbError("There is no thread.")
        self.selected = gdb.selected_frame()
        unwinder.prepare(coro_of(task)["context"], gdb.newest_frame())

    def __enter__(self):
        unwinder.enabled = True
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        self.level = 0
        while frame is not None and int(frame.read_register("sp")) == unwinder.newest_sp:
            frame = frame.older()
            self.level += 1
        if frame is None:
            self.__exit__()
            raise gdb.GdbError("The stack cannot be read.")
        frame.select()
        return self

    def __exit__(self, *_):
        unwinder.enabled = False
        gdb.invalidate_cached_frames()
        if self.selected.is_valid():
            self.selected.select()


class Juggle(gdb.Command):
    """Tasks and coroutines of juggle."""

    def __init__(self):
        super().__init__("juggle", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)


class JuggleTasks(gdb.Command):
    """List scopes, and the tasks in them, with what each waits for: juggle tasks [LOOP|SCOPE]

Without an argument, all of up to 256 loops of the process. The numbers are for 'juggle bt', until
the program goes on."""

    def __init__(self):
        super().__init__("juggle tasks", gdb.COMMAND_STACK, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        self.threads = Threads()
        numbers = {}
        for _, task, _ in walk_all():
            if task is not None:
                numbers[number_of(task)] = len(numbers) + 1
        self.numbers = numbers

        if not argument:
            for loop in all_loops():
                self.show_loop(loop)
            return
        thing = gdb.parse_and_eval(argument)
        if thing.type.strip_typedefs().code != gdb.TYPE_CODE_PTR:
            thing = thing.address
        if thing.type.target().strip_typedefs().name == "jg_scope":
            self.show(walk(thing, 0))
        elif thing.type.target().strip_typedefs().name == "jg_loop":
            self.show_loop(thing)
        else:
            raise gdb.GdbError("That is neither a loop nor a scope.")

    def show_loop(self, loop):
        print("loop 0x%x" % number_of(loop))
        self.show(walk_loop(loop))

    def show(self, things):
        for depth, task, scope in things:
            if task is not None:
                number = self.numbers.get(number_of(task), "?")
                print("%s%s %s: %s" % ("  " * depth, number, name_of(task),
                                       state_of(task, self.threads)))
            else:
                owner = scope["owner"]
                print("%sscope %s%s%s" % (
                    "  " * depth, name_of(scope),
                    " of " + name_of(owner) if number_of(owner) else "",
                    ", cancelled" if int(scope["flags"]) & SCOPE_STOPS else ""))


class JuggleBacktrace(gdb.Command):
    """Backtrace of a suspended coroutine: juggle bt TASK [ARGUMENTS OF BACKTRACE]

TASK is a number from 'juggle tasks', a name, or an expression whose value is its address. In core
files that gdb made stacks may be missing: have the kernel make them."""

    def __init__(self):
        super().__init__("juggle bt", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        words = argument.split(None, 1)
        if not words:
            raise gdb.GdbError("Of which task?")
        task = find_task(words[0])
        with Suspended(task) as suspended:
            text = gdb.execute("backtrace " + " ".join(words[1:]), to_string=True)
        show = False
        print("task %s: %s" % (name_of(task), state_of(task, Threads())))
        for line in text.splitlines():
            level = re.match(r"#(\d+) ", line)
            if level:
                show = int(level.group(1)) >= suspended.level
            if show:
                print(line)


class JuggleApply(gdb.Command):
    """Execute a command in the innermost frame of a suspended coroutine: juggle apply TASK COMMAND

TASK as in 'juggle bt', whose numbers of frames are those for COMMAND."""

    def __init__(self):
        super().__init__("juggle apply", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        words = argument.split(None, 1)
        if len(words) < 2:
            raise gdb.GdbError("Which command, for which task?")
        with Suspended(find_task(words[0])):
            gdb.execute(words[1], from_tty)


Juggle()
JuggleTasks()
JuggleBacktrace()
JuggleApply()
