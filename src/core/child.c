/* SPDX-License-Identifier: MIT
 *
 * Child processes: their end as an event.
 *
 * Where there are process descriptors, a hidden watcher waits for one. Elsewhere a hidden signal
 * watcher, shared by the children of the loop, asks after each of them at every SIGCHLD, because
 * signals of a kind merge; it queues a call for those that ended. A process is reaped just before
 * its callback: a child that is stopped until then has lost nothing.
 */
#include "core/loop.h"

#include "platform/descriptor.h"
#include "platform/reap.h"

#include <errno.h>

static void run(void *arg)
{
    jg_child *child = arg;
    int status;
    int r = jg__process_reap(child->handle.number, &status);

    if (r == 0)
        return;

    jg_child_stop(child);
    child->fn(child->arg, r < 0 ? r : status);
}

bool jg__child_owns(const jg_call *call)
{
    return call->fn == run;
}

/* Queue the call of a child that ended. Gone is as good: the call finds that somebody reaped it. */
static void ask(jg_child *child, jg_link *queue)
{
    if (!jg__linked(&child->call.link) && jg__process_ended(child->handle.number) != 0)
        jg__list_append(queue, &child->call.link);
}

static void on_signal(void *arg, int signo)
{
    jg_loop *loop = arg;

    (void)signo;
    for (jg_link *link = loop->children.next; link != &loop->children; link = link->next)
        ask(jg__container_of(link, jg_child, link), &loop->batch); /* this very turn */
}

static int watch_signal(jg_loop *loop)
{
    if (jg_handle_started(&loop->child_signal.handle))
        return 0;

    jg_signal_init(&loop->child_signal, on_signal, loop);
    loop->child_signal.handle.flags = JG__UNREF | JG__HIDDEN;
    return jg_signal_start(loop, &loop->child_signal, JG__SIGNAL_CHILD);
}

static void on_descriptor(void *arg, int events)
{
    jg_child *child = arg;
    jg_loop *loop = child->handle.loop;

    if (events < 0 && events != -EBADF)
        jg__fd_close(child->watcher.handle.number); /* else it was closed behind our back */
    if (events < 0 && watch_signal(loop) == 0)
        ask(child, &loop->ready); /* the process is still ours to wait for */
    else
        run(child);
}

bool jg__child_watches(const jg_watcher *watcher)
{
    return watcher->fn == on_descriptor;
}

void jg_child_init(jg_child *child, jg_child_fn fn, void *arg)
{
    *child = (jg_child){.fn = fn, .arg = arg};
    jg__handle_init(&child->handle);
    jg_watcher_init(&child->watcher, on_descriptor, child);
    child->watcher.handle.flags = JG__UNREF | JG__HIDDEN;
    jg_call_init(&child->call, run, child);
}

static int watch_descriptor(jg_loop *loop, jg_child *child, int pid)
{
    int fd, r;

    if (loop->flags & JG_LOOP_REAP_ON_SIGCHLD)
        return -ENOSYS;

    fd = jg__process_open(pid);
    if (fd < 0)
        return fd;

    r = jg_watcher_start(loop, &child->watcher, fd, JG_READ);
    if (r < 0)
        jg__fd_close(fd);
    return r;
}

int jg_child_start(jg_loop *loop, jg_child *child, int pid)
{
    int r;

    jg__check_thread(loop);
    if (child->handle.loop)
        return -EALREADY;
    if (jg__loop_forked(loop))
        return JG_EFORKED;
    if (pid <= 0)
        return -EINVAL;

    r = jg__process_ended(pid);
    if (r < 0)
        return r;

    r = watch_descriptor(loop, child, pid);
    if (r == -ENOSYS)
        r = watch_signal(loop);
    if (r < 0)
        return r;

    child->handle.number = pid;
    jg__handle_start(loop, &child->handle);
    jg__list_append(&loop->children, &child->link);
    if (!jg_handle_started(&child->watcher.handle))
        ask(child, &loop->ready);
    return 0;
}

/* The signal is watched as long as a child has no descriptor. */
static void unwatch_signal(jg_loop *loop)
{
    for (jg_link *link = loop->children.next; link != &loop->children; link = link->next) {
        if (!jg_handle_started(&jg__container_of(link, jg_child, link)->watcher.handle))
            return;
    }
    jg_signal_stop(&loop->child_signal);
}

void jg_child_stop(jg_child *child)
{
    jg_loop *loop = child->handle.loop;

    if (!loop)
        return;

    jg__check_thread(loop);
    jg__unlink(&child->link);
    jg__unlink(&child->call.link);
    jg__handle_stop(&child->handle);
    if (jg_handle_started(&child->watcher.handle))
        (void)jg_watcher_close(&child->watcher); /* closing a process descriptor cannot fail */
    else
        unwatch_signal(loop);
}

int jg__child_signal(const jg_child *child, bool group, int signo)
{
    const jg_handle *watched = &child->watcher.handle;

    if (!child->handle.loop)
        return -ESRCH;
    return jg__process_signal(child->handle.number, watched->loop ? watched->number : -1, group,
                              signo);
}

void jg__children_disown(jg_loop *loop)
{
    for (jg_link *link = loop->children.next; link != &loop->children; link = link->next)
        jg__loop_queue(loop, &jg__container_of(link, jg_child, link)->call);
}
