/* SPDX-License-Identifier: MIT
 *
 * The tests' own kqueue, in the shape that FreeBSD and macOS give it.
 */
#ifndef JG_TESTS_SYS_EVENT_H
#define JG_TESTS_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

#define EVFILT_READ  (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_USER  (-11)

#define EV_ADD     0x0001
#define EV_DELETE  0x0002
#define EV_ENABLE  0x0004
#define EV_DISABLE 0x0008
#define EV_ONESHOT 0x0010
#define EV_CLEAR   0x0020
#define EV_ERROR   0x4000
#define EV_EOF     0x8000

#define NOTE_TRIGGER 0x01000000

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned int fflags;
    int64_t data;
    void *udata;
    uint64_t ext[4];
};

#define kqueue()                        kqueue_of_freebsd()
#define kevent(kq, c, nc, e, ne, limit) kevent_of_freebsd(kq, c, nc, e, ne, limit)

int kqueue_of_freebsd(void);
int kevent_of_freebsd(int kq, const struct kevent *changes, int nchanges, struct kevent *events,
                      int nevents, const struct timespec *timeout);

#endif
