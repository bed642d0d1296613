/* SPDX-License-Identifier: MIT
 *
 * The files that say how names are looked up, and addresses as text.
 */
#include "io/resolve_config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* What is read as an address is written such that it is read as the same one. */
static void read_address(const uint8_t *data, size_t size)
{
    char text[200] = "", again[JG_ADDRESS_TEXT];
    jg_address address, copy;

    memcpy(text, data, size < sizeof(text) ? size : sizeof(text) - 1);
    if (jg_address_parse(text, &address) < 0)
        return;
    require(jg_address_format(&address, again, sizeof(again)) > 0);
    if (strncmp(again, "unix:@", 6) != 0) {
        require(jg_address_parse(again, &copy) == 0);
        require(jg_address_equal(&address, &copy));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const jg__text text = {.bytes = (char *)(uintptr_t)data, .size = size};
    jg__resolve_config config;
    jg_address found[4];

    jg__resolve_config_parse(&text, &config);
    require(config.server_count >= 1 && config.server_count <= JG__SERVERS);
    require(config.search_count >= 0 && config.search_count <= JG__SEARCH);
    require(config.attempts >= 1 && config.timeout >= JG_SECOND && config.ndots >= 0);
    for (int i = 0; i < config.search_count; i++)
        require(memchr(config.search[i], 0, sizeof(config.search[i])) != NULL);

    require(jg__hosts_find(&text, "one.test", JG_FAMILY_NONE, 80, found, 4) <= 4);
    (void)jg__nsswitch_is_plain(&text, true);
    read_address(data, size);
    return 0;
}
