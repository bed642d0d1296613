/* SPDX-License-Identifier: MIT
 *
 * Texts of errors, and the version.
 */
#include <juggle/http_client.h>

#include <string.h>

#define STRING(x)  #x
#define VERSION(x) STRING(x)

/* In the order of their codes. */
static const char *const http_errors[] = {
    "HTTP: malformed first line",
    "HTTP: malformed method",
    "HTTP: invalid request target",
    "HTTP: unsupported HTTP version",
    "HTTP: malformed field line",
    "HTTP: missing or invalid Host",
    "HTTP: invalid Content-Length",
    "HTTP: invalid Transfer-Encoding",
    "HTTP: unsupported transfer coding",
    "HTTP: first line too long",
    "HTTP: head too large",
    "HTTP: too many fields",
    "HTTP: malformed chunk",
    "HTTP: chunk extensions or trailers too large",
    "HTTP: connection ended within a message",
};

static const char *const http_client_errors[] = {
    "HTTP: there is no TLS to open https URLs with",
    "HTTP: connection ended without a response",
    "HTTP: no connection in time",
    "HTTP: connection was quiet for too long",
    "HTTP: no complete response in time",
    "HTTP: too many redirects",
    "HTTP: redirect to an invalid location",
    "HTTP: unexpected protocol switch",
};

const char *jg_strerror(int error)
{
    if (error <= JG_EHTTP_NO_TLS && error >= JG_EHTTP_SWITCHED)
        return http_client_errors[JG_EHTTP_NO_TLS - error];
    if (error <= JG_EHTTP_LINE && error >= JG_EHTTP_TRUNCATED)
        return http_errors[JG_EHTTP_LINE - error];
    switch (error) {
    case JG_EFORKED:
        return "event loop belongs to the parent process";
    case JG_ELEAKED:
        return "still started when its event loop was freed";
    case JG_EDEADLOCK:
        return "tasks are left that nothing can wake";
    case JG_EBROKEN:
        return "the barrier is broken";
    case JG_ESHUTDOWN:
        return "queue was shut down";
    case JG_EINCOMPLETE:
        return "end of file before what was asked for";
    case JG_ENONAME:
        return "no such name";
    case JG_ENOADDRESS:
        return "the name has no address";
    case JG_ETRYAGAIN:
        return "no name server could tell for now";
    case JG_ENAMEFAIL:
        return "the name servers refused to tell";
    case JG_ESLOW:
        return "a callback took long";
    default:
        return error < 0 ? strerror(-error) : "success";
    }
}

const char *jg_version(void)
{
    return VERSION(JG_VERSION_MAJOR) "." VERSION(JG_VERSION_MINOR) "." VERSION(JG_VERSION_PATCH);
}
