/* SPDX-License-Identifier: MIT
 *
 * A UDP echo server: [HOST:]PORT
 *
 * Datagrams that came together go back together. One that there is no room for at the moment is
 * dropped, as UDP may.
 */
#include "server.h"

enum { BATCH = 16 };

static int serve(void *arg)
{
    static char buffers[BATCH][JG_DATAGRAM_SIZE];
    jg_datagram datagrams[BATCH];
    jg_address bound;
    jg_udp udp;
    int r;

    check(jg_udp_open(&udp, jg_task_loop(jg_task_current()), arg, NULL, NULL), "socket");
    check(jg_udp_address(&udp, &bound), "address");
    print_listening(&bound);
    for (int i = 0; i < BATCH; i++)
        datagrams[i] = (jg_datagram){.data = buffers[i], .capacity = sizeof buffers[i]};
    for (;;) {
        int count = jg_udp_receive(&udp, datagrams, BATCH);

        r = count;
        for (int sent = 0; sent < count && r >= 0; sent += r > 0 ? r : 1) {
            r = jg_udp_send(&udp, datagrams + sent, (size_t)(count - sent));
            if (r < 0 && r != -ECANCELED)
                r = 0; /* this one cannot be sent: to the next */
        }
        if (r == -ECANCELED)
            break;
    }
    jg_udp_close(&udp);
    return r;
}

int main(int argc, char **argv)
{
    jg_address address = only_address(argv);

    (void)argc;
    return run_server(serve, &address);
}
