/* SPDX-License-Identifier: MIT
 *
 * The tests' own kqueue, in the shape of NetBSD before 10: filters count from 0 without a sign, user
 * data are integers, counts are sizes, and there are no events of users.
 */
#ifndef JG_TESTS_SYS_EVENT_H
#define JG_TESTS_SYS_EVENT_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define EVFILT_READ  0U
#define EVFILT_WRITE 1U

#define EV_ADD     0x0001U
#define EV_DELETE  0x0002U
#define EV_ENABLE  0x0004U
#define EV_DISABLE 0x0008U
#define EV_ONESHOT 0x0010U
#define EV_CLEAR   0x0020U
#define EV_ERROR   0x4000U
#define EV_EOF     0x8000U

struct kevent {
    uintptr_t ident;
    uint32_t filter;
    uint32_t flags;
    uint32_t fflags;
    int64_t data;
    intptr_t udata;
};

#define kqueue()                        kqueue_of_netbsd()
#define kevent(kq, c, nc, e, ne, limit) kevent_of_netbsd(kq, c, nc, e, ne, limit)

int kqueue_of_netbsd(void);
int kevent_of_netbsd(int kq, const struct kevent *changes, size_t nchanges, struct kevent *events,
                     size_t nevents, const struct timespec *timeout);

#endif
