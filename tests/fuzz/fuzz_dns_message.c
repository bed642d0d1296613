/* SPDX-License-Identifier: MIT
 *
 * Answers of name servers. The corpus has messages with the id 0x1234 about "www.example.com";
 * they are read as answers to each of the two types.
 */
#include "io/dns_message.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t types[] = {JG__DNS_A, JG__DNS_AAAA};

    for (int i = 0; i < 2; i++) {
        jg__dns_question question;
        jg__dns_answer answer = {.count = -1};
        int r;

        require(jg__dns_ask(&question, "www.example.com", types[i]) == 0);
        question.id = 0x1234;
        r = jg__dns_decode(data, size, &question, &answer);
        require(r == 0 || r == -ENOMSG || r == -EBADMSG);
        if (r == 0)
            require(answer.count >= 0 && answer.count <= JG__DNS_ADDRESSES && answer.code >= 0);
        else
            require(answer.count == -1);
    }
    return 0;
}
