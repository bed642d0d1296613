/* SPDX-License-Identifier: MIT
 *
 * Files as answers, RFC 9110 sections 8.8, 13 and 14.
 *
 * No request leaves the directory: the path is taken as it was sent, its escapes are undone once,
 * and what then is not a plain way down is not found.
 *
 * What the system has in memory is opened and read at once, all else by the executor, since a disk
 * may be slow. A small file is read as a whole. Of a larger one the transport sends what it can by
 * itself, which is sendfile(2), a window at a time that was seen to be in memory; where it cannot,
 * the file is read piece by piece as the client takes them.
 */
#include "http/app.h"

#include "http/precondition.h"
#include "http/media.h"
#include "http/output.h"
#include "coro/coro.h"
#include "platform/clock.h"
#include "platform/descriptor.h"
#include "platform/disk.h"
#include "platform/served.h"
#include "platform/socket.h"

#include <juggle/file.h>
#include <juggle/http_field.h>
#include <juggle/url.h>

#include <errno.h>
#include <string.h>

#define MOST_PATH 1024   /* bytes of a path in the directory */
#define PIECE     65536u /* bytes read at a time */
#define SMALL     JG__HTTP_BUFFER
#define WINDOW    (512u << 10) /* bytes sent at a time */
#define INDEX     "index.html"

/* A file to be sent. */
struct source {
    int directory;    /* or negative: the current one */
    const char *path; /* in it */
    jg__served file;  /* its descriptor is negative if all of it is in `whole` */
    char *whole;      /* has room for SMALL bytes */
    bool at_once;     /* it was opened without a wait */
    uint64_t at;      /* of the window that is fetched */
    size_t size;
};

/* ---------------------------------------------------------------- on the disk */

static int read_whole(const struct source *source, bool at_once)
{
    const int size = (int)source->file.size;
    int done = 0;

    while (done < size) {
        int n = jg__served_read(source->file.fd, source->whole + done, size - done, done, at_once);

        if (n <= 0)
            return n < 0 ? n : -EIO; /* it became shorter */
        done += n;
    }
    return 0;
}

/* Open a file, and have it in `whole` if it is small. `at_once`: -EAGAIN if that needs the disk. */
static int open_source(struct source *source, bool at_once)
{
    int r = jg__served_open(source->directory, source->path, at_once, &source->file);

    source->at_once = at_once;
    if (r < 0 || source->file.size > SMALL)
        return r;
    r = read_whole(source, at_once);
    (void)jg__fd_close(source->file.fd);
    source->file.fd = -1;
    return r;
}

static int run_open(void *arg)
{
    return open_source(arg, false);
}

static void close_source(const struct source *source)
{
    if (source->file.fd < 0)
        return;
    /* It was only read, and so nothing can have gone wrong. */
    if (source->at_once)
        (void)jg__fd_close(source->file.fd);
    else
        (void)jg_file_close(source->file.fd);
}

/* Have the system read a window into its memory. */
static int run_fetch(void *arg)
{
    const struct source *source = arg;
    size_t done = 0;
    int n;

    do {
        const size_t left = source->size - done;

        n = jg__disk_read(source->file.fd, source->whole, (int)(left < SMALL ? left : SMALL),
                          (int64_t)(source->at + done));
        done += n > 0 ? (size_t)n : 0;
    } while (n > 0 && done < source->size);
    return n < 0 ? n : 0;
}

/* The same for the window at this place, unless its ends are in memory. */
static int fetch(struct source *source, uint64_t at, size_t size)
{
    const int fd = source->file.fd;
    char byte;

    if (jg__served_read(fd, &byte, 1, (int64_t)at, true) == 1 &&
        jg__served_read(fd, &byte, 1, (int64_t)(at + size - 1), true) == 1)
        return 0;
    source->at = at;
    source->size = size;
    return jg_executor_run(NULL, run_fetch, source);
}

/* ---------------------------------------------------------------- answers */

/* What a field of a file is: "bytes 0-9/100". */
static int add_content_range(jg_http_request *request, const struct jg__range *range, uint64_t size)
{
    char text[80];
    struct jg__output output = jg__output(text, sizeof(text));

    jg__output_string(&output, "bytes ");
    if (range) {
        jg__output_number(&output, range->first, 1);
        jg__output_byte(&output, '-');
        jg__output_number(&output, range->last, 1);
    } else {
        jg__output_byte(&output, '*');
    }
    jg__output_byte(&output, '/');
    jg__output_number(&output, size, 1);
    jg__output_byte(&output, 0);
    return jg_http_add_field(request, "Content-Range", text);
}

static int add_validators(jg_http_request *request, const struct jg__validators *validators)
{
    char date[JG_HTTP_DATE_SIZE];
    int r = jg_http_add_field(request, "ETag", validators->etag.data);

    if (r == 0 && jg_http_date_format(validators->modified, date) == 0)
        r = jg_http_add_field(request, "Last-Modified", date);
    if (r == 0)
        r = jg_http_add_field(request, "Accept-Ranges", "bytes");
    return r;
}

/* Send these bytes of an open file, as the transport cannot. */
static int send_pieces(jg_http_request *request, int fd, uint64_t at, uint64_t left)
{
    const size_t capacity = left < PIECE ? (size_t)left : PIECE;
    char *buffer = jg_http_request_alloc(request, capacity);
    int r = buffer ? 0 : -ENOMEM;

    while (left > 0 && r == 0) {
        const size_t size = left < capacity ? (size_t)left : capacity;
        int n = jg__served_read(fd, buffer, (int)size, (int64_t)at, true);

        if (n == -EAGAIN)
            n = jg_file_read(fd, buffer, size, (int64_t)at);
        if (n <= 0)
            return n < 0 ? n : -EIO; /* it became shorter */
        r = jg_http_write(request, buffer, (size_t)n);
        at += (uint64_t)n;
        left -= (uint64_t)n;
    }
    return r;
}

/* Send these bytes of a file as the body that was announced. */
static int send_bytes(jg_http_request *request, struct source *source,
                      const struct jg__range *range)
{
    const int fd = source->file.fd;
    uint64_t at = range->first, left = range->last - range->first + 1;
    int r = 0;

    if (fd < 0)
        return jg_http_write(request, source->whole + at, (size_t)left);
    if (!jg__socket_sends_files || !request->connection->stream->transport->send_file)
        return send_pieces(request, fd, at, left);

    while (r == 0 && left > 0) {
        const size_t size = left < WINDOW ? (size_t)left : WINDOW;
        size_t sent = 0;

        r = fetch(source, at, size);
        if (r == 0)
            r = jg__http_write_file(request, fd, at, size, &sent);
        at += sent;
        left -= sent;
        if (r == -ENOTSUP)
            return send_pieces(request, fd, at, left);
        if (r == 0 && sent < size)
            r = -EIO; /* it became shorter */
    }
    return r;
}

/* Answer with a file, whose type its path tells. */
static int answer(jg_http_request *request, struct source *source)
{
    const jg__served *file = &source->file;
    const jg_http_head *head = jg_http_request_head(request);
    const int64_t now = jg__wall_clock() / JG_SECOND;
    struct jg__range range = {0, file->size - 1};
    struct jg__validators validators;
    char etag[JG__ETAG_SIZE];
    int status, r;

    jg__etag_format(file->size, file->modified, etag);
    validators = (struct jg__validators){jg_text_from(etag), file->modified / JG_SECOND};
    status = jg__precondition_evaluate(head, &validators, now);
    if (status == 412)
        return status;
    if (status == 200)
        status = jg__range_evaluate(head, &validators, now, file->size, &range);
    r = status == 416 ? 0 : add_validators(request, &validators);
    if (r == 0 && (status == 206 || status == 416))
        r = add_content_range(request, status == 206 ? &range : NULL, file->size);
    if (r < 0 || status == 416)
        return r < 0 ? r : status;
    if (status == 304)
        return jg_http_respond(request, status, NULL, NULL, 0);

    r = jg_http_begin(request, status, jg__media_type(jg_text_from(source->path)),
                      (int64_t)(file->size > 0 ? range.last - range.first + 1 : 0));
    if (r < 0 || head->method == JG_HTTP_HEAD || file->size == 0)
        return r;
    return send_bytes(request, source, &range);
}

/* The status for a file that cannot be opened, or the error. */
static int status_of(int error)
{
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
    case -ENAMETOOLONG:
    case -ELOOP:
    case -EISDIR:
        return 404;
    case -EACCES:
    case -EPERM:
        return 403;
    default:
        return error;
    }
}

static int send_file(jg_http_request *request, int directory, const char *path)
{
    jg_http_server *server = request->connection->server;
    jg__http_buffer *buffer = jg__http_buffer_take(server);
    struct source source = {.directory = directory, .path = path};
    int r;

    if (!buffer)
        return -ENOMEM;

    source.whole = buffer->data;
    r = open_source(&source, true);
    if (r == -EAGAIN)
        r = jg_executor_run(NULL, run_open, &source);
    if (r == 0) {
        r = answer(request, &source);
        close_source(&source);
    } else if (r != -EISDIR) {
        r = status_of(r);
    }
    jg__http_buffer_give(server, buffer);
    return r;
}

int jg_http_send_file(jg_http_request *request, const char *path)
{
    int r = send_file(request, -1, path);

    return r == -EISDIR ? 404 : r;
}

/* ---------------------------------------------------------------- directories */

/* Relative links in a directory work only if its path ends in "/". */
static int redirect(jg_http_request *request)
{
    const jg_http_head *head = jg_http_request_head(request);
    jg_text path = jg_http_request_path(request), query = jg_http_head_text(head, head->query);
    char location[MOST_PATH];
    struct jg__output output = jg__output(location, sizeof(location));
    int r;

    /* "//host" would lead to another server, and so does "/\host" in browsers. */
    if (path.size > 1 && (path.data[1] == '/' || path.data[1] == '\\'))
        return 404;
    jg__output_text(&output, path);
    jg__output_byte(&output, '/');
    if (query.size > 0) {
        jg__output_byte(&output, '?');
        jg__output_text(&output, query);
    }
    if (jg__output_end(&output, NULL) < 0)
        return 414;
    r = jg_http_add_field(request, "Location", location);
    return r < 0 ? r : 301;
}

static bool has_hidden_name(const char *path)
{
    return path[0] == '.' || strstr(path, "/.");
}

/* The path in the directory, as it was sent: the last capture of the route, and the "/" before. */
static jg_text raw_path(const jg_http_request *request)
{
    jg_text raw = request->captures[request->capture_count - 1].raw;

    return jg_text_of(raw.data - 1, raw.size + 1);
}

static int serve_directory(jg_http_request *request, void *arg)
{
    const int *directory = arg;
    char path[MOST_PATH + sizeof(INDEX)];
    size_t size;
    int r = jg_url_file_path(raw_path(request), path, MOST_PATH, &size);

    if (r < 0 || has_hidden_name(path))
        return 404;
    if (size == 0 || path[size - 1] == '/')
        memcpy(path + size, INDEX, sizeof(INDEX));
    r = send_file(request, *directory, path);
    if (r == -EISDIR)
        return size == 0 || path[size - 1] == '/' ? 404 : redirect(request);
    return r;
}

static void close_directory(jg_app *app, void *arg)
{
    int *directory = arg;

    (void)jg__fd_close(*directory);
    jg__free(&app->allocator, directory, sizeof(*directory));
}

int jg_app_static(jg_app *app, const char *prefix, const char *directory)
{
    int *kept = jg__alloc(&app->allocator, sizeof(*kept));
    int r = 0;

    if (!kept)
        return -ENOMEM;
    *kept = jg__served_directory(directory);
    if (*kept < 0) {
        r = *kept;
        jg__free(&app->allocator, kept, sizeof(*kept));
        return r;
    }
    r = jg__app_add_entry(
        app, &(struct jg__entry){.kind = JG__ENTRY_OWNED, .release = close_directory, .arg = kept});
    if (r < 0) {
        close_directory(app, kept);
        return r;
    }
    /* If this fails the directory stays open, for nobody, as long as the application is there. */
    return jg__route_add(app, app, "GET", strcmp(prefix, "/") == 0 ? "" : prefix, "/{path...}",
                         serve_directory, kept);
}
