/* SPDX-License-Identifier: MIT */
#include "io/resolve_config.h"

#include "platform/address.h"
#include "platform/descriptor.h"
#include "platform/disk.h"

#include <errno.h>
#include <string.h>

#define DNS_PORT 53
#define MAX_TEXT ((int64_t)8 << 20)

/* A part of a text. */
struct piece {
    const char *at;
    size_t size;
};

/* Whether it is for want of something that a file could not be read, rather than that there is none
 * for us. */
static bool is_want(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EIO;
}

/* Read a file from its start. Returns how many bytes there were, or an error. */
static int read_all(int fd, char *bytes, int size)
{
    int done = 0, r = 1;

    while (done < size && r > 0) {
        r = jg__disk_read(fd, bytes + done, size - done, done);
        if (r > 0)
            done += r;
    }
    return r < 0 ? r : done;
}

int jg__text_read(const jg_allocator *allocator, const char *path, jg__text *ret_text)
{
    jg__text text = {.bytes = NULL};
    jg_file_info info;
    int fd = jg__disk_open(path, 0, 0); /* 0 is O_RDONLY everywhere */
    int r = fd < 0 ? fd : jg__disk_stat(fd, NULL, &info);

    if (r == 0 && info.size > 0 && info.size < MAX_TEXT) {
        text.allocated = (size_t)info.size;
        text.bytes = jg__alloc(allocator, text.allocated);
        r = text.bytes ? read_all(fd, text.bytes, (int)info.size) : -ENOMEM;
        text.size = r > 0 ? (size_t)r : 0;
    }
    jg__fd_close(fd);
    if (is_want(r)) {
        jg__text_free(allocator, &text);
        return r;
    }
    *ret_text = text;
    return 0;
}

void jg__text_free(const jg_allocator *allocator, jg__text *text)
{
    jg__free(allocator, text->bytes, text->allocated);
    *text = (jg__text){.bytes = NULL};
}

/* Take the next line, without a comment that begins anywhere in it. Returns false at the end. */
static bool next_line(struct piece *text, const char *comments, struct piece *ret_line)
{
    const char *end;
    size_t size;

    if (text->size == 0)
        return false;

    end = memchr(text->at, '\n', text->size);
    size = end ? (size_t)(end - text->at) : text->size;
    *ret_line = (struct piece){text->at, 0};
    while (ret_line->size < size && !strchr(comments, text->at[ret_line->size]))
        ret_line->size++;
    text->at += size + (end != NULL);
    text->size -= size + (end != NULL);
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool next_word(struct piece *line, struct piece *ret_word)
{
    while (line->size > 0 && is_space(*line->at)) {
        line->at++;
        line->size--;
    }
    *ret_word = (struct piece){line->at, 0};
    while (line->size > 0 && !is_space(*line->at)) {
        line->at++;
        line->size--;
        ret_word->size++;
    }
    return ret_word->size > 0;
}

static bool is(struct piece word, const char *text)
{
    return word.size == strlen(text) && memcmp(word.at, text, word.size) == 0;
}

/* Copy a word as a string. Returns false if it does not fit. */
static bool copy(struct piece word, char *text, size_t size)
{
    if (word.size >= size)
        return false;
    memcpy(text, word.at, word.size);
    text[word.size] = '\0';
    return true;
}

/* ---------------------------------------------------------- resolv.conf */

static void add_server(jg__resolve_config *config, struct piece line)
{
    char host[80];
    struct piece word;

    if (config->server_count < JG__SERVERS && next_word(&line, &word) &&
        copy(word, host, sizeof(host)) &&
        jg__address_numeric(host, DNS_PORT, &config->servers[config->server_count]) == 0)
        config->server_count++;
}

static void set_search(jg__resolve_config *config, struct piece line)
{
    struct piece word;

    config->search_count = 0;
    while (config->search_count < JG__SEARCH && next_word(&line, &word)) {
        if (word.at[word.size - 1] == '.')
            word.size--; /* absolute as it is */
        if (word.size > 0 &&
            copy(word, config->search[config->search_count], sizeof(config->search[0])))
            config->search_count++;
    }
}

/* The number of an option "NAME:NUMBER", within limits. */
static bool get_option(struct piece word, const char *name, int lowest, int highest, int *ret_value)
{
    const size_t length = strlen(name);
    int value = 0;

    if (word.size <= length + 1 || memcmp(word.at, name, length) != 0 || word.at[length] != ':')
        return false;
    for (size_t i = length + 1; i < word.size; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        value = value * 10 + (word.at[i] - '0');
        if (value > highest)
            value = highest;
    }
    *ret_value = value < lowest ? lowest : value;
    return true;
}

static void set_options(jg__resolve_config *config, struct piece line)
{
    struct piece word;
    int seconds;

    while (next_word(&line, &word)) {
        if (is(word, "rotate"))
            config->rotate = true;
        else if (get_option(word, "timeout", 1, 30, &seconds))
            config->timeout = seconds * JG_SECOND;
        else if (!get_option(word, "ndots", 0, 15, &config->ndots))
            (void)get_option(word, "attempts", 1, 5, &config->attempts);
    }
}

void jg__resolve_config_parse(const jg__text *text, jg__resolve_config *ret_config)
{
    struct piece rest = {text->bytes, text->size};
    struct piece line, word;

    *ret_config = (jg__resolve_config){.ndots = 1, .attempts = 2, .timeout = 5 * JG_SECOND};
    while (next_line(&rest, "#;", &line)) {
        if (!next_word(&line, &word))
            continue;
        if (is(word, "nameserver"))
            add_server(ret_config, line);
        else if (is(word, "search") || is(word, "domain"))
            set_search(ret_config, line);
        else if (is(word, "options"))
            set_options(ret_config, line);
    }
    if (ret_config->server_count == 0)
        jg__address_ipv4((const uint8_t[4]){127, 0, 0, 1}, DNS_PORT,
                         &ret_config->servers[ret_config->server_count++]);
}

/* ---------------------------------------------------------------- hosts */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool jg__names_equal(const char *a, size_t a_length, const char *b, size_t b_length)
{
    if (a_length > 0 && a[a_length - 1] == '.')
        a_length--;
    if (b_length > 0 && b[b_length - 1] == '.')
        b_length--;
    if (a_length != b_length)
        return false;
    for (size_t i = 0; i < a_length; i++) {
        if (lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}

size_t jg__hosts_find(const jg__text *text, const char *name, jg_family family, uint16_t port,
                      jg_address *addresses, size_t room)
{
    const size_t length = strlen(name);
    struct piece rest = {text->bytes, text->size};
    struct piece line, host, word;
    size_t count = 0;
    char string[80];

    while (count < room && next_line(&rest, "#", &line)) {
        bool named = false;

        if (!next_word(&line, &host))
            continue;
        while (!named && next_word(&line, &word))
            named = jg__names_equal(word.at, word.size, name, length);
        if (named && copy(host, string, sizeof(string)) &&
            jg__address_numeric(string, port, &addresses[count]) == 0 &&
            (family == JG_FAMILY_NONE || family == jg_address_family(&addresses[count])))
            count++;
    }
    return count;
}

/* ------------------------------------------------------------- nsswitch */

bool jg__nsswitch_is_plain(const jg__text *text, bool otherwise)
{
    struct piece rest = {text->bytes, text->size};
    struct piece line, word;

    while (next_line(&rest, "#", &line)) {
        if (!next_word(&line, &word) || !is(word, "hosts:"))
            continue;
        while (next_word(&line, &word)) {
            if (!is(word, "files") && !is(word, "dns"))
                return false;
        }
        return true;
    }
    return otherwise;
}
