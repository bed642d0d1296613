/* SPDX-License-Identifier: MIT
 *
 * Copy: a file to another one, with a bar on the terminal that shows how far it is.
 *
 *     copy SRC DST
 *
 * What is done to files is done in threads, so that Ctrl-C is heard at once. Unless all of it was
 * copied, DST is removed.
 */
#include "common.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, WIDTH = 40 };

static const jg_time REFRESH = 50 * JG_MILLISECOND;

struct copy {
    const char *from, *to;
    const char *subject; /* of the error: one of these */
    int64_t size, done;
    jg_time shown;
    bool bar; /* there is a terminal for it */
};

static void show(struct copy *copy, bool last)
{
    const jg_time now = jg_loop_now(jg_task_loop(jg_task_current()));
    double part = copy->size > 0 ? (double)copy->done / (double)copy->size : 1;
    int filled;

    if (!copy->bar || (!last && now - copy->shown < REFRESH))
        return;

    copy->shown = now;
    part = part > 1 ? 1 : part; /* it may grow meanwhile */
    filled = (int)(part * WIDTH);
    fprintf(stderr, "\r[%.*s%*s] %3d%%%s", filled, "########################################",
            WIDTH - filled, "", (int)(part * 100), last ? "\n" : "");
}

/* Returns 0 at the end of the file. */
static int copy_bytes(struct copy *copy, int from, int to, char *buffer)
{
    int got;

    copy->subject = copy->from;
    while ((got = jg_file_read(from, buffer, BUFFER, JG_FILE_POSITION)) > 0) {
        int written = 0;

        copy->subject = copy->to;
        while (written < got) {
            int r = jg_file_write(to, buffer + written, (size_t)(got - written), JG_FILE_POSITION);

            if (r < 0)
                return r;
            written += r;
        }
        copy->subject = copy->from;
        copy->done += got;
        show(copy, false);
    }
    return got;
}

static int remove_file(void *path)
{
    return jg_file_unlink(path);
}

/* With SRC open. */
static int copy_to(struct copy *copy, int from, const jg_file_info *info)
{
    jg_file_info made = {.mode = 0};
    char *buffer = malloc(BUFFER);
    int fd, r = -ENOMEM, closed;

    copy->subject = copy->to;
    fd = jg_file_open(copy->to, O_WRONLY | O_CREAT | O_TRUNC, info->mode & 0777);
    if (fd < 0) {
        free(buffer);
        return fd;
    }

    if (buffer)
        r = jg_file_stat(fd, NULL, &made);
    if (r == 0)
        r = copy_bytes(copy, from, fd, buffer);
    show(copy, true);
    closed = jg_file_close(fd);
    if (r == 0 && closed < 0) {
        copy->subject = copy->to;
        r = closed;
    }
    if (r < 0 && S_ISREG(made.mode))
        (void)jg_shield(remove_file, (void *)copy->to); /* the first error is told */
    free(buffer);
    return r;
}

static int copy_from(struct copy *copy, int from)
{
    jg_file_info info, other;
    int r = jg_file_stat(from, NULL, &info);

    if (r < 0)
        return r;
    if (S_ISDIR(info.mode))
        return -EISDIR;
    if (jg_file_stat(-1, copy->to, &other) == 0 && other.device == info.device &&
        other.inode == info.inode) {
        fprintf(stderr, "copy: %s and %s are the same file\n", copy->from, copy->to);
        return -EEXIST;
    }
    copy->size = info.size;
    return copy_to(copy, from, &info);
}

static int copy_file(void *arg)
{
    struct copy *copy = arg;
    int r, fd;

    copy->subject = copy->from;
    fd = jg_file_open(copy->from, O_RDONLY, 0);
    if (fd < 0)
        return fd;

    r = copy_from(copy, fd);
    (void)jg_file_close(fd); /* it was only read */
    return r;
}

int main(int argc, char **argv)
{
    struct copy copy = {.bar = isatty(2)};
    int r;

    if (argc != 3) {
        fprintf(stderr, "usage: copy SRC DST\n");
        return 2;
    }
    copy.from = argv[1];
    copy.to = argv[2];
    r = jg_run(copy_file, &copy, NULL);
    if (r == -ECANCELED)
        return 130; /* as a shell says of what Ctrl-C has ended */
    if (r < 0 && r != -EEXIST)
        fprintf(stderr, "copy: %s: %s\n", copy.subject, jg_strerror(r));
    return r < 0;
}
