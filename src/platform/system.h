/* SPDX-License-Identifier: MIT
 *
 * Have the system's headers declare all that they have, not only what C11 or POSIX asks for. Comes
 * before any of them.
 */
#ifndef JG_PLATFORM_SYSTEM_H
#define JG_PLATFORM_SYSTEM_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#    define _GNU_SOURCE
#endif
#if defined(__NetBSD__) && !defined(_NETBSD_SOURCE)
#    define _NETBSD_SOURCE
#endif

#endif
