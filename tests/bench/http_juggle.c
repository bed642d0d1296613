/* SPDX-License-Identifier: MIT
 *
 * An application as a user of juggle would write it: a route, and a handler that is a coroutine.
 */
#include <juggle/http_app.h>

static int hello(jg_http_request *request, void *arg)
{
    (void)arg;
    return jg_http_respond(request, 200, "text/plain", "Hello, World!", 13);
}

int main(void)
{
    jg_app *app;
    int r = jg_app_new(NULL, &app);

    if (r == 0)
        r = jg_app_route(app, "GET", "/", hello, NULL);
    if (r == 0)
        r = jg_run_app(app, "127.0.0.1:0", NULL);
    return r < 0;
}
