/* SPDX-License-Identifier: MIT
 *
 * The media type of a file, by the extension of its name.
 */
#ifndef JG_HTTP_MEDIA_H
#define JG_HTTP_MEDIA_H

#include <juggle/text.h>

/* A constant string; "application/octet-stream" for what is not known. */
const char *jg__media_type(jg_text path);

#endif
