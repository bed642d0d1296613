/* SPDX-License-Identifier: MIT
 *
 * A chat server with any number of rooms: [HOST:]PORT
 *
 * The first line of a client is the name of a room; each further line goes to the others there.
 * Writing never waits: what a slow reader has not taken yet is kept for it, up to a limit, and one
 * that is far behind is put out. So the others do not notice.
 */
#include "server.h"

enum { LINE = 512 };

struct room {
    struct room *next;
    struct member *members;
    char name[LINE];
};

struct member {
    struct member *next;
    jg_stream *stream;
};

static struct room *rooms;

/* The room of this name, made if it is the first time. NULL: no memory. */
static struct room *find_room(const char *name)
{
    struct room *room = rooms;

    while (room && strcmp(room->name, name) != 0)
        room = room->next;
    if (room)
        return room;

    room = calloc(1, sizeof *room);
    if (!room)
        return NULL;

    snprintf(room->name, sizeof room->name, "%s", name);
    room->next = rooms;
    rooms = room;
    return room;
}

static void leave(struct room *room, struct member *member)
{
    struct member **place = &room->members;
    struct room **link = &rooms;

    while (*place != member)
        place = &(*place)->next;
    *place = member->next;
    if (room->members)
        return;

    while (*link != room)
        link = &(*link)->next;
    *link = room->next;
    free(room);
}

static void say(const struct room *room, const struct member *speaker, const char *line,
                size_t size)
{
    for (struct member *member = room->members; member; member = member->next) {
        if (member == speaker)
            continue;
        if (jg_stream_write(member->stream, line, size) < 0)
            jg_stream_abort(member->stream); /* gone, or too slow; its own reads end it */
    }
}

static int attend(jg_stream *stream, void *arg)
{
    char line[LINE];
    struct member self = {.stream = stream};
    struct room *room;
    int size = jg_stream_read_line(stream, line, sizeof line);

    (void)arg;
    if (size <= 0)
        return size;

    room = find_room(line);
    if (!room)
        return -ENOMEM;

    self.next = room->members;
    room->members = &self;
    (void)jg_stream_write(stream, "welcome\n", 8); /* if it fails the next read tells */
    do {
        size = jg_stream_read_line(stream, line, sizeof line);
        if (size > 0)
            say(room, &self, line, (size_t)size);
    } while (size > 0);
    leave(room, &self);
    return size;
}

static int serve(void *arg)
{
    const jg_listen_options options = {.stream = {.high_mark = 16384}};
    jg_address bound;
    jg_listener listener;

    check(jg_listen(&listener, jg_task_loop(jg_task_current()), arg, &options), "listen");
    check(jg_listener_address(&listener, &bound), "address");
    print_listening(&bound);
    return jg_serve(&listener, attend, NULL, NULL);
}

int main(int argc, char **argv)
{
    jg_address address = only_address(argv);

    (void)argc;
    return run_server(serve, &address);
}
