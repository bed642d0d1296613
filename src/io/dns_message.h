/* SPDX-License-Identifier: MIT
 *
 * DNS messages (RFC 1035, 6891): bytes in, struct out; no I/O and no state.
 *
 * Every byte may come from an enemy. Names are read with compression pointers that only lead
 * backwards, so that no loop is possible, and with the limits of the RFC on labels and names.
 */
#ifndef JG_IO_DNS_MESSAGE_H
#define JG_IO_DNS_MESSAGE_H

#include <juggle/base.h>

#define JG__DNS_NAME      255  /* bytes of a name on the wire, at most */
#define JG__DNS_QUERY     300  /* bytes of a query, at most */
#define JG__DNS_PAYLOAD   1232 /* bytes that we announce to take in a datagram */
#define JG__DNS_ADDRESSES 32   /* more are left out */
#define JG__DNS_ALIASES   16   /* CNAME records that are followed */
#define JG__DNS_RECORDS   256  /* that are looked at: no answer takes long */

enum { JG__DNS_A = 1, JG__DNS_AAAA = 28 };

/* Response codes. */
enum {
    JG__DNS_NOERROR = 0,
    JG__DNS_FORMERR = 1,
    JG__DNS_SERVFAIL = 2,
    JG__DNS_NXDOMAIN = 3,
    JG__DNS_NOTIMP = 4
};

typedef struct jg__dns_question {
    uint16_t id;
    uint16_t type;
    int size;
    uint8_t name[JG__DNS_NAME]; /* as on the wire, in lower case */
} jg__dns_question;

typedef struct jg__dns_answer {
    int code;
    bool truncated;
    int count;
    uint8_t addresses[JG__DNS_ADDRESSES][16]; /* of the question's type: 4 or 16 bytes each */
} jg__dns_answer;

/*
 * Ask for the addresses of a name, given as text, with or without a dot at its end. Returns 0, or
 * -EINVAL for what is no name.
 */
int jg__dns_ask(jg__dns_question *question, const char *name, uint16_t type);

/* Write a query, with EDNS(0) if wanted. Returns its size. */
int jg__dns_encode(const jg__dns_question *question, bool edns, uint8_t query[JG__DNS_QUERY]);

/*
 * Read an answer: the addresses of the name asked for, through its aliases. An answer with an error
 * code has none, whatever records came with it. Returns 0; -ENOMSG for what is not an answer to the
 * question; -EBADMSG for one that is broken. `ret_answer` is untouched on failure.
 */
int jg__dns_decode(const uint8_t *message, size_t size, const jg__dns_question *question,
                   jg__dns_answer *ret_answer);

#endif
