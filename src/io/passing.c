/* SPDX-License-Identifier: MIT
 *
 * Descriptors that are passed along with the bytes of a stream: its transport is that of sockets
 * with other functions to read and write, which it finds its jg_passing by.
 */
#include <juggle/net.h>
#include <juggle/unix.h>

#include "io/stream.h"
#include "platform/descriptor.h"
#include "platform/endpoint.h"
#include "platform/rights.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

_Static_assert(JG_PASSING_MOST <= JG__RIGHTS_MOST, "all of them can go in one call");

static jg_passing *passing_of(const jg_stream *stream)
{
    return jg__container_of((uintptr_t)stream->transport, jg_passing, transport);
}

static void close_all(int *fds, uint8_t *count)
{
    for (int i = 0; i < *count; i++)
        jg__fd_close(fds[i]);
    *count = 0;
}

static ssize_t read_with(jg_stream *stream, void *buf, size_t size)
{
    jg_passing *passing = passing_of(stream);
    size_t count = 0;
    ssize_t n = jg__rights_receive(jg_stream_fd(stream), buf, size,
                                   passing->received + passing->received_count,
                                   JG_PASSING_MOST - (size_t)passing->received_count, &count);

    passing->received_count = (uint8_t)(passing->received_count + count);
    return n;
}

static ssize_t write_with(jg_stream *stream, const struct iovec *pieces, int count)
{
    jg_passing *passing = passing_of(stream);
    ssize_t n;

    if (passing->sent_count == 0)
        return jg__socket_transport.write(stream, pieces, count);

    n = jg__rights_send(jg_stream_fd(stream), pieces, count, passing->sent, passing->sent_count);
    if (n > 0)
        close_all(passing->sent, &passing->sent_count);
    return n;
}

static void close_with(jg_stream *stream, bool cut)
{
    jg_passing *passing = passing_of(stream);

    close_all(passing->sent, &passing->sent_count);
    close_all(passing->received, &passing->received_count);
    passing->transport.name = NULL; /* closed */
    jg__socket_transport.close(stream, cut);
}

int jg_passing_open(jg_passing *passing, jg_stream *stream)
{
    jg_address address;
    int r = jg_stream_local(stream, &address);

    if (r < 0)
        return r == -ENOTSOCK ? -EINVAL : r;
    if (jg_address_family(&address) != JG_UNIX)
        return -EINVAL;
    if (stream->reader || stream->output || stream->input)
        return -EBUSY;

    *passing = (jg_passing){.transport = jg__socket_transport};
    passing->transport.name = "socket that passes descriptors";
    passing->transport.exact = false; /* a read ends where other descriptors came along */
    passing->transport.read = read_with;
    passing->transport.write = write_with;
    passing->transport.send_file = NULL; /* descriptors go with the next bytes that are written */
    passing->transport.close = close_with;
    jg__stream_use(stream, &passing->transport);
    return 0;
}

int jg_passing_send(jg_passing *passing, int fd)
{
    if (fd < 0 || !passing->transport.name)
        return -EBADF;
    if (passing->sent_count == JG_PASSING_MOST)
        return -ENOBUFS;
    passing->sent[passing->sent_count++] = fd;
    return 0;
}

int jg_passing_receive(jg_passing *passing)
{
    int fd;

    if (passing->received_count == 0)
        return -EAGAIN;
    fd = passing->received[0];
    passing->received_count--;
    memmove(passing->received, passing->received + 1,
            passing->received_count * sizeof(passing->received[0]));
    return fd;
}

int jg_stream_credentials(const jg_stream *stream, jg_credentials *ret_credentials)
{
    jg_credentials credentials;
    int r = jg__endpoint_credentials(jg_stream_fd(stream), &credentials.pid, &credentials.uid,
                                     &credentials.gid);

    if (r == 0)
        *ret_credentials = credentials;
    return r;
}
