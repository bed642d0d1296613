/* SPDX-License-Identifier: MIT
 *
 * Heads of messages.
 */
#include "http/writer.h"

#include "http/chars.h"

/* A constant, which has no NUL but the one at its end. */
#define LITERAL(string) jg_text_of(string, sizeof(string) - 1)

static const char *const informational[] = {"Continue", "Switching Protocols", "Processing",
                                            "Early Hints"};
static const char *const successful[] = {
    "OK",
    "Created",
    "Accepted",
    "Non-Authoritative Information",
    "No Content",
    "Reset Content",
    "Partial Content",
    "Multi-Status",
    "Already Reported",
};
static const char *const redirection[] = {
    "Multiple Choices",   "Moved Permanently", "Found", "See Other",
    "Not Modified",       "Use Proxy",         "",      "Temporary Redirect",
    "Permanent Redirect",
};
static const char *const client_error[] = {
    "Bad Request",
    "Unauthorized",
    "Payment Required",
    "Forbidden",
    "Not Found",
    "Method Not Allowed",
    "Not Acceptable",
    "Proxy Authentication Required",
    "Request Timeout",
    "Conflict",
    "Gone",
    "Length Required",
    "Precondition Failed",
    "Content Too Large",
    "URI Too Long",
    "Unsupported Media Type",
    "Range Not Satisfiable",
    "Expectation Failed",
    "",
    "",
    "",
    "Misdirected Request",
    "Unprocessable Content",
    "Locked",
    "Failed Dependency",
    "Too Early",
    "Upgrade Required",
    "",
    "Precondition Required",
    "Too Many Requests",
    "",
    "Request Header Fields Too Large",
};
static const char *const server_error[] = {
    "Internal Server Error",
    "Not Implemented",
    "Bad Gateway",
    "Service Unavailable",
    "Gateway Timeout",
    "HTTP Version Not Supported",
    "Variant Also Negotiates",
    "Insufficient Storage",
    "Loop Detected",
    "",
    "",
    "Network Authentication Required",
};

const char *jg__http_reason(int status)
{
#define CLASS(phrases)                                  \
    {                                                   \
        phrases, sizeof(phrases) / sizeof((phrases)[0]) \
    }
    static const struct {
        const char *const *phrases;
        size_t count;
    } classes[] = {CLASS(informational), CLASS(successful), CLASS(redirection), CLASS(client_error),
                   CLASS(server_error)};
#undef CLASS
    size_t class = (size_t)status / 100 - 1, number = (size_t)status % 100;

    if (status < 100 || status > 599 || number >= classes[class].count)
        return "";
    return classes[class].phrases[number];
}

/* Finish what began at `start`: if it did not fit, it was not written. */
static int finish(struct jg__output *output, size_t start)
{
    if (!output->full)
        return 0;
    output->full = false;
    output->size = start;
    return -ENOBUFS;
}

int jg__write_status(struct jg__output *output, int status)
{
    size_t start = output->size;

    if (status == 200) {
        jg__output_text(output, LITERAL("HTTP/1.1 200 OK\r\n"));
        return finish(output, start);
    }
    if (status < 100 || status > 999)
        return -EINVAL;
    jg__output_text(output, LITERAL("HTTP/1.1 "));
    jg__output_number(output, (uint64_t)status, 3);
    jg__output_byte(output, ' ');
    jg__output_string(output, jg__http_reason(status));
    jg__output_text(output, LITERAL("\r\n"));
    return finish(output, start);
}

int jg__write_request(struct jg__output *output, jg_text method, jg_text target)
{
    size_t start = output->size;

    if (!jg__all(method, JG__TOKEN) || !jg__all(target, JG__TARGET))
        return -EINVAL;
    jg__output_text(output, method);
    jg__output_byte(output, ' ');
    jg__output_text(output, target);
    jg__output_text(output, LITERAL(" HTTP/1.1\r\n"));
    return finish(output, start);
}

int jg__write_field(struct jg__output *output, jg_text name, jg_text value)
{
    char *p = output->data + output->size;
    size_t room = output->capacity - output->size;

    if (!jg__all(name, JG__TOKEN))
        return -EINVAL;
    if (value.size > 0 &&
        jg__skip_value(value.data, value.data + value.size) != value.data + value.size)
        return -EINVAL;
    if (room < 4 || name.size > room - 4 || value.size > room - 4 - name.size)
        return -ENOBUFS;
    memcpy(p, name.data, name.size);
    p += name.size;
    *p++ = ':';
    *p++ = ' ';
    if (value.size > 0)
        memcpy(p, value.data, value.size);
    p += value.size;
    *p++ = '\r';
    *p = '\n';
    output->size += name.size + value.size + 4;
    return 0;
}

int jg__write_length(struct jg__output *output, uint64_t length)
{
    size_t start = output->size;

    jg__output_text(output, LITERAL("Content-Length: "));
    jg__output_number(output, length, 1);
    jg__output_text(output, LITERAL("\r\n"));
    return finish(output, start);
}

int jg__write_end(struct jg__output *output)
{
    size_t start = output->size;

    jg__output_text(output, LITERAL("\r\n"));
    return finish(output, start);
}
