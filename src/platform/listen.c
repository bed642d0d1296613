/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/listen.h"

#include "platform/address.h"
#include "platform/descriptor.h"
#include "platform/disk.h"
#include "platform/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* NetBSD came late to it. */
#if defined(__linux__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
#    define HAS_ACCEPT4 1
#else
#    define HAS_ACCEPT4 0
#endif

/* What the kernel lets wait at most is its own setting, which it applies to a larger number; SOMAXCONN
   is what it once was. */
#define BACKLOG 65535

/* Connections in a row that are not worth having, before others have their turn. */
#define BAD_ONES 16

/* The first descriptor that a service manager passes, by its protocol. */
#define FIRST_INHERITED 3

int jg__listen(int fd, int backlog)
{
    return listen(fd, backlog > 0 ? backlog : BACKLOG) < 0 ? -errno : 0;
}

int jg__listen_check(int fd)
{
    int type = 0, listens = 1;
    socklen_t size = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return -errno;
    size = sizeof(listens);
    (void)getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size); /* accept will tell */
    return type == SOCK_STREAM && listens ? 0 : -EINVAL;
}

static int try_accept(int fd, jg_address *peer)
{
    socklen_t size = sizeof(peer->storage);
    int r;

    memset(peer, 0, sizeof(*peer));
#if HAS_ACCEPT4
    r = accept4(fd, (struct sockaddr *)peer->storage, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    r = accept(fd, (struct sockaddr *)peer->storage, &size);
#endif
    if (r < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;

    peer->size = size < sizeof(peer->storage) ? size : (uint32_t)sizeof(peer->storage);
    return r;
}

/* Whether it is not about this one connection. */
static bool is_lasting(int error)
{
    switch (-error) {
    case EAGAIN:
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return true;
    default:
        return false; /* the network's, a firewall's, or the peer has given up */
    }
}

/* Linux and the BSDs hand the options of a listener down to its connections. */
static void inherit(int fd, bool no_delay)
{
#if HAS_ACCEPT4 || defined(__APPLE__) || defined(__NetBSD__)
    (void)fd;
    (void)no_delay;
#else
    if (no_delay)
        jg__endpoint_no_delay(fd);
#endif
}

int jg__accept(int fd, bool no_delay, jg_address *ret_peer)
{
    jg_address peer;
    int r = -EAGAIN;

    for (int i = 0; i < BAD_ONES; i++) {
        r = try_accept(fd, &peer);
        if (r >= 0 || is_lasting(r))
            break;
    }
    if (r >= 0 && r <= 2)
        r = jg__fd_tidy(r);
#if !HAS_ACCEPT4
    if (r >= 0)
        r = jg__endpoint_adopt(r); /* cannot fail on an open descriptor */
#endif
    if (r < 0)
        return r;

    inherit(r, no_delay);
    *ret_peer = peer;
    return r;
}

int jg__reserve_open(void)
{
    return jg__disk_open("/dev/null", O_RDONLY, 0);
}

/* ---------------------------------------------------------------- paths */

typedef char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];

/* The path of a Unix address. Returns false if it has none. */
static bool get_path(const jg_address *address, path ret_path)
{
    const char *name;
    bool is_abstract;
    size_t length;

    if (jg_address_family(address) != JG_UNIX)
        return false;
    length = jg__address_path(address, &name, &is_abstract);
    if (is_abstract || length == 0 || length >= sizeof(path))
        return false;
    memcpy(ret_path, name, length);
    ret_path[length] = '\0';
    return true;
}

bool jg__unix_clear(const jg_address *address)
{
    struct stat status;
    path name;
    int fd, r;

    if (!get_path(address, name) || lstat(name, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;

    fd = jg__endpoint_open(JG_UNIX, false);
    if (fd < 0)
        return false;
    r = jg__endpoint_connect(fd, address);
    jg__fd_close(fd);
    return r == -ECONNREFUSED && unlink(name) == 0;
}

void jg__unix_identify(const jg_address *address, uint64_t ret_inode[2])
{
    struct stat status;
    path name;

    ret_inode[0] = ret_inode[1] = 0;
    if (!get_path(address, name) || stat(name, &status) < 0)
        return;
    ret_inode[0] = (uint64_t)status.st_dev;
    ret_inode[1] = (uint64_t)status.st_ino;
}

void jg__unix_unlink(const jg_address *address, const uint64_t inode[2])
{
    uint64_t found[2];
    path name;

    jg__unix_identify(address, found);
    if (found[1] != 0 && memcmp(found, inode, sizeof(found)) == 0 && get_path(address, name))
        (void)unlink(name); /* what is left is taken over by who listens there next */
}

/* ---------------------------------------------------------------- inherited */

static long get_number(const char *name)
{
    const char *text = getenv(name);
    char *end;
    long number;

    if (!text || *text < '0' || *text > '9')
        return -1;
    number = strtol(text, &end, 10);
    return *end == '\0' ? number : -1;
}

/* Whether the n-th of the names, which colons separate, is this one. */
static bool has_name(const char *names, long n, const char *name)
{
    size_t length;

    for (; names && n > 0; n--) {
        names = strchr(names, ':');
        names = names ? names + 1 : NULL;
    }
    length = names ? strcspn(names, ":") : 0;
    return names && length == strlen(name) && memcmp(names, name, length) == 0;
}

int jg__inherited_fd(const char *name, int index)
{
    const char *names = getenv("LISTEN_FDNAMES");
    long count = get_number("LISTEN_FDS");

    if (get_number("LISTEN_PID") != (long)getpid())
        return -ENOENT;

    for (long i = 0; i < count; i++) {
        const int fd = FIRST_INHERITED + (int)i;

        if (name && !has_name(names, i, name))
            continue;
        if (index-- > 0)
            continue;
        return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -ENOENT : fd;
    }
    return -ENOENT;
}
