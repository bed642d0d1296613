/* SPDX-License-Identifier: MIT
 *
 * Resolve: the addresses of many names, looked up at once and told in the order they were given.
 *
 *     resolve NAME...
 */
#include "common.h"

#define ROOM 16

struct lookup {
    const char *name;
    jg_address addresses[ROOM];
};

static int look_up(void *arg)
{
    struct lookup *lookup = arg;

    return jg_resolve(lookup->name, 0, NULL, lookup->addresses, ROOM);
}

static void tell(const struct lookup *lookup, int status)
{
    char text[JG_ADDRESS_TEXT];

    if (status < 0)
        fprintf(stderr, "%s: %s\n", lookup->name, jg_strerror(status));
    for (int i = 0; i < status; i++) {
        check(jg_address_format(&lookup->addresses[i], text, sizeof text), "address");
        printf("%s %s\n", lookup->name, text);
    }
}

struct names {
    char **names;
    size_t count;
};

/* The result is how many names could not be found. */
static int look_up_all(void *arg)
{
    const struct names *names = arg;
    struct lookup *lookups = calloc(names->count, sizeof *lookups);
    jg_job *jobs = calloc(names->count, sizeof *jobs);
    int missing = 0, r = -ENOMEM;

    if (!lookups || !jobs)
        goto out;

    for (size_t i = 0; i < names->count; i++) {
        lookups[i].name = names->names[i];
        jobs[i] = (jg_job){.fn = look_up, .arg = &lookups[i]};
    }
    r = jg_gather(jobs, names->count, JG_KEEP_GOING);
    for (size_t i = 0; i < names->count && r == 0; i++) {
        tell(&lookups[i], jobs[i].status);
        missing += jobs[i].status < 0;
    }

out:
    free(lookups);
    free(jobs);
    return r < 0 ? r : missing;
}

int main(int argc, char **argv)
{
    struct names names = {argv + 1, (size_t)argc - 1};

    if (argc < 2) {
        fprintf(stderr, "usage: resolve NAME...\n");
        return 2;
    }
    return check(jg_run(look_up_all, &names, NULL), "resolve") > 0;
}
