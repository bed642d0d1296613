/* SPDX-License-Identifier: MIT
 *
 * Intrusive circular lists of jg_link, with the list itself as head.
 *
 * A link that is in no list has next == NULL, so zeroed memory is an unlinked node and unlinking
 * twice is harmless. `prev` of an unlinked node means nothing.
 */
#ifndef JG_BASE_LIST_H
#define JG_BASE_LIST_H

#include <juggle/call.h>

#define jg__container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void jg__list_init(jg_link *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool jg__list_empty(const jg_link *list)
{
    return list->next == list;
}

static inline bool jg__linked(const jg_link *link)
{
    return link->next != NULL;
}

static inline void jg__list_append(jg_link *list, jg_link *link)
{
    jg_link *last = list->prev;

    /* In this order, in which compilers do not make one store of two that are then read apart. */
    link->prev = last;
    last->next = link;
    link->next = list;
    list->prev = link;
}

static inline void jg__unlink(jg_link *link)
{
    if (!link->next)
        return;

    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = NULL;
}

/* Take the first link out of a list that is not empty. */
static inline jg_link *jg__list_pop(jg_link *list)
{
    jg_link *link = list->next;
    jg_link *next = link->next;

    list->next = next;
    next->prev = list;
    link->next = NULL;
    return link;
}

/* Move everything in `from` to the end of `to`. */
static inline void jg__list_splice(jg_link *to, jg_link *from)
{
    if (jg__list_empty(from))
        return;

    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    jg__list_init(from);
}

#endif
