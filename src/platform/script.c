/* SPDX-License-Identifier: MIT
 *
 * A poll backend with nothing but its wake-up registered does the real waiting underneath; it is
 * needed when only another thread or a signal can make a difference.
 *
 * Both arrays are small and searched: `lines` in the order of time, `registered` in none.
 */
#include "platform/script.h"

#include "base/alloc.h"
#include "base/time.h"

#include <errno.h>
#include <string.h>

struct line {
    jg_time when;
    int fd;
    int events;
};

struct registration {
    int fd;
    uint32_t generation;
    unsigned events;
};

struct script {
    jg__poller poller;
    jg__poller *real;
    jg__clock *clock;
    struct line *lines;
    size_t line_count, line_capacity;
    struct registration *registered;
    size_t count, capacity;
    const jg_allocator *allocator;
};

static struct script *script_of(jg__poller *poller)
{
    return (struct script *)poller;
}

static int script_open(const jg_allocator *allocator, unsigned max_events, jg__clock *clock,
                       jg__poller **ret_poller)
{
    struct script *script = jg__alloc(allocator, sizeof(*script));
    int r;

    if (!script)
        return -ENOMEM;

    *script =
        (struct script){.poller.ops = &jg__script_ops, .clock = clock, .allocator = allocator};
    r = jg__poll_ops.open(allocator, max_events, clock, &script->real);
    if (r < 0) {
        jg__free(allocator, script, sizeof(*script));
        return r;
    }

    *ret_poller = &script->poller;
    return 0;
}

static void script_close(jg__poller *poller)
{
    struct script *script = script_of(poller);

    script->real->ops->close(script->real);
    jg__free(script->allocator, script->lines, script->line_capacity * sizeof(*script->lines));
    jg__free(script->allocator, script->registered, script->capacity * sizeof(*script->registered));
    jg__free(script->allocator, script, sizeof(*script));
}

static int script_reopen(jg__poller *poller, bool forked)
{
    struct script *script = script_of(poller);
    int r = script->real->ops->reopen(script->real, forked);

    if (r == 0)
        script->count = 0;
    return r;
}

static struct registration *find(struct script *script, int fd)
{
    for (size_t i = 0; i < script->count; i++) {
        if (script->registered[i].fd == fd)
            return &script->registered[i];
    }
    return NULL;
}

/* Make room for one more in an array of elements of `size` bytes. */
static int reserve(const jg_allocator *allocator, void **array, size_t size, size_t count,
                   size_t *capacity)
{
    size_t wanted = *capacity ? *capacity * 2 : 8;
    void *block;

    if (count < *capacity)
        return 0;

    block = jg__resize(allocator, *array, *capacity * size, wanted * size);
    if (!block)
        return -ENOMEM;

    *array = block;
    *capacity = wanted;
    return 0;
}

static int script_add(jg__poller *poller, int fd, uint32_t generation, unsigned events)
{
    struct script *script = script_of(poller);
    void *array = script->registered;
    int r;

    if (find(script, fd))
        return -EEXIST;

    r = reserve(script->allocator, &array, sizeof(*script->registered), script->count,
                &script->capacity);
    if (r < 0)
        return r;

    script->registered = array;
    script->registered[script->count++] =
        (struct registration){.fd = fd, .generation = generation, .events = events};
    return 0;
}

static int script_modify(jg__poller *poller, int fd, uint32_t generation, unsigned events)
{
    struct registration *registration = find(script_of(poller), fd);

    if (!registration)
        return -ENOENT;

    registration->generation = generation;
    registration->events = events;
    return 0;
}

static int script_remove(jg__poller *poller, int fd)
{
    struct script *script = script_of(poller);
    struct registration *registration = find(script, fd);

    if (!registration)
        return -ENOENT;

    *registration = script->registered[--script->count];
    return 0;
}

static void script_forget(jg__poller *poller, int fd)
{
    (void)script_remove(poller, fd); /* it need not be registered */
}

int jg__script_announce(jg__poller *poller, jg_time when, int fd, int events)
{
    struct script *script = script_of(poller);
    void *array = script->lines;
    size_t place = script->line_count;
    int r = reserve(script->allocator, &array, sizeof(*script->lines), script->line_count,
                    &script->line_capacity);

    if (r < 0)
        return r;

    script->lines = array;
    while (place > 0 && script->lines[place - 1].when > when)
        place--;
    memmove(&script->lines[place + 1], &script->lines[place],
            (script->line_count - place) * sizeof(*script->lines));
    script->lines[place] = (struct line){.when = when, .fd = fd, .events = events};
    script->line_count++;
    return 0;
}

/* The registration that wants what a line announces, or NULL. */
static struct registration *taker(struct script *script, const struct line *line)
{
    struct registration *registration = find(script, line->fd);

    if (!registration || (line->events > 0 && !(registration->events & (unsigned)line->events)))
        return NULL;
    return registration;
}

/* Whether this wait reported the descriptor already: one event a descriptor. */
static bool reported(const jg__event *events, int n, int fd)
{
    for (int i = 0; i < n; i++) {
        if (events[i].fd == fd)
            return true;
    }
    return false;
}

/* Report the lines that are due and wanted, and keep the others. */
static int report(struct script *script, jg__event *events, int max)
{
    size_t kept = 0;
    int n = 0;

    for (size_t i = 0; i < script->line_count; i++) {
        const struct line line = script->lines[i];
        const struct registration *registration = taker(script, &line);

        if (n == max || line.when > script->clock->virtual_now || !registration ||
            reported(events, n, line.fd)) {
            script->lines[kept++] = line;
            continue;
        }
        events[n].fd = line.fd;
        events[n].generation = registration->generation;
        events[n].events = line.events;
        n++;
        if (line.events < 0)
            (void)script_remove(&script->poller, line.fd); /* it was there */
    }
    script->line_count = kept;
    return n;
}

/* When the first line that somebody wants is due. */
static jg_time next_line(struct script *script)
{
    for (size_t i = 0; i < script->line_count; i++) {
        if (taker(script, &script->lines[i]))
            return script->lines[i].when;
    }
    return JG_FOREVER;
}

static int script_wait(jg__poller *poller, jg__event *events, int max, jg_time timeout)
{
    struct script *script = script_of(poller);
    jg_time target = jg__time_add(script->clock->virtual_now, timeout);
    jg_time next = next_line(script);
    int r;

    if (next < target)
        target = next;
    r = script->real->ops->wait(script->real, events, max, target == JG_FOREVER ? JG_FOREVER : 0);
    if (r < 0)
        return r;

    if (target != JG_FOREVER && target > script->clock->virtual_now)
        script->clock->virtual_now = target;
    return report(script, events, max);
}

static void script_wake(jg__poller *poller)
{
    struct script *script = script_of(poller);

    script->real->ops->wake(script->real);
}

static int script_fd(jg__poller *poller)
{
    (void)poller;
    return -ENOTSUP;
}

const jg__poller_ops jg__script_ops = {
    .name = "script",
    .moves_clock = true,
    .open = script_open,
    .close = script_close,
    .reopen = script_reopen,
    .add = script_add,
    .modify = script_modify,
    .remove = script_remove,
    .forget = script_forget,
    .wait = script_wait,
    .wake = script_wake,
    .fd = script_fd,
};
