/* SPDX-License-Identifier: MIT
 *
 * A line for each request, in the common log format.
 */
#ifndef JG_HTTP_ACCESS_LOG_H
#define JG_HTTP_ACCESS_LOG_H

#include <juggle/http.h>

/* Enough for every line; what is longer in a request is cut. */
#define JG__ACCESS_LINE 2048

/*
 * Write the line, with its line feed, for a request that is done with. What a client sent cannot
 * end the line, or its quotes. Returns its length.
 */
size_t jg__access_line(const jg_http_request *request, int64_t now, char buffer[JG__ACCESS_LINE]);

#endif
