/* SPDX-License-Identifier: MIT
 *
 * Gives the files of directories to a fuzzer's entry point: each file as it is, cut short at each
 * length, and with each byte changed in a few ways. An input lies in memory of exactly its size, so
 * that sanitizers and Valgrind see a read beyond it.
 */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIZE   ((size_t)1 << 20)
#define MAX_VARIED ((size_t)1 << 12) /* larger files are given as they are */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "replay: %s\n", what);
    exit(1);
}

static void give(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    require(copy != NULL, "out of memory");
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void vary(uint8_t *data, size_t size)
{
    static const uint8_t masks[] = {0x01, 0x20, 0x80, 0xc0, 0xff};

    for (size_t i = 0; i < size; i++) {
        const uint8_t byte = data[i];

        give(data, i);
        for (size_t k = 0; k < sizeof(masks); k++) {
            data[i] = byte ^ masks[k];
            give(data, size);
        }
        data[i] = byte;
    }
}

static void replay(const char *path)
{
    static uint8_t data[MAX_SIZE];
    FILE *file = fopen(path, "rb");
    size_t size;

    require(file != NULL, path);
    size = fread(data, 1, sizeof(data), file);
    fclose(file);
    give(data, size);
    if (size <= MAX_VARIED)
        vary(data, size);
}

static int replay_all(const char *directory)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    char path[4096];
    int count = 0;

    require(dir != NULL, directory);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        replay(path);
        count++;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        require(replay_all(argv[i]) > 0, "an empty corpus");
    return 0;
}
