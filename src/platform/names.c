/* SPDX-License-Identifier: MIT */
#include "platform/system.h"

#include "platform/names.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#ifdef __APPLE__
const bool jg__has_resolv_conf = false;
#else
const bool jg__has_resolv_conf = true;
#endif

static int error_of(int code)
{
    switch (code) {
    case EAI_NONAME:
        return JG_ENONAME;
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
    case EAI_NODATA:
        return JG_ENOADDRESS;
#endif
#ifdef EAI_ADDRFAMILY
    case EAI_ADDRFAMILY:
        return JG_ENOADDRESS;
#endif
    case EAI_AGAIN:
        return JG_ETRYAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno ? -errno : JG_ENAMEFAIL;
    default:
        return JG_ENAMEFAIL;
    }
}

int jg__names_look_up(const char *host, jg_family family, uint16_t port, jg_address *addresses,
                      size_t room)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}; /* so that each comes once */
    struct addrinfo *list;
    size_t count = 0;
    int r;

    hints.ai_family = family == JG_IPV4 ? AF_INET : family == JG_IPV6 ? AF_INET6 : AF_UNSPEC;
    r = getaddrinfo(host, NULL, &hints, &list);
    if (r != 0)
        return error_of(r);

    for (struct addrinfo *entry = list; entry && count < room; entry = entry->ai_next) {
        if (entry->ai_addrlen > sizeof(addresses[0].storage))
            continue;
        addresses[count] = (jg_address){.size = (uint32_t)entry->ai_addrlen};
        memcpy(addresses[count].storage, entry->ai_addr, entry->ai_addrlen);
        jg_address_set_port(&addresses[count], port);
        count++;
    }
    freeaddrinfo(list);
    return count > 0 ? (int)count : JG_ENOADDRESS;
}
