/* SPDX-License-Identifier: MIT
 *
 * Everything in juggle, but for <juggle/with.h>, which not every compiler takes, and what tests need,
 * <juggle/test.h> and <juggle/test_kit.h>. Programs that need the event loop alone include
 * <juggle/loop.h>.
 */
#ifndef JUGGLE_H
#define JUGGLE_H

#include <juggle/address.h>
#include <juggle/base.h>
#include <juggle/coro.h>
#include <juggle/executor.h>
#include <juggle/file.h>
#include <juggle/http.h>
#include <juggle/http_app.h>
#include <juggle/http_client.h>
#include <juggle/http_field.h>
#include <juggle/http_multipart.h>
#include <juggle/http_parser.h>
#include <juggle/http_server.h>
#include <juggle/loop.h>
#include <juggle/net.h>
#include <juggle/op.h>
#include <juggle/process.h>
#include <juggle/queue.h>
#include <juggle/resolve.h>
#include <juggle/sendfile.h>
#include <juggle/server.h>
#include <juggle/stream.h>
#include <juggle/sync.h>
#include <juggle/task.h>
#include <juggle/text.h>
#include <juggle/transport.h>
#include <juggle/tree.h>
#include <juggle/udp.h>
#include <juggle/unix.h>
#include <juggle/url.h>
#include <juggle/websocket.h>

#endif
